//! Coming back: whether and which way, the start of the worker, and what monitors answer meanwhile.
//! Floor 3.

mod launch;
mod parts;
mod watch;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::{debug, info, warn};

use super::outcome::Outcome;
use super::run::{RUN_ROOT, STATE_ROOT};
use super::{Agent, view};
use crate::client::ledger_file::OwnFile;
use crate::client::recovery_file::RecoveryHome;
use crate::cluster::known::Known;
use crate::cluster::recovery::{Attempts, Kept, Marker, Method, Phase, Turn};
use crate::decide::facts::{DataDir, Instance, Sql};
use crate::decide::recovery::{
    Cause, Check, Facts, Marked, Mount, Way, is_asked_for, rewind_failed, way,
};
use crate::decide::recovery_check::{self, Kind};
use crate::decide::start::{self, Next, Upstream};
use crate::ocf::params::Params;
use crate::postgres::slot_name::slot_name;
use crate::runtime::data_dir;
use crate::runtime::instance::Postgres;
use crate::runtime::instance::recovery_facts::Provider;
use crate::runtime::layout::{self, Noted};

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

/// Whether all that a database of this directory lies on is mounted: by pgdata_mount and /etc/fstab. Where
/// there is none, what was `noted` of the last one says what that is.
pub fn mounted(params: &Params, pg: &Postgres<'_>, data: &DataDir, noted: Option<&Noted>) -> Mount {
    let empty = matches!(data, DataDir::Absent | DataDir::Empty);
    let mut paths = layout::leads_to(pg.place(), !empty);
    if let Some(noted) = noted.filter(|_| empty) {
        paths.extend(noted.places().map(Path::to_owned));
    }
    let named = params.pgdata_mount.as_deref().map(Path::new);
    match crate::sys::mounts::missing(&paths, named, !empty) {
        Ok(None) => Mount::InPlace,
        Ok(Some(what)) => Mount::Missing(what),
        Err(why) => Mount::Unknown(why),
    }
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
                        if upstream == Upstream::Nobody {
                            let (file, cib) = (self.home.read(), self.cib());
                            let cib = cib.and_then(|cib| view::ledger(&cib, &self.resource));
                            self.say_that_there_is_no_data(&facts.instance, &file, &cib);
                        }
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
        let rewind_failed = matches!(&marker, Kept::Read(marker)
            if rewind_failed(marker.method, marker.phase, attempts.failed));
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
            adopting: match self.home.read() {
                OwnFile::Read(own) => own.unfinished(),
                OwnFile::Missing | OwnFile::Unreadable(_) => None,
            },
            mount: self.mount(&instance.data),
            turn,
            again: self.recovery().again(),
            rewind_failed,
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
            let deadline = self.deadline.within(self.deadline.left() / 2);
            let looked = recovery_check::Facts {
                given_up: live.adopted.clone().unwrap_or_default(),
                ..self.pg.recovery_facts(
                    &provider,
                    self.noted_parts().as_ref(),
                    !facts.marked.data_is_whole(),
                    &deadline,
                )
            };
            let mut found = recovery_check::check(&looked);
            if matches!(&instance.sql, Sql::Standby(standby) if standby.streams()) {
                // That is this node's own receiver, which is gone before a worker begins.
                found.findings.retain(|finding| finding.kind != Kind::SlotTaken);
            }
            // While it waits, a monitor finds the same again and again.
            let known = matches!(self.recovery().waits(), Kept::Read(_));
            for finding in &found.findings {
                if known {
                    debug!("recovery: {finding}");
                } else {
                    info!("recovery: {finding}");
                }
            }
            facts.check = Some(Check::of(&found, &facts.marked));
            seen = Some(looked);
        }
    }

    /// Whether all that this node's database lies on is mounted.
    pub fn mount(&self, data: &DataDir) -> Mount {
        mounted(&self.params, &self.pg, data, self.noted_parts().as_ref())
    }

    /// Why this node's data has parted from what it followed, within one timeline. What is not known is no
    /// reason.
    pub fn written_apart(&self, data: &DataDir) -> Option<String> {
        let DataDir::Cluster(control) = data else { return None };
        let OwnFile::Read(own) = self.home.read() else { return None };
        let never_started = data_dir::was_never_started(self.pg.place()).unwrap_or(false);
        start::written_apart(&own, &self.me, control, never_started)
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
            written_apart: self.written_apart(&instance.data),
            wal_gone: None,
        };
        let changed = data_dir::changed_at(self.pg.place());
        // What was stopped in a second was written to in that second.
        let untouched = |marker: &Marker| changed.is_some_and(|at| at <= marker.begun + 1);
        if let Kept::Read(marker) = marker
            && is_asked_for(marker, upstream, untouched(marker))
        {
            return Some(Some(Cause::Asked(marker.reason.clone())));
        }
        match (start::next(&facts), marker) {
            (Next::Recover(cause), _) => Some(cause),
            // By its control file alone it could follow; it was measured when it ran, against this
            // primary, and has not been touched since.
            (_, Kept::Read(marker))
                if marker.phase < Phase::Starting
                    && !marker.asked
                    && marker.reason != Cause::NoData.words()
                    && matches!(upstream, Upstream::Live(live) if live.node == marker.source)
                    && matches!(&instance.data, DataDir::Cluster(control)
                        if control.system_id == marker.system_id)
                    && untouched(marker) =>
            {
                Some(Some(match marker.method {
                    Method::Rewind => Cause::Diverged(marker.reason.clone()),
                    Method::Rebuild => Cause::WalGone(marker.reason.clone()),
                }))
            }
            _ => None,
        }
    }
}
