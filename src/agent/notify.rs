//! `notify`: carries out what `decide::notify` says. Its answer is ignored by Pacemaker, and what it does is
//! repeated by monitors where it matters. Floor 3.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::{debug, info, warn};

use super::outcome::Outcome;
use super::{Agent, view};
use crate::client::ledger_file::OwnFile;
use crate::client::pacemaker::{Attribute, Question};
use crate::cluster::known::Known;
use crate::cluster::ledger::PromotionId;
use crate::cluster::node::NodeName;
use crate::cluster::position::{Position, Publication};
use crate::decide::election::{Purpose, Ruling};
use crate::decide::facts::{Instance, Sql};
use crate::decide::notify::{
    Candidate, Cold, Follows, Holds, Points, Preferred, after_cold_election, all_stream, candidate,
    ended_in_order, follows, has_no_less, holds, is_elsewhere, matters, may_be_back,
    may_be_cold_start, pointed_at_blindly, points, preferred, renews_monitors, replay_is_awaited,
    takes_the_right, waits_for_a_primary,
};
use crate::decide::publication::is_noted;
use crate::decide::token::{PREFERRED_SCORE, purpose_instead};
use crate::ocf::notify::Notification;

/// How long that may take to be in the CIB. Pacemaker begins with the promotion when this notification
/// ends, and a promotion that is refused is a failed one: it costs a restart of that standby.
const FOR_THE_SCORE: Duration = Duration::from_secs(1);
/// How long a standby waits for its stream from a new primary, to confirm the promotion at once: the
/// address of the service waits for that. Whoever comes later is found by its monitor.
const FOR_THE_STREAM: Duration = Duration::from_millis(150);
/// How long a primary that crashed may replay before the others are told where it is.
const FOR_REPLAY: Duration = Duration::from_millis(300);
/// How long the others wait for the word of the candidate before they are pointed at it; who was not is after its
/// promotion. A candidate that needs longer for it keeps the promotion waiting by that.
const FOR_THE_CANDIDATE: Duration = Duration::from_secs(2);
/// How long a cold start waits for the other members to say how far they are.
const FOR_COLD_START: Duration = Duration::from_secs(2);

impl Agent<'_> {
    /// Takes note.
    pub fn notify(&mut self, notification: &Notification) -> Outcome {
        debug!("{notification}");
        if renews_monitors(notification, &self.me) {
            self.cache.monitored = 0;
        }
        if takes_the_right(notification, &self.me, self.cache.bar_due) {
            let me = self.me.clone();
            self.bar(&me);
        }
        if !matters(notification.when, notification.what) || self.standalone {
            return Outcome::ok();
        }
        let first = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
        let instance = self.await_replay(notification, first);
        match follows(notification, &self.me, &instance.sql) {
            Follows::Nothing => {}
            Follows::Care(leaving, patience) => {
                let _ = self.care(&leaving, patience);
            }
            Follows::TakeIn(started, patience) => {
                self.await_streaming(&started);
                let _ = self.care(&BTreeSet::new(), patience);
            }
            Follows::BeforePromotion(candidates) => self.before_promotion(&instance, &candidates),
            Follows::Join(primary) => self.join(&primary),
            Follows::PerhapsColdStart => self.after_start(),
        }
        Outcome::ok()
    }

    /// A primary that has just crashed gets a moment to say how far it is, where that matters.
    fn await_replay(&self, notification: &Notification, first: Instance) -> Instance {
        let (barred, file, mode) = (self.is_barred_already(), self.home.read(), self.mode());
        let own = file.if_read();
        let awaited =
            |now: &Instance| replay_is_awaited(notification, &now.sql, barred, own, &self.me, mode);
        let end = self.deadline.within(FOR_REPLAY);
        let mut now = first;
        while awaited(&now) && !end.expired() {
            end.sleep(Duration::from_millis(30));
            now = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
        }
        now
    }

    /// Waits a little until the standbys that were just started stream, so that one round of care
    /// can take them in.
    fn await_streaming(&mut self, started: &BTreeSet<NodeName>) {
        let end = self.deadline.within(Duration::from_secs(3));
        let members = self.member_count().unwrap_or(2);
        loop {
            let Sql::Primary(primary) = self.pg.look(&end.within(Duration::from_secs(3))).sql
            else {
                return;
            };
            let others = started.iter().filter(|node| **node != self.me);
            let names = others.map(|node| self.params.application_name_for(node, members).ok());
            let all = all_stream(&names.collect::<Vec<_>>(), &primary.walsenders);
            if all || end.expired() {
                return;
            }
            end.sleep(Duration::from_millis(100));
        }
    }

    /// Every member says how far it is, measured now; the candidate finds out whether it is the
    /// one; the others point at it.
    fn before_promotion(&mut self, first: &Instance, candidates: &BTreeSet<NodeName>) {
        let (_, _) = self.settle_intent(first);
        let me = self.me.clone();
        // Only the candidate holds an election; for the others the CIB is enough.
        let (view, cib) = if candidates.contains(&me) {
            let view = self.view_and(&[Question::All(Attribute::Shutdown)]);
            (Some(view.clone()), view.map(|view| view.cib))
        } else {
            (None, self.cib())
        };
        let cib = match cib.and_then(|cib| view::ledger(&cib, &self.resource)) {
            Known::Known(store) => store,
            Known::Unknown(why) => {
                warn!("Pacemaker's CIB could not be read: {why}");
                return;
            }
        };
        let file = self.exchange_with(Known::Known(cib.clone()), false);
        let elsewhere = is_elsewhere(file.if_read());
        if let Some(candidate) = pointed_at_blindly(&first.sql, candidates, &me, elsewhere)
            && let Known::Known(Holds::All(of)) = self.holds_ours(candidate)
            && let Err(why) = self
                .note_candidate(candidate, of, first)
                .and_then(|()| self.follow_without_sql(candidate, &first.data))
        {
            warn!("cannot be pointed at {candidate}: {why}");
        }
        let publication = self.publication(first, &file, &cib);
        self.publish_position_and_ack(&publication, &file);
        let file = self.home.read();
        let Known::Known(Publication::Data(member)) = publication else { return };
        let mine = member.position;
        let position = Known::Known(mine.clone());
        if let Some(Known::Known(view)) = view {
            // The others attach to it before it is promoted, each by its slot.
            let members = self.members(&view);
            self.ensure_slots(&members);
            let ruling = self.elect_to_take_over(&view, &file, first, &position);
            match candidate(&ruling, self.mode()) {
                Candidate::GivesWay(why) => {
                    warn!("not to be promoted: {why}");
                    self.give_way(Some(&ruling));
                    self.await_own_score(None);
                }
                Candidate::UnlessTheOldPrimaryIsBack => {
                    if self.old_primary_is_back(&mine, &view) {
                        info!("gives way to the old primary, which is back");
                        self.give_way(None);
                        self.await_own_score(None);
                    }
                }
                Candidate::Waits => {}
            }
            return;
        }
        let Some(candidate) = candidates.first() else { return };
        if self.is_preferred_to(candidate, &mine) {
            info!("this node has more than {candidate}, which is about to be promoted");
            let Known::Known(view) = self.view() else { return };
            let theirs = view.scores().contains_key(candidate);
            let ruling = match purpose_instead(self.has_token(&view), theirs, self.mode()) {
                Purpose::Promotion => self.elect_to_take_over(&view, &file, first, &position),
                Purpose::ColdStart => {
                    self.elect(&view, &file, first, position, Purpose::ColdStart).0
                }
            };
            if matches!(ruling, Ruling::Permitted(_)) && self.set_score(&me, PREFERRED_SCORE) {
                self.await_own_score(Some(PREFERRED_SCORE));
            }
            return;
        }
        let held = match self.holds_ours(candidate) {
            Known::Known(Holds::All(of)) if !is_elsewhere(file.if_read()) => Ok(of),
            Known::Known(_) => Err("this node's data is of another promotion".to_owned()),
            Known::Unknown(why) => Err(why),
        };
        let (points, Sql::Standby(standby)) = (points(&first.sql, held.is_ok()), &first.sql) else {
            return;
        };
        let (conninfo, slot) = (standby.conninfo.clone(), standby.slot.clone());
        let at_it =
            held.and_then(|of| self.note_candidate(candidate, of, first)).and_then(
                |()| match points {
                    Points::AtTheCandidate => self.follow(candidate, &conninfo, &slot, &first.sql),
                    Points::AtNobody | Points::AsBefore => Ok(false),
                },
            );
        let Err(why) = at_it else { return };
        warn!("not pointed at {candidate} before its promotion, but after it: {why}");
        if !conninfo.is_empty()
            && let Err(why) = self.listen_to_nobody()
        {
            warn!("goes on listening to whom it did: {why}");
        }
    }

    /// Waits, within a bound, until the scheduler knows it (none: that this node has no right): with the end of
    /// this action Pacemaker would begin the promotion that it has planned without.
    fn await_own_score(&mut self, score: Option<i32>) {
        let end = self.deadline.within(FOR_THE_SCORE);
        while !end.expired() {
            if let Known::Known(cib) = self.cib()
                && view::scores(&cib, &self.resource).get(&self.me).copied() == score
            {
                return;
            }
            end.sleep(Duration::from_millis(20));
        }
    }

    /// The primary of the ledger is back, and has no less than this node.
    fn old_primary_is_back(&mut self, mine: &Position, view: &view::View) -> bool {
        let OwnFile::Read(own) = self.home.read() else { return false };
        let Some(entry) = own.store.newest_done() else { return false };
        let ended = self.ended_in_order(&entry.primary, entry.id);
        if !may_be_back(entry, &self.me, view.runs_on(&entry.primary), ended) {
            return false;
        }
        let members = self.members(view);
        let peers = self.peers(&members, view, Some(entry.id));
        has_no_less(peers.get(&entry.primary), mine)
    }

    fn ended_in_order(&self, node: &NodeName, id: PromotionId) -> bool {
        let said = self.pacemaker.read_all(Attribute::Shutdown, self.tool_limit());
        ended_in_order(&said, node, id)
    }

    /// Whether this node should be promoted instead of a candidate.
    fn is_preferred_to(&mut self, other: &NodeName, mine: &Position) -> bool {
        let file = self.home.read();
        let own = file.if_read();
        let newest = own.and_then(|own| own.store.newest_done()).map(|entry| entry.id);
        let Known::Known(said) = self.publications(newest) else { return false };
        match preferred(said.get(other), mine, own, &self.me, self.mode()) {
            Preferred::Yes => true,
            Preferred::UnlessItEndedInOrder(id) => !self.ended_in_order(&self.me, id),
            Preferred::No => false,
        }
    }

    /// What the candidate has said of its data. Waits for its word, which it says at this very moment.
    fn holds_ours(&mut self, candidate: &NodeName) -> Known<Holds> {
        let file = self.home.read();
        let own = file.if_read();
        let newest = own.and_then(|own| own.store.newest_done()).map(|entry| entry.id);
        let end = self.deadline.within(FOR_THE_CANDIDATE);
        loop {
            let said = self.publications(newest).known().and_then(|mut all| all.remove(candidate));
            match holds(own, said.as_ref()) {
                Known::Unknown(_) if !end.expired() => end.sleep(Duration::from_millis(50)),
                known => return known,
            }
        }
    }

    /// After a promotion: notes it, for the primary's WAL may come in already, and confirms it once
    /// this node streams, so that it may take over from the new primary.
    fn join(&mut self, primary: &NodeName) {
        let first = self.pg.look(&self.deadline.within(Duration::from_secs(5))).sql;
        if let Known::Known(cib) = self.cib() {
            self.note_followed(view::ledger(&cib, &self.resource), primary, &first);
        }
        // Who was not pointed at it before, because too little was known of both.
        if let Sql::Standby(standby) = &first
            && self.home.read().if_read().is_some_and(is_noted)
            && let Err(why) = self.follow(primary, &standby.conninfo, &standby.slot, &first)
        {
            warn!("cannot be pointed at {primary}: {why}");
        }
        let end = self.deadline.within(FOR_THE_STREAM);
        while let Sql::Standby(standby) = self.pg.look(&end.within(Duration::from_secs(3))).sql {
            let from_it = standby
                .receiver
                .as_ref()
                .is_some_and(|receiver| receiver.host == self.address(primary));
            if standby.streams() && from_it {
                if let OwnFile::Read(own) = self.home.read() {
                    self.keep_reached(&own, &standby);
                    self.publish_ack(&own, false);
                }
                return;
            }
            if end.expired() {
                return;
            }
            end.sleep(Duration::from_millis(20));
        }
    }

    /// After a start without a primary: perhaps it is a cold start.
    fn after_start(&mut self) {
        let end = self.deadline.within(FOR_COLD_START);
        loop {
            // The CIB alone costs less, and is enough to say no.
            let scored = self.cib().map(|cib| !view::scores(&cib, &self.resource).is_empty());
            match scored {
                Known::Known(scored) if may_be_cold_start(false, scored) => {}
                Known::Known(_) | Known::Unknown(_) => return,
            }
            let view = match self.view() {
                Known::Known(view) => view,
                Known::Unknown(_) => return,
            };
            if !may_be_cold_start(!view.promoted().is_empty(), !view.scores().is_empty()) {
                return;
            }
            let instance = self.pg.look(&end.within(Duration::from_secs(3)));
            if !waits_for_a_primary(&instance.sql) {
                return;
            }
            let ruling = self.cold_election(&instance, &view);
            let next = match after_cold_election(&ruling, None, end.expired()) {
                Cold::LookWhoGoesFirst => {
                    let another = self.lets_another_go_first(&instance);
                    after_cold_election(&ruling, Some(another), end.expired())
                }
                next => next,
            };
            match next {
                Cold::TakeTheScore => {
                    info!("cold start: everybody who counts was seen, and this node has it all");
                    let me = self.me.clone();
                    let score = self.cold_score();
                    self.set_score(&me, score);
                    return;
                }
                Cold::LeaveIt => return,
                Cold::LookAgain | Cold::LookWhoGoesFirst => {}
            }
            end.sleep(Duration::from_millis(300));
        }
    }
}
