//! The worker's steps as a plan, and what follows when one of them fails. Floor 1.
//!
//! A plan is made once from what is there, and carried out step by step; a worker that is killed leaves
//! the marker, and the next one plans anew. Two rules make that safe: the marker says *half done* on
//! disk before the data directory stops being whole, and until it is whole again; and the old data is
//! dropped only after the new streams.

use crate::cluster::recovery::{Method, Phase};

/// What is in the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Data {
    /// Nothing.
    Nothing,
    /// A database system that was shut down in order.
    Clean,
    /// One whose server was killed.
    Crashed,
}

/// What the plan is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How.
    pub method: Method,
    /// The marker that was found says half done.
    pub half_done: bool,
    /// What is half done is, or may be, what a broken rewind has left.
    pub ruin: bool,
    /// It says that the new data was whole beside the old, and was being put in its place.
    pub swapping: bool,
    /// What is there; of no meaning where it is half done.
    pub data: Data,
    /// The old data is wanted as a copy afterwards.
    pub keep_old: bool,
}

impl Facts {
    /// Whether the old data is kept as a copy: a ruin is worth none, and would drive out one that is whole.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.keep_old && !self.ruin
    }
}

/// One step. Each may be begun again after it was cut off, and none does harm twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Write the marker, durably.
    Mark {
        /// From now on the data directory is not to be started.
        half_done: bool,
        /// What comes next.
        phase: Phase,
    },
    /// Replay the WAL of a crash in single-user mode: pg_rewind wants a clean end.
    RecoverCrash,
    /// Put old data back that a swap has moved and did not replace: where its parts lie is read from its
    /// links. What there is of that swap's copy is removed.
    PutBack,
    /// Keep this node's own configuration files where no copy can overwrite them; where there is no data,
    /// none are kept. What an attempt that was cut off has kept stays.
    KeepConfiguration,
    /// Make sure that the slot is there, so that the primary keeps what this copy will need.
    EnsureSlot,
    /// Ask the source whether it still is the primary; a copy asks for itself.
    ProveSource,
    /// pg_rewind, between keeping this node's configuration and putting it back.
    Rewind,
    /// pg_basebackup into a directory beside the data, with this node's configuration; what an earlier
    /// one has left is removed first.
    Copy,
    /// The old data goes aside, the new into its place, by renames.
    Swap,
    /// Start PostgreSQL, with the settings of a standby of this primary.
    Start,
    /// Wait until it streams, and note the promotion that its data is of.
    AwaitStreaming,
    /// Forget the configuration that was kept: the data has it.
    DiscardConfiguration,
    /// Remove what a copy that was cut off has left beside the data.
    DropStaging,
    /// Remove the old data.
    DropOld,
    /// Remove older copies than the one that was just made.
    DropOlderCopies,
    /// Remove the marker.
    Unmark,
}

/// The steps, in order.
#[must_use]
pub fn plan(facts: &Facts) -> Vec<Step> {
    let mut steps = match facts.method {
        Method::Rewind => rewind(*facts),
        Method::Rebuild if facts.half_done && facts.swapping => vec![Step::Swap],
        Method::Rebuild => rebuild(*facts),
    };
    steps.extend([
        Step::Mark { half_done: false, phase: Phase::Starting },
        Step::Start,
        Step::AwaitStreaming,
    ]);
    steps.extend(finish(facts.keeps()));
    steps
}

/// What is left to do once data streams under a marker that says it is whole: the worker was cut off
/// after its start, or somebody else has started it.
#[must_use]
pub fn finish(keep_old: bool) -> [Step; 4] {
    let old = if keep_old { Step::DropOlderCopies } else { Step::DropOld };
    [Step::DiscardConfiguration, Step::DropStaging, old, Step::Unmark]
}

fn rewind(facts: Facts) -> Vec<Step> {
    let mut steps = vec![Step::Mark { half_done: false, phase: Phase::Recovering }];
    if facts.data == Data::Crashed {
        steps.push(Step::RecoverCrash);
    }
    steps.extend([
        // Before the marker speaks of a rewind: none has failed where this does.
        Step::ProveSource,
        Step::Mark { half_done: true, phase: Phase::Rewinding },
        Step::Rewind,
    ]);
    steps
}

fn rebuild(facts: Facts) -> Vec<Step> {
    let mut steps = vec![Step::Mark { half_done: facts.half_done, phase: Phase::Copying }];
    if facts.half_done {
        // After the marker, which then tells nobody to go on with that swap.
        steps.push(Step::PutBack);
    }
    steps.extend([
        // Also where the marker says half done: a rewind that has changed nothing has kept nothing.
        Step::KeepConfiguration,
        Step::EnsureSlot,
        Step::Copy,
        Step::Mark { half_done: true, phase: Phase::Swapping },
        Step::Swap,
    ]);
    steps
}

/// What follows a step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// A full copy, at once.
    Rebuild,
    /// The attempt is over; the marker stays, and the next one comes after a pause.
    GiveUp,
}

/// What follows the failure of `step` of the plan from `facts`. `rebuild_possible`: the check passed for
/// a full copy. A plan that was a full copy from its begin is never followed by another at once.
#[must_use]
pub fn after_failure(facts: &Facts, step: Step, rebuild_possible: bool) -> After {
    let resumed = facts.half_done && facts.swapping;
    match (step, facts.method) {
        (Step::Rewind | Step::RecoverCrash, Method::Rewind) if rebuild_possible => After::Rebuild,
        // What was to be put in place is not there any more.
        (Step::Swap, Method::Rebuild) if resumed && rebuild_possible => After::Rebuild,
        (
            Step::Rewind
            | Step::RecoverCrash
            | Step::Mark { .. }
            | Step::PutBack
            | Step::KeepConfiguration
            | Step::EnsureSlot
            | Step::ProveSource
            | Step::Copy
            | Step::Swap
            | Step::Start
            | Step::AwaitStreaming
            | Step::DiscardConfiguration
            | Step::DropStaging
            | Step::DropOld
            | Step::DropOlderCopies
            | Step::Unmark,
            Method::Rewind | Method::Rebuild,
        ) => After::GiveUp,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
