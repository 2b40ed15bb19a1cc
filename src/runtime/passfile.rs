//! The passfile as libpq will find it, run as the PostgreSQL user. Floor 2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::client::peer::Peer;
use crate::decide::source::Passfile;
use crate::postgres::pgpass;
use crate::sys::chain;
use crate::sys::files::{FileError, Seen, look, read_untrusted};
use crate::sys::privilege::{User, with_user};

/// No honest passfile is larger.
const LARGEST: u64 = 1 << 20;

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
