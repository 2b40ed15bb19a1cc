//! Values with units, as `SHOW` gives them: `30s`, `5min`, `1GB`, `-1`. Floor 0.
//!
//! Source: <https://www.postgresql.org/docs/current/config-setting.html#CONFIG-SETTING-NAMES-VALUES>.

const MILLISECONDS: [(&str, i64); 5] =
    [("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const BYTES: [(&str, i64); 5] =
    [("B", 1), ("kB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40)];

/// Why a value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {expected}")]
pub struct BadValue {
    value: String,
    expected: &'static str,
}

/// A setting of time in milliseconds; microseconds are rounded up. `SHOW` leaves the unit away
/// only from 0 and from negative values, which mean "off" or "default" and are given as they are.
pub fn milliseconds(value: &str) -> Result<i64, BadValue> {
    let expected = "a time with a unit, as in 30s";
    if let Some(number) = value.trim().strip_suffix("us").and_then(parse_digits) {
        return Ok((number.saturating_add(999)) / 1000);
    }
    with_unit(value, &MILLISECONDS).ok_or_else(|| bad(value, expected))
}

/// A setting of size in bytes; 0 and negative values are given as they are.
pub fn bytes(value: &str) -> Result<i64, BadValue> {
    with_unit(value, &BYTES).ok_or_else(|| bad(value, "a size with a unit, as in 16MB"))
}

/// A setting that is on or off.
pub fn boolean(value: &str) -> Result<bool, BadValue> {
    match value.trim() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(bad(value, "on or off")),
    }
}

fn bad(value: &str, expected: &'static str) -> BadValue {
    BadValue { value: value.chars().take(40).collect(), expected }
}

fn with_unit(value: &str, units: &[(&str, i64)]) -> Option<i64> {
    let value = value.trim();
    if value == "0" {
        return Some(0);
    }
    if let Some(digits) = value.strip_prefix('-') {
        return parse_digits(digits).map(|number| -number);
    }
    let (digits, unit) = value.split_at_checked(value.find(|c: char| !c.is_ascii_digit())?)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    parse_digits(digits)?.checked_mul(*factor)
}

fn parse_digits(text: &str) -> Option<i64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn thirty_seconds_are_not_thirty_milliseconds() {
        for (text, expected) in [
            ("30s", 30_000),
            ("200ms", 200),
            ("5min", 300_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("500us", 1),
            ("0", 0),
            ("-1", -1),
            (" 1min\n", 60_000),
            ("1 min", 60_000),
        ] {
            assert_eq!(milliseconds(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "30",
            "s",
            "30S",
            "30 sec",
            "1.5s",
            "1MB",
            "--1",
            "-",
            "+1s",
            "-1s",
            "9223372036854775807d",
            "99999999999999999999s",
            "é",
        ] {
            assert!(milliseconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_become_bytes() {
        for (text, expected) in [
            ("16MB", 16 << 20),
            ("1kB", 1024),
            ("512B", 512),
            ("1GB", 1 << 30),
            ("2TB", 2 << 40),
            ("0", 0),
            ("-1", -1),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "16", "16mb", "16M", "1s", "1.5GB", "9223372036854775807TB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn switches_are_on_or_off() {
        assert_eq!(boolean("on\n"), Ok(true));
        assert_eq!(boolean("off"), Ok(false));
        assert!(boolean("yes").is_err() && boolean("").is_err());
    }

    #[test]
    fn what_every_version_shows_is_read() {
        for show in [
            include_str!("../../tests/fixtures/postgres/13/show.tsv"),
            include_str!("../../tests/fixtures/postgres/15/show.tsv"),
            include_str!("../../tests/fixtures/postgres/17/show.tsv"),
            include_str!("../../tests/fixtures/postgres/18/show.tsv"),
        ] {
            let value = |name: &str| {
                let line = show.lines().find(|line| line.split('\t').next() == Some(name));
                line.and_then(|line| line.split('\t').nth(1)).unwrap().to_owned()
            };
            for (name, expected) in [
                ("wal_sender_timeout", 60_000),
                ("wal_receiver_status_interval", 10_000),
                ("archive_timeout", 0),
                ("checkpoint_timeout", 300_000),
                ("log_rotation_age", 86_400_000),
                ("wal_writer_delay", 200),
                ("recovery_min_apply_delay", 0),
            ] {
                assert_eq!(milliseconds(&value(name)), Ok(expected), "{name}");
            }
            for (name, expected) in [
                ("wal_segment_size", 1 << 20),
                ("max_slot_wal_keep_size", -1),
                ("wal_keep_size", 64 << 20),
                ("track_activity_query_size", 1024),
            ] {
                assert_eq!(bytes(&value(name)), Ok(expected), "{name}");
            }
        }
    }
}
