//! The watcher: asks every node ten times a second whether it accepts a write, and keeps one
//! session open to the first primary for as long as that lives. Two instances were writable at
//! once if one accepted a write both before and after the other did: an instance, told apart by
//! its postmaster's start, cannot stop being a primary and become one again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config};

use crate::cluster::Cluster;
use crate::error::{LabError, Result};
use crate::workload::session;

const INTERVAL: Duration = Duration::from_millis(100);
/// How long an instance may take to answer before its session is given up.
const LIMIT: Duration = Duration::from_secs(1);

/// A running PostgreSQL: its node and its postmaster's start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    /// The node.
    pub node: String,
    /// `pg_postmaster_start_time()`.
    pub started: String,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (started {})", self.node, self.started)
    }
}

/// A write that an instance accepted, at some moment between these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Sent.
    pub begin: Instant,
    /// Answered.
    pub end: Instant,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Accepted writes of every instance, in order.
    pub accepted: BTreeMap<Instance, Vec<Accepted>>,
    /// Answers of any kind, by node: a node that never answers is not watched.
    pub answers: BTreeMap<String, usize>,
    /// When the session held open to the first primary ended, if it has.
    pub held_ended: Option<Instant>,
}

impl Seen {
    /// Pairs of instances that were writable at the same time: the first accepted a write both
    /// before and after the second did.
    pub fn two_primaries(&self) -> Vec<(Instance, Instance, Instant)> {
        let mut found = Vec::new();
        for (outer, writes) in &self.accepted {
            let (Some(first), Some(last)) = (
                writes.iter().map(|write| write.end).min(),
                writes.iter().map(|write| write.begin).max(),
            ) else {
                continue;
            };
            for (inner, others) in self.accepted.iter().filter(|(other, _)| *other != outer) {
                let between = others.iter().find(|write| first < write.begin && write.end < last);
                if let Some(write) = between {
                    found.push((outer.clone(), inner.clone(), write.begin));
                }
            }
        }
        found
    }

    /// How many writes an instance accepted between two that another one accepted.
    pub fn dual_samples(&self) -> usize {
        let span = |writes: &[Accepted]| {
            let first = writes.iter().map(|write| write.end).min()?;
            Some((first, writes.iter().map(|write| write.begin).max()?))
        };
        let within = |outer: &[Accepted], inner: &[Accepted]| {
            let Some((first, last)) = span(outer) else { return 0 };
            inner.iter().filter(|one| first < one.begin && one.end < last).count()
        };
        let pairs = self.accepted.iter().flat_map(|outer| {
            self.accepted.iter().filter(move |inner| inner.0 != outer.0).map(move |i| (outer, i))
        });
        pairs.map(|(outer, inner)| within(outer.1, inner.1)).sum()
    }

    /// An error that names the instances, if two were ever writable at once, or if nothing was
    /// watched.
    pub fn require_one_primary(&self) -> Result<()> {
        if self.accepted.is_empty() {
            return Err(LabError::plain("the watcher never saw a writable instance"));
        }
        match self.two_primaries().first() {
            None => Ok(()),
            Some((one, other, _)) => Err(LabError::plain(format!(
                "two instances were writable at once: {one} accepted writes before and after {other}"
            ))),
        }
    }

    /// The instances that accepted writes, in the order of their first.
    pub fn primaries(&self) -> Vec<Instance> {
        let mut list: Vec<(Instant, Instance)> = self
            .accepted
            .iter()
            .filter_map(|(one, writes)| Some((writes.first()?.begin, one.clone())))
            .collect();
        list.sort();
        list.into_iter().map(|(_, one)| one).collect()
    }
}

/// A watcher at work. Dropping it stops it.
#[derive(Debug)]
pub struct Watcher {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watcher {
    /// Starts to watch all nodes. The session held open is to the node given, if any.
    pub fn start(cluster: &Cluster, held: Option<&str>) -> Self {
        let held: Vec<(String, Held)> =
            held.into_iter().map(|node| (node.to_owned(), Held::Once)).collect();
        Self::with_held(cluster, held)
    }

    /// Starts to watch all nodes, with a session held open to each for as long as its server lives, and then
    /// to the next one: some of them outlive a promotion.
    pub fn start_holding_all(cluster: &Cluster) -> Self {
        Self::with_held(cluster, cluster.nodes().into_iter().map(|node| (node, Held::Always)))
    }

    fn with_held(cluster: &Cluster, held: impl IntoIterator<Item = (String, Held)>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let short = cluster.nodes().into_iter().map(|node| (node, Held::No));
        let eyes: Vec<Eye> = short
            .chain(held)
            .map(|(node, held)| Eye::new(cluster, &node, held, &seen, &stop))
            .collect();
        let thread = thread::spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build()
            {
                runtime.block_on(async {
                    let mut tasks: JoinSet<()> = eyes.into_iter().map(Eye::watch).collect();
                    while tasks.join_next().await.is_some() {}
                });
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops it, and gives what it has seen.
    pub fn stop(mut self) -> Seen {
        self.finish();
        self.seen()
    }

    fn finish(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.finish();
    }
}

/// How long a session is kept that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// A moment.
    No,
    /// Until its server ends it; that is the end of the watching, too.
    Once,
    /// Until its server ends it, or is silent for a minute; then another one.
    Always,
}

/// Watches one node through one session at a time.
struct Eye {
    node: String,
    config: Config,
    held: Held,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
}

impl Eye {
    fn new(
        cluster: &Cluster,
        node: &str,
        held: Held,
        seen: &Arc<Mutex<Seen>>,
        stop: &Arc<AtomicBool>,
    ) -> Self {
        let name = if held == Held::No { "lab_watcher" } else { "lab_held" };
        Self {
            node: node.to_owned(),
            config: session::config(&cluster.addresses.node(node), name),
            held,
            seen: Arc::clone(seen),
            stop: Arc::clone(stop),
        }
    }

    async fn watch(self) {
        while !self.stop.load(Ordering::Relaxed) {
            if let Some((client, instance)) = self.open().await {
                self.sample(&client, &instance).await;
                if self.held == Held::Once && !self.stop.load(Ordering::Relaxed) {
                    self.locked().held_ended = Some(Instant::now());
                    return;
                }
            }
            sleep(INTERVAL).await;
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self) -> Option<(Client, Instance)> {
        let client = session::connect(&self.config).await.ok()?;
        let ask = client.query_one("SELECT pg_postmaster_start_time()::text", &[]);
        let started: String = timeout(LIMIT, ask).await.ok()?.ok()?.try_get(0).ok()?;
        Some((client, Instance { node: self.node.clone(), started }))
    }

    /// Until the session ends. A held one is patient: it ends only when the server ends it.
    async fn sample(&self, client: &Client, instance: &Instance) {
        let limit = match self.held {
            Held::No => LIMIT,
            Held::Once => Duration::from_mins(10),
            Held::Always => Duration::from_mins(1),
        };
        while !self.stop.load(Ordering::Relaxed) {
            let begin = Instant::now();
            let Ok(answer) = timeout(limit, accepts_write(client, &self.node)).await else {
                return;
            };
            let Some(accepted) = answer else { return };
            self.note(instance, accepted.then(|| Accepted { begin, end: Instant::now() }));
            sleep(INTERVAL.saturating_sub(begin.elapsed())).await;
        }
    }
}

impl Eye {
    fn note(&self, instance: &Instance, write: Option<Accepted>) {
        let mut seen = self.locked();
        *seen.answers.entry(self.node.clone()).or_default() += 1;
        if let Some(write) = write {
            seen.accepted.entry(instance.clone()).or_default().push(write);
        }
    }
}

/// Tries a real write and takes it back. It waits for no standby: an instance whose commits hang
/// is writable all the same. `None` where the session has ended.
async fn accepts_write(client: &Client, node: &str) -> Option<bool> {
    let sql = format!(
        "BEGIN; SET LOCAL synchronous_commit = off; INSERT INTO watched VALUES ('{node}'); ROLLBACK"
    );
    match client.simple_query(&sql).await {
        Ok(_) => Some(true),
        Err(error) if error.as_db_error().is_some_and(|answer| answer.severity() == "ERROR") => {
            client.simple_query("ROLLBACK").await.ok().map(|_| false)
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepted writes of instances, as milliseconds at which each began; each took 2 ms.
    fn seen(instances: &[(&str, &[u64])]) -> Seen {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let write = |ms: &u64| Accepted { begin: at(*ms), end: at(*ms + 2) };
        let accepted = instances
            .iter()
            .map(|(name, times)| {
                let one = Instance { node: (*name).to_owned(), started: "t".to_owned() };
                (one, times.iter().map(write).collect())
            })
            .collect();
        Seen { accepted, ..Seen::default() }
    }

    #[test]
    fn one_primary_after_another_is_fine() {
        let seen = seen(&[("n1", &[0, 100, 200]), ("n2", &[201, 300, 400])]);
        assert_eq!(seen.two_primaries(), []);
        assert!(seen.require_one_primary().is_ok());
        assert_eq!(seen.dual_samples(), 0);
    }

    #[test]
    fn an_instance_that_accepts_before_and_after_another_is_a_second_primary() {
        let seen = seen(&[("n1", &[0, 100, 350]), ("n2", &[300, 400])]);
        let nodes: Vec<(String, String)> = seen
            .two_primaries()
            .into_iter()
            .map(|(one, other, _)| (one.node, other.node))
            .collect();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(nodes, [pair("n1", "n2"), pair("n2", "n1")]);
        assert!(seen.require_one_primary().is_err());
        assert_eq!(seen.dual_samples(), 2, "one write of each lies between two of the other");
    }

    #[test]
    fn having_seen_nothing_proves_nothing() {
        assert!(Seen::default().require_one_primary().is_err());
    }
}
