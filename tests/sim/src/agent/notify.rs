//! As `src/agent/notify.rs`: what follows is `decide::notify`'s.

use std::collections::BTreeSet;

use pgtwin::cluster::known::Known;
use pgtwin::cluster::ledger::Mode;
use pgtwin::cluster::node::NodeName;
use pgtwin::cluster::position::{Position, Publication};
use pgtwin::decide::election::{Purpose, Ruling};
use pgtwin::decide::facts::{Instance, Sql};
use pgtwin::decide::notify::{
    Candidate, Cold, Follows, Holds, Points, Preferred, after_cold_election, candidate, follows,
    holds, is_elsewhere, matters, may_be_cold_start, points, preferred, waits_for_a_primary,
};
use pgtwin::decide::publication::is_noted;
use pgtwin::decide::token::{self, PREFERRED_SCORE, purpose_instead};

use super::ledger::cib;
use super::{Agent, Notice};
use crate::mutation::Mutation;
use crate::world::{Role, index};

impl Agent {
    pub(super) async fn notify(&self, notice: &Notice) {
        if !matters(notice.when, notice.what) {
            return;
        }
        let instance = self.look().await;
        let millis = |patience: std::time::Duration| patience.as_secs() * 1_000;
        match follows(&notice.as_read(), &self.name(), &instance.sql) {
            Follows::Nothing => {}
            Follows::Care(leaving, patience) => {
                self.care(&leaving.iter().map(index).collect(), millis(patience)).await;
            }
            Follows::TakeIn(_, patience) => {
                self.sim.sleep(self.sim.between(0, 3_000)).await;
                self.care(&BTreeSet::new(), millis(patience)).await;
            }
            Follows::BeforePromotion(candidates) => {
                self.before_promotion(&instance, &candidates).await;
            }
            Follows::Join(primary) => self.join(index(&primary)).await,
            Follows::PerhapsColdStart => self.after_start().await,
        }
    }

    async fn before_promotion(&self, first: &Instance, candidates: &BTreeSet<NodeName>) {
        self.settle_intent(first).await;
        let view = self.view().await;
        let file = self.exchange(&view, false).await;
        let reach = self.reach(first);
        let file = self.explained(file, &cib(&view.stack.shared), reach).await;
        self.sim.act().await;
        let publication = self.publication(first, file.as_ref(), &view);
        self.publish_position(&publication).await;
        if let Some(own) = &file {
            self.publish_ack(own).await;
        }
        let Known::Known(Publication::Data(member)) = publication else { return };
        let mine = member.position;
        let position = Known::Known(mine.clone());
        if candidates.contains(&self.name()) {
            let view = self.view().await;
            let ruling = self.elect_to_take_over(&view, file.as_ref(), &position);
            match candidate(&ruling, Mode::Sync) {
                Candidate::GivesWay(_) => self.give_way(Some(&ruling)).await,
                Candidate::UnlessTheOldPrimaryIsBack | Candidate::Waits => {}
            }
            return;
        }
        let Some(candidate) = candidates.first() else { return };
        if self.is_preferred_to(candidate, &mine).await {
            let view = self.view().await;
            let (mine, theirs) = (self.has_token(&view), view.has_score(index(candidate)));
            let ruling = match purpose_instead(mine, theirs, Mode::Sync) {
                Purpose::Promotion => self.elect_to_take_over(&view, file.as_ref(), &position),
                Purpose::ColdStart => {
                    self.elect(&view, file.as_ref(), position, Purpose::ColdStart).0
                }
            };
            if matches!(ruling, Ruling::Permitted(_)) {
                self.sim.world.borrow_mut().counts.passed += u64::from(theirs && !mine);
                self.set_score(self.me, PREFERRED_SCORE).await;
            }
            return;
        }
        let held = match self.holds_ours(index(candidate)).await {
            Holds::All(of) if !is_elsewhere(file.as_ref()) => Some(of),
            Holds::All(_) | Holds::NotAll => self.has(Mutation::PointedBlindly).then_some(None),
        };
        let candidate = index(candidate);
        match (points(&first.sql, held.is_some()), held) {
            (Points::AtTheCandidate, Some(of)) => {
                if self.note_pointed(candidate, of, reach).await {
                    self.follow(candidate, reach).await;
                } else {
                    self.listen_to_nobody().await;
                }
            }
            (Points::AtTheCandidate | Points::AtNobody, _) => self.listen_to_nobody().await,
            (Points::AsBefore, _) => {}
        }
    }

    /// What the candidate has said of its data, when it says it.
    async fn holds_ours(&self, candidate: usize) -> Holds {
        let own = self.own();
        if let Known::Known(holds) = holds(own.as_ref(), None) {
            return holds;
        }
        let newest = own.as_ref().and_then(|own| own.store.newest_done()).map(|entry| entry.id);
        let end = self.sim.now() + 1_000;
        loop {
            let view = self.view().await;
            match holds(own.as_ref(), self.publications(&view, newest).get(&candidate)) {
                Known::Known(holds) => return holds,
                Known::Unknown(_) if self.sim.now() > end => return Holds::NotAll,
                Known::Unknown(_) => self.sim.sleep(50).await,
            }
        }
    }

    async fn is_preferred_to(&self, other: &NodeName, mine: &Position) -> bool {
        let view = self.view().await;
        let own = self.own();
        let newest = own.as_ref().and_then(|own| own.store.newest_done().map(|entry| entry.id));
        let said = self.publications(&view, newest);
        let said = said.get(&index(other));
        match preferred(said, mine, own.as_ref(), &self.name(), Mode::Sync) {
            Preferred::Yes => true,
            Preferred::UnlessItEndedInOrder(_) | Preferred::No => false,
        }
    }

    /// After a promotion: notes it, and confirms it once this node streams.
    async fn join(&self, primary: usize) {
        let view = self.view().await;
        let instance = self.look().await;
        let reach = self.reach(&instance);
        self.note_followed(&view, primary, reach).await;
        if matches!(instance.sql, Sql::Standby(_)) && self.own().as_ref().is_some_and(is_noted) {
            self.follow(primary, reach).await;
        }
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
            if !may_be_cold_start(promoted, !view.scores().is_empty()) {
                return;
            }
            let instance = self.look().await;
            if !waits_for_a_primary(&instance.sql) {
                return;
            }
            let ruling = self.cold_election(&instance).await;
            // Its Pacemaker loses no monitor: nobody is let go first.
            match after_cold_election(&ruling, Some(false), false) {
                Cold::TakeTheScore => {
                    self.set_score(self.me, self.cold_score()).await;
                    return;
                }
                Cold::LeaveIt => return,
                Cold::LookAgain | Cold::LookWhoGoesFirst => {}
            }
            self.sim.sleep(300).await;
        }
    }

    pub(super) fn cold_score(&self) -> i32 {
        token::cold_score(self.own().as_ref(), &self.name())
    }

    /// Publishes the own position and judges whether this node may have a score without a primary.
    pub(super) async fn cold_election(&self, instance: &Instance) -> Ruling {
        let view = self.view().await;
        let file = self.exchange(&view, false).await;
        let reach = self.reach(instance);
        let file = self.explained(file, &cib(&view.stack.shared), reach).await;
        self.sim.act().await;
        let file = self.without_the_noted(file, &view, instance).await;
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
