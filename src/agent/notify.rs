//! `notify`: before and after what the cluster does. Its answer is ignored by Pacemaker, and what it
//! does is repeated by monitors where it matters. Floor 3.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::{debug, info, warn};

use super::outcome::Outcome;
use super::{Agent, view};
use crate::client::ledger_file::OwnFile;
use crate::client::pacemaker::{Attribute, Question};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Mode, PromotionId};
use crate::cluster::node::NodeName;
use crate::cluster::position::{Position, Publication, Shutdown};
use crate::decide::election::{Purpose, Ruling};
use crate::decide::facts::{Instance, Sql};
use crate::decide::promote::words;
use crate::ocf::notify::{Listed, Notification, What, When};
use crate::postgres::history::Relation;

/// The score that whoever may take over, or a returning primary, gives itself when it has more than the
/// candidate.
const PREFERRED_SCORE: i32 = 12_000;
/// How long that may take to be in the CIB. Pacemaker begins with the promotion when this notification
/// ends, and a promotion that is refused is a failed one: it costs a restart of that standby.
const FOR_THE_SCORE: Duration = Duration::from_secs(1);
/// How long a standby waits for its stream from a new primary, to confirm the promotion at once: the
/// address of the service waits for that. Whoever comes later is found by its monitor.
const FOR_THE_STREAM: Duration = Duration::from_millis(150);
/// How long a primary that crashed may replay before the others are told where it is.
const FOR_REPLAY: Duration = Duration::from_millis(300);
/// How long a cold start waits for the other members to say how far they are.
const FOR_COLD_START: Duration = Duration::from_secs(2);

fn nodes(listed: &Listed) -> BTreeSet<NodeName> {
    listed.known().map(|nodes| nodes.iter().cloned().collect()).unwrap_or_default()
}

impl Agent<'_> {
    /// Takes note.
    pub fn notify(&mut self, notification: &Notification) -> Outcome {
        debug!("{notification}");
        // Its monitors are cancelled and scheduled anew, also when the promotion comes to nothing.
        if [&notification.promote, &notification.demote]
            .iter()
            .any(|one| nodes(one).contains(&self.me))
        {
            self.cache.monitored = 0;
        }
        if (notification.when, notification.what) == (When::Pre, What::Demote)
            && self.cache.bar_due
            && nodes(&notification.demote).contains(&self.me)
        {
            let me = self.me.clone();
            self.bar(&me);
        }
        match (notification.when, notification.what) {
            (When::Pre, What::Stop | What::Promote)
            | (When::Post, What::Stop | What::Start | What::Promote) => {}
            // The service stands still meanwhile, and there is nothing to do.
            (When::Pre, What::Start | What::Demote) | (When::Post, What::Demote) => {
                return Outcome::ok();
            }
        }
        if self.standalone {
            return Outcome::ok();
        }
        let mut instance = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
        if let (Sql::Starting(_), When::Pre, What::Promote) =
            (&instance.sql, notification.when, notification.what)
        {
            instance = self.await_replay(instance);
        }
        match (&instance.sql, notification.when, notification.what) {
            (Sql::Primary(_), When::Pre, What::Stop) => {
                let leaving = nodes(&notification.stop);
                if !leaving.is_empty() && !leaving.contains(&self.me) {
                    let _ = self.care(&leaving, Duration::from_secs(10));
                }
            }
            (Sql::Primary(_), When::Post, What::Stop) => {
                let left = nodes(&notification.stop);
                if !left.contains(&self.me) {
                    let _ = self.care(&left, Duration::from_secs(20));
                }
            }
            (Sql::Primary(_), When::Post, What::Start) => {
                self.await_streaming(&nodes(&notification.start));
                let _ = self.care(&BTreeSet::new(), Duration::from_secs(20));
            }
            (Sql::Standby(_) | Sql::Starting(_), When::Pre, What::Promote) => {
                self.before_promotion(&instance, &nodes(&notification.promote));
            }
            (Sql::Standby(_), When::Post, What::Promote) => {
                // What it said about its position the promotion has withdrawn; its monitor does so again.
                self.join(nodes(&notification.promote).first());
            }
            // Somebody is going to be promoted right after this: it is no cold start.
            (Sql::Standby(_), When::Post, What::Start)
                if nodes(&notification.promote).is_empty() =>
            {
                self.after_start(&nodes(&notification.start));
            }
            // A new primary has nothing to do after its promotion: the address of the service waits
            // for the end of that notification everywhere. Its first monitor begins at the same time
            // as the address, and takes care of the standbys.
            _ => {}
        }
        Outcome::ok()
    }

    /// A primary that has just crashed may have more than the candidate, and would part from it: it gets
    /// a moment to say so. Where a third node can acknowledge what the new primary commits, nobody waits
    /// for that: what it has more was acknowledged to nobody, and it comes back by pg_rewind.
    fn await_replay(&self, first: Instance) -> Instance {
        if !self.is_barred_already() || self.two_may_take_over() {
            return first;
        }
        let end = self.deadline.within(FOR_REPLAY);
        let mut now = first;
        while matches!(now.sql, Sql::Starting(_)) && !end.expired() {
            end.sleep(Duration::from_millis(30));
            now = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
        }
        now
    }

    /// One of them acknowledges what the other commits as the new primary.
    fn two_may_take_over(&self) -> bool {
        let OwnFile::Read(own) = self.home.read() else { return false };
        self.mode() == Mode::Sync
            && own
                .store
                .newest_done()
                .is_some_and(|entry| entry.primary == self.me && entry.heirs.len() > 1)
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
            let all = started.iter().filter(|node| **node != self.me).all(|node| {
                self.params.application_name_for(node, members).is_ok_and(|name| {
                    primary.walsenders.iter().any(|walsender| {
                        walsender.state == "streaming" && walsender.name.eq_ignore_ascii_case(&name)
                    })
                })
            });
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
        // Whoever is promoted now is of the newest promotion: WAL of its timeline must not come to data
        // of another branch, whose timeline may have the same number.
        let elsewhere = matches!(&file, OwnFile::Read(own)
            if own.store.newest_done().is_some_and(|entry| own.is_elsewhere_than(entry)));
        if let (Sql::Starting(_), Some(candidate)) = (&first.sql, candidates.first())
            && *candidate != self.me
            && !elsewhere
        {
            // It may wait for a snapshot, which only the WAL of a primary brings.
            if let Err(why) = self.follow_without_sql(candidate) {
                warn!("cannot be pointed at {candidate}: {why}");
            }
        }
        let publication = self.publication(first, &file, &cib);
        self.publish_position_and_ack(&publication, &file);
        let Known::Known(Publication::Data(member)) = publication else { return };
        let position = Known::Known(member.position);
        // Nobody is waited for here: Pacemaker may notify one node after the other, and whoever comes
        // later of two sees both.
        if let Some(Known::Known(view)) = view {
            // The others attach to it before it is promoted, each by its slot.
            let members = self.members(&view);
            self.ensure_slots(&members);
            let ruling = self.elect_to_take_over(&view, &file, first, &position);
            if matches!(ruling, Ruling::Refused(_)) && !ruling.may_pass() {
                self.yield_to(&ruling);
            } else if self.mode() == Mode::Async
                && let Known::Known(mine) = &position
                && self.old_primary_is_back(mine, &view)
            {
                // Refusing here costs nothing; a promotion that fails would restart this standby.
                info!("gives way to the old primary, which is back");
                self.give_way();
            }
            return;
        }
        let Some(candidate) = candidates.first() else { return };
        if let Known::Known(mine) = &position
            && self.is_preferred_to(candidate, mine)
        {
            info!("this node has more than {candidate}, which is about to be promoted");
            let Known::Known(view) = self.view() else { return };
            let ruling = if self.has_token(&view) {
                self.elect_to_take_over(&view, &file, first, &position)
            } else {
                self.elect(&view, &file, first, position, Purpose::ColdStart).0
            };
            if matches!(ruling, Ruling::Permitted(_)) && self.set_score(&me, PREFERRED_SCORE) {
                self.await_own_score(PREFERRED_SCORE);
            }
            return;
        }
        if elsewhere {
            warn!("not pointed at {candidate}: this node's data is of another promotion");
        } else if let Sql::Standby(standby) = &first.sql {
            let (conninfo, slot) = (standby.conninfo.clone(), standby.slot.clone());
            if let Err(why) = self.follow(candidate, &conninfo, &slot) {
                warn!("cannot be pointed at {candidate}: {why}");
            }
        }
    }

    /// Waits, within a bound, until the scheduler knows it.
    fn await_own_score(&mut self, score: i32) {
        let end = self.deadline.within(FOR_THE_SCORE);
        while !end.expired() {
            if let Known::Known(cib) = self.cib()
                && view::scores(&cib, &self.resource).get(&self.me) == Some(&score)
            {
                return;
            }
            end.sleep(Duration::from_millis(20));
        }
    }

    /// The primary of the ledger is another node, runs, and has no less than this one, or has not
    /// said how far it is.
    fn old_primary_is_back(&mut self, mine: &Position, view: &super::view::View) -> bool {
        let OwnFile::Read(own) = self.home.read() else { return false };
        let Some(entry) = own.store.newest_done() else { return false };
        let planned = self.ended_in_order(&entry.primary, entry.id);
        if entry.primary == self.me || !view.runs_on(&entry.primary) || planned {
            return false;
        }
        let members = self.members(view);
        let peers = self.peers(&members, view, Some(entry.id));
        match peers.get(&entry.primary) {
            Some(Known::Known(Publication::Data(theirs))) => {
                matches!(mine.relation_to(&theirs.position), Relation::Equal | Relation::BAhead)
            }
            Some(Known::Known(Publication::NoData)) => false,
            Some(Known::Unknown(_)) | None => true,
        }
    }

    /// The primary of this promotion was shut down in order, or it is not known that it was not: then
    /// somebody wants the service to move.
    fn ended_in_order(&mut self, node: &NodeName, id: PromotionId) -> bool {
        match self.pacemaker.read_all(Attribute::Shutdown, self.tool_limit()) {
            Known::Known(texts) => texts
                .get(node)
                .and_then(|text| text.parse::<Shutdown>().ok())
                .is_some_and(|shutdown| shutdown.id == id),
            Known::Unknown(_) => true,
        }
    }

    /// The candidate is not the one: its score goes down, so that Pacemaker takes another.
    fn yield_to(&mut self, ruling: &Ruling) {
        let Ruling::Refused(obstacles) = ruling else { return };
        warn!("not to be promoted: {}", words(obstacles));
        self.give_way();
    }

    /// Whether a candidate has said that it has less than this node.
    fn is_preferred_to(&mut self, other: &NodeName, mine: &Position) -> bool {
        let newest = match self.home.read() {
            OwnFile::Read(own) => own.store.newest_done().map(|entry| entry.id),
            OwnFile::Missing | OwnFile::Unreadable(_) => None,
        };
        let Known::Known(said) = self.publications(newest) else { return false };
        let Some(Known::Known(Publication::Data(theirs))) = said.get(other) else { return false };
        match mine.relation_to(&theirs.position) {
            Relation::AAhead => true,
            // Async: the primary that comes back has everything, and no data is left behind.
            Relation::Equal => {
                let mine = match self.home.read() {
                    OwnFile::Read(own) => own
                        .store
                        .newest_done()
                        .filter(|entry| entry.primary == self.me)
                        .map(|entry| entry.id),
                    OwnFile::Missing | OwnFile::Unreadable(_) => None,
                };
                let me = self.me.clone();
                self.mode() == Mode::Async && mine.is_some_and(|id| !self.ended_in_order(&me, id))
            }
            Relation::BAhead | Relation::Diverged { .. } => false,
        }
    }

    /// After a promotion: notes it, for the primary's WAL may come in already, and confirms it once
    /// this node streams, so that it may take over from the new primary.
    fn join(&mut self, primary: Option<&NodeName>) {
        let Some(primary) = primary else { return };
        if let Known::Known(cib) = self.cib() {
            self.note_followed(view::ledger(&cib, &self.resource), primary);
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
    fn after_start(&mut self, started: &BTreeSet<NodeName>) {
        if started.is_empty() {
            return;
        }
        let end = self.deadline.within(FOR_COLD_START);
        loop {
            // Where somebody has a score it is no cold start, and a promotion waits for this.
            match self.cib() {
                Known::Known(cib) if view::scores(&cib, &self.resource).is_empty() => {}
                Known::Known(_) | Known::Unknown(_) => return,
            }
            let view = match self.view() {
                Known::Known(view) => view,
                Known::Unknown(_) => return,
            };
            // Somebody may be promoted already: it is no cold start.
            if !view.promoted().is_empty() || !view.scores().is_empty() {
                return;
            }
            let instance = self.pg.look(&end.within(Duration::from_secs(3)));
            let Sql::Standby(standby) = &instance.sql else { return };
            if standby.streams() {
                return;
            }
            match self.cold_election(&instance, &view) {
                // It looks again whether the other has taken its score.
                Ruling::Permitted(_) if self.lets_another_go_first(&instance) => {}
                Ruling::Permitted(_) => {
                    info!("cold start: everybody who counts was seen, and this node has it all");
                    let me = self.me.clone();
                    let score = self.cold_score();
                    self.set_score(&me, score);
                    return;
                }
                ruling @ Ruling::Refused(_) => {
                    if !ruling.may_pass() || end.expired() {
                        return;
                    }
                }
            }
            end.sleep(Duration::from_millis(300));
        }
    }
}
