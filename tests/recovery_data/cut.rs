//! The swap, its end and its way back, interrupted before each single change that they make.
//!
//! The data is a few files, each of which tells its name and whose it is: so it is seen after every
//! change whether one is lost, and whether what could be started is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};

use pgtwin::runtime::instance::Postgres;
use pgtwin::runtime::layout::{self, Layout, Noted, Remembered, Tablespace, What};
use pgtwin::runtime::swap::{Moment, finish, is_done, is_half_moved, put_back, swap};

use crate::place::{Place, free_port, on_every_version};
use crate::world::names;

const STAMP: &str = "20261125-120000";
const SEGMENT: &str = "000000010000000000000001";

/// Where the parts lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// Each in a directory that can be renamed.
    Beside,
    /// Each in one of which only the content can be moved.
    Inside,
    /// The data so, WAL and tablespaces the other way.
    DataInside,
    OthersInside,
    /// There is no data.
    Nowhere,
    /// There is an empty directory of which only the content can be moved.
    Empty,
    /// The data is lost, and it is on record where its WAL and tablespaces lie.
    Lost,
    /// The same, where of those only the content can be moved.
    LostInside,
}

const ALL: [Lie; 8] = [
    Lie::Beside,
    Lie::Inside,
    Lie::DataInside,
    Lie::OthersInside,
    Lie::Nowhere,
    Lie::Empty,
    Lie::Lost,
    Lie::LostInside,
];

type Tree = BTreeMap<PathBuf, String>;

struct Scene {
    root: tempfile::TempDir,
    target: Postgres<'static>,
    layout: Layout,
    old: Tree,
    /// What lost data has left.
    left: BTreeSet<String>,
    noted: Option<Noted>,
    keep: bool,
    major: u32,
}

impl Scene {
    fn new(place: &Place, lie: Lie, keep: bool) -> Self {
        // Without a disk, what is made durable costs nothing.
        let shm = Path::new("/dev/shm");
        let root = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
        let root = tempfile::Builder::new().prefix("pgtwin-cut-").tempdir_in(root).unwrap();
        let data_inside = matches!(lie, Lie::Inside | Lie::DataInside | Lie::Empty);
        let others_inside = matches!(lie, Lie::Inside | Lie::OthersInside | Lie::LostInside);
        let lost = matches!(lie, Lie::Lost | Lie::LostInside);
        for name in ["data", "wal", "space", "gone"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        let at = |name: &str| root.path().join(name).join("it");
        let has_data = !matches!(lie, Lie::Nowhere | Lie::Empty);
        if has_data {
            fill(
                place.major,
                &at("data"),
                "old",
                &at("wal"),
                &[(16384, at("space")), (16390, at("gone"))],
            );
        } else if lie == Lie::Empty {
            fs::create_dir(at("data")).unwrap();
        }
        let owner = |path: &Path| chown(path, Some(place.user.uid), Some(place.user.gid)).unwrap();
        std::os::unix::fs::chown(root.path(), Some(place.user.uid), None).unwrap();
        for (name, inside) in [
            ("data", data_inside),
            ("wal", others_inside),
            ("space", others_inside),
            ("gone", others_inside),
        ] {
            if !inside {
                owner(&root.path().join(name));
            }
            each(&at(name), &mut |path| {
                std::os::unix::fs::lchown(path, Some(place.user.uid), None).unwrap();
            });
        }
        let mut params = place.params("unused", free_port());
        params.pgdata = at("data").display().to_string();
        let log = root.path().join("log");
        let target = Postgres::new(&pgtwin::sys::exec::System, &params, log).unwrap();
        let (mut left, mut noted) = (BTreeSet::new(), None);
        if lost {
            // What stands in a segment where the system is named.
            let segment = format!("old pg_wal/{SEGMENT}");
            let system = u64::from_ne_bytes(segment.as_bytes()[24..32].try_into().unwrap());
            noted = Some(layout::note(target.place(), system, place.major).unwrap());
            fs::remove_dir_all(at("data")).unwrap();
            left = everything(root.path());
            assert_eq!(left.len(), 3, "{left:?}");
        }
        let old = reached(&at("data"));
        assert_eq!(old.is_empty(), !has_data || lost);
        let layout = look_again(&target, root.path(), place.major, keep, noted.as_ref(), STAMP);
        for part in &layout.parts {
            let inside = if part.what == What::Data { data_inside } else { others_inside };
            assert_eq!(part.inside, inside, "{lie:?} {part:?}");
        }
        // A linked pg_wal is known from the data alone.
        assert_eq!(layout.parts.len(), if has_data { 4 } else { 2 });
        let scene = Self { root, target, layout, old, left, noted, keep, major: place.major };
        scene.copy(place);
        scene
    }

    /// What pg_basebackup and its completion leave.
    fn copy(&self, place: &Place) {
        let parts = &self.layout.parts;
        let new = |what: fn(&What) -> bool| {
            parts.iter().find(|part| what(&part.what)).map(pgtwin::runtime::layout::Part::new_dir)
        };
        let data = parts[0].new_dir();
        let wal = new(|what| *what == What::Wal).unwrap_or_else(|| data.join("pg_wal"));
        let space = new(|what| matches!(what, What::Tablespace(_))).unwrap();
        fill(self.major, &data, "new", &wal, &[(16384, space.clone())]);
        fs::write(data.join("pgtwin.copy"), STAMP).unwrap();
        for dir in [&data, &wal, &space] {
            each(dir, &mut |path| {
                std::os::unix::fs::lchown(path, Some(place.user.uid), None).unwrap();
            });
        }
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data/it")
    }

    /// The new data, whole.
    fn new_tree(&self) -> Tree {
        let segment = format!("pg_wal/{SEGMENT}");
        let in_space = format!("pg_tblspc/16384/PG_{}_1/1", self.major);
        ["PG_VERSION", "base/1", "global/pg_control", &segment, &in_space]
            .iter()
            .map(|path| ((*path).into(), format!("new {path}")))
            .collect()
    }

    /// What holds at every moment: what could be started is whole, and no file is lost.
    fn check(&self, has_new: bool) {
        let data = self.data();
        if data.join("PG_VERSION").exists() {
            let found = reached(&data);
            assert!(found == self.old || found == self.new_tree(), "half of it: {found:?}");
        }
        let there = everything(self.root.path());
        for text in self.old.values().chain(&self.left) {
            assert!(there.contains(text), "lost: {text}");
        }
        if has_new {
            for text in self.new_tree().values() {
                assert!(there.contains(text), "lost: {text}");
            }
        }
    }

    /// Swaps until so many changes are made; whether it came to its end.
    fn swap(&self, changes: usize) -> bool {
        let mut left = changes;
        swap(self.target.runtime(), &self.layout, &mut |moment| {
            self.check(true);
            moment != Moment::Change || count_down(&mut left)
        })
        .unwrap()
    }

    fn put_back(&self, changes: usize) -> bool {
        let mut left = changes;
        put_back(self.target.runtime(), &self.layout, &mut |moment| {
            self.check(false);
            moment != Moment::Change || count_down(&mut left)
        })
        .unwrap()
    }
}

fn count_down(left: &mut usize) -> bool {
    let more = *left > 0;
    *left = left.saturating_sub(1);
    more
}

/// Makes a database of a few files.
fn fill(major: u32, data: &Path, whose: &str, wal: &Path, spaces: &[(u32, PathBuf)]) {
    let put = |path: PathBuf, name: &str| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{whose} {name}")).unwrap();
    };
    for name in ["PG_VERSION", "base/1", "global/pg_control"] {
        put(data.join(name), name);
    }
    put(wal.join(SEGMENT), &format!("pg_wal/{SEGMENT}"));
    if wal != data.join("pg_wal") {
        symlink(wal, data.join("pg_wal")).unwrap();
    }
    fs::create_dir_all(data.join("pg_tblspc")).unwrap();
    for (oid, dir) in spaces {
        let name = format!("PG_{major}_1/1");
        put(dir.join(&name), &format!("pg_tblspc/{oid}/{name}"));
        symlink(dir, data.join(format!("pg_tblspc/{oid}"))).unwrap();
    }
}

/// Each path below a directory, itself included; links are not followed.
fn each(dir: &Path, act: &mut dyn FnMut(&Path)) {
    let Ok(meta) = fs::symlink_metadata(dir) else { return };
    act(dir);
    if meta.is_dir() {
        for name in names(dir) {
            each(&dir.join(name), act);
        }
    }
}

/// The texts of all files below a directory.
fn everything(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    each(dir, &mut |path| {
        if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file()) {
            found.insert(fs::read_to_string(path).unwrap());
        }
    });
    found
}

/// What PostgreSQL would find from a data directory on, by its links.
fn reached(data: &Path) -> Tree {
    fn walk(at: &Path, shown: &Path, found: &mut Tree) {
        let Ok(meta) = fs::metadata(at) else { return };
        if meta.is_file() {
            found.insert(shown.to_owned(), fs::read_to_string(at).unwrap());
            return;
        }
        for name in names(at) {
            if !name.starts_with(".pgtwin") && name != "pgtwin.copy" {
                walk(&at.join(&name), &shown.join(&name), found);
            }
        }
    }
    let mut found = Tree::new();
    walk(data, Path::new(""), &mut found);
    found
}

fn on_all(test: impl Fn(&Place, Lie, bool)) {
    // Root alone can make a directory that is not the PostgreSQL user's to rename.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    on_every_version(|place| {
        for lie in ALL {
            for keep in [true, false] {
                test(place, lie, keep);
            }
        }
    });
}

#[test]
fn a_swap_that_is_cut_off_before_any_of_its_changes_is_finished_by_the_next() {
    on_all(|place, lie, keep| {
        for changes in 0.. {
            let scene = Scene::new(place, lie, keep);
            let ended = scene.swap(changes);
            scene.check(true);
            assert_eq!(is_done(scene.target.place(), &scene.layout).unwrap(), ended);
            if !ended {
                let refused = finish(scene.target.place(), &scene.layout, &mut |_| true);
                assert!(refused.is_err(), "old data goes when the new is in its place");
                assert!(scene.swap(usize::MAX), "{lie:?} {changes}");
            }
            assert_eq!(reached(&scene.data()), scene.new_tree(), "{lie:?} {changes}");
            let data = scene.layout.data().unwrap();
            let old = scene.layout.old_dir(data);
            assert_eq!(reached_if(&old), scene.old, "{lie:?} {changes}");
            // Nothing is left to be taken back.
            assert!(!is_half_moved(scene.target.place(), &scene.layout).unwrap());
            assert!(scene.put_back(0));
            if ended {
                assert!(changes > 1, "{lie:?}");
                break;
            }
        }
    });
}

fn reached_if(dir: &Path) -> Tree {
    if dir.exists() { reached(dir) } else { Tree::new() }
}

#[test]
fn the_end_of_old_data_that_is_cut_off_before_any_of_its_changes_is_finished_by_the_next() {
    on_all(|place, lie, keep| {
        for changes in 0.. {
            let scene = Scene::new(place, lie, keep);
            assert!(scene.swap(usize::MAX));
            let mut left = changes;
            let ended = finish(scene.target.place(), &scene.layout, &mut |moment| {
                assert_eq!(reached(&scene.data()), scene.new_tree());
                moment != Moment::Change || count_down(&mut left)
            });
            let ended = ended.unwrap();
            assert!(finish(scene.target.place(), &scene.layout, &mut |_| true).unwrap());
            assert_eq!(reached(&scene.data()), scene.new_tree());
            let old = scene.layout.old_dir(scene.layout.data().unwrap());
            if scene.layout.keeps() && !scene.old.is_empty() {
                assert_eq!(reached(&old), scene.old, "{lie:?} {changes}");
            } else {
                let there = everything(scene.root.path());
                let mut gone = scene.old.values().chain(&scene.left);
                assert!(gone.all(|text| !there.contains(text)), "{lie:?} {changes}");
            }
            let layout = &scene.layout;
            assert_eq!(layout.keep, scene.keep && scene.noted.is_none() && !scene.old.is_empty());
            assert_eq!(layout.keep && !layout.keeps(), layout.why_not_kept().is_some());
            if ended {
                break;
            }
        }
    });
}

#[test]
fn a_swap_that_is_cut_off_anywhere_is_taken_back_and_that_may_be_cut_off_as_well() {
    on_all(|place, lie, keep| {
        // Names alone differ.
        if !keep {
            return;
        }
        // Whether the copy is still there makes no difference.
        for lost in [false, true] {
            let mut swapped = false;
            for changes in 0.. {
                for back in 0.. {
                    let scene = Scene::new(place, lie, keep);
                    swapped = scene.swap(changes);
                    if swapped {
                        break;
                    }
                    if lost {
                        let new = scene.layout.data().unwrap().new_dir();
                        let _ = fs::remove_dir_all(new);
                        if is_done(scene.target.place(), &scene.layout).unwrap() {
                            // All of it was in its place, and that was an empty directory.
                            break;
                        }
                    }
                    let texts = links(&scene.layout);
                    let ended = scene.put_back(back);
                    scene.check(false);
                    assert!(scene.put_back(usize::MAX));
                    scene.check(false);
                    let what = format!("{lie:?} {changes} {back}, lost: {lost}");
                    assert_eq!(reached(&scene.data()), scene.old, "{what}");
                    for (at, to) in texts {
                        assert_eq!(fs::read_link(&at).ok(), Some(to), "{what}: {}", at.display());
                    }
                    let anew = again(&scene);
                    assert_eq!(anew, scene.layout.parts, "{what}");
                    // The copy's own files are in the way of none of the changes back.
                    if ended || lost {
                        break;
                    }
                }
                if swapped {
                    break;
                }
            }
            assert!(swapped);
        }
    });
}

/// The links of the old data, as they are to be again.
fn links(layout: &Layout) -> Vec<(PathBuf, PathBuf)> {
    let data = layout.data().unwrap();
    let old = layout.parts.iter().filter(|part| data.has_old && part.has_old);
    old.filter_map(|part| Some((data.at.join(part.link_name()?), part.link.clone()))).collect()
}

/// What a survey finds then, and a copy of what was begun is made anew.
fn again(scene: &Scene) -> Vec<pgtwin::runtime::layout::Part> {
    pgtwin::runtime::rebuild::remove_copy(scene.target.place(), &scene.layout).unwrap();
    let (root, noted) = (scene.root.path(), scene.noted.as_ref());
    look_again(&scene.target, root, scene.major, scene.keep, noted, "20261125-120001").parts
}

fn look_again(
    target: &Postgres<'_>,
    root: &Path,
    major: u32,
    keep: bool,
    noted: Option<&Noted>,
    stamp: &str,
) -> Layout {
    let spaces = [Tablespace { oid: 16384, location: root.join("space/it") }];
    let known = noted.map_or(Remembered::Nothing, Remembered::Noted);
    layout::survey(target.place(), &spaces, major, keep, stamp, known).unwrap()
}

#[test]
fn where_the_old_data_was_removed_by_hand_its_parts_are_still_known() {
    on_all(|place, lie, keep| {
        let scene = Scene::new(place, lie, keep);
        let data = scene.layout.data().unwrap();
        // All of the old data and nothing of the new is moved.
        let all = scene.layout.parts.iter().filter(|part| part.has_old).count();
        let mut watch = |moment| moment != Moment::Steps(all);
        swap(scene.target.runtime(), &scene.layout, &mut watch).unwrap();
        let old = scene.layout.old_dir(data);
        if !old.exists() {
            return;
        }
        fs::remove_dir_all(&old).unwrap();
        assert!(!is_half_moved(scene.target.place(), &scene.layout).unwrap());
        let spaces = [Tablespace { oid: 16384, location: scene.root.path().join("space/it") }];
        let found = |known| {
            let (place, major) = (scene.target.place(), scene.major);
            layout::survey(place, &spaces, major, keep, "20261125-120001", known).unwrap()
        };
        let links =
            |layout: &Layout| layout.parts.iter().map(|part| part.link.clone()).collect::<Vec<_>>();
        let plan = Remembered::Plan(&scene.layout);
        assert_eq!(links(&found(plan)), links(&scene.layout)[..3], "{lie:?}");
        assert_eq!(found(Remembered::Nothing).parts.len(), 2, "{lie:?}: its WAL would be in it");
    });
}
