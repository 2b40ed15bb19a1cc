//! Whether a lost node can be proven to be down. Floor 1.

use std::collections::BTreeSet;

use super::{Facts, Said, or_ok, text_of};
use crate::cluster::cib::{Primitive, Setting, score};
use crate::cluster::interval::milliseconds;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::topology::{ClusterStatus, FenceEvent, FenceHistory, FenceOutcome};
use crate::cluster::utc::Utc;
use crate::decide::wanted;
use crate::ocf::params::FencingPolicy;

/// A test of fencing is forgotten after so many days: cables, passwords and firmware change.
pub(super) const TESTED_DAYS: i64 = 180;

pub(super) fn enabled(facts: &Facts) -> Vec<Said> {
    let said = match facts.cib.fencing().enabled {
        Known::Known(true) => return vec![Said::ok("fencing is enabled")],
        Known::Unknown(why) => {
            return vec![
                Said::unknown(why).fix("Set stonith-enabled once, without a rule, to true."),
            ];
        }
        Known::Known(false) => "stonith-enabled is false: a lost node may still accept writes",
    };
    let said = match facts.params.fencing {
        FencingPolicy::Required => Said::fail(format!("{said}, so nobody takes over for it")),
        FencingPolicy::Advised => {
            Said::warn(format!("{said}, and fencing=advised accepts that two do at once"))
        }
    };
    let command = wanted::property("stonith-enabled", "true");
    vec![said.fix("Configure a fence device, try it, then enable fencing:").run(command)]
}

pub(super) fn startup(facts: &Facts) -> Vec<Said> {
    vec![match facts.cib.fencing().startup {
        Known::Known(true) => Said::ok("nodes that were never seen are fenced"),
        Known::Known(false) => Said::fail(
            "startup-fencing is false: a node that nobody has seen since this one booted counts as \
             down, and may be writing",
        )
        .fix("Delete the option; true is its default:")
        .run("crm_attribute --type crm_config --name startup-fencing --delete"),
        Known::Unknown(why) => Said::unknown(why).fix("Delete the option startup-fencing."),
    }]
}

/// The devices that are not switched off.
fn devices(facts: &Facts) -> impl Iterator<Item = &Primitive> {
    facts.cib.primitives.iter().filter(|p| p.class == "stonith" && !p.switched_off())
}

/// Which nodes a device says it can fence; none: it finds out itself, or asks its hardware.
fn targets(device: &Primitive) -> Known<Option<BTreeSet<String>>> {
    let read = |name: &str| text_of(name, device.parameter(name));
    let (check, list, map) =
        (read("pcmk_host_check"), read("pcmk_host_list"), read("pcmk_host_map"));
    let split = |c: char| c.is_whitespace() || c == ',' || c == ';';
    match (check, list, map) {
        (Known::Unknown(why), _, _) | (_, Known::Unknown(why), _) | (_, _, Known::Unknown(why)) => {
            Known::Unknown(why)
        }
        (Known::Known(Some(check)), _, _) if check == "dynamic-list" || check == "status" => {
            Known::Known(None)
        }
        (Known::Known(_), Known::Known(list), Known::Known(map)) => {
            let mut nodes = BTreeSet::new();
            let listed = list.iter().flat_map(|list| list.split(split));
            let mapped = map.iter().flat_map(|map| map.split(split));
            let mapped = mapped.map(|one| one.split([':', '=']).next().unwrap_or_default());
            nodes.extend(listed.chain(mapped).filter(|name| !name.is_empty()).map(str::to_owned));
            Known::Known((!nodes.is_empty()).then_some(nodes))
        }
    }
}

pub(super) fn covers(facts: &Facts) -> Vec<Said> {
    let fencing = facts.cib.fencing();
    if fencing.devices.is_empty() {
        if fencing.watchdog {
            return vec![Said::ok("nodes fence themselves by their watchdog")];
        }
        return vec![
            Said::fail("no fence device is configured: nothing proves that a lost node is down")
                .fix("Configure one for each node; for their names and parameters:")
                .run("stonith_admin --list-installed"),
        ];
    }
    let mut said = Vec::new();
    for node in &facts.members {
        let mut unsure = None;
        let mut sure = fencing.watchdog;
        for device in devices(facts) {
            match targets(device) {
                Known::Known(Some(nodes)) => {
                    sure |= nodes.iter().any(|name| name.eq_ignore_ascii_case(node.as_str()));
                }
                Known::Known(None) => unsure = Some(format!("{} has no pcmk_host_list", device.id)),
                Known::Unknown(why) => unsure = Some(format!("{}: {why}", device.id)),
            }
        }
        match unsure {
            _ if sure || was_fenced(facts, node) => {}
            Some(why) => said.push(
                Said::unknown(format!("whether a device can fence {node} is not written: {why}"))
                    .fix("Ask, and look whether a device is named; or set pcmk_host_list:")
                    .run(format!("stonith_admin --list {node}")),
            ),
            None => said.push(
                Said::fail(format!("no fence device is for {node}"))
                    .fix("Add it to pcmk_host_list or pcmk_host_map of a device, then try it:")
                    .run(format!("stonith_admin --reboot {node}")),
            ),
        }
    }
    if let Known::Known(status) = &facts.status {
        for device in devices(facts) {
            if status.instances_of(&device.id).all(|instance| !instance.active) {
                said.push(
                    Said::fail(format!(
                        "the fence device {} is configured and not running",
                        device.id
                    ))
                    .fix("See why it failed, mend it, then:")
                    .run(format!("crm_resource --cleanup --resource {}", device.id)),
                );
            }
        }
    }
    or_ok(said, format!("each member has a device: {}", fencing.devices.join(", ")))
}

fn events(status: &ClusterStatus) -> Known<&[FenceEvent]> {
    match &status.fencing {
        FenceHistory::Events(events) => Known::Known(events),
        FenceHistory::Unavailable(why) => {
            Known::unknown(format!("the history of fencing cannot be read: {why}"))
        }
    }
}

fn was_fenced(facts: &Facts, node: &NodeName) -> bool {
    match &facts.status {
        Known::Known(status) => status.fenced(node).next().is_some(),
        Known::Unknown(_) => false,
    }
}

pub(super) fn tested(facts: &Facts) -> Vec<Said> {
    let events = match facts.status.as_known().and_then(events) {
        Known::Known(events) => events,
        Known::Unknown(why) => {
            return vec![Said::unknown(why).fix("Run it again while the cluster runs.")];
        }
    };
    let mut said = Vec::new();
    for node in &facts.members {
        let try_it = |said: Said| {
            said.fix("Try it while nobody depends on that node: it must go down and come back:")
                .run(format!("stonith_admin --reboot {node}"))
        };
        let mut of_node = events.iter().filter(|event| event.target == *node);
        let newest = of_node.clone().next();
        let success = of_node.find(|event| event.outcome == FenceOutcome::Success);
        match (newest, success) {
            (Some(event), _) if event.outcome == FenceOutcome::Failed => {
                let why = event.exit_reason.as_deref().filter(|why| !why.is_empty());
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                said.push(try_it(Said::fail(format!(
                    "the last attempt to fence {node} failed{why}"
                ))));
            }
            (_, None) => said.push(try_it(Said::warn(format!(
                "no fencing of {node} is remembered (the memory is that of the running fencers)"
            )))),
            (_, Some(event)) => {
                let then = event.completed.as_deref().and_then(Utc::seconds);
                let days = then.map(|then| facts.now.saturating_sub(then) / 86_400);
                match days {
                    Some(days) if days > TESTED_DAYS => said.push(try_it(Said::warn(format!(
                        "{node} was last fenced {days} days ago: what worked then may not work now"
                    )))),
                    Some(_) => {}
                    None => said.push(try_it(Said::unknown(format!(
                        "when {node} was fenced last is not understood: {:?}",
                        event.completed
                    )))),
                }
            }
        }
    }
    or_ok(said, format!("each member was fenced within {TESTED_DAYS} days, and it worked"))
}

pub(super) fn delay(facts: &Facts) -> Vec<Said> {
    if facts.full_nodes() != 2 {
        let nodes = facts.full_nodes();
        return vec![Said::ok(format!("only two nodes can shoot each other; here are {nodes}"))];
    }
    let remedy = |said: Said| {
        said.fix("Let the node without the primary wait, and give the database a priority:")
            .run(wanted::property("priority-fencing-delay", wanted::PRIORITY_FENCING_DELAY))
            .run(wanted::resource_meta(&facts.resource, "priority", wanted::PRIORITY))
    };
    let wait = match facts.cib.option("priority-fencing-delay", "0") {
        Known::Known(text) => milliseconds(&text).unwrap_or(0),
        Known::Unknown(why) => return vec![remedy(Said::unknown(why))],
    };
    if wait > 0 {
        let priority = |setting: Option<&Setting>| match setting {
            Some(Setting::Set(text)) => score(text).filter(|value| *value > 0),
            Some(Setting::Conditional) | None => None,
        };
        let primitive = facts.primitive().and_then(|p| priority(p.meta.get("priority")));
        let clone = facts.clone_of().and_then(|c| priority(c.meta.get("priority")));
        let default = priority(facts.cib.resource_defaults.get("priority"));
        if primitive.or(clone).or(default).is_some() {
            return vec![Said::ok("the node of the primary is given time to shoot first")];
        }
        return vec![remedy(Said::warn(
            "priority-fencing-delay has no effect: the database has no priority",
        ))];
    }
    if let Some(why) = devices_wait(facts) {
        return vec![Said::ok(why)];
    }
    if facts.cib.fencing().devices.is_empty() {
        return vec![Said::ok("no fence device shoots")];
    }
    vec![remedy(Said::warn(
        "two nodes that lose sight of each other shoot at the same moment: both go down",
    ))]
}

/// Whether the devices themselves keep the two from shooting at once, and how: by chance, by a delay for
/// one node, or by one device that waits longer than the other.
fn devices_wait(facts: &Facts) -> Option<String> {
    let text = |device: &Primitive, name: &str| match device.parameter(name) {
        Some(Setting::Set(text)) => text.trim().to_owned(),
        Some(Setting::Conditional) | None => String::new(),
    };
    let some = |text: &str| text.bytes().any(|b| (b'1'..=b'9').contains(&b));
    if let Some(device) = devices(facts).find(|device| some(&text(device, "pcmk_delay_max"))) {
        return Some(format!("{} waits for a random time before it shoots", device.id));
    }
    let bases: BTreeSet<String> =
        devices(facts).map(|device| text(device, "pcmk_delay_base")).collect();
    if bases.len() > 1 || bases.iter().any(|base| base.contains(':') && some(base)) {
        return Some("one of the fence devices waits before it shoots".to_owned());
    }
    None
}
