//! A standby that does not stream: why, what its monitor can mend, and what it leaves for `start`.
//! Floor 3.

use std::time::Duration;

use tracing::{info, warn};

use super::Agent;
use crate::client::ledger_file::LeftOff;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::position::{Exactness, Position};
use crate::cluster::recovery::{Kept, Phase};
use crate::decide::broken_replication::{Diagnosis, diagnose, wanted};
use crate::decide::facts::{Instance, StandbyFacts};
use crate::decide::recovery::{Cause, Way};
use crate::decide::standby::watch::Watch;
use crate::decide::start::Upstream;
use crate::postgres::lsn::Lsn;
use crate::postgres::slot_name::slot_name;
use crate::runtime::instance::recovery_facts::{Provider, Standby};
use crate::sys::chain;

/// How long `start` believes a monitor that its data was stuck, in seconds: Pacemaker stops it and
/// starts it again at once, and whoever else changes the data takes longer.
const BELIEVED: u64 = 600;
/// How long a monitor does not fail again for what `start` could not prove, in seconds: an instance that
/// is restarted again and again is worse than one that is behind.
const REFUTED: u64 = 1800;
/// What the questions to the primary may take.
const QUESTIONS: Duration = Duration::from_secs(10);

impl Agent<'_> {
    /// This node's slot on a primary.
    pub fn own_slot(&self) -> String {
        slot_name(&self.params.slot_name, self.me.as_str())
    }

    /// Why nothing is streamed from `node`. `before` is what the last monitor knew.
    pub fn diagnose(
        &self,
        node: &NodeName,
        standby: &StandbyFacts,
        before: Watch,
        parted: Known<Option<String>>,
    ) -> Diagnosis {
        let (peer, slot) = (self.peer(node), self.own_slot());
        let provider = Provider { node: node.as_str(), peer: &peer, slot: &slot };
        let facts = self.pg.broken_facts(
            &provider,
            Standby {
                facts: Some(standby),
                wanted: wanted(standby),
                replayed_before: (before.broken > 0).then_some(Lsn(before.at)),
                parted,
            },
            self.deadline.bounded(QUESTIONS),
        );
        diagnose(&facts)
    }

    /// Makes this node's slot on a primary, which drops those of nodes that are no members.
    pub fn make_own_slot(&self, node: &NodeName, lost: bool) -> Result<(), String> {
        if self.known_members().is_some_and(|members| !members.contains(&self.me)) {
            return Err("this node is not in node_list".to_owned());
        }
        let slot = self.own_slot();
        info!(
            "makes the slot {slot} on {node}{}",
            if lost { ", in place of a lost one" } else { "" }
        );
        let limit = self.deadline.bounded(QUESTIONS);
        self.pg.make_peer_slot(&self.peer(node), &slot, lost, limit).map_err(|no| no.to_string())
    }

    /// Whether a recovery for this cause could begin at once; the error is what keeps it from that. It
    /// costs a long look at the primary, and is asked for now and then only.
    pub fn can_come_back(
        &mut self,
        diagnosis: &Diagnosis,
        end: Option<&Position>,
        upstream: &Upstream,
        instance: &Instance,
    ) -> Result<(), String> {
        if let Some(left) = self.cache.left_off.as_ref().filter(|left| left.refuted)
            && end.is_some_and(|end| end.lsn.0 <= left.lsn)
            && super::uptime().saturating_sub(left.at) < REFUTED
        {
            return Err("it could not be proven when this node was started last".to_owned());
        }
        let (stuck, threshold) =
            (self.cache.watch.stuck, self.params.replication_failure_threshold);
        if stuck > threshold
            && !stuck.is_multiple_of(threshold.max(1))
            && !self.cache.not_yet.is_empty()
        {
            return Err(self.cache.not_yet.clone());
        }
        let cause = Cause::WalGone(diagnosis.advice.reason.clone());
        let way = self.way_back(Some(&cause), upstream, instance, self.turn()).0;
        let told = |why: String| {
            why.strip_suffix(cause.words())
                .and_then(|rest| rest.strip_suffix("; "))
                .map_or(why.clone(), str::to_owned)
        };
        self.cache.not_yet = match way {
            Way::Recover(..) => String::new(),
            Way::Wait(why) | Way::Refuse(why) => told(why),
            Way::Follow | Way::MakeTheCheck => "the way back is not known".to_owned(),
        };
        if self.cache.not_yet.is_empty() { Ok(()) } else { Err(self.cache.not_yet.clone()) }
    }

    /// Leaves for `start` how far the data goes that cannot follow.
    pub fn leave_off(&mut self, position: Option<&Position>) {
        self.cache.left_off = position.map(|position| LeftOff {
            system_id: position.system_id,
            line: position.line.to_string(),
            lsn: position.lsn.0,
            at: super::uptime(),
            refuted: false,
        });
    }

    /// What a monitor has left, if that was just now.
    pub fn left_off(&self) -> Option<Position> {
        let left = self.cache.left_off.as_ref().filter(|left| !left.refuted)?;
        (super::uptime().saturating_sub(left.at) <= BELIEVED).then_some(())?;
        Some(Position {
            system_id: left.system_id,
            line: left.line.parse().ok()?,
            lsn: Lsn(left.lsn),
            exactness: Exactness::Exact,
        })
    }

    /// Why the primary is taken to lack the WAL that follows `from`; none: it has it, or nobody knows.
    pub fn wal_gone(&self, node: &NodeName, from: Lsn) -> Option<String> {
        let (peer, slot) = (self.peer(node), self.own_slot());
        let provider = Provider { node: node.as_str(), peer: &peer, slot: &slot };
        let facts = self.pg.broken_facts(
            &provider,
            Standby {
                facts: None,
                wanted: Some(from),
                replayed_before: None,
                parted: Known::Known(None),
            },
            self.deadline.bounded(QUESTIONS),
        );
        let diagnosis = diagnose(&facts);
        info!("start: the WAL from {from} on: {diagnosis}");
        diagnosis.cause.recovery_helps().then_some(diagnosis.advice.reason)
    }

    /// It runs as it is: a break begins anew, and nothing waits for a recovery any more. `asked`: the
    /// primary was asked, and what a monitor had left was not found to be so.
    pub fn forget_break(&mut self, asked: bool) {
        self.cache.watch = Watch::default();
        self.cache.reported.clear();
        self.cache.not_yet.clear();
        self.cache.left_off = self.cache.left_off.take().filter(|_| asked).map(|left| LeftOff {
            at: super::uptime(),
            refuted: true,
            ..left
        });
        if self.standalone {
            return;
        }
        let home = self.recovery();
        let only_waits = |marker: &Kept<_>| matches!(marker, Kept::Read(marker) if waits(marker));
        if !only_waits(&home.marker()) {
            return;
        }
        let removed = match home.take(Duration::ZERO, &self.recovery_uids()) {
            Ok(at_work) if only_waits(&home.marker()) => at_work.remove_marker(),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            warn!("{}", chain(&error));
        }
    }
}

/// Whether a marker says only that this node waits to be brought back.
fn waits(marker: &crate::cluster::recovery::Marker) -> bool {
    marker.phase == Phase::Checking && !marker.half_done
}
