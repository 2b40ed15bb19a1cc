//! Times, and what is said of many of them.

use std::fmt;
use std::time::Duration;

/// Median, least and greatest of some times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// The one in the middle; of an even number the lower of the two.
    pub median: Duration,
    /// The least.
    pub min: Duration,
    /// The greatest.
    pub max: Duration,
}

impl Spread {
    /// Of any times; none of no times.
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let mut sorted: Vec<Duration> = times.into_iter().collect();
        sorted.sort_unstable();
        let middle = sorted.len().checked_sub(1)? / 2;
        Some(Self { median: *sorted.get(middle)?, min: *sorted.first()?, max: *sorted.last()? })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, min, max] = [self.median, self.min, self.max].map(show);
        write!(f, "{median} ({min} to {max})")
    }
}

/// Milliseconds below a tenth of a second, else seconds.
fn show(time: Duration) -> String {
    if time < Duration::from_millis(100) {
        format!("{:.2} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle_of_the_sorted() {
        let spread = Spread::of([900, 3, 20].map(Duration::from_millis));
        assert_eq!(
            spread.map(|one| one.to_string()).as_deref(),
            Some("20.00 ms (3.00 ms to 0.90 s)")
        );
        assert_eq!(Spread::of([]), None);
    }
}
