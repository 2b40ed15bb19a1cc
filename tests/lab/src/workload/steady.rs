//! One client that does one transaction after the other in one session, for as long as that lives, and
//! remembers what became of each. What it does is a job.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config, SimpleQueryMessage};

use crate::workload::session::{self, Warned};
use crate::workload::writer::{Attempt, Outcome, WriteLog, committed, failure};

/// How long a statement may take: a longer wait ends the session, so that the client goes on elsewhere.
const LIMIT: Duration = Duration::from_secs(8);

/// A transaction, done again and again with another number.
pub trait Job: Send + 'static {
    /// Does it in this session. What it could not send the end of has not happened.
    fn run(&mut self, session: &Session<'_>, id: i64) -> impl Future<Output = Outcome>;

    /// The number that comes after this one.
    fn next(&self, id: i64) -> i64 {
        id + 1
    }
}

/// The session of a job.
#[derive(Debug)]
pub struct Session<'a> {
    client: &'a Client,
    warned: &'a Warned,
}

impl Session<'_> {
    /// Statements before the end of a transaction: where they fail, it has not happened.
    pub async fn before_commit(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Outcome> {
        match timeout(LIMIT, self.client.simple_query(sql)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Outcome::Refused(crate::error::chain(&error))),
            Err(_) => Err(Outcome::Refused("no answer before the commit".to_owned())),
        }
    }

    /// Statements whose last is the commit.
    pub async fn commit(&self, sql: &str) -> Outcome {
        match timeout(LIMIT, self.client.simple_query(sql)).await {
            Ok(Ok(_)) => committed(self.warned),
            Ok(Err(error)) => failure(&error),
            Err(_) => Outcome::Unknown(format!("no answer within {LIMIT:?}")),
        }
    }
}

/// A client at work. Dropping it stops it.
#[derive(Debug)]
pub struct Steady<J> {
    shared: Arc<Mutex<(WriteLog, J)>>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl<J: Job + Clone> Steady<J> {
    /// Starts with the number `first`, at an address, with a pause after each transaction.
    pub fn start(name: &str, address: &str, pause: Duration, first: i64, job: J) -> Self {
        let shared = Arc::new(Mutex::new((WriteLog::begin(), job.clone())));
        let stop = Arc::new(AtomicBool::new(false));
        let config = session::config(address, name);
        let work = Work { config, pause, stop: Arc::clone(&stop), shared: Arc::clone(&shared) };
        let thread = thread::spawn(move || {
            if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
                runtime.block_on(work.work(first, job));
            }
        });
        Self { shared, stop, thread: Some(thread) }
    }

    /// What it has done so far.
    pub fn log(&self) -> WriteLog {
        let mut log = locked(&self.shared).0.clone();
        log.end = Instant::now();
        log
    }

    /// Stops it, and gives what it did, and the job with what that has noted.
    pub fn stop(mut self) -> (WriteLog, J) {
        self.finish();
        locked(&self.shared).clone()
    }
}

impl<J> Steady<J> {
    fn finish(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl<J> Drop for Steady<J> {
    fn drop(&mut self) {
        self.finish();
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Work<J> {
    config: Config,
    pause: Duration,
    stop: Arc<AtomicBool>,
    shared: Arc<Mutex<(WriteLog, J)>>,
}

impl<J: Job + Clone> Work<J> {
    async fn work(self, first: i64, mut job: J) {
        let mut linked: Option<(Client, Warned)> = None;
        let mut id = first;
        while !self.stop.load(Ordering::Relaxed) {
            let Some((client, warned)) = linked.take().filter(|(client, _)| !client.is_closed())
            else {
                linked = session::connect_warned(&self.config).await.ok();
                if linked.is_none() {
                    locked(&self.shared).0.failed_connections += 1;
                    sleep(Duration::from_millis(100)).await;
                }
                continue;
            };
            let sent = Instant::now();
            let outcome = job.run(&Session { client: &client, warned: &warned }, id).await;
            let is_usable = match outcome {
                Outcome::Acknowledged(_) => true,
                Outcome::Refused(_) => rolls_back(&client).await,
                Outcome::Unknown(_) => false,
            };
            {
                let mut shared = locked(&self.shared);
                shared.0.attempts.push(Attempt { id, sent, outcome });
                shared.1 = job.clone();
            }
            id = job.next(id);
            linked = is_usable.then_some((client, warned));
            sleep(self.pause).await;
        }
        locked(&self.shared).0.end = Instant::now();
    }
}

/// True if the session is good for another transaction.
async fn rolls_back(client: &Client) -> bool {
    timeout(Duration::from_secs(1), client.simple_query("ROLLBACK"))
        .await
        .is_ok_and(|one| one.is_ok())
}
