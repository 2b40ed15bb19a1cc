//! The world around PostgreSQL: memberships, fencing, faults, the network.

use super::Moves;
use crate::Model;
use crate::rules::Break;
use crate::state::{NODES, Server, Set, State, Store};

impl Model {
    /// A connected part agrees on who is in it, and the CIB with the highest version wins; a lost
    /// node is fenced; a node boots.
    pub(super) fn membership(&self, s: &State, p: usize, faults: bool, moves: &mut Moves) {
        let node = &s.nodes[p];
        if node.up {
            let part = self.component(s, p);
            if part.lowest() == Some(p) && part.iter().any(|i| s.nodes[i].view != part) {
                self.forms(s, part, moves);
            }
            if faults && self.may_act(s, p) {
                for x in node.unclean.iter().filter(|x| !Self::connected(s, p, *x)) {
                    let was_up = s.nodes[x].up;
                    let mut t = *s;
                    if was_up {
                        t.nodes[x].power_off(self.options.breaks(Break::OldScores));
                    }
                    for i in node.view.iter().filter(|i| Self::connected(s, p, *i)) {
                        let told = &mut t.nodes[i];
                        told.unclean = told.unclean.without(x);
                        told.fresh &= !told.unclean.is_empty();
                    }
                    moves.add(t, || {
                        format!("{p} fences {x}{}", if was_up { " (was alive)" } else { "" })
                    });
                }
            }
        } else if !s.gone.has(p) {
            let mut t = *s;
            let booted = &mut t.nodes[p];
            booted.up = true;
            booted.view = Set::one(p);
            booted.unclean = self.everybody().without(p);
            booted.fresh = true;
            booted.met_all = false;
            moves.add(t, || format!("node {p} boots"));
        }
    }

    fn forms(&self, s: &State, part: Set, moves: &mut Moves) {
        let newest = part.iter().map(|i| s.nodes[i].version).max().unwrap_or(0);
        let established: Set = part.iter().filter(|i| !s.nodes[*i].fresh).collect();
        let tellers = if established.is_empty() { part } else { established };
        let unclean = tellers
            .iter()
            .fold(Set::NONE, |all, i| all.or(s.nodes[i].unclean).or(s.nodes[i].view))
            .minus(part);
        let met_all = part == self.everybody() || part.iter().any(|i| s.nodes[i].met_all);
        let scores: Set = part.iter().filter(|i| s.nodes[*i].scores.has(*i)).collect();
        let mut taken: Vec<Store> = Vec::new();
        for winner in part.iter() {
            let cib = s.nodes[winner].cib;
            if s.nodes[winner].version != newest || taken.contains(&cib) {
                continue;
            }
            taken.push(cib);
            let mut t = *s;
            for i in part.iter() {
                let node = &mut t.nodes[i];
                node.view = part;
                node.unclean = unclean;
                node.cib = cib;
                node.version = newest;
                node.scores = scores;
                node.met_all = met_all;
                node.fresh &= part.len() == 1;
            }
            moves
                .add(t, || format!("membership forms {part} (unclean {unclean}, CIB of {winner})"));
        }
    }

    /// What breaks.
    pub(super) fn faults(&self, s: &State, p: usize, moves: &mut Moves) {
        let bounds = &self.options;
        let node = &s.nodes[p];
        if !s.gone.has(p) && s.gone.len() < usize::from(bounds.losses) {
            let mut t = *s;
            t.nodes[p].power_off(bounds.breaks(Break::OldScores));
            t.gone = t.gone.with(p);
            moves.add(t, || format!("NODE {p} IS LOST for good"));
        }
        if !node.up {
            return;
        }
        let runs = node.server != Server::Stopped;
        if runs && !self.may_act(s, p) {
            let mut t = *s;
            t.nodes[p].stop_server();
            moves.add(t, || format!("{p} stops PostgreSQL: no quorum"));
        }
        if s.used.crashes < bounds.crashes {
            let mut t = *s;
            t.used.crashes += 1;
            t.nodes[p].power_off(bounds.breaks(Break::OldScores));
            moves.add(t, || format!("POWER LOSS {p}"));
            if runs {
                let mut t = *s;
                t.used.crashes += 1;
                t.nodes[p].stop_server();
                moves.add(t, || format!("PostgreSQL on {p} CRASHES"));
            }
        }
        if s.used.moves < bounds.moves
            && node.server == Server::Primary
            && self.pacemaker_acts(s, p)
        {
            let mut t = *s;
            t.used.moves += 1;
            t.nodes[p].stop_server();
            t.nodes[p].server = Server::Standby;
            self.settle_intent(&mut t.nodes[p], p);
            self.set_score(&mut t, p, p, false);
            moves.add(t, || format!("planned move away from {p}"));
        }
        let part = self.component(s, p);
        if s.used.edits < bounds.edits && part.lowest() == Some(p) && part != self.everybody() {
            let mut t = *s;
            t.used.edits += 1;
            for i in part.iter() {
                t.nodes[i].version += 3;
            }
            moves.add(t, || format!("somebody edits the CIB of {part}"));
        }
    }

    /// Cuts, and their end. When the world only heals, memberships have settled before that.
    pub(super) fn network(&self, s: &State, faults: bool, moves: &mut Moves) {
        let whole = s.part == [0; NODES + 1];
        if faults && whole && s.used.cuts < self.options.cuts {
            if self.options.nodes == 2 {
                for vote in 0..=u8::from(self.options.third_vote) {
                    let mut t = *s;
                    t.used.cuts += 1;
                    t.part = [0, 1, 0, vote];
                    moves.add(t, || format!("CUT 0|1 (a third vote is with {vote})"));
                }
            } else {
                for i in 0..NODES {
                    let mut t = *s;
                    t.used.cuts += 1;
                    t.part[i] = 1;
                    moves.add(t, || format!("CUT {i} from the others"));
                }
            }
        }
        let nodes = 0..self.options.nodes;
        let settled = nodes.clone().all(|a| {
            let node = &s.nodes[a];
            !node.up || nodes.clone().all(|b| !node.view.has(b) || s.part[a] == s.part[b])
        });
        if !whole && (!faults || settled) {
            let mut t = *s;
            t.part = [0; NODES + 1];
            moves.add(t, || "the network heals".to_owned());
        }
    }
}
