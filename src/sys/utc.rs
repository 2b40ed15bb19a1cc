//! The time of day. Floor 2.

use std::time::{SystemTime, UNIX_EPOCH};

pub use crate::cluster::utc::Utc;

/// Now, in seconds of the epoch; 0 where the clock is set to a time before it.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Now, in milliseconds of the epoch.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
