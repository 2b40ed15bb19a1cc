//! A standby whose data directory is lost, and whose WAL and tablespaces lay elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use pgtwin::client::peer::Peer;
use pgtwin::decide::recovery_check::room::Part;
use pgtwin::decide::source;
use pgtwin::runtime::instance::Postgres;
use pgtwin::runtime::layout::{self, Layout, Noted, Remembered, note};
use pgtwin::runtime::swap::{finish, swap};
use pgtwin::runtime::{RuntimeError, room};

use crate::mount::Mount;
use crate::place::{Place, await_standby, free_port, on_every_version, soon, sql, value};
use crate::world::{copied, make_dir, make_slot, names, primary, streams_from, tablespaces};
use pgtwin::decide::facts::StandbyFacts;

const STAMP: &str = "20261125-120000";

/// n2, with its WAL in `wal` and the primary's tablespace in `space`.
struct Scene<'a> {
    place: &'a Place,
    n1: Postgres<'static>,
    n2: Postgres<'static>,
    source: Peer,
    wal: PathBuf,
    space: PathBuf,
    noted: Noted,
}

impl<'a> Scene<'a> {
    fn new(place: &'a Place, wal: &Path, space: &Path) -> Self {
        let (n1, port, source) = primary(place, "n1");
        make_slot(&n1);
        let there = make_dir(place, &place.path("there"));
        sql(&n1, &format!("CREATE TABLESPACE s LOCATION '{}'", there.display()));
        sql(&n1, "CREATE TABLE public.in_s TABLESPACE s AS SELECT 7 AS i");
        let n2 = place.instance("n2", free_port());
        let from =
            format!("host={} port={port} user={}", place.dir.path().display(), place.user.name);
        let mapping = format!("{}={}", there.display(), space.display());
        let (data, waldir) = (place.path("n2").display().to_string(), wal.display().to_string());
        let args = ["-d", &from, "-D", &data, "-c", "fast", "-N", "-R", "--waldir", &waldir];
        place.run("pg_basebackup", &[&args[..], &["-T", &mapping]].concat());
        streams_from(&n2, &source);
        let facts = await_standby(&n2, StandbyFacts::streams);
        let noted = note(n2.place(), facts.system_id, facts.version / 10_000).unwrap();
        // A monitor finds nothing new.
        let links = layout::links(n2.place()).unwrap();
        assert!(noted.is_about(facts.system_id, &links, &noted.data) && links.len() == 2);
        assert!(!noted.is_about(facts.system_id, &links[..1], &noted.data));
        assert!(!noted.is_about(facts.system_id, &links, std::path::Path::new("/moved")));
        // It is read back as it was written, as after a boot.
        let noted = Noted::parse(&noted.to_text().unwrap()).unwrap();
        n2.stop(&soon()).unwrap();
        let (wal, space) = (wal.to_owned(), space.to_owned());
        Self { place, n1, n2, source, wal, space, noted }
    }

    fn wipe(&self) {
        fs::remove_dir_all(self.place.path("n2")).unwrap();
    }

    fn survey(&self, known: Remembered<'_>) -> Result<Layout, RuntimeError> {
        let spaces = tablespaces(&self.n1);
        layout::survey(self.n2.place(), &spaces, self.place.major, true, STAMP, known)
    }

    fn refused(&self, known: Remembered<'_>) -> String {
        self.survey(known).unwrap_err().to_string()
    }

    fn remembers(&self) -> Remembered<'_> {
        Remembered::Noted(&self.noted)
    }

    /// The directory of this version in the tablespace.
    fn versioned(&self) -> PathBuf {
        let name = names(&self.space).into_iter().find(|name| name.starts_with("PG_")).unwrap();
        self.space.join(name)
    }

    fn comes_back(&self) {
        let layout = self.survey(self.remembers()).unwrap();
        // What it left is worth no backup.
        assert!(!layout.keeps());
        assert!(layout.parts.iter().all(|part| part.has_old == part.link_name().is_some()));
        copied(&self.n2, &self.source, &layout, None);
        let left = |mark: &Path| mark.exists();
        assert!(left(&self.wal.join("000000010000000000000001.mark.backup")));
        assert!(left(&self.versioned().join("mark")), "as long as the new data is not whole");
        assert!(swap(self.n2.runtime(), &layout, &mut |_| true).unwrap());
        streams_from(&self.n2, &self.source);
        assert_eq!(value(&self.n2, "SELECT i FROM public.in_s"), "7");
        assert!(finish(self.n2.place(), &layout, &mut |_| true).unwrap());
        self.n2.stop(&soon()).unwrap();
        let data = self.place.path("n2");
        assert_eq!(fs::read_link(data.join("pg_wal")).unwrap(), self.wal);
        assert!(names(&self.wal).iter().any(|name| name.len() == 24), "its WAL is there");
        let spaces = names(&data.join("pg_tblspc"));
        assert_eq!(fs::read_link(data.join("pg_tblspc").join(&spaces[0])).unwrap(), self.space);
        assert!(!self.versioned().join("mark").exists(), "it is the new one's");
        for dir in [self.place.dir.path(), &self.wal, &self.space] {
            let left = names(dir);
            assert!(!left.iter().any(|name| name.contains("pgtwin-")), "{left:?}");
        }
    }

    /// Tells what the lost data has left from what a copy brings.
    fn mark(&self) {
        self.place.write(&self.versioned().join("mark"), "old", 0o600);
        let label = self.wal.join("000000010000000000000001.mark.backup");
        self.place.write(&label, "old", 0o600);
    }
}

#[test]
fn a_standby_whose_data_is_lost_is_rebuilt_with_wal_and_tablespaces_where_they_were() {
    on_every_version(|place| {
        let scene = Scene::new(place, &place.path("wal"), &place.path("space"));
        scene.mark();
        scene.wipe();
        // It is room for a copy where it goes, and not where the primary has it.
        let spaces: Vec<source::Tablespace> = tablespaces(&scene.n1)
            .into_iter()
            .map(|space| source::Tablespace {
                oid: space.oid,
                location: space.location.display().to_string(),
                bytes: None,
            })
            .collect();
        let volumes = room::volumes(scene.n2.place(), &spaces, Some(&scene.noted), &soon());
        let volumes = volumes.known().unwrap();
        let at = |part| volumes.iter().find(|volume| volume.part == part).unwrap().path.clone();
        assert_eq!(at(Part::Wal), scene.wal.display().to_string());
        assert_eq!(at(Part::Tablespace(spaces[0].oid)), scene.space.display().to_string());
        scene.comes_back();
    });
}

#[test]
fn on_mount_points_as_well_what_lost_data_has_left_is_replaced() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    on_every_version(|place| {
        let (wal, space) = (place.path("wal"), place.path("space"));
        let _mounts = [Mount::new(place, &wal, 200), Mount::new(place, &space, 64)];
        let scene = Scene::new(place, &wal, &space);
        scene.mark();
        scene.wipe();
        scene.comes_back();
    });
}

#[test]
fn what_lies_there_and_is_not_surely_its_own_is_refused_and_left_alone() {
    on_every_version(|place| {
        let scene = Scene::new(place, &place.path("wal"), &place.path("space"));
        // As long as there is data, its links are what counts.
        fs::rename(place.path("wal"), place.path("elsewhere")).unwrap();
        let why = scene.refused(scene.remembers());
        assert!(why.contains("is not there: mount it"), "{why}");
        fs::rename(place.path("elsewhere"), place.path("wal")).unwrap();
        scene.mark();
        scene.wipe();

        // Nobody has noted anything: the WAL is not found, and the tablespace is where the primary has it.
        let why = scene.refused(Remembered::Nothing);
        assert!(why.contains("another database's files") && why.contains("there"), "{why}");
        // Noted of other data.
        let elsewhere = Noted { data: place.path("another"), ..scene.noted.clone() };
        let why = scene.refused(Remembered::Noted(&elsewhere));
        assert!(why.contains("another database's files"), "{why}");

        // Somebody has emptied the tablespace, and another database has it now.
        let (own, aside) = (scene.versioned(), place.path("own"));
        fs::rename(&own, &aside).unwrap();
        make_dir(place, &own.join("5"));
        let why = scene.refused(scene.remembers());
        assert!(why.contains("another database's files"), "{why}");
        fs::remove_dir_all(&own).unwrap();
        fs::rename(&aside, &own).unwrap();
        assert!(scene.survey(scene.remembers()).is_ok());

        // The WAL there is of another database system.
        let other = Noted { system_id: scene.noted.system_id + 1, ..scene.noted.clone() };
        let why = scene.refused(Remembered::Noted(&other));
        assert!(why.contains("lost data lay in") && why.contains("is none of it"), "{why}");
        place.write(&scene.wal.join("letter.txt"), "dear", 0o600);
        let why = scene.refused(scene.remembers());
        assert!(why.contains("letter.txt there is none of it"), "{why}");
        fs::remove_file(scene.wal.join("letter.txt")).unwrap();

        // A tablespace that the primary has dropped meanwhile goes, if it is its own.
        sql(&scene.n1, "DROP TABLE public.in_s");
        sql(&scene.n1, "DROP TABLESPACE s");
        assert_eq!(scene.survey(scene.remembers()).unwrap().parts.len(), 3);
        fs::rename(&own, &aside).unwrap();
        make_dir(place, &own.join("5"));
        assert_eq!(scene.survey(scene.remembers()).unwrap().parts.len(), 2, "it is left alone");
    });
}
