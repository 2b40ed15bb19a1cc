//! A promotion: scores of a cold start, the election, the intent, and PostgreSQL.

use super::Moves;
use crate::Model;
use crate::election::Plan;
use crate::rules::Break;
use crate::state::{Entry, NOBODY, Promotion, Server, Set, State};

impl Model {
    pub(super) fn promotion(&self, s: &State, p: usize, faults: bool, moves: &mut Moves) {
        let node = &s.nodes[p];
        let standby = node.server == Server::Standby;
        if standby
            && node.promotion == Promotion::None
            && self.pacemaker_acts(s, p)
            && !Self::primary_in_view(s, p)
        {
            let present = self.present(s, p);
            if node.scores.has(p) {
                self.elect(s, p, present, faults, moves);
                self.pass_the_right(s, p, present, moves);
            } else if self.cold_start(s, p, present) {
                let mut t = *s;
                self.set_score(&mut t, p, p, true);
                moves.add(t, || format!("cold start: a score for {p} (present {present})"));
            }
            if s.used.forced < self.options.forced && faults {
                self.force(s, p, present, moves);
            }
        }
        if node.promotion != Promotion::None && faults {
            let mut t = *s;
            t.nodes[p].promotion = Promotion::None;
            t.nodes[p].planned_names = Set::NONE;
            moves.add(t, || format!("promote({p}) gives up"));
        }
        let told = match node.promotion {
            Promotion::None => false,
            Promotion::Written => self.options.breaks(Break::NoIntent),
            Promotion::Announced => true,
        };
        if standby && told {
            self.tell(s, p, moves);
        }
    }

    /// Whoever has the right may pass it to another one of E, which may have more.
    fn pass_the_right(&self, s: &State, p: usize, present: Set, moves: &mut Moves) {
        let votes = self.votes(s, p, present);
        let heirs =
            |x: usize| !votes.is_empty() && votes.iter().all(|vote| vote.entry.heirs.has(x));
        for x in present.without(p).iter().filter(|x| !s.nodes[p].scores.has(*x) && heirs(*x)) {
            let mut t = *s;
            self.set_score(&mut t, p, x, true);
            moves.add(t, || format!("{p} passes the right to {x} (present {present})"));
        }
    }

    /// Any of the present may answer in time, or not.
    fn elect(&self, s: &State, p: usize, present: Set, faults: bool, moves: &mut Moves) {
        for others in present.without(p).subsets() {
            let seen = others.with(p);
            if let Some(plan) = self.election(s, p, seen) {
                self.write_intent(s, p, seen, &plan, faults, moves);
            }
            if !faults {
                return;
            }
        }
    }

    fn write_intent(
        &self,
        s: &State,
        p: usize,
        seen: Set,
        plan: &Plan,
        faults: bool,
        moves: &mut Moves,
    ) {
        let mut t = *s;
        let (term, seq) = if let Some(own) = plan.in_place {
            if faults && s.used.in_place >= self.options.in_place {
                return;
            }
            t.used.in_place += 1;
            let highest = seen
                .iter()
                .map(|i| &s.nodes[i].file)
                .chain([&s.nodes[p].cib])
                .flat_map(|store| [store.done[p], store.intent[p]])
                .filter(|entry| entry.term == own.term)
                .map(|entry| entry.seq)
                .max();
            (own.term, highest.unwrap_or(own.seq) + 1)
        } else {
            let high = self.max_term(s, p, seen);
            if high >= s.max_term {
                return;
            }
            (high + 1, 0)
        };
        let Some(id) = Self::draw(&mut t, p) else { return };
        let node = &mut t.nodes[p];
        self.settle_intent(node, p);
        let past = self.history(s, p, plan.after, node.followed);
        let heirs = plan.heirs;
        node.file.intent[p] = Entry { term, seq, id, heirs, past };
        node.promotion = Promotion::Written;
        node.planned_names = plan.names;
        node.upstream = NOBODY;
        moves.add(t, || {
            format!(
                "promote({p}): permitted (seen {seen}), own file: intent (t{term} s{seq} u{id}) \
                 E{heirs} V{}",
                plan.names
            )
        });
    }

    /// A number for a new promotion of `p`; none when they are used up.
    fn draw(t: &mut State, p: usize) -> Option<u8> {
        let id = t.next_promotion;
        let line = t.lines.get_mut(usize::from(id))?;
        *line = (t.nodes[p].wal.timeline() + 1) & 7;
        t.next_promotion += 1;
        Some(id)
    }

    /// The promotions that the data of `p` contains: those up to the one that it noted, as far as its
    /// own timeline goes.
    fn history(&self, s: &State, p: usize, after: Entry, followed: u8) -> u16 {
        let all = after.past | 1 << after.id;
        if self.options.breaks(Break::AllHistory) {
            return all;
        }
        if !after.descends_from(followed) || followed == 0 {
            return 0;
        }
        let line = s.nodes[p].wal.timeline();
        (1..=followed)
            .filter(|id| all >> id & 1 == 1 && s.lines[usize::from(*id)] <= line)
            .fold(0, |past, id| past | 1 << id)
    }

    fn tell(&self, s: &State, p: usize, moves: &mut Moves) {
        let mut t = *s;
        let node = &mut t.nodes[p];
        let id = node.file.intent[p].id;
        let line = s.lines[usize::from(id)];
        node.wal.promote(line, id);
        node.server = Server::Primary;
        node.promotion = Promotion::None;
        node.names = node.planned_names;
        node.planned_names = Set::NONE;
        node.waits = !node.names.is_empty();
        node.old_names = Set::NONE;
        node.old_senders = false;
        node.barrier = node.wal.len + 1;
        let names = node.names;
        self.set_score(&mut t, p, p, true);
        moves.add(t, || format!("{p} is promoted: timeline {line}, writable, V{names}"));
    }

    /// An operator's word: an entry of the next term that this node may act on alone.
    fn force(&self, s: &State, p: usize, present: Set, moves: &mut Moves) {
        let high = self.max_term(s, p, present);
        if high >= s.max_term || self.cold_start(s, p, present) {
            return;
        }
        let mut t = *s;
        let Some(id) = Self::draw(&mut t, p) else { return };
        t.used.forced += 1;
        let chain = present
            .with(p)
            .iter()
            .map(|i| &s.nodes[i].file)
            .chain([&s.nodes[p].cib])
            .flat_map(|store| store.entries().copied().collect::<Vec<_>>())
            .find(|entry| entry.descends_from(s.nodes[p].followed));
        let node = &mut t.nodes[p];
        self.settle_intent(node, p);
        let followed = node.followed;
        let past = chain.map_or(0, |entry| self.history(s, p, entry, followed));
        node.file.done[p] = Entry { term: high + 1, seq: 0, id, heirs: Set::NONE, past };
        node.file = node.file.normal();
        // What is not on this node is given up with this word.
        for number in 1..s.next_commit {
            if !node.wal.has_commit(number) {
                t.acked &= !(1 << number);
            }
        }
        self.set_score(&mut t, p, p, true);
        moves.add(t, || format!("AN OPERATOR FORCES {p}: (t{} u{id}) E{{}}", high + 1));
    }
}
