//! What `pgtwin force-promote` looks at and does: see `decide::force` for why it is enough to
//! write one entry of the ledger. Floor 3.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tracing::{info, warn};

use super::Agent;
use super::view::View;
use crate::client::ledger_file::OwnFile;
use crate::client::pacemaker::Attribute;
use crate::cluster::absence::absence;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Own, Store};
use crate::cluster::node::NodeName;
use crate::cluster::past::Kind;
use crate::cluster::position::{Position, Publication};
use crate::cluster::topology::NodeState;
use crate::decide::election::Purpose;
use crate::decide::facts::{DataDir, Instance, Process, Sql};
use crate::decide::force::{self, Facts, Here, Other, Proposal};
use crate::decide::promote::Intent;
use crate::decide::report::Server;
use crate::decide::sync::PRIMARY_SCORE;
use crate::postgres::lsn::Timeline;
use crate::sys::chain;
use crate::sys::deadline::poll_until;

impl Agent<'_> {
    /// What is known when this node is to be promoted by force. `servers` is what the members'
    /// PostgreSQL answers. Changes nothing.
    pub fn force_facts(
        &mut self,
        node: &NodeName,
        servers: &BTreeMap<NodeName, Server>,
    ) -> Result<Facts, String> {
        let view = self.view().into_result()?;
        let instance = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
        let file = self.home.read();
        let members = self.members(&view);
        let pending = match &file {
            OwnFile::Read(own) => {
                let own = own.clone();
                self.intent(&own, &instance) == Intent::Pending
            }
            OwnFile::Missing | OwnFile::Unreadable(_) => false,
        };
        let position = self.position(&instance);
        let ruling = self.elect(&view, &file, &instance, position.clone(), Purpose::ColdStart).0;
        Ok(Facts {
            node: node.clone(),
            me: self.me.clone(),
            member: members.contains(&self.me),
            quorum: if view.two_and_ignore() { Known::Known(true) } else { view.quorum() },
            promoted: view.promoted(),
            others: others(&members, &self.me, &view, servers),
            here: self.here(&instance),
            data: self.data(&position),
            position,
            entries: self.all_entries(&view, &file),
            pending,
            followed: match &file {
                OwnFile::Read(own) => own.followed,
                OwnFile::Missing | OwnFile::Unreadable(_) => None,
            },
            ruling,
            mode: self.mode(),
            strict: self.params.sync_strict,
            maintenance: view.status.options.maintenance_mode
                || view.status.node(&self.me).is_some_and(|node| node.maintenance)
                || view.status.instances_of(&self.resource).any(|instance| !instance.managed),
        })
    }

    fn here(&self, instance: &Instance) -> Here {
        match (&instance.sql, &instance.process) {
            (Sql::Standby(_), _) => Here::Standby,
            (Sql::Primary(_), _) => Here::Primary,
            (Sql::Starting(why), _) => {
                let waits = || self.pg.waits_for_upstream(instance).then_some(());
                let bound = self.deadline.within(Duration::from_secs(2));
                match poll_until(&bound, Duration::from_millis(100), waits) {
                    Some(()) => Here::WaitsForUpstream,
                    None => Here::Other(why.clone()),
                }
            }
            (_, Process::None) => Here::Other("it does not run".to_owned()),
            (Sql::NotAsked, process) => Here::Other(process.to_string()),
            (other, _) => Here::Other(other.to_string()),
        }
    }

    /// System identifier and timeline: of its answer, else of its control file.
    fn data(&self, position: &Known<Position>) -> Known<(u64, Timeline)> {
        if let Known::Known(position) = position {
            return Known::Known((position.system_id, position.timeline()));
        }
        match self.pg.data_dir() {
            DataDir::Cluster(control) => Known::Known((
                control.system_id,
                control.timeline.max(control.min_recovery_timeline),
            )),
            other => Known::unknown(format!("{other:?}")),
        }
    }

    /// The entries of the own file, of the CIB, and of whatever the members have published.
    pub(super) fn all_entries(&mut self, view: &View, file: &OwnFile) -> Known<Vec<Entry>> {
        let published = self.pacemaker.read_all(Attribute::Position, self.tool_limit());
        let cib = match view.ledger() {
            Known::Known(store) => store,
            Known::Unknown(why) => return Known::Unknown(why),
        };
        let mut stores: Vec<Store> = vec![cib];
        if let OwnFile::Read(own) = file {
            stores.push(own.store.clone());
        }
        let texts = match published {
            Known::Known(texts) => texts,
            Known::Unknown(why) => return Known::Unknown(why),
        };
        for text in texts.values() {
            if let Ok(Publication::Data(member)) = text.parse() {
                stores.push(member.store);
            }
        }
        Known::Known(force::all_entries(&stores))
    }

    /// Writes the operator's word into the own ledger file and the CIB, and asks Pacemaker for the
    /// promotion by a score. The entry.
    pub fn force(&mut self, proposal: &Proposal, by: &str) -> Result<Entry, String> {
        let instance = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
        let (file, intent) = self.settle_intent(&instance);
        if intent == Intent::Pending {
            return Err("a promotion of this node has begun and has not come to its end".into());
        }
        let cib = self.view().and_then(|view| view.ledger()).into_result()?;
        let mut own = match file {
            OwnFile::Read(own) => own,
            OwnFile::Missing | OwnFile::Unreadable(_) => Own::new(&self.resource, &self.me),
        };
        own.store = own.store.merged(&cib, Some(&self.me));
        let entry = force::entry(proposal, &self.me, super::random_id()?, self.mode());
        warn!(
            "{by} declares {} the primary by force, accepting the loss of commits: term {} ({})",
            self.me, entry.term, entry.id
        );
        let words = format!("{by} declares it the primary by force (term {})", entry.term);
        own.store.set_done(entry.clone());
        self.write_own(&own).map_err(|error| chain(&error))?;
        let slot = own.store.slot(&self.me).cloned().unwrap_or_default();
        let me = self.me.clone();
        self.write_slot_to_cib(&me, &slot).into_result().map_err(|why| {
            format!(
                "the ledger file of {me} says so now, and the CIB does not: {why}; the next \
                 monitor writes it there"
            )
        })?;
        if !self.set_score(&me, PRIMARY_SCORE) {
            return Err(format!("the promotion score of {me} could not be set"));
        }
        info!("{me} has the promotion score {PRIMARY_SCORE}: Pacemaker promotes it");
        self.note_past(Kind::Promotion, &words);
        Ok(entry)
    }

    /// Waits until this node accepts writes. Whether it does.
    pub fn await_writable(&mut self, patience: Duration) -> bool {
        let end = self.deadline.within(patience);
        let writable = || {
            let instance = self.pg.look(&end.within(Duration::from_secs(5)));
            matches!(instance.sql, Sql::Primary(_)).then_some(())
        };
        poll_until(&end, Duration::from_millis(300), writable).is_some()
    }
}

pub(super) fn others(
    members: &BTreeSet<NodeName>,
    me: &NodeName,
    view: &View,
    servers: &BTreeMap<NodeName, Server>,
) -> BTreeMap<NodeName, Other> {
    let nobody = || Server::Silent("it was not asked".to_owned());
    members
        .iter()
        .filter(|node| *node != me)
        .map(|node| {
            let other = Other {
                online: view.status.node_state(node) == NodeState::OnlineMember,
                absence: absence(&view.status, &view.cib, &view.resource, node),
                server: servers.get(node).cloned().unwrap_or_else(nobody),
            };
            (node.clone(), other)
        })
        .collect()
}
