//! What Pacemaker says about an invocation in its environment, taken as data. Floor 0.
//!
//! A variable that is malformed becomes a problem to be logged and counts as not said, because stop
//! and probes must work all the same; only a missing or unusable resource name is an error.
//! Source: the OCF resource agent API 1.1, Pacemaker's `lib/services/services_linux.c`, and the
//! variables that a promotable clone of Pacemaker 2.1 and 3.0 gets.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::action::Role;
use super::exit_code::ExitCode;
use crate::cluster::node::NodeName;

/// What Pacemaker puts before the name of what it knows itself.
pub const META: &str = "OCF_RESKEY_CRM_meta_";

/// The resource's name, without the number of the instance: safe as a file's name and in the name
/// of a node attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName(String);

/// A text is not the name of a resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a resource's name: use letters, digits and _ . -, beginning with a letter or _"
)]
pub struct NotAResourceName {
    text: String,
}

impl ResourceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ResourceName {
    type Err = NotAResourceName;

    fn from_str(text: &str) -> Result<Self, NotAResourceName> {
        let name = match text.rsplit_once(':') {
            Some((name, instance)) if is_number(instance) => name,
            Some(_) | None => text,
        };
        let begins = |c: char| c.is_alphabetic() || c == '_';
        let fine = |c: char| c.is_alphanumeric() || "_.-".contains(c);
        if name.len() > 200 || !name.starts_with(begins) || !name.chars().all(fine) {
            return Err(NotAResourceName { text: text.chars().take(40).collect() });
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The environment of one invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Env {
    /// The resource.
    pub resource: ResourceName,
    /// When Pacemaker kills the action, counted from its start.
    pub timeout: Option<Duration>,
    /// How often the action recurs; zero for a probe and for actions that don't recur.
    pub interval: Option<Duration>,
    /// The role for which the action is configured.
    pub role: Option<Role>,
    /// The exit code that Pacemaker expects of this monitor.
    pub expected: Option<ExitCode>,
    /// How thorough a monitor is to be.
    pub check_level: u32,
    /// The node on which Pacemaker runs the action.
    pub on_node: Option<NodeName>,
    /// The host that carries that node, where it is a guest node or a bundle's container: pgtwin does
    /// not run there.
    pub physical_host: Option<String>,
    /// How many instances the clone may have; Pacemaker says the number of nodes where the owner does not.
    pub clone_max: Option<u32>,
    /// Whether there is no clone at all: ocf-tester, or a call by hand.
    standalone: bool,
    pacemaker: bool,
    recurs: bool,
    /// What was malformed, one line each.
    pub problems: Vec<EnvProblem>,
}

/// A variable that can't be used; it counts as not said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}={value:?} is not {expected}; it is disregarded")]
pub struct EnvProblem {
    variable: String,
    value: String,
    expected: &'static str,
}

/// Why an environment can't be used at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// No resource is named.
    #[error("OCF_RESOURCE_INSTANCE is not set: run this through Pacemaker, or set it by hand")]
    NoResource,
    /// Its name can't be used.
    #[error("OCF_RESOURCE_INSTANCE can't be used")]
    BadResource(#[source] NotAResourceName),
}

impl Env {
    /// Reads the variables.
    pub fn parse(vars: &BTreeMap<String, String>) -> Result<Self, EnvError> {
        let resource = text(vars, "OCF_RESOURCE_INSTANCE").ok_or(EnvError::NoResource)?;
        let resource = resource.parse().map_err(EnvError::BadResource)?;
        let mut read = Reader { vars, problems: Vec::new() };
        let env = Self {
            resource,
            timeout: read
                .meta("timeout", "a time in ms", milliseconds)
                .filter(|timeout| !timeout.is_zero()),
            interval: read.meta("interval", "a time in ms", milliseconds),
            role: read.meta("role", "Promoted or Unpromoted", role),
            expected: read.meta("op_target_rc", "an exit code", exit_code),
            check_level: read.get("OCF_CHECK_LEVEL", "a number", whole).unwrap_or(0),
            on_node: read.meta("on_node", "a node's name", |text| text.parse().ok()),
            physical_host: read.meta("physical_host", "a host's name", short),
            clone_max: read.meta("clone_max", "a number", whole),
            standalone: !vars.contains_key(&format!("{META}clone_max")),
            pacemaker: vars.contains_key("OCF_RESKEY_crm_feature_set"),
            recurs: vars.contains_key(&format!("{META}interval")),
            problems: Vec::new(),
        };
        Ok(Self { problems: read.problems, ..env })
    }

    /// Whether there is no cluster behind this call. Decided by what Pacemaker gives every clone,
    /// never by a cluster tool that failed.
    pub fn standalone(&self) -> bool {
        self.standalone
    }

    /// Whether Pacemaker runs it as a plain resource. It would have no ledger, no election and no
    /// notifications there. (Pacemaker says which features it has; ocf-tester does not.)
    pub fn outside_a_clone(&self) -> bool {
        self.standalone && self.pacemaker
    }

    /// Whether a monitor with this environment is a probe: Pacemaker asks what runs here, and
    /// expects nothing.
    ///
    /// The standard says an interval of 0. Pacemaker (3.0.0, as captured) gives a probe no interval at
    /// all, and OCF's shell functions take that for 0 as well.
    pub fn is_probe(&self) -> bool {
        self.interval == Some(Duration::ZERO) || !self.recurs
    }

    /// Whether Pacemaker takes this node's instance for the primary, as far as this call tells.
    pub fn expects_promoted(&self) -> bool {
        match self.expected {
            Some(ExitCode::RunningPromoted | ExitCode::DegradedPromoted) => true,
            Some(_) => false,
            None => self.role == Some(Role::Promoted) && !self.is_probe(),
        }
    }
}

/// Reads variables and remembers what was wrong with them.
struct Reader<'a> {
    vars: &'a BTreeMap<String, String>,
    problems: Vec<EnvProblem>,
}

impl Reader<'_> {
    fn get<T>(
        &mut self,
        name: &str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = text(self.vars, name)?;
        let parsed = parse(value);
        if parsed.is_none() {
            let value = value.chars().take(80).collect();
            self.problems.push(EnvProblem { variable: name.to_owned(), value, expected });
        }
        parsed
    }

    fn meta<T>(
        &mut self,
        name: &str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.get(&format!("{META}{name}"), expected, parse)
    }
}

fn text<'a>(vars: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    vars.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn whole(text: &str) -> Option<u32> {
    is_number(text).then(|| text.parse().ok()).flatten()
}

fn milliseconds(text: &str) -> Option<Duration> {
    is_number(text).then(|| text.parse().ok()).flatten().map(Duration::from_millis)
}

fn exit_code(text: &str) -> Option<ExitCode> {
    text.parse().ok().and_then(ExitCode::from_code)
}

/// Master and slave are the words of Pacemaker before 2.1 and of old configurations.
fn role(text: &str) -> Option<Role> {
    match text.to_ascii_lowercase().as_str() {
        "promoted" | "master" => Some(Role::Promoted),
        "unpromoted" | "slave" => Some(Role::Unpromoted),
        _ => None,
    }
}

fn short(text: &str) -> Option<String> {
    (text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic())).then(|| text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        let mut vars: BTreeMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        vars.entry("OCF_RESOURCE_INSTANCE".into()).or_insert_with(|| "db:0".into());
        Env::parse(&vars).unwrap()
    }

    #[test]
    fn a_monitor_of_a_promotable_clone_is_understood() {
        let env = env(&[
            ("OCF_RESOURCE_INSTANCE", "postgres-db:1"),
            ("OCF_RESKEY_CRM_meta_timeout", "60000"),
            ("OCF_RESKEY_CRM_meta_interval", "3000"),
            ("OCF_RESKEY_CRM_meta_role", "Promoted"),
            ("OCF_RESKEY_CRM_meta_op_target_rc", "8"),
            ("OCF_RESKEY_CRM_meta_on_node", "n1"),
            ("OCF_RESKEY_CRM_meta_clone_max", "3"),
            ("OCF_RESKEY_CRM_meta_promoted_max", "1"),
            ("OCF_RESKEY_CRM_meta_notify", "true"),
            ("OCF_CHECK_LEVEL", "10"),
        ]);
        assert_eq!(env.resource.as_str(), "postgres-db");
        assert_eq!(env.timeout, Some(Duration::from_mins(1)));
        assert_eq!(env.interval, Some(Duration::from_secs(3)));
        assert_eq!((env.role, env.clone_max), (Some(Role::Promoted), Some(3)));
        assert_eq!(env.on_node.as_ref().map(NodeName::as_str), Some("n1"));
        assert_eq!((env.physical_host.as_deref(), env.check_level), (None, 10));
        assert!(!env.standalone() && !env.is_probe() && env.expects_promoted());
        assert_eq!(env.problems, []);
    }

    #[test]
    fn standalone_is_decided_by_the_clone_variable_alone() {
        assert!(env(&[]).standalone());
        assert!(env(&[("OCF_RESKEY_CRM_meta_timeout", "20000")]).standalone());
        assert!(!env(&[("OCF_RESKEY_CRM_meta_clone_max", "2")]).standalone());
        let odd = env(&[("OCF_RESKEY_CRM_meta_clone_max", "many")]);
        assert!(!odd.standalone() && odd.clone_max.is_none() && odd.problems.len() == 1);
    }

    #[test]
    fn a_plain_resource_under_pacemaker_is_told_from_a_call_by_hand() {
        let feature = ("OCF_RESKEY_crm_feature_set", "3.20.0");
        assert!(env(&[feature]).outside_a_clone());
        assert!(!env(&[]).outside_a_clone());
        assert!(!env(&[feature, ("OCF_RESKEY_CRM_meta_clone_max", "2")]).outside_a_clone());
    }

    #[test]
    fn regression_a_probe_has_an_interval_of_zero_or_none_at_all() {
        assert!(env(&[("OCF_RESKEY_CRM_meta_interval", "0")]).is_probe());
        assert!(!env(&[("OCF_RESKEY_CRM_meta_interval", "3000")]).is_probe());
        // What Pacemaker 3.0.0 really says in a probe.
        let probe = env(&[
            ("OCF_RESKEY_CRM_meta_timeout", "120000"),
            ("OCF_RESKEY_CRM_meta_on_node", "n2"),
            ("OCF_RESKEY_CRM_meta_notify", "true"),
            ("OCF_RESKEY_CRM_meta_promoted_max", "1"),
            ("OCF_RESKEY_CRM_meta_clone_max", "2"),
            ("OCF_RESKEY_CRM_meta_clone", "1"),
        ]);
        assert!(probe.is_probe() && !probe.expects_promoted());
        let odd = env(&[("OCF_RESKEY_CRM_meta_interval", "soon")]);
        assert!(!odd.is_probe(), "one that recurs, who knows how often");
    }

    #[test]
    fn the_expected_code_says_more_than_the_role() {
        let rows = [
            (None, None, None, false),
            (Some("Promoted"), None, Some("3000"), true),
            (Some("Master"), None, Some("3000"), true),
            (Some("Slave"), None, Some("8000"), false),
            (Some("Promoted"), None, Some("0"), false),
            (Some("Promoted"), Some("7"), Some("0"), false),
            (None, Some("8"), Some("3000"), true),
            (Some("Unpromoted"), Some("0"), Some("8000"), false),
        ];
        for (role, target, interval, expected) in rows {
            let pairs: Vec<(&str, &str)> = [
                role.map(|v| ("OCF_RESKEY_CRM_meta_role", v)),
                target.map(|v| ("OCF_RESKEY_CRM_meta_op_target_rc", v)),
                interval.map(|v| ("OCF_RESKEY_CRM_meta_interval", v)),
            ]
            .into_iter()
            .flatten()
            .collect();
            assert_eq!(env(&pairs).expects_promoted(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_malformed_variable_is_a_problem_and_counts_as_not_said() {
        let rows = [
            ("OCF_RESKEY_CRM_meta_timeout", "60s"),
            ("OCF_RESKEY_CRM_meta_timeout", "-1"),
            ("OCF_RESKEY_CRM_meta_timeout", "99999999999999999999999"),
            ("OCF_RESKEY_CRM_meta_interval", "+3"),
            ("OCF_RESKEY_CRM_meta_role", "King"),
            ("OCF_RESKEY_CRM_meta_op_target_rc", "11"),
            ("OCF_RESKEY_CRM_meta_on_node", "n 1"),
            ("OCF_RESKEY_CRM_meta_physical_host", "h 1"),
            ("OCF_CHECK_LEVEL", "deep"),
        ];
        let quiet = env(&[]);
        for (name, value) in rows {
            let got = env(&[(name, value)]);
            assert_eq!(got.problems.len(), 1, "{name}={value}");
            let line = got.problems[0].to_string();
            assert!(line.starts_with(name) && !line.contains('\n'), "{line}");
            // But that it recurs is known, however often.
            let recurs = name.ends_with("_interval");
            assert_eq!(got.is_probe(), !recurs, "{name}={value}");
            let got = Env { problems: Vec::new(), recurs: false, ..got };
            assert_eq!(got, quiet, "{name}={value}");
        }
    }

    #[test]
    fn no_timeout_is_not_a_problem() {
        let env = env(&[("OCF_RESKEY_CRM_meta_timeout", "0")]);
        assert_eq!((env.timeout, env.problems.len()), (None, 0));
    }

    #[test]
    fn a_resource_name_loses_its_instance_and_is_safe_as_a_file_name() {
        let rows = [
            ("db", Some("db")),
            ("db:0", Some("db")),
            ("db:12", Some("db")),
            ("_a.b-c", Some("_a.b-c")),
            ("donn\u{e9}es:1", Some("donn\u{e9}es")),
            ("db:x", None),
            ("db:0:1", None),
            (":0", None),
            ("..", None),
            (".db", None),
            ("a/b", None),
            ("a b", None),
            ("a\nb", None),
            ("7up", None),
        ];
        for (text, expected) in rows {
            let name = text.parse::<ResourceName>().ok();
            assert_eq!(name.as_ref().map(ResourceName::as_str), expected, "{text:?}");
        }
        assert!("x".repeat(201).parse::<ResourceName>().is_err());
    }

    #[test]
    fn without_a_resource_there_is_nothing_to_do() {
        assert_eq!(Env::parse(&BTreeMap::new()), Err(EnvError::NoResource));
        let bad = BTreeMap::from([("OCF_RESOURCE_INSTANCE".to_owned(), "../etc".to_owned())]);
        assert!(matches!(Env::parse(&bad), Err(EnvError::BadResource(_))));
    }
}
