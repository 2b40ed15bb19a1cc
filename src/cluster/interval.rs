//! Times in Pacemaker's notation: `3s`, `2min`, `60` (seconds), `PT1M30S`. Floor 0.
//!
//! Source: "Integer time values and units" and "Durations" of "Pacemaker Explained".

/// Milliseconds; none if it is no time.
pub fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some(duration) = text.strip_prefix('P') {
        return of_duration(duration);
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let number: u64 = digits.parse().ok()?;
    match unit.trim().to_ascii_lowercase().as_str() {
        "" | "s" | "sec" => number.checked_mul(1000),
        "ms" | "msec" => Some(number),
        "us" | "usec" => Some(number / 1000),
        "m" | "min" => number.checked_mul(60_000),
        "h" | "hr" => number.checked_mul(3_600_000),
        _ => None,
    }
}

/// What follows the `P` of ISO 8601; months and years are no times of an operation.
fn of_duration(text: &str) -> Option<u64> {
    let (days, time) = text.split_once('T').unwrap_or((text, ""));
    let mut sum: u64 = 0;
    let mut digits = String::new();
    let mut add = |part: &str, units: &[(char, u64)]| {
        for c in part.chars() {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            let (_, factor) = units.iter().find(|(unit, _)| *unit == c)?;
            let number: u64 = std::mem::take(&mut digits).parse().ok()?;
            sum = sum.checked_add(number.checked_mul(*factor)?)?;
        }
        digits.is_empty().then_some(())
    };
    add(days, &[('W', 604_800_000), ('D', 86_400_000)])?;
    add(time, &[('H', 3_600_000), ('M', 60_000), ('S', 1000)])?;
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_pacemakers_notation() {
        for (text, expected) in [
            ("3s", Some(3000)),
            ("3", Some(3000)),
            (" 3 s ", Some(3000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("500ms", Some(500)),
            ("2min", Some(120_000)),
            ("1m", Some(60_000)),
            ("1h", Some(3_600_000)),
            ("20SEC", Some(20_000)),
            ("PT1M30S", Some(90_000)),
            ("PT90S", Some(90_000)),
            ("P1DT1H", Some(90_000_000)),
            ("P", None),
            ("PT1", None),
            ("P1M", None),
            ("", None),
            ("-3s", None),
            ("3x", None),
            ("soon", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text:?}");
        }
    }
}
