//! Replication connections: to oneself and to others.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use pgtwin::client::peer::{Peer, PeerAnswer};
use pgtwin::client::sql::Wire;
use pgtwin::decide::facts::StandbyFacts;
use pgtwin::postgres::lsn::Timeline;
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::deadline::poll_until;

use crate::place::{
    await_primary, await_standby, free_port, on_every_version, session, soon, sql, started_primary,
};

#[test]
fn the_position_of_ones_own_needs_a_line_in_pg_hba() {
    on_every_version(|place| {
        let (pg, _) = place.initdb("n1");
        let hba = place.path("n1").join("pg_hba.conf");
        place.write(&hba, "local all all peer\n", 0o600);
        pg.start(&soon()).unwrap();
        let primary = await_primary(&pg);
        let why = pg.identify(&soon());
        let expected = format!("local replication {} peer", place.user.name);
        assert!(why.why_unknown().is_some_and(|why| why.contains(&expected)), "{why:?}");
        place.write(&hba, "local all,replication all peer\nhost x y nonsense\n", 0o600);
        let facts = pg.hba_facts("x", &BTreeSet::new(), &soon());
        let rules = facts.into_result().unwrap().rules;
        assert_eq!(rules[0].databases, ["all", "replication"]);
        assert!(rules[1].error.is_some());
        place.write(&hba, "local all,replication all peer\n", 0o600);
        pg.reload().unwrap();
        let identity =
            poll_until(&soon(), Duration::from_millis(50), || pg.identify(&soon()).known())
                .unwrap();
        assert_eq!((identity.system_id, identity.timeline), (primary.system_id, primary.timeline));
        assert_eq!(identity.version.major, place.major);
        assert!(identity.lsn.is_valid());
    });
}

#[test]
fn peers_are_asked_with_the_password_of_the_passfile() {
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        let password = r"a:b\c'd";
        sql(
            &n1,
            &format!(
                "CREATE ROLE replicator REPLICATION LOGIN PASSWORD '{}'",
                password.replace('\'', "''")
            ),
        );
        let passfile = place.path("my passfile's");
        let line = format!("127.0.0.1:{port}:replication:replicator:a\\:b\\\\c'd\n");
        place.write(&passfile, &line, 0o600);
        let peer = |port| Peer {
            host: "127.0.0.1".into(),
            port,
            user: "replicator".into(),
            passfile: Some(passfile.display().to_string()),
            like: pgtwin::postgres::conninfo::Conninfo::new(),
        };
        let ask = |pg: &Postgres<'_>, peer: &Peer| pg.identify_peer(peer, Duration::from_secs(20));
        let PeerAnswer::Primary(identity) = ask(&n1, &peer(port)) else {
            panic!("{:?}", ask(&n1, &peer(port)))
        };
        assert_eq!(identity.system_id, await_primary(&n1).system_id);
        // A primary whose sessions are read-only by default is a primary all the same.
        sql(&n1, "ALTER SYSTEM SET default_transaction_read_only = on");
        n1.reload().unwrap();
        n1.await_setting("default_transaction_read_only", "on", &soon()).unwrap();
        let answer = ask(&n1, &peer(port));
        assert!(
            matches!(answer, PeerAnswer::Primary(_))
                || place.major == 13 && matches!(answer, PeerAnswer::Unknown(_)),
            "{answer:?}"
        );
        let mut writer = session(&n1);
        writer.ask("SET default_transaction_read_only = off", &soon()).unwrap();
        writer.ask("ALTER SYSTEM RESET default_transaction_read_only", &soon()).unwrap();
        drop(writer);
        n1.reload().unwrap();

        let (n2, n2_port) = place.basebackup(port, "n2");
        n2.start(&soon()).unwrap();
        await_standby(&n2, StandbyFacts::streams);
        place.write(&passfile, &line.replace(&format!(":{port}:"), ":*:"), 0o600);
        let answer = ask(&n1, &peer(n2_port));
        assert!(matches!(answer, PeerAnswer::Standby(_)), "{answer:?}");
        n2.promote().unwrap();
        await_primary(&n2);
        let PeerAnswer::Primary(identity) = ask(&n1, &peer(n2_port)) else { panic!() };
        assert_eq!(identity.timeline, Timeline(2));
        let limit = Duration::from_secs(20);
        let theirs = n1.peer_history(&peer(n2_port), Timeline(2), limit).into_result().unwrap();
        assert_eq!(theirs, n2.history_of(Timeline(2)).into_result().unwrap());
        assert!(n1.peer_history(&peer(n2_port), Timeline(9), limit).why_unknown().is_some());

        let mut none = peer(port);
        none.passfile = Some("/dev/null".into());
        let mut nobody = peer(port);
        nobody.user = "nobody_of_this_name".into();
        place.write(&place.path("wrong"), "*:*:*:*:wrong\n", 0o600);
        let mut wrong = peer(port);
        wrong.passfile = Some(place.path("wrong").display().to_string());
        for refused in [&none, &nobody, &wrong] {
            let answer = ask(&n1, refused);
            assert!(matches!(&answer, PeerAnswer::AuthFailed(_)), "{answer:?}");
        }
        sql(&n1, "ALTER ROLE replicator NOREPLICATION");
        let answer = ask(&n1, &peer(port));
        assert!(matches!(&answer, PeerAnswer::AuthFailed(_)), "{answer:?}");
        n1.stop(&soon()).unwrap();
        assert_eq!(ask(&n2, &peer(port)), PeerAnswer::Refused);
    });
}

/// A listener on which no connection comes about any more, and those that fill it.
fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // listen(2) again: only the length of the queue changes.
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let bound = Duration::from_millis(200);
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, bound) {
        held.push(stream);
    }
    (listener, held)
}

#[test]
fn a_peer_that_accepts_and_says_nothing_gives_no_answer() {
    on_every_version(|place| {
        let pg = place.instance("nothing", free_port());
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = Peer {
            host: "localhost".into(),
            port: silent.local_addr().unwrap().port(),
            user: "replicator".into(),
            passfile: None,
            like: pgtwin::postgres::conninfo::Conninfo::new(),
        };
        let answer = pg.identify_peer(&peer, Duration::from_secs(3));
        assert_eq!(answer, PeerAnswer::NoAnswer);
        // A machine that swallows what is sent to it: its queue is full.
        let full = full_listener();
        let port = full.0.local_addr().unwrap().port();
        let answer = pg.identify_peer(&Peer { port, ..peer }, Duration::from_secs(3));
        assert!(matches!(answer, PeerAnswer::Unreachable(_)), "{answer:?}");
    });
}
