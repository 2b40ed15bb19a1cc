//! How a move went. Floor 1.

use std::fmt;

use super::Plan;
use crate::cluster::node::NodeName;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The primary has written a checkpoint.
    Checkpointed,
    /// It could not be made to; why.
    NotCheckpointed(String),
    /// Pacemaker has taken the constraint.
    Told,
    /// The old primary accepts no writes any more.
    Stopped,
    /// This node accepts writes.
    Promoted(NodeName),
    /// The clients' address leads to it.
    Reached(String, NodeName),
    /// The constraint is removed.
    Cleared,
    /// It could not be removed; why.
    NotCleared(String),
    /// What kept the move from its end, or what it still waits for.
    Hindered(String),
    /// The time is over.
    TimedOut,
    /// The operator wants to end it.
    Interrupted,
    /// The old primary streams from the new one.
    Follows(NodeName),
}

impl Event {
    /// Its name, for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Checkpointed => "checkpointed",
            Self::NotCheckpointed(_) => "not-checkpointed",
            Self::Told => "told",
            Self::Stopped => "stopped",
            Self::Promoted(_) => "promoted",
            Self::Reached(..) => "reached",
            Self::Cleared => "cleared",
            Self::NotCleared(_) => "not-cleared",
            Self::Hindered(_) => "hindered",
            Self::TimedOut => "timed-out",
            Self::Interrupted => "interrupted",
            Self::Follows(_) => "follows",
        }
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target is the primary.
    Done,
    /// Another node is: the old primary again, or a third one.
    Elsewhere(NodeName),
    /// Nobody is.
    Nobody,
    /// Nothing was done; why.
    NotBegun(String),
}

/// The whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// What was to be done.
    pub plan: Plan,
    /// What happened, with the time since the beginning, in milliseconds.
    pub events: Vec<(u64, Event)>,
    /// When the old primary was last seen to accept writes, in the same measure.
    pub last_writable: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
}

impl Course {
    /// When something happened first.
    fn at(&self, is: impl Fn(&Event) -> bool) -> Option<u64> {
        self.events.iter().find(|(_, event)| is(event)).map(|(at, _)| *at)
    }

    /// How long writes stood still at most, in milliseconds: from the last moment at which the old primary
    /// was seen to accept them to the first at which the new one was, by the clients' address if there is
    /// one. None if that was not seen.
    pub fn outage(&self) -> Option<u64> {
        self.at(|event| *event == Event::Stopped)?;
        let reached = self.at(|event| matches!(event, Event::Reached(..)));
        let promoted = self.at(|event| matches!(event, Event::Promoted(_)));
        let (end, begin) = (reached.or(promoted)?, self.last_writable?);
        Some(end.saturating_sub(begin))
    }

    /// Whether the constraint is gone; none: there was none.
    pub fn is_cleared(&self) -> Option<bool> {
        self.at(|event| *event == Event::Told)?;
        Some(self.at(|event| *event == Event::Cleared).is_some())
    }

    /// Whether all is as it was wanted: the target is the primary, nothing is left behind, and the old
    /// primary follows.
    pub fn is_well(&self) -> bool {
        self.outcome == Outcome::Done
            && self.is_cleared() != Some(false)
            && self.at(|event| matches!(event, Event::Follows(_))).is_some()
    }

    /// An event in words.
    pub fn words(&self, event: &Event) -> String {
        words(&self.plan, event)
    }

    /// What came of it, one line each.
    pub fn summary(&self) -> Vec<String> {
        let Plan { from, to, .. } = &self.plan;
        let mut lines = vec![match &self.outcome {
            Outcome::Done => format!("{to} is the primary."),
            Outcome::Elsewhere(node) if node == from => {
                let stopped = self.at(|event| *event == Event::Stopped).is_some();
                let how = if stopped { "again" } else { "as before" };
                format!("The move did not come to its end: {from} is the primary {how}.")
            }
            Outcome::Elsewhere(node) => {
                format!("The move did not come to its end: {node} is the primary now.")
            }
            Outcome::Nobody => "The move did not come to its end, and there is no primary: pgtwin \
                                explain says why, and crm_mon -1rf what Pacemaker does."
                .to_owned(),
            Outcome::NotBegun(why) => format!("Nothing was done: {why}."),
        }];
        if let Some(outage) = self.outage() {
            let door = self.events.iter().find_map(|(_, event)| match event {
                Event::Reached(address, _) => Some(format!(", by {address}")),
                _ => None,
            });
            lines.push(format!(
                "Writes stood still for at most {}{}.",
                seconds(outage),
                door.unwrap_or_default()
            ));
        }
        if self.is_cleared() == Some(false) {
            lines.push(format!(
                "The constraint {} is still there: crm_resource --clear --resource {}.",
                self.plan.constraint(),
                self.plan.clone
            ));
        }
        if self.outcome == Outcome::Done && !self.is_well() && self.is_cleared() == Some(true) {
            lines.push(format!("{from} does not stream from {to} yet: pgtwin status says more."));
        }
        lines
    }
}

/// An event in words.
pub(super) fn words(plan: &Plan, event: &Event) -> String {
    let Plan { from, .. } = plan;
    match event {
        Event::Checkpointed => format!("{from} has written a checkpoint, so its end is short"),
        Event::NotCheckpointed(why) => {
            format!("no checkpoint could be asked of {from}, so its end may be long: {why}")
        }
        Event::Told => format!("Pacemaker has its order (constraint {})", plan.constraint()),
        Event::Stopped => format!("{from} accepts no writes any more"),
        Event::Promoted(node) => format!("{node} accepts writes"),
        Event::Reached(address, node) => format!("{address} leads to {node}"),
        Event::Cleared => "the constraint is removed".to_owned(),
        Event::NotCleared(why) => format!("the constraint could not be removed: {why}"),
        Event::Hindered(by) => by.clone(),
        Event::TimedOut => "the time is over: the constraint is taken back".to_owned(),
        Event::Interrupted => "interrupted: the constraint is taken back".to_owned(),
        Event::Follows(node) => format!("{from} streams from {node}"),
    }
}

/// `0.8 s`, `12.4 s`.
pub(super) fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}

impl Plan {
    /// A line of the report: when, and what.
    pub fn line(&self, at: u64, event: &Event) -> String {
        format!("{:>9}  {}", seconds(at), words(self, event))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the primary moves from {} to {}", self.from, self.to)
    }
}
