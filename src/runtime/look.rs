//! One look at the running instance: its processes, and its answers by SQL. Floor 2.
//!
//! It executes no program: this is all that a quiet monitor needs.

use std::path::PathBuf;
use std::time::Duration;

use crate::client::sql::{self, Connection, Endpoint, SqlError};
use crate::decide::facts::{Process, Sql};
use crate::postgres::postmaster_pid::PostmasterStatus;
use crate::sys::{self, deadline::Deadline};

use super::{Place, Runtime};

/// How long a postmaster that is stopped by a signal is waited for.
const FOR_A_STOPPED_ONE: Duration = Duration::from_secs(3);

/// Before a question is repeated whose answer made no sense.
const A_MOMENT: Duration = Duration::from_millis(200);

/// What was seen, and the connection that it was asked on, for more.
pub struct Look {
    /// The processes.
    pub process: Process,
    /// The answers.
    pub sql: Sql,
    /// The session, if the instance answered.
    pub connection: Option<Connection>,
}

/// Looks at processes and asks by SQL, before `deadline`; on `session`, if that is one of this
/// postmaster and still good, else on a new one.
pub fn look(runtime: &dyn Runtime, session: Option<Connection>, deadline: &Deadline) -> Look {
    let process = runtime.process();
    let (sql, connection) = match process {
        Process::None | Process::Orphans(_) => (Sql::NotAsked, None),
        // A stopped postmaster answers nobody; a moment is left for whoever stopped it for a moment.
        Process::Running { pid, stopped: true } => {
            ask(runtime.place(), pid, session, &deadline.within(FOR_A_STOPPED_ONE))
        }
        Process::Running { pid, stopped: false } => ask(runtime.place(), pid, session, deadline),
        Process::Unknown(_) => {
            (Sql::Unknown("its process is not known, so nobody was asked".to_owned()), None)
        }
    };
    Look { process, sql, connection }
}

/// A postmaster beyond doubt, in this boot: its process id and when it started.
pub fn identity(process: &Process) -> Option<String> {
    let Process::Running { pid, .. } = process else { return None };
    match sys::process::process(*pid) {
        sys::process::Process::Present(facts) => Some(format!("{pid}-{}", facts.start_ticks)),
        sys::process::Process::Gone | sys::process::Process::Unknown(_) => None,
    }
}

/// Where the instance listens, by its own word or by ours. `Err` is the answer when it does not.
pub fn endpoint(place: &Place) -> Result<Endpoint, Sql> {
    let claim = place.claim();
    let port = claim.as_ref().map_or(place.port, |claim| claim.port);
    let socket_dir = match (&place.socket_dir, claim) {
        (Some(dir), _) => dir.clone(),
        (None, None) => {
            return Err(Sql::Starting("it has not written postmaster.pid yet".to_owned()));
        }
        (None, Some(claim)) => match claim.socket_dir {
            Some(dir) => PathBuf::from(dir),
            None if claim.listen_addr.is_none() && claim.shmem.is_none() => {
                return Err(Sql::Starting("it has not opened its socket yet".to_owned()));
            }
            None => {
                return Err(Sql::Alive(
                    "it has no unix socket: set unix_socket_directories, or socket_dir".to_owned(),
                ));
            }
        },
    };
    Ok(Endpoint { socket_dir, port, user: place.user.clone() })
}

fn ask(
    place: &Place,
    pid: i32,
    session: Option<Connection>,
    deadline: &Deadline,
) -> (Sql, Option<Connection>) {
    if let Some(mut session) = session.filter(|session| session.postmaster_pid() == pid) {
        let answer = ask_on(&mut session, deadline);
        if matches!(answer, Sql::Primary(_) | Sql::Standby(_)) {
            return (answer, Some(session));
        }
    }
    let (answer, connection) = ask_anew(place, pid, deadline);
    match answer {
        // The crash of another backend cuts off every session. The next one is told what goes on.
        Sql::Unknown(_) if !deadline.expired() => {
            deadline.sleep(A_MOMENT);
            ask_anew(place, pid, deadline)
        }
        answer => (answer, connection),
    }
}

fn ask_anew(place: &Place, pid: i32, deadline: &Deadline) -> (Sql, Option<Connection>) {
    match open(place, pid, deadline) {
        Err(answer) => (answer, None),
        Ok(mut connection) => match ask_on(&mut connection, deadline) {
            answer @ (Sql::Primary(_) | Sql::Standby(_)) => (answer, Some(connection)),
            other => (translated(place, other), None),
        },
    }
}

/// Asks on this session, for what it is thought to be.
fn ask_on(session: &mut Connection, deadline: &Deadline) -> Sql {
    let hint = session.role();
    let answer = sql::look::look(session, hint, deadline);
    session.found(&answer);
    answer
}

/// A session with the postmaster `pid` of this place. `Err` is its answer where there is none.
pub fn open(place: &Place, pid: i32, deadline: &Deadline) -> Result<Connection, Sql> {
    // Each attempt that it refuses would be a line in its log.
    if let Some(claim) = place.claim().filter(|claim| i64::from(claim.pid) == i64::from(pid)) {
        match claim.status {
            PostmasterStatus::NotYet | PostmasterStatus::Starting => {
                return Err(Sql::Starting(
                    "it starts up, or replays WAL, and takes no session yet".to_owned(),
                ));
            }
            PostmasterStatus::Stopping => return Err(Sql::ShuttingDown),
            PostmasterStatus::Ready | PostmasterStatus::Standby | PostmasterStatus::Other(_) => {}
        }
    }
    let endpoint = endpoint(place)?;
    Connection::open(&endpoint, pid, deadline).map_err(|error| match error {
        // Somebody cleaned up /tmp or /run. Clients that are elsewhere miss nothing.
        SqlError::NoSocket { .. } if is_ready(place, pid) => Sql::Alive(format!(
            "{error}: a restart of PostgreSQL makes it anew, or correct socket_dir"
        )),
        error => translated(place, error.into()),
    })
}

/// Whether this postmaster says of itself that it takes sessions.
fn is_ready(place: &Place, pid: i32) -> bool {
    place.claim().is_some_and(|claim| {
        i64::from(claim.pid) == i64::from(pid) && claim.status == PostmasterStatus::Ready
    })
}

/// A server may refuse us in its own language; what it does stands in its pid file in one word.
fn translated(place: &Place, answer: Sql) -> Sql {
    match answer {
        Sql::Starting(words) => match place.claim().map(|claim| claim.status) {
            Some(PostmasterStatus::Stopping) => Sql::ShuttingDown,
            _ => Sql::Starting(words),
        },
        other => other,
    }
}
