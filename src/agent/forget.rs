//! What `pgtwin forget` looks at and does. Floor 3.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::{info, warn};

use super::Agent;
use super::view::View;
use crate::client::ledger_file::OwnFile;
use crate::cluster::absence::absence;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Slot};
use crate::cluster::node::NodeName;
use crate::decide::facts::Sql;
use crate::decide::forget::{Facts, LedgerSlot, Plan};
use crate::decide::monitor::primary::Cared;
use crate::postgres::slot_name::slot_name;

/// How long the steps of the protocol may take: a checkpoint may be among them.
const PATIENCE: Duration = Duration::from_secs(40);

impl Agent<'_> {
    /// What is known of a node that is to be forgotten.
    pub fn forget_facts(&mut self, node: &NodeName) -> Result<Facts, String> {
        let view = self.view().into_result()?;
        let instance = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
        let primary = match &instance.sql {
            Sql::Primary(primary) => Some(primary.clone()),
            _ => None,
        };
        let own = match self.home.read() {
            OwnFile::Read(own) => own.store.done(&self.me).cloned(),
            OwnFile::Missing | OwnFile::Unreadable(_) => None,
        };
        let members = self.members(&view);
        let mut known = members.clone();
        known.insert(node.clone());
        known.extend(own.iter().flat_map(|entry| entry.heirs.iter().cloned()));
        let in_names = primary.as_ref().is_some_and(|primary| {
            self.parse_names(&primary.names, &known).is_some_and(|names| names.contains(node))
        });
        let streams = primary
            .as_ref()
            .is_some_and(|primary| self.standby_of(primary, node, members.len()).is_some());
        let wanted = slot_name(&self.params.slot_name, node.as_str());
        let similar = similar(node, &known_names(&view, &members, own.as_ref()));
        Ok(Facts {
            node: node.clone(),
            me: self.me.clone(),
            writable: primary.is_some(),
            promoted: view.promoted(),
            listed: view.status.node(node).is_some(),
            similar,
            member: members.contains(node),
            absence: absence(&view.status, &view.cib, &view.resource, node),
            streams,
            own,
            in_names,
            slot: slot_of(&view, node)?,
            has_score: view.scores().contains_key(node),
            replication_slot: primary
                .is_some_and(|primary| primary.slots.contains(&wanted))
                .then_some(wanted),
        })
    }

    /// Forgets the node: what was done, one line each, or what stands in the way.
    pub fn forget(&mut self, node: &NodeName, plan: &Plan) -> Result<Vec<String>, String> {
        let mut done = Vec::new();
        if plan.leave_out {
            done.push(self.leave_out(node)?);
        }
        match &plan.ledger {
            LedgerSlot::Delete => {
                self.pacemaker.delete_ledger(node, self.tool_limit()).into_result()?;
                done.push(format!("the ledger in the CIB has no entry of {node} any more"));
            }
            LedgerSlot::None | LedgerSlot::Keep(_) => {}
        }
        if plan.delete_score {
            // Pacemaker refuses the name of a node that it no longer knows: then it has no score.
            match self.delete_score(node) {
                Known::Known(()) => done.push(format!("{node} has no promotion score any more")),
                Known::Unknown(why) => warn!("the promotion score of {node}: {why}"),
            }
        }
        if let Some(slot) = &plan.drop_slot {
            self.pg.drop_slot(slot).map_err(|why| {
                format!("the replication slot {slot} could not be dropped: {why}")
            })?;
            done.push(format!("the replication slot {slot} is dropped: no WAL is kept for {node}"));
        }
        if let Known::Unknown(why) = self.pacemaker.forget_order(node, self.tool_limit()) {
            warn!("an order to rebuild {node} may be left in the CIB: {why}");
        }
        info!("{node} is forgotten");
        Ok(done)
    }

    fn leave_out(&mut self, node: &NodeName) -> Result<String, String> {
        let gone = BTreeSet::from([node.clone()]);
        let cared = self.care_without(&BTreeSet::new(), &gone, PATIENCE);
        let heirs = match self.home.read() {
            OwnFile::Read(own) => own.store.done(&self.me).map(|entry| entry.heirs.clone()),
            OwnFile::Missing | OwnFile::Unreadable(_) => None,
        };
        let why = match &cared {
            Cared::Settled(_) => String::new(),
            Cared::Waiting(waiting) => waiting.to_string(),
            Cared::Failed(why) => why.clone(),
            Cared::Superseded(entry) => format!("{} was promoted since", entry.primary),
            Cared::NotPrimary(_) => "the instance here is no primary any more".to_owned(),
        };
        match heirs {
            Some(heirs) if !heirs.contains(node) => {
                let who = if heirs.is_empty() {
                    "nobody may take over until a standby streams".to_owned()
                } else {
                    format!("{} may take over", crate::cluster::ledger::names(&heirs))
                };
                let rest = if why.is_empty() { why } else { format!(" ({why})") };
                Ok(format!("{node} is out of the ledger: {who}{rest}"))
            }
            Some(_) | None => Err(format!("{node} is still in the ledger: {why}")),
        }
    }
}

/// Every name that Pacemaker, node_list or the ledger has for a node.
fn known_names(
    view: &View,
    members: &BTreeSet<NodeName>,
    own: Option<&Entry>,
) -> BTreeSet<NodeName> {
    let mut known = members.clone();
    known.extend(view.status.nodes.iter().map(|node| node.name.clone()));
    known.extend(view.cib.nodes.iter().map(|node| node.name.clone()));
    known.extend(view.cib.ledgers(&view.resource).into_keys());
    known.extend(own.iter().flat_map(|entry| entry.heirs.iter().cloned()));
    known
}

/// The known node that may be meant by a name that is not known.
fn similar(node: &NodeName, known: &BTreeSet<NodeName>) -> Option<NodeName> {
    if known.contains(node) {
        return None;
    }
    known.iter().find(|other| other.is_nearly(node)).cloned()
}

/// A node's own slot of the ledger, as the CIB has it: also one that is void by now.
fn slot_of(view: &View, node: &NodeName) -> Result<Option<Slot>, String> {
    match view.cib.ledgers(&view.resource).get(node) {
        None => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|error| format!("the entry of {node} in the CIB cannot be read: {error}")),
    }
}
