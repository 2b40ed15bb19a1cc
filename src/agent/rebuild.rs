//! `pgtwin rebuild`: a full copy takes the place of this node's data. Floor 3.
//!
//! A worker makes it, by a marker that says that it was asked for. The marker is on the disk before
//! PostgreSQL stops: monitors then answer that the data is being brought back, and Pacemaker has nothing
//! to put right. Cut off at any point, this leaves data that is whole: it is started again as it was, or
//! the worker goes on.

use std::time::Duration;

use tracing::{info, warn};

use super::Agent;
use super::recover::now;
use crate::client::ledger_file::OwnFile;
use crate::client::peer;
use crate::cluster::known::Known;
use crate::cluster::ledger::Store;
use crate::cluster::node::NodeName;
use crate::cluster::recovery::{Attempts, Kept, Marker, Method, Phase, Turn};
use crate::decide::facts::{DataDir, Process, Sql};
use crate::decide::recovery::{Cause, Way};
use crate::decide::view::REBUILDING;
use crate::sys::chain;

/// How long whoever changes the files of recoveries now may take to end.
const FOR_THE_FILES: Duration = Duration::from_secs(5);
/// How long the primary may take to go on without this node.
const FOR_THE_PRIMARY: Duration = Duration::from_secs(15);
/// How long a look at our own instance may take.
const LOOK: Duration = Duration::from_secs(5);

impl Agent<'_> {
    /// What the check says of a full copy. Changes nothing.
    pub fn way_to_a_copy(&mut self, reason: &str) -> Result<Way, String> {
        let view = self.view().into_result()?;
        let file = self.home.read();
        let upstream = self.find_upstream(&view, &file, None);
        let instance = self.pg.look(&self.deadline.within(LOOK));
        let cause = Cause::Asked(reason.to_owned());
        Ok(self.way_back(Some(&cause), &upstream, &instance, Turn::Now).0)
    }

    /// Stops PostgreSQL here, as a standby that leaves in order, and leaves in writing what is wanted. The
    /// turn with the ledger is held, and is given back.
    pub fn make_way_for_a_copy(&mut self, source: &NodeName, reason: &str) -> Result<(), String> {
        let home = self.recovery();
        let at_work = home
            .take(FOR_THE_FILES, &self.recovery_uids())
            .map_err(|error| format!("nothing was done: {}", chain(&error)))?;
        let instance = self.pg.look(&self.deadline.within(LOOK));
        if matches!(instance.sql, Sql::Primary(_)) {
            return Err("nothing was done: PostgreSQL accepts writes here by now".to_owned());
        }
        // The check took its time, and a worker ends with a server that runs.
        match self.view() {
            Known::Known(view) if view.runs_on(&self.me) => {}
            Known::Known(_) => {
                return Err("nothing was done: Pacemaker does not run it here any more".to_owned());
            }
            Known::Unknown(why) => {
                return Err(format!("nothing was done: Pacemaker could not be asked: {why}"));
            }
        }
        let marker = Marker {
            attempt: 1,
            method: Method::Rebuild,
            phase: Phase::Checking,
            source: source.clone(),
            system_id: match &instance.data {
                DataDir::Cluster(control) => control.system_id,
                DataDir::Absent | DataDir::Empty | DataDir::Unusable(_) | DataDir::Unknown(_) => 0,
            },
            begun: now(),
            worker: at_work.me().clone(),
            half_done: false,
            ruin: false,
            asked: true,
            old_copy: None,
            reason: reason.to_owned(),
        };
        // What is half done is replaced by a full copy anyway, and must never be called whole.
        let marks = home.marker().data_is_whole();
        let write = |marker: &Marker| {
            if !marks {
                return Ok(());
            }
            at_work.write_marker(marker).map_err(|error| chain(&error))
        };
        write(&marker).map_err(|why| format!("nothing was done: {why}"))?;
        if instance.process != Process::None {
            info!("PostgreSQL is stopped here: {reason}");
            // Then the primary need not wait until it takes this node for gone.
            self.publish_progress(&Kept::Read(marker.clone()));
            self.publish_state(REBUILDING);
            self.leave_in_order(false);
            let deadline = self.deadline;
            if let Err(why) = self.pg.stop(&deadline) {
                if marks && let Err(error) = at_work.remove_marker() {
                    warn!("{}", chain(&error));
                }
                return Err(format!(
                    "PostgreSQL could not be stopped, and nothing was copied: {why}"
                ));
            }
        }
        // It is asked for as long as nobody touches the data: from here on.
        let written = write(&Marker { begun: now(), ..marker })
            .and_then(|()| at_work.write_attempts(&Attempts::default()).map_err(|e| chain(&e)));
        self.home.keep(&self.cache);
        self.home.end_turn();
        written.map_err(|why| {
            format!("nothing is copied, and Pacemaker starts PostgreSQL again: {why}")
        })?;
        if !self.await_parting(source) {
            if marks && let Err(error) = at_work.remove_marker() {
                warn!("{}", chain(&error));
            }
            return Err(format!(
                "{source} has not gone on without this node in {} s, and counts on its data still: nothing \
                 is copied, and Pacemaker starts PostgreSQL again",
                FOR_THE_PRIMARY.as_secs()
            ));
        }
        Ok(())
    }

    /// Has a worker begin.
    pub fn begin_the_copy(&mut self) -> Result<(), String> {
        self.start_worker().map(drop).map_err(|why| {
            format!(
                "PostgreSQL is stopped here; a worker could not be started ({why}), and the next monitor \
                 begins with it"
            )
        })
    }

    /// Waits, within a bound, until the primary goes on without this node: it looks with its next monitor,
    /// and needs this node's word for the entry that says so. Whether it does.
    fn await_parting(&mut self, primary: &NodeName) -> bool {
        let end = self.deadline.within(FOR_THE_PRIMARY);
        while !end.expired() {
            if self.home.take_turn(end.left()).is_ok() {
                self.confirm();
                let parted = self.is_parted(primary);
                self.home.end_turn();
                if parted {
                    return true;
                }
            }
            end.sleep(Duration::from_millis(300));
        }
        false
    }

    /// Whether nobody counts on this node's data any more: it is out of E, for itself and for the CIB, and
    /// the primary has carried that out. V comes last, after the primary's own file (`names-last`): a
    /// primary that crashes before still needs this node as it is. What is not known says no.
    pub fn is_parted(&mut self, primary: &NodeName) -> bool {
        let Known::Known(view) = self.view() else { return false };
        let Known::Known(cib) = view.ledger() else { return false };
        let out = |store: &Store| {
            store.newest_done().is_some_and(|entry| !entry.heirs.contains(&self.me))
        };
        let own = match self.home.read() {
            OwnFile::Read(own) => own.store,
            OwnFile::Missing => cib.clone(),
            OwnFile::Unreadable(_) => return false,
        };
        if !out(&own) || !out(&cib) {
            return false;
        }
        let Ok(psql) = self.pg.runtime().command("psql") else { return false };
        let (peer, limit) = (self.peer(primary), self.deadline.bounded(LOOK));
        let name = "synchronous_standby_names";
        let Ok(names) = peer::show(self.exec, psql, &peer, name, limit) else { return false };
        let members = self.members(&view);
        self.parse_names(&names, &members).is_some_and(|names| !names.contains(&self.me))
    }
}
