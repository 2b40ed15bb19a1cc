//! The worker: brings this node's data back step by step, and starts PostgreSQL on it. Floor 3.
//!
//! It finds out for itself what is to be done: what the action that started it had seen may be past.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::warn;

use super::Agent;
use super::operate::Subject;
use super::recover::{marked, now};
use super::run::{LOG_ROOT, RUN_ROOT, STATE_ROOT};
use crate::client::ledger_file::OwnFile;
use crate::client::peer::{self, Peer, PeerAnswer};
use crate::client::recovery_file::{AtWork, RecoveryHome};
use crate::client::recovery_log::{Logged, RecoveryLog, RecoveryLogs};
use crate::cluster::known::Known;
use crate::cluster::ledger::PromotionId;
use crate::cluster::node::NodeName;
use crate::cluster::recovery::{
    Attempts, Kept, Marker, Method, Outcome, Phase, Progress, Summary, Turn,
};
use crate::decide::facts::{DataDir, Process, Sql};
use crate::decide::recovery::work::{self, After, Data, Step, after_failure, finish, plan};
use crate::decide::recovery::{Check, Marked, Possible, Way};
use crate::decide::recovery_check;
use crate::decide::start::{Live, Upstream};
use crate::postgres::copy_tools::{Copied, WhyNot};
use crate::runtime::instance::Postgres;
use crate::runtime::layout::{self, Layout};
use crate::runtime::rebuild::{self, Copy, Rebuild};
use crate::runtime::rewind::{self, Rewind};
use crate::runtime::{RuntimeError, own_files, swap};
use crate::sys::chain;
use crate::sys::detach::Tagged;
use crate::sys::exec::Exec;
use crate::sys::files::{self, Seen};
use crate::sys::utc::Utc;

/// What the worker gets besides the time of a copy: for crash recovery, and until it streams.
const BESIDES: Duration = Duration::from_mins(30);
/// How long a source that does not answer is asked whether it still is the primary.
const FOR_THE_SOURCE: Duration = Duration::from_mins(1);
/// How long it waits for its turn with the ledger.
const FOR_ITS_TURN: Duration = Duration::from_secs(30);
const KEPT_DIR: &str = "kept";
const LAYOUT: &str = "layout";
/// The promotion that the copy is of, as long as the layout is on record.
const COPY_OF: &str = "copy-of";

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
pub fn recover(
    exec: &dyn Exec,
    resource: &str,
    node: &NodeName,
    order: &str,
) -> Result<(), String> {
    let home = RecoveryHome::new(STATE_ROOT, RUN_ROOT, resource, node);
    // First: Pacemaker may take its time, and a monitor that sees nobody at work gives a new order.
    let at_work = home.begin(order).map_err(|error| chain(&error))?;
    let subject = Subject::find(exec, Some(resource)).map_err(|error| error.to_string())?;
    if subject.me != *node || subject.resource() != resource {
        let (is, of) = (&subject.me, subject.resource());
        return Err(format!("it was started for {resource} on {node}, and this is {is} with {of}"));
    }
    let before = match home.attempts() {
        Kept::Read(attempts) => attempts,
        Kept::Missing | Kept::Unreadable(_) => Attempts::default(),
    };
    let begun = now();
    let before = match home.marker() {
        Kept::Read(marker) if marker.phase != Phase::Checking => {
            let counted = before.with_abandoned(&marker, begun);
            // In writing: who finds this attempt abandoned counts from there.
            if counted != before
                && let Err(error) = at_work.write_attempts(&counted)
            {
                warn!("{}", chain(&error));
            }
            counted
        }
        Kept::Read(_) | Kept::Missing | Kept::Unreadable(_) => before,
    };
    let attempt = before.next_attempt();
    let log = RecoveryLogs::new(LOG_ROOT, subject.resource()).begin(attempt, begun);
    // One that cannot be written keeps no node from coming back.
    let log = log.or_else(|error| {
        warn!("{}", chain(&error));
        RecoveryLogs::new(RUN_ROOT, subject.resource()).begin(attempt, begun)
    });
    let log = log.map_err(|error| chain(&error))?;
    let tagged = Tagged::new(exec, at_work.me());
    let logged = Logged::new(&tagged, &log);
    let time = subject.params.basebackup_timeout + BESIDES;
    let mut agent = subject.agent(&logged, time)?;
    let mut work = Work {
        agent: &mut agent,
        exec: &logged,
        right: &at_work,
        home: &home,
        log: &log,
        state: Path::new(STATE_ROOT).join(subject.resource()),
        attempt,
        method: Method::Rewind,
        phase: Phase::Checking,
        half_done: false,
        source: None,
        promotion: None,
        present_promotion: None,
        begun,
        reason: String::new(),
        layout: None,
        copied: 0,
    };
    let result = work.run().map_err(|failure| failure.or_read(&log));
    let summary = work.summary(&subject, &result);
    if let Err(error) = log.result(&summary) {
        warn!("{}", chain(&error));
    }
    match result {
        Ok(()) => Ok(()),
        Err(failure) => {
            let after = before.failed_again(now(), &failure.why, &failure.next_command);
            if let Err(error) = at_work.write_attempts(&after) {
                warn!("{}", chain(&error));
            }
            Err(failure.why)
        }
    }
}

impl Work<'_, '_> {
    fn run(&mut self) -> Result<(), Failure> {
        let marker = self.home.marker();
        self.half_done = !marker.data_is_whole();
        let swapping = matches!(&marker, Kept::Read(marker) if marker.phase == Phase::Swapping);
        self.layout = self.read_layout();
        let view = self.agent.view().into_result().map_err(Failure::new)?;
        let file = self.in_turn(|agent| agent.exchange_ledger(&view, false))?;
        let upstream = self.agent.find_upstream(&view, &file);
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
        // Whether it is time was judged by who has started this.
        let (way, seen) = self.agent.way_back(cause.as_ref(), &upstream, &instance, Turn::Now);
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
        for step in steps {
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
            swapping: false,
            data: Data::Clean,
            keep_old: self.agent.params.backup_before_basebackup,
        };
        for step in finish(facts.keep_old) {
            self.step(step, facts, None)?;
        }
        Ok(())
    }

    fn step(
        &mut self,
        step: Step,
        facts: work::Facts,
        seen: Option<&recovery_check::Facts>,
    ) -> Result<(), Failure> {
        let kept = self.state.join(KEPT_DIR);
        match step {
            Step::Mark { half_done, phase } => {
                if phase == Phase::Starting {
                    self.note_promotion()?;
                }
                self.mark(half_done, phase)
            }
            Step::RecoverCrash => {
                let deadline = self.agent.deadline;
                self.agent.pg.recover_single_user(&deadline).map_err(Failure::new)
            }
            Step::PutBack => self.put_back(),
            Step::KeepConfiguration => {
                if !matches!(self.agent.pg.data_dir(), DataDir::Cluster(_)) {
                    return Ok(());
                }
                // As long as the data is this node's own, an earlier attempt has kept nothing that is
                // not there as well, and somebody may have changed it since.
                let discarded = if self.half_done { Ok(()) } else { own_files::discard(&kept) };
                discarded
                    .and_then(|()| own_files::keep(self.agent.pg.place(), &kept))
                    .map_err(|error| Failure::new(chain(&error)))
            }
            Step::EnsureSlot => self.prove_source().and_then(|()| self.ensure_slot(seen)),
            Step::Rewind => match self.prove_source() {
                Ok(()) => self.rewind(&kept),
                Err(failure) => {
                    self.mark(false, Phase::Rewinding)?;
                    Err(failure)
                }
            },
            // What was copied of a server that has stepped down meanwhile never takes the old data's place.
            Step::Copy => self
                .copy(&kept, facts.keep_old, seen)
                .and_then(|()| self.prove_source())
                .and_then(|()| self.write_copy_of()),
            Step::Swap => {
                let layout = self.layout.clone().ok_or_else(|| {
                    Failure::new("where the new data is to go is not on record any more")
                })?;
                swap::swap(self.agent.pg.runtime(), &layout, &mut |_| true)
                    .map_err(|error| Failure::new(chain(&error)))
                    .map(|_| ())
            }
            Step::Start => self.start(),
            Step::AwaitStreaming => self.await_streaming(),
            Step::DiscardConfiguration => {
                own_files::discard(&kept).map_err(|error| Failure::new(chain(&error)))
            }
            Step::DropStaging => match &self.layout {
                Some(layout) => rebuild::remove_copy(self.agent.pg.place(), layout)
                    .map_err(|error| Failure::new(chain(&error))),
                None => Ok(()),
            },
            Step::DropOld | Step::DropOlderCopies => self.drop_old(),
            Step::Unmark => {
                let unmarked = self.right.remove_marker().and_then(|()| {
                    self.phase = Phase::Starting;
                    self.right.write_attempts(&Attempts::default())
                });
                unmarked.map_err(|error| Failure::new(chain(&error)))
            }
        }
    }

    fn mark(&mut self, half_done: bool, phase: Phase) -> Result<(), Failure> {
        let Some(live) = &self.source else {
            return Err(Failure::new("there is no primary to copy"));
        };
        let marker = Marker {
            attempt: self.attempt,
            method: self.method,
            phase,
            source: live.node.clone(),
            system_id: live.system_id,
            begun: self.begun,
            worker: self.right.me().clone(),
            half_done,
            old_copy: self.old_copy(),
            reason: self.reason.clone(),
        };
        self.right.write_marker(&marker).map_err(|error| Failure::new(chain(&error)))?;
        (self.half_done, self.phase) = (half_done, phase);
        self.right.show_progress(&Progress::of(phase, 0, None, now()));
        Ok(())
    }

    /// The new data is of the source's promotion, whatever the old data was of. Until that is written the
    /// marker does not let the data be started.
    fn note_promotion(&mut self) -> Result<(), Failure> {
        let node = self.node()?;
        let Some(promotion) = self.promotion else {
            return Err(Failure::new(format!("the ledger has no promotion of {node}")));
        };
        self.in_turn(|agent| {
            let cib = agent.view().and_then(|view| view.ledger());
            match agent.exchange_with(cib, true) {
                OwnFile::Read(mut own) => {
                    own.followed = Some(promotion);
                    agent.write_own(&own).map_err(|error| Failure::new(chain(&error)))
                }
                OwnFile::Missing => Err(Failure::new("there is no ledger to note it in")),
                OwnFile::Unreadable(why) => Err(Failure::new(why)),
            }
        })?
    }

    fn old_copy(&self) -> Option<String> {
        let layout = self.layout.as_ref()?;
        let data = layout.data().filter(|data| data.has_old)?;
        Some(layout.old_dir(data).display().to_string())
    }

    fn node(&self) -> Result<NodeName, Failure> {
        let live = self.source.as_ref().ok_or_else(|| Failure::new("there is no primary"))?;
        Ok(live.node.clone())
    }

    /// The source still is what it was when it was chosen: a primary on the same timeline. One that was
    /// demoted and promoted again meanwhile is on another.
    fn prove_source(&self) -> Result<(), Failure> {
        let live = self.source.as_ref().ok_or_else(|| Failure::new("there is no primary"))?;
        let peer = self.agent.peer(&live.node);
        let until = self.agent.deadline.within(FOR_THE_SOURCE);
        loop {
            let limit = until.bounded(Duration::from_secs(10)).max(Duration::from_secs(1));
            let why = match self.agent.pg.identify_peer(&peer, limit) {
                PeerAnswer::Primary(is) if is.system_id != live.system_id => {
                    return Err(Failure::new(format!("another database answers at {}", live.node)));
                }
                PeerAnswer::Primary(is) if is.timeline != live.line.timeline() => {
                    return Err(Failure::new(format!(
                        "{} was promoted anew since it was chosen as the source",
                        live.node
                    )));
                }
                PeerAnswer::Primary(_) => return Ok(()),
                PeerAnswer::Standby(_) => {
                    return Err(Failure::new(format!("{} is not the primary any more", live.node)));
                }
                other => other.to_string(),
            };
            if until.expired() {
                return Err(Failure::new(format!(
                    "whether {} still is the primary is not known: {why}",
                    live.node
                )));
            }
            until.sleep(Duration::from_secs(1));
        }
    }

    fn source(&self) -> Result<Peer, Failure> {
        Ok(self.agent.peer(&self.node()?))
    }

    fn slot(&self) -> String {
        self.agent.own_slot()
    }

    /// The slot is there, and was not lost.
    fn ensure_slot(&mut self, seen: Option<&recovery_check::Facts>) -> Result<(), Failure> {
        let session = seen.and_then(|seen| seen.source.postgres.answered());
        let slot = session.map(|session| session.slot.clone());
        let (there, lost) = match slot {
            Some(Known::Known(Some(slot))) => (true, slot.wal_status == "lost"),
            Some(Known::Known(None)) => (false, false),
            Some(Known::Unknown(why)) => return Err(Failure::new(why)),
            None => return Err(Failure::new("the primary was not asked for the slot")),
        };
        if there && !lost {
            return Ok(());
        }
        let peer = self.agent.peer(&self.node()?);
        let psql = self.agent.pg.runtime().command("psql");
        let psql = psql.map_err(|error| Failure::new(error.to_string()))?;
        let limit = Duration::from_secs(30);
        peer::make_slot(self.exec, psql, &peer, &self.slot(), lost, limit)
            .map_err(|answer| Failure::new(format!("the slot could not be made: {answer}")))
    }

    fn rewind(&mut self, kept: &Path) -> Result<(), Failure> {
        let source = self.source()?;
        let deadline = self.agent.deadline;
        let (at_work, copied) = (self.right, &mut self.copied);
        let mut progress = |now_copied: Copied| {
            *copied = now_copied.done;
            let total = Some(now_copied.total);
            at_work.show_progress(&Progress::of(Phase::Rewinding, now_copied.done, total, now()));
        };
        let runtime = self.agent.pg.runtime();
        let result = rewind::rewind(runtime, self.exec, &source, kept, &deadline, &mut progress);
        let why = match result {
            Ok(Rewind::Rewound { timeline, fork, replay_to }) => {
                self.log.note(&format!(
                    "rewound to {fork} on timeline {timeline}; consistent from {replay_to} on"
                ));
                return Ok(());
            }
            Ok(Rewind::NotNeeded) => {
                "pg_rewind sees no difference, and the data has parted".to_owned()
            }
            Ok(Rewind::Failed { touched: true, words, .. }) => return Err(Failure::new(words)),
            Ok(Rewind::Failed { touched: false, words, why }) => {
                if let WhyNot::Grant(grant) = &why {
                    let user = self.agent.pg.replication_user();
                    self.log.note(&format!("on the primary: GRANT {grant} TO {user};"));
                }
                words
            }
            Err(error) => chain(&error),
        };
        // Nothing was changed: the data is what it was.
        self.mark(false, Phase::Rewinding)?;
        Err(Failure::new(why))
    }

    fn copy(
        &mut self,
        kept: &Path,
        keep_old: bool,
        seen: Option<&recovery_check::Facts>,
    ) -> Result<(), Failure> {
        let session = seen.and_then(|seen| seen.source.postgres.answered());
        let sender = seen.and_then(|seen| seen.source.replication.answered());
        let (Some(session), Some(sender)) = (session, sender) else {
            return Err(Failure::new("the primary was not asked what it has"));
        };
        let tablespaces = match &session.tablespaces {
            Known::Known(list) => list
                .iter()
                .filter(|space| space.is_elsewhere())
                .map(|space| layout::Tablespace {
                    oid: space.oid,
                    location: PathBuf::from(&space.location),
                })
                .collect::<Vec<_>>(),
            Known::Unknown(why) => return Err(Failure::new(why.clone())),
        };
        let stamp = Utc::of(self.begun).of_name();
        let place = self.agent.pg.place();
        let major = sender.version.major;
        let found = layout::survey(place, &tablespaces, major, keep_old, &stamp)
            .map_err(|error| Failure::new(chain(&error)))?;
        if let Some(why) = found.why_not_kept() {
            self.log.note(&why);
        }
        self.write_layout(&found)?;
        self.layout = Some(found.clone());
        let source = self.source()?;
        let slot = self.slot();
        let copy = Copy {
            source: &source,
            slot: &slot,
            layout: &found,
            kept: own_files::are_kept(kept).then_some(kept),
        };
        let deadline = self.agent.deadline.within(self.agent.params.basebackup_timeout);
        let (at_work, copied) = (self.right, &mut self.copied);
        let mut progress = |now_copied: Copied| {
            *copied = now_copied.done;
            let total = Some(now_copied.total);
            at_work.show_progress(&Progress::of(Phase::Copying, now_copied.done, total, now()));
        };
        let runtime = self.agent.pg.runtime();
        match rebuild::rebuild(runtime, self.exec, copy, &deadline, &mut progress) {
            Ok(Rebuild::Copied) => Ok(()),
            Ok(Rebuild::Failed { words, .. }) => Err(Failure::new(words)),
            Err(error) => Err(Failure::new(chain(&error))),
        }
    }

    /// The data is between old and new by the layout that is on record, or it is not.
    fn put_back(&mut self) -> Result<(), Failure> {
        let failed = |error: RuntimeError| Failure::new(chain(&error));
        let Some(layout) = &self.layout else { return Ok(()) };
        let place = self.agent.pg.place();
        if swap::is_half_moved(place, layout).map_err(failed)? {
            self.log.note("the old data is put back: where its parts lie is read from its links");
            swap::put_back(self.agent.pg.runtime(), layout, &mut |_| true).map_err(failed)?;
        }
        rebuild::remove_copy(place, layout).map_err(failed)
    }

    fn start(&mut self) -> Result<(), Failure> {
        let node = self.node()?;
        // With the programs that fit the new data.
        let log = PathBuf::from(LOG_ROOT).join(format!("{}.log", self.agent.resource));
        self.agent.pg = Postgres::new(self.exec, &self.agent.params, log)
            .map_err(|error| Failure::new(chain(&error)))?
            .until(self.agent.deadline);
        let settings = self.agent.standby_settings(Some(&node));
        let borrowed: Vec<(&str, Option<&str>)> =
            settings.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
        let deadline = self.agent.deadline;
        self.agent
            .pg
            .set_auto_conf(&borrowed)
            .and_then(|()| self.agent.pg.ensure_standby_signal())
            .and_then(|()| self.agent.pg.start(&deadline))
            .map_err(Failure::new)
    }

    fn await_streaming(&mut self) -> Result<(), Failure> {
        loop {
            let bound = self.agent.deadline.within(Duration::from_secs(5));
            let now = self.agent.pg.look(&bound);
            match &now.sql {
                Sql::Standby(standby) if standby.streams() => break,
                _ if now.process == Process::None => {
                    return Err(Failure::new("PostgreSQL ended: see its log"));
                }
                _ if self.agent.deadline.expired() => {
                    return Err(Failure::new("PostgreSQL runs and does not stream yet"));
                }
                _ => self.agent.deadline.sleep(Duration::from_millis(200)),
            }
        }
        self.in_turn(|agent| {
            if let Known::Known(view) = agent.view() {
                // pg_rewind empties pg_replslot, and a copy has none: what the others need is kept here
                // from now on, and not from the next care on.
                let members = agent.members(&view);
                agent.ensure_slots(&members);
            }
            if let OwnFile::Read(own) = agent.home.read() {
                agent.publish_ack(&own, true);
            }
        })
    }

    fn drop_old(&mut self) -> Result<(), Failure> {
        let Some(layout) = &self.layout else { return Ok(()) };
        if swap::is_done(self.agent.pg.place(), layout).map_err(|e| Failure::new(chain(&e)))? {
            swap::finish(self.agent.pg.place(), layout, &mut |_| true)
                .map_err(|e| Failure::new(chain(&e)))?;
        }
        files::remove_durably(&self.state, LAYOUT)
            .and_then(|()| files::remove_durably(&self.state, COPY_OF))
            .map_err(|error| Failure::new(chain(&error)))
    }

    fn read_copy_of(&self) -> Option<PromotionId> {
        let path = self.state.join(COPY_OF);
        let text = files::read_root_owned(&path, 64).map_err(|error| chain(&error));
        let read = text.and_then(|text| text.trim_end().parse().map_err(|_| format!("{text:?}")));
        read.map_err(|why| self.log.note(&format!("of what the copy is, is not on record: {why}")))
            .ok()
    }

    fn write_copy_of(&self) -> Result<(), Failure> {
        let Some(promotion) = self.promotion else {
            return Err(Failure::new("the ledger has no promotion of the primary"));
        };
        files::write_durably(&self.state, COPY_OF, format!("{promotion}\n").as_bytes(), 0o600)
            .map_err(|error| Failure::new(chain(&error)))
    }

    fn read_layout(&self) -> Option<Layout> {
        let path = self.state.join(LAYOUT);
        if files::look(&path) == Seen::Missing {
            return None;
        }
        let text = files::read_root_owned(&path, 1 << 20).map_err(|error| chain(&error));
        match text.and_then(|text| Layout::parse(&text).map_err(|error| error.to_string())) {
            Ok(layout) => Some(layout),
            Err(why) => {
                self.log.note(&why);
                None
            }
        }
    }

    fn write_layout(&self, layout: &Layout) -> Result<(), Failure> {
        let text = layout
            .to_text()
            .ok_or_else(|| Failure::new("a path of the data is no text, or holds a line break"))?;
        files::write_durably(&self.state, LAYOUT, text.as_bytes(), 0o600)
            .map_err(|error| Failure::new(chain(&error)))
    }

    /// Ledger work needs the turn, which monitors want as well.
    fn in_turn<T>(&mut self, work: impl FnOnce(&mut Agent<'_>) -> T) -> Result<T, Failure> {
        self.agent.home.take_turn(FOR_ITS_TURN).map_err(|error| Failure::new(chain(&error)))?;
        let value = work(self.agent);
        self.agent.home.end_turn();
        Ok(value)
    }

    fn summary(&self, subject: &Subject, result: &Result<(), Failure>) -> Summary {
        let (outcome, failure, next_command) = match result {
            Ok(()) => (Outcome::Done, String::new(), String::new()),
            Err(failure) => (Outcome::Failed, failure.why.clone(), failure.next_command.clone()),
        };
        let live = self.source.as_ref();
        Summary {
            resource: subject.resource().to_owned(),
            node: subject.me.to_string(),
            attempt: self.attempt,
            method: self.method,
            source: live.map(|live| live.node.to_string()).unwrap_or_default(),
            system_id: live.map(|live| live.system_id.to_string()).unwrap_or_default(),
            begun: self.begun,
            ended: now(),
            outcome,
            phase: self.phase,
            reason: self.reason.clone(),
            failure,
            next_command,
            old_copy: self.old_copy(),
            copied_bytes: self.copied,
            log: self.log.path().display().to_string(),
        }
    }
}

/// What is written, as `start` wants it.
pub fn written(home: &RecoveryHome) -> Marked {
    marked(&home.marker())
}
