//! The parsers of `pgtwin::postgres` against real PostgreSQL, of every version installed here: what an
//! instance says of its state and its WAL. What people write into files is in `texts`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code)]
mod account;
#[path = "postgres/instance.rs"]
mod instance;
#[path = "postgres/texts.rs"]
mod texts;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use instance::{Instance, installed, output, program, text, write};
use pgtwin::postgres::conf;
use pgtwin::postgres::conninfo::Conninfo;
use pgtwin::postgres::control_data::{ClusterState, ControlData, ControlDataError, WasWritable};
use pgtwin::postgres::hba;
use pgtwin::postgres::history::{History, Relation};
use pgtwin::postgres::identify::{parse_identify, parse_show, parse_timeline_history};
use pgtwin::postgres::lsn::{Lsn, Timeline};
use pgtwin::postgres::pgpass::Passfile;
use pgtwin::postgres::postmaster_pid::{PostmasterPid, PostmasterStatus};
use pgtwin::postgres::slot_name::{is_valid, slot_name};
use pgtwin::postgres::sync_names::{self, SyncNames};
use pgtwin::postgres::units::{bytes, milliseconds};
use pgtwin::postgres::version::{Version, major_of_pg_version};
use pgtwin::postgres::waldump::{Geometry, Record};

/// Waits, within a bound, until a condition holds.
fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_mins(1), "not within a minute: {what}");
        sleep(Duration::from_millis(50));
    }
}

fn lsn(text: &str) -> Lsn {
    text.parse().unwrap()
}

fn control(instance: &Instance) -> ControlData {
    ControlData::parse(&instance.control_data()).unwrap()
}

/// The record that begins here, from pg_waldump.
fn record(instance: &Instance, at: Lsn) -> Record {
    let mut waldump = program(instance.bin.join("pg_waldump"));
    waldump.args(["-n", "1", "-s", &at.to_string(), "-p"]).arg(instance.path("pg_wal"));
    waldump.arg("-t").arg(control(instance).timeline.to_string());
    Record::parse(&output(&mut waldump)).unwrap()
}

/// The end of the shutdown checkpoint of an instance that was stopped as a primary.
fn end_of_shutdown(instance: &Instance) -> Lsn {
    let data = control(instance);
    let record = record(instance, data.checkpoint);
    assert!(record.is_shutdown_checkpoint(), "{record:?}");
    record.end(Geometry::of(&data).unwrap())
}

#[test]
fn the_control_file_tells_what_an_instance_was_doing() {
    for bin in installed() {
        let a = Instance::new(&bin);
        a.start();
        let running = control(&a);
        assert_eq!(running.state, ClusterState::InProduction);
        let identified = parse_identify(&a.replication("IDENTIFY_SYSTEM")).unwrap();
        assert_eq!(identified.system_id, running.system_id);
        assert_eq!(identified.timeline, running.timeline);
        assert!(identified.lsn >= running.checkpoint);
        let show = |name: &str| a.sql(&format!("show {name}"));
        assert_eq!(running.max_connections.to_string(), show("max_connections"));
        assert_eq!(running.max_wal_senders.to_string(), show("max_wal_senders"));
        assert_eq!(running.max_worker_processes.to_string(), show("max_worker_processes"));
        assert_eq!(running.max_prepared_xacts.to_string(), show("max_prepared_transactions"));
        assert_eq!(running.max_locks.to_string(), show("max_locks_per_transaction"));
        assert_eq!(bytes(&show("wal_segment_size")), Ok(running.wal_segment_size.into()));
        assert_eq!(running.wal_block_size.to_string(), show("wal_block_size"));
        assert_eq!(running.wal_level, show("wal_level"));
        a.ctl(&["-m", "immediate", "stop"]);
        let crashed = control(&a);
        assert_eq!(crashed.state.was_writable(), WasWritable::Yes);
        assert!(!crashed.state.is_clean());

        a.start();
        a.stop();
        assert_eq!(control(&a).state, ClusterState::ShutDown);
        a.append("standby.signal", "");
        a.start();
        assert_eq!(control(&a).state, ClusterState::InArchiveRecovery);
        a.stop();
        let standby = control(&a);
        assert_eq!(standby.state, ClusterState::ShutDownInRecovery);
        assert_eq!(standby.state.was_writable(), WasWritable::No);
        assert_eq!(standby.system_id, running.system_id);

        let mut file = std::fs::read(a.path("global/pg_control")).unwrap();
        file[100] ^= 0x55;
        std::fs::write(a.path("global/pg_control"), file).unwrap();
        assert_eq!(ControlData::parse(&a.control_data()), Err(ControlDataError::Damaged));
    }
}

#[test]
fn a_standby_stands_at_the_end_of_the_shutdown_checkpoint_wherever_pages_end() {
    for bin in installed() {
        let a = Instance::new(&bin);
        a.start();
        a.stop();
        let data = control(&a);
        let geometry = Geometry::of(&data).unwrap();
        let page = u64::from(data.wal_block_size);
        let length = u64::from(record(&a, data.checkpoint).total_len).next_multiple_of(8);
        let insert = || lsn(&a.sql("select pg_current_wal_insert_lsn()")).0;
        let emit = |bytes: u64| {
            a.sql(&format!("select pg_logical_emit_message(false, 'x', repeat('x', {bytes}))"));
        };
        // Where the checkpoint's record begins on its page: its end is on the boundary, just
        // behind it, well behind it, and its start is the first of a page.
        for wanted in [page - length, page - length + 8, page - 8, 24, page / 2] {
            a.start();
            // Messages without a session's other traces, until the place is reached. One of at
            // most 400 bytes never crosses two pages, and its length is known once one is written.
            let before = insert();
            emit(200);
            let overhead = (insert() - before).saturating_sub(200) % page;
            let at_wanted =
                |at: u64| at % page == wanted || (wanted == 24 && at.is_multiple_of(page));
            for _ in 0..200 {
                let at = insert();
                let missing =
                    (wanted + page - at % page - if wanted == 24 { 24 } else { 0 }) % page;
                match missing {
                    _ if at_wanted(at) => break,
                    _ if missing > overhead + 8 && missing < 2000 => emit(missing - overhead),
                    _ => emit(if missing > 2000 { 1000 } else { 200 }),
                }
            }
            assert!(at_wanted(insert()), "cannot reach {wanted}, at {}", insert() % page);
            a.stop();
            let start = control(&a).checkpoint;
            assert_eq!(start.0 % page, wanted, "nothing else was written at shutdown");
            let end = end_of_shutdown(&a);
            a.append("standby.signal", "");
            a.start();
            let identified = parse_identify(&a.replication("IDENTIFY_SYSTEM")).unwrap();
            assert!(geometry.same_end(identified.lsn, end), "{start}: {} {end}", identified.lsn);
            let replayed = lsn(&a.sql("select pg_last_wal_replay_lsn()"));
            assert!(geometry.same_end(replayed, end), "{start}: {replayed} {end}");
            a.stop();
            std::fs::remove_file(a.path("standby.signal")).unwrap();
        }
    }
}

#[test]
fn every_record_ends_where_the_next_one_begins() {
    for bin in installed() {
        let a = Instance::new(&bin);
        a.start();
        let from = control(&a).checkpoint;
        a.sql("create table t as select i, repeat('x', i % 900) w from generate_series(1, 9000) i");
        a.sql("create index on t (w)");
        a.sql("select pg_switch_wal()");
        a.sql("checkpoint");
        a.sql("update t set w = w || i where i % 3 = 0");
        let to = a.sql("select pg_current_wal_flush_lsn()");
        let mut waldump = program(bin.join("pg_waldump"));
        waldump.args(["-s", &from.to_string(), "-e", &to, "-p"]).arg(a.path("pg_wal"));
        let geometry = Geometry::of(&control(&a)).unwrap();
        let dump = output(&mut waldump);
        let records: Vec<Record> = dump.lines().filter_map(Record::of_line).collect();
        assert_eq!(records.len(), dump.lines().count(), "every line is a record");
        assert!(records.len() > 10_000, "{}", records.len());
        for pair in records.windows(2) {
            let end = pair[0].end(geometry);
            assert!(geometry.same_end(end, pair[1].lsn), "{pair:?} {end}");
            assert_eq!(pair[1].prev, pair[0].lsn);
        }
        let end = records.last().unwrap().end(geometry);
        assert!(geometry.same_end(end, lsn(&to)), "{end} {to}");
    }
}

#[test]
fn branches_diverge_where_pg_rewind_says() {
    for bin in installed() {
        let a = Instance::new(&bin);
        a.start();
        a.stop();
        // B has all of A and is promoted; A goes on by itself.
        let b = a.copy();
        b.append("standby.signal", "");
        b.start();
        b.ctl(&["promote"]);
        b.sql("create table on_b (i int)");
        b.sql("checkpoint");
        let of_a = History::of_first_line();
        let sent = parse_timeline_history(&b.replication("TIMELINE_HISTORY 2")).unwrap();
        let of_b = History::parse_file(Timeline(2), &b.read("pg_wal/00000002.history")).unwrap();
        assert_eq!(sent, of_b);
        let compact: History = of_b.to_string().parse().unwrap();
        assert!(compact.same_line(&of_b));
        b.stop();
        let b_at = end_of_shutdown(&b);

        let a_at = end_of_shutdown(&a);
        assert_eq!(History::compare((&of_a, a_at), (&of_b, b_at)), Relation::BAhead);
        assert_eq!(of_b.begin(), a_at, "B was promoted where A ended");
        a.start();
        a.sql("create table on_a (i int)");
        a.stop();
        let a_at = end_of_shutdown(&a);
        let Relation::Diverged { timeline, at } = History::compare((&of_a, a_at), (&of_b, b_at))
        else {
            panic!("{a_at} on {of_a} and {b_at} on {of_b} have diverged");
        };
        let mut rewind = program(bin.join("pg_rewind"));
        rewind.arg("--dry-run").arg("-D").arg(&a.data).arg("--source-pgdata").arg(&b.data);
        let out = rewind.output().unwrap();
        let said = text(&out.stderr) + &text(&out.stdout);
        let expected = format!("servers diverged at WAL location {at} on timeline {timeline}");
        assert!(out.status.success() && said.contains(&expected), "{expected}: {said}");

        // And C, from A once more: a line of three timelines, none of it B's.
        let c = a.copy();
        for _ in 0..2 {
            c.append("standby.signal", "");
            c.start();
            c.ctl(&["promote"]);
            c.stop();
        }
        let of_c = History::parse_file(Timeline(3), &c.read("pg_wal/00000003.history")).unwrap();
        assert!(of_c.contains(Timeline(1), a_at) && of_c.contains(Timeline(2), of_c.begin()));
        let c_at = end_of_shutdown(&c);
        assert_eq!(History::compare((&of_c, c_at), (&of_a, a_at)), Relation::AAhead);
        assert_eq!(
            History::compare((&of_c, c_at), (&of_b, b_at)),
            Relation::Diverged { timeline: Timeline(1), at: of_b.begin() }
        );
    }
}

#[test]
fn the_lock_file_names_the_postmaster_and_the_single_user_backend() {
    for bin in installed() {
        let a = Instance::new(&bin);
        a.start();
        let file = PostmasterPid::parse(&a.read("postmaster.pid")).unwrap();
        let exe = std::fs::read_link(format!("/proc/{}/exe", file.pid)).unwrap();
        assert_eq!(exe, bin.join("postgres"));
        assert_eq!(file.status, PostmasterStatus::Ready);
        assert_eq!((file.data_dir, file.port), (a.data.display().to_string(), 54321));
        assert_eq!(file.socket_dir, Some(a.home.path().display().to_string()));
        a.stop();

        let mut single = program(bin.join("postgres"));
        single.args(["--single", "-D"]).arg(&a.data).arg("postgres");
        let mut child = single.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let path = a.path("postmaster.pid");
        let parsed = || PostmasterPid::parse(&std::fs::read_to_string(&path).unwrap_or_default());
        until("the lock file of a single-user backend", || parsed().is_ok());
        let file = parsed().unwrap();
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        assert_eq!((file.pid, file.single_user), (child.id(), true));
    }
}
