//! Node names, host names and addresses, which are easily taken for one another. Floor 1.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Facts, Member, Said, or_ok};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::reach::{self, not_listening};
use crate::decide::wanted::{server_line, shell_word};

pub(super) fn parameters(facts: &Facts) -> Vec<Said> {
    let said = facts.problems.iter().map(|problem| {
        Said::fail(problem.clone()).fix("Correct it:").run(format!(
            "crm_resource --resource {} --set-parameter NAME --parameter-value VALUE",
            facts.resource
        ))
    });
    let mut said: Vec<Said> = said.collect();
    // It is said of each member in the same words.
    if let Some(words) = facts.members.iter().find_map(|node| facts.params.two_places(node)) {
        said.push(
            Said::warn(words).fix("When each member has moved its data:").run(format!(
                "crm_resource --resource {} --delete-parameter pgdata",
                facts.resource
            )),
        );
    }
    or_ok(said, "the parameters are sound")
}

pub(super) fn members(facts: &Facts) -> Vec<Said> {
    let known: Vec<&NodeName> = facts.cib.nodes.iter().map(|node| &node.name).collect();
    let parameter = |name: &str| {
        format!(
            "crm_resource --resource {} --set-parameter {name} --parameter-value VALUE",
            facts.resource
        )
    };
    let mut said = Vec::new();
    for node in facts.members.iter().filter(|node| !known.contains(node)) {
        let near = known.iter().find(|other| other.is_nearly(node));
        let meant = near.map(|near| format!(" (is {near} meant?)")).unwrap_or_default();
        said.push(
            Said::fail(format!(
                "node_list has {node}, and Pacemaker knows no node of that name{meant}"
            ))
            .fix("Write the names that crm_node --list shows:")
            .run(parameter("node_list")),
        );
    }
    let addressed: Vec<&NodeName> = facts.params.node_addresses.keys().collect();
    for node in addressed.iter().filter(|node| !facts.members.contains(node)) {
        let near = facts.members.iter().find(|other| other.is_nearly(node));
        let meant = near.map(|near| format!(" (is {near} meant?)")).unwrap_or_default();
        said.push(
            Said::warn(format!("node_addresses has {node}, which is no member{meant}"))
                .fix("Write the members' names:")
                .run(parameter("node_addresses")),
        );
    }
    if facts.members.len() == 1 {
        said.push(
            Said::warn("there is one member: nobody can take over")
                .fix("Add a node; or is node_list short of one?"),
        );
    }
    let many = facts.members.len() > 2;
    if many && facts.params.application_name.is_some() {
        said.push(
            Said::fail("application_name is one name for several standbys")
                .fix("Leave the parameter away:")
                .run(format!(
                    "crm_resource --resource {} --delete-parameter application_name",
                    facts.resource
                )),
        );
    }
    or_ok(said, "the members are nodes of the cluster")
}

/// Who has this address, by name.
fn shared<'a>(
    all: &'a BTreeMap<IpAddr, Vec<&'a NodeName>>,
) -> impl Iterator<Item = (&'a IpAddr, String)> {
    all.iter().filter(|(_, nodes)| nodes.len() > 1).map(|(address, nodes)| {
        let names: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
        (address, names.join(" and "))
    })
}

pub(super) fn addresses(facts: &Facts, member: &Member) -> Vec<Said> {
    let mut said = Vec::new();
    let mut all: BTreeMap<IpAddr, Vec<&NodeName>> = BTreeMap::new();
    let own = (&member.me, &member.host.resolved);
    let others = member.peers.iter().map(|(node, peer)| (node, &peer.resolved));
    let example: Vec<String> = facts.members.iter().map(|node| format!("{node}=ADDRESS")).collect();
    let mend = |said: Said| {
        said.fix("Correct /etc/hosts on every node, or set node_addresses:").run(format!(
            "crm_resource --resource {} --set-parameter node_addresses --parameter-value {}",
            facts.resource,
            shell_word(&example.join(" "))
        ))
    };
    for (node, resolved) in std::iter::once(own).chain(others) {
        match resolved {
            Known::Unknown(why) => {
                said.push(mend(Said::fail(format!("{node} is not found: {why}"))));
            }
            Known::Known(addresses) => {
                for address in addresses {
                    all.entry(*address).or_default().push(node);
                }
                if *node != member.me && !addresses.is_empty() && addresses.iter().all(is_here) {
                    let list = words(addresses);
                    said.push(mend(Said::fail(format!(
                        "{node} is {list} here, which is this machine itself"
                    ))));
                }
            }
        }
    }
    for (address, nodes) in shared(&all).filter(|(address, _)| !is_here(address)) {
        said.push(mend(Said::fail(format!("{nodes} have the same address {address} here"))));
    }
    match (&member.host.is_own, &member.host.resolved) {
        (Known::Known(false), Known::Known(addresses)) if !addresses.iter().any(is_here) => {
            said.push(mend(Said::fail(format!(
                "{} is {} here, and this machine has no such address",
                member.me,
                words(addresses)
            ))));
        }
        (Known::Known(_), _) => {}
        (Known::Unknown(why), _) => said.push(mend(Said::unknown(why.clone()))),
    }
    if let Some(vip) = facts.params.vip
        && let Some(nodes) = all.get(&vip)
    {
        let names: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
        said.push(mend(Said::fail(format!(
            "{} is reached by the address {vip}, which moves with the primary",
            names.join(", ")
        ))));
    }
    or_ok(said, "each member has an address of its own")
}

/// `127.0.1.1` is what Debian writes for a machine's own name.
fn is_here(address: &IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

fn words(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn hostname(_: &Facts, member: &Member) -> Vec<Said> {
    let (host, me) = (member.host.hostname.as_str(), member.me.as_str());
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    if host == me {
        return vec![Said::ok(format!("the machine is called {host}, as its node is"))];
    }
    if short(host) == short(me) {
        return vec![Said::ok(format!(
            "the machine is called {host} and its node {me}: parameters and commands take {me}"
        ))];
    }
    vec![
        Said::warn(format!(
            "the machine is called {host}, and its node {me}: they are easily mistaken"
        ))
        .fix("Give both the same name; the node's is in corosync.conf (nodelist, name):")
        .run(format!("hostnamectl set-hostname {me}")),
    ]
}

pub(super) fn listens(facts: &Facts, member: &Member, server: &super::Server) -> Vec<Said> {
    let Some(listen) = server.text("listen_addresses") else {
        return vec![Said::unknown("listen_addresses could not be read")];
    };
    let address = facts.params.node_addresses.get(&member.me);
    let me = reach::Member {
        node: member.me.clone(),
        address: address.map_or_else(|| member.me.to_string(), Clone::clone),
        resolved: member.host.resolved.clone(),
    };
    match not_listening(&me, facts.params.pgport, listen) {
        None => vec![Said::ok(format!("listen_addresses is '{listen}'"))],
        Some(words) => vec![Said::fail(words).fix(format!(
            "In postgresql.conf: {}; it takes a restart, so make it in a planned move.",
            server_line("listen_addresses")
        ))],
    }
}
