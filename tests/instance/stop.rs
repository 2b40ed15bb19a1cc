//! Ends: in order, with standbys that do and do not follow, and by force.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use pgtwin::client::sql::Wire;
use pgtwin::cluster::known::Known;
use pgtwin::cluster::ledger::Beyond;
use pgtwin::decide::facts::{DataDir, Process, Sql, StandbyFacts};
use pgtwin::ocf::exit_code::ExitCode;
use pgtwin::ocf::params::Params;
use pgtwin::postgres::control_data::{ClusterState, ControlData};
use pgtwin::postgres::lsn::Timeline;
use pgtwin::runtime::instance::Postgres;
use pgtwin::runtime::look::identity;
use pgtwin::sys::deadline::Deadline;
use pgtwin::sys::exec::System;

use crate::place::{
    await_primary, await_process, await_standby, control, identify, now, on_every_version, on_host,
    pid, session, signal, soon, sql, started_primary, value,
};

#[test]
fn a_standby_has_everything_of_a_primary_that_was_shut_down_in_order() {
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        n1.ensure_slots(&["slot_n2".into(), "slot_n2".into()]).unwrap();
        let (n2, _) = place.basebackup(port, "n2");
        n2.set_auto_conf(&[("primary_slot_name", Some("slot_n2"))]).unwrap();
        n2.start(&soon()).unwrap();
        let facts = await_standby(&n2, StandbyFacts::streams);
        assert_eq!(facts.slot, "slot_n2");
        assert!(facts.conninfo.contains(&format!("port={port}")));
        assert_eq!((facts.paused, facts.apply_delay), (false, 0));
        let receiver = facts.receiver.unwrap();
        assert_eq!((receiver.port, receiver.timeline), (port, Timeline(1)));
        assert_eq!(receiver.host, place.dir.path().display().to_string());
        assert!(facts.receive.is_some());

        let primary = await_primary(&n1);
        assert_eq!(primary.slots, ["slot_n2"]);
        assert_eq!(primary.system_id, facts.system_id);
        let walsender = &primary.walsenders[0];
        assert_eq!((walsender.name.as_str(), walsender.state.as_str()), ("n2", "streaming"));
        assert_eq!((walsender.priority, walsender.sync_state.as_str()), (0, "async"));

        sql(&n1, "CREATE TABLE public.t AS SELECT generate_series(1, 50000) AS n");
        n1.shut_down_in_order(&soon()).unwrap();
        let control = control(&n1);
        assert_eq!(control.state, ClusterState::ShutDown);
        let end = n1.end_of_checkpoint(&control, &soon()).into_result().unwrap();
        let position = identify(&n2);
        assert_eq!((position.timeline, position.lsn), (control.timeline, end));
        let why = n2.end_of_checkpoint(&super_control(&n2), &soon()).into_result().unwrap_err();
        assert!(why.contains("not shut down as a primary"), "{why}");

        n2.promote().unwrap();
        let primary = await_primary(&n2);
        assert_eq!(primary.timeline, Timeline(2));
        let line = n2.history_of(Timeline(2)).into_result().unwrap();
        assert!(line.contains(Timeline(1), end));
        assert_eq!(n1.beyond(Timeline(1), &soon()), Known::Known(Beyond::Nothing));
        assert!(n1.history_of(Timeline(2)).why_unknown().unwrap().contains("00000002.history"));

        // The old primary follows without a rewind.
        let (dir, user) = (place.dir.path().display(), &place.user.name);
        let n2_port = value(&n2, "SELECT current_setting('port')");
        let back = format!("host={dir} port={n2_port} user={user} application_name=n1");
        n1.set_auto_conf(&[("primary_conninfo", Some(&back)), ("primary_slot_name", None)])
            .unwrap();
        n1.ensure_standby_signal().unwrap();
        n1.start(&soon()).unwrap();
        // At first it may stream the rest of timeline 1.
        await_standby(&n1, |facts| {
            facts.streams() && facts.receiver.as_ref().is_some_and(|r| r.timeline == Timeline(2))
        });
        assert_eq!(n1.history_of(Timeline(2)).into_result().unwrap(), line);
    });
}

fn super_control(pg: &Postgres<'_>) -> ControlData {
    *control(pg)
}

/// A shutdown with ten minutes to spare. At half of its time everybody is sent away: one that ends within a
/// fifth of that has not waited for the frozen standby.
fn shuts_down_without_waiting(pg: &Postgres<'_>) {
    let begun = Instant::now();
    pg.shut_down_in_order(&Deadline::after(Duration::from_mins(10))).unwrap();
    assert!(begun.elapsed() < Duration::from_mins(1), "it waited: {:?}", begun.elapsed());
}

#[test]
fn a_frozen_standby_does_not_hold_up_a_shutdown_that_another_one_follows() {
    on_every_version(|place| {
        let (n1, port) = place.initdb("n1");
        // A dead peer is never noticed by PostgreSQL itself here.
        place.append(&place.path("n1").join("postgresql.conf"), "wal_sender_timeout = 0\n");
        n1.start(&soon()).unwrap();
        await_primary(&n1);
        let (n2, _) = place.basebackup(port, "n2");
        let (n3, _) = place.basebackup(port, "n3");
        for standby in [&n2, &n3] {
            standby.start(&soon()).unwrap();
            await_standby(standby, StandbyFacts::streams);
        }
        let named: i32 = value(&n3, "SELECT pid FROM pg_stat_wal_receiver").parse().unwrap();
        let receiver = on_host(&n3, named);
        for (name, rows) in [("idle", 0), ("jammed", 400_000)] {
            signal(receiver, Signal::SIGSTOP);
            if rows > 0 {
                sql(
                    &n1,
                    &format!("CREATE TABLE public.{name} AS SELECT generate_series(1, {rows})"),
                );
            }
            shuts_down_without_waiting(&n1);
            let end = n1.end_of_checkpoint(&control(&n1), &soon()).into_result().unwrap();
            assert_eq!(identify(&n2).lsn, end, "{name}");
            signal(receiver, Signal::SIGCONT);
            if rows > 0 {
                break;
            }
            n1.start(&soon()).unwrap();
            await_primary(&n1);
            for standby in [&n2, &n3] {
                await_standby(standby, StandbyFacts::streams);
            }
            let again = value(&n3, "SELECT pid FROM pg_stat_wal_receiver");
            if again != named.to_string() {
                let again = on_host(&n3, again.parse().unwrap());
                return a_frozen_receiver_jams(&n1, &n2, again);
            }
        }
    });
}

fn a_frozen_receiver_jams(n1: &Postgres<'_>, n2: &Postgres<'_>, receiver: i32) {
    signal(receiver, Signal::SIGSTOP);
    sql(n1, "CREATE TABLE public.jam AS SELECT generate_series(1, 400000)");
    shuts_down_without_waiting(n1);
    let end = n1.end_of_checkpoint(&control(n1), &soon()).into_result().unwrap();
    assert_eq!(identify(n2).lsn, end);
    signal(receiver, Signal::SIGCONT);
}

#[test]
fn a_stopped_postmaster_hangs_and_is_stopped_all_the_same() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        signal(pid(&pg), Signal::SIGSTOP);
        await_process(&pg, |process| matches!(process, Process::Running { stopped: true, .. }));
        // Another process of the agent, without a session from before.
        let later = place.instance("n1", pg.place().port);
        let instance = later.look(&Deadline::after(Duration::from_millis(700)));
        assert_eq!(instance.sql, Sql::Hung);
        assert!(matches!(instance.process, Process::Running { stopped: true, .. }));
        assert!(matches!(instance.data, DataDir::Cluster(_)));
        later.stop(&soon()).unwrap();
        assert_eq!(later.runtime().process(), Process::None);
        assert_eq!(control(&later).state, ClusterState::ShutDown);
    });
}

/// What is done about it, after a monitor has seen it.
#[test]
fn a_postmaster_that_was_seen_to_hang_is_asked_once_more_and_may_have_recovered() {
    on_every_version(|place| {
        let (pg, port) = started_primary(place, "n1");
        signal(pid(&pg), Signal::SIGSTOP);
        let stopped = |process: &Process| matches!(process, Process::Running { stopped: true, .. });
        let process = await_process(&pg, stopped);
        let mark = identity(&process).unwrap();
        let later = place.instance("n1", port).seen_to_hang(&mark);
        assert_eq!(later.look(&soon()).sql, Sql::Hung);
        signal(pid(&pg), Signal::SIGCONT);
        await_process(&pg, |process| !stopped(process));
        assert!(matches!(later.look(&soon()).sql, Sql::Primary(_)));
        signal(pid(&pg), Signal::SIGSTOP);
        await_process(&pg, stopped);
        later.stop_hung(&soon()).unwrap();
        assert_eq!(later.runtime().process(), Process::None);
        assert_eq!(control(&later).state, ClusterState::ShutDown, "in order, for it could");
        // A mark is about one postmaster.
        pg.start(&soon()).unwrap();
        let again = await_process(&pg, |process| matches!(process, Process::Running { .. }));
        assert_ne!(identity(&again), Some(mark));
        pg.stop(&soon()).unwrap();
    });
}

#[test]
fn a_stop_without_any_time_left_kills_and_sees_the_end() {
    on_every_version(|place| {
        let (pg, port) = started_primary(place, "n1");
        let late = place.instance("n1", port).until(Deadline::after(Duration::ZERO));
        late.stop(&Deadline::after(Duration::ZERO)).unwrap();
        assert_eq!(pg.runtime().process(), Process::None);
    });
}

#[test]
fn processes_that_a_dead_postmaster_left_are_orphans_and_a_stop_clears_them() {
    if crate::engine::not_in_a_container("none outlives its container") {
        return;
    }
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        let mut session = session(&pg);
        let backend: i32 = session.ask("SELECT pg_backend_pid()", &soon()).unwrap()[0][0]
            .clone()
            .unwrap()
            .parse()
            .unwrap();
        signal(backend, Signal::SIGSTOP);
        signal(pid(&pg), Signal::SIGKILL);
        let orphans = await_process(&pg, |process| *process == Process::Orphans(vec![backend]));
        let instance = now(&pg);
        assert_eq!((instance.process, instance.sql), (orphans, Sql::NotAsked));
        pg.stop(&soon()).unwrap();
        assert_eq!(pg.runtime().process(), Process::None);
    });
}

#[test]
fn a_server_is_stopped_although_its_directory_is_gone() {
    if crate::engine::not_in_a_container("its directory is mounted twice by these tests") {
        return;
    }
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        let postmaster = pid(&pg);
        fs::remove_dir_all(place.path("n1")).unwrap();
        let later = place.instance("n1", pg.place().port);
        // It looks after its own lock file once a minute only.
        assert_eq!(pid(&later), postmaster);
        later.stop(&soon()).unwrap();
        let instance = now(&later);
        assert_eq!((instance.data, instance.process), (DataDir::Absent, Process::None));
        assert!(
            matches!(
                pgtwin::sys::process::process(postmaster),
                pgtwin::sys::process::Process::Gone
            ) || is_zombie(postmaster)
        );
    });
}

#[test]
fn a_server_is_stopped_although_its_directory_was_renamed() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        let postmaster = pid(&pg);
        fs::rename(place.path("n1"), place.path("away")).unwrap();
        let params = Params {
            socket_dir: Some(place.dir.path().display().to_string()),
            ..place.params("n1", pg.place().port)
        };
        let later = Postgres::new(&System, &params, place.path("n1.start.log")).unwrap();
        assert_eq!(pid(&later), postmaster);
        later.stop(&soon()).unwrap();
        assert_eq!(now(&later).process, Process::None);
    });
}

/// A child of these tests that has ended and was not waited for.
fn is_zombie(pid: i32) -> bool {
    match pgtwin::sys::process::process(pid) {
        pgtwin::sys::process::Process::Present(facts) => facts.is_dead(),
        _ => false,
    }
}

#[test]
fn a_stop_without_a_user_database_does_not_lie() {
    on_every_version(|place| {
        let (pg, _) = place.initdb("n1");
        let action = |action: &str, interval: &str| {
            let mut vars: BTreeMap<String, String> = [
                ("OCF_RESOURCE_INSTANCE", "pgtwin-no-user"),
                ("OCF_RESKEY_pguser", "no-such-user-here"),
                ("OCF_RESKEY_CRM_meta_timeout", "20000"),
                ("OCF_RESKEY_CRM_meta_role", "Promoted"),
                ("OCF_RESKEY_CRM_meta_interval", interval),
            ]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
            vars.insert("OCF_RESKEY_pgdata".to_owned(), place.path("n1").display().to_string());
            let outcome = pgtwin::agent::run::run(action.parse().unwrap(), &vars, &System);
            (outcome.code, outcome.reason.unwrap_or_default())
        };
        assert_eq!(action("stop", "0").0, ExitCode::Ok);
        assert_eq!(action("monitor", "0").0, ExitCode::NotRunning);
        pg.start(&soon()).unwrap();
        await_primary(&pg);
        for (name, interval, expected) in [
            ("stop", "0", ExitCode::Error),
            ("monitor", "0", ExitCode::Error),
            ("monitor", "3000", ExitCode::DegradedPromoted),
        ] {
            let (code, reason) = action(name, interval);
            assert_eq!(code, expected, "{name}: {reason}");
            assert!(reason.contains("PostgreSQL runs, and"), "{reason}");
        }
        assert!(matches!(pg.runtime().process(), Process::Running { .. }));
    });
}
