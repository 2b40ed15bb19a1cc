//! What `pgtwin storage status` says, for people and as JSON. Floor 1.

use std::fmt;

use serde::Serialize;

use crate::cluster::known::Known;
use crate::cluster::migration::{Record, Stage};
use crate::cluster::storage::Area;
use crate::decide::report::json::VERSION;
use crate::decide::report::{bytes, wrapped};

use super::{Form, Found, Ground, against, remarks};

/// All that was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// This node.
    pub node: String,
    /// The resource; none: no cluster was asked.
    pub resource: Option<String>,
    /// The directories.
    pub ground: Ground,
    /// What each holds, in bytes.
    pub sizes: Vec<(Area, Known<u64>)>,
    /// What the PostgreSQL user may still write there.
    pub free: Known<u64>,
    /// The data directory that counts.
    pub pgdata: String,
    /// Both parameters are set, in words.
    pub two_places: Option<String>,
    /// A move of data; unknown: its record cannot be read.
    pub record: Known<Option<Record>>,
}

/// One directory.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    path: String,
    /// `subvolume`, `directory`, `missing`, `other` or `unknown`.
    what: &'static str,
    uid: Option<u32>,
    mode: Option<String>,
    bytes: Option<u64>,
}

/// A move of data.
#[derive(Debug, Serialize)]
struct Moving<'a> {
    from: &'a str,
    stage: &'static str,
    method: &'static str,
    begun: i64,
}

/// What `--json` prints: documented in docs/json.md.
#[derive(Debug, Serialize)]
pub struct Told<'a> {
    version: u32,
    command: &'static str,
    resource: Option<&'a str>,
    node: &'a str,
    root: &'a str,
    filesystem: Option<&'a str>,
    free_bytes: Option<u64>,
    directories: Vec<Row>,
    pgdata: &'a str,
    in_use: bool,
    migration: Option<Moving<'a>>,
    warnings: Vec<String>,
}

impl Seen {
    /// Whether PostgreSQL's data is in the storage.
    pub fn in_use(&self) -> bool {
        self.pgdata == self.ground.storage.data()
    }

    /// What somebody has to look at.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = against(&self.ground);
        let missing = |found: &Found| *found == Found::Missing;
        let areas = &self.ground.areas;
        if missing(&self.ground.node_dir) || areas.iter().any(|one| missing(&one.found)) {
            warnings.push("not all of it is there: pgtwin storage prepare makes it".to_owned());
        }
        warnings.extend(remarks(&self.ground));
        warnings.extend(self.two_places.clone());
        match &self.record {
            Known::Unknown(why) => warnings.push(why.clone()),
            Known::Known(None) => {}
            Known::Known(Some(Record { from, stage, .. })) => warnings.push(match stage {
                Stage::Making | Stage::Switching => format!(
                    "a move of the data from {from} is not finished: pgtwin storage migrate goes on with it"
                ),
                Stage::Moved => format!(
                    "the old data is left in {from}, out of use: pgtwin storage migrate --confirm removes it"
                ),
                Stage::Removing => format!(
                    "the old data in {from} is half removed: pgtwin storage migrate --confirm goes on with it"
                ),
            }),
        }
        warnings
    }

    fn rows(&self) -> Vec<Row> {
        let size = |area| {
            let found = self.sizes.iter().find(|(of, _)| *of == area)?;
            found.1.clone().known()
        };
        let row = |one: &super::AreaFound| {
            let (uid, mode) = match one.found {
                Found::Directory { uid, mode } => (Some(uid), Some(format!("{mode:04o}"))),
                Found::Missing | Found::Other(_) | Found::Unknown(_) => (None, None),
            };
            let what = match (&one.found, &one.form) {
                (Found::Missing, _) => "missing",
                (Found::Other(_), _) => "other",
                (Found::Directory { .. }, Some(Known::Known(form))) => form.name(),
                (Found::Directory { .. }, None) => Form::Directory.name(),
                (Found::Unknown(_), _) | (_, Some(Known::Unknown(_))) => "unknown",
            };
            let path = self.ground.storage.area(one.area);
            Row { name: one.area.name(), path, what, uid, mode, bytes: size(one.area) }
        };
        self.ground.areas.iter().map(row).collect()
    }

    /// As JSON.
    pub fn told(&self) -> Told<'_> {
        let migration = match &self.record {
            Known::Known(Some(record)) => Some(Moving {
                from: &record.from,
                stage: record.stage.name(),
                method: record.method.name(),
                begun: record.begun,
            }),
            Known::Known(None) | Known::Unknown(_) => None,
        };
        let filesystem = match &self.ground.kind {
            Known::Known(kind) => Some(kind.as_str()),
            Known::Unknown(_) => None,
        };
        Told {
            version: VERSION,
            command: "storage status",
            resource: self.resource.as_deref(),
            node: &self.node,
            root: self.ground.storage.root(),
            filesystem,
            free_bytes: self.free.clone().known(),
            directories: self.rows(),
            pgdata: &self.pgdata,
            in_use: self.in_use(),
            migration,
            warnings: self.warnings(),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |what: &Known<u64>| match what {
            Known::Known(count) => bytes(*count),
            Known::Unknown(_) => "?".to_owned(),
        };
        let kind = match &self.ground.kind {
            Known::Known(kind) => kind.as_str(),
            Known::Unknown(_) => "?",
        };
        let (node, root) = (&self.node, self.ground.storage.root());
        writeln!(f, "Storage of {node} below {root} ({kind}, {} free)", known(&self.free))?;
        writeln!(f, "{:<9}{:<11}{:<6}{:>9}  PATH", "NAME", "WHAT", "MODE", "SIZE")?;
        for row in self.rows() {
            let mode = row.mode.unwrap_or_else(|| "-".to_owned());
            let size = match row.what {
                "missing" => "-".to_owned(),
                _ => row.bytes.map_or("?".to_owned(), bytes),
            };
            writeln!(f, "{:<9}{:<11}{mode:<6}{size:>9}  {}", row.name, row.what, row.path)?;
        }
        let where_ = if self.in_use() { "here" } else { self.pgdata.as_str() };
        writeln!(f, "{}", wrapped(&format!("PostgreSQL's data directory is {where_}."), 0))?;
        let warnings = self.warnings();
        if !warnings.is_empty() {
            writeln!(f, "\nWarnings:")?;
        }
        for warning in warnings {
            writeln!(f, "{}", wrapped(&format!("- {warning}"), 2))?;
        }
        Ok(())
    }
}
