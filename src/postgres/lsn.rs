//! WAL positions and timelines. Floor 0.

use std::fmt;
use std::str::FromStr;

/// A position in the write-ahead log, in bytes from its origin; written `16/B374D848`.
/// Source: <https://www.postgresql.org/docs/current/datatype-pg-lsn.html>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// A timeline number; 1 after initdb.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeline(pub u32);

impl Lsn {
    /// `0/0`: PostgreSQL's own word for "no position".
    pub const ZERO: Self = Self(0);
    /// After every position: the end of a timeline that is still growing.
    pub const MAX: Self = Self(u64::MAX);

    /// Whether it names a position at all (`0/0` does not).
    pub const fn is_valid(self) -> bool {
        self.0 != 0
    }

    /// Bytes from `earlier` to here; 0 when `earlier` is not earlier.
    pub const fn bytes_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Timeline {
    /// What initdb starts with; the only one that has no history file by right.
    pub const FIRST: Self = Self(1);

    /// The name of its history file under `pg_wal`, as in `0000000A.history`.
    pub fn history_file(self) -> String {
        format!("{:08X}.history", self.0)
    }

    /// The timeline that a history file's name stands for; `None` for any other name.
    pub fn of_history_file(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(".history")?;
        if digits.len() != 8 || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')) {
            return None;
        }
        u32::from_str_radix(digits, 16).ok().filter(|tli| *tli != 0).map(Self)
    }
}

/// A text is not a timeline number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a timeline (expected a decimal number from 1)")]
pub struct NotATimeline(String);

impl FromStr for Timeline {
    type Err = NotATimeline;

    fn from_str(text: &str) -> Result<Self, NotATimeline> {
        let bad = || NotATimeline(text.chars().take(40).collect());
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        text.parse().ok().filter(|tli| *tli != 0).map(Self).ok_or_else(bad)
    }
}

/// A text is not a WAL position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a WAL position (expected two hexadecimal numbers as in 16/B374D848)")]
pub struct NotAnLsn(String);

impl FromStr for Lsn {
    type Err = NotAnLsn;

    fn from_str(text: &str) -> Result<Self, NotAnLsn> {
        let bad = || NotAnLsn(text.chars().take(40).collect());
        let half = |part: &str| {
            if part.is_empty() || part.len() > 8 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(bad());
            }
            u64::from_str_radix(part, 16).map_err(|_| bad())
        };
        let (high, low) = text.split_once('/').ok_or_else(bad)?;
        Ok(Self(half(high)? << 32 | half(low)?))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_writing_and_reading() {
        for (text, value) in [
            ("0/0", 0),
            ("0/3000148", 0x0300_0148),
            ("16/B374D848", 0x16_B374_D848),
            ("FFFFFFFF/FFFFFFFF", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Lsn(value)));
            assert_eq!(Lsn(value).to_string(), text);
        }
        assert_eq!("0/03000148".parse(), Ok(Lsn(0x0300_0148)), "pg_waldump pads with zeros");
        assert_eq!("a/ff".parse(), Ok(Lsn(0xA_0000_00FF)));
    }

    #[test]
    fn what_is_not_a_position_is_refused() {
        for text in
            ["", "/", "0/", "/0", "0", "0/0/0", "g/0", "123456789/0", "0/-1", "+1/0", " 0/0", "0/é"]
        {
            assert!(text.parse::<Lsn>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn timelines_are_decimal_and_their_files_hexadecimal() {
        assert_eq!("12".parse(), Ok(Timeline(12)));
        for text in ["", "0", "-1", "+1", "1x", "4294967296", " 1"] {
            assert!(text.parse::<Timeline>().is_err(), "{text:?}");
        }
        assert_eq!(Timeline(10).history_file(), "0000000A.history");
        assert_eq!(Timeline::of_history_file("0000000A.history"), Some(Timeline(10)));
        for name in ["0000000a.history", "00000000.history", "A.history", "00000001", "é.history"]
        {
            assert_eq!(Timeline::of_history_file(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_distance_is_never_negative() {
        assert_eq!(Lsn(10).bytes_since(Lsn(4)), 6);
        assert_eq!(Lsn(4).bytes_since(Lsn(10)), 0);
        assert!(!Lsn::ZERO.is_valid() && Lsn::MAX.is_valid());
    }
}
