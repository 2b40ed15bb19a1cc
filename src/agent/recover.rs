//! Coming back: whether and which way, the start of the worker, and what monitors answer meanwhile.
//! Floor 3.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{info, warn};

use super::Agent;
use super::outcome::Outcome;
use super::run::{LOG_ROOT, RUN_ROOT, STATE_ROOT};
use crate::client::recovery_file::{AtWork, Ended, RecoveryHome};
use crate::client::recovery_log::RecoveryLogs;
use crate::cluster::known::Known;
use crate::cluster::recovery::{Attempts, Kept, Marker, Method, Phase, Turn, WorkerId};
use crate::decide::facts::{DataDir, Instance, Sql};
use crate::decide::recovery::{Cause, Check, Facts, Marked, Mount, Standing, Way, standing, way};
use crate::decide::recovery_check;
use crate::decide::start::{self, Next, Upstream};
use crate::ocf::exit_code::ExitCode;
use crate::postgres::slot_name::slot_name;
use crate::runtime::data_dir;
use crate::runtime::instance::recovery_facts::Provider;
use crate::runtime::layout;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::detach::{self, Liveness};
use crate::sys::exec::Cmd;

/// What a worker gets between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How long `start` waits for its worker: a small rewind is over by then. Pacemaker does nothing new before
/// an action ends that it has begun, so a failover of the others would wait as long.
const FOR_THE_WORKER: Duration = Duration::from_secs(5);
/// What monitors say as long as a worker is at work: constant, for each change of it is a result.
const AT_WORK: &str = "this node's data is being brought back, see pgtwin status";
/// The state of a node whose data is being brought back.
const REBUILDING: &str = "rebuilding";
/// And of one that cannot be brought back yet.
const WAITING: &str = "waiting";

/// Seconds of the epoch.
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|time| i64::try_from(time.as_secs()).ok())
        .unwrap_or(0)
}

/// What is written of recoveries, for decisions.
pub fn marked(marker: &Kept<Marker>) -> Marked {
    match marker {
        Kept::Missing => Marked::Nothing,
        Kept::Read(marker) if marker.half_done => Marked::HalfDone { system_id: marker.system_id },
        Kept::Read(_) => Marked::Whole,
        Kept::Unreadable(why) => Marked::Unreadable(why.clone()),
    }
}

/// Outside a cluster nobody is there to copy from, and nothing is waited for.
fn without_cluster(pgdata: &str, cause: Option<&Cause>, data: &DataDir) -> String {
    let what = match (data, cause) {
        (DataDir::Absent, _) => "does not exist: mount it",
        (DataDir::Empty, _) => "is empty: mount it",
        (_, Some(cause)) => cause.words(),
        (_, None) => "is between old and new data",
    };
    format!("pgdata={pgdata} {what}; outside a cluster there is no primary to copy")
}

impl Agent<'_> {
    /// The files of this node's recoveries.
    pub fn recovery(&self) -> RecoveryHome {
        RecoveryHome::new(STATE_ROOT, RUN_ROOT, &self.resource, &self.me)
    }

    /// How often recoveries failed in a row. What cannot be read is none: a pause is patience and no
    /// safeguard.
    fn attempts(&self) -> Attempts {
        match self.recovery().attempts() {
            Kept::Read(attempts) => attempts,
            Kept::Missing => Attempts::default(),
            Kept::Unreadable(why) => {
                warn!("{why}");
                Attempts::default()
            }
        }
    }

    /// Whether the next attempt is due.
    pub fn turn(&self) -> Turn {
        self.attempts().turn(now())
    }

    /// The end of a `start` that has found data which cannot follow.
    pub fn come_back(&mut self, cause: Option<&Cause>, facts: &start::Facts) -> Outcome {
        if self.standalone {
            return Outcome::error(without_cluster(
                &self.params.pgdata,
                cause,
                &facts.instance.data,
            ));
        }
        let upstream = facts
            .upstream
            .clone()
            .unwrap_or_else(|| Upstream::Unknown("nobody has asked for it".to_owned()));
        // Who starts this node anew means it: where all attempts are used up, there is one more.
        let turn = match self.turn() {
            Turn::Over => Turn::Now,
            turn @ (Turn::Now | Turn::At(_)) => turn,
        };
        match self.way_back(cause, &upstream, &facts.instance, turn).0 {
            Way::Recover(method, why) => {
                info!("this node's data is brought back ({}): {why}", method.word());
                // The worker measures nothing that only a running server tells: it is left in writing.
                let started = self
                    .mark_waiting(cause, &facts.instance, &upstream)
                    .and_then(|()| self.start_worker());
                match started {
                    Ok(worker) => self.await_worker(&worker),
                    Err(why) => return Outcome::error(why),
                }
                Outcome::ok()
            }
            Way::Wait(why) => {
                warn!("this node's data cannot be brought back yet: {why}");
                match self.mark_waiting(cause, &facts.instance, &upstream) {
                    Ok(()) => {
                        self.recovery().say_waits(&why);
                        Outcome::ok()
                    }
                    Err(not) => Outcome::error(format!("{why}; {not}")),
                }
            }
            Way::Refuse(why) => Outcome::error(why),
            Way::Follow | Way::MakeTheCheck => {
                Outcome::error("the way back is not known (a mistake in pgtwin: please report it)")
            }
        }
    }

    /// Which way, with the check where it is needed, and what the check looked at.
    pub fn way_back(
        &mut self,
        cause: Option<&Cause>,
        upstream: &Upstream,
        instance: &Instance,
        turn: Turn,
    ) -> (Way, Option<recovery_check::Facts>) {
        let marker = self.recovery().marker();
        let attempts = self.attempts();
        // One that did not come as far as pg_rewind says nothing against it.
        let rewound = matches!(&marker, Kept::Read(marker)
            if marker.method == Method::Rewind && marker.phase != Phase::Checking);
        let mut facts = Facts {
            pgdata: self.params.pgdata.clone(),
            marked: marked(&marker),
            cause: Known::Known(cause.cloned()),
            system_id: match &instance.data {
                DataDir::Cluster(control) => Some(control.system_id),
                _ => None,
            },
            upstream: upstream.clone(),
            upstream_is_me: matches!(upstream, Upstream::Live(live) if live.node == self.me),
            mount: self.mount(&instance.data),
            turn,
            again: self.recovery().again(),
            rewind_failed: attempts.failed > 0 && rewound,
            failed: attempts,
            check: None,
        };
        let mut seen = None;
        loop {
            let next = way(&facts);
            if next != Way::MakeTheCheck {
                return (next, seen);
            }
            let Upstream::Live(live) = upstream else { return (next, seen) };
            let peer = self.peer(&live.node);
            let slot = slot_name(&self.params.slot_name, self.me.as_str());
            let provider = Provider { node: live.node.as_str(), peer: &peer, slot: &slot };
            let looked = self.pg.recovery_facts(
                &provider,
                true,
                &self.deadline.within(self.deadline.left() / 2),
            );
            let found = recovery_check::check(&looked);
            for finding in &found.findings {
                info!("recovery: {finding}");
            }
            facts.check = Some(Check::of(&found, &facts.marked));
            seen = Some(looked);
        }
    }

    /// Whether all that a database of this directory lies on is mounted: by pgdata_mount and
    /// /etc/fstab.
    pub fn mount(&self, data: &DataDir) -> Mount {
        let empty = matches!(data, DataDir::Absent | DataDir::Empty);
        let paths = layout::leads_to(self.pg.place(), !empty);
        let named = self.params.pgdata_mount.as_deref().map(std::path::Path::new);
        match crate::sys::mounts::missing(&paths, named, !empty) {
            Ok(None) => Mount::InPlace,
            Ok(Some(what)) => Mount::Missing(what),
            Err(why) => Mount::Unknown(why),
        }
    }

    /// Starts a worker, which finds out for itself what is to be done.
    fn start_worker(&mut self) -> Result<WorkerId, String> {
        let failed = |error: &dyn std::error::Error| chain(error);
        let program = detach::own_program().map_err(|error| failed(&error))?;
        // A log that cannot be written keeps no node from coming back.
        let output = RecoveryLogs::new(LOG_ROOT, &self.resource).worker_output().or_else(|error| {
            warn!("{}", chain(&error));
            RecoveryLogs::new(RUN_ROOT, &self.resource).worker_output()
        });
        let output = output.map_err(|error| failed(&error))?;
        let order = self.recovery().give_order().map_err(|error| failed(&error))?;
        let worker = Cmd::new(program.display().to_string()).args([
            "recover",
            "--resource",
            &self.resource,
            "--node",
            self.me.as_str(),
            "--order",
            &order,
        ]);
        let unit = detach::unit_name(&self.resource, self.attempts().next_attempt(), now());
        let deadline = self.deadline.within(Duration::from_secs(20));
        detach::launch(&detach::ways(&worker, &unit), &program, &output, &deadline)
            .map_err(|error| failed(&error))
    }

    /// A `start` that finds a worker at work waits for it; its end, if the worker outlasts it. Starting
    /// PostgreSQL beside it would be a race for the data.
    pub fn join_worker(&mut self) -> Option<Outcome> {
        let Known::Known(Some(worker)) = self.recovery().at_work() else { return None };
        info!("this node's data is being brought back already");
        self.await_worker(&worker);
        if matches!(detach::liveness(&worker), Liveness::Alive(_)) {
            return Some(Outcome::ok());
        }
        if let Err(error) = self.home.take_turn(self.deadline.left() / 2) {
            warn!("{}", chain(&error));
        }
        None
    }

    /// Waits for the worker, a moment. The worker needs the turn with the ledger meanwhile; what this
    /// action has kept in the cache comes first.
    fn await_worker(&mut self, worker: &WorkerId) {
        self.home.keep(&self.cache);
        self.home.end_turn();
        let end = self.deadline.within(FOR_THE_WORKER);
        while !end.expired() {
            match detach::liveness(worker) {
                Liveness::Alive(_) => {}
                Liveness::Gone | Liveness::Unknown(_) => return,
            }
            end.sleep(Duration::from_millis(200));
        }
    }

    /// Writes that this node waits to be brought back, and compared with which primary: monitors then do
    /// not take it for one that has ended. Method and system tell what was found of which data: see
    /// [`Agent::cause_of`].
    fn mark_waiting(
        &mut self,
        cause: Option<&Cause>,
        instance: &Instance,
        upstream: &Upstream,
    ) -> Result<(), String> {
        let home = self.recovery();
        let at_work: AtWork<'_> = home
            .take(Duration::from_secs(2), &self.recovery_uids())
            .map_err(|error| chain(&error))?;
        let live = match upstream {
            Upstream::Live(live) => Some(live),
            Upstream::Nobody | Upstream::Silent(..) | Upstream::Unknown(_) => None,
        };
        let new = Marker {
            attempt: self.attempts().next_attempt(),
            method: match cause {
                Some(Cause::Diverged(_)) | None => Method::Rewind,
                Some(Cause::WalGone(_) | Cause::NoData | Cause::OtherBranch(_)) => Method::Rebuild,
            },
            phase: Phase::Checking,
            source: live.map_or_else(|| self.me.clone(), |live| live.node.clone()),
            system_id: match &instance.data {
                DataDir::Cluster(control) => control.system_id,
                _ => 0,
            },
            begun: now(),
            worker: at_work.me().clone(),
            half_done: false,
            old_copy: None,
            // What keeps it from coming back may change, and is not of the data.
            reason: cause.map_or("a recovery ended half way", Cause::words).to_owned(),
        };
        let marker = match home.marker() {
            // What waits, waits for what was found last.
            Kept::Missing
            | Kept::Read(Marker {
                phase: Phase::Checking | Phase::Starting,
                half_done: false,
                ..
            }) => new,
            // The same, and what was being done to it is remembered.
            Kept::Read(Marker { attempt, method, phase, half_done: false, .. }) => {
                Marker { attempt, method, phase, ..new }
            }
            Kept::Read(_) | Kept::Unreadable(_) => return Ok(()),
        };
        at_work.write_marker(&marker).map_err(|error| chain(&error))
    }

    /// Counts the attempt of a worker that was killed, so that the next one waits its time.
    fn count_abandoned(&self, marker: &Kept<Marker>) {
        let Kept::Read(marker) = marker else { return };
        let before = self.attempts();
        let after = before.with_abandoned(marker, now());
        if marker.phase == Phase::Checking || after == before {
            return;
        }
        warn!("{}", after.reason);
        let home = self.recovery();
        let written = home
            .take(Duration::ZERO, &self.recovery_uids())
            .and_then(|right| right.write_attempts(&after));
        if let Err(error) = written {
            warn!("{}", chain(&error));
        }
    }

    /// A server that streams, under the marker of a recovery whose worker was killed or gave up after it
    /// had started it: what is left to do has to be done, or the old data and the kept configuration
    /// would be there for ever, and meet the next recovery.
    fn finish_recovery(&mut self, instance: &Instance, marker: &Kept<Marker>) {
        let streams = matches!(&instance.sql, Sql::Standby(standby) if standby.streams());
        let whole = matches!(marker, Kept::Read(marker) if !marker.half_done);
        if streams
            && whole
            && self.attempts().wait(now()).is_zero()
            && self.recovery().at_work() == Known::Known(None)
        {
            info!("this node streams: what its recovery has left is finished");
            if let Err(why) = self.start_worker() {
                warn!("{why}");
            }
        }
    }

    /// The monitor of a node without a server, whose data is being brought back, or waits for that.
    /// None: no recovery is on record, or the data can follow: then it is simply not running. Also of one
    /// whose server runs.
    pub fn monitor_recovery(&mut self, instance: &Instance, probe: bool) -> Option<Outcome> {
        let marker = self.recovery().marker();
        if marker == Kept::Missing {
            return None;
        }
        let degraded = |why: &str| Some(Outcome::because(ExitCode::Degraded, why));
        let at_work = self.recovery().at_work().map(|worker| worker.is_some());
        match standing(&instance.process, &at_work) {
            Standing::Other => return None,
            Standing::Runs => {
                if !probe {
                    self.finish_recovery(instance, &marker);
                }
                return None;
            }
            Standing::AtWork => {
                if !probe {
                    self.publish_state(REBUILDING);
                }
                return degraded(AT_WORK);
            }
            Standing::Unsure(why) => {
                warn!("whether a recovery is at work is not known: {why}");
                return degraded("whether its recovery is at work is not known, see the log");
            }
            Standing::Idle => {}
        }
        if probe {
            // Nobody is at work, and nothing runs: Pacemaker starts it, and `start` goes on from here.
            return None;
        }
        self.count_abandoned(&marker);
        let view = match self.view() {
            Known::Known(view) => view,
            Known::Unknown(why) => {
                warn!("Pacemaker could not be asked: {why}");
                return degraded("its recovery waits: Pacemaker cannot be asked");
            }
        };
        // The primary may wait for this node's word.
        let file = self.exchange_ledger(&view, false);
        if let crate::client::ledger_file::OwnFile::Read(own) = &file {
            self.publish_ack(own, false);
        }
        let upstream = self.find_upstream(&view, &file);
        let cause = self.cause_of(instance, &upstream, &marker)?;
        let turn = self.turn();
        match self.way_back(cause.as_ref(), &upstream, instance, turn).0 {
            Way::Recover(method, why) => {
                info!("this node's data is brought back ({}): {why}", method.word());
                if let Err(why) = self.start_worker() {
                    warn!("{why}");
                    return degraded("its recovery could not be started, see the log");
                }
                self.publish_state(REBUILDING);
                degraded(AT_WORK)
            }
            Way::Wait(why) | Way::Refuse(why) => {
                self.publish_state(WAITING);
                self.recovery().say_waits(&why);
                degraded(&why)
            }
            Way::Follow | Way::MakeTheCheck => None,
        }
    }

    /// Why the data of a stopped instance cannot follow; outer none: it can, inner none: a recovery of
    /// it ended half way.
    pub fn cause_of(
        &self,
        instance: &Instance,
        upstream: &Upstream,
        marker: &Kept<Marker>,
    ) -> Option<Option<Cause>> {
        let facts = start::Facts {
            pgdata: self.params.pgdata.clone(),
            instance: instance.clone(),
            upstream: Some(upstream.clone()),
            alone: false,
            recovered: None,
            prepared: false,
            started: None,
            attached: false,
            position: None,
            out_of_time: false,
            marked: marked(marker),
            mount: Mount::InPlace,
            parted: None,
            left_off: None,
            wal_gone: None,
        };
        match (start::next(&facts), marker) {
            (Next::Recover(cause), _) => Some(cause),
            // By its control file alone it could follow; it was measured when it ran, against this
            // primary, and has not been touched since.
            (_, Kept::Read(marker))
                if marker.phase < Phase::Starting
                    && marker.reason != Cause::NoData.words()
                    && matches!(upstream, Upstream::Live(live) if live.node == marker.source)
                    && matches!(&instance.data, DataDir::Cluster(control)
                        if control.system_id == marker.system_id)
                    && data_dir::changed_at(self.pg.place())
                        .is_some_and(|changed| changed <= marker.begun + 1) =>
            {
                Some(Some(match marker.method {
                    Method::Rewind => Cause::Diverged(marker.reason.clone()),
                    Method::Rebuild => Cause::WalGone(marker.reason.clone()),
                }))
            }
            _ => None,
        }
    }

    /// Ends the worker with all that it has started. While the answer is held, none begins.
    pub fn end_recovery(&self, deadline: &Deadline) -> Result<Option<Ended>, String> {
        let home = self.recovery();
        let uids = self.recovery_uids();
        home.end_worker(&uids, GRACE, deadline).map(Some).map_err(|error| chain(&error))
    }

    /// Whom a worker and its commands run as.
    pub(super) fn recovery_uids(&self) -> [u32; 2] {
        [0, self.pg.place().user.uid]
    }
}
