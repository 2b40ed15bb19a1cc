//! This node's own configuration inside PGDATA, kept while its data is replaced by another node's:
//! pg_rewind and pg_basebackup bring the other node's files along. Floor 2.
//!
//! Kept are `postgresql.conf`, `postgresql.auto.conf`, `pg_hba.conf`, `pg_ident.conf`, what they
//! include, and the certificates and keys that they name, as far as these lie below PGDATA. What lies
//! elsewhere is not touched by a copy. A directory of `include_dir` is remembered as such: a file that
//! the copy brings into it would count here, and is removed again.

mod named;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Component, Path, PathBuf};

use crate::postgres::conf;
use crate::sys::files::{
    FileError, Kind, Seen, ensure_root_dir, look, read_root_owned, read_untrusted_bytes,
    remove_durably, sync_dir, write_durably,
};

use super::layout::COPY;
use super::{Place, RuntimeError};
use named::Names;

const INDEX: &str = "index";
const HEAD: &str = "pgtwin own files 1";
const LARGEST: u64 = 4 << 20;
/// PostgreSQL itself follows includes ten deep.
const DEEPEST: usize = 10;
const MOST: usize = 1000;
const MOST_BYTES: usize = 64 << 20;

/// One thing that is kept, by its path below PGDATA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// A regular file.
    File {
        /// Its mode.
        mode: u32,
        /// The name of its copy.
        copy: usize,
    },
    /// A symbolic link: where it leads to.
    Link(String),
    /// A directory all of whose `*.conf` count.
    Directory,
}

/// Keeps this node's own files in `kept`, a directory of ours that is made: durable when this returns.
/// What was kept there before and not discarded stays as it is, for since then the files in PGDATA may
/// have become another node's.
pub fn keep(place: &Place, kept: &Path) -> Result<(), RuntimeError> {
    ensure_root_dir(kept, 0o700).map_err(RuntimeError::File)?;
    if look(&kept.join(INDEX)) != Seen::Missing {
        return Ok(());
    }
    let found = place.as_user(|| collect(place))?;
    let mut index = format!("{HEAD}\n");
    for (number, (path, found)) in found.iter().enumerate() {
        let line = match found {
            Found::File(mode, bytes) => {
                write_durably(kept, &number.to_string(), bytes, 0o600)
                    .map_err(RuntimeError::File)?;
                format!("file\t{mode:o}\t{number}\t{path}\n")
            }
            Found::Link(to) => format!("link\t{to}\t{path}\n"),
            Found::Directory => format!("dir\t{path}\n"),
        };
        index.push_str(&line);
    }
    // Last: with it, all of it is there.
    write_durably(kept, INDEX, index.as_bytes(), 0o600).map_err(RuntimeError::File)
}

/// Whether something is kept there.
pub fn are_kept(kept: &Path) -> bool {
    look(&kept.join(INDEX)) != Seen::Missing
}

/// Puts what is kept into `into`, PGDATA or a copy that becomes it. Can be repeated.
pub fn put_back(place: &Place, kept: &Path, into: &Path) -> Result<(), RuntimeError> {
    let owns = read_index(kept)?;
    let mut bytes = Vec::with_capacity(owns.len());
    for (path, own) in &owns {
        let content = match own {
            Own::File { copy, .. } => read_untrusted_bytes(&kept.join(copy.to_string()), LARGEST)
                .map_err(RuntimeError::File)?,
            Own::Link(_) | Own::Directory => Vec::new(),
        };
        bytes.push((path, own, content));
    }
    place.as_user(|| {
        if !owns.iter().any(|(path, _)| path == COPY) {
            remove_durably(into, COPY)?;
        }
        for (path, own, content) in &bytes {
            let target = into.join(path);
            let (Some(dir), Some(name)) = (target.parent(), target.file_name()) else { continue };
            let name = name.to_string_lossy();
            make_directories(into, dir)?;
            match own {
                Own::File { mode, .. } => write_durably(dir, &name, content, *mode)?,
                Own::Link(to) => put_link(&target, to)?,
                Own::Directory => remove_strangers(&target, path, &owns)?,
            }
        }
        Ok(())
    })
}

/// Removes what is kept, once it is where it belongs.
pub fn discard(kept: &Path) -> Result<(), RuntimeError> {
    if look(kept) == Seen::Missing {
        return Ok(());
    }
    remove_durably(kept, INDEX).map_err(RuntimeError::File)?;
    fs::remove_dir_all(kept)
        .map_err(|source| io_error("remove", kept, source))
        .map_err(RuntimeError::File)
}

/// What was found in PGDATA.
enum Found {
    File(u32, Vec<u8>),
    Link(String),
    Directory,
}

/// What kind of file is being read for the files that it names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// postgresql.conf and what it includes.
    Settings,
    /// pg_hba.conf, pg_ident.conf and what they include.
    Rules,
    /// Nothing: a certificate, a list of names.
    Nothing,
}

/// All of this node's own, by path below PGDATA. As the user.
fn collect(place: &Place) -> Result<Vec<(String, Found)>, FileError> {
    let pgdata = fs::canonicalize(&place.pgdata)
        .map_err(|source| io_error("resolve", &place.pgdata, source))?;
    let main = place.config_file.clone().unwrap_or_else(|| pgdata.join("postgresql.conf"));
    let mut todo: Vec<(PathBuf, Reads, usize)> = vec![
        (main, Reads::Settings, 0),
        (pgdata.join("postgresql.auto.conf"), Reads::Settings, 0),
        (pgdata.join("pg_hba.conf"), Reads::Rules, 0),
        (pgdata.join("pg_ident.conf"), Reads::Rules, 0),
        (pgdata.join("server.crt"), Reads::Nothing, 0),
        (pgdata.join("server.key"), Reads::Nothing, 0),
        (pgdata.join(COPY), Reads::Nothing, 0),
    ];
    for option in &place.start_opts {
        if let Some((name, value)) = option.trim_start_matches("--").split_once('=')
            && let Some(reads) = named::by_setting(name)
        {
            todo.push((pgdata.join(value), reads, 0));
        }
    }
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut total = 0;
    while let Some((path, reads, depth)) = todo.pop() {
        if depth > DEEPEST || !seen.insert(path.clone()) {
            continue;
        }
        if seen.len() > MOST || total > MOST_BYTES {
            let why = io::Error::other("it names more files than any honest configuration");
            return Err(io_error("keep the configuration of", &pgdata, why));
        }
        let inside = below(&pgdata, &path);
        let entry = match look(&path) {
            Seen::Present(entry) => entry,
            // PostgreSQL says so at its next start, if it is not optional.
            Seen::Missing => continue,
            Seen::Unknown(why) => {
                return Err(io_error("look at", &path, io::Error::other(why)));
            }
        };
        if entry.kind == Kind::Directory {
            for name in named::files(&path, reads)? {
                todo.push((path.join(name), reads, depth + 1));
            }
            if let Some(inside) = inside.filter(|_| reads != Reads::Nothing) {
                found.push((inside, Found::Directory));
            }
            continue;
        }
        let real = match entry.kind {
            Kind::Symlink => {
                let to = fs::read_link(&path).map_err(|e| io_error("read the link", &path, e))?;
                if let Some(inside) = &inside {
                    found.push((inside.clone(), Found::Link(plain(&to)?)));
                }
                match fs::canonicalize(&path) {
                    Ok(real) => {
                        todo.push((real, reads, depth + 1));
                        continue;
                    }
                    Err(_) => continue,
                }
            }
            Kind::File | Kind::Directory | Kind::Special => path.clone(),
        };
        if inside.is_none() && reads == Reads::Nothing {
            continue;
        }
        let bytes = read_untrusted_bytes(&real, LARGEST)?;
        let text = String::from_utf8_lossy(&bytes);
        let dir = real.parent().unwrap_or(&pgdata).to_owned();
        let names = match reads {
            Reads::Settings => Names::of_settings(conf::entries(&text)),
            Reads::Rules => Names::of_rules(&text),
            Reads::Nothing => Names::default(),
        };
        for name in names.beside {
            todo.push((dir.join(name), reads, depth + 1));
        }
        for (name, reads) in names.in_pgdata {
            // Relative to the working directory of the server.
            todo.push((pgdata.join(name), reads, depth + 1));
        }
        if let Some(inside) = inside {
            total += bytes.len();
            found.push((inside, Found::File(entry.mode & 0o777, bytes)));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|a, b| a.0 == b.0);
    Ok(found)
}

/// The path below PGDATA, if it is there; links in its directories are followed.
fn below(pgdata: &Path, path: &Path) -> Option<String> {
    let parent = fs::canonicalize(path.parent()?).ok()?;
    let full = parent.join(path.file_name()?);
    plain(full.strip_prefix(pgdata).ok()?).ok()
}

/// A path as it can stand in the index.
fn plain(path: &Path) -> Result<String, FileError> {
    match path.to_str() {
        Some(text) if !text.contains(['\t', '\n']) => Ok(text.to_owned()),
        Some(_) | None => {
            Err(io_error("keep", path, io::Error::other("its name holds a line break or a tab")))
        }
    }
}

fn read_index(kept: &Path) -> Result<Vec<(String, Own)>, RuntimeError> {
    let path = kept.join(INDEX);
    let text = read_root_owned(&path, LARGEST).map_err(RuntimeError::File)?;
    parse_index(&text).ok_or_else(|| {
        RuntimeError::Refused(format!(
            "{} is not understood: remove {}",
            path.display(),
            kept.display()
        ))
    })
}

/// What is kept, by path below PGDATA. A path that leads anywhere else makes it not understood.
pub fn parse_index(text: &str) -> Option<Vec<(String, Own)>> {
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return None;
    }
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let (path, own) = match fields.as_slice() {
                ["file", mode, copy, path] => {
                    let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777)?;
                    (*path, Own::File { mode, copy: copy.parse().ok()? })
                }
                ["link", to, path] => (*path, Own::Link((*to).to_owned())),
                ["dir", path] => (*path, Own::Directory),
                _ => return None,
            };
            let honest = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
            (honest && !path.is_empty()).then(|| (path.to_owned(), own))
        })
        .collect()
}

/// Makes the directories between `base` and `dir` that are missing.
fn make_directories(base: &Path, dir: &Path) -> Result<(), FileError> {
    let missing: Vec<&Path> = dir
        .ancestors()
        .take_while(|one| *one != base)
        .filter(|one| look(one) == Seen::Missing)
        .collect();
    for one in missing.into_iter().rev() {
        DirBuilder::new()
            .mode(0o700)
            .create(one)
            .map_err(|e| io_error("create the directory", one, e))?;
        sync_dir(one.parent().unwrap_or(base))?;
    }
    Ok(())
}

/// Makes `at` a link to `to`, in one moment.
pub(super) fn put_link(at: &Path, to: &str) -> Result<(), FileError> {
    put_link_watched(at, to, &mut || Ok(()))
}

/// The same; `watch` is asked before each change.
pub(super) fn put_link_watched(
    at: &Path,
    to: &str,
    watch: &mut dyn FnMut() -> Result<(), FileError>,
) -> Result<(), FileError> {
    let dir = at.parent().unwrap_or(Path::new("/"));
    let temporary =
        dir.join(format!(".{}.pgtwin-tmp", at.file_name().unwrap_or_default().display()));
    // One that was cut off has left it, and it is in nobody's way for ever.
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("remove", &temporary, e));
        }
        Ok(()) | Err(_) => {}
    }
    if fs::read_link(at).is_ok_and(|now| now == Path::new(to)) {
        return Ok(());
    }
    watch()?;
    symlink(to, &temporary).map_err(|e| io_error("make the link", &temporary, e))?;
    watch()?;
    fs::rename(&temporary, at).map_err(|e| io_error("make the link", at, e))?;
    sync_dir(dir)
}

/// Removes what an `include_dir` would read and was not there before.
fn remove_strangers(dir: &Path, path: &str, owns: &[(String, Own)]) -> Result<(), FileError> {
    for name in named::files(dir, Reads::Settings)? {
        let own = format!("{path}/{name}");
        if !owns.iter().any(|(known, _)| *known == own) {
            remove_durably(dir, &name)?;
        }
    }
    Ok(())
}

pub(super) fn io_error(what: &'static str, path: &Path, source: io::Error) -> FileError {
    FileError::Io { what, path: path.to_owned(), source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_leads_out_of_the_data_directory_is_not_understood() {
        let index = |line: &str| parse_index(&format!("{HEAD}\n{line}\n"));
        assert_eq!(
            index("file\t600\t3\tconf.d/a.conf"),
            Some(vec![("conf.d/a.conf".into(), Own::File { mode: 0o600, copy: 3 })])
        );
        assert_eq!(index("dir\tconf.d"), Some(vec![("conf.d".into(), Own::Directory)]));
        for line in [
            "file\t600\t3\t../a",
            "file\t600\t3\t/etc/passwd",
            "file\t4755\t3\ta",
            "file\t600\t../x\ta",
            "file\t600\t3\t",
            "dir\t",
            "else\ta",
            "",
        ] {
            assert_eq!(index(line), None, "{line}");
        }
        assert_eq!(parse_index("pgtwin own files 2\n"), None);
        assert_eq!(parse_index(""), None);
    }
}
