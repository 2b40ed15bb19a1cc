//! One look at the instance: its directory, its processes, its answers. Floor 2.

use std::path::PathBuf;

use crate::client::sql::{self, Connection, Endpoint};
use crate::decide::facts::{Instance, Process, Sql};
use crate::postgres::postmaster_pid::PostmasterStatus;
use crate::sys::deadline::Deadline;
use crate::sys::exec::Exec;

use super::{Place, Runtime, data_dir};

/// What was seen, and the connection that it was asked on, for more.
pub struct Look {
    /// The processes.
    pub process: Process,
    /// The answers.
    pub sql: Sql,
    /// The session, if the instance answered.
    pub connection: Option<Connection>,
}

/// Looks at processes and asks by SQL, before `deadline`. Executes no program: this is all that a
/// quiet monitor needs.
pub fn look_running(runtime: &dyn Runtime, deadline: &Deadline) -> Look {
    let process = runtime.process();
    let (sql, connection) = match process {
        Process::None | Process::Orphans(_) => (Sql::NotAsked, None),
        Process::Running { pid, .. } => ask(runtime.place(), pid, deadline),
        Process::Unknown(_) => {
            (Sql::Unknown("its process is not known, so nobody was asked".to_owned()), None)
        }
    };
    Look { process, sql, connection }
}

/// Looks at everything: `sql_deadline` bounds the question by SQL, `deadline` the rest.
pub fn look(
    runtime: &dyn Runtime,
    exec: &dyn Exec,
    sql_deadline: &Deadline,
    deadline: &Deadline,
) -> (Instance, Option<Connection>) {
    let Look { process, sql, connection } = look_running(runtime, sql_deadline);
    let data = data_dir::look(runtime, exec, deadline);
    (Instance { data, process, sql }, connection)
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
                return Err(Sql::Unknown(
                    "it has no unix socket: set unix_socket_directories, or socket_dir".to_owned(),
                ));
            }
        },
    };
    Ok(Endpoint { socket_dir, port, user: place.user.clone() })
}

fn ask(place: &Place, pid: i32, deadline: &Deadline) -> (Sql, Option<Connection>) {
    let endpoint = match endpoint(place) {
        Ok(endpoint) => endpoint,
        Err(answer) => return (answer, None),
    };
    let mut connection = match Connection::open(&endpoint, deadline) {
        Ok(connection) => connection,
        Err(error) => return (translated(place, error.into()), None),
    };
    if connection.postmaster_pid() != pid {
        let why = format!(
            "pid {} listens on {}, which is not the postmaster of {} (pid {pid})",
            connection.postmaster_pid(),
            endpoint.socket().display(),
            place.pgdata_text()
        );
        return (Sql::Unknown(why), None);
    }
    match sql::look::look(&mut connection, deadline) {
        answer @ (Sql::Primary(_) | Sql::Standby(_)) => (answer, Some(connection)),
        other => (translated(place, other), None),
    }
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
