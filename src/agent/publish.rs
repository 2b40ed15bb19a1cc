//! Positions: measuring one's own, publishing it, reading those of the others, and holding the
//! election on them. Floor 3.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{debug, warn};

use super::Agent;
use super::origin::reach;
use super::view::View;
use crate::client::ledger_file::OwnFile;
use crate::client::pacemaker::{Attribute, News};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Own, Store, unexplained};
use crate::cluster::node::NodeName;
use crate::cluster::position::{Exactness, Member, Position, Publication};
use crate::decide::election::{self, Purpose, Ruling};
use crate::decide::facts::{Instance, Sql, StandbyFacts};
use crate::decide::publication::{self, Reached, Says, file_or_first, heard, says};
use crate::postgres::lsn::Lsn;

impl Agent<'_> {
    /// How far this node's data goes, measured now on a running standby.
    pub fn position(&mut self, instance: &Instance) -> Known<Position> {
        let Sql::Standby(standby) = &instance.sql else {
            return Known::unknown(match &instance.sql {
                Sql::Starting(why) => format!("PostgreSQL does not answer yet: {why}"),
                Sql::Primary(_) => "it accepts writes".to_owned(),
                other => format!("PostgreSQL does not answer as a standby: {other:?}"),
            });
        };
        let exactness = if standby.at_end_of_wal() { Exactness::Exact } else { Exactness::AtLeast };
        let identity = match self.pg.identify(&self.deadline) {
            Known::Known(identity) => identity,
            Known::Unknown(why) => return Known::Unknown(why),
        };
        self.pg.history_of(identity.timeline).map(|line| Position {
            system_id: identity.system_id,
            line,
            lsn: identity.lsn,
            exactness,
        })
    }

    /// What this node would say about itself in an election.
    pub fn publication(
        &mut self,
        instance: &Instance,
        file: &OwnFile,
        cib: &Store,
    ) -> Known<Publication> {
        let whole = self.recovery().marker().data_is_whole();
        let ever = cib.newest_done().is_some();
        match says(whole, instance, file, ever, &self.resource, &self.me) {
            Says::Nothing(why) => Known::Unknown(why),
            Says::NoDataIfMounted => {
                match self.mount(&instance.data).refusal(&self.params.pgdata) {
                    Some(why) => Known::Unknown(why),
                    None => Known::Known(Publication::NoData),
                }
            }
            Says::Position(own) => {
                let primary_reached = self.primary_reached(instance, &own);
                let position = match self.position(instance) {
                    Known::Known(position) => position,
                    Known::Unknown(why) => return Known::Unknown(why),
                };
                let reach = reach(&position, &instance.sql);
                let own = self.explained_own(*own, cib, reach);
                if let Some(reach) = reach.filter(|reach| own.is_unexplained(*reach)) {
                    return Known::Unknown(unexplained(reach));
                }
                let end = position.timeline();
                let position = position.counted(&own);
                Known::Known(Publication::Data(Box::new(Member {
                    never_written: (position.timeline() != end).then_some(end),
                    position,
                    followed: own.followed,
                    primary_reached,
                    store: own.store,
                })))
            }
        }
    }

    fn primary_reached(&self, instance: &Instance, own: &Own) -> Option<Lsn> {
        publication::reached(&instance.sql, own, &self.kept_reached())
    }

    fn kept_reached(&self) -> Reached {
        Reached { of: self.cache.reached_of.clone(), lsn: self.cache.reached }
    }

    /// Keeps how far the primary is, for the time when it does not say so any more.
    pub fn keep_reached(&mut self, own: &Own, standby: &StandbyFacts) {
        let kept = publication::keep(self.kept_reached(), own, standby);
        (self.cache.reached_of, self.cache.reached) = (kept.of, kept.lsn);
    }

    /// Publishes it. What cannot be measured is not published: the others then do not see this node.
    pub fn publish_position(&mut self, publication: &Known<Publication>) {
        match publication {
            Known::Known(publication) => {
                let text = publication.to_string();
                match self.pacemaker.publish(Attribute::Position, &text, self.tool_limit()) {
                    Known::Known(()) => {
                        debug!("published: {text}");
                        self.cache.published = true;
                    }
                    Known::Unknown(why) => warn!("the position could not be published: {why}"),
                }
            }
            Known::Unknown(why) => {
                warn!("this node publishes no position: {why}");
                self.withdraw_position();
            }
        }
    }

    /// Says that there is no data here, where that counts.
    pub fn say_that_there_is_no_data(
        &mut self,
        instance: &Instance,
        file: &OwnFile,
        cib: &Known<Store>,
    ) {
        let Known::Known(store) = cib else { return };
        if !publication::nothing_counts(file, cib) {
            return;
        }
        let publication = self.publication(instance, file, store);
        if publication == Known::Known(Publication::NoData) {
            self.publish_position(&publication);
        }
    }

    /// The position, and at the same time which entry this node's disk holds.
    pub fn publish_position_and_ack(&mut self, publication: &Known<Publication>, file: &OwnFile) {
        let (Known::Known(Publication::Data(member)), OwnFile::Read(own)) = (publication, file)
        else {
            self.publish_position(publication);
            return;
        };
        let position = Publication::Data(member.clone()).to_string();
        let ack = publication::ack(own, &self.me).map(|ack| ack.to_string());
        let mut news = vec![News::Publish(Attribute::Position, &position)];
        news.extend(ack.iter().map(|ack| News::Publish(Attribute::Ack, ack)));
        let answers = self.pacemaker.tell_all(&news, self.tool_limit());
        for answer in &answers {
            if let Known::Unknown(why) = answer {
                warn!("the position or the acknowledgement could not be published: {why}");
            }
        }
        if let Some(Known::Known(())) = answers.first() {
            debug!("published: {position}");
            self.cache.published = true;
        }
        if let (Some(ack), Some(Known::Known(()))) = (ack, answers.get(1)) {
            self.cache.ack = ack;
        }
    }

    /// Takes the own position back.
    pub fn withdraw_position(&mut self) {
        match self.pacemaker.withdraw(Attribute::Position, &self.me, self.tool_limit()) {
            Known::Known(()) => self.cache.published = false,
            Known::Unknown(why) => warn!("the position could not be withdrawn: {why}"),
        }
    }

    /// What the other members say. A publication that does not know the newest promotion that this
    /// node knows is from before it, and counts as not seen.
    pub fn peers(
        &mut self,
        members: &BTreeSet<NodeName>,
        view: &View,
        newest: Option<crate::cluster::ledger::PromotionId>,
    ) -> BTreeMap<NodeName, Known<Publication>> {
        let all = self.publications(newest);
        members
            .iter()
            .filter(|node| **node != self.me)
            .map(|node| {
                let said = all.clone().and_then(|mut all| {
                    let silence = || Known::unknown(view.silence(node));
                    all.remove(node).unwrap_or_else(silence)
                });
                (node.clone(), said)
            })
            .collect()
    }

    /// What any nodes have said that know the newest promotion.
    pub fn publications(
        &mut self,
        newest: Option<crate::cluster::ledger::PromotionId>,
    ) -> Known<BTreeMap<NodeName, Known<Publication>>> {
        let all = self.pacemaker.read_all(Attribute::Position, self.tool_limit());
        all.map(|texts| {
            texts.into_iter().map(|(node, text)| (node, heard(&text, newest))).collect()
        })
    }

    /// Holds the election for this node on what is known now: the ruling, and the members that it saw.
    pub fn elect(
        &mut self,
        view: &View,
        file: &OwnFile,
        instance: &Instance,
        position: Known<Position>,
        purpose: Purpose,
    ) -> (Ruling, BTreeSet<NodeName>) {
        let nobody = BTreeSet::new();
        let cib = view.ledger();
        let members = self.members(view);
        let ever = publication::ever_promoted(&cib);
        let own = match file_or_first(file, ever, &self.resource, &self.me) {
            Ok(own) => own,
            Err(lost) => return (Ruling::Refused(vec![lost.obstacle()]), nobody),
        };
        let mine = position.as_known().known();
        let reach = mine.and_then(|position| reach(position, &instance.sql));
        let position = match reach.filter(|reach| own.is_unexplained(*reach)) {
            Some(reach) => Known::Unknown(unexplained(reach)),
            None => position.map(|position| position.counted(&own)),
        };
        let newest = own.store.newest_done().map(|entry| entry.id);
        let peers = self.peers(&members, view, newest);
        let seen = peers.iter().filter(|(_, said)| said.is_known());
        let seen = seen.map(|(node, _)| node.clone()).collect();
        let mut out = view.out(&members);
        out.remove(&self.me);
        let reached = self.primary_reached(instance, &own);
        let ruling = election::judge(&election::Facts {
            me: self.me.clone(),
            position,
            own: own.store,
            followed: own.followed,
            cib,
            peers,
            out,
            reached,
            mode: self.mode(),
            strict: self.params.sync_strict,
            max_lag: self.params.max_promotion_lag_bytes,
            force: self.params.force_promotion,
            purpose,
        });
        (ruling, seen)
    }
}
