//! pg_basebackup: a new copy of the source's data, made beside the old one, which is not touched.
//! Floor 2.
//!
//! The copy is whole when this ends well: with its own WAL, a `standby.signal`, and this node's own
//! configuration, where there was one. [`super::swap`] brings it to its place. It is streamed by a slot
//! that exists already, so that nothing of what comes after it can be removed meanwhile, and under a
//! name of its own: with the member's name it would acknowledge commits. The role needs REPLICATION, a
//! line for `replication` in pg_hba.conf, and two walsenders.
//!
//! What is a Btrfs subvolume stays one: the copy of it is made in a new one, which pg_basebackup takes for
//! an empty directory.
//!
//! pg_basebackup copies the source's whole directory, also what is none of PostgreSQL's. It gives the
//! copy the source's mode; the swap gives it the old one's.
//!
//! The programs of a place without data are those of the newest version that is installed: who goes
//! on with the new data looks for its programs anew.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::client::peer::Peer;
use crate::postgres::copy_tools::{Copied, WhyNot};
use crate::postgres::version::major_of_pg_version;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, Ended, Exec};
use crate::sys::files::{
    FileError, Seen, look, read_untrusted, remove_durably, sync_dir, write_durably,
};

use super::layout::{COPY, Layout, Part, Tablespace, What};
use super::own_files::io_error;
use super::swap::{remove_strays, remove_tree};
use super::{Place, Runtime, RuntimeError, last_words, nothing_runs, own_files, subvolume, text};

/// What is copied, from where to where.
#[derive(Clone, Copy, Debug)]
pub struct Copy<'a> {
    /// From where.
    pub source: &'a Peer,
    /// The slot there, which exists.
    pub slot: &'a str,
    /// To where.
    pub layout: &'a Layout,
    /// This node's own configuration, if it is kept ([`own_files::keep`]).
    pub kept: Option<&'a Path>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Rebuild {
    /// The copy is whole, and on the disk.
    Copied,
    /// It failed, and what there was of it is removed. The old data is as it was.
    Failed {
        /// The class of it.
        why: WhyNot,
        /// The tool's last words, on one line.
        words: String,
    },
}

/// Makes the copy. What is left of an earlier one is removed first. `progress` is told as it goes on.
///
/// An error means that nothing was begun, or that what is left of a copy could not be removed.
pub fn rebuild(
    runtime: &dyn Runtime,
    exec: &dyn Exec,
    copy: Copy<'_>,
    deadline: &Deadline,
    progress: &mut dyn FnMut(Copied),
) -> Result<Rebuild, RuntimeError> {
    let place = runtime.place();
    let Some(data) = copy.layout.data() else {
        return Err(RuntimeError::Refused("the layout of the data has no data".to_owned()));
    };
    nothing_runs(runtime, "rebuild the data")?;
    remove_copy(place, copy.layout)?;
    let cmd = command(runtime, copy, data, deadline)?;
    subvolume::make_for_copy(place, exec, copy.layout);
    let mut watch = |line: &str| {
        if let Some(copied) = Copied::of_line(line) {
            progress(copied);
        }
    };
    let ended = exec.run_watched(&cmd, &mut watch);
    // Whatever became of it: nothing writes there any more.
    runtime.settle()?;
    let failed = match ended {
        Err(error) => Some((WhyNot::Other, chain(&error))),
        Ok(output) => {
            let said = format!("{}\n{}", output.stdout, output.stderr);
            match output.ended {
                Ended::Exited(0) => complete(place, copy, data).err().map(|error| {
                    let words = chain(&error);
                    (WhyNot::of_words(&words), words)
                }),
                Ended::Exited(_) => Some((WhyNot::of_words(&said), last_words(&said))),
                Ended::Signaled(signal) => Some((
                    WhyNot::Other,
                    format!("it was killed by signal {signal}: {}", last_words(&said)),
                )),
                Ended::TimedOut => Some((WhyNot::TooLate, last_words(&said))),
            }
        }
    };
    let Some((why, words)) = failed else { return Ok(Rebuild::Copied) };
    remove_copy(place, copy.layout)?;
    Ok(Rebuild::Failed { why, words })
}

/// Removes a copy that has not been brought to its place, as the PostgreSQL user. No link is followed.
pub fn remove_copy(place: &Place, layout: &Layout) -> Result<(), RuntimeError> {
    place.as_user(|| layout.parts.iter().try_for_each(|part| remove_tree(&part.new_dir())))
}

/// The command, as a value.
fn command(
    runtime: &dyn Runtime,
    copy: Copy<'_>,
    data: &Part,
    deadline: &Deadline,
) -> Result<Cmd, RuntimeError> {
    let conninfo = copy.source.for_tool("replication", "pgtwin_rebuild");
    let new: Vec<PathBuf> =
        copy.layout.parts.iter().filter(|part| part.has_new()).map(Part::new_dir).collect();
    let mut cmd = runtime
        .command_on("pg_basebackup", &new)?
        // It holds no secret: those are in the file that it names.
        .args(["-d".to_owned(), conninfo.to_text()])
        .args(["-D".to_owned(), text(&data.new_dir())])
        .args(["--format=plain", "--wal-method=stream", "--checkpoint=fast"])
        .arg(format!("--slot={}", copy.slot))
        .args(["--progress", "--no-password", "--no-manifest"]);
    for part in &copy.layout.parts {
        match &part.what {
            What::Data | What::Dropped(_) => {}
            What::Wal => cmd = cmd.arg(format!("--waldir={}", text(&part.new_dir()))),
            What::Tablespace(Tablespace { location, .. }) => {
                let escaped = |path: &Path| text(path).replace('=', "\\=");
                let mapping = format!("{}={}", escaped(location), escaped(&part.new_dir()));
                cmd = cmd.arg(format!("--tablespace-mapping={mapping}"));
            }
        }
    }
    Ok(cmd.limit(deadline.left()))
}

/// What makes a standby of this node's own of the copy.
fn complete(place: &Place, copy: Copy<'_>, data: &Part) -> Result<(), RuntimeError> {
    let new = data.new_dir();
    place.as_user(|| {
        // First: without it this would come up as a second primary.
        write_durably(&new, "standby.signal", b"", 0o600)?;
        remove_durably(&new, "recovery.signal")?;
        remove_durably(&new, "promote")?;
        remove_strays(&new)?;
        // Where a new one is to go, the file system has its own.
        remove_tree(&new.join("lost+found"))?;
        match data.mode {
            // It stays where it is, and is not replaced by one that has this mode.
            Some(mode) if data.inside => {
                fs::set_permissions(&data.at, Permissions::from_mode(mode & 0o7777))
                    .map_err(|e| io_error("set the mode of", &data.at, e))
            }
            _ => Ok(()),
        }
    })?;
    let version = place.as_user(|| read_untrusted(&new.join("PG_VERSION"), 64))?;
    let major = major_of_pg_version(&version).map_err(|e| RuntimeError::Refused(e.to_string()))?;
    if major != copy.layout.major {
        return Err(RuntimeError::Refused(format!(
            "the copy is of PostgreSQL {major}, and {} was expected",
            copy.layout.major
        )));
    }
    place.as_user(|| {
        if look(&new.join("backup_label")) == Seen::Missing {
            return Err(FileError::Missing { path: new.join("backup_label") });
        }
        Ok(())
    })?;
    let unknown = place.as_user(|| unknown_tablespaces(&new, copy.layout))?;
    if let Some((oid, link)) = unknown.first() {
        // It was made since the layout was: pg_basebackup put it where the source has it, into a
        // directory that was empty.
        let prefix = format!("PG_{}_", copy.layout.major);
        place.as_user(|| unknown.iter().try_for_each(|(_, link)| empty(link, &prefix)))?;
        return Err(RuntimeError::Refused(format!(
            "the tablespace {oid} at {} was made meanwhile: the copy has to be made anew",
            link.display()
        )));
    }
    if let Some(kept) = copy.kept.filter(|kept| own_files::are_kept(kept)) {
        own_files::put_back(place, kept, &new)?;
    }
    place.as_user(|| {
        // Last: with it, the copy is whole.
        write_durably(&new, COPY, copy.layout.stamp.as_bytes(), 0o600)?;
        copy.layout.parts.iter().filter(|part| part.has_new()).try_for_each(|part| {
            let new = part.new_dir();
            sync_dir(new.parent().unwrap_or(&new))
        })
    })
}

/// Links in the copy that do not lead to where the layout has them.
fn unknown_tablespaces(new: &Path, layout: &Layout) -> Result<Vec<(String, PathBuf)>, FileError> {
    let dir = new.join("pg_tblspc");
    let mut unknown = Vec::new();
    for entry in fs::read_dir(&dir).map_err(|e| io_error("list", &dir, e))? {
        let path = entry.map_err(|e| io_error("list", &dir, e))?.path();
        let to = match fs::read_link(&path) {
            Ok(to) => to,
            // No link: a directory of allow_in_place_tablespaces, which is part of the copy.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => continue,
            Err(e) => return Err(io_error("read the link", &path, e)),
        };
        if !layout.parts.iter().any(|part| part.new_dir() == to) {
            let oid = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            unknown.push((oid, to));
        }
    }
    Ok(unknown)
}

/// Removes what begins so in a directory.
fn empty(dir: &Path, prefix: &str) -> Result<(), FileError> {
    for entry in fs::read_dir(dir).map_err(|e| io_error("list", dir, e))? {
        let path = entry.map_err(|e| io_error("list", dir, e))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)) {
            remove_tree(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::super::bare::Bare;
    use super::super::layout::tests::{layout, part};
    use super::*;
    use crate::postgres::conninfo::Conninfo;
    use crate::sys::exec::System;
    use crate::sys::privilege::User;
    use std::time::Duration;

    #[test]
    fn the_whole_command_maps_all_that_lies_elsewhere() {
        let bin = tempfile::tempdir().unwrap();
        fs::write(bin.path().join("postgres"), "").unwrap();
        let place = Place {
            pgdata: "/srv/pg".into(),
            user: User { name: "root".into(), uid: 0, gid: 0, groups: vec![0] },
            port: 5432,
            socket_dir: None,
            config_file: None,
            start_opts: Vec::new(),
            bindir: Some(bin.path().into()),
            start_log: "/x".into(),
        };
        let space = Tablespace { oid: 16384, location: "/ts=1".into() };
        let layout = layout(
            false,
            vec![
                part(What::Data, "/srv/pg", false),
                part(What::Wal, "/wal", true),
                part(What::Tablespace(space), "/ts=1", false),
                part(What::Dropped(2), "/gone", false),
            ],
        );
        let source = Peer {
            host: "n2".into(),
            port: 1,
            user: "r".into(),
            passfile: None,
            like: Conninfo::new(),
        };
        let copy = Copy { source: &source, slot: "ha_slot_n1", layout: &layout, kept: None };
        let runtime = Bare::new(&System, place);
        let deadline = Deadline::after(Duration::from_secs(9));
        let cmd = command(&runtime, copy, layout.data().unwrap(), &deadline).unwrap();
        assert!(cmd.args[1].contains("application_name=pgtwin_rebuild"), "{:?}", cmd.args);
        assert_eq!(
            cmd.args[2..],
            [
                "-D",
                "/srv/pg.pgtwin-new",
                "--format=plain",
                "--wal-method=stream",
                "--checkpoint=fast",
                "--slot=ha_slot_n1",
                "--progress",
                "--no-password",
                "--no-manifest",
                "--waldir=/wal/.pgtwin-new",
                r"--tablespace-mapping=/ts\=1=/ts\=1.pgtwin-new",
            ]
        );
        assert!(cmd.limit <= Duration::from_secs(9));
    }
}
