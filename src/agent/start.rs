//! `start`: observe, decide, act, until PostgreSQL runs as a standby or must not. Floor 3.

use std::time::Duration;

use tracing::{debug, info, warn};

use super::Agent;
use super::fit;
use super::origin::reach;
use super::outcome::Outcome;
use crate::client::ledger_file::OwnFile;
use crate::client::pacemaker::News;
use crate::cluster::known::Known;
use crate::cluster::ledger::{PromotionId, unexplained};
use crate::cluster::position::Position;
use crate::decide::answer::End;
use crate::decide::facts::{DataDir, Sql};
use crate::decide::recovery::Marked;
use crate::decide::start::first_answer::Starts;
use crate::decide::start::{Facts, Next, Recovered, Step, Upstream, next};
use crate::decide::token::{self, BARRED};

/// What is swept together after a start may take so long.
const FOR_THE_REST: Duration = Duration::from_secs(10);

impl Agent<'_> {
    /// Starts PostgreSQL as a standby, and clears up behind programs that were killed: where nobody waits for it.
    pub fn start_and_sweep(&mut self) -> Outcome {
        let outcome = self.start();
        if outcome.reason.is_none() && self.pg.runtime().is_contained() {
            self.pg.runtime().sweep(self.deadline.bounded(FOR_THE_REST));
        }
        outcome
    }

    /// Starts PostgreSQL as a standby.
    pub fn start(&mut self) -> Outcome {
        if let Err(error) = self.pg.check_programs() {
            return super::validate::without_programs(&error);
        }
        if let Some(why) = self.pg.runs_otherwise() {
            return Outcome::error(format!("{why}: stop it first"));
        }
        if !self.standalone
            && let Some(outcome) = self.join_worker()
        {
            return outcome;
        }
        if !self.standalone {
            let me = self.me.clone();
            self.cache.yielded.clear();
            self.cache.shown.clear();
            self.cache.just_said = false;
            self.cache.warnings.clear();
            self.cache.past_told.clear();
            // `fresh-score`: what was given to an earlier run of this instance is void.
            if !self.has_laid_down() {
                self.lay_down_and_say_nothing(News::Score(&me, BARRED));
            }
        }
        for line in self.pg.started_at_boot() {
            warn!("{line}");
        }
        let first = self.pg.look(&self.deadline.within(Duration::from_secs(10)));
        let (file, _) = self.settle_intent(&first);
        if !self.standalone && !matches!(file, OwnFile::Read(_)) {
            self.withdraw_ack();
        }
        let written_apart = (!self.standalone).then(|| self.written_apart(&first.data)).flatten();
        let mut facts = Facts {
            pgdata: self.params.pgdata.clone(),
            mount: self.mount(&first.data),
            instance: first,
            upstream: self.standalone.then_some(Upstream::Nobody),
            alone: self.standalone || token::only_me(file.if_read(), &self.me),
            recovered: None,
            prepared: false,
            started: None,
            attached: false,
            position: None,
            out_of_time: false,
            marked: if self.standalone {
                Marked::Nothing
            } else {
                super::worker::written(&self.recovery())
            },
            parted: None,
            left_off: self.left_off(),
            written_apart,
            wal_gone: None,
        };
        loop {
            match next(&facts) {
                Next::Running(remark) => {
                    if let Some(remark) = remark {
                        info!("start: {remark}");
                    }
                    if let Sql::Standby(standby) = &facts.instance.sql {
                        self.note_parts(standby.system_id, standby.version);
                    }
                    self.forget_break(matches!(facts.upstream, Some(Upstream::Live(_))));
                    return Outcome::ok();
                }
                Next::Refuse(why) => return Outcome::error(why),
                // Without a cluster there is nobody to copy.
                Next::Recover(_) if self.standalone => {
                    let what = match facts.instance.data {
                        DataDir::Empty => "is empty",
                        _ => "does not exist",
                    };
                    return Outcome::error(format!(
                        "pgdata={} {what}: mount it, or make a database there",
                        facts.pgdata
                    ));
                }
                Next::Recover(cause) => return self.come_back(cause.as_ref(), &facts),
                Next::Perm(why) => return Outcome::ended(End::UnusableData, why),
                Next::Do(step) => {
                    if let Err(outcome) = self.start_step(&step, &mut facts, &file) {
                        return outcome;
                    }
                }
            }
        }
    }

    /// Why nothing can be started here, by what Pacemaker knows of the cluster.
    fn unfit(&self, view: &super::view::View) -> Option<String> {
        let kind = view.status.node(&self.me).map(|node| &node.kind);
        fit::not_a_full_node(self.me.as_str(), None, kind).or_else(|| self.refused_name())
    }

    fn start_step(
        &mut self,
        step: &Step,
        facts: &mut Facts,
        file: &OwnFile,
    ) -> Result<(), Outcome> {
        match step {
            Step::AskUpstream => {
                facts.upstream = Some(match self.view() {
                    Known::Known(view) => {
                        if let Some(why) = self.unfit(&view) {
                            return Err(Outcome::ended(End::WrongPlace, why));
                        }
                        // Also from a node that is going to be refused: its word may be all that the
                        // primary waits for.
                        if let OwnFile::Read(own) = self.exchange_ledger(&view, false) {
                            self.publish_ack(&own, true);
                        }
                        let running = view.running();
                        facts.alone = facts.alone
                            || token::nobody_else_runs(file.if_read(), &self.me, &running);
                        self.find_upstream(&view, file, None)
                    }
                    Known::Unknown(why) => {
                        warn!("start: Pacemaker could not be asked: {why}");
                        Upstream::Unknown(why)
                    }
                });
            }
            Step::AskForWal(from) => {
                let gone = match &facts.upstream {
                    Some(Upstream::Live(live)) => self.wal_gone(&live.node, *from),
                    _ => None,
                };
                facts.wal_gone = Some(gone);
            }
            Step::RecoverSingleUser => {
                info!("start: crash recovery in single-user mode");
                // What is left is for the server, should this take too long.
                let end = self.deadline.within(self.deadline.left() / 4 * 3);
                facts.recovered = Some(match self.pg.recover_single_user(&end) {
                    Ok(()) => Recovered::Done,
                    Err(why) if end.expired() => {
                        warn!(
                            "start: {why}; the server recovers by itself, for as long as it takes"
                        );
                        Recovered::OutOfTime
                    }
                    Err(why) => Recovered::Failed(why),
                });
                self.look_again(facts);
            }
            Step::Prepare { attach } => {
                let upstream = match (&facts.upstream, attach) {
                    (Some(Upstream::Live(live)), true) => Some(live.node.clone()),
                    (Some(Upstream::Nobody), _) => {
                        token::most_likely(self.home.read().if_read(), &self.me)
                    }
                    _ => None,
                };
                let attached = upstream.is_some() && *attach;
                if let (Some(node), true) = (&upstream, *attach) {
                    self.note_upstream(node, &facts.instance.sql);
                }
                let upstream = upstream.filter(|node| {
                    let noted = self.note_pointed_before_start(node);
                    noted
                        .inspect_err(|why| debug!("start: is not pointed at {node}: {why}"))
                        .is_ok()
                });
                let settings = self.standby_settings(upstream.as_ref());
                let borrowed: Vec<(&str, Option<&str>)> = settings
                    .iter()
                    .map(|(name, value)| (name.as_str(), Some(value.as_str())))
                    .collect();
                self.pg
                    .set_auto_conf(&borrowed)
                    .and_then(|()| self.pg.ensure_standby_signal())
                    .map_err(Outcome::error)?;
                if let Some(node) = upstream {
                    self.cache.upstream = node.to_string();
                    self.cache.upstream_host = self.address(&node);
                    facts.attached = attached;
                }
                facts.prepared = true;
            }
            Step::StartPostmaster => {
                facts.started = Some(self.pg.start(&self.deadline));
                self.await_answer(facts);
            }
            Step::Measure => match self.position(&facts.instance) {
                Known::Known(position)
                    if position.exactness == crate::cluster::position::Exactness::Exact =>
                {
                    facts.written_apart = self.of_nobody(&position, facts);
                    facts.position = Some(position);
                }
                Known::Known(_) | Known::Unknown(_) => {
                    self.deadline.sleep(Duration::from_millis(100));
                    self.look_again(facts);
                }
            },
            Step::Attach => {
                if let Some(Upstream::Live(live)) = &facts.upstream {
                    let node = live.node.clone();
                    self.note_upstream(&node, &facts.instance.sql);
                    let (conninfo, slot) = match &facts.instance.sql {
                        crate::decide::facts::Sql::Standby(standby) => {
                            (standby.conninfo.clone(), standby.slot.clone())
                        }
                        _ => (String::new(), String::new()),
                    };
                    self.follow(&node, &conninfo, &slot, &facts.instance.sql)
                        .map_err(Outcome::error)?;
                }
                facts.attached = true;
            }
            Step::AskItsLog => facts.started = Some(Err(self.pg.why_it_ended())),
            Step::Wait => {
                self.deadline.sleep(Duration::from_millis(100));
                self.look_again(facts);
            }
            Step::StopAgain(why) => {
                warn!("start: PostgreSQL is stopped again: {why}");
                self.pg.stop(&self.deadline).map_err(Outcome::error)?;
                facts.started = None;
                if facts.written_apart.is_none() {
                    facts.parted = facts.marked.data_is_whole().then(|| why.clone());
                }
                self.look_again(facts);
            }
        }
        Ok(())
    }

    /// Why this data, measured, is of no promotion that anybody knows; noted for whoever replaces it.
    fn of_nobody(&mut self, position: &Position, facts: &Facts) -> Option<String> {
        let Some(Upstream::Live(live)) = &facts.upstream else { return None };
        let reach = reach(position, &facts.instance.sql);
        let ledger = self.view().and_then(|view| view.ledger());
        let file = match &ledger {
            Known::Known(ledger) => self.explained(self.home.read(), ledger, reach),
            Known::Unknown(_) => return None,
        };
        let own = self.given_up(&file, (&live.node, live.line.timeline()), &ledger, reach)?;
        (own.followed == Some(PromotionId::UNKNOWN)).then(|| reach.map(unexplained))?
    }

    fn look_again(&mut self, facts: &mut Facts) {
        facts.instance = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
        facts.out_of_time = self.deadline.expired();
    }

    /// After the start: waits for the first answer, briefly if nobody is there to follow.
    fn await_answer(&mut self, facts: &mut Facts) {
        let follows = matches!(facts.upstream, Some(Upstream::Live(_))) || self.standalone;
        let who = Starts { follows, alone: facts.alone, barred: self.is_barred_already() };
        let end = who.patience().map_or(self.deadline, |patience| self.deadline.within(patience));
        loop {
            // A moment bounds the waiting and not the look: one that was cut short says nothing.
            facts.instance = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
            let (late, ends) = (end.expired(), self.deadline.expired());
            if who.is_over(&facts.instance, late) {
                facts.out_of_time = who.out_of_time(&facts.instance, late, ends);
                return;
            }
            // A standby with an overflowed snapshot opens only with an upstream.
            if follows
                && !facts.attached
                && self.pg.waits_for_upstream(&facts.instance)
                && let Some(Upstream::Live(live)) = &facts.upstream
            {
                let node = live.node.clone();
                match self.follow_without_sql(&node, &facts.instance.data) {
                    Ok(()) => facts.attached = true,
                    Err(why) => debug!("start: is not pointed at {node}: {why}"),
                }
            }
            end.sleep(Duration::from_millis(30));
        }
    }
}
