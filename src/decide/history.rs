//! What `pgtwin history` says: promotions, recoveries, changes of who counts, fencing and failures, merged
//! over the nodes. Floor 1.
//!
//! Each member keeps a record of what it has done, and tells the others its end. Besides, Pacemaker
//! remembers the last promotion of each node until something else is done there, fencing until its daemons
//! are restarted, failures until they are cleaned up; the ledger knows which promotions led to the present
//! one, and not when they were.

pub mod json;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Mode};
use crate::cluster::node::NodeName;
use crate::cluster::past;
use crate::cluster::recovery::{Kept, Outcome, Summary};
use crate::cluster::topology::{FenceHistory, FenceOutcome};
use crate::cluster::utc::Utc;
use crate::decide::report::{self, any_of, span, wrapped};
use crate::decide::sync::NodeState;

/// How the words of a promotion begin.
const PROMOTED: &str = "became the primary";

/// Why a node that is there tells nothing.
const NOTHING: &str = "it has written down nothing, or is back for less than a minute";

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A node became the primary.
    Promotion,
    /// A primary counted on other standbys than before, or commits waited.
    Sync,
    /// A node was fenced, or was to be.
    Fencing,
    /// An action failed, or reported a degraded state.
    Failure,
    /// A node's data was brought back, or was to be.
    Recovery,
}

impl Kind {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Promotion => "promotion",
            Self::Sync => "sync",
            Self::Fencing => "fencing",
            Self::Failure => "failure",
            Self::Recovery => "recovery",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in seconds of the epoch; none: not known.
    pub at: Option<i64>,
    /// What kind.
    pub kind: Kind,
    /// Where.
    pub node: String,
    /// In words.
    pub words: String,
}

/// The whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The resource.
    pub resource: String,
    /// The node that was asked.
    pub me: String,
    /// Now, in seconds of the epoch.
    pub now: i64,
    /// Newest first; those without a time come last.
    pub events: Vec<Event>,
    /// What the ledger knows of promotions and of E.
    pub ledger: Vec<String>,
    /// Members that tell nothing of themselves, and why, by name.
    pub silent: Vec<(String, String)>,
    /// What could not be learned.
    pub problems: Vec<String>,
}

/// What the members have written down.
#[derive(Clone, Debug)]
pub struct Records {
    /// This node's record.
    pub own: Kept<Vec<past::Event>>,
    /// All summaries of this node's recoveries.
    pub recoveries: Kept<Vec<Summary>>,
    /// What the members tell of themselves.
    pub told: Known<BTreeMap<NodeName, String>>,
}

/// Puts together what is known.
#[must_use]
pub fn history(facts: &report::Facts, records: &Records) -> History {
    let mut problems = Vec::new();
    let mut events = Vec::new();
    own(facts, records, &mut events, &mut problems);
    let silent = others(facts, records, &mut events, &mut problems);
    let seen = promotions(facts, &events);
    events.extend(seen);
    fencing(facts, &mut events, &mut problems);
    failures(facts, &mut events);
    // Of the same second, the order in which they were found.
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
    History {
        resource: facts.resource.clone(),
        me: facts.me.to_string(),
        now: facts.recovery.now,
        events,
        ledger: ledger(facts, &mut problems),
        silent,
        problems,
    }
}

/// What this node has on its disk.
fn own(
    facts: &report::Facts,
    records: &Records,
    events: &mut Vec<Event>,
    problems: &mut Vec<String>,
) {
    let me = facts.me.as_str();
    match &records.own {
        // The summaries say more of recoveries.
        Kept::Read(all) => {
            let others = all.iter().filter(|one| one.kind() != past::Kind::Recovery);
            events.extend(others.map(|one| of_past(me, one)));
        }
        Kept::Missing => {}
        Kept::Unreadable(why) => problems.push(format!("the record of {me} cannot be read: {why}")),
    }
    match &records.recoveries {
        Kept::Read(all) => events.extend(all.iter().map(recovery)),
        Kept::Missing => {}
        Kept::Unreadable(why) => {
            problems.push(format!("the recoveries of {me} cannot be read: {why}"));
        }
    }
}

/// What the other members tell; those that tell nothing, and why.
fn others(
    facts: &report::Facts,
    records: &Records,
    events: &mut Vec<Event>,
    problems: &mut Vec<String>,
) -> Vec<(String, String)> {
    let told = match &records.told {
        Known::Known(told) => told,
        Known::Unknown(why) => {
            problems.push(format!("what the other nodes tell cannot be read: {why}"));
            return Vec::new();
        }
    };
    let view = facts.view();
    let mut silent = Vec::new();
    for node in facts.members.iter().filter(|node| **node != facts.me) {
        match told.get(node).map(|text| past::heard(text)) {
            Some(Ok(all)) => events.extend(all.iter().map(|one| of_past(node.as_str(), one))),
            Some(Err(why)) => {
                problems.push(format!("what {node} tells of itself cannot be read: {why}"));
            }
            None => {
                let why = match view.node(node) {
                    NodeState::Online => NOTHING,
                    away => away.silence(),
                };
                silent.push((node.to_string(), why.to_owned()));
            }
        }
    }
    silent
}

fn of_past(node: &str, event: &past::Event) -> Event {
    Event {
        at: Some(event.at()),
        kind: match event.kind() {
            past::Kind::Promotion => Kind::Promotion,
            past::Kind::Sync => Kind::Sync,
            past::Kind::Recovery => Kind::Recovery,
        },
        node: node.to_owned(),
        words: event.words().to_owned(),
    }
}

/// A promotion, in the words by which it is written down.
pub fn became_primary(entry: &Entry) -> String {
    let Entry { term, id, timeline, .. } = entry;
    format!("{PROMOTED} (term {term}, promotion {id}, timeline {timeline})")
}

/// Those that Pacemaker remembers, and nobody has written down: it has the moment at which they began.
fn promotions(facts: &report::Facts, written: &[Event]) -> Vec<Event> {
    let binding = facts.binding();
    let of = |node: &NodeName| {
        let at = facts.cib.promoted_at(&facts.resource, node)?;
        let is_it = |one: &&Event| {
            let is_one = one.kind == Kind::Promotion && one.words.starts_with(PROMOTED);
            is_one && one.node == node.as_str() && one.at >= Some(at)
        };
        if written.iter().any(|one| is_it(&one)) {
            return None;
        }
        let entry = binding.iter().find(|entry| entry.primary == *node);
        let words = entry.map(|entry| became_primary(entry));
        Some(Event {
            at: Some(at),
            kind: Kind::Promotion,
            node: node.to_string(),
            words: words.unwrap_or_else(|| PROMOTED.to_owned()),
        })
    };
    facts.members.iter().filter_map(of).collect()
}

fn fencing(facts: &report::Facts, events: &mut Vec<Event>, problems: &mut Vec<String>) {
    let all = match &facts.status.fencing {
        FenceHistory::Events(all) => all,
        FenceHistory::Unavailable(why) => {
            problems.push(format!("the history of fencing cannot be read: {why}"));
            return;
        }
    };
    for event in all {
        let (action, by) = (&event.action, event.delegate.as_deref().unwrap_or("?"));
        let why = event.exit_reason.as_deref().filter(|why| !why.is_empty());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let words = match &event.outcome {
            FenceOutcome::Success => format!("was fenced by {by} ({action})"),
            FenceOutcome::Failed => format!("could not be fenced ({action}){why}"),
            FenceOutcome::Pending => format!("is being fenced ({action})"),
            FenceOutcome::Other(other) => format!("{action}: {other}{why}"),
        };
        events.push(Event {
            at: event.completed.as_deref().and_then(moment),
            kind: Kind::Fencing,
            node: event.target.to_string(),
            words,
        });
    }
}

fn failures(facts: &report::Facts, events: &mut Vec<Event>) {
    for failure in facts.status.failures_of(&facts.resource) {
        let reason = if failure.reason.is_empty() { &failure.words } else { &failure.reason };
        let how = match failure.exit_code {
            Some(190 | 191) => "reported",
            Some(_) | None => "failed",
        };
        events.push(Event {
            at: failure.when.as_deref().and_then(moment),
            kind: Kind::Failure,
            node: failure.node.to_string(),
            words: format!("{} {how}: {reason}", failure.operation),
        });
    }
}

fn recovery(summary: &Summary) -> Event {
    let words = of_recovery(summary);
    Event { at: Some(summary.ended), kind: Kind::Recovery, node: summary.node.clone(), words }
}

/// An attempt to bring a node's data back, in words.
pub fn of_recovery(summary: &Summary) -> String {
    let Summary { method, source, reason, attempt, .. } = summary;
    let (method, took) = (method.word(), span(summary.ended.saturating_sub(summary.begun)));
    match summary.outcome {
        Outcome::Done => format!("brought back by {method} from {source} in {took} ({reason})"),
        Outcome::Failed | Outcome::Ended => format!(
            "attempt {attempt} to bring it back, {method} from {source}, failed: {} ({reason})",
            summary.failure
        ),
    }
}

fn ledger(facts: &report::Facts, problems: &mut Vec<String>) -> Vec<String> {
    if let Known::Unknown(why) = &facts.ledger {
        problems.push(format!("the ledger in the CIB cannot be read: {why}"));
    }
    facts.binding().into_iter().flat_map(of_entry).collect()
}

fn of_entry(entry: &Entry) -> Vec<String> {
    let mode = match entry.mode {
        Mode::Sync => "sync",
        Mode::Async => "async",
    };
    let mut lines = vec![format!(
        "term {}: {} since promotion {} (timeline {}, {mode}); after {} {} may take over",
        entry.term,
        entry.primary,
        entry.id,
        entry.timeline,
        if entry.seq == 1 { "1 change".to_owned() } else { format!("{} changes", entry.seq) },
        any_of(&entry.heirs)
    )];
    let past: Vec<String> = entry
        .history
        .iter()
        .map(|past| format!("{} (timeline {})", past.id, past.timeline))
        .collect();
    if !past.is_empty() {
        lines.push(format!("before that, newest first: {}", past.join(", ")));
    }
    lines
}

/// A moment as `crm_mon` prints it in its lists: `2026-11-20 12:02:06Z`, with a fraction since 3.0, or
/// with an offset such as `+01:00`. Anything else is not known.
fn moment(text: &str) -> Option<i64> {
    let (date, time) = text.trim().split_once([' ', 'T'])?;
    let zone = time.find(['Z', '+', '-', ' '])?;
    let (clock, zone) = time.split_at(zone);
    let offset = match zone.trim() {
        "Z" => 0,
        zone => {
            let (sign, rest) = zone.split_at_checked(1)?;
            let (hours, minutes) = rest.split_once(':')?;
            let seconds = number(hours, 2)? * 3600 + number(minutes, 2)? * 60;
            match sign {
                "+" => seconds,
                "-" => -seconds,
                _ => return None,
            }
        }
    };
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let parts = |text: &str, by: char, first: usize| {
        let mut parts = text.split(by);
        let found =
            (number(parts.next()?, first)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
        parts.next().is_none().then_some(found)
    };
    let ((year, month, day), (hour, minute, second)) =
        (parts(date, '-', 4)?, parts(clock, ':', 2)?);
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
    (fits && second <= 60)
        .then(|| Utc::days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: what is remembered, as seen from {}\n", self.resource, self.me)?;
        if self.events.is_empty() {
            writeln!(f, "Nothing that has a date.")?;
        }
        for Event { at, kind, node, words } in &self.events {
            let when = at.map_or_else(|| "?".to_owned(), |at| Utc::of(at).to_string());
            let line = format!("{when:20}  {:9}  {node}: {words}", kind.word());
            writeln!(f, "{}", wrapped(&line, 33))?;
        }
        let silent: Vec<String> =
            self.silent.iter().map(|(node, why)| format!("{node}: {why}")).collect();
        for (title, lines) in [
            ("The ledger:", &self.ledger),
            ("Nothing is told of themselves by:", &silent),
            ("Warnings:", &self.problems),
        ] {
            if !lines.is_empty() {
                writeln!(f, "\n{title}")?;
            }
            for line in lines {
                writeln!(f, "{}", wrapped(&format!("- {line}"), 2))?;
            }
        }
        Ok(())
    }
}
