//! Why a standby does not stream: each cause is made, named, and mended.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::unistd::geteuid;

use pgtwin::cluster::known::Known;
use pgtwin::decide::broken_replication::Cause;
use pgtwin::decide::facts::StandbyFacts;
use pgtwin::decide::recovery_check::Kind;
use pgtwin::sys::deadline::poll_until;
use pgtwin::sys::exec::{Cmd, Exec, System};

use crate::pair::{GRANT, Pair, SLOT, Small};
use crate::place::{await_primary, await_standby, on_every_version, soon, sql};

fn streams(pair: &Pair<'_>) {
    await_standby(&pair.n2, StandbyFacts::streams);
}

fn started(pair: &Pair<'_>) {
    pair.n2.start(&soon()).unwrap();
    pair.standby();
}

fn why_paused(pair: &Pair<'_>) -> Option<Cause> {
    pair.n2.why_paused(Duration::from_secs(10)).map(|diagnosis| diagnosis.cause)
}

fn revoke() -> String {
    GRANT.replace("GRANT", "REVOKE").replace(" TO ", " FROM ")
}

#[test]
fn a_login_that_is_refused_is_named_and_no_recovery_helps() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        started(&pair);
        streams(&pair);
        pair.password("wrong");
        pair.cut();
        let diagnosis = pair.await_diagnosis(Cause::NotLetIn);
        assert!(diagnosis.to_string().contains("refuses the password"), "{diagnosis}");
        assert!(!diagnosis.cause.recovery_helps());
        pair.password("right");
        streams(&pair);
        pair.hba_without("replication");
        pair.cut();
        let diagnosis = pair.await_diagnosis(Cause::NotLetIn);
        let (_, line) = diagnosis.advice.remedy.split_once("reload: ").unwrap();
        place.append(&place.path("n1").join("pg_hba.conf"), &format!("{line}\n"));
        pair.n1.reload().unwrap();
        streams(&pair);
        sql(&pair.n1, "ALTER ROLE replicator NOREPLICATION");
        pair.cut();
        let diagnosis = pair.await_diagnosis(Cause::NotLetIn);
        pair.type_on_n1(&diagnosis.advice.remedy);
        streams(&pair);
        // The agent is let in, the receiver is not: it has another password.
        let other = place.path("other");
        place.write(&other, "*:*:*:*:wrong\n", 0o600);
        let conninfo = pair.n2.auto_conf_value("primary_conninfo").unwrap();
        let wrong =
            conninfo.replace(&pair.passfile().display().to_string(), &other.display().to_string());
        pair.n2.set_and_reload(&[("primary_conninfo", Some(&wrong))]).unwrap();
        let diagnosis = pair.await_diagnosis(Cause::ReceiverNotLetIn);
        assert!(diagnosis.to_string().contains("refuses the password"), "{diagnosis}");
        pair.n2.set_and_reload(&[("primary_conninfo", Some(&conninfo))]).unwrap();
        streams(&pair);
        pair.n1.stop(&soon()).unwrap();
        let diagnosis = pair.await_diagnosis(Cause::NoPrimary);
        assert!(diagnosis.to_string().contains("nobody listens"), "{diagnosis}");
    });
}

#[test]
fn a_slot_that_was_dropped_is_made_by_the_statement_in_the_remedy() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        sql(&pair.n1, &format!("SELECT pg_drop_replication_slot('{SLOT}')"));
        started(&pair);
        let diagnosis = pair.await_diagnosis(Cause::SlotMissing);
        assert!(!diagnosis.cause.recovery_helps());
        pair.type_on_n1(&diagnosis.advice.remedy);
        streams(&pair);
    });
}

#[test]
fn a_slot_that_is_lost_is_a_case_for_recovery() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        pair.set_on_n1("wal_keep_size", "0");
        pair.set_on_n1("max_slot_wal_keep_size", "1MB");
        pair.move_on();
        started(&pair);
        let diagnosis = pair.await_diagnosis(Cause::SlotLost);
        assert!(diagnosis.cause.recovery_helps());
    });
}

#[test]
fn wal_that_is_gone_is_a_case_for_recovery_by_the_primarys_word_or_the_log() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        pair.set_on_n1("wal_keep_size", "0");
        let conninfo = pair.n2.auto_conf_value("primary_conninfo").unwrap();
        started(&pair);
        streams(&pair);
        // At the end of the WAL, which may be the border of a segment, nothing is missing.
        sql(&pair.n1, "SELECT pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal()");
        let border = crate::place::identify(&pair.n1).lsn;
        await_standby(&pair.n2, |facts| facts.receive >= Some(border));
        pair.n2.set_and_reload(&[("primary_conninfo", Some(""))]).unwrap();
        await_standby(&pair.n2, |facts| facts.receiver.is_none());
        let _ = pair.await_diagnosis(Cause::NotKnown);
        let there = pair.has_segment();
        assert_eq!(there, Known::Known(true));
        // One that follows it is there, and is not what it needs.
        sql(&pair.n1, "SELECT pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal()");
        assert_eq!(pair.has_segment(), Known::Known(true));
        pair.n2.stop(&soon()).unwrap();
        let settings = [("primary_conninfo", Some(conninfo.as_str())), ("primary_slot_name", None)];
        pair.n2.set_auto_conf(&settings).unwrap();
        sql(&pair.n1, &format!("SELECT pg_drop_replication_slot('{SLOT}')"));
        pair.move_on();
        sql(&pair.n1, &format!("SELECT pg_create_physical_replication_slot('{SLOT}', true)"));
        started(&pair);
        // By the primary's word.
        let gone = poll_until(&soon(), Duration::from_millis(50), || {
            (pair.has_segment() == Known::Known(false)).then_some(())
        });
        assert!(gone.is_some(), "{:?}", pair.has_segment());
        let diagnosis = pair.await_diagnosis(Cause::WalRemoved);
        assert!(diagnosis.cause.recovery_helps());
        // By the log alone, which a collector may keep.
        sql(&pair.n1, &revoke());
        let _ = pair.await_diagnosis(Cause::WalRemoved);
        pair.n2.stop(&soon()).unwrap();
        let conf = place.path("n2").join("postgresql.conf");
        place.append(&conf, "logging_collector = on\n");
        fs::write(place.path("n2.start.log"), "").unwrap();
        started(&pair);
        let _ = pair.await_diagnosis(Cause::WalRemoved);
        assert!(!fs::read_to_string(place.path("n2.start.log")).unwrap().contains("removed"));
        // A log that cannot be read says nothing.
        pair.n2.stop(&soon()).unwrap();
        place.append(&conf, "log_destination = csvlog\n");
        started(&pair);
        assert_eq!(pair.diagnosis().cause, Cause::NotKnown);
    });
}

#[test]
fn another_line_of_history_counts_when_it_was_compared() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        started(&pair);
        streams(&pair);
        let (n3, port) = place.basebackup(pair.peer.port, "n3");
        let hba = fs::read_to_string(place.path("n1").join("pg_hba.conf")).unwrap();
        place.write(&place.path("n3").join("pg_hba.conf"), &hba, 0o600);
        n3.start(&soon()).unwrap();
        await_standby(&n3, StandbyFacts::streams);
        n3.set_and_reload(&[("primary_conninfo", Some(""))]).unwrap();
        await_standby(&n3, |facts| facts.receiver.is_none());
        sql(&pair.n1, "SELECT pg_logical_emit_message(true, 'x', 'only n2 gets this')");
        let end = crate::place::identify(&pair.n1).lsn;
        await_standby(&pair.n2, |facts| facts.replay >= Some(end));
        pair.n1.stop(&soon()).unwrap();
        n3.promote().unwrap();
        await_primary(&n3);
        let passfile = fs::read_to_string(pair.passfile()).unwrap();
        let old = format!(":{}:", pair.peer.port);
        place.write(&pair.passfile(), &passfile.replace(&old, &format!(":{port}:")), 0o600);
        let conninfo = pair.n2.auto_conf_value("primary_conninfo").unwrap();
        let conninfo =
            conninfo.replace(&format!("port={}", pair.peer.port), &format!("port={port}"));
        let settings = [("primary_conninfo", Some(conninfo.as_str())), ("primary_slot_name", None)];
        pair.n2.set_and_reload(&settings).unwrap();
        sql(&n3, &format!("SELECT pg_create_physical_replication_slot('{SLOT}', true)"));
        let peer = pgtwin::client::peer::Peer { port, ..pair.peer };
        let pair = Pair { peer, ..pair };
        let unproven = poll_until(&soon(), Duration::from_millis(100), || {
            let diagnosis = pair.diagnosis_with(None, Known::unknown("not compared"));
            (diagnosis.cause == Cause::TimelineUnproven).then_some(diagnosis)
        });
        assert!(unproven.is_some_and(|diagnosis| !diagnosis.cause.recovery_helps()));
        let why = Known::Known(Some("data diverged".to_owned()));
        let diagnosis = pair.diagnosis_with(None, why);
        assert_eq!(diagnosis.cause, Cause::Diverged);
        assert!(diagnosis.cause.recovery_helps());
    });
}

#[test]
fn a_replay_that_settings_have_paused_is_told_from_an_administrators() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        started(&pair);
        streams(&pair);
        sql(&pair.n2, "SELECT pg_wal_replay_pause()");
        await_standby(&pair.n2, |facts| facts.paused);
        let diagnosis = pair.await_diagnosis(Cause::PausedByAdministrator);
        assert_eq!(why_paused(&pair), Some(Cause::PausedByAdministrator));
        sql(&pair.n2, &diagnosis.advice.remedy);
        await_standby(&pair.n2, |facts| !facts.paused);
        pair.n1.stop(&soon()).unwrap();
        pair.n1.set_auto_conf(&[("max_connections", Some("130"))]).unwrap();
        pair.n1.start(&soon()).unwrap();
        await_primary(&pair.n1);
        // 13 ends instead of pausing, and cannot say what is set. Until then the log may say so first.
        let words = match place.major {
            13 => "perhaps by a setting",
            _ => "max_connections is 100 here, the primary's is 130: set max_connections = 130",
        };
        let diagnosis = poll_until(&soon(), Duration::from_millis(100), || {
            let diagnosis = pair.await_diagnosis(Cause::LowerSettings);
            diagnosis.to_string().contains(words).then_some(diagnosis)
        });
        assert!(diagnosis.is_some_and(|diagnosis| !diagnosis.cause.recovery_helps()));
        assert_eq!(why_paused(&pair), Some(Cause::LowerSettings));
        pair.n2.stop(&soon()).unwrap();
        pair.n2.set_auto_conf(&[("max_connections", Some("130"))]).unwrap();
        started(&pair);
        streams(&pair);
        pair.await_finding(&[Kind::SlotTaken]);
    });
}

#[test]
fn a_disk_that_is_full_is_named_and_streaming_goes_on_once_there_is_room() {
    if !geteuid().is_root() {
        eprintln!("not root: no file system can be mounted");
        return;
    }
    on_every_version(|place| {
        let pair = Pair::new(place);
        let wal = place.path("wal");
        fs::create_dir(&wal).unwrap();
        let options = format!("size=60m,mode=700,uid={},gid={}", place.user.uid, place.user.gid);
        let small = Small::mount(&wal, &options);
        let old = place.path("n2").join("pg_wal");
        let text = |path: &Path| path.display().to_string();
        let copy = Cmd::new("cp").args(["-a", &format!("{}/.", text(&old)), &text(&wal)]);
        assert!(System.run(&copy).unwrap().ok());
        fs::remove_dir_all(&old).unwrap();
        std::os::unix::fs::symlink(&wal, &old).unwrap();
        started(&pair);
        streams(&pair);
        // Segments that no restartpoint of n2 has made superfluous.
        for _ in 0..6 {
            sql(&pair.n1, "SELECT pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal()");
        }
        let diagnosis = pair.await_diagnosis(Cause::DiskFull);
        assert!(diagnosis.to_string().contains("make room"), "{diagnosis}");
        assert!(!diagnosis.cause.recovery_helps());
        small.resize("1g");
        let end = crate::place::identify(&pair.n1).lsn;
        await_standby(&pair.n2, |facts| facts.receive >= Some(end) && facts.streams());
        pair.n2.stop(&soon()).unwrap();
        drop(small);
    });
}
