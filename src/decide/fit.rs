//! Whether a resource can work where it is: on which kind of node, and how many members share its
//! parameters. What is refused here may differ between nodes, and heals when nodes come and go: it is
//! never answered with 6, which would stop the primary too. Floor 1.

use crate::cluster::topology::NodeKind;

/// Why an instance may not start, or be promoted, on this node. `physical_host`: by Pacemaker's word in the
/// environment of the action, the host that carries a guest node or a bundle's container; `kind`: as the
/// cluster's status has it, if it was asked.
#[must_use]
pub fn not_a_full_node(
    me: &str,
    physical_host: Option<&str>,
    kind: Option<&NodeKind>,
) -> Option<String> {
    let what = match (physical_host, kind) {
        (Some(host), _) => format!("a guest node or a bundle's container (on {host})"),
        (None, Some(NodeKind::Remote)) => "a remote or guest node".to_owned(),
        (None, Some(NodeKind::Member | NodeKind::Other(_)) | None) => return None,
    };
    Some(format!(
        "{me} is {what}: pgtwin runs on full nodes of the cluster only, as a clone outside of any bundle; \
         keep it away from here by a location constraint"
    ))
}

/// How many members there are, by the best word for it: node_list; else those whom Pacemaker was seen to
/// have; else, before it was asked, how many instances the clone may have.
#[must_use]
pub fn members(
    listed: Option<usize>,
    seen: Option<usize>,
    clone_max: Option<u32>,
) -> Option<usize> {
    listed.or(seen).or(clone_max.and_then(|most| usize::try_from(most).ok()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_node_may_run_an_instance() {
        let rows = [
            (None, None, None),
            (None, Some(NodeKind::Member), None),
            (None, Some(NodeKind::Other("ping".into())), None),
            (None, Some(NodeKind::Remote), Some("n4 is a remote or guest node: ")),
            (Some("h1"), None, Some("n4 is a guest node or a bundle's container (on h1): ")),
            (Some("h1"), Some(NodeKind::Member), Some("(on h1): ")),
        ];
        for (host, kind, expected) in rows {
            let words = not_a_full_node("n4", host, kind.as_ref());
            match expected {
                None => assert_eq!(words, None, "{host:?} {kind:?}"),
                Some(part) => assert!(words.unwrap().contains(part), "{host:?} {kind:?}"),
            }
        }
    }

    #[test]
    fn node_list_says_who_the_members_are_and_the_size_of_the_clone_is_the_last_resort() {
        let rows = [
            (Some(2), Some(3), Some(4), Some(2)),
            (None, Some(2), Some(4), Some(2)),
            (None, None, Some(4), Some(4)),
            (None, None, None, None),
        ];
        for (listed, seen, clone_max, expected) in rows {
            assert_eq!(members(listed, seen, clone_max), expected);
        }
    }
}
