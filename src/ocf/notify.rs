//! A notification: what the cluster is about to do or has done, and where. Floor 0.
//!
//! Source: Pacemaker's `lib/pengine/pe_notif.c` (2.1.5 to 3.0). An empty list is one blank. The
//! notification about a fenced node has the stop list and no other, so a list that is not there is
//! not an empty one. Pacemaker names no nodes for inactive instances. Every change of a score may
//! change the lists: they hold for this notification alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cluster::node::{NodeName, NotANodeName};

const PREFIX: &str = "OCF_RESKEY_CRM_meta_notify_";

/// Before or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum When {
    /// It is about to happen, and waits for our answer.
    Pre,
    /// It has happened.
    Post,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// Instances start.
    Start,
    /// Instances stop, or were fenced with their node.
    Stop,
    /// An instance becomes the primary.
    Promote,
    /// The primary becomes a standby.
    Demote,
}

/// The nodes in one of the lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Pacemaker did not say.
    Unsaid,
    /// These, each once, in Pacemaker's order; none is an answer too.
    Nodes(Vec<NodeName>),
}

impl Listed {
    /// The nodes, if Pacemaker said.
    pub fn known(&self) -> Option<&[NodeName]> {
        match self {
            Self::Unsaid => None,
            Self::Nodes(nodes) => Some(nodes),
        }
    }

    /// The nodes by name; none where Pacemaker did not say.
    pub fn nodes(&self) -> BTreeSet<NodeName> {
        self.known().unwrap_or_default().iter().cloned().collect()
    }

    /// Where instances stop in the transition that an action belongs to: Pacemaker gives start, stop,
    /// promote and demote of a clone with `notify=true` the lists of its notifications as well. What
    /// cannot be read was not said.
    pub fn stops_with(vars: &BTreeMap<String, String>) -> Self {
        let said = vars.get(&format!("{PREFIX}stop_uname")).map(|text| nodes(text));
        said.and_then(Result::ok).map_or(Self::Unsaid, Self::Nodes)
    }

    /// Whether Pacemaker named this node.
    pub fn names(&self, node: &NodeName) -> bool {
        self.known().is_some_and(|nodes| nodes.contains(node))
    }
}

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Before or after.
    pub when: When,
    /// What.
    pub what: What,
    /// Where instances start in this transition.
    pub start: Listed,
    /// Where they stop.
    pub stop: Listed,
    /// Where one is promoted.
    pub promote: Listed,
    /// Where one is demoted.
    pub demote: Listed,
    /// Where any instance was active before.
    pub active: Listed,
    /// Where the primary was before.
    pub promoted: Listed,
    /// Where standbys were before.
    pub unpromoted: Listed,
    /// Where the clone may run.
    pub available: Listed,
    /// All nodes of the cluster.
    pub all: Listed,
}

/// Why the variables are no notification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// A variable that every notification has is missing.
    #[error("{PREFIX}{0} is not set: notify is called by Pacemaker, with notify=true of the clone")]
    Missing(&'static str),
    /// A word that Pacemaker does not use.
    #[error("{PREFIX}{variable}={value:?} is unknown; the notification is disregarded")]
    Unknown {
        /// The variable.
        variable: &'static str,
        /// Its value, cut.
        value: String,
    },
    /// A list holds something that is not a node.
    #[error("{PREFIX}{variable} can't be read; the notification is disregarded")]
    BadNode {
        /// The variable.
        variable: &'static str,
        /// What is wrong with the entry.
        source: NotANodeName,
    },
}

impl Notification {
    /// Reads the variables of one notification.
    pub fn parse(vars: &BTreeMap<String, String>) -> Result<Self, NotifyError> {
        let get = |variable: &str| vars.get(&format!("{PREFIX}{variable}")).map(String::as_str);
        let word = |variable: &'static str| {
            get(variable).map(str::trim).ok_or(NotifyError::Missing(variable))
        };
        let unknown = |variable, value: &str| NotifyError::Unknown {
            variable,
            value: value.chars().take(40).collect(),
        };
        let list = |variable: &'static str| match get(variable) {
            None => Ok(Listed::Unsaid),
            Some(text) => nodes(text)
                .map(Listed::Nodes)
                .map_err(|source| NotifyError::BadNode { variable, source }),
        };
        // The older of two names for the same list; both are given since Pacemaker 2.1.
        let either = |new, old| match list(new)? {
            Listed::Unsaid => list(old),
            said @ Listed::Nodes(_) => Ok(said),
        };

        let when = match word("type")? {
            "pre" => When::Pre,
            "post" => When::Post,
            other => return Err(unknown("type", other)),
        };
        let what = match word("operation")? {
            "start" => What::Start,
            "stop" => What::Stop,
            "promote" => What::Promote,
            "demote" => What::Demote,
            other => return Err(unknown("operation", other)),
        };
        let notification = Self {
            when,
            what,
            start: list("start_uname")?,
            stop: list("stop_uname")?,
            promote: list("promote_uname")?,
            demote: list("demote_uname")?,
            active: list("active_uname")?,
            promoted: either("promoted_uname", "master_uname")?,
            unpromoted: either("unpromoted_uname", "slave_uname")?,
            available: list("available_uname")?,
            all: list("all_uname")?,
        };
        match notification.subject() {
            Listed::Unsaid => Err(NotifyError::Missing(what.list())),
            Listed::Nodes(_) => Ok(notification),
        }
    }

    /// Where that which the notification is about happens.
    pub fn subject(&self) -> &Listed {
        match self.what {
            What::Start => &self.start,
            What::Stop => &self.stop,
            What::Promote => &self.promote,
            What::Demote => &self.demote,
        }
    }
}

impl What {
    const fn list(self) -> &'static str {
        match self {
            Self::Start => "start_uname",
            Self::Stop => "stop_uname",
            Self::Promote => "promote_uname",
            Self::Demote => "demote_uname",
        }
    }
}

impl fmt::Display for Notification {
    /// As operators know it: `pre-promote`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = match self.when {
            When::Pre => "pre",
            When::Post => "post",
        };
        let what = match self.what {
            What::Start => "start",
            What::Stop => "stop",
            What::Promote => "promote",
            What::Demote => "demote",
        };
        write!(f, "{when}-{what}")
    }
}

fn nodes(text: &str) -> Result<Vec<NodeName>, NotANodeName> {
    let mut nodes: Vec<NodeName> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let node = word.parse()?;
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    Ok(nodes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Notification, NotifyError> {
        let vars =
            pairs.iter().map(|(name, value)| (format!("{PREFIX}{name}"), (*value).to_owned()));
        Notification::parse(&vars.collect())
    }

    fn listed(names: &[&str]) -> Listed {
        Listed::Nodes(names.iter().map(|name| name.parse().unwrap()).collect())
    }

    /// The variables of a planned move from n1 to n2 in a cluster of three.
    const MOVE: &[(&str, &str)] = &[
        ("type", "pre"),
        ("operation", "promote"),
        ("start_resource", " "),
        ("start_uname", " "),
        ("stop_resource", " "),
        ("stop_uname", " "),
        ("promote_resource", "db:1"),
        ("promote_uname", "n2"),
        ("demote_resource", "db:0"),
        ("demote_uname", "n1"),
        ("active_resource", " "),
        ("active_uname", " "),
        ("promoted_resource", "db:0"),
        ("promoted_uname", "n1"),
        ("master_resource", "db:0"),
        ("master_uname", "n1"),
        ("unpromoted_resource", "db:1 db:2"),
        ("unpromoted_uname", "n2 n3"),
        ("slave_resource", "db:1 db:2"),
        ("slave_uname", "n2 n3"),
        ("inactive_resource", " "),
        ("available_uname", "n3 n1 n2"),
        ("all_uname", "n1 n2 n3 arbiter"),
    ];

    #[test]
    fn a_planned_move_is_understood() {
        let got = parse(MOVE).unwrap();
        assert_eq!((got.when, got.what), (When::Pre, What::Promote));
        assert_eq!(got.to_string(), "pre-promote");
        assert_eq!((&got.start, &got.stop), (&listed(&[]), &listed(&[])));
        assert_eq!((&got.promote, &got.demote), (&listed(&["n2"]), &listed(&["n1"])));
        assert_eq!(got.promoted, listed(&["n1"]));
        assert_eq!(got.unpromoted, listed(&["n2", "n3"]));
        assert_eq!(got.available, listed(&["n3", "n1", "n2"]));
        assert_eq!(got.all, listed(&["n1", "n2", "n3", "arbiter"]));
        assert_eq!(got.subject(), &listed(&["n2"]));
    }

    #[test]
    fn a_fenced_node_is_told_by_the_stop_list_alone() {
        let got = parse(&[
            ("type", "post"),
            ("operation", "stop"),
            ("stop_resource", "db-clone"),
            ("stop_uname", "n1"),
        ])
        .unwrap();
        assert!(got.stop.names(&"n1".parse().unwrap()));
        assert!(!got.stop.names(&"n10".parse().unwrap()));
        assert_eq!((&got.promote, &got.promoted), (&Listed::Unsaid, &Listed::Unsaid));
        assert_eq!((got.promoted.known(), got.to_string()), (None, "post-stop".to_owned()));
    }

    #[test]
    fn the_older_words_are_understood_where_the_newer_are_missing() {
        let old: Vec<(&str, &str)> = MOVE
            .iter()
            .copied()
            .filter(|(name, _)| !matches!(*name, "promoted_uname" | "unpromoted_uname"))
            .collect();
        assert_eq!(parse(&old), parse(MOVE));
    }

    #[test]
    fn each_operation_and_each_time_is_known() {
        for when in ["pre", "post"] {
            for what in ["start", "stop", "promote", "demote"] {
                let list = format!("{what}_uname");
                let got = parse(&[("type", when), ("operation", what), (&list, "n1 n1")]).unwrap();
                assert_eq!(got.to_string(), format!("{when}-{what}"));
                assert_eq!(got.subject(), &listed(&["n1"]), "each node once");
            }
        }
    }

    #[test]
    fn what_is_missing_or_malformed_is_an_error_that_names_the_variable() {
        let rows: &[(&[(&str, &str)], &str)] = &[
            (&[], "notify_type"),
            (&[("type", "pre")], "notify_operation"),
            (&[("type", "confirmed-post"), ("operation", "stop")], "notify_type"),
            (&[("type", "pre"), ("operation", "migrate")], "notify_operation"),
            (&[("type", "pre"), ("operation", "stop")], "notify_stop_uname"),
            (&[("type", "pre"), ("operation", "stop"), ("start_uname", "n1")], "stop_uname"),
            (&[("type", "pre"), ("operation", "stop"), ("stop_uname", "n1,n2")], "stop_uname"),
            (&[("type", "pre"), ("operation", "stop"), ("stop_uname", "n1\nn2")], "stop_uname"),
            (
                &[("type", "pre"), ("operation", "stop"), ("stop_uname", " "), ("all_uname", "\t")],
                "all_uname",
            ),
        ];
        for (pairs, variable) in rows {
            let line = parse(pairs).unwrap_err().to_string();
            assert!(line.contains(variable) && !line.contains('\n'), "{pairs:?}: {line}");
        }
        let long = "x".repeat(65_536);
        let error = parse(&[("type", "pre"), ("operation", "stop"), ("stop_uname", &long)]);
        assert!(matches!(error, Err(NotifyError::BadNode { variable: "stop_uname", .. })));
    }
}
