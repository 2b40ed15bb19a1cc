//! Whether a node is gone, and its PostgreSQL with it: what `crm_mon` and the CIB prove together.
//! Floor 0.
//!
//! Neither of them is enough. `crm_mon` calls a lost node offline and clean as soon as fencing is
//! disabled, or a node never seen with `startup-fencing=false`; there the CIB's entry still expects
//! the node (`expected=member`) or does not exist. And a node whose Pacemaker was stopped while the
//! instance was unmanaged is clean and expected to be down, while PostgreSQL still runs on it;
//! there `crm_mon` goes on listing the instance on that node. All of this was seen on 2.1.5, 3.0.0
//! and 3.0.1 (the fixtures `no-fencing-lost`, `no-startup-fencing`, `left-in-maintenance`).

use super::cib::Cib;
use super::node::NodeName;
use super::topology::{ClusterStatus, NodeState};

/// What can be said of a node's absence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It was fenced, or it left in an orderly way after its instance had been stopped.
    Proven,
    /// Pacemaker shows it as offline and clean, without proof, for this reason. An owner who runs
    /// without fencing may accept that (`fencing=advised`).
    Assumed(String),
    /// It is here, or it may be, or its PostgreSQL may be running, for this reason.
    Present(String),
}

/// What can be said of the absence of `node`, and of its instance of the primitive `resource`.
pub fn absence(status: &ClusterStatus, cib: &Cib, resource: &str, node: &NodeName) -> Absence {
    let present = |why: &str| Absence::Present(why.to_owned());
    let state = status.node_state(node);
    match state {
        NodeState::OnlineMember => return present("it is online"),
        NodeState::OfflineUnclean => return present("it is lost and has not been fenced"),
        NodeState::Unknown => return present("its state is not known"),
        NodeState::OfflineClean | NodeState::Pending => {}
    }
    if status.instances_of(resource).any(|i| i.active && i.nodes.contains(node)) {
        return present(
            "its Pacemaker left while the instance was unmanaged: PostgreSQL may run there",
        );
    }
    let entry = cib.node_states.iter().find(|entry| &entry.name == node);
    // The controller expects a node to be down once it has been fenced, or once all managed
    // resources on it have been stopped because it wants to leave.
    if entry.is_some_and(super::cib::NodeStateEntry::is_down) {
        return Absence::Proven;
    }
    if state == NodeState::Pending {
        return present("it is joining or leaving the cluster");
    }
    match (cib.fencing().offline_means_down(), entry) {
        (Err(why), _) => Absence::Assumed(why),
        (Ok(()), Some(_)) => Absence::Assumed("the CIB does not expect it to be down".into()),
        (Ok(()), None) => Absence::Assumed("it has not been seen since the cluster began".into()),
    }
}
