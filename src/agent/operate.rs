//! Where an operator's command begins: the resource and its parameters, found in the CIB from any
//! node of the cluster. Floor 3.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::Agent;
use super::run::{LOG_ROOT, RUN_ROOT, STATE_ROOT, passfile_copy};
use super::view::View;
use crate::client::ledger_file::Home;
use crate::client::pacemaker::{ENVIRONMENT, Pacemaker};
use crate::client::peer::Peer;
use crate::cluster::cib::{Cib, Primitive, Setting, Settings};
use crate::cluster::node::NodeName;
use crate::ocf::env::Env;
use crate::ocf::params::{ENV_PREFIX, Params};
use crate::runtime::instance::Postgres;
use crate::runtime::passfile::Copies;
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
    /// Parameters that were given instead of what the CIB says.
    pub overrides: BTreeMap<String, String>,
    attributes: BTreeMap<String, String>,
}

/// The parameters of a resource, as a configuration has them.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// The primitive.
    pub resource: String,
    /// What they resolve to.
    pub params: Params,
    /// Those that could not be taken as they stand, one line each.
    pub problems: Vec<String>,
    /// As they are written.
    attributes: BTreeMap<String, String>,
}

/// Finds them: of `wanted`, the id of the primitive or of its clone, where there are several; with
/// these instead of what is written. `on`: as they are on this node; none: a file is of no node.
pub fn parameters_with(
    cib: &Cib,
    wanted: Option<&str>,
    overrides: &BTreeMap<String, String>,
    on: Option<&NodeName>,
) -> Result<Parameters, NoSubject> {
    let primitive = choose(cib, wanted)?;
    let written = on.map_or(&primitive.parameters, |node| primitive.parameters_on(node));
    let (mut attributes, mut problems) = plain(written, overrides);
    attributes.extend(overrides.clone());
    let resolved = Params::resolve_attributes(&attributes);
    problems.extend(resolved.errors.iter().map(ToString::to_string));
    let resource = primitive.id.clone();
    Ok(Parameters { resource, params: resolved.params, problems, attributes })
}

impl Subject {
    /// Finds it: `wanted`, the id of the primitive or of its clone, where there are several.
    pub fn find(exec: &dyn Exec, wanted: Option<&str>) -> Result<Self, NoSubject> {
        Self::find_with(exec, wanted, &BTreeMap::new())
    }

    /// The same, with these parameters instead of what the CIB says.
    pub fn find_with(
        exec: &dyn Exec,
        wanted: Option<&str>,
        overrides: &BTreeMap<String, String>,
    ) -> Result<Self, NoSubject> {
        let pacemaker = Pacemaker::new(exec, "").with_env(passed_on());
        let status = pacemaker.status(TOOL).into_result().map_err(NoSubject::Pacemaker)?;
        let cib = pacemaker.cib(TOOL).into_result().map_err(NoSubject::Pacemaker)?;
        let me = pacemaker.local_node(None, TOOL).into_result().map_err(NoSubject::Pacemaker)?;
        let Parameters { resource, mut params, mut problems, attributes } =
            parameters_with(&cib, wanted, overrides, Some(&me))?;
        problems.extend(params.settle(&me).err().map(|error| error.to_string()));
        let view = View { resource, policy: params.fencing, status, cib };
        let overrides = overrides.clone();
        Ok(Self { me, view, params, problems, overrides, attributes })
    }

    /// The resource.
    pub fn resource(&self) -> &str {
        &self.view.resource
    }

    /// The instance of this node. Fails on a node without PostgreSQL's user.
    pub fn postgres<'a>(&self, exec: &'a dyn Exec) -> Result<Postgres<'a>, String> {
        let log = PathBuf::from(LOG_ROOT).join(format!("{}.log", self.resource()));
        let copies = Copies::Look(passfile_copy(self.resource()));
        let pg = Postgres::new(exec, &self.params, log).map_err(|error| chain(&error))?;
        Ok(pg.with_copies(copies))
    }

    /// Where a member listens, and how a standby here would log in there.
    pub fn peer(&self, node: &NodeName, pg: &Postgres<'_>) -> Peer {
        let host = self.params.node_addresses.get(node);
        self.peer_at(host.map_or_else(|| node.to_string(), Clone::clone), pg)
    }

    /// The same at another address.
    pub fn peer_at(&self, host: String, pg: &Postgres<'_>) -> Peer {
        Peer {
            host,
            port: self.params.pgport,
            user: pg.replication_user(),
            passfile: pg.passfile(),
            like: pg.login_like(),
        }
    }

    /// Pacemaker, asked and told about the resource.
    pub fn pacemaker<'a>(&self, exec: &'a dyn Exec) -> Pacemaker<'a> {
        Pacemaker::new(exec, self.resource()).with_env(passed_on())
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
            pg: self.postgres(exec)?.with_copies(Copies::Make(passfile_copy(self.resource()))),
            pacemaker: Pacemaker::new(exec, self.resource()).with_env(passed_on()),
            home,
            cache,
        })
    }
}

/// Pacemaker's tools, for a command that is about no resource yet. CIB_file has them work on a file, as it
/// does everywhere.
pub fn tools(exec: &dyn Exec) -> Pacemaker<'_> {
    let file = std::env::var("CIB_file").ok().map(|file| ("CIB_file".to_owned(), file));
    Pacemaker::new(exec, "").with_env(passed_on().into_iter().chain(file))
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

/// Parameters as text. One that a rule decides is not known here, unless it is overridden.
fn plain(
    written: &Settings,
    overrides: &BTreeMap<String, String>,
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut attributes = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, setting) in written {
        match setting {
            Setting::Set(value) => {
                attributes.insert(name.clone(), value.clone());
            }
            Setting::Conditional if overrides.contains_key(name) => {}
            Setting::Conditional => problems.push(format!(
                "a rule in the CIB decides the parameter {name}: its value here is not known"
            )),
        }
    }
    (attributes, problems)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn cib(resources: &str) -> Cib {
        Cib::parse(&format!(
            "<cib admin_epoch='0' epoch='1' num_updates='0'><configuration><crm_config/><nodes/>\
             <resources>{resources}</resources><constraints/></configuration><status/></cib>"
        ))
        .unwrap()
    }

    fn primitive(id: &str, inside: &str) -> String {
        format!(
            "<primitive id='{id}' class='ocf' provider='heartbeat' type='pgtwin'>{inside}</primitive>"
        )
    }

    fn clone(id: &str, inside: &str) -> String {
        format!("<clone id='{id}'>{inside}</clone>")
    }

    #[test]
    fn the_resource_is_found_wherever_it_is_or_it_is_said_which_there_are() {
        type Row<'a> = (&'a str, &'a str, Option<&'a str>, Result<&'a str, &'a str>);
        let db = primitive("db", "");
        let other = "<primitive id='ip' class='ocf' provider='heartbeat' type='IPaddr2'/>";
        let template = "<template id='t' class='ocf' provider='heartbeat' type='pgtwin'/>\
                        <clone id='c'><primitive id='db' template='t'/></clone>";
        let two = clone("c1", &primitive("db1", "")) + &clone("c2", &primitive("db2", ""));
        let rows: &[Row<'_>] = &[
            ("nothing", "", None, Err("no resource of this cluster uses")),
            ("another agent", other, None, Err("no resource of this cluster uses")),
            ("another agent by name", other, Some("ip"), Err("no resource of this cluster uses")),
            ("in a clone", &clone("c", &db), None, Ok("db")),
            ("by its own name", &clone("c", &db), Some("db"), Ok("db")),
            ("by its clone's name", &clone("c", &db), Some("c"), Ok("db")),
            ("in no clone", &db, None, Ok("db")),
            ("in a group", &format!("<group id='g'>{db}{other}</group>"), None, Ok("db")),
            (
                "in a cloned group",
                &clone("c", &format!("<group id='g'>{other}{db}</group>")),
                Some("c"),
                Ok("db"),
            ),
            ("of a template", template, None, Ok("db")),
            ("a wrong name", &clone("c", &db), Some("pg"), Err("pg is no resource of")),
            ("a template's name", template, Some("t"), Err("t is no resource of")),
            ("several", &two, None, Err("name one with --resource: db1, db2")),
            ("one of several", &two, Some("db2"), Ok("db2")),
            ("one of several by its clone", &two, Some("c1"), Ok("db1")),
        ];
        for (name, resources, wanted, expected) in rows {
            let cib = cib(resources);
            match (choose(&cib, *wanted), expected) {
                (Ok(found), Ok(id)) => assert_eq!(found.id, *id, "{name}"),
                (Err(error), Err(words)) => {
                    assert!(error.to_string().contains(words), "{name}: {error}");
                    assert_eq!(error.is_usage(), !words.starts_with("no resource"), "{name}");
                }
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_a_rule_decides_is_a_problem_and_a_template_gives_what_is_not_set() {
        let set = |id: &str, name: &str, value: &str| {
            format!(
                "<instance_attributes id='{id}'><nvpair id='{id}-1' name='{name}' \
                 value='{value}'/></instance_attributes>"
            )
        };
        let ruled = "<instance_attributes id='a' score='9'><rule id='r' score='0'><expression \
                     id='e' attribute='#uname' operation='eq' value='n1'/></rule><nvpair id='a-1' \
                     name='pgport' value='5433'/></instance_attributes>";
        let cib = cib(&format!(
            "<template id='t' class='ocf' provider='heartbeat' type='pgtwin'>{}{}</template>\
             <clone id='c'><primitive id='db' template='t'>{}{ruled}</primitive></clone>",
            set("t1", "pgdata", "/srv/template"),
            set("t2", "pguser", "pg"),
            set("p1", "pgdata", "/srv/own"),
        ));
        let db = choose(&cib, None).unwrap();
        let (attributes, problems) = plain(&db.parameters, &BTreeMap::new());
        let expected = [("pgdata", "/srv/own"), ("pguser", "pg")];
        assert_eq!(attributes, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert!(problem.contains("a rule in the CIB decides the parameter pgport"), "{problem}");
        let overrides = [("pgport".to_owned(), "5434".to_owned())].into();
        assert_eq!(plain(&db.parameters, &overrides).1, Vec::<String>::new());
        // The rule names a node: there and elsewhere the value is known.
        for (node, port) in [("n1", Some("5433")), ("n2", None)] {
            let node: NodeName = node.parse().unwrap();
            let (attributes, problems) = plain(db.parameters_on(&node), &BTreeMap::new());
            assert_eq!(
                (attributes.get("pgport").map(String::as_str), problems),
                (port, Vec::new())
            );
        }
    }
}
