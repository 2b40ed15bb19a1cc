//! How late standbys are, and checkpoints that are waited for: on oneself and on others.

use std::time::Duration;

use pgtwin::client::peer::{self, Peer};
use pgtwin::decide::facts::StandbyFacts;
use pgtwin::postgres::conninfo::Conninfo;
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::deadline::poll_until;
use pgtwin::sys::exec::System;

use crate::place::{
    await_primary, await_standby, on_every_version, soon, sql, started_primary, value,
};

const LIMIT: Duration = Duration::from_secs(20);

fn peer(port: u16, passfile: &str) -> Peer {
    Peer {
        host: "127.0.0.1".into(),
        port,
        user: "replicator".into(),
        passfile: Some(passfile.into()),
        like: Conninfo::new(),
    }
}

/// Until both have said that the standby has everything, or that it has not.
fn await_delay(what: &str, delay: impl Fn() -> Option<u64>, good: impl Fn(u64) -> bool) {
    let found = poll_until(&soon(), Duration::from_millis(50), || delay().filter(|now| good(*now)));
    assert!(found.is_some(), "{what}: {:?}", delay());
}

#[test]
fn a_standby_that_replays_nothing_gets_later_and_one_that_has_everything_is_not_late() {
    on_every_version(|place| {
        let (n1, n1_port) = started_primary(place, "n1");
        sql(&n1, "CREATE ROLE replicator REPLICATION LOGIN PASSWORD 'p'");
        let passfile = place.path("passfile");
        place.write(&passfile, "*:*:*:*:p\n", 0o600);
        let passfile = passfile.display().to_string();
        let (n2, n2_port) = place.basebackup(n1_port, "n2");
        n2.start(&soon()).unwrap();
        await_standby(&n2, StandbyFacts::streams);
        sql(&n1, "CREATE TABLE public.t (i int)");
        // Before it has replayed a transaction a standby does not know how late it is.
        let there = "SELECT pg_catalog.to_regclass('public.t') IS NOT NULL";
        let replayed = poll_until(&soon(), Duration::from_millis(20), || {
            (value(&n2, there) == "t").then_some(())
        });
        assert!(replayed.is_some(), "the standby replays nothing");

        let of_primary = || n1.delays().unwrap().get("n2").copied().flatten();
        let of_itself = || n2.delay().unwrap();
        let of_peer = |pg: &Postgres<'_>, port| {
            let psql = pg.runtime().command("psql").unwrap();
            peer::delay(&System, psql, &peer(port, &passfile), LIMIT)
        };
        await_delay("the standby", of_itself, |delay| delay == 0);
        await_delay("the peer", || of_peer(&n1, n2_port).unwrap(), |delay| delay == 0);
        // What it has measured last, until there has been nothing for a while.
        await_delay("the primary", of_primary, |_| true);

        sql(&n2, "SELECT pg_wal_replay_pause()");
        sql(&n1, "INSERT INTO public.t SELECT generate_series(1, 1000)");
        await_delay("the standby", of_itself, |delay| delay > 0);
        await_delay("the peer", || of_peer(&n1, n2_port).unwrap(), |delay| delay > 0);
        sql(&n2, "SELECT pg_wal_replay_resume()");
        await_delay("the standby", of_itself, |delay| delay == 0);

        // A primary is not late, and does not say so.
        assert!(n1.delay().unwrap_err().contains("no standby"));
        assert!(of_peer(&n2, n1_port).unwrap_err().to_string().contains("no standby"));
        let refused = peer::delay(
            &System,
            n1.runtime().command("psql").unwrap(),
            &Peer { passfile: Some("/dev/null".into()), ..peer(n2_port, "") },
            LIMIT,
        );
        assert!(refused.unwrap_err().to_string().contains("passfile"));
        assert!(n2.delays().unwrap().is_empty(), "nobody streams from it");
    });
}

#[test]
fn a_checkpoint_is_waited_for_and_a_role_that_may_not_ask_for_one_is_told_so() {
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        sql(&n1, "CREATE ROLE replicator REPLICATION LOGIN PASSWORD 'p'");
        let passfile = place.path("passfile");
        place.write(&passfile, "*:*:*:*:p\n", 0o600);
        let before = await_primary(&n1);
        assert!(before.redo < before.insert, "{before:?}");
        n1.checkpoint(&soon()).unwrap();
        assert!(await_primary(&n1).redo >= before.insert);

        let peer = peer(port, &passfile.display().to_string());
        let why = n1.checkpoint_peer(&peer, LIMIT).unwrap_err();
        assert!(why.contains("must be superuser"), "{why}");
        let grant = if place.major >= 15 {
            "GRANT pg_checkpoint TO replicator"
        } else {
            "ALTER ROLE replicator SUPERUSER"
        };
        sql(&n1, grant);
        let before = await_primary(&n1);
        n1.checkpoint_peer(&peer, LIMIT).unwrap();
        assert!(await_primary(&n1).redo >= before.insert);
    });
}
