//! Plans as rows, and everything that can cut a worker off, explored.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::cluster::recovery::ruin;
use crate::decide::recovery::rewind_failed;

fn facts(method: Method) -> Facts {
    Facts {
        method,
        half_done: false,
        ruin: false,
        swapping: false,
        data: Data::Clean,
        keep_old: true,
    }
}

#[test]
fn a_rewind_is_marked_before_the_first_byte_and_after_the_last() {
    let steps = plan(&Facts { data: Data::Crashed, ..facts(Method::Rewind) });
    let half = |half_done, phase| Step::Mark { half_done, phase };
    assert_eq!(
        steps,
        [
            half(false, Phase::Recovering),
            Step::RecoverCrash,
            Step::ProveSource,
            half(true, Phase::Rewinding),
            Step::Rewind,
            half(false, Phase::Starting),
            Step::Start,
            Step::AwaitStreaming,
            Step::DiscardConfiguration,
            Step::DropStaging,
            Step::DropOlderCopies,
            Step::Unmark,
        ]
    );
    assert!(!plan(&facts(Method::Rewind)).contains(&Step::RecoverCrash));
}

#[test]
fn a_failed_rewind_becomes_a_copy_and_a_failed_copy_becomes_a_pause() {
    let rewind = facts(Method::Rewind);
    let rebuild = Facts { half_done: true, ..facts(Method::Rebuild) };
    let resumed = Facts { swapping: true, ..rebuild };
    for (facts, step, possible, expected) in [
        (rewind, Step::Rewind, true, After::Rebuild),
        (rewind, Step::RecoverCrash, true, After::Rebuild),
        (rewind, Step::Rewind, false, After::GiveUp),
        // Nothing is wrong with a rewind: there is nobody to rewind to.
        (rewind, Step::ProveSource, true, After::GiveUp),
        (rewind, Step::Start, true, After::GiveUp),
        (rebuild, Step::Copy, true, After::GiveUp),
        (rebuild, Step::Swap, true, After::GiveUp),
        (resumed, Step::Swap, true, After::Rebuild),
        (resumed, Step::Swap, false, After::GiveUp),
        (resumed, Step::Start, true, After::GiveUp),
    ] {
        assert_eq!(after_failure(&facts, step, possible), expected, "{step:?} of {facts:?}");
    }
}

#[test]
fn no_backup_is_made_of_what_a_broken_rewind_has_left() {
    for (half_done, is_ruin, keep_old, kept) in [
        (false, false, true, true),
        (false, false, false, false),
        // A swap that was cut off is taken back first: the old data is whole again.
        (true, false, true, true),
        (true, true, true, false),
        (true, true, false, false),
    ] {
        let facts = Facts { half_done, ruin: is_ruin, keep_old, ..facts(Method::Rebuild) };
        assert_eq!(facts.keeps(), kept, "{facts:?}");
        assert_eq!(plan(&facts).contains(&Step::DropOlderCopies), kept, "{facts:?}");
        assert_eq!(plan(&facts).contains(&Step::DropOld), !kept, "{facts:?}");
    }
}

#[test]
fn only_a_rewind_that_ran_and_failed_is_not_tried_again() {
    for method in Method::ALL {
        for phase in Phase::ALL {
            let ran = method == Method::Rewind && phase == Phase::Rewinding;
            assert_eq!(rewind_failed(method, phase, 1), ran, "{method:?} {phase:?}");
            assert!(!rewind_failed(method, phase, 0));
        }
    }
}

/// The data directory as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Dir {
    Nothing,
    Old { clean: bool },
    Between,
    New { own_conf: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Staging {
    Nothing,
    Partial,
    Whole { own_conf: bool },
}

/// What the marker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Mark {
    half_done: bool,
    phase: Phase,
    ruin: bool,
}

impl Mark {
    fn method(self) -> Method {
        match self.phase {
            Phase::Recovering | Phase::Rewinding => Method::Rewind,
            _ => Method::Rebuild,
        }
    }
}

/// One node's disk and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct World {
    marked: Option<Mark>,
    dir: Dir,
    staging: Staging,
    /// The old data as a copy.
    old: bool,
    /// What a swap has moved and did not replace yet.
    aside: Option<Dir>,
    /// The node had data of its own, which no rewind has begun to change.
    had_old: bool,
    /// Its own configuration is kept, whole.
    kept: bool,
    running: bool,
    streamed: bool,
    /// pg_rewind has failed, or the crash recovery that comes before it.
    tried: bool,
    /// What a broken rewind has left is aside.
    ruin_aside: bool,
}

impl World {
    fn new(dir: Dir) -> Self {
        Self {
            marked: None,
            dir,
            staging: Staging::Nothing,
            old: false,
            aside: None,
            had_old: dir != Dir::Nothing,
            kept: false,
            running: false,
            streamed: false,
            tried: false,
            ruin_aside: false,
        }
    }

    fn half_done(&self) -> bool {
        self.marked.is_some_and(|mark| mark.half_done)
    }

    /// What `start` finds: none where the data can follow as it is.
    fn facts(&self, keep_old: bool) -> Option<Facts> {
        let is = |phase| self.marked.is_some_and(|mark| mark.half_done && mark.phase == phase);
        let swapping = is(Phase::Swapping);
        let failed = self.marked.is_some_and(|mark| rewind_failed(mark.method(), mark.phase, 1));
        let (method, data) = match self.dir {
            _ if self.half_done() => (Method::Rebuild, Data::Clean),
            Dir::New { .. } => return None,
            Dir::Nothing => (Method::Rebuild, Data::Nothing),
            Dir::Old { clean } => (
                if failed { Method::Rebuild } else { Method::Rewind },
                if clean { Data::Clean } else { Data::Crashed },
            ),
            Dir::Between => panic!("data between old and new is not marked: {self:?}"),
        };
        let ruin = self.marked.is_some_and(|mark| mark.ruin);
        Some(Facts { method, half_done: self.half_done(), ruin, swapping, data, keep_old })
    }

    fn check(&self) {
        let own_conf = self.dir == Dir::New { own_conf: true };
        assert!(!self.running || own_conf, "started on {:?}: {self:?}", self.dir);
        assert!(!self.running || !self.half_done(), "started on half done data: {self:?}");
        assert!(self.dir != Dir::Between || self.half_done(), "not marked: {self:?}");
        let is_ruin = self.dir == Dir::Between || self.aside == Some(Dir::Between);
        let said = self.marked.is_some_and(|mark| mark.ruin);
        assert!(!is_ruin || said, "nobody says that it is a ruin: {self:?}");
        let is_old = |dir| matches!(dir, Dir::Old { .. });
        let in_place = is_old(self.dir) || self.aside.is_some_and(is_old);
        assert!(
            !self.had_old || in_place || self.old || self.streamed,
            "the old data was dropped before the new streamed: {self:?}"
        );
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    Failed,
    /// The worker, or the node, died in it.
    Cut,
}

/// All that can come of a step.
fn outcomes(world: World, step: Step) -> Vec<(World, End)> {
    let done = |world| (world, End::Done);
    let mut all = vec![(world, End::Cut)];
    match step {
        Step::Mark { half_done, phase } => {
            all.push((world, End::Failed));
            let before = world.marked.is_some_and(|mark| mark.ruin);
            let mark = Mark { half_done, phase, ruin: ruin(before, half_done, phase) };
            all.push(done(World { marked: Some(mark), ..world }));
        }
        Step::RecoverCrash => {
            all.push((World { tried: true, ..world }, End::Failed));
            all.push(done(World { dir: Dir::Old { clean: true }, ..world }));
        }
        Step::PutBack => {
            all.push((world, End::Failed));
            let back = match world.aside {
                Some(dir) if world.dir == Dir::Nothing => World { dir, aside: None, ..world },
                Some(_) | None => world,
            };
            // What there is of the copy goes after it.
            all.push((back, End::Cut));
            all.push(done(World { staging: Staging::Nothing, ..back }));
        }
        Step::KeepConfiguration => {
            // Cut off in the middle: it is not there until all of it is. What is there stays.
            let own =
                matches!(world.dir, Dir::Nothing | Dir::Old { .. } | Dir::New { own_conf: true });
            assert!(own || world.kept, "another node's configuration is kept: {world:?}");
            all.push((world, End::Failed));
            all.push(done(World { kept: true, ..world }));
        }
        Step::EnsureSlot | Step::ProveSource => all.extend([(world, End::Failed), done(world)]),
        Step::DropOlderCopies => {
            assert!(!world.ruin_aside, "a ruin drives out an older copy: {world:?}");
            all.extend([(world, End::Failed), done(world)]);
        }
        Step::Rewind => {
            let kept = World { kept: true, ..world };
            let begun = World { dir: Dir::Between, had_old: false, tried: true, ..kept };
            all.push((kept, End::Cut));
            // It has changed nothing, which is written; or that could not be.
            let tried = World { tried: true, ..world };
            let mark = Mark { half_done: false, phase: Phase::Rewinding, ruin: false };
            let told = World { marked: Some(mark), ..tried };
            all.extend([(tried, End::Failed), (told, End::Failed), (told, End::Cut)]);
            if world.dir == (Dir::Old { clean: true }) {
                all.extend([(begun, End::Cut), (begun, End::Failed)]);
                let new = Dir::New { own_conf: true };
                all.push(done(World { dir: new, had_old: false, kept: false, ..world }));
            }
        }
        Step::Copy => {
            assert_eq!(
                world.aside, None,
                "the links of the data are not in their place: {world:?}"
            );
            let is_old = matches!(world.dir, Dir::Old { .. });
            // What may have been begun is not tried again.
            let tried = world.tried || world.half_done();
            assert!(!is_old || tried, "a rewind was not even tried: {world:?}");
            let partial = World { staging: Staging::Partial, ..world };
            all.extend([(partial, End::Cut), (partial, End::Failed)]);
            all.push((World { staging: Staging::Nothing, ..world }, End::Failed));
            all.push(done(World { staging: Staging::Whole { own_conf: world.kept }, ..world }));
        }
        Step::Swap => all.extend(swap(world)),
        Step::Start => {
            all.push((world, End::Failed));
            all.push(done(World { running: true, ..world }));
        }
        Step::AwaitStreaming => {
            all.push((world, End::Failed));
            all.push(done(World { streamed: true, ..world }));
        }
        Step::DiscardConfiguration => {
            all.push((world, End::Failed));
            all.push(done(World { kept: false, ..world }));
        }
        Step::DropStaging => {
            let gone = World { staging: Staging::Nothing, ..world };
            let partial = World { staging: Staging::Partial, ..world };
            if world.staging != Staging::Nothing {
                all.extend([(partial, End::Cut), (partial, End::Failed)]);
            }
            all.push(done(gone));
        }
        Step::DropOld => {
            all.push((world, End::Failed));
            all.push(done(World { old: false, ruin_aside: false, ..world }));
        }
        Step::Unmark => {
            all.push((world, End::Failed));
            all.push(done(World { marked: None, ..world }));
        }
    }
    all
}

/// Two renames; each may be the last thing that happened, and both are found done when they were.
fn swap(world: World) -> Vec<(World, End)> {
    let Staging::Whole { own_conf } = world.staging else {
        let there = matches!(world.dir, Dir::New { own_conf: true });
        return vec![(world, if there { End::Done } else { End::Failed })];
    };
    let moved = Some(world.dir).filter(|dir| *dir != Dir::Nothing).or(world.aside);
    let aside = World { dir: Dir::Nothing, aside: moved, ..world };
    let swapped = World {
        dir: Dir::New { own_conf },
        staging: Staging::Nothing,
        old: world.old || moved.is_some(),
        ruin_aside: world.ruin_aside || moved == Some(Dir::Between),
        aside: None,
        ..world
    };
    vec![(aside, End::Cut), (aside, End::Failed), (swapped, End::Cut), (swapped, End::Done)]
}

/// Where a worker is.
type State = (World, Option<(bool, Vec<Step>)>);

/// What may follow a state: a new worker, or the next step of the one at work.
fn successors(state: &State, keep_old: bool) -> Vec<State> {
    let (world, at_work) = state;
    let Some((switched, steps)) = at_work else {
        return match world.facts(keep_old) {
            Some(facts) => vec![(*world, Some((false, plan(&facts))))],
            None if world.streamed && world.marked.is_none() => Vec::new(),
            // It follows: it is started like any other, and what is left is finished.
            None => {
                let mut steps = vec![Step::Start, Step::AwaitStreaming];
                // What is aside is called after what becomes of it.
                steps.extend(finish(keep_old && !world.ruin_aside));
                vec![(*world, Some((true, steps)))]
            }
        };
    };
    let Some((step, rest)) = steps.split_first() else { return vec![(*world, None)] };
    let facts = world.facts(keep_old);
    outcomes(*world, *step)
        .into_iter()
        .map(|(after, end)| match end {
            End::Done => (after, Some((*switched, rest.to_vec()))),
            // The server dies with the node, or is stopped with the resource.
            End::Cut => (World { running: false, ..after }, None),
            End::Failed => {
                let stopped = World { running: false, ..after };
                let to_copy = facts.is_some_and(|facts| {
                    let method = if steps.contains(&Step::Rewind) || *step == Step::Rewind {
                        Method::Rewind
                    } else {
                        facts.method
                    };
                    after_failure(&Facts { method, ..facts }, *step, true) == After::Rebuild
                });
                if to_copy && !switched {
                    let data = match stopped.dir {
                        Dir::Old { clean: false } => Data::Crashed,
                        _ => Data::Clean,
                    };
                    let facts = Facts {
                        method: Method::Rebuild,
                        half_done: stopped.half_done(),
                        ruin: stopped.marked.is_some_and(|mark| mark.ruin),
                        swapping: false,
                        data,
                        keep_old,
                    };
                    (stopped, Some((true, plan(&facts))))
                } else {
                    (stopped, None)
                }
            }
        })
        .collect()
}

fn explore(first: Dir, keep_old: bool) {
    let start: State = (World::new(first), None);
    let mut parents: BTreeMap<State, BTreeSet<State>> = BTreeMap::new();
    let mut seen: BTreeSet<State> = [start.clone()].into();
    let mut queue: VecDeque<State> = [start].into();
    let mut ends = BTreeSet::new();
    let mut taken = BTreeSet::new();
    while let Some(state) = queue.pop_front() {
        state.0.check();
        if let Some(step) = state.1.as_ref().and_then(|(_, steps)| steps.first()) {
            taken.insert(*step);
        }
        let next = successors(&state, keep_old);
        if next.is_empty() {
            assert!(state.0.running && state.0.streamed, "ended without streaming: {state:?}");
            assert_eq!(state.0.marked, None);
            assert_eq!(state.0.staging, Staging::Nothing);
            assert!(!state.0.kept, "a later recovery would find this one's configuration");
            ends.insert(state.clone());
        }
        for after in next {
            parents.entry(after.clone()).or_default().insert(state.clone());
            if seen.insert(after.clone()) {
                queue.push_back(after);
            }
        }
    }
    assert!(!ends.is_empty());
    // From everywhere there is a way to the end.
    let mut live: BTreeSet<State> = ends.clone();
    let mut queue: VecDeque<State> = ends.into_iter().collect();
    while let Some(state) = queue.pop_front() {
        for parent in parents.get(&state).into_iter().flatten() {
            if live.insert(parent.clone()) {
                queue.push_back(parent.clone());
            }
        }
    }
    let stuck = seen.difference(&live).next();
    assert_eq!(stuck, None, "no way back from here");
    assert!(taken.contains(&Step::Swap) && taken.contains(&Step::Copy));
}

#[test]
fn wherever_a_worker_is_cut_off_the_node_comes_back_and_nothing_is_lost_before() {
    for keep_old in [true, false] {
        for dir in [Dir::Nothing, Dir::Old { clean: true }, Dir::Old { clean: false }] {
            explore(dir, keep_old);
        }
    }
}
