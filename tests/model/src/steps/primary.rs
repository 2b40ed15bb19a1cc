//! The primary: commits, and its care for V, E and the scores, as `decide/sync.rs` has it.

use super::Moves;
use crate::Model;
use crate::election::is_out;
use crate::rules::Break;
use crate::state::{Entry, RECORDS, Record, Server, Set, State};

/// What the primary's care goes by.
struct Care {
    p: usize,
    /// Its done entry.
    own: Entry,
    /// The same in its copy of the CIB.
    cib: Entry,
    /// The next sequence number.
    seq: u8,
    /// It may still write entries in this term.
    room: bool,
    /// V is in effect.
    effective: bool,
}

impl Care {
    /// File and CIB say the same.
    fn same(&self) -> bool {
        self.own == self.cib
    }

    fn with_heirs(&self, heirs: Set) -> Entry {
        Entry { seq: self.seq, heirs, ..self.own }
    }
}

impl Model {
    pub(super) fn primary(&self, s: &State, p: usize, faults: bool, moves: &mut Moves) {
        let node = &s.nodes[p];
        if node.file.intent[p].exists() && node.wal.has_promotion(node.file.intent[p].id) {
            let mut t = *s;
            Self::carried_out(&mut t.nodes[p], p);
            moves.add(t, || format!("{p}: own file: done"));
        }
        self.commit(s, p, moves);
        if node.old_senders {
            let mut t = *s;
            t.nodes[p].old_senders = false;
            t.nodes[p].old_names = Set::NONE;
            moves.add(t, || format!("the senders of {p} take up V"));
        }
        let no_checkpoint = self.options.breaks(Break::NoCheckpoint);
        if node.barrier == 0 && (!node.old_senders || self.options.breaks(Break::OldSenders)) {
            let mut t = *s;
            if !no_checkpoint {
                t.nodes[p].waits = !node.names.is_empty();
            }
            t.nodes[p].barrier = node.wal.len + 1;
            moves.add(t, || format!("{p}: V{} in effect at {}", node.names, node.wal.len));
        }
        if no_checkpoint && node.waits == node.names.is_empty() {
            let mut t = *s;
            t.nodes[p].waits = !node.names.is_empty();
            moves.add(t, || format!("the checkpointer of {p} takes up V"));
        }
        self.care(s, p, faults, moves);
    }

    fn commit(&self, s: &State, p: usize, moves: &mut Moves) {
        let node = &s.nodes[p];
        let Some(at) = Self::in_flight(node, s.acked) else {
            // A place is left for a promotion.
            if s.next_commit <= self.options.commits && node.wal.len < RECORDS - 1 {
                let mut t = *s;
                t.next_commit += 1;
                t.nodes[p].wal.append(s.next_commit);
                moves.add(t, || format!("commit c{} is on the disk of {p}", s.next_commit));
            }
            return;
        };
        let Record::Commit(number) = node.wal.record(at) else { return };
        let any =
            |names: Set| names.iter().any(|x| self.streams(s, p, x) && s.nodes[x].wal.len > at);
        let how = if !node.waits {
            "nobody is waited for"
        } else if any(node.names) {
            "V"
        } else if node.old_senders && any(node.old_names) {
            "a sender with the old V"
        } else {
            return;
        };
        let mut t = *s;
        t.acked |= 1 << number;
        moves.add(t, || format!("c{number} IS ACKNOWLEDGED by {p} ({how})"));
    }

    /// The ledger is the primary's to change only while its own entry is the newest.
    fn care(&self, s: &State, p: usize, faults: bool, moves: &mut Moves) {
        let node = &s.nodes[p];
        let (own, cib) = (node.file.done[p], node.cib.done[p]);
        let superseded =
            || self.votes(s, p, self.reached(s, p)).iter().any(|vote| vote.primary != p);
        if !own.exists() || node.file.intent[p].exists() || cib.id != own.id || superseded() {
            return;
        }
        let highest = own.seq.max(cib.seq);
        let care = Care {
            p,
            own,
            cib,
            seq: highest + 1,
            room: highest < self.options.seqs + if faults { 0 } else { 2 },
            effective: node.barrier > 0,
        };
        for x in (0..self.options.nodes).filter(|x| *x != p) {
            self.scores(s, &care, x, moves);
            if care.same() {
                self.grow(s, &care, x, moves);
                self.shrink(s, &care, x, moves);
            } else if self.options.breaks(Break::CibFirst)
                && own.heirs.is_empty()
                && !cib.heirs.is_empty()
                && node.names == cib.heirs
            {
                let mut t = *s;
                t.nodes[p].file.done[p] = cib;
                moves.add(t, || format!("{p}: own file E{} (first heir)", cib.heirs));
            }
        }
        if care.same() {
            self.names_follow(s, &care, moves);
        }
        self.relax(s, &care, moves);
    }

    /// `x` streams and has what was written since V is in effect.
    fn has_all(&self, s: &State, care: &Care, x: usize) -> bool {
        let barrier = s.nodes[care.p].barrier;
        self.streams(s, care.p, x) && barrier > 0 && s.nodes[x].wal.len + 1 >= barrier
    }

    fn acked(s: &State, care: &Care, x: usize, entry: Entry) -> bool {
        let theirs = s.nodes[x].file.done[care.p];
        theirs.id == entry.id && theirs.seq >= entry.seq && theirs.heirs == entry.heirs
    }

    /// `x` has an entry of this promotion.
    fn knows(s: &State, care: &Care, x: usize) -> bool {
        s.nodes[x].file.done[care.p].id == care.own.id
    }

    fn write_file(s: &State, care: &Care, heirs: Set, why: &str, moves: &mut Moves) {
        if !care.room {
            return;
        }
        let (p, mut t) = (care.p, *s);
        t.nodes[p].file.done[p] = care.with_heirs(heirs);
        moves.add(t, || format!("{p}: own file E{heirs} ({why})"));
    }

    fn write_names(&self, s: &State, p: usize, names: Set, why: &str, moves: &mut Moves) {
        let mut t = *s;
        self.set_names(&mut t.nodes[p], names);
        moves.add(t, || format!("{p}: V := {names} ({why})"));
    }

    fn scores(&self, s: &State, care: &Care, x: usize, moves: &mut Moves) {
        let p = care.p;
        let node = &s.nodes[p];
        if node.scores.has(x) && node.view.has(x) {
            let mut t = *s;
            self.set_score(&mut t, p, x, false);
            moves.add(t, || format!("{p} takes the score of {x} (reached {})", self.reached(s, p)));
        }
        if care.same()
            && care.own.heirs.and(node.names).and(node.view).has(x)
            && care.effective
            && !node.scores.has(x)
            && self.streams(s, p, x)
            && Self::connected(s, p, x)
            && Self::knows(s, care, x)
        {
            let mut t = *s;
            self.set_score(&mut t, p, x, true);
            moves.add(t, || format!("{p} gives {x} a score"));
        }
    }

    fn grow(&self, s: &State, care: &Care, x: usize, moves: &mut Moves) {
        let p = care.p;
        let node = &s.nodes[p];
        let heirs = care.own.heirs;
        let one = Set::one(x);
        if heirs.is_empty() {
            if node.names != one && care.effective && self.streams(s, p, x) && !node.old_senders {
                self.write_names(s, p, one, "first heir", moves);
            }
            let ready = Self::knows(s, care, x)
                && (self.has_all(s, care, x) || self.options.breaks(Break::HeirLacks));
            if node.names == one && care.effective && ready {
                if self.options.breaks(Break::CibFirst) {
                    if care.room {
                        let mut t = *s;
                        let mut cib = node.cib;
                        cib.done[p] = care.with_heirs(one);
                        self.set_cib(&mut t, p, cib);
                        moves.add(t, || format!("{p}: CIB E{one} (first heir)"));
                    }
                } else {
                    Self::write_file(s, care, one, "first heir", moves);
                }
            }
        } else if !heirs.has(x)
            && node.names == heirs
            && self.has_all(s, care, x)
            && Self::knows(s, care, x)
        {
            Self::write_file(s, care, heirs.with(x), "one more", moves);
        }
    }

    /// `x` is let go where another one stays.
    fn shrink(&self, s: &State, care: &Care, x: usize, moves: &mut Moves) {
        let p = care.p;
        let node = &s.nodes[p];
        let heirs = care.own.heirs;
        let rest = heirs.without(x);
        if !heirs.has(x) || rest.is_empty() || node.scores.has(x) {
            return;
        }
        if node.names != rest {
            // A growth that was begun: who confirms commits may still act on the smaller E.
            let agreed =
                node.names.iter().all(|y| Self::acked(s, care, y, care.own) || is_out(s, p, y));
            if rest.within(node.names) || agreed || self.options.breaks(Break::HeirsUnaware) {
                self.write_names(s, p, rest, "one less", moves);
            }
        } else if care.effective
            && (rest.iter().any(|y| self.has_all(s, care, y))
                || self.options.breaks(Break::RestLacks))
        {
            Self::write_file(s, care, rest, "one less", moves);
        }
    }

    /// V follows a larger E once those who could act on the older one have it; and it is empty once E is.
    fn names_follow(&self, s: &State, care: &Care, moves: &mut Moves) {
        let p = care.p;
        let node = &s.nodes[p];
        let heirs = care.own.heirs;
        if heirs.is_empty() {
            let proven = node.names.iter().all(|x| Self::proven(s, care, x, care.own));
            if !node.names.is_empty() && (!self.options.breaks(Break::FileTooSoon) || proven) {
                self.write_names(s, p, Set::NONE, "alone", moves);
            }
            return;
        }
        let agreed = node.names.iter().all(|x| Self::acked(s, care, x, care.own));
        if node.names.within(heirs)
            && node.names != heirs
            && !node.old_senders
            && (agreed || self.options.breaks(Break::HeirsUnaware))
        {
            self.write_names(s, p, heirs, "E has grown", moves);
        }
    }

    fn proven(s: &State, care: &Care, x: usize, entry: Entry) -> bool {
        is_out(s, care.p, x) || Self::acked(s, care, x, entry)
    }

    /// The way to E = {}.
    fn relax(&self, s: &State, care: &Care, moves: &mut Moves) {
        let p = care.p;
        let node = &s.nodes[p];
        let heirs = care.own.heirs;
        if heirs.is_empty() || !self.may_act(s, p) {
            return;
        }
        if care.same() && care.room {
            let mut t = *s;
            let mut cib = node.cib;
            cib.done[p] = care.with_heirs(Set::NONE);
            self.set_cib(&mut t, p, cib);
            moves.add(t, || format!("{p}: CIB of {}: E{{}} (going alone)", self.reached(s, p)));
        }
        if care.cib.seq <= care.own.seq || !care.cib.heirs.is_empty() {
            return;
        }
        let unproven =
            self.options.breaks(Break::Unproven) || self.options.breaks(Break::FileTooSoon);
        if unproven || heirs.iter().all(|x| Self::proven(s, care, x, care.cib)) {
            let mut t = *s;
            t.nodes[p].file.done[p] = care.cib;
            moves.add(t, || format!("{p}: own file E{{}} (alone)"));
        }
        if self.options.breaks(Break::NamesTooSoon) && !node.names.is_empty() {
            self.write_names(s, p, Set::NONE, "before the proof", moves);
        }
        if heirs.iter().all(|x| self.streams(s, p, x)) {
            Self::write_file(s, care, heirs, "not alone after all", moves);
        }
    }

    /// Whether more than one node accepts writes.
    pub fn two_primaries(&self, s: &State) -> bool {
        let primaries = s.nodes.iter().filter(|node| node.up && node.server == Server::Primary);
        primaries.count() > 1
    }
}
