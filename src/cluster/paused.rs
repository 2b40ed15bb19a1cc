//! That an operator has paused the resource: since when, and who. The CIB keeps it, beside the ledger.
//! Floor 0.

use std::fmt;
use std::str::FromStr;

/// The name of the entry, without the prefix of the resource's.
pub const NAME: &str = "paused";

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// In seconds of the epoch.
    pub since: i64,
    /// By whom.
    pub by: String,
}

/// A text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:.80?} does not say since when it is paused")]
pub struct NotAPause(String);

/// Printable ASCII, as Pacemaker stores it.
impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
        let by: String = self.by.chars().map(plain).take(80).collect();
        write!(f, "since={} by={by}", self.since)
    }
}

impl FromStr for Paused {
    type Err = NotAPause;

    fn from_str(text: &str) -> Result<Self, NotAPause> {
        let parts = text.strip_prefix("since=").and_then(|rest| rest.split_once(" by="));
        let since = parts.and_then(|(since, by)| Some((since.parse().ok()?, by)));
        let (since, by) = since.ok_or_else(|| NotAPause(text.to_owned()))?;
        Ok(Self { since, by: by.to_owned() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_reads_back_and_names_that_cannot_be_stored_are_shown_otherwise() {
        let paused = Paused { since: 1_764_138_600, by: "operator root (sudo)".into() };
        assert_eq!(paused.to_string(), "since=1764138600 by=operator root (sudo)");
        assert_eq!(paused.to_string().parse::<Paused>().unwrap(), paused);
        let odd = Paused { by: "J\u{fc}rgen\n".into(), ..paused };
        assert_eq!(odd.to_string(), "since=1764138600 by=J?rgen?");
        for text in ["", "since=", "since=x by=y", "by=root since=1", "since=1"] {
            assert!(text.parse::<Paused>().is_err(), "{text}");
        }
    }
}
