//! What monitors answer while a node's data is brought back, and what they begin. Floor 3.

use std::time::Duration;

use tracing::{debug, info, warn};

use super::super::Agent;
use super::super::outcome::Outcome;
use super::now;
use crate::client::ledger_file::OwnFile;
use crate::client::pacemaker::Attribute;
use crate::cluster::known::Known;
use crate::cluster::recovery::{Kept, Marker, Phase};
use crate::decide::answer::End;
use crate::decide::facts::{Instance, Sql};
use crate::decide::recovery::{Standing, Way, standing};
use crate::decide::start::Upstream;
use crate::decide::view::{REBUILDING, View};
use crate::sys::chain;

/// What monitors say as long as a worker is at work: constant, for each change of it is a result.
const AT_WORK: &str = "this node's data is being brought back, see pgtwin status";
/// The state of a node that cannot be brought back yet.
const WAITING: &str = "waiting";

impl Agent<'_> {
    /// The monitor of a node without a server, whose data is being brought back, or waits for that.
    /// None: no recovery is on record, or the data can follow: then it is simply not running. Also of one
    /// whose server runs.
    pub fn monitor_recovery(&mut self, instance: &Instance, probe: bool) -> Option<Outcome> {
        let marker = self.recovery().marker();
        if marker == Kept::Missing {
            return None;
        }
        let degraded = |why: &str| Some(Outcome::ended(End::NeedsAttention, why));
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
                    self.publish_progress(&marker);
                    self.publish_state(REBUILDING);
                    self.tell_past();
                    // The primary may wait for this node's word, to go on without it.
                    self.confirm();
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
        self.tell_past();
        let view = match self.view() {
            Known::Known(view) => view,
            Known::Unknown(why) => {
                warn!("Pacemaker could not be asked: {why}");
                return degraded("its recovery waits: Pacemaker cannot be asked");
            }
        };
        self.follow_orders(&view);
        let file = self.confirm_in(&view);
        let upstream = self.find_upstream(&view, &file, None);
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
                if upstream == Upstream::Nobody {
                    self.say_that_there_is_no_data(instance, &file, &view.ledger());
                }
                self.publish_state(WAITING);
                self.recovery().say_waits(&why);
                degraded(&why)
            }
            Way::Follow | Way::MakeTheCheck => None,
        }
    }

    /// Tells the other nodes how far it is, when that has changed.
    pub fn publish_progress(&mut self, marker: &Kept<Marker>) {
        let Kept::Read(marker) = marker else { return };
        let words = marker.how_far(&self.recovery().progress());
        if words == self.cache.progress {
            return;
        }
        match self.pacemaker.publish(Attribute::Progress, &words, self.tool_limit()) {
            Known::Known(()) => self.cache.progress = words,
            Known::Unknown(why) => debug!("how far the recovery is could not be told: {why}"),
        }
    }

    /// Says which entry this node's disk has, if that has changed: the primary may wait for it.
    pub fn confirm(&mut self) {
        match self.view() {
            Known::Known(view) => drop(self.confirm_in(&view)),
            Known::Unknown(why) => warn!("Pacemaker could not be asked: {why}"),
        }
    }

    fn confirm_in(&mut self, view: &View) -> OwnFile {
        let file = self.exchange_ledger(view, false);
        if let OwnFile::Read(own) = &file {
            self.publish_ack(own, false);
        }
        file
    }

    /// Counts the attempt of a worker that was killed, so that the next one waits its time.
    pub(super) fn count_abandoned(&self, marker: &Kept<Marker>) {
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
    pub(super) fn finish_recovery(&mut self, instance: &Instance, marker: &Kept<Marker>) {
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
}
