//! The plan: which faults come one after the other, drawn from a seed. The same seed gives the same plan,
//! however far it is carried out. No step takes more nodes away than leave a majority of those that are there,
//! for more the product does not promise to go on; the one exception is a power cut of all, which heals whole.

use std::fmt;
use std::time::Duration;

use crate::chance::Chance;
use crate::torture::act::Act;
use crate::torture::kind::Kind;

/// What the plan must know of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// So many nodes.
    pub nodes: usize,
    /// Their data has a file system of its own that can be filled, frozen and broken.
    pub disks: bool,
    /// Their clocks can be set.
    pub clocks: bool,
}

impl Shape {
    /// So many nodes may be gone at a time.
    pub fn may_lose(self) -> usize {
        if self.nodes <= 2 { self.nodes / 2 } else { (self.nodes - 1) / 2 }
    }

    fn has(self, kind: Kind) -> bool {
        match kind {
            Kind::FullDisk | Kind::FrozenDisk | Kind::ReadOnlyDisk => self.disks,
            Kind::Clock => self.clocks,
            Kind::CutPair => self.nodes > 2,
            _ => true,
        }
    }
}

/// What fencing does meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fencing {
    /// It works.
    Works,
    /// It fails until the end of the fault.
    Fails,
    /// It takes so much longer.
    Slow(Duration),
}

/// What comes after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// The cluster gets well, and has so long.
    Well(Duration),
    /// So long, whatever the cluster is like then.
    Hurry(Duration),
}

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The first is 1.
    pub number: usize,
    /// Its kind.
    pub kind: Kind,
    /// What fencing does, from before it until its end.
    pub fencing: Fencing,
    /// What is done.
    pub act: Act,
    /// What else is done, so long after it.
    pub with: Option<(Duration, Kind, Act)>,
    /// How long it lasts before all of it is undone.
    pub hold: Duration,
    /// What comes then.
    pub rest: Rest,
}

impl Step {
    /// So many nodes may be gone because of it.
    pub fn reach(&self, shape: Shape) -> usize {
        let with = self.with.as_ref().map_or(0, |(_, kind, _)| kind.reach(shape.nodes));
        self.kind.reach(shape.nodes) + with
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: &Duration| format!("{:.1} s", time.as_secs_f64());
        write!(f, "{:>4} {}: {}", self.number, self.kind, self.act)?;
        if let Some((after, kind, act)) = &self.with {
            write!(f, "; after {} {kind}: {act}", seconds(after))?;
        }
        match &self.fencing {
            Fencing::Works => {}
            Fencing::Fails => f.write_str("; fencing fails")?,
            Fencing::Slow(by) => write!(f, "; fencing takes {} longer", seconds(by))?,
        }
        write!(f, "; for {}", seconds(&self.hold))?;
        match &self.rest {
            Rest::Well(time) => write!(f, "; until well, and {}", seconds(time)),
            Rest::Hurry(time) => write!(f, "; the next after {}", seconds(time)),
        }
    }
}

/// The steps of a seed, without end.
#[derive(Debug, Clone)]
pub struct Plan {
    chance: Chance,
    shape: Shape,
    kinds: Vec<Kind>,
    number: usize,
    /// Nodes that the step before may have taken, where the next one does not wait for them.
    away: usize,
}

impl Plan {
    /// The plan of a seed, of these kinds only; of all that fit, where none is given.
    pub fn new(seed: u64, shape: Shape, only: &[Kind]) -> Self {
        let is_wanted = |kind: &Kind| shape.has(*kind) && (only.is_empty() || only.contains(kind));
        let kinds = Kind::ALL.iter().map(|row| row.kind).filter(is_wanted).collect();
        Self { chance: Chance::new(seed), shape, kinds, number: 0, away: 0 }
    }

    fn kind(&mut self, fits: impl Fn(Kind) -> bool) -> Option<Kind> {
        let rows: Vec<_> =
            self.kinds.iter().filter(|kind| fits(**kind)).map(|kind| kind.row()).collect();
        let mut left = self.chance.below(rows.iter().map(|row| row.weight).sum());
        for row in rows {
            if left < row.weight {
                return Some(row.kind);
            }
            left -= row.weight;
        }
        None
    }

    fn draw(&mut self, kind: Kind) -> (Duration, Act) {
        let (least, most) = kind.row().hold;
        let hold = Duration::from_millis(self.chance.within(least * 1000, most * 1000));
        (hold, Act::draw(kind, hold, &mut self.chance))
    }

    /// What comes with a fault: a killed agent must have something to do, and now and then two faults meet.
    fn companion(
        &mut self,
        kind: Kind,
        act: &Act,
        hold: Duration,
    ) -> Option<(Duration, Kind, Act)> {
        let wanted = match kind {
            Kind::KillAgents => true,
            _ if act.stands_alone() => false,
            _ => self.chance.once_in(4),
        };
        if !wanted {
            return None;
        }
        let with = if kind == Kind::KillAgents {
            let kinds = [Kind::Moves, Kind::KillPostmaster, Kind::Orders, Kind::Rebuild];
            self.chance.one_of(&kinds).copied()?
        } else {
            // Where two disks are broken, it may be one disk: a file system that is frozen cannot be filled.
            let both_disks = |other: Kind| kind.is_of_disk() && other.is_of_disk();
            self.kind(|other| other != kind && !both_disks(other))?
        };
        let most = u64::try_from(hold.as_millis()).unwrap_or(0).min(5000);
        let after = Duration::from_millis(self.chance.below(most + 1));
        let (_, second) = self.draw(with);
        let reach = kind.reach(self.shape.nodes) + with.reach(self.shape.nodes);
        let fits = self.away + reach <= self.shape.may_lose() && !second.stands_alone();
        fits.then_some((after, with, second))
    }

    /// Fencing that is never asked need not fail.
    fn fencing(&mut self, kind: Kind) -> Fencing {
        match (kind.reach(self.shape.nodes), self.chance.below(6)) {
            (1, 0) => Fencing::Fails,
            (1, 1) => Fencing::Slow(Duration::from_secs(self.chance.within(3, 20))),
            _ => Fencing::Works,
        }
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let (away, shape) = (self.away, self.shape);
        // After a step that was not waited for, only what leaves a majority.
        let kind =
            self.kind(|kind| away == 0 || away + kind.reach(shape.nodes) <= shape.may_lose());
        // All of the wanted kinds take nodes away, and one is still away: those are waited for first.
        let Some(kind) = kind else {
            if self.kinds.is_empty() {
                return None;
            }
            self.away = 0;
            return self.next();
        };
        self.number += 1;
        let (hold, act) = self.draw(kind);
        let with = self.companion(kind, &act, hold);
        let fencing = self.fencing(kind);
        let mut step =
            Step { number: self.number, kind, fencing, act, with, hold, rest: Rest::Well(hold) };
        step.rest = self.rest(&step);
        self.away = match step.rest {
            Rest::Well(_) => 0,
            Rest::Hurry(_) => step.reach(shape),
        };
        Some(step)
    }
}

impl Plan {
    /// One in four is not waited for, but never two in a row where nodes are away, nor one that took all.
    fn rest(&mut self, step: &Step) -> Rest {
        let time = Duration::from_millis(self.chance.within(200, 6000));
        let hurry = self.chance.once_in(4);
        let reach = step.reach(self.shape);
        if hurry && self.away == 0 && reach <= self.shape.may_lose() {
            Rest::Hurry(time)
        } else {
            Rest::Well(time)
        }
    }
}

#[cfg(test)]
mod tests;
