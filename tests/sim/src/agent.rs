//! The agent, act by act. What it decides is `pgtwin::decide`, and what it writes and reads are the real
//! ledger, positions and acknowledgements as text; the loops around that are those of `src/agent/`, told
//! again for model nodes: each sleep is a place where it may be killed or overtaken.

mod adopt;
mod care;
mod demote;
mod election;
mod ledger;
mod look;
mod monitor;
mod notify;
mod promote;
mod start;

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use pgtwin::cluster::node::NodeName;
use pgtwin::decide::token::{self, BARRED};
use pgtwin::ocf::notify::{Listed, Notification};

use crate::exec::Sim;
use crate::mutation::Mutation;
use crate::world::{Shared, Stack, name, say};

pub use pgtwin::ocf::notify::{What, When};

pub use ledger::{heirs_on_disk, intended_term};

/// A notification.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Before or after.
    pub when: When,
    /// Of what.
    pub what: What,
    /// Of whom.
    pub nodes: BTreeSet<usize>,
    /// Who is going to be promoted in the same transition.
    pub promote: BTreeSet<usize>,
}

impl Notice {
    /// Without a promotion in the same transition.
    pub fn of(when: When, what: What, nodes: &BTreeSet<usize>) -> Self {
        Self { when, what, nodes: nodes.clone(), promote: BTreeSet::new() }
    }

    /// As the agent reads it from Pacemaker's variables.
    fn as_read(&self) -> Notification {
        let listed = |nodes: &BTreeSet<usize>| {
            Listed::Nodes(nodes.iter().map(|node| name(*node)).collect::<Vec<_>>())
        };
        let of = |what| if self.what == what { listed(&self.nodes) } else { Listed::Unsaid };
        Notification {
            when: self.when,
            what: self.what,
            start: of(What::Start),
            stop: of(What::Stop),
            promote: match self.what {
                What::Promote => listed(&self.nodes),
                What::Start | What::Stop | What::Demote => listed(&self.promote),
            },
            demote: of(What::Demote),
            active: Listed::Unsaid,
            promoted: Listed::Unsaid,
            unpromoted: Listed::Unsaid,
            available: Listed::Unsaid,
            all: Listed::Unsaid,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}-{:?} {}", self.when, self.what, say(&self.nodes))
    }
}

/// An action.
#[derive(Clone, Debug)]
pub enum Action {
    /// What runs here?
    Probe,
    /// Start as a standby.
    Start,
    /// Stop.
    Stop,
    /// Make it the primary.
    Promote,
    /// Make it a standby; whether it stays, or a stop follows.
    Demote(bool),
    /// Look, and care; whether it is expected to be the primary.
    Monitor(bool),
    /// Take note.
    Notify(Notice),
    /// An operator's command: this node's data is the truth.
    Adopt,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe => f.write_str("probe"),
            Self::Start => f.write_str("start"),
            Self::Stop => f.write_str("stop"),
            Self::Promote => f.write_str("promote"),
            Self::Demote(_) => f.write_str("demote"),
            Self::Monitor(_) => f.write_str("monitor"),
            Self::Notify(notice) => write!(f, "notify {notice}"),
            Self::Adopt => f.write_str("pgtwin adopt"),
        }
    }
}

/// What an action answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It runs as a standby, also where something needs attention.
    Standby,
    /// It is the primary.
    Primary,
    /// It does not run.
    NotRunning,
    /// It failed.
    Fails(String),
}

/// The agent in one action.
pub struct Agent {
    sim: Rc<Sim>,
    me: usize,
}

/// Runs an action to its end.
pub async fn run(sim: &Rc<Sim>, me: usize, action: Action) -> Answer {
    let agent = Agent { sim: Rc::clone(sim), me };
    match action {
        Action::Probe => agent.probe().await,
        Action::Start => agent.start().await,
        Action::Stop => agent.stop().await,
        Action::Promote => agent.promote().await,
        Action::Demote(stays) => agent.demote(stays).await,
        Action::Monitor(promoted) => agent.monitor(promoted).await,
        Action::Notify(notice) => {
            agent.notify(&notice).await;
            Answer::Standby
        }
        Action::Adopt => agent.adopt().await,
    }
}

/// One look at the cluster, as this node's daemons have it.
#[derive(Clone, Debug)]
struct View {
    stack: Stack,
    quorum: bool,
    members: BTreeSet<usize>,
    standby: BTreeSet<usize>,
}

impl Agent {
    fn log(&self, line: &str) {
        self.sim.log(&format!("n{}: {line}", self.me + 1));
    }

    fn has(&self, mutation: Mutation) -> bool {
        self.sim.world.borrow().has(mutation)
    }

    async fn view(&self) -> View {
        self.sim.act().await;
        let world = self.sim.world.borrow();
        let standby = world.all().into_iter().filter(|node| world.nodes[*node].standby).collect();
        View {
            stack: world.nodes[self.me].stack.clone(),
            quorum: world.quorate(self.me),
            members: world.all(),
            standby,
        }
    }

    /// Tells the cluster.
    async fn tell(&self, change: impl Fn(&mut Shared) + 'static) {
        self.sim.act().await;
        self.sim.tell(self.me, change);
    }

    async fn set_score(&self, node: usize, score: i32) {
        self.tell(move |shared| {
            shared.scores.insert(node, score);
        })
        .await;
        if node == self.me {
            let since = (score == BARRED).then(|| self.sim.now());
            self.sim.world.borrow_mut().nodes[self.me].cache.barred = since;
        }
    }

    async fn delete_score(&self, node: usize) {
        self.tell(move |shared| {
            shared.scores.remove(&node);
        })
        .await;
    }

    async fn withdraw_position(&self, node: usize) {
        if self.has(Mutation::OldPositionsCount) {
            return;
        }
        self.tell(move |shared| {
            shared.position.remove(&node);
        })
        .await;
    }

    /// This node crashed as the primary a moment ago, and has barred itself.
    fn is_barred_already(&self) -> bool {
        let since = self.sim.world.borrow().nodes[self.me].cache.barred;
        let seconds = since.map(|since| (self.sim.now() - since) / 1_000);
        token::is_barred(seconds, self.own().as_ref(), &self.name())
    }
}

impl View {
    fn runs_on(&self, node: usize) -> bool {
        use crate::world::Role;
        match self.stack.shared.roles.get(&node) {
            Some(Role::Unpromoted | Role::Promoted | Role::Failed(_)) => true,
            Some(Role::Unknown | Role::Stopped | Role::Banned) | None => false,
        }
    }

    fn scores(&self) -> Vec<(usize, i32)> {
        let all = self.stack.shared.scores.iter();
        all.filter(|(_, score)| **score > 0).map(|(node, score)| (*node, *score)).collect()
    }

    fn running(&self) -> BTreeSet<NodeName> {
        self.members.iter().filter(|node| self.runs_on(**node)).map(|node| name(*node)).collect()
    }

    fn has_score(&self, node: usize) -> bool {
        self.scores().iter().any(|(one, _)| *one == node)
    }
}
