//! What a running instance answers, or why it does not.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use pgtwin::client::sql::Wire;
use pgtwin::decide::facts::{Process, Sql};
use pgtwin::decide::monitor::{Expected, judge};
use pgtwin::ocf::exit_code::ExitCode;
use pgtwin::ocf::params::Params;
use pgtwin::runtime::instance::Postgres;
use pgtwin::runtime::look;
use pgtwin::sys::deadline::{Deadline, poll_until};
use pgtwin::sys::exec::System;

use crate::place::{
    await_primary, crash, now, on_every_version, on_host, pid, signal, soon, sql, started_primary,
    value,
};

#[test]
fn nothing_is_believed_that_only_the_pid_file_says() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        let file = place.path("n1").join("postmaster.pid");
        let text = fs::read_to_string(&file).unwrap();
        let postmaster = pid(&pg);
        // The file names us, or nobody, or holds rubbish: the postmaster is found by itself.
        let others = [std::process::id().to_string(), "999999999".into(), "rubbish".into()];
        for first in others {
            let (_, rest) = text.split_once('\n').unwrap();
            place.write(&file, &format!("{first}\n{rest}"), 0o600);
            assert_eq!(pid(&pg), postmaster, "{first}");
        }
        // A clock that was set since the start does not hide it either.
        let mut lines: Vec<&str> = text.lines().collect();
        lines[2] = "1000000000";
        place.write(&file, &(lines.join("\n") + "\n"), 0o600);
        assert_eq!(pid(&pg), postmaster);
        place.write(&file, &text, 0o600);
        crash(&pg);
        // A stale file with the pid of a living process that is not PostgreSQL.
        let (_, rest) = text.split_once('\n').unwrap();
        place.write(&file, &format!("{}\n{rest}", std::process::id()), 0o600);
        assert_eq!(pg.runtime().process(), Process::None);
        pg.stop(&soon()).unwrap();
    });
}

#[test]
fn a_server_without_a_free_connection_is_busy_and_alive() {
    on_every_version(|place| {
        let (pg, _) = place.initdb("n1");
        place.append(
            &place.path("n1").join("postgresql.conf"),
            "max_connections = 4\nsuperuser_reserved_connections = 0\nmax_wal_senders = 0\n\
             wal_level = minimal\n",
        );
        pg.start(&soon()).unwrap();
        let bound = || Deadline::after(Duration::from_secs(10));
        poll_until(&soon(), Duration::from_millis(20), || {
            look::open(pg.place(), pid(&pg), &bound()).ok()
        })
        .unwrap();
        let mut sessions = Vec::new();
        for _ in 0..20 {
            match look::open(pg.place(), pid(&pg), &bound()) {
                Ok(session) => sessions.push(session),
                Err(_) => break,
            }
        }
        let instance = now(&pg);
        assert!(
            matches!(&instance.sql, Sql::Busy(why) if why.contains("too many clients")),
            "{instance:?}"
        );
        drop(sessions);
        await_primary(&pg);
    });
}

#[test]
fn a_primary_that_does_not_let_the_agent_in_is_alive_and_its_monitor_says_why() {
    if crate::engine::not_in_a_container("it always has a socket") {
        return;
    }
    on_every_version(|place| {
        let (pg, port) = started_primary(place, "n1");
        let hba = place.path("n1").join("pg_hba.conf");
        let old = fs::read_to_string(&hba).unwrap();
        let says = |code: &str| {
            // Another process of the agent each time, without a session from before.
            let instance = poll_until(&soon(), Duration::from_millis(20), || {
                let instance = now(&place.instance("n1", port));
                matches!(&instance.sql, Sql::Alive(why) if why.starts_with(code))
                    .then_some(instance)
            })
            .unwrap_or_else(|| panic!("{code}: {:?}", now(&place.instance("n1", port))));
            let promoted = judge(Expected::Promoted, &instance);
            assert_eq!(promoted.code, ExitCode::DegradedPromoted);
            assert!(promoted.reason.unwrap().contains(code));
            assert_eq!(judge(Expected::Anything, &instance).code, ExitCode::RunningPromoted);
        };
        // Its author forgot the local lines, or rejects them.
        place.write(&hba, "host all all 127.0.0.1/32 scram-sha-256\n", 0o600);
        pg.reload().unwrap();
        says("28000: ");
        place.write(&hba, "local all all reject\n", 0o600);
        pg.reload().unwrap();
        says("28000: ");
        place.write(&hba, &old, 0o600);
        pg.reload().unwrap();
        await_primary(&place.instance("n1", port));
        sql(&pg, "CREATE DATABASE other");
        place.run(
            "psql",
            &[
                "-X",
                "-d",
                &format!("host={} port={port} dbname=other", place.dir.path().display()),
                "-c",
                "ALTER DATABASE postgres ALLOW_CONNECTIONS false",
            ],
        );
        says("55000: ");
        // A job that cleans up has removed the socket.
        fs::remove_file(place.path(&format!(".s.PGSQL.{port}"))).unwrap();
        says("there is no socket");
        place.instance("n1", port).stop(&soon()).unwrap();
    });
}

#[test]
fn the_crash_of_another_backend_is_a_restart_and_no_mystery() {
    on_every_version(|place| {
        let (pg, port) = place.initdb("n1");
        place.append(&place.path("n1").join("postgresql.conf"), "restart_after_crash = on\n");
        pg.start(&soon()).unwrap();
        await_primary(&pg);
        for _ in 0..5 {
            let victim = value(
                &pg,
                "SELECT pid::text FROM pg_stat_activity WHERE backend_type = 'checkpointer'",
            );
            signal(on_host(&pg, victim.parse().unwrap()), Signal::SIGKILL);
            poll_until(&soon(), Duration::from_millis(1), || {
                match now(&place.instance("n1", port)).sql {
                    Sql::Primary(facts) => {
                        let started = facts.started;
                        Some(started)
                    }
                    Sql::Starting(_) | Sql::Busy(_) => None,
                    other => panic!("{other:?}"),
                }
            })
            .unwrap();
        }
    });
}

#[test]
fn a_statement_that_is_cut_short_is_busy_and_the_session_goes_on() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        let mut session =
            look::open(pg.place(), pid(&pg), &Deadline::after(Duration::from_secs(1))).unwrap();
        let error = session.ask("SELECT pg_sleep(600)", &soon()).unwrap_err();
        assert!(matches!(Sql::from(error), Sql::Busy(_)));
        session.ask("SELECT 1", &soon()).unwrap();
        let error =
            session.ask("SELECT pg_sleep(600)", &Deadline::after(Duration::from_millis(100)));
        assert_eq!(Sql::from(error.unwrap_err()), Sql::Hung);
    });
}

#[test]
fn no_question_goes_beyond_the_end_of_the_action() {
    on_every_version(|place| {
        let (pg, port) = started_primary(place, "n1");
        signal(pid(&pg), Signal::SIGSTOP);
        let late = place.instance("n1", port).until(Deadline::after(Duration::ZERO));
        // Each would have had five seconds of its own.
        assert!(late.request_checkpoint().is_err());
        assert!(!late.hba_facts("x", &BTreeSet::new(), &soon()).is_known());
        signal(pid(&pg), Signal::SIGCONT);
        await_primary(&pg);
    });
}

#[test]
fn a_look_without_the_user_or_on_a_foreign_socket_believes_nothing() {
    on_every_version(|place| {
        let params = Params { pguser: "no-such-user-here".into(), ..place.params("n1", 1) };
        assert!(Postgres::new(&System, &params, place.path("log")).is_err());

        let (n1, _) = started_primary(place, "n1");
        let (n2, _) = started_primary(place, "n2");
        // n2's pid file claims the port of n1.
        let file = place.path("n2").join("postmaster.pid");
        let text = fs::read_to_string(&file).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[3] = n1.place().port.to_string();
        place.write(&file, &(lines.join("\n") + "\n"), 0o600);
        let fresh = place.instance("n2", n2.place().port);
        match now(&fresh).sql {
            Sql::Unknown(why) => assert!(why.contains("not the postmaster"), "{why}"),
            other => panic!("{other:?}"),
        }
        place.write(&file, &text, 0o600);
        await_primary(&fresh);
    });
}
