//! Times of day as logs have them, in UTC: the nodes and this machine share one clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A day.
pub const DAY: Duration = Duration::from_hours(24);

/// `12:34:56.789` of a time since midnight, or since any other.
pub fn clock(at: Duration) -> String {
    let seconds = at.as_secs();
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:03}", seconds % 60, at.subsec_millis())
}

/// `12:34:56`, with or without milliseconds, as the time since midnight.
pub fn stamp(text: &str) -> Option<Duration> {
    let (whole, millis) = text.split_once('.').unwrap_or((text, "000"));
    let mut parts = whole.split(':').map(|part| {
        let plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| part.parse::<u64>().ok()).flatten()
    });
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let is_time = parts.next().is_none() && hours < 24 && minutes < 60 && seconds < 61;
    let millis: u64 = millis.parse().ok().filter(|_| millis.len() == 3)?;
    is_time.then(|| {
        Duration::from_secs(hours * 3600 + minutes * 60 + seconds) + Duration::from_millis(millis)
    })
}

/// The time of day of a moment.
pub fn time_of_day(at: SystemTime) -> Duration {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_nanos(u64::try_from(since.as_nanos() % DAY.as_nanos()).unwrap_or(0))
}

/// The time on the clock of a moment that is not long ago.
pub fn system_time(at: Instant) -> SystemTime {
    SystemTime::now().checked_sub(at.elapsed()).unwrap_or(UNIX_EPOCH)
}

/// `2026-11-26T15:32:44Z`.
pub fn date(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = Duration::from_secs(seconds % 86_400);
    let time = clock(of_day);
    format!("{year:04}-{month:02}-{day:02}T{}Z", time.get(..8).unwrap_or(&time))
}

/// Year, month and day of a number of days since 1970 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_written_and_read() {
        let at = Duration::from_millis(3_661_007);
        assert_eq!(clock(at), "01:01:01.007");
        assert_eq!(stamp("01:01:01.007"), Some(at));
        assert_eq!(stamp("01:01:01"), Some(Duration::from_secs(3661)));
        for rubbish in [
            "",
            "1:01:01",
            "25:00:00",
            "01:01",
            "01:01:01.5",
            "01:01:01.abc",
            "aa:bb:cc",
            "01:01:01:01",
        ] {
            assert_eq!(stamp(rubbish), None, "{rubbish}");
        }
        assert_eq!(time_of_day(UNIX_EPOCH + DAY * 3 + at), at);
    }

    #[test]
    fn a_date_is_that_of_the_calendar() {
        let of = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(of(0), "1970-01-01T00:00:00Z");
        assert_eq!(of(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(of(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(of(1_795_707_164), "2026-11-26T15:32:44Z");
    }
}
