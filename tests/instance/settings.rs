//! What is set in an instance, and what is read of its settings.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use pgtwin::decide::facts::StandbyFacts;
use pgtwin::postgres::lsn::Lsn;
use pgtwin::sys::deadline::{Deadline, poll_until};

use crate::place::{
    await_primary, await_standby, on_every_version, soon, sql, started_primary, value,
};

#[test]
fn settings_are_written_line_by_line_and_take_effect() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        sql(&pg, "ALTER SYSTEM SET work_mem = '7MB'");
        let names = r#"ANY 1 ("n-2", "n.3")"#;
        pg.set_and_reload(&[("synchronous_standby_names", Some(names)), ("port", None)]).unwrap();
        pg.await_setting("synchronous_standby_names", names, &soon()).unwrap();
        assert_eq!(await_primary(&pg).names, names);
        assert_eq!(pg.auto_conf_value("synchronous_standby_names").as_deref(), Some(names));
        assert_eq!(pg.auto_conf_value("work_mem").as_deref(), Some("7MB"));
        let file = place.path("n1").join("postgresql.auto.conf");
        let meta = fs::metadata(&file).unwrap();
        let owner = std::os::unix::fs::MetadataExt::uid(&meta);
        assert_eq!((meta.permissions().mode() & 0o777, owner), (0o600, place.user.uid));
        let before = std::os::unix::fs::MetadataExt::ino(&meta);
        pg.set_and_reload(&[("synchronous_standby_names", Some(names))]).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::ino(&fs::metadata(&file).unwrap()), before);

        // Regression: who wrote it was killed before the server read it, and nobody had it read any more.
        let work_mem = [("work_mem", Some("9MB"))];
        pg.set_auto_conf(&work_mem).unwrap();
        pg.set_and_reload(&work_mem).unwrap();
        pg.await_setting("work_mem", "9MB", &soon()).unwrap();

        // Its own SQL never waits for a standby that is not there.
        pg.ensure_slots(&["a".into()]).unwrap();
        assert_eq!(await_primary(&pg).slots, ["a"]);
        pg.drop_slot("a").unwrap();
        pg.drop_slot("a").unwrap();
        assert_eq!(await_primary(&pg).slots, Vec::<String>::new());

        let facts = await_primary(&pg);
        pg.request_checkpoint().unwrap();
        poll_until(&soon(), Duration::from_millis(20), || {
            (await_primary(&pg).redo > facts.insert).then_some(())
        })
        .expect("the checkpoint began after it was asked for, and after a record");
        let short = Deadline::after(Duration::from_millis(200));
        let why = pg.await_setting("work_mem", "1GB", &short).unwrap_err();
        assert!(why.contains("work_mem") && why.contains("9MB"), "{why}");

        place.append(&file, "this is = = broken\n");
        let why = pg.set_auto_conf(&[("work_mem", Some("8MB"))]).unwrap_err();
        assert!(why.contains("postgresql.auto.conf"), "{why}");
    });
}

#[test]
fn roles_and_databases_that_do_not_wait_are_named() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        sql(&pg, "CREATE ROLE bulk; ALTER ROLE bulk SET synchronous_commit = local");
        sql(&pg, "ALTER DATABASE template1 SET synchronous_commit TO off");
        sql(&pg, "ALTER SYSTEM SET synchronous_commit = remote_write");
        pg.reload().unwrap();
        pg.await_setting("synchronous_commit", "remote_write", &soon()).unwrap();
        let mut words = await_primary(&pg).weaknesses;
        words.extend(pg.overrides().unwrap());
        let words = words.join("\n");
        for expected in [
            "synchronous_commit is remote_write",
            "local for role bulk",
            "off for database template1",
        ] {
            assert!(words.contains(expected), "{expected}: {words}");
        }
    });
}

#[test]
fn slots_of_a_standby_are_made_and_moved_forward() {
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        let (n2, _) = place.basebackup(port, "n2");
        n2.start(&soon()).unwrap();
        await_standby(&n2, StandbyFacts::streams);
        let names = ["slot_n3".to_owned()];
        n2.ensure_slots(&names).unwrap();
        assert_eq!(await_standby(&n2, |_| true).slots, names);
        sql(&n1, "CREATE TABLE public.t AS SELECT generate_series(1, 1000)");
        let target = await_primary(&n1).insert;
        await_standby(&n2, |facts| facts.replay >= Some(target));
        n2.advance_slots(&names, target).unwrap();
        let at = |pg| value(pg, "SELECT restart_lsn FROM pg_replication_slots").parse::<Lsn>();
        assert_eq!(at(&n2).unwrap(), target);
        // Never backwards, and not beyond what is replayed.
        n2.advance_slots(&names, Lsn(1)).unwrap();
        assert_eq!(at(&n2).unwrap(), target);
        n2.advance_slots(&names, Lsn(u64::MAX / 2)).unwrap();
        assert!(at(&n2).unwrap() <= await_standby(&n2, |_| true).replay.unwrap());
        n2.advance_slots(&[], target).unwrap();
    });
}
