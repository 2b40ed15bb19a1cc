//! The ledger in words. Floor 1.

use super::recovery::span;
use super::{Facts, OwnLedger, any_of};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Mode, Store, names as list};
use crate::cluster::node::NodeName;
use crate::cluster::utc::Utc;

/// What the ledger says, and what is wrong with it.
pub(super) fn words(facts: &Facts, warnings: &mut Vec<String>) -> String {
    let store = match &facts.ledger {
        Known::Known(store) => store,
        Known::Unknown(why) => {
            warnings.push(format!("the ledger in the CIB cannot be read: {why}"));
            return "?".to_owned();
        }
    };
    own_file(facts, store, warnings);
    intents(store, warnings);
    let binding = facts.binding();
    match binding.as_slice() {
        [] => "none yet: the first primary begins it".to_owned(),
        [entry] => of_entry(facts, entry),
        several => {
            let primaries: Vec<String> =
                several.iter().map(|entry| of_entry(facts, entry)).collect();
            warnings.push(format!(
                "{} entries of the ledger share term {}: whoever takes over has to satisfy all",
                several.len(),
                several.first().map_or(0, |entry| entry.term)
            ));
            primaries.join("; ")
        }
    }
}

fn of_entry(facts: &Facts, entry: &Entry) -> String {
    let (primary, term, seq) = (&entry.primary, entry.term, entry.seq);
    let which = format!("term {term}, promotion {}, entry {seq}", short(entry));
    if entry.is_an_adoption() && facts.primary().is_none() {
        return format!(
            "the data of {primary} was adopted ({which}): only {primary} can be promoted."
        );
    }
    if facts.primary() != Some(primary) {
        return format!("{primary} was primary ({which}); {}.", successors(facts, entry));
    }
    let mut words = match facts.sync_names() {
        Known::Known(names) if names.is_empty() => "writes wait for no standby; ".to_owned(),
        Known::Known(names) => format!("writes need {}; ", any_of(&names)),
        Known::Unknown(_) => String::new(),
    };
    words.push_str(&successors(facts, entry));
    let when = facts.cib.promoted_at(&facts.resource, primary).map(|at| {
        format!(", {}, {} ago", Utc::of(at), span(facts.recovery.now.saturating_sub(at)))
    });
    let when = when.unwrap_or_default();
    format!("{words}; last promotion: {primary}{when} ({which}).")
}

fn successors(facts: &Facts, entry: &Entry) -> String {
    if !entry.heirs.is_empty() {
        let remark = match entry.mode {
            Mode::Sync => "",
            Mode::Async => " with what it has received",
        };
        return format!("{} may take over{remark}", any_of(&entry.heirs));
    }
    // Either nobody has confirmed everything since its promotion, or it is about to go on alone.
    match facts.sync_names() {
        Known::Known(names) if !names.is_empty() && facts.primary() == Some(&entry.primary) => {
            format!("nobody may take over at the moment: {} waits for a standby", entry.primary)
        }
        Known::Known(_) | Known::Unknown(_) => {
            format!("nobody may take over: {} went on alone", entry.primary)
        }
    }
}

/// The first half of a promotion's identity, which tells promotions apart well enough for people.
pub(super) fn short(entry: &Entry) -> String {
    entry.id.to_string().chars().take(8).collect()
}

fn own_file(facts: &Facts, cib: &Store, warnings: &mut Vec<String>) {
    if !facts.members.contains(&facts.me) {
        return;
    }
    let me: &NodeName = &facts.me;
    match &facts.own {
        OwnLedger::Missing if cib.newest_done().is_none() => {}
        OwnLedger::Missing => warnings.push(format!(
            "{me} has no ledger file, so {me} cannot be promoted: it gets one when it follows the \
             primary"
        )),
        OwnLedger::Unreadable(why) => warnings
            .push(format!("the ledger file of {me} is no help, so {me} cannot be promoted: {why}")),
        OwnLedger::Read(own) if goes_on_alone(own.done(me), cib.done(me)) => {
            warnings.push(format!(
                "{me} is about to go on alone, once it is proven that {} cannot take over any more",
                own.done(me).map_or_else(String::new, |entry| any_of(&entry.heirs))
            ));
        }
        OwnLedger::Read(own) => {
            let (mine, theirs) = (own.newest_done(), cib.newest_done());
            if mine != theirs {
                warnings.push(format!(
                    "the ledger file of {me} and the CIB differ ({}; {}): the next monitor mends \
                     it, look at the log if it stays",
                    state("file", mine),
                    state("CIB", theirs),
                ));
            }
        }
    }
}

/// A primary tells everybody first that nobody may take over, and its own file last.
fn goes_on_alone(file: Option<&Entry>, cib: Option<&Entry>) -> bool {
    match (file, cib) {
        (Some(file), Some(cib)) => {
            file.id == cib.id
                && !file.heirs.is_empty()
                && cib.heirs.is_empty()
                && cib.seq > file.seq
        }
        (Some(_) | None, _) => false,
    }
}

fn state(whose: &str, entry: Option<&Entry>) -> String {
    match entry {
        None => format!("{whose}: empty"),
        Some(entry) => format!(
            "{whose}: term {} entry {} of {}, heirs {}",
            entry.term,
            entry.seq,
            entry.primary,
            list(&entry.heirs)
        ),
    }
}

fn intents(store: &Store, warnings: &mut Vec<String>) {
    for entry in store.slots().filter_map(|(_, slot)| slot.intent.as_ref()) {
        warnings.push(format!(
            "{} has begun a promotion (term {}) and has not reported its end",
            entry.primary, entry.term
        ));
    }
}
