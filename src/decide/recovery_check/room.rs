//! Whether what is to be brought here fits on this node's file systems. Floor 1.
//!
//! A rebuild is made beside the old data, so it needs the whole size of the source. A rewind needs
//! what the source has grown by. Sizes come from tablespaces where the role may measure them, else
//! from databases; where only the sum of some is known, each of these is taken to hold all of it.

use std::collections::BTreeMap;

use crate::cluster::known::Known;
use crate::decide::source::{
    Advice, PG_DEFAULT, PG_GLOBAL, Server, Session, Tablespace, identifier,
};

use super::{Closes, Finding, Kind, not_found_out};

/// What is not in any database: `pg_global`, and the files of the server itself.
const BESIDES: u64 = 64 << 20;
/// One part in so many is added to the size of data: it grows while it is copied.
const GROWTH: u64 = 20;
/// Of a rewind's WAL: segments that are made while it runs.
const AT_LEAST: u64 = 32 << 20;

/// This node's file systems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Where the data goes: one row for each part that the source has.
    pub volumes: Known<Vec<Volume>>,
    /// The old data stays until the new is whole. If not, its room counts as free.
    pub old_stays: bool,
}

/// A part of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The data directory itself.
    Data,
    /// pg_wal.
    Wal,
    /// A tablespace outside.
    Tablespace(u32),
}

/// Where a part lies, or will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Which.
    pub part: Part,
    /// Where.
    pub path: String,
    /// The file system's device.
    pub device: u64,
    /// Bytes that the PostgreSQL user may still write there.
    pub free: u64,
    /// Bytes there of a copy of this part that was cut off, or has not come to its place: the next copy
    /// begins with its removal.
    pub left_over: u64,
    /// Bytes that the part holds now.
    pub holds: Known<u64>,
}

/// Bytes of each part of the source, and how they were measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Data that surely lies in this part; `Wal` included.
    pub parts: BTreeMap<Part, u64>,
    /// Data in the parts of `shared` together.
    pub rest: u64,
    /// The parts that `rest` is spread over, in a way that is not known.
    pub shared: Vec<Part>,
    /// In words.
    pub measured: String,
}

/// The size of the source.
pub fn size(server: &Server, session: &Session) -> Known<Size> {
    let (node, user) = (&server.node, identifier(&server.user));
    let grant = format!("on {node}: GRANT pg_read_all_stats TO {user}");
    let tablespaces = match &session.tablespaces {
        Known::Known(list) => list,
        Known::Unknown(why) => return Known::unknown(why.clone()),
    };
    let (wal, wal_words) = match (&session.wal_bytes, &session.settings) {
        (Known::Known(Some(bytes)), _) => (*bytes, "WAL by pg_ls_waldir"),
        (_, Known::Known(settings)) => (settings.wal_kept, "WAL by max_wal_size and wal_keep_size"),
        (_, Known::Unknown(why)) => return Known::unknown(why.clone()),
    };
    let mut parts = BTreeMap::from([(Part::Wal, wal)]);
    add(&mut parts, Part::Data, BESIDES);
    if tablespaces.iter().all(|one| one.bytes.is_some()) {
        for one in tablespaces {
            add(&mut parts, part_of(one), one.bytes.unwrap_or_default());
        }
        let measured = format!("by tablespaces, {wal_words}");
        return Known::Known(Size { parts, rest: 0, shared: Vec::new(), measured });
    }
    let databases = match &session.databases {
        Known::Known(databases) if databases.unmeasured == 0 => databases,
        Known::Known(databases) => {
            return Known::unknown(format!(
                "the role may measure neither all tablespaces nor {} databases: {grant}",
                databases.unmeasured
            ));
        }
        Known::Unknown(why) => return Known::unknown(why.clone()),
    };
    // pg_global is in no database's size.
    let mut rest = databases.bytes;
    let mut shared = Vec::new();
    for one in tablespaces.iter().filter(|one| one.oid != PG_GLOBAL) {
        match one.bytes {
            Some(bytes) => {
                add(&mut parts, part_of(one), bytes);
                rest = rest.saturating_sub(bytes);
            }
            None if !shared.contains(&part_of(one)) => shared.push(part_of(one)),
            None => {}
        }
    }
    if shared.is_empty() {
        // What the databases grew by between the two questions.
        rest = 0;
    }
    let measured = if shared.is_empty() || shared == [Part::Data] {
        format!("by databases, {wal_words}")
    } else {
        format!("by databases, {wal_words}; for exact figures, {grant}")
    };
    Known::Known(Size { parts, rest, shared, measured })
}

/// The numbers are the server's: no sum of them overflows.
fn add(parts: &mut BTreeMap<Part, u64>, part: Part, bytes: u64) {
    let sum = parts.entry(part).or_default();
    *sum = sum.saturating_add(bytes);
}

/// With what it grows by while it is copied.
fn grown(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / GROWTH)
}

fn part_of(tablespace: &Tablespace) -> Part {
    match tablespace.oid {
        PG_DEFAULT | PG_GLOBAL => Part::Data,
        oid if tablespace.is_elsewhere() => Part::Tablespace(oid),
        _ => Part::Data,
    }
}

impl Size {
    fn bytes(&self, part: Part) -> u64 {
        self.parts.get(&part).copied().unwrap_or_default()
    }
}

/// What is found against a rewind and against a rebuild.
pub fn check(room: &Room, server: &Server, session: &Session) -> Vec<Finding> {
    let node = &server.node;
    let size = match size(server, session) {
        Known::Known(size) => size,
        Known::Unknown(why) => {
            return vec![not_found_out(
                Closes::Both,
                &format!("the size of the data on {node} is not known"),
                &why,
            )];
        }
    };
    let volumes = match &room.volumes {
        Known::Known(volumes) => volumes,
        Known::Unknown(why) => {
            return vec![not_found_out(Closes::Both, "the room on this node is not known", why)];
        }
    };
    let missing = size.parts.keys().chain(&size.shared);
    for part in missing {
        if !volumes.iter().any(|volume| volume.part == *part) {
            return vec![not_found_out(
                Closes::Both,
                "the room on this node is not known for all that the source has",
                &format!("{part:?} was not looked at"),
            )];
        }
    }
    let mut found = rebuild(room.old_stays, volumes, &size);
    found.extend(rewind(volumes, &size));
    found
}

fn rebuild(old_stays: bool, volumes: &[Volume], size: &Size) -> Vec<Finding> {
    let mut found = Vec::new();
    for on_it in by_device(volumes).into_values() {
        let mut needs: u64 = 0;
        let mut free = on_it.iter().map(|volume| volume.free).min().unwrap_or_default();
        for volume in &on_it {
            let bytes = size.bytes(volume.part);
            let wants = if volume.part == Part::Wal { bytes } else { grown(bytes) };
            needs = needs.saturating_add(wants);
            free = free.saturating_add(volume.left_over);
            if !old_stays {
                match &volume.holds {
                    Known::Known(holds) => free = free.saturating_add(*holds),
                    Known::Unknown(why) => {
                        let what = format!("what {} holds is not known", volume.path);
                        found.push(not_found_out(Closes::Rebuild, &what, why));
                    }
                }
            }
        }
        if on_it.iter().any(|volume| size.shared.contains(&volume.part)) {
            needs = needs.saturating_add(grown(size.rest));
        }
        found.extend(too_full("rebuild", Closes::Rebuild, &on_it, (needs, free), size));
    }
    found
}

/// A rewind writes what the source has and this node has not, into files that are there.
fn rewind(volumes: &[Volume], size: &Size) -> Vec<Finding> {
    let mut found = Vec::new();
    for on_it in by_device(volumes).into_values() {
        let mut needs = AT_LEAST;
        let mut unknown = None;
        let mut shared_holds: u64 = 0;
        for volume in &on_it {
            let holds = match &volume.holds {
                Known::Known(holds) => *holds,
                Known::Unknown(why) => {
                    unknown = Some((volume, why));
                    continue;
                }
            };
            let bytes = size.bytes(volume.part);
            if size.shared.contains(&volume.part) {
                shared_holds = holds.saturating_sub(bytes).saturating_add(shared_holds);
            }
            needs = needs.saturating_add(bytes.saturating_sub(holds));
        }
        if let Some((volume, why)) = unknown {
            let what = format!("what {} holds is not known", volume.path);
            found.push(not_found_out(Closes::Rewind, &what, why));
            continue;
        }
        if on_it.iter().any(|volume| size.shared.contains(&volume.part)) {
            needs = needs.saturating_add(size.rest.saturating_sub(shared_holds));
        }
        let free = on_it.iter().map(|volume| volume.free).min().unwrap_or_default();
        found.extend(too_full("rewind", Closes::Rewind, &on_it, (needs, free), size));
    }
    found
}

fn by_device(volumes: &[Volume]) -> BTreeMap<u64, Vec<&Volume>> {
    let mut devices: BTreeMap<u64, Vec<&Volume>> = BTreeMap::new();
    for volume in volumes {
        devices.entry(volume.device).or_default().push(volume);
    }
    devices
}

fn too_full(
    what: &str,
    closes: Closes,
    on_it: &[&Volume],
    (needs, free): (u64, u64),
    size: &Size,
) -> Option<Finding> {
    if needs <= free {
        return None;
    }
    let paths: Vec<&str> = on_it.iter().map(|volume| volume.path.as_str()).collect();
    Some(Finding::new(
        Kind::TooFull,
        closes,
        Advice::new(
            format!(
                "a {what} needs {} on the file system of {}, {} are free",
                megabytes(needs),
                paths.join(", "),
                megabytes(free)
            ),
            format!("make room there (measured {})", size.measured),
        ),
    ))
}

/// Rounded up, so that nothing looks like enough that is not.
fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1 << 20))
}
