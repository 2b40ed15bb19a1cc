//! Nodes whose PostgreSQL runs in podman: what is asked of the usual cluster, of recovery, and what can befall
//! a container and its engine.

use std::collections::BTreeSet;

use lab::error::chain;
use lab::options::Runtime;
use lab::{Cluster, LabError, Options, Result};

use super::recovery::{primaries_in_a_row, without_the_wal_of_the_fork};
use super::recovery_faults::{cut_power, kill_worker, while_copied_on};
use crate::ledger;
use crate::load::Load;
use crate::look::{
    after_a_killed_postmaster, assert_no_failures, flat, marks, reasons, wait_stopped,
};
use crate::recovery::{parts_and_comes_back, wiped_and_built};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case, fresh};
use crate::takeover::Primary;
use crate::three_nodes::{cold_start, killed_node, killed_postmaster, planned_move};

/// The name that the agent gives a server's container.
const NAME: &str = "postgres-ha";
/// podman, and where it is put aside.
const PODMAN: &str = "/usr/bin/podman";
const ASIDE: &str = "/usr/bin/podman.aside";

fn podman() -> Options {
    Options { runtime: Runtime::Podman, ..Options::default() }
}

/// One node is its PostgreSQL's host, and the others have it in containers.
fn mixed() -> Options {
    Options { runtime: Runtime::Mixed, ..Options::default() }
}

/// Whether the server of a node is in another namespace than the node's own.
fn is_in_a_container(cluster: &Cluster, node: &str) -> Result<bool> {
    let pid = cluster.postmaster_pid(node)?;
    let namespace = |pid: &str| {
        let link = format!("/proc/{pid}/ns/pid");
        cluster.check(node, &["readlink", &link]).map(|output| output.text())
    };
    Ok(namespace(&pid.to_string())? != namespace("1")?)
}

/// The nodes whose server is in a container.
fn contained(cluster: &Cluster) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for node in cluster.nodes() {
        if is_in_a_container(cluster, &node)? {
            found.push(node);
        }
    }
    Ok(found)
}

/// No container is left on any node but those of the servers: programs take theirs with them. One of an action that
/// Pacemaker killed meanwhile, as a cleanup does before each case, stays until the next start (docs/containers.md).
fn only_servers_are_left(cluster: &Cluster) -> Result<()> {
    for node in cluster.nodes() {
        let list = ["podman", "ps", "--all", "--format", "{{.Names}} {{.State}}"];
        let server = format!("{NAME} running");
        let mut last = String::new();
        let found = cluster.wait_until("podman has nothing but the server", SOON, || {
            last = cluster.exec(&node, &list).map(|output| output.text()).unwrap_or_default();
            let (servers, others): (Vec<&str>, Vec<&str>) =
                last.lines().partition(|line| *line == server);
            servers.len() == 1
                && (others.is_empty()
                    || killed(cluster, &node)
                        .is_ok_and(|pids| others.iter().all(|line| is_a_name_left_by(line, &pids))))
        });
        found
            .map_err(|error| LabError::plain(format!("{node} has:\n{last}\n{}", chain(&error))))?;
    }
    Ok(())
}

/// The process numbers of the actions that Pacemaker has killed on a node.
fn killed(cluster: &Cluster, node: &str) -> Result<BTreeSet<String>> {
    let log = "/var/log/pacemaker/pacemaker.log";
    let look = ["grep", "--text", "terminated with signal 9", log];
    let text = cluster.exec(node, &look)?.text();
    let number = |line: &str| {
        let before = line.split("] terminated with signal 9").next()?;
        Some(before.rsplit('[').next()?.to_owned())
    };
    Ok(text.lines().filter_map(number).collect())
}

/// Whether this is the container of a program that one of these processes had asked for, and nothing but a name.
fn is_a_name_left_by(line: &str, pids: &BTreeSet<String>) -> bool {
    let of = line.strip_suffix(" created").and_then(|name| name.strip_prefix(NAME));
    let numbers = of.and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.split_once('-'));
    numbers.is_some_and(|(pid, _)| pids.contains(pid))
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn containers_01_three_stopped_nodes_become_a_primary_and_two_streaming_standbys() {
    cold_start(&podman());
    case(&podman(), |cluster| {
        assert_eq!(contained(cluster)?, cluster.nodes());
        only_servers_are_left(cluster)?;
        assert_no_failures(cluster)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn containers_02_killing_the_postmaster_promotes_who_has_it_all_and_loses_nothing() {
    killed_postmaster(&podman());
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn containers_03_killing_the_primarys_node_fences_it_and_loses_nothing() {
    killed_node(&podman());
    // What the engine had written down of its containers was of no use after that.
    case(&podman(), only_servers_are_left);
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn containers_04_a_planned_move_by_crm_resource_loses_nothing() {
    planned_move(&podman());
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn containers_recovery_01_primaries_in_a_row_lose_their_power_and_come_back() {
    primaries_in_a_row(&podman(), 4);
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn containers_recovery_01_a_primary_with_wal_that_nobody_else_has_is_rewound() {
    case(&podman(), |cluster| {
        parts_and_comes_back(cluster, Primary::under_load(cluster)?, "rewind")?;
        only_servers_are_left(cluster)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn containers_recovery_03_without_the_wal_of_the_fork_it_is_built_anew() {
    without_the_wal_of_the_fork(&podman());
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn containers_recovery_05_a_standby_whose_data_was_wiped_is_built_anew() {
    case(&podman(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        wiped_and_built(cluster, &primary.old)?;
        only_servers_are_left(cluster)?;
        primary.load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn containers_recovery_06_the_worker_is_killed() {
    while_copied_on(&podman(), kill_worker);
    case(&podman(), only_servers_are_left);
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn containers_recovery_06_the_node_loses_its_power() {
    while_copied_on(&podman(), cut_power);
    case(&podman(), only_servers_are_left);
}

/// Something ends the primary's server without Pacemaker.
fn server_is_ended(end: impl Fn(&Cluster, &str) -> Result<()>) {
    case(&podman(), |cluster| {
        let old = cluster.primary()?;
        let before = ledger::own(cluster, &old)?;
        let load = Load::start(cluster)?;
        let marks = marks(cluster)?;
        end(cluster, &old)?;
        let new = after_a_killed_postmaster(cluster, &old, &before, &marks)?;
        load.goes_on()?;
        assert_eq!(has_all_heirs(cluster)?, new);
        only_servers_are_left(cluster)?;
        assert_eq!(cluster.running().len(), 3, "nobody is fenced for a container");
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn engine_01_the_primarys_container_is_removed_by_hand() {
    server_is_ended(|cluster, node| {
        cluster.check(node, &["podman", "rm", "--force", "--time", "0", NAME]).map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn engine_01_the_primarys_container_is_killed_by_its_engine() {
    server_is_ended(|cluster, node| cluster.check(node, &["podman", "kill", NAME]).map(drop));
}

/// As for `podman stop`, which ends PostgreSQL in order: standbys have it all.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn engine_02_the_primarys_container_is_stopped_by_hand() {
    case(&podman(), |cluster| {
        let primary = cluster.primary()?;
        let load = Load::start(cluster)?;
        cluster.command(&primary, &["podman", "stop", NAME]).limit(SOON).check()?;
        load.goes_on()?;
        cluster.wait_healthy(SOON)?;
        has_all_heirs(cluster)?;
        only_servers_are_left(cluster)?;
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn engine_03_the_primarys_container_is_paused() {
    case(&podman(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        cluster.check(&primary.old, &["podman", "pause", NAME])?;
        let new = primary.is_taken_over()?;
        assert_eq!(cluster.running().len(), 3, "it was thawed and stopped, not fenced");
        primary.comes_back_under(&new)?;
        only_servers_are_left(cluster)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn engine_03_a_standbys_container_is_paused() {
    case(&podman(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let standby = cluster.others(&primary.old)[0].clone();
        cluster.check(&standby, &["podman", "pause", NAME])?;
        primary.load.goes_on()?;
        cluster.wait_until("it is not counted on any more, or it streams again", SOON, || {
            ledger::own(cluster, &primary.old).is_ok_and(|entry| entry != primary.before)
        })?;
        let old = primary.old.clone();
        primary.comes_back_under(&old)
    });
}

/// Takes podman away from a node: it is not there, or hangs whatever it is asked. `None`: it is back.
fn without_podman(cluster: &Cluster, node: &str, instead: Option<Instead>) -> Result<()> {
    let script = match instead {
        Some(Instead::Nothing) => format!("mv {PODMAN} {ASIDE}"),
        Some(Instead::Hanging) => format!(
            "mv {PODMAN} {ASIDE}; printf '#!/bin/sh\\nexec sleep 3600\\n' > {PODMAN}; \
             chmod 755 {PODMAN}"
        ),
        None => format!("mv -f {ASIDE} {PODMAN}; pkill -KILL -x sleep || true"),
    };
    cluster.check(node, &["sh", "-ec", &script]).map(drop)
}

#[derive(Clone, Copy)]
enum Instead {
    Nothing,
    Hanging,
}

/// The engine of the primary's node is of no use: what runs goes on and is monitored, and says that it could
/// not come back; when the server dies, another one takes over; and when the engine is back, so is the node.
/// `words`: what a monitor says of it, which is waited for.
fn engine_is_of_no_use(instead: Instead, words: Option<&str>) {
    case(&podman(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let old = primary.old.clone();
        without_podman(cluster, &old, Some(instead))?;
        if let Some(words) = words {
            // A monitor looks every five minutes.
            cluster.wait_until(&format!("a monitor says {words:?}"), SOON * 3, || {
                reasons(cluster, &old).contains(words)
            })?;
            primary.load.goes_on()?;
            assert_eq!(cluster.primary()?, old, "it is not moved for that");
        }
        cluster.signal_postmaster(&old, "KILL")?;
        let new = primary.is_taken_over()?;
        primary.load.goes_on()?;
        without_podman(cluster, &old, None)?;
        cluster.cleanup()?;
        primary.comes_back_under(&new)?;
        only_servers_are_left(cluster)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn engine_04_podman_is_missing_on_the_primarys_node() {
    engine_is_of_no_use(Instead::Nothing, None);
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn engine_04_podman_hangs_on_the_primarys_node() {
    engine_is_of_no_use(Instead::Hanging, Some("podman did not answer"));
}

/// A stop needs no engine, so nobody is fenced for one that hangs.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn engine_05_a_node_whose_podman_hangs_is_put_into_standby() {
    case(&podman(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let old = primary.old.clone();
        without_podman(cluster, &old, Some(Instead::Hanging))?;
        cluster.standby(&old, true)?;
        let new = primary.is_taken_over()?;
        wait_stopped(cluster, &old)?;
        assert_eq!(cluster.running().len(), 3, "nobody is fenced for an engine that hangs");
        without_podman(cluster, &old, None)?;
        cluster.standby(&old, false)?;
        primary.comes_back_under(&new)?;
        only_servers_are_left(cluster)
    });
}

/// Moves the primary to a node and sees it become whole there.
fn move_to(cluster: &Cluster, load: &Load<'_>, target: &str) -> Result<()> {
    let from = cluster.primary()?;
    cluster.move_primary(Some(target))?;
    assert_eq!(cluster.wait_new_primary(&from, SOON)?, target);
    load.goes_on()?;
    cluster.clear_moves()?;
    cluster.wait_healthy(SOON)?;
    assert_eq!(has_all_heirs(cluster)?, target);
    Ok(())
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn mixed_01_the_primary_moves_from_a_host_into_a_container_and_back() {
    fresh(&mixed(), |cluster| {
        assert_eq!(contained(cluster)?, ["n2", "n3"]);
        let load = Load::start(cluster)?;
        if cluster.primary()? != "n1" {
            move_to(cluster, &load, "n1")?;
        }
        move_to(cluster, &load, "n2")?;
        move_to(cluster, &load, "n1")?;
        move_to(cluster, &load, "n3")?;
        assert_eq!(contained(cluster)?, ["n2", "n3"]);
        assert_no_failures(cluster)?;
        load.end().map(drop)
    });
}

/// The same data is brought back by the programs of the host, and by those of the image.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn mixed_02_each_kind_of_node_is_rewound_under_the_other() {
    case(&mixed(), |cluster| {
        for target in ["n1", "n2"] {
            let load = Load::start(cluster)?;
            if cluster.primary()? != target {
                move_to(cluster, &load, target)?;
            }
            load.end()?;
            parts_and_comes_back(cluster, Primary::under_load(cluster)?, "rewind")?;
        }
        assert_eq!(contained(cluster)?, ["n2", "n3"]);
        Ok(())
    });
}

/// The nodes have what a change needs, and their PostgreSQL is on them.
fn not_yet_in_containers() -> Options {
    let mut options = podman();
    options.params.insert("container_mode".into(), "false".into());
    options
}

/// `pgtwin container …` on a node, with its words in one line.
fn container(cluster: &Cluster, node: &str, args: &[&str]) -> Result<(i32, String)> {
    let command = [&["pgtwin", "container"][..], args].concat();
    let output = cluster.command(node, &command).limit(SOON * 10).output()?;
    let said = flat(&output.all());
    eprintln!("container {args:?} on {node}: {}: {said}", output.code);
    Ok((output.code, said))
}

fn changes(cluster: &Cluster, command: &str) -> Result<()> {
    let node = cluster.primary()?;
    let (code, said) = container(cluster, &node, &[command])?;
    assert_eq!(code, 0, "{said}");
    let (code, said) = container(cluster, &node, &[command, "--apply", "--yes"])?;
    assert_eq!(code, 0, "{said}");
    cluster.wait_healthy(SOON)?;
    has_all_heirs(cluster).map(drop)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn adopt_01_all_nodes_go_into_containers_and_back_under_load_and_nothing_is_lost() {
    fresh(&not_yet_in_containers(), |cluster| {
        assert!(contained(cluster)?.is_empty());
        let (code, said) = container(cluster, "n1", &["adopt", "--apply", "--yes"])?;
        assert!(code != 0 && said.contains("has told nothing of its image"), "{code}: {said}");
        for node in cluster.nodes() {
            let (code, said) = container(cluster, &node, &["pull", "--local"])?;
            assert_eq!(code, 0, "{said}");
        }
        let load = Load::start(cluster)?;
        changes(cluster, "adopt")?;
        assert_eq!(contained(cluster)?, cluster.nodes());
        load.goes_on()?;
        // And it is a cluster like any other.
        cluster.signal_postmaster(&cluster.primary()?, "KILL")?;
        load.goes_on()?;
        cluster.wait_healthy(SOON)?;
        has_all_heirs(cluster)?;
        changes(cluster, "leave")?;
        assert!(contained(cluster)?.is_empty());
        load.goes_on()?;
        assert_no_failures(cluster)?;
        let cib = cluster.on_any(&["cibadmin", "--query"])?;
        assert!(!cib.contains("-runtime-"), "rules of single nodes are left:\n{cib}");
        load.end().map(drop)
    });
}
