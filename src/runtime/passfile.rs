//! The passfile: which one PostgreSQL's programs are given, and what is in it, seen as the PostgreSQL
//! user. Floor 2.
//!
//! libpq passes over a file that its user cannot read, or that group or others may use. Where the owner
//! has put it so, the PostgreSQL user gets a private copy under /run, of the lines that are lines of a
//! passfile; root reads the original only where nobody but root could have put it there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::{debug, warn};

use crate::client::peer::Peer;
use crate::decide::source::Passfile;
use crate::postgres::pgpass;
use crate::sys::chain;
use crate::sys::files::{
    self, FileError, Kind, Seen, look, read_by_root_alone, read_untrusted, write_durably,
    write_private,
};
use crate::sys::privilege::{User, with_user};

/// No honest passfile is larger.
const LARGEST: u64 = 1 << 20;

/// What can be done with the file that the owner has named.
#[derive(Debug)]
pub enum Fitness {
    /// libpq uses it as it is.
    Fit,
    /// Nothing is there.
    Missing,
    /// libpq would pass over it, for this reason; a copy can be used.
    Unfit {
        /// Why, with the path, and what mends it.
        why: String,
        /// The lines of the copy.
        lines: Lines,
    },
    /// It cannot be used, for this reason.
    Unusable(String),
}

/// Lines with passwords: never shown.
pub struct Lines(String);

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("****")
    }
}

/// What is to be done about a copy.
#[derive(Clone, Debug, Default)]
pub enum Copies {
    /// There is none.
    #[default]
    None,
    /// It is here if an action has made it.
    Look(PathBuf),
    /// It is made here.
    Make(PathBuf),
}

/// Whether the PostgreSQL user can use this file.
pub fn fitness(user: &User, path: &Path) -> Fitness {
    let shown = path.display();
    let remedy = format!("chown {} {shown}; chmod 0600 {shown}", user.name);
    let unusable = |why: &str| Fitness::Unusable(format!("pgpassfile={shown}{why}"));
    let unfit = |why: &str, text: &str| {
        let lines = pgpass::good_lines(text);
        if lines.is_empty() {
            return unusable(&format!("{why}, and has no line host:port:database:user:password"));
        }
        let why = format!("pgpassfile={shown}{why}: {remedy}");
        Fitness::Unfit { why, lines: Lines(lines) }
    };
    match with_user(user, || read(path)) {
        Err(error) => unusable(&format!(": {}", chain(&error))),
        Ok(Ok((text, mode))) if mode & 0o077 != 0 => {
            unfit(&format!(" has mode {mode:04o}, so libpq passes over it"), &text)
        }
        Ok(Ok(_)) => Fitness::Fit,
        Ok(Err(FileError::Missing { .. })) => Fitness::Missing,
        Ok(Err(error)) if is_forbidden(&error) => {
            let why = format!(" cannot be read by {}", user.name);
            match read_by_root_alone(path, LARGEST) {
                Ok(text) => unfit(&why, &text),
                Err(FileError::Missing { .. }) => Fitness::Missing,
                Err(error) => unusable(&format!(
                    "{why}, and root does not copy it either ({}): {remedy}",
                    chain(&error)
                )),
            }
        }
        Ok(Err(error)) => unusable(&format!(": {}", chain(&error))),
    }
}

fn is_forbidden(error: &FileError) -> bool {
    matches!(error, FileError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
}

/// Adds lines for logins as `role` at these hosts, which a file of the user's may have already; one that
/// is not there is made. A line that says another password is left, and is an error.
pub fn add(
    user: &User,
    path: &Path,
    hosts: &[String],
    port: u16,
    role: &str,
    password: &str,
) -> Result<(), String> {
    let failed = |error: FileError| chain(&error);
    let work = || {
        let mut text = match look(path) {
            Seen::Missing => String::new(),
            Seen::Present(_) | Seen::Unknown(_) => read_untrusted(path, LARGEST).map_err(failed)?,
        };
        let there = pgpass::Passfile::parse(&text);
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for host in hosts {
            for database in ["replication", "postgres"] {
                match there.lookup(host, port, database, role) {
                    Some(found) if found.password.reveal() == password => {}
                    Some(found) => {
                        return Err(format!(
                            "line {} of {} has another password for {role} at {host}",
                            found.line,
                            path.display()
                        ));
                    }
                    None => {
                        text.push_str(&pgpass::line_with(host, port, database, role, password));
                        text.push('\n');
                    }
                }
            }
        }
        let dir = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
        write_durably(dir, name, text.as_bytes(), 0o600).map_err(failed)
    };
    with_user(user, work).map_err(|error| chain(&error))?
}

/// The file that logins name: the owner's own where it can be used, or else its copy.
pub fn in_use(user: &User, named: &Path, copies: &Copies) -> PathBuf {
    let (copy, make) = match copies {
        Copies::None => return named.to_owned(),
        Copies::Look(copy) => (copy, false),
        Copies::Make(copy) => (copy, true),
    };
    match fitness(user, named) {
        Fitness::Unfit { .. } if !make => {
            if look(copy) == Seen::Missing {
                named.to_owned()
            } else {
                copy.clone()
            }
        }
        Fitness::Unfit { why, lines } => match put(user, copy, &lines) {
            Ok(new) => {
                if new {
                    warn!("{why}; {} has a copy of it and uses that", user.name);
                }
                copy.clone()
            }
            Err(error) => {
                warn!("{why}; and a copy could not be made: {}", chain(&error));
                named.to_owned()
            }
        },
        other @ (Fitness::Fit | Fitness::Missing | Fitness::Unusable(_)) => {
            debug!("passfile: {other:?}");
            if make && look(copy) != Seen::Missing && fs::remove_file(copy).is_ok() {
                warn!("the copy of pgpassfile={} is removed: {other:?}", named.display());
            }
            named.to_owned()
        }
    }
}

/// Writes the copy, unless it is there. Whether it was written.
fn put(user: &User, copy: &Path, lines: &Lines) -> Result<bool, FileError> {
    if let Seen::Present(entry) = look(copy)
        && (entry.kind, entry.uid, entry.mode) == (Kind::File, user.uid, 0o600)
        && read_untrusted(copy, LARGEST).is_ok_and(|present| present == lines.0)
    {
        return Ok(false);
    }
    let (Some(dir), Some(name)) = (copy.parent(), copy.file_name().and_then(|name| name.to_str()))
    else {
        return Err(failed(copy, io::Error::other("it has no name")));
    };
    files::ensure_root_dir(dir, 0o755)?;
    write_private(dir, name, lines.0.as_bytes(), user).map(|()| true)
}

/// Looks at the passfile of a login, as the PostgreSQL user. Nothing of a password is kept.
pub fn facts(user: &User, peer: &Peer) -> Passfile {
    let Some(path) = &peer.passfile else { return Passfile::NotNamed };
    let unreadable =
        |why: String| Passfile::Unreadable { path: path.clone(), user: user.name.clone(), why };
    let looked = with_user(user, || read(Path::new(path)));
    match looked {
        Err(error) => unreadable(chain(&error)),
        Ok(Err(FileError::Missing { .. })) => Passfile::Missing { path: path.clone() },
        Ok(Err(error)) => unreadable(chain(&error)),
        Ok(Ok((text, mode))) => {
            let file = pgpass::Passfile::parse(&text);
            let line = |database| {
                file.lookup(&peer.host, peer.port, database, &peer.user).map(|found| found.line)
            };
            Passfile::Read {
                path: path.clone(),
                mode,
                replication: line("replication"),
                postgres: line("postgres"),
                bad: file.bad.clone(),
            }
        }
    }
}

/// The role that the passfile names for replication.
pub fn replication_user(user: &User, path: &Path) -> Option<String> {
    let (text, _) = with_user(user, || read(path)).ok()?.ok()?;
    pgpass::Passfile::parse(&text).replication_user().map(str::to_owned)
}

/// libpq follows symbolic links; so do we, as the user that it runs as.
fn read(path: &Path) -> Result<(String, u32), FileError> {
    let real = real(path)?;
    let mode = match look(&real) {
        Seen::Present(entry) => entry.mode,
        Seen::Missing => return Err(FileError::Missing { path: real }),
        Seen::Unknown(why) => return Err(failed(path, io::Error::other(why))),
    };
    read_untrusted(&real, LARGEST).map(|text| (text, mode))
}

fn real(path: &Path) -> Result<PathBuf, FileError> {
    fs::canonicalize(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing { path: path.to_owned() },
        _ => failed(path, error),
    })
}

fn failed(path: &Path, source: io::Error) -> FileError {
    FileError::Io { what: "read", path: path.to_owned(), source }
}
