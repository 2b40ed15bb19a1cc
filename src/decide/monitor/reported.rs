//! How the reason of a degraded instance gets through to people. Floor 1.
//!
//! Two things about Pacemaker (2.1.5 to 3.0.1) are in the way. It takes note of a recurring result only
//! when its code changes: a 190 that begins as "starts up" and goes on as "waits for n2" would be shown
//! as "starts up" for ever. So a reason of another kind is preceded by one answer without a reason; every
//! change of a code makes Pacemaker compute anew, hence not more often than once in [`PATIENCE`] seconds.
//! And it keeps the first result of a recurring monitor that it has just scheduled under another name if
//! that is a 190 or 191: the monitor then counts as pending, and `crm_resource --wait` never ends. So the
//! first answer after whatever schedules monitors anew has no reason either; nor has the one after Pacemaker
//! has lost its record of this monitor, or of its reason ([`is_lost`]).

use super::Verdict;
use crate::decide::unwatched::Recorded;
use crate::ocf::exit_code::ExitCode;

/// How long a reason stays at least, in seconds.
pub const PATIENCE: u64 = 30;

/// The reason that Pacemaker shows now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Its kind; empty: none is shown.
    pub kind: String,
    /// Since when, in seconds of uptime.
    pub at: u64,
}

/// What is answered instead of `verdict`, and what Pacemaker shows then. `first`: Pacemaker may have
/// scheduled this monitor anew since the last answer, or has lost its record of it.
#[must_use]
pub fn answer(verdict: Verdict, shown: &Reported, first: bool, now: u64) -> (Verdict, Reported) {
    let well = match verdict.code {
        ExitCode::Degraded => ExitCode::Ok,
        ExitCode::DegradedPromoted => ExitCode::RunningPromoted,
        _ => return (verdict, Reported::default()),
    };
    if first {
        return (Verdict::is(well), Reported::default());
    }
    let kind = kind(verdict.reason.as_deref().unwrap_or_default());
    if shown.kind.is_empty() {
        return (verdict, Reported { kind, at: now });
    }
    if shown.kind == kind || now.saturating_sub(shown.at) < PATIENCE {
        return (verdict, shown.clone());
    }
    (Verdict::is(well), Reported::default())
}

/// Whether Pacemaker does not show any more what is to be `shown`: one answer without a reason has it recorded anew,
/// and the next one brings the reason back. A reason that is not on record may be on its way there: it is missed no
/// sooner than [`PATIENCE`] after it was said, and hence not more often either. `shown_for`: after so many seconds
/// (`failure-timeout`) Pacemaker takes what is on record for past, and shows it no more.
#[must_use]
pub fn is_lost(recorded: Recorded, shown_for: Option<u64>, shown: &Reported, now: u64) -> bool {
    let age = now.saturating_sub(shown.at);
    match recorded {
        Recorded::MemoryAlone => true,
        Recorded::ResultAlone => age >= PATIENCE,
        Recorded::Both => shown_for.is_some_and(|time| age >= time.max(PATIENCE)),
        Recorded::Nothing => false,
    }
}

/// Whether there is a reason to show, and one is shown; where none is, the last answer was one without.
#[must_use]
pub fn goes_on(verdict: &Verdict, shown: &Reported) -> bool {
    matches!(verdict.code, ExitCode::Degraded | ExitCode::DegradedPromoted)
        && !shown.kind.is_empty()
}

/// Whether Pacemaker may have scheduled monitors anew since the last one: another action ran (`last` is 0), or
/// none did for longer than a late one takes (maintenance). `interval`: of these monitors, in seconds; `last`:
/// when one ran, in seconds of uptime, written down only once in `coarse` seconds.
#[must_use]
pub fn is_first(last: u64, interval: u64, coarse: u64, now: u64) -> bool {
    let late = 3 * interval + coarse + 30;
    last == 0 || now.saturating_sub(last) > late
}

/// A reason without what may vary while the cause lasts: numbers and positions in the WAL.
fn kind(reason: &str) -> String {
    let varies = |word: &&str| word.chars().any(|c| c.is_ascii_digit()) && word.contains('/');
    let numbers = |c: char| c.is_ascii_digit();
    let words = reason.split_whitespace().map(|word| {
        if varies(&word) {
            "#".to_owned()
        } else if word.trim_end_matches([',', ';', ')', ':']).chars().all(numbers) {
            word.replace(numbers, "")
        } else {
            word.to_owned()
        }
    });
    let kind = words.collect::<Vec<_>>().join(" ");
    if kind.is_empty() { "-".to_owned() } else { kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn because(reason: &str) -> Verdict {
        Verdict::because(ExitCode::Degraded, reason)
    }

    fn shown(reason: &str, at: u64) -> Reported {
        Reported { kind: kind(reason), at }
    }

    #[test]
    fn a_reason_of_another_kind_is_preceded_by_one_answer_without_a_reason() {
        let none = Reported::default;
        let (starts, waits) = ("it starts up", "waits for n2");
        let rows: &[(&str, Verdict, Reported, Verdict, Reported)] = &[
            ("all is well", Verdict::is(ExitCode::Ok), none(), Verdict::is(ExitCode::Ok), none()),
            (
                "all is well again",
                Verdict::is(ExitCode::Ok),
                shown(starts, 1),
                Verdict::is(ExitCode::Ok),
                none(),
            ),
            (
                "a failure is no degraded state",
                Verdict::because(ExitCode::FailedPromoted, waits),
                shown(starts, 1),
                Verdict::because(ExitCode::FailedPromoted, waits),
                none(),
            ),
            ("the first", because(starts), none(), because(starts), shown(starts, 100)),
            ("the same", because(starts), shown(starts, 1), because(starts), shown(starts, 1)),
            (
                "another, too soon to say so",
                because(waits),
                shown(starts, 71),
                because(waits),
                shown(starts, 71),
            ),
            (
                "another: one answer without",
                because(waits),
                shown(starts, 70),
                Verdict::is(ExitCode::Ok),
                none(),
            ),
            (
                "of a primary",
                Verdict::because(ExitCode::DegradedPromoted, waits),
                shown(starts, 1),
                Verdict::is(ExitCode::RunningPromoted),
                none(),
            ),
        ];
        for (name, verdict, before, expected, after) in rows {
            assert_eq!(
                answer(verdict.clone(), before, false, 100),
                (expected.clone(), after.clone()),
                "{name}"
            );
        }
    }

    #[test]
    fn the_first_answer_of_a_monitor_is_never_degraded() {
        let (why, none) = ("waits for n2", Reported::default());
        let first = answer(because(why), &shown(why, 1), true, 100);
        assert_eq!(first, (Verdict::is(ExitCode::Ok), none.clone()));
        let failed = Verdict::because(ExitCode::FailedPromoted, why);
        assert_eq!(answer(failed.clone(), &none, true, 100), (failed, none), "a failure is");
    }

    #[test]
    fn a_reason_goes_on_after_an_answer_that_had_one() {
        let (why, none) = ("waits for n2", Reported::default());
        assert!(goes_on(&because(why), &shown("it starts up", 1)));
        assert!(goes_on(&Verdict::because(ExitCode::DegradedPromoted, why), &shown(why, 1)));
        assert!(!goes_on(&because(why), &none), "the last answer had none");
        assert!(!goes_on(&Verdict::is(ExitCode::Ok), &shown(why, 1)), "nor has this one");
        assert!(!goes_on(&Verdict::because(ExitCode::FailedPromoted, why), &shown(why, 1)));
    }

    #[test]
    fn a_reason_that_is_shown_no_more_is_missed_after_a_while() {
        let shown = shown("waits for n2", 100);
        let lost = |recorded, time| {
            [100, 99 + PATIENCE, 100 + PATIENCE, 159, 160, 999]
                .map(|now| is_lost(recorded, time, &shown, now))
        };
        for time in [None, Some(60)] {
            assert_eq!(lost(Recorded::Nothing, time), [false; 6], "{time:?}");
            assert_eq!(lost(Recorded::MemoryAlone, time), [true; 6], "{time:?}");
            let after_a_while = [false, false, true, true, true, true];
            assert_eq!(lost(Recorded::ResultAlone, time), after_a_while, "{time:?}");
        }
        assert_eq!(
            lost(Recorded::Both, None),
            [false; 6],
            "it is shown for as long as it is there"
        );
        assert_eq!(lost(Recorded::Both, Some(60)), [false, false, false, false, true, true]);
        let short = [false, false, true, true, true, true];
        assert_eq!(lost(Recorded::Both, Some(5)), short, "it would be said all the time");
    }

    #[test]
    fn monitors_are_new_after_another_action_and_after_a_long_silence() {
        // Every 3 s, written down once in 20 s: late is 59 s.
        for (name, last, now, first) in [
            ("another action ran", 0, 1_000, true),
            ("the last one was on time", 997, 1_000, false),
            ("it was late", 941, 1_000, false),
            ("nobody has run one for long", 940, 1_000, true),
            (
                "the clock of the boot is younger: another boot's cache is not read",
                2_000,
                1_000,
                false,
            ),
        ] {
            assert_eq!(is_first(last, 3, 20, now), first, "{name}");
        }
        assert!(is_first(900, 8, 20, 975) && !is_first(900, 8, 20, 974), "every 8 s");
    }

    #[test]
    fn numbers_and_positions_do_not_make_another_kind_and_names_do() {
        let far = "n2 has more: timeline 3 at 0/500, this node timeline 3 at 0/400";
        let further = "n2 has more: timeline 3 at 0/5A0, this node timeline 3 at 0/400";
        assert_eq!(kind(far), kind(further));
        assert_eq!(kind("12 bytes are missing"), kind("4096 bytes are missing"));
        assert_ne!(kind("waits for n2"), kind("waits for n3"));
        assert_ne!(kind(""), "");
    }
}
