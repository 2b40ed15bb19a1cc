//! `pgtwin setup`. Floor 4.

use std::collections::BTreeMap;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use super::{End, ask, say, screen, word};
use crate::agent::configure;
use crate::agent::examine::shell;
use crate::cluster::node::NodeName;
use crate::decide::report::wrapped;
use crate::decide::setup::{Answers, Form, Network, Part, Plan, Section, SetupError, plan};
use crate::decide::wanted::Shell;
use crate::ocf::params::{Params, TABLE};

/// Parameters that follow from other options.
const IMPLIED: [(&str, &str); 3] =
    [("node_list", "--node"), ("node_addresses", "--node"), ("vip", "--vip")];
/// What a device of the default agent needs; `%n` stands for the node.
const IPMI: [(&str, &str); 4] = [
    ("ip", "BMC-OF-%n"),
    ("username", "USER"),
    ("password_script", "/etc/pacemaker/PASSWORD-SCRIPT"),
    ("lanplus", "1"),
];

/// Print a complete configuration: PostgreSQL's, pg_hba.conf, and the cluster's
///
/// Prints what has to be typed and written for a safe cluster, in order, and
/// does none of it. Words in capitals are yours to fill in. What it prints is
/// what pgtwin doctor wants:
///
///   pgtwin setup ... --shell xml --only cluster | pgtwin doctor --cib -
///
/// With --apply the cluster's part is written into its configuration instead:
/// all of it or nothing, after Pacemaker has judged it, and only where nothing
/// of it is there yet. The other parts are done before.
///
/// Exits with 0, with 1 when it was not applied, or with 2 when the answers do
/// not go together.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Options {
    #[command(flatten)]
    members: Members,
    /// The address that moves with the primary, and its network's length
    #[arg(long, value_name = "ADDRESS/LENGTH")]
    vip: Option<Network>,
    /// An address for readers, on a standby that streams
    #[arg(long, value_name = "ADDRESS/LENGTH")]
    standby_vip: Option<Network>,
    /// What the resource is to be called
    #[arg(long, value_name = "RSC", default_value = "db")]
    resource: String,
    /// The agent of the fence devices; stonith_admin --list-installed shows all
    #[arg(long, value_name = "AGENT", default_value = "fence_ipmilan", value_parser = agent)]
    fence: String,
    /// A parameter of the fence devices; %n in it stands for the node
    #[arg(long = "fence-param", value_name = "NAME=VALUE", value_parser = pair)]
    fence_params: Vec<(String, String)>,
    /// For crmsh or pcs, whichever is installed; or xml, to be judged
    #[arg(long, value_name = "SHELL", value_parser = form(), hide_possible_values = true)]
    shell: Option<Form>,
    /// One part: conf, hba, passfile, role, service or cluster
    #[arg(long, value_name = "PART", value_parser = part(), hide_possible_values = true)]
    only: Option<Part>,
    /// Write the cluster's part into the cluster that this node is in
    #[arg(long, conflicts_with_all = ["shell", "only"])]
    apply: bool,
    /// Do not ask
    #[arg(long, requires = "apply")]
    yes: bool,
    /// Print JSON for programs; docs/setup.md has its shape
    #[arg(long)]
    json: bool,
}

/// Who they are and where PostgreSQL is, for `bootstrap` as well.
#[derive(Debug, Args)]
pub(super) struct Members {
    /// A member, and the address by which the others reach it; two to five
    #[arg(long = "node", value_name = "NAME=ADDRESS", required = true, value_parser = node)]
    nodes: Vec<(NodeName, String)>,
    /// PostgreSQL as Debian and Ubuntu have it: 17, or 17/main
    #[arg(long, value_name = "VERSION[/CLUSTER]", value_parser = debian)]
    debian: Option<String>,
    /// A parameter of the resource; docs/parameters.md lists them
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    params: Vec<(String, String)>,
}

impl Members {
    /// The members, and where each is reached.
    pub(super) fn nodes(&self) -> &[(NodeName, String)] {
        &self.nodes
    }

    /// Version and cluster, if it is Debian's PostgreSQL.
    pub(super) fn debian(&self) -> Option<(String, String)> {
        let (version, cluster) = self.debian.as_deref()?.split_once('/')?;
        Some((version.to_owned(), cluster.to_owned()))
    }

    fn parameters(&self) -> BTreeMap<String, String> {
        let mut parameters: BTreeMap<String, String> = BTreeMap::new();
        if let Some(cluster) = &self.debian {
            for (name, value) in [
                ("pgdata", format!("/var/lib/postgresql/{cluster}")),
                ("config_file", format!("/etc/postgresql/{cluster}/postgresql.conf")),
                ("pgpassfile", "/var/lib/postgresql/.pgpass".to_owned()),
            ] {
                parameters.insert(name.to_owned(), value);
            }
            // A pgdata that is given would count before it.
            if self.params.iter().any(|(name, _)| name == "storage_root") {
                parameters.remove("pgdata");
            }
        }
        parameters.extend(self.params.iter().cloned());
        parameters
    }
}

/// The parameters of the resource around these members, and the role of its standbys.
pub(super) fn cluster_of(members: &Members) -> Result<(Params, String), SetupError> {
    let plan = plan(&Answers {
        resource: "db".to_owned(),
        nodes: members.nodes.clone(),
        parameters: members.parameters(),
        vip: None,
        standby_vip: None,
        fence_agent: "fence_ipmilan".to_owned(),
        fence_parameters: Vec::new(),
    })?;
    Ok((plan.params().clone(), plan.role().to_owned()))
}

/// The shape that docs/setup.md has.
#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    command: &'static str,
    resource: &'a str,
    parts: Vec<Section>,
}

/// The same for `--apply`.
#[derive(Serialize)]
struct Applied<'a> {
    version: u32,
    command: &'static str,
    resource: &'a str,
    outcome: &'static str,
    reasons: &'a [String],
    changes: &'a [String],
    remarks: &'a [String],
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("NAME=VALUE is wanted".to_owned()),
    }
}

fn node(text: &str) -> Result<(NodeName, String), String> {
    let (name, address) =
        pair(text).map_err(|_| "NAME=ADDRESS is wanted, as in n1=10.0.0.11".to_owned())?;
    Ok((name.parse().map_err(|error| format!("{error}"))?, address))
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text)?;
    if let Some((_, option)) = IMPLIED.iter().find(|(implied, _)| *implied == name) {
        return Err(format!("{name} follows from {option}"));
    }
    if TABLE.iter().any(|spec| spec.name == name) {
        return Ok((name, value));
    }
    Err("there is no such parameter; docs/parameters.md and pgtwin meta-data list them".to_owned())
}

fn debian(text: &str) -> Result<String, String> {
    let (version, cluster) = text.split_once('/').unwrap_or((text, "main"));
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    let fits = version.parse::<u32>().is_ok_and(|version| version > 9);
    if fits && !cluster.is_empty() && !cluster.starts_with('.') && cluster.chars().all(word) {
        Ok(format!("{version}/{cluster}"))
    } else {
        Err("17 or 17/main is wanted".to_owned())
    }
}

fn agent(text: &str) -> Result<String, String> {
    let word = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let name = text.strip_prefix("stonith:").unwrap_or(text);
    if !name.is_empty() && name.chars().all(word) {
        Ok(name.to_owned())
    } else {
        Err("the name of an agent is wanted, as in fence_ipmilan".to_owned())
    }
}

/// For whom the cluster's part is written.
fn form() -> impl TypedValueParser<Value = Form> {
    let names = [
        PossibleValue::new("crmsh").alias("crm"),
        PossibleValue::new("pcs"),
        PossibleValue::new("xml"),
    ];
    PossibleValuesParser::new(names).map(|name| match name.as_str() {
        "pcs" => Form::Pcs,
        "xml" => Form::Xml,
        _ => Form::Crmsh,
    })
}

/// One part.
fn part() -> impl TypedValueParser<Value = Part> {
    PossibleValuesParser::new(Part::ALL.map(Part::name)).try_map(|name| {
        Part::ALL.into_iter().find(|part| part.name() == name).ok_or("no such part")
    })
}

pub(super) fn run(options: &Options) -> End {
    let mut fence_parameters = options.fence_params.clone();
    if fence_parameters.is_empty() && options.fence == "fence_ipmilan" {
        fence_parameters = IPMI.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    }
    let answers = Answers {
        resource: options.resource.clone(),
        nodes: options.members.nodes.clone(),
        parameters: options.members.parameters(),
        vip: options.vip,
        standby_vip: options.standby_vip,
        fence_agent: options.fence.clone(),
        fence_parameters,
    };
    let plan = match plan(&answers) {
        Ok(plan) => plan,
        Err(error) => {
            say::problem(wrapped(&format!("pgtwin: {error}"), 8));
            return End::Usage;
        }
    };
    if options.apply {
        return apply(options, &plan);
    }
    let form = options.shell.unwrap_or_else(|| match shell() {
        Shell::Pcs => Form::Pcs,
        Shell::Crmsh => Form::Crmsh,
    });
    let text = if options.json {
        let resource = &answers.resource;
        let parts = plan.parts(form, options.only);
        let json = Json { version: 1, command: "setup", resource, parts };
        // Texts and a number: there is nothing in it that could not be written.
        serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"
    } else {
        plan.text(form, options.only)
    };
    // Half of it would be run for the whole.
    match say::whole(text) {
        Ok(()) => End::Ok,
        Err(_) => End::Attention,
    }
}

/// Writes it into the cluster.
fn apply(options: &Options, plan: &Plan) -> End {
    if options.json && !options.yes {
        say::problem("pgtwin: --json asks nobody: add --yes");
        return End::Usage;
    }
    let resource = &options.resource;
    let told = |outcome, reasons: &[String], changes: &[String], remarks: &[String]| {
        let json =
            Applied { version: 1, command: "setup", resource, outcome, reasons, changes, remarks };
        let shown = screen::json(&json, false).is_ok();
        if shown && outcome == "applied" { End::Ok } else { End::Attention }
    };
    let planned = match configure::plan(plan) {
        Ok(planned) => planned,
        Err(reasons) if options.json => return told("refused", &reasons, &[], &[]),
        Err(reasons) => {
            say::problem("pgtwin: nothing was changed:");
            for reason in &reasons {
                say::problem(wrapped(&format!("- {reason}"), 2));
            }
            return End::Attention;
        }
    };
    let change = &planned.change;
    if !options.json {
        word::list("This is written into the cluster's configuration:", &change.words);
        word::list("Mind:", &change.remarks);
    }
    if !options.yes
        && let Err(why) = ask::typed("Type yes to write it:", "yes")
    {
        return ask::failed(&why);
    }
    ask::log_as(resource);
    match configure::apply(&planned) {
        Ok(()) => {
            tracing::info!("{} sets {resource} up", ask::who());
            if options.json {
                return told("applied", &[], &change.words, &change.remarks);
            }
            say::line("Written. Pacemaker starts it now: pgtwin status; then pgtwin doctor.");
            End::Ok
        }
        Err(why) if options.json => told("failed", &[why], &change.words, &change.remarks),
        Err(why) => ask::failed(&why),
    }
}
