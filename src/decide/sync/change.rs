//! Why the primary counts on other standbys than before, in words. For people; it decides nothing. Floor 1.

use std::collections::BTreeSet;

use super::{Cluster, Facts, NodeState};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Mode};
use crate::cluster::node::NodeName;
use crate::decide::report::{any_of, enumerate};

/// What `entry` changes, and why. None: it names the same standbys, in the same mode. `declared_out`: of
/// these an operator has said that they are gone.
#[must_use]
pub fn change(facts: &Facts, entry: &Entry, declared_out: &BTreeSet<NodeName>) -> Option<String> {
    let before = &facts.own;
    let mut parts = Vec::new();
    if before.mode != entry.mode {
        parts.push(match entry.mode {
            Mode::Sync => "from async to sync".to_owned(),
            Mode::Async => "from sync to async".to_owned(),
        });
    }
    let with: BTreeSet<NodeName> = entry.heirs.difference(&before.heirs).cloned().collect();
    if !with.is_empty() {
        let verb = if with.len() == 1 { "it streams" } else { "they stream" };
        parts.push(format!("with {} from now on ({verb})", enumerate(&with, "and")));
    }
    for node in before.heirs.difference(&entry.heirs) {
        let why = if declared_out.contains(node) {
            "an operator has it forgotten".to_owned()
        } else {
            why_not(facts, node)
        };
        parts.push(format!("without {node} from now on ({why})"));
    }
    if parts.is_empty() {
        return None;
    }
    parts.push(match (entry.heirs.is_empty(), entry.mode) {
        (false, _) => format!("{} may take over", any_of(&entry.heirs)),
        (true, Mode::Sync) => "commits are on this node alone, and nobody may take over".to_owned(),
        (true, Mode::Async) => "nobody may take over".to_owned(),
    });
    Some(parts.join("; "))
}

fn why_not(facts: &Facts, node: &NodeName) -> String {
    let known = match &facts.cluster {
        Some(Known::Known(cluster)) => away(cluster, node),
        Some(Known::Unknown(_)) | None => None,
    };
    let why = known.unwrap_or_else(|| match facts.standbys.get(node) {
        Some(standby) if !standby.eligible => "it replays with a delay",
        Some(standby) if standby.streaming.is_none() && standby.gone_for_long => {
            "it has not streamed for long"
        }
        Some(standby) if standby.streaming.is_none() => "it does not stream",
        Some(_) => "it leaves",
        None => "it is no member any more",
    });
    why.to_owned()
}

fn away(cluster: &Cluster, node: &NodeName) -> Option<&'static str> {
    match cluster.node(node) {
        NodeState::OfflineClean if cluster.out(node) => Some("its node is down"),
        NodeState::OfflineClean => Some("its node is offline"),
        NodeState::Unclean => Some("its node is lost"),
        NodeState::Online if cluster.stopped.contains(node) => {
            Some("its instance stops, or its data is brought back")
        }
        NodeState::Online | NodeState::Unknown => None,
    }
}
