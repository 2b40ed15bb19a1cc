//! Versions of PostgreSQL: of a data directory, of programs, of a server. Floor 0.

use std::fmt;

/// The oldest and the newest major version that pgtwin is made for.
pub const SUPPORTED: std::ops::RangeInclusive<u32> = 13..=18;

/// A version from 10 on; a pre-release (`18beta1`, `19devel`) has minor 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// As in `PG_VERSION`: data directories of different majors do not fit one another.
    pub major: u32,
    /// Grows with corrections.
    pub minor: u32,
}

/// Why a text is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not the content of a `PG_VERSION` file.
    #[error("{0:?} is not the content of a PG_VERSION file (expected a major version as in 15)")]
    PgVersion(String),
    /// Not what `postgres --version` prints.
    #[error("{0:?} is not what `postgres --version` prints")]
    Program(String),
    /// Not a `server_version_num`.
    #[error("{0:?} is not a server_version_num (expected a number as in 150013)")]
    Number(String),
}

impl Version {
    /// Reads what `postgres --version` (or `pg_ctl`, `psql`, …) prints, as in
    /// `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`.
    pub fn of_program(text: &str) -> Result<Self, VersionError> {
        let bad = || VersionError::Program(text.chars().take(80).collect());
        let word = text
            .lines()
            .next()
            .and_then(|line| line.split_once("(PostgreSQL) "))
            .and_then(|(_, rest)| rest.split_whitespace().next())
            .ok_or_else(bad)?;
        let (major, rest) = take_number(word).ok_or_else(bad)?;
        let minor = match rest.strip_prefix('.') {
            Some(minor) => match take_number(minor).ok_or_else(bad)? {
                (minor, "") => minor,
                (_, _) => return Err(bad()),
            },
            None if ["", "devel"].contains(&rest) => 0,
            None => {
                let number = rest.strip_prefix("beta").or_else(|| rest.strip_prefix("rc"));
                match number.and_then(take_number) {
                    Some((_, "")) => 0,
                    Some(_) | None => return Err(bad()),
                }
            }
        };
        Ok(Self { major, minor })
    }

    /// Reads `server_version_num`, as in `150013`.
    pub fn of_number(text: &str) -> Result<Self, VersionError> {
        let bad = || VersionError::Number(text.chars().take(40).collect());
        match take_number(text.trim()) {
            Some((number, "")) if number >= 10_0000 => {
                Ok(Self { major: number / 10_000, minor: number % 10_000 })
            }
            Some(_) | None => Err(bad()),
        }
    }

    /// Whether pgtwin is made for this major version.
    pub fn is_supported(self) -> bool {
        SUPPORTED.contains(&self.major)
    }

    /// Whether a commit right after the server's start may not wait for its standby: corrected in
    /// 13.21, 14.18, 15.13, 16.9, 17.5.
    pub fn has_sync_start_bug(self) -> bool {
        let corrected = match self.major {
            13 => 21,
            14 => 18,
            15 => 13,
            16 => 9,
            17 => 5,
            older if older < 13 => return true,
            _ => return false,
        };
        self.minor < corrected
    }
}

/// The major version in a `PG_VERSION` file; 9 for the old `9.6`.
pub fn major_of_pg_version(text: &str) -> Result<u32, VersionError> {
    let bad = || VersionError::PgVersion(text.chars().take(40).collect());
    let (major, rest) = take_number(text.trim_end()).ok_or_else(bad)?;
    let old =
        major < 10 && rest.strip_prefix('.').and_then(take_number).is_some_and(|m| m.1.is_empty());
    if major == 0 || !(rest.is_empty() || old) {
        return Err(bad());
    }
    Ok(major)
}

fn take_number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn version(major: u32, minor: u32) -> Version {
        Version { major, minor }
    }

    #[test]
    fn programs_of_every_version_are_read() {
        for (text, expected) in [
            (include_str!("../../tests/fixtures/postgres/13/postgres-version.txt"), (13, 16)),
            (include_str!("../../tests/fixtures/postgres/15/postgres-version.txt"), (15, 18)),
            (include_str!("../../tests/fixtures/postgres/17/postgres-version.txt"), (17, 11)),
            (include_str!("../../tests/fixtures/postgres/18/postgres-version.txt"), (18, 6)),
            ("postgres (PostgreSQL) 16.9\n", (16, 9)),
            ("psql (PostgreSQL) 18beta1 (Debian 18~beta1-1)", (18, 0)),
            ("postgres (PostgreSQL) 17rc1", (17, 0)),
            ("postgres (PostgreSQL) 19devel", (19, 0)),
        ] {
            assert_eq!(Version::of_program(text), Ok(version(expected.0, expected.1)), "{text}");
        }
        for text in [
            "",
            "15.3",
            "postgres (PostgreSQL) ",
            "postgres (PostgreSQL) x",
            "\n(PostgreSQL) 15.1",
            "postgres (PostgreSQL) 15.",
            "postgres (PostgreSQL) 15.1x",
            "postgres (PostgreSQL) 15foo",
            "postgres (PostgreSQL) 15beta",
            "postgres (PostgreSQL) 99999999999.1",
        ] {
            assert!(Version::of_program(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_servers_number_is_read() {
        for (text, expected) in
            [("150013", (15, 13)), ("100000", (10, 0)), ("180000\n", (18, 0)), ("130016", (13, 16))]
        {
            assert_eq!(Version::of_number(text), Ok(version(expected.0, expected.1)), "{text}");
        }
        for text in ["", "15", "90600", "15.13", "150013x", "-150013", "99999999999"] {
            assert!(Version::of_number(text).is_err(), "{text}");
        }
        assert_eq!(version(15, 13).to_string(), "15.13");
    }

    #[test]
    fn a_data_directory_names_its_major() {
        for (text, major) in [
            (include_str!("../../tests/fixtures/postgres/13/PG_VERSION"), 13),
            (include_str!("../../tests/fixtures/postgres/18/PG_VERSION"), 18),
            ("9.6\n", 9),
        ] {
            assert_eq!(major_of_pg_version(text), Ok(major));
        }
        for text in ["", "\n", "x", "15.3", "15\n16", "0", "9.", "9.6.1", " 15"] {
            assert!(major_of_pg_version(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn thirteen_to_eighteen_are_supported() {
        for (major, expected) in [(12, false), (13, true), (18, true), (19, false)] {
            assert_eq!(version(major, 1).is_supported(), expected, "{major}");
        }
    }

    #[test]
    fn minors_before_the_correction_skip_a_wait() {
        for (major, corrected) in [(13, 21), (14, 18), (15, 13), (16, 9), (17, 5)] {
            assert!(version(major, corrected - 1).has_sync_start_bug(), "{major}");
            assert!(!version(major, corrected).has_sync_start_bug(), "{major}");
        }
        assert!(version(12, 99).has_sync_start_bug());
        assert!(!version(18, 0).has_sync_start_bug() && !version(19, 0).has_sync_start_bug());
    }
}
