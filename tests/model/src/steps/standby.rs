//! A standby: ledger copies, following, what it notes of whom it follows.

use super::Moves;
use crate::Model;
use crate::rules::Break;
use crate::state::{Entry, NOBODY, NODES, Promotion, Server, State};

impl Model {
    /// The file takes over from the CIB, and the CIB from the file.
    pub(super) fn ledger_copies(&self, s: &State, p: usize, moves: &mut Moves) {
        let node = &s.nodes[p];
        if node.server == Server::Stopped && self.pacemaker_acts(s, p) {
            let mut t = *s;
            t.nodes[p].server = Server::Standby;
            t.nodes[p].upstream = NOBODY;
            self.settle_intent(&mut t.nodes[p], p);
            if !self.options.breaks(Break::OldScores) {
                self.set_score(&mut t, p, p, false);
            }
            moves.add(t, || format!("{p} starts as a standby"));
        }
        let file = node.file.merged(&node.cib, Some(p));
        if file != node.file && node.promotion == Promotion::None {
            let mut t = *s;
            self.settle_intent(&mut t.nodes[p], p);
            t.nodes[p].file = t.nodes[p].file.merged(&node.cib, Some(p));
            moves.add(t, || format!("{p} copies the CIB's {} to its file", node.cib));
        }
        let cib = node.cib.merged(&node.file, None);
        let announced = |t: &mut State| {
            if node.promotion == Promotion::Written && cib.intent[p] == node.file.intent[p] {
                t.nodes[p].promotion = Promotion::Announced;
            }
        };
        if cib != node.cib {
            let mut t = *s;
            self.set_cib(&mut t, p, cib);
            announced(&mut t);
            moves.add(t, || {
                format!("{p} writes {} to the CIB of {}", node.file, self.reached(s, p))
            });
        } else if node.promotion == Promotion::Written {
            let mut t = *s;
            t.nodes[p].promotion = Promotion::Announced;
            moves.add(t, || format!("{p}: the CIB has its intent"));
        }
    }

    pub(super) fn standby(&self, s: &State, p: usize, moves: &mut Moves) {
        let node = &s.nodes[p];
        if node.server != Server::Standby || node.promotion != Promotion::None {
            return;
        }
        for x in node.view.without(p).iter().filter(|x| Self::connected(s, p, *x)) {
            let other = &s.nodes[x];
            if usize::from(node.upstream) == x {
                continue;
            }
            if other.server == Server::Primary {
                self.follow(s, p, x, moves);
            } else if other.promotion != Promotion::None
                && (self.options.breaks(Break::BlindPointing)
                    || node.followed == 0
                    || other.file.intent[x].descends_from(node.followed))
                && self.believed(s, p)
            {
                // In pre-promote; it attaches when the other one accepts writes.
                let mut t = *s;
                Self::point(&mut t, p, x);
                moves.add(t, || format!("{p} is pointed at {x}, which is about to be promoted"));
            }
        }
        let mut t = *s;
        if self.explain(&mut t, p) {
            moves.add(t, || format!("{p} notes whose promotion its data is of"));
        }
        let x = usize::from(node.upstream);
        if node.upstream == NOBODY {
            return;
        }
        if s.nodes[x].server == Server::Primary && Self::connected(s, p, x) {
            let mut t = *s;
            if self.note(&mut t, p, x) {
                moves.add(t, || format!("{p} notes the promotion of {x}"));
            }
        }
        if self.streams(s, x, p) && node.wal.len < s.nodes[x].wal.len {
            let mut t = *s;
            t.nodes[p].wal.append(s.nodes[x].wal.byte(node.wal.len));
            moves.add(t, || format!("a record goes from {x} to {p}"));
        }
    }

    /// Points `p` at `x`. The name is on disk before that.
    fn point(t: &mut State, p: usize, x: usize) {
        t.nodes[p].upstream = u8::try_from(x).unwrap_or(NOBODY);
        t.nodes[p].pointed = t.nodes[p].upstream;
    }

    /// A standby meets a primary: it follows if all that it can see fits, else it is brought back.
    fn follow(&self, s: &State, p: usize, x: usize, moves: &mut Moves) {
        let (node, primary) = (&s.nodes[p], &s.nodes[x]);
        let mut t = *s;
        if !self.options.breaks(Break::Unexplained) {
            // What it was pointed at may have been noted by its primary since.
            self.note(&mut t, p, x);
        }
        let followed = t.nodes[p].followed;
        let other_branch = if followed == 0 || self.options.breaks(Break::AnyBranch) {
            false
        } else if let Some(entry) = self.entry_of(&t, p, x) {
            !entry.descends_from(followed)
        } else if self.options.breaks(Break::UnknownFollows) {
            false
        } else {
            return;
        };
        if node.wal.seems_to_begin(primary.wal) && !other_branch && self.believed(&t, p) {
            if !self.options.breaks(Break::NotedLate) {
                self.note(&mut t, p, x);
            }
            Self::point(&mut t, p, x);
            moves.add(t, || format!("{p} follows {x}"));
            return;
        }
        let mut t = *s;
        t.nodes[p].wal = primary.wal;
        t.nodes[p].followed = primary.wal.last_promotion().map_or(0, |(_, _, id)| id);
        Self::point(&mut t, p, x);
        t.nodes[p].pointed = NOBODY;
        self.set_score(&mut t, p, p, false);
        moves.add(t, || format!("{p} is rebuilt from {x}"));
    }

    /// The entry that `p` finds in the CIB of the primary `x`. It is an intent until `x` has said that it
    /// is done; but it accepts writes, so it was carried out.
    fn entry_of(&self, s: &State, p: usize, x: usize) -> Option<Entry> {
        let cib = &s.nodes[p].cib;
        let (done, intent) = (cib.done[x], cib.intent[x]);
        let newer = intent.key() > done.key() && !self.options.breaks(Break::UnknownFollows);
        Some(if newer { intent } else { done }).filter(Entry::exists)
    }

    /// Bytes that nothing explains are of whom this node was pointed at, if its newest entry,
    /// which these bytes show to be carried out, explains them. No primary is needed for that.
    fn explain(&self, t: &mut State, p: usize) -> bool {
        let node = &t.nodes[p];
        let x = usize::from(node.pointed);
        if self.options.breaks(Break::Unexplained)
            || x >= NODES
            || self.explained(t, node.wal, node.followed)
        {
            return false;
        }
        let store = node.file.merged(&node.cib, Some(p));
        let (done, intent) = (store.done[x], store.intent[x]);
        let entry = if intent.key() > done.key() { intent } else { done };
        let fits = entry.exists()
            && entry.descends_from(node.followed)
            && self.explained(t, node.wal, entry.id);
        if fits {
            t.nodes[p].followed = entry.id;
        }
        fits
    }

    /// Notes the promotion of `x` as the one that the data of `p` is of, if the newest entry that `p`
    /// knows says so and descends from what was noted before. Whether it was noted.
    fn note(&self, t: &mut State, p: usize, x: usize) -> bool {
        let node = &t.nodes[p];
        let store = node.file.merged(&node.cib, Some(p));
        let Some((_, entry)) = store.newest_done().filter(|(primary, _)| *primary == x) else {
            return false;
        };
        if node.followed == entry.id || node.followed != 0 && !entry.descends_from(node.followed) {
            return false;
        }
        // Bytes that nothing explains are of whom it was pointed at, or of nobody.
        let unexplained = !self.explained(t, node.wal, node.followed);
        if !self.options.breaks(Break::Unexplained)
            && unexplained
            && (usize::from(node.pointed) != x || !self.explained(t, node.wal, entry.id))
        {
            return false;
        }
        let node = &mut t.nodes[p];
        node.file = store;
        node.followed = entry.id;
        true
    }
}
