//! A node's storage: looked at, and made. What leads to it is root's; what is in the node's own directory
//! is the PostgreSQL user's, and looked at and made as that user. Moving data there is in `migrate`.
//! Floor 2.

pub mod copy;
pub mod migrate;
pub mod switch;
pub mod tree;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, eaccess};

use crate::cluster::known::Known;
use crate::cluster::storage::{Area, Storage};
use crate::decide::facts::{DataDir, Process};
use crate::decide::storage::{AreaFound, Form, Found, Ground, Make};
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Exec, find_program};
use crate::sys::files::{FileError, Kind, Seen, look, sync_dir};
use crate::sys::mounts::Mounts;
use crate::sys::privilege::{User, with_user};

use super::own_files::io_error;
use super::{Place, RuntimeError, Spec, data_dir, old_copies, subvolume, way};

/// Looks at the ground that the storage is on, and at what is there of it.
pub fn look_at(storage: &Storage, user: &User) -> Ground {
    let root = Path::new(storage.root());
    let mut way: Vec<PathBuf> = root.ancestors().map(Path::to_owned).collect();
    way.reverse();
    let seen: Vec<(PathBuf, Found)> =
        way.into_iter().map(|path| (path.clone(), found(look(&path)))).collect();
    let ground = seen.iter().rfind(|(_, found)| matches!(found, Found::Directory { .. }));
    let kind = match (Mounts::read(), ground) {
        (Ok(mounts), Some((path, _))) => match mounts.holding(path) {
            Some(one) => Known::Known(one.kind.clone()),
            None => Known::unknown(format!("nothing is mounted at {}", path.display())),
        },
        (Ok(_), None) => Known::unknown("nothing of the path is there"),
        (Err(error), _) => Known::unknown(chain(&error)),
    };
    let of_user = || {
        let barred = seen
            .iter()
            .filter(|(_, found)| matches!(found, Found::Directory { .. }))
            .find(|(path, _)| eaccess(path, AccessFlags::X_OK).is_err())
            .map(|(path, _)| path.display().to_string());
        let node_dir = found(look(Path::new(&storage.node_dir())));
        (barred, node_dir, Area::ALL.map(|area| area_found(storage, area)).to_vec())
    };
    let (barred, node_dir, areas) = match with_user(user, of_user) {
        Ok((barred, node_dir, areas)) => (Known::Known(barred), node_dir, areas),
        Err(error) => {
            let why = chain(&error);
            let unknown = |area| {
                let found = Found::Unknown(why.clone());
                AreaFound { area, found, form: None }
            };
            (
                Known::Unknown(why.clone()),
                Found::Unknown(why.clone()),
                Area::ALL.map(unknown).to_vec(),
            )
        }
    };
    let shown = |(path, found): (PathBuf, Found)| (path.display().to_string(), found);
    Ground {
        storage: storage.clone(),
        user: (user.name.clone(), user.uid),
        way: seen.into_iter().map(shown).collect(),
        kind,
        barred,
        node_dir,
        areas,
        can_make_subvolumes: find_program(subvolume::PROGRAM).is_some(),
    }
}

fn area_found(storage: &Storage, area: Area) -> AreaFound {
    let path = PathBuf::from(storage.area(area));
    let found = found(look(&path));
    let form = matches!(found, Found::Directory { .. }).then(|| match subvolume::form(&path) {
        Ok(form) => Known::Known(form),
        Err(error) => Known::unknown(chain(&error)),
    });
    AreaFound { area, found, form }
}

fn found(seen: Seen) -> Found {
    match seen {
        Seen::Missing => Found::Missing,
        Seen::Present(entry) if entry.kind == Kind::Directory => {
            Found::Directory { uid: entry.uid, mode: entry.mode }
        }
        Seen::Present(entry) => Found::Other(entry.kind.name()),
        Seen::Unknown(why) => Found::Unknown(why),
    }
}

/// What stands and runs at a place; by the programs of the image, if `spec` says which.
pub fn instance(
    place: &Place,
    spec: Option<&Spec>,
    exec: &dyn Exec,
    deadline: &Deadline,
) -> (Process, DataDir) {
    let runtime = way(exec, place.clone(), spec.cloned());
    (runtime.process(), data_dir::look(runtime.as_ref(), exec, deadline))
}

/// Where a path leads, as the user sees it.
pub fn real(path: &Path, user: &User) -> Result<PathBuf, RuntimeError> {
    with_user(user, || fs::canonicalize(path).map_err(|e| io_error("resolve", path, e)))
        .map_err(RuntimeError::Privilege)?
        .map_err(RuntimeError::File)
}

/// What each of the node's directories holds, as far as it can be counted in time.
pub fn sizes(storage: &Storage, user: &User, deadline: &Deadline) -> Vec<(Area, Known<u64>)> {
    let measure = |area| {
        let path = PathBuf::from(storage.area(area));
        let size = with_user(user, || match look(&path) {
            Seen::Missing => Known::Known(0),
            Seen::Present(_) => old_copies::size(&path, deadline),
            Seen::Unknown(why) => Known::Unknown(why),
        });
        (area, size.unwrap_or_else(|error| Known::unknown(chain(&error))))
    };
    Area::ALL.map(measure).to_vec()
}

/// What the user may still write below the root.
pub fn free(storage: &Storage, user: &User) -> Known<u64> {
    let root = Path::new(storage.root());
    let ground = root.ancestors().find(|path| matches!(look(path), Seen::Present(_)));
    let Some(ground) = ground else { return Known::unknown("nothing of the path is there") };
    match with_user(user, || statvfs(ground)) {
        Ok(Ok(stat)) => Known::Known(stat.blocks_available().saturating_mul(stat.fragment_size())),
        Ok(Err(error)) => Known::unknown(format!("{}: {error}", ground.display())),
        Err(error) => Known::unknown(chain(&error)),
    }
}

/// Makes these, in order. What was judged a moment ago may have changed in the node's directory: that is
/// touched as the user. Above it only root changes anything.
pub fn make(
    storage: &Storage,
    user: &User,
    exec: &dyn Exec,
    makes: &[Make],
    tell: &mut dyn FnMut(String),
) -> Result<(), RuntimeError> {
    for make in makes {
        match make {
            Make::Root => {
                let root = Path::new(storage.root());
                make_dir(root, 0o755).map_err(RuntimeError::File)?;
                tell(format!("{} is made, root's", root.display()));
            }
            Make::NodeDir => {
                let dir = PathBuf::from(storage.node_dir());
                make_dir(&dir, 0o700).map_err(RuntimeError::File)?;
                // Nobody but root could put anything in its place.
                chown(&dir, Some(user.uid), Some(user.gid))
                    .map_err(|e| RuntimeError::File(io_error("give away", &dir, e)))?;
                tell(format!("{} is made, {}'s", dir.display(), user.name));
            }
            Make::Area(area, form) => {
                let path = PathBuf::from(storage.area(*area));
                make_as_user(user, exec, &path, *form)?;
                tell(format!("{} is made, a {}", path.display(), form.name()));
            }
        }
    }
    Ok(())
}

/// Makes a private directory or subvolume as the user.
pub(super) fn make_as_user(
    user: &User,
    exec: &dyn Exec,
    path: &Path,
    form: Form,
) -> Result<(), RuntimeError> {
    match form {
        Form::Subvolume => subvolume::create(exec, &user.name, path)?,
        Form::Directory => {
            with_user(user, || make_dir(path, 0o700))
                .map_err(RuntimeError::Privilege)?
                .map_err(RuntimeError::File)?;
        }
    }
    let synced = with_user(user, || sync_dir(path.parent().unwrap_or(path)));
    synced.map_err(RuntimeError::Privilege)?.map_err(RuntimeError::File)
}

fn make_dir(path: &Path, mode: u32) -> Result<(), FileError> {
    let failed = |e| io_error("create the directory", path, e);
    DirBuilder::new().mode(mode).create(path).map_err(failed)?;
    // The umask may have taken from it.
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
    sync_dir(path.parent().unwrap_or(path))
}
