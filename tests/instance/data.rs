//! What stands at PGDATA, and its recovery after a crash.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use nix::unistd::geteuid;

use pgtwin::client::sql::Wire;
use pgtwin::decide::facts::{DataDir, Instance, Process, Sql, StandbyFacts};
use pgtwin::postgres::control_data::ClusterState;

use crate::place::{
    await_primary, await_standby, control, crash, free_port, identify, now, on_every_version,
    session, soon, sql, started_primary, value,
};

#[test]
fn a_data_directory_is_absent_empty_unusable_or_a_cluster() {
    if crate::engine::not_in_a_container("programs are in the image") {
        return;
    }
    on_every_version(|place| {
        let pg = place.instance("data", free_port());
        let data = place.path("data");
        let make = |path: &Path| {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
            if geteuid().is_root() {
                chown(path, Some(place.user.uid), Some(place.user.gid)).unwrap();
            }
        };
        assert_eq!(
            now(&pg),
            Instance { data: DataDir::Absent, process: Process::None, sql: Sql::NotAsked }
        );
        make(&data);
        assert_eq!(pg.data_dir(), DataDir::Empty);
        make(&data.join("lost+found"));
        assert_eq!(pg.data_dir(), DataDir::Empty);
        let unusable = |expected: &str| match pg.data_dir() {
            DataDir::Unusable(why) => assert!(why.contains(expected), "{why}"),
            other => panic!("{expected}: {other:?}"),
        };
        place.write(&data.join("photo.jpg"), "x", 0o600);
        unusable("photo.jpg");
        place.write(&data.join("PG_VERSION"), "eleven\n", 0o600);
        unusable("PG_VERSION");
        place.write(&data.join("PG_VERSION"), &format!("{}\n", place.major), 0o600);
        unusable("No such file or directory");
        fs::remove_dir_all(&data).unwrap();
        place.write(&data, "", 0o600);
        unusable("not a directory");
        fs::remove_file(&data).unwrap();

        let (elsewhere, _) = place.initdb("elsewhere");
        assert_eq!(control(&elsewhere).state, ClusterState::ShutDown);
        symlink(place.path("elsewhere"), &data).unwrap();
        assert_eq!(control(&pg).system_id, control(&elsewhere).system_id);
        for (mode, refused) in [(0o750, false), (0o755, true), (0o770, true), (0o700, false)] {
            let path = place.path("elsewhere");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match pg.data_dir() {
                DataDir::Unusable(why) if refused => assert!(why.contains("chmod 0700"), "{why}"),
                DataDir::Cluster(_) if !refused => {}
                other => panic!("{mode:o}: {other:?}"),
            }
        }
        if geteuid().is_root() {
            chown(place.path("elsewhere"), Some(0), Some(0)).unwrap();
            unusable("chown -R");
            chown(place.path("elsewhere"), Some(place.user.uid), None).unwrap();
        }
        place.write(&place.path("elsewhere").join("PG_VERSION"), "12\n", 0o600);
        let fresh = place.instance("elsewhere", free_port());
        match fresh.check_programs() {
            Err(error) => {
                assert!(error.to_string().contains("the data directory is of 12"), "{error}");
            }
            Ok(()) => panic!("programs of {} for data of 12", place.major),
        }
    });
}

#[test]
fn a_control_file_that_is_damaged_is_not_believed() {
    on_every_version(|place| {
        let (pg, _) = place.initdb("n1");
        let file = place.path("n1").join("global/pg_control");
        let mut bytes = fs::read(&file).unwrap();
        bytes[40] ^= 0xff;
        fs::write(&file, bytes).unwrap();
        match pg.data_dir() {
            DataDir::Unusable(why) => assert!(why.contains("damaged"), "{why}"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_crash_is_seen_and_recovered_in_single_user_mode() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        sql(&pg, "CREATE TABLE public.t AS SELECT generate_series(1, 1000) AS n");
        let mut open = session(&pg);
        open.ask("BEGIN; INSERT INTO public.t SELECT generate_series(1, 500)", &soon()).unwrap();
        sql(&pg, "INSERT INTO public.t VALUES (0)");
        crash(&pg);
        drop(open);
        let instance = now(&pg);
        assert_eq!((&instance.process, &instance.sql), (&Process::None, &Sql::NotAsked));
        assert_eq!(control(&pg).state, ClusterState::InProduction);

        // As a start does it: standby.signal may be there already.
        pg.ensure_standby_signal().unwrap();
        pg.recover_single_user(&soon()).unwrap();
        assert_eq!(control(&pg).state, ClusterState::ShutDown);
        let signal_file = place.path("n1").join("standby.signal");
        assert!(signal_file.exists());
        let end = pg.end_of_checkpoint(&control(&pg), &soon()).into_result().unwrap();

        pg.start(&soon()).unwrap();
        let facts = await_standby(&pg, StandbyFacts::at_end_of_wal);
        assert_eq!(facts.receive, None);
        assert_eq!(facts.replay, Some(end));
        assert_eq!(identify(&pg).lsn, end);
        pg.promote().unwrap();
        await_primary(&pg);
        assert_eq!(value(&pg, "SELECT count(*) FROM public.t"), "1001");
    });
}

#[test]
fn single_user_recovery_refuses_what_it_could_spoil() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        let why = pg.recover_single_user(&soon()).unwrap_err();
        assert!(why.contains("it runs, pid"), "{why}");
        crash(&pg);
        let recovery = place.path("n1").join("recovery.signal");
        place.write(&recovery, "", 0o600);
        let why = pg.recover_single_user(&soon()).unwrap_err();
        assert!(why.contains("recovery.signal"), "{why}");
        assert_eq!(control(&pg).state, ClusterState::InProduction);
        fs::remove_file(&recovery).unwrap();
        place.append(&place.path("n1").join("postgresql.conf"), "no_such_setting = 1\n");
        let why = pg.recover_single_user(&soon()).unwrap_err();
        assert!(why.contains("no_such_setting") || why.contains("FATAL"), "{why}");
        assert!(place.path("n1").join("standby.signal").exists());
    });
}
