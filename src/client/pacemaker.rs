//! Pacemaker through its own command line tools. Floor 2.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::cib::Cib;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::topology::ClusterStatus;
use crate::cluster::xml;
use crate::sys::chain;
use crate::sys::exec::{Cmd, Ended, Exec, Output};

/// A private transient node attribute of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// How far a member's data goes, in an election.
    Position,
    /// Which ledger entry a member has on disk.
    Ack,
    /// Where the WAL of a primary ends that was shut down in order.
    Shutdown,
    /// What a member does, in a word.
    State,
}

impl Attribute {
    fn suffix(self) -> &'static str {
        match self {
            Self::Position => "position",
            Self::Ack => "ack",
            Self::Shutdown => "shutdown",
            Self::State => "state",
        }
    }
}

/// The cluster's tools, for one resource.
pub struct Pacemaker<'a> {
    exec: &'a dyn Exec,
    resource: String,
}

impl<'a> Pacemaker<'a> {
    /// The tools, for the primitive of this id.
    pub fn new(exec: &'a dyn Exec, resource: &str) -> Self {
        Self { exec, resource: resource.to_owned() }
    }

    fn name(&self, attribute: Attribute) -> String {
        format!("pgtwin-{}-{}", self.resource, attribute.suffix())
    }

    fn run(&self, cmd: &Cmd) -> Known<Output> {
        match self.exec.run(cmd) {
            Err(error) => Known::Unknown(chain(&error)),
            Ok(output) => match output.ended {
                Ended::TimedOut => Known::unknown(format!("{} did not answer", cmd.program)),
                Ended::Signaled(signal) => {
                    Known::unknown(format!("{} was killed by signal {signal}", cmd.program))
                }
                Ended::Exited(_) => Known::Known(output),
            },
        }
    }

    fn done(&self, cmd: &Cmd) -> Known<()> {
        self.run(cmd).and_then(
            |output| {
                if output.ok() { Known::Known(()) } else { failed(cmd, &output) }
            },
        )
    }

    /// crm_mon.
    pub fn status(&self, limit: Duration) -> Known<ClusterStatus> {
        let cmd = Cmd::new("crm_mon")
            .args(["--one-shot", "--output-as=xml", "--inactive", "--fence-history=2"])
            .limit(limit);
        self.run(&cmd).and_then(|output| match ClusterStatus::parse(&output.stdout) {
            Ok(status) => Known::Known(status),
            Err(error) if output.ok() => Known::Unknown(format!("crm_mon: {}", chain(&error))),
            Err(_) => failed(&cmd, &output),
        })
    }

    /// The whole CIB.
    pub fn cib(&self, limit: Duration) -> Known<Cib> {
        let cmd = Cmd::new("cibadmin").arg("--query").limit(limit);
        self.run(&cmd).and_then(|output| {
            if !output.ok() {
                return failed(&cmd, &output);
            }
            Known::from(Cib::parse(&output.stdout))
        })
    }

    /// The name of this node.
    pub fn local_node(&self, limit: Duration) -> Known<NodeName> {
        let cmd = Cmd::new("crm_node").arg("--name").limit(limit);
        self.run(&cmd).and_then(|output| {
            if !output.ok() {
                return failed(&cmd, &output);
            }
            Known::from(output.stdout.trim().parse::<NodeName>())
        })
    }

    /// Sets the promotion score of a node.
    pub fn set_score(&self, node: &NodeName, score: i32, limit: Duration) -> Known<()> {
        self.done(
            &Cmd::new("crm_attribute")
                .args(["--node", node.as_str(), "--lifetime", "reboot"])
                .args(["--name", &format!("master-{}", self.resource)])
                .args(["--update", &score.to_string()])
                .limit(limit),
        )
    }

    /// Removes the promotion score of a node.
    pub fn delete_score(&self, node: &NodeName, limit: Duration) -> Known<()> {
        self.done(
            &Cmd::new("crm_attribute")
                .args(["--node", node.as_str(), "--lifetime", "reboot"])
                .args(["--name", &format!("master-{}", self.resource), "--delete"])
                .limit(limit),
        )
    }

    /// Publishes a value of this node.
    pub fn publish(&self, attribute: Attribute, value: &str, limit: Duration) -> Known<()> {
        self.done(
            &Cmd::new("attrd_updater")
                .args(["--private", "--name", &self.name(attribute), "--update", value])
                .limit(limit),
        )
    }

    /// Removes a node's value.
    pub fn withdraw(&self, attribute: Attribute, node: &NodeName, limit: Duration) -> Known<()> {
        self.done(
            &Cmd::new("attrd_updater")
                .args(["--private", "--name", &self.name(attribute), "--delete"])
                .args(["--node", node.as_str()])
                .limit(limit),
        )
    }

    /// The values of all nodes.
    pub fn read_all(
        &self,
        attribute: Attribute,
        limit: Duration,
    ) -> Known<BTreeMap<NodeName, String>> {
        let cmd = Cmd::new("attrd_updater")
            .args(["--query", "--all", "--output-as=xml", "--name", &self.name(attribute)])
            .limit(limit);
        self.run(&cmd).and_then(|output| {
            // 6 (ENXIO) or 105: nobody has such an attribute.
            if matches!(output.ended, Ended::Exited(6 | 105)) {
                return Known::Known(BTreeMap::new());
            }
            if !output.ok() {
                return failed(&cmd, &output);
            }
            let root = match xml::parse(&output.stdout) {
                Ok(root) => root,
                Err(error) => return Known::Unknown(format!("attrd_updater: {error}")),
            };
            let mut values = BTreeMap::new();
            for found in root.children_named("attribute") {
                let (Some(host), Some(value)) = (found.attr("host"), found.attr("value")) else {
                    continue;
                };
                if let Ok(node) = host.parse() {
                    values.insert(node, value.to_owned());
                }
            }
            Known::Known(values)
        })
    }

    /// Writes a slot of the ledger into the CIB.
    pub fn write_ledger(&self, node: &NodeName, text: &str, limit: Duration) -> Known<()> {
        self.done(
            &Cmd::new("crm_attribute")
                .args(["--type", "crm_config"])
                .args(["--set-name", &format!("pgtwin-{}", self.resource)])
                .args(["--name", &format!("pgtwin-{}-ledger-{node}", self.resource)])
                .args(["--update", text])
                .limit(limit),
        )
    }

    /// Removes a slot of the ledger from the CIB.
    pub fn delete_ledger(&self, node: &NodeName, limit: Duration) -> Known<()> {
        self.done(
            &Cmd::new("crm_attribute")
                .args(["--type", "crm_config"])
                .args(["--set-name", &format!("pgtwin-{}", self.resource)])
                .args(["--name", &format!("pgtwin-{}-ledger-{node}", self.resource), "--delete"])
                .limit(limit),
        )
    }
}

fn failed<T>(cmd: &Cmd, output: &Output) -> Known<T> {
    let said = output.stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Known::unknown(format!("{} failed ({:?}): {said}", cmd.program, output.ended))
}
