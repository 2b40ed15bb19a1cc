//! How much time an action has left. Pacemaker kills a late action with its whole process group and
//! without a word, so everything here ends a little earlier and names its own reason. Floor 2.

use std::thread;
use std::time::{Duration, Instant};

/// What is kept back at most as a share of the timeout, so that short timeouts stay usable.
const LARGEST_SHARE: u32 = 4;
const LEAST_MARGIN: Duration = Duration::from_secs(1);
/// A timeout beyond this is a mistake somewhere; it also keeps `Instant` from overflowing.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// A point on the monotonic clock that no wait and no child of this process goes beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    end: Instant,
}

impl Deadline {
    /// Ends after exactly this time.
    pub fn after(time: Duration) -> Self {
        let now = Instant::now();
        Self { end: now.checked_add(time.min(LONGEST)).unwrap_or(now) }
    }

    /// The deadline of an action, from the text of `OCF_RESKEY_CRM_meta_timeout` (milliseconds),
    /// less a margin. `fallback` (also less the margin) holds when there is no such number.
    pub fn of_action(meta_timeout: Option<&str>, fallback: Duration) -> Self {
        let timeout = meta_timeout
            .and_then(|text| text.trim().parse::<u64>().ok())
            .filter(|&ms| ms > 0)
            .map_or(fallback, Duration::from_millis);
        Self::after(timeout.saturating_sub(margin(timeout)))
    }

    /// An earlier end for a part of the work: after `time`, or this deadline if that comes first.
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        Self::after(time).min(*self)
    }

    /// The same deadline, earlier by `reserve`: what a cleanup step keeps for itself.
    #[must_use]
    pub fn less(&self, reserve: Duration) -> Self {
        Self { end: self.end.checked_sub(reserve).unwrap_or_else(Instant::now) }
    }

    /// The time left, zero when it is over.
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    pub fn expired(&self) -> bool {
        self.left().is_zero()
    }

    /// `wish`, or what is left if that is less.
    pub fn bounded(&self, wish: Duration) -> Duration {
        wish.min(self.left())
    }

    /// Sleeps for `wish`, but not beyond the deadline.
    pub fn sleep(&self, wish: Duration) {
        thread::sleep(self.bounded(wish));
    }
}

/// What an action keeps back of its timeout: 5 %, at least a second, at most a quarter.
fn margin(timeout: Duration) -> Duration {
    (timeout / 20).max(LEAST_MARGIN).min(timeout / LARGEST_SHARE)
}

/// Tries until `attempt` gives a value or the deadline is over. There is always one attempt, and
/// one more after the last sleep.
pub fn poll_until<T>(
    deadline: &Deadline,
    interval: Duration,
    mut attempt: impl FnMut() -> Option<T>,
) -> Option<T> {
    loop {
        let last = deadline.expired();
        if let Some(value) = attempt() {
            return Some(value);
        }
        if last {
            return None;
        }
        deadline.sleep(interval.max(Duration::from_millis(1)));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_a_twentieth_but_a_second_at_least_and_a_quarter_at_most() {
        for (timeout_ms, margin_ms) in [
            (120_000, 6_000),
            (60_000, 3_000),
            (20_000, 1_000),
            (10_000, 1_000),
            (3_000, 750),
            (400, 100),
        ] {
            assert_eq!(
                margin(Duration::from_millis(timeout_ms)),
                Duration::from_millis(margin_ms),
                "{timeout_ms} ms"
            );
        }
    }

    #[test]
    fn a_timeout_that_is_no_positive_number_falls_back() {
        let fallback = Duration::from_secs(40);
        for text in
            [None, Some(""), Some("0"), Some("-1"), Some("20s"), Some("99999999999999999999")]
        {
            let left = Deadline::of_action(text, fallback).left();
            assert!(
                left <= Duration::from_secs(38) && left > Duration::from_secs(8),
                "{text:?}: {left:?}"
            );
        }
        assert!(Deadline::of_action(Some(" 8000 "), fallback).left() <= Duration::from_secs(7));
    }

    #[test]
    fn the_largest_number_does_not_overflow() {
        let deadline = Deadline::of_action(Some(&u64::MAX.to_string()), Duration::ZERO);
        assert!(!deadline.expired());
        assert!(!Deadline::after(Duration::MAX).expired());
        assert!(deadline.less(Duration::MAX).expired());
    }

    #[test]
    fn no_part_of_the_work_outlives_the_whole() {
        let whole = Deadline::after(Duration::from_mins(1));
        assert!(whole.within(Duration::from_mins(10)) == whole);
        assert!(whole.within(Duration::from_secs(1)) < whole);
        assert!(whole.less(Duration::from_secs(10)) < whole);
        assert!(whole.bounded(Duration::from_mins(10)) <= Duration::from_mins(1));
        assert_eq!(whole.bounded(Duration::from_secs(1)), Duration::from_secs(1));
    }

    #[test]
    fn polling_tries_once_even_when_it_is_already_late() {
        let late = Deadline::after(Duration::ZERO);
        assert!(late.expired());
        assert_eq!(poll_until(&late, Duration::from_hours(1), || Some(7)), Some(7));
        let mut attempts = 0;
        let none: Option<()> = poll_until(&late, Duration::from_hours(1), || {
            attempts += 1;
            None
        });
        assert_eq!((none, attempts), (None, 1));
    }

    #[test]
    fn polling_ends_with_the_first_value_and_tries_again_after_the_last_sleep() {
        let mut attempts = 0;
        let deadline = Deadline::after(Duration::from_mins(1));
        let value = poll_until(&deadline, Duration::from_millis(1), || {
            attempts += 1;
            (attempts == 3).then_some("third")
        });
        assert_eq!(value, Some("third"));
        let short = Deadline::after(Duration::from_millis(30));
        let value =
            poll_until(&short, Duration::from_hours(1), || short.expired().then_some("late"));
        assert_eq!(value, Some("late"));
    }
}
