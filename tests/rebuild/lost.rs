//! A standby whose data is lost, and whose WAL and tablespace lay elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use pgtwin::cluster::recovery::{Kept, Turn};
use pgtwin::decide::facts::Sql;
use pgtwin::decide::recovery::{Cause, Way};
use pgtwin::sys::deadline::Deadline;

use crate::turn;
use crate::world::{TIME, World, marker, subject, work};

/// What a monitor of n2 does while it streams.
fn note(world: &World) {
    let agent = subject(world).agent(world, TIME).unwrap();
    let Sql::Standby(standby) = agent.pg.look(&Deadline::after(TIME)).sql else {
        panic!("no standby")
    };
    agent.note_parts(standby.system_id, standby.version);
}

/// What a monitor of n2 finds when nothing runs there.
fn way(world: &World) -> Way {
    let mut agent = subject(world).agent(world, TIME).unwrap();
    let view = agent.view().known().unwrap();
    let file = agent.home.read();
    let upstream = agent.find_upstream(&view, &file, None);
    let instance = agent.pg.look(&Deadline::after(TIME));
    agent.way_back(Some(&Cause::NoData), &upstream, &instance, Turn::Now).0
}

fn versioned(world: &World) -> PathBuf {
    let space = PathBuf::from(world.path("space"));
    let mut names = fs::read_dir(space).unwrap().map(|entry| entry.unwrap().path());
    names.find(|path| path.display().to_string().contains("/PG_")).unwrap()
}

#[test]
fn a_standby_whose_data_is_lost_comes_back_with_wal_and_tablespace_where_they_were() {
    let Some(_turn) = turn() else { return };
    let world = World::spread();
    world.write_ledger();
    note(&world);
    world.stop("standby");
    fs::remove_dir_all(world.path("standby")).unwrap();
    let own = versioned(&world);
    world.touch(&format!("space/{}/mark", own.file_name().unwrap().display()));

    // Somebody has another database there by now.
    let aside = PathBuf::from(world.path("aside"));
    fs::rename(&own, &aside).unwrap();
    world.make_dir(&format!("space/{}", own.file_name().unwrap().display()));
    let Way::Wait(why) = way(&world) else { panic!("it begins") };
    let shown = &why[..why.len().min(128)];
    assert!(shown.contains("holds another database's files here"), "{why}");
    assert!(why.ends_with("; there is no data here"), "{why}");
    let why = work(&world).unwrap_err();
    assert!(why.contains("another database's files"), "{why}");
    assert!(!world.has("standby") && world.beside("space.").is_empty());
    fs::remove_dir(&own).unwrap();
    fs::rename(&aside, &own).unwrap();

    work(&world).unwrap();
    world.streams();
    assert_eq!(marker(&world), Kept::Missing);
    let standby = PathBuf::from(world.path("standby"));
    assert_eq!(fs::read_link(standby.join("pg_wal")).unwrap(), Path::new(&world.path("wal")));
    let spaces = fs::read_dir(standby.join("pg_tblspc")).unwrap();
    let spaces: Vec<PathBuf> =
        spaces.map(|entry| fs::read_link(entry.unwrap().path()).unwrap()).collect();
    assert_eq!(spaces, [PathBuf::from(world.path("space"))]);
    assert!(!versioned(&world).join("mark").exists(), "it is what the lost data has left");
    for begin in ["standby.", "wal.", "space."] {
        let left = world.beside(begin);
        assert!(
            !left.iter().any(|name| name.contains("pgtwin-") || name.contains("backup")),
            "{left:?}"
        );
    }
    let log = World::last_log();
    assert!(
        log.contains("pg_wal goes to ") && log.contains("what the lost data has left there"),
        "{log}"
    );
}
