//! Every way through a promotion.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Facts, Intent, Next, OldPrimary, Planned, Progress, Step, next};
use super::rows::plan;
use crate::cluster::ledger::Mode;
use crate::decide::election::{Obstacle, Ruling};
use crate::decide::facts::DataDir;
use crate::decide::support::{at_rest, in_recovery, node, running, writable};
use crate::postgres::control_data::ClusterState;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Server {
    Down,
    Standby,
    /// It was told, and is not through.
    Promoting,
    Primary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Vote {
    Permitted,
    Passing,
    Better,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Old {
    NotApplicable,
    NotWritable,
    Writable,
    MayBeWritable,
    NotProvenDown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Move {
    NotApplicable,
    Complete,
    Lacking,
    Unknown,
}

/// What the action knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Memory {
    done: Progress,
    intent: u8,
    late: bool,
    vote: Option<Vote>,
    old: Option<Old>,
    planned: Option<Move>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    asynchronous: bool,
    force: bool,
    server: Server,
    /// The own file has an intent; the CIB has that one; the data contains it.
    intent: bool,
    in_cib: bool,
    carried_out: bool,
    /// Positions of this election are still published; V is set for this intent.
    positions: bool,
    configured: bool,
    /// None between two actions.
    action: Option<Memory>,
}

const INTENTS: [Intent; 4] = [Intent::None, Intent::CarriedOut, Intent::Void, Intent::Pending];

impl World {
    /// What the agent finds out about an own intent.
    fn intent_now(&self) -> u8 {
        match (self.intent, self.carried_out, self.server) {
            (false, ..) => 0,
            (true, true, _) => 1,
            (true, false, Server::Promoting) => 3,
            (true, false, Server::Down | Server::Standby | Server::Primary) => 2,
        }
    }

    fn begin(mut self) -> Self {
        self.action = Some(Memory {
            done: Progress::Nothing,
            intent: self.intent_now(),
            late: false,
            vote: None,
            old: None,
            planned: None,
        });
        self
    }

    fn facts(&self, memory: Memory) -> Facts {
        let instance = match self.server {
            Server::Down => at_rest(DataDir::Empty),
            Server::Standby | Server::Promoting => {
                running(ClusterState::InArchiveRecovery, in_recovery())
            }
            Server::Primary => running(ClusterState::InProduction, writable()),
        };
        Facts {
            instance,
            intent: INTENTS[usize::from(memory.intent)].clone(),
            ruling: memory.vote.map(|vote| match vote {
                Vote::Permitted => Ruling::Permitted(plan()),
                Vote::Passing => Ruling::Refused(vec![Obstacle::StillReplaying]),
                Vote::Better => {
                    Ruling::Refused(vec![Obstacle::TooFarBehind { bytes: 2, allowed: 1 }])
                }
            }),
            out_of_time: memory.late,
            old_primary: memory.old.map(|old| match old {
                Old::NotApplicable => OldPrimary::NotApplicable,
                Old::NotWritable => OldPrimary::NotWritable,
                Old::Writable => OldPrimary::Writable(node("n1")),
                Old::MayBeWritable => OldPrimary::MayBeWritable(node("n1"), "no password".into()),
                Old::NotProvenDown => OldPrimary::NotProvenDown(node("n1"), "no fencing".into()),
            }),
            planned: memory.planned.map(|planned| match planned {
                Move::NotApplicable => Planned::NotApplicable,
                Move::Complete => Planned::Complete,
                Move::Lacking => Planned::Lacking("it lacks".into()),
                Move::Unknown => Planned::Unknown("it is unknown".into()),
            }),
            force: self.force,
            mode: if self.asynchronous { Mode::Async } else { Mode::Sync },
            done: memory.done,
        }
    }

    /// Everything that carrying out this step can lead to, best first. The rules of 4.4 on the way.
    fn outcomes(&self, memory: Memory, step: &Step) -> Vec<World> {
        let with = |change: &dyn Fn(&mut World, &mut Memory)| {
            let (mut world, mut memory) = (*self, memory);
            change(&mut world, &mut memory);
            world.action = Some(memory);
            world
        };
        match step {
            Step::ResolveDone => {
                assert!(self.carried_out, "a promotion that never was is called done: {self:?}");
                vec![with(&|w, m| (w.intent, m.intent) = (false, 0))]
            }
            Step::ResolveVoid => {
                assert!(!self.carried_out, "a promotion is forgotten: {self:?}");
                assert_ne!(self.server, Server::Promoting, "it may still happen: {self:?}");
                vec![with(&|w, m| (w.intent, m.intent) = (false, 0))]
            }
            Step::Elect | Step::WaitAndElect => {
                let mut all = Vec::new();
                for vote in [Vote::Permitted, Vote::Passing, Vote::Better] {
                    // Time passes only where one waits, and the old primary may be asked again.
                    let late: &[bool] =
                        if *step == Step::Elect { &[false] } else { &[true, false] };
                    for late in late {
                        all.push(with(&|_, m| (m.vote, m.late) = (Some(vote), *late)));
                        all.push(with(&|_, m| {
                            (m.vote, m.late, m.old, m.planned) = (Some(vote), *late, None, None);
                        }));
                    }
                }
                all
            }
            Step::AskOldPrimary => {
                let answers = [
                    Old::NotWritable,
                    Old::NotApplicable,
                    Old::Writable,
                    Old::MayBeWritable,
                    Old::NotProvenDown,
                ];
                answers.map(|old| with(&|_, m| m.old = Some(old))).into()
            }
            Step::CheckPlanned => {
                [Move::Complete, Move::NotApplicable, Move::Lacking, Move::Unknown]
                    .map(|planned| with(&|_, m| m.planned = Some(planned)))
                    .into()
            }
            Step::WriteIntent(_) => {
                assert!(!self.intent, "an intent is overwritten before it was resolved: {self:?}");
                self.may_proceed(memory);
                vec![with(&|w, m| {
                    (w.intent, w.in_cib, w.carried_out, w.configured) = (true, false, false, false);
                    (w.positions, m.done) = (true, Progress::FileWritten);
                })]
            }
            Step::Announce => {
                assert!(self.intent, "the file comes first: {self:?}");
                let done = Progress::Announced;
                vec![with(&|w, m| (w.in_cib, w.positions, m.done) = (true, false, done))]
            }
            Step::Configure(_) => {
                vec![with(&|w, m| (w.configured, m.done) = (true, Progress::Configured))]
            }
            Step::Tell => {
                assert!(self.intent && self.in_cib, "told before file and CIB have it: {self:?}");
                assert!(self.configured, "told before V is set: {self:?}");
                assert!(!self.positions, "told while old positions can be read: {self:?}");
                self.may_proceed(memory);
                let told = |w: &mut World, m: &mut Memory, server| {
                    w.server = server;
                    w.carried_out = server == Server::Primary;
                    (m.done, m.intent) = (Progress::Told, 3);
                };
                [Server::Primary, Server::Promoting, Server::Down]
                    .map(|server| with(&|w, m| told(w, m, server)))
                    .into()
            }
            Step::AwaitWritable => {
                let mut all = Vec::new();
                if self.server == Server::Promoting {
                    all.push(with(&|w, m| {
                        (w.server, w.carried_out) = (Server::Primary, true);
                        m.intent = w.intent_now();
                    }));
                    all.push(with(&|w, m| {
                        w.server = Server::Down;
                        m.intent = w.intent_now();
                    }));
                }
                all.push(with(&|_, m| m.late = true));
                all.push(with(&|_, _| {}));
                all
            }
        }
    }

    fn may_proceed(&self, memory: Memory) {
        assert_eq!(memory.vote, Some(Vote::Permitted), "{self:?}");
        assert!(matches!(memory.old, Some(Old::NotApplicable | Old::NotWritable)), "{self:?}");
        assert!(
            match memory.planned {
                Some(Move::NotApplicable | Move::Complete) => true,
                Some(Move::Lacking) => self.asynchronous && self.force,
                Some(Move::Unknown) => !self.asynchronous || self.force,
                None => false,
            },
            "{self:?}"
        );
    }

    /// What may happen between two actions.
    fn meanwhile(&self) -> Vec<World> {
        let mut all = vec![self.begin()];
        let with = |server, carried_out| World { server, carried_out, ..*self };
        match self.server {
            Server::Promoting => {
                all.extend([with(Server::Primary, true), with(Server::Down, false)]);
                // It died with the record written, and was not writable yet.
                all.push(with(Server::Down, true));
            }
            Server::Down => all.push(with(Server::Standby, self.carried_out)),
            Server::Primary => all.push(with(Server::Down, self.carried_out)),
            Server::Standby => {}
        }
        all
    }
}

fn name(step: &Step) -> &'static str {
    match step {
        Step::ResolveDone => "ResolveDone",
        Step::ResolveVoid => "ResolveVoid",
        Step::Elect => "Elect",
        Step::WaitAndElect => "WaitAndElect",
        Step::AskOldPrimary => "AskOldPrimary",
        Step::CheckPlanned => "CheckPlanned",
        Step::WriteIntent(_) => "WriteIntent",
        Step::Announce => "Announce",
        Step::Configure(_) => "Configure",
        Step::Tell => "Tell",
        Step::AwaitWritable => "AwaitWritable",
    }
}

/// The longest way from here to the end of the action or to a step that takes time. Panics on a
/// circle without such a step.
fn longest(world: World, known: &mut BTreeMap<World, Option<usize>>) -> usize {
    match known.get(&world) {
        Some(Some(length)) => return *length,
        Some(None) => panic!("a circle in which no time passes: {world:?}"),
        None => {}
    }
    known.insert(world, None);
    let memory = world.action.unwrap();
    let length = match next(&world.facts(memory)) {
        Next::Do(Step::WaitAndElect | Step::AwaitWritable)
        | Next::Promoted
        | Next::Refused { .. }
        | Next::Failed(_) => 0,
        Next::Do(step) => {
            let outcomes = world.outcomes(memory, &step);
            1 + outcomes.into_iter().map(|next| longest(next, known)).max().unwrap()
        }
    };
    known.insert(world, Some(length));
    length
}

/// A new action in which all goes well.
fn ends_well(mut world: World) -> (World, Next) {
    if world.server == Server::Down {
        world.server = Server::Standby;
    }
    world = world.begin();
    for _ in 0..30 {
        let memory = world.action.unwrap();
        match next(&world.facts(memory)) {
            Next::Do(step) => world = world.outcomes(memory, &step)[0],
            end => return (world, end),
        }
    }
    panic!("it comes to no end: {world:?}");
}

#[test]
fn whatever_happens_the_ledger_is_ahead_of_postgresql_and_the_next_action_tells_the_truth() {
    let mut queue: Vec<World> = [(false, false), (true, false), (true, true), (false, true)]
        .map(|(asynchronous, force)| World {
            asynchronous,
            force,
            server: Server::Standby,
            intent: false,
            in_cib: false,
            carried_out: false,
            positions: true,
            configured: false,
            action: None,
        })
        .into();
    let mut seen: BTreeSet<World> = queue.iter().copied().collect();
    let mut met = BTreeSet::new();
    let mut lengths = BTreeMap::new();
    while let Some(world) = queue.pop() {
        let nexts = match world.action {
            None => {
                let (end, answer) = ends_well(world);
                assert_eq!(answer, Next::Promoted, "{world:?}");
                assert!(end.server == Server::Primary && !end.intent, "{world:?} {end:?}");
                world.meanwhile()
            }
            Some(memory) => {
                assert!(longest(world, &mut lengths) <= 12);
                let killed = World { action: None, ..world };
                match next(&world.facts(memory)) {
                    Next::Do(step) => {
                        met.insert(name(&step));
                        let mut all = world.outcomes(memory, &step);
                        all.push(killed); // it failed, or was killed before it
                        if step == Step::Announce {
                            // Both are told at once: a kill leaves either without the other.
                            all.push(World { in_cib: true, ..killed });
                            all.push(World { positions: false, ..killed });
                        }
                        all
                    }
                    Next::Promoted => {
                        met.insert("Promoted");
                        assert!(world.server == Server::Primary && !world.intent, "{world:?}");
                        vec![killed]
                    }
                    Next::Refused { reason, .. } => {
                        met.insert("Refused");
                        assert!(!reason.is_empty());
                        assert!(!world.carried_out || !world.intent, "{world:?}");
                        vec![killed]
                    }
                    Next::Failed(reason) => {
                        met.insert("Failed");
                        assert!(!reason.is_empty());
                        assert_ne!(world.server, Server::Primary, "{world:?}");
                        vec![killed]
                    }
                }
            }
        };
        for next in nexts {
            if seen.insert(next) {
                queue.push(next);
            }
        }
    }
    assert_eq!(met.len(), 14, "{met:?}");
    assert!(seen.len() > 500, "{}", seen.len());
}
