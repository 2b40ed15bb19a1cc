//! Who could become primary now, by the election itself, and whether it would have all that was
//! promised.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::agent::{NAMES, bits, real, small};
use super::world::{Bounds, Cut, Ent, MAX, Power, Run, World, has};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Mode, PromotionId, Store};
use crate::cluster::position::Publication;
use crate::decide::election::{Facts, Purpose, Ruling, judge};
use crate::decide::promote::intent;
use crate::decide::support::{Fast, SYSTEM, at, node, says, store};
use crate::postgres::lsn::Timeline;

/// What an election of one standby depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    sync: bool,
    me: usize,
    seen: Option<usize>,
    flushed: [u8; MAX],
    files: [Ent; MAX],
    cib: Option<Ent>,
    /// The primary, whose server has ended and whose node is there: its file and WAL.
    primary: Option<(Ent, u8)>,
    cold: bool,
}

/// The elections that were held before.
#[derive(Default)]
pub struct Elections {
    known: HashMap<Key, bool, Fast>,
}

fn position(records: u8) -> crate::cluster::position::Position {
    at("1", &format!("0/{records}"))
}

fn of(entry: Ent) -> Store {
    store(&[real(entry)])
}

impl Elections {
    fn permits(&mut self, key: Key, bounds: &Bounds) -> bool {
        if let Some(permits) = self.known.get(&key) {
            return *permits;
        }
        let others = (0..bounds.standbys).filter(|i| *i != key.me).map(|i| {
            let said = if key.seen == Some(i) {
                says(position(key.flushed[i]), of(key.files[i]))
            } else {
                Known::unknown("silent")
            };
            (node(NAMES[i]), said)
        });
        let primary = match key.primary {
            Some((file, wal)) => says(position(wal), of(file)),
            None => Known::unknown("dead"),
        };
        let peers: BTreeMap<_, Known<Publication>> =
            others.chain([(node("n1"), primary)]).collect();
        let facts = Facts {
            me: node(NAMES[key.me]),
            position: Known::Known(position(key.flushed[key.me])),
            own: of(key.files[key.me]),
            followed: Some(PromotionId(key.files[key.me].id.into())),
            cib: Known::Known(key.cib.map(of).unwrap_or_default()),
            peers,
            out: if key.primary.is_some() { BTreeSet::new() } else { [node("n1")].into() },
            mode: if key.sync { Mode::Sync } else { Mode::Async },
            strict: false,
            reached: None,
            max_lag: u64::MAX,
            force: false,
            purpose: if key.cold { Purpose::ColdStart } else { Purpose::Promotion },
        };
        let permits = matches!(judge(&facts), Ruling::Permitted(_));
        self.known.insert(key, permits);
        permits
    }

    /// A standby that could become primary now and lacks what was promised: the primary dies at this
    /// moment, its server alone or its node; any of the others answers or does not.
    pub fn loses(&mut self, w: &World, bounds: &Bounds) -> Option<String> {
        for me in (0..bounds.standbys).filter(|i| w.m[*i].flushed < w.promised) {
            let base = Key {
                sync: w.sync,
                me,
                seen: None,
                flushed: w.m.map(|m| m.flushed),
                files: w.m.map(|m| m.file),
                cib: Some(w.cib_others),
                primary: None,
                cold: false,
            };
            let up = |i: usize| w.m[i].power == Power::Up && w.m[i].run != Run::Stopped;
            let other = 1 - me;
            for seen in [None, (other < bounds.standbys).then_some(other)] {
                let key = Key { seen, ..base };
                let answers = seen.is_none_or(up);
                // The token: it has a score, and those who answer run now.
                if w.m[me].score && up(me) && answers {
                    if self.permits(key, bounds) {
                        return Some(format!("{} takes over, seen {seen:?}", NAMES[me]));
                    }
                    // Whose file is lost publishes nothing.
                    let ended = Key { primary: Some((w.file, w.wal)), ..key };
                    if !w.lost && w.cut == Cut::No && self.permits(ended, bounds) {
                        return Some(format!("{} takes over from an ended server", NAMES[me]));
                    }
                }
                // No primary anywhere, and these two or this one are all that return, with their
                // files, and the CIB of now or none that is newer than their files.
                for cib in [Some(w.cib_others), None] {
                    if self.permits(Key { cold: true, cib, ..key }, bounds) {
                        return Some(format!("{} starts cold, seen {seen:?}", NAMES[me]));
                    }
                }
            }
        }
        None
    }
}

/// The words of design 4.2: every commit that was acknowledged in sync mode is on some member of E, as
/// the primary's own file has it, or that E is empty. (The primary has all.)
pub fn invariant(w: &World) -> bool {
    w.lost
        || !w.file.sync
        || w.file.e == 0
        || (0..MAX).any(|i| has(w.file.e, i) && w.m[i].flushed >= w.promised)
}

/// The primary's server crashes and it is promoted again in place, seeing who runs; or the cluster's
/// network breaks just before its intent reaches the others' CIB.
pub fn in_place(w: &World, bounds: &Bounds) -> Vec<World> {
    if w.cut != Cut::No || w.lost {
        return Vec::new();
    }
    let peers = (0..bounds.standbys)
        .map(|i| {
            let m = &w.m[i];
            let said = if m.power == Power::Up && m.run != Run::Stopped {
                says(position(m.flushed), of(m.file))
            } else {
                Known::unknown("silent")
            };
            (node(NAMES[i]), said)
        })
        .collect();
    let fenced = |i: &usize| bounds.fencing && w.m[*i].power == Power::Fenced;
    let facts = Facts {
        me: node("n1"),
        position: Known::Known(position(w.wal)),
        own: of(w.file),
        followed: None,
        cib: Known::Known(of(w.cib)),
        peers,
        out: (0..bounds.standbys).filter(fenced).map(|i| node(NAMES[i])).collect(),
        mode: if w.sync { Mode::Sync } else { Mode::Async },
        strict: bounds.strict,
        reached: None,
        max_lag: u64::MAX,
        force: false,
        purpose: Purpose::Promotion,
    };
    let Ruling::Permitted(plan) = judge(&facts) else { return Vec::new() };
    let id = PromotionId((w.file.id + 1).into());
    let mut next = *w;
    next.file = small(&intent(&plan, &node("n1"), None, id, SYSTEM, Timeline(1), facts.mode));
    next.forget();
    (next.v, next.v_renamed) = (bits(&plan.names), next.renamed);
    next.flag = next.v != 0;
    next.faults += 1;
    for m in &mut next.m {
        (m.streams, m.sync) = (false, false);
    }
    let mut cut = next;
    cut.cut = Cut::Unnoticed;
    for world in [&mut next, &mut cut] {
        world.write_cib(world.file);
    }
    vec![next, cut]
}
