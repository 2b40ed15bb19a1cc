//! The swap, interrupted after each of its steps.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pgtwin::runtime::instance::Postgres;
use pgtwin::runtime::layout::{Layout, Part, What};
use pgtwin::runtime::rebuild;
use pgtwin::runtime::swap::{Moment, finish, is_done, is_half_moved, plan, put_back, swap};

use crate::mount::Mount;
use crate::place::{Place, free_port, on_every_version, soon, sql, value};
use crate::world::{
    copied, make_dir, make_link, make_slot, names, primary, streams_from, survey, tablespaces,
};

/// Which copy lies here: the primary has a file with a number, in its data and in its tablespace.
fn generation(dir: &Path) -> Option<String> {
    fs::read_to_string(dir.join("generation")).ok()
}

/// The directory of this version in a tablespace.
fn versioned(tablespace: &Path) -> PathBuf {
    let name = names(tablespace).into_iter().find(|name| name.starts_with("PG_"));
    tablespace.join(name.unwrap_or_else(|| "none".into()))
}

/// The generation of a whole copy: data, tablespace and WAL belong together.
fn whole(data: &Path) -> Option<String> {
    fs::metadata(data.join("PG_VERSION")).ok()?;
    fs::metadata(data.join("global/pg_control")).ok()?;
    let own = generation(data)?;
    let spaces = names(&data.join("pg_tblspc"));
    let space = data.join("pg_tblspc").join(spaces.first()?);
    assert_eq!(generation(&versioned(&fs::canonicalize(&space).ok()?)).as_ref(), Some(&own));
    assert!(names(&data.join("pg_wal")).iter().any(|name| name.len() == 24), "its WAL is there");
    Some(own)
}

/// What must be so at every moment.
fn never_half(pgdata: &Path, layout: &Layout, old: &str, new: &str) {
    let data = layout.data().unwrap();
    if pgdata.join("PG_VERSION").exists() {
        let found = whole(pgdata).unwrap();
        assert!([old, new].contains(&found.as_str()), "{found}");
    }
    // Each generation is somewhere, with all of its parts.
    let spaces = |part: &&Part| matches!(part.what, What::Tablespace(_));
    let space = layout.parts.iter().find(spaces).unwrap();
    for wanted in [old, new] {
        let data = [data.at.clone(), data.new_dir(), layout.old_dir(data)];
        assert!(data.iter().any(|dir| generation(dir).as_deref() == Some(wanted)), "data {wanted}");
        let space = [space.at.clone(), space.new_dir(), layout.old_dir(space)];
        let has =
            |dir: &PathBuf| dir.exists() && generation(&versioned(dir)).as_deref() == Some(wanted);
        assert!(space.iter().any(has), "tablespace {wanted}");
    }
}

struct Scene {
    n1: Postgres<'static>,
    target: Postgres<'static>,
    source: pgtwin::client::peer::Peer,
    /// The primary's tablespace.
    there: PathBuf,
}

impl Scene {
    /// A primary with a tablespace. PGDATA of the target is `data`, its WAL and its tablespace lie in
    /// `wal` and `space`.
    fn new(place: &Place, data: &Path, wal: &Path, space: &Path) -> Self {
        let (n1, port, source) = primary(place, "n1");
        make_slot(&n1);
        let there = make_dir(place, &place.path("there"));
        sql(&n1, &format!("CREATE TABLESPACE s LOCATION '{}'", there.display()));
        sql(&n1, "CREATE TABLE public.in_s TABLESPACE s AS SELECT 7 AS i");
        let target = place.instance(data.file_name().unwrap().to_str().unwrap(), free_port());
        let scene = Self { n1, target, source, there };
        scene.number(place, "0");
        let from =
            format!("host={} port={port} user={}", place.dir.path().display(), place.user.name);
        let mapping = format!("{}={}", scene.there.display(), space.display());
        place.run(
            "pg_basebackup",
            &[
                "-d",
                &from,
                "-D",
                &data.display().to_string(),
                "-c",
                "fast",
                "-N",
                "--waldir",
                &wal.display().to_string(),
                "-T",
                &mapping,
            ],
        );
        scene
    }

    fn number(&self, place: &Place, number: &str) {
        place.write(&place.path("n1/generation"), number, 0o600);
        place.write(&versioned(&self.there).join("generation"), number, 0o600);
    }

    fn layout(&self, place: &Place, keep: bool, stamp: &str) -> Layout {
        survey(place, &self.target, &tablespaces(&self.n1), keep, stamp).unwrap()
    }

    fn runs(&self) {
        streams_from(&self.target, &self.source);
        assert_eq!(value(&self.target, "SELECT i FROM public.in_s"), "7");
        self.target.stop(&soon()).unwrap();
    }
}

/// Is asked after the steps alone.
fn after_steps(mut go_on: impl FnMut(usize) -> bool) -> impl FnMut(Moment) -> bool {
    move |moment| match moment {
        Moment::Change => true,
        Moment::Steps(done) => go_on(done),
    }
}

/// A swap that is cut off after `stop_after` steps, and finished with what was written down of it.
fn cut_off(scene: &Scene, layout: &Layout, stop_after: usize, old: &str, new: &str) {
    let pgdata = &scene.target.place().pgdata;
    let mut check = after_steps(|done| {
        never_half(pgdata, layout, old, new);
        done < stop_after
    });
    let all = plan(layout).len();
    if stop_after > 0 {
        let done = swap(scene.target.runtime(), layout, &mut check).unwrap();
        assert_eq!(done, stop_after == all);
    }
    let written = layout.to_text().unwrap();
    let read = Layout::parse(&written).unwrap();
    assert_eq!(is_done(scene.target.place(), &read).unwrap(), stop_after == all);
    assert_eq!(finish(scene.target.place(), &read, &mut |_| true).is_ok(), stop_after == all);
    if stop_after < all {
        let mut steps = 0;
        let mut more = after_steps(|done| {
            steps = done;
            never_half(pgdata, layout, old, new);
            true
        });
        assert!(swap(scene.target.runtime(), &read, &mut more).unwrap());
        drop(more);
        assert_eq!(steps, all);
        assert_eq!(whole(&layout.old_dir(layout.data().unwrap())).as_deref(), Some(old));
    }
    assert!(swap(scene.target.runtime(), &read, &mut |_| panic!("it is done")).unwrap());
    assert_eq!(whole(pgdata).as_deref(), Some(new));
}

#[test]
fn a_swap_that_is_cut_off_anywhere_goes_on_and_pgdata_is_never_half_of_each() {
    on_every_version(|place| {
        // PGDATA is a link, as are pg_wal and the tablespace.
        let real = make_dir(place, &place.path("disk")).join("real");
        let wal = place.path("wal");
        let space = place.path("space");
        make_link(place, &place.path("data"), &real);
        make_dir(place, &real);
        let scene = Scene::new(place, &place.path("data"), &wal, &space);
        fs::set_permissions(&real, fs::Permissions::from_mode(0o750)).unwrap();
        let steps = plan(&scene.layout(place, true, "20261125-000000")).len();
        assert_eq!(steps, 10);
        for stop_after in 0..=steps {
            let old = stop_after.to_string();
            let new = (stop_after + 1).to_string();
            scene.number(place, &new);
            let layout = scene.layout(place, true, &format!("20261125-0000{stop_after:02}"));
            assert!(layout.keeps(), "{:?}", layout.why_not_kept());
            copied(&scene.target, &scene.source, &layout, None);
            cut_off(&scene, &layout, stop_after, &old, &new);
            finish(scene.target.place(), &layout, &mut |_| true).unwrap();
            assert_eq!(fs::read_link(place.path("data")).unwrap(), real, "the link stays");
            assert_eq!(fs::read_link(real.join("pg_wal")).unwrap(), wal);
            let mode = fs::metadata(&real).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o750);
            let backup = format!("real.backup.20261125-0000{stop_after:02}");
            assert_eq!(names(&place.path("disk")), ["real".to_owned(), backup]);
        }
        let left: Vec<String> = names(place.dir.path());
        let stamp = format!(".backup.20261125-0000{steps:02}");
        for part in ["wal", "space"] {
            let copies: Vec<&String> =
                left.iter().filter(|name| name.starts_with(&format!("{part}."))).collect();
            assert_eq!(copies, [&format!("{part}{stamp}")], "only the newest backup");
        }
        scene.runs();
    });
}

#[test]
fn a_swap_whose_copy_is_lost_is_taken_back_and_nothing_that_is_linked_is_forgotten() {
    on_every_version(|place| {
        let (data, wal, space) = (place.path("data"), place.path("wal"), place.path("space"));
        let scene = Scene::new(place, &data, &wal, &space);
        let first = scene.layout(place, true, "20261125-000000");
        let steps = plan(&first).len();
        for stop_after in 1..steps {
            let layout = scene.layout(place, true, &format!("20261125-0000{stop_after:02}"));
            assert_eq!(layout.parts, first.parts, "cut off after {stop_after}");
            copied(&scene.target, &scene.source, &layout, None);
            let mut some = after_steps(|done| done < stop_after);
            assert!(!swap(scene.target.runtime(), &layout, &mut some).unwrap());
            fs::remove_dir_all(layout.data().unwrap().new_dir()).unwrap();
            assert!(swap(scene.target.runtime(), &layout, &mut |_| true).is_err());
            assert!(is_half_moved(scene.target.place(), &layout).unwrap());
            assert!(put_back(scene.target.runtime(), &layout, &mut |_| true).unwrap());
            assert!(!is_half_moved(scene.target.place(), &layout).unwrap());
            rebuild::remove_copy(scene.target.place(), &layout).unwrap();
            assert_eq!(whole(&data).as_deref(), Some("0"), "cut off after {stop_after}");
        }
        // It still is data that PostgreSQL runs on, and a copy of it has all parts where they were.
        scene.target.ensure_standby_signal().unwrap();
        scene.runs();
        scene.number(place, "1");
        let last = scene.layout(place, true, "20261125-010000");
        assert_eq!(last.parts, first.parts);
        copied(&scene.target, &scene.source, &last, None);
        assert!(swap(scene.target.runtime(), &last, &mut |_| true).unwrap());
        assert_eq!(whole(&data).as_deref(), Some("1"));
        assert_eq!(fs::read_link(data.join("pg_wal")).unwrap(), wal);
        scene.runs();
    });
}

#[test]
fn a_mount_point_keeps_its_mount_and_no_old_copy_stays_in_it() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    on_every_version(|place| {
        let (data, wal) = (place.path("data"), place.path("wal"));
        let space = place.path("space");
        let mut mounted = [Mount::new(place, &data, 400), Mount::new(place, &wal, 400)];
        let scene = Scene::new(place, &data, &wal, &space);
        mounted[0].holds(place.params("data", scene.target.place().port));
        // Another version's files in the same tablespace are none of ours.
        make_dir(place, &space.join("PG_9.6_201608131"));
        let device =
            |path: &Path| std::os::unix::fs::MetadataExt::dev(&fs::metadata(path).unwrap());
        let before = (device(&data), device(&wal));
        let steps = plan(&scene.layout(place, true, "20261125-000000")).len();
        for stop_after in 0..=steps {
            let old = stop_after.to_string();
            let new = (stop_after + 1).to_string();
            scene.number(place, &new);
            let layout = scene.layout(place, true, &format!("20261125-0000{stop_after:02}"));
            assert!(!layout.keeps() && layout.why_not_kept().is_some());
            assert!(layout.parts.iter().all(|part| part.inside));
            copied(&scene.target, &scene.source, &layout, None);
            if stop_after == 3 {
                // Cut off within a step: half of the old data is moved.
                let main = layout.data().unwrap();
                let part = format!("{}.part", layout.old_dir(main).display());
                make_dir(place, Path::new(&part));
                for name in ["PG_VERSION", "base", "generation"] {
                    fs::rename(data.join(name), Path::new(&part).join(name)).unwrap();
                }
                assert!(matches!(
                    scene.target.data_dir(),
                    pgtwin::decide::facts::DataDir::Unusable(_)
                ));
            }
            if stop_after == 4 {
                // And half of the new data.
                let all = plan(&layout).len();
                let mut but_one = after_steps(|done| done + 1 < all);
                assert!(!swap(scene.target.runtime(), &layout, &mut but_one).unwrap());
                for name in ["global", "standby.signal", "base"] {
                    fs::rename(data.join(".pgtwin-new").join(name), data.join(name)).unwrap();
                }
                assert!(swap(scene.target.runtime(), &layout, &mut |_| true).unwrap());
                assert_eq!(whole(&data).as_deref(), Some(new.as_str()));
                assert_eq!(whole(&layout.old_dir(layout.data().unwrap())), Some(old));
            } else {
                cut_off(&scene, &layout, stop_after, &old, &new);
            }
            finish(scene.target.place(), &layout, &mut |_| true).unwrap();
            assert!(!data.join("lost+found").exists());
            for dir in [&data, &wal, &space] {
                let ours = names(dir).into_iter().filter(|name| name.starts_with(".pgtwin"));
                assert_eq!(ours.count(), 0, "{}", dir.display());
            }
            assert_eq!((device(&data), device(&wal)), before);
            assert!(space.join("PG_9.6_201608131").exists());
        }
        scene.runs();
    });
}
