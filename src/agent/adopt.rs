//! What `pgtwin adopt` looks at and does: see `decide::adopt` for the order of what is written, and why.
//! Floor 3.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use tracing::{info, warn};

use super::Agent;
use super::force::others;
use super::recover::marked;
use crate::client::ledger_file::OwnFile;
use crate::cluster::corosync_conf::Corosync;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Own, Slot};
use crate::cluster::node::NodeName;
use crate::cluster::past::Kind;
use crate::cluster::recovery::{Attempts, Kept};
use crate::decide::adopt::{self, Facts, Here, Proposal};
use crate::decide::report::Server;
use crate::runtime::data_dir::{SignalFile, was_never_started};
use crate::runtime::host;
use crate::sys::chain;

/// How long whoever changes the files of recoveries now may take to end.
const FOR_THE_FILES: Duration = Duration::from_secs(5);
/// How long the cluster is given to notice, where its configuration does not tell.
const AT_MOST: Duration = Duration::from_mins(1);

/// An adoption that others know of, and the own file does not have yet.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The entry.
    pub entry: Entry,
    /// The `admin_epoch` of the configuration that has it.
    epoch: u64,
    /// How long to wait before it is ended: a node that is cut off knows by then that it is.
    pub wait: Duration,
}

impl Agent<'_> {
    /// What is known when the data of this node is to be adopted. `servers` is what the members'
    /// PostgreSQL answers. Changes nothing.
    pub fn adopt_facts(
        &mut self,
        node: &NodeName,
        servers: &BTreeMap<NodeName, Server>,
    ) -> Result<Facts, String> {
        let view = self.view().into_result()?;
        let file = self.home.read();
        let members = self.members(&view);
        let runs_on: BTreeSet<NodeName> = view
            .status
            .instances_of(&self.resource)
            .filter(|instance| instance.active)
            .flat_map(|instance| instance.nodes.iter().cloned())
            .collect();
        Ok(Facts {
            resource: adopt::clone_of(&view),
            node: node.clone(),
            me: self.me.clone(),
            member: members.contains(&self.me),
            quorum: if view.two_and_ignore() { Known::Known(true) } else { view.quorum() },
            held: adopt::held(&view),
            runs_on,
            others: others(&members, &self.me, &view, servers),
            here: self.what_is_here(),
            entries: self.all_entries(&view, &file),
            mode: self.mode(),
            strict: self.params.sync_strict,
            keep_old: self.params.backup_before_basebackup,
            keep_restore_command: false,
        })
    }

    fn what_is_here(&self) -> Here {
        let instance = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
        let place = self.pg.place();
        let files = [
            ("backup_label", was_never_started(place)),
            ("recovery.signal", SignalFile::Recovery.is_there(place)),
        ];
        let mut to_recover = Known::Known(None);
        for (file, is_there) in files {
            match is_there {
                Ok(false) => {}
                Ok(true) => {
                    to_recover = Known::Known(Some(file));
                    break;
                }
                Err(error) => {
                    to_recover = Known::unknown(chain(&error));
                    break;
                }
            }
        }
        let home = self.recovery();
        Here {
            not_mounted: self.mount(&instance.data).refusal(&self.params.pgdata),
            majors: self
                .pg
                .data_major()
                .and_then(|data| self.pg.programs_version().map(|programs| (data, programs.major))),
            to_recover,
            lead_on: self.pg.configured(&adopt::LEAD_ON, &self.deadline),
            at_work: home.at_work().map(|worker| worker.is_some()),
            marked: marked(&home.marker()),
            process: instance.process,
            data: instance.data,
        }
    }

    /// The own file permits nothing any more, and the CIB has the entry: nobody else is permitted either.
    /// The turn with the ledger is held.
    pub fn begin_adoption(&mut self, proposal: &Proposal, by: &str) -> Result<Begun, String> {
        let view = self.view().into_result()?;
        let cib = view.ledger().into_result()?;
        let mut own = match self.home.read() {
            OwnFile::Read(own) => own,
            OwnFile::Missing | OwnFile::Unreadable(_) => Own::new(&self.resource, &self.me),
        };
        own.store = own.store.merged(&cib, Some(&self.me));
        let entry = adopt::entry(proposal, &self.me, super::random_id()?, self.mode());
        let wait = time_to_notice(&host::corosync(Path::new("/")), view.status.nodes.len());
        warn!(
            "{by} declares the data of {} the truth: system {}, term {} ({})",
            self.me, entry.system_id, entry.term, entry.id
        );
        // Whatever copy of the configuration a node has kept: this one wins when they meet.
        let epoch = view.cib.version.0.saturating_add(1);
        self.pacemaker
            .raise_admin_epoch(epoch, self.tool_limit())
            .into_result()
            .map_err(|why| format!("nothing was done: the CIB could not be changed: {why}"))?;
        let begun = adopt::begun(&own, &entry);
        self.write_own(&begun).map_err(|error| format!("nothing was done: {}", chain(&error)))?;
        let slot = Slot { done: Some(entry.clone()), ..Slot::default() };
        let me = self.me.clone();
        self.write_slot_to_cib(&me, &slot).into_result().map_err(|why| {
            format!("the CIB could not be changed: {why}. Run it again before anything is started")
        })?;
        Ok(Begun { entry, epoch, wait })
    }

    /// The own file has it too. What nobody has looked at since, is looked at: that the CIB which this
    /// partition shares has the entry.
    pub fn end_adoption(&mut self, begun: &Begun, by: &str) -> Result<(), String> {
        let again = "Run it again before anything is started";
        let view = self.view().into_result().map_err(|why| format!("{why}. {again}"))?;
        let cib = view.ledger().into_result().map_err(|why| format!("{why}. {again}"))?;
        if cib.done(&self.me) != Some(&begun.entry) || view.cib.version.0 < begun.epoch {
            return Err(format!("the CIB does not have it any more. {again}"));
        }
        let OwnFile::Read(own) = self.home.read() else {
            return Err(format!("the ledger file of {} cannot be read back. {again}", self.me));
        };
        self.write_own(&adopt::ended(&own, &begun.entry))
            .map_err(|error| format!("{}. {again}", chain(&error)))?;
        info!("the data of {} is the truth: term {}", self.me, begun.entry.term);
        self.forget_recoveries();
        let words = format!("{by} declares its data the truth (term {})", begun.entry.term);
        self.note_past(Kind::Promotion, &words);
        Ok(())
    }

    /// What recoveries have left written is about data that was to follow somebody else's.
    fn forget_recoveries(&self) {
        let home = self.recovery();
        if home.marker() == Kept::Missing && home.attempts() == Kept::Missing {
            return;
        }
        let forgotten = home.take(FOR_THE_FILES, &self.recovery_uids()).and_then(|at_work| {
            at_work.remove_marker()?;
            at_work.write_attempts(&Attempts::default())
        });
        if let Err(error) = forgotten {
            warn!("what is on record of recoveries could not be removed: {}", chain(&error));
        }
    }
}

/// How long a membership that does not hold any more may last, with something to spare.
fn time_to_notice(conf: &Known<Corosync>, nodes: usize) -> Duration {
    match conf {
        Known::Known(conf) => {
            (2 * conf.notices_within(nodes)).clamp(Duration::from_secs(10), 2 * AT_MOST)
        }
        Known::Unknown(_) => AT_MOST,
    }
}
