//! pg_basebackup into every kind of place, and what it is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use pgtwin::client::peer::Peer;
use pgtwin::decide::facts::DataDir;
use pgtwin::postgres::copy_tools::WhyNot;
use pgtwin::runtime::instance::Postgres;
use pgtwin::runtime::layout::Layout;
use pgtwin::runtime::own_files;
use pgtwin::runtime::rebuild::{Copy, Rebuild, rebuild};
use pgtwin::runtime::swap::{finish, is_done, swap};
use pgtwin::sys::deadline::Deadline;
use pgtwin::sys::exec::System;

use crate::mount::Mount;
use crate::place::{free_port, on_every_version, soon, sql, value};
use crate::world::{
    SLOT, copied, make_dir, make_link, make_slot, names, primary, state, streams_from, survey,
    tablespaces,
};

const FIRST: &str = "20261125-120000";
const SECOND: &str = "20261125-120001";

fn swapped(target: &Postgres<'_>, layout: &Layout) {
    assert!(!is_done(target.place(), layout).unwrap());
    assert!(swap(target.runtime(), layout, &mut |_| true).unwrap());
    assert!(is_done(target.place(), layout).unwrap());
}

fn failure(target: &Postgres<'_>, source: &Peer, slot: &str, layout: &Layout) -> WhyNot {
    let copy = Copy { source, slot, layout, kept: None };
    let outcome = rebuild(target.runtime(), &System, copy, &soon(), &mut |_| {}).unwrap();
    let Rebuild::Failed { why, words } = outcome else { panic!("{outcome:?}") };
    assert!(!words.is_empty() && !words.contains("secret"), "{words}");
    for part in &layout.parts {
        assert!(!part.new_dir().exists(), "{} is left", part.new_dir().display());
    }
    why
}

#[test]
fn a_missing_and_an_empty_data_directory_are_built_from_the_primary() {
    on_every_version(|place| {
        let (n1, _, source) = primary(place, "n1");
        make_slot(&n1);
        let missing = place.instance("missing", free_port());
        let empty = place.instance("empty", free_port());
        make_dir(place, &place.path("empty/lost+found"));
        make_dir(place, &place.path("empty"));
        fs::set_permissions(place.path("empty"), fs::Permissions::from_mode(0o750)).unwrap();
        for (target, name) in [(&missing, "missing"), (&empty, "empty")] {
            let layout = survey(place, target, &[], true, FIRST).unwrap();
            copied(target, &source, &layout, None);
            // What an interrupted attempt left is no hindrance.
            copied(target, &source, &layout, None);
            swapped(target, &layout);
            finish(target.place(), &layout, &mut |_| true).unwrap();
            let mode = fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if name == "empty" { 0o750 } else { 0o700 });
            assert_eq!(place.path(name).join("lost+found").exists(), name == "empty");
            streams_from(target, &source);
            target.stop(&soon()).unwrap();
        }
        let left: Vec<String> = names(place.dir.path());
        assert!(!left.iter().any(|name| name.contains("pgtwin-")), "{left:?}");
    });
}

#[test]
fn a_rebuilt_node_keeps_its_own_configuration_and_only_its_newest_backup() {
    on_every_version(|place| {
        let (n1, port, source) = primary(place, "n1");
        make_slot(&n1);
        sql(&n1, "CREATE TABLE public.t AS SELECT 1 AS i");
        let (n2, _) = place.basebackup(port, "n2");
        let data = place.path("n2");
        place.append(&data.join("postgresql.conf"), "cluster_name = 'n2'\n");
        place.write(&place.path("n2.backup.by-hand"), "", 0o600);
        let state = state();
        let kept = state.path().join("own");
        own_files::keep(n2.place(), &kept).unwrap();
        for stamp in [FIRST, SECOND] {
            place.write(&data.join("which"), stamp, 0o600);
            let layout = survey(place, &n2, &[], true, stamp).unwrap();
            copied(&n2, &source, &layout, Some(&kept));
            swapped(&n2, &layout);
            streams_from(&n2, &source);
            assert_eq!(value(&n2, "SHOW cluster_name"), "n2");
            assert_eq!(value(&n2, "SELECT i FROM public.t"), "1");
            finish(n2.place(), &layout, &mut |_| true).unwrap();
            finish(n2.place(), &layout, &mut |_| true).unwrap();
            n2.stop(&soon()).unwrap();
        }
        let left: Vec<String> =
            names(place.dir.path()).into_iter().filter(|name| name.starts_with("n2.")).collect();
        let backup = format!("n2.backup.{SECOND}");
        assert_eq!(left, [backup.as_str(), "n2.backup.by-hand", "n2.start.log"]);
        assert_eq!(fs::read_to_string(place.path(&backup).join("which")).unwrap(), SECOND);
        // Without a backup the old data goes, and an earlier backup stays.
        let layout = survey(place, &n2, &[], false, "20261125-120002").unwrap();
        copied(&n2, &source, &layout, Some(&kept));
        swapped(&n2, &layout);
        assert!(layout.old_dir(layout.data().unwrap()).join("PG_VERSION").exists());
        finish(n2.place(), &layout, &mut |_| true).unwrap();
        assert!(!layout.old_dir(layout.data().unwrap()).exists());
        assert!(place.path(&backup).exists());
    });
}

#[test]
fn a_copy_that_never_streamed_is_no_backup_and_does_not_drive_out_one() {
    on_every_version(|place| {
        let (n1, port, source) = primary(place, "n1");
        make_slot(&n1);
        let (n2, _) = place.basebackup(port, "n2");
        place.write(&place.path("n2/which"), "the original", 0o600);
        let first = survey(place, &n2, &[], true, FIRST).unwrap();
        copied(&n2, &source, &first, None);
        swapped(&n2, &first);
        // It never came to stream, and is replaced by another one.
        let second = survey(place, &n2, &[], true, SECOND).unwrap();
        assert!(first.keeps() && !second.keeps());
        copied(&n2, &source, &second, None);
        swapped(&n2, &second);
        assert!(
            !is_done(n2.place(), &first).unwrap()
                && finish(n2.place(), &first, &mut |_| true).is_err()
        );
        finish(n2.place(), &second, &mut |_| true).unwrap();
        let left: Vec<String> =
            names(place.dir.path()).into_iter().filter(|name| name.starts_with("n2.")).collect();
        let backup = format!("n2.backup.{FIRST}");
        assert_eq!(left, [backup.as_str()]);
        let which = fs::read_to_string(place.path(&backup).join("which")).unwrap();
        assert_eq!(which, "the original");
        assert!(survey(place, &n2, &[], true, "20261125-120002").unwrap().keeps());
        // Where the data itself is lost, nothing newer comes, and the backup stays as well.
        fs::remove_dir_all(place.path("n2")).unwrap();
        let third = survey(place, &n2, &[], true, "20261125-120003").unwrap();
        copied(&n2, &source, &third, None);
        swapped(&n2, &third);
        finish(n2.place(), &third, &mut |_| true).unwrap();
        assert!(place.path(&backup).join("which").exists());
    });
}

#[test]
fn what_keeps_a_copy_from_being_made_is_named_and_nothing_is_left_of_it() {
    on_every_version(|place| {
        let (n1, port, source) = primary(place, "n1");
        let (n2, _) = place.basebackup(port, "n2");
        place.write(&place.path("n2/which"), "old", 0o600);
        let layout = survey(place, &n2, &[], true, FIRST).unwrap();
        assert_eq!(failure(&n2, &source, SLOT, &layout), WhyNot::Slot);
        make_slot(&n1);
        let mut nobody = source.clone();
        nobody.port = free_port();
        assert_eq!(failure(&n2, &nobody, SLOT, &layout), WhyNot::Unreachable);
        let mut wrong = source.clone();
        wrong.passfile = Some("/dev/null".into());
        assert_eq!(failure(&n2, &wrong, SLOT, &layout), WhyNot::Login);
        sql(&n1, "ALTER ROLE replicator NOREPLICATION");
        assert_eq!(failure(&n2, &source, SLOT, &layout), WhyNot::Login);
        sql(&n1, "ALTER ROLE replicator REPLICATION");
        let copy = Copy { source: &source, slot: SLOT, layout: &layout, kept: None };
        let late = Deadline::after(std::time::Duration::from_millis(1));
        let outcome = rebuild(n2.runtime(), &System, copy, &late, &mut |_| {}).unwrap();
        assert!(matches!(outcome, Rebuild::Failed { why: WhyNot::TooLate, .. }), "{outcome:?}");
        // Without a copy nothing is moved.
        assert!(swap(n2.runtime(), &layout, &mut |_| true).is_err());
        make_dir(place, &place.path("n2.pgtwin-new"));
        assert!(swap(n2.runtime(), &layout, &mut |_| true).is_err());
        assert!(finish(n2.place(), &layout, &mut |_| true).is_err());
        assert_eq!(fs::read_to_string(place.path("n2/which")).unwrap(), "old");
        // And an instance that runs is left alone.
        n2.start(&soon()).unwrap();
        assert!(rebuild(n2.runtime(), &System, copy, &soon(), &mut |_| {}).is_err());
        assert!(swap(n2.runtime(), &layout, &mut |_| true).is_err());
    });
}

#[test]
fn a_full_disk_is_named_and_empty_again_afterwards() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    on_every_version(|place| {
        let (n1, _, source) = primary(place, "n1");
        make_slot(&n1);
        let data = place.path("small");
        let _mount = Mount::new(place, &data, 8);
        let target = place.instance("small", free_port());
        let layout = survey(place, &target, &[], true, FIRST).unwrap();
        // There is no old data that would be kept.
        assert!(layout.data().unwrap().inside && !layout.keep);
        assert_eq!(failure(&target, &source, SLOT, &layout), WhyNot::DiskFull);
        assert_eq!(names(&data), Vec::<String>::new());
        make_dir(place, &data.join(".pgtwin-new"));
        assert_eq!(target.data_dir(), DataDir::Empty, "a copy that was not finished is no data");
    });
}

#[test]
fn places_that_cannot_be_replaced_safely_are_refused_before_anything_is_touched() {
    on_every_version(|place| {
        let (n1, port, _) = primary(place, "n1");
        let refused = |target: &Postgres<'_>, spaces: &[_]| {
            survey(place, target, spaces, true, FIRST).unwrap_err().to_string()
        };
        // The tablespace of the primary, on this machine: its files are in the way.
        let there = make_dir(place, &place.path("there"));
        sql(&n1, &format!("CREATE TABLESPACE s LOCATION '{}'", there.display()));
        let fresh = place.instance("fresh", free_port());
        let why = refused(&fresh, &tablespaces(&n1));
        assert!(why.contains("another database's files") && why.contains("there"), "{why}");
        sql(&n1, "DROP TABLESPACE s");

        let (n2, _) = place.basebackup(port, "n2");
        let wal = place.path("n2/pg_wal");
        fs::rename(&wal, place.path("wal")).unwrap();
        make_link(place, &wal, &place.path("wal"));
        fs::rename(place.path("wal"), place.path("unmounted")).unwrap();
        let why = refused(&n2, &[]);
        assert!(why.contains("pg_wal") && why.contains("is not there: mount it"), "{why}");
        fs::rename(place.path("unmounted"), place.path("wal")).unwrap();
        assert!(survey(place, &n2, &[], true, FIRST).is_ok());
        assert!(survey(place, &n2, &[], true, "today").is_err());

        let nothing = place.instance("link", free_port());
        make_link(place, &place.path("link"), &place.path("nowhere"));
        let why = refused(&nothing, &[]);
        assert!(why.contains("symbolic link to nothing"), "{why}");
        let deep = place.instance("no/such/dir", free_port());
        let why = refused(&deep, &[]);
        assert!(why.contains("does not exist"), "{why}");
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        fs::create_dir(place.path("closed")).unwrap();
        let closed = place.instance("closed/data", free_port());
        let why = refused(&closed, &[]);
        assert!(why.contains("cannot make it in") && why.contains("install -d"), "{why}");
        make_dir(place, &place.path("closed/data"));
        let layout = survey(place, &closed, &[], true, FIRST).unwrap();
        assert!(layout.data().unwrap().inside, "its content can be replaced all the same");
        fs::create_dir(place.path("theirs")).unwrap();
        let theirs = place.instance("theirs", free_port());
        let why = refused(&theirs, &[]);
        assert!(why.contains("belongs to uid 0"), "{why}");

        fs::remove_file(&wal).unwrap();
        let _mount = Mount::new(place, &wal, 64);
        let why = refused(&n2, &[]);
        assert!(why.contains("is mounted inside the data directory"), "{why}");
    });
}

#[test]
fn a_tablespace_that_was_made_meanwhile_is_found_out() {
    on_every_version(|place| {
        let (n1, port, source) = primary(place, "n1");
        make_slot(&n1);
        let (n2, _) = place.basebackup(port, "n2");
        let layout = survey(place, &n2, &[], false, FIRST).unwrap();
        let there = make_dir(place, &place.path("there"));
        sql(&n1, &format!("CREATE TABLESPACE s LOCATION '{}'", there.display()));
        // On one machine with the primary pg_basebackup refuses to put it where it is already; nothing
        // of the primary's is removed for that.
        let copy = Copy { source: &source, slot: SLOT, layout: &layout, kept: None };
        let outcome = rebuild(n2.runtime(), &System, copy, &soon(), &mut |_| {}).unwrap();
        assert!(matches!(outcome, Rebuild::Failed { .. }), "{outcome:?}");
        sql(&n1, "CREATE TABLE public.in_s TABLESPACE s AS SELECT 7 AS i");
        assert_eq!(value(&n1, "SELECT i FROM public.in_s"), "7");
        assert!(!place.path("n2.pgtwin-new").exists());
    });
}
