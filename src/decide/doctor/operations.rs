//! The operations of the resource: monitors and timeouts. Floor 1.

use super::{Facts, Member, Said, Server, Shell, or_ok, text_of};
use crate::cluster::cib::{Operation, Primitive};
use crate::cluster::interval::milliseconds;
use crate::cluster::known::Known;
use crate::decide::report::bytes;
use crate::decide::unwatched::{unwatched, watches};
use crate::decide::wanted;
use crate::ocf::action::{Action, Role, SUGGESTIONS, Suggestion};

/// Pacemaker's own timeout of an operation that has none.
const DEFAULT_TIMEOUT_MS: u64 = 20_000;
/// What a disk of today writes, and a network of today carries, in bytes a second, when it is busy
/// with other things as well.
const PACE: u64 = 30 << 20;

/// How an operation is set.
fn set(facts: &Facts, said: Said, one: &Suggestion) -> Said {
    let words = wanted::operation(one);
    match facts.shell {
        Shell::Pcs => said.run(format!("pcs resource update {} op {words}", facts.resource)),
        Shell::Crmsh => said
            .fix(format!("Among the operations of {}, have: op {words}", facts.resource))
            .run(format!("crm configure edit {}", facts.resource)),
    }
}

/// Whether Pacemaker watches what it runs.
pub(super) fn watched(facts: &Facts) -> Vec<Said> {
    let status = match &facts.status {
        Known::Known(status) => status,
        Known::Unknown(why) => return vec![Said::unknown(why)],
    };
    let said = unwatched(status, &facts.cib, &facts.resource).into_iter().map(|node| {
        Said::warn(format!(
            "{node} runs and is not monitored: Pacemaker takes the memory of a failure for the monitor, \
             which it has cancelled"
        ))
        .fix("Another node has it look anew within a minute or two. By hand (nothing is restarted):")
        .run(format!("crm_resource --refresh --resource {} --node {node}", facts.resource))
    });
    or_ok(said.collect(), "each instance that runs is monitored")
}

pub(super) fn monitors(facts: &Facts) -> Vec<Said> {
    let Some(primitive) = facts.primitive() else {
        return vec![Said::unknown(format!("{} is not in the configuration", facts.resource))];
    };
    let mut said = Vec::new();
    let suggestion = |role| SUGGESTIONS.iter().find(|one| one.role == Some(role));
    for role in [Role::Promoted, Role::Unpromoted] {
        let mut there = primitive.monitors().filter(|(operation, _)| watches(operation, role));
        let Some(wants) = suggestion(role) else { continue };
        match there.next() {
            None => said.push(set(
                facts,
                Said::fail(format!(
                    "no recurring monitor for the role {}: what happens there is not seen, and not \
                     answered",
                    role.name()
                ))
                .fix("Add it:"),
                wants,
            )),
            Some((operation, _)) => {
                let Some(what @ ("ignore" | "block" | "stop")) = operation.on_fail.as_deref()
                else {
                    continue;
                };
                said.push(set(
                    facts,
                    Said::fail(format!(
                        "on-fail of the monitor for {} is {what}: its failures lead to no recovery",
                        role.name()
                    ))
                    .fix("Have it recovered:"),
                    wants,
                ));
            }
        }
    }
    let intervals: Vec<u64> = primitive.monitors().map(|(_, interval)| interval).collect();
    let mut distinct = intervals.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < intervals.len()
        && let Some(wants) = suggestion(Role::Unpromoted)
    {
        said.push(set(
            facts,
            Said::fail("two monitors have the same interval: Pacemaker runs only one of them")
                .fix("Give them different intervals:"),
            wants,
        ));
    }
    or_ok(said, "both roles have a recurring monitor of its own interval")
}

/// An operation's timeout; unknown if it is no time, or a rule decides.
fn timeout(facts: &Facts, primitive: &Primitive, wants: &Suggestion) -> Known<u64> {
    let fits = |operation: &&Operation| {
        let is_it = |role| watches(operation, role);
        operation.name == wants.action.name() && wants.role.is_none_or(is_it)
    };
    let read = |text: &str| match milliseconds(text) {
        Some(time) => Known::Known(time),
        None => Known::unknown(format!("the timeout of {} is {text:?}", wants.action)),
    };
    let own = primitive.operations.iter().find(fits).and_then(|one| one.timeout.as_deref());
    if let Some(own) = own {
        return read(own);
    }
    match text_of("timeout (op_defaults)", facts.cib.operation_defaults.get("timeout")) {
        Known::Known(Some(text)) => read(&text),
        Known::Known(None) => Known::Known(DEFAULT_TIMEOUT_MS),
        Known::Unknown(why) => Known::Unknown(why),
    }
}

/// The suggestions that Pacemaker runs for every resource.
fn counted() -> impl Iterator<Item = &'static Suggestion> {
    SUGGESTIONS.iter().filter(|one| {
        matches!(
            one.action,
            Action::Start
                | Action::Stop
                | Action::Promote
                | Action::Demote
                | Action::Monitor
                | Action::Notify
        )
    })
}

pub(super) fn timeouts(facts: &Facts) -> Vec<Said> {
    let Some(primitive) = facts.primitive() else {
        return vec![Said::unknown(format!("{} is not in the configuration", facts.resource))];
    };
    let mut said = Vec::new();
    // That a role has no monitor at all is another check's.
    let is_there = |wants: &&Suggestion| {
        let watched = |role| primitive.operations.iter().any(|one| watches(one, role));
        wants.role.is_none_or(watched)
    };
    for wants in counted().filter(is_there) {
        let least = u64::from(wants.timeout_s) * 1000;
        let role = wants.role.map(|role| format!(" for {}", role.name())).unwrap_or_default();
        match timeout(facts, primitive, wants) {
            Known::Known(time) if time >= least => {}
            Known::Known(time) => {
                // A stop that takes too long gets the node fenced; the others are tried again.
                let grave = wants.action == Action::Stop && time < 60_000;
                let verdict = if grave { Said::fail } else { Said::warn };
                said.push(set(
                    facts,
                    verdict(format!(
                        "the timeout of {}{role} is {} s, and should be {} s or more",
                        wants.action,
                        time / 1000,
                        wants.timeout_s
                    ))
                    .fix("Raise it:"),
                    wants,
                ));
            }
            Known::Unknown(why) => {
                said.push(set(facts, Said::unknown(why).fix("Set it:"), wants));
            }
        }
    }
    or_ok(said, "every operation may take as long as it may need")
}

pub(super) fn for_size(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    let mut said = Vec::new();
    match &server.database {
        Known::Unknown(why) => said.push(
            Said::unknown(format!("how large the databases are is not known: {why}"))
                .fix("Run it again when the server has less to do."),
        ),
        Known::Known(size) => {
            let limit = facts.params.basebackup_timeout.as_secs();
            let needs = size / PACE;
            if needs > limit {
                let wants = (needs * 2).div_ceil(3600) * 3600;
                said.push(
                    Said::warn(format!(
                        "a copy of the databases ({}) takes about {needs} s on a busy network, and \
                         basebackup_timeout is {limit} s: a node could not be rebuilt",
                        bytes(*size)
                    ))
                    .fix("Raise it, with your own network in mind:")
                    .run(format!(
                        "crm_resource --resource {} --set-parameter basebackup_timeout \
                         --parameter-value {wants}",
                        facts.resource
                    )),
                );
            }
        }
    }
    let stop = SUGGESTIONS.iter().find(|one| one.action == Action::Stop);
    if let (Some(primitive), Some(stop)) = (facts.primitive(), stop)
        && let Known::Known(time) = timeout(facts, primitive, stop)
        && let Some(buffers) = server.bytes("shared_buffers")
    {
        let needs = buffers / PACE;
        if needs > time / 1000 {
            let wants = (needs * 3 / 2).div_ceil(60) * 60;
            let wants = u32::try_from(wants).unwrap_or(u32::MAX);
            said.push(set(
                facts,
                Said::warn(format!(
                    "to write all of shared_buffers ({}) at a shutdown can take {needs} s, and stop may \
                     take {} s: then PostgreSQL is ended at once, and recovers from a crash",
                    bytes(buffers),
                    time / 1000
                ))
                .fix("Raise it, and that of demote likewise:"),
                &Suggestion { timeout_s: wants, ..*stop },
            ));
        }
    }
    or_ok(said, "the timeouts go together with the size of the database")
}
