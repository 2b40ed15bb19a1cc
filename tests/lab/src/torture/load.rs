//! The load under torture: rows, lists, transfers, and a writer whose sessions are cancelled; and those who
//! watch: whether two nodes are writable, and whether the bank's sum is right.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::config::WORKER;
use crate::error::{LabError, Result};
use crate::options::Mode;
use crate::torture::inject::CANCELLED;
use crate::torture::judge::Account;
use crate::workload::append::{self, Append, CLIENTS};
use crate::workload::bank::{self, Auditor, Sums, Transfer};
use crate::workload::checker::Verdict;
use crate::workload::steady::Steady;
use crate::workload::watcher::{Seen, Watcher};
use crate::workload::writer::{WriteLog, Writer};

/// Pauses that leave the machine to the cluster: together some eighty commits a second.
const ROWS: Duration = Duration::from_millis(20);
const OTHERS: Duration = Duration::from_millis(80);

/// All of it at work.
#[derive(Debug)]
pub struct Load {
    rows: Writer,
    cancelled: Writer,
    appends: Vec<(i64, Steady<Append>)>,
    transfers: Steady<Transfer>,
    auditor: Auditor,
    watcher: Watcher,
    /// The number from which on the rows have not been looked for yet.
    checked: i64,
}

/// What came of it.
#[derive(Debug)]
pub struct Ended {
    /// The rows of the writer.
    pub rows: WriteLog,
    cancelled: WriteLog,
    appends: Vec<(i64, WriteLog, Append)>,
    transfers: WriteLog,
    /// What the readers of the bank have seen.
    pub sums: Sums,
    /// What the watcher has seen.
    pub seen: Seen,
}

/// What a node holds, compared with what came of the load.
#[derive(Debug, Default)]
pub struct Checked {
    /// A line for each workload.
    pub accounts: Vec<Account>,
    /// Acknowledged elements that stand behind a later one.
    pub out_of_order: Vec<i64>,
    /// Balances that no transfers explain.
    pub wrong_balances: Vec<String>,
}

impl Load {
    /// Makes the tables and starts; returns when everything gets through.
    pub fn start(cluster: &Cluster, seed: u64) -> Result<Self> {
        let tables = format!(
            "{}; {}; GRANT SELECT, INSERT, UPDATE ON lists, accounts, transfers TO {}",
            append::TABLES,
            bank::TABLES,
            WORKER.0
        );
        cluster.psql(&cluster.primary()?, &tables)?;
        let vip = cluster.addresses.vip();
        let appends = (0..CLIENTS)
            .map(|first| {
                (first, Steady::start("lab_append", &vip, OTHERS, first, Append::default()))
            })
            .collect();
        let load = Self {
            rows: Writer::start_at(&vip, ROWS),
            cancelled: Writer::start_as(CANCELLED, &vip, OTHERS),
            appends,
            transfers: Steady::start("lab_transfer", &vip, OTHERS, 1, Transfer::new(seed)),
            auditor: Auditor::start(cluster),
            watcher: Watcher::start_holding_all(cluster),
            checked: 0,
        };
        cluster.wait_until("all of the load gets through", Duration::from_mins(1), || {
            let steady = load.appends.iter().map(|(_, one)| one.log());
            let logs = [load.rows.log(), load.cancelled.log(), load.transfers.log()];
            logs.into_iter().chain(steady).all(|log| !log.acknowledgements().is_empty())
        })?;
        Ok(load)
    }

    /// Looks whether anything went wrong since the last time: two primaries, a lost row, a wrong sum. An error
    /// says what.
    pub fn look(&mut self, cluster: &Cluster) -> Result<()> {
        self.watcher.seen().require_one_primary()?;
        if let Some(wrong) = self.auditor.sums().wrong.first() {
            return Err(LabError::plain(format!("the bank is wrong: {wrong}")));
        }
        if cluster.options.mode == Mode::Async {
            return Ok(());
        }
        let mut log = self.rows.log();
        let last = log.attempts.iter().map(|one| one.id).max().unwrap_or(0);
        let from = self.checked;
        log.attempts.retain(|one| one.id >= from);
        let primary = cluster
            .wait_for("there is one primary", Duration::from_mins(1), || cluster.primary().ok())?;
        let verdict = Verdict::since(cluster, &primary, &log, from)?;
        // Of those before the last some may still be without an answer.
        self.checked = (last - 100).max(0);
        verdict.require_clean()
    }

    /// Ends it.
    pub fn stop(self) -> Ended {
        let appends = self
            .appends
            .into_iter()
            .map(|(first, steady)| {
                let (log, job) = steady.stop();
                (first, log, job)
            })
            .collect();
        Ended {
            rows: self.rows.stop(),
            cancelled: self.cancelled.stop(),
            appends,
            transfers: self.transfers.stop().0,
            sums: self.auditor.stop(),
            seen: self.watcher.stop(),
        }
    }
}

impl Ended {
    /// Acknowledged elements that a later transaction did not see.
    pub fn missed(&self) -> Vec<i64> {
        self.appends.iter().flat_map(|(_, _, job)| job.missed.iter().copied()).collect()
    }

    /// Times without an acknowledged row, longer than `limit`: when each began, and its length.
    pub fn outages(&self, limit: Duration) -> Vec<(Instant, Duration)> {
        let gaps = self.rows.gaps(limit).into_iter();
        gaps.map(|(since, length)| (self.rows.begin + since, length)).collect()
    }

    /// Looks for everything on a node.
    pub fn check(&self, cluster: &Cluster, node: &str) -> Result<Checked> {
        let mut checked = Checked::default();
        let mut row = |name: &str, log: &WriteLog, verdict: &Verdict| {
            checked.accounts.push(Account::of(name, log, verdict));
        };
        row("rows", &self.rows, &Verdict::on(cluster, node, &self.rows)?);
        row("cancelled rows", &self.cancelled, &Verdict::on(cluster, node, &self.cancelled)?);
        let lists = append::lists(cluster, node)?;
        for (first, log, _) in &self.appends {
            let held = append::held(&lists, *first);
            row(&format!("list elements {first}"), log, &Verdict::compare(log, &held));
            checked.out_of_order.extend(append::out_of_order(&lists, log));
        }
        let (records, balances) = bank::books(cluster, node)?;
        let mut held = std::collections::BTreeMap::new();
        for record in &records {
            *held.entry(record.id).or_default() += 1;
        }
        let transfers = Verdict::compare(&self.transfers, &held);
        checked.accounts.push(Account::of("transfers", &self.transfers, &transfers));
        checked.wrong_balances = bank::wrong_balances(&records, &balances);
        Ok(checked)
    }
}
