//! Connections of the workload: from the host, over the lab's network, as the role `lab`, and
//! never waiting long for a node that is gone.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, SimpleQueryMessage};

use crate::config::WORKER;
use crate::error::{LabError, Result, chain};

/// How long a connection may take, start-up and password included. Short: a packet sent before
/// a node was back is not sent again for a second.
const CONNECT: Duration = Duration::from_millis(500);

/// A connection's configuration. A peer that vanished without a word is noticed by keepalives
/// within 4 s; mostly its successor at the address answers with a reset before that.
pub fn config(address: &str, name: &str) -> Config {
    let mut config = Config::new();
    config
        .host(address)
        .user(WORKER.0)
        .password(WORKER.1)
        .dbname("postgres")
        .application_name(name)
        .connect_timeout(CONNECT)
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(1))
        .keepalives_interval(Duration::from_secs(1))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(4));
    config
}

/// Why there is no connection.
#[derive(Debug)]
pub enum NoConnection {
    /// No answer in time.
    Silence,
    /// The server has no connection left (SQLSTATE 53300).
    AllTaken,
    /// Anything else.
    Failed(tokio_postgres::Error),
}

/// What the server says of a commit that it did not wait for.
const CANCELED_WAIT: &str = "wait for synchronous replication";

/// Whether the server has said of a commit, which it then reports like any other, that it is on the primary
/// only: somebody has cancelled the wait for a standby.
#[derive(Debug, Clone, Default)]
pub struct Warned(Arc<AtomicBool>);

impl Warned {
    /// True if it has, since the last question.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    fn hear(&self, notice: &str) {
        if notice.contains(CANCELED_WAIT) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Connects. The connection's own task ends with the client or with the server.
pub async fn connect(config: &Config) -> Result<Client, NoConnection> {
    connect_warned(config).await.map(|(client, _)| client)
}

/// Connects where the end of a wait matters.
pub async fn connect_warned(config: &Config) -> Result<(Client, Warned), NoConnection> {
    let connecting = timeout(CONNECT, config.connect(NoTls)).await;
    let (client, mut connection) =
        connecting.map_err(|_| NoConnection::Silence)?.map_err(|error| {
            if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) {
                NoConnection::AllTaken
            } else {
                NoConnection::Failed(error)
            }
        })?;
    let warned = Warned::default();
    let ear = warned.clone();
    tokio::spawn(async move {
        // Its errors reach the client's statements. A notice comes before the answer that it is about.
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notice(notice) = message {
                ear.hear(notice.message());
            }
        }
    });
    Ok((client, warned))
}

/// One session for a test: statement by statement, open until dropped. What happens to it in
/// between is noticed at the next statement.
#[derive(Debug)]
pub struct Session {
    runtime: Runtime,
    client: Client,
}

impl Session {
    /// Connects to an address of the lab.
    pub fn open(address: &str) -> Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(LabError::io("start a runtime"))?;
        let config = config(address, "lab_session");
        let client = runtime
            .block_on(connect(&config))
            .map_err(|why| LabError::plain(format!("cannot connect to {address}: {why:?}")))?;
        Ok(Self { runtime, client })
    }

    /// Runs SQL; gives the rows, columns separated by `|`.
    pub fn sql(&self, sql: &str) -> Result<Vec<String>> {
        let answer = self
            .runtime
            .block_on(async {
                timeout(Duration::from_mins(1), self.client.simple_query(sql)).await
            })
            .map_err(|_| LabError::plain(format!("no answer to `{sql}`")))?
            .map_err(LabError::sql(format!("run `{sql}`")))?;
        Ok(rows(answer).into_iter().map(|fields| fields.join("|")).collect())
    }
}

/// A client as most are: it waits for the answer to a statement, and has no limits of its own by which it
/// would notice that nobody is there any more.
#[derive(Debug)]
pub struct Patient {
    thread: thread::JoinHandle<Option<String>>,
}

impl Patient {
    /// Connects to an address, and waits for an answer that does not come. It gives up only after `limit`,
    /// so that a test has an end.
    pub fn start(address: &str, limit: Duration) -> Result<Self> {
        let mut config = config(address, "lab_patient");
        config.keepalives(false).tcp_user_timeout(Duration::ZERO);
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let connected = connect(&config).await;
                let _ = tell.send(connected.as_ref().err().map(|why| format!("{why:?}")));
                let client = connected.ok()?;
                match timeout(limit, client.simple_query("SELECT pg_sleep(86400)")).await {
                    Ok(Err(error)) => Some(chain(&error)),
                    Ok(Ok(_)) | Err(_) => None,
                }
            })
        });
        match told.recv() {
            Ok(None) => Ok(Self { thread }),
            Ok(Some(why)) => Err(LabError::plain(format!("cannot connect to {address}: {why}"))),
            Err(_) => Err(LabError::plain("cannot start a client")),
        }
    }

    /// What it was told; none: it gave up.
    pub fn was_told(self) -> Option<String> {
        self.thread.join().ok().flatten()
    }
}

/// Clients that take every connection there is, until dropped.
#[derive(Debug)]
pub struct Crowd {
    stop: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Crowd {
    /// Begins to connect to an address, and goes on as long as connections are refused or end.
    pub fn start(address: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let refused = Arc::new(AtomicUsize::new(0));
        let config = config(address, "lab_crowd");
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&refused));
        let thread = thread::spawn(move || {
            if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
                runtime.block_on(crowd(&config, &stopped, &counter));
            }
        });
        Self { stop, refused, thread: Some(thread) }
    }

    /// How often the server said that all connections are taken.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn crowd(config: &Config, stop: &AtomicBool, refused: &AtomicUsize) {
    let mut taken: Vec<Client> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        taken.retain(|client| !client.is_closed());
        let mut wave: JoinSet<Result<Client, NoConnection>> = JoinSet::new();
        for _ in 0..8 {
            let config = config.clone();
            wave.spawn(async move { connect(&config).await });
        }
        let mut all_taken = false;
        for connected in wave.join_all().await {
            all_taken |= matches!(connected, Err(NoConnection::AllTaken));
            taken.extend(connected.ok());
        }
        if all_taken {
            refused.fetch_add(1, Ordering::Relaxed);
        }
        sleep(Duration::from_millis(if all_taken { 100 } else { 10 })).await;
    }
}

/// The rows of an answer; fields that are NULL are empty.
pub fn rows(answer: Vec<SimpleQueryMessage>) -> Vec<Vec<String>> {
    let row = |message: SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|n| row.get(n).unwrap_or_default().to_owned()).collect())
        }
        _ => None,
    };
    answer.into_iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of PostgreSQL's `syncrep.c`.
    #[test]
    fn a_commit_that_did_not_wait_is_known_by_what_the_server_says() {
        let warned = Warned::default();
        warned.hear("there is already a transaction in progress");
        assert!(!warned.take());
        warned.hear("canceling wait for synchronous replication due to user request");
        assert!(warned.take());
        assert!(!warned.take(), "said once");
        warned.hear(
            "canceling the wait for synchronous replication and terminating connection due to \
             administrator command",
        );
        assert!(warned.take());
    }
}
