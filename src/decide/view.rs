//! One look at the cluster: what Pacemaker's tools say, put into the words of the decisions. Floor 1.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::absence::{Absence, absence};
use crate::cluster::cib::{Cib, OWN_PREFIX, Setting};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Slot, Store};
use crate::cluster::node::NodeName;
use crate::cluster::topology::{self, ClusterStatus, Quorum};
use crate::decide::sync::{Fencing, NodeState};
use crate::ocf::params::FencingPolicy;

/// The state of a member whose data is being brought back.
pub const REBUILDING: &str = "rebuilding";

/// What was seen.
#[derive(Clone, Debug)]
pub struct View {
    /// The resource, without an instance number.
    pub resource: String,
    /// What an absent node has to prove.
    pub policy: FencingPolicy,
    /// crm_mon's answer.
    pub status: ClusterStatus,
    /// The CIB.
    pub cib: Cib,
}

impl View {
    /// The members: node_list, or else every full node of the cluster.
    pub fn members(&self, node_list: Option<&[NodeName]>) -> BTreeSet<NodeName> {
        match node_list {
            Some(list) => list.iter().cloned().collect(),
            None => self.status.full_members().cloned().collect(),
        }
    }

    /// A node's state in the words of the decisions. *Offline and clean* is what is proven, or
    /// what an owner without fencing accepts; crm_mon alone calls more than that clean.
    pub fn node(&self, node: &NodeName) -> NodeState {
        match self.status.node_state(node) {
            topology::NodeState::OnlineMember => return NodeState::Online,
            topology::NodeState::OfflineUnclean => return NodeState::Unclean,
            topology::NodeState::OfflineClean
            | topology::NodeState::Pending
            | topology::NodeState::Unknown => {}
        }
        match absence(&self.status, &self.cib, &self.resource, node) {
            Absence::Proven => NodeState::OfflineClean,
            Absence::Assumed(_) => match self.policy {
                FencingPolicy::Advised => NodeState::OfflineClean,
                FencingPolicy::Required => NodeState::Unclean,
            },
            Absence::Present(_) => NodeState::Unknown,
        }
    }

    /// Why a member may have said nothing of itself. What stopped by order has taken back what it had said,
    /// and says nothing until it may run again.
    pub fn silence(&self, node: &NodeName) -> String {
        let state = self.node(node);
        if state != NodeState::Online {
            return state.silence().to_owned();
        }
        let on_standby =
            self.status.node(node).is_some_and(|status| status.standby || status.standby_onfail);
        match (on_standby, self.runs_on(node)) {
            (true, _) => format!("its node was put on standby: crm node online {node}"),
            (false, false) => "its instance is stopped".to_owned(),
            (false, true) => state.silence().to_owned(),
        }
    }

    /// Nodes that Pacemaker has the instance promoted on.
    pub fn promoted(&self) -> BTreeSet<NodeName> {
        self.status.promoted_on(&self.resource).cloned().collect()
    }

    /// Whether Pacemaker has an instance running on this node, in whatever role.
    pub fn runs_on(&self, node: &NodeName) -> bool {
        self.status
            .instances_of(&self.resource)
            .any(|instance| instance.active && instance.nodes.contains(node))
    }

    /// Nodes that Pacemaker has an instance running on.
    pub fn running(&self) -> BTreeSet<NodeName> {
        let active = self.status.instances_of(&self.resource).filter(|one| one.active);
        active.flat_map(|one| one.nodes.iter().cloned()).collect()
    }

    /// Whether Pacemaker is about to take the instance away from this node: it is in standby, or
    /// shutting down.
    pub fn is_to_leave(&self, node: &NodeName) -> bool {
        self.status
            .node(node)
            .is_some_and(|status| status.standby || status.standby_onfail || status.shutdown)
    }

    /// Whether a member says that its data is being brought back: as long as that, it will not stream.
    pub fn is_rebuilding(&self, node: &NodeName) -> bool {
        let said = self.cib.transient(&state_attribute(&self.resource)).remove(node);
        matches!(said, Some(Setting::Set(state)) if state == REBUILDING)
    }

    /// Whether this partition has quorum.
    pub fn quorum(&self) -> Known<bool> {
        match self.status.quorum {
            Quorum::Quorate => Known::Known(true),
            Quorum::Inquorate => Known::Known(false),
            Quorum::NoController => Known::unknown("there is no designated controller yet"),
        }
    }

    /// `no-quorum-policy=ignore` in a cluster of exactly two full nodes.
    pub fn two_and_ignore(&self) -> bool {
        self.cib.no_quorum_policy() == Known::Known("ignore".to_owned())
            && self.status.full_members().count() == 2
    }

    /// Nodes whose state attribute says this.
    pub fn in_state(&self, state: &str) -> impl Iterator<Item = NodeName> {
        let name = state_attribute(&self.resource);
        let is = Setting::Set(state.to_owned());
        self.cib
            .transient(&name)
            .into_iter()
            .filter(move |(_, value)| *value == is)
            .map(|(node, _)| node)
    }

    /// Whether an offline node proves anything.
    pub fn fencing(&self) -> Fencing {
        match self.cib.fencing().offline_means_down() {
            Ok(()) => Fencing::Works,
            Err(why) => match self.policy {
                FencingPolicy::Required => Fencing::Off(why),
                FencingPolicy::Advised => Fencing::OffAccepted(why),
            },
        }
    }

    /// Promotion scores of those who may be promoted. One that cannot be read may be such a score.
    pub fn scores(&self) -> BTreeMap<NodeName, i32> {
        scores(&self.cib, &self.resource)
    }

    /// The ledger's copy in the CIB; unknown if any part of it cannot be read.
    pub fn ledger(&self) -> Known<Store> {
        ledger(&self.cib, &self.resource)
    }

    /// An entry of another primary with a higher term than `own`, or as high.
    pub fn superseding(&self, me: &NodeName, own: &Entry) -> Known<Option<Entry>> {
        self.ledger().map(|store| {
            store
                .slots()
                .filter(|(node, _)| *node != me)
                .filter_map(|(_, slot)| slot.done.clone())
                .filter(|entry| entry.term >= own.term)
                .max_by_key(Entry::key)
        })
    }

    /// Members that are gone, and proven to be.
    pub fn out(&self, members: &BTreeSet<NodeName>) -> BTreeSet<NodeName> {
        members.iter().filter(|node| self.node(node) == NodeState::OfflineClean).cloned().collect()
    }
}

/// The name of the node attribute by which a member says what it does.
pub fn state_attribute(resource: &str) -> String {
    format!("{OWN_PREFIX}{resource}-state")
}

/// `View::scores`, where there is only the CIB.
pub fn scores(cib: &Cib, resource: &str) -> BTreeMap<NodeName, i32> {
    cib.scores(resource)
        .into_iter()
        .map(|(node, score)| (node, score.known().unwrap_or(1)))
        .filter(|(_, score)| *score > 0)
        .collect()
}

/// `View::ledger`, where there is only the CIB.
pub fn ledger(cib: &Cib, resource: &str) -> Known<Store> {
    let mut store = Store::default();
    for (node, text) in cib.ledgers(resource) {
        match text.parse::<Slot>() {
            Ok(slot) => store.replace_slot(&node, slot),
            Err(error) => {
                return Known::unknown(format!("the entry of {node} in the CIB: {error}"));
            }
        }
    }
    Known::Known(store)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use crate::decide::report::Facts;
    use crate::decide::report::tests::healthy;
    use crate::decide::support::node;

    type Change = fn(&mut Facts);

    #[test]
    fn a_member_that_was_stopped_by_order_is_not_said_to_be_about_to_speak() {
        let rows: [(&str, Change, &str); 5] = [
            ("it runs", |_| {}, "it is online and has not said yet"),
            (
                "on standby",
                |f| f.status.nodes[1].standby = true,
                "its node was put on standby: crm node online n2",
            ),
            (
                "on standby after a failure",
                |f| f.status.nodes[1].standby_onfail = true,
                "its node was put on standby: crm node online n2",
            ),
            (
                "stopped",
                |f| f.status.instances.retain(|one| one.nodes != [node("n2")]),
                "its instance is stopped",
            ),
            ("lost", |f| f.status.nodes[1].unclean = true, "its state is unknown"),
        ];
        for (name, change, words) in rows {
            let mut facts = healthy();
            change(&mut facts);
            assert_eq!(facts.view().silence(&node("n2")), words, "{name}");
        }
    }
}
