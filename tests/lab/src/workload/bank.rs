//! A bank: transfers between accounts, and readers on every node. The sum of all accounts never changes, on
//! no node and at no moment; and at the end each account has what the transfers on record say.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::Config;

use crate::chance::Chance;
use crate::clock::{clock, time_of_day};
use crate::cluster::Cluster;
use crate::error::{LabError, Result};
use crate::workload::session;
use crate::workload::steady::{Job, Session};
use crate::workload::writer::Outcome;

const ACCOUNTS: u64 = 20;
const EACH: i64 = 1000;
/// What all accounts have together.
pub const TOTAL: i64 = 20 * EACH;

/// The tables of the bank, to be made by the superuser.
pub const TABLES: &str = "DROP TABLE IF EXISTS accounts, transfers; \
    CREATE TABLE accounts (account bigint PRIMARY KEY, balance bigint NOT NULL); \
    CREATE TABLE transfers (id bigint, debit bigint, credit bigint, amount bigint); \
    INSERT INTO accounts SELECT number, 1000 FROM generate_series(0, 19) number";

/// The client that transfers.
#[derive(Debug, Clone)]
pub struct Transfer {
    chance: Chance,
}

impl Transfer {
    /// Its transfers follow from the seed.
    pub fn new(seed: u64) -> Self {
        Self { chance: Chance::new(seed) }
    }
}

impl Job for Transfer {
    async fn run(&mut self, session: &Session<'_>, id: i64) -> Outcome {
        let debit = self.chance.below(ACCOUNTS);
        let credit = (debit + 1 + self.chance.below(ACCOUNTS - 1)) % ACCOUNTS;
        let amount = self.chance.within(1, 50);
        // One message: the server goes on to its end also where the client is gone.
        let sql = format!(
            "BEGIN; \
             UPDATE accounts SET balance = balance - {amount} WHERE account = {debit}; \
             UPDATE accounts SET balance = balance + {amount} WHERE account = {credit}; \
             INSERT INTO transfers VALUES ({id}, {debit}, {credit}, {amount}); \
             COMMIT"
        );
        session.commit(&sql).await
    }
}

/// Reads of the sum.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    /// How many.
    pub reads: usize,
    /// Those that were wrong, in words.
    pub wrong: Vec<String>,
}

/// Readers of the sum at work, on every node. Dropping it stops them.
#[derive(Debug)]
pub struct Auditor {
    sums: Arc<Mutex<Sums>>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Auditor {
    /// Starts to read.
    pub fn start(cluster: &Cluster) -> Self {
        let sums = Arc::new(Mutex::new(Sums::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let configs: Vec<(String, Config)> = cluster
            .nodes()
            .into_iter()
            .map(|node| {
                let config = session::config(&cluster.addresses.node(&node), "lab_auditor");
                (node, config)
            })
            .collect();
        let (noted, stopped) = (Arc::clone(&sums), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                let mut readers = JoinSet::new();
                for (node, config) in configs {
                    readers.spawn(read(node, config, Arc::clone(&noted), Arc::clone(&stopped)));
                }
                while readers.join_next().await.is_some() {}
            });
        });
        Self { sums, stop, thread: Some(thread) }
    }

    /// What was read so far.
    pub fn sums(&self) -> Sums {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops, and gives what was read.
    pub fn stop(mut self) -> Sums {
        self.finish();
        self.sums()
    }

    fn finish(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.finish();
    }
}

async fn read(node: String, config: Config, sums: Arc<Mutex<Sums>>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        if let Ok(client) = session::connect(&config).await {
            let ask = "SELECT sum(balance), pg_is_in_recovery() FROM accounts";
            while !stop.load(Ordering::Relaxed) {
                // Whoever does not answer, or has no such table yet, has told nothing wrong.
                let answer = timeout(Duration::from_secs(2), client.simple_query(ask)).await;
                let Ok(Ok(answer)) = answer else { break };
                for row in session::rows(answer) {
                    note(&node, &row, &sums);
                }
                sleep(Duration::from_millis(500)).await;
            }
        }
        sleep(Duration::from_millis(500)).await;
    }
}

fn note(node: &str, row: &[String], sums: &Mutex<Sums>) {
    let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
    sums.reads += 1;
    let [sum, standby] = row else { return };
    if *sum != TOTAL.to_string() {
        let role = if standby == "t" { "standby" } else { "primary" };
        let now = clock(time_of_day(SystemTime::now()));
        sums.wrong.push(format!("{now} {node} ({role}): the sum was {sum}, not {TOTAL}"));
    }
}

/// A transfer on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub id: i64,
    /// From this account.
    pub debit: i64,
    /// To this one.
    pub credit: i64,
    /// So much.
    pub amount: i64,
}

/// What a node's bank has: the transfers on record, and the balances.
pub fn books(cluster: &Cluster, node: &str) -> Result<(Vec<Record>, BTreeMap<i64, i64>)> {
    let numbers = |sql: &str| -> Result<Vec<Vec<i64>>> {
        let rows = cluster.psql(node, sql)?;
        let fields = |row: &str| {
            let fields: Option<Vec<i64>> = row.split('|').map(|one| one.parse().ok()).collect();
            fields.ok_or_else(|| LabError::plain(format!("{node} gave the row `{row}`")))
        };
        rows.lines().map(fields).collect()
    };
    let records = numbers("SELECT id, debit, credit, amount FROM transfers")?
        .iter()
        .filter_map(|row| match row.as_slice() {
            [id, debit, credit, amount] => {
                Some(Record { id: *id, debit: *debit, credit: *credit, amount: *amount })
            }
            _ => None,
        })
        .collect();
    let balances = numbers("SELECT account, balance FROM accounts")?
        .iter()
        .filter_map(|row| match row.as_slice() {
            [account, balance] => Some((*account, *balance)),
            _ => None,
        })
        .collect();
    Ok((records, balances))
}

/// Accounts that do not have what the transfers on record say, in words.
pub fn wrong_balances(records: &[Record], balances: &BTreeMap<i64, i64>) -> Vec<String> {
    let last = i64::try_from(ACCOUNTS).unwrap_or(0);
    let mut due: BTreeMap<i64, i64> = (0..last).map(|account| (account, EACH)).collect();
    for record in records {
        *due.entry(record.debit).or_default() -= record.amount;
        *due.entry(record.credit).or_default() += record.amount;
    }
    due.iter()
        .filter(|(account, due)| balances.get(account) != Some(due))
        .map(|(account, due)| {
            let has = balances.get(account).map_or_else(|| "nothing".to_owned(), i64::to_string);
            format!("account {account} has {has}, not {due}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_that_the_transfers_do_not_explain_is_wrong() {
        let records = [
            Record { id: 1, debit: 0, credit: 1, amount: 30 },
            Record { id: 2, debit: 1, credit: 2, amount: 5 },
        ];
        let mut balances: BTreeMap<i64, i64> = (0..20).map(|account| (account, EACH)).collect();
        balances.extend([(0, 970), (1, 1025), (2, 1005)]);
        assert_eq!(wrong_balances(&records, &balances), Vec::<String>::new());
        balances.insert(2, 1000);
        balances.remove(&7);
        assert_eq!(
            wrong_balances(&records, &balances),
            ["account 2 has 1000, not 1005", "account 7 has nothing, not 1000"]
        );
    }

    #[test]
    fn a_sum_that_differs_is_noted_with_the_role() {
        let sums = Mutex::new(Sums::default());
        let row = |sum: &str, standby: &str| [sum.to_owned(), standby.to_owned()];
        note("n1", &row(&TOTAL.to_string(), "f"), &sums);
        note("n2", &row("19990", "t"), &sums);
        note("n3", &row("", "f"), &sums);
        let sums = sums.into_inner().unwrap_or_default();
        assert_eq!((sums.reads, sums.wrong.len()), (3, 2));
        let first = sums.wrong.first().map(String::as_str).unwrap_or_default();
        assert!(first.contains("n2 (standby): the sum was 19990"), "{first}");
    }

    #[test]
    fn the_accounts_begin_with_what_the_total_says() {
        assert_eq!(i64::try_from(ACCOUNTS).unwrap_or(0) * EACH, TOTAL);
        assert!(TABLES.contains(", 1000 FROM generate_series(0, 19)"));
    }
}
