//! `pgtwin bootstrap`: whether a node may be prepared from nothing. Floor 1.

use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::facts::{DataDir, Process};
use crate::decide::recovery::Mount;

/// What the node is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Become {
    /// The first primary, with a new, empty database.
    Primary,
    /// A standby without data, which the cluster copies from the primary.
    Standby,
}

impl Become {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
        }
    }
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The parameter.
    pub pgdata: String,
    /// postgresql.conf, where it is not in the data directory.
    pub config_file: Option<String>,
    /// Whether that file is there.
    pub config_is_there: bool,
    /// Debian's version and cluster, if it is Debian's PostgreSQL.
    pub debian: Option<(String, String)>,
    /// This node, as it calls itself.
    pub me: NodeName,
    /// The members.
    pub members: Vec<NodeName>,
    /// Whether the address that others reach this node by is one of this machine's; none: it is a name.
    pub own_address: Option<Known<bool>>,
    /// The resources of pgtwin that a cluster around this node has.
    pub resources: Vec<String>,
    /// What is at pgdata.
    pub data: DataDir,
    /// Whether it is mounted.
    pub mount: Mount,
    /// What runs there.
    pub process: Process,
}

/// What stands against it, one line each.
#[must_use]
pub fn against(facts: &Facts, become_: Become) -> Vec<String> {
    let mut against = Vec::new();
    let (pgdata, me) = (&facts.pgdata, &facts.me);
    if !facts.members.contains(me) {
        let names: Vec<&str> = facts.members.iter().map(NodeName::as_str).collect();
        against.push(format!(
            "this node is called {me}, and --node names {}: the name has to be the one that crm_node \
             --name shows",
            names.join(", ")
        ));
    }
    match &facts.own_address {
        Some(Known::Known(false)) => {
            against.push(format!("the address that --node has for {me} is none of this machine's"));
        }
        Some(Known::Unknown(why)) => {
            against.push(format!("this machine's addresses are not known: {why}"));
        }
        Some(Known::Known(true)) | None => {}
    }
    if become_ == Become::Primary && !facts.resources.is_empty() {
        against.push(format!(
            "the cluster has {} already: a node without data is copied from its primary by itself (pgtwin \
             bootstrap standby)",
            facts.resources.join(", ")
        ));
    }
    if facts.process != Process::None {
        against.push(format!("{}: nothing is made where something runs", facts.process));
    }
    against.extend(facts.mount.refusal(pgdata));
    match (&facts.data, &facts.debian) {
        (DataDir::Absent | DataDir::Empty, _) => {}
        (DataDir::Cluster(_), Some((version, cluster))) => against.push(format!(
            "{pgdata} has a database, and what there is is never overwritten. One that Debian has made \
             when it was installed, and that nobody uses: pg_dropcluster --stop {version} {cluster}"
        )),
        (DataDir::Cluster(_), None) => against.push(format!(
            "{pgdata} has a database, and what there is is never overwritten: move it away, or use it as it \
             is"
        )),
        (DataDir::Unusable(why) | DataDir::Unknown(why), _) => {
            against.push(format!("{pgdata}: {why}"));
        }
    }
    match (&facts.config_file, &facts.debian) {
        (Some(file), Some((version, cluster))) if facts.config_is_there => against.push(format!(
            "{file} is there, without data: pg_dropcluster {version} {cluster} removes what is left"
        )),
        (Some(file), None) => against.push(format!(
            "config_file={file} is outside of the data directory, and not as Debian has it: only --debian \
             makes that"
        )),
        (Some(_), Some(_)) | (None, _) => {}
    }
    against
}

/// Why this is no password for the role.
pub fn against_password(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("the password is empty");
    }
    if text.len() > 500 {
        return Some("the password is longer than 500 bytes");
    }
    if text.chars().any(char::is_control) {
        return Some("the password has a control character, which no passfile holds");
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::postgres::control_data::ClusterState;

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn facts() -> Facts {
        Facts {
            pgdata: "/srv/pg".into(),
            config_file: None,
            config_is_there: false,
            debian: None,
            me: node("n1"),
            members: vec![node("n1"), node("n2")],
            own_address: Some(Known::Known(true)),
            resources: Vec::new(),
            data: DataDir::Empty,
            mount: Mount::InPlace,
            process: Process::None,
        }
    }

    fn debian() -> Facts {
        Facts {
            config_file: Some("/etc/postgresql/17/main/postgresql.conf".into()),
            debian: Some(("17".into(), "main".into())),
            ..facts()
        }
    }

    #[test]
    fn nothing_is_made_where_anything_is() {
        let data = || crate::decide::support::data(ClusterState::ShutDown);
        let some = || Known::Known(false);
        for (name, facts, expected) in [
            ("nothing", facts(), ""),
            ("no directory", Facts { data: DataDir::Absent, ..facts() }, ""),
            ("of Debian", debian(), ""),
            ("data", Facts { data: data(), ..facts() }, "never overwritten"),
            ("data of Debian", Facts { data: data(), ..debian() }, "pg_dropcluster --stop 17 main"),
            ("rest of Debian", Facts { config_is_there: true, ..debian() }, "removes what is left"),
            ("elsewhere", Facts { debian: None, ..debian() }, "only --debian makes that"),
            ("unusable", Facts { data: DataDir::Unusable("a file".into()), ..facts() }, "a file"),
            ("unknown", Facts { data: DataDir::Unknown("EIO".into()), ..facts() }, "EIO"),
            ("unmounted", Facts { mount: Mount::Missing("fstab".into()), ..facts() }, "mount it"),
            ("runs", Facts { process: Process::Orphans(vec![7]), ..facts() }, "something runs"),
            (
                "a stranger",
                Facts { me: node("n9"), ..facts() },
                "called n9, and --node names n1, n2",
            ),
            (
                "wrong address",
                Facts { own_address: Some(some()), ..facts() },
                "none of this machine's",
            ),
            ("a name", Facts { own_address: None, ..facts() }, ""),
            (
                "unknown addresses",
                Facts { own_address: Some(Known::unknown("EIO")), ..facts() },
                "not known: EIO",
            ),
        ] {
            for become_ in [Become::Primary, Become::Standby] {
                let found = against(&facts, become_);
                match (found.as_slice(), expected) {
                    ([], "") => {}
                    ([one], words) if !words.is_empty() => {
                        assert!(one.contains(words), "{name}: {one}");
                    }
                    other => panic!("{name}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_cluster_that_has_a_database_gets_no_second_one() {
        let facts = Facts { resources: vec!["db".into()], ..facts() };
        assert!(against(&facts, Become::Primary)[0].contains("the cluster has db already"));
        assert_eq!(against(&facts, Become::Standby), Vec::<String>::new());
    }

    #[test]
    fn a_password_fits_into_one_line() {
        for (text, refused) in [
            ("secret", false),
            ("with : and \\ and ' and ü", false),
            ("", true),
            ("a\nb", true),
            ("a\0b", true),
        ] {
            assert_eq!(against_password(text).is_some(), refused, "{text:?}");
        }
        assert!(against_password(&"x".repeat(501)).is_some());
    }
}
