//! Where a command about pg_hba.conf begins: in a cluster, or without one from parameters alone. Floor 3.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::agent::operate::{NoSubject, Subject};
use crate::agent::run::LOG_ROOT;
use crate::cluster::node::NodeName;
use crate::ocf::params::Params;
use crate::runtime::instance::Postgres;
use crate::sys::chain;
use crate::sys::exec::Exec;

/// What a person has said on the command line and in the environment.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// The primitive or its clone.
    pub resource: Option<String>,
    /// Parameters, by name: they count before those in the CIB.
    pub params: BTreeMap<String, String>,
}

/// Why a command cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoGround {
    /// No resource was found.
    #[error(transparent)]
    Subject(#[from] NoSubject),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// This node's instance, and the members.
pub struct Ground<'a> {
    /// This node.
    pub me: NodeName,
    /// The resource; none: no cluster was asked.
    pub resource: Option<String>,
    /// The parameters.
    pub params: Params,
    /// This node's instance.
    pub pg: Postgres<'a>,
    /// All members, this node among them.
    pub members: Vec<NodeName>,
    /// Whom Pacemaker has promoted, if it was asked.
    pub promoted: Option<BTreeSet<NodeName>>,
    /// Starts programs.
    pub exec: &'a dyn Exec,
}

impl<'a> Ground<'a> {
    /// Finds it. Where no cluster can be asked, parameters that name the members are enough.
    pub fn find(exec: &'a dyn Exec, which: &Which) -> Result<Self, NoGround> {
        match Subject::find_with(exec, which.resource.as_deref(), &which.params) {
            Ok(subject) => Self::of(exec, &subject).map_err(NoGround::Other),
            Err(NoSubject::Pacemaker(_) | NoSubject::NoResource)
                if which.resource.is_none() && !which.params.is_empty() =>
            {
                Self::alone(exec, &which.params).map_err(NoGround::Other)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn of(exec: &'a dyn Exec, subject: &Subject) -> Result<Self, String> {
        if let Some(problem) = subject.problems.first() {
            return Err(format!(
                "the parameters of {} are not sound: {problem}",
                subject.resource()
            ));
        }
        let members = subject.view.members(subject.params.node_list.as_deref());
        Ok(Self {
            pg: subject.postgres(exec)?,
            me: subject.me.clone(),
            resource: Some(subject.resource().to_owned()),
            params: subject.params.clone(),
            promoted: Some(subject.view.promoted()),
            members: members.into_iter().collect(),
            exec,
        })
    }

    fn alone(exec: &'a dyn Exec, given: &BTreeMap<String, String>) -> Result<Self, String> {
        let resolved = Params::resolve_attributes(given);
        if let Some(error) = resolved.errors.first() {
            return Err(error.to_string());
        }
        let mut params = resolved.params;
        let listed = params.node_list.iter().flatten();
        let mut members: BTreeSet<NodeName> = listed.cloned().collect();
        members.extend(params.node_addresses.keys().cloned());
        let me = this_node(&members)?;
        params.settle(&me).map_err(|error| error.to_string())?;
        members.insert(me.clone());
        if members.len() < 2 {
            return Err("there is no cluster to ask for its members: add --param \
                        node_list=\"n1 n2\", and node_addresses where names are not enough"
                .to_owned());
        }
        let log = PathBuf::from(LOG_ROOT).join("pgtwin.log");
        let pg = Postgres::new(exec, &params, log).map_err(|error| chain(&error))?;
        let (members, promoted) = (members.into_iter().collect(), None);
        Ok(Self { me, resource: None, params, pg, members, promoted, exec })
    }
}

/// This machine's name, or the member that is called so without its domain.
pub fn this_node(members: &BTreeSet<NodeName>) -> Result<NodeName, String> {
    let name = nix::unistd::gethostname()
        .map_err(|error| format!("the name of this machine is not known: {error}"))?;
    let name = name.to_string_lossy().into_owned();
    let short = name.split('.').next().unwrap_or(&name);
    let found = members.iter().find(|node| node.as_str() == name);
    let found = found.or_else(|| members.iter().find(|node| node.as_str() == short));
    match found {
        Some(node) => Ok(node.clone()),
        None => name.parse().map_err(|error| format!("the name of this machine: {error}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::sys::exec::{Cmd, Ended, ExecError, Output};

    /// Pacemaker's tools as they answered in a cluster of n1, n2 and n3; or none of them.
    struct Tools(bool);

    impl Exec for Tools {
        fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
            let stdout = match cmd.program.as_str() {
                "crm_mon" => {
                    include_str!("../../../tests/fixtures/pacemaker/trixie/healthy.crm_mon.xml")
                }
                "cibadmin" => include_str!("../../../tests/fixtures/quick-start/pcs.cib.xml"),
                "crm_node" => "n2\n",
                other => panic!("{other}"),
            };
            let (code, stdout) = if self.0 { (0, stdout) } else { (102, "") };
            let (ended, stderr) = (Ended::Exited(code), String::new());
            Ok(Output { ended, stdout: stdout.to_owned(), stderr })
        }
    }

    fn which(resource: Option<&str>, params: &[(&str, &str)]) -> Which {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Which { resource: resource.map(str::to_owned), params: params.iter().map(own).collect() }
    }

    /// A user that there is everywhere, and who is not root.
    const USER: &str = "nobody";

    #[test]
    fn in_a_cluster_its_members_and_parameters_count_and_what_is_given_before_them() {
        let which = which(None, &[("pguser", USER), ("pgport", "5999")]);
        let ground = Ground::find(&Tools(true), &which).unwrap();
        assert_eq!((ground.me.as_str(), ground.resource.as_deref()), ("n2", Some("db")));
        let members: Vec<&str> = ground.members.iter().map(NodeName::as_str).collect();
        assert_eq!(members, ["n1", "n2", "n3"]);
        assert_eq!(ground.promoted.unwrap().len(), 1);
        let pgdata = &ground.params.pgdata;
        assert!(ground.params.pgport == 5999 && pgdata.contains("/17/main"), "{pgdata}");
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_is_looked_at() {
        type Row<'a> = (bool, Option<&'a str>, &'a [(&'a str, &'a str)], &'a str, bool);
        let rows: [Row<'_>; 7] = [
            (true, Some("other"), &[], "other is no resource of", true),
            (
                true,
                None,
                &[("pgport", "x")][..],
                "the parameters of db are not sound: pgport",
                false,
            ),
            (true, None, &[("pguser", "nobody-has-this-name")], "does not exist", false),
            (false, None, &[], "Pacemaker could not be asked", false),
            (false, Some("db"), &[("pguser", "x")], "Pacemaker could not be asked", false),
            (false, None, &[("pgport", "x")], "pgport", false),
            (false, None, &[("pguser", USER)], "--param node_list=", false),
        ];
        for (tools, resource, params, words, usage) in rows {
            match Ground::find(&Tools(tools), &which(resource, params)) {
                Ok(_) => panic!("{words}"),
                Err(error) => {
                    assert!(error.to_string().contains(words), "{error}");
                    let by_name = matches!(&error, NoGround::Subject(error) if error.is_usage());
                    assert_eq!(by_name, usage, "{error}");
                }
            }
        }
    }

    #[test]
    fn without_a_cluster_parameters_name_the_members() {
        let given = [("pguser", USER), ("node_addresses", "n8=10.0.0.8 n9=10.0.0.9")];
        let ground = Ground::find(&Tools(false), &which(None, &given)).unwrap();
        assert_eq!((ground.members.len(), ground.resource), (3, None));
        assert!(ground.members.contains(&ground.me) && ground.promoted.is_none());
        let short = |name: &str| this_node(&BTreeSet::from([name.parse().unwrap()])).unwrap();
        let own = nix::unistd::gethostname().unwrap().to_string_lossy().into_owned();
        assert_eq!(short(own.split('.').next().unwrap()).as_str(), own.split('.').next().unwrap());
        assert_eq!(short("n8").as_str(), own);
    }
}
