//! Of which promotion a member's data is, where two of them can have one timeline number. Floor 0.
//!
//! What data holds up to the timeline of the promotion that is noted is of that one. What it holds beyond is of
//! whom it was pointed at, and its promotion is found by that (`explained`): the note may come too late, for WAL
//! flows as soon as a server accepts writes.

use super::entry::{Entry, Past, PromotionId};
use super::own::Own;
use super::store::Store;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::postgres::lsn::{Lsn, Timeline};

/// Whose WAL a member's data gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointed {
    /// The member that it was pointed at. This node itself: it was about to be promoted, and no WAL came in since.
    pub node: NodeName,
    /// The term of that member's promotion, or of the one that it was about to get: in one term a node's promotions
    /// follow one another.
    pub term: u64,
}

/// Timelines that this node's data has begun, and that nobody has ever written to: the promotion came to nothing in
/// between. PostgreSQL writes the begin of a timeline some time before it lets writes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeverWritten {
    /// The timeline from which they began: what is on that one, and on those before it, counts.
    pub after: Timeline,
    /// The last of them.
    pub last: Timeline,
    /// Up to where their WAL was seen to hold no write.
    pub end: Lsn,
}

/// What the WAL of a node holds beyond a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// Nothing.
    Nothing,
    /// Another timeline, and no write.
    NeverWritten(NeverWritten),
    /// Writes, on this timeline.
    Written(Timeline),
}

impl Own {
    /// Whether what this node's data has beyond the promotion that is noted can only be of its own promotions.
    fn is_pointed_at_nobody(&self) -> bool {
        self.pointed.as_ref().is_some_and(|pointed| pointed.node == self.node)
    }

    /// The intent of this node was not carried out, as its control file says. PostgreSQL lets writes in a moment
    /// before that file says so: what the WAL holds `beyond` the timeline from which the promotion began decides. Where
    /// that is not known, the promotion came to nothing, and all that there is counts.
    pub fn came_to_nothing(&mut self, beyond: &Known<Beyond>) {
        let node = self.node.clone();
        let Some(after) = self.store.intent(&node).map(|intent| intent.timeline) else { return };
        let before = self.never_written.take().filter(|before| before.last == after);
        match beyond {
            Known::Known(Beyond::Written(timeline)) if self.is_pointed_at_nobody() => {
                self.carried_out(&node, Some(*timeline));
                return;
            }
            Known::Known(Beyond::NeverWritten(found)) if self.is_pointed_at_nobody() => {
                let after = before.map_or(found.after, |before| before.after);
                self.never_written = Some(NeverWritten { after, ..*found });
            }
            Known::Known(_) | Known::Unknown(_) => self.never_written = before,
        }
        // Where the WAL could not be looked at, nobody is told: a write may have been let in.
        self.store.drop_intent(&node, beyond.is_known() && self.is_pointed_at_nobody());
    }

    /// The promotion that this data is noted to be of, and the one that led to it, where it is another node's and not
    /// known to have been carried out.
    pub fn noted_intent(&self) -> Option<(&Entry, &Past)> {
        let others = self.store.slots().filter(|(node, _)| **node != self.node);
        let mut intents = others.filter_map(|(_, slot)| slot.intent.as_ref());
        let intent = intents.find(|intent| Some(intent.id) == self.followed)?;
        Some((intent, intent.history.first()?))
    }

    /// This file when the promotion that is noted came to nothing: the data is of the one before it. None: the data,
    /// which reaches this timeline, holds more than the begin of one that came to nothing, or may.
    pub fn without_the_noted(
        &self,
        before: &Past,
        beyond: &Beyond,
        reach: Timeline,
    ) -> Option<Self> {
        let mut own = self.clone();
        own.followed = Some(before.id);
        own.points_at_nobody();
        own.never_written = match beyond {
            Beyond::Nothing if reach <= before.timeline => None,
            Beyond::NeverWritten(found) if reach <= found.last => Some(*found),
            Beyond::Nothing | Beyond::NeverWritten(_) | Beyond::Written(_) => return None,
        };
        Some(own)
    }

    /// The timeline after which nothing counts of data that ends here (`never-written`); none: all counts.
    pub fn counts_up_to(&self, timeline: Timeline, lsn: Lsn) -> Option<Timeline> {
        let found = self
            .never_written
            .filter(|found| found.after < timeline && timeline <= found.last && lsn <= found.end);
        let unknown = || self.is_pointed_at_nobody() && self.goes_beyond(timeline);
        found.filter(|_| unknown()).map(|found| found.after)
    }

    /// Whose WAL this data gets; none where it has got nobody's since this node was promoted itself, or nothing is
    /// known of it.
    pub fn pointed_at(&self) -> Option<Pointed> {
        let noted = || {
            let done = self.store.entries().find(|entry| Some(entry.id) == self.followed)?;
            let others = done.primary != self.node;
            others.then(|| Pointed { node: done.primary.clone(), term: done.term })
        };
        self.pointed.clone().or_else(noted)
    }

    /// Whether data that reaches this timeline has more than the promotion that is noted: another's, or the begin of
    /// one of this node's own that came to nothing. Of what nothing is noted, or nothing is known any more, other
    /// rules speak ([`Entry::is_after`]).
    fn goes_beyond(&self, reach: Timeline) -> bool {
        self.noted().is_some_and(|noted| reach > noted) && self.pointed_at().is_some()
    }

    /// The timeline that the promotion which is noted writes.
    fn noted(&self) -> Option<Timeline> {
        self.followed.and_then(|id| written(&self.store, id))
    }

    /// Whether data that reaches this timeline has WAL of another node which the promotion that is noted does not
    /// explain.
    pub fn is_unexplained(&self, reach: Timeline) -> bool {
        let others = |pointed: Pointed| pointed.node != self.node;
        self.goes_beyond(reach) && self.pointed_at().is_some_and(others)
    }

    /// The node is about to be promoted by this: what its data gets from now on it writes itself. A promotion that was
    /// noted before any of its WAL came in is noted no more: the timeline that begins here may have its number.
    pub fn intends(&mut self, entry: Entry) {
        self.followed = entry.history.first().map(|past| past.id).or(self.followed);
        self.store.set_intent(entry);
        self.points_at_nobody();
    }

    /// The node that it is pointed at where that was to be promoted, and nothing is known of its promotion.
    pub fn candidate(&self) -> Option<&Pointed> {
        let noted = self.store.entries().find(|entry| Some(entry.id) == self.followed);
        let primary = noted.map(|entry| &entry.primary);
        let is_one = |node: &NodeName| *node != self.node && Some(node) != primary;
        self.pointed.as_ref().filter(|pointed| is_one(&pointed.node))
    }

    fn points_at_nobody(&mut self) {
        self.pointed = Some(Pointed { node: self.node.clone(), term: self.store.max_term() });
    }

    /// Finds the promotion that explains what data which reaches this timeline has: one of whom it was pointed at, by
    /// what is known here and by `cib`. Whether anything was noted.
    pub fn explain(&mut self, reach: Timeline, cib: &Store) -> bool {
        let Some(pointed) = self.pointed_at().filter(|_| self.is_unexplained(reach)) else {
            return false;
        };
        let mut new = self.clone();
        // A restart in place takes the place of the entry that is noted.
        new.pointed = Some(pointed.clone());
        new.store = self.store.merged(cib, Some(&self.node));
        let slot = new.store.slot(&pointed.node).cloned().unwrap_or_default();
        let found =
            [(slot.done, false), (slot.intent, true)].into_iter().find_map(|(entry, intent)| {
                let explains =
                    |entry: &Entry| new.continues(entry) && timeline_of(entry, intent) >= reach;
                entry.filter(explains)
            });
        let Some(entry) = found else { return false };
        new.is_of(&entry);
        *self = new;
        true
    }

    /// Whether whatever this data gets of this member is of this promotion, or of one before it that it descends
    /// from: its own first one after the noted, or restarts in place since.
    fn continues(&self, entry: &Entry) -> bool {
        let Some(pointed) = self.pointed_at().filter(|one| one.node == entry.primary) else {
            return false;
        };
        let Some(followed) = self.followed else { return false };
        let is_first = entry.history.first().is_some_and(|past| past.id == followed);
        // The term before, where that was known as an intent which has been carried out after all.
        let in_term = entry.term == pointed.term || entry.term.saturating_add(1) == pointed.term;
        is_first || in_term && entry.descends_from(followed)
    }

    /// Whether this promotion is noted, and nothing but its WAL came in since.
    pub fn is_fed_by(&self, entry: &Entry) -> bool {
        let by_another = |pointed: Pointed| pointed.node != entry.primary;
        self.followed == Some(entry.id) && !self.pointed_at().is_some_and(by_another)
    }

    fn is_of(&mut self, entry: &Entry) {
        (self.followed, self.never_written) = (Some(entry.id), None);
        let others = entry.primary != self.node;
        self.pointed = others.then(|| Pointed { node: entry.primary.clone(), term: entry.term });
    }

    /// Gives up finding out what data that reaches this timeline has, and says so for good: it is of no promotion
    /// that anybody knows. Whether anything changed. `line`: the timeline of the primary. Where that is none of those
    /// that nothing explains, PostgreSQL sees by their numbers that the two have parted, and this is a divergence
    /// like others: a hand has promoted such data, or a promotion of this node's own came to nothing.
    pub fn give_up(&mut self, reach: Timeline, line: Timeline) -> bool {
        let mistakable = self.goes_beyond(reach) && self.noted().is_some_and(|noted| line > noted);
        if mistakable {
            (self.followed, self.pointed) = (Some(PromotionId::UNKNOWN), None);
        }
        mistakable
    }

    /// Notes that this data is of this promotion, of another member, as far as it reaches; whether anything changed.
    /// `reach`: the timeline of all that the data holds; unknown where it may hold more. An error: it has, or may
    /// have, WAL of another promotion.
    pub fn note(&mut self, entry: &Entry, reach: &Known<Timeline>) -> Result<bool, String> {
        if self.is_elsewhere_than(entry) {
            return Err(format!(
                "{} was promoted without what this node has followed",
                entry.primary
            ));
        }
        if !self.is_fed_by(entry) {
            let fed = self.followed != Some(entry.id) && self.continues(entry);
            match reach {
                Known::Known(reach) if !self.goes_beyond(*reach) => {}
                Known::Known(reach) if fed && entry.timeline >= *reach => {}
                Known::Known(reach) => return Err(unexplained(*reach)),
                Known::Unknown(_) if fed || self.followed.is_none() => {}
                Known::Unknown(why) => return Err(why.clone()),
            }
        }
        let before = (self.followed, self.pointed.clone());
        self.is_of(entry);
        Ok((self.followed, self.pointed.clone()) != before)
    }

    /// Notes that this data is going to get the WAL of this member; whether anything changed. `of`: the promotion that
    /// the member's data is of, as it says itself: what it gets before the member is promoted is of that one. An
    /// error: what it has got so far is not explained, and would be taken for that member's.
    pub fn point_at(
        &mut self,
        node: &NodeName,
        of: Option<PromotionId>,
        reach: &Known<Timeline>,
    ) -> Result<bool, String> {
        let of = of.filter(|of| written(&self.store, *of).is_some());
        let is_noted = of.is_none() || of == self.followed;
        if is_noted && self.pointed_at().is_some_and(|pointed| pointed.node == *node) {
            return Ok(false);
        }
        if self.followed.is_some() {
            match reach {
                Known::Known(reach) if self.goes_beyond(*reach) => {
                    return Err(unexplained(*reach));
                }
                Known::Known(_) => {}
                Known::Unknown(why) => return Err(why.clone()),
            }
        }
        self.followed = of.or(self.followed);
        let newest = self.store.newest_done().filter(|newest| newest.primary == *node);
        let term = newest.map_or_else(|| self.store.max_term() + 1, |newest| newest.term);
        self.pointed = Some(Pointed { node: node.clone(), term });
        Ok(true)
    }

    /// Whether data that is noted as of `theirs`, and reaches this timeline, holds the promotion that this node's data
    /// is of.
    pub fn is_held_by(&self, theirs: Option<PromotionId>, reach: Timeline) -> bool {
        let Some(mine) = self.followed else { return true };
        let leads_to = |theirs: PromotionId| {
            mine == theirs
                || self.store.entries().any(|one| one.id == theirs && one.descends_from(mine))
        };
        theirs.is_some_and(leads_to) && written(&self.store, mine).is_some_and(|own| own <= reach)
    }
}

/// Why such data says nothing of itself, and follows nobody.
pub fn unexplained(reach: Timeline) -> String {
    format!("its WAL of timeline {reach} is of a promotion that is not known")
}

/// The timeline that a promotion writes. An intent says from which one it starts.
fn timeline_of(entry: &Entry, intent: bool) -> Timeline {
    if intent { entry.as_carried_out().timeline } else { entry.timeline }
}

/// The timeline that the promotion of this identity writes, if the store knows it: by its entry, or by what came after
/// it, which may have known it as an intent only.
fn written(store: &Store, id: PromotionId) -> Option<Timeline> {
    let slots = || store.slots().map(|(_, slot)| slot);
    let is_it = |entry: &&Entry| entry.id == id;
    let done = slots().find_map(|slot| slot.done.as_ref().filter(is_it));
    let intent = || slots().find_map(|slot| slot.intent.as_ref().filter(is_it));
    let past = || store.entries().flat_map(|entry| &entry.history).find(|past| past.id == id);
    done.map(|entry| timeline_of(entry, false))
        .or_else(|| intent().map(|entry| timeline_of(entry, true)))
        .or_else(|| past().map(|past| past.timeline))
}
