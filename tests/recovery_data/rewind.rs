//! A former primary that went its own way, and pg_rewind.

use std::fs;
use std::os::unix::fs::MetadataExt;

use pgtwin::client::peer::Peer;
use pgtwin::postgres::control_data::ClusterState;
use pgtwin::postgres::copy_tools::{REWIND_GRANTS, WhyNot};
use pgtwin::postgres::lsn::Timeline;
use pgtwin::runtime::data_dir::SignalFile;
use pgtwin::runtime::instance::Postgres;
use pgtwin::runtime::rewind::{Rewind, rewind};
use pgtwin::sys::exec::System;

use crate::place::{
    Place, await_primary, await_standby, control, crash, free_port, on_every_version, soon, sql,
    value,
};
use crate::world::{make_dir, make_link, primary, source, state, streams_from};
use pgtwin::decide::facts::StandbyFacts;

/// n1 and n2 on two lines of history: n2 was promoted and goes on, n1 did too and is stopped.
pub struct Fork {
    pub n1: Postgres<'static>,
    pub n2: Postgres<'static>,
    pub source: Peer,
}

/// What n1 does after the fork.
#[derive(Clone, Copy, PartialEq)]
pub enum Own {
    Writes,
    Nothing,
    Crashes,
}

pub fn fork(place: &Place, own: Own) -> Fork {
    let (n1, port, _) = primary(place, "n1");
    part(place, own, n1, |name| place.basebackup(port, name))
}

/// The same, where n2 is made of n1 in another way.
fn part(
    place: &Place,
    own: Own,
    n1: Postgres<'static>,
    copy: impl Fn(&str) -> (Postgres<'static>, u16),
) -> Fork {
    sql(
        &n1,
        "CREATE TABLE public.t AS SELECT g AS i, repeat('x', 100) AS w FROM generate_series(1, 5000) g",
    );
    let (n2, n2_port) = copy("n2");
    n2.start(&soon()).unwrap();
    let at = value(&n1, "SELECT pg_current_wal_flush_lsn()").parse().unwrap();
    await_standby(&n2, |facts: &StandbyFacts| {
        facts.streams() && facts.replay.is_some_and(|r| r >= at)
    });
    if own == Own::Nothing {
        n1.stop(&soon()).unwrap();
    }
    n2.promote().unwrap();
    await_primary(&n2);
    sql(&n2, "INSERT INTO public.t VALUES (-2, 'of n2')");
    sql(&n2, "CHECKPOINT");
    if own != Own::Nothing {
        sql(&n1, "INSERT INTO public.t VALUES (-1, 'of n1')");
        sql(&n1, "CREATE TABLE public.only_here AS SELECT 1");
        sql(&n1, "UPDATE public.t SET w = 'of n1 too' WHERE i BETWEEN 1 AND 100");
        if own == Own::Crashes { crash(&n1) } else { n1.stop(&soon()).unwrap() }
    }
    Fork { n1, n2, source: source(place, n2_port) }
}

/// pg_rewind of n1; where its own files are kept, and whether they still are.
fn run(fork: &Fork, source: &Peer) -> (Rewind, bool) {
    let state = state();
    let kept = state.path().join("own");
    let mut last = None;
    let outcome = rewind(fork.n1.runtime(), &System, source, &kept, &soon(), &mut |copied| {
        last = Some(copied);
    });
    let outcome = outcome.unwrap();
    if matches!(outcome, Rewind::Rewound { .. }) {
        assert!(last.is_some_and(|copied| copied.done > 0 && copied.percent() == 100), "{last:?}");
    }
    (outcome, kept.exists())
}

pub fn grant_all(pg: &Postgres<'_>) {
    for grant in REWIND_GRANTS {
        sql(pg, &format!("GRANT {grant} TO replicator"));
    }
}

/// That nothing of n1 was changed: its control file, its row, its being able to start.
pub fn still_whole(n1: &Postgres<'_>) {
    assert_eq!(control(n1).state, ClusterState::ShutDown);
    assert!(!SignalFile::Standby.is_there(n1.place()).unwrap());
    n1.start(&soon()).unwrap();
    await_primary(n1);
    assert_eq!(value(n1, "SELECT w FROM public.t WHERE i = -1"), "of n1");
    n1.stop(&soon()).unwrap();
}

#[test]
fn a_former_primary_is_rewound_with_the_least_privileges_and_keeps_its_own_configuration() {
    on_every_version(|place| {
        let fork = fork(place, Own::Writes);
        let (n1, n2) = (&fork.n1, &fork.n2);
        let (d1, d2) = (place.path("n1"), place.path("n2"));
        for (data, who) in [(&d1, "n1"), (&d2, "n2")] {
            make_dir(place, &data.join("conf.d"));
            place.append(
                &data.join("postgresql.conf"),
                &format!(
                    "include_dir 'conf.d'\ncluster_name = '{who}'\nident_file = 'ident-{who}'\n"
                ),
            );
            place.write(&data.join(format!("conf.d/{who}.conf")), "work_mem = '7MB'\n", 0o640);
            place.append(&data.join("pg_hba.conf"), &format!("# of {who}\n"));
            place.write(&data.join(format!("ident-{who}")), "", 0o600);
            place.write(&data.join("server.key"), who, 0o600);
            place.write(&data.join("table_or_so"), who, 0o600);
        }
        place.write(&d1.join("promote"), "", 0o600);
        place.write(&d1.join("backup_label.old"), "stale", 0o600);

        // Each grant that is missing is named before anything is changed.
        let mut granted = Vec::new();
        let outcome = loop {
            let (outcome, kept) = run(&fork, &fork.source);
            let Rewind::Failed { why: WhyNot::Grant(what), touched: false, .. } = &outcome else {
                break outcome;
            };
            assert!(!kept && !granted.contains(what), "{outcome:?} after {granted:?}");
            assert_eq!(control(n1).state, ClusterState::ShutDown);
            sql(n2, &format!("GRANT {what} TO replicator"));
            granted.push(what.clone());
        };
        granted.sort();
        let mut all = REWIND_GRANTS.map(str::to_owned).to_vec();
        all.sort();
        assert_eq!(granted, all);
        let Rewind::Rewound { timeline, fork: at, replay_to } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(timeline, Timeline(1));
        assert!(at.is_valid() && replay_to > at, "{at} {replay_to}");

        let read = |name: &str| fs::read_to_string(d1.join(name)).unwrap_or_default();
        assert!(read("postgresql.conf").contains("cluster_name = 'n1'"));
        assert!(read("pg_hba.conf").ends_with("# of n1\n"));
        assert_eq!((read("server.key"), read("table_or_so")), ("n1".into(), "n2".into()));
        assert!(d1.join("ident-n1").exists());
        assert!(!d1.join("conf.d/n2.conf").exists(), "it would count here");
        let own = fs::metadata(d1.join("conf.d/n1.conf")).unwrap();
        assert_eq!(own.mode() & 0o777, 0o640);
        assert_eq!(own.uid(), place.user.uid);
        assert!(SignalFile::Standby.is_there(n1.place()).unwrap());
        assert!(!SignalFile::Promote.is_there(n1.place()).unwrap());
        assert!(read("backup_label").contains("pg_rewind"));

        streams_from(n1, &fork.source);
        await_standby(n1, |facts| facts.replay.is_some_and(|replay| replay >= replay_to));
        let rows = sql(n1, "SELECT i::text, w FROM public.t WHERE i < 1 OR w LIKE 'of n1%'");
        assert_eq!(rows, [[Some("-2".to_owned()), Some("of n2".to_owned())]]);
        assert_eq!(value(n1, "SHOW cluster_name"), "n1");
        assert_eq!(value(n1, "SHOW work_mem"), "7MB");
    });
}

#[test]
fn a_former_primary_that_wrote_nothing_more_needs_no_rewind() {
    on_every_version(|place| {
        let fork = fork(place, Own::Nothing);
        grant_all(&fork.n2);
        let (outcome, kept) = run(&fork, &fork.source);
        assert_eq!((outcome, kept), (Rewind::NotNeeded, false));
        streams_from(&fork.n1, &fork.source);
        await_standby(&fork.n1, |facts| facts.replay.is_some());
        assert_eq!(value(&fork.n1, "SHOW transaction_read_only"), "on");
    });
}

#[test]
fn whatever_keeps_a_rewind_from_beginning_is_named_and_leaves_the_data_as_it_was() {
    on_every_version(|place| {
        let fork = fork(place, Own::Writes);
        grant_all(&fork.n2);
        let failed = |source: &Peer| match run(&fork, source) {
            (Rewind::Failed { why, touched: false, words }, false) => {
                assert!(!words.is_empty());
                assert!(!words.contains("secret"), "{words}");
                why
            }
            other => panic!("{other:?}"),
        };
        let mut nobody = fork.source.clone();
        nobody.port = free_port();
        assert_eq!(failed(&nobody), WhyNot::Unreachable);

        place.write(&place.path("wrong"), "*:*:*:*:wrong\n", 0o600);
        let mut wrong = fork.source.clone();
        wrong.passfile = Some(place.path("wrong").display().to_string());
        assert_eq!(failed(&wrong), WhyNot::Login);
        wrong.passfile = Some("/dev/null".into());
        assert_eq!(failed(&wrong), WhyNot::Login);

        let (_, other_port, _) = primary(place, "other");
        let mut other = fork.source.clone();
        other.port = other_port;
        assert!(matches!(failed(&other), WhyNot::Grant(_)));

        sql(&fork.n2, "ALTER SYSTEM SET full_page_writes = off");
        fork.n2.reload().unwrap();
        fork.n2.await_setting("full_page_writes", "off", &soon()).unwrap();
        assert_eq!(failed(&fork.source), WhyNot::NoFullPageWrites);
        sql(&fork.n2, "ALTER SYSTEM RESET full_page_writes");
        fork.n2.reload().unwrap();
        fork.n2.await_setting("full_page_writes", "on", &soon()).unwrap();

        let data = place.path("n1").display().to_string();
        place.run("pg_checksums", &["--disable", "-D", &data]);
        assert_eq!(failed(&fork.source), WhyNot::NoHints);
        place.run("pg_checksums", &["--enable", "-D", &data]);
        still_whole(&fork.n1);

        // The WAL of the fork: all segments before that of the last checkpoint.
        fork.n1.start(&soon()).unwrap();
        await_primary(&fork.n1);
        for _ in 0..3 {
            sql(&fork.n1, "SELECT pg_switch_wal()");
            sql(&fork.n1, "CHECKPOINT");
        }
        fork.n1.stop(&soon()).unwrap();
        let last = control(&fork.n1);
        let segment = last.checkpoint.0 / u64::from(last.wal_segment_size);
        let wal = place.path("n1").join("pg_wal");
        let name = format!("{:08X}{:08X}{:08X}", last.timeline.0, segment >> 8, segment & 0xff);
        let aside = place.path("aside");
        fs::create_dir(&aside).unwrap();
        let mut moved = Vec::new();
        for entry in fs::read_dir(&wal).unwrap() {
            let found = entry.unwrap().file_name().into_string().unwrap();
            if found.len() == 24 && found < name {
                fs::rename(wal.join(&found), aside.join(&found)).unwrap();
                moved.push(found);
            }
        }
        assert!(!moved.is_empty(), "{name}");
        assert_eq!(failed(&fork.source), WhyNot::WalRemoved);
        for found in moved {
            fs::rename(aside.join(&found), wal.join(&found)).unwrap();
        }
        still_whole(&fork.n1);
        let (outcome, _) = run(&fork, &fork.source);
        assert!(matches!(outcome, Rewind::Rewound { .. }), "{outcome:?}");
    });
}

#[test]
fn a_crashed_or_running_target_is_not_rewound() {
    on_every_version(|place| {
        let fork = fork(place, Own::Crashes);
        grant_all(&fork.n2);
        let (outcome, kept) = run(&fork, &fork.source);
        assert!(
            matches!(outcome, Rewind::Failed { why: WhyNot::NotClean, touched: false, .. })
                && !kept,
            "{outcome:?}"
        );
        fork.n1.recover_single_user(&soon()).unwrap();
        SignalFile::Standby.remove(fork.n1.place()).unwrap();
        fork.n1.start(&soon()).unwrap();
        await_primary(&fork.n1);
        let state = state();
        let kept = state.path().join("own");
        let refused = rewind(fork.n1.runtime(), &System, &fork.source, &kept, &soon(), &mut |_| {});
        assert!(refused.is_err_and(|error| error.to_string().contains("cannot rewind the data")));
        fork.n1.stop(&soon()).unwrap();
        let (outcome, _) = run(&fork, &fork.source);
        assert!(matches!(outcome, Rewind::Rewound { .. }), "{outcome:?}");
    });
}

#[test]
fn links_stay_what_they_are_through_a_rewind() {
    on_every_version(|place| {
        let (n1, port, _) = primary(place, "n1");
        let (space1, space2) = (make_dir(place, &place.path("space1")), place.path("space2"));
        sql(&n1, &format!("CREATE TABLESPACE s LOCATION '{}'", space1.display()));
        sql(&n1, "CREATE TABLE public.in_s TABLESPACE s AS SELECT 7 AS i");
        let fork = part(place, Own::Writes, n1, |name| {
            let port2 = free_port();
            let (dir, data) = (place.dir.path().display(), place.path(name).display().to_string());
            let from = format!("host={dir} port={port} user={}", place.user.name);
            let mapping = format!("{}={}", space1.display(), space2.display());
            place.run(
                "pg_basebackup",
                &["-d", &from, "-D", &data, "-R", "-c", "fast", "-N", "-T", &mapping],
            );
            (place.instance(name, port2), port2)
        });
        grant_all(&fork.n2);
        sql(&fork.n2, "UPDATE public.in_s SET i = 8");
        let (data, real, wal) = (place.path("n1"), place.path("real"), place.path("wal"));
        fs::rename(&data, &real).unwrap();
        make_link(place, &data, &real);
        fs::rename(real.join("pg_wal"), &wal).unwrap();
        make_link(place, &real.join("pg_wal"), &wal);
        let (outcome, _) = run(&fork, &fork.source);
        assert!(matches!(outcome, Rewind::Rewound { .. }), "{outcome:?}");
        assert_eq!(fs::read_link(&data).unwrap(), real);
        assert_eq!(fs::read_link(real.join("pg_wal")).unwrap(), wal);
        let spaces = fs::read_dir(real.join("pg_tblspc")).unwrap();
        let links: Vec<_> = spaces.map(|e| fs::read_link(e.unwrap().path()).unwrap()).collect();
        assert_eq!(links, [space1]);
        streams_from(&fork.n1, &fork.source);
        let now = await_primary(&fork.n2).insert;
        await_standby(&fork.n1, |facts| facts.replay.is_some_and(|replay| replay >= now));
        assert_eq!(value(&fork.n1, "SELECT i FROM public.in_s"), "8");
    });
}
