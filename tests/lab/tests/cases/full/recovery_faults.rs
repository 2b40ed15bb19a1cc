//! What befalls a recovery while it is at work, and what keeps it from beginning.

use std::thread;
use std::time::Duration;

use lab::config::REPLICATOR;
use lab::{Cluster, LabError, Options, Result};

use super::recovery::{ballast, copying, go_on_copying};
use crate::load::Load;
use crate::look::{postgres_processes, wait_reason, wait_stopped};
use crate::recovery::{alone_with_wal, assert_recovered, wipe};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};
use crate::takeover::Primary;

/// No PostgreSQL runs on data that is neither the old nor the new.
fn assert_none_runs(cluster: &Cluster, node: &str) -> Result<()> {
    let pids = postgres_processes(cluster, node)?;
    if !pids.is_empty() {
        let all = cluster.exec(node, &["ps", "-ef", "--forest"])?.text();
        panic!("pid {} runs between old and new:\n{all}", pids.join(", "));
    }
    Ok(())
}

/// A copy to a wiped standby under load, something that befalls it, and the end: it streams, is an heir,
/// and PostgreSQL was never started on half a copy.
fn while_copied(befalls: impl Fn(&Cluster, &str, &str) -> Result<()>) {
    while_copied_on(&Options::default(), befalls);
}

fn while_copied_on(options: &Options, befalls: impl Fn(&Cluster, &str, &str) -> Result<()>) {
    case(options, |cluster| {
        ballast(cluster, 400)?;
        let load = Load::start(cluster)?;
        let primary = cluster.primary()?;
        let node = cluster.others(&primary)[0].clone();
        wipe(cluster, &node)?;
        cluster.standby(&node, false)?;
        copying(cluster, &node)?;
        assert_none_runs(cluster, &node)?;
        befalls(cluster, &node, &primary)?;
        go_on_copying(cluster, &node)?;
        cluster.wait_healthy(SOON)?;
        has_all_heirs(cluster)?;
        assert_recovered(cluster, &node, "rebuild")?;
        load.goes_on()?;
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_pg_basebackup_is_killed() {
    while_copied(|cluster, node, _| {
        cluster.check(node, &["pkill", "-KILL", "-x", "pg_basebackup"]).map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_the_worker_is_killed() {
    while_copied(|cluster, node, _| {
        cluster.check(node, &["pkill", "-KILL", "-f", "pgtwin recover"]).map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_the_node_loses_its_power() {
    while_copied(|cluster, node, _| {
        cluster.power_cut(node)?;
        cluster.power_on(node)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_it_is_stopped_and_started_again() {
    while_copied(|cluster, node, _| {
        cluster.standby(node, true)?;
        wait_stopped(cluster, node)?;
        let left = ["sh", "-c", "pgrep -fa '[p]gtwin recover|[p]g_basebackup' || true"];
        assert_eq!(cluster.check(node, &left)?.text(), "", "stop left something at work");
        cluster.standby(node, false)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_the_primary_is_lost() {
    while_copied(|cluster, _, primary| {
        cluster.power_cut(primary)?;
        cluster.wait_new_primary(primary, SOON)?;
        cluster.power_on(primary)
    });
}

/// Nodes whose data has a small file system of its own.
fn small_disks() -> Options {
    let parent = Options::default().pgdata_parent();
    Options { tmpfs: vec![format!("{parent}:exec,mode=755,size=4g")], ..Options::default() }
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_the_disk_fills_up() {
    while_copied_on(&small_disks(), |cluster, node, _| {
        cluster.fill_disk(node, true)?;
        go_on_copying(cluster, node)?;
        wait_reason(cluster, node, &["free"])?;
        assert_none_runs(cluster, node)?;
        cluster.fill_disk(node, false)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_07_there_is_too_little_room() {
    cannot_begin_on(&small_disks(), &["a rebuild needs", "free"], |cluster, _, node, full| {
        cluster.fill_disk(node, full)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_a_rewind_is_killed_and_the_node_loses_its_power() {
    case(&Options::default(), |cluster| {
        for fault in ["kill", "power"] {
            let primary = Primary::under_load(cluster)?;
            let old = primary.old.clone();
            alone_with_wal(cluster, &old, 8)?;
            cluster.power_cut(&old)?;
            cluster.heal()?;
            let new = primary.is_taken_over()?;
            cluster.power_on(&old)?;
            cluster.wait_until("pg_rewind is at work", SOON, || {
                cluster.exec(&old, &["pkill", "-STOP", "-x", "pg_rewind"]).is_ok_and(|one| one.ok())
            })?;
            assert_none_runs(cluster, &old)?;
            if fault == "kill" {
                cluster.check(&old, &["pkill", "-KILL", "-x", "pg_rewind"])?;
            } else {
                cluster.power_cut(&old)?;
                cluster.power_on(&old)?;
            }
            cluster.wait_healthy(SOON)?;
            assert_eq!(has_all_heirs(cluster)?, new);
            primary.load.end()?;
        }
        Ok(())
    });
}

/// A wiped standby that cannot be built for a reason that somebody has to mend: nothing is written,
/// the reason is said, and it heals by itself once the cause is gone.
fn cannot_begin(words: &[&str], change: impl Fn(&Cluster, &str, &str, bool) -> Result<()>) {
    cannot_begin_on(&Options::default(), words, change);
}

fn cannot_begin_on(
    options: &Options,
    words: &[&str],
    change: impl Fn(&Cluster, &str, &str, bool) -> Result<()>,
) {
    case(options, |cluster| {
        let load = Load::start(cluster)?;
        let primary = cluster.primary()?;
        let node = cluster.others(&primary)[0].clone();
        wipe(cluster, &node)?;
        let data = cluster.options.pgdata();
        change(cluster, &primary, &node, true)?;
        cluster.standby(&node, false)?;
        wait_reason(cluster, &node, words)?;
        thread::sleep(Duration::from_secs(10));
        assert!(cluster.exec(&node, &["test", "-e", &data]).is_ok_and(|out| !out.ok()));
        change(cluster, &primary, &node, false)?;
        cluster.wait_healthy(SOON * 2)?;
        assert_eq!(has_all_heirs(cluster)?, primary);
        load.end().map(drop)
    });
}

/// Takes the line of pg_hba.conf for this database out, or puts it back.
fn hba(cluster: &Cluster, primary: &str, database: &str, out: bool) -> Result<()> {
    let script = if out {
        format!("s/^host  {database}  *replicator/# &/")
    } else {
        format!("s/^# \\(host  {database}  *replicator\\)/\\1/")
    };
    let file = format!("{}/pg_hba.conf", cluster.options.pgdata());
    cluster.check(primary, &["sed", "-i", &script, &file])?;
    cluster.psql(primary, "SELECT pg_reload_conf()").map(drop)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_07_the_primary_has_no_line_for_replication() {
    cannot_begin(&["pg_hba.conf", "replication"], |cluster, primary, _, out| {
        hba(cluster, primary, "replication", out)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_07_the_primary_has_no_line_for_the_database_postgres() {
    cannot_begin(&["pg_hba.conf", "postgres"], |cluster, primary, _, out| {
        hba(cluster, primary, "postgres", out)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_07_the_password_is_wrong() {
    cannot_begin(&["password"], |cluster, primary, _, wrong| {
        let password = if wrong { "another" } else { REPLICATOR.1 };
        let sql = format!("ALTER ROLE {} PASSWORD '{password}'", REPLICATOR.0);
        cluster.psql(primary, &sql).map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_07_the_primary_cannot_be_reached() {
    cannot_begin(&["cannot be asked"], |cluster, _, node, out| {
        if out { cluster.cut_replication(node) } else { cluster.heal() }
    });
}

/// The logs of a node's recoveries.
fn attempts(cluster: &Cluster, node: &str) -> Result<String> {
    let list = "ls /var/log/pgtwin/pgtwin/recovery-*.log 2>/dev/null || true";
    cluster.check(node, &["sh", "-c", list]).map(|output| output.text())
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_07_an_archive_holds_the_history_of_another_branch() {
    case(&Options::default(), |cluster| {
        let load = Load::start(cluster)?;
        let primary = cluster.primary()?;
        let node = cluster.others(&primary)[0].clone();
        let data = cluster.options.pgdata();
        let before = attempts(cluster, &node)?;
        cluster.standby(&node, true)?;
        wait_stopped(cluster, &node)?;
        // A promotion that this cluster has not seen left the line long ago.
        let line: u32 = cluster
            .psql(&primary, "SELECT timeline_id FROM pg_control_checkpoint()")?
            .parse()
            .map_err(|_| LabError::plain("no timeline"))?;
        let script = format!(
            "mkdir -p /archive; printf '{line}\\t0/1000000\\tno recovery target specified\\n' \
             > /archive/{:08X}.history; chmod -R a+rX /archive; \
             echo \"restore_command = 'cp /archive/%f %p'\" >> {data}/postgresql.conf",
            line + 1
        );
        cluster.check(&node, &["sh", "-c", &script])?;
        cluster.standby(&node, false)?;
        wait_reason(cluster, &node, &["another line"])?;
        thread::sleep(Duration::from_secs(20));
        // It is no matter for a copy: the next start would find the same file.
        assert_eq!(attempts(cluster, &node)?, before);
        // PostgreSQL has kept what it has restored.
        let restored = format!("{data}/pg_wal/{:08X}.history", line + 1);
        cluster.check(&node, &["rm", "-r", "/archive", &restored])?;
        cluster.cleanup()?;
        cluster.wait_healthy(SOON * 2)?;
        assert_eq!(has_all_heirs(cluster)?, primary);
        load.end().map(drop)
    });
}
