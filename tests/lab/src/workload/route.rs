//! Where a client finds the primary: at one address, or by itself, among all nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::{Client, Config};

use crate::workload::session::{self, NoConnection, Warned, rows};

/// A connection, and whether its server has warned of a commit.
pub type Linked = (Client, Warned);

/// How long a server may take to say whether it takes writes.
const ANSWER: Duration = Duration::from_millis(500);

/// The servers among which there is the primary.
#[derive(Debug, Clone)]
pub struct Route {
    servers: Vec<Config>,
    /// Where the last session was.
    last: Arc<AtomicUsize>,
}

impl Route {
    /// One address, that leads to the primary or nowhere.
    pub fn to(address: &str, name: &str) -> Self {
        Self::among(&[address.to_owned()], name)
    }

    /// Some servers, as libpq takes several hosts with `target_session_attrs=read-write`. But where libpq asks
    /// one after the other, and waits two seconds for one that is silent, this asks the last one again, and
    /// then all of them at once: what is measured is when there is a primary, not how a client looks for it.
    pub fn among(addresses: &[String], name: &str) -> Self {
        let servers = addresses.iter().map(|address| session::config(address, name)).collect();
        Self { servers, last: Arc::new(AtomicUsize::new(0)) }
    }

    /// A session on the primary.
    pub async fn connect(&self) -> Result<Linked, NoConnection> {
        if let [only] = self.servers.as_slice() {
            return session::connect_warned(only).await;
        }
        let last = self.last.load(Ordering::Relaxed);
        if let Some(server) = self.servers.get(last)
            && let Some(linked) = writable(server).await
        {
            return Ok(linked);
        }
        let mut asked: JoinSet<Option<(usize, Linked)>> = JoinSet::new();
        for (number, server) in self.servers.iter().cloned().enumerate() {
            asked.spawn(async move { Some((number, writable(&server).await?)) });
        }
        while let Some(answer) = asked.join_next().await {
            if let Ok(Some((number, linked))) = answer {
                self.last.store(number, Ordering::Relaxed);
                return Ok(linked);
            }
        }
        Err(NoConnection::Silence)
    }
}

/// A session, if the server takes writes.
async fn writable(server: &Config) -> Option<Linked> {
    let linked = session::connect_warned(server).await.ok()?;
    let answer = timeout(ANSWER, linked.0.simple_query("SHOW transaction_read_only")).await;
    let rows = rows(answer.ok()?.ok()?);
    (rows.first()?.first()? == "off").then_some(linked)
}
