#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use super::*;
use crate::cluster::sealed::seal;

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn marker() -> Marker {
    Marker {
        attempt: 3,
        method: Method::Rebuild,
        phase: Phase::Copying,
        source: node("n2"),
        system_id: 7_301_234_567_890_123_456,
        begun: 1_700_000_000,
        worker: WorkerId {
            boot: "0f1e2d3c-aaaa-4bbb-8ccc-1234567890ab".into(),
            pid: 4711,
            start_ticks: 123_456,
        },
        half_done: true,
        ruin: false,
        asked: false,
        old_copy: None,
        reason: "data diverged".into(),
    }
}

fn read(text: &str) -> Result<Marker, NotUnderstood> {
    Marker::parse(text, "pg", &node("n1"))
}

/// The marker's text with one line replaced (or taken away, or added to), sealed again.
fn with(line: &str, by: &str) -> String {
    let text = marker().to_text("pg", &node("n1"));
    let (body, _) = text.split_at(text.rfind("sum ").unwrap());
    assert!(body.contains(line), "{line}");
    seal(body.replacen(line, by, 1))
}

#[test]
fn a_marker_reads_back_as_it_was_written() {
    let mut rows = vec![marker()];
    for method in Method::ALL {
        rows.push(Marker { method, ..marker() });
    }
    for phase in Phase::ALL {
        rows.push(marker().at(phase, false));
    }
    rows.push(Marker { asked: true, ..marker() });
    rows.push(Marker { ruin: true, ..marker() });
    for reason in ["", " ", "two\nlines\r\n", "back\\slash\\n", "sum 0000", "größer \u{2028} x"] {
        rows.push(Marker { reason: reason.into(), ..marker() });
    }
    for path in ["/data/pg.old", "/with space ", "/with\nnew line", "/with\\"] {
        rows.push(Marker { old_copy: Some(path.into()), ..marker() });
    }
    for row in rows {
        assert_eq!(read(&row.to_text("pg", &node("n1"))), Ok(row.clone()), "{row:?}");
    }
}

#[test]
fn a_ruin_is_one_until_something_whole_is_in_its_place() {
    for (before, half_done, phase, expected) in [
        (false, false, Phase::Recovering, false),
        (false, true, Phase::Rewinding, true),
        // Nothing was written to.
        (true, false, Phase::Rewinding, false),
        (true, true, Phase::Copying, true),
        (true, true, Phase::Swapping, true),
        (true, false, Phase::Starting, false),
        (false, true, Phase::Copying, false),
        (false, true, Phase::Swapping, false),
    ] {
        assert_eq!(ruin(before, half_done, phase), expected, "{before} {half_done} {phase:?}");
        let marker = Marker { ruin: before, ..marker() }.at(phase, half_done);
        assert_eq!(Kept::Read(marker).data_is_a_ruin(), expected);
    }
    assert!(!Kept::<Marker>::Missing.data_is_a_ruin());
    assert!(Kept::<Marker>::Unreadable("rubbish".into()).data_is_a_ruin());
}

#[test]
fn a_marker_looks_like_this() {
    let text = |marker: Marker| {
        let text = marker.to_text("pg", &node("n1"));
        text.split_at(text.rfind("sum ").unwrap()).0.to_owned()
    };
    let asked = text(Marker { asked: true, ..marker() });
    assert!(asked.contains("half-done yes\nasked yes\nreason"), "{asked}");
    let broken = text(Marker { ruin: true, ..marker() });
    assert!(broken.contains("half-done yes\nruin yes\nreason"), "{broken}");
    assert_eq!(
        text(Marker { old_copy: Some("/d/old".into()), ..marker() }),
        "pgtwin-recovery 1\nresource pg\nnode n1\nattempt 3\nmethod rebuild\nphase copying\n\
         source n2\nsystem 7301234567890123456\nbegun 1700000000\n\
         worker 0f1e2d3c-aaaa-4bbb-8ccc-1234567890ab.4711.123456\nhalf-done yes\n\
         old-copy /d/old\nreason data diverged\n"
    );
}

#[test]
fn what_is_not_understood_of_a_marker_is_an_error_that_says_what() {
    let boot = "0f1e2d3c-aaaa-4bbb-8ccc-1234567890ab";
    for (line, by, what) in [
        ("pgtwin-recovery 1", "pgtwin-recovery 2", "another version"),
        ("resource pg\n", "resource other\n", "another resource"),
        ("node n1\n", "node n2\n", "another node"),
        ("node n1\n", "", "node is missing"),
        ("attempt 3", "attempt 0", "attempt"),
        ("attempt 3", "attempt +3", "attempt"),
        ("attempt 3", "attempt 4294967296", "attempt"),
        ("attempt 3\n", "", "attempt is missing"),
        ("attempt 3\n", "attempt 3\nattempt 3\n", "attempt stands twice"),
        ("method rebuild", "method Rebuild", "method"),
        ("phase copying", "phase copying ", "phase"),
        ("source n2", "source -n2", "source"),
        ("system 73", "system x73", "system"),
        ("begun 17", "begun -17", "begun"),
        ("begun 1700000000", "begun 9223372036854775808", "begun"),
        ("half-done yes", "half-done true", "half-done"),
        ("half-done yes\n", "", "half-done is missing"),
        ("half-done yes\n", "half-done yes\nasked no\n", "asked is not yes"),
        (boot, "", "identity"),
        (boot, "0f1e/", "identity"),
        (".4711.", ".1.", "identity"),
        (".4711.", ".-4711.", "identity"),
        (".4711.", ".2147483648.", "identity"),
        (".4711.", ".", "identity"),
        (".123456", ".123456.7", "identity"),
        ("reason data diverged\n", "reason data\\diverged\n", "escape"),
        ("reason data diverged\n", "reason data diverged\\\n", "escape"),
        ("reason data diverged\n", "reason\n", "no value"),
        ("reason data diverged\n", "reason x\nold-copy relative\n", "old-copy"),
        ("reason data diverged\n", "reason x\nsurprise y\n", "unknown line"),
    ] {
        let error = read(&with(line, by)).unwrap_err().to_string();
        assert!(error.contains(what), "{line} -> {by}: {error}");
    }
    for text in ["", "\n", "pgtwin-recovery 1\n"] {
        assert!(read(text).is_err(), "{text:?}");
    }
    let sealed = marker().to_text("pg", &node("n1"));
    let damaged = sealed.replace("half-done yes", "half-done no");
    assert!(read(&damaged).unwrap_err().to_string().contains("checksum"));
}

#[test]
fn how_far_it_is_fits_into_a_line_for_others() {
    let progress =
        |phase| Kept::Read(Progress::of(phase, 832_000_000, Some(2_028_000_000), 1_700_000_000));
    for (phase, progress, expected) in [
        (Phase::Checking, Kept::Missing, "it is checked which way"),
        (Phase::Copying, Kept::Missing, "rebuild from n2: copying"),
        (Phase::Copying, Kept::Unreadable("x".into()), "rebuild from n2: copying"),
        (Phase::Swapping, progress(Phase::Copying), "rebuild from n2: swapping"),
        (
            Phase::Copying,
            progress(Phase::Copying),
            "rebuild from n2: copying, 41 % (832 MB of 2028 MB)",
        ),
    ] {
        assert_eq!(Marker { phase, ..marker() }.how_far(&progress), expected);
    }
}

#[test]
fn only_a_marker_that_says_so_or_none_lets_the_data_be_started() {
    let whole = Marker { half_done: false, ..marker() };
    for (kept, is_whole) in [
        (Kept::Missing, true),
        (Kept::Read(whole), true),
        (Kept::Read(marker()), false),
        (Kept::Unreadable("damaged".into()), false),
    ] {
        assert_eq!(kept.data_is_whole(), is_whole, "{kept:?}");
    }
}

#[test]
fn the_pause_grows_and_then_stays() {
    for (failed, seconds) in [
        (0, 0),
        (1, 10),
        (2, 30),
        (3, 120),
        (4, 600),
        (5, 1800),
        (6, 1800),
        (1000, 1800),
        (u32::MAX, 1800),
    ] {
        assert_eq!(pause(failed), Duration::from_secs(seconds), "{failed}");
    }
}

#[test]
fn the_next_attempt_begins_when_the_pause_is_over() {
    let failed = |times, failed_at| Attempts { failed: times, failed_at, ..Attempts::default() };
    for (attempts, now, wait) in [
        (Attempts::default(), 0, 0),
        (Attempts::default(), 1_700_000_000, 0),
        (failed(1, 1000), 1000, 10),
        (failed(1, 1000), 1009, 1),
        (failed(1, 1000), 1010, 0),
        (failed(5, 1000), 1000, 1800),
        // The clock was set back, or far ahead.
        (failed(5, 1000), 999, 0),
        (failed(5, 1000), i64::MAX, 0),
        (failed(5, i64::MAX), i64::MAX, 0),
        (failed(5, i64::MIN), i64::MIN, 1800),
    ] {
        assert_eq!(attempts.wait(now), Duration::from_secs(wait), "{attempts:?} at {now}");
    }
    assert_eq!(failed(2, 1000).next_at(), 1030);
}

#[test]
fn after_the_last_attempt_it_is_a_persons_turn() {
    let failed = |times| Attempts { failed: times, failed_at: 1000, ..Attempts::default() };
    for (attempts, now, turn) in [
        (Attempts::default(), 1000, Turn::Now),
        (failed(1), 1009, Turn::At(1010)),
        (failed(1), 1010, Turn::Now),
        (failed(MOST - 1), 2799, Turn::At(2800)),
        (failed(MOST - 1), 2800, Turn::Now),
        (failed(MOST), 2800, Turn::Over),
        (failed(u32::MAX), i64::MAX, Turn::Over),
        // Not even by a clock that was set back.
        (failed(MOST), 0, Turn::Over),
    ] {
        assert_eq!(attempts.turn(now), turn, "{attempts:?} at {now}");
    }
}

#[test]
fn failures_are_counted_and_one_without_a_word_only_once() {
    let first = Attempts::default().failed_again(100, "no route to n2", "ping n2");
    let second = first.failed_again(200, "disk full", "df");
    assert_eq!((first.failed, second.failed, second.next_attempt()), (1, 2, 3));
    assert_eq!((second.reason.as_str(), second.next_command.as_str()), ("disk full", "df"));
    // The third began and its worker vanished.
    let found = second.with_abandoned(&marker(), 300);
    assert_eq!((found.failed, found.failed_at), (3, 300));
    assert!(found.reason.contains("rebuild from n2") && found.reason.contains("copying"));
    assert_eq!(found.with_abandoned(&marker(), 400), found);
    let removed = Attempts::default();
    assert_eq!(removed.with_abandoned(&marker(), 300), removed, "somebody begins anew");
    let first = Marker { attempt: 1, ..marker() };
    assert_eq!(removed.with_abandoned(&first, 300).failed, 1);
    let most = Attempts { failed: u32::MAX, ..Attempts::default() };
    assert_eq!((most.failed_again(1, "", "").failed, most.next_attempt()), (u32::MAX, u32::MAX));
}

#[test]
fn attempts_read_back_as_they_were_written_and_damage_is_an_error() {
    let n1 = node("n1");
    let attempts = Attempts::default().failed_again(1_700_000_000, "a\nb\\", "psql -c 'x'");
    for row in [Attempts::default(), attempts.clone()] {
        assert_eq!(Attempts::parse(&row.to_text("pg", &n1), "pg", &n1), Ok(row));
    }
    let text = attempts.to_text("pg", &n1);
    let (body, _) = text.split_at(text.rfind("sum ").unwrap());
    for (line, by) in [
        ("pgtwin-attempts 1", "pgtwin-recovery 1"),
        ("failed 1", "failed 4294967296"),
        ("failed 1\n", ""),
        ("failed-at 17", "failed-at x"),
        ("next ", "nextt "),
    ] {
        assert!(body.contains(line), "{line}");
        let text = seal(body.replacen(line, by, 1));
        assert!(Attempts::parse(&text, "pg", &n1).is_err(), "{line}");
    }
    assert!(Attempts::parse(&text, "other", &n1).is_err());
    assert!(Attempts::parse(&text, "pg", &node("n2")).is_err());
    assert!(Attempts::parse(&marker().to_text("pg", &n1), "pg", &n1).is_err());
}

#[test]
fn progress_never_claims_more_than_all() {
    for (done, total, percent, text) in [
        (0, None, None, "copying"),
        (5_000_000, None, None, "copying (5 MB)"),
        (0, Some(0), None, "copying (0 MB of 0 MB)"),
        (832_000_000, Some(2_028_000_000), Some(41), "copying, 41 % (832 MB of 2028 MB)"),
        (11, Some(10), Some(100), "copying, 100 % (0 MB of 0 MB)"),
        (
            u64::MAX,
            Some(u64::MAX),
            Some(100),
            "copying, 100 % (18446744073709 MB of 18446744073709 MB)",
        ),
    ] {
        let progress = Progress::of(Phase::Copying, done, total, 7);
        assert_eq!((progress.percent, progress.to_string().as_str()), (percent, text));
    }
}
