//! Who may be promoted, as `decide/election.rs` has it over sets of three nodes.

use crate::Model;
use crate::rules::Break;
use crate::state::{Entry, NODES, Node, Server, Set, State, Store, Wal};

/// An entry that has a say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Its primary.
    pub primary: usize,
    /// The entry.
    pub entry: Entry,
}

/// What a candidate would be promoted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// V.
    pub names: Set,
    /// E.
    pub heirs: Set,
    /// The candidate's own entry, if it restarts in place.
    pub in_place: Option<Entry>,
    /// The entry that the promotion follows.
    pub after: Entry,
}

impl Model {
    /// All that those who are seen hold, and the CIB of `c`.
    fn everything(&self, s: &State, c: usize, seen: Set) -> Store {
        let cib = s.nodes[c].cib;
        if self.options.breaks(Break::CibOnly) {
            return cib;
        }
        seen.iter().fold(cib, |all, node| all.merged(&s.nodes[node].file, None))
    }

    /// The entries of the highest term that are not void, one a primary. One of a node that is seen
    /// counts as its own file has it; an intent of it only if its data has that promotion.
    pub fn votes(&self, s: &State, c: usize, seen: Set) -> Vec<Vote> {
        let seen = seen.with(c);
        let all = self.everything(s, c, seen);
        let mut votes = Vec::with_capacity(NODES);
        for p in 0..self.options.nodes {
            let (mut done, mut intent) = (all.done[p], all.intent[p]);
            if seen.has(p) && !self.options.breaks(Break::CibOnly) {
                let (node, own) = (&s.nodes[p], &s.nodes[p].file);
                if !(self.options.breaks(Break::CibIsEnough) && done.id == own.done[p].id) {
                    done = own.done[p];
                }
                intent = own.intent[p];
                if !intent.exists() || !node.wal.has_promotion(intent.id) {
                    intent = Entry::default();
                }
            } else if self.options.breaks(Break::IntentIgnored)
                || self.options.told_void && s.nodes[p].file.gave_up(p, intent)
            {
                intent = Entry::default();
            }
            let entry = if intent.key() > done.key() { intent } else { done };
            if entry.exists() {
                votes.push(Vote { primary: p, entry });
            }
        }
        let high = votes.iter().map(|vote| vote.entry.term).max().unwrap_or(0);
        votes.retain(|vote| vote.entry.term == high);
        votes
    }

    /// The highest term that is seen anywhere.
    pub fn max_term(&self, s: &State, c: usize, seen: Set) -> u8 {
        seen.with(c)
            .iter()
            .map(|node| s.nodes[node].file.max_term())
            .chain([s.nodes[c].cib.max_term()])
            .max()
            .unwrap_or(0)
    }

    /// What a node's data has of a timeline that no noted promotion explains is believed by nobody.
    pub fn believed(&self, s: &State, node: usize) -> bool {
        let Node { wal, followed, .. } = s.nodes[node];
        self.options.breaks(Break::Unexplained) || self.explained(s, wal, followed)
    }

    /// Whether the promotion that was noted explains all that this WAL has.
    pub fn explained(&self, s: &State, wal: Wal, followed: u8) -> bool {
        wal.timeline() <= s.lines[usize::from(followed)]
    }

    fn permitted(&self, s: &State, c: usize, seen: Set, vote: &Vote, cold: bool) -> bool {
        let seen = seen.with(c);
        let Vote { primary, entry } = *vote;
        let group = entry.heirs.with(primary);
        if self.options.breaks(Break::Anybody) {
            return true;
        }
        if !group.has(c) {
            return false;
        }
        if primary == c && entry.heirs.is_empty() {
            return true;
        }
        if cold && self.options.breaks(Break::LoneStart) {
            return true;
        }
        let me = &s.nodes[c];
        if me.followed != 0
            && !entry.descends_from(me.followed)
            && !self.options.breaks(Break::AnyBranch)
        {
            return false;
        }
        if !seen.and(group).with(c).iter().all(|node| self.believed(s, node)) {
            return false;
        }
        if !self.options.breaks(Break::Behind)
            && !seen.and(group).iter().all(|node| s.nodes[node].wal.seems_to_begin(me.wal))
        {
            return false;
        }
        if primary == c && self.options.breaks(Break::InPlaceUnseen) {
            return true;
        }
        if cold {
            group.within(seen)
        } else if self.options.breaks(Break::NotAllSeen) {
            !entry.heirs.and(seen).is_empty()
        } else {
            entry.heirs.within(seen)
        }
    }

    /// What `c` would be promoted with when these answer.
    pub fn election(&self, s: &State, c: usize, seen: Set) -> Option<Plan> {
        let votes = self.votes(s, c, seen);
        let after = votes.iter().max_by_key(|vote| vote.entry.key())?.entry;
        if !votes.iter().all(|vote| self.permitted(s, c, seen, vote, false)) {
            return None;
        }
        let out: Set = (0..self.options.nodes).filter(|node| is_out(s, c, *node)).collect();
        let heirs_of_all = votes.iter().fold(Set::NONE, |all, vote| all.or(vote.entry.heirs));
        let mut names = heirs_of_all.without(c).minus(out);
        let mut heirs = Set::NONE;
        let own = votes.iter().find(|vote| vote.primary == c).map(|vote| vote.entry);
        if let Some(entry) = own {
            names = names.and(entry.heirs);
            if !self.options.breaks(Break::UnknownNames) {
                for node in entry.heirs.and(seen).iter() {
                    let theirs = s.nodes[node].file.done[c];
                    if theirs.id == entry.id && !theirs.heirs.is_empty() {
                        names = names.and(theirs.heirs);
                    }
                }
            }
            if !names.is_empty() {
                heirs = entry.heirs;
            } else if !entry.heirs.within(out) {
                return None;
            }
        } else if self.options.breaks(Break::HeirsKept) {
            heirs = names;
        }
        if self.options.breaks(Break::NobodyConfirms) {
            names = Set::NONE;
        }
        let in_place = own.filter(|_| !self.options.breaks(Break::NewTerm));
        Some(Plan { names, heirs, in_place, after })
    }

    /// No primary anywhere: may `c` have a score?
    pub fn cold_start(&self, s: &State, c: usize, present: Set) -> bool {
        let votes = self.votes(s, c, present);
        !votes.is_empty() && votes.iter().all(|vote| self.permitted(s, c, present, vote, true))
    }

    /// The members whose standbys answer `c`.
    pub fn present(&self, s: &State, c: usize) -> Set {
        self.reached(s, c).iter().filter(|node| s.nodes[*node].server == Server::Standby).collect()
    }
}

/// Whether `by` has it that `node` is offline and not unclean.
pub fn is_out(s: &State, by: usize, node: usize) -> bool {
    !s.nodes[by].view.has(node) && !s.nodes[by].unclean.has(node)
}
