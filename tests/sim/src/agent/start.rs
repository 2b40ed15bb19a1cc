//! As `src/agent/start.rs` and `src/agent/upstream.rs`: the loop around `decide::start`, who the primary
//! is, and following it. Data that cannot follow is replaced by a copy, within the start.

use pgtwin::cluster::known::Known;
use pgtwin::cluster::ledger::{Own, PromotionId, Store};
use pgtwin::cluster::position::Exactness;
use pgtwin::cluster::recovery::{Attempts, Turn};
use pgtwin::decide::facts::{DataDir, Instance, Sql};
use pgtwin::decide::publication::came_to_nothing;
use pgtwin::decide::recovery::{self, Cause, Check, Marked, Mount, Possible, Way, way};
use pgtwin::decide::start::{Facts, Live, Next, Recovered, Step, Upstream, next, written_apart};
use pgtwin::decide::token::{self, BARRED};
use pgtwin::decide::upstream::{self, Candidate, choose, in_order};

use pgtwin::postgres::lsn::Timeline;

use super::ledger::cib;
use super::{Agent, Answer, View};
use crate::mutation::Mutation;
use crate::server::Phase;
use crate::wal::{line, lsn};
use crate::world::{Role, index, name};

impl Agent {
    pub(super) async fn start(&self) -> Answer {
        let me = self.me;
        self.sim.world.borrow_mut().nodes[me].cache.yielded = None;
        if !self.is_barred_already() {
            self.set_score(me, BARRED).await;
            self.withdraw_position(me).await;
        }
        let end = self.sim.now() + 40_000;
        let instance = self.look().await;
        let (file, _) = self.settle_intent(&instance).await;
        if file.is_none() {
            self.tell(move |shared| {
                shared.ack.remove(&me);
            })
            .await;
        }
        // Nobody starts a server by hand here: it must never find one, but for what an operator put here.
        let apart = match (&instance.data, &file) {
            (DataDir::Cluster(control), Some(own)) => {
                written_apart(own, &self.name(), control, false)
            }
            _ => None,
        };
        let by_hand = self.sim.world.borrow().nodes[me].disk.changed;
        if !by_hand && apart.is_some() {
            let words = format!("{} is taken for written by hand", self.name());
            self.sim.world.borrow_mut().broken(words);
        }
        let mut facts = Facts {
            pgdata: "/data".into(),
            instance,
            upstream: None,
            alone: token::only_me(file.as_ref(), &self.name()),
            recovered: None,
            prepared: false,
            started: None,
            attached: false,
            position: None,
            out_of_time: false,
            marked: self.marked(),
            mount: Mount::InPlace,
            parted: None,
            left_off: None,
            written_apart: apart,
            wal_gone: None,
        };
        loop {
            match next(&facts) {
                Next::Running(_) => return Answer::Standby,
                Next::Refuse(why) | Next::Perm(why) => return Answer::Fails(why),
                Next::Recover(cause) => {
                    return self.come_back(cause).await;
                }
                Next::Do(step) => {
                    if let Err(why) = self.start_step(&step, &mut facts, file.as_ref()).await {
                        return Answer::Fails(why);
                    }
                }
            }
            facts.out_of_time = self.sim.now() > end;
        }
    }

    async fn start_step(
        &self,
        step: &Step,
        facts: &mut Facts,
        file: Option<&Own>,
    ) -> Result<(), String> {
        let me = self.me;
        match step {
            Step::AskUpstream => {
                let view = self.view().await;
                if let Some(own) = self.exchange(&view, false).await {
                    self.publish_ack(&own).await;
                }
                facts.alone =
                    facts.alone || token::nobody_else_runs(file, &self.name(), &view.running());
                facts.upstream = Some(self.find_upstream(&view, file, None).await);
            }
            Step::AskForWal(_) => facts.wal_gone = Some(None),
            Step::RecoverSingleUser => {
                self.sim.act().await;
                self.log("crash recovery in single-user mode");
                self.sim.recover_single_user(me);
                facts.recovered = Some(Recovered::Done);
                facts.instance = self.look().await;
            }
            Step::Prepare { attach } => {
                let upstream = match (&facts.upstream, attach) {
                    (Some(Upstream::Live(live)), true) => Some(index(&live.node)),
                    (Some(Upstream::Nobody), _) => {
                        token::most_likely(self.own().as_ref(), &self.name()).as_ref().map(index)
                    }
                    _ => None,
                };
                if let (Some(node), true) = (upstream, *attach) {
                    self.note_upstream(node, None).await;
                }
                let upstream = match upstream {
                    Some(node) if self.note_pointed(node, None, None).await => Some(node),
                    Some(_) | None => None,
                };
                self.sim.act().await;
                let mut world = self.sim.world.borrow_mut();
                let disk = &mut world.nodes[me].disk;
                disk.upstream = upstream;
                disk.signal = true;
                facts.attached = upstream.is_some() && *attach;
                facts.prepared = true;
            }
            Step::StartPostmaster => {
                self.sim.act().await;
                if self.sim.world.borrow().nodes[me].server.is_none() {
                    self.sim.start_server(me);
                }
                facts.started = Some(Ok(()));
                let end = self.sim.now() + 3_000;
                loop {
                    facts.instance = self.look().await;
                    let starting = matches!(facts.instance.sql, Sql::Starting(_));
                    if !starting || self.sim.now() > end {
                        break;
                    }
                    self.sim.sleep(30).await;
                }
            }
            Step::AskItsLog => facts.started = Some(Err("it ended".into())),
            Step::Measure => match self.position(&facts.instance).known() {
                Some(position) if position.exactness == Exactness::Exact => {
                    let reach = Some(position.timeline());
                    facts.written_apart = self.of_nobody(reach, facts.upstream.as_ref()).await;
                    facts.position = Some(position);
                }
                Some(_) | None => {
                    self.sim.sleep(100).await;
                    facts.instance = self.look().await;
                }
            },
            Step::Attach => {
                if let Some(Upstream::Live(live)) = &facts.upstream {
                    let node = index(&live.node);
                    let reach = self.reach(&facts.instance);
                    self.note_upstream(node, reach).await;
                    self.follow(node, reach).await;
                }
                facts.attached = true;
            }
            Step::Wait => {
                self.sim.sleep(100).await;
                facts.instance = self.look().await;
            }
            Step::StopAgain(why) => {
                self.sim.shut_down(me, true).await;
                facts.started = None;
                if facts.written_apart.is_none() {
                    facts.parted = facts.marked.data_is_whole().then(|| why.clone());
                }
                facts.instance = self.look().await;
            }
        }
        Ok(())
    }

    /// The primary, proven.
    pub(super) async fn find_upstream(
        &self,
        view: &View,
        own: Option<&Own>,
        reach: Option<Timeline>,
    ) -> Upstream {
        let shared = &view.stack.shared;
        let promoted = |node: &usize| shared.roles.get(node) == Some(&Role::Promoted);
        let mut candidates: Vec<usize> = view
            .members
            .iter()
            .copied()
            .filter(|node| *node != self.me && promoted(node))
            .collect();
        let ledger = cib(shared);
        if let Some(entry) = ledger.newest_done() {
            let node = index(&entry.primary);
            if node != self.me && !promoted(&node) && view.stack.view.contains(&node) {
                candidates.push(node);
            }
        }
        let seen = match own {
            Some(own) => own.store.merged(&ledger, Some(&self.name())),
            None => ledger.clone(),
        };
        let (ledger, seen) = (Known::Known(ledger), Known::Known(seen));
        let mut asked = Vec::new();
        for node in in_order(candidates.into_iter().map(name).collect(), &seen) {
            let node = index(&node);
            self.sim.act().await;
            let timeline = {
                let there = &self.sim.world.borrow().nodes[node];
                let accepts = there.server.as_ref().is_some_and(crate::server::Server::is_primary);
                accepts.then(|| crate::wal::line(&there.disk.wal.records).timeline())
            };
            let given_up = match (own, timeline) {
                (Some(own), Some(timeline)) => {
                    Some(self.given_up(own, (node, timeline), &ledger, reach).await)
                }
                (own, _) => own.cloned(),
            };
            let world = self.sim.world.borrow();
            let there = &world.nodes[node];
            let answers = there.up
                && there.frozen_until <= self.sim.now()
                && world.wire[self.me][node]
                && world.wire[node][self.me];
            let answer = match &there.server {
                Some(server) if answers && server.phase == Phase::Primary => {
                    let records = &there.disk.wal.records;
                    let live = Box::new(Live::of(
                        &name(node),
                        there.disk.system,
                        (line(records), lsn(there.disk.wal.flushed)),
                        &ledger,
                        given_up.as_ref(),
                    ));
                    if world.has(Mutation::AnybodyIsCopied) {
                        return Upstream::Live(live);
                    }
                    upstream::Answer::Primary(live)
                }
                Some(server) if answers && server.phase == Phase::Standby => {
                    upstream::Answer::NotOne
                }
                _ => upstream::Answer::Silent("it does not answer".into()),
            };
            let found = matches!(answer, upstream::Answer::Primary(_));
            asked.push(Candidate { node: name(node), promoted: promoted(&node), answer });
            if found {
                break;
            }
        }
        choose(asked, &seen)
    }

    /// Streams from there from now on.
    pub(super) async fn follow(&self, node: usize, reach: Option<Timeline>) {
        if !self.note_pointed(node, None, reach).await {
            return;
        }
        let same = self.sim.world.borrow().nodes[self.me].disk.upstream == Some(node);
        if same {
            return;
        }
        self.sim.act().await;
        self.log(&format!("streams from n{} from now on", node + 1));
        self.sim.world.borrow_mut().nodes[self.me].disk.upstream = Some(node);
        self.sim.act().await;
        self.sim.reload(self.me);
    }

    pub(super) async fn listen_to_nobody(&self) {
        if self.sim.world.borrow().nodes[self.me].disk.upstream.is_none() {
            return;
        }
        self.sim.act().await;
        self.log("streams from nobody from now on");
        self.sim.world.borrow_mut().nodes[self.me].disk.upstream = None;
        self.sim.act().await;
        self.sim.reload(self.me);
    }

    /// Notes that this node follows that primary's promotion, with what the CIB says.
    pub(super) async fn note_followed(&self, view: &View, primary: usize, reach: Option<Timeline>) {
        if let Some(own) = self.exchange(view, true).await {
            self.note_in(own, primary, reach).await;
        }
    }

    pub(super) async fn note_upstream(&self, primary: usize, reach: Option<Timeline>) {
        if let Some(own) = self.own() {
            self.note_in(own, primary, reach).await;
        }
    }

    async fn note_in(&self, mut own: Own, primary: usize, reach: Option<Timeline>) {
        let newest = own.store.newest_done().filter(|one| one.primary == name(primary)).cloned();
        let Some(entry) = newest else { return };
        if own.note(&entry, &known(reach)) == Ok(true) {
            self.write_own(&own).await;
        }
    }

    /// As `src/agent/origin.rs`: without a promotion that came to nothing.
    pub(super) async fn without_the_noted(
        &self,
        file: Option<Own>,
        view: &View,
        instance: &Instance,
    ) -> Option<Own> {
        let own = file?;
        let (Some((intent, before)), Sql::Standby(standby)) = (own.noted_intent(), &instance.sql)
        else {
            return Some(own);
        };
        let said = self.publications(view, own.store.newest_done().map(|entry| entry.id));
        let said = said.into_iter().map(|(node, said)| (name(node), said)).collect();
        if !came_to_nothing(intent, &own.store, &cib(&view.stack.shared), &said) {
            return Some(own);
        }
        if standby.receiver.is_some() || !standby.conninfo.is_empty() {
            self.listen_to_nobody().await;
            return Some(own);
        }
        let (reach, beyond) = (self.reach(instance), self.beyond(before.timeline));
        let (Some(reach), Known::Known(beyond)) = (reach, beyond) else { return Some(own) };
        let Some(new) = own.without_the_noted(before, &beyond, reach) else { return Some(own) };
        self.write_own(&new).await;
        self.log(&format!("the promotion of {} came to nothing", intent.primary));
        Some(new)
    }

    /// As `src/agent/origin.rs`: the timeline of all that the data holds; none where it may hold more.
    pub(super) fn reach(&self, instance: &Instance) -> Option<Timeline> {
        let position = self.position(instance).known()?;
        (position.exactness == Exactness::Exact).then(|| position.timeline())
    }

    /// The own file with the promotion that explains what the data has beyond the one that was noted.
    pub(super) async fn explained(
        &self,
        file: Option<Own>,
        cib: &Store,
        reach: Option<Timeline>,
    ) -> Option<Own> {
        let mut own = file?;
        if let Some(reach) = reach.filter(|_| !self.has(Mutation::NothingIsExplained))
            && own.explain(reach, cib)
        {
            self.log("what it has is explained");
            self.write_own(&own).await;
        }
        Some(own)
    }

    async fn given_up(
        &self,
        own: &Own,
        (primary, line): (usize, Timeline),
        ledger: &Known<Store>,
        reach: Option<Timeline>,
    ) -> Own {
        let mut new = own.clone();
        let known = ledger.as_known().known();
        if let Some(reach) = reach
            && known.is_some_and(|store| store.of_running_primary(&name(primary)).is_some())
            && new.give_up(reach, line)
        {
            self.log("what it has is of nobody");
            self.write_own(&new).await;
        }
        new
    }

    async fn of_nobody(
        &self,
        reach: Option<Timeline>,
        upstream: Option<&Upstream>,
    ) -> Option<String> {
        let Some(Upstream::Live(live)) = upstream else { return None };
        let view = self.view().await;
        let ledger = cib(&view.stack.shared);
        let own = self.explained(self.own(), &ledger, reach).await?;
        let primary = (index(&live.node), live.line.timeline());
        let own = self.given_up(&own, primary, &Known::Known(ledger), reach).await;
        (own.followed == Some(PromotionId::UNKNOWN)).then(|| "of nobody".to_owned())
    }

    pub(super) async fn note_pointed(
        &self,
        node: usize,
        of: Option<PromotionId>,
        reach: Option<Timeline>,
    ) -> bool {
        let Some(mut own) = self.own() else { return true };
        match own.point_at(&name(node), of, &known(reach)) {
            Ok(true) => {
                self.write_own(&own).await;
                true
            }
            Ok(false) => true,
            Err(_) => self.has(Mutation::PointedBlindly),
        }
    }

    pub(super) fn marked(&self) -> Marked {
        match self.sim.world.borrow().nodes[self.me].disk.half_done {
            Some(system_id) => Marked::HalfDone { system_id },
            None => Marked::Nothing,
        }
    }

    /// A copy of the live primary's data takes the place of this node's, if that is the way back; a rewind
    /// is a copy here.
    pub(super) async fn come_back(&self, cause: Option<Cause>) -> Answer {
        let me = self.me;
        let view = self.view().await;
        let own = self.own();
        let upstream = self.find_upstream(&view, own.as_ref(), None).await;
        let marked = self.marked();
        let system_id = Some(self.sim.world.borrow().nodes[me].disk.system);
        let is_other = matches!(cause, Some(Cause::Diverged(_) | Cause::OtherBranch(_)));
        let way = way(&recovery::Facts {
            pgdata: "/data".into(),
            marked,
            cause: Known::Known(cause),
            system_id,
            upstream: upstream.clone(),
            upstream_is_me: false,
            adopting: own.as_ref().and_then(Own::unfinished),
            mount: Mount::InPlace,
            failed: Attempts::default(),
            turn: Turn::Now,
            again: String::new(),
            rewind_failed: false,
            check: Some(Check { rewind: Possible::Yes, rebuild: Possible::Yes }),
        });
        let why = match way {
            Way::Recover(_, why) => why,
            Way::Wait(why) | Way::Refuse(why) => return Answer::Fails(why),
            Way::Follow | Way::MakeTheCheck => unreachable!("there is a cause, and the check"),
        };
        let Upstream::Live(live) = upstream else { unreachable!("nothing is copied of nobody") };
        let from = index(&live.node);
        self.log(&format!("is brought back from n{}: {why}", from + 1));
        self.sim.act().await;
        {
            let mut world = self.sim.world.borrow_mut();
            world.check_copy(me, from);
            if is_other && world.is_a_beginning(me, from) {
                world.counts.needless += 1;
            }
            world.nodes[me].disk.half_done = Some(live.system_id);
        }
        self.sim.sleep(self.sim.between(500, 8_000)).await;
        let Some(entry) = cib(&view.stack.shared).done(&name(from)).cloned() else {
            return Answer::Fails("the ledger does not name the primary".into());
        };
        {
            let mut world = self.sim.world.borrow_mut();
            let there = &world.nodes[from];
            let primary =
                there.up && there.server.as_ref().is_some_and(crate::server::Server::is_primary);
            let same = there.disk.system == live.system_id;
            if !primary || !same || !world.wire[from][me] || !world.wire[me][from] {
                return Answer::Fails("the primary is gone in the middle of the copy".into());
            }
            let mut wal = there.disk.wal.clone();
            let redo = there.disk.checkpoint;
            wal.records.truncate(wal.flushed);
            let disk = &mut world.nodes[me].disk;
            disk.system = live.system_id;
            disk.changed = false;
            disk.wal = wal;
            disk.checkpoint = redo;
            disk.min_recovery = None;
            disk.state = pgtwin::postgres::control_data::ClusterState::ShutDownInRecovery;
            world.counts.rebuilt += 1;
        }
        let mut file = own.unwrap_or_else(|| Own::new(crate::world::RESOURCE, &self.name()));
        let mut store = Store::default();
        store.set_done(entry.clone());
        file.store = file.store.merged(&store, Some(&self.name()));
        file.is_a_copy_of(entry.id, &name(from));
        self.write_own(&file).await;
        {
            let mut world = self.sim.world.borrow_mut();
            let disk = &mut world.nodes[me].disk;
            disk.half_done = None;
            disk.upstream = Some(from);
            disk.signal = true;
        }
        self.sim.act().await;
        if self.sim.world.borrow().nodes[me].server.is_none() {
            self.sim.start_server(me);
        }
        Answer::Standby
    }
}

fn known(reach: Option<Timeline>) -> Known<Timeline> {
    reach.map_or_else(|| Known::unknown("it still replays"), Known::Known)
}
