//! `monitor`: what runs here, and the small care that keeps the cluster able to act. A quiet monitor
//! starts no program. Floor 3.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::{info, warn};

use super::Agent;
use super::outcome::Outcome;
use super::view;
use crate::client::ledger_file::{Cache, OwnFile};
use crate::cluster::known::Known;
use crate::cluster::position::Exactness;
use crate::decide::election::{Purpose, Ruling};
use crate::decide::facts::{DataDir, Instance, PrimaryFacts, Process, Sql, StandbyFacts};
use crate::decide::monitor::primary::Cared;
use crate::decide::monitor::reported::{self, Record, Reported, Sight};
use crate::decide::monitor::{
    Bars, Expected, Tends, Verdict, Writes, bars, found, judge, kept_out, malformed, not_promoted,
    opens, tends, unheard, writes,
};
use crate::decide::publication::is_noted;
use crate::decide::standby::first::goes_first;
use crate::decide::standby::watch::Seen;
use crate::decide::standby::{self, Facts, Next, Step};
use crate::decide::start::{self, Upstream};
use crate::decide::sync::{HEIR_SCORE, PRIMARY_SCORE};
use crate::decide::token;
use crate::decide::unwatched;
use crate::postgres::conninfo::Conninfo;
use crate::runtime::look::identity;

/// How long the first care after a promotion waits: it is a dozen programs, on the machine that has to
/// set up the service's address just now.
const FOR_THE_ADDRESS: Duration = Duration::from_millis(300);

impl Agent<'_> {
    fn sql_limit(&self) -> Duration {
        match Expected::of(&self.env) {
            Expected::Promoted => self.params.monitor_timeout_promoted,
            Expected::Anything | Expected::Unpromoted => self.params.monitor_timeout_unpromoted,
        }
    }

    /// Answers what runs here. A reason that has changed gets through to people. `refused`: these
    /// parameters have errors, and it only looks.
    pub fn monitor(&mut self, refused: Option<String>) -> Outcome {
        let expected = Expected::of(&self.env);
        let probe = expected == Expected::Anything;
        self.pg.bound_log();
        let Outcome { code, reason, output } = match refused {
            Some(words) if !probe => self.judge_malformed(expected, words),
            Some(_) | None => self.judge_instance(expected),
        };
        if self.standalone || probe {
            // After a probe monitors are scheduled anew; and Pacemaker may have forgotten what it was told.
            self.cache.monitored = 0;
            self.cache.past_told.clear();
            return Outcome { code, reason, output };
        }
        let Verdict { code, reason } = unheard(Verdict { code, reason }, &self.cache.unheard);
        let verdict = match self.refused_name() {
            Some(why) => malformed(Verdict { code, reason }, why),
            None => Verdict { code, reason },
        };
        let now = super::uptime();
        let shown = Reported {
            kind: self.cache.shown.clone(),
            at: self.cache.shown_at,
            just_said: self.cache.just_said,
        };
        let anew = self.monitors_are_new(now);
        let record = Record { anew, is_lost: !anew && self.is_lost(&verdict, &shown, now) };
        let (verdict, then) = reported::answer(verdict, &shown, record, now);
        if let Some(reason) = verdict.reason.as_ref().filter(|_| then.kind != shown.kind) {
            // Pacemaker cuts it off; the log has all of it.
            info!("{reason}");
        }
        self.cache.just_said = then.just_said;
        (self.cache.shown, self.cache.shown_at) = (then.kind, then.at);
        if now.saturating_sub(self.cache.monitored) >= Cache::COARSE {
            self.cache.monitored = now;
        }
        Outcome { code: verdict.code, reason: verdict.reason, output }
    }

    fn monitors_are_new(&self, now: u64) -> bool {
        let interval = self.env.interval.map_or(0, |interval| interval.as_secs());
        reported::is_first(self.cache.monitored, interval, Cache::COARSE, now)
    }

    /// Whether Pacemaker does not show the reason any more that it goes on to be given.
    fn is_lost(&mut self, verdict: &Verdict, shown: &Reported, now: u64) -> bool {
        let Some(interval) = self.env.interval.filter(|_| reported::goes_on(verdict, shown)) else {
            return false;
        };
        let Ok(milliseconds) = u64::try_from(interval.as_millis()) else { return false };
        self.cib().known().is_some_and(|cib| {
            let sight = Sight {
                recorded: unwatched::recorded(&cib, &self.resource, &self.me, milliseconds),
                shown_for: unwatched::shown_for(&cib, &self.resource),
                interval: interval.as_secs(),
                may_be_promoted: Expected::of(&self.env) == Expected::Unpromoted
                    && view::scores(&cib, &self.resource).contains_key(&self.me),
            };
            reported::is_lost(sight, shown, now)
        })
    }

    fn judge_instance(&mut self, expected: Expected) -> Outcome {
        let instance = self.pg.look(&self.deadline.within(self.sql_limit()));
        if !self.standalone
            && expected != Expected::Promoted
            && let Some(outcome) = self.monitor_recovery(&instance, expected == Expected::Anything)
        {
            return outcome;
        }
        let verdict = judge(expected, &instance);
        self.note_hung(&instance);
        if self.standalone {
            return verdict.into();
        }
        let verdict = self.found(expected, verdict, &instance);
        let bars = bars(&verdict, self.cache.controller_here);
        self.cache.bar_due = bars == Bars::BeforeItsDemotion;
        if bars == Bars::Now {
            let me = self.me.clone();
            self.bar(&me);
        }
        match (tends(expected, &verdict, &instance.sql), &instance.sql) {
            (Tends::ItsStandbys, Sql::Primary(primary)) => {
                self.monitor_primary(&instance, &primary.clone())
            }
            (Tends::ItsScore, Sql::Primary(primary)) => {
                self.restore_own_score(&primary.clone());
                verdict.into()
            }
            (Tends::ItsUpstream, Sql::Standby(facts)) => {
                self.monitor_standby(&instance, &facts.clone())
            }
            (Tends::WhetherItOpens, _) => {
                let cannot = self.attach_who_waits(&instance);
                if cannot.is_some() {
                    self.publish_state("diverged");
                }
                opens(verdict, cannot).into()
            }
            (Tends::Nothing | Tends::ItsStandbys | Tends::ItsScore | Tends::ItsUpstream, _) => {
                verdict.into()
            }
        }
    }

    /// Whether a server that accepts writes is one that the cluster has made a primary.
    fn found(&mut self, expected: Expected, verdict: Verdict, instance: &Instance) -> Verdict {
        match writes(expected, &verdict) {
            Writes::No => verdict,
            Writes::AsPrimary => {
                self.note_primary(&instance.process);
                verdict
            }
            Writes::Unasked if self.is_noted_primary(&instance.process) => verdict,
            Writes::Unasked => found(verdict, self.overtaken().as_deref()),
        }
    }

    /// Why a server that accepts writes may not act as the primary: neither a promotion nor a monitor of a primary
    /// has met it, and somebody may have taken over.
    pub(super) fn usurps(&mut self, process: &Process) -> Option<String> {
        if self.is_noted_primary(process) {
            return None;
        }
        self.overtaken().map(|why| not_promoted(&why))
    }

    fn is_noted_primary(&self, process: &Process) -> bool {
        identity(process).is_some_and(|one| one == self.cache.promoted)
    }

    /// By the own file and what the CIB has besides.
    fn overtaken(&mut self) -> Option<String> {
        let file = self.home.read();
        let cib = self.view().known().and_then(|view| view.ledger().known());
        match (file.if_read(), cib) {
            (None, None) => None,
            (own, cib) => token::overtaken(own, &cib.unwrap_or_default(), &self.me),
        }
    }

    /// Notes that this postmaster is a primary by the cluster's will.
    pub(super) fn note_primary(&mut self, process: &Process) {
        if let Some(one) = identity(process) {
            self.cache.promoted = one;
        }
    }

    /// Notes a postmaster that hangs, for what is done about it: that may begin before this monitor is over, which
    /// takes the right to be promoted from the node.
    fn note_hung(&mut self, instance: &Instance) {
        let hung = (instance.sql == Sql::Hung).then(|| identity(&instance.process)).flatten();
        let hung = hung.unwrap_or_default();
        if hung != self.cache.hung {
            self.cache.hung = hung;
            self.home.keep(&self.cache);
        }
    }

    /// The monitor of an instance one of whose parameters is malformed.
    fn judge_malformed(&mut self, expected: Expected, words: String) -> Outcome {
        let instance = self.pg.look(&self.deadline.within(self.sql_limit()));
        self.note_hung(&instance);
        malformed(judge(expected, &instance), words).into()
    }

    /// A standby that opens only with an upstream gets the live primary as one. Gives why it will not open with that
    /// one either, if so.
    fn attach_who_waits(&mut self, instance: &Instance) -> Option<String> {
        let DataDir::Cluster(control) = &instance.data else { return None };
        let Known::Known(view) = self.view() else { return None };
        let file = self.home.read();
        let Upstream::Live(live) = self.find_upstream(&view, &file, None) else { return None };
        if let Some(why) = start::cannot_open(control, &live) {
            return Some(why);
        }
        let host = self.address(&live.node);
        let present = self.pg.auto_conf_value("primary_conninfo").unwrap_or_default();
        let attached = Conninfo::parse(&present).is_ok_and(|now| now.get("host") == Some(&host));
        if attached {
            return None;
        }
        info!("does not open by itself: streams from {} from now on", live.node);
        self.note_upstream(&live.node, &instance.sql);
        if let Err(why) = self.follow_without_sql(&live.node, &instance.data) {
            warn!("cannot be pointed at {}: {why}", live.node);
        }
        None
    }

    fn monitor_primary(&mut self, instance: &Instance, primary: &PrimaryFacts) -> Outcome {
        let (file, _) = self.settle_intent(instance);
        if self.primary_is_quiet(&file, primary) {
            let heirs = match &file {
                OwnFile::Read(own) => own.store.done(&self.me).map(|entry| entry.heirs.clone()),
                OwnFile::Missing | OwnFile::Unreadable(_) => None,
            };
            let settled = Cared::Settled(heirs.unwrap_or_default());
            let state = self.primary_state(&settled);
            self.publish_state(&state);
            return self.primary_outcome(&settled);
        }
        if self.cache.asked == 0 && self.cache.monitored == 0 {
            // Just promoted, and not a round that comes again because the last one failed: the address of
            // the service begins to start at this moment, and comes first.
            self.deadline.sleep(FOR_THE_ADDRESS);
        }
        let cared = self.care(&BTreeSet::new(), Duration::from_secs(15));
        if matches!(cared, Cared::Settled(_) | Cared::Waiting(_)) {
            self.have_all_watched();
        }
        let state = self.primary_state(&cared);
        self.note_waiting(&cared);
        self.publish_state(&state);
        if !matches!(cared, Cared::Superseded(_) | Cared::NotPrimary(_)) {
            self.watch_parts(primary.system_id, primary.version);
            self.warn_as_primary(primary);
        }
        self.primary_outcome(&cared)
    }

    /// Has Pacemaker look anew at whom it has stopped monitoring, where that is for this node to do.
    fn have_all_watched(&mut self) {
        let now = super::uptime();
        for node in unwatched::due(&self.cache.unwatched, now) {
            warn!(
                "Pacemaker does not monitor {node} any more: it takes the memory of a failure for its \
                 monitor, which it has cancelled. It is told to look anew (crm_resource --refresh)"
            );
            self.cache.unwatched.insert(node.to_string(), now + unwatched::AGAIN);
            if let Known::Unknown(why) = self.pacemaker.refresh(&node, self.tool_limit()) {
                warn!("it was not told: {why}");
            }
        }
    }

    /// A writable instance that the newest entry names gets its score back before anybody decides
    /// on its score: scores vanish when Pacemaker is restarted under maintenance.
    fn restore_own_score(&mut self, primary: &PrimaryFacts) {
        let Known::Known(view) = self.view() else { return };
        let Known::Known(cib) = view.ledger() else { return };
        let (file, promoted) = (self.home.read(), !view.promoted().is_empty());
        let (own, system) = (file.if_read(), primary.system_id);
        if token::is_primary_by_ledger(own, &cib, &self.me, system, promoted) {
            info!("accepts writes, as the ledger has it: score {PRIMARY_SCORE}");
            let me = self.me.clone();
            self.set_missing_score(&me, PRIMARY_SCORE);
        } else {
            warn!("accepts writes, and the ledger does not name this node as the primary");
        }
    }

    fn monitor_standby(&mut self, instance: &Instance, seen: &StandbyFacts) -> Outcome {
        let before = self.cache.watch;
        let (watch, replication) = before.after(seen);
        self.cache.watch = watch;
        let streams = replication == Seen::Streams;
        if streams {
            self.cache.reported.clear();
            self.cache.not_yet.clear();
            self.cache.left_off = None;
        }
        let noted = match self.home.read() {
            OwnFile::Read(own) => {
                self.keep_reached(&own, seen);
                is_noted(&own)
            }
            OwnFile::Missing | OwnFile::Unreadable(_) => false,
        };
        let right = seen
            .receiver
            .as_ref()
            .is_some_and(|receiver| receiver.host == self.cache.upstream_host);
        let mut facts = Facts {
            seen: replication,
            from_the_right_one: right,
            system_id: seen.system_id,
            paused: seen.paused,
            why_paused: None,
            delayed: seen.apply_delay > 0,
            due: self.pacemaker_is_due() || self.cache.published || !noted,
            upstream: None,
            followed: None,
            parted: None,
            ruling: None,
            has_score: false,
            lets_another_go_first: false,
            threshold: self.params.replication_failure_threshold,
            watch,
            reported: self.cache.reported.clone(),
            diagnosis: None,
            new_slot: None,
            way_back: None,
        };
        let mut view = None;
        let mut end = None;
        let standby = seen;
        loop {
            match standby::next(&facts) {
                Next::Answer { code, reason, state } => {
                    let also = standby::also(&facts, code, state);
                    if also.says_its_state {
                        self.publish_state(state);
                    }
                    if also.leaves_off {
                        self.leave_off(end.as_ref());
                    }
                    if let (true, Some(reason)) = (also.is_remembered, &reason) {
                        self.cache.reported.clone_from(reason);
                    }
                    return kept_out(Verdict { code, reason }, &self.cache.kept_out).into();
                }
                Next::Do(Step::AskUpstream) => {
                    let (file, _) = self.settle_intent(instance);
                    facts.upstream = Some(match self.view() {
                        Known::Known(seen) => {
                            let file = match self.exchange_ledger(&seen, false) {
                                OwnFile::Read(own) => {
                                    self.publish_ack(&own, facts.due);
                                    OwnFile::Read(own)
                                }
                                OwnFile::Missing | OwnFile::Unreadable(_) => file,
                            };
                            self.keep_slots(&seen, &standby.slots, standby.replay);
                            if streams {
                                self.watch_parts(standby.system_id, standby.version);
                            }
                            facts.has_score = seen.scores().contains_key(&self.me);
                            let reach = self.reach(&instance.sql).known();
                            let file = match seen.ledger() {
                                Known::Known(ledger) => self.explained(file, &ledger, reach),
                                Known::Unknown(_) => file,
                            };
                            let upstream = self.find_upstream(&seen, &file, reach);
                            self.warn_as_standby(&upstream, standby);
                            self.tell_past();
                            self.follow_orders(&seen);
                            self.have_all_watched();
                            view = Some(seen);
                            upstream
                        }
                        Known::Unknown(why) => Upstream::Unknown(why),
                    });
                }
                Next::Do(Step::Follow(node)) => {
                    if let Some(view) = &view {
                        let ledger = view.ledger();
                        self.note_followed(ledger, &node, &instance.sql);
                    }
                    let followed = self.follow_when_through(&node, seen, &instance.sql);
                    let from_it = seen.receiver.as_ref().map(|one| one.host.as_str())
                        == Some(self.address(&node).as_str());
                    if followed.is_ok() && seen.streams() && from_it {
                        if let OwnFile::Read(own) = self.home.read() {
                            self.keep_reached(&own, seen);
                            self.publish_ack(&own, false);
                        }
                        if self.cache.published {
                            self.withdraw_position();
                        }
                        self.cache.yielded.clear();
                    }
                    facts.followed = Some(followed.map(|_| ()));
                }
                Next::Do(Step::Compare) => {
                    facts.parted = Some(match (&facts.upstream, self.position(instance)) {
                        (Some(Upstream::Live(live)), Known::Known(position))
                            if position.exactness == Exactness::Exact =>
                        {
                            let parted = start::parted(&position, live);
                            end = Some(position);
                            Known::Known(parted)
                        }
                        (_, Known::Unknown(why)) => Known::Unknown(why),
                        (_, Known::Known(_)) => Known::unknown("it still replays WAL"),
                    });
                }
                Next::Do(Step::LookWhyPaused) => {
                    let limit = self.deadline.bounded(Duration::from_secs(5));
                    let why = self.pg.why_paused(limit);
                    facts.why_paused =
                        Some(why.map_or("replay is paused".to_owned(), |why| why.to_string()));
                }
                Next::Do(Step::Diagnose(node)) => {
                    let parted = facts.parted.clone();
                    let parted = parted.unwrap_or_else(|| Known::unknown("it was not compared"));
                    facts.diagnosis = Some(self.diagnose(&node, seen, before, parted));
                }
                Next::Do(Step::MakeSlot { node, lost }) => {
                    facts.new_slot = Some(self.make_own_slot(&node, lost));
                }
                Next::Do(Step::CheckTheWayBack) => {
                    let upstream = facts.upstream.clone();
                    facts.way_back = Some(match (&facts.diagnosis, upstream) {
                        (Some(diagnosis), Some(upstream)) => {
                            self.can_come_back(diagnosis, end.as_ref(), &upstream, instance)
                        }
                        _ => Err("nothing is known of the primary".to_owned()),
                    });
                }
                Next::Do(Step::ElectForColdStart) => {
                    let Some(view) = view.clone() else { return Outcome::ok() };
                    self.leave_candidate(&instance.sql);
                    let mut ruling = self.cold_election(instance, &view);
                    if matches!(ruling, Ruling::Refused(_)) && self.has_yielded() {
                        let file = self.home.read();
                        let position = self.position(instance);
                        ruling = self.elect_to_take_over(&view, &file, instance, &position);
                    }
                    facts.ruling = Some(ruling);
                }
                Next::Do(Step::GrantSelf) => {
                    if self.lets_another_go_first(instance) {
                        facts.lets_another_go_first = true;
                        continue;
                    }
                    info!("everybody who counts was seen, and this node has it all");
                    let me = self.me.clone();
                    let score = if self.has_yielded() { HEIR_SCORE } else { self.cold_score() };
                    facts.has_score = self.set_missing_score(&me, score);
                    if !facts.has_score {
                        return Outcome::ok();
                    }
                }
            }
        }
    }

    /// Once after each promotion: who comes first has taken its score when this node looks again, or cannot.
    pub fn lets_another_go_first(&mut self, instance: &Instance) -> bool {
        let OwnFile::Read(own) = self.home.read() else { return false };
        let newest = own.store.newest_done();
        let id = newest.map(|entry| entry.id);
        let once = id.map_or_else(String::new, |id| id.to_string());
        if self.has_yielded() || self.cache.let_go_first.as_ref() == Some(&once) {
            return false;
        }
        let (Known::Known(mine), Known::Known(said)) =
            (self.position(instance), self.publications(id))
        else {
            return false;
        };
        let mine = mine.counted(&own);
        let last = newest.map(|entry| &entry.primary);
        let Some(first) = goes_first(&self.me, &mine, last, &said) else { return false };
        info!("{first} is as far as this node, and goes first");
        self.cache.let_go_first = Some(once);
        true
    }

    /// The score for a cold start.
    pub fn cold_score(&self) -> i32 {
        token::cold_score(self.home.read().if_read(), &self.me)
    }

    /// Publishes the own position and judges whether this node may have a score although there is
    /// no primary.
    pub fn cold_election(&mut self, instance: &Instance, view: &super::view::View) -> Ruling {
        let file = self.exchange_ledger(view, false);
        let cib = match view.ledger() {
            Known::Known(store) => store,
            Known::Unknown(why) => {
                return Ruling::Refused(vec![crate::decide::election::Obstacle::CibUnknown(why)]);
            }
        };
        let file = self.without_the_noted(file, &cib, &instance.sql);
        let publication = self.publication(instance, &file, &cib);
        self.publish_position(&publication);
        let file = self.home.read();
        let position = match publication {
            Known::Known(crate::cluster::position::Publication::Data(member)) => {
                Known::Known(member.position)
            }
            Known::Known(crate::cluster::position::Publication::NoData) => {
                Known::unknown("there is no database here")
            }
            Known::Unknown(why) => Known::Unknown(why),
        };
        self.elect(view, &file, instance, position, Purpose::ColdStart).0
    }
}
