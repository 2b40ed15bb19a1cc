//! One connection to our own instance over its unix socket, as the PostgreSQL user. Floor 2.
//!
//! `Wire` is the border: a text of SQL goes in, rows of text come out, and every exchange ends by
//! a deadline. What is asked lives in `look`, what is done in `acts`.

pub mod acts;
mod allowance;
pub mod delays;
mod error;
pub mod examine;
pub mod hba;
pub mod look;

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt,
};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::decide::facts::Sql;
use crate::sys::deadline::Deadline;
use crate::sys::privilege::{User, with_user};

use allowance::{Allowance, Bounded};
use error::{classify, with_remedy};
use look::Hint;

pub use error::SqlError;

/// Columns of one row as text; `None` is NULL.
pub type Row = Vec<Option<String>>;

/// A PostgreSQL session that understands the simple query protocol.
pub trait Wire {
    /// Sends a text of one or more statements; the rows of all of them, in order.
    fn ask(&mut self, sql: &str, deadline: &Deadline) -> Result<Vec<Row>, SqlError>;
}

/// Where our own instance listens, and whom it trusts there by peer authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The directory of its socket.
    pub socket_dir: PathBuf,
    /// Its port, which names the socket.
    pub port: u16,
    /// The user that it runs as, a superuser of the same name in the database.
    pub user: User,
}

impl Endpoint {
    /// The path of the socket.
    pub fn socket(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{}", self.port))
    }
}

/// A session with our own instance, in the database `postgres`.
pub struct Connection {
    runtime: Runtime,
    client: Option<Client>,
    driver: Option<JoinHandle<Result<(), tokio_postgres::Error>>>,
    allowance: Allowance,
    socket: String,
    postmaster: i32,
    role: Hint,
}

impl Connection {
    /// Connects to this postmaster, logs in and is ready for questions, all before the deadline. Who
    /// listens is known before anything is asked, so that a refusal is this postmaster's as well.
    ///
    /// The session's `statement_timeout` is four fifths of what the deadline leaves now.
    pub fn open(
        endpoint: &Endpoint,
        postmaster: i32,
        deadline: &Deadline,
    ) -> Result<Self, SqlError> {
        let waited = deadline.left();
        let socket = endpoint.socket().display().to_string();
        let broken = |why: String| SqlError::Broken { socket: socket.clone(), why };
        let stream = connected(endpoint, deadline, waited)?;
        let peer =
            getsockopt(&stream, sockopt::PeerCredentials).map_err(|e| broken(e.to_string()))?;
        if peer.uid() != endpoint.user.uid {
            let user = endpoint.user.name.clone();
            return Err(SqlError::Foreign { socket, uid: peer.uid(), user });
        }
        if peer.pid() != postmaster {
            return Err(SqlError::Other { socket, pid: peer.pid(), wanted: postmaster });
        }
        let mut config = tokio_postgres::Config::new();
        let statement_ms = (waited.as_millis() * 4 / 5).max(50);
        config
            .user(endpoint.user.name.as_str())
            .dbname("postgres")
            .application_name("pgtwin_agent")
            .options(format!(
                "-c search_path=pg_catalog,pg_temp -c statement_timeout={statement_ms} -c jit=off \
                 -c extra_float_digits=1 -c default_transaction_isolation=read\\ committed"
            ));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|e| broken(e.to_string()))?;
        let allowance = Allowance::new();
        let logged_in = runtime.block_on(async {
            let stream = tokio::net::UnixStream::from_std(stream)
                .map_err(|e| SqlError::Broken { socket: socket.clone(), why: e.to_string() })?;
            let stream = Bounded::new(stream, allowance.clone());
            match tokio::time::timeout(deadline.left(), config.connect_raw(stream, NoTls)).await {
                Ok(Ok(pair)) => Ok(pair),
                Ok(Err(error)) => Err(classify(&error, &socket)),
                Err(_) => Err(SqlError::Hung { socket: socket.clone(), waited }),
            }
        });
        let (client, connection) =
            logged_in.map_err(|error| with_remedy(error, &endpoint.user.name))?;
        // PostgreSQL 13 does not say it.
        let role = match connection.parameter("in_hot_standby") {
            Some("on") => Hint::Standby,
            Some("off") => Hint::Primary,
            Some(_) | None => Hint::None,
        };
        let driver = Some(runtime.spawn(connection));
        Ok(Self { runtime, client: Some(client), driver, allowance, socket, postmaster, role })
    }

    /// What the server is, by its own word at the begin of the session or at the last look.
    pub fn role(&self) -> Hint {
        self.role
    }

    /// Remembers what a look has found.
    pub fn found(&mut self, answer: &Sql) {
        match answer {
            Sql::Primary(_) => self.role = Hint::Primary,
            Sql::Standby(_) => self.role = Hint::Standby,
            _ => {}
        }
    }

    /// The process that listens on the socket, as the kernel knows it.
    pub fn postmaster_pid(&self) -> i32 {
        self.postmaster
    }
}

impl Wire for Connection {
    fn ask(&mut self, sql: &str, deadline: &Deadline) -> Result<Vec<Row>, SqlError> {
        let waited = deadline.left();
        let Some(client) = &self.client else {
            let why = "it was closed before".to_owned();
            return Err(SqlError::Broken { socket: self.socket.clone(), why });
        };
        self.allowance.renew();
        let question = client.simple_query(sql);
        let answer = self.runtime.block_on(async { tokio::time::timeout(waited, question).await });
        match answer {
            Ok(Ok(messages)) => Ok(messages.iter().filter_map(row).collect()),
            Ok(Err(error)) => Err(classify(&error, &self.socket)),
            Err(_) => Err(SqlError::Hung { socket: self.socket.clone(), waited }),
        }
    }
}

impl Drop for Connection {
    /// Says goodbye, so that the server does not log a client that vanished.
    fn drop(&mut self) {
        drop(self.client.take());
        if let Some(driver) = self.driver.take() {
            let _ = self
                .runtime
                .block_on(async { tokio::time::timeout(Duration::from_millis(50), driver).await });
        }
    }
}

fn row(message: &SimpleQueryMessage) -> Option<Row> {
    match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.try_get(i).ok().flatten().map(str::to_owned)).collect())
        }
        _ => None,
    }
}

/// The socket, connected as the PostgreSQL user, without ever blocking: `connect` on a unix socket
/// waits for ever when the queue of a stopped postmaster is full.
fn connected(
    endpoint: &Endpoint,
    deadline: &Deadline,
    waited: Duration,
) -> Result<UnixStream, SqlError> {
    let path = endpoint.socket();
    let socket_name = path.display().to_string();
    let refused =
        |why: &str| SqlError::Refused { socket: socket_name.clone(), why: why.to_owned() };
    let broken =
        |e: Errno| SqlError::Broken { socket: socket_name.clone(), why: e.desc().to_owned() };
    let address = UnixAddr::new(&path).map_err(broken)?;
    loop {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(broken)?;
        let attempt = with_user(&endpoint.user, || connect(fd.as_raw_fd(), &address));
        match attempt.map_err(SqlError::Privilege)? {
            Ok(()) => return Ok(UnixStream::from(fd)),
            Err(Errno::ENOENT) => return Err(SqlError::NoSocket { socket: socket_name }),
            Err(Errno::ECONNREFUSED) => return Err(refused("connection refused")),
            Err(Errno::EAGAIN | Errno::EINTR) if !deadline.expired() => {
                deadline.sleep(Duration::from_millis(10));
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {
                return Err(SqlError::Hung { socket: socket_name, waited });
            }
            Err(other) => return Err(broken(other)),
        }
    }
}

/// A string as an SQL literal.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn literals_cannot_be_left_by_their_content() {
        for (text, expected) in [
            ("plain", "'plain'"),
            ("it's", "'it''s'"),
            (r"back\slash", r"E'back\\slash'"),
            (r"\'; DROP", r"E'\\''; DROP'"),
            ("", "''"),
        ] {
            assert_eq!(literal(text), expected, "{text:?}");
        }
    }
}
