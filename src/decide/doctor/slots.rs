//! Replication slots, and the WAL that they keep. Floor 1.

use super::settings::psql;
use super::{Facts, Member, Said, Server, or_ok};
use crate::cluster::known::Known;
use crate::decide::report::bytes;
use crate::decide::slots::lost_at_failover;

/// A slot that keeps more than one part in so many of the room is worth a word.
const PART: u64 = 5;

fn free(member: &Member) -> Option<u64> {
    let Known::Known(volumes) = &member.host.volumes else { return None };
    volumes.iter().find(|volume| volume.what == "WAL").map(|volume| volume.free)
}

pub(super) fn count(facts: &Facts, member: &Member, server: &Server) -> Vec<Said> {
    let Some(most) = server.number("max_replication_slots") else {
        return vec![Said::unknown("max_replication_slots could not be read")];
    };
    let there: Vec<&str> = server.slots.iter().map(|slot| slot.name.as_str()).collect();
    let missing: Vec<&str> = server
        .slots_of_members
        .iter()
        .map(String::as_str)
        .filter(|name| !there.contains(name))
        .collect();
    let wants = i64::try_from(there.len() + missing.len()).unwrap_or(i64::MAX);
    if most < wants {
        return vec![
            Said::fail(format!(
                "max_replication_slots is {most}: there are {}, and missing {}",
                there.len(),
                missing.join(", ")
            ))
            .fix(format!(
                "In postgresql.conf of every node: max_replication_slots = {}; it takes a restart. Or drop \
                 what nobody needs:",
                (wants + 4).max(10)
            ))
            .run(psql(facts, "SELECT pg_drop_replication_slot('NAME')")),
        ];
    }
    if !missing.is_empty() && server.primary {
        return vec![
            Said::warn(format!(
                "standbys have no slot here: {}: WAL that they still need may be removed",
                missing.join(", ")
            ))
            .fix("The next monitors make them; if they do not, its log says why:")
            .run(format!(
                "crm_resource --resource {} --refresh --node {}",
                facts.resource, member.me
            )),
        ];
    }
    vec![Said::ok(format!("{} of {most} slots are used", there.len()))]
}

pub(super) fn retained(facts: &Facts, member: &Member, server: &Server) -> Vec<Said> {
    let mut said = Vec::new();
    let limited = server.number("max_slot_wal_keep_size").is_some_and(|limit| limit >= 0);
    for slot in &server.slots {
        let name = &slot.name;
        let is_ours = server.slots_of_members.contains(name);
        let drop = |said: Said| {
            said.run(psql(facts, &format!("SELECT pg_drop_replication_slot('{name}')")))
        };
        match slot.wal_status.as_deref() {
            Some("lost") => {
                let what = Said::fail(format!("the slot {name} has lost WAL that it was to keep"));
                said.push(if is_ours {
                    what.fix("Its standby has to be built anew, which it does by itself; see:")
                        .run("pgtwin status")
                } else {
                    drop(what.fix("Whoever used it starts anew; drop it:"))
                });
                continue;
            }
            Some("unreserved") => said.push(
                Said::warn(format!(
                    "the slot {name} is about to lose WAL: max_slot_wal_keep_size is reached"
                ))
                .fix("Bring whoever uses it back soon, or raise max_slot_wal_keep_size."),
            ),
            Some(_) | None => {}
        }
        let keeps = slot.keeps.unwrap_or(0);
        let much = match free(member) {
            Some(free) => keeps > free / PART,
            None => keeps > 10 << 30,
        };
        if much {
            let room = free(member)
                .map_or_else(String::new, |free| format!(", and {} are free for WAL", bytes(free)));
            let active = if slot.active { "in use" } else { "not in use" };
            let what = Said::warn(format!(
                "the slot {name}, {active}, keeps {} of WAL{room}: a full disk stops the server",
                bytes(keeps)
            ));
            said.push(if is_ours {
                what.fix("Bring its standby back, or, if it is gone for good:")
                    .run("pgtwin forget NODE")
            } else {
                drop(what.fix("If nobody comes back for it, drop it:"))
            });
        } else if !limited && !slot.active && slot.wal_status.is_some() && server.primary {
            said.push(
                Said::warn(format!(
                    "nobody uses the slot {name}, and max_slot_wal_keep_size is unlimited: it keeps WAL \
                     until the disk is full"
                ))
                .fix("Bring back whoever uses it, or set a limit that the disk can bear:")
                .run(format!(
                    "crm_resource --resource {} --set-parameter max_slot_wal_keep_size \
                     --parameter-value MEGABYTES",
                    facts.resource
                )),
            );
        }
    }
    or_ok(said, "no slot keeps more WAL than the disk can bear")
}

pub(super) fn logical(_: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    match &server.logical {
        Known::Unknown(why) => {
            vec![Said::unknown(format!("logical slots could not be read: {why}"))]
        }
        Known::Known(logical) => {
            let lost = lost_at_failover(logical, &server.slots_of_members);
            let said = lost.into_iter().map(|words| {
                Said::warn(words).fix(
                    "PostgreSQL 17 keeps them with the settings that are named; else \
                    plan for subscribers that start anew.",
                )
            });
            or_ok(said.collect(), "a failover loses no logical slot")
        }
    }
}
