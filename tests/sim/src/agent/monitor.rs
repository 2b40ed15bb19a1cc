//! As `src/agent/monitor.rs`: what runs here, and the care that keeps the cluster able to act.

use std::collections::BTreeSet;

use pgtwin::cluster::known::Known;
use pgtwin::cluster::position::Exactness;
use pgtwin::decide::broken_replication::{Cause, Diagnosis};
use pgtwin::decide::election::Ruling;
use pgtwin::decide::facts::{Instance, Sql, StandbyFacts};
use pgtwin::decide::monitor::{Expected, found, judge};
use pgtwin::decide::source::Advice;
use pgtwin::decide::standby::watch::{Seen, Watch};
use pgtwin::decide::standby::{Facts, Next, Step, next};
use pgtwin::decide::start::{self, Upstream};
use pgtwin::decide::sync::{HEIR_SCORE, PRIMARY_SCORE};
use pgtwin::decide::token::{self, BARRED};
use pgtwin::ocf::exit_code::ExitCode;

use super::ledger::cib;
use super::{Agent, Answer};
use crate::mutation::Mutation;
use crate::world::{Role, index};

fn answer(code: ExitCode, reason: Option<String>) -> Answer {
    match code {
        ExitCode::Ok | ExitCode::Degraded => Answer::Standby,
        ExitCode::RunningPromoted | ExitCode::DegradedPromoted => Answer::Primary,
        ExitCode::NotRunning => Answer::NotRunning,
        _ => Answer::Fails(reason.unwrap_or_default()),
    }
}

impl Agent {
    pub(super) async fn probe(&self) -> Answer {
        let instance = self.look().await;
        let verdict = judge(Expected::Anything, &instance);
        if let Sql::Primary(primary) = &instance.sql {
            let view = self.view().await;
            let store = cib(&view.stack.shared);
            let own = self.own();
            let overtaken = token::overtaken(own.as_ref(), &store, &self.name())
                .filter(|_| !self.is_noted_primary());
            let verdict = found(verdict.clone(), overtaken.as_deref());
            if verdict.code != ExitCode::RunningPromoted {
                return answer(verdict.code, verdict.reason);
            }
            let promoted = view.stack.shared.roles.values().any(|role| *role == Role::Promoted);
            if token::is_primary_by_ledger(
                own.as_ref(),
                &store,
                &self.name(),
                primary.system_id,
                promoted,
            ) {
                self.set_score(self.me, PRIMARY_SCORE).await;
            }
        }
        answer(verdict.code, verdict.reason)
    }

    /// Notes that the server that runs is a primary by the cluster's will.
    pub(super) fn note_primary(&self) {
        let mut world = self.sim.world.borrow_mut();
        let node = &mut world.nodes[self.me];
        node.cache.promoted = node.server.as_ref().map(|server| server.life);
    }

    pub(super) fn is_noted_primary(&self) -> bool {
        if self.has(Mutation::FoundIsPrimary) {
            return true;
        }
        let world = self.sim.world.borrow();
        let node = &world.nodes[self.me];
        node.server.as_ref().is_some_and(|server| node.cache.promoted == Some(server.life))
    }

    pub(super) async fn monitor(&self, promoted: bool) -> Answer {
        let expected = if promoted { Expected::Promoted } else { Expected::Unpromoted };
        let instance = self.look().await;
        let verdict = judge(expected, &instance);
        if verdict.code == ExitCode::FailedPromoted {
            self.set_score(self.me, BARRED).await;
        }
        let wanted = {
            let mut world = self.sim.world.borrow_mut();
            std::mem::take(&mut world.nodes[self.me].wants_a_copy)
        };
        if wanted && matches!(&instance.sql, Sql::Standby(standby) if standby.streams()) {
            return self.rebuild().await;
        }
        match &instance.sql {
            Sql::Primary(_) if verdict.code == ExitCode::RunningPromoted && promoted => {
                self.note_primary();
                self.settle_intent(&instance).await;
                if !self.is_quiet() || self.sim.once_in(8) {
                    let superseded = self.care(&BTreeSet::new(), 15_000).await;
                    if superseded {
                        return Answer::Fails("another node was promoted since".into());
                    }
                }
                answer(verdict.code, None)
            }
            Sql::Standby(standby) if verdict.code == ExitCode::Ok => {
                let standby = standby.clone();
                self.monitor_standby(&instance, &standby).await
            }
            // Promoted without Pacemaker's knowledge: its role is not what it expects.
            Sql::Primary(_) if !promoted => Answer::Fails("it accepts writes, unexpectedly".into()),
            _ => answer(verdict.code, verdict.reason),
        }
    }

    /// As `src/agent/origin.rs`: the second monitor without a primary does.
    async fn leave_candidate(&self) {
        let pointed = self.own().and_then(|own| own.candidate().cloned());
        let awaited = {
            let mut world = self.sim.world.borrow_mut();
            std::mem::replace(&mut world.nodes[self.me].cache.awaited, pointed.clone())
        };
        if awaited.is_some() && awaited == pointed {
            self.listen_to_nobody().await;
        }
    }

    /// A reason that has changed becomes a line of the history.
    fn report(&self, reason: Option<&String>) {
        let before = {
            let mut world = self.sim.world.borrow_mut();
            std::mem::replace(&mut world.nodes[self.me].cache.reported, reason.cloned())
        };
        if let Some(reason) = reason.filter(|_| before.as_ref() != reason) {
            self.log(reason);
        }
    }

    async fn monitor_standby(&self, instance: &Instance, standby: &StandbyFacts) -> Answer {
        let me = self.me;
        let streams = standby.streams();
        let said = self.sim.world.borrow().nodes[me].stack.shared.rebuilding.contains(&me);
        if streams && said {
            self.tell(move |shared| {
                shared.rebuilding.remove(&me);
            })
            .await;
        }
        let broken = {
            let mut world = self.sim.world.borrow_mut();
            let cache = &mut world.nodes[me].cache;
            cache.broken = if streams { 0 } else { cache.broken + 1 };
            cache.broken
        };
        let noted = self.own().is_some_and(|own| {
            own.followed.is_some() && own.followed == own.store.newest_done().map(|one| one.id)
        });
        let published = self.sim.world.borrow().nodes[me].stack.shared.position.contains_key(&me);
        let right = {
            let world = self.sim.world.borrow();
            let server = world.nodes[me].server.as_ref();
            server.is_some_and(|one| one.streams_from.is_some() && one.streams_from == one.upstream)
        };
        let mut facts = Facts {
            seen: if streams { Seen::Streams } else { Seen::Broken },
            from_the_right_one: right,
            system_id: standby.system_id,
            paused: false,
            why_paused: None,
            delayed: false,
            due: published || !noted || self.sim.once_in(4),
            upstream: None,
            followed: None,
            parted: None,
            ruling: None,
            has_score: false,
            // Its Pacemaker loses no monitor: everybody takes a score at once.
            lets_another_go_first: false,
            threshold: 3,
            watch: Watch { broken, stuck: broken, at: 0, receiver: 0 },
            reported: String::new(),
            diagnosis: None,
            new_slot: None,
            way_back: None,
        };
        let mut view = None;
        loop {
            match next(&facts) {
                Next::Answer { code, reason, .. } => {
                    self.report(reason.as_ref());
                    return answer(code, reason);
                }
                Next::Do(Step::AskUpstream) => {
                    let (file, _) = self.settle_intent(instance).await;
                    let now = self.view().await;
                    if let Some(own) = self.exchange(&now, false).await {
                        self.publish_ack(&own).await;
                    }
                    facts.has_score = now.has_score(me);
                    let reach = self.reach(instance);
                    let file = self.explained(file, &cib(&now.stack.shared), reach).await;
                    facts.upstream = Some(self.find_upstream(&now, file.as_ref(), reach).await);
                    view = Some(now);
                }
                Next::Do(Step::Follow(node)) => {
                    let node = index(&node);
                    if let Some(view) = &view {
                        self.note_followed(view, node, self.reach(instance)).await;
                    }
                    self.follow(node, self.reach(instance)).await;
                    if streams && right {
                        if let Some(own) = self.own() {
                            self.publish_ack(&own).await;
                        }
                        if published {
                            self.withdraw_position(me).await;
                        }
                        self.sim.world.borrow_mut().nodes[me].cache.yielded = None;
                    }
                    facts.followed = Some(Ok(()));
                }
                Next::Do(Step::Compare) => {
                    self.sim.act().await;
                    facts.parted = Some(match (&facts.upstream, self.position(instance)) {
                        (Some(Upstream::Live(live)), Known::Known(position))
                            if position.exactness == Exactness::Exact =>
                        {
                            Known::Known(start::parted(&position, live))
                        }
                        (_, Known::Unknown(why)) => Known::Unknown(why),
                        (_, Known::Known(_)) => Known::unknown("it still replays WAL"),
                    });
                }
                Next::Do(Step::Diagnose(_)) => {
                    facts.diagnosis =
                        Some(Diagnosis { cause: Cause::NotKnown, advice: Advice::new("", "") });
                }
                Next::Do(Step::LookWhyPaused) => facts.why_paused = Some(String::new()),
                Next::Do(Step::MakeSlot { .. }) => facts.new_slot = Some(Ok(())),
                Next::Do(Step::CheckTheWayBack) => facts.way_back = Some(Ok(())),
                Next::Do(Step::ElectForColdStart) => {
                    self.leave_candidate().await;
                    let mut ruling = self.cold_election(instance).await;
                    if matches!(ruling, Ruling::Refused(_)) && self.has_yielded() {
                        let now = self.view().await;
                        let position = self.position(instance);
                        ruling = self.elect_to_take_over(&now, self.own().as_ref(), &position);
                    }
                    facts.ruling = Some(ruling);
                }
                Next::Do(Step::GrantSelf) => {
                    let score = if self.has_yielded() { HEIR_SCORE } else { self.cold_score() };
                    self.set_score(me, score).await;
                    facts.has_score = true;
                }
            }
        }
    }
}
