//! `stop`: it ends PostgreSQL and proves it. It validates nothing, and nothing that it does besides
//! may make it fail. Floor 3.

use std::time::Duration;

use tracing::{info, warn};

use super::outcome::Outcome;
use super::{Agent, view};
use crate::client::ledger_file::OwnFile;
use crate::client::pacemaker::{Attribute, News};
use crate::cluster::known::Known;
use crate::cluster::position::Shutdown;
use crate::decide::facts::{DataDir, Process, Sql};
use crate::decide::stop::{goodbye, hangs};
use crate::decide::token::BARRED;
use crate::postgres::control_data::ClusterState;
use crate::runtime::container::withdraw;

impl Agent<'_> {
    /// Stops PostgreSQL, and removes what is left of its container.
    pub fn stop(&mut self) -> Outcome {
        let outcome = self.stop_server();
        if outcome.reason.is_some() || !self.pg.runtime().is_contained() {
            return outcome;
        }
        self.pg.runtime().clean_up(self.deadline.left());
        if self.pg.runtime().process() == Process::None {
            return outcome;
        }
        // A start that was cut off has come up in its container meanwhile. It is the last: its permit is gone.
        let outcome = self.stop_server();
        self.pg.runtime().clean_up(self.deadline.left());
        outcome
    }

    fn stop_server(&mut self) -> Outcome {
        // Nothing starts PostgreSQL behind this, as long as the answer is held.
        let _ended = match self.end_recovery(&self.deadline.within(self.deadline.left() / 2)) {
            Ok(ended) => ended,
            Err(why) => return Outcome::error(why),
        };
        if let Err(why) = withdraw(self.pg.place(), &self.deadline.within(self.deadline.left() / 2))
        {
            return Outcome::error(why);
        }
        let instance = self.pg.look(&self.deadline.within(Duration::from_secs(3)));
        let was_primary = matches!(instance.sql, Sql::Primary(_));
        if !self.standalone {
            self.leave_in_order(instance.process == Process::None);
        }
        if instance.process == Process::None {
            return Outcome::ok();
        }
        let ended = if hangs(&instance.sql, self.pg.was_seen_to_hang()) {
            self.pg.stop_hung(&self.deadline)
        } else {
            self.pg.stop(&self.deadline)
        };
        if let Err(why) = ended {
            return Outcome::error(why);
        }
        if was_primary && !self.standalone {
            self.publish_shutdown();
        }
        Outcome::ok()
    }

    /// A standby that stops in an orderly way drops its score and confirms the entry without itself
    /// first, so that the primary need not wait for it. All of it is help, none of it a condition.
    pub(super) fn leave_in_order(&mut self, ended: bool) {
        // Tools that hang may cost a part of the time, and PostgreSQL keeps the rest to end in.
        let whole = self.deadline;
        self.deadline = whole.within(whole.left() / 4);
        self.say_goodbye(ended);
        self.deadline = whole;
    }

    fn say_goodbye(&mut self, ended: bool) {
        let me = self.me.clone();
        self.cache.yielded.clear();
        let laid_down = self.has_laid_down();
        let said = goodbye(ended, laid_down, self.home.read().if_read(), &me);
        if said.takes_back {
            self.lay_down_and_say_nothing(News::NoScore(&me));
        }
        if said.confirms
            && let Known::Known(cib) = self.cib()
            && let OwnFile::Read(own) =
                self.exchange_with(view::ledger(&cib, &self.resource), false)
        {
            self.publish_ack(&own, true);
        }
    }

    /// Neither a right to be promoted nor a position is there to be taken back: so it is after a crash
    /// of the primary, and a failover waits for this.
    pub fn has_laid_down(&self) -> bool {
        self.is_barred_already() && !self.cache.published
    }

    /// The score goes, in whichever way, and the position with it.
    pub fn lay_down_and_say_nothing(&mut self, score: News<'_>) {
        let me = self.me.clone();
        let barred = matches!(score, News::Score(_, BARRED));
        let news = [score, News::Withdraw(Attribute::Position, &me)];
        let answers = self.pacemaker.tell_all(&news, self.tool_limit());
        if let [scored, withdrawn] = answers.as_slice() {
            self.note_score(&me, if barred { BARRED } else { 0 }, scored);
            self.cache.published &= !withdrawn.is_known();
        }
        for answer in answers {
            if let Known::Unknown(why) = answer {
                warn!("the score and the position could not be taken back: {why}");
            }
        }
    }

    /// Publishes where the WAL of a primary ends that was shut down in an orderly way: the end of
    /// its shutdown checkpoint.
    pub fn publish_shutdown(&mut self) {
        let OwnFile::Read(own) = self.home.read() else { return };
        let Some(entry) = own.store.done(&self.me) else { return };
        let control = match self.pg.data_dir() {
            DataDir::Cluster(control) if control.state == ClusterState::ShutDown => control,
            // A standby that was told to promote, and never did: it has no end of its own.
            DataDir::Cluster(control) if control.state == ClusterState::ShutDownInRecovery => {
                return;
            }
            _ => {
                warn!("PostgreSQL did not end with a shutdown checkpoint");
                return;
            }
        };
        let end = match self.pg.end_of_checkpoint(&control, &self.deadline) {
            Known::Known(end) => end,
            Known::Unknown(why) => {
                warn!("the end of the shutdown checkpoint is not known: {why}");
                return;
            }
        };
        let shutdown = Shutdown { id: entry.id, timeline: control.timeline, end };
        info!("shut down in order: timeline {} ends at {end}", control.timeline);
        if let Known::Unknown(why) =
            self.pacemaker.publish(Attribute::Shutdown, &shutdown.to_string(), self.tool_limit())
        {
            warn!("the shutdown checkpoint could not be published: {why}");
        }
    }

    /// Tells location rules and people what this node does; only when it changes. Called by
    /// monitors alone, and not for what may pass: each change makes Pacemaker compute anew, and in the
    /// middle of a failover it would do so for nothing.
    pub fn publish_state(&mut self, state: &str) {
        if self.standalone || (self.cache.state == state && self.cache.unheard.is_empty()) {
            return;
        }
        let told = self.pacemaker.publish(Attribute::State, state, self.tool_limit());
        if self.is_heard("state", told) {
            state.clone_into(&mut self.cache.state);
        }
    }
}
