//! What befalls a recovery while it is at work, and what keeps it from beginning.

use lab::config::REPLICATOR;
use lab::{Cluster, Options, Result};

use super::recovery::{ballast, copying, go_on_copying};
use crate::load::Load;
use crate::look::{flat, postgres_processes, stays, wait_reason, wait_stopped};
use crate::recovery::{assert_recovered, part, wipe};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};

/// No PostgreSQL runs on data that is neither the old nor the new.
pub fn assert_none_runs(cluster: &Cluster, node: &str) -> Result<()> {
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

/// The same on a cluster of this shape.
pub fn while_copied_on(options: &Options, befalls: impl Fn(&Cluster, &str, &str) -> Result<()>) {
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

/// The worker of a node's recovery is killed.
pub fn kill_worker(cluster: &Cluster, node: &str, _: &str) -> Result<()> {
    cluster.check(node, &["pkill", "-KILL", "-f", "pgtwin recover"]).map(drop)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_the_worker_is_killed() {
    while_copied(kill_worker);
}

/// The node of a recovery loses its power, and gets it back.
pub fn cut_power(cluster: &Cluster, node: &str, _: &str) -> Result<()> {
    cluster.power_cut(node)?;
    cluster.power_on(node)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_the_node_loses_its_power() {
    while_copied(cut_power);
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
pub fn small_disks() -> Options {
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
    cannot_begin_on(
        &small_disks(),
        &[Has::Nothing],
        &["a rebuild needs", "free"],
        |_, _| "a rebuild needs".to_owned(),
        |cluster, _, node, full| cluster.fill_disk(node, full),
    );
}

/// What a standby has that cannot be brought back.
#[derive(Clone, Copy, PartialEq)]
enum Has {
    /// Nothing: it was wiped.
    Nothing,
    /// Data of its own, which somebody has promoted by hand.
    Parted,
}

/// A standby that cannot be brought back for a reason that somebody has to mend: what it has stays as it is,
/// the reason is said (`words` by crm_mon, which is short, and `remedy` by status), and it heals by itself
/// once the cause is gone.
fn cannot_begin(
    has: &[Has],
    words: &[&str],
    remedy: impl Fn(&Cluster, &str) -> String,
    change: impl Fn(&Cluster, &str, &str, bool) -> Result<()>,
) {
    cannot_begin_on(&Options::default(), has, words, remedy, change);
}

fn cannot_begin_on(
    options: &Options,
    has: &[Has],
    words: &[&str],
    remedy: impl Fn(&Cluster, &str) -> String,
    change: impl Fn(&Cluster, &str, &str, bool) -> Result<()>,
) {
    case(options, |cluster| {
        let load = Load::start(cluster)?;
        let primary = cluster.primary()?;
        let node = cluster.others(&primary)[0].clone();
        for &has in has {
            if has == Has::Nothing {
                wipe(cluster, &node)?;
            } else {
                cluster.standby(&node, true)?;
                wait_stopped(cluster, &node)?;
                part(cluster, &node, "of_the_old_data")?;
            }
            change(cluster, &primary, &node, true)?;
            cluster.standby(&node, false)?;
            if has == Has::Nothing {
                wait_reason(cluster, &node, words)?;
            }
            says_in_status(cluster, &node, &remedy(cluster, &node))?;
            stays(10, "what the node has is left alone", || is_left_alone(cluster, &node, has))?;
            change(cluster, &primary, &node, false)?;
            cluster.wait_healthy(SOON * 2)?;
            assert_eq!(has_all_heirs(cluster)?, primary);
            let method = if has == Has::Nothing { "rebuild" } else { "rewind" };
            assert_recovered(cluster, &node, method)?;
        }
        load.end().map(drop)
    });
}

/// Waits until `pgtwin status` on the node has this text, however it divides it into lines.
pub fn says_in_status(cluster: &Cluster, node: &str, text: &str) -> Result<()> {
    cluster.wait_until(&format!("pgtwin status on {node} says {text:?}"), SOON, || {
        let said = cluster.exec(node, &["pgtwin", "status"]).map(|output| output.all());
        said.is_ok_and(|said| flat(&said).contains(&flat(text)))
    })
}

/// What the node has is still there. On data of its own a standby may run, if nobody could tell it that it has
/// parted: it reads and never writes.
fn is_left_alone(cluster: &Cluster, node: &str, has: Has) -> bool {
    let data = cluster.options.pgdata();
    let is_so =
        |script: &str| cluster.exec(node, &["sh", "-c", script]).is_ok_and(|output| output.ok());
    match has {
        Has::Nothing => {
            is_so(&format!("! test -e {data}"))
                && postgres_processes(cluster, node).is_ok_and(|pids| pids.is_empty())
        }
        Has::Parted => {
            is_so(&format!(
                "test -e {data}/of_the_old_data && test -e {data}/PG_VERSION && \
                 ! grep -q '^half-done yes' /var/lib/pgtwin/pgtwin/recovery"
            )) && !cluster.is_writable(node)
        }
    }
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

/// The line that a person adds on the primary.
fn hba_line(cluster: &Cluster, node: &str, database: &str) -> String {
    format!("host {database} {} {}/32 scram-sha-256", REPLICATOR.0, cluster.addresses.node(node))
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_07_the_primary_has_no_line_for_replication() {
    cannot_begin(
        &[Has::Nothing, Has::Parted],
        &["pg_hba.conf", "replication"],
        |cluster, node| hba_line(cluster, node, "replication"),
        |cluster, primary, _, out| hba(cluster, primary, "replication", out),
    );
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_07_the_primary_has_no_line_for_the_database_postgres() {
    cannot_begin(
        &[Has::Nothing, Has::Parted],
        &["pg_hba.conf", "postgres"],
        |cluster, node| hba_line(cluster, node, "postgres"),
        |cluster, primary, _, out| hba(cluster, primary, "postgres", out),
    );
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_07_the_password_is_wrong() {
    cannot_begin(
        &[Has::Nothing, Has::Parted],
        &["password"],
        |_, _| "/var/lib/postgresql/.pgpass".to_owned(),
        |cluster, primary, _, wrong| {
            let password = if wrong { "another" } else { REPLICATOR.1 };
            let sql = format!("ALTER ROLE {} PASSWORD '{password}'", REPLICATOR.0);
            cluster.psql(primary, &sql).map(drop)
        },
    );
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_07_the_primary_cannot_be_reached() {
    cannot_begin(
        &[Has::Nothing],
        &["cannot be asked"],
        |_, _| "cannot be asked".to_owned(),
        |cluster, _, node, out| if out { cluster.cut_replication(node) } else { cluster.heal() },
    );
}
