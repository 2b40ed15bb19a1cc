//! Fingerprints of states that are the same but for names: nodes may be exchanged, promotions and
//! versions of the CIB count by their order only.

use std::hash::{Hash, Hasher};

use crate::Model;
use crate::state::{Entry, NOBODY, NODES, Node, PROMOTIONS, Record, Set, State, Store, Wal};

const OF_TWO: &[[usize; NODES]] = &[[0, 1, 2], [1, 0, 2]];
const OF_THREE: &[[usize; NODES]] =
    &[[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

impl Model {
    /// Equal for states that differ in names only.
    pub fn fingerprint(&self, s: &State) -> u64 {
        let orders = if self.options.nodes == 2 { OF_TWO } else { OF_THREE };
        let ranked = self.ranked(s);
        orders.iter().map(|order| digest(&exchanged(&ranked, *order))).min().unwrap_or(0)
    }

    /// Promotions and versions by rank; the part of the network that node 0 is in is the first.
    fn ranked(&self, s: &State) -> State {
        let mut s = *s;
        let n = self.options.nodes;
        let mut versions: Vec<u8> = s.nodes[..n].iter().map(|node| node.version).collect();
        versions.sort_unstable();
        versions.dedup();
        for node in &mut s.nodes[..n] {
            let lowest = versions.first().copied().unwrap_or(0);
            node.version = if self.options.edits == 0 {
                let rank = versions.iter().position(|version| *version == node.version);
                rank.and_then(|rank| u8::try_from(rank).ok()).unwrap_or(0)
            } else {
                (node.version - lowest).min(9)
            };
        }
        let used = s.nodes[..n].iter().fold(0, |used, node| used | promotions(node)) & !1;
        let rank = |id: u8| {
            let below = (used & ((1 << id) - 1)).count_ones();
            if id == 0 { 0 } else { u8::try_from(below).unwrap_or(0) + 1 }
        };
        let mut lines = [0; PROMOTIONS];
        for id in (1..16).filter(|id| used >> id & 1 == 1) {
            lines[usize::from(rank(id))] = s.lines[usize::from(id)];
        }
        s.lines = lines;
        for node in &mut s.nodes[..n] {
            for entry in entries_mut(node) {
                entry.past = (1..16)
                    .filter(|id| entry.past >> id & 1 == 1)
                    .fold(0, |past, id| past | 1 << rank(id));
                entry.id = rank(entry.id);
            }
            node.followed = rank(node.followed);
            let mut wal = Wal::default();
            for record in node.wal.records() {
                match record {
                    Record::Promotion(timeline, id) => wal.promote(timeline, rank(id)),
                    Record::Commit(number) => wal.append(number),
                }
            }
            node.wal = wal;
        }
        s.next_promotion = 0;
        s
    }
}

/// The promotions that anything on this node names, as bits.
fn promotions(node: &Node) -> u16 {
    let entries = node.file.entries().chain(node.cib.entries());
    let mut used =
        entries.fold(1 << node.followed, |used, entry| used | 1 << entry.id | entry.past);
    for record in node.wal.records() {
        if let Record::Promotion(_, id) = record {
            used |= 1 << id;
        }
    }
    used
}

fn entries_mut(node: &mut Node) -> impl Iterator<Item = &mut Entry> {
    let Node { file, cib, .. } = node;
    file.done.iter_mut().chain(&mut file.intent).chain(&mut cib.done).chain(&mut cib.intent)
}

/// The same state with its nodes in another order.
fn exchanged(s: &State, order: [usize; NODES]) -> State {
    let set = |nodes: Set| nodes.iter().map(|node| order[node]).collect::<Set>();
    let who = |node: u8| match order.get(usize::from(node)) {
        Some(node) => u8::try_from(*node).unwrap_or(NOBODY),
        None => NOBODY,
    };
    let store = |from: &Store| {
        let mut to = Store::default();
        for i in 0..NODES {
            to.done[order[i]] = Entry { heirs: set(from.done[i].heirs), ..from.done[i] };
            to.intent[order[i]] = Entry { heirs: set(from.intent[i].heirs), ..from.intent[i] };
        }
        to
    };
    let mut t = *s;
    for i in 0..NODES {
        let from = &s.nodes[i];
        t.nodes[order[i]] = Node {
            file: store(&from.file),
            cib: store(&from.cib),
            pointed: who(from.pointed),
            view: set(from.view),
            unclean: set(from.unclean),
            scores: set(from.scores),
            names: set(from.names),
            old_names: set(from.old_names),
            upstream: who(from.upstream),
            planned_names: set(from.planned_names),
            ..*from
        };
        t.part[order[i]] = s.part[i];
    }
    t.gone = set(s.gone);
    // Which of the two parts is called 0 means nothing; the unused place is in none.
    let first = t.part[0];
    for part in &mut t.part {
        *part ^= first;
    }
    t
}

fn digest(s: &State) -> u64 {
    let mut hasher = Fold(0xcbf2_9ce4_8422_2325);
    s.hash(&mut hasher);
    hasher.finish()
}

/// A quick hash; 64 bits of it stand for a state.
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        let mut x = self.0;
        for _ in 0..2 {
            x ^= x >> 32;
            x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
        }
        x ^ x >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

/// Fingerprints are hashes already.
#[derive(Default)]
pub(crate) struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}
