//! Storage: what directories are, and which of them are made where. How data is moved there is in `moving`,
//! what people and programs are shown in `shown`. Floor 1.

pub mod moving;
pub mod shown;

use crate::cluster::known::Known;
use crate::cluster::storage::{Area, Storage};

/// What a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A subvolume of Btrfs.
    Subvolume,
    /// Any other.
    Directory,
}

impl Form {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subvolume => "subvolume",
            Self::Directory => "directory",
        }
    }
}

/// What the copy of a directory is to be: what the old one is. Where there is none, the storage's own is a
/// subvolume where that can be.
#[must_use]
pub fn form_of_copy(old: Option<Form>, on_btrfs: bool, is_storage: bool) -> Form {
    match (old, on_btrfs && is_storage) {
        (Some(old), _) => old,
        (None, true) => Form::Subvolume,
        (None, false) => Form::Directory,
    }
}

/// What is at a path; a symbolic link is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// A directory.
    Directory {
        /// Whose.
        uid: u32,
        /// Its permissions.
        mode: u32,
    },
    /// Something else, in words.
    Other(&'static str),
    /// It could not be looked at.
    Unknown(String),
}

/// One of the node's directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AreaFound {
    /// Which.
    pub area: Area,
    /// What is there.
    pub found: Found,
    /// What a directory is.
    pub form: Option<Known<Form>>,
}

/// What was seen of the ground that the storage is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// The paths.
    pub storage: Storage,
    /// Whose PostgreSQL is: name and number.
    pub user: (String, u32),
    /// The directories that lead to the root, "/" first, and the root itself last.
    pub way: Vec<(String, Found)>,
    /// The type of the file system that the root is on, or would be.
    pub kind: Known<String>,
    /// Where that user may not go any further on the way: the directory.
    pub barred: Known<Option<String>>,
    /// The node's directory.
    pub node_dir: Found,
    /// What is in it.
    pub areas: Vec<AreaFound>,
    /// Whether the program btrfs is installed.
    pub can_make_subvolumes: bool,
}

/// What is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Make {
    /// The root, of root's.
    Root,
    /// The node's directory, of the PostgreSQL user's.
    NodeDir,
    /// One of its directories, in this form.
    Area(Area, Form),
}

/// File systems that are gone at boot.
const IN_MEMORY: [&str; 3] = ["tmpfs", "ramfs", "devtmpfs"];
/// Others may write.
const OTHERS: u32 = 0o022;
/// PostgreSQL refuses it for its data.
const NOT_FOR_DATA: u32 = 0o027;
/// Only owners remove from it.
const STICKY: u32 = 0o1000;

impl Ground {
    /// Whether the root is on Btrfs.
    pub fn on_btrfs(&self) -> Known<bool> {
        self.kind.as_known().map(|kind| kind == "btrfs")
    }

    /// The form of what is made.
    fn wanted(&self) -> Form {
        match &self.kind {
            Known::Known(kind) if kind == "btrfs" => Form::Subvolume,
            Known::Known(_) | Known::Unknown(_) => Form::Directory,
        }
    }
}

/// What is to be made, in order; or everything that stands against it, one line each.
pub fn prepare(ground: &Ground) -> Result<Vec<Make>, Vec<String>> {
    let against = against(ground);
    if !against.is_empty() {
        return Err(against);
    }
    let mut make = Vec::new();
    if ground.way.last().is_some_and(|(_, found)| *found == Found::Missing) {
        make.push(Make::Root);
    }
    if ground.node_dir == Found::Missing {
        make.push(Make::NodeDir);
    }
    for one in ground.areas.iter().filter(|one| one.found == Found::Missing) {
        make.push(Make::Area(one.area, ground.wanted()));
    }
    Ok(make)
}

/// What stands against using the storage: it would be somebody else's, or could become so.
pub fn against(ground: &Ground) -> Vec<String> {
    let mut against = Vec::new();
    let root = ground.storage.root();
    let last = ground.way.len().saturating_sub(1);
    for (index, (path, found)) in ground.way.iter().enumerate() {
        against.extend(on_the_way(path, found, index == last, root));
    }
    match &ground.kind {
        Known::Known(kind) if IN_MEMORY.contains(&kind.as_str()) => against.push(format!(
            "storage_root={root} is on {kind}, which is gone at boot: name a directory on a disk"
        )),
        Known::Known(kind) if kind == "btrfs" && !ground.can_make_subvolumes => {
            against.push(format!(
                "storage_root={root} is on Btrfs, and the program btrfs is not installed: install \
                 btrfs-progs"
            ));
        }
        Known::Known(_) => {}
        Known::Unknown(why) => {
            against.push(format!("the file system of storage_root={root} is not known: {why}"));
        }
    }
    let (user, uid) = &ground.user;
    match &ground.barred {
        Known::Known(Some(path)) => {
            against.push(format!("{user} cannot go through {path}: chmod o+x {path}"));
        }
        Known::Unknown(why) => {
            against.push(format!("whether {user} gets there is not known: {why}"));
        }
        Known::Known(None) => {}
    }
    let own = ground.storage.node_dir();
    against.extend(not_the_users(&own, &ground.node_dir, (user, *uid), OTHERS));
    for one in &ground.areas {
        let unwanted = if one.area == Area::Data { NOT_FOR_DATA } else { OTHERS };
        let path = ground.storage.area(one.area);
        against.extend(not_the_users(&path, &one.found, (user, *uid), unwanted));
    }
    against
}

/// What stands against a directory that leads to the storage: who can put another one in its place could
/// make root give anything away.
fn on_the_way(path: &str, found: &Found, is_root: bool, root: &str) -> Option<String> {
    match found {
        Found::Missing if !is_root => {
            Some(format!("{path} does not exist: mount it, or make it (mkdir -p {path})"))
        }
        Found::Other("symbolic link") => Some(format!(
            "storage_root={root} leads through the symbolic link {path}: name the real path"
        )),
        Found::Other(what) => Some(format!("{path} is a {what}, not a directory: name another")),
        Found::Unknown(why) => Some(format!("{path} could not be looked at: {why}")),
        Found::Directory { uid, .. } if *uid != 0 => Some(format!(
            "{path} belongs to uid {uid}, who could replace what is in it: the storage has to be below \
             directories of root's"
        )),
        Found::Directory { mode, .. } if mode & OTHERS != 0 && (is_root || mode & STICKY == 0) => {
            Some(format!(
                "{path} has mode {mode:04o}, so others could replace what is in it: chmod go-w {path}, or \
                 name another directory"
            ))
        }
        Found::Missing | Found::Directory { .. } => None,
    }
}

/// What stands against a directory that is to be the PostgreSQL user's.
fn not_the_users(
    path: &str,
    found: &Found,
    (user, own): (&str, u32),
    unwanted: u32,
) -> Option<String> {
    match found {
        Found::Other(what) => {
            Some(format!("{path} is a {what}, not a directory: look what it is, and remove it"))
        }
        Found::Unknown(why) => Some(format!("{path} could not be looked at: {why}")),
        Found::Directory { uid, .. } if *uid != own => Some(format!(
            "{path} belongs to uid {uid}, not to {user}: look whose it is, then chown {user} {path}"
        )),
        Found::Directory { mode, .. } if mode & unwanted != 0 => {
            Some(format!("{path} has mode {mode:04o}: chmod 0700 {path}"))
        }
        Found::Missing | Found::Directory { .. } => None,
    }
}

/// What is not as it should be and stands against nothing.
pub fn remarks(ground: &Ground) -> Vec<String> {
    let path = |area| ground.storage.area(area);
    let mut remarks = Vec::new();
    for AreaFound { area, form, .. } in &ground.areas {
        match form {
            Some(Known::Known(Form::Directory)) if ground.wanted() == Form::Subvolume => {
                remarks.push(format!(
                    "{} is a directory and no subvolume: if it is empty, rmdir it and run pgtwin storage \
                     prepare",
                    path(*area)
                ));
            }
            Some(Known::Unknown(why)) => remarks.push(format!("{}: {why}", path(*area))),
            Some(Known::Known(_)) | None => {}
        }
    }
    remarks
}

#[cfg(test)]
mod tests;
