//! A connection of the workload: from the host, over the lab's network, as the role `lab`, and
//! never waiting long for a node that is gone.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls};

use crate::config::WORKER;

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

/// Connects. The connection's own task ends with the client or with the server.
pub async fn connect(config: &Config) -> Option<Client> {
    let (client, connection) = timeout(CONNECT, config.connect(NoTls)).await.ok()?.ok()?;
    tokio::spawn(async move {
        // Its errors reach the client's statements.
        let _ = connection.await;
    });
    Some(client)
}
