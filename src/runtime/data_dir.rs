//! What stands at PGDATA, seen as the PostgreSQL user. Floor 2.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::time::Duration;

use crate::decide::facts::DataDir;
use crate::postgres::control_data::{ControlData, ControlDataError};
use crate::postgres::version::major_of_pg_version;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Ended, Exec};
use crate::sys::files::{FileError, Kind, Seen, look_through, remove_durably, write_durably};
use crate::sys::privilege::with_user;

use super::{Place, Runtime, RuntimeError, last_words, succeeded};

/// Files in PGDATA that tell a start, or a running server, what to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalFile {
    /// `standby.signal`: a standby.
    Standby,
    /// `recovery.signal`: a point-in-time recovery (a standby, if the other is there too).
    Recovery,
    /// `promote`: a promotion request that the startup process has not taken yet.
    Promote,
}

impl SignalFile {
    fn name(self) -> &'static str {
        match self {
            Self::Standby => "standby.signal",
            Self::Recovery => "recovery.signal",
            Self::Promote => "promote",
        }
    }

    /// Whether it is there.
    pub fn is_there(self, place: &Place) -> Result<bool, RuntimeError> {
        is_there(place, self.name())
    }

    /// Makes it be there, also after a power cut.
    pub fn create(self, place: &Place) -> Result<(), RuntimeError> {
        if self.is_there(place)? {
            return Ok(());
        }
        place.as_user(|| write_durably(&place.pgdata, self.name(), b"", 0o600))
    }

    /// Makes it not be there, also after a power cut.
    pub fn remove(self, place: &Place) -> Result<(), RuntimeError> {
        place.as_user(|| remove_durably(&place.pgdata, self.name()))
    }
}

fn is_there(place: &Place, name: &str) -> Result<bool, RuntimeError> {
    let path = place.pgdata.join(name);
    match with_user(&place.user, || look_through(&path)).map_err(RuntimeError::Privilege)? {
        Seen::Present(_) => Ok(true),
        Seen::Missing => Ok(false),
        Seen::Unknown(why) => Err(RuntimeError::Refused(why)),
    }
}

/// Whether it is a copy that no server was started on yet: `backup_label` says where its recovery begins,
/// and its control file is the source's.
pub fn was_never_started(place: &Place) -> Result<bool, RuntimeError> {
    is_there(place, "backup_label")
}

/// What `pg_controldata` says. It reads a file that a running server writes: a checksum that is
/// wrong is looked at again.
pub fn control_data(
    runtime: &dyn Runtime,
    exec: &dyn Exec,
    deadline: &Deadline,
) -> Result<ControlData, RuntimeError> {
    let what = "read the control file";
    let mut again = true;
    loop {
        let cmd = runtime
            .command("pg_controldata")?
            .args(["-D", &runtime.place().pgdata_text()])
            .limit(deadline.bounded(Duration::from_secs(10)));
        let output = exec.run(&cmd).map_err(|source| RuntimeError::Exec { what, source })?;
        succeeded(what, &output)?;
        match ControlData::parse(&format!("{}\n{}", output.stdout, output.stderr)) {
            Ok(control) => return Ok(control),
            Err(ControlDataError::Damaged) if again => again = false,
            Err(error) => return Err(RuntimeError::Failed { what, why: error.to_string() }),
        }
    }
}

/// Looks at the data directory: whether it is there, whose it is, and its control file.
pub fn look(runtime: &dyn Runtime, exec: &dyn Exec, deadline: &Deadline) -> DataDir {
    match examine(runtime.place()) {
        Examined::Cluster => {}
        Examined::Other(answer) => return answer,
    }
    let cmd = match runtime.command("pg_controldata") {
        Ok(cmd) => cmd.args(["-D", &runtime.place().pgdata_text()]),
        Err(error) => return DataDir::Unusable(error.to_string()),
    };
    let limit = deadline.bounded(Duration::from_secs(10));
    let mut damaged = None;
    for _ in 0..2 {
        let output = match exec.run(&cmd.clone().limit(limit)) {
            Ok(output) => output,
            Err(error) => return DataDir::Unknown(chain(&error)),
        };
        if output.ended == Ended::TimedOut {
            return DataDir::Unknown(format!("pg_controldata did not end within {limit:?}"));
        }
        if !output.ok() {
            let words = last_words(&output.stderr);
            let missing = words.contains("No such file or directory");
            return match (missing, moved_away(runtime.place())) {
                (true, Some(why)) => DataDir::Unusable(why),
                (true, None) => DataDir::Unusable(words),
                (false, _) => DataDir::Unknown(words),
            };
        }
        match ControlData::parse(&format!("{}\n{}", output.stdout, output.stderr)) {
            Ok(control) => return DataDir::Cluster(Box::new(control)),
            Err(error @ ControlDataError::Damaged) => damaged = Some(error.to_string()),
            Err(error) => return DataDir::Unknown(error.to_string()),
        }
    }
    DataDir::Unusable(damaged.unwrap_or_default())
}

/// Whether the data was put out of use by a tool that has made new data of it.
fn moved_away(place: &Place) -> Option<String> {
    let aside = is_there(place, super::storage::switch::OUT_OF_USE).ok()?;
    aside.then(|| {
        format!(
            "{} is out of use: its global/pg_control is called pg_control.old, since its data was moved \
             (pgtwin storage migrate, pg_upgrade --link): use the new data",
            place.pgdata_text()
        )
    })
}

enum Examined {
    Cluster,
    Other(DataDir),
}

/// All that can be seen without a program.
fn examine(place: &Place) -> Examined {
    let pgdata = place.pgdata_text();
    let unusable = |why: String| Examined::Other(DataDir::Unusable(why));
    let entry = match look_through(&place.pgdata) {
        Seen::Missing => return Examined::Other(DataDir::Absent),
        Seen::Unknown(why) => return Examined::Other(DataDir::Unknown(why)),
        Seen::Present(entry) => entry,
    };
    let user = &place.user;
    if entry.kind != Kind::Directory {
        return unusable(format!("{pgdata} is a {}, not a directory", entry.kind.name()));
    }
    if entry.uid != user.uid {
        return unusable(format!(
            "{pgdata} belongs to uid {}, not to {}: chown -R {} {pgdata}",
            entry.uid, user.name, user.name
        ));
    }
    let first = match with_user(user, || first_name_in(place)) {
        Ok(Ok(first)) => first,
        Ok(Err(e)) if e.kind() == io::ErrorKind::PermissionDenied => {
            return unusable(format!(
                "{pgdata} cannot be read by {}: check the modes of it and its parents",
                user.name
            ));
        }
        Ok(Err(e)) => return Examined::Other(DataDir::Unknown(format!("{pgdata}: {e}"))),
        Err(error) => return Examined::Other(DataDir::Unknown(chain(&error))),
    };
    match first {
        None => return Examined::Other(DataDir::Empty),
        Some(name) if name != "PG_VERSION" => {
            return unusable(format!(
                "{pgdata} holds {} but no PG_VERSION: it is no database, look at what it is",
                name.display()
            ));
        }
        Some(_) => {}
    }
    if entry.mode & 0o027 != 0 {
        return unusable(format!(
            "{pgdata} has mode {:04o}, which PostgreSQL refuses: chmod 0700 {pgdata}",
            entry.mode
        ));
    }
    match place.read("PG_VERSION", 64) {
        Ok(text) => match major_of_pg_version(&text) {
            Ok(_) => Examined::Cluster,
            Err(error) => unusable(format!("{pgdata}: {error}")),
        },
        Err(RuntimeError::File(error @ FileError::WrongKind { .. })) => unusable(chain(&error)),
        Err(error) => Examined::Other(DataDir::Unknown(chain(&error))),
    }
}

/// `PG_VERSION` where there is one, else any other name but that of an empty file system and of a copy
/// that was not finished; none in an empty directory. Nothing is kept of a directory with millions of names.
fn first_name_in(place: &Place) -> io::Result<Option<OsString>> {
    let mut first = None;
    for entry in fs::read_dir(&place.pgdata)? {
        let name = entry?.file_name();
        if name == "PG_VERSION" {
            return Ok(Some(name));
        }
        if name != "lost+found" && name != super::layout::NEW {
            first.get_or_insert(name);
        }
    }
    Ok(first)
}

/// When the control file was last written or put there, in seconds of the epoch: what was restored with
/// its old times counts as new. It permits nothing by itself.
pub fn changed_at(place: &Place) -> Option<i64> {
    use std::os::unix::fs::MetadataExt;
    let path = place.pgdata.join("global/pg_control");
    with_user(&place.user, || std::fs::symlink_metadata(&path)).ok()?.ok().map(|meta| meta.ctime())
}
