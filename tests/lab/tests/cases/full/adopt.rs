//! `pgtwin adopt`: an operator declares the data of one node the truth, after something like pg_upgrade or
//! with an old copy, and the others are built anew from it.

use lab::config::CLONE;
use lab::{Cluster, Options, Result};

use crate::ledger;
use crate::load::Load;
use crate::look::{nobody_is_promoted, wait_reason, wait_stopped};
use crate::recovery::assert_recovered;
use crate::repair::has_all_heirs;
use crate::stage::{SOON, fresh};

/// Stops it everywhere, as `crm resource stop` does.
fn stop(cluster: &Cluster) -> Result<()> {
    let role = ["--meta", "--set-parameter", "target-role", "--parameter-value", "Stopped"];
    cluster.on_any(&[&["crm_resource", "--resource", CLONE][..], &role].concat())?;
    for node in cluster.nodes() {
        wait_stopped(cluster, &node)?;
    }
    cluster.settle()
}

/// Starts it, as `crm resource start` does.
fn start(cluster: &Cluster) -> Result<()> {
    let role = ["--meta", "--delete-parameter", "target-role"];
    cluster.on_any(&[&["crm_resource", "--resource", CLONE][..], &role].concat()).map(drop)
}

/// What the command says, without its line breaks, and its exit code.
fn adopt(cluster: &Cluster, on: &str, args: &[&str]) -> Result<(i32, String)> {
    let output =
        cluster.command(on, &[&["pgtwin", "adopt"][..], args].concat()).limit(SOON).output()?;
    let said = output.all().split_whitespace().collect::<Vec<_>>().join(" ");
    eprintln!("adopt {args:?} on {on}: {}: {said}", output.code);
    Ok((output.code, said))
}

fn is_refused(cluster: &Cluster, on: &str, whose: &str, words: &str) -> Result<()> {
    let (code, said) = adopt(cluster, on, &[whose, "--accept-data-loss", "--yes"])?;
    assert!(code == 1 && said.contains(words), "{words}: {code}, {said}");
    Ok(())
}

fn is_done(cluster: &Cluster, node: &str) -> Result<()> {
    let (code, said) = adopt(cluster, node, &[node, "--dry-run", "--json"])?;
    assert!(code == 0 && said.contains("\"possible\""), "{code}, {said}");
    let (code, said) = adopt(cluster, node, &[node, "--accept-data-loss", "--yes", "--json"])?;
    assert!(code == 0 && said.contains("\"done\""), "{code}, {said}");
    Ok(())
}

/// The database system of a node's data.
fn system(cluster: &Cluster, node: &str) -> Result<String> {
    cluster.psql(node, "SELECT system_identifier FROM pg_control_system()")
}

/// The others have full copies of the data of `node`, which is the primary, and nothing that is acknowledged
/// from its promotion on is lost.
fn is_the_truth(cluster: &Cluster, node: &str) -> Result<()> {
    start(cluster)?;
    cluster.wait_until(&format!("{node} accepts writes"), SOON, || cluster.is_writable(node))?;
    let load = Load::start(cluster)?;
    cluster.wait_healthy(SOON)?;
    assert_eq!(has_all_heirs(cluster)?, node);
    for other in cluster.others(node) {
        assert_recovered(cluster, &other, "rebuild")?;
        assert_eq!(system(cluster, &other)?, system(cluster, node)?, "{other}");
    }
    // And from here on it is a cluster like any other.
    cluster.signal_postmaster(node, "KILL")?;
    load.goes_on()?;
    cluster.wait_healthy(SOON)?;
    has_all_heirs(cluster)?;
    load.end().map(drop)
}

fn as_postgres(cluster: &Cluster, node: &str, script: &str) -> Result<()> {
    cluster.command_as_postgres(node, &["sh", "-es"]).stdin(script).limit(SOON).check().map(drop)
}

/// Another database system with the content of the old one takes its place, as by pg_upgrade.
fn upgrade(cluster: &Cluster, node: &str) -> Result<()> {
    let (bin, data) = (cluster.options.pg_bindir(), cluster.options.pgdata());
    let script = format!(
        r#"cd /tmp; umask 077
by_hand() {{
  rm -f {data}/standby.signal
  {bin}/pg_ctl -D {data} -w -s -l /tmp/by_hand.log \
    -o "-c port=5999 -c listen_addresses= -c synchronous_standby_names= -c primary_conninfo= -c unix_socket_directories=/tmp" start
}}
by_hand
{bin}/pg_dumpall -h /tmp -p 5999 > /tmp/all.sql
{bin}/pg_ctl -D {data} -w -s -m fast stop
mv {data} {data}.before
{bin}/initdb -D {data} --data-checksums --encoding UTF8 --locale C.UTF-8 \
  --auth-local peer --auth-host scram-sha-256 >/dev/null
cp {data}.before/postgresql.conf {data}.before/pg_hba.conf {data}/
by_hand
# The role postgres is there already.
{bin}/psql -h /tmp -p 5999 -X -q -f /tmp/all.sql postgres >/dev/null 2>&1
{bin}/pg_ctl -D {data} -w -s -m fast stop
rm -rf {data}.before /tmp/all.sql
"#
    );
    as_postgres(cluster, node, &script)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn adopt_01_a_new_database_system_takes_the_place_of_the_old_one_on_all_nodes() {
    fresh(&Options::default(), |cluster| {
        let node = cluster.primary()?;
        let other = cluster.others(&node)[0].clone();
        let old = system(cluster, &node)?;
        cluster.psql(&node, "CREATE TABLE kept AS SELECT 42 AS answer")?;
        is_refused(cluster, &node, &node, "stop it everywhere")?;
        stop(cluster)?;
        is_refused(cluster, &other, &node, &format!("run it on {node}"))?;
        is_refused(cluster, &node, "n9", "is no member")?;
        upgrade(cluster, &node)?;
        is_done(cluster, &node)?;
        is_the_truth(cluster, &node)?;
        assert_ne!(system(cluster, &node)?, old);
        for node in cluster.nodes() {
            assert_eq!(cluster.psql(&node, "SELECT answer FROM kept")?, "42", "{node}");
        }
        Ok(())
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn adopt_02_an_older_copy_of_the_data_is_what_all_nodes_have() {
    fresh(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let node = cluster.others(&primary)[0].clone();
        let data = cluster.options.pgdata();
        cluster.psql(&primary, "CREATE TABLE kept AS SELECT 42 AS answer")?;
        stop(cluster)?;
        as_postgres(cluster, &node, &format!("cp -a {data} {data}.old\n"))?;
        start(cluster)?;
        cluster.wait_healthy(SOON)?;
        let primary = has_all_heirs(cluster)?;
        cluster.psql(&primary, "CREATE TABLE regretted AS SELECT 1 AS one")?;
        // The others are on a later timeline besides, and have more.
        cluster.move_primary(None)?;
        let moved = cluster.wait_new_primary(&primary, SOON)?;
        cluster.clear_moves()?;
        cluster.wait_healthy(SOON)?;
        cluster.psql(&moved, "CREATE TABLE regretted_too AS SELECT 1 AS one")?;

        stop(cluster)?;
        as_postgres(cluster, &node, &format!("rm -rf {data}\nmv {data}.old {data}\n"))?;
        // An archive would bring back what is regretted.
        let auto = format!("{data}/postgresql.auto.conf");
        as_postgres(cluster, &node, &format!("echo \"restore_command = 'false'\" >> {auto}\n"))?;
        is_refused(cluster, &node, &node, "restore_command is set here")?;
        as_postgres(cluster, &node, &format!("sed -i /^restore_command/d {auto}\n"))?;
        is_done(cluster, &node)?;
        is_the_truth(cluster, &node)?;
        for node in cluster.nodes() {
            assert_eq!(cluster.psql(&node, "SELECT answer FROM kept")?, "42", "{node}");
            let gone =
                "SELECT to_regclass('regretted') IS NULL AND to_regclass('regretted_too') IS NULL";
            assert_eq!(cluster.psql(&node, gone)?, "t", "{node}");
        }
        Ok(())
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn adopt_03_one_that_was_cut_off_promotes_nobody_and_goes_on_when_it_is_run_again() {
    fresh(&Options::default(), |cluster| {
        let node = cluster.primary()?;
        stop(cluster)?;
        let before = ledger::own(cluster, &node)?;
        let script =
            format!("pgtwin adopt {node} --accept-data-loss --yes >/dev/null 2>&1 </dev/null &");
        cluster.check(&node, &["sh", "-c", &script])?;
        // Then it waits for those who may be cut off.
        let announced = cluster.wait_for("the CIB has the entry of the adoption", SOON, || {
            ledger::in_cib(cluster, &node).ok().filter(|entry| entry.term > before.term)
        })?;
        cluster.check(&node, &["pkill", "-KILL", "-f", "pgtwin adopt"])?;
        assert_eq!(ledger::own(cluster, &node)?, before, "the own file has no such entry yet");
        start(cluster)?;
        wait_reason(cluster, &node, &["no primary; not promoted", "has not ended: run it again"])?;
        nobody_is_promoted(cluster, 10)?;
        stop(cluster)?;
        is_done(cluster, &node)?;
        let after = ledger::own(cluster, &node)?;
        assert!(after.term > announced.term, "{before:?} {announced:?} {after:?}");
        is_the_truth(cluster, &node)
    });
}
