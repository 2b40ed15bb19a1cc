//! The worker: brings this node's data back step by step, and starts PostgreSQL on it. Floor 3.
//!
//! It finds out for itself what is to be done: what the action that started it had seen may be past.

mod copy;
mod record;
mod source;
mod steps;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::warn;

use super::Agent;
use super::operate::Subject;
use super::past;
use super::recover::{marked, now};
use super::run::{LOG_ROOT, RUN_ROOT, STATE_ROOT};
use crate::client::recovery_file::{AtWork, RecoveryHome};
use crate::client::recovery_log::{Logged, RecoveryLog, RecoveryLogs};
use crate::cluster::ledger::PromotionId;
use crate::cluster::node::NodeName;
use crate::cluster::recovery::{Attempts, Kept, Method, Outcome, Phase, Summary, Turn};
use crate::decide::facts::{DataDir, Process, Sql};
use crate::decide::recovery::work::{self, After, Data, after_failure, finish, plan};
use crate::decide::recovery::{Cause, Check, Marked, Possible, Way};
use crate::decide::recovery_check;
use crate::decide::start::{Live, Upstream};
use crate::runtime::container::withdraw;
use crate::runtime::layout::Layout;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::detach::Tagged;
use crate::sys::exec::Exec;

/// What the worker gets besides the time of a copy: for crash recovery, and until it streams.
const BESIDES: Duration = Duration::from_mins(30);
/// How long it waits for its turn with the ledger.
const FOR_ITS_TURN: Duration = Duration::from_secs(30);

/// How long what earlier ones have left in containers may take to be gone.
const FOR_THE_LEFT: Duration = Duration::from_secs(10);

/// One attempt.
struct Work<'a, 'b> {
    agent: &'a mut Agent<'b>,
    exec: &'b dyn Exec,
    right: &'a AtWork<'a>,
    home: &'a RecoveryHome,
    log: &'a RecoveryLog,
    state: PathBuf,
    attempt: u32,
    method: Method,
    phase: Phase,
    half_done: bool,
    ruin: bool,
    asked: bool,
    source: Option<Live>,
    /// Of this the new data is.
    promotion: Option<PromotionId>,
    /// The promotion of the primary now: of this is whatever is copied from now on.
    present_promotion: Option<PromotionId>,
    begun: i64,
    reason: String,
    layout: Option<Layout>,
    copied: u64,
}

/// Why an attempt ended without success.
struct Failure {
    why: String,
    next_command: String,
}

impl Failure {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), next_command: String::new() }
    }

    /// Where nothing better is known to be done, the log says more.
    fn or_read(mut self, log: &RecoveryLog) -> Self {
        if self.next_command.is_empty() {
            self.next_command = format!("less {}", log.path().display());
        }
        self
    }
}

/// Brings the data of `resource` on this node back, by this order. The error is one line.
///
/// Whoever has the right to begin has an attempt: whatever ends it is counted, logged, and told by status.
pub fn recover(
    exec: &dyn Exec,
    resource: &str,
    node: &NodeName,
    order: &str,
) -> Result<(), String> {
    let home = RecoveryHome::new(STATE_ROOT, RUN_ROOT, resource, node);
    // First: Pacemaker may take its time, and a monitor that sees nobody at work gives a new order.
    let right = home.begin(order).map_err(|error| chain(&error))?;
    let begun = now();
    let before = attempts_before(&home, &right, begun);
    let attempt = before.next_attempt();
    let log = RecoveryLogs::new(LOG_ROOT, resource).begin(attempt, begun);
    // One that cannot be written keeps no node from coming back.
    let log = log.or_else(|error| {
        warn!("{}", chain(&error));
        RecoveryLogs::new(RUN_ROOT, resource).begin(attempt, begun)
    });
    let result = match &log {
        Ok(log) => {
            attempted(exec, &home, &right, log, Summary::begun(resource, node, attempt, begun))
        }
        Err(error) => Err(Failure::new(chain(error))),
    };
    let Err(failure) = result else { return Ok(()) };
    let after = before.failed_again(now(), &failure.why, &failure.next_command);
    if let Err(error) = right.write_attempts(&after) {
        warn!("{}", chain(&error));
    }
    Err(failure.why)
}

/// The attempts that failed in a row, with one that ended without a word.
fn attempts_before(home: &RecoveryHome, right: &AtWork<'_>, now: i64) -> Attempts {
    let before = match home.attempts() {
        Kept::Read(attempts) => attempts,
        Kept::Missing | Kept::Unreadable(_) => Attempts::default(),
    };
    match home.marker() {
        Kept::Read(marker) if marker.phase != Phase::Checking => {
            let counted = before.with_abandoned(&marker, now);
            // In writing: who finds this attempt abandoned counts from there.
            if counted != before
                && let Err(error) = right.write_attempts(&counted)
            {
                warn!("{}", chain(&error));
            }
            counted
        }
        Kept::Read(_) | Kept::Missing | Kept::Unreadable(_) => before,
    }
}

/// One attempt, with its log and its summary.
fn attempted(
    exec: &dyn Exec,
    home: &RecoveryHome,
    right: &AtWork<'_>,
    log: &RecoveryLog,
    mut summary: Summary,
) -> Result<(), Failure> {
    let tagged = Tagged::new(exec, right.me());
    let logged = Logged::new(&tagged, log);
    let result = subject(exec, &summary.resource, &summary.node).and_then(|subject| {
        let time = subject.params.basebackup_timeout + BESIDES;
        let mut agent = subject.agent(&logged, time).map_err(Failure::new)?;
        let mut work = Work {
            agent: &mut agent,
            exec: &logged,
            right,
            home,
            log,
            state: Path::new(STATE_ROOT).join(subject.resource()),
            attempt: summary.attempt,
            method: summary.method,
            phase: summary.phase,
            half_done: false,
            ruin: false,
            asked: false,
            source: None,
            promotion: None,
            present_promotion: None,
            begun: summary.begun,
            reason: String::new(),
            layout: None,
            copied: 0,
        };
        let uids = work.agent.recovery_uids();
        let alone = right.end_those_before(&uids).map_err(|error| Failure::new(chain(&error)));
        // Nor does anything in a container.
        let place = work.agent.pg.place().clone();
        let alone = alone
            .and_then(|()| withdraw(&place, &Deadline::after(FOR_THE_LEFT)).map_err(Failure::new));
        let result = alone.and_then(|()| work.run());
        work.tell(&mut summary);
        result
    });
    let result = result.map_err(|failure| failure.or_read(log));
    if let Err(failure) = &result {
        summary.outcome = Outcome::Failed;
        summary.failure.clone_from(&failure.why);
        summary.next_command.clone_from(&failure.next_command);
    }
    summary.ended = now();
    summary.log = log.path().display().to_string();
    if let Err(error) = log.result(&summary) {
        warn!("{}", chain(&error));
    }
    past::note_recovery(&summary);
    result
}

/// The resource, which has to be that of the order.
fn subject(exec: &dyn Exec, resource: &str, node: &str) -> Result<Subject, Failure> {
    let subject =
        Subject::find(exec, Some(resource)).map_err(|error| Failure::new(error.to_string()))?;
    if subject.me.as_str() == node && subject.resource() == resource {
        return Ok(subject);
    }
    let (is, of) = (&subject.me, subject.resource());
    Err(Failure::new(format!(
        "it was started for {resource} on {node}, and this is {is} with {of}"
    )))
}

impl Work<'_, '_> {
    fn run(&mut self) -> Result<(), Failure> {
        let marker = self.home.marker();
        self.half_done = !marker.data_is_whole();
        self.ruin = marker.data_is_a_ruin();
        self.asked = matches!(&marker, Kept::Read(marker) if marker.asked);
        let swapping = matches!(&marker, Kept::Read(marker) if marker.phase == Phase::Swapping);
        self.layout = self.read_layout();
        let view = self.agent.view().into_result().map_err(Failure::new)?;
        let file = self.in_turn(|agent| agent.exchange_ledger(&view, false))?;
        let upstream = self.agent.find_upstream(&view, &file, None);
        let deadline = self.agent.deadline.within(Duration::from_secs(10));
        let instance = self.agent.pg.look(&deadline);
        if let Upstream::Live(live) = &upstream {
            let entry = view.ledger().known().and_then(|store| store.done(&live.node).cloned());
            self.present_promotion = entry.map(|entry| entry.id);
            self.promotion = self.present_promotion;
            self.source = Some((**live).clone());
        }
        if instance.process != Process::None {
            return self.finish_what_streams(&instance.sql);
        }
        let Some(cause) = self.agent.cause_of(&instance, &upstream, &marker) else {
            return Err(Failure::new("the data can follow as it is: start brings it up"));
        };
        if let (Some(Cause::Asked(_)), Some(live)) = (&cause, &self.source) {
            // `all-seen`: as long as this node is in E, nobody is promoted without what it has.
            let primary = live.node.clone();
            if !self.agent.is_parted(&primary) {
                return Err(Failure::new(format!(
                    "{primary} counts on this node's data still: it is not replaced"
                )));
            }
        }
        // Whether it is time was judged by who has started this.
        let (way, seen) = self.agent.way_back(cause.as_ref(), &upstream, &instance, Turn::Now);
        for finding in seen.iter().flat_map(|seen| recovery_check::check(seen).findings) {
            self.log.note(&format!("check: {finding}"));
        }
        match way {
            Way::Recover(method, why) => (self.method, self.reason) = (method, why),
            Way::Wait(why) | Way::Refuse(why) => return Err(Failure::new(why)),
            Way::Follow | Way::MakeTheCheck => return Err(Failure::new("there is no way back")),
        }
        // A copy that is on its way to its place is of the promotion that it was made of. Where that is
        // not on record, another one is made.
        let copy_of = if swapping { self.read_copy_of() } else { None };
        let swapping = swapping && copy_of.is_some();
        self.promotion = copy_of.or(self.promotion);
        let data = match &instance.data {
            DataDir::Cluster(control) if control.state.is_clean() => Data::Clean,
            DataDir::Cluster(_) => Data::Crashed,
            _ => Data::Nothing,
        };
        let keep_old = self.agent.params.backup_before_basebackup;
        let facts = work::Facts {
            method: self.method,
            half_done: self.half_done,
            ruin: self.ruin,
            swapping,
            data,
            keep_old,
        };
        self.follow_plan(facts, seen.as_ref())
    }

    /// Carries the plan out; where a step fails that a full copy can do without, that one follows.
    fn follow_plan(
        &mut self,
        facts: work::Facts,
        seen: Option<&recovery_check::Facts>,
    ) -> Result<(), Failure> {
        let steps = plan(&facts);
        self.log.plan(&steps.iter().map(|step| format!("{step:?}")).collect::<Vec<_>>());
        for (number, step) in steps.into_iter().enumerate() {
            self.log.step(number + 1, &format!("{step:?}"));
            let Err(failure) = self.step(step, facts, seen) else { continue };
            self.log.note(&format!("{step:?} failed: {}", failure.why));
            let marked = marked(&self.home.marker());
            let check = seen.map(|seen| Check::of(&recovery_check::check(seen), &marked));
            let possible = check.is_some_and(|check| check.rebuild == Possible::Yes);
            return match after_failure(&facts, step, possible) {
                After::Rebuild => {
                    self.method = Method::Rebuild;
                    self.promotion = self.present_promotion;
                    let facts = work::Facts {
                        method: Method::Rebuild,
                        half_done: self.half_done,
                        ruin: self.ruin,
                        swapping: false,
                        ..facts
                    };
                    self.follow_plan(facts, seen)
                }
                After::GiveUp => Err(failure),
            };
        }
        Ok(())
    }

    /// A server that runs under a marker: if it streams, only the rest is to be done.
    fn finish_what_streams(&mut self, sql: &Sql) -> Result<(), Failure> {
        match sql {
            Sql::Standby(standby) if standby.streams() && !self.half_done => {}
            _ => return Err(Failure::new("PostgreSQL runs: nothing is done to its data")),
        }
        "what an earlier attempt has left is finished".clone_into(&mut self.reason);
        if let Kept::Read(marker) = self.home.marker() {
            self.method = marker.method;
        }
        let facts = work::Facts {
            method: Method::Rebuild,
            half_done: false,
            ruin: false,
            swapping: false,
            data: Data::Clean,
            keep_old: self.layout.as_ref().is_some_and(|layout| layout.keep),
        };
        let steps = finish(facts.keeps());
        self.log.plan(&steps.map(|step| format!("{step:?}")));
        for (number, step) in steps.into_iter().enumerate() {
            self.log.step(number + 1, &format!("{step:?}"));
            self.step(step, facts, None)?;
        }
        Ok(())
    }

    /// Ledger work needs the turn, which monitors want as well.
    fn in_turn<T>(&mut self, work: impl FnOnce(&mut Agent<'_>) -> T) -> Result<T, Failure> {
        self.agent.home.take_turn(FOR_ITS_TURN).map_err(|error| Failure::new(chain(&error)))?;
        let value = work(self.agent);
        self.agent.home.end_turn();
        Ok(value)
    }
}

/// What is written, as `start` wants it.
pub fn written(home: &RecoveryHome) -> Marked {
    marked(&home.marker())
}
