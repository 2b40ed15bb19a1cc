//! As `src/agent/notify.rs`.

use std::collections::BTreeSet;

use pgtwin::cluster::known::Known;
use pgtwin::cluster::position::{Position, Publication};
use pgtwin::decide::election::{Purpose, Ruling};
use pgtwin::decide::facts::{Instance, Sql};
use pgtwin::postgres::history::Relation;

use super::{Agent, Notice, What, When};
use crate::world::{Role, index};

/// The score that whoever may take over, or a returning primary, gives itself when it has more than the
/// candidate.
const PREFERRED_SCORE: i32 = 12_000;
/// The score of a member that a cold start favours.
const COLD_SCORE: i32 = 5_000;

impl Agent {
    pub(super) async fn notify(&self, notice: &Notice) {
        match (notice.when, notice.what) {
            (When::Pre, What::Stop | What::Promote)
            | (When::Post, What::Stop | What::Start | What::Promote) => {}
            (When::Pre, What::Start | What::Demote) | (When::Post, What::Demote) => return,
        }
        let instance = self.look().await;
        match (&instance.sql, notice.when, notice.what) {
            (Sql::Primary(_), _, What::Stop) if !notice.nodes.contains(&self.me) => {
                let patience = if notice.when == When::Pre { 10_000 } else { 20_000 };
                self.care(&notice.nodes, patience).await;
            }
            (Sql::Primary(_), When::Post, What::Start) => {
                self.sim.sleep(self.sim.between(0, 3_000)).await;
                self.care(&BTreeSet::new(), 20_000).await;
            }
            (Sql::Standby(_) | Sql::Starting(_), When::Pre, What::Promote) => {
                self.before_promotion(&instance, &notice.nodes).await;
            }
            (Sql::Standby(_), When::Post, What::Promote) => self.join(&notice.nodes).await,
            (Sql::Standby(_), When::Post, What::Start) if notice.promote.is_empty() => {
                self.after_start().await;
            }
            _ => {}
        }
    }

    async fn before_promotion(&self, first: &Instance, candidates: &BTreeSet<usize>) {
        self.settle_intent(first).await;
        let view = self.view().await;
        let file = self.exchange(&view, false).await;
        self.sim.act().await;
        let publication = self.publication(first, file.as_ref(), &view);
        self.publish_position(&publication).await;
        if let Some(own) = &file {
            self.publish_ack(own).await;
        }
        let Known::Known(Publication::Data(member)) = publication else { return };
        let position = Known::Known(member.position);
        if candidates.contains(&self.me) {
            let view = self.view().await;
            let ruling = self.elect_to_take_over(&view, file.as_ref(), &position);
            if matches!(ruling, Ruling::Refused(_)) && !ruling.may_pass() {
                self.give_way().await;
            }
            return;
        }
        let Some(candidate) = candidates.first().copied() else { return };
        if let Known::Known(mine) = &position
            && self.has_more_than(candidate, mine).await
        {
            let view = self.view().await;
            let ruling = if self.has_token(&view) {
                self.elect_to_take_over(&view, file.as_ref(), &position)
            } else {
                self.elect(&view, file.as_ref(), position, Purpose::ColdStart).0
            };
            if matches!(ruling, Ruling::Permitted(_)) {
                self.set_score(self.me, PREFERRED_SCORE).await;
            }
            return;
        }
        let elsewhere = file.as_ref().is_some_and(|own| {
            own.store.newest_done().is_some_and(|entry| own.is_elsewhere_than(entry))
        });
        if matches!(first.sql, Sql::Standby(_)) && !elsewhere {
            self.follow(candidate).await;
        }
    }

    async fn has_more_than(&self, other: usize, mine: &Position) -> bool {
        let view = self.view().await;
        let newest = self.own().and_then(|own| own.store.newest_done().map(|entry| entry.id));
        match self.publications(&view, newest).get(&other) {
            Some(Known::Known(Publication::Data(theirs))) => {
                mine.relation_to(&theirs.position) == Relation::AAhead
            }
            _ => false,
        }
    }

    /// After a promotion: notes it, and confirms it once this node streams.
    async fn join(&self, promoted: &BTreeSet<usize>) {
        let Some(primary) = promoted.first().copied() else { return };
        let view = self.view().await;
        self.note_followed(&view, primary).await;
        let end = self.sim.now() + 150;
        loop {
            let streams = {
                let world = self.sim.world.borrow();
                world.nodes[self.me].server.as_ref().and_then(|one| one.streams_from)
            };
            if streams == Some(primary) {
                if let Some(own) = self.own() {
                    self.publish_ack(&own).await;
                }
                return;
            }
            if self.sim.now() > end {
                return;
            }
            self.sim.sleep(20).await;
        }
    }

    /// After a start without a primary: perhaps it is a cold start.
    async fn after_start(&self) {
        let end = self.sim.now() + 2_000;
        while self.sim.now() < end {
            let view = self.view().await;
            let promoted = view.stack.shared.roles.values().any(|role| *role == Role::Promoted);
            if promoted || !view.scores().is_empty() {
                return;
            }
            let instance = self.look().await;
            match &instance.sql {
                Sql::Standby(standby) if !standby.streams() => {}
                _ => return,
            }
            let ruling = self.cold_election(&instance).await;
            if matches!(ruling, Ruling::Permitted(_)) {
                self.set_score(self.me, self.cold_score()).await;
                return;
            }
            if !ruling.may_pass() {
                return;
            }
            self.sim.sleep(300).await;
        }
    }

    pub(super) fn cold_score(&self) -> i32 {
        let primary =
            self.own().and_then(|own| own.store.newest_done().map(|one| one.primary.clone()));
        if primary.is_some_and(|primary| index(&primary) == self.me) {
            COLD_SCORE + 1_000
        } else {
            COLD_SCORE
        }
    }

    /// Publishes the own position and judges whether this node may have a score without a primary.
    pub(super) async fn cold_election(&self, instance: &Instance) -> Ruling {
        let view = self.view().await;
        let file = self.exchange(&view, false).await;
        self.sim.act().await;
        let publication = self.publication(instance, file.as_ref(), &view);
        self.publish_position(&publication).await;
        let position = publication.and_then(|said| match said {
            Publication::Data(member) => Known::Known(member.position),
            Publication::NoData => Known::unknown("there is no database here"),
        });
        let view = self.view().await;
        self.elect(&view, file.as_ref(), position, Purpose::ColdStart).0
    }
}
