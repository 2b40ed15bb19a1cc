//! A primary whose replication role has a password, and what is asked of it.

use std::fs;
use std::path::{Path, PathBuf};

use pgtwin::client::peer::Peer;
use pgtwin::decide::facts::StandbyFacts;
use pgtwin::postgres::conninfo::Conninfo;
use pgtwin::runtime::instance::Postgres;
use pgtwin::runtime::layout::{Layout, Remembered, Tablespace};
use pgtwin::runtime::rebuild::{Copy, Rebuild, rebuild};
use pgtwin::runtime::{RuntimeError, layout};
use pgtwin::sys::exec::System;

use crate::place::{Place, await_standby, soon, sql, started_primary};

pub const ROLE: &str = "replicator";

/// A running primary with the role, and the source that it is.
pub fn primary<'a>(place: &Place, name: &str) -> (Postgres<'a>, u16, Peer) {
    let (pg, port) = started_primary(place, name);
    sql(&pg, "CREATE ROLE replicator REPLICATION LOGIN PASSWORD 'it''s: a \\ secret'");
    place.write(&place.path("passfile"), "*:*:*:*:it's\\: a \\\\ secret\n", 0o600);
    (pg, port, source(place, port))
}

pub fn source(place: &Place, port: u16) -> Peer {
    Peer {
        host: "127.0.0.1".into(),
        port,
        user: ROLE.into(),
        passfile: Some(place.path("passfile").display().to_string()),
        like: Conninfo::parse("host=other sslmode=disable").unwrap(),
    }
}

/// Points a stopped instance at a primary, starts it, and waits until it streams.
pub fn streams_from(pg: &Postgres<'_>, source: &Peer) {
    let conninfo = Conninfo::new()
        .with("host", &source.host)
        .with("port", &source.port.to_string())
        .with("user", ROLE)
        .with("passfile", source.passfile.as_deref().unwrap());
    pg.set_auto_conf(&[
        ("primary_conninfo", Some(&conninfo.to_text())),
        ("recovery_target_timeline", Some("latest")),
    ])
    .unwrap();
    pg.start(&soon()).unwrap();
    await_standby(pg, StandbyFacts::streams);
}

/// A directory of ours, below one that goes with it.
pub fn state() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("pgtwin-state-").tempdir().unwrap()
}

pub fn tablespaces(pg: &Postgres<'_>) -> Vec<Tablespace> {
    let rows = sql(
        pg,
        "SELECT oid::text, pg_tablespace_location(oid) FROM pg_tablespace \
         WHERE pg_tablespace_location(oid) <> ''",
    );
    rows.into_iter()
        .map(|row| Tablespace {
            oid: row[0].as_deref().unwrap().parse().unwrap(),
            location: row[1].as_deref().unwrap().into(),
        })
        .collect()
}

pub fn survey(
    place: &Place,
    target: &Postgres<'_>,
    spaces: &[Tablespace],
    keep: bool,
    stamp: &str,
) -> Result<Layout, RuntimeError> {
    layout::survey(target.place(), spaces, place.major, keep, stamp, Remembered::Nothing)
}

pub const SLOT: &str = "the_slot";

/// A slot for the copy, made first.
pub fn make_slot(primary: &Postgres<'_>) {
    sql(primary, "SELECT pg_create_physical_replication_slot('the_slot', true)");
}

pub fn copied(target: &Postgres<'_>, source: &Peer, layout: &Layout, kept: Option<&Path>) {
    let mut last = None;
    let copy = Copy { source, slot: SLOT, layout, kept };
    let outcome =
        rebuild(target.runtime(), &System, copy, &soon(), &mut |copied| last = Some(copied));
    assert_eq!(outcome.unwrap(), Rebuild::Copied);
    assert!(
        last.is_some_and(|copied| copied.done > 1 << 20 && copied.percent() == 100),
        "{last:?}"
    );
}

/// A directory of the tests' user.
pub fn make_dir(place: &Place, path: &Path) -> PathBuf {
    fs::create_dir_all(path).unwrap();
    let (uid, gid) = (Some(place.user.uid), Some(place.user.gid));
    std::os::unix::fs::chown(path, uid, gid).unwrap();
    path.to_owned()
}

/// A symbolic link of the tests' user.
pub fn make_link(place: &Place, at: &Path, to: &Path) {
    std::os::unix::fs::symlink(to, at).unwrap();
    let (uid, gid) = (Some(place.user.uid), Some(place.user.gid));
    std::os::unix::fs::lchown(at, uid, gid).unwrap();
}

/// The names in a directory, sorted.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
