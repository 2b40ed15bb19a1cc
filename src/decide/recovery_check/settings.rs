//! What the source's settings leave for a recovery: full pages, a slot, walsenders. Floor 1.

use crate::cluster::known::Known;
use crate::decide::source::{Advice, Server, Session, Settings, Slot};

use super::{Closes, Facts, Finding, Kind, not_found_out};

/// Looks at them.
pub(super) fn check(facts: &Facts, session: &Session, findings: &mut Vec<Finding>) {
    let node = &facts.server.node;
    let settings = match &session.settings {
        Known::Known(settings) => settings,
        Known::Unknown(why) => {
            let what = format!("the settings of {node} are not known");
            findings.push(not_found_out(Closes::Both, &what, why));
            return;
        }
    };
    if !settings.full_page_writes {
        findings.push(Finding::new(
            Kind::NoFullPages,
            Closes::Rewind,
            Advice::new(
                format!("full_page_writes is off on {node}, which pg_rewind refuses"),
                format!(
                    "on {node}: ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf()"
                ),
            ),
        ));
    }
    slot(facts, session, settings, findings);
    // The session of this check has none; pg_basebackup takes two, a standby one.
    match &session.walsenders {
        Known::Known(used) => {
            let left = settings.max_walsenders.saturating_sub(*used);
            if left < 2 {
                findings.push(Finding::new(
                    Kind::NoWalsenderLeft,
                    if left == 0 { Closes::Both } else { Closes::Rebuild },
                    Advice::new(
                        format!("{left} walsenders are left on {node}, pg_basebackup takes two"),
                        format!(
                            "raise max_wal_senders there (it is {}), which needs a restart, or end \
                             what uses them: SELECT * FROM pg_stat_replication",
                            settings.max_walsenders
                        ),
                    ),
                ));
            }
        }
        Known::Unknown(why) => findings.push(not_found_out(
            Closes::Both,
            &format!("how many walsenders {node} has left is not known"),
            why,
        )),
    }
}

fn slot(facts: &Facts, session: &Session, settings: &Settings, findings: &mut Vec<Finding>) {
    let (node, name) = (&facts.server.node, &facts.slot);
    match (&session.slot, &session.slots_used) {
        (Known::Known(Some(slot)), _) => findings.extend(slot_there(&facts.server, name, slot)),
        (Known::Known(None), Known::Known(used)) if *used < settings.max_slots => {}
        (Known::Known(None), Known::Known(used)) => findings.push(Finding::new(
            Kind::NoSlotLeft,
            Closes::Both,
            Advice::new(
                format!("{node} has no slot {name}, and all {used} slots are taken"),
                format!(
                    "raise max_replication_slots there (it is {}), which needs a restart, or drop \
                     one that nobody needs: SELECT pg_drop_replication_slot(…)",
                    settings.max_slots
                ),
            ),
        )),
        (Known::Known(None), Known::Unknown(why)) | (Known::Unknown(why), _) => {
            let what = format!("whether {node} has the slot {name}, or can make it, is not known");
            findings.push(not_found_out(Closes::Both, &what, why));
        }
    }
}

fn slot_there(server: &Server, name: &str, slot: &Slot) -> Option<Finding> {
    let taken = |advice| Some(Finding::new(Kind::SlotTaken, Closes::Both, advice));
    if !slot.physical {
        return taken(server.slot_is_logical(name));
    }
    if slot.active {
        return taken(server.slot_in_use(name));
    }
    (slot.wal_status == "lost").then(|| {
        let node = &server.node;
        Finding::new(
            Kind::SlotLost,
            Closes::Rewind,
            Advice::new(
                format!(
                    "the slot {name} on {node} is lost: WAL that this node needs is gone there"
                ),
                "it has to be rebuilt, by a slot made anew; max_slot_wal_keep_size says how long \
                 a slot lasts",
            ),
        )
    })
}
