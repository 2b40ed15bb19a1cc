//! How late standbys are: the time since the primary wrote what they have replayed last. Only `status`
//! wants to know it. Floor 2.

use std::collections::BTreeMap;

use crate::sys::deadline::Deadline;

use super::{Row, SqlError, Wire};

/// On the primary, by its own clock. Without a lag and with nothing to replay it is none; what was not
/// measured yet is not known.
const OF_ALL: &str = "\
SELECT application_name, pg_catalog.date_part('epoch', replay_lag),
 replay_lsn >= pg_catalog.pg_current_wal_flush_lsn()
 FROM pg_catalog.pg_stat_replication WHERE state = 'streaming'";

/// On a standby, which may see no details of its own receiver: that there is one is enough. It is right
/// as far as the two nodes' clocks agree.
pub const OF_ONE: &str = "\
SELECT CASE WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn()
  AND EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) THEN 0
 ELSE pg_catalog.date_part('epoch',
  pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()) END
 WHERE pg_catalog.pg_is_in_recovery()";

/// Of everybody who streams from this primary, by application_name, in milliseconds.
pub fn of_all(
    wire: &mut dyn Wire,
    deadline: &Deadline,
) -> Result<BTreeMap<String, Option<u64>>, SqlError> {
    let rows = wire.ask(OF_ALL, deadline)?;
    let of = |row: &Row| match row.as_slice() {
        [Some(name), lag, has_all] => {
            let has_all = has_all.as_deref() == Some("t");
            let delay = match lag {
                Some(lag) => Some(milliseconds(lag)?),
                None => has_all.then_some(0),
            };
            Ok((name.clone(), delay))
        }
        other => Err(SqlError::Answer(format!("a row of pg_stat_replication: {other:?}"))),
    };
    rows.iter().map(of).collect()
}

/// Of this standby itself, in milliseconds; none when it has replayed no transaction.
pub fn of_one(wire: &mut dyn Wire, deadline: &Deadline) -> Result<Option<u64>, SqlError> {
    let rows = wire.ask(OF_ONE, deadline)?;
    match rows.as_slice() {
        [row] => row.first().and_then(Option::as_deref).map(milliseconds).transpose(),
        _ => Err(SqlError::Answer("it is no standby".to_owned())),
    }
}

/// From seconds and fractions. A standby whose clock is behind is not early.
pub fn milliseconds(text: &str) -> Result<u64, SqlError> {
    let bad = || SqlError::Answer(format!("a lag of {text:.40?} seconds"));
    let (sign, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    if seconds.is_empty() || !is_number(seconds) || !is_number(fraction) {
        // Of a fraction of a microsecond PostgreSQL 13 prints 1e-06.
        return if text.contains("e-") { Ok(0) } else { Err(bad()) };
    }
    if sign {
        return Ok(0);
    }
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    format!("{seconds}{thousandths}").parse().map_err(|_| bad())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_read_to_the_millisecond_or_not_at_all() {
        for (text, expected) in [
            ("0", Some(0)),
            ("0.412345", Some(412)),
            ("12.5", Some(12_500)),
            ("3600", Some(3_600_000)),
            // Clocks that differ.
            ("-0.3", Some(0)),
            ("1e-06", Some(0)),
            ("", None),
            (".5", None),
            ("00:00:01", None),
            ("1.2.3", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(milliseconds(text).ok(), expected, "{text}");
        }
    }
}
