//! How the reason of a degraded instance gets through to people. Floor 1.
//!
//! A reason is answered once (190, 191), and then the answer is that all is well (0, 8), while Pacemaker goes on
//! showing the reason: it does so from its memory of failures (`last_failure_0`), for as long as `failure-timeout`
//! says. Four things about Pacemaker (2.1.5 to 3.0.1) ask for that.
//!
//! - It takes note of a recurring result only when its code changes: a 190 that begins as "starts up" and goes on as
//!   "waits for n2" would be shown as "starts up" for ever.
//! - When a node joins, or another one becomes the designated controller, it may write anew what it has on record of a
//!   node's operations, and of a monitor whose last result was 190 or 191 that is the memory alone. The next
//!   cancellation of that monitor, before a promotion or a demotion, then holds up the whole cluster for three minutes.
//! - It deletes that memory when `failure-timeout` is over, and sooner, with older failures ([`is_lost`]).
//! - It keeps the first result of a recurring monitor that it has just scheduled under another name if that is a 190
//!   or 191: the monitor then counts as pending, and `crm_resource --wait` never ends. So the first answer after
//!   whatever schedules monitors anew has no reason.
//!
//! Every change of a code makes Pacemaker compute anew: another reason is said not more often than once in
//! [`PATIENCE`] seconds.

use super::Verdict;
use crate::decide::unwatched::Recorded;
use crate::ocf::exit_code::ExitCode;

/// How long a reason stays at least, in seconds.
pub const PATIENCE: u64 = 30;
/// After how many seconds an instance that may be promoted says it again, at the soonest: if the primary and the
/// designated controller die together within one interval of that, the promotion waits.
pub const PATIENCE_OF_AN_HEIR: u64 = 600;

/// The reason that Pacemaker shows now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Its kind; empty: none is shown.
    pub kind: String,
    /// When it was said last, in seconds of uptime.
    pub at: u64,
    /// The last answer had it: Pacemaker takes no note of another one now.
    pub just_said: bool,
}

/// What is known of the monitor that answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Pacemaker may have scheduled it anew since the last answer.
    pub anew: bool,
    /// Pacemaker does not show the reason any more that it is to show ([`is_lost`]).
    pub is_lost: bool,
}

/// What is answered instead of `verdict`, and what Pacemaker shows then.
#[must_use]
pub fn answer(verdict: Verdict, shown: &Reported, record: Record, now: u64) -> (Verdict, Reported) {
    let well = match verdict.code {
        ExitCode::Degraded => ExitCode::Ok,
        ExitCode::DegradedPromoted => ExitCode::RunningPromoted,
        _ => return (verdict, Reported::default()),
    };
    if record.anew {
        return (Verdict::is(well), Reported::default());
    }
    let kind = kind(verdict.reason.as_deref().unwrap_or_default());
    let is_another = shown.kind != kind && now.saturating_sub(shown.at) >= PATIENCE;
    let is_due = shown.kind.is_empty() || is_another || record.is_lost;
    if is_due && !shown.just_said {
        return (verdict, Reported { kind, at: now, just_said: true });
    }
    (Verdict::is(well), Reported { just_said: false, ..shown.clone() })
}

/// How a reason is kept in sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// What Pacemaker has on record of the monitor.
    pub recorded: Recorded,
    /// After so many seconds (`failure-timeout`) it takes that for past, and shows it no more.
    pub shown_for: Option<u64>,
    /// Until the monitor answers again, in seconds.
    pub interval: u64,
    /// The instance has the right to be promoted.
    pub may_be_promoted: bool,
}

/// Whether Pacemaker does not show any more what is to be `shown`, or is about to forget it. A reason that is not on
/// record may be on its way there: it is missed no sooner than [`PATIENCE`] after it was said, and hence not more often
/// either.
#[must_use]
pub fn is_lost(sight: Sight, shown: &Reported, now: u64) -> bool {
    let patience = if sight.may_be_promoted { PATIENCE_OF_AN_HEIR } else { PATIENCE };
    let age = now.saturating_sub(shown.at);
    match sight.recorded {
        Recorded::MemoryAlone => true,
        Recorded::ResultAlone => age >= patience,
        Recorded::Both => sight.shown_for.is_some_and(|time| {
            age >= time.saturating_sub(sight.interval.saturating_mul(2)).max(patience)
        }),
        Recorded::Nothing => false,
    }
}

/// Whether there is a reason to show, and one is shown: Pacemaker's record of it may be lost.
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

    /// Said at that time, and not by the last answer.
    fn shown(reason: &str, at: u64) -> Reported {
        Reported { kind: kind(reason), at, just_said: false }
    }

    fn just_said(reason: &str, at: u64) -> Reported {
        Reported { just_said: true, ..shown(reason, at) }
    }

    const KNOWN: Record = Record { anew: false, is_lost: false };
    const LOST: Record = Record { anew: false, is_lost: true };
    const ANEW: Record = Record { anew: true, is_lost: false };

    #[test]
    fn a_reason_is_said_once_and_again_where_it_is_another_or_shown_no_more() {
        let none = Reported::default;
        let well = || Verdict::is(ExitCode::Ok);
        let (starts, waits) = ("it starts up", "waits for n2");
        let failed = || Verdict::because(ExitCode::FailedPromoted, waits);
        let primary = || Verdict::because(ExitCode::DegradedPromoted, waits);
        let serves = || Verdict::is(ExitCode::RunningPromoted);
        for (name, verdict, before, record, expected, after) in [
            ("all is well", well(), none(), KNOWN, well(), none()),
            ("all is well again", well(), just_said(starts, 1), KNOWN, well(), none()),
            ("a failure is no degraded state", failed(), shown(starts, 1), KNOWN, failed(), none()),
            ("the first", because(starts), none(), KNOWN, because(starts), just_said(starts, 100)),
            (
                "it was said",
                because(starts),
                just_said(starts, 92),
                KNOWN,
                well(),
                shown(starts, 92),
            ),
            ("it is shown", because(starts), shown(starts, 1), KNOWN, well(), shown(starts, 1)),
            (
                "another, too soon",
                because(waits),
                shown(starts, 71),
                KNOWN,
                well(),
                shown(starts, 71),
            ),
            (
                "another",
                because(waits),
                shown(starts, 70),
                KNOWN,
                because(waits),
                just_said(waits, 100),
            ),
            (
                "another, and Pacemaker takes note of a change only",
                because(waits),
                just_said(starts, 70),
                KNOWN,
                well(),
                shown(starts, 70),
            ),
            (
                "lost",
                because(starts),
                shown(starts, 9),
                LOST,
                because(starts),
                just_said(starts, 100),
            ),
            (
                "lost at once",
                because(starts),
                just_said(starts, 92),
                LOST,
                well(),
                shown(starts, 92),
            ),
            ("a primary's", primary(), none(), KNOWN, primary(), just_said(waits, 100)),
            ("it was said", primary(), just_said(waits, 97), KNOWN, serves(), shown(waits, 97)),
            ("scheduled anew", because(waits), shown(waits, 1), ANEW, well(), none()),
            ("a failure is said at once", failed(), none(), ANEW, failed(), none()),
        ] {
            assert_eq!(answer(verdict, &before, record, 100), (expected, after), "{name}");
        }
    }

    #[test]
    fn two_answers_in_a_row_never_have_a_reason() {
        let mut said = 0;
        for seed in 0..4_u32.pow(6) {
            let mut before = Reported::default();
            for step in 0..6 {
                let (reason, record) = match seed / 4_u32.pow(step) % 4 {
                    0 => ("it starts up", KNOWN),
                    1 => ("waits for n2", KNOWN),
                    2 => ("waits for n3", KNOWN),
                    _ => ("waits for n3", LOST),
                };
                let now = 1_000 + u64::from(step) * PATIENCE;
                let (verdict, after) = answer(because(reason), &before, record, now);
                assert!(verdict.code == ExitCode::Ok || !before.just_said, "{seed} {step}");
                assert_eq!(verdict.code == ExitCode::Degraded, after.just_said, "{seed} {step}");
                said += u32::from(after.just_said);
                before = after;
            }
        }
        assert!(said > 0);
    }

    #[test]
    fn a_reason_goes_on_after_an_answer_that_had_one() {
        let (why, none) = ("waits for n2", Reported::default());
        assert!(goes_on(&because(why), &shown("it starts up", 1)));
        assert!(goes_on(&Verdict::because(ExitCode::DegradedPromoted, why), &shown(why, 1)));
        assert!(!goes_on(&because(why), &none), "none is shown");
        assert!(!goes_on(&Verdict::is(ExitCode::Ok), &shown(why, 1)), "there is none to show");
        assert!(!goes_on(&Verdict::because(ExitCode::FailedPromoted, why), &shown(why, 1)));
    }

    #[test]
    fn a_reason_is_missed_after_a_while_and_said_again_before_it_is_past() {
        let shown = shown("waits for n2", 100);
        let at = |recorded, shown_for, may_be_promoted, now| {
            let sight = Sight { recorded, shown_for, interval: 8, may_be_promoted };
            is_lost(sight, &shown, now)
        };
        let lost = |recorded, time| {
            [100, 99 + PATIENCE, 100 + PATIENCE, 143, 144, 999]
                .map(|now| at(recorded, time, false, now))
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
        for (recorded, time) in [(Recorded::Both, Some(60)), (Recorded::ResultAlone, None)] {
            assert!(
                !at(recorded, time, true, 699) && at(recorded, time, true, 700),
                "{recorded:?}"
            );
        }
        assert!(at(Recorded::MemoryAlone, None, true, 100), "its record is to be whole again");
        let most = Some(u64::MAX);
        assert!(!at(Recorded::Both, most, false, 129) && !at(Recorded::Both, most, true, 999));
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
