//! What operators' commands ask of a peer, in the database `postgres`. Floor 2.

use std::time::Duration;

use super::{Peer, PeerAnswer, answer, ask_in};
use crate::client::sql::delays::{OF_ONE, milliseconds};
use crate::decide::source::Login;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, Exec};

/// How late the replay of a peer, a standby, is, in milliseconds; none when it has replayed no
/// transaction. Asked in the database `postgres`, as pg_rewind would log in.
pub fn delay(
    exec: &dyn Exec,
    psql: Cmd,
    peer: &Peer,
    limit: Duration,
) -> Result<Option<u64>, PeerAnswer> {
    let deadline = Deadline::after(limit);
    let output = ask_in(exec, psql, peer, Login::Postgres, &[OF_ONE.into()], &deadline)?;
    match output.stdout.strip_suffix('\n') {
        Some("") if output.ok() => Ok(None),
        Some(text) if output.ok() => {
            milliseconds(text).map(Some).map_err(|error| PeerAnswer::Unknown(error.to_string()))
        }
        _ if output.ok() => Err(PeerAnswer::Unknown("it is no standby".into())),
        _ => Err(answer::failure(&output)),
    }
}

/// Has a peer write a checkpoint, and waits for its end. The role has to be a superuser, or since 15 a
/// member of pg_checkpoint.
pub fn checkpoint(
    exec: &dyn Exec,
    psql: Cmd,
    peer: &Peer,
    limit: Duration,
) -> Result<(), PeerAnswer> {
    let deadline = Deadline::after(limit);
    let output = ask_in(exec, psql, peer, Login::Postgres, &["CHECKPOINT".into()], &deadline)?;
    if output.ok() { Ok(()) } else { Err(answer::failure(&output)) }
}
