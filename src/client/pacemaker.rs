//! Asking and telling Pacemaker, through its command line tools. Floor 2.
//!
//! A tool that is missing, hangs, fails or prints rubbish leaves the fact unknown; only an answer
//! that is whole and understood is one. Writing returns `Known(())` once Pacemaker has accepted the
//! change, which says nothing about what the other nodes have seen; `Unknown` means that it may or
//! may not have been made.

mod commands;
pub mod configure;
pub mod moving;
mod simulate;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::attributes;
use crate::cluster::cib::{Cib, OWN_PREFIX, score};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::topology::ClusterStatus;
use crate::decide::view::state_attribute;
use crate::sys::chain;
use crate::sys::exec::{Cmd, Ended, Exec, ExecError, Output};
use crate::sys::log::one_line;

/// Variables of the caller that change how a tool reaches the daemons of its cluster: pass these
/// on, where they are set. (A CIB larger than the IPC buffer cannot be read without the second.)
pub const ENVIRONMENT: [&str; 2] = ["PCMK_ipc_type", "PCMK_ipc_buffer"];

/// Why a tool was of no use.
#[derive(Debug, thiserror::Error)]
pub enum PacemakerError {
    /// It could not be run.
    #[error("{program} could not be run")]
    Exec {
        /// The tool.
        program: String,
        /// Why.
        source: ExecError,
    },
    /// It did not end in time.
    #[error("{program} gave no answer within {} ms", .limit.as_millis())]
    TimedOut {
        /// The tool.
        program: String,
        /// Our limit.
        limit: Duration,
    },
    /// A signal ended it.
    #[error("{program} was killed by signal {signal}")]
    Killed {
        /// The tool.
        program: String,
        /// The signal.
        signal: i32,
    },
    /// It failed.
    #[error("{program} failed with exit code {code}: {words}{}", advice(*.code))]
    Failed {
        /// The tool.
        program: String,
        /// Its exit code.
        code: i32,
        /// What it said.
        words: String,
    },
    /// It printed something else than an answer.
    #[error("{words}{}", advice(*.code))]
    Rubbish {
        /// Its exit code.
        code: i32,
        /// What is wrong with it.
        words: String,
    },
    /// We do not send that.
    #[error("{0:.60?} cannot be stored in Pacemaker: {1}")]
    Value(String, &'static str),
}

/// What to do about an exit code of Pacemaker's.
fn advice(code: i32) -> &'static str {
    match code {
        // CRM_EX_DISCONNECT
        102 => " (is Pacemaker running on this node?)",
        // CRM_EX_INSUFFICIENT_PRIV
        4 => " (only root and members of the group haclient may ask)",
        // CRM_EX_QUORUM
        109 => " (this partition has no quorum)",
        // CRM_EX_TIMEOUT
        124 => " (is there a designated controller? see crm_mon)",
        _ => "",
    }
}

/// The transient attributes by which the members of a clone talk to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// How far a member's data goes, for an election.
    Position,
    /// Which ledger entry a member has on disk.
    Ack,
    /// Where a primary's WAL ended when it was shut down.
    Shutdown,
    /// How far a member is whose data is being brought back, in words.
    Progress,
    /// What a member remembers of itself, for people.
    History,
    /// How far an order stands that was given on another node, for whoever gave it.
    Rebuild,
    /// What a member has found of the image that its PostgreSQL would run in.
    Image,
    /// What a member is doing, in one word. The only one that is in the CIB: location rules and
    /// `crm_mon -A` see no private attributes. Written rarely, and never in a pre-notification.
    State,
}

impl Attribute {
    /// Its name in Pacemaker.
    pub fn name(self, resource: &str) -> String {
        let kind = match self {
            Self::Position => "position",
            Self::Ack => "ack",
            Self::Shutdown => "shutdown",
            Self::Progress => "progress",
            Self::History => "history",
            Self::Rebuild => "rebuild",
            Self::Image => "image",
            Self::State => return state_attribute(resource),
        };
        format!("{OWN_PREFIX}{resource}-{kind}")
    }

    /// Whether only the attribute managers know it. A private attribute never reaches the CIB and
    /// aborts no transition. Like every transient attribute it is gone from all nodes when its node
    /// leaves or its attribute manager is restarted.
    pub fn is_private(self) -> bool {
        match self {
            Self::Position
            | Self::Ack
            | Self::Shutdown
            | Self::Progress
            | Self::History
            | Self::Rebuild
            | Self::Image => true,
            Self::State => false,
        }
    }
}

/// A question that several tools answer at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `Pacemaker::status`.
    Status,
    /// `Pacemaker::cib`.
    Cib,
    /// `Pacemaker::read_all`.
    All(Attribute),
}

/// Something that Pacemaker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'n> {
    /// `Pacemaker::set_score`.
    Score(&'n NodeName, i32),
    /// `Pacemaker::delete_score`.
    NoScore(&'n NodeName),
    /// `Pacemaker::publish`.
    Publish(Attribute, &'n str),
    /// `Pacemaker::withdraw`.
    Withdraw(Attribute, &'n NodeName),
    /// `Pacemaker::write_ledger`.
    Ledger(&'n NodeName, &'n str),
}

/// Pacemaker, asked and told about one resource.
#[derive(Clone)]
pub struct Pacemaker<'a> {
    exec: &'a dyn Exec,
    resource: String,
    env: Vec<(String, String)>,
    /// Answers that came together with another one, each for whoever asks next.
    ahead: RefCell<Vec<(Cmd, Output)>>,
    /// The attribute manager has let a limit pass without an answer.
    mute: Cell<bool>,
}

/// What asks and tells the attribute manager.
const ATTRIBUTES: &str = "attrd_updater";
/// How long one that has been silent is waited for from then on: a notification that asks it five times must not
/// keep a promotion waiting for five limits.
const ONCE_MUTE: Duration = Duration::from_millis(500);

impl<'a> Pacemaker<'a> {
    /// For this primitive (an instance number as in `db:0` is ignored).
    pub fn new(exec: &'a dyn Exec, resource: &str) -> Self {
        let resource = match resource.rsplit_once(':') {
            Some((base, number)) if number.bytes().all(|b| b.is_ascii_digit()) => base,
            _ => resource,
        };
        Self {
            exec,
            resource: resource.to_owned(),
            env: Vec::new(),
            ahead: RefCell::new(Vec::new()),
            mute: Cell::new(false),
        }
    }

    /// Passes these variables on to the tools; see `ENVIRONMENT`.
    #[must_use]
    pub fn with_env(mut self, env: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env.extend(env);
        self
    }

    /// The resource.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Asks all of these at the same time: each tool spends most of its time waiting for a daemon.
    /// The next call of `status`, `cib` or `read_all` for one of them gets the answer; what is left
    /// over is thrown away by the next call of this.
    pub fn ask_together(&self, questions: &[Question], limit: Duration) {
        let cmds: Vec<Cmd> = questions
            .iter()
            .map(|question| match question {
                Question::Status => commands::status(limit),
                Question::Cib => commands::cib(limit),
                Question::All(attribute) => {
                    commands::read_all(&attribute.name(&self.resource), limit)
                }
            })
            .map(|cmd| self.with_variables(cmd))
            .collect();
        let answers = self.exec.run_all(&cmds);
        let good = cmds.into_iter().zip(answers);
        *self.ahead.borrow_mut() =
            good.filter_map(|(cmd, answer)| Some((cmd, answer.ok()?))).collect();
    }

    /// Tells all of this at the same time, in no order: only what does not depend on the rest. The
    /// answers are those of the single calls.
    pub fn tell_all(&self, news: &[News<'_>], limit: Duration) -> Vec<Known<()>> {
        let wanted: Vec<Result<Cmd, PacemakerError>> =
            news.iter().map(|one| self.command_of(*one, limit)).collect();
        let cmds: Vec<Cmd> = wanted.iter().flatten().cloned().collect();
        let mut answers = self.exec.run_all(&cmds).into_iter();
        let mut answer = |cmd: Cmd| match answers.next() {
            Some(answer) => self.exit_code_0(&cmd, answer),
            None => Err(PacemakerError::Value(cmd.program, "it was not run")),
        };
        wanted.into_iter().map(|cmd| known(cmd.and_then(&mut answer))).collect()
    }

    fn command_of(&self, news: News<'_>, limit: Duration) -> Result<Cmd, PacemakerError> {
        let cmd = match news {
            News::Score(node, score) => commands::set_score(&self.resource, node, score, limit),
            News::NoScore(node) => commands::delete_score(&self.resource, node, limit),
            News::Publish(attribute, value) => {
                storable(value)?;
                let name = attribute.name(&self.resource);
                commands::publish(&name, value, attribute.is_private(), limit)
            }
            News::Withdraw(attribute, node) => {
                let name = attribute.name(&self.resource);
                commands::withdraw(&name, node, attribute.is_private(), limit)
            }
            News::Ledger(node, text) => {
                storable(text)?;
                let (set, name) = self.ledger_name(node);
                commands::set_property(&set, &name, text, limit)
            }
        };
        Ok(self.with_variables(cmd))
    }

    fn with_variables(&self, mut cmd: Cmd) -> Cmd {
        cmd.env.extend(self.env.iter().cloned());
        if self.mute.get() && cmd.program == ATTRIBUTES {
            cmd.limit = cmd.limit.min(ONCE_MUTE);
        }
        cmd
    }

    fn exit_code_0(
        &self,
        cmd: &Cmd,
        answer: Result<Output, ExecError>,
    ) -> Result<(), PacemakerError> {
        match self.ended(cmd, answer)? {
            (0, _) => Ok(()),
            (code, output) => Err(failed(cmd.program.clone(), code, &output)),
        }
    }

    /// The status of the cluster, as this node sees it.
    pub fn status(&self, limit: Duration) -> Known<ClusterStatus> {
        known(self.answer(commands::status(limit), ClusterStatus::parse))
    }

    /// This node's copy of the CIB.
    pub fn cib(&self, limit: Duration) -> Known<Cib> {
        known(self.stdout(commands::cib(limit)).and_then(|text| {
            Cib::parse(&text)
                .map_err(|error| PacemakerError::Rubbish { code: 0, words: error.to_string() })
        }))
    }

    /// The name of this node: what Pacemaker told the action (`OCF_RESKEY_CRM_meta_on_node`), else
    /// what it says when asked.
    pub fn local_node(&self, on_node: Option<&str>, limit: Duration) -> Known<NodeName> {
        if let Some(Ok(name)) = on_node.map(str::parse) {
            return Known::Known(name);
        }
        known(self.stdout(commands::local_node(limit)).and_then(|text| {
            text.trim().parse().map_err(|error: crate::cluster::node::NotANodeName| {
                PacemakerError::Rubbish { code: 0, words: format!("crm_node: {error}") }
            })
        }))
    }

    /// Sets the promotion score of a node, until its Pacemaker stops. Only for nodes that are online:
    /// one set for a node that is offline may be waiting for it when it returns. `scores` shows the
    /// change a moment later.
    pub fn set_score(&self, node: &NodeName, score: i32, limit: Duration) -> Known<()> {
        self.tell(commands::set_score(&self.resource, node, score, limit))
    }

    /// Sets a promotion score that the CIB has not. What the attribute manager holds already, it does not write
    /// again: when a node's controller has died, or the node was away for less than a second, the other
    /// controllers delete its attributes from the CIB, its attribute manager keeps them, and they are missing
    /// from then on (seen on 3.0.0). Then it is told to write everything again. True if it was.
    pub fn set_missing_score(&self, node: &NodeName, score: i32, limit: Duration) -> Known<bool> {
        let lost =
            matches!(self.scores(limit), Known::Known(held) if held.get(node) == Some(&score));
        let told = self.set_score(node, score, limit);
        if !lost {
            return told.map(|()| false);
        }
        told.and_then(|()| self.tell(commands::write_again(limit))).map(|()| true)
    }

    /// Removes the promotion score of a node.
    pub fn delete_score(&self, node: &NodeName, limit: Duration) -> Known<()> {
        self.tell(commands::delete_score(&self.resource, node, limit))
    }

    /// The promotion scores, as the attribute manager has them: they reach the CIB, and with it the
    /// scheduler, a moment later.
    pub fn scores(&self, limit: Duration) -> Known<BTreeMap<NodeName, i32>> {
        let name = format!("master-{}", self.resource);
        self.read(&name, limit).and_then(|texts| {
            let mut scores = BTreeMap::new();
            for (node, text) in texts {
                match score(&text) {
                    Some(value) => scores.insert(node, value),
                    None => return Known::unknown(format!("{name} of {node} is {text:?}")),
                };
            }
            Known::Known(scores)
        })
    }

    /// Has Pacemaker forget what was done on a node, look at the instance there, and go on with its monitor.
    pub fn refresh(&self, node: &NodeName, limit: Duration) -> Known<()> {
        self.tell(commands::refresh(&self.resource, node, limit))
    }

    /// Tells the others something about this node. Printable ASCII only: 2.1.5 does not preserve
    /// tabs and line feeds.
    pub fn publish(&self, attribute: Attribute, value: &str, limit: Duration) -> Known<()> {
        let name = attribute.name(&self.resource);
        match storable(value) {
            Ok(()) => self.tell(commands::publish(&name, value, attribute.is_private(), limit)),
            Err(error) => Known::Unknown(chain(&error)),
        }
    }

    /// Takes back what a node (this one, mostly) has told the others.
    pub fn withdraw(&self, attribute: Attribute, node: &NodeName, limit: Duration) -> Known<()> {
        let name = attribute.name(&self.resource);
        self.tell(commands::withdraw(&name, node, attribute.is_private(), limit))
    }

    /// What each node has told; nodes that say nothing are left out.
    pub fn read_all(
        &self,
        attribute: Attribute,
        limit: Duration,
    ) -> Known<BTreeMap<NodeName, String>> {
        self.read(&attribute.name(&self.resource), limit)
    }

    /// Writes a node's part of the ledger to the CIB. This waits while the membership is changing
    /// (corosync's token timeout and consensus); if the limit cuts that short, the write may still
    /// be made.
    pub fn write_ledger(&self, node: &NodeName, text: &str, limit: Duration) -> Known<()> {
        let (set, name) = self.ledger_name(node);
        match storable(text) {
            Ok(()) => self.tell(commands::set_property(&set, &name, text, limit)),
            Err(error) => Known::Unknown(chain(&error)),
        }
    }

    /// Makes the CIB win over any copy whose `admin_epoch` is lower. Refused if it is as high by now.
    pub fn raise_admin_epoch(&self, epoch: u64, limit: Duration) -> Known<()> {
        self.tell(commands::admin_epoch(epoch, limit))
    }

    /// Removes a node's part of the ledger from the CIB.
    pub fn delete_ledger(&self, node: &NodeName, limit: Duration) -> Known<()> {
        let (set, name) = self.ledger_name(node);
        self.tell(commands::delete_property(&set, &name, limit))
    }

    fn ledger_name(&self, node: &NodeName) -> (String, String) {
        let set = format!("{OWN_PREFIX}{}", self.resource);
        let name = format!("{set}-ledger-{node}");
        (set, name)
    }

    fn read(&self, name: &str, limit: Duration) -> Known<BTreeMap<NodeName, String>> {
        known(self.answer(commands::read_all(name, limit), |text| attributes::parse(name, text)))
    }

    /// Runs a tool that reports its own failures in XML.
    fn answer<T, E: std::fmt::Display>(
        &self,
        cmd: Cmd,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, PacemakerError> {
        let program = cmd.program.clone();
        let (code, output) = self.run(cmd)?;
        match parse(&output.stdout) {
            // "No such attribute" is an answer, and has a code of its own.
            Ok(answer) if code == 0 || code == 78 => Ok(answer),
            Ok(_) => Err(failed(program, code, &output)),
            Err(_) if output.stdout.trim().is_empty() => Err(failed(program, code, &output)),
            Err(error) => Err(PacemakerError::Rubbish { code, words: error.to_string() }),
        }
    }

    /// Runs a tool that has to exit with 0; its standard output.
    fn stdout(&self, cmd: Cmd) -> Result<String, PacemakerError> {
        let program = cmd.program.clone();
        match self.run(cmd)? {
            (0, output) => Ok(output.stdout),
            (code, output) => Err(failed(program, code, &output)),
        }
    }

    fn tell(&self, cmd: Cmd) -> Known<()> {
        known(self.stdout(cmd).map(|_| ()))
    }

    fn run(&self, cmd: Cmd) -> Result<(i32, Output), PacemakerError> {
        let cmd = self.with_variables(cmd);
        let mut ahead = self.ahead.borrow_mut();
        let same = |one: &Cmd| one.program == cmd.program && one.args == cmd.args;
        let answer = match ahead.iter().position(|(one, _)| same(one)) {
            Some(at) => Ok(ahead.swap_remove(at).1),
            None => self.exec.run(&cmd),
        };
        self.ended(&cmd, answer)
    }

    fn ended(
        &self,
        cmd: &Cmd,
        answer: Result<Output, ExecError>,
    ) -> Result<(i32, Output), PacemakerError> {
        let (program, limit) = (cmd.program.clone(), cmd.limit);
        match answer {
            Err(source) => Err(PacemakerError::Exec { program, source }),
            Ok(output) => match output.ended {
                Ended::Exited(code) => Ok((code, output)),
                Ended::Signaled(signal) => Err(PacemakerError::Killed { program, signal }),
                Ended::TimedOut => {
                    if program == ATTRIBUTES {
                        self.mute.set(true);
                    }
                    Err(PacemakerError::TimedOut { program, limit })
                }
            },
        }
    }
}

/// The longest reason why something is not known, in bytes. Tools may say anything.
const WHY: usize = 1000;

fn known<T>(result: Result<T, PacemakerError>) -> Known<T> {
    match result {
        Ok(value) => Known::Known(value),
        Err(error) => Known::Unknown(one_line(&chain(&error), WHY)),
    }
}

fn failed(program: String, code: i32, output: &Output) -> PacemakerError {
    let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    let words: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let words = match words.as_slice() {
        [] => "it said nothing".to_owned(),
        lines => lines.iter().take(3).copied().collect::<Vec<_>>().join("; "),
    };
    PacemakerError::Failed { program, code, words: words.chars().take(400).collect() }
}

/// Whether all versions give a value back as it was, and crmsh and pcs can show it.
fn storable(value: &str) -> Result<(), PacemakerError> {
    let refuse = |why| Err(PacemakerError::Value(value.to_owned(), why));
    if value.is_empty() {
        return refuse("an empty value is how one is deleted");
    }
    if !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return refuse("only printable ASCII is");
    }
    // The attribute manager and the CIB do arithmetic on such values: `value++`, `NAME+=5`.
    if value.split(' ').next().is_some_and(|word| word.ends_with("++") || word.contains("+=")) {
        return refuse("Pacemaker would take it for a sum");
    }
    // A message between daemons and tools has at most 128 KiB.
    if value.len() > 32 * 1024 {
        return refuse("it is longer than 32 KiB");
    }
    Ok(())
}
