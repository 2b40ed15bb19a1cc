//! Moments in UTC, in the forms of files' names and of their lines. Floor 0.

use std::fmt;

/// A second, by the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Utc {
    /// This second of the epoch. Years beyond 0 to 9999 are cut to the nearest of them.
    pub fn of(epoch: i64) -> Self {
        // 0000-01-01 00:00:00 and 9999-12-31 23:59:59.
        let epoch = epoch.clamp(-62_167_219_200, 253_402_300_799);
        let (days, of_day) = (epoch.div_euclid(86_400), epoch.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        Self { year, month, day, hour, minute, second }
    }

    /// How many days a date of the Gregorian calendar is after 1970-01-01: the inverse of `of`.
    pub fn days(year: i64, month: i64, day: i64) -> i64 {
        // From March on, so that the odd day is the year's last.
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (cycle, of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * month + 2) / 5 + day - 1;
        cycle * 146_097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - 719_468
    }

    /// Reads `2026-11-20 12:02:06Z`, as Pacemaker prints it, with a fraction or without, as seconds of
    /// the epoch; none if it is something else.
    pub fn seconds(text: &str) -> Option<i64> {
        let (date, time) = text.trim().strip_suffix('Z')?.split_once([' ', 'T'])?;
        let time = time.split_once('.').map_or(time, |(whole, _)| whole);
        let [year, month, day] = numbers(date, '-')?;
        let [hour, minute, second] = numbers(time, ':')?;
        let valid = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..=60).contains(&second);
        let of_day = || hour * 3600 + minute * 60 + second;
        valid.then(|| Self::days(year, month, day) * 86_400 + of_day())
    }

    /// `20261105-110203`, for the name of a file.
    pub fn of_name(self) -> String {
        let Self { year, month, day, hour, minute, second } = self;
        format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
    }
}

/// `2026-11-05T11:02:03Z`
impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// The day of so many days after 1970-01-01, by the Gregorian calendar: it repeats after 400 years
/// of 146,097 days. A year that begins in March has its odd day at its end, so that the months
/// before it always have the same lengths.
fn civil(days: i64) -> (i64, i64, i64) {
    const CYCLE: i64 = 146_097;
    // From 0000-03-01.
    let days = days + 719_468;
    let (cycle, of_cycle) = (days.div_euclid(CYCLE), days.rem_euclid(CYCLE));
    // The last day of a fourth year, of a century and of the cycle would begin a year too many.
    let odd = of_cycle / 1460 - of_cycle / 36_524 + of_cycle / 146_096;
    let of_years = (of_cycle - odd) / 365;
    let of_year = of_cycle - (365 * of_years + of_years / 4 - of_years / 100);
    // Five months from March have 153 days, and so have the next five.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (cycle * 400 + of_years + i64::from(month <= 2), month, day)
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    });
    let found = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn seconds_of_the_epoch_are_what_date_says_of_them() {
        // `date -u -d @N +%FT%TZ`
        for (epoch, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (86_399, "1970-01-01T23:59:59Z"),
            (68_169_599, "1972-02-28T23:59:59Z"),
            (68_169_600, "1972-02-29T00:00:00Z"),
            (68_256_000, "1972-03-01T00:00:00Z"),
            (94_694_399, "1972-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (2_147_483_648, "2038-01-19T03:14:08Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (-2_203_891_200, "1900-03-01T00:00:00Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Utc::of(epoch).to_string(), text, "{epoch}");
        }
        assert_eq!(Utc::of(1_700_000_000).of_name(), "20231114-221320");
    }

    #[test]
    fn every_day_of_two_cycles_follows_the_one_before() {
        let long = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let (mut year, mut month, mut day) = (1600, 1, 1);
        for days in -135_140..=157_054 {
            assert_eq!(civil(days), (year, month, day), "{days}");
            assert_eq!(Utc::days(year, month, day), days, "{year}-{month}-{day}");
            let last = match month {
                2 => 28 + i64::from(long(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
        assert_eq!((year, month, day), (2400, 1, 2));
    }

    #[test]
    fn regression_a_number_that_is_no_hour_is_not_calculated_with() {
        let most = i64::MAX;
        for text in [format!("2026-01-01 {most}:00:00Z"), format!("2026-01-01 00:{most}:{most}Z")] {
            assert_eq!(Utc::seconds(&text), None, "{text}");
        }
        assert_eq!(Utc::seconds(&format!("{most}-01-01 00:00:00Z")), None);
    }

    #[test]
    fn a_time_of_pacemakers_is_read_and_nothing_else() {
        for (text, expected) in [
            ("1970-01-01 00:00:00Z", Some(0)),
            ("2000-02-29 00:00:00Z", Some(951_782_400)),
            ("2000-03-01 00:00:00Z", Some(951_868_800)),
            ("2026-11-20 12:02:06Z", Some(1_795_176_126)),
            ("2026-11-20 12:02:06.348919Z", Some(1_795_176_126)),
            ("2026-11-20T12:02:06Z", Some(1_795_176_126)),
            ("2026-11-20 12:02:06", None),
            ("2026-11-20Z", None),
            ("2026-13-20 12:02:06Z", None),
            ("2026-11-20 12:02Z", None),
            ("2026-11-20-1 12:02:06Z", None),
            ("Fri Nov 20 12:00:48 2026", None),
            ("", None),
        ] {
            assert_eq!(Utc::seconds(text), expected, "{text:?}");
        }
    }
}
