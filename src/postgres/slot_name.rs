//! The name of a standby's replication slot, from a prefix and the node's name. Floor 0.
//!
//! Source: <https://www.postgresql.org/docs/current/warm-standby.html#STREAMING-REPLICATION-SLOTS>:
//! lower-case letters, digits and underscores, at most 63 bytes.

/// What PostgreSQL keeps of a name, in bytes.
const MAX_BYTES: usize = 63;

/// The slot of `node`: `prefix_node` where that is a valid name. A name that had to be changed ends
/// in a hash of the original, so that `node-1` and `node.1` get different slots; the same input
/// gives the same name in every version of pgtwin.
pub fn slot_name(prefix: &str, node: &str) -> String {
    let wanted = format!("{prefix}_{node}");
    if wanted.len() <= MAX_BYTES && wanted.bytes().all(is_allowed) && !ends_like_ours(&wanted) {
        return wanted;
    }
    let hash = format!("_{:08x}", hash(&wanted));
    let kept: String = wanted
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' })
        .take(MAX_BYTES - hash.len())
        .collect();
    kept + &hash
}

/// Whether a slot's name is one that [`slot_name`] gives with this prefix.
pub fn is_of(prefix: &str, slot: &str) -> bool {
    let node = slot.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
    node.is_some_and(|node| !node.is_empty()) && is_valid(slot)
}

/// Whether PostgreSQL takes a text for a slot's name.
pub fn is_valid(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_BYTES && name.bytes().all(is_allowed)
}

fn is_allowed(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')
}

/// A name that looks like one we changed is changed too, or it could be mistaken for it.
fn ends_like_ours(name: &str) -> bool {
    name.rsplit_once('_').is_some_and(|(_, end)| {
        end.len() == 8 && end.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// FNV-1a, 32 bits: stable, and good enough to tell the names of a cluster apart.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_valid_name_is_kept_and_another_gets_a_stable_hash() {
        for (prefix, node, expected) in [
            ("ha_slot", "n2", "ha_slot_n2"),
            ("ha_slot", "node_1", "ha_slot_node_1"),
            ("ha_slot", "node-1", "ha_slot_node_1_a79e522a"),
            ("ha_slot", "node.1", "ha_slot_node_1_8fa06af9"),
            ("ha_slot", "Node_1", "ha_slot_node_1_4e05f70c"),
        ] {
            assert_eq!(slot_name(prefix, node), expected);
        }
    }

    #[test]
    fn different_nodes_get_different_slots_and_every_slot_is_valid() {
        let long = "x".repeat(300);
        let longer = "x".repeat(301);
        let nodes = [
            "n1",
            "N1",
            "n10",
            "node-1",
            "node.1",
            "node_1",
            "NODE-1",
            "node_1_a79e522a",
            "é",
            "e",
            "",
            "_",
            &long,
            &longer,
        ];
        let slots: BTreeSet<String> = nodes.iter().map(|node| slot_name("ha_slot", node)).collect();
        assert_eq!(slots.len(), nodes.len());
        for slot in slots {
            assert!(is_valid(&slot), "{slot}");
        }
        assert!(is_valid(&slot_name("Ha Slot!", "n1")));
    }

    #[test]
    fn a_slot_is_ours_by_its_beginning_and_its_alphabet() {
        for node in ["n1", "node-1", "N1", "x", &"n".repeat(300)] {
            assert!(is_of("ha_slot", &slot_name("ha_slot", node)), "{node}");
        }
        for other in
            ["ha_slot", "ha_slot_", "ha_slotn1", "ha", "other_n1", "ha_slot_N1", "ha_slot_é"]
        {
            assert!(!is_of("ha_slot", other), "{other}");
        }
    }

    #[test]
    fn sixty_three_bytes_fit() {
        let node = "n".repeat(63 - "ha_slot_".len());
        assert_eq!(slot_name("ha_slot", &node), format!("ha_slot_{node}"));
        assert_eq!(slot_name("ha_slot", &(node + "n")).len(), 63);
    }

    #[test]
    fn what_postgresql_refuses_is_not_valid() {
        for name in ["", "A", "a-b", "é", &"x".repeat(64)] {
            assert!(!is_valid(name), "{name}");
        }
    }
}
