//! `demote`: a fast shutdown, its end made known, and a start as a standby. Floor 3.

use std::time::Duration;

use tracing::{info, warn};

use super::outcome::Outcome;
use super::{Agent, BARRED};
use crate::client::pacemaker::{Attribute, News};
use crate::cluster::known::Known;
use crate::decide::facts::{Process, Sql};

impl Agent<'_> {
    /// Makes the primary a standby. On an instance that isn't running there is nothing to do, and
    /// no crash recovery either.
    pub fn demote(&mut self) -> Outcome {
        let instance = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
        // A demotion that was done before has published its end already.
        let ends_now = match (&instance.process, &instance.sql) {
            (Process::None, _) => true,
            (Process::Running { stopped: true, .. } | Process::Orphans(_), _)
            | (_, Sql::Standby(_) | Sql::Hung) => false,
            _ => true,
        };
        // After a crash the right is gone already, and this promotion has published no end.
        let has_laid_down = instance.process == Process::None && self.is_barred_already();
        if !self.standalone && !has_laid_down {
            self.lay_down(ends_now);
        }
        match (&instance.process, &instance.sql) {
            (Process::None, _) | (_, Sql::Standby(_)) => return Outcome::ok(),
            (Process::Running { stopped: true, .. }, _) | (_, Sql::Hung) => {
                return Outcome::error(
                    "PostgreSQL hangs: it cannot be shut down in order, and is stopped instead",
                );
            }
            (Process::Orphans(_), _) => {
                return Outcome::error("the postmaster is gone and processes of it still run");
            }
            _ => {}
        }
        let _ = self.settle_intent(&instance);
        if let Err(why) = self.pg.shut_down_in_order(&self.deadline) {
            return Outcome::error(why);
        }
        if !self.standalone {
            self.publish_shutdown();
        }
        let settings = self.standby_settings(None);
        let borrowed: Vec<(&str, Option<&str>)> =
            settings.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
        if let Err(why) = self
            .pg
            .set_auto_conf(&borrowed)
            .and_then(|()| self.pg.ensure_standby_signal())
            .and_then(|()| self.pg.start(&self.deadline))
        {
            return Outcome::error(format!("shut down, and not started again: {why}"));
        }
        let end = self.deadline.within(Duration::from_mins(1));
        loop {
            let now = self.pg.look(&end.within(Duration::from_secs(5)));
            match now.sql {
                Sql::Standby(_) => {
                    info!("demoted");
                    return Outcome::ok();
                }
                _ if now.process == Process::None => {
                    return Outcome::error(format!("PostgreSQL: {}", self.pg.why_it_ended()));
                }
                _ if end.expired() => {
                    warn!("demoted; it still replays");
                    return Outcome::ok();
                }
                _ => end.sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Takes the right to be promoted from this node, and with it what it said about an earlier end.
    fn lay_down(&mut self, ends_now: bool) {
        let me = self.me.clone();
        let mut news = vec![News::Score(&me, BARRED)];
        if ends_now {
            news.push(News::Withdraw(Attribute::Shutdown, &me));
        }
        if let Some(answer) = self.pacemaker.tell_all(&news, self.tool_limit()).first() {
            self.note_score(&me, BARRED, answer);
            if let Known::Unknown(why) = answer {
                warn!("the promotion score of {me} could not be set: {why}");
            }
        }
    }
}
