//! What the report says, and how wide it is.

use std::time::Instant;

use super::*;
use crate::torture::judge::Account;

fn fault(number: usize, kind: Kind, begin: Instant, from: u64, to: u64) -> Played {
    Played {
        number,
        kind,
        with: (number == 2).then_some(Kind::Moves),
        plan: format!(
            "{number} {kind}: Kill Postmaster of the primary; for 2.0 s; until well, and 3.4 s"
        ),
        done: vec!["Kill Postmaster on n1".to_owned()],
        failed: false,
        at: 1.0,
        lasted: 2.0,
        well_after: Some(3.0),
        outage: None,
        begin: begin + Duration::from_secs(from),
        end: begin + Duration::from_secs(to),
    }
}

fn report(failures: &[&str]) -> Report {
    let zero = Instant::now();
    let mut faults = vec![
        fault(1, Kind::KillPostmaster, zero, 0, 10),
        fault(2, Kind::KillNode, zero, 10, 20),
        fault(3, Kind::KillPostmaster, zero, 20, 30),
    ];
    let at =
        |seconds: u64, ms: u64| (zero + Duration::from_secs(seconds), Duration::from_millis(ms));
    assign(&mut faults, &[at(1, 1500), at(2, 400), at(12, 7250), at(35, 900)]);
    let account = Account {
        name: "cancelled rows".to_owned(),
        acknowledged: 1_234_567,
        unknown_there: 12,
        unknown_absent: 30,
        ..Account::default()
    };
    let rows = Account {
        name: "rows".to_owned(),
        acknowledged: 8,
        refused: 3,
        unknown_there: 1,
        ..Account::default()
    };
    Report {
        verdict: if failures.is_empty() { "passed" } else { "failed" },
        failures: failures.iter().map(|one| (*one).to_owned()).collect(),
        seed: 7,
        nodes: 3,
        release: "trixie",
        mode: "sync",
        only: Vec::new(),
        began: "2026-11-26T15:32:44Z".to_owned(),
        seconds: 612.0,
        outages: Spread::of([1.5, 0.4, 7.25, 0.9]),
        outages_by_kind: by_kind(&faults),
        well_after: Spread::of([3.0, 3.0, 3.0]),
        fenced: 1,
        converged_after: Some(12.3),
        findings: Findings {
            accounts: vec![rows, account],
            sums_read: 700,
            samples: 9000,
            compared: 2,
            ..Findings::default()
        },
        faults,
        bundle: (!failures.is_empty()).then(|| "/tmp/bundle".to_owned()),
    }
}

#[test]
fn percentiles_are_of_the_nearest_rank() {
    for (times, expected) in [
        (vec![], None),
        (vec![2.0], Some((1, 2.0, 2.0, 2.0))),
        (vec![3.0, 1.0, 2.0], Some((3, 2.0, 3.0, 3.0))),
        ((1..=10).map(f64::from).collect(), Some((10, 5.0, 9.0, 10.0))),
        ((1..=100).map(f64::from).collect(), Some((100, 50.0, 90.0, 100.0))),
    ] {
        let found = Spread::of(times).map(|one| (one.count, one.median, one.p90, one.max));
        assert_eq!(found, expected);
    }
}

#[test]
fn an_outage_is_of_the_fault_in_which_it_began_and_the_longest_counts() {
    let report = report(&[]);
    let outages: Vec<_> = report.faults.iter().map(|fault| fault.outage).collect();
    assert_eq!(outages, [Some(1.5), Some(7.25), None]);
    let spread = report.outages_by_kind.get(&Kind::KillPostmaster).map(|one| (one.count, one.max));
    assert_eq!(spread, Some((1, 1.5)));
}

#[test]
fn the_page_of_a_run_that_passed() {
    let text = report(&[]).text();
    assert_eq!(
        text,
        "\
torture: PASSED
seed 7, 3 nodes of trixie, sync mode, 10 min 12 s from 2026-11-26T15:32:44Z

3 faults, 1 with a second one, 0 that found nothing to hit

  fault              number  longest pause of writes that began meanwhile
  kill-postmaster         2  median 1.50 s, p90 1.50 s, max 1.50 s
  kill-node               1  median 7.25 s, p90 7.25 s, max 7.25 s

  pauses of writes > 0.3 s    4, median 0.90 s, p90 7.25 s, max 7.25 s
  well again after            3, median 3.00 s, p90 3.00 s, max 3.00 s
  nodes fenced                1
  two writable at once        never in 9000 samples
  bank's sum wrong            never in 700 reads
  list elements not read      0
  list elements out of order  0
  at the end                  well after 12.3 s
  differences between nodes   none, 2 compared with the primary
  interventions               0

  writes            acknowledged   lost   twice  refused     unknown of them in
  rows                         8      0       0        3           1          1
  cancelled rows         1234567      0       0        0          42         12
  all                    1234575      0       0        3          43         13
"
    );
}

#[test]
fn no_line_is_wider_than_80_columns_and_a_failure_comes_first() {
    let long = "the nodes differ, 1 times: writes: n1 has 5|77, n2 has 5|78 (rows|sum), and so on \
                and so on and so on";
    let text = report(&[long, "it took an operator"]).text();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let third = text.lines().nth(3).unwrap_or_default();
    assert!(third.starts_with("FAILED: the nodes differ"), "{text}");
    assert!(text.contains("torture: FAILED") && text.ends_with("  /tmp/bundle\n"), "{text}");
    assert!(text.contains("1 s: 3 kill-postmaster"), "{text}");
}

#[test]
fn the_json_has_the_findings_beside_the_figures_and_the_names_of_kinds() {
    let json: serde_json::Value = serde_json::from_str(&report(&["x"]).json()).unwrap_or_default();
    let at = |pointer: &str| json.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/verdict"), "failed");
    assert_eq!(at("/seed"), 7);
    assert_eq!(at("/release"), "trixie");
    assert_eq!(at("/mode"), "sync");
    assert_eq!(at("/faults/1/kind"), "kill-node");
    assert_eq!(at("/faults/1/outage"), 7.25);
    assert_eq!(at("/faults/1/with"), "moves");
    assert_eq!(at("/outages_by_kind/kill-postmaster/max"), 1.5);
    assert_eq!(at("/accounts/1/acknowledged"), 1_234_567);
    assert_eq!(at("/interventions"), serde_json::json!([]));
    assert_eq!(at("/bundle"), "/tmp/bundle");
}
