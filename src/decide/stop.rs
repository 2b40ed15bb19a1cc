//! What a node takes back and confirms when it stops. Whether PostgreSQL has ended is proven, not decided;
//! all of this is help for the others, and none of it a condition. Floor 1.

use crate::cluster::ledger::Own;
use crate::cluster::node::NodeName;
use crate::decide::facts::Sql;
use crate::decide::token;

/// What is said before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// The score and the position are taken back.
    pub takes_back: bool,
    /// The newest entry is taken in and confirmed, so that the primary need not wait for this node.
    pub confirms: bool,
}

/// What is said before the end. `ended`: nothing runs here any more. `laid_down`: neither a right to be
/// promoted nor a position is there to be taken back; so it is after a crash of the primary, and a failover
/// waits for this stop.
#[must_use]
pub fn goodbye(ended: bool, laid_down: bool, own: Option<&Own>, me: &NodeName) -> Goodbye {
    Goodbye {
        takes_back: !(ended && laid_down),
        // Nobody waits for the word of a primary that has crashed, and the service does for this stop.
        confirms: !(ended && token::is_named(own, me)),
    }
}

/// Whether a server gets only a short time to end in order: a monitor has found this postmaster to hang, and it
/// still does. One that is only slow to answer now may need its time.
#[must_use]
pub fn hangs(sql: &Sql, seen_to_hang: bool) -> bool {
    seen_to_hang && *sql == Sql::Hung
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::decide::support::{entry, node, store};

    #[test]
    fn a_primary_that_has_crashed_says_nothing_that_the_service_would_wait_for() {
        let file = |primary| Own {
            store: store(&[entry(3, 1, 9, primary, "n2")]),
            ..Own::new("db", &node("n1"))
        };
        let (mine, theirs) = (file("n1"), file("n2"));
        for (name, ended, laid_down, own, takes_back, confirms) in [
            ("the primary stops", false, false, Some(&mine), true, true),
            ("it runs, whatever it has laid down", false, true, Some(&mine), true, true),
            ("it has crashed", true, true, Some(&mine), false, false),
            ("it has crashed, and a score may be left", true, false, Some(&mine), true, false),
            ("a standby stops", false, false, Some(&theirs), true, true),
            ("a standby has ended", true, false, Some(&theirs), true, true),
            ("and has nothing to take back", true, true, Some(&theirs), false, true),
            ("its file cannot be read", true, false, None, true, true),
        ] {
            let expected = Goodbye { takes_back, confirms };
            assert_eq!(goodbye(ended, laid_down, own, &node("n1")), expected, "{name}");
        }
    }

    #[test]
    fn only_one_that_was_seen_to_hang_and_still_does_gets_a_short_time() {
        for (sql, seen, expected) in [
            (Sql::Hung, true, true),
            (Sql::Hung, false, false),
            (Sql::Busy("full".into()), true, false),
            (Sql::Unknown("why".into()), true, false),
            (Sql::NotAsked, true, false),
        ] {
            assert_eq!(hangs(&sql, seen), expected, "{sql:?} {seen}");
        }
    }
}
