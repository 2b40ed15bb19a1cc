//! Times of day as Pacemaker prints them, as seconds since the epoch. Floor 0.

/// Reads `2026-11-20 12:02:06Z`, with a fraction or without; none if it is something else.
pub fn seconds_of(text: &str) -> Option<i64> {
    let text = text.trim().strip_suffix('Z')?;
    let (date, time) = text.split_once([' ', 'T'])?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    valid.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have their leap day at the end.
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 306 + 5) / 10 + day - 1 - 719_468
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
mod tests {
    use super::*;

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
            assert_eq!(seconds_of(text), expected, "{text:?}");
        }
    }
}
