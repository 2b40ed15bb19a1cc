//! Where the parts of the data lie, noted while it is in use: when the data is lost, its links are lost with
//! it. Floor 2.
//!
//! By this a new copy's WAL and tablespaces go where they were, and what the lost data has left there is
//! known for its own. That somebody has put another database there since is found out: of a tablespace by
//! the directory itself, of WAL by the system identifier in each segment. The links are the PostgreSQL
//! user's to change, so they are read as that user, and nothing is done with what they say but as that user.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::sys::files::{Entry, FileError, Kind, Seen, look, read_head};
use crate::sys::privilege::with_user;

use super::super::{Place, RuntimeError};
use super::survey::{file_error, link_text, own_tablespaces, refused};
use super::{LayoutError, is_ours};

const HEAD: &str = "pgtwin parts 1";
/// More of them than anybody has.
const MOST: usize = 10_000;
/// In a segment of WAL: where the system identifier begins, and how long it is.
const SYSTEM_ID: (usize, usize) = (24, 8);

/// Where the data lies, and what of it does not lie in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The database system.
    pub system_id: u64,
    /// Its major version.
    pub major: u32,
    /// The real path of PGDATA.
    pub data: PathBuf,
    /// `pg_wal`, where it is a link, and the tablespaces.
    pub parts: Vec<NotedPart>,
}

/// A part that PGDATA leads to by a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedPart {
    /// The number of the tablespace; none: it is `pg_wal`.
    pub oid: Option<u32>,
    /// Its real path.
    pub at: PathBuf,
    /// The text of the link.
    pub link: PathBuf,
    /// Of a tablespace: its directories of this version, by their inodes.
    pub dirs: Vec<u64>,
}

/// The links in PGDATA that lead to its parts. Nothing of what they lead to is looked at: it may hang.
pub fn links(place: &Place) -> Result<Vec<(Option<u32>, PathBuf)>, RuntimeError> {
    with_user(&place.user, || links_of(&real(&place.pgdata)?)).map_err(RuntimeError::Privilege)?
}

fn links_of(data: &Path) -> Result<Vec<(Option<u32>, PathBuf)>, RuntimeError> {
    let wal = link_text(&data.join("pg_wal"))?.map(|link| (None, link));
    let spaces = own_tablespaces(data)?.into_iter().take(MOST);
    Ok(wal.into_iter().chain(spaces.map(|(oid, link)| (Some(oid), link))).collect())
}

/// The real path of PGDATA.
pub fn real_data(place: &Place) -> Result<PathBuf, RuntimeError> {
    with_user(&place.user, || real(&place.pgdata)).map_err(RuntimeError::Privilege)?
}

/// Notes where the parts of running data lie.
pub fn note(place: &Place, system_id: u64, major: u32) -> Result<Noted, RuntimeError> {
    let look = || {
        let data = real(&place.pgdata)?;
        let mut parts = Vec::new();
        for (oid, link) in links_of(&data)? {
            let dir = if oid.is_some() { data.join("pg_tblspc") } else { data.clone() };
            let at = real(&dir.join(&link))?;
            let dirs = if oid.is_some() { versioned(&at, major)? } else { Vec::new() };
            parts.push(NotedPart { oid, at, link, dirs });
        }
        Ok(Noted { system_id, major, data, parts })
    };
    with_user(&place.user, look).map_err(RuntimeError::Privilege)?
}

fn real(path: &Path) -> Result<PathBuf, RuntimeError> {
    fs::canonicalize(path).map_err(|e| file_error("resolve", path, e))
}

/// The inodes of the directories of this version in a tablespace.
fn versioned(at: &Path, major: u32) -> Result<Vec<u64>, RuntimeError> {
    let prefix = format!("PG_{major}_");
    let mut found = Vec::new();
    for name in names(at)? {
        if !name.starts_with(&prefix) {
            continue;
        }
        match look(&at.join(&name)) {
            Seen::Present(Entry { id: (_, inode), .. }) => found.push(inode),
            Seen::Missing => {}
            Seen::Unknown(why) => return Err(refused(why)),
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn names(dir: &Path) -> Result<Vec<String>, RuntimeError> {
    let entries = fs::read_dir(dir).map_err(|e| file_error("list", dir, e))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect::<Result<_, std::io::Error>>().map_err(|e| file_error("list", dir, e))
}

impl Noted {
    /// `pg_wal`, where it lay elsewhere.
    pub fn wal(&self) -> Option<&NotedPart> {
        self.parts.iter().find(|part| part.oid.is_none())
    }

    /// A tablespace.
    pub fn tablespace(&self, oid: u32) -> Option<&NotedPart> {
        self.parts.iter().find(|part| part.oid == Some(oid))
    }

    /// Whether it is about this database, with these links ([`links`]), at this place.
    pub fn is_about(&self, system_id: u64, links: &[(Option<u32>, PathBuf)], at: &Path) -> bool {
        let own = self.parts.iter().map(|part| (part.oid, &part.link));
        self.system_id == system_id
            && self.data == at
            && own.eq(links.iter().map(|(oid, link)| (*oid, link)))
    }

    /// All paths.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().map(|part| part.at.as_path())
    }

    /// Why what lies in a part is not what the lost data has left there; none: it is, or nothing is there.
    /// As the user.
    pub(super) fn stranger_in(
        &self,
        part: &NotedPart,
        at: &Path,
    ) -> Result<Option<String>, RuntimeError> {
        let shown = at.display();
        let Some(oid) = part.oid else {
            return Ok(self.no_wal_of_ours(at)?.map(|name| {
                format!(
                    "the WAL of this node's lost data lay in {shown}, and {name} there is none of it: look \
                     whose it is, and move it away"
                )
            }));
        };
        let own = versioned(at, self.major)?.iter().all(|dir| part.dirs.contains(dir));
        Ok((!own).then(|| {
            format!(
                "tablespace {oid}: {shown} holds another database's files here (PG_{}_…): look whose they are, \
                 and move or remove them",
                self.major
            )
        }))
    }

    /// A name in a directory that is not of this database system's WAL.
    fn no_wal_of_ours(&self, at: &Path) -> Result<Option<String>, RuntimeError> {
        for name in names(at)? {
            let ours = match kind(&name) {
                Name::Other => false,
                Name::Known => true,
                Name::Segment => {
                    let path = at.join(&name);
                    match look(&path) {
                        Seen::Present(Entry { kind: Kind::File, .. }) => {
                            self.is_of_system(&path)?
                        }
                        Seen::Missing => true,
                        Seen::Present(_) | Seen::Unknown(_) => false,
                    }
                }
            };
            if !ours {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Whether a segment is of this database system; one that was never written to is nobody else's.
    fn is_of_system(&self, segment: &Path) -> Result<bool, RuntimeError> {
        let (from, len) = SYSTEM_ID;
        let head = match read_head(segment, from + len) {
            Ok(head) => head,
            Err(FileError::Missing { .. }) => return Ok(true),
            Err(error) => return Err(RuntimeError::File(error)),
        };
        let written = head.get(from..from + len).and_then(|bytes| bytes.try_into().ok());
        Ok(written.is_none_or(|bytes| [0, self.system_id].contains(&u64::from_ne_bytes(bytes))))
    }

    /// The text, for a file of ours; none when a path is no text, or holds a line break.
    pub fn to_text(&self) -> Option<String> {
        let line = |path: &Path| {
            Some(path.to_str().filter(|path| !path.contains(['\n', '\r']))?.to_owned())
        };
        let mut out = format!("{HEAD}\n{} {}\n{}\n", self.system_id, self.major, line(&self.data)?);
        for part in &self.parts {
            match part.oid {
                None => out.push_str("wal"),
                Some(oid) => write!(out, "tablespace {oid}").ok()?,
            }
            for dir in &part.dirs {
                write!(out, " {dir}").ok()?;
            }
            write!(out, "\n{}\n{}\n", line(&part.at)?, line(&part.link)?).ok()?;
        }
        out.push_str("end\n");
        Some(out)
    }

    /// Reads such a text.
    pub fn parse(text: &str) -> Result<Self, LayoutError> {
        let mut lines = text.lines();
        let total = lines.clone().count();
        let noted = Self::read(&mut lines).filter(|_| text.ends_with("end\n"));
        match noted {
            Some(noted) if lines.clone().next().is_none() => Ok(noted),
            Some(_) | None => Err(LayoutError { line: total.saturating_sub(lines.count()).max(1) }),
        }
    }

    fn read(lines: &mut std::str::Lines<'_>) -> Option<Self> {
        let absolute = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        if lines.next()? != HEAD {
            return None;
        }
        let (system_id, major) = lines.next()?.split_once(' ')?;
        let mut noted = Self {
            system_id: system_id.parse().ok()?,
            major: major.parse().ok()?,
            data: absolute(lines.next()?)?,
            parts: Vec::new(),
        };
        loop {
            let mut words = lines.next()?.split(' ');
            let oid = match words.next()? {
                "end" => break,
                "wal" => None,
                "tablespace" => Some(words.next()?.parse().ok()?),
                _ => return None,
            };
            let dirs = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
            let (at, link) = (absolute(lines.next()?)?, PathBuf::from(lines.next()?));
            noted.parts.push(NotedPart { oid, at, link, dirs });
        }
        Some(noted)
    }
}

enum Name {
    Segment,
    Known,
    Other,
}

/// What a name in `pg_wal` is.
fn kind(name: &str) -> Name {
    let hex = |text: &str, digits| {
        text.len() == digits
            && text.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
    };
    let (stem, rest) = name.split_once('.').unwrap_or((name, ""));
    match rest {
        "" | "partial" if hex(stem, 24) => Name::Segment,
        "history" if hex(stem, 8) => Name::Known,
        rest if hex(stem, 24) && rest.ends_with(".backup") => Name::Known,
        _ if matches!(
            name,
            "archive_status" | "summaries" | "RECOVERYXLOG" | "RECOVERYHISTORY"
        ) =>
        {
            Name::Known
        }
        _ if stem == "xlogtemp" || is_ours(name) => Name::Known,
        _ => Name::Other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn noted() -> Noted {
        let part = |oid, at: &str, dirs: &[u64]| NotedPart {
            oid,
            at: at.into(),
            link: at.into(),
            dirs: dirs.to_vec(),
        };
        Noted {
            system_id: 7_301_234_567_890_123_456,
            major: 17,
            data: "/srv/my data".into(),
            parts: vec![
                part(None, "/srv/wal", &[]),
                part(Some(16384), "/srv/space 1", &[1234, 5678]),
                part(Some(16390), "/srv/empty", &[]),
            ],
        }
    }

    #[test]
    fn what_was_noted_is_read_back_and_nothing_less_than_all_of_it() {
        let text = noted().to_text().unwrap();
        assert_eq!(Noted::parse(&text), Ok(noted()));
        for end in 0..text.len() {
            assert!(Noted::parse(&text[..end]).is_err(), "{end}");
        }
        assert!(Noted::parse(&format!("{text}x\n")).is_err());
        for (from, to) in [
            ("parts 1", "parts 2"),
            ("7301234567890123456", "x"),
            ("/srv/my data\n", "srv\n"),
            ("/srv/wal\n/srv/wal\n", "srv/wal\n/srv/wal\n"),
            ("tablespace 16384", "tablespace x"),
            ("1234 5678", "1234 x"),
            ("wal\n", "else\n"),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(Noted::parse(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
        for path in ["/a\nb", "/a\r"] {
            assert_eq!(Noted { data: path.into(), ..noted() }.to_text(), None);
        }
    }

    #[test]
    fn wal_is_this_nodes_own_by_the_system_that_its_segments_name() {
        let segment = |system: u64| {
            let mut bytes = vec![0u8; 100];
            bytes[24..32].copy_from_slice(&system.to_ne_bytes());
            bytes
        };
        let own = noted().system_id;
        let name = "000000010000000000000001";
        for (files, stranger) in [
            (vec![(name, segment(own)), ("00000002.history", vec![])], None),
            (vec![("000000010000000000000002", segment(0)), (name, segment(own))], None),
            (vec![("000000020000000000000003.partial", segment(own))], None),
            (vec![("000000020000000000000003.00000028.backup", vec![])], None),
            (vec![("xlogtemp.4711", vec![]), ("lost+found", vec![]), (name, vec![1; 10])], None),
            (vec![(name, segment(own + 1))], Some(name)),
            (vec![("PG_VERSION", vec![])], Some("PG_VERSION")),
            (vec![("00000001000000000000000g", vec![])], Some("00000001000000000000000g")),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("archive_status")).unwrap();
            for (name, bytes) in &files {
                fs::write(dir.path().join(name), bytes).unwrap();
            }
            let found = noted().no_wal_of_ours(dir.path()).unwrap();
            assert_eq!(found.as_deref(), stranger, "{files:?}");
            let why = noted().stranger_in(noted().wal().unwrap(), dir.path()).unwrap();
            assert_eq!(why.is_some(), stranger.is_some());
        }
        // A link is no segment.
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join(name)).unwrap();
        assert_eq!(noted().no_wal_of_ours(dir.path()).unwrap().as_deref(), Some(name));
    }

    #[test]
    fn a_tablespace_is_this_nodes_own_by_the_directory_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (at, space) = (dir.path(), dir.path().join("PG_17_202406281"));
        fs::create_dir(&space).unwrap();
        fs::create_dir(at.join("PG_16_202307071")).unwrap();
        let part = NotedPart {
            oid: Some(16384),
            at: at.to_owned(),
            link: at.to_owned(),
            dirs: versioned(at, 17).unwrap(),
        };
        assert_eq!(part.dirs.len(), 1);
        assert_eq!(noted().stranger_in(&part, at).unwrap(), None);
        // Somebody has put another one in its place; while both are there, they differ.
        fs::create_dir(at.join("PG_17_new")).unwrap();
        fs::remove_dir(&space).unwrap();
        fs::rename(at.join("PG_17_new"), &space).unwrap();
        let why = noted().stranger_in(&part, at).unwrap().unwrap();
        assert!(why.contains("another database's files") && why.len() < 200, "{why}");
        fs::remove_dir(&space).unwrap();
        assert_eq!(noted().stranger_in(&part, at).unwrap(), None);
    }
}
