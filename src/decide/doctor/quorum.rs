//! Quorum, and what keeps the cluster from deciding at all. Floor 1.

use super::{Facts, Member, Said, or_ok};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::report::enumerate;
use crate::decide::wanted;

pub(super) fn policy(facts: &Facts) -> Vec<Said> {
    let set = |said: Said| said.run(wanted::property("no-quorum-policy", "stop"));
    vec![match facts.cib.no_quorum_policy() {
        Known::Unknown(why) => set(Said::unknown(why).fix("Set it once:")),
        Known::Known(policy) => match (policy.as_str(), facts.full_nodes()) {
            ("stop" | "freeze" | "demote" | "suicide" | "fence", _) => {
                Said::ok(format!("no-quorum-policy is {policy}"))
            }
            ("ignore", 2) => set(Said::warn(
                "no-quorum-policy is ignore, which two nodes do not need: with two_node: 1 in \
                 corosync.conf each keeps quorum",
            )
            .fix("Once two_node is set:")),
            ("ignore", nodes) => set(Said::fail(format!(
                "no-quorum-policy is ignore with {nodes} nodes: both parts of a divided cluster go on"
            ))
            .fix("Set it back:")),
            (other, _) => set(Said::unknown(format!("no-quorum-policy is {other:?}, which is no policy"))
                .fix("Set it:")),
        },
    }]
}

pub(super) fn corosync(facts: &Facts, member: &Member) -> Vec<Said> {
    let file = "Correct /etc/corosync/corosync.conf on every node, then on one of them:";
    let reload = "corosync-cfgtool -R";
    let conf = match &member.host.corosync {
        Known::Known(conf) => conf,
        Known::Unknown(why) => {
            return vec![
                Said::unknown(format!("corosync.conf could not be read: {why}"))
                    .fix("Look at the flags that are in force:")
                    .run("corosync-quorumtool -s"),
            ];
        }
    };
    let mut said = Vec::new();
    let mut bad = |one: Said| said.push(one.fix(file).run(reload));
    let nodes = facts.full_nodes();
    if conf.provider.as_deref() != Some("corosync_votequorum") {
        bad(Said::fail(
            "corosync.conf has no provider: corosync_votequorum in its section quorum: every part of a \
             divided cluster believes that it has quorum",
        ));
    }
    match (nodes, conf.two_node, conf.device.is_some()) {
        (2, false, false) => bad(Said::fail(
            "corosync.conf has neither two_node: 1 nor a quorum device: when one of two nodes is lost, \
             the other stops as well",
        )),
        (2, true, _) if !conf.waits_for_all() => bad(Said::warn(
            "corosync.conf has wait_for_all: 0: a node that boots alone fences the other one, and the \
             two take turns",
        )),
        (3.., true, _) => bad(Said::fail(format!(
            "corosync.conf has two_node: 1, and there are {nodes} nodes: one alone has quorum"
        ))),
        (_, _, _) => {}
    }
    if conf.nodes > 0 && conf.nodes != nodes {
        bad(Said::warn(format!(
            "the nodes that corosync.conf lists are {} in number, and Pacemaker knows {nodes}",
            conf.nodes
        )));
    }
    or_ok(said, "corosync.conf counts votes as it should")
}

pub(super) fn maintenance(facts: &Facts) -> Vec<Said> {
    let mut said = Vec::new();
    for (option, unless) in
        [("maintenance-mode", false), ("stop-all-resources", false), ("symmetric-cluster", true)]
    {
        let delete = format!("crm_attribute --type crm_config --name {option} --delete");
        match facts.cib.switch(option, unless) {
            Known::Known(value) if value == unless => {}
            Known::Known(value) => {
                let means = match option {
                    "maintenance-mode" => "Pacemaker starts, stops and promotes nothing",
                    "stop-all-resources" => "everything is stopped",
                    _ => "nothing runs where no location constraint allows it",
                };
                said.push(
                    Said::warn(format!("{option} is {value}: {means}"))
                        .fix("When that is not wanted any more:")
                        .run(delete),
                );
            }
            Known::Unknown(why) => said.push(Said::unknown(why).fix("Delete it:").run(delete)),
        }
    }
    if let Known::Known(status) = &facts.status {
        let nodes = facts
            .members
            .iter()
            .filter(|node| status.node(node).is_some_and(|node| node.maintenance))
            .cloned()
            .collect::<std::collections::BTreeSet<NodeName>>();
        if !nodes.is_empty() {
            let words = format!("in maintenance mode: {}", enumerate(&nodes, "and"));
            let mut one = Said::warn(words).fix("When that is over:");
            for node in &nodes {
                one = one.run(format!("crm_attribute --node {node} --name maintenance --delete"));
            }
            said.push(one);
        }
        // Of 3.0 on, maintenance is not the same as not managed; on 2.1.5 it is.
        let in_maintenance = status.options.maintenance_mode || !nodes.is_empty();
        if !in_maintenance && status.instances_of(&facts.resource).any(|i| !i.managed) {
            said.push(
                Said::warn(format!("Pacemaker does not manage {}", facts.resource))
                    .fix("When that is not wanted any more:")
                    .run(wanted::resource_meta(facts.target(), "is-managed", "true")),
            );
        }
    }
    or_ok(said, "Pacemaker may do what it has to")
}
