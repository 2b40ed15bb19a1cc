//! As `src/agent/adopt.rs`: an operator declares this node's data to be the truth.

use std::collections::BTreeMap;

use pgtwin::cluster::absence::Absence;
use pgtwin::cluster::known::Known;
use pgtwin::cluster::ledger::{Entry, Mode, Own, Slot};
use pgtwin::cluster::node::NodeName;
use pgtwin::decide::adopt::{Facts, Held, Here, Ruling, begun, ended, entry, judge};
use pgtwin::decide::facts::Instance;
use pgtwin::decide::force::{Other, all_entries};
use pgtwin::decide::report::Server;

use super::ledger::cib;
use super::{Agent, Answer, View};
use crate::mutation::Mutation;
use crate::server::Phase;
use crate::wal::{lsn, timeline};
use crate::world::{RESOURCE, name};

/// Longer than a membership takes that does not hold any more.
const TO_NOTICE: u64 = 6_000;

impl Agent {
    pub(super) async fn adopt(&self) -> Answer {
        let view = self.view().await;
        let instance = self.look().await;
        let store = cib(&view.stack.shared);
        let mut own = self.own().unwrap_or_else(|| Own::new(RESOURCE, &self.name()));
        let facts = self.adopt_facts(&view, &instance, &own);
        let proposal = match judge(&facts) {
            Ruling::Possible(proposal) => proposal,
            Ruling::Refused(why) => return Answer::Fails(why),
        };
        own.store = own.store.merged(&store, Some(&self.name()));
        let mut entry = entry(&proposal, &self.name(), self.promotion_id(), Mode::Sync);
        if self.has(Mutation::AdoptionHasHistory) {
            let newest = own.store.newest_done();
            entry.history = newest.map(Entry::history_with_self).unwrap_or_default();
        }
        self.log(&format!("adopts its data: term {}", entry.term));
        let slot = Slot { done: Some(entry.clone()), ..Slot::default() };
        if self.has(Mutation::AdoptedBeforeAnnounced) {
            self.write_own(&ended(&own, &entry)).await;
            self.sim.world.borrow_mut().adopt(self.me);
            self.write_slot(self.me, &slot).await;
            return Answer::Standby;
        }
        if !self.has(Mutation::AdoptionIsOlder) {
            // `admin_epoch`: no copy of the configuration that a node has kept wins over this one.
            self.tell(|shared| shared.version += 1 << 32).await;
        }
        if !self.has(Mutation::AdoptionIsNotBegun) {
            self.write_own(&begun(&own, &entry)).await;
        }
        self.sim.world.borrow_mut().nodes[self.me].disk.begun = true;
        self.write_slot(self.me, &slot).await;
        if !self.has(Mutation::AdoptedAtOnce) {
            self.sim.sleep(TO_NOTICE).await;
            let view = self.view().await;
            let instance = self.look().await;
            if let Ruling::Refused(why) = judge(&self.adopt_facts(&view, &instance, &own)) {
                return Answer::Fails(why);
            }
            if cib(&view.stack.shared).done(&self.name()) != Some(&entry) {
                return Answer::Fails("the entry is not in the configuration any more".into());
            }
        }
        self.write_own(&ended(&own, &entry)).await;
        self.sim.world.borrow_mut().adopt(self.me);
        Answer::Standby
    }

    fn adopt_facts(&self, view: &View, instance: &Instance, own: &Own) -> Facts {
        let world = self.sim.world.borrow();
        let stack = &view.stack;
        let others: BTreeMap<NodeName, Other> = view
            .members
            .iter()
            .filter(|node| **node != self.me)
            .map(|node| {
                let absence = if stack.down.contains(node) {
                    Absence::Proven
                } else {
                    Absence::Present("it was not fenced".into())
                };
                let online = stack.view.contains(node);
                (name(*node), Other { online, absence, server: self.answer_of(*node) })
            })
            .collect();
        let trusting = world.has(Mutation::AdoptsBesideOthers);
        Facts {
            resource: RESOURCE.into(),
            node: self.name(),
            me: self.name(),
            member: true,
            quorum: Known::Known(view.quorum),
            held: if stack.shared.disabled { Held::Stopped } else { Held::No },
            runs_on: view
                .members
                .iter()
                .filter(|node| view.runs_on(**node) && !trusting)
                .map(|node| name(*node))
                .collect(),
            others: if trusting { BTreeMap::new() } else { others },
            here: Here {
                process: instance.process.clone(),
                data: instance.data.clone(),
                not_mounted: None,
                majors: Known::Known((17, 17)),
                to_recover: Known::Known(None),
                lead_on: Known::Known(Vec::new()),
                at_work: Known::Known(false),
                marked: self.marked(),
            },
            entries: Known::Known(all_entries([&cib(&stack.shared), &own.store])),
            mode: Mode::Sync,
            strict: false,
            keep_old: true,
            keep_restore_command: false,
        }
    }

    /// What the address of a member answers.
    fn answer_of(&self, node: usize) -> Server {
        let world = self.sim.world.borrow();
        let there = &world.nodes[node];
        if !there.up || !world.wire[self.me][node] || !world.wire[node][self.me] {
            return Server::Absent("it is not reached".into());
        }
        if there.frozen_until > self.sim.now() {
            return Server::Silent("no answer in time".into());
        }
        let records = &there.disk.wal.records;
        match there.server.as_ref().map(|one| one.phase) {
            None => Server::Absent("nobody listens".into()),
            Some(Phase::Primary) => Server::Primary(timeline(records), lsn(records.len())),
            Some(Phase::Standby) => Server::Standby(timeline(records), lsn(records.len())),
            Some(Phase::Starting | Phase::Stopping) => Server::Silent("not now".into()),
        }
    }
}
