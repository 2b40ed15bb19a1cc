//! What can happen next: one atomic act of one node, or of the world.

mod cluster;
mod primary;
mod promotion;
mod standby;

use crate::Model;
use crate::rules::Break;
use crate::state::{Entry, Node, Promotion, Record, Server, Set, State, Store};

/// What can happen, each with the state after it.
#[derive(Debug, Default)]
pub struct Moves {
    /// Whether words are wanted: they cost more than the states.
    pub in_words: bool,
    /// What was found.
    pub found: Vec<(String, State)>,
}

impl Moves {
    #[allow(clippy::large_types_passed_by_value)] // it stays in the list
    fn add(&mut self, state: State, words: impl FnOnce() -> String) {
        self.found.push((if self.in_words { words() } else { String::new() }, state));
    }
}

impl Model {
    /// All that can happen next. Without `faults` the world only heals.
    pub fn next(&self, s: &State, faults: bool, moves: &mut Moves) {
        for p in 0..self.options.nodes {
            self.membership(s, p, faults, moves);
            if faults {
                self.faults(s, p, moves);
            }
            if !s.nodes[p].up {
                continue;
            }
            self.ledger_copies(s, p, moves);
            self.standby(s, p, moves);
            self.promotion(s, p, faults, moves);
            if s.nodes[p].server == Server::Primary {
                self.primary(s, p, faults, moves);
            }
        }
        self.network(s, faults, moves);
    }

    /// All nodes.
    pub fn everybody(&self) -> Set {
        Set::first(self.options.nodes)
    }

    fn connected(s: &State, a: usize, b: usize) -> bool {
        s.nodes[a].up && s.nodes[b].up && s.part[a] == s.part[b]
    }

    fn component(&self, s: &State, a: usize) -> Set {
        (0..self.options.nodes).filter(|b| Self::connected(s, a, *b)).collect()
    }

    /// Whom messages of `a` reach: connected, and in one membership with it.
    pub fn reached(&self, s: &State, a: usize) -> Set {
        let view = s.nodes[a].view;
        self.component(s, a).iter().filter(|b| s.nodes[*b].view == view && view.has(*b)).collect()
    }

    fn quorate(&self, s: &State, a: usize) -> bool {
        let node = &s.nodes[a];
        let met = !self.options.wait_for_all || node.met_all;
        let votes = node.view.len();
        let third = usize::from(s.part[3] == s.part[a]);
        let enough = match (self.options.nodes, self.options.third_vote) {
            (2, false) => true,
            (2, true) => votes + third >= 2,
            _ => votes >= 2,
        };
        met && enough
    }

    fn may_act(&self, s: &State, a: usize) -> bool {
        self.options.ignore_quorum || self.quorate(s, a)
    }

    /// Pacemaker may start and promote on `c`: quorum, nobody unclean, nobody lost unnoticed.
    fn pacemaker_acts(&self, s: &State, c: usize) -> bool {
        let node = &s.nodes[c];
        node.up
            && self.may_act(s, c)
            && (node.unclean.is_empty() || self.options.breaks(Break::Unfenced))
            && node.view.within(self.reached(s, c))
    }

    /// A primary, or one that is being made, in the membership of `c`.
    fn primary_in_view(s: &State, c: usize) -> bool {
        s.nodes[c].view.without(c).iter().any(|i| {
            let node = &s.nodes[i];
            node.up && (node.server == Server::Primary || node.promotion != Promotion::None)
        })
    }

    fn set_score(&self, s: &mut State, by: usize, node: usize, on: bool) {
        for i in self.reached(s, by).iter() {
            let scores = s.nodes[i].scores;
            s.nodes[i].scores = if on { scores.with(node) } else { scores.without(node) };
        }
    }

    fn set_cib(&self, s: &mut State, by: usize, cib: Store) {
        let reached = self.reached(s, by);
        let newest = reached.iter().map(|i| s.nodes[i].version).max().unwrap_or(0);
        for i in reached.iter() {
            s.nodes[i].cib = cib;
            s.nodes[i].version = newest + 1;
        }
    }

    /// Whether bytes of `p` can come to `x`.
    fn attached(&self, s: &State, p: usize, x: usize) -> bool {
        let (from, to) = (&s.nodes[p], &s.nodes[x]);
        from.up
            && to.up
            && to.server == Server::Standby
            && from.server == Server::Primary
            && usize::from(to.upstream) == p
            && (!self.options.cut_replication || s.part[p] == s.part[x])
    }

    /// Whether `x` streams from `p`.
    fn streams(&self, s: &State, p: usize, x: usize) -> bool {
        self.attached(s, p, x) && s.nodes[x].wal.begins(s.nodes[p].wal)
    }

    /// A standby whose data is of another branch than its upstream's, where neither PostgreSQL nor
    /// the agent can see that.
    pub fn false_follower(&self, s: &State) -> bool {
        let nodes = 0..self.options.nodes;
        nodes.clone().any(|p| {
            nodes.clone().any(|x| {
                let (from, to) = (s.nodes[p].wal, s.nodes[x].wal);
                self.attached(s, p, x) && to.seems_to_begin(from) && !to.begins(from)
            })
        })
    }

    /// Where the commit is that nobody has acknowledged yet.
    fn in_flight(node: &Node, acked: u8) -> Option<u8> {
        let from = node.wal.last_promotion().map_or(0, |(at, ..)| at);
        (from..node.wal.len).find(
            |at| matches!(node.wal.record(*at), Record::Commit(number) if acked >> number & 1 == 0),
        )
    }

    fn set_names(&self, node: &mut Node, names: Set) {
        if self.options.slow_senders {
            node.old_names = node.names;
            node.old_senders = true;
        }
        node.names = names;
        node.barrier = 0;
    }

    /// An own intent that was carried out is done, and the data is of that promotion.
    fn carried_out(node: &mut Node, p: usize) {
        let intent = node.file.intent[p];
        if intent.exists() && node.wal.has_promotion(intent.id) {
            node.file.done[p] = intent;
            node.file = node.file.normal();
            node.followed = intent.id;
        }
    }

    /// An action begins: an own intent becomes done, or is dropped.
    fn settle_intent(&self, node: &mut Node, p: usize) {
        if !self.options.breaks(Break::Unresolved) {
            Self::carried_out(node, p);
            node.file.intent[p] = Entry::default();
        }
    }
}
