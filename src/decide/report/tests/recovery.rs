//! What is said of recoveries.

use super::*;
use crate::cluster::recovery::{
    Attempts, Kept, MOST, Marker, Method, Outcome, Phase, Progress, Summary, WorkerId,
};
use crate::decide::report::OldCopy;

fn marker(phase: Phase) -> Marker {
    Marker {
        attempt: 2,
        method: Method::Rebuild,
        phase,
        source: node("n1"),
        system_id: SYSTEM,
        begun: NOW - 754,
        worker: WorkerId { boot: "0f1e2d3c".into(), pid: 4711, start_ticks: 123 },
        half_done: false,
        ruin: false,
        asked: false,
        old_copy: None,
        reason: "data diverged".into(),
    }
}

fn failed(times: u32, ago: i64) -> Kept<Attempts> {
    Kept::Read(Attempts {
        failed: times,
        failed_at: NOW - ago,
        reason: "pg_basebackup: error: disk full".into(),
        next_command: "less /var/log/pgtwin/db/a.log".into(),
    })
}

fn summary(attempt: u32, outcome: Outcome) -> Summary {
    Summary {
        resource: "db".into(),
        node: "n2".into(),
        attempt,
        method: Method::Rebuild,
        source: "n1".into(),
        system_id: SYSTEM.to_string(),
        begun: NOW - 700,
        ended: NOW - 13,
        outcome,
        phase: Phase::Copying,
        reason: "data diverged".into(),
        failure: "disk full".into(),
        next_command: String::new(),
        old_copy: None,
        copied_bytes: 1,
        log: "/var/log/pgtwin/db/a.log".into(),
    }
}

/// Seen from n2, which has no server and this on record.
fn of_n2(recovery: Recovery) -> Facts {
    let nobody = Server::Absent("nobody listens there".into());
    let mut facts = Facts { recovery, ..from_a_standby() };
    facts.servers.insert(node("n2"), nobody);
    let said = if facts.recovery.at_work == Known::Known(true) { "rebuilding" } else { "waiting" };
    facts.cib.node_states[1] = transient("n2", said, None);
    facts
}

fn recovery(marker: Marker) -> Recovery {
    Recovery {
        marker: Kept::Read(marker),
        again: "rm /var/lib/pgtwin/db/attempts".into(),
        ..Recovery::none(NOW)
    }
}

/// The lines about it, each with its title, and the warnings.
fn said(facts: &Facts) -> (Vec<String>, String) {
    let report = report(facts);
    fits(&report.to_string());
    let about = |title: &str| ["Recovery", "Attempts", "Old copy"].contains(&title);
    let lines = report.lines.iter().filter(|(title, _)| about(title));
    (lines.map(|(title, words)| format!("{title}: {words}")).collect(), report.warnings.join("\n"))
}

#[test]
fn a_node_that_is_being_rebuilt_shows_how_far_it_is_and_from_where() {
    let progress = Progress::of(Phase::Copying, 832_000_000, Some(2_028_000_000), NOW - 1);
    let facts = of_n2(Recovery {
        at_work: Known::Known(true),
        progress: Kept::Read(progress),
        log: Kept::Read("/var/log/pgtwin/db/recovery-20231114-221320-attempt-2.log".into()),
        attempts: failed(1, 760),
        last: Kept::Read(summary(1, Outcome::Failed)),
        ..recovery(marker(Phase::Copying))
    });
    let expected = "\
db: synchronous replication, 3 members, as seen from n2

NODE  ROLE     STATE       TL  LSN        LAG  DELAY  SYNC  SCORE  HEIR
n1    primary  writable     3  0/5000148    -      -  -     20000  -
n2    standby  rebuilding   -  -            -      -  yes       -  yes
n3    standby  streaming    3  0/5000148  0 B  0.4 s  yes   10000  yes

Ledger       writes need n2 or n3; n2 or n3 may take over; last promotion: n1
             (term 3, promotion 8f3a12bc, entry 7).
Quorum       yes: 3 of 3 nodes are online
Fencing      works (fencing)
Maintenance  no
Address      192.0.2.100 on n1
Recovery     at work for 12 min: rebuild from n1, copying, 41 % (832 MB of 2028
             MB) (data diverged); log:
             /var/log/pgtwin/db/recovery-20231114-221320-attempt-2.log
Attempts     1 failed, the last 12 min ago (rebuild from n1, copying):
             pg_basebackup: error: disk full; to see more: less
             /var/log/pgtwin/db/a.log

Warnings:
- n2's data is being brought back
";
    shows(&facts, expected);
}

#[test]
fn what_is_waited_for_is_said_with_the_next_attempt_and_what_to_type() {
    let waits = || Kept::Read("data diverged; pg_hba.conf on n1 has no line for n2".to_owned());
    for (name, recovery, lines) in [
        (
            "the check found something",
            Recovery { waits: waits(), ..recovery(marker(Phase::Checking)) },
            &["Recovery: waits since 12 min: data diverged; pg_hba.conf on n1 has no line for n2"]
                [..],
        ),
        (
            "no monitor has looked yet",
            recovery(marker(Phase::Checking)),
            &["Recovery: waits since 12 min: data diverged"],
        ),
        (
            "a pause",
            Recovery {
                attempts: failed(2, 13),
                last: Kept::Read(summary(2, Outcome::Failed)),
                ..recovery(Marker { half_done: true, ..marker(Phase::Swapping) })
            },
            &[
                "Recovery: waits since 12 min: data diverged; the data here is between old and new \
                 (rebuild from n1, swapping), and is not started",
                "Attempts: 2 failed, the last 13 s ago (rebuild from n1, copying): pg_basebackup: \
                 error: disk full; the next begins in 17 s; to see more: less \
                 /var/log/pgtwin/db/a.log",
            ],
        ),
        (
            "the pause is over, and the summary is of another attempt",
            Recovery {
                attempts: failed(2, 31),
                last: Kept::Read(summary(1, Outcome::Failed)),
                ..recovery(marker(Phase::Copying))
            },
            &[
                "Recovery: waits since 12 min: data diverged",
                "Attempts: 2 failed, the last 31 s ago: pg_basebackup: error: disk full; the next \
                 begins with the next monitor; to see more: less /var/log/pgtwin/db/a.log",
            ],
        ),
        (
            "given up",
            Recovery { attempts: failed(MOST, 200_000), ..recovery(marker(Phase::Copying)) },
            &[
                "Recovery: waits since 12 min: data diverged",
                "Attempts: 10 failed, the last 2 d 7 h ago: pg_basebackup: error: disk full; given \
                 up. When that is mended: rm /var/lib/pgtwin/db/attempts; to see more: less \
                 /var/log/pgtwin/db/a.log",
            ],
        ),
    ] {
        let (shown, warnings) = said(&of_n2(recovery));
        assert_eq!(shown, lines, "{name}");
        assert!(warnings.contains("n2 waits to be brought back"), "{name}: {warnings}");
        assert!(!warnings.contains("gave no position"), "{name}: {warnings}");
    }
}

#[test]
fn a_worker_that_checks_or_is_silent_or_has_left_a_rest_is_told_apart() {
    let at_work = |marker| Recovery { at_work: Known::Known(true), ..recovery(marker) };
    let stands = Progress::of(Phase::Copying, 5_000_000, Some(10_000_000), NOW - 180);
    let earlier = Progress::of(Phase::Recovering, 0, None, NOW - 180);
    for (name, recovery, line) in [
        ("checks", at_work(marker(Phase::Checking)), "at work for 12 min: checks which way"),
        (
            "stands",
            Recovery { progress: Kept::Read(stands), ..at_work(marker(Phase::Copying)) },
            "rebuild from n1, copying, 50 % (5 MB of 10 MB), no news for 3 min",
        ),
        (
            "the progress is of the phase before",
            Recovery { progress: Kept::Read(earlier), ..at_work(marker(Phase::Copying)) },
            "rebuild from n1, copying (data diverged)",
        ),
    ] {
        let (shown, _) = said(&of_n2(recovery));
        assert!(shown[0].contains(line), "{name}: {shown:?}");
    }
    let mut facts = of_n2(recovery(marker(Phase::Starting)));
    facts.servers.insert(node("n2"), Server::Standby(Timeline(3), AT));
    let (shown, warnings) = said(&facts);
    assert!(shown[0].contains("PostgreSQL runs, and when it streams"), "{shown:?}");
    assert!(warnings.contains("n2 runs, and its recovery is not finished yet"), "{warnings}");
}

#[test]
fn what_cannot_be_read_is_said_and_never_taken_for_nothing() {
    let why = || "a checksum is wrong".to_owned();
    let copying = || Recovery { at_work: Known::Known(true), ..recovery(marker(Phase::Copying)) };
    for (recovery, expected) in [
        (
            Recovery { marker: Kept::Unreadable(why()), ..Recovery::none(NOW) },
            "so its data is not started: a checksum is wrong",
        ),
        (
            Recovery { attempts: Kept::Unreadable(why()), ..Recovery::none(NOW) },
            "how often recoveries failed here is not known: a checksum is wrong",
        ),
        (
            Recovery { copies: Known::unknown(why()), ..Recovery::none(NOW) },
            "whether an old copy of n2's data is kept is not known: a checksum is wrong",
        ),
        (
            Recovery { at_work: Known::unknown(why()), ..recovery(marker(Phase::Copying)) },
            "whether a recovery of n2 is at work is not known: a checksum is wrong",
        ),
        (
            Recovery { waits: Kept::Unreadable(why()), ..recovery(marker(Phase::Copying)) },
            "what n2 waits for is not known: a checksum is wrong",
        ),
        (
            Recovery { log: Kept::Unreadable(why()), ..copying() },
            "the log of the recovery is not found: a checksum is wrong",
        ),
        (
            Recovery {
                attempts: failed(1, 1),
                last: Kept::Unreadable(why()),
                ..recovery(marker(Phase::Copying))
            },
            "what came of the last attempt is not known: a checksum is wrong",
        ),
    ] {
        warns(&of_n2(recovery), expected);
    }
    let lost = Recovery { progress: Kept::Unreadable(why()), ..copying() };
    let (shown, _) = said(&of_n2(lost));
    assert!(shown[0].contains("copying, how far is not known: a checksum is wrong"), "{shown:?}");
}

#[test]
fn an_old_copy_is_shown_with_its_size_and_is_no_reason_to_worry() {
    let copy = OldCopy {
        dirs: vec!["/srv/pg data.backup.20261126-031500".into(), "/wal.backup.1".into()],
        bytes: Known::Known(12 << 30),
    };
    let uncounted =
        OldCopy { dirs: vec!["/srv/pg.backup.2".into()], bytes: Known::unknown("long") };
    let copies = Known::Known(vec![copy, uncounted]);
    let facts = Facts {
        recovery: Recovery { copies: copies.clone(), ..Recovery::none(NOW) },
        ..from_a_standby()
    };
    let (shown, warnings) = said(&facts);
    assert_eq!(
        shown,
        [
            "Old copy: /srv/pg data.backup.20261126-031500 (12 GB); when it is not needed any more: \
             rm -rf '/srv/pg data.backup.20261126-031500' /wal.backup.1",
            "Old copy: /srv/pg.backup.2 (size ?: long); when it is not needed any more: rm -rf \
             /srv/pg.backup.2",
        ]
    );
    assert_eq!(warnings, "");
    let (shown, _) = said(&of_n2(Recovery { copies, ..recovery(marker(Phase::Starting)) }));
    assert!(shown[1].ends_with("leave it alone until this node streams"), "{shown:?}");
}

#[test]
fn another_node_is_shown_by_what_its_state_says() {
    let mut facts = healthy();
    facts.servers.insert(node("n3"), Server::Absent("nobody listens there".into()));
    facts.local = Some(local(&[("n2", 0)], VOTES));
    for (said, expected) in [
        ("rebuilding", "n3's data is being brought back: pgtwin status on n3 says how far"),
        ("waiting", "n3 waits to be brought back: pgtwin status on n3 says for what"),
    ] {
        facts.cib.node_states[2] = transient("n3", said, None);
        let report = report(&facts);
        assert_eq!(report.warnings, [expected]);
        let row = &report.rows[2];
        assert_eq!(row.state, Cell::Is(said.to_owned()));
        assert_eq!((&row.lsn, &row.lag, &row.delay), (&Cell::No, &Cell::No, &Cell::No));
    }
    facts.cib.node_states[2] = transient("n3", "rebuilding", None);
    facts.progress.insert(node("n3"), "rebuild from n1: copying, 41 %".into());
    let told = "n3's data is being brought back: rebuild from n1: copying, 41 %";
    assert_eq!(report(&facts).warnings, [told]);
    // One that runs and waits for a primary waits for no recovery.
    let mut facts = healthy();
    facts.cib.node_states[2] = transient("n3", "waiting", None);
    assert!(!report(&facts).needs_attention());
}
