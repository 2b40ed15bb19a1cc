//! The search: breadth first, so that the first history that breaks a promise is a shortest one.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fmt::Write as _;
use std::hash::BuildHasherDefault;

use crate::Model;
use crate::canon::Same;
use crate::options::Start;
use crate::state::{Entry, NOBODY, NODES, Node, PROMOTIONS, Promotion, Server, Set, State, Store};
use crate::state::{Used, Wal};
use crate::steps::Moves;

type Build = BuildHasherDefault<Same>;

/// How a search ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Every state within the bounds was seen, and every promise holds.
    Exhausted,
    /// So many states were seen that it was stopped; every shorter history keeps the promises.
    Stopped,
    /// A commit that was acknowledged is missing on a node that became primary.
    CommitLost,
    /// Two nodes accept writes.
    TwoPrimaries,
    /// A standby streams on top of another branch, and nobody can see that.
    FalseFollower,
    /// No primary can come up although all faults are over.
    Stuck,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exhausted => "EXHAUSTED",
            Self::Stopped => "STOPPED",
            Self::CommitLost => "ACKNOWLEDGED COMMIT LOST",
            Self::TwoPrimaries => "TWO PRIMARIES",
            Self::FalseFollower => "A STANDBY STREAMS ON ANOTHER BRANCH",
            Self::Stuck => "STUCK",
        })
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// How many states were seen.
    pub states: usize,
    /// The length of the longest history.
    pub depth: usize,
    /// The most commits that were acknowledged in one history.
    pub acked: u32,
    /// The highest term.
    pub term: u8,
    /// The history to a broken promise, and the state at its end.
    pub history: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ending, states, depth, acked, term, history } = self;
        write!(f, "{history}{ending}: {states} states, depth {depth}, ")?;
        write!(f, "{acked} commits acknowledged, term {term}")
    }
}

/// Every state once, by fingerprint, with where it came from.
struct Seen {
    known: HashSet<u64, Build>,
    parents: Vec<u32>,
    prints: Vec<u64>,
}

/// Explores.
pub fn search(model: &Model) -> Outcome {
    let first = model.first();
    let print = model.fingerprint(&first);
    let mut seen =
        Seen { known: HashSet::from_iter([print]), parents: vec![u32::MAX], prints: vec![print] };
    let mut outcome = Outcome {
        ending: Ending::Exhausted,
        states: 1,
        depth: 0,
        acked: 0,
        term: 0,
        history: String::new(),
    };
    let mut healed = HashMap::default();
    let mut moves = Moves::default();
    let mut front = vec![(0_u32, first)];
    while !front.is_empty() {
        outcome.depth += 1;
        let mut next_front = Vec::new();
        for (index, state) in front.drain(..) {
            moves.found.clear();
            model.next(&state, true, &mut moves);
            for (_, after) in moves.found.drain(..) {
                let print = model.fingerprint(&after);
                if !seen.known.insert(print) {
                    continue;
                }
                outcome.acked = outcome.acked.max(after.acked.count_ones());
                let terms = after.nodes.iter().map(|node| node.file.max_term());
                outcome.term = outcome.term.max(terms.max().unwrap_or(0));
                seen.prints.push(print);
                seen.parents.push(index);
                if let Some(ending) = model.broken(&state, &after, &mut healed) {
                    outcome.ending = ending;
                    outcome.states = seen.known.len();
                    outcome.history = model.retell(&seen, seen.prints.len() - 1);
                    return outcome;
                }
                next_front.push((u32::try_from(seen.prints.len() - 1).unwrap_or(u32::MAX), after));
            }
            if seen.known.len() > model.options.max {
                outcome.ending = Ending::Stopped;
                outcome.states = seen.known.len();
                return outcome;
            }
        }
        front = next_front;
    }
    outcome.states = seen.known.len();
    outcome
}

impl Model {
    /// Node 0 is the primary and all others stream.
    pub fn first(&self) -> State {
        let all = self.everybody();
        let standbys = all.without(0);
        let heirs = match self.options.start {
            Start::Alone => Set::NONE,
            Start::All => standbys,
            Start::One | Start::Growing => Set::one(1),
        };
        let entry = Entry { term: 1, seq: 0, id: 1, heirs, past: 0 };
        let mut ledger = Store::default();
        ledger.done[0] = entry;
        let mut wal = Wal::default();
        wal.promote(1, 1);
        let mut lines = [0; PROMOTIONS];
        lines[1] = 1;
        let mut s = State {
            nodes: [Node::default(); NODES],
            part: [0; NODES + 1],
            gone: Set::NONE,
            acked: 0,
            next_commit: 1,
            next_promotion: 2,
            lines,
            used: Used::default(),
            max_term: self.options.terms,
        };
        for i in 0..self.options.nodes {
            s.nodes[i] = Node {
                up: true,
                server: if i == 0 { Server::Primary } else { Server::Standby },
                wal,
                file: ledger,
                followed: 1,
                cib: ledger,
                version: 1,
                view: all,
                scores: heirs.with(0),
                met_all: true,
                upstream: if i == 0 { NOBODY } else { 0 },
                pointed: if i == 0 { NOBODY } else { 0 },
                ..Node::default()
            };
        }
        let primary = &mut s.nodes[0];
        primary.names = heirs;
        primary.waits = !heirs.is_empty();
        primary.barrier = 2;
        if self.options.start == Start::Growing {
            primary.file.done[0] = Entry { seq: 1, heirs: standbys, ..entry };
        }
        s
    }

    fn broken(
        &self,
        before: &State,
        s: &State,
        healed: &mut HashMap<u64, bool, Build>,
    ) -> Option<Ending> {
        if self.two_primaries(s) {
            return Some(Ending::TwoPrimaries);
        }
        for (node, was) in s.nodes.iter().zip(&before.nodes) {
            let promoted = node.server == Server::Primary && was.server != Server::Primary;
            let lost = |number: &u8| s.acked >> number & 1 == 1 && !node.wal.has_commit(*number);
            if promoted && (1..8).any(|number| lost(&number)) {
                return Some(Ending::CommitLost);
            }
        }
        if self.false_follower(s) {
            return Some(Ending::FalseFollower);
        }
        if self.options.live && !self.heals(s, healed) {
            return Some(Ending::Stuck);
        }
        None
    }

    /// All faults are over: can a primary come up that everybody reaches?
    fn heals(&self, s: &State, known: &mut HashMap<u64, bool, Build>) -> bool {
        let mut start = *s;
        start.part = [0; NODES + 1];
        start.used = Used::default();
        start.acked = 0;
        start.next_commit = u8::MAX;
        let terms = s.nodes.iter().map(|node| node.file.max_term().max(node.cib.max_term()));
        start.max_term = terms.max().unwrap_or(0) + 2;
        let root = self.fingerprint(&start);
        if let Some(answer) = known.get(&root) {
            return *answer;
        }
        let mut seen: HashSet<u64, Build> = HashSet::from_iter([root]);
        let mut todo = vec![start];
        let mut moves = Moves::default();
        let mut answer = false;
        while let Some(state) = todo.pop() {
            let nodes = &state.nodes[..self.options.nodes];
            let primary = nodes.iter().any(|node| {
                node.up
                    && (node.server == Server::Primary || node.promotion == Promotion::Announced)
            });
            if primary && nodes.iter().all(|node| node.up && node.view == self.everybody()) {
                answer = true;
                break;
            }
            moves.found.clear();
            self.next(&state, false, &mut moves);
            for (_, after) in moves.found.drain(..) {
                if seen.insert(self.fingerprint(&after)) {
                    todo.push(after);
                }
            }
        }
        known.insert(root, answer);
        answer
    }

    /// The history to a state, in words.
    fn retell(&self, seen: &Seen, end: usize) -> String {
        let mut path = vec![end];
        while let Some(parent) = path.last().and_then(|at| seen.parents.get(*at))
            && *parent != u32::MAX
        {
            path.push(*parent as usize);
        }
        let mut text = String::new();
        let mut state = self.first();
        let mut moves = Moves { in_words: true, found: Vec::new() };
        for (step, at) in path.iter().rev().skip(1).enumerate() {
            moves.found.clear();
            self.next(&state, true, &mut moves);
            let taken =
                moves.found.drain(..).find(|(_, s)| self.fingerprint(s) == seen.prints[*at]);
            let Some((words, after)) = taken else { break };
            let _ = writeln!(text, "{:3}. {words}", step + 1);
            state = after;
        }
        self.show(&state, &mut text);
        text
    }

    fn show(&self, s: &State, text: &mut String) {
        for (i, node) in s.nodes[..self.options.nodes].iter().enumerate() {
            let up = if s.gone.has(i) {
                "lost"
            } else if node.up {
                "up"
            } else {
                "off"
            };
            let _ = writeln!(
                text,
                "  n{i} {up}, {:?}: WAL [{}], of u{}; file {}; CIB {} {}; view {} unclean {} \
                 scores {} V{}",
                node.server,
                node.wal,
                node.followed,
                node.file,
                node.version,
                node.cib,
                node.view,
                node.unclean,
                node.scores,
                node.names,
            );
        }
    }
}
