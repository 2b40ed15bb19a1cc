//! Connections of the workload: from the host, over the lab's network, as the role `lab`, and
//! never waiting long for a node that is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::config::WORKER;
use crate::error::{LabError, Result};

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

/// Connects. The connection's own task ends with the client or with the server.
pub async fn connect(config: &Config) -> Result<Client, NoConnection> {
    let connecting = timeout(CONNECT, config.connect(NoTls)).await;
    let (client, connection) = connecting.map_err(|_| NoConnection::Silence)?.map_err(|error| {
        if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) {
            NoConnection::AllTaken
        } else {
            NoConnection::Failed(error)
        }
    })?;
    tokio::spawn(async move {
        // Its errors reach the client's statements.
        let _ = connection.await;
    });
    Ok(client)
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
        let row = |message: SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => {
                let fields = (0..row.len()).map(|n| row.get(n).unwrap_or_default().to_owned());
                Some(fields.collect::<Vec<_>>().join("|"))
            }
            _ => None,
        };
        Ok(answer.into_iter().filter_map(row).collect())
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
