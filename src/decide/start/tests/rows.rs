//! One row for each answer, and the traps.

use super::super::{Facts, Live, Next, Recovered, Step, Upstream, next, written_apart};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Own, Past, PromotionId};
use crate::cluster::position::Position;
use crate::decide::facts::{DataDir, Instance, Process, Sql};
use crate::decide::recovery::{Cause, Marked, Mount};
use crate::decide::support::{
    SYSTEM, at, at_rest, control, data, entry, in_recovery, node, running, writable,
};
use crate::postgres::control_data::{ClusterState, ControlData};
use crate::postgres::lsn::{Lsn, Timeline};

/// The primary n1 on this line, at 0/500.
pub fn live(line: &str) -> Live {
    Live {
        node: node("n1"),
        system_id: SYSTEM,
        line: line.parse().unwrap(),
        lsn: Lsn(0x500),
        promotion: Known::Known(PromotionId(1)),
        knows_our_promotion: None,
        feeds_us: true,
        adopted: None,
    }
}

pub fn primary(line: &str) -> Upstream {
    Upstream::Live(Box::new(live(line)))
}

/// Nothing was done yet.
pub fn begin(instance: Instance) -> Facts {
    Facts {
        pgdata: "/srv/pg".into(),
        instance,
        upstream: None,
        alone: false,
        recovered: None,
        prepared: false,
        started: None,
        attached: false,
        position: None,
        out_of_time: false,
        marked: Marked::Nothing,
        mount: Mount::InPlace,
        parted: None,
        left_off: None,
        written_apart: None,
        wal_gone: None,
    }
}

fn ended(state: ClusterState) -> Facts {
    begin(at_rest(data(state)))
}

fn up(sql: Sql) -> Facts {
    Facts {
        started: Some(Ok(())),
        prepared: true,
        upstream: Some(primary("1")),
        ..begin(running(ClusterState::InArchiveRecovery, sql))
    }
}

fn measured(line: &str, position: Position) -> Facts {
    Facts { upstream: Some(primary(line)), position: Some(position), ..up(in_recovery()) }
}

/// It was measured, and has what no promotion that is known explains.
fn of_nobody(facts: Facts) -> Facts {
    Facts { written_apart: Some("of nobody".into()), ..facts }
}

/// The primary is there, and another node has fed this one last.
fn fed_by_another() -> Upstream {
    Upstream::Live(Box::new(Live { feeds_us: false, ..live("1") }))
}

fn diverged(facts: &Facts) -> String {
    match next(facts) {
        Next::Recover(Some(Cause::Diverged(why))) | Next::Do(Step::StopAgain(why)) => why,
        other => panic!("not seen to have diverged: {other:?}"),
    }
}

fn refused(facts: &Facts) -> String {
    match next(facts) {
        Next::Refuse(why) => why,
        other => panic!("not refused: {other:?}"),
    }
}

fn prepare(attach: bool) -> Next {
    Next::Do(Step::Prepare { attach })
}

#[test]
fn nothing_is_started_or_recovered_below_a_mount_that_is_not_there() {
    let clean = ended(ClusterState::ShutDown);
    let crashed = Facts { alone: true, ..ended(ClusterState::InProduction) };
    let empty = Facts {
        instance: Instance { data: DataDir::Empty, ..clean.instance.clone() },
        ..clean.clone()
    };
    let half = Facts { marked: Marked::HalfDone { system_id: SYSTEM }, ..clean.clone() };
    let parted = Facts { parted: Some("x".into()), ..clean.clone() };
    for facts in [clean, crashed, empty, half, parted] {
        for upstream in [None, Some(Upstream::Nobody), Some(primary("1"))] {
            for mount in [Mount::Missing("fstab".into()), Mount::Unknown("no /proc".into())] {
                let facts = Facts { upstream: upstream.clone(), mount, ..facts.clone() };
                let said = next(&facts);
                assert!(matches!(&said, Next::Refuse(why) if why.contains("mounted")), "{said:?}");
            }
        }
    }
}

#[test]
fn every_row_of_a_start() {
    let nobody = |facts: Facts| Facts { upstream: Some(Upstream::Nobody), ..facts };
    let alone = |facts: Facts| Facts { alone: true, ..nobody(facts) };
    let recovered = |facts: Facts| Facts { recovered: Some(Recovered::Done), ..facts };
    let late = |facts: Facts| Facts { out_of_time: true, ..facts };
    let standby = || ended(ClusterState::InArchiveRecovery);
    let was_primary = || ended(ClusterState::InProduction);
    let follows = || Some(primary("1"));
    let with = |upstream, facts: Facts| Facts { upstream, ..facts };
    let silent = || Some(Upstream::Silent(node("n1"), "timeout".into()));
    let unknown = || Some(Upstream::Unknown("hung".into()));
    let disowned = || Some(Upstream::Disowned(node("n1"), "not the ledger's".into()));
    let attached = |facts: Facts| Facts { attached: true, ..facts };
    let no_data = || Next::Recover(Some(Cause::NoData));
    let half_done =
        |facts: Facts| Facts { marked: Marked::HalfDone { system_id: SYSTEM }, ..facts };
    let unreadable = |facts: Facts| Facts { marked: Marked::Unreadable("x".into()), ..facts };
    let rows = vec![
        ("first the primary is looked for", standby(), Next::Do(Step::AskUpstream)),
        ("a standby follows at once", with(follows(), standby()), prepare(true)),
        ("a standby waits for a primary", nobody(standby()), prepare(false)),
        ("a standby of a silent primary starts", with(silent(), standby()), prepare(false)),
        ("without Pacemaker it starts as well", with(unknown(), standby()), prepare(false)),
        (
            "one whose ledger names another starts by itself",
            with(disowned(), standby()),
            prepare(false),
        ),
        (
            "regression: so does one that may only be the primary itself, whatever writes elsewhere",
            Facts { alone: true, ..with(disowned(), was_primary()) },
            Next::Do(Step::RecoverSingleUser),
        ),
        (
            "one that was writable is measured before it follows",
            with(follows(), was_primary()),
            prepare(false),
        ),
        (
            "one that may have WAL of another node's promotion as well",
            with(Some(fed_by_another()), standby()),
            prepare(false),
        ),
        ("cleanly stopped as well", with(follows(), ended(ClusterState::ShutDown)), prepare(false)),
        (
            "one that may have been as well",
            with(follows(), ended(ClusterState::StartingUp)),
            prepare(false),
        ),
        (
            "a crashed primary that is alone is recovered first",
            alone(was_primary()),
            Next::Do(Step::RecoverSingleUser),
        ),
        (
            "one that crashed in its shutdown, too",
            alone(ended(ClusterState::ShuttingDown)),
            Next::Do(Step::RecoverSingleUser),
        ),
        (
            "and in its recovery",
            alone(ended(ClusterState::InCrashRecovery)),
            Next::Do(Step::RecoverSingleUser),
        ),
        ("once", recovered(alone(was_primary())), prepare(false)),
        (
            "regression: where that outlasts the action, the server itself recovers, and is not cut off",
            Facts {
                recovered: Some(Recovered::OutOfTime),
                ..alone(ended(ClusterState::InCrashRecovery))
            },
            prepare(false),
        ),
        ("one that may still follow is not", nobody(was_primary()), prepare(false)),
        (
            "nor one whose primary is silent",
            Facts { alone: true, ..with(silent(), was_primary()) },
            prepare(false),
        ),
        (
            "nor without Pacemaker",
            Facts { alone: true, ..with(unknown(), was_primary()) },
            prepare(false),
        ),
        ("nor one that was stopped cleanly", alone(ended(ClusterState::ShutDown)), prepare(false)),
        ("nor a standby", alone(standby()), prepare(false)),
        (
            "then it is started",
            Facts { prepared: true, ..nobody(standby()) },
            Next::Do(Step::StartPostmaster),
        ),
        ("without a primary it runs", nobody(up(in_recovery())), Next::Running(None)),
        ("with a silent one, too", with(silent(), up(in_recovery())), Next::Running(None)),
        ("attached it runs", attached(up(in_recovery())), Next::Running(None)),
        ("its position is measured", up(in_recovery()), Next::Do(Step::Measure)),
        (
            "within the action's time",
            late(up(in_recovery())),
            Next::Running(Some("still replaying; the monitor attaches it later".into())),
        ),
        ("behind the primary it follows", measured("1", at("1", "0/400")), Next::Do(Step::Attach)),
        ("equal to it as well", measured("1", at("1", "0/500")), Next::Do(Step::Attach)),
        (
            "and ahead of what the primary said a moment ago",
            measured("1", at("1", "0/600")),
            Next::Do(Step::Attach),
        ),
        (
            "on the line before the primary's promotion",
            measured("1@0/480,2", at("1", "0/480")),
            Next::Do(Step::Attach),
        ),
        (
            "WAL that nobody explains is no place to follow from",
            of_nobody(measured("1", at("1", "0/400"))),
            Next::Do(Step::StopAgain("of nobody".into())),
        ),
        (
            "and is replaced",
            Facts { upstream: Some(primary("1")), ..of_nobody(standby()) },
            Next::Recover(Some(Cause::OtherBranch("of nobody".into()))),
        ),
        ("no data is copied", with(follows(), begin(at_rest(DataDir::Empty))), no_data()),
        ("also where there is no primary yet", nobody(begin(at_rest(DataDir::Absent))), no_data()),
        ("which is asked for first", begin(at_rest(DataDir::Absent)), Next::Do(Step::AskUpstream)),
        (
            "what is half done is recovered",
            half_done(with(follows(), standby())),
            Next::Recover(None),
        ),
        (
            "also where nothing can be seen of it",
            half_done(with(follows(), begin(at_rest(DataDir::Unknown("EIO".into()))))),
            Next::Recover(None),
        ),
        ("and an unreadable marker is as bad", unreadable(nobody(standby())), Next::Recover(None)),
        (
            "what is half done does not run",
            half_done(up(in_recovery())),
            Next::Do(Step::StopAgain("a recovery of its data ended half way".into())),
        ),
        (
            "what runs already is not started",
            begin(running(ClusterState::InArchiveRecovery, in_recovery())),
            Next::Do(Step::AskUpstream),
        ),
        (
            "a primary that runs already is Pacemaker's business",
            begin(running(ClusterState::InProduction, writable())),
            Next::Running(Some(
                "PostgreSQL runs already, and accepts writes: Pacemaker decides".into(),
            )),
        ),
        (
            "one that takes no query runs",
            up(Sql::Busy("too many clients".into())),
            Next::Running(Some("it runs, and takes no query: too many clients".into())),
        ),
        (
            "one that does not let the agent in runs, and to fail would ban the node",
            up(Sql::Alive("28000: no entry".into())),
            Next::Running(Some("it runs, and the agent cannot ask it: 28000: no entry".into())),
        ),
        ("one that replays is waited for", up(Sql::Starting("x".into())), Next::Do(Step::Wait)),
        (
            "but not for ever",
            late(up(Sql::Starting("x".into()))),
            Next::Running(Some(
                "PostgreSQL replays WAL and does not answer yet; monitor reports it until it does"
                    .into(),
            )),
        ),
        ("one that shuts down is waited for", up(Sql::ShuttingDown), Next::Do(Step::Wait)),
        ("one that hangs", up(Sql::Hung), Next::Do(Step::Wait)),
        ("one without a socket", up(Sql::Refused("x".into())), Next::Do(Step::Wait)),
        (
            "a directory that cannot serve is a matter of permissions",
            nobody(begin(at_rest(DataDir::Unusable("wrong owner".into())))),
            Next::Perm("wrong owner".into()),
        ),
    ];
    for (name, facts, expected) in rows {
        assert_eq!(next(&facts), expected, "{name}");
    }
}

#[test]
fn one_that_has_parted_is_stopped_and_brought_back() {
    for (line, position) in [
        ("1@0/480,2", at("1", "0/481")),
        ("1@0/480,2", at("1@0/400,3", "0/400")),
        ("1", at("1@0/500,2", "0/500")),
    ] {
        let why = diverged(&measured(line, position));
        let stopped =
            Facts { parted: Some(why.clone()), ..ended(ClusterState::ShutDownInRecovery) };
        assert_eq!(next(&stopped), Next::Recover(Some(Cause::Diverged(why))));
    }
}

#[test]
fn a_refusal_says_what_is_wrong_and_is_soft() {
    let of = |data| Facts { upstream: Some(primary("1")), ..begin(at_rest(data)) };
    let process = |process| Facts {
        instance: Instance { data: DataDir::Absent, process, sql: Sql::NotAsked },
        ..begin(at_rest(DataDir::Absent))
    };
    let standby = || of(data(ClusterState::InArchiveRecovery));
    for (facts, words) in [
        (of(DataDir::Unknown("EIO".into())), "EIO"),
        (process(Process::Unknown("EPERM".into())), "EPERM"),
        (process(Process::Orphans(vec![43])), "43"),
        (Facts { started: Some(Err("no port".into())), ..standby() }, "no port"),
        // The killed one is on its way out: it is not what keeps the server from starting.
        (
            Facts { started: Some(Err("killed".into())), ..process(Process::Orphans(vec![43])) },
            "killed",
        ),
        (Facts { recovered: Some(Recovered::Failed("no space".into())), ..standby() }, "no space"),
        (Facts { out_of_time: true, ..up(Sql::Hung) }, "does not answer"),
        (Facts { out_of_time: true, ..up(Sql::Unknown("x".into())) }, "does not answer"),
    ] {
        let why = refused(&facts);
        assert!(why.contains(words) && !why.contains('\n'), "{why:?} lacks {words:?}");
    }
}

/// Regression: a look that was cut short at the end of a moment failed a start on a busy machine.
#[test]
fn a_server_that_said_nothing_is_not_left_after_a_moment() {
    let words = || "x".to_owned();
    for (sql, expected) in [
        (Sql::Starting(words()), true),
        (Sql::Busy(words()), true),
        (Sql::Alive(words()), true),
        (Sql::Hung, false),
        (Sql::Refused(words()), false),
        (Sql::Unknown(words()), false),
        (Sql::ShuttingDown, false),
        (Sql::NotAsked, false),
    ] {
        assert_eq!(super::super::speaks(&sql), expected, "{sql:?}");
        // Whatever is not left after a moment is waited for.
        assert_eq!(
            next(&up(sql.clone())) == Next::Do(Step::Wait),
            !expected || { matches!(sql, Sql::Starting(_)) }
        );
    }
}

/// The reason names both timelines and positions within the 128 bytes that Pacemaker shows.
#[test]
fn data_that_diverged_is_told_with_both_timelines_and_positions() {
    let told = |why: String| {
        let shown = &why[..why.len().min(128)];
        for word in ["timeline 1 at 0/481", "n1 timeline 2 at 0/500"] {
            assert!(shown.contains(word), "{why:?} lacks {word:?}");
        }
    };
    // By its control file alone.
    let control = ControlData { checkpoint: Lsn(0x481), ..control(ClusterState::ShutDown) };
    let data = || DataDir::Cluster(Box::new(control.clone()));
    told(diverged(&Facts { upstream: Some(primary("1@0/480,2")), ..begin(at_rest(data())) }));
    // By where its recovery has to come to: it was demoted, and ended as a standby.
    let control = ControlData {
        min_recovery_timeline: Timeline(1),
        min_recovery_end: Lsn(0x481),
        ..self::control(ClusterState::ShutDownInRecovery)
    };
    let data = DataDir::Cluster(Box::new(control));
    told(diverged(&Facts { upstream: Some(primary("1@0/480,2")), ..begin(at_rest(data)) }));
    // By its position, when it ran already.
    let facts = Facts { started: None, ..measured("1@0/480,2", at("1", "0/481")) };
    told(diverged(&facts));
}

#[test]
fn what_a_monitor_found_is_proven_anew_before_a_standby_is_brought_back() {
    let standby = |line, left_off, wal_gone| Facts {
        upstream: Some(primary(line)),
        left_off,
        wal_gone,
        ..ended(ClusterState::ShutDownInRecovery)
    };
    let ask = |lsn| Next::Do(Step::AskForWal(Lsn(lsn)));
    let gone = || Some(Some("the WAL is gone".to_owned()));
    let end = || Some(at("1", "0/400"));
    let control = |change: fn(&mut ControlData)| {
        let mut control = control(ClusterState::ShutDownInRecovery);
        change(&mut control);
        at_rest(DataDir::Cluster(Box::new(control)))
    };
    let with = |instance| Facts { instance, ..standby("1", end(), gone()) };
    for (name, facts, expected) in [
        ("no monitor found anything", standby("1", None, gone()), prepare(true)),
        ("the primary is asked", standby("1", end(), None), ask(0x400)),
        (
            "it has not got it",
            standby("1", end(), gone()),
            Next::Recover(Some(Cause::WalGone("the WAL is gone".into()))),
        ),
        ("it has it again", standby("1", end(), Some(None)), prepare(true)),
        ("another primary is asked as well", standby("1@0/480,2", end(), None), ask(0x400)),
        (
            "the end may not have been the end",
            standby("1", Some(crate::decide::support::at_least("1", "0/400")), gone()),
            prepare(true),
        ),
        (
            "the data goes further since",
            with(control(|c| {
                (c.min_recovery_timeline, c.min_recovery_end) = (Timeline(1), Lsn(0x401));
            })),
            prepare(true),
        ),
        ("it is other data", with(control(|c| c.checkpoint = Lsn(0x401))), prepare(true)),
        (
            "it has accepted writes since",
            with(control(|c| c.state = ClusterState::ShutDown)),
            prepare(false),
        ),
        (
            "of another line",
            Facts { left_off: Some(at("2", "0/400")), ..standby("1", None, gone()) },
            prepare(true),
        ),
        (
            "without a primary it starts",
            Facts { upstream: Some(Upstream::Nobody), ..standby("1", end(), None) },
            prepare(false),
        ),
    ] {
        assert_eq!(next(&facts), expected, "{name}");
    }
    // By its control file alone it could follow.
    let why = diverged(&standby("1@0/380,2", end(), None));
    assert!(why.contains("timeline 1 at 0/400"), "{why}");
}

/// Two crashes around a promotion: pg_rewind would say that nothing is to be done.
#[test]
fn data_of_another_promotion_on_the_same_timeline_is_recovered() {
    for (knows, allowed) in [(None, true), (Some(true), true), (Some(false), false)] {
        let live = Live { knows_our_promotion: knows, ..live("1") };
        let facts = Facts {
            upstream: Some(Upstream::Live(Box::new(live))),
            ..ended(ClusterState::InArchiveRecovery)
        };
        match next(&facts) {
            Next::Recover(Some(Cause::OtherBranch(why))) => {
                assert!(!allowed && why.contains("promotion"), "{why:?}");
            }
            other => assert!(allowed, "{knows:?}: {other:?}"),
        }
    }
}

#[test]
fn data_of_another_database_system_is_replaced_only_where_an_operator_gave_it_up() {
    for (adopted, replaced) in
        [(None, false), (Some(vec![]), false), (Some(vec![9]), false), (Some(vec![9, 8]), true)]
    {
        let control = ControlData { system_id: 8, ..control(ClusterState::ShutDown) };
        let live = Live { adopted: adopted.clone(), ..live("1") };
        let facts = Facts {
            upstream: Some(Upstream::Live(Box::new(live))),
            ..begin(at_rest(DataDir::Cluster(Box::new(control))))
        };
        match next(&facts) {
            Next::Recover(Some(Cause::GivenUp(why))) => {
                assert!(replaced && why.contains("8, which was given up for 7"), "{why}");
            }
            Next::Refuse(why) => {
                assert!(!replaced && why.contains("it is another database"), "{why}");
            }
            other => panic!("{adopted:?}: {other:?}"),
        }
    }
}

#[test]
fn data_of_another_database_system_is_refused_before_anything_is_done() {
    let control = ControlData { system_id: 8, ..control(ClusterState::ShutDown) };
    let data = DataDir::Cluster(Box::new(control));
    let why = refused(&Facts { upstream: Some(primary("1")), ..begin(at_rest(data)) });
    assert!(why.contains("system 8") && why.contains("has 7"), "{why:?}");
}

/// The checkpoint's timeline is old while the node follows a newer one: no divergence.
#[test]
fn a_checkpoint_on_an_ancestor_of_the_primary_is_no_divergence() {
    let control = ControlData {
        timeline: Timeline(1),
        checkpoint: Lsn(0x480),
        ..control(ClusterState::InArchiveRecovery)
    };
    let data = DataDir::Cluster(Box::new(control));
    let facts = Facts { upstream: Some(primary("1@0/480,2")), ..begin(at_rest(data)) };
    assert_eq!(next(&facts), prepare(true));
}

/// Somebody took standby.signal away and started a server on a standby's data: neither the timeline nor a
/// position tells it from the primary's.
#[test]
fn a_standbys_data_that_a_server_has_written_to_is_built_anew() {
    let me = node("n2");
    let with = |primary: &str, followed: u64| {
        let mut own = Own::new("pg", &me);
        own.store.set_done(Entry { timeline: Timeline(1), ..entry(3, 0, 33, primary, "") });
        own.followed = Some(PromotionId(followed));
        own
    };
    let mut moved_on = with("n1", 33);
    let history = vec![Past { id: PromotionId(33), timeline: Timeline(1) }];
    let newer = Entry { timeline: Timeline(2), history, ..entry(4, 0, 44, "n3", "") };
    moved_on.store.set_done(newer);
    let nothing_followed = Own { followed: None, ..with("n1", 33) };
    for (name, own, state, timeline, never_started, apart) in [
        ("in production", with("n1", 33), ClusterState::InProduction, 1, false, true),
        ("shut down", with("n1", 33), ClusterState::ShutDown, 1, false, true),
        ("a standby", with("n1", 33), ClusterState::ShutDownInRecovery, 1, false, false),
        (
            "a standby that crashed",
            with("n1", 33),
            ClusterState::InArchiveRecovery,
            1,
            false,
            false,
        ),
        ("not known", with("n1", 33), ClusterState::StartingUp, 1, false, false),
        ("a copy", with("n1", 33), ClusterState::InProduction, 1, true, false),
        ("its own promotion", with("n2", 33), ClusterState::InProduction, 1, false, false),
        (
            "a former primary, of an older timeline",
            moved_on.clone(),
            ClusterState::ShutDown,
            0,
            false,
            false,
        ),
        (
            "its own promotion, or another's: forgotten",
            moved_on,
            ClusterState::ShutDown,
            1,
            false,
            false,
        ),
        ("another promotion", with("n1", 34), ClusterState::ShutDown, 1, false, false),
        ("never a standby", nothing_followed, ClusterState::ShutDown, 1, false, false),
    ] {
        let control = ControlData { timeline: Timeline(timeline), ..control(state) };
        let words = written_apart(&own, &me, &control, never_started);
        assert_eq!(words.is_some(), apart, "{name}: {words:?}");
        let facts = Facts {
            upstream: Some(Upstream::Nobody),
            written_apart: words,
            ..begin(at_rest(DataDir::Cluster(Box::new(control))))
        };
        let recovers = matches!(next(&facts), Next::Recover(Some(Cause::OtherBranch(_))));
        assert_eq!(recovers, apart, "{name}");
    }
}
