//! The writer: commits numbered rows through the cluster's address, each number once, and
//! remembers what became of every one. A statement without an answer does not hold up the next:
//! after a moment another connection goes on, so that the outage is measured, not the patience.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::cluster::Cluster;
use crate::error::{LabError, Result};
use crate::workload::route::{Linked, Route};
use crate::workload::session::Warned;

/// After this long without an answer the next number is tried on another connection. A part of it is in every
/// outage that is measured: a tenth of the bounds of a move and a takeover.
const PATIENCE: Duration = Duration::from_millis(100);
/// So many statements may be without an answer at a time.
const PENDING: usize = 16;
/// After this long an answer is not expected any more.
const GIVE_UP: Duration = Duration::from_secs(90);
/// How long the last statements have after `stop`.
const GRACE: Duration = Duration::from_secs(3);

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server said that it is committed.
    Acknowledged(Instant),
    /// The server refused the statement: the row must not be there.
    Refused(String),
    /// The connection ended before an answer: the row may be there or not.
    Unknown(String),
}

/// A row that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its number.
    pub id: i64,
    /// When it was sent.
    pub sent: Instant,
    /// What became of it.
    pub outcome: Outcome,
}

/// All that the writer did.
#[derive(Debug, Clone)]
pub struct WriteLog {
    /// Distinguishes the rows of this writer from those of others.
    pub run: i64,
    /// Every row, in the order of the outcomes.
    pub attempts: Vec<Attempt>,
    /// Connections that could not be made.
    pub failed_connections: usize,
    /// When it began.
    pub begin: Instant,
    /// When it was stopped; of a copy of a running one: when the copy was made.
    pub end: Instant,
}

impl WriteLog {
    /// One that begins now, of a run of its own.
    pub fn begin() -> Self {
        // Two may begin in one microsecond.
        static LAST: AtomicI64 = AtomicI64::new(0);
        let now = Instant::now();
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let micros = i64::try_from(micros).unwrap_or(i64::MAX - 1);
        let next = |last: i64| Some(micros.max(last + 1));
        let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(0);
        let run = micros.max(last + 1);
        Self { run, attempts: Vec::new(), failed_connections: 0, begin: now, end: now }
    }

    /// How many were refused.
    pub fn refused(&self) -> usize {
        let refused = |one: &&Attempt| matches!(one.outcome, Outcome::Refused(_));
        self.attempts.iter().filter(refused).count()
    }

    /// When acknowledgements came, in order.
    pub fn acknowledgements(&self) -> Vec<Instant> {
        let mut times: Vec<Instant> = self
            .attempts
            .iter()
            .filter_map(|attempt| match attempt.outcome {
                Outcome::Acknowledged(at) => Some(at),
                Outcome::Refused(_) | Outcome::Unknown(_) => None,
            })
            .collect();
        times.sort_unstable();
        times
    }

    /// The longest time without an acknowledgement that ended after `fault`.
    pub fn outage(&self, fault: Instant) -> Duration {
        let mut last = self.begin;
        let mut longest = Duration::ZERO;
        for at in self.acknowledgements().into_iter().chain([self.end]) {
            if at > fault {
                longest = longest.max(at.saturating_duration_since(last));
            }
            last = at;
        }
        longest
    }

    /// Times without an acknowledgement that were longer than `limit`: their beginning since the
    /// writer's begin, and their length.
    pub fn gaps(&self, limit: Duration) -> Vec<(Duration, Duration)> {
        let mut last = self.begin;
        let mut gaps = Vec::new();
        for at in self.acknowledgements().into_iter().chain([self.end]) {
            let length = at.saturating_duration_since(last);
            if length > limit {
                gaps.push((last.saturating_duration_since(self.begin), length));
            }
            last = at;
        }
        gaps
    }
}

/// How a writer goes about it.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Where it finds the primary.
    pub route: Route,
    /// Its pause after every row.
    pub pause: Duration,
    /// Its pause after a connection that could not be made.
    pub retry: Duration,
    /// It goes on in the sessions that it has; otherwise each row has a session of its own.
    pub keeps_sessions: bool,
}

/// A writer at work. Dropping it stops it.
#[derive(Debug)]
pub struct Writer {
    log: Arc<Mutex<WriteLog>>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    /// Starts writing through the cluster's address, about a hundred rows a second.
    pub fn start(cluster: &Cluster) -> Self {
        Self::start_at(&cluster.addresses.vip(), Duration::from_millis(8))
    }

    /// Starts writing to an address, with a pause after every row.
    pub fn start_at(address: &str, pause: Duration) -> Self {
        Self::start_as("lab_writer", address, pause)
    }

    /// The same, with sessions of this name.
    pub fn start_as(name: &str, address: &str, pause: Duration) -> Self {
        let route = Route::to(address, name);
        let retry = Duration::from_millis(20);
        Self::start_in(Manner { route, pause, retry, keeps_sessions: true })
    }

    /// Starts writing in this manner.
    pub fn start_in(manner: Manner) -> Self {
        let log = WriteLog::begin();
        let run = log.run;
        let log = Arc::new(Mutex::new(log));
        let stop = Arc::new(AtomicBool::new(false));
        let work = Work { run, manner, log: Arc::clone(&log), stop: Arc::clone(&stop) };
        let thread = thread::spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build()
            {
                runtime.block_on(work.write());
            }
        });
        Self { log, stop, thread: Some(thread) }
    }

    /// What it has done so far.
    pub fn log(&self) -> WriteLog {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        log.end = Instant::now();
        log
    }

    /// Number of rows acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.log().acknowledgements().len()
    }

    /// Waits until so many more rows are acknowledged.
    pub fn wait_more(&self, cluster: &Cluster, rows: usize, limit: Duration) -> Result<()> {
        let begin = Instant::now();
        let what = format!("{rows} more writes are acknowledged");
        cluster.wait_until(&what, limit, || {
            self.log().acknowledgements().iter().filter(|at| **at > begin).count() >= rows
        })
    }

    /// Fails if a write is acknowledged within this time.
    pub fn expect_none(&self, time: Duration) -> Result<()> {
        let before = self.acknowledged();
        thread::sleep(time);
        let more = self.acknowledged() - before;
        if more == 0 {
            return Ok(());
        }
        Err(LabError::plain(format!("{more} writes were acknowledged where none may be")))
    }

    /// Stops it, and gives what it did.
    pub fn stop(mut self) -> WriteLog {
        self.finish();
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        log.end = log.end.max(log.begin);
        log
    }

    fn finish(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.finish();
    }
}

struct Work {
    run: i64,
    manner: Manner,
    log: Arc<Mutex<WriteLog>>,
    stop: Arc<AtomicBool>,
}

/// How an attempt ended.
struct Ended {
    /// The number.
    id: i64,
    /// None: not even connected.
    attempt: Option<Attempt>,
    /// The connection, if it is good for more.
    client: Option<Linked>,
}

impl Work {
    async fn write(self) {
        let mut idle: Vec<Linked> = Vec::new();
        let mut pending: JoinSet<Ended> = JoinSet::new();
        let mut id = 0;
        let mut open: BTreeMap<i64, Instant> = BTreeMap::new();
        while !self.stop.load(Ordering::Relaxed) {
            if pending.len() < PENDING {
                id += 1;
                open.insert(id, Instant::now());
                pending.spawn(attempt(idle.pop(), self.manner.route.clone(), self.run, id));
            }
            if let Ok(Some(Ok(ended))) = timeout(PATIENCE, pending.join_next()).await {
                open.remove(&ended.id);
                let connected = self.record(ended, &mut idle);
                if !connected {
                    sleep(self.manner.retry).await;
                }
            }
            while let Some(Ok(ended)) = pending.try_join_next() {
                open.remove(&ended.id);
                self.record(ended, &mut idle);
            }
            sleep(self.manner.pause).await;
        }
        self.locked().end = Instant::now();
        let deadline = tokio::time::Instant::now() + GRACE;
        while let Ok(Some(joined)) = tokio::time::timeout_at(deadline, pending.join_next()).await {
            if let Ok(ended) = joined {
                open.remove(&ended.id);
                self.record(ended, &mut idle);
            }
        }
        // What is still pending was neither acknowledged nor refused.
        let unknown = Outcome::Unknown("no answer until the end".to_owned());
        let rest =
            open.into_iter().map(|(id, sent)| Attempt { id, sent, outcome: unknown.clone() });
        self.locked().attempts.extend(rest);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, WriteLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, ended: Ended, idle: &mut Vec<Linked>) -> bool {
        let mut log = self.locked();
        let Some(attempt) = ended.attempt else {
            log.failed_connections += 1;
            return false;
        };
        log.attempts.push(attempt);
        match ended.client {
            Some(client) if self.manner.keeps_sessions && idle.len() < 2 => idle.push(client),
            Some(_) => {}
            // Its fellows are connected to the same dead instance.
            None => idle.clear(),
        }
        true
    }
}

async fn attempt(linked: Option<Linked>, route: Route, run: i64, id: i64) -> Ended {
    let (client, warned) = match linked {
        Some(linked) if !linked.0.is_closed() => linked,
        _ => match route.connect().await {
            Ok(linked) => linked,
            Err(_) => return Ended { id, attempt: None, client: None },
        },
    };
    let sent = Instant::now();
    let sql = format!("INSERT INTO writes (run, id) VALUES ({run}, {id})");
    let answer = timeout(GIVE_UP, client.simple_query(&sql)).await;
    let outcome = match &answer {
        Ok(Ok(_)) => committed(&warned),
        Ok(Err(error)) => failure(error),
        Err(_) => Outcome::Unknown(format!("no answer within {GIVE_UP:?}")),
    };
    let usable = matches!(outcome, Outcome::Acknowledged(_));
    let linked = usable.then_some((client, warned));
    Ended { id, attempt: Some(Attempt { id, sent, outcome }), client: linked }
}

/// A commit that the server reports: acknowledged, unless it has said that it did not wait for a standby.
pub(crate) fn committed(warned: &Warned) -> Outcome {
    if warned.take() {
        return Outcome::Unknown("the wait for a standby was cancelled".to_owned());
    }
    Outcome::Acknowledged(Instant::now())
}

/// An ERROR ends the statement and its transaction. FATAL and PANIC may hit after the commit.
pub(crate) fn failure(error: &tokio_postgres::Error) -> Outcome {
    match error.as_db_error() {
        Some(answer) if answer.severity() == "ERROR" => Outcome::Refused(answer.to_string()),
        _ => Outcome::Unknown(crate::error::chain(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn log(begin: Instant, acknowledged_at: &[u64], end: u64) -> WriteLog {
        let attempts = acknowledged_at
            .iter()
            .zip(1..)
            .map(|(at, id)| {
                let time = begin + Duration::from_millis(*at);
                Attempt { id, sent: time, outcome: Outcome::Acknowledged(time) }
            })
            .collect();
        let end = begin + Duration::from_millis(end);
        WriteLog { run: 1, attempts, failed_connections: 0, begin, end }
    }

    #[test]
    fn no_two_logs_are_of_one_run() {
        let runs: BTreeSet<i64> = (0..1000).map(|_| WriteLog::begin().run).collect();
        assert_eq!(runs.len(), 1000);
    }

    #[test]
    fn the_outage_is_the_longest_gap_that_ended_after_the_fault() {
        let begin = Instant::now();
        let log = log(begin, &[10, 900, 1000, 1400, 1410], 1420);
        assert_eq!(log.outage(begin + Duration::from_millis(1005)), Duration::from_millis(400));
        assert_eq!(log.outage(begin), Duration::from_millis(890));
    }

    #[test]
    fn writes_that_never_came_back_are_an_outage_until_the_end() {
        let begin = Instant::now();
        let log = log(begin, &[10, 20], 5000);
        assert_eq!(log.outage(begin + Duration::from_millis(15)), Duration::from_millis(4980));
        let expected = (Duration::from_millis(20), Duration::from_millis(4980));
        assert_eq!(log.gaps(Duration::from_secs(1)), [expected]);
    }
}
