//! As `src/agent/demote.rs` and `src/agent/stop.rs`: the orderly ends.

use pgtwin::cluster::known::Known;
use pgtwin::cluster::ledger::Own;
use pgtwin::cluster::position::Shutdown;
use pgtwin::decide::demote::{After, LaysDown, Next, after, lays_down, next};
use pgtwin::decide::facts::{Process, Sql};
use pgtwin::decide::recovery::Cause;
use pgtwin::decide::token::BARRED;
use pgtwin::postgres::control_data::ClusterState;

use super::{Agent, Answer};
use crate::mutation::Mutation;
use crate::wal::{lsn, timeline};
use crate::world::index;

impl Agent {
    pub(super) async fn demote(&self, stays: bool) -> Answer {
        let me = self.me;
        let instance = self.look().await;
        let told = match &instance.sql {
            Sql::Standby(_) if !self.has(Mutation::ToldIsLeft) => self.promotion_pending(),
            _ => Known::Known(false),
        };
        let barred = self.is_barred_already();
        let goes = lays_down(&instance.process, &instance.sql, &told, barred);
        match goes {
            LaysDown::Nothing => {}
            LaysDown::TheRight => self.set_score(me, BARRED).await,
            LaysDown::TheRightAndItsEnd => {
                self.set_score(me, BARRED).await;
                self.tell(move |shared| {
                    shared.shutdown.remove(&me);
                })
                .await;
            }
        }
        match next(&instance.process, &instance.sql, &told, stays) {
            Next::Done => return Answer::Standby,
            Next::Start => return self.start().await,
            Next::Failed(why) => return Answer::Fails(why.into()),
            Next::ShutDown => {}
        }
        // Nobody is lost in the transition of a demotion here: the care for that is what a monitor does.
        self.settle_intent(&instance).await;
        self.sim.shut_down(me, true).await;
        if !matches!(instance.sql, Sql::Primary(_)) {
            let at_rest = self.look().await;
            self.settle_intent(&at_rest).await;
        }
        self.publish_shutdown().await;
        {
            let mut world = self.sim.world.borrow_mut();
            let node = &mut world.nodes[me];
            node.disk.upstream = None;
            node.disk.signal = true;
            if node.server.is_some() {
                return Answer::Fails("it did not end".into());
            }
        }
        self.sim.act().await;
        if self.sim.world.borrow().nodes[me].server.is_none() {
            self.sim.start_server(me);
        }
        let end = self.sim.now() + 20_000;
        while self.sim.now() < end {
            let now = self.look().await;
            match after(&now, false) {
                After::Demoted | After::StillReplays => return Answer::Standby,
                After::Ended => return Answer::Fails("it ended right after its start".into()),
                After::Wait => self.sim.sleep(20).await,
            }
        }
        Answer::Standby
    }

    /// As `src/agent/rebuild.rs`, and the worker: a full copy of the primary's data, on an operator's word.
    pub(super) async fn rebuild(&self) -> Answer {
        let me = self.me;
        self.log("is to be rebuilt");
        self.tell(move |shared| {
            shared.rebuilding.insert(me);
        })
        .await;
        self.stop().await;
        let end = self.sim.now() + 15_000;
        while self.sim.now() < end {
            let view = self.view().await;
            let Some(own) = self.exchange(&view, false).await else { break };
            self.publish_ack(&own).await;
            if self.is_parted(&own).await {
                let asked = Cause::Asked("an operator wants it".into());
                return self.come_back(Some(asked)).await;
            }
            self.sim.sleep(300).await;
        }
        Answer::NotRunning
    }

    /// Out of E, and the primary's V says that it has been carried out.
    async fn is_parted(&self, own: &Own) -> bool {
        let Some(entry) = own.store.newest_done() else { return false };
        if entry.heirs.contains(&self.name()) {
            return false;
        }
        self.sim.act().await;
        let world = self.sim.world.borrow();
        let primary = index(&entry.primary);
        let reached = world.wire[self.me][primary] && world.wire[primary][self.me];
        let there = &world.nodes[primary];
        let server = there.server.as_ref().filter(|_| reached && there.up);
        server.is_some_and(|one| one.is_primary() && !one.names.contains(&self.me))
    }

    /// Where the WAL of a primary ends that was shut down in order.
    async fn publish_shutdown(&self) {
        let me = self.me;
        let Some(own) = self.own() else { return };
        let Some(entry) = own.store.done(&self.name()) else { return };
        let shutdown = {
            let world = self.sim.world.borrow();
            let disk = &world.nodes[me].disk;
            if disk.state != ClusterState::ShutDown {
                return;
            }
            Shutdown {
                id: entry.id,
                timeline: timeline(&disk.wal.records),
                end: lsn(disk.checkpoint + 1),
            }
        };
        let text = shutdown.to_string();
        self.tell(move |shared| {
            shared.shutdown.insert(me, text.clone());
        })
        .await;
    }

    pub(super) async fn stop(&self) -> Answer {
        let me = self.me;
        let instance = self.look().await;
        let was_primary = matches!(instance.sql, Sql::Primary(_));
        self.sim.world.borrow_mut().nodes[me].cache.yielded = None;
        if !(instance.process == Process::None && self.is_barred_already()) {
            self.delete_score(me).await;
            self.withdraw_position(me).await;
        }
        let view = self.view().await;
        if let Some(own) = self.exchange(&view, false).await {
            self.publish_ack(&own).await;
        }
        if instance.process == Process::None {
            return Answer::NotRunning;
        }
        self.sim.shut_down(me, true).await;
        if self.sim.world.borrow().nodes[me].server.is_some() {
            self.sim.crash_server(me);
        }
        if was_primary {
            self.publish_shutdown().await;
        }
        Answer::NotRunning
    }
}
