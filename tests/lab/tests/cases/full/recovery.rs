//! Nodes that find their own way back: nobody lends a hand.

use std::time::{Duration, Instant};

use lab::{Cluster, Options, Result};

use crate::async_mode::asynchronous;
use crate::ledger;
use crate::load::Load;
use crate::look::{assert_no_failures, wait_pacemaker, wait_stopped};
use crate::recovery::{
    alone_with_wal, assert_recovered, last_attempt, parts_and_comes_back, wipe, wiped_and_built,
    written_by_hand,
};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case, fresh};
use crate::takeover::Primary;

/// A table that makes a copy take a while, in MB.
pub fn ballast(cluster: &Cluster, megabytes: u32) -> Result<()> {
    fill_ballast(cluster, &cluster.primary()?, megabytes)?;
    cluster.wait_healthy(SOON)
}

/// The table alone: a standby may be missing.
pub fn fill_ballast(cluster: &Cluster, primary: &str, megabytes: u32) -> Result<()> {
    let rows = megabytes * 1000;
    let sql = format!(
        "SET statement_timeout = 0; DROP TABLE IF EXISTS ballast; CREATE TABLE ballast AS \
         SELECT g, repeat(md5(g::text), 30) AS filling FROM generate_series(1, {rows}) g"
    );
    for part in sql.split("; ") {
        cluster.psql(primary, part)?;
    }
    Ok(())
}

/// One primary after the other loses its power and comes back.
pub fn primaries_in_a_row(shape: &Options, rounds: u32) {
    case(shape, |cluster| {
        let load = Load::start(cluster)?;
        for round in 1..=rounds {
            let old = cluster.primary()?;
            eprintln!("round {round}: {old}");
            // Every other one has WAL that has to be taken back.
            let parts = round % 2 == 0;
            if parts {
                alone_with_wal(cluster, &old, 0)?;
            }
            let last = last_attempt(cluster, &old)?;
            cluster.power_cut(&old)?;
            cluster.heal()?;
            let new = cluster.wait_new_primary(&old, SOON)?;
            load.goes_on()?;
            cluster.power_on(&old)?;
            cluster.wait_healthy(SOON)?;
            assert_eq!(has_all_heirs(cluster)?, new);
            if parts {
                assert_ne!(
                    last_attempt(cluster, &old)?,
                    last,
                    "round {round}: {old} only followed"
                );
                assert_recovered(cluster, &old, "rewind")?;
            }
        }
        assert_no_failures(cluster)?;
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_01_twenty_primaries_in_a_row_lose_their_power_and_come_back() {
    primaries_in_a_row(&Options::default(), 20);
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_02_async_with_a_lagging_standby_ends_with_one_line_of_history() {
    case(&asynchronous(), |cluster| {
        let old = cluster.primary()?;
        let load = Load::start(cluster)?;
        for standby in cluster.others(&old) {
            cluster.cut_replication(&standby)?;
        }
        load.goes_on()?;
        cluster.signal_postmaster(&old, "KILL")?;
        cluster.heal()?;
        cluster.wait_healthy(SOON)?;
        load.goes_on()?;
        all_on_one_timeline(cluster)?;
        load.end_async().map(drop)
    });
}

/// The other way: the primary cannot come back in its place.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_02_async_a_lagging_standby_takes_over_and_what_it_lacked_is_taken_back() {
    case(&asynchronous(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let old = primary.old.clone();
        for standby in cluster.others(&old) {
            cluster.cut_replication(&standby)?;
        }
        primary.load.goes_on()?;
        let only_here =
            cluster.psql(&old, "CREATE TABLE only_here(); SELECT pg_current_wal_lsn()")?;
        for standby in cluster.others(&old) {
            let behind = format!("SELECT pg_last_wal_receive_lsn() < '{only_here}'");
            assert_eq!(cluster.psql(&standby, &behind)?, "t", "{standby} does not lag");
        }
        cluster.power_cut(&old)?;
        cluster.heal()?;
        let new = primary.is_taken_over()?;
        cluster.power_on(&old)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(cluster.primary()?, new);
        assert_recovered(cluster, &old, "rewind")?;
        all_on_one_timeline(cluster)?;
        for node in cluster.nodes() {
            assert_eq!(
                cluster.psql(&node, "SELECT to_regclass('only_here') IS NULL")?,
                "t",
                "{node}"
            );
        }
        primary.load.end_async().map(drop)
    });
}

/// Waits until the control files of all nodes are on the primary's timeline.
fn all_on_one_timeline(cluster: &Cluster) -> Result<()> {
    let ask = "SELECT timeline_id FROM pg_control_checkpoint()";
    cluster.psql(&cluster.primary()?, "CHECKPOINT")?;
    cluster.wait_until("all are on one timeline", SOON, || {
        let lines: Vec<_> =
            cluster.nodes().iter().filter_map(|node| cluster.psql(node, ask).ok()).collect();
        for node in cluster.nodes() {
            let _ = cluster.psql(&node, "CHECKPOINT");
        }
        lines.len() == 3 && lines.iter().all(|line| *line == lines[0])
    })
}

/// Not started yet, and pg_rewind would need checksums.
pub fn without_hints() -> Options {
    let mut options = Options { start: false, ..Options::default() };
    options.settings.insert("wal_log_hints".into(), "off".into());
    options
}

/// Takes the checksums out of all nodes' data, and starts them.
pub fn start_without_checksums(cluster: &Cluster) -> Result<()> {
    for node in cluster.nodes() {
        let program = format!("{}/pg_checksums", cluster.options.pg_bindir());
        let command = [program.as_str(), "--disable", "-D", &cluster.options.pgdata()];
        cluster.command_as_postgres(&node, &command).check()?;
    }
    cluster.start_all()?;
    cluster.wait_healthy(SOON)?;
    has_all_heirs(cluster).map(drop)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_03_without_hints_and_checksums_it_is_built_anew() {
    fresh(&without_hints(), |cluster| {
        start_without_checksums(cluster)?;
        parts_and_comes_back(cluster, Primary::under_load(cluster)?, "rebuild")
    });
}

/// A primary that has to be rewound lacks the WAL from where the lines part.
pub fn without_the_wal_of_the_fork(shape: &Options) {
    case(shape, |cluster| {
        let primary = Primary::under_load(cluster)?;
        let old = primary.old.clone();
        alone_with_wal(cluster, &old, 4)?;
        // Its crash recovery needs no older WAL, and pg_rewind does.
        cluster.psql(&old, "CHECKPOINT")?;
        cluster.power_cut(&old)?;
        cluster.heal()?;
        let new = primary.is_taken_over()?;
        cluster.standby(&old, true)?;
        cluster.power_on(&old)?;
        wait_pacemaker(cluster, &old)?;
        wait_stopped(cluster, &old)?;
        // All but the newest two: where the lines part is among them.
        let script = format!(
            "cd {}/pg_wal && rm $(ls | grep -E '^[0-9A-F]{{24}}$' | sort | head -n -2)",
            cluster.options.pgdata()
        );
        cluster.check(&old, &["sh", "-c", &script])?;
        cluster.standby(&old, false)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, new);
        assert_recovered(cluster, &old, "rebuild")?;
        primary.load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_03_without_the_wal_of_the_fork_it_is_built_anew() {
    without_the_wal_of_the_fork(&Options::default());
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_03_of_two_promotions_on_one_timeline_number_the_other_is_built_anew() {
    fresh(&Options::default(), |cluster| {
        let first = cluster.primary()?;
        let others = cluster.others(&first);
        let (lost, forced) = (&others[0], &others[1]);
        // `lost` is promoted, and nobody hears anything of its timeline.
        cluster.cut_replication(forced)?;
        cluster.standby(&first, true)?;
        cluster.wait_until(&format!("{lost} is the primary"), SOON, || {
            cluster.is_writable(lost) && ledger::own(cluster, lost).is_ok()
        })?;
        cluster.power_cut(lost)?;
        cluster.wait_off(lost, SOON)?;
        wait_stopped(cluster, lost)?;
        cluster.heal()?;
        let command = ["pgtwin", "force-promote", forced.as_str(), "--accept-data-loss", "--yes"];
        cluster.wait_until(&format!("{forced} takes the order"), SOON, || {
            cluster.exec(forced, &command).is_ok_and(|output| {
                eprintln!("{}", output.all());
                output.ok()
            })
        })?;
        cluster.wait_until(&format!("{forced} is the primary"), SOON, || {
            cluster.is_writable(forced)
        })?;
        cluster.standby(&first, false)?;
        cluster.power_on(lost)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, *forced);
        assert_recovered(cluster, lost, "rebuild")?;
        let load = Load::start(cluster)?;
        load.end().map(drop)
    });
}

/// What it wrote stands where the primary's WAL should, on the primary's own timeline.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_03_a_standby_that_somebody_started_without_its_signal_is_built_anew() {
    case(&Options::default(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let node = cluster.others(&primary.old)[0].clone();
        for how in ["fast", "immediate"] {
            cluster.standby(&node, true)?;
            wait_stopped(cluster, &node)?;
            let no_standby = format!("rm {}/standby.signal", cluster.options.pgdata());
            written_by_hand(cluster, &node, &no_standby, "true", how)?;
            cluster.standby(&node, false)?;
            cluster.wait_healthy(SOON)?;
            assert_eq!(has_all_heirs(cluster)?, primary.old);
            assert_recovered(cluster, &node, "rebuild")?;
            primary.load.goes_on()?;
        }
        primary.load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_05_a_mount_point_that_is_empty_after_a_power_cut_is_filled_in_place() {
    let data = Options::default().pgdata();
    let tmpfs = vec![format!("{data}:exec,mode=700,uid=102,gid=104")];
    fresh(&Options { tmpfs, ..Options::default() }, |cluster| {
        let primary = Primary::under_load(cluster)?;
        let node = cluster.others(&primary.old)[0].clone();
        cluster.power_cut(&node)?;
        primary.load.goes_on()?;
        cluster.power_on(&node)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary.old);
        assert_recovered(cluster, &node, "rebuild")?;
        cluster.check(&node, &["mountpoint", "-q", &data])?;
        primary.load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_05_wal_that_lies_elsewhere_and_a_tablespace_stay_where_they_are() {
    fresh(&without_hints(), |cluster| {
        let (bin, data) = (cluster.options.pg_bindir(), cluster.options.pgdata());
        for node in cluster.nodes() {
            let owned = ["install", "-d", "-m", "700", "-o", "postgres", "/srv/wal", "/srv/space"];
            cluster.check(&node, &owned)?;
            let script = format!(
                "{bin}/pg_checksums --disable -D {data}; mv {data}/pg_wal /srv/wal/pg_wal; \
                 ln -s /srv/wal/pg_wal {data}/pg_wal"
            );
            cluster.command_as_postgres(&node, &["sh", "-ec", &script]).check()?;
        }
        cluster.start_all()?;
        cluster.wait_healthy(SOON)?;
        has_all_heirs(cluster)?;
        let old = cluster.primary()?;
        for sql in [
            "CREATE TABLESPACE elsewhere LOCATION '/srv/space'",
            "CREATE TABLE there TABLESPACE elsewhere AS SELECT 7 AS seven",
        ] {
            cluster.psql(&old, sql)?;
        }
        parts_and_comes_back(cluster, Primary::under_load(cluster)?, "rebuild")?;
        let link = cluster.check(&old, &["readlink", "-f", &format!("{data}/pg_wal")])?.text();
        assert!(link.starts_with("/srv/wal/"), "{link}");
        assert_eq!(cluster.psql(&old, "SELECT seven FROM there")?, "7");
        let ask =
            "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'elsewhere'";
        assert_eq!(cluster.psql(&old, ask)?, "/srv/space");
        Ok(())
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_05_with_the_configuration_under_etc_it_is_built_anew_and_rewound() {
    let mut options = Options { start: false, ..Options::default() };
    let conf = format!("/etc/postgresql/{}/main", options.release.postgres());
    options.params.insert("config_file".into(), format!("{conf}/postgresql.conf"));
    fresh(&options, |cluster| {
        let data = cluster.options.pgdata();
        let script = format!(
            "install -d -o postgres -g postgres {conf}; cd {data}; \
             mv postgresql.conf pg_hba.conf pg_ident.conf {conf}; \
             printf \"data_directory = '{data}'\\nhba_file = '{conf}/pg_hba.conf'\\n\
             ident_file = '{conf}/pg_ident.conf'\\n\" >> {conf}/postgresql.conf"
        );
        cluster.each_node(|node| cluster.check(node, &["sh", "-ec", &script]).map(drop))?;
        cluster.start_all()?;
        cluster.wait_healthy(SOON)?;
        let primary = Primary::under_load(cluster)?;
        let old = primary.old.clone();
        let node = wiped_and_built(cluster, &old)?;
        parts_and_comes_back(cluster, primary, "rewind")?;
        for node in [&node, &old] {
            let in_data = ["test", "-e", &format!("{data}/postgresql.conf")];
            assert!(!cluster.exec(node, &in_data)?.ok(), "{node} has got another configuration");
        }
        Ok(())
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_08_the_primary_fails_over_while_a_third_node_is_built_anew() {
    case(&Options::default(), |cluster| {
        ballast(cluster, 400)?;
        let primary = Primary::under_load(cluster)?;
        let node = cluster.others(&primary.old)[0].clone();
        wipe(cluster, &node)?;
        cluster.standby(&node, false)?;
        copying(cluster, &node)?;
        cluster.power_cut(&primary.old)?;
        let new = primary.is_taken_over()?;
        assert_ne!(new, node, "half a copy is no heir");
        go_on_copying(cluster, &node)?;
        cluster.power_on(&primary.old)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, new);
        primary.load.end().map(drop)
    });
}

/// Holds pg_basebackup on a node as soon as it is at work: it would be over before something befalls it. Not the
/// one that is asked for its version before that.
pub fn copying(cluster: &Cluster, node: &str) -> Result<()> {
    const COPY: [&str; 4] = ["pkill", "-STOP", "-f", "^[^ ]*pg_basebackup .*--wal-method=stream"];
    cluster.wait_until(&format!("{node} is copied to"), SOON, || {
        cluster.exec(node, &COPY).is_ok_and(|one| one.ok())
    })
}

/// Lets it go on, if it is there.
pub fn go_on_copying(cluster: &Cluster, node: &str) -> Result<()> {
    cluster.exec(node, &["pkill", "-CONT", "-x", "pg_basebackup"]).map(drop)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_09_each_node_in_turn_loses_its_power_for_ten_minutes() {
    case(&Options::default(), |cluster| {
        let load = Load::start(cluster)?;
        let end = Instant::now() + Duration::from_mins(10);
        for node in cluster.nodes().iter().cycle() {
            if Instant::now() > end {
                break;
            }
            cluster.power_cut(node)?;
            load.goes_on()?;
            cluster.power_on(node)?;
            cluster.wait_healthy(SOON)?;
            has_all_heirs(cluster)?;
        }
        assert_no_failures(cluster)?;
        load.end().map(drop)
    });
}
