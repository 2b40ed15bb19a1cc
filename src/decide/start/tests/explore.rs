//! Every way through `start`: all that it can find, and all that each step can lead to.

use std::collections::BTreeSet;

use super::super::{Facts, Live, Next, Recovered, Step, Upstream, next};
use super::rows::{begin, live, primary};
use crate::decide::facts::{DataDir, Instance, Process, Sql};
use crate::decide::recovery::{Cause, Marked};
use crate::decide::support::{at, at_rest, control, data, in_recovery, node, running, writable};
use crate::postgres::control_data::{ClusterState, ControlData, WasWritable};
use crate::postgres::history::Relation;
use crate::postgres::lsn::Lsn;

fn states() -> Vec<ClusterState> {
    vec![
        ClusterState::StartingUp,
        ClusterState::ShutDown,
        ClusterState::ShutDownInRecovery,
        ClusterState::ShuttingDown,
        ClusterState::InCrashRecovery,
        ClusterState::InArchiveRecovery,
        ClusterState::InProduction,
        ClusterState::Other("new words".into()),
    ]
}

fn datas() -> Vec<DataDir> {
    let beyond = ControlData { checkpoint: Lsn(0x481), ..control(ClusterState::ShutDown) };
    let foreign = ControlData { system_id: 8, ..control(ClusterState::ShutDown) };
    let odd = [beyond, foreign].map(|control| DataDir::Cluster(Box::new(control)));
    let none = [
        DataDir::Absent,
        DataDir::Empty,
        DataDir::Unusable("wrong owner".into()),
        DataDir::Unknown("EIO".into()),
    ];
    states().into_iter().map(data).chain(odd).chain(none).collect()
}

fn sqls() -> Vec<Sql> {
    let why = || "x".to_owned();
    vec![
        in_recovery(),
        Sql::Starting(why()),
        Sql::Busy(why()),
        Sql::Alive(why()),
        Sql::ShuttingDown,
        Sql::Hung,
        Sql::Refused(why()),
        Sql::Unknown(why()),
        Sql::NotAsked,
        writable(),
    ]
}

fn upstreams() -> Vec<Upstream> {
    let lives = ["1", "1@0/480,2"].map(primary);
    let stranger = Live { knows_our_promotion: Some(false), ..live("1") };
    vec![
        Upstream::Nobody,
        Upstream::Silent(node("n1"), "timeout".into()),
        Upstream::Unknown("hung".into()),
        Upstream::Disowned(node("n1"), "not the ledger's".into()),
        Upstream::Live(Box::new(stranger)),
    ]
    .into_iter()
    .chain(lives)
    .collect()
}

/// What is true, besides what `start` knows.
#[derive(Clone, Debug)]
struct World {
    facts: Facts,
    /// standby.signal exists: what is started does not write.
    signal: bool,
    /// Where the data really ends, once it runs: on the line of a primary with line 1@0/480,2, or not.
    diverged: bool,
    /// primary_conninfo names the primary.
    conninfo: bool,
}

/// The end of `start`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Running,
    Refused,
    Perm,
    Recovers,
}

fn is_live(facts: &Facts) -> bool {
    matches!(facts.upstream, Some(Upstream::Live(_)))
}

struct Walk {
    ends: BTreeSet<End>,
    steps: BTreeSet<&'static str>,
    worlds: usize,
}

impl Walk {
    fn go(&mut self, world: &World, depth: usize) {
        self.worlds += 1;
        assert!(depth < 15, "it comes to no end: {world:?}");
        let facts = &world.facts;
        let step = match next(facts) {
            Next::Do(step) => step,
            Next::Running(_) => {
                assert_ne!(facts.instance.process, Process::None, "{world:?}");
                self.ends.insert(End::Running);
                return;
            }
            Next::Refuse(why) => {
                assert!(!why.is_empty() && !why.contains('\n'), "{why:?}");
                self.ends.insert(End::Refused);
                return;
            }
            Next::Recover(cause) => {
                // Nothing runs on what is about to be replaced.
                assert_eq!(facts.instance.process, Process::None, "{world:?}");
                assert_eq!(cause.is_none(), !facts.marked.data_is_whole(), "{world:?}");
                if let Some(Cause::WalGone(_)) = cause {
                    assert!(matches!(facts.wal_gone, Some(Some(_))) && self::is_live(facts));
                }
                self.ends.insert(End::Recovers);
                return;
            }
            Next::Perm(_) => {
                assert!(matches!(facts.instance.data, DataDir::Unusable(_)), "{world:?}");
                self.ends.insert(End::Perm);
                return;
            }
        };
        let (name, outcomes) = Self::outcomes(world, &step);
        self.steps.insert(name);
        for outcome in outcomes {
            self.go(&outcome, depth + 1);
        }
    }

    fn outcomes(world: &World, step: &Step) -> (&'static str, Vec<World>) {
        let facts = &world.facts;
        let with = |change: &dyn Fn(&mut World)| {
            let mut next = world.clone();
            change(&mut next);
            next
        };
        let answers = |sql: Sql| {
            move |w: &mut World| {
                w.facts.instance.process = Process::Running { pid: 42, stopped: false };
                w.facts.instance.sql = sql.clone();
            }
        };
        let is_live = self::is_live(facts);
        match step {
            Step::AskUpstream => {
                assert_eq!(facts.upstream, None);
                let all = upstreams();
                (
                    "AskUpstream",
                    all.iter().map(|u| with(&|w| w.facts.upstream = Some(u.clone()))).collect(),
                )
            }
            Step::AskForWal(from) => {
                assert!(is_live && facts.instance.process == Process::None, "{world:?}");
                assert_eq!(facts.left_off.as_ref().map(|end| end.lsn), Some(*from));
                assert_eq!(facts.wal_gone, None, "{world:?}");
                let gone = [None, Some("the WAL is gone".to_owned())];
                (
                    "AskForWal",
                    gone.iter().map(|g| with(&|w| w.facts.wal_gone = Some(g.clone()))).collect(),
                )
            }
            Step::RecoverSingleUser => {
                let DataDir::Cluster(control) = &facts.instance.data else {
                    panic!("recovers nothing: {world:?}");
                };
                let nobody =
                    matches!(facts.upstream, Some(Upstream::Nobody | Upstream::Disowned(..)));
                assert!(facts.alone && nobody, "{world:?}");
                assert_eq!(control.state.was_writable(), WasWritable::Yes, "{world:?}");
                let ends = |how: Recovered, state: ClusterState| {
                    with(&|w| {
                        w.facts.recovered = Some(how.clone());
                        w.facts.instance = at_rest(data(state.clone()));
                    })
                };
                let after = vec![
                    ends(Recovered::Done, ClusterState::ShutDown),
                    ends(Recovered::OutOfTime, ClusterState::InCrashRecovery),
                    ends(Recovered::Failed("no space".into()), ClusterState::InCrashRecovery),
                ];
                ("RecoverSingleUser", after)
            }
            Step::Prepare { attach } => {
                assert!(!attach || is_live, "attached to nobody: {world:?}");
                let DataDir::Cluster(control) = &facts.instance.data else {
                    panic!("prepares nothing: {world:?}");
                };
                assert!(
                    !attach || control.state.was_writable() == WasWritable::No,
                    "attached before it was measured: {world:?}"
                );
                let done = with(&|w| {
                    (w.signal, w.conninfo) = (true, *attach);
                    (w.facts.prepared, w.facts.attached) = (true, *attach);
                });
                ("Prepare", vec![done])
            }
            Step::StartPostmaster => {
                assert!(world.signal, "it would write: {world:?}");
                assert!(facts.marked.data_is_whole(), "started half done: {world:?}");
                let fails = with(&|w| w.facts.started = Some(Err("no port".into())));
                let dies = with(&|w| w.facts.started = Some(Ok(())));
                let mut all = vec![fails, dies];
                // With standby.signal it never answers as one that writes.
                for sql in sqls().into_iter().filter(|sql| !matches!(sql, Sql::Primary(_))) {
                    for diverged in [false, true] {
                        let answers = answers(sql.clone());
                        all.push(with(&|w| {
                            answers(w);
                            w.facts.started = Some(Ok(()));
                            w.diverged = diverged;
                        }));
                    }
                }
                ("StartPostmaster", all)
            }
            Step::AskItsLog => {
                ("AskItsLog", vec![with(&|w| w.facts.started = Some(Err("its log".into())))])
            }
            Step::Measure => {
                let lsn = if world.diverged { "0/481" } else { "0/480" };
                let exact = with(&|w| w.facts.position = Some(at("1", lsn)));
                let late = with(&|w| w.facts.out_of_time = true);
                ("Measure", vec![exact, late])
            }
            Step::Attach => {
                let Some(Upstream::Live(live)) = &facts.upstream else {
                    panic!("attached to nobody: {world:?}");
                };
                let position = facts.position.as_ref().expect("a position");
                let at = (&position.line, position.lsn);
                let relation = Relation::Diverged { timeline: live.line.timeline(), at: live.lsn };
                let found = crate::postgres::history::History::compare(at, (&live.line, live.lsn));
                assert!(
                    std::mem::discriminant(&found) != std::mem::discriminant(&relation),
                    "a diverged node is attached: {world:?}"
                );
                ("Attach", vec![with(&|w| (w.conninfo, w.facts.attached) = (true, true))])
            }
            Step::Wait => {
                let mut all = vec![with(&|w| w.facts.out_of_time = true)];
                all.push(with(&|w| w.facts.instance.process = Process::None));
                for sql in [in_recovery(), Sql::Busy("x".into()), Sql::Alive("x".into())] {
                    let answers = answers(sql);
                    all.push(with(&|w| answers(w)));
                }
                ("Wait", all)
            }
            Step::StopAgain(why) => {
                let half_done = !facts.marked.data_is_whole();
                assert!(half_done || (world.diverged && is_live), "{world:?}");
                let stopped = with(&|w| {
                    w.facts.instance = at_rest(data(ClusterState::ShutDownInRecovery));
                    w.facts.started = None;
                    w.facts.parted = (!half_done).then(|| why.clone());
                });
                ("StopAgain", vec![stopped])
            }
        }
    }
}

#[test]
fn every_start_ends_and_nothing_writes_or_follows_what_it_must_not() {
    let mut walk = Walk { ends: BTreeSet::new(), steps: BTreeSet::new(), worlds: 0 };
    let running = states()
        .into_iter()
        .flat_map(|state| sqls().into_iter().map(move |sql| running(state.clone(), sql)));
    let lost = [Process::Orphans(vec![43]), Process::Unknown("EPERM".into())].map(|process| {
        Instance { data: data(ClusterState::InProduction), process, sql: Sql::NotAsked }
    });
    let instances = datas().into_iter().map(at_rest).chain(running).chain(lost);
    for instance in instances {
        for (alone, marked) in [
            (false, Marked::Nothing),
            (true, Marked::Nothing),
            (false, Marked::Whole),
            (false, Marked::HalfDone { system_id: 7 }),
            (true, Marked::Unreadable("rubbish".into())),
        ] {
            for diverged in [false, true] {
                for left_off in [None, Some(at("1", "0/480")), Some(at("1", "0/481"))] {
                    let marked = marked.clone();
                    let facts = Facts { alone, marked, left_off, ..begin(instance.clone()) };
                    let world = World { facts, signal: false, diverged, conninfo: false };
                    walk.go(&world, 0);
                }
            }
        }
    }
    assert_eq!(walk.ends, [End::Running, End::Refused, End::Perm, End::Recovers].into());
    assert_eq!(walk.steps.len(), 10, "{:?}", walk.steps);
    assert!(walk.worlds > 5_000, "{}", walk.worlds);
}
