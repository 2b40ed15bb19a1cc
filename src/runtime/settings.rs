//! Our settings in `postgresql.auto.conf`, line by line: an administrator's own survive. Floor 2.

use std::time::Duration;

use crate::postgres::conf;
use crate::sys::deadline::Deadline;
use crate::sys::exec::Exec;
use crate::sys::files::{FileError, Seen, look, read_untrusted, write_durably};

use super::{Place, Runtime, RuntimeError, bare, succeeded};

const NAME: &str = "postgresql.auto.conf";
const LARGEST: u64 = 4 << 20;

/// Sets, or removes (`None`), settings in `postgresql.auto.conf`, all at once and atomically.
/// The file is not written when nothing changes.
///
/// An ALTER SYSTEM at the same moment can be lost, or undo this: who relies on a setting reads it
/// back from the server.
pub fn set_auto_conf(place: &Place, settings: &[(&str, Option<&str>)]) -> Result<(), RuntimeError> {
    let path = place.pgdata.join(NAME);
    let old = auto_conf(place)?;
    if let Some(line) = conf::first_bad_line(&old) {
        return Err(RuntimeError::Refused(format!(
            "line {line} of {} is not one that PostgreSQL understands: correct it",
            path.display()
        )));
    }
    let mut new = old.clone();
    for (name, value) in settings {
        new = match value {
            Some(value) => conf::set(&new, name, value)
                .map_err(|error| RuntimeError::Refused(format!("{}: {error}", path.display())))?,
            None => conf::remove(&new, name),
        };
    }
    if new == old {
        return Ok(());
    }
    place.as_user(|| {
        // Group access, if initdb gave it, stays.
        let mode = match look(&path) {
            Seen::Present(entry) => entry.mode & 0o640,
            Seen::Missing | Seen::Unknown(_) => 0o600,
        };
        write_durably(&place.pgdata, NAME, new.as_bytes(), mode | 0o600)
    })
}

/// The text of `postgresql.auto.conf`; empty when there is none.
pub fn auto_conf(place: &Place) -> Result<String, RuntimeError> {
    let path = place.pgdata.join(NAME);
    match place.as_user(|| read_untrusted(&path, LARGEST)) {
        Err(RuntimeError::File(FileError::Missing { .. })) if place.pgdata.exists() => {
            Ok(String::new())
        }
        other => other,
    }
}

/// Which of these settings a server would have that is started here, by all of its files and options: `postgres`
/// itself is asked, and need not run. What they are set to may be a secret.
pub fn configured(
    runtime: &dyn Runtime,
    exec: &dyn Exec,
    names: &[&'static str],
    deadline: &Deadline,
) -> Result<Vec<&'static str>, RuntimeError> {
    let what = "ask postgres for its settings";
    let place = runtime.place();
    let mut set = Vec::new();
    for name in names {
        let cmd = runtime
            .command("postgres")?
            .args(bare::config_args(place))
            .args(place.start_opts.iter().cloned())
            .args(["-C", name])
            .limit(deadline.bounded(Duration::from_secs(10)));
        let output = exec.run(&cmd).map_err(|source| RuntimeError::Exec { what, source })?;
        succeeded(what, &output)?;
        if !output.stdout.trim().is_empty() {
            set.push(*name);
        }
    }
    Ok(set)
}
