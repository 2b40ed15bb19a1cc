//! What the instance's own WAL directory tells: histories of timelines, and where a shutdown
//! checkpoint ends. Floor 2.

use std::fs;
use std::io;
use std::time::Duration;

use crate::cluster::ledger::{Beyond, NeverWritten};
use crate::decide::facts::DataDir;
use crate::postgres::control_data::{ClusterState, ControlData};
use crate::postgres::history::History;
use crate::postgres::lsn::{Lsn, Timeline};
use crate::postgres::waldump::{Geometry, Record};
use crate::sys::deadline::Deadline;
use crate::sys::exec::Exec;
use crate::sys::files::{FileError, read_untrusted};
use crate::sys::privilege::with_user;

use super::{Place, Runtime, RuntimeError, data_dir, succeeded};

/// The history of a timeline from the instance's own files; none when it has no such file (it may
/// still be fetched from an archive or a primary). Timeline 1 has none and needs none.
pub fn history(place: &Place, timeline: Timeline) -> Result<Option<History>, RuntimeError> {
    if timeline == Timeline::FIRST {
        return Ok(Some(History::of_first_line()));
    }
    let path = place.pgdata.join("pg_wal").join(timeline.history_file());
    let text = match place.as_user(|| read_untrusted(&path, 1 << 20)) {
        Ok(text) => text,
        Err(RuntimeError::File(FileError::Missing { .. })) => return Ok(None),
        Err(error) => return Err(error),
    };
    History::parse_file(timeline, &text)
        .map(Some)
        .map_err(|error| RuntimeError::Refused(format!("{}: {error}", path.display())))
}

/// The highest timeline that the instance has a history file of; none without any.
fn highest_history(place: &Place) -> Result<Option<Timeline>, RuntimeError> {
    let dir = place.pgdata.join("pg_wal");
    let highest = || -> io::Result<Option<Timeline>> {
        let mut highest = None;
        for entry in fs::read_dir(&dir)? {
            let name = entry?.file_name();
            highest = highest.max(name.to_str().and_then(Timeline::of_history_file));
        }
        Ok(highest)
    };
    with_user(&place.user, highest).map_err(RuntimeError::Privilege)?.map_err(|source| {
        RuntimeError::File(FileError::Io { what: "list the directory", path: dir, source })
    })
}

/// So many records are looked at for a write. A promotion that came to nothing has left one or two.
const LOOKED_AT: usize = 64;

/// What the WAL in `pg_wal` holds beyond a timeline, on the newest one that goes on from there: what PostgreSQL would
/// replay of it. One whose first record is not whole is none.
pub fn beyond(
    runtime: &dyn Runtime,
    exec: &dyn Exec,
    timeline: Timeline,
    deadline: &Deadline,
) -> Result<Beyond, RuntimeError> {
    let what = "look for writes beyond a timeline";
    let failed = |why: String| RuntimeError::Failed { what, why };
    let place = runtime.place();
    let Some(last) = highest_history(place)?.filter(|highest| *highest > timeline) else {
        return Ok(Beyond::Nothing);
    };
    let line = history(place, last)?.ok_or_else(|| failed(format!("{last} has no history")))?;
    let Some((_, fork)) = line.ancestor(timeline) else {
        return Err(failed(format!("timeline {last} does not come after {timeline}: {line}")));
    };
    let control = match data_dir::look(runtime, exec, deadline) {
        DataDir::Cluster(control) => control,
        other => return Err(failed(format!("{other:?}"))),
    };
    let geometry = Geometry::of(&control)
        .ok_or_else(|| failed("the control file's sizes of WAL make no sense".to_owned()))?;
    let wal = place.pgdata.join("pg_wal").display().to_string();
    let cmd = runtime
        .command("pg_waldump")?
        .args(["-p", &wal, "-t", &last.to_string(), "-s", &fork.to_string()])
        .args(["-n", &LOOKED_AT.to_string()])
        .limit(deadline.bounded(Duration::from_secs(10)));
    let output = exec.run(&cmd).map_err(|source| RuntimeError::Exec { what, source })?;
    // It fails where the WAL ends, after all that there is; where it fails otherwise, there may be more.
    if !at_the_end(&output.stderr) {
        succeeded(what, &output)?;
    }
    let records: Vec<Record> = output.stdout.lines().filter_map(Record::of_line).collect();
    Ok(judged(&records, geometry, timeline, last))
}

/// Whether pg_waldump has come to where WAL ends, by its words (PostgreSQL 13 to 18).
fn at_the_end(stderr: &str) -> bool {
    ["error in WAL record at ", "could not find a valid record after "]
        .iter()
        .any(|words| stderr.contains(words))
}

/// What these first records of a timeline are.
fn judged(records: &[Record], geometry: Geometry, after: Timeline, last: Timeline) -> Beyond {
    match records.last() {
        None => Beyond::Nothing,
        Some(at_end)
            if records.len() < LOOKED_AT && !records.iter().any(Record::may_be_a_write) =>
        {
            Beyond::NeverWritten(NeverWritten { after, last, end: at_end.end(geometry) })
        }
        Some(_) => Beyond::Written(last),
    }
}

/// Where the shutdown checkpoint ends that a cleanly stopped primary has written: what a standby
/// that received everything reports as its position. The control file names only its start.
pub fn end_of_shutdown_checkpoint(
    runtime: &dyn Runtime,
    exec: &dyn Exec,
    control: &ControlData,
    deadline: &Deadline,
) -> Result<Lsn, RuntimeError> {
    let what = "find the end of the shutdown checkpoint";
    let failed = |why: String| RuntimeError::Failed { what, why };
    if control.state != ClusterState::ShutDown {
        return Err(failed(format!(
            "the instance is {}, not shut down as a primary",
            control.state
        )));
    }
    let geometry = Geometry::of(control).ok_or_else(|| {
        failed(format!(
            "sizes of WAL make no sense: {} and {}",
            control.wal_segment_size, control.wal_block_size
        ))
    })?;
    let wal = runtime.place().pgdata.join("pg_wal").display().to_string();
    let cmd = runtime
        .command("pg_waldump")?
        .args(["-p", &wal, "-t", &control.timeline.to_string()])
        .args(["-s", &control.checkpoint.to_string(), "-n", "1"])
        .limit(deadline.bounded(Duration::from_secs(10)));
    let output = exec.run(&cmd).map_err(|source| RuntimeError::Exec { what, source })?;
    succeeded(what, &output)?;
    let record = Record::parse(&output.stdout).map_err(|error| failed(error.to_string()))?;
    if record.lsn != control.checkpoint || !record.is_shutdown_checkpoint() {
        return Err(failed(format!("at {} there is {}", control.checkpoint, record.desc)));
    }
    Ok(record.end(geometry))
}
