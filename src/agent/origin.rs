//! Of which promotion this node's data is: it is noted before WAL can come in, or found out afterwards. Floor 3.

use tracing::{info, warn};

use super::Agent;
use crate::client::ledger_file::OwnFile;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Beyond, Own, PromotionId, Store, unexplained};
use crate::cluster::node::NodeName;
use crate::cluster::position::{Exactness, Position};
use crate::decide::facts::{DataDir, Instance, Sql, StandbyFacts};
use crate::decide::publication;
use crate::postgres::lsn::Timeline;

impl Agent<'_> {
    /// The timeline of all that this node's data holds; unknown where it may hold more.
    pub fn reach(&mut self, sql: &Sql) -> Known<Timeline> {
        let standby = match sql {
            Sql::Standby(standby) if standby.at_end_of_wal() => standby,
            Sql::Standby(_) => return Known::unknown("it still replays WAL that it already has"),
            Sql::Primary(primary) => return Known::Known(primary.timeline),
            other => return Known::unknown(format!("PostgreSQL does not answer: {other}")),
        };
        let received = standby.receiver.as_ref().map(|receiver| receiver.timeline);
        match received.filter(|_| standby.streams()) {
            // What comes in now is of no earlier one than what is replayed.
            Some(received) => Known::Known(received),
            None => self.pg.identify(&self.deadline).map(|identity| {
                received.map_or(identity.timeline, |received| received.max(identity.timeline))
            }),
        }
    }

    /// The own file, with the promotion that explains what the data has beyond the one that was noted
    /// (`explained`).
    pub fn explained(&self, file: OwnFile, cib: &Store, reach: Option<Timeline>) -> OwnFile {
        match file {
            OwnFile::Read(own) => OwnFile::Read(self.explained_own(own, cib, reach)),
            OwnFile::Missing | OwnFile::Unreadable(_) => file,
        }
    }

    /// The same; what could not be written is as it was.
    pub fn explained_own(&self, own: Own, cib: &Store, reach: Option<Timeline>) -> Own {
        let mut new = own.clone();
        let Some(reach) = reach.filter(|reach| new.explain(*reach, cib)) else { return own };
        let whose = new.pointed_at().map(|pointed| pointed.node.to_string());
        info!("what there is of timeline {reach} is of {}", whose.unwrap_or_default());
        self.written(new).unwrap_or(own)
    }

    /// The same for whoever accepts writes on this timeline, by a promotion that is known: what is not explained now
    /// never is.
    pub fn given_up(
        &mut self,
        file: &OwnFile,
        (primary, line): (&NodeName, Timeline),
        ledger: &Known<Store>,
        reach: Option<Timeline>,
    ) -> Option<Own> {
        let OwnFile::Read(own) = file else { return None };
        let (Known::Known(ledger), Some(reach)) = (ledger, reach) else { return Some(own.clone()) };
        let mut new = own.clone();
        if ledger.of_running_primary(primary).is_some() && new.give_up(reach, line) {
            warn!("{}", unexplained(reach));
            return self.written(new).or_else(|| Some(own.clone()));
        }
        Some(own.clone())
    }

    /// Where a monitor sees no primary for the second time since this node was pointed at one that was to be promoted:
    /// makes it stream from nobody. That one's timeline may have begun and come to nothing; if that comes in while
    /// another one is being pointed at, nobody can tell whose it is.
    pub fn leave_candidate(&mut self, sql: &Sql) {
        let OwnFile::Read(own) = self.home.read() else { return };
        let pointed = own.candidate().map(|at| format!("{} {}", at.node, at.term));
        let awaited = std::mem::replace(&mut self.cache.awaited, pointed.unwrap_or_default());
        let Sql::Standby(standby) = sql else { return };
        if !awaited.is_empty()
            && awaited == self.cache.awaited
            && !standby.conninfo.is_empty()
            && let Err(why) = self.listen_to_nobody()
        {
            warn!("this node goes on streaming: {why}");
        }
    }

    /// The own file, with the promotion before the one that is noted where that came to nothing: its begin has come
    /// here, and would make this node one that has parted (`never-written`). Only once no WAL can come in.
    pub fn without_the_noted(&mut self, file: OwnFile, cib: &Store, sql: &Sql) -> OwnFile {
        let OwnFile::Read(own) = &file else { return file };
        let (Some((intent, before)), Sql::Standby(standby)) = (own.noted_intent(), sql) else {
            return file;
        };
        let newest = own.store.newest_done().map(|entry| entry.id);
        let Known::Known(said) = self.publications(newest) else { return file };
        if !publication::came_to_nothing(intent, &own.store, cib, &said) {
            return file;
        }
        if standby.receiver.is_some() || !standby.conninfo.is_empty() {
            if let Err(why) = self.listen_to_nobody() {
                warn!("this node goes on streaming: {why}");
            }
            return file;
        }
        let reach = self.reach(sql);
        let beyond = self.beyond(before.timeline);
        let (Known::Known(reach), Known::Known(beyond)) = (reach, beyond) else { return file };
        let Some(new) = own.without_the_noted(before, &beyond, reach) else { return file };
        info!("the promotion of {} (term {}) came to nothing", intent.primary, intent.term);
        self.written(new).map_or(file, OwnFile::Read)
    }

    /// What this node's WAL holds beyond a timeline. Where nobody can tell, all of it counts.
    pub fn beyond(&self, timeline: Timeline) -> Known<Beyond> {
        let beyond = self.pg.beyond(timeline, &self.deadline);
        if let Known::Unknown(why) = &beyond {
            warn!("whether this node has written beyond timeline {timeline} is not known: {why}");
        }
        beyond
    }

    fn written(&self, own: Own) -> Option<Own> {
        match self.home.write(&own) {
            Ok(()) => Some(own),
            Err(error) => {
                warn!("{}", crate::sys::chain(&error));
                None
            }
        }
    }

    /// Notes the promotion of `primary` as the one that this node's data is of, before a byte of its
    /// WAL can come in (`note-first`): whatever the data holds of the primary's timeline is then of that
    /// promotion.
    /// Data that has received nothing of it yet is told by its own timeline.
    pub fn note_followed(&mut self, cib: Known<Store>, primary: &NodeName, sql: &Sql) {
        if let OwnFile::Read(own) = self.exchange_with(cib, true) {
            self.note_in(own, primary, sql);
        }
    }

    /// The same with what the own file says already.
    pub fn note_upstream(&mut self, primary: &NodeName, sql: &Sql) {
        if let OwnFile::Read(own) = self.home.read() {
            self.note_in(own, primary, sql);
        }
    }

    fn note_in(&mut self, mut own: Own, primary: &NodeName, sql: &Sql) {
        let Some(entry) =
            own.store.newest_done().filter(|entry| entry.primary == *primary).cloned()
        else {
            return;
        };
        let reach = if own.is_fed_by(&entry) {
            Known::unknown("it is noted already")
        } else {
            self.reach(sql)
        };
        match own.note(&entry, &reach) {
            Ok(false) => {}
            Ok(true) => drop(self.written(own)),
            // What it streams may be another branch of the same timeline number: its monitor sees to that.
            Err(why) => warn!("the promotion of {primary} is not noted: {why}"),
        }
    }

    /// Makes a standby stream from `node`; one that gets another's WAL only when it has replayed all that it has,
    /// which comes before anything new in any case.
    pub fn follow_when_through(
        &mut self,
        node: &NodeName,
        standby: &StandbyFacts,
        sql: &Sql,
    ) -> Result<bool, String> {
        let fed = self.home.read().if_read().and_then(Own::pointed_at);
        if !standby.at_end_of_wal() && fed.is_some_and(|pointed| pointed.node != *node) {
            return Ok(false);
        }
        self.follow(node, &standby.conninfo, &standby.slot, sql)
    }

    /// Notes that this node's data is going to get the WAL of `node`. An error: it must not.
    pub fn note_pointed(&mut self, node: &NodeName, sql: &Sql) -> Result<(), String> {
        let OwnFile::Read(own) = self.home.read() else { return Ok(()) };
        if own.pointed_at().is_some_and(|pointed| pointed.node == *node) {
            return Ok(());
        }
        let reach = self.reach(sql);
        self.point(own, node, None, &reach)
    }

    /// The same for a candidate whose data is `of` this promotion, before it is promoted.
    pub fn note_candidate(
        &mut self,
        node: &NodeName,
        of: Option<PromotionId>,
        instance: &Instance,
    ) -> Result<(), String> {
        let OwnFile::Read(own) = self.home.read() else { return Ok(()) };
        let reach = match &instance.sql {
            Sql::Starting(_) => reach_by_control_file(&instance.data),
            sql => self.reach(sql),
        };
        self.point(own, node, of, &reach)
    }

    /// The same for a server that does not run: its WAL may go beyond what its control file says.
    pub fn note_pointed_before_start(&self, node: &NodeName) -> Result<(), String> {
        let OwnFile::Read(own) = self.home.read() else { return Ok(()) };
        self.point(own, node, None, &Known::unknown("its WAL is not replayed yet"))
    }

    /// The same for a server that takes no sessions, and may open only with an upstream: what its control file knows
    /// has to do.
    pub fn note_pointed_blindly(&mut self, node: &NodeName, data: &DataDir) -> Result<(), String> {
        let OwnFile::Read(own) = self.home.read() else { return Ok(()) };
        self.point(own, node, None, &reach_by_control_file(data))
    }

    fn point(
        &self,
        mut own: Own,
        node: &NodeName,
        of: Option<PromotionId>,
        reach: &Known<Timeline>,
    ) -> Result<(), String> {
        if own.point_at(node, of, reach)? {
            self.home.write(&own).map_err(|error| crate::sys::chain(&error))?;
        }
        Ok(())
    }
}

fn reach_by_control_file(data: &DataDir) -> Known<Timeline> {
    match data {
        DataDir::Cluster(control) => {
            Known::Known(control.timeline.max(control.min_recovery_timeline))
        }
        _ => Known::unknown("how far its data goes is not known"),
    }
}

/// The timeline of all that the data holds, by its position where that is exact, and its receiver.
pub fn reach(position: &Position, sql: &Sql) -> Option<Timeline> {
    let received = match sql {
        Sql::Standby(standby) => standby.receiver.as_ref().map(|receiver| receiver.timeline),
        _ => None,
    };
    (position.exactness == Exactness::Exact)
        .then(|| received.map_or(position.timeline(), |received| received.max(position.timeline())))
}
