//! The verdict: what was found, and what of it is a failure.

use serde::Serialize;

use crate::options::Mode;
use crate::workload::checker::Verdict;
use crate::workload::writer::WriteLog;

/// What became of the writes of one workload. All of them are in here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Acknowledged.
    pub acknowledged: usize,
    /// Acknowledged and not there.
    pub lost: usize,
    /// The first of these.
    pub lost_numbers: Vec<i64>,
    /// There more than once.
    pub twice: usize,
    /// Refused by the server.
    pub refused: usize,
    /// Refused, and there all the same.
    pub refused_but_there: usize,
    /// Without an answer, and there.
    pub unknown_there: usize,
    /// Without an answer, and not there.
    pub unknown_absent: usize,
}

/// So many of the lost are named.
const NAMED: usize = 20;

impl Account {
    /// Of a comparison.
    pub fn of(name: &str, log: &WriteLog, verdict: &Verdict) -> Self {
        Self {
            name: name.to_owned(),
            acknowledged: verdict.acknowledged,
            lost: verdict.lost.len(),
            lost_numbers: verdict.lost.iter().take(NAMED).copied().collect(),
            twice: verdict.duplicated.len(),
            refused: log.refused(),
            refused_but_there: verdict.refused_but_there.len(),
            unknown_there: verdict.unknown_there,
            unknown_absent: verdict.unknown_absent,
        }
    }
}

impl Account {
    /// Of all workloads together.
    pub fn sum(name: &str, all: &[Self]) -> Self {
        let sum = |number: fn(&Self) -> usize| all.iter().map(number).sum();
        Self {
            name: name.to_owned(),
            acknowledged: sum(|one| one.acknowledged),
            lost: sum(|one| one.lost),
            lost_numbers: Vec::new(),
            twice: sum(|one| one.twice),
            refused: sum(|one| one.refused),
            refused_but_there: sum(|one| one.refused_but_there),
            unknown_there: sum(|one| one.unknown_there),
            unknown_absent: sum(|one| one.unknown_absent),
        }
    }
}

/// All that was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Findings {
    /// A line for each workload; none where there was no primary to be read at the end.
    pub accounts: Vec<Account>,
    /// Acknowledged list elements that a later transaction did not see.
    pub missed: Vec<i64>,
    /// Acknowledged list elements that stand behind a later one.
    pub out_of_order: Vec<i64>,
    /// Reads of the bank's sum.
    pub sums_read: usize,
    /// Those that were wrong.
    pub wrong_sums: Vec<String>,
    /// Balances that no transfers explain.
    pub wrong_balances: Vec<String>,
    /// So often an instance told the watcher whether it accepts writes.
    pub samples: usize,
    /// Samples that show two writable instances at once.
    pub two_primaries: Vec<String>,
    /// So many nodes were compared with the primary.
    pub compared: usize,
    /// What the nodes' tables differ in.
    pub differences: Vec<String>,
    /// Something else that broke the run off or kept it from being judged.
    pub broken: Vec<String>,
    /// Things done that an operator would have had to do.
    pub interventions: Vec<String>,
}

impl Findings {
    /// Why the run has failed; empty: it has not. In async mode a failover may lose what was acknowledged.
    pub fn failures(&self, mode: Mode) -> Vec<String> {
        let mut failures = self.broken.clone();
        let mut fail = |number: usize, what: String| {
            if number > 0 {
                failures.push(what);
            }
        };
        let list = |numbers: &[i64]| {
            let some: Vec<String> = numbers.iter().take(NAMED).map(i64::to_string).collect();
            some.join(" ")
        };
        for one in &self.accounts {
            let name = &one.name;
            if mode == Mode::Sync {
                let which = list(&one.lost_numbers);
                fail(one.lost, format!("{name}: {} acknowledged and lost: {which}", one.lost));
            }
            fail(one.twice, format!("{name}: {} there twice", one.twice));
            let there = one.refused_but_there;
            fail(there, format!("{name}: {there} refused and there all the same"));
        }
        if mode == Mode::Sync {
            let missed = &self.missed;
            let which = list(missed);
            fail(
                missed.len(),
                format!("lists: {} acknowledged and not read: {which}", missed.len()),
            );
        }
        let wrong = &self.out_of_order;
        fail(wrong.len(), format!("lists: {} out of order: {}", wrong.len(), list(wrong)));
        for (what, found) in [
            ("the bank's sum was wrong", &self.wrong_sums),
            ("the bank's balances are wrong", &self.wrong_balances),
            ("two instances were writable at once", &self.two_primaries),
            ("the nodes differ", &self.differences),
            ("it took an operator", &self.interventions),
        ] {
            let first = found.first().cloned().unwrap_or_default();
            fail(found.len(), format!("{what}, {} times: {first}", found.len()));
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(change: impl Fn(&mut Findings)) -> Findings {
        let account = Account { name: "rows".to_owned(), acknowledged: 9, ..Account::default() };
        let mut findings =
            Findings { accounts: vec![account], sums_read: 5, ..Findings::default() };
        change(&mut findings);
        findings
    }

    fn change_account(change: impl Fn(&mut Account)) -> Findings {
        found(|findings| findings.accounts.iter_mut().for_each(&change))
    }

    #[test]
    fn each_finding_fails_a_run_and_a_loss_only_one_in_sync_mode() {
        let one = || vec!["x".to_owned()];
        for (name, findings, in_sync, in_async) in [
            ("nothing", found(|_| {}), false, false),
            ("lost", change_account(|one| one.lost = 1), true, false),
            ("twice", change_account(|one| one.twice = 1), true, true),
            ("refused", change_account(|one| one.refused = 1), false, false),
            ("refused but there", change_account(|one| one.refused_but_there = 1), true, true),
            ("unknown", change_account(|one| one.unknown_there = 1), false, false),
            ("unknown, absent", change_account(|one| one.unknown_absent = 1), false, false),
            ("missed", found(|all| all.missed = vec![1]), true, false),
            ("out of order", found(|all| all.out_of_order = vec![1]), true, true),
            ("wrong sum", found(|all| all.wrong_sums = one()), true, true),
            ("wrong balance", found(|all| all.wrong_balances = one()), true, true),
            ("two primaries", found(|all| all.two_primaries = one()), true, true),
            ("differences", found(|all| all.differences = one()), true, true),
            ("broken", found(|all| all.broken = one()), true, true),
            ("intervention", found(|all| all.interventions = one()), true, true),
        ] {
            let failed = |mode| !findings.failures(mode).is_empty();
            assert_eq!((failed(Mode::Sync), failed(Mode::Async)), (in_sync, in_async), "{name}");
        }
    }

    #[test]
    fn a_failure_names_the_workload_and_the_numbers() {
        let findings = change_account(|one| {
            one.lost = 2;
            one.lost_numbers = vec![4, 7];
        });
        assert_eq!(findings.failures(Mode::Sync), ["rows: 2 acknowledged and lost: 4 7"]);
    }
}
