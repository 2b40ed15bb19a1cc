//! Making a database system where there is none: by initdb, or by Debian's own tool. Floor 2.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, Exec};

use super::hba_file;
use super::own_files::io_error;
use super::swap::remove_tree;
use super::{Runtime, RuntimeError, nothing_runs, succeeded};

/// How long it may take: it ends with the flush of some thousand files.
const LIMIT: Duration = Duration::from_mins(5);

/// How it is to be.
#[derive(Clone, Debug)]
pub struct New<'n> {
    /// The locale of the databases, which are in UTF-8.
    pub locale: &'n str,
    /// Version and cluster, as Debian calls it; none: by initdb.
    pub debian: Option<(&'n str, &'n str)>,
}

/// Makes it, with checksums. pgdata must be empty, or not there: both tools refuse anything else.
pub fn create(
    runtime: &dyn Runtime,
    exec: &dyn Exec,
    new: &New<'_>,
    deadline: &Deadline,
) -> Result<(), RuntimeError> {
    nothing_runs(runtime, "make a database")?;
    let (what, cmd) = command(runtime, new)?;
    let output = exec
        .run(&cmd.limit(deadline.within(LIMIT).left()))
        .map_err(|source| RuntimeError::Exec { what, source })?;
    succeeded(what, &output)
}

fn command(runtime: &dyn Runtime, new: &New<'_>) -> Result<(&'static str, Cmd), RuntimeError> {
    let (place, locale) = (runtime.place(), new.locale);
    let (user, data) = (place.user.name.clone(), place.pgdata_text());
    if let Some((version, cluster)) = new.debian {
        let cmd = Cmd::new("pg_createcluster").args([
            format!("--user={user}"),
            format!("--datadir={data}"),
            format!("--port={}", place.port),
            format!("--locale={locale}"),
        ]);
        let cmd = cmd.args(["--encoding=UTF8", "--start-conf=disabled", version, cluster]);
        return Ok(("make a database by pg_createcluster", cmd.args(["--", "--data-checksums"])));
    }
    let cmd = runtime.command_on("initdb", std::slice::from_ref(&place.pgdata))?.args([
        format!("--pgdata={data}"),
        format!("--username={user}"),
        format!("--locale={locale}"),
    ]);
    let auth = ["--auth-local=peer", "--auth-host=scram-sha-256"];
    Ok(("make a database by initdb", cmd.args(["--encoding=UTF8", "--data-checksums"]).args(auth)))
}

/// Removes the data that [`create`] has made a moment ago, for a node that is to get another's.
pub fn remove_new_data(runtime: &dyn Runtime) -> Result<(), RuntimeError> {
    nothing_runs(runtime, "remove the new data")?;
    let place = runtime.place();
    place.as_user(|| {
        let unread = |error| io_error("read", &place.pgdata, error);
        for entry in fs::read_dir(&place.pgdata).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove_tree(&path)?;
            } else {
                fs::remove_file(&path).map_err(|error| io_error("remove", &path, error))?;
            }
        }
        Ok(())
    })
}

/// Puts a block of lines at the beginning of a new pg_hba.conf.
pub fn put_hba_block(runtime: &dyn Runtime, file: &Path, block: &str) -> Result<(), RuntimeError> {
    let place = runtime.place();
    let found = hba_file::read(place, file)?;
    let mut bytes = block.as_bytes().to_vec();
    bytes.extend_from_slice(&found.bytes);
    found.replace(place, bytes).map(drop)
}
