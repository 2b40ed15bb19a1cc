//! pg_rewind: the target's own changes since the fork are taken back, and the source's are brought.
//! Floor 2.
//!
//! The target must have been shut down cleanly ([`super::recover`]). The role that logs in to the
//! source need be no superuser. It needs, in the database `postgres` of the source:
//!
//!     GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO role;
//!     GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO role;
//!     GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO role;
//!     GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO role;
//!
//! the same in versions 13 to 18 ([`crate::postgres::copy_tools::REWIND_GRANTS`]). Version 13 also makes a temporary table
//! there, which PUBLIC may unless somebody has revoked it: `GRANT TEMPORARY ON DATABASE postgres`. A
//! grant on the primary is on its standbys as well, by replication.
//!
//! What pg_rewind does to its target, for those who change this:
//!
//! - It reads all that it needs before it writes, and says `need to copy` in between. A failure before
//!   that leaves the target as it was. A failure after it leaves a ruin whose control file still says
//!   `shut down`: the control file is written last. Only a note elsewhere can keep it from being
//!   started.
//! - What the source has not is removed, `standby.signal` included; what both have and is no table is
//!   replaced by the source's: configuration, certificates, and the logs in PGDATA.
//! - `backup_label`, `tablespace_map`, `postmaster.pid` and the content of `pg_replslot` are removed,
//!   never brought: this node's own slots are gone, and have to be made anew. Then it writes its own
//!   `backup_label`, without which recovery would begin at the wrong place.
//! - Links in `pg_tblspc` stay where both have them. For a tablespace that only the source has, it makes
//!   a link to the same path as there, and fails after `need to copy` if that path cannot be written.
//! - A copy that lies inside the source's PGDATA is copied too; one inside the target's is removed.
//! - `no rewind required` is no proof: up to version 15 it takes the source's timeline from its last
//!   checkpoint, which is the old one until the checkpoint after its promotion, and two promotions may
//!   have given two branches one number. The caller has proven before that the lines have parted.

use std::path::Path;
use std::time::Duration;

use crate::client::peer::Peer;
use crate::postgres::conninfo::Conninfo;
use crate::postgres::copy_tools::{Copied, WhyNot, fork_of, has_begun_to_write, says_no_rewind};
use crate::postgres::lsn::{Lsn, Timeline};
use crate::postgres::version::major_of_pg_version;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, Ended, Exec, ExecError, Output};

use super::data_dir::{SignalFile, control_data};
use super::swap::remove_strays;
use super::{Runtime, RuntimeError, last_words, nothing_runs, own_files, text};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Rewind {
    /// The data is the source's, and has to be replayed as a standby from the fork on.
    Rewound {
        /// The last timeline that both have.
        timeline: Timeline,
        /// Where the other one left it.
        fork: Lsn,
        /// Before it has replayed as far, it is not consistent.
        replay_to: Lsn,
    },
    /// pg_rewind sees no difference in history. Nothing was changed but `standby.signal`.
    NotNeeded,
    /// It failed.
    Failed {
        /// The class of it.
        why: WhyNot,
        /// Its last words, on one line.
        words: String,
        /// The data may have been written to, and must not be started any more.
        touched: bool,
    },
}

/// Rewinds the data of a stopped instance to the source, and makes a standby of it with its own
/// configuration. `kept` is a directory of ours that holds that configuration meanwhile; it is gone
/// afterwards, but for a failure that has touched the data. `progress` is told as it goes on.
///
/// An error means that nothing was begun.
pub fn rewind(
    runtime: &dyn Runtime,
    exec: &dyn Exec,
    source: &Peer,
    kept: &Path,
    deadline: &Deadline,
    progress: &mut dyn FnMut(Copied),
) -> Result<Rewind, RuntimeError> {
    let place = runtime.place();
    nothing_runs(runtime, "rewind the data")?;
    let control = control_data(runtime, exec, deadline)?;
    if !control.state.is_clean() {
        let words = format!("its state is {}", control.state);
        return Ok(Rewind::Failed { why: WhyNot::NotClean, words, touched: false });
    }
    let cmd = command(runtime, source, deadline)?;
    if let Some((why, words)) = cannot_read(runtime, exec, source, deadline)? {
        return Ok(Rewind::Failed { why, words, touched: false });
    }
    own_files::keep(place, kept)?;
    let mut watch = |line: &str| {
        if let Some(copied) = Copied::of_line(line) {
            progress(copied);
        }
    };
    let ran = exec.run_watched(&cmd, &mut watch);
    if let Err(error) = runtime.settle() {
        let words = chain(&error);
        return Ok(Rewind::Failed { why: WhyNot::Other, words, touched: true });
    }
    let ended = match ran {
        Ok(output) => read(&output),
        Err(error) => {
            // Once it was started, nobody knows how far it came.
            let touched = matches!(error, ExecError::Io { .. });
            Read::Failed { why: WhyNot::Other, words: chain(&error), touched }
        }
    };
    let outcome = match ended {
        Read::Rewound(timeline, fork) => put_right(runtime, exec, kept, deadline)
            .map(|replay_to| Rewind::Rewound { timeline, fork, replay_to }),
        Read::NotNeeded => SignalFile::Standby.create(place).map(|()| Rewind::NotNeeded),
        Read::Failed { why, words, touched } => Ok(Rewind::Failed { why, words, touched }),
    };
    let outcome = outcome.unwrap_or_else(|error| Rewind::Failed {
        why: WhyNot::Other,
        words: chain(&error),
        touched: true,
    });
    if !matches!(outcome, Rewind::Failed { touched: true, .. }) {
        own_files::discard(kept)?;
    }
    Ok(outcome)
}

/// Why the role cannot read a piece of a file of the source. Of all that pg_rewind needs, this it finds
/// out last, when it has removed files already.
fn cannot_read(
    runtime: &dyn Runtime,
    exec: &dyn Exec,
    source: &Peer,
    deadline: &Deadline,
) -> Result<Option<(WhyNot, String)>, RuntimeError> {
    let query = "SELECT pg_catalog.pg_read_binary_file('PG_VERSION', 0, 1, true)";
    let cmd = runtime
        .command("psql")?
        .args(["-X", "-At", "-w", "-c", query, "-d"])
        .arg(conninfo(source).to_text())
        .limit(deadline.bounded(Duration::from_secs(30)));
    let output = match exec.run(&cmd) {
        Ok(output) => output,
        Err(error) => return Ok(Some((WhyNot::Other, chain(&error)))),
    };
    let words = last_words(&output.stderr);
    Ok(match output.ended {
        Ended::Exited(0) => None,
        Ended::Exited(_) | Ended::Signaled(_) => Some((WhyNot::of_words(&output.stderr), words)),
        Ended::TimedOut => Some((WhyNot::Unreachable, "the source does not answer".to_owned())),
    })
}

fn conninfo(source: &Peer) -> Conninfo {
    // pg_rewind switches these off itself, but not before its first question.
    source
        .for_tool("postgres", "pgtwin_rewind")
        .with("options", "-c statement_timeout=0 -c lock_timeout=0")
}

/// The command, as a value.
fn command(runtime: &dyn Runtime, source: &Peer, deadline: &Deadline) -> Result<Cmd, RuntimeError> {
    let place = runtime.place();
    let version = place.read("PG_VERSION", 64)?;
    let major = major_of_pg_version(&version).map_err(|e| RuntimeError::Refused(e.to_string()))?;
    let mut cmd = runtime
        .command("pg_rewind")?
        .arg(format!("--target-pgdata={}", place.pgdata_text()))
        // It holds no secret: those are in the file that it names.
        .arg(format!("--source-server={}", conninfo(source).to_text()))
        .args(["--progress", "--no-ensure-shutdown"]);
    if let Some(file) = place.config_file.as_deref().filter(|_| major >= 15) {
        cmd = cmd.arg(format!("--config-file={}", text(file)));
    }
    Ok(cmd.limit(deadline.left()))
}

/// What pg_rewind has said.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Rewound(Timeline, Lsn),
    NotNeeded,
    Failed { why: WhyNot, words: String, touched: bool },
}

fn read(output: &Output) -> Read {
    let said = format!("{}\n{}", output.stdout, output.stderr);
    let touched = has_begun_to_write(&said);
    let failed = |why, words| Read::Failed { why, words, touched };
    match output.ended {
        Ended::Exited(0) => match fork_of(&said) {
            _ if says_no_rewind(&said) => Read::NotNeeded,
            Some((timeline, fork)) => Read::Rewound(timeline, fork),
            None => Read::Failed {
                why: WhyNot::Other,
                words: format!(
                    "it ended well and did not say where the lines part: {}",
                    last_words(&said)
                ),
                touched: true,
            },
        },
        Ended::Exited(_) => failed(WhyNot::of_words(&said), last_words(&said)),
        Ended::Signaled(signal) => failed(
            WhyNot::Other,
            format!("it was killed by signal {signal}: {}", last_words(&said)),
        ),
        Ended::TimedOut => failed(WhyNot::TooLate, last_words(&said)),
    }
}

/// What has to be so before this data may be started: a standby, with its own configuration, from the
/// place that pg_rewind wrote down. Returns how far it must replay.
fn put_right(
    runtime: &dyn Runtime,
    exec: &dyn Exec,
    kept: &Path,
    deadline: &Deadline,
) -> Result<Lsn, RuntimeError> {
    let place = runtime.place();
    // First: without it this would come up as a second primary.
    SignalFile::Standby.create(place)?;
    SignalFile::Recovery.remove(place)?;
    SignalFile::Promote.remove(place)?;
    place.as_user(|| remove_strays(&place.pgdata))?;
    own_files::put_back(place, kept, &place.pgdata)?;
    let label = place.read("backup_label", 1 << 16)?;
    if !label.contains("BACKUP METHOD: pg_rewind") {
        return Err(RuntimeError::Refused(format!(
            "the backup_label in {} is not pg_rewind's",
            place.pgdata_text()
        )));
    }
    // What is left of the time may be none: this is short, and all is done.
    let deadline = Deadline::after(deadline.left().max(Duration::from_secs(10)));
    Ok(control_data(runtime, exec, &deadline)?.min_recovery_end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::super::Place;
    use super::super::bare::Bare;
    use super::*;
    use crate::sys::exec::System;
    use crate::sys::privilege::User;

    #[test]
    fn the_whole_command_names_the_configuration_where_the_version_takes_it() {
        let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("postgres"), "").unwrap();
        let place = |config_file: Option<&str>| Place {
            pgdata: dir.path().into(),
            user: User::named(&me.name).unwrap(),
            port: 5432,
            socket_dir: None,
            config_file: config_file.map(Into::into),
            start_opts: Vec::new(),
            bindir: Some(dir.path().join("13")),
            start_log: "/x".into(),
        };
        let source = Peer {
            host: "n2".into(),
            port: 1,
            user: "r".into(),
            passfile: None,
            like: Conninfo::new(),
        };
        for (major, config_file, expected) in [
            ("13", Some("/etc/pg.conf"), None),
            ("15", Some("/etc/pg.conf"), Some("--config-file=/etc/pg.conf")),
            ("18", None, None),
        ] {
            // By the name of the directory the version of its programs is known.
            let bindir = dir.path().join(major).join("bin");
            std::fs::create_dir_all(&bindir).unwrap();
            std::fs::write(bindir.join("postgres"), "").unwrap();
            std::fs::write(dir.path().join("PG_VERSION"), major).unwrap();
            let place = Place { bindir: Some(bindir), ..place(config_file) };
            let runtime = Bare::new(&System, place);
            let deadline = Deadline::after(Duration::from_secs(9));
            let cmd = command(&runtime, &source, &deadline).unwrap();
            let target = format!("--target-pgdata={}", dir.path().display());
            assert_eq!(cmd.args[0], target);
            assert!(cmd.args[1].starts_with("--source-server=host=n2 "), "{:?}", cmd.args);
            assert!(cmd.args[1].contains("application_name=pgtwin_rewind"), "{:?}", cmd.args);
            assert!(cmd.args[1].contains("options='-c statement_timeout=0"), "{:?}", cmd.args);
            assert_eq!(cmd.args[2..4], ["--progress", "--no-ensure-shutdown"]);
            assert_eq!(cmd.args.get(4).map(String::as_str), expected, "{major}");
        }
    }

    #[test]
    fn only_a_failure_before_the_first_write_leaves_the_data_untouched() {
        let fork = "pg_rewind: servers diverged at WAL location 0/3000148 on timeline 1\n";
        let copy = "pg_rewind: need to copy 52 MB (total source directory size is 71 MB)\n";
        let lost = "pg_rewind: error: server closed the connection unexpectedly\n";
        let touches = |ended, said: &str| {
            let output = Output { ended, stdout: String::new(), stderr: said.to_owned() };
            match read(&output) {
                Read::Failed { touched, why, .. } => Ok((touched, why)),
                Read::NotNeeded => Err("not needed"),
                Read::Rewound(..) => Err("rewound"),
            }
        };
        for (ended, said, expected) in [
            (Ended::Exited(0), format!("{fork}{copy}pg_rewind: Done!"), Err("rewound")),
            (Ended::Exited(0), format!("{fork}pg_rewind: no rewind required"), Err("not needed")),
            (Ended::Exited(0), "pg_rewind: no rewind required".into(), Err("not needed")),
            (Ended::Exited(0), String::new(), Ok((true, WhyNot::Other))),
            (Ended::Exited(1), format!("{fork}{lost}"), Ok((false, WhyNot::Unreachable))),
            (Ended::Exited(1), format!("{fork}{copy}{lost}"), Ok((true, WhyNot::Unreachable))),
            (Ended::Signaled(9), fork.into(), Ok((false, WhyNot::Other))),
            (Ended::Signaled(9), format!("{fork}{copy}"), Ok((true, WhyNot::Other))),
            (Ended::TimedOut, format!("{fork}{copy}"), Ok((true, WhyNot::TooLate))),
            (Ended::TimedOut, String::new(), Ok((false, WhyNot::TooLate))),
        ] {
            assert_eq!(touches(ended, &said), expected, "{ended:?} {said}");
        }
    }
}
