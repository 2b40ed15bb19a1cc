//! What follows from a notification. Floor 1.
//!
//! Pacemaker ignores the answer, and begins with what it has announced when the last notification of it has
//! ended: so nothing is done here that a monitor could do as well a moment later, but what the next step of
//! the cluster depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Mode, Own, PromotionId};
use crate::cluster::node::NodeName;
use crate::cluster::position::{Position, Publication, Shutdown};
use crate::decide::election::Ruling;
use crate::decide::facts::{Sql, Walsender};
use crate::decide::promote::words;
use crate::ocf::notify::{Notification, What, When};
use crate::postgres::history::Relation;

/// How long a primary cares for its standbys before one of them stops.
const BEFORE: Duration = Duration::from_secs(10);
/// And how long after something has started or stopped.
const AFTER: Duration = Duration::from_secs(20);

/// Its monitors are cancelled and scheduled anew, also when the promotion or demotion comes to nothing.
#[must_use]
pub fn renews_monitors(notification: &Notification, me: &NodeName) -> bool {
    [&notification.promote, &notification.demote].iter().any(|listed| listed.names(me))
}

/// The right to be promoted that a monitor has left for the demotion (`due`) goes now.
#[must_use]
pub fn takes_the_right(notification: &Notification, me: &NodeName, due: bool) -> bool {
    due && (notification.when, notification.what) == (When::Pre, What::Demote)
        && notification.demote.names(me)
}

/// Whether anything may follow from it. Where not, the service stands still meanwhile, and nothing is looked
/// at.
#[must_use]
pub fn matters(when: When, what: What) -> bool {
    match (when, what) {
        (When::Pre, What::Stop | What::Promote)
        | (When::Post, What::Stop | What::Start | What::Promote) => true,
        (When::Pre, What::Start | What::Demote) | (When::Post, What::Demote) => false,
    }
}

/// What a node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing.
    Nothing,
    /// The primary cares for its standbys for so long; the instances of these are being stopped, or were.
    Care(BTreeSet<NodeName>, Duration),
    /// The primary waits a little until these stream, and cares for its standbys for so long.
    TakeIn(BTreeSet<NodeName>, Duration),
    /// One of these is going to be promoted: this node says how far it is, and more.
    BeforePromotion(BTreeSet<NodeName>),
    /// This one was promoted: it is followed.
    Join(NodeName),
    /// Instances were started, and nobody is promoted with it: it may be a cold start.
    PerhapsColdStart,
}

/// What counts of a server's answer here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serves {
    Primary,
    Standby,
    Starting,
    Neither,
}

impl Serves {
    fn of(sql: &Sql) -> Self {
        match sql {
            Sql::Primary(_) => Self::Primary,
            Sql::Standby(_) => Self::Standby,
            Sql::Starting(_) => Self::Starting,
            Sql::NotAsked
            | Sql::ShuttingDown
            | Sql::Busy(_)
            | Sql::Alive(_)
            | Sql::Hung
            | Sql::Refused(_)
            | Sql::Unknown(_) => Self::Neither,
        }
    }
}

/// What follows on a node whose server answers so. A new primary has nothing to do after its promotion: the
/// address of the service waits for the end of that notification everywhere. Its first monitor begins at the
/// same time as the address, and takes care of the standbys.
#[must_use]
pub fn follows(notification: &Notification, me: &NodeName, sql: &Sql) -> Follows {
    match (notification.when, notification.what, Serves::of(sql)) {
        (When::Pre, What::Stop, Serves::Primary) => {
            let leaving = notification.stop.nodes();
            if leaving.is_empty() || leaving.contains(me) {
                Follows::Nothing
            } else {
                Follows::Care(leaving, BEFORE)
            }
        }
        (When::Post, What::Stop, Serves::Primary) => {
            let left = notification.stop.nodes();
            if left.contains(me) { Follows::Nothing } else { Follows::Care(left, AFTER) }
        }
        (When::Post, What::Start, Serves::Primary) => {
            Follows::TakeIn(notification.start.nodes(), AFTER)
        }
        (When::Pre, What::Promote, Serves::Standby | Serves::Starting) => {
            Follows::BeforePromotion(notification.promote.nodes())
        }
        // What it said about its position the promotion has withdrawn; its monitor does so again.
        (When::Post, What::Promote, Serves::Standby) => {
            notification.promote.nodes().pop_first().map_or(Follows::Nothing, Follows::Join)
        }
        // Somebody is going to be promoted right after this: it is no cold start.
        (When::Post, What::Start, Serves::Standby) => {
            let (started, promoted) = (notification.start.nodes(), notification.promote.nodes());
            if promoted.is_empty() && !started.is_empty() {
                Follows::PerhapsColdStart
            } else {
                Follows::Nothing
            }
        }
        (When::Pre, What::Start | What::Demote, _)
        | (When::Post, What::Demote, _)
        | (
            When::Pre | When::Post,
            What::Stop,
            Serves::Standby | Serves::Starting | Serves::Neither,
        )
        | (When::Post, What::Start, Serves::Starting | Serves::Neither)
        | (When::Pre, What::Promote, Serves::Primary | Serves::Neither)
        | (When::Post, What::Promote, Serves::Primary | Serves::Starting | Serves::Neither) => {
            Follows::Nothing
        }
    }
}

/// Whether a promotion waits a moment for a primary that has just crashed (it has barred itself) and replays:
/// it may have more than the candidate, and would part from it. Where a third node can acknowledge what the
/// new primary commits, nobody waits for that: what it has more was acknowledged to nobody, and it comes back
/// by pg_rewind.
#[must_use]
pub fn replay_is_awaited(
    notification: &Notification,
    sql: &Sql,
    barred: bool,
    own: Option<&Own>,
    me: &NodeName,
    mode: Mode,
) -> bool {
    (notification.when, notification.what, Serves::of(sql))
        == (When::Pre, What::Promote, Serves::Starting)
        && barred
        && !two_may_take_over(own, me, mode)
}

/// One of them acknowledges what the other commits as the new primary.
fn two_may_take_over(own: Option<&Own>, me: &NodeName, mode: Mode) -> bool {
    let newest = own.and_then(|own| own.store.newest_done());
    mode == Mode::Sync && newest.is_some_and(|entry| entry.primary == *me && entry.heirs.len() > 1)
}

/// Whether all standbys that were just started stream, by their names; one without a valid name never does.
#[must_use]
pub fn all_stream(started: &[Option<String>], walsenders: &[Walsender]) -> bool {
    started.iter().all(|name| {
        name.as_ref().is_some_and(|name| {
            walsenders
                .iter()
                .any(|one| one.state == "streaming" && one.name.eq_ignore_ascii_case(name))
        })
    })
}

/// This node's data is of another branch than the newest promotion of its file. Whoever is promoted next is
/// of that promotion, and WAL of its timeline must not come to data of another branch, whose timeline may
/// have the same number.
#[must_use]
pub fn is_elsewhere(own: Option<&Own>) -> bool {
    own.is_some_and(|own| own.store.newest_done().is_some_and(|entry| own.is_elsewhere_than(entry)))
}

/// What the data of a candidate holds of what this node's data is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// All; the promotion that the candidate's data is of itself.
    All(Option<PromotionId>),
    /// Not all, or nothing.
    NotAll,
}

/// What a candidate that has said this holds of it (`explained`): two that have parted may have one timeline number.
pub fn holds(own: Option<&Own>, said: Option<&Known<Publication>>) -> Known<Holds> {
    let Some(own) = own else { return Known::Known(Holds::All(None)) };
    match said {
        Some(Known::Known(Publication::Data(theirs))) => {
            let held = own.is_held_by(theirs.followed, theirs.position.timeline());
            // What it would send before it is promoted has begun and come to nothing (`never-written`).
            Known::Known(if held && theirs.never_written.is_none() {
                Holds::All(theirs.followed)
            } else {
                Holds::NotAll
            })
        }
        Some(Known::Known(Publication::NoData)) => Known::Known(Holds::NotAll),
        Some(Known::Unknown(why)) => Known::unknown(why.clone()),
        None => Known::unknown("it has said nothing yet"),
    }
}

/// The candidate that a server which takes no sessions is pointed at before anything else: it may wait for a
/// snapshot, which only the WAL of a primary brings.
#[must_use]
pub fn pointed_at_blindly<'a>(
    sql: &Sql,
    candidates: &'a BTreeSet<NodeName>,
    me: &NodeName,
    elsewhere: bool,
) -> Option<&'a NodeName> {
    let candidate = candidates.first()?;
    (Serves::of(sql) == Serves::Starting && candidate != me && !elsewhere).then_some(candidate)
}

/// What a candidate does after its election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// It is not the one, for these reasons: its score goes down, so that Pacemaker takes another.
    GivesWay(String),
    /// It gives way to the old primary if that is back: refusing here costs nothing; a promotion that fails
    /// would restart this standby.
    UnlessTheOldPrimaryIsBack,
    /// It awaits its promotion.
    Waits,
}

/// What a candidate does after its election. Nobody is waited for here: Pacemaker may notify one node after
/// the other, and whoever comes later of two sees both.
#[must_use]
pub fn candidate(ruling: &Ruling, mode: Mode) -> Candidate {
    match (ruling, mode) {
        (Ruling::Refused(obstacles), _) if !ruling.may_pass() => {
            Candidate::GivesWay(words(obstacles))
        }
        (Ruling::Refused(_) | Ruling::Permitted(_), Mode::Async) => {
            Candidate::UnlessTheOldPrimaryIsBack
        }
        (Ruling::Refused(_) | Ruling::Permitted(_), Mode::Sync) => Candidate::Waits,
    }
}

/// Whether the primary of the newest promotion, another node, is one that comes back: it runs, and nobody
/// wants the service to move.
#[must_use]
pub fn may_be_back(entry: &Entry, me: &NodeName, runs: bool, ended_in_order: bool) -> bool {
    entry.primary != *me && runs && !ended_in_order
}

/// Whether it has no less than this node, or has not said how far it is.
#[must_use]
pub fn has_no_less(said: Option<&Known<Publication>>, mine: &Position) -> bool {
    match said {
        Some(Known::Known(Publication::Data(theirs))) => match mine.relation_to(&theirs.position) {
            Relation::Equal | Relation::BAhead => true,
            Relation::AAhead | Relation::Diverged { .. } => false,
        },
        Some(Known::Known(Publication::NoData)) => false,
        Some(Known::Unknown(_)) | None => true,
    }
}

/// The primary of this promotion was shut down in order, or it is not known that it was not: then somebody
/// wants the service to move. `said`: what the nodes have published of their ends.
#[must_use]
pub fn ended_in_order(
    said: &Known<BTreeMap<NodeName, String>>,
    node: &NodeName,
    id: PromotionId,
) -> bool {
    match said {
        Known::Known(texts) => texts
            .get(node)
            .and_then(|text| text.parse::<Shutdown>().ok())
            .is_some_and(|shutdown| shutdown.id == id),
        Known::Unknown(_) => true,
    }
}

/// Whether a node that is no candidate should be promoted instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preferred {
    /// The candidate has said that it has less.
    Yes,
    /// Async, and both have as much: the primary of this promotion, this node, comes back and has everything,
    /// and no data is left behind; but not if it was shut down in order.
    UnlessItEndedInOrder(PromotionId),
    /// No.
    No,
}

/// Whether this node, which is no candidate, should be promoted instead of one that has said this.
#[must_use]
pub fn preferred(
    said: Option<&Known<Publication>>,
    mine: &Position,
    own: Option<&Own>,
    me: &NodeName,
    mode: Mode,
) -> Preferred {
    let theirs = match said {
        Some(Known::Known(Publication::Data(theirs))) => &theirs.position,
        Some(Known::Known(Publication::NoData) | Known::Unknown(_)) | None => return Preferred::No,
    };
    match mine.relation_to(theirs) {
        Relation::AAhead => Preferred::Yes,
        Relation::Equal => {
            let newest = own.and_then(|own| own.store.newest_done());
            match newest.filter(|entry| entry.primary == *me && mode == Mode::Async) {
                Some(entry) => Preferred::UnlessItEndedInOrder(entry.id),
                None => Preferred::No,
            }
        }
        Relation::BAhead | Relation::Diverged { .. } => Preferred::No,
    }
}

/// Where a node looks that is neither a candidate nor preferred to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Points {
    /// At the candidate.
    AtTheCandidate,
    /// At nobody: the candidate does not hold what this data is of, as far as it has said. Whoever this node streams
    /// from may follow the new primary sooner, and pass on WAL of a promotion that is not noted here.
    AtNobody,
    /// Where it does: it takes no sessions, and was pointed at it blindly.
    AsBefore,
}

/// Where such a node looks. `held`: the candidate holds what this node's data is of.
#[must_use]
pub fn points(sql: &Sql, held: bool) -> Points {
    match (Serves::of(sql), held) {
        (Serves::Standby, true) => Points::AtTheCandidate,
        (Serves::Standby, false) => Points::AtNobody,
        (Serves::Primary | Serves::Starting | Serves::Neither, _) => Points::AsBefore,
    }
}

/// Whether it may be a cold start: nobody is promoted, or has the right to be; a promotion may wait for this
/// very notification.
#[must_use]
pub fn may_be_cold_start(anybody_promoted: bool, anybody_scored: bool) -> bool {
    !anybody_promoted && !anybody_scored
}

/// Whether this node is one that waits for a primary: a standby that nobody sends anything.
#[must_use]
pub fn waits_for_a_primary(sql: &Sql) -> bool {
    matches!(sql, Sql::Standby(standby) if !standby.streams())
}

/// What follows from the election of a cold start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cold {
    /// Look who goes first of several that are as far.
    LookWhoGoesFirst,
    /// Take the right to be promoted.
    TakeTheScore,
    /// Look again in a moment: another may have taken its score, or said how far it is.
    LookAgain,
    /// Leave it to the monitors.
    LeaveIt,
}

/// What follows from the election of a cold start. `another_first`: another node is let go first; none when
/// nobody has looked.
#[must_use]
pub fn after_cold_election(
    ruling: &Ruling,
    another_first: Option<bool>,
    out_of_time: bool,
) -> Cold {
    match (ruling, another_first) {
        (Ruling::Permitted(_), None) => Cold::LookWhoGoesFirst,
        (Ruling::Permitted(_), Some(true)) => Cold::LookAgain,
        (Ruling::Permitted(_), Some(false)) => Cold::TakeTheScore,
        (Ruling::Refused(_), _) if ruling.may_pass() && !out_of_time => Cold::LookAgain,
        (Ruling::Refused(_), _) => Cold::LeaveIt,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
