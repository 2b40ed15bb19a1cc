//! What has to be equal, or at least as large, on all members. Floor 1.

use super::settings::psql;
use super::{Facts, Login, Member, Remote, Said, Server, or_ok};
use crate::cluster::node::NodeName;

/// A standby whose value is smaller than the primary's does not start, or pauses.
pub(super) const AT_LEAST: &[&str] = &[
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
];

/// A node that is promoted would behave differently.
pub(super) const EQUAL: &[&str] = &[
    "wal_level",
    "wal_log_hints",
    "hot_standby",
    "max_replication_slots",
    "archive_mode",
    "shared_buffers",
    "synchronous_commit",
    "fsync",
    "full_page_writes",
    "restart_after_crash",
    "max_slot_wal_keep_size",
];

/// A standby's delay.
pub(super) const DELAY: &str = "recovery_min_apply_delay";

/// The settings that another member is asked for.
pub fn asked_of_others() -> impl Iterator<Item = &'static str> {
    AT_LEAST.iter().chain(EQUAL).copied().chain([DELAY])
}

fn remotes(member: &Member) -> impl Iterator<Item = (&NodeName, &Remote)> {
    member.peers.iter().filter_map(|(node, peer)| match &peer.postgres {
        Login::In(remote) => Some((node, remote)),
        Login::KeptOut(_) | Login::NotTried(_) => None,
    })
}

fn unasked(member: &Member) -> Vec<Said> {
    let silent = member.peers.iter().filter(|(_, peer)| !matches!(peer.postgres, Login::In(_)));
    silent
        .map(|(node, _)| {
            Said::unknown(format!("what {node} has is not known: it was not asked"))
                .fix("See the check logins, or run it there.")
        })
        .collect()
}

pub(super) fn large_enough(_: &Facts, member: &Member, server: &Server) -> Vec<Said> {
    let mut said = Vec::new();
    let here = member.me.as_str();
    for (node, remote) in remotes(member) {
        for name in AT_LEAST {
            let there = remote.settings.get(*name).and_then(|text| text.parse::<i64>().ok());
            let (Some(mine), Some(theirs)) = (server.number(name), there) else {
                said.push(Said::unknown(format!("{name} of {node} could not be compared")));
                continue;
            };
            if mine == theirs {
                continue;
            }
            let (small, large) =
                if mine < theirs { (here, node.as_str()) } else { (node.as_str(), here) };
            let (low, high) = (mine.min(theirs), mine.max(theirs));
            // Whichever is the primary now, the other may be tomorrow.
            let primary_is_larger = match (server.primary, remote.primary) {
                (true, _) => mine > theirs,
                (_, true) => theirs > mine,
                (false, false) => true,
            };
            let verdict = if primary_is_larger { Said::fail } else { Said::warn };
            said.push(
                verdict(format!(
                    "{name} is {low} on {small} and {high} on {large}: {small} cannot be a standby of \
                     {large}"
                ))
                .fix(format!(
                    "In postgresql.conf of {small}: {name} = {high}; it takes a restart of {small}."
                )),
            );
        }
    }
    said.extend(unasked(member));
    or_ok(said, "every member can be a standby of every other")
}

pub(super) fn equal(_: &Facts, member: &Member, server: &Server) -> Vec<Said> {
    let mut said = Vec::new();
    for (node, remote) in remotes(member) {
        for name in EQUAL {
            match (server.text(name), remote.settings.get(*name)) {
                (Some(mine), Some(theirs)) if mine == theirs => {}
                // Added by a later version.
                (None, None) => {}
                (mine, theirs) => {
                    let words = |value: Option<&str>| value.unwrap_or("not known").to_owned();
                    said.push(
                        Said::warn(format!(
                            "{name} is {} here and {} on {node}: a failover changes it",
                            words(mine),
                            words(theirs.map(String::as_str))
                        ))
                        .fix("Give every node the same postgresql.conf."),
                    );
                }
            }
        }
    }
    said.extend(unasked(member));
    or_ok(said, "the members have the same settings")
}

pub(super) fn delayed(facts: &Facts, member: &Member, server: &Server) -> Vec<Said> {
    let delays = |text: Option<&str>| text.is_some_and(|text| text != "0");
    let mine = (member.me.as_str(), server.text(DELAY));
    let others = remotes(member)
        .map(|(node, remote)| (node.as_str(), remote.settings.get(DELAY).map(String::as_str)));
    let mut said: Vec<Said> = std::iter::once(mine)
        .chain(others)
        .filter(|(_, value)| delays(*value))
        .map(|(node, _)| {
            Said::warn(format!(
                "{node} replays with a delay ({DELAY}): as long as it does, it never takes over"
            ))
            .fix(format!("If that is not wanted, on {node}, then reload:"))
            .run(psql(facts, &format!("ALTER SYSTEM RESET {DELAY}")))
        })
        .collect();
    said.extend(unasked(member));
    or_ok(said, "no standby replays with a delay")
}
