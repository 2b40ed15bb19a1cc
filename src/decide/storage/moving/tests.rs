#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::decide::support::control;
use crate::postgres::control_data::ClusterState;

fn cluster(state: ClusterState) -> DataDir {
    let mut control = control(state);
    control.system_id = 7;
    DataDir::Cluster(Box::new(control))
}

fn record(stage: Stage) -> Record {
    let from = "/old/data".to_owned();
    Record { stage, method: Method::Reflink, system_id: 7, begun: 1, inode: 5, from }
}

fn facts() -> Facts {
    Facts {
        from: "/old/data".into(),
        to: "/srv/pg/@postgres-n1/data".into(),
        record: Known::Known(None),
        process: Process::None,
        process_there: Process::None,
        data: cluster(ClusterState::ShutDown),
        data_there: DataDir::Empty,
        not_kept: Vec::new(),
        bytes: Some(1 << 30),
        bytes_there: 0,
        free: Known::Known(2 << 30),
        same_filesystem: Known::Known(false),
        kind: "ext4".into(),
        form: Known::Known(Form::Directory),
        may_start: None,
    }
}

type Change = fn(&mut Facts);
/// Name, change, words.
type Row = (&'static str, fn(&mut After), &'static str);

#[test]
fn the_method_is_the_cheapest_that_the_file_systems_allow() {
    let rows: &[(&str, Change, Method)] = &[
        ("another file system", |_| (), Method::Copy),
        ("one, which cannot share", |f| f.same_filesystem = Known::Known(true), Method::Copy),
        (
            "one, which can",
            |f| (f.same_filesystem, f.kind) = (Known::Known(true), "xfs".into()),
            Method::Reflink,
        ),
        (
            "a directory on Btrfs",
            |f| (f.same_filesystem, f.kind) = (Known::Known(true), "btrfs".into()),
            Method::Reflink,
        ),
        (
            "a subvolume of it",
            |f| {
                (f.same_filesystem, f.kind) = (Known::Known(true), "btrfs".into());
                f.form = Known::Known(Form::Subvolume);
            },
            Method::Snapshot,
        ),
        (
            "a subvolume of another",
            |f| (f.form, f.kind) = (Known::Known(Form::Subvolume), "btrfs".into()),
            Method::Copy,
        ),
        // A move that was begun is finished as it was begun.
        (
            "one that was begun",
            |f| f.record = Known::Known(Some(record(Stage::Making))),
            Method::Reflink,
        ),
        (
            "one that is nearly done",
            |f| {
                f.record = Known::Known(Some(record(Stage::Switching)));
                f.data = DataDir::Unusable("no control file".into());
                f.data_there = DataDir::Absent;
            },
            Method::Reflink,
        ),
        (
            "one of which only the record lacks",
            |f| {
                f.record = Known::Known(Some(record(Stage::Switching)));
                f.data = DataDir::Unusable("no control file".into());
                f.data_there = cluster(ClusterState::ShutDown);
            },
            Method::Reflink,
        ),
        // Room for what is there is not needed once more.
        (
            "half is there",
            |f| (f.free, f.bytes_there) = (Known::Known(600 << 20), 512 << 20),
            Method::Copy,
        ),
    ];
    for (name, change, expected) in rows {
        let mut facts = facts();
        change(&mut facts);
        match judge(&facts) {
            Ruling::Possible(plan) => {
                assert_eq!((plan.method, plan.system_id), (*expected, 7), "{name}");
                assert_eq!(plan.goes_on, facts.record != Known::Known(None), "{name}");
                assert!(plan.steps.last().unwrap().contains("--confirm"), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn nothing_is_moved_that_runs_or_may_or_could_not_be_put_back() {
    let rows: &[(&str, Change, &str)] = &[
        ("it runs", |f| f.process = Process::Running { pid: 5, stopped: false }, "it runs, pid 5"),
        ("children are left", |f| f.process = Process::Orphans(vec![6]), "left processes behind"),
        ("nobody knows", |f| f.process = Process::Unknown("no /proc".into()), "no /proc"),
        (
            "the new place runs",
            |f| f.process_there = Process::Orphans(vec![6]),
            "@postgres-n1/data has",
        ),
        ("Pacemaker", |f| f.may_start = Some("Pacemaker may start db".into()), "Pacemaker may"),
        ("a crash", |f| f.data = cluster(ClusterState::InProduction), "not shut down in order"),
        ("nothing there", |f| f.data = DataDir::Absent, "there is no database in /old/data"),
        ("no database", |f| f.data = DataDir::Empty, "there is no database in /old/data"),
        ("odd data", |f| f.data = DataDir::Unusable("a file".into()), "a file"),
        ("unseen data", |f| f.data = DataDir::Unknown("EIO".into()), "EIO"),
        (
            "data there",
            |f| f.data_there = cluster(ClusterState::ShutDown),
            "has a database already",
        ),
        ("odd data there", |f| f.data_there = DataDir::Unusable("a file".into()), "a file"),
        ("unseen there", |f| f.data_there = DataDir::Unknown("EIO".into()), "EIO"),
        ("no room", |f| f.free = Known::Known(1 << 30), "make room"),
        ("perhaps no room", |f| f.free = Known::unknown("EIO"), "how much is free is not known"),
        ("an unknown file system", |f| f.same_filesystem = Known::unknown("EIO"), "EIO"),
        ("an unknown directory", |f| f.form = Known::unknown("EIO"), "EIO"),
        (
            "what is not kept",
            |f| f.not_kept = vec!["x is a socket".into()],
            "/old/data/x is a socket",
        ),
        ("inside", |f| f.to = "/old/data/@postgres-n1/data".into(), "lie in one another"),
        ("an odd record", |f| f.record = Known::unknown("it is no record"), "it is no record"),
        (
            "another move",
            |f| {
                let other = Record { from: "/other".into(), ..record(Stage::Making) };
                f.record = Known::Known(Some(other));
            },
            "a move from /other was begun",
        ),
        (
            "another database than was begun with",
            |f| {
                f.record = Known::Known(Some(Record { system_id: 8, ..record(Stage::Making) }));
            },
            "another database",
        ),
        (
            "out of use without a reason",
            |f| {
                f.record = Known::Known(Some(record(Stage::Making)));
                f.data = DataDir::Unusable("pg_control.old".into());
            },
            "pg_control.old",
        ),
        (
            "begun, and a database is there",
            |f| {
                f.record = Known::Known(Some(record(Stage::Making)));
                f.data_there = cluster(ClusterState::ShutDown);
            },
            "has a database already",
        ),
    ];
    for (name, change, words) in rows {
        let mut facts = facts();
        change(&mut facts);
        match judge(&facts) {
            Ruling::Refused(why) => {
                assert!(why.len() == 1 && why[0].contains(words), "{name}: {why:?}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    for stage in [Stage::Moved, Stage::Removing] {
        let facts = Facts { record: Known::Known(Some(record(stage))), ..facts() };
        assert_eq!(judge(&facts), Ruling::Done(record(stage)));
    }
    let many = (0..20).map(|n| format!("{n} is a socket")).collect();
    let Ruling::Refused(why) = judge(&Facts { not_kept: many, ..facts() }) else { panic!() };
    assert!(why.len() == 9 && why[8].contains("12 more"), "{why:?}");
}

#[test]
fn what_a_copy_would_not_keep_is_named() {
    use What::{Apart, Link, Plain, Special};
    let rows = [
        ("base/1", Plain, 9, None),
        ("base/1", Plain, 0, Some("belongs to uid 0")),
        ("base", Apart, 9, Some("file system or a subvolume of its own")),
        (".s.PGSQL.5432", Special, 9, Some("socket")),
        ("pg_wal", Link("/wal"), 9, None),
        // Whose a link is, means nothing.
        ("pg_tblspc/16384", Link("/ts"), 0, None),
        ("server.key", Link("../keys/server.key"), 9, Some("make it an absolute one")),
        ("conf.d/a", Link("../b"), 9, None),
        ("conf.d/a", Link("../../b"), 9, Some("make it an absolute one")),
        ("a", Link("x/../../old/data/b"), 9, Some("make it an absolute one")),
        ("a", Link("/old/data/b"), 9, Some("which is in the data directory")),
        ("a", Link("/old/data"), 9, Some("which is in the data directory")),
        ("a", Link("/old/database/b"), 9, None),
        ("a", Link("/b\nc"), 9, Some("odd symbolic link")),
    ];
    for (path, what, uid, expected) in rows {
        let found = not_kept(&Entry { path, what, uid }, "/old/data", 9);
        match (found, expected) {
            (None, None) => {}
            (Some(found), Some(words)) => assert!(found.contains(words), "{path}: {found}"),
            (found, _) => panic!("{path} {what:?}: {found:?}"),
        }
    }
}

#[test]
fn the_old_data_is_removed_only_where_the_new_is_used_and_the_old_is_what_was_moved() {
    let after = || After {
        record: Known::Known(Some(record(Stage::Moved))),
        to: "/new".into(),
        in_use: "/new".into(),
        data: cluster(ClusterState::InProduction),
        process: Process::None,
        inode: Known::Known(Some(5)),
        old_system: Known::Known(Some(7)),
        old_is_in_use: Known::Known(false),
    };
    let moved = record(Stage::Moved);
    assert_eq!(may_remove(&after()), Ok(moved.clone()));
    // Gone, but for the record.
    assert_eq!(may_remove(&After { inode: Known::Known(None), ..after() }), Ok(moved));
    let half = Known::Known(Some(record(Stage::Removing)));
    let half = After { record: half, old_system: Known::Known(None), ..after() };
    assert_eq!(may_remove(&half), Ok(record(Stage::Removing)));
    let rows: &[Row] = &[
        ("no move", |a| a.record = Known::Known(None), "no data was moved"),
        ("an odd record", |a| a.record = Known::unknown("odd"), "odd"),
        ("half way", |a| a.record = Known::Known(Some(record(Stage::Making))), "not finished"),
        ("nearly", |a| a.record = Known::Known(Some(record(Stage::Switching))), "not finished"),
        ("not used yet", |a| a.in_use = "/old/data".into(), "remove pgdata"),
        ("the new is gone", |a| a.data = DataDir::Absent, "there is no database in /new"),
        ("the new is unseen", |a| a.data = DataDir::Unknown("EIO".into()), "EIO"),
        (
            "the new is another",
            |a| {
                let mut other = control(ClusterState::ShutDown);
                other.system_id = 8;
                a.data = DataDir::Cluster(Box::new(other));
            },
            "another database",
        ),
        ("the old runs", |a| a.process = Process::Running { pid: 5, stopped: false }, "it runs"),
        ("the old is unseen", |a| a.inode = Known::unknown("EIO"), "EIO"),
        ("another directory", |a| a.inode = Known::Known(Some(6)), "another directory"),
        ("the old is used", |a| a.old_is_in_use = Known::Known(true), "put to use again"),
        ("perhaps used", |a| a.old_is_in_use = Known::unknown("EIO"), "EIO"),
        ("the old is another", |a| a.old_system = Known::Known(Some(8)), "of another database"),
        ("the old is unknown", |a| a.old_system = Known::Known(None), "pg_control.old"),
        ("the old is unreadable", |a| a.old_system = Known::unknown("EIO"), "EIO"),
    ];
    for (name, change, words) in rows {
        let mut seen = after();
        change(&mut seen);
        let why = may_remove(&seen).expect_err(name).to_string();
        assert!(why.contains(words), "{name}: {why}");
    }
}

#[test]
fn data_is_not_moved_from_under_pacemaker() {
    use crate::cluster::cib::Setting;
    use crate::decide::report::tests::healthy;
    use crate::decide::support::node;

    type Change = fn(&mut View);
    fn meta(view: &mut View, of_clone: bool, name: &str, setting: Setting) {
        let primitive = view.cib.primitives.iter_mut().find(|one| one.id == "db").unwrap();
        let meta = if of_clone {
            &mut primitive.clone.as_mut().unwrap().meta
        } else {
            &mut primitive.meta
        };
        meta.insert(name.into(), setting);
    }
    fn set(view: &mut View, of_clone: bool, name: &str, value: &str) {
        meta(view, of_clone, name, Setting::Set(value.into()));
    }
    fn here(view: &mut View) -> &mut crate::cluster::topology::NodeStatus {
        view.status.nodes.iter_mut().find(|one| one.name == node("n1")).unwrap()
    }
    let rows: &[(&str, bool, Change)] = &[
        ("it is managed and this node is online", true, |_| ()),
        ("the clone is to be stopped", false, |v| set(v, true, "target-role", "Stopped")),
        ("in any case of letters", false, |v| set(v, true, "target-role", "stopped")),
        ("the resource itself is to be stopped", false, |v| {
            set(v, false, "target-role", "Stopped");
        }),
        ("it is to be started", true, |v| set(v, true, "target-role", "Started")),
        ("a rule decides what it is to be", true, |v| {
            meta(v, true, "target-role", Setting::Conditional);
        }),
        ("it is not managed", false, |v| set(v, true, "is-managed", "false")),
        ("it is managed, in a word", true, |v| set(v, true, "is-managed", "true")),
        ("nobody can tell whether it is managed", true, |v| set(v, true, "is-managed", "perhaps")),
        ("maintenance mode", false, |v| v.status.options.maintenance_mode = true),
        ("this node is in maintenance", false, |v| here(v).maintenance = true),
        ("this node is in standby", false, |v| here(v).standby = true),
        ("another one is in standby", true, |v| {
            v.status.nodes.iter_mut().find(|one| one.name == node("n2")).unwrap().standby = true;
        }),
        ("Pacemaker does not run here", false, |v| here(v).online = false),
    ];
    for (name, may, change) in rows {
        let mut view = healthy().view();
        change(&mut view);
        let why = super::may_start(&view, &node("n1"));
        assert_eq!(why.is_some(), *may, "{name}: {why:?}");
        if let Some(why) = why {
            for words in ["db on n1", "pcs resource disable db-clone", "crm resource stop db-clone"]
            {
                assert!(why.contains(words), "{name}: {why}");
            }
        }
    }
}
