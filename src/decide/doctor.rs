//! What would make for a bad night: one table of checks over what was seen of the cluster, this
//! node's PostgreSQL and this machine. Floor 1.
//!
//! A check says at least one thing, each with its verdict and, unless all is well, what to type. What
//! cannot be decided is `Unknown`, and never well.

mod access;
mod address;
mod clone;
mod docs;
mod facts;
mod fencing;
mod host;
mod images;
mod names;
mod operations;
mod placement;
mod quorum;
mod settings;
mod slots;
mod standbys;
mod table;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
mod text;
mod timelines;
mod versions;

use serde::Serialize;

pub use super::wanted::Shell;
pub use docs::markdown;
pub use facts::{
    BadLine, Facts, Here, Histories, Host, Images, Ipc, Login, Member, Peer, Remote, Role, Server,
    Slot, Value, Volume,
};
pub use standbys::asked_of_others;
pub use table::TABLE;
pub use text::Style;

use crate::cluster::cib::Setting;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;

/// How a check ends, the better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// All is well, or it does not apply here.
    Ok,
    /// It could not be decided.
    Unknown,
    /// It costs time, room or convenience, or will one day.
    Warn,
    /// It costs data, or the service, when something breaks.
    Fail,
}

impl Verdict {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Unknown => "UNKNOWN",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// What a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// The cluster's configuration and state: the same from every node.
    Cluster,
    /// PostgreSQL on this node, and how it reaches the others.
    Server,
    /// This machine.
    Node,
}

/// How it looks. One that says nothing has nothing to look at here, and is left out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Look {
    Cluster(fn(&Facts) -> Vec<Said>),
    /// Its state, which a file does not have.
    State(fn(&Facts) -> Vec<Said>),
    Server(fn(&Facts, &Member, &Server) -> Vec<Said>),
    Member(fn(&Facts, &Member) -> Vec<Said>),
}

/// One row of the table.
#[derive(Debug)]
pub struct Check {
    /// By which it is named and skipped; it stays the same over versions.
    pub id: &'static str,
    /// What it looks at.
    pub area: Area,
    /// What is well when it is well, in one line.
    pub title: &'static str,
    /// Why that matters.
    pub why: &'static str,
    look: Look,
}

/// What is to be done, in words and in commands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// A sentence.
    pub words: String,
    /// What to type, one command each.
    pub commands: Vec<String>,
}

/// What a check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    verdict: Verdict,
    words: String,
    remedy: Remedy,
}

impl Said {
    fn new(verdict: Verdict, words: impl Into<String>) -> Self {
        Self { verdict, words: words.into(), remedy: Remedy::default() }
    }

    fn ok(words: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, words)
    }

    fn warn(words: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, words)
    }

    fn fail(words: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, words)
    }

    fn unknown(why: impl Into<String>) -> Self {
        Self::new(Verdict::Unknown, why)
    }

    /// What is to be done.
    fn fix(mut self, words: impl Into<String>) -> Self {
        self.remedy.words = words.into();
        self
    }

    /// What is to be typed.
    fn run(mut self, command: impl Into<String>) -> Self {
        self.remedy.commands.push(command.into());
        self
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check.
    pub check: &'static str,
    /// Its verdict.
    pub verdict: Verdict,
    /// What was found, in words.
    pub words: String,
    /// What to do; empty where all is well.
    pub remedy: Remedy,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The primitive.
    pub resource: String,
    /// The node that looked; none: the configuration of a file was looked at.
    pub node: Option<NodeName>,
    /// In the order of the table.
    pub findings: Vec<Finding>,
    /// Checks that were not made, for they look at what is not here.
    pub left_out: Vec<&'static str>,
    /// Checks that the operator does not want to count.
    pub skipped: Vec<String>,
    /// Where it has to be run as well.
    pub run_on: Vec<NodeName>,
}

impl Report {
    /// The worst of all that counts.
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Unknown)
    }

    /// How many checks ended so: each counts once, with the worst that it said.
    pub fn count(&self, verdict: Verdict) -> usize {
        let worst = |check: &Check| {
            let of_it = self.findings.iter().filter(|finding| finding.check == check.id);
            of_it.map(|finding| finding.verdict).max()
        };
        TABLE.iter().filter(|check| worst(check) == Some(verdict)).count()
    }
}

/// The check of this name.
pub fn check_named(id: &str) -> Option<&'static Check> {
    TABLE.iter().find(|check| check.id == id)
}

/// Makes all checks but `skip`.
#[must_use]
pub fn examine(facts: &Facts, skip: &[String]) -> Report {
    let mut report = Report {
        resource: facts.resource.clone(),
        node: match &facts.here {
            Here::File => None,
            Here::NoMember(me) | Here::NotRoot(me) => Some(me.clone()),
            Here::Member(member) => Some(member.me.clone()),
        },
        findings: Vec::new(),
        left_out: Vec::new(),
        skipped: Vec::new(),
        run_on: Vec::new(),
    };
    report.run_on =
        facts.members.iter().filter(|node| Some(*node) != report.node.as_ref()).cloned().collect();
    for check in TABLE {
        if skip.iter().any(|id| id == check.id) {
            report.skipped.push(check.id.to_owned());
            continue;
        }
        let said = match (check.look, &facts.here) {
            (Look::Cluster(look), _)
            | (Look::State(look), Here::Member(_) | Here::NotRoot(_) | Here::NoMember(_)) => {
                look(facts)
            }
            (Look::Member(_) | Look::Server(_), Here::NotRoot(_)) => {
                vec![Said::unknown("only root may look at it").fix("Run it as root.")]
            }
            (Look::Member(look), Here::Member(member)) => look(facts, member),
            (Look::Server(look), Here::Member(member)) => match &member.server {
                Known::Known(server) => look(facts, member, server),
                Known::Unknown(why) => {
                    let words = format!("PostgreSQL on {} was not asked: {why}", member.me);
                    vec![Said::unknown(words).fix("Run it again while PostgreSQL runs here.")]
                }
            },
            (Look::Member(_) | Look::Server(_), Here::NoMember(_) | Here::File)
            | (Look::State(_), Here::File) => {
                report.left_out.push(check.id);
                continue;
            }
        };
        if said.is_empty() {
            report.left_out.push(check.id);
            continue;
        }
        let finding = |said: Said| Finding {
            check: check.id,
            verdict: said.verdict,
            words: plain(&said.words),
            remedy: Remedy {
                words: plain(&said.remedy.words),
                commands: said.remedy.commands.iter().map(|command| plain(command)).collect(),
            },
        };
        report.findings.extend(said.into_iter().map(finding));
    }
    report
}

/// Words that steer no terminal: some are a server's, or a file's.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A setting's text; unknown where a rule decides it.
fn text_of(name: &str, setting: Option<&Setting>) -> Known<Option<String>> {
    match setting {
        None => Known::Known(None),
        Some(Setting::Set(value)) => Known::Known(Some(value.clone())),
        Some(Setting::Conditional) => {
            Known::unknown(format!("{name} is set by a rule, or twice: what counts is not known"))
        }
    }
}

/// All is well, unless something was said.
fn or_ok(said: Vec<Said>, words: impl Into<String>) -> Vec<Said> {
    if said.is_empty() { vec![Said::ok(words)] } else { said }
}
