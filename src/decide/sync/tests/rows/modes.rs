//! Async, and from one mode to the other.

use super::{Row, grant, in_order, revoke, set_names, wait, write_cib, write_file};
use crate::cluster::ledger::Entry;
use crate::decide::support::{entry, in_async, nodes};
use crate::decide::sync::{Facts, Next, NodeState, Waiting};

/// Async, and from one to the other.
pub fn asynchronous() -> Vec<Row> {
    let both = in_async(entry(1, 4, 1, "n1", "n2 n3"));
    let one = in_async(entry(1, 5, 1, "n1", "n2"));
    let facts = || in_order().in_async().holds(&both).v("");
    let to_sync = || in_order().holds(&both).v("");
    let none = entry(1, 5, 1, "n1", "");
    vec![
        ("all in order: nothing", facts(), Next::Settled),
        (
            "the owner has switched from sync: the file first",
            in_order().in_async(),
            write_file(Entry { seq: 5, ..both.clone() }),
        ),
        (
            "regression: past a relax that was begun",
            in_order().in_async().cib(&entry(1, 5, 1, "n1", "")),
            write_file(Entry { seq: 6, ..both.clone() }),
        ),
        ("then the CIB", facts().cib(&entry(1, 3, 1, "n1", "n2 n3")), write_cib(both.clone())),
        ("then V is emptied", facts().v("n2"), set_names("")),
        ("names of somebody else, too", Facts { names: None, ..facts() }, set_names("")),
        (
            "whoever streams is an heir",
            facts().holds(&one),
            write_file(Entry { seq: 6, ..both.clone() }),
        ),
        ("with a score", facts().scores("n1 n2"), grant("n3")),
        (
            "a score outside E is taken back",
            facts().holds(&one).silent("n3").scores("n2 n3"),
            revoke("n3"),
        ),
        ("one that is gone for a moment keeps its place", facts().silent("n3"), Next::Settled),
        (
            "one that is lost loses its score",
            facts().silent("n3").node("n3", NodeState::Unclean),
            revoke("n3"),
        ),
        (
            "and its place",
            facts().silent("n3").node("n3", NodeState::Unclean).scores("n1 n2"),
            write_file(one.clone()),
        ),
        ("one that is being stopped as well", facts().stopped("n3"), revoke("n3")),
        ("back to sync: the CIB first, and nobody is an heir", to_sync(), write_cib(none.clone())),
        ("then their scores", to_sync().cib(&none), revoke("n2")),
        (
            "regression: nothing is promised before all have heard of it",
            to_sync().cib(&none).scores("n1").acked("n2", &none),
            wait(Waiting::ForProof(nodes("n3"))),
        ),
        (
            "also those whom async had let go",
            to_sync()
                .holds(&one)
                .cib(&entry(1, 6, 1, "n1", ""))
                .scores("n1")
                .acked("n2", &entry(1, 6, 1, "n1", "")),
            wait(Waiting::ForProof(nodes("n3"))),
        ),
        (
            "or are proven out",
            to_sync()
                .cib(&none)
                .scores("n1")
                .acked("n2", &none)
                .node("n3", NodeState::OfflineClean),
            write_file(none.clone()),
        ),
        (
            "a CIB that was ahead in async mode is passed",
            to_sync().cib(&in_async(entry(1, 6, 1, "n1", ""))),
            write_cib(entry(1, 7, 1, "n1", "")),
        ),
    ]
}
