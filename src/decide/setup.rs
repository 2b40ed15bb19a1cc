//! A complete configuration of a cluster around the resource, from a few answers: what `doctor` wants,
//! written for a shell. Floor 1.

pub mod apply;
mod crmsh;
mod pcs;
mod servers;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
mod xml;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use super::report::{WIDTH, wrapped};
use super::wanted;
use crate::cluster::node::NodeName;
use crate::ocf::action::{Action, SUGGESTIONS};
use crate::ocf::params::Params;

pub use servers::Part;

/// What has to be known.
#[derive(Clone, Debug)]
pub struct Answers {
    /// What the primitive is to be called.
    pub resource: String,
    /// The members, with the address by which each is reached.
    pub nodes: Vec<(NodeName, String)>,
    /// Parameters of the resource, as they are to be written.
    pub parameters: BTreeMap<String, String>,
    /// The address of the primary.
    pub vip: Option<Network>,
    /// The address of a standby, for readers.
    pub standby_vip: Option<Network>,
    /// The agent of the fence devices.
    pub fence_agent: String,
    /// Their parameters; `%n` stands for the node.
    pub fence_parameters: Vec<(String, String)>,
}

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address.
    pub address: IpAddr,
    /// The length.
    pub prefix: u8,
}

/// Why a configuration cannot be made of the answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// Too few or too many nodes.
    #[error("{0} nodes: two to five members are supported; name each by --node NAME=ADDRESS")]
    Nodes(usize),
    /// A node twice, or an address twice.
    #[error("{0} is given twice: each node has a name and an address of its own")]
    Twice(String),
    /// Not a name of a resource.
    #[error("{0:?} is no name of a resource: letters, digits, - and _ make one, a letter first")]
    Resource(String),
    /// A parameter that is refused.
    #[error("{0}")]
    Parameter(String),
    /// A value that no shell takes as it is.
    #[error(
        "{name}={value:?} has a quote, a backslash or a line break, which no shell takes as it is"
    )]
    Value {
        /// The parameter.
        name: String,
        /// Its value.
        value: String,
    },
    /// Not an address with a prefix.
    #[error("{0:?} is no address with the length of its network, as in 10.0.0.100/24")]
    Network(String),
    /// An address that is a member's as well.
    #[error("{0} is the address of a member, and would move with the primary")]
    NotFree(IpAddr),
}

impl std::str::FromStr for Network {
    type Err = SetupError;

    fn from_str(text: &str) -> Result<Self, SetupError> {
        let bad = || SetupError::Network(text.chars().take(60).collect());
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = prefix.parse().map_err(|_| bad())?;
        let fits = (1..=longest).contains(&prefix) && !address.is_unspecified();
        if fits { Ok(Self { address, prefix }) } else { Err(bad()) }
    }
}

/// A primitive.
#[derive(Clone, Debug)]
struct Resource {
    id: String,
    /// `stonith:fence_ipmilan`, `ocf:heartbeat:IPaddr2`.
    agent: String,
    parameters: Vec<(String, String)>,
    operations: Vec<String>,
    meta: Vec<(String, String)>,
}

/// An address, and with whom it is placed.
#[derive(Clone, Debug)]
struct Address {
    resource: Resource,
    role: &'static str,
    /// Which of its actions come after which of the clone's.
    after: &'static [wanted::After],
    /// It is only where this node attribute has this value.
    only_where: Option<(String, &'static str)>,
}

/// The whole.
#[derive(Clone, Debug)]
pub struct Plan {
    resource: String,
    clone: String,
    nodes: Vec<(NodeName, String)>,
    params: Params,
    properties: Vec<(String, String)>,
    fencing: Vec<Resource>,
    database: Resource,
    addresses: Vec<Address>,
}

/// A part, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Its name.
    pub part: &'static str,
    /// Where it belongs, in words.
    pub title: String,
    /// What stands there, or is typed.
    pub text: String,
}

/// For whom the cluster's configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Commands of crmsh.
    Crmsh,
    /// Commands of pcs.
    Pcs,
    /// The document itself, to be judged.
    Xml,
}

fn pairs<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Makes a plan of the answers, or says what is wrong with them.
pub fn plan(answers: &Answers) -> Result<Plan, SetupError> {
    let nodes = &answers.nodes;
    if !(2..=5).contains(&nodes.len()) {
        return Err(SetupError::Nodes(nodes.len()));
    }
    for (index, (name, address)) in nodes.iter().enumerate() {
        for (other, theirs) in nodes.iter().skip(index + 1) {
            if name == other || name.is_nearly(other) {
                return Err(SetupError::Twice(other.to_string()));
            }
            if address == theirs {
                return Err(SetupError::Twice(theirs.clone()));
            }
        }
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let resource = &answers.resource;
    if !resource.starts_with(|c: char| c.is_ascii_alphabetic()) || !resource.chars().all(word) {
        return Err(SetupError::Resource(resource.chars().take(60).collect()));
    }
    let parameters = parameters(answers);
    let resolved = Params::resolve_attributes(&parameters);
    if let Some(error) = resolved.errors.first() {
        return Err(SetupError::Parameter(error.to_string()));
    }
    for network in answers.vip.iter().chain(&answers.standby_vip) {
        if nodes.iter().any(|(_, address)| address.parse() == Ok(network.address)) {
            return Err(SetupError::NotFree(network.address));
        }
    }
    let mut properties = pairs(wanted::PROPERTIES.iter().copied());
    if nodes.len() == 2 {
        properties.extend(pairs([("priority-fencing-delay", wanted::PRIORITY_FENCING_DELAY)]));
    }
    let plan = Plan {
        resource: resource.clone(),
        clone: format!("{resource}-clone"),
        nodes: nodes.clone(),
        params: resolved.params,
        properties,
        fencing: nodes.iter().map(|(node, _)| device(answers, node)).collect(),
        database: database(resource, parameters),
        addresses: addresses(answers),
    };
    plan.check_values()?;
    Ok(plan)
}

/// The parameters of the resource; what follows from other answers is added.
fn parameters(answers: &Answers) -> BTreeMap<String, String> {
    let mut all = answers.parameters.clone();
    let mut add = |name: &str, value: String| {
        all.entry(name.to_owned()).or_insert(value);
    };
    let names: Vec<&str> = answers.nodes.iter().map(|(node, _)| node.as_str()).collect();
    add("node_list", names.join(" "));
    let is_name = |(node, address): &(NodeName, String)| node.as_str() == address;
    if !answers.nodes.iter().all(is_name) {
        let addresses: Vec<String> =
            answers.nodes.iter().map(|(node, address)| format!("{node}={address}")).collect();
        add("node_addresses", addresses.join(" "));
    }
    add("repuser", wanted::REPLICATION_ROLE.to_owned());
    if let Some(vip) = answers.vip {
        add("vip", vip.address.to_string());
    }
    all
}

/// The fence device of a node.
fn device(answers: &Answers, node: &NodeName) -> Resource {
    let mut parameters = vec![("pcmk_host_list".to_owned(), node.to_string())];
    let own = answers.fence_parameters.iter();
    parameters.extend(own.map(|(name, value)| (name.clone(), value.replace("%n", node.as_str()))));
    Resource {
        id: format!("fence-{node}"),
        agent: format!("stonith:{}", answers.fence_agent),
        parameters,
        operations: vec!["monitor interval=60s timeout=60s".to_owned()],
        meta: Vec::new(),
    }
}

fn database(id: &str, parameters: BTreeMap<String, String>) -> Resource {
    let counts = |action: Action| {
        matches!(
            action,
            Action::Start
                | Action::Stop
                | Action::Promote
                | Action::Demote
                | Action::Notify
                | Action::Monitor
        )
    };
    let operations = SUGGESTIONS.iter().filter(|one| counts(one.action)).map(wanted::operation);
    Resource {
        id: id.to_owned(),
        agent: "ocf:heartbeat:pgtwin".to_owned(),
        parameters: parameters.into_iter().collect(),
        operations: operations.collect(),
        meta: pairs(wanted::RESOURCE_META.iter().copied()),
    }
}

fn addresses(answers: &Answers) -> Vec<Address> {
    let resource = |id: &str, network: &Network| Resource {
        id: id.to_owned(),
        agent: "ocf:heartbeat:IPaddr2".to_owned(),
        parameters: vec![
            ("ip".to_owned(), network.address.to_string()),
            ("cidr_netmask".to_owned(), network.prefix.to_string()),
        ],
        operations: vec!["monitor interval=10s timeout=20s".to_owned()],
        meta: Vec::new(),
    };
    let name = &answers.resource;
    let of_primary = answers.vip.iter().map(|network| Address {
        resource: resource(&format!("{name}-vip"), network),
        role: "Promoted",
        after: wanted::ADDRESS_AFTER,
        only_where: None,
    });
    let of_standby = answers.standby_vip.iter().map(|network| Address {
        resource: resource(&format!("{name}-vip-standby"), network),
        role: "Unpromoted",
        after: &[],
        only_where: Some((format!("pgtwin-{name}-state"), "streaming")),
    });
    of_primary.chain(of_standby).collect()
}

impl Plan {
    fn resources(&self) -> impl Iterator<Item = &Resource> {
        let addresses = self.addresses.iter().map(|address| &address.resource);
        self.fencing.iter().chain(std::iter::once(&self.database)).chain(addresses)
    }

    fn check_values(&self) -> Result<(), SetupError> {
        let odd = |c: char| c.is_control() || "'\"\\$`".contains(c);
        for (name, value) in self.resources().flat_map(|resource| &resource.parameters) {
            if value.contains(odd) || name.contains(odd) || name.contains(char::is_whitespace) {
                return Err(SetupError::Value { name: name.clone(), value: value.clone() });
            }
        }
        Ok(())
    }

    /// One part of it, or all, as text.
    #[must_use]
    pub fn text(&self, form: Form, only: Option<Part>) -> String {
        if let Some(part) = only {
            return self.part(part, form);
        }
        let mut sections = vec![self.head()];
        for (number, part) in Part::ALL.iter().enumerate() {
            let title = format!("# {}. {}", number + 1, self.title(*part, form));
            // What follows a break is a comment too.
            let title = wrapped(&title, 2).replace("\n  ", "\n# ");
            sections.push(format!("{title}\n\n{}", self.part(*part, form)));
        }
        sections.join("\n")
    }

    /// The same for programs: each part with its name, where it belongs, and its text.
    pub fn parts(&self, form: Form, only: Option<Part>) -> Vec<Section> {
        let wanted = Part::ALL.into_iter().filter(|part| only.is_none_or(|one| one == *part));
        wanted
            .map(|part| Section {
                part: part.name(),
                title: self.title(part, form),
                text: self.part(part, form),
            })
            .collect()
    }

    fn part(&self, part: Part, form: Form) -> String {
        match (part, form) {
            (Part::Cluster, Form::Crmsh) => crmsh::commands(self),
            (Part::Cluster, Form::Pcs) => pcs::commands(self),
            (Part::Cluster, Form::Xml) => xml::document(self),
            (other, _) => self.of_servers(other),
        }
    }
}

/// `NAME=VALUE` for a shell, quoted where it has to be.
struct Pair<'p>(&'p str, &'p str);

impl fmt::Display for Pair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@%,+".contains(c);
        let Self(name, value) = self;
        if !value.is_empty() && value.chars().all(plain) {
            write!(f, "{name}={value}")
        } else {
            write!(f, "{name}=\"{value}\"")
        }
    }
}

/// ` NAME=VALUE NAME=VALUE`.
fn listed(all: &[(String, String)]) -> String {
    all.iter().map(|(name, value)| format!(" {}", Pair(name, value))).collect::<Vec<_>>().concat()
}

/// Commands of which none is wider than a terminal, as long as a word is not.
fn broken(commands: &[String]) -> String {
    let lines = commands.iter().flat_map(|command| command.split('\n'));
    let narrow = |line: &str| {
        let done = line.chars().count() <= WIDTH || line.ends_with('\\');
        if done {
            return line.to_owned();
        }
        let bare = line.trim_start();
        let indent = " ".repeat(line.len() - bare.len());
        let lines = wanted::command_lines(bare, WIDTH - indent.len());
        lines.iter().map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join("\n")
    };
    lines.map(narrow).collect::<Vec<_>>().join("\n")
}
