//! The election against the model checker's own words: the same functions written anew over small
//! bit sets, and compared on a great many ledgers, positions and memberships that chance made up.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Facts, Obstacle, Purpose, Ruling, judge};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Mode, PromotionId, Slot, Store};
use crate::cluster::node::NodeName;
use crate::cluster::position::{Exactness, Position};
use crate::decide::support::{Chance, SYSTEM, node, says};
use crate::postgres::lsn::{Lsn, Timeline};

/// An entry as the model has it: term (0: none), seq, uuid, E as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ent {
    t: u8,
    s: u8,
    u: u8,
    e: u8,
}

impl Ent {
    fn key(self) -> (u8, u8) {
        (self.t, self.s)
    }
}

/// A ledger: by node, its last done entry and a later intent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Book {
    done: [Ent; 3],
    intent: [Ent; 3],
}

impl Book {
    fn norm(mut self) -> Self {
        let high = self.done.iter().map(|e| e.t).max().unwrap();
        for p in 0..3 {
            if self.done[p].t < high {
                self.done[p] = Ent::default();
            }
            if self.intent[p].t < high || self.intent[p].key() <= self.done[p].key() {
                self.intent[p] = Ent::default();
            }
        }
        self
    }

    fn merge(mut self, other: &Self) -> Self {
        for p in 0..3 {
            if other.done[p].key() > self.done[p].key() {
                self.done[p] = other.done[p];
            }
            if other.intent[p].key() > self.intent[p].key() {
                self.intent[p] = other.intent[p];
            }
        }
        self.norm()
    }

    fn max_term(&self) -> u8 {
        self.done.iter().chain(&self.intent).map(|e| e.t).max().unwrap()
    }
}

/// One record of WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    /// Anything: commits look all alike to who compares positions.
    Any,
    /// The begin of this timeline.
    Timeline(u32),
}

/// A node: its file, whether its own intent was carried out, its WAL.
#[derive(Clone, Debug)]
struct One {
    file: Book,
    carried_out: bool,
    wal: Vec<Record>,
}

/// A question of node `c`, who sees `seen`.
#[derive(Clone, Debug)]
struct Case {
    n: usize,
    nodes: [One; 3],
    cib: Book,
    c: usize,
    seen: u8,
    out: u8,
}

fn has(mask: u8, i: usize) -> bool {
    mask >> i & 1 == 1
}

impl Case {
    fn newest(&self) -> Vec<(usize, Ent)> {
        let mut all = self.cib;
        for i in (0..self.n).filter(|i| has(self.seen, *i)) {
            all = all.merge(&self.nodes[i].file);
        }
        let mut entries = Vec::new();
        for p in 0..self.n {
            let (mut done, mut intent) = (all.done[p], all.intent[p]);
            if has(self.seen, p) {
                let own = &self.nodes[p];
                done = own.file.done[p];
                intent = if own.carried_out { own.file.intent[p] } else { Ent::default() };
            }
            if intent.key() > done.key() {
                done = intent;
            }
            if done.t > 0 {
                entries.push((p, done));
            }
        }
        let high = entries.iter().map(|(_, e)| e.t).max().unwrap_or(0);
        entries.retain(|(_, e)| e.t == high);
        entries
    }

    /// All of `a` is on the line of `b`.
    fn prefix(&self, a: usize, b: usize) -> bool {
        self.nodes[b].wal.starts_with(&self.nodes[a].wal)
    }

    fn permitted(&self, (p, entry): (usize, Ent), cold: bool) -> bool {
        let group = entry.e | 1 << p;
        if !has(group, self.c) {
            return false;
        }
        if p == self.c && entry.e == 0 {
            return true;
        }
        let relevant = self.seen & group;
        if !(0..self.n).all(|i| i == self.c || !has(relevant, i) || self.prefix(i, self.c)) {
            return false;
        }
        let all_of_e = entry.e & !self.seen == 0;
        if p == self.c && all_of_e {
            return true;
        }
        if cold { group & !self.seen == 0 } else { all_of_e }
    }

    fn all_permit(&self, cold: bool) -> bool {
        let entries = self.newest();
        !entries.is_empty() && entries.iter().all(|entry| self.permitted(*entry, cold))
    }

    /// V and E; none when nobody would be left to confirm.
    fn names(&self) -> Option<(u8, u8)> {
        let entries = self.newest();
        let mut v = entries.iter().fold(0, |v, (_, entry)| v | entry.e);
        v &= !(1 << self.c) & !self.out;
        let Some((_, own)) = entries.iter().find(|(p, _)| *p == self.c) else {
            return Some((v, 0));
        };
        v &= own.e;
        for y in (0..self.n).filter(|y| has(own.e & self.seen, *y)) {
            let theirs = self.nodes[y].file.done[self.c];
            if theirs.u == own.u && theirs.e != 0 {
                v &= theirs.e;
            }
        }
        if v == 0 && own.e & !self.out != 0 {
            return None;
        }
        Some((v, if v == 0 { 0 } else { own.e }))
    }
}

const NAMES: [&str; 3] = ["n1", "n2", "n3"];

fn set(mask: u8) -> BTreeSet<NodeName> {
    (0..3).filter(|i| has(mask, *i)).map(|i| node(NAMES[i])).collect()
}

fn real_entry(p: usize, entry: Ent) -> Entry {
    Entry {
        system_id: SYSTEM,
        term: entry.t.into(),
        seq: entry.s.into(),
        id: PromotionId(entry.u.into()),
        primary: node(NAMES[p]),
        timeline: Timeline(1),
        mode: Mode::Sync,
        heirs: set(entry.e),
        history: Vec::new(),
        adopted: None,
    }
}

fn real_store(book: &Book) -> Store {
    let mut store = Store::default();
    for (p, name) in NAMES.iter().enumerate() {
        let real = |entry: Ent| (entry.t > 0).then(|| real_entry(p, entry));
        store.replace_slot(
            &node(name),
            Slot { done: real(book.done[p]), intent: real(book.intent[p]), ..Slot::default() },
        );
    }
    store
}

/// The file of `i` with its own intent resolved, as it speaks of it.
fn resolved(i: usize, one: &One) -> Store {
    let mut store = real_store(&one.file);
    if one.carried_out {
        store.resolve_done(&node(NAMES[i]));
    } else {
        store.drop_intent(&node(NAMES[i]), false);
    }
    store
}

fn real_position(wal: &[Record]) -> Position {
    let lsn = |records: usize| Lsn(0x1000 + records as u64 * 0x10);
    let mut line = Vec::new();
    let mut current = 1;
    for (i, record) in wal.iter().enumerate() {
        if let Record::Timeline(timeline) = record {
            line.push(format!("{current}@{}", lsn(i)));
            current = *timeline;
        }
    }
    line.push(current.to_string());
    Position {
        system_id: SYSTEM,
        line: line.join(",").parse().unwrap(),
        lsn: lsn(wal.len()),
        exactness: Exactness::Exact,
    }
}

fn real_facts(case: &Case, purpose: Purpose) -> Facts {
    let me = &case.nodes[case.c];
    let peers: BTreeMap<_, _> = (0..case.n)
        .filter(|i| *i != case.c)
        .map(|i| {
            let one = &case.nodes[i];
            let said = if has(case.seen, i) {
                says(real_position(&one.wal), resolved(i, one))
            } else {
                Known::unknown("silent")
            };
            (node(NAMES[i]), said)
        })
        .collect();
    Facts {
        me: node(NAMES[case.c]),
        position: Known::Known(real_position(&me.wal)),
        own: resolved(case.c, me),
        followed: None,
        cib: Known::Known(real_store(&case.cib)),
        peers,
        out: set(case.out),
        mode: Mode::Sync,
        strict: false,
        reached: None,
        max_lag: 0,
        force: false,
        purpose,
    }
}

/// Entries of one (primary, term, seq) are the same wherever they are, as only their primary writes
/// them; `world` stands for what they say.
fn some_entry(chance: &mut Chance, world: u64, nodes: usize, p: usize, terms: u64) -> Ent {
    if chance.once_in(3) {
        return Ent::default();
    }
    let (t, s): (u8, u8) = (chance.below(terms), chance.below(3));
    let mut said = Chance(world ^ (p as u64) << 16 ^ u64::from(t) << 8 ^ u64::from(s));
    let others = ((1u8 << nodes) - 1) & !(1 << p);
    let e = if said.once_in(4) { 0 } else { said.below::<u8>(8) & others };
    // A change of E keeps the promotion; some changes are promotions in place.
    let id =
        1 + u8::try_from(p).unwrap() + 4 * (t + 1) + if said.once_in(8) { 32 * (s + 1) } else { 0 };
    Ent { t: t + 1, s, u: id, e }
}

fn some_book(chance: &mut Chance, world: u64, n: usize, terms: u64) -> Book {
    let mut book = Book::default();
    for p in 0..n {
        book.done[p] = some_entry(chance, world, n, p, terms);
        if chance.once_in(3) {
            book.intent[p] = some_entry(chance, world, n, p, terms + 1);
        }
    }
    book.norm()
}

fn some_case(chance: &mut Chance) -> Case {
    let n = 2 + chance.below::<usize>(2);
    let world = chance.next();
    // One term most of the time: then all entries count.
    let terms = 1 + chance.below::<u64>(2);
    let trunk: Vec<Record> = (0..5)
        .map(|i| if chance.once_in(4) { Record::Timeline(i + 2) } else { Record::Any })
        .collect();
    let one = |chance: &mut Chance| {
        let mut wal = trunk.clone();
        wal.truncate(if chance.once_in(2) { 4 } else { chance.below(6) });
        if chance.once_in(8) {
            wal.push(Record::Timeline(7 + chance.below::<u32>(2)));
        }
        if chance.once_in(8) {
            wal.push(Record::Any);
        }
        let file = some_book(chance, world, n, terms);
        One { file, carried_out: chance.once_in(2), wal }
    };
    let nodes = [one(chance), one(chance), one(chance)];
    let c: usize = chance.below(n as u64);
    let all = (1u8 << n) - 1;
    let seen = if chance.once_in(2) { all } else { chance.below::<u8>(8) & all } | 1 << c;
    let out = if chance.once_in(2) { 0 } else { chance.below::<u8>(8) & all & !(1u8 << c) };
    let cib = some_book(chance, world, n, terms);
    Case { n, nodes, cib, c, seen, out }
}

#[test]
fn the_election_rules_as_the_model_does() {
    let mut chance = Chance(20_261_120);
    let mut tally = BTreeMap::new();
    for round in 0..30_000 {
        let case = some_case(&mut chance);
        for purpose in [Purpose::Promotion, Purpose::ColdStart] {
            let cold = purpose == Purpose::ColdStart;
            let facts = real_facts(&case, purpose);
            let ruling = judge(&facts);
            let all = facts.everything(&real_store(&case.cib));
            if all.newest_done().is_none() && case.newest().is_empty() {
                continue; // a first start, which the model does not have
            }
            let names = case.names().filter(|_| case.all_permit(cold));
            let what = match (&ruling, names) {
                (Ruling::Refused(obstacles), None) => {
                    let nobody = matches!(obstacles.as_slice(), [Obstacle::NobodyToConfirm(_)]);
                    assert_eq!(nobody, case.all_permit(cold), "{round}: {case:?} {obstacles:?}");
                    if nobody { "nobody to confirm" } else { "refused" }
                }
                (Ruling::Permitted(plan), Some((v, e))) => {
                    assert_eq!((&plan.names, &plan.heirs), (&set(v), &set(e)), "{round}: {case:?}");
                    let own = case.newest().into_iter().find(|(p, _)| *p == case.c);
                    let files = (0..case.n).filter(|i| has(case.seen, *i));
                    let stores: Vec<Store> = files
                        .map(|i| resolved(i, &case.nodes[i]))
                        .chain([real_store(&case.cib)])
                        .collect();
                    let expected = match own {
                        Some((_, own)) => {
                            let seq = stores
                                .iter()
                                .filter_map(|store| store.slot(&facts.me))
                                .flat_map(|slot| slot.done.iter().chain(&slot.intent))
                                .filter(|entry| entry.term == u64::from(own.t))
                                .map(|entry| entry.seq)
                                .max();
                            (u64::from(own.t), seq.unwrap() + 1)
                        }
                        None => (stores.iter().map(Store::max_term).max().unwrap() + 1, 0),
                    };
                    assert_eq!((plan.term, plan.seq), expected, "{round}: {case:?}");
                    assert_eq!(plan.in_place, own.is_some(), "{round}: {case:?}");
                    match (own, v) {
                        (Some(_), 0) => "in place, alone",
                        (Some(_), _) => "in place",
                        (None, 0) => "takes over alone",
                        (None, _) => "takes over",
                    }
                }
                (Ruling::Refused(_), Some(_)) | (Ruling::Permitted(_), None) => {
                    panic!("{round} {purpose:?}: {case:?}\n{ruling:?}")
                }
            };
            *tally.entry((what, cold)).or_insert(0) += 1;
        }
    }
    // Chance has to have come by everything often, or this test shows nothing.
    for what in [
        "nobody to confirm",
        "refused",
        "in place, alone",
        "in place",
        "takes over alone",
        "takes over",
    ] {
        for cold in [false, true] {
            let times = tally.get(&(what, cold)).copied().unwrap_or(0);
            assert!(times > 10, "{what} (cold start: {cold}) came {times} times: {tally:?}");
        }
    }
}

#[test]
fn the_ledger_merges_as_the_model_does() {
    let mut chance = Chance(4);
    for round in 0..20_000 {
        let world = chance.next();
        let terms = 1 + chance.below::<u64>(2);
        let books: Vec<Book> = (0..3).map(|_| some_book(&mut chance, world, 3, terms)).collect();
        let [a, b, c] = [0, 1, 2].map(|i| real_store(&books[i]));
        let both = books[0].merge(&books[1]);
        assert_eq!(a.merged(&b, None), real_store(&both), "{round}: {books:?}");
        assert_eq!(a.merged(&b, None), b.merged(&a, None), "{round}: {books:?}");
        assert_eq!(
            a.merged(&b, None).merged(&c, None),
            c.merged(&b, None).merged(&a, None),
            "{round}: {books:?}"
        );
        assert_eq!(both.max_term(), a.max_term().max(b.max_term()).try_into().unwrap_or(0));
    }
}
