//! A primary with one or two standbys as small values, and all that can happen to them besides what
//! the primary's agent does: commits, replication, the standbys' own agents, losses and returns.
//!
//! The membership may break without anybody noticing: the others then keep an old CIB and old scores
//! while replication goes on.

/// The most standbys there are.
pub const MAX: usize = 2;

/// The primary's entry: seq, E as bits, whether it is of sync mode, and which promotion it is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ent {
    pub s: u8,
    pub e: u8,
    pub sync: bool,
    pub id: u8,
}

/// A node as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Power {
    #[default]
    Up,
    /// Down, and not yet fenced.
    Lost,
    /// Down, and known to be.
    Fenced,
}

/// The instance of a standby.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Run {
    #[default]
    Stopped,
    Up,
    /// Pacemaker is about to stop it.
    Leaving,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    pub power: Power,
    pub run: Run,
    pub streams: bool,
    /// Its walsender counts as synchronous, as that one sees the setting.
    pub sync: bool,
    /// It has been missing for longer than a reconnect takes.
    pub long: bool,
    /// Its connection has the second of two names, as the owner has changed application_name.
    pub renamed: bool,
    /// How many records of WAL it has.
    pub flushed: u8,
    /// The primary's entry in its file.
    pub file: Ent,
    /// The entry that it has acknowledged; in the others' view and in the primary's.
    pub ack: Option<(u8, u8)>,
    pub ack_seen: Option<(u8, u8)>,
    /// Its score; in the others' view and in the primary's.
    pub score: bool,
    pub score_seen: bool,
}

/// Whether primary and standbys are in one membership.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cut {
    #[default]
    No,
    /// Yes, and the primary's side has not noticed.
    Unnoticed,
    Noticed,
}

/// What the agent was told about the cluster at the begin of its action, and has changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snap {
    pub cib: Ent,
    pub superseded: bool,
    pub quorum: bool,
    pub power: [Power; MAX],
    pub stopped: [bool; MAX],
    pub scores: [bool; MAX],
    pub acks: [Option<(u8, u8)>; MAX],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct World {
    /// The owner wants sync mode now.
    pub sync: bool,
    /// Records of WAL, each a commit; those the first of which were acknowledged.
    pub wal: u8,
    pub acked: u8,
    /// How many records hold a commit that was acknowledged in sync mode: all before are older.
    pub promised: u8,
    /// The primary's own file, and the CIB in its view and in the others'.
    pub file: Ent,
    pub cib: Ent,
    pub cib_others: Ent,
    /// V, whether it is written in the second names, and whether backends wait.
    pub v: u8,
    pub v_renamed: bool,
    pub flag: bool,
    /// The owner wants the second names now, and the primary knows it.
    pub rename: bool,
    pub renamed: bool,
    /// The agent's memory in one action.
    pub barrier: Option<u8>,
    pub snap: Option<Snap>,
    /// The primary's own file was lost; `file` is what the CIB says instead.
    pub lost: bool,
    pub cut: Cut,
    /// Another node has been promoted.
    pub superseded: bool,
    pub faults: u8,
    pub switches: u8,
    pub renames: u8,
    pub m: [Member; MAX],
}

/// How far the exploration goes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub standbys: usize,
    pub commits: u8,
    /// Changes of the ledger.
    pub seqs: u8,
    /// Losses of nodes, cuts, stops of instances, crashes of the primary's server.
    pub faults: u8,
    /// The primary's own file may be lost.
    pub losses: bool,
    /// Changes between sync and async by the owner.
    pub switches: u8,
    /// Changes of application_name by the owner.
    pub renames: u8,
    pub strict: bool,
    pub fencing: bool,
}

pub fn has(mask: u8, i: usize) -> bool {
    mask >> i & 1 == 1
}

impl World {
    /// V is in effect: backends wait, and no walsender counts that should not.
    pub fn effective(&self) -> bool {
        self.v == 0 || (self.flag && !(0..MAX).any(|i| self.m[i].sync && !self.in_v(i)))
    }

    /// V has the name of this member's connection.
    pub fn in_v(&self, i: usize) -> bool {
        has(self.v, i) && self.m[i].renamed == self.v_renamed
    }

    /// The primary sees it stream: under the name that it looks for.
    pub fn sees(&self, i: usize) -> bool {
        self.m[i].streams && self.m[i].renamed == self.renamed
    }

    /// V in the primary's words; none: the names are nobody's.
    pub fn names(&self) -> Option<u8> {
        (self.v == 0 || self.v_renamed == self.renamed).then_some(self.v)
    }

    /// Whoever is seen is not missing any more.
    fn looks(&mut self) {
        for i in 0..MAX {
            self.m[i].long &= !self.sees(i);
        }
    }

    pub fn view_of(&self, i: usize) -> Power {
        if self.cut == Cut::Noticed && self.m[i].power == Power::Up {
            return Power::Lost;
        }
        self.m[i].power
    }

    /// Two nodes keep quorum when they lose each other; a primary without its two standbys does not.
    pub fn quorum(&self, bounds: &Bounds) -> bool {
        let view = |i: usize| self.cut == Cut::Unnoticed || self.view_of(i) == Power::Up;
        bounds.standbys == 1 || (0..bounds.standbys).any(view)
    }

    pub fn write_cib(&mut self, entry: Ent) {
        self.cib = entry;
        if self.cut == Cut::No {
            self.cib_others = entry;
        }
        if let Some(snap) = &mut self.snap {
            snap.cib = entry;
        }
    }

    pub fn set_score(&mut self, i: usize, on: bool) {
        self.m[i].score_seen = on;
        if self.cut == Cut::No {
            self.m[i].score = on;
        }
        if let Some(snap) = &mut self.snap {
            snap.scores[i] = on;
        }
    }

    /// The action of the agent ends, or is killed: what it remembers is gone.
    pub fn forget(&mut self) {
        self.snap = None;
        self.barrier = None;
    }

    fn disconnect(&mut self, i: usize) {
        self.m[i].streams = false;
        self.m[i].sync = false;
    }

    /// The member's own score and acknowledgement, in its own view and, if it reaches the primary, there.
    fn says(&mut self, i: usize, score: bool, ack: Option<(u8, u8)>) {
        let cut = self.cut;
        let m = &mut self.m[i];
        (m.score, m.ack) = (score, ack);
        if cut == Cut::No {
            (m.score_seen, m.ack_seen) = (score, ack);
        }
    }

    fn copy(&mut self, i: usize) {
        let cib = if self.cut == Cut::No { self.cib } else { self.cib_others };
        if (cib.id, cib.s) > (self.m[i].file.id, self.m[i].file.s) {
            self.m[i].file = cib;
        }
    }

    /// A healed world: everybody there, streaming and up to date.
    pub fn healed(mut self, bounds: &Bounds) -> Self {
        self.forget();
        if self.cut != Cut::No {
            // The primary's side lives on, with the newer CIB.
            let newer = self.cib.max(self.cib_others);
            (self.cib, self.cib_others, self.cut) = (newer, newer, Cut::No);
        }
        self.renamed = self.rename;
        for i in 0..bounds.standbys {
            self.m[i].renamed = self.rename;
            let in_v = self.in_v(i);
            let m = &mut self.m[i];
            let restarted = m.power != Power::Up || m.run != Run::Up;
            m.score = m.score && !restarted;
            m.score_seen = m.score;
            m.ack_seen = m.ack;
            (m.power, m.run, m.streams, m.long) = (Power::Up, Run::Up, true, false);
            m.flushed = self.wal;
            m.sync = in_v;
        }
        self.acked = self.wal;
        self
    }

    /// Standbys copy and acknowledge, WAL flows.
    pub fn breathe(&mut self, bounds: &Bounds) {
        for i in 0..bounds.standbys {
            self.copy(i);
            let ack = Some((self.m[i].file.id, self.m[i].file.s));
            let score = self.m[i].score;
            self.says(i, score, ack);
            self.m[i].flushed = self.wal;
        }
    }

    /// All that may happen next without the primary's agent.
    pub fn events(&self, bounds: &Bounds, out: &mut Vec<(&'static str, World)>) {
        if !self.superseded {
            self.renaming(bounds, out);
        }
        let mut push = |label, change: &dyn Fn(&mut World)| {
            let mut next = *self;
            change(&mut next);
            if next != *self {
                out.push((label, next));
            }
        };
        if self.superseded {
            return; // What happens after that is not this primary's to decide.
        }
        let fault = self.faults < bounds.faults;
        // Commits, one at a time.
        if self.wal == self.acked && self.wal < bounds.commits {
            push("commit", &|w| w.wal += 1);
        }
        let confirmed = (0..MAX).any(|i| self.m[i].sync && self.m[i].flushed == self.wal);
        if self.acked < self.wal && (!self.flag || confirmed) {
            push("acknowledged", &|w| {
                w.acked = w.wal;
                if w.sync && w.file.sync {
                    w.promised = w.wal;
                }
            });
        }
        push("the checkpointer takes up V", &|w| w.flag = w.v != 0);
        push("the agent's action ends", &World::forget);
        if fault && bounds.losses && self.cib.id == self.file.id && self.file.sync {
            push("the primary's file is lost", &|w| {
                (w.lost, w.file) = (true, w.cib);
                w.faults += 1;
                w.forget();
            });
        }
        for i in 0..bounds.standbys {
            let m = self.m[i];
            let up = m.power == Power::Up && m.run != Run::Stopped;
            if m.streams {
                push("its walsender takes up V", &|w| w.m[i].sync = w.in_v(i));
                push("record", &|w| w.m[i].flushed = (w.m[i].flushed + 1).min(w.wal));
                push("disconnects", &|w| w.disconnect(i));
            } else if up {
                push("connects", &|w| {
                    (w.m[i].streams, w.m[i].sync) = (true, w.in_v(i));
                    w.looks();
                });
            }
            if m.power == Power::Up && m.renamed != self.rename {
                push("takes up its name", &|w| {
                    w.m[i].renamed = w.rename;
                    w.disconnect(i);
                });
            }
            if !self.sees(i) {
                push("is gone for long", &|w| w.m[i].long = true);
            }
            if m.power == Power::Up {
                push("copies the CIB", &|w| w.copy(i));
                push("acknowledges", &|w| {
                    w.says(i, w.m[i].score, Some((w.m[i].file.id, w.m[i].file.s)));
                });
                if m.run == Run::Stopped {
                    push("starts", &|w| w.m[i].run = Run::Up);
                }
            }
            if m.run == Run::Up && up && fault && self.cut == Cut::No {
                push("is to be stopped", &|w| {
                    w.m[i].run = Run::Leaving;
                    w.faults += 1;
                    w.copy(i);
                    w.says(i, false, Some((w.m[i].file.id, w.m[i].file.s)));
                });
            }
            if m.run == Run::Leaving {
                push("is stopped", &|w| {
                    w.m[i].run = Run::Stopped;
                    w.disconnect(i);
                });
            }
            if m.power == Power::Up && fault && self.cut == Cut::No {
                push("loses power", &|w| {
                    w.m[i].power = Power::Lost;
                    w.m[i].run = Run::Stopped;
                    w.faults += 1;
                    w.disconnect(i);
                    w.says(i, false, None);
                });
            }
            let fenceable = bounds.fencing && self.quorum(bounds) && self.cut != Cut::Unnoticed;
            if self.view_of(i) == Power::Lost && fenceable {
                push("is fenced", &|w| {
                    w.m[i].power = Power::Fenced;
                    w.m[i].run = Run::Stopped;
                    w.disconnect(i);
                    let m = &mut w.m[i];
                    (m.score, m.score_seen, m.ack, m.ack_seen) = (false, false, None, None);
                });
            }
            if m.power == Power::Fenced && self.cut == Cut::No {
                push("returns", &|w| w.m[i].power = Power::Up);
            }
        }
        if fault
            && self.cut == Cut::No
            && (0..bounds.standbys).all(|i| self.m[i].power == Power::Up)
        {
            push("the cluster's network breaks", &|w| {
                w.cut = Cut::Unnoticed;
                w.faults += 1;
            });
        }
        if self.cut == Cut::Unnoticed {
            push("the break is noticed", &|w| {
                w.cut = Cut::Noticed;
                for i in 0..bounds.standbys {
                    (w.m[i].score_seen, w.m[i].ack_seen) = (false, None);
                }
            });
        }
        if self.cut != Cut::No {
            push("the network heals with the primary's CIB", &|w| w.heal(w.cib));
            push("the network heals with the others' CIB", &|w| w.heal(w.cib_others));
        }
        if fault && self.cut != Cut::No && !bounds.fencing {
            push("another is promoted, and the network heals", &|w| {
                w.heal(w.cib_others);
                w.superseded = true;
                w.forget();
            });
        }
        // Not in the second or two before a break is noticed: async lets members go without proof.
        if self.switches < bounds.switches && self.cut != Cut::Unnoticed {
            push("the owner changes the mode", &|w| {
                w.sync = !w.sync;
                w.switches += 1;
                w.promised = 0; // Async promises nothing, of what was before neither.
                w.forget();
            });
        }
    }

    /// The owner gives the standbys other names; primary and standbys hear of it in any order.
    fn renaming(&self, bounds: &Bounds, out: &mut Vec<(&'static str, World)>) {
        if self.renames < bounds.renames {
            let (rename, renames) = (!self.rename, self.renames + 1);
            out.push(("the owner changes the names", World { rename, renames, ..*self }));
        }
        if self.renamed != self.rename {
            let mut next = World { renamed: self.rename, ..*self };
            next.looks();
            next.forget();
            out.push(("the primary takes up the names", next));
        }
    }

    fn heal(&mut self, cib: Ent) {
        (self.cib, self.cib_others, self.cut) = (cib, cib, Cut::No);
        for m in &mut self.m {
            (m.score_seen, m.ack_seen) = (m.score, m.ack);
        }
    }

    /// The same world with the two standbys' names exchanged; the smaller one stands for both.
    pub fn canonical(self, bounds: &Bounds) -> Self {
        if bounds.standbys < 2 {
            return self;
        }
        let mask = |e: u8| (e & 1) << 1 | e >> 1;
        let ent = |entry: Ent| Ent { e: mask(entry.e), ..entry };
        let mut other = self;
        (other.file, other.cib, other.cib_others) =
            (ent(self.file), ent(self.cib), ent(self.cib_others));
        other.v = mask(self.v);
        other.m.reverse();
        for m in &mut other.m {
            m.file = ent(m.file);
        }
        if let Some(snap) = &mut other.snap {
            snap.cib = ent(snap.cib);
            snap.power.reverse();
            snap.stopped.reverse();
            snap.scores.reverse();
            snap.acks.reverse();
        }
        self.min(other)
    }
}
