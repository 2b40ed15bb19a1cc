//! Bringing an instance to its end before a deadline. Floor 2.

use std::thread;
use std::time::Duration;

use crate::decide::facts::Process;
use crate::sys::deadline::Deadline;

use super::{Runtime, RuntimeError, Shutdown};

const INTERVAL: Duration = Duration::from_millis(20);
/// Killed processes are waited for so long in any case, out of what the action keeps back: a stop that
/// comes late should not be fenced for what is gone a moment later.
const FOR_THE_KILLED: Duration = Duration::from_millis(500);

/// How an instance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Nothing of it ran.
    NotRunning,
    /// It ended after this was asked of it, the postmaster and all of its children.
    After(Shutdown),
}

/// How long each way of stopping is given before the next one. All the rest is for the last, `Kill`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For `Fast`.
    pub fast: Duration,
    /// For `Immediate`.
    pub immediate: Duration,
}

impl Patience {
    /// A quarter of the time for each of the two harsher ways, 15 s and 10 s at most; all the rest
    /// is for the orderly one.
    pub fn of(time: Duration) -> Self {
        let immediate = (time / 4).min(Duration::from_secs(15));
        let kill = (time / 4).min(Duration::from_secs(10));
        Self { fast: time.saturating_sub(immediate).saturating_sub(kill), immediate }
    }

    /// A quarter of the time for each of the milder ways, 15 s and 5 s at most: one that answers nobody mostly ends
    /// by neither, and the service waits for its end.
    pub fn with_one_that_hangs(time: Duration) -> Self {
        Self {
            fast: (time / 4).min(Duration::from_secs(15)),
            immediate: (time / 4).min(Duration::from_secs(5)),
        }
    }
}

/// Stops the instance, first in the way of `mildest`, then harder and harder. `Ok` means that the
/// postmaster and all of its children are gone. `meanwhile` is called while it shuts down, for
/// whoever must help it along.
pub fn stop(
    runtime: &dyn Runtime,
    mildest: Shutdown,
    patience: Patience,
    deadline: &Deadline,
    meanwhile: &mut dyn FnMut(),
) -> Result<Stopped, RuntimeError> {
    if runtime.process() == Process::None {
        return Ok(Stopped::NotRunning);
    }
    let phases = [
        (Shutdown::Fast, deadline.within(patience.fast)),
        (Shutdown::Immediate, deadline.within(patience.fast.saturating_add(patience.immediate))),
        (Shutdown::Kill, *deadline),
    ];
    let mut obstacle = None;
    for (how, until) in phases.into_iter().filter(|(how, _)| *how >= mildest) {
        match runtime.signal(how) {
            Ok(()) => {}
            Err(error) => obstacle = Some(crate::sys::chain(&error)),
        }
        let until = match how {
            Shutdown::Kill => until.max(Deadline::after(FOR_THE_KILLED)),
            Shutdown::Fast | Shutdown::Immediate => until,
        };
        if is_gone_by(runtime, how, &until, meanwhile) {
            return Ok(Stopped::After(how));
        }
    }
    let why = match (runtime.process(), obstacle) {
        (Process::None, _) => return Ok(Stopped::After(Shutdown::Kill)),
        (_, Some(obstacle)) => obstacle,
        (Process::Running { pid, .. }, None) => {
            format!("the postmaster, pid {pid}, is still there")
        }
        (Process::Orphans(pids), None) => format!("children without a postmaster: {pids:?}"),
        (Process::Unknown(why), None) => why,
    };
    Err(RuntimeError::TooLate { what: "the shutdown", why })
}

fn is_gone_by(
    runtime: &dyn Runtime,
    how: Shutdown,
    until: &Deadline,
    meanwhile: &mut dyn FnMut(),
) -> bool {
    let mut told_orphans = false;
    loop {
        match runtime.process() {
            Process::None => return true,
            // The postmaster died under us and left them: they are told, once a phase.
            Process::Orphans(_) if !told_orphans => {
                told_orphans = true;
                let _ = runtime.signal(how.max(Shutdown::Immediate));
            }
            Process::Orphans(_) | Process::Running { .. } | Process::Unknown(_) => {}
        }
        if until.expired() {
            return false;
        }
        meanwhile();
        thread::sleep(until.bounded(INTERVAL).max(Duration::from_millis(1)));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn most_of_the_time_is_for_an_orderly_end() {
        for (seconds, fast, immediate) in [(114, 89, 15), (20, 10, 5), (0, 0, 0)] {
            let patience = Patience::of(Duration::from_secs(seconds));
            assert_eq!(patience.fast, Duration::from_secs(fast), "{seconds}");
            assert_eq!(patience.immediate, Duration::from_secs(immediate), "{seconds}");
        }
    }

    #[test]
    fn one_that_hangs_is_killed_before_most_of_the_time_is_over() {
        for (seconds, fast, immediate) in [(114, 15, 5), (20, 5, 5), (0, 0, 0)] {
            let patience = Patience::with_one_that_hangs(Duration::from_secs(seconds));
            assert_eq!(patience.fast, Duration::from_secs(fast), "{seconds}");
            assert_eq!(patience.immediate, Duration::from_secs(immediate), "{seconds}");
        }
    }

    #[test]
    fn the_ways_to_stop_are_ordered_from_mild_to_harsh() {
        assert!(Shutdown::Fast < Shutdown::Immediate && Shutdown::Immediate < Shutdown::Kill);
    }
}
