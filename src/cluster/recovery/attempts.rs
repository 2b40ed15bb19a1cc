//! Attempts that failed, and the pause before the next. Floor 0.

use std::time::Duration;

use super::Marker;

/// What is known of the attempts that failed in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many.
    pub failed: u32,
    /// When the last of them failed, in seconds of the epoch.
    pub failed_at: i64,
    /// Why, for people.
    pub reason: String,
    /// The next command to type, for people; empty where there is none.
    pub next_command: String,
}

/// After so many failures in a row nothing is tried any more, until somebody says so.
pub const MOST: u32 = 10;

/// Whose turn it is after attempts that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The next attempt may begin.
    Now,
    /// It may begin then, in seconds of the epoch.
    At(i64),
    /// A person's: there were [`MOST`].
    Over,
}

/// How long to wait after so many failures in a row.
pub fn pause(failed: u32) -> Duration {
    Duration::from_secs(match failed {
        0 => 0,
        1 => 10,
        2 => 30,
        3 => 2 * 60,
        4 => 10 * 60,
        _ => 30 * 60,
    })
}

impl Attempts {
    /// After one more failure.
    #[must_use]
    pub fn failed_again(&self, now: i64, reason: &str, next_command: &str) -> Self {
        Self {
            failed: self.failed.saturating_add(1),
            failed_at: now,
            reason: reason.to_owned(),
            next_command: next_command.to_owned(),
        }
    }

    /// The attempt of this marker ended without a word (its worker was killed, the machine fell): it
    /// counts as a failure, once, however often it is found. Where more attempts are missing than this
    /// one, somebody has removed the record, to begin anew.
    #[must_use]
    pub fn with_abandoned(&self, marker: &Marker, now: i64) -> Self {
        if marker.attempt != self.next_attempt() {
            return self.clone();
        }
        Self {
            failed: marker.attempt,
            failed_at: now,
            reason: format!(
                "the {} from {} ended without a word while it was {}",
                marker.method.word(),
                marker.source,
                marker.phase.word()
            ),
            next_command: self.next_command.clone(),
        }
    }

    /// The number of the next attempt, from 1.
    pub fn next_attempt(&self) -> u32 {
        self.failed.saturating_add(1)
    }

    /// Whether, and when, there is a next attempt.
    pub fn turn(&self, now: i64) -> Turn {
        if self.failed >= MOST {
            Turn::Over
        } else if self.wait(now).is_zero() {
            Turn::Now
        } else {
            Turn::At(self.next_at())
        }
    }

    /// When the next attempt may begin, in seconds of the epoch.
    pub fn next_at(&self) -> i64 {
        let pause = i64::try_from(pause(self.failed).as_secs()).unwrap_or(i64::MAX);
        self.failed_at.saturating_add(pause)
    }

    /// How long the next attempt has to wait. A clock that was set back behind the last failure ends
    /// the pause: how much of it is over is not known then, and a pause is no safeguard.
    pub fn wait(&self, now: i64) -> Duration {
        if now < self.failed_at {
            return Duration::ZERO;
        }
        Duration::from_secs(u64::try_from(self.next_at().saturating_sub(now)).unwrap_or(0))
    }
}
