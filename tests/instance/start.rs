//! Starts, as a primary and as a standby, and promotions.

use std::fs;
use std::os::unix::fs::chown;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use pgtwin::client::sql::Wire;
use pgtwin::cluster::known::Known;
use pgtwin::decide::facts::{Process, Sql, StandbyFacts};
use pgtwin::ocf::params::Params;
use pgtwin::postgres::control_data::ClusterState;
use pgtwin::postgres::lsn::Timeline;
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::deadline::poll_until;
use pgtwin::sys::exec::System;

use crate::place::{
    await_primary, await_standby, control, crash, free_port, now, on_every_version, pid, session,
    signal, soon, sql, started_primary, value,
};

#[test]
fn a_primary_starts_answers_and_stops_cleanly() {
    on_every_version(|place| {
        let (pg, port) = place.initdb("n1");
        assert_eq!(now(&pg).process, Process::None);
        pg.start(&soon()).unwrap();
        let facts = await_primary(&pg);
        assert_eq!(facts.version / 10_000, place.major);
        assert_eq!(facts.timeline, Timeline(1));
        assert_eq!((facts.names.as_str(), facts.walsenders.len()), ("", 0));
        assert!(facts.redo <= facts.insert && facts.redo.is_valid());
        let words: Vec<&String> =
            facts.weaknesses.iter().filter(|words| !words.contains("skips the wait")).collect();
        assert_eq!(words.len(), 2, "{words:?}");
        assert!(words[0].contains("fsync") && words[1].contains("max_slot_wal_keep_size"));
        let started = value(&pg, "SELECT floor(extract(epoch FROM pg_postmaster_start_time()))");
        assert_eq!(facts.started / 1_000_000, started.parse::<i64>().unwrap());
        assert!(matches!(now(&pg).process, Process::Running { stopped: false, .. }));

        let session = session(&pg);
        assert_eq!(session.postmaster_pid(), pid(&pg));
        drop(session);
        for (setting, expected) in [
            ("application_name", "pgtwin_agent"),
            ("search_path", "pg_catalog,pg_temp"),
            ("session_user", &place.user.name),
            ("port", &port.to_string()),
        ] {
            let found = if setting == "session_user" {
                value(&pg, "SELECT session_user")
            } else {
                value(&pg, &format!("SELECT current_setting('{setting}')"))
            };
            assert_eq!(found, expected, "{setting}");
        }
        pg.stop(&soon()).unwrap();
        let instance = now(&pg);
        assert_eq!((&instance.process, &instance.sql), (&Process::None, &Sql::NotAsked));
        let control = control(&pg);
        assert_eq!(control.state, ClusterState::ShutDown);
        assert_eq!(control.system_id, facts.system_id);
        pg.stop(&soon()).unwrap();
    });
}

#[test]
fn the_parameters_win_over_a_configuration_that_lies_elsewhere() {
    on_every_version(|place| {
        let (first, _) = place.initdb("n1");
        drop(first);
        let sockets = place.path("my sockets");
        fs::create_dir(&sockets).unwrap();
        if geteuid().is_root() {
            chown(&sockets, Some(place.user.uid), None).unwrap();
        }
        // Debian's layout; the data_directory in it is of another instance.
        let conf = place.path("elsewhere.conf");
        fs::rename(place.path("n1").join("postgresql.conf"), &conf).unwrap();
        place.append(&conf, &format!("data_directory = '{}'\n", place.path("n2").display()));
        place.append(
            &conf,
            &format!(
                "hba_file = '{0}/pg_hba.conf'\nident_file = '{0}/pg_ident.conf'\n",
                place.path("n1").display()
            ),
        );
        let port = free_port();
        let params = Params {
            config_file: Some(conf.display().to_string()),
            socket_dir: Some(sockets.display().to_string()),
            start_opts: vec!["-c".into(), "work_mem=5MB".into()],
            ..place.params("n1", port)
        };
        let pg = Postgres::new(&System, &params, place.path("x.log")).unwrap();
        place.instances.borrow_mut().push(("n1".into(), port));
        pg.start(&soon()).unwrap();
        await_primary(&pg);
        for (setting, expected) in [
            ("data_directory", place.path("n1").display().to_string()),
            ("config_file", conf.display().to_string()),
            ("unix_socket_directories", sockets.display().to_string()),
            ("work_mem", "5MB".into()),
            ("port", port.to_string()),
        ] {
            assert_eq!(value(&pg, &format!("SELECT current_setting('{setting}')")), expected);
        }
        pg.stop(&soon()).unwrap();
    });
}

#[test]
fn a_start_that_fails_says_why() {
    on_every_version(|place| {
        let (pg, _) = place.initdb("n1");
        place.append(&place.path("n1").join("postgresql.conf"), "no_such_setting = 1\n");
        let why = pg.start(&soon()).unwrap_err();
        assert!(why.contains("FATAL") && why.contains("exit 1"), "{why}");
        assert!(!why.contains('\n'), "{why}");
        assert_eq!(pg.runtime().process(), Process::None);

        let (good, port) = started_primary(place, "n2");
        let (other, _) = place.initdb("n3");
        drop(other);
        let same_port = place.instance("n3", port);
        let why = same_port.start(&soon()).unwrap_err();
        assert!(why.contains("already in use"), "{why}");
        assert_eq!(same_port.runtime().process(), Process::None);
        await_primary(&good);
    });
}

#[test]
fn a_postmaster_is_found_from_its_first_moment() {
    if crate::engine::not_in_a_container("it has a process only when the engine has made one") {
        return;
    }
    on_every_version(|place| {
        let (pg, port) = place.initdb("n1");
        for _ in 0..5 {
            pg.runtime().launch().unwrap();
            // The agent was killed here, and a stop comes at once.
            let later = place.instance("n1", port);
            assert_ne!(later.runtime().process(), Process::None);
            later.stop(&soon()).unwrap();
            assert_eq!(pg.runtime().process(), Process::None);
        }
    });
}

#[test]
fn a_standby_whose_snapshot_is_not_known_starts_and_waits_for_wal() {
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        // More than 64 open subtransactions overflow the snapshot.
        let mut open = session(&n1);
        open.ask("CREATE TABLE public.t (n int)", &soon()).unwrap();
        open.ask("BEGIN", &soon()).unwrap();
        for n in 0..80 {
            open.ask(&format!("SAVEPOINT s{n}; INSERT INTO public.t VALUES ({n})"), &soon())
                .unwrap();
        }
        n1.request_checkpoint().unwrap();
        sql(&n1, "CHECKPOINT");
        sql(&n1, "INSERT INTO public.t VALUES (1000)");
        crash(&n1);
        drop(open);
        n1.ensure_standby_signal().unwrap();
        n1.start(&soon()).unwrap();
        let waits = poll_until(&soon(), Duration::from_millis(50), || {
            n1.waits_for_upstream(&now(&n1)).then_some(())
        });
        assert!(waits.is_some(), "{:?}", now(&n1));
        let instance = now(&n1);
        assert!(matches!(instance.sql, Sql::Starting(_)), "{instance:?}");
        assert!(matches!(instance.process, Process::Running { stopped: false, .. }));
        // Reading its configuration again needs no session.
        n1.set_and_reload(&[("primary_conninfo", Some(&format!("host=127.0.0.1 port={port}")))])
            .unwrap();
        n1.stop(&soon()).unwrap();
    });
}

/// The number of the process that replays.
fn startup_of(pg: &Postgres<'_>) -> i32 {
    let of_startup = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'";
    value(pg, of_startup).parse().unwrap()
}

#[test]
fn a_promotion_request_is_pending_until_it_is_done() {
    if crate::engine::not_in_a_container("the number of the startup process is not of this host") {
        return;
    }
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        let (n2, _) = place.basebackup(port, "n2");
        // The end of recovery takes as long as this file is there.
        let gate = place.path("gate");
        place.write(&gate, "", 0o666);
        n2.set_auto_conf(&[(
            "recovery_end_command",
            Some(&format!("while test -e {}; do sleep 0.1; done", gate.display())),
        )])
        .unwrap();
        n2.start(&soon()).unwrap();
        await_standby(&n2, StandbyFacts::streams);
        assert_eq!(n2.promotion_pending(), Known::Known(false));

        sql(&n2, "SELECT pg_wal_replay_pause()");
        await_standby(&n2, |facts| facts.paused);
        assert_eq!(n2.promotion_pending(), Known::Known(false));
        assert!(await_standby(&n2, |_| true).paused, "asking has resumed a paused replay");
        sql(&n2, "SELECT pg_wal_replay_resume()");

        // Before the startup process has seen it.
        let startup = startup_of(&n2);
        signal(startup, Signal::SIGSTOP);
        n2.promote().unwrap();
        assert_eq!(n2.promotion_pending(), Known::Known(true));
        signal(startup, Signal::SIGCONT);
        // After it has taken the file away.
        poll_until(&soon(), Duration::from_millis(20), || {
            (!place.path("n2").join("promote").exists()).then_some(())
        })
        .unwrap();
        let pending = poll_until(&soon(), Duration::from_millis(20), || {
            (n2.promotion_pending() == Known::Known(true)).then_some(())
        });
        assert!(pending.is_some());
        fs::remove_file(&gate).unwrap();
        await_primary(&n2);
        assert_eq!(n2.promotion_pending(), Known::Known(false));
        assert_eq!(n1.promotion_pending(), Known::Known(false));
    });
}

#[test]
fn a_standby_that_was_told_to_promote_has_forgotten_it_after_an_orderly_end() {
    if crate::engine::not_in_a_container("the number of the startup process is not of this host") {
        return;
    }
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        let (n2, _) = place.basebackup(port, "n2");
        n2.start(&soon()).unwrap();
        await_standby(&n2, StandbyFacts::streams);
        let startup = startup_of(&n2);
        signal(startup, Signal::SIGSTOP);
        n2.promote().unwrap();
        assert_eq!(n2.promotion_pending(), Known::Known(true));
        // An orderly end lets what stands still go on: it finds both, that it shall promote, and that it shall end.
        n2.shut_down_in_order(&soon()).unwrap();
        assert_eq!(now(&n2).process, Process::None);
        let state = control(&n2).state;
        assert!(state.is_clean(), "{state:?}");

        n2.ensure_standby_signal().unwrap();
        n2.start(&soon()).unwrap();
        await_standby(&n2, |_| true);
        assert_eq!(n2.promotion_pending(), Known::Known(false));
        assert!(!place.path("n2").join("promote").exists());
        n1.stop(&soon()).unwrap();
        n2.stop(&soon()).unwrap();
    });
}
