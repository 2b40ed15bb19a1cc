//! The worker from outside: started, waited for, ended, and what it finds in writing. Floor 3.

use std::time::Duration;

use tracing::{info, warn};

use super::super::Agent;
use super::super::outcome::Outcome;
use super::super::run::{LOG_ROOT, RUN_ROOT};
use super::now;
use crate::client::recovery_file::{AtWork, Ended};
use crate::client::recovery_log::RecoveryLogs;
use crate::cluster::known::Known;
use crate::cluster::recovery::{Kept, Marker, Method, Phase, WorkerId};
use crate::decide::facts::{DataDir, Instance};
use crate::decide::recovery::Cause;
use crate::decide::start::Upstream;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::detach::{self, Liveness};
use crate::sys::exec::Cmd;

/// What a worker gets between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How long `start` waits for its worker: a small rewind is over by then. Pacemaker does nothing new before
/// an action ends that it has begun, so a failover of the others would wait as long.
const FOR_THE_WORKER: Duration = Duration::from_secs(5);

impl Agent<'_> {
    /// Starts a worker, which finds out for itself what is to be done.
    pub fn start_worker(&mut self) -> Result<WorkerId, String> {
        let failed = |error: &dyn std::error::Error| chain(error);
        let program = detach::own_program().map_err(|error| failed(&error))?;
        // A log that cannot be written keeps no node from coming back.
        let output =
            RecoveryLogs::new(LOG_ROOT, &self.resource).output_of("worker").or_else(|error| {
                warn!("{}", chain(&error));
                RecoveryLogs::new(RUN_ROOT, &self.resource).output_of("worker")
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
    pub(super) fn await_worker(&mut self, worker: &WorkerId) {
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
    pub(super) fn mark_waiting(
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
            Upstream::Nobody
            | Upstream::Silent(..)
            | Upstream::Disowned(..)
            | Upstream::Unknown(_) => None,
        };
        let new = Marker {
            attempt: self.attempts().next_attempt(),
            method: match cause {
                Some(Cause::Diverged(_)) | None => Method::Rewind,
                Some(
                    Cause::WalGone(_)
                    | Cause::NoData
                    | Cause::OtherBranch(_)
                    | Cause::GivenUp(_)
                    | Cause::Asked(_),
                ) => Method::Rebuild,
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
            ruin: false,
            asked: false,
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

    /// Ends the worker with all that it has started. While the answer is held, none begins.
    pub fn end_recovery(&self, deadline: &Deadline) -> Result<Option<Ended>, String> {
        let home = self.recovery();
        let uids = self.recovery_uids();
        home.end_worker(&uids, GRACE, deadline).map(Some).map_err(|error| chain(&error))
    }

    /// Whom a worker and its commands run as.
    pub fn recovery_uids(&self) -> [u32; 2] {
        [0, self.pg.place().user.uid]
    }
}
