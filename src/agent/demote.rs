//! `demote`: carries out what `decide::demote` says. Floor 3.

use std::time::Duration;

use tracing::{info, warn};

use super::Agent;
use super::outcome::Outcome;
use crate::client::pacemaker::{Attribute, News};
use crate::cluster::known::Known;
use crate::cluster::ledger::names as list;
use crate::decide::demote::{After, LaysDown, Next, after, lays_down, next, parting, stays};
use crate::decide::facts::Sql;
use crate::decide::monitor::primary::Cared;
use crate::decide::token::BARRED;
use crate::ocf::notify::Listed;

/// How long a primary that is demoted takes to part with heirs that are lost.
const FOR_THE_LOST: Duration = Duration::from_secs(10);

impl Agent<'_> {
    /// Makes the primary a standby. `stops`: where instances stop in the same transition.
    pub fn demote(&mut self, stops: &Listed) -> Outcome {
        let instance = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
        let told = match &instance.sql {
            Sql::Standby(_) => self.pg.promotion_pending(),
            _ => Known::Known(false),
        };
        if !self.standalone {
            if matches!(instance.sql, Sql::Primary(_)) {
                // While it still has its right: whoever cares for E gives that back to itself where it is missing.
                self.part_with_the_lost(stops);
            }
            let barred = self.is_barred_already();
            match lays_down(&instance.process, &instance.sql, &told, barred) {
                LaysDown::Nothing => {}
                LaysDown::TheRight => self.lay_down(false),
                LaysDown::TheRightAndItsEnd => self.lay_down(true),
            }
        }
        match next(&instance.process, &instance.sql, &told, stays(stops, &self.me)) {
            Next::Done => return Outcome::ok(),
            Next::Start => return self.start(),
            Next::Failed(why) => return Outcome::error(why),
            Next::ShutDown => {}
        }
        match &told {
            Known::Known(false) => {}
            Known::Known(true) => info!("this standby was told to promote: it is started anew"),
            Known::Unknown(why) => warn!(
                "whether this standby was told to promote is not known: {why}; it is started anew"
            ),
        }
        let _ = self.settle_intent(&instance);
        if let Err(why) = self.pg.shut_down_in_order(&self.deadline) {
            return Outcome::error(why);
        }
        if !matches!(instance.sql, Sql::Primary(_)) {
            // Now its data shows whether it has carried out what it was told.
            let at_rest = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
            let _ = self.settle_intent(&at_rest);
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
            match after(&now, end.expired()) {
                After::Demoted => {
                    info!("demoted");
                    return Outcome::ok();
                }
                After::Ended => {
                    return Outcome::error(format!("PostgreSQL: {}", self.pg.why_it_ended()));
                }
                After::StillReplays => {
                    warn!("demoted; it still replays");
                    return Outcome::ok();
                }
                After::Wait => end.sleep(Duration::from_millis(20)),
            }
        }
    }

    /// An heir that is lost on the way leaves E before the end, where another one stays.
    fn part_with_the_lost(&mut self, stops: &Listed) {
        let file = self.home.read();
        let entry = file.if_read().and_then(|own| own.store.done(&self.me));
        let lost = parting(stops, entry, &self.me);
        if lost.is_empty() {
            return;
        }
        info!(
            "part of E no more before this node is demoted: {}, which stop or are lost",
            list(&lost)
        );
        if let Cared::Failed(why) = self.care(&lost, FOR_THE_LOST) {
            warn!("{why}");
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
