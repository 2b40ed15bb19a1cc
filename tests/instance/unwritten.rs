//! What a promotion leaves that is cut off before it lets writes in, and what one leaves that is cut off after that.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use pgtwin::cluster::known::Known;
use pgtwin::cluster::ledger::Beyond;
use pgtwin::decide::facts::{Process, StandbyFacts};
use pgtwin::postgres::control_data::{ClusterState, WasWritable};
use pgtwin::postgres::lsn::{Lsn, Timeline};
use pgtwin::runtime::instance::Postgres;

use crate::place::{
    Place, await_primary, await_process, await_standby, control, identify, on_every_version,
    on_host, pid, signal, soon, sql, started_primary, value,
};

/// A standby that was promoted and killed before it let anybody write. Its control file and the first timeline's end.
fn cut_off(place: &Place) -> (Postgres<'static>, Lsn) {
    let (n1, port) = started_primary(place, "n1");
    sql(&n1, "CREATE TABLE public.t AS SELECT generate_series(1, 1000) AS n");
    let (n2, _) = place.basebackup(port, "n2");
    let reached = place.path("n2.reached");
    // PostgreSQL runs it when the new timeline has begun.
    let command = format!("touch {} && sleep 60", reached.display());
    n2.set_auto_conf(&[("recovery_end_command", Some(&command))]).unwrap();
    n2.start(&soon()).unwrap();
    await_standby(&n2, StandbyFacts::streams);
    n1.shut_down_in_order(&soon()).unwrap();
    let end = identify(&n2).lsn;
    let of_startup = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'";
    let startup = on_host(&n2, value(&n2, of_startup).parse().unwrap());
    assert_eq!(n2.beyond(Timeline(1), &soon()), Known::Known(Beyond::Nothing));
    n2.promote().unwrap();
    let until = soon();
    while !fs::exists(&reached).unwrap() {
        assert!(!until.expired(), "the promotion does not come to the end of recovery");
        until.sleep(std::time::Duration::from_millis(20));
    }
    signal(pid(&n2), Signal::SIGKILL);
    // It would go on when its command ends.
    signal(startup, Signal::SIGKILL);
    await_process(&n2, |process| *process == Process::None);
    (n2, end)
}

/// The one WAL segment of the second timeline.
fn only_segment(place: &Place) -> PathBuf {
    let all = fs::read_dir(place.path("n2").join("pg_wal")).unwrap();
    let mut paths = all.map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("00000002") && name.len() == 24
    };
    paths.find(is_it).unwrap()
}

#[test]
fn a_timeline_that_has_begun_and_was_never_written_to_is_known_by_its_wal() {
    on_every_version(|place| {
        let (n2, fork) = cut_off(place);
        assert_eq!(control(&n2).state, ClusterState::InArchiveRecovery);
        assert_eq!(control(&n2).state.was_writable(), WasWritable::No);
        let Known::Known(Beyond::NeverWritten(found)) = n2.beyond(Timeline(1), &soon()) else {
            panic!("{:?}", n2.beyond(Timeline(1), &soon()));
        };
        assert_eq!((found.after, found.last), (Timeline(1), Timeline(2)));
        assert!(found.end > fork, "{found:?} {fork}");
        assert_eq!(n2.beyond(Timeline(2), &soon()), Known::Known(Beyond::Nothing));
        assert_eq!(n2.beyond(Timeline(9), &soon()), Known::Known(Beyond::Nothing));

        // What cannot be read may hold anything.
        let segment = only_segment(place);
        let aside = place.path("aside");
        fs::rename(&segment, &aside).unwrap();
        assert!(!n2.beyond(Timeline(1), &soon()).is_known());
        fs::rename(&aside, &segment).unwrap();

        // It follows that timeline when it is started again, to where its WAL was looked at.
        n2.set_auto_conf(&[("recovery_end_command", None)]).unwrap();
        n2.ensure_standby_signal().unwrap();
        n2.start(&soon()).unwrap();
        await_standby(&n2, StandbyFacts::at_end_of_wal);
        let position = identify(&n2);
        assert_eq!((position.timeline, position.lsn), (Timeline(2), found.end));
        let line = n2.history_of(Timeline(2)).into_result().unwrap();
        assert_eq!(line.ancestor(Timeline(1)).unwrap().1, fork);
        let again = n2.beyond(Timeline(1), &soon());
        assert_eq!(again, Known::Known(Beyond::NeverWritten(found)));

        // One write more, and it is none of those any more.
        n2.promote().unwrap();
        await_primary(&n2);
        assert_eq!(n2.beyond(Timeline(3), &soon()), Known::Known(Beyond::Nothing));
        sql(&n2, "INSERT INTO public.t VALUES (0)");
        assert_eq!(n2.beyond(Timeline(2), &soon()), Known::Known(Beyond::Written(Timeline(3))));
    });
}
