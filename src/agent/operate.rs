//! Where an operator's command begins: the resource and its parameters, found in the CIB from any
//! node of the cluster. Floor 3.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::Agent;
use super::run::{LOG_ROOT, RUN_ROOT, STATE_ROOT};
use super::view::View;
use crate::client::ledger_file::Home;
use crate::client::pacemaker::{ENVIRONMENT, Pacemaker};
use crate::cluster::cib::{Cib, Primitive, Setting};
use crate::cluster::node::NodeName;
use crate::ocf::env::Env;
use crate::ocf::params::{ENV_PREFIX, Params};
use crate::runtime::instance::Postgres;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::Exec;

/// The name of the agent in the CIB.
const AGENT: &str = "pgtwin";
/// How long one of Pacemaker's tools may take.
const TOOL: Duration = Duration::from_secs(5);

/// Why a command cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSubject {
    /// Pacemaker could not be asked.
    #[error("Pacemaker could not be asked: {0}")]
    Pacemaker(String),
    /// No resource uses the agent.
    #[error("no resource of this cluster uses ocf:heartbeat:pgtwin")]
    NoResource,
    /// The name that was given is none of them.
    #[error("{wanted} is no resource of ocf:heartbeat:pgtwin; there is {}", .there.join(", "))]
    NotThis {
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: Vec<String>,
    },
    /// There are several, and none was named.
    #[error("several resources use pgtwin: name one with --resource: {}", .0.join(", "))]
    Several(Vec<String>),
}

impl NoSubject {
    /// Whether the command line is at fault.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NotThis { .. } | Self::Several(_) => true,
            Self::Pacemaker(_) | Self::NoResource => false,
        }
    }
}

/// What an operator's command is about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// This node.
    pub me: NodeName,
    /// The resource and the cluster around it.
    pub view: View,
    /// Its parameters.
    pub params: Params,
    /// Parameters that could not be taken as they stand, one line each. Their defaults are in
    /// `params`, so a command that changes anything has to stop here.
    pub problems: Vec<String>,
    attributes: BTreeMap<String, String>,
}

impl Subject {
    /// Finds it: `wanted`, the id of the primitive or of its clone, where there are several.
    pub fn find(exec: &dyn Exec, wanted: Option<&str>) -> Result<Self, NoSubject> {
        let pacemaker = Pacemaker::new(exec, "").with_env(passed_on());
        let status = pacemaker.status(TOOL).into_result().map_err(NoSubject::Pacemaker)?;
        let cib = pacemaker.cib(TOOL).into_result().map_err(NoSubject::Pacemaker)?;
        let me = pacemaker.local_node(None, TOOL).into_result().map_err(NoSubject::Pacemaker)?;
        let primitive = choose(&cib, wanted)?.clone();
        let (attributes, mut problems) = plain(&primitive);
        let resolved = Params::resolve_attributes(&attributes);
        problems.extend(resolved.errors.iter().map(ToString::to_string));
        let policy = resolved.params.fencing;
        let view = View { resource: primitive.id, policy, status, cib };
        Ok(Self { me, view, params: resolved.params, problems, attributes })
    }

    /// The resource.
    pub fn resource(&self) -> &str {
        &self.view.resource
    }

    /// The instance of this node. Fails on a node without PostgreSQL's user.
    pub fn postgres<'a>(&self, exec: &'a dyn Exec) -> Result<Postgres<'a>, String> {
        let log = PathBuf::from(LOG_ROOT).join(format!("{}.log", self.resource()));
        Postgres::new(exec, &self.params, log).map_err(|error| chain(&error))
    }

    /// The files of this node.
    pub fn home(&self) -> Home {
        Home::new(STATE_ROOT, RUN_ROOT, self.resource(), &self.me)
    }

    /// The agent of this node, for a command that acts, with so much time.
    pub fn agent<'a>(&self, exec: &'a dyn Exec, time: Duration) -> Result<Agent<'a>, String> {
        if let Some(problem) = self.problems.first() {
            return Err(format!("the parameters of {} are not sound: {problem}", self.resource()));
        }
        let mut vars: BTreeMap<String, String> = self
            .attributes
            .iter()
            .map(|(name, value)| (format!("{ENV_PREFIX}{name}"), value.clone()))
            .collect();
        let members = self.view.members(self.params.node_list.as_deref()).len();
        for (name, value) in [
            ("OCF_RESOURCE_INSTANCE", self.resource().to_owned()),
            ("OCF_RESKEY_CRM_meta_clone_max", members.to_string()),
            ("OCF_RESKEY_CRM_meta_on_node", self.me.to_string()),
        ] {
            vars.insert(name.to_owned(), value);
        }
        let env = Env::parse(&vars).map_err(|error| chain(&error))?;
        let home = self.home();
        let cache = home.cache();
        Ok(Agent {
            params: self.params.clone(),
            env,
            resource: self.resource().to_owned(),
            me: self.me.clone(),
            standalone: false,
            deadline: Deadline::after(time),
            exec,
            pg: self.postgres(exec)?,
            pacemaker: Pacemaker::new(exec, self.resource()).with_env(passed_on()),
            home,
            cache,
        })
    }
}

fn passed_on() -> Vec<(String, String)> {
    let set = |name: &&str| Some(((*name).to_owned(), std::env::var(name).ok()?));
    ENVIRONMENT.iter().filter_map(set).collect()
}

fn choose<'a>(cib: &'a Cib, wanted: Option<&str>) -> Result<&'a Primitive, NoSubject> {
    let all: Vec<&Primitive> = cib.primitives_of(AGENT).collect();
    let ids = || all.iter().map(|primitive| primitive.id.clone()).collect();
    let is_wanted = |primitive: &&&Primitive| {
        let clone = primitive.clone.as_ref().map(|clone| clone.id.as_str());
        wanted == Some(primitive.id.as_str()) || wanted == clone
    };
    match (all.as_slice(), wanted) {
        ([], _) => Err(NoSubject::NoResource),
        (_, Some(name)) => match all.iter().find(is_wanted) {
            Some(primitive) => Ok(primitive),
            None => Err(NoSubject::NotThis { wanted: name.to_owned(), there: ids() }),
        },
        ([one], None) => Ok(one),
        ([_, _, ..], None) => Err(NoSubject::Several(ids())),
    }
}

/// Parameters as text. One that a rule decides is not known here.
fn plain(primitive: &Primitive) -> (BTreeMap<String, String>, Vec<String>) {
    let mut attributes = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, setting) in &primitive.parameters {
        match setting {
            Setting::Set(value) => {
                attributes.insert(name.clone(), value.clone());
            }
            Setting::Conditional => problems.push(format!(
                "a rule in the CIB decides the parameter {name}: its value here is not known"
            )),
        }
    }
    (attributes, problems)
}
