//! The commands by which pgtwin asks and tells Pacemaker, as values. Floor 2.
//!
//! Only options that Pacemaker 2.1.5, 3.0.0 and 3.0.1 all have, so that nothing needs to be probed but
//! for a move (`moving`).
//! `attrd_updater --wait` (since 3.0) is left alone on purpose: `--wait=cluster` was seen to return
//! at once on a node whose attribute manager had been restarted, although a peer's was stopped, and
//! elsewhere it hangs with that peer.
//!
//! Times, in a cluster of containers on one machine: `crm_mon` 12 ms, `cibadmin --query` 7 ms,
//! `attrd_updater` query 6 ms, private update 7 ms (seen by a peer within 20 ms of its start),
//! `crm_attribute` score 11 to 22 ms, property 17 to 24 ms, `crm_node` 6 ms.
//!
//! What is written to the CIB (scores, the ledger, `state`) aborts a running transition, and
//! Pacemaker computes a new one. Seen on 2.1.5, 3.0.0 and 3.0.1: from *promote*, *demote* and post-
//! notifications that is harmless, and the post-promote notification still comes. From a **pre-
//! notification**, a change makes Pacemaker send the same pre-notification again; a value that
//! differs each time does so forever, and nothing is ever promoted or demoted. Private attributes
//! do none of this: they never reach the CIB.
//!
//! The CIB takes writes without quorum and without a controller. While the membership changes (a
//! node was lost and corosync's token has not timed out yet) a write of a property waits for the
//! end of that, 7 s with a token of 3 s, and is then made; scores and attributes are accepted at
//! once and reach the CIB later.

use std::time::Duration;

use super::moving::MoveOptions;
use crate::cluster::node::NodeName;
use crate::sys::exec::Cmd;

/// The whole status, the fencing history included.
pub fn status(limit: Duration) -> Cmd {
    Cmd::new("crm_mon")
        .args(["--one-shot", "--output-as=xml", "--inactive", "--fence-history=2"])
        .limit(limit)
}

/// The whole CIB, as the local daemon has it (every node has a copy; without `--local` the answer
/// is the same copy on these versions).
pub fn cib(limit: Duration) -> Cmd {
    Cmd::new("cibadmin").args(["--query", "--local"]).limit(limit)
}

/// The name of this node.
pub fn local_node(limit: Duration) -> Cmd {
    Cmd::new("crm_node").arg("--name").limit(limit)
}

/// Sets a promotion score until the node's Pacemaker stops. Unlike `attrd_updater` it refuses the
/// name of a node that does not exist. It does not refuse a node that is offline: there 3.0.1 keeps
/// the score, and the node has it when it returns (2.1.5 drops it).
pub fn set_score(resource: &str, node: &NodeName, score: i32, limit: Duration) -> Cmd {
    Cmd::new("crm_attribute")
        .arg(format!("--promotion={resource}"))
        .arg(format!("--node={node}"))
        .arg(format!("--update={score}"))
        .limit(limit)
}

/// Removes a promotion score; no error where there is none.
pub fn delete_score(resource: &str, node: &NodeName, limit: Duration) -> Cmd {
    Cmd::new("crm_attribute")
        .arg(format!("--promotion={resource}"))
        .arg(format!("--node={node}"))
        .arg("--delete")
        .limit(limit)
}

/// Has Pacemaker forget what was done on a node and look at the instance anew. (`--cleanup` says the same
/// and leaves alone what is only degraded: 190 is no failure to it. Seen on 3.0.0.)
pub fn refresh(resource: &str, node: &NodeName, limit: Duration) -> Cmd {
    Cmd::new("crm_resource")
        .arg("--refresh")
        .arg(format!("--resource={resource}"))
        .arg(format!("--node={node}"))
        .limit(limit)
}

/// Has the attribute manager write all that it has to the CIB again.
pub fn write_again(limit: Duration) -> Cmd {
    Cmd::new("attrd_updater").arg("--refresh").limit(limit)
}

/// The value of a transient attribute on all nodes, as the attribute manager has it.
pub fn read_all(name: &str, limit: Duration) -> Cmd {
    Cmd::new("attrd_updater")
        .args(["--query", "--all", "--output-as=xml"])
        .arg(format!("--name={name}"))
        .limit(limit)
}

/// Sets a transient attribute of this node.
pub fn publish(name: &str, value: &str, private: bool, limit: Duration) -> Cmd {
    attribute(name, private).arg(format!("--update={value}")).limit(limit)
}

/// Empties a transient attribute of a node.
///
/// `--private` here too: the call that creates an attribute decides whether it is private, and a
/// deletion can be that call. (An attribute so created as public went into the CIB with its next
/// value, `--private` or not.)
pub fn withdraw(name: &str, node: &NodeName, private: bool, limit: Duration) -> Cmd {
    attribute(name, private).arg(format!("--node={node}")).arg("--delete").limit(limit)
}

fn attribute(name: &str, private: bool) -> Cmd {
    let cmd = Cmd::new("attrd_updater").arg(format!("--name={name}"));
    if private { cmd.arg("--private") } else { cmd }
}

/// Sets an option in a `cluster_property_set` of our own. `crm_verify -LV` stays silent about it,
/// crmsh shows it as a second `property` block, pcs 0.11 among the properties, pcs 0.12 not at all.
pub fn set_property(set: &str, name: &str, value: &str, limit: Duration) -> Cmd {
    property(set, name).arg(format!("--update={value}")).limit(limit)
}

/// Removes it; no error where there is none.
pub fn delete_property(set: &str, name: &str, limit: Duration) -> Cmd {
    property(set, name).arg("--delete").limit(limit)
}

fn property(set: &str, name: &str) -> Cmd {
    Cmd::new("crm_attribute")
        .arg("--type=crm_config")
        .arg(format!("--set-name={set}"))
        .arg(format!("--name={name}"))
}

/// Sets an option of the cluster where it stands already, or in the set that the shells use.
pub fn set_option(name: &str, value: &str, limit: Duration) -> Cmd {
    Cmd::new("crm_attribute")
        .arg("--type=crm_config")
        .arg(format!("--name={name}"))
        .arg(format!("--update={value}"))
        .limit(limit)
}

/// Adds to a section of the configuration, which is made if it is not there.
pub fn add_to(section: &str, text: &str, limit: Duration) -> Cmd {
    let cmd = Cmd::new("cibadmin").args(["--modify", "--allow-create", "--xml-pipe"]);
    Cmd { stdin: text.as_bytes().to_vec(), ..cmd.arg(format!("--scope={section}")).limit(limit) }
}

/// Removes an element from a section of the configuration; no error where it is not there.
pub fn remove_from(section: &str, text: &str, limit: Duration) -> Cmd {
    let cmd = Cmd::new("cibadmin").args(["--delete", "--xml-pipe"]);
    Cmd { stdin: text.as_bytes().to_vec(), ..cmd.arg(format!("--scope={section}")).limit(limit) }
}

/// Sets a parameter of a resource where it stands already, or in the set that the shells use. It must not
/// stand in several.
pub fn set_parameter(resource: &str, name: &str, value: &str, limit: Duration) -> Cmd {
    Cmd::new("crm_resource")
        .arg(format!("--resource={resource}"))
        .arg(format!("--set-parameter={name}"))
        .arg(format!("--parameter-value={value}"))
        .limit(limit)
}

/// Keeps an instance off a node.
pub fn ban(
    options: MoveOptions,
    clone: &str,
    node: &NodeName,
    lifetime: Duration,
    limit: Duration,
) -> Cmd {
    let cmd = banning("--ban", clone, node).limit(limit);
    if options.lifetime { cmd.arg(until(lifetime)) } else { cmd }
}

/// Removes that.
pub fn clear_ban(clone: &str, node: &NodeName, limit: Duration) -> Cmd {
    banning("--clear", clone, node).limit(limit)
}

fn banning(what: &str, clone: &str, node: &NodeName) -> Cmd {
    Cmd::new("crm_resource")
        .arg(what)
        .arg(format!("--resource={clone}"))
        .arg(format!("--node={node}"))
}

/// Whole minutes, as ISO 8601 has them.
fn until(lifetime: Duration) -> String {
    format!("--lifetime=PT{}M", lifetime.as_secs().div_ceil(60))
}

/// Makes this copy of the configuration count for newer than any that has a lower number there, whatever has
/// been changed in that.
pub fn admin_epoch(epoch: u64, limit: Duration) -> Cmd {
    let text = format!("<cib admin_epoch=\"{epoch}\"/>");
    let cmd = Cmd::new("cibadmin").args(["--modify", "--xml-pipe"]);
    Cmd { stdin: text.into_bytes(), ..cmd.limit(limit) }
}

/// Whether Pacemaker would take this configuration.
pub fn verify(file: &str, limit: Duration) -> Cmd {
    Cmd::new("crm_verify").args(["--xml-file", file, "--verbose"]).limit(limit)
}

/// What differs between two configurations, with the version of the first.
pub fn difference(old: &str, new: &str, limit: Duration) -> Cmd {
    Cmd::new("crm_diff").args(["--original", old, "--new", new]).limit(limit)
}

/// Applies such a difference, if the configuration is still the first of them.
pub fn patch(patch: &str, limit: Duration) -> Cmd {
    let cmd = Cmd::new("cibadmin").args(["--patch", "--xml-pipe"]);
    Cmd { stdin: patch.as_bytes().to_vec(), ..cmd.limit(limit) }
}

/// What the scheduler would do about a cluster in this state. The file stays as it is.
pub fn simulate(file: &str, limit: Duration) -> Cmd {
    let args = ["--simulate", "--output-as=xml", "--xml-file", file];
    Cmd::new("crm_simulate").args(args).limit(limit)
}

/// Has Pacemaker leave a resource alone.
pub fn unmanage(clone: &str, limit: Duration) -> Cmd {
    meta(clone).args(["--set-parameter=is-managed", "--parameter-value=false"]).limit(limit)
}

/// Has it manage the resource again; no error where it does.
pub fn manage(clone: &str, limit: Duration) -> Cmd {
    meta(clone).arg("--delete-parameter=is-managed").limit(limit)
}

fn meta(clone: &str) -> Cmd {
    Cmd::new("crm_resource").arg(format!("--resource={clone}")).arg("--meta")
}

/// What `crm_resource` can do, in its own words.
pub fn move_help(limit: Duration) -> Cmd {
    Cmd::new("crm_resource").arg("--help-all").limit(limit)
}

/// Binds the promoted role to a node.
pub fn move_primary(
    options: MoveOptions,
    clone: &str,
    node: &NodeName,
    lifetime: Duration,
    limit: Duration,
) -> Cmd {
    let cmd = moving(options, "--move", clone, node).limit(limit);
    if options.lifetime { cmd.arg(until(lifetime)) } else { cmd }
}

/// Removes that, and nothing that an operator has ordered for other nodes.
pub fn clear_move(options: MoveOptions, clone: &str, node: &NodeName, limit: Duration) -> Cmd {
    moving(options, "--clear", clone, node).limit(limit)
}

fn moving(options: MoveOptions, what: &str, clone: &str, node: &NodeName) -> Cmd {
    Cmd::new("crm_resource")
        .arg(what)
        .arg(options.role)
        .arg(format!("--resource={clone}"))
        .arg(format!("--node={node}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    fn n2() -> NodeName {
        "n2".parse().unwrap()
    }

    #[test]
    fn every_command_is_one_that_all_supported_versions_understand() {
        let rows: &[(Cmd, &str, &[&str])] = &[
            (
                status(LIMIT),
                "crm_mon",
                &["--one-shot", "--output-as=xml", "--inactive", "--fence-history=2"],
            ),
            (cib(LIMIT), "cibadmin", &["--query", "--local"]),
            (local_node(LIMIT), "crm_node", &["--name"]),
            (
                set_score("db", &n2(), -10, LIMIT),
                "crm_attribute",
                &["--promotion=db", "--node=n2", "--update=-10"],
            ),
            (
                delete_score("db", &n2(), LIMIT),
                "crm_attribute",
                &["--promotion=db", "--node=n2", "--delete"],
            ),
            (
                refresh("db", &n2(), LIMIT),
                "crm_resource",
                &["--refresh", "--resource=db", "--node=n2"],
            ),
            (write_again(LIMIT), "attrd_updater", &["--refresh"]),
            (
                read_all("pgtwin-db-ack", LIMIT),
                "attrd_updater",
                &["--query", "--all", "--output-as=xml", "--name=pgtwin-db-ack"],
            ),
            (
                publish("pgtwin-db-ack", "--x y=1", true, LIMIT),
                "attrd_updater",
                &["--name=pgtwin-db-ack", "--private", "--update=--x y=1"],
            ),
            (
                publish("pgtwin-db-state", "streaming", false, LIMIT),
                "attrd_updater",
                &["--name=pgtwin-db-state", "--update=streaming"],
            ),
            (
                withdraw("pgtwin-db-ack", &n2(), true, LIMIT),
                "attrd_updater",
                &["--name=pgtwin-db-ack", "--private", "--node=n2", "--delete"],
            ),
            (
                set_property("pgtwin-db", "pgtwin-db-ledger-n2", "term=1 seq=2", LIMIT),
                "crm_attribute",
                &[
                    "--type=crm_config",
                    "--set-name=pgtwin-db",
                    "--name=pgtwin-db-ledger-n2",
                    "--update=term=1 seq=2",
                ],
            ),
            (
                delete_property("pgtwin-db", "pgtwin-db-ledger-n2", LIMIT),
                "crm_attribute",
                &[
                    "--type=crm_config",
                    "--set-name=pgtwin-db",
                    "--name=pgtwin-db-ledger-n2",
                    "--delete",
                ],
            ),
        ];
        let options = MoveOptions { role: "--promoted", lifetime: true };
        let old = MoveOptions { role: "--master", lifetime: false };
        let lifetime = Duration::from_secs(601);
        let moves: &[(Cmd, &str, &[&str])] = &[
            (move_help(LIMIT), "crm_resource", &["--help-all"]),
            (
                unmanage("db-clone", LIMIT),
                "crm_resource",
                &[
                    "--resource=db-clone",
                    "--meta",
                    "--set-parameter=is-managed",
                    "--parameter-value=false",
                ],
            ),
            (
                manage("db-clone", LIMIT),
                "crm_resource",
                &["--resource=db-clone", "--meta", "--delete-parameter=is-managed"],
            ),
            (
                move_primary(options, "db-clone", &n2(), lifetime, LIMIT),
                "crm_resource",
                &["--move", "--promoted", "--resource=db-clone", "--node=n2", "--lifetime=PT11M"],
            ),
            (
                ban(options, "db-clone", &n2(), lifetime, LIMIT),
                "crm_resource",
                &["--ban", "--resource=db-clone", "--node=n2", "--lifetime=PT11M"],
            ),
            (
                clear_ban("db-clone", &n2(), LIMIT),
                "crm_resource",
                &["--clear", "--resource=db-clone", "--node=n2"],
            ),
            (
                set_parameter("db", "container_mode", "true", LIMIT),
                "crm_resource",
                &["--resource=db", "--set-parameter=container_mode", "--parameter-value=true"],
            ),
            (
                move_primary(old, "db-clone", &n2(), lifetime, LIMIT),
                "crm_resource",
                &["--move", "--master", "--resource=db-clone", "--node=n2"],
            ),
            (
                clear_move(options, "db-clone", &n2(), LIMIT),
                "crm_resource",
                &["--clear", "--promoted", "--resource=db-clone", "--node=n2"],
            ),
        ];
        for (cmd, program, args) in rows.iter().chain(moves) {
            assert_eq!(cmd, &Cmd::new(*program).args(args.iter().copied()).limit(LIMIT));
        }
    }
}
