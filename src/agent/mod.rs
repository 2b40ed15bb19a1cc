//! Floor 3: the loop of observe, decide and act; one file an action.

pub mod adopt;
pub mod asked;
pub mod bootstrap;
pub mod broken;
pub mod care;
pub mod cared;
pub mod configure;
pub mod container;
pub mod demote;
pub mod examine;
pub mod force;
pub mod forget;
pub mod ledger;
pub mod monitor;
pub mod notify;
pub mod operate;
mod origin;
pub mod outcome;
pub mod outlook;
pub mod past;
pub mod pause;
pub mod pghba;
pub mod promote;
pub mod publish;
pub mod reach;
pub mod rebuild;
pub mod recover;
pub mod run;
pub mod slots;
pub mod start;
pub mod stop;
pub mod storage;
pub mod survey;
pub mod switchover;
pub mod upstream;
pub mod validate;
pub mod worker;

use std::collections::BTreeSet;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tracing::{info, warn};

use crate::client::ledger_file::{Cache, Home};
use crate::client::pacemaker::{Pacemaker, Question};
use crate::cluster::cib::Cib;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Mode, PromotionId};
use crate::cluster::node::NodeName;
use crate::decide::monitor::{LastAsked, pacemaker_is_due};
use crate::decide::sync::Fencing;
use crate::decide::token::{self, BARRED};
use crate::decide::unwatched;
use crate::ocf::env::Env;
use crate::ocf::params::{Params, RepMode};
use crate::runtime::instance::Postgres;
use crate::sys::deadline::Deadline;
use crate::sys::exec::Exec;

use crate::decide::view::View;
pub use crate::decide::{fit, view};

/// The state of a standby that replays with a delay.
pub const DELAYED: &str = "delayed";

/// One action of the agent, with all that it works on.
pub struct Agent<'a> {
    /// The parameters.
    pub params: Params,
    /// What Pacemaker said about this call.
    pub env: Env,
    /// The resource, without an instance number.
    pub resource: String,
    /// This node.
    pub me: NodeName,
    /// No cluster is there (ocf-tester, a call by hand).
    pub standalone: bool,
    /// When this action has to be over.
    pub deadline: Deadline,
    /// Starts programs.
    pub exec: &'a dyn Exec,
    /// Our own instance.
    pub pg: Postgres<'a>,
    /// Pacemaker's tools.
    pub pacemaker: Pacemaker<'a>,
    /// Our own files.
    pub home: Home,
    /// What may be forgotten.
    pub cache: Cache,
}

impl Agent<'_> {
    /// How the owner wants to replicate.
    pub fn mode(&self) -> Mode {
        match self.params.rep_mode {
            RepMode::Sync => Mode::Sync,
            RepMode::Async => Mode::Async,
        }
    }

    /// A bound for one call of a cluster tool.
    pub fn tool_limit(&self) -> Duration {
        self.deadline.bounded(Duration::from_secs(10))
    }

    /// Asks Pacemaker for everything.
    pub fn view(&mut self) -> Known<View> {
        self.view_and(&[])
    }

    /// The same, and at the same time for what is read next.
    pub fn view_and(&mut self, more: &[Question]) -> Known<View> {
        if self.standalone {
            return Known::unknown("there is no cluster here");
        }
        let changed = self.home.cib_changed();
        let questions: Vec<Question> =
            [Question::Status, Question::Cib].iter().chain(more).copied().collect();
        self.pacemaker.ask_together(&questions, self.tool_limit());
        let status = match self.pacemaker.status(self.tool_limit()) {
            Known::Known(status) => status,
            Known::Unknown(why) => return Known::Unknown(why),
        };
        let cib = match self.pacemaker.cib(self.tool_limit()) {
            Known::Known(cib) => cib,
            Known::Unknown(why) => return Known::Unknown(why),
        };
        self.cache.asked = uptime();
        self.cache.cib_changed = changed;
        self.cache.controller_here = status.dc.as_ref() == Some(&self.me);
        let view =
            View { resource: self.resource.clone(), policy: self.params.fencing, status, cib };
        let members = self.members(&view);
        self.remember_members(&members);
        self.cache.unfenced = match view.fencing() {
            Fencing::Works => String::new(),
            Fencing::Off(why) | Fencing::OffAccepted(why) | Fencing::Unknown(why) => why,
        };
        let mut lost = unwatched::unwatched(&view.status, &view.cib, &view.resource);
        if unwatched::teller(&view.status, &view.resource, &lost).as_ref() != Some(&self.me) {
            lost.clear();
        }
        unwatched::note(&lost, &mut self.cache.unwatched, uptime());
        self.cache.delayed = view.in_state(DELAYED).map(|node| node.to_string()).collect();
        Known::Known(view)
    }

    /// The CIB alone: crm_mon computes for several times as long.
    pub fn cib(&mut self) -> Known<Cib> {
        if self.standalone {
            return Known::unknown("there is no cluster here");
        }
        self.pacemaker.cib(self.tool_limit())
    }

    /// Whether it is time to ask Pacemaker again although nothing seems to have changed.
    pub fn pacemaker_is_due(&self) -> bool {
        let changed_since =
            self.home.cib_changed() != self.cache.cib_changed || !self.cache.unheard.is_empty();
        let last = LastAsked { at: self.cache.asked, changed_since };
        pacemaker_is_due(self.env.check_level, last, uptime())
    }

    /// The members, this node included.
    pub fn members(&self, view: &View) -> BTreeSet<NodeName> {
        view.members(self.params.node_list.as_deref())
    }

    /// The members without asking anybody: node_list, or those of the last look.
    pub fn known_members(&self) -> Option<BTreeSet<NodeName>> {
        if let Some(list) = &self.params.node_list {
            return Some(list.iter().cloned().collect());
        }
        let members: BTreeSet<NodeName> =
            self.cache.members.iter().filter_map(|name| name.parse().ok()).collect();
        members.contains(&self.me).then_some(members)
    }

    /// How many members there are, by the best word for it.
    pub fn member_count(&self) -> Option<usize> {
        let listed = self.params.node_list.as_ref().map(Vec::len);
        let seen = self.known_members().map(|members| members.len());
        fit::members(listed, seen, self.env.clone_max)
    }

    /// Why application_name is refused here: it is the same on every node.
    pub fn refused_name(&self) -> Option<String> {
        let members = self.member_count()?;
        self.params.one_name_for_many(members).map(|error| error.to_string())
    }

    /// Keeps the members for the next quiet monitor.
    pub fn remember_members(&mut self, members: &BTreeSet<NodeName>) {
        self.cache.members = members.iter().map(ToString::to_string).collect();
    }

    /// Sets a promotion score; whether it worked.
    pub fn set_score(&mut self, node: &NodeName, score: i32) -> bool {
        if *node == self.me && score != BARRED {
            self.forget_bar();
        }
        let set = self.pacemaker.set_score(node, score, self.tool_limit());
        self.score_was_set(node, score, &set)
    }

    /// Sets a promotion score that was seen to be missing from the CIB; whether it worked.
    pub fn set_missing_score(&mut self, node: &NodeName, score: i32) -> bool {
        if *node == self.me {
            self.forget_bar();
        }
        let set = self.pacemaker.set_missing_score(node, score, self.tool_limit());
        if let Known::Known(true) = set {
            info!(
                "the CIB has lost the score of {node}, which Pacemaker's attribute manager still has: it writes \
                 all of them again"
            );
        }
        self.score_was_set(node, score, &set.map(drop))
    }

    fn score_was_set(&mut self, node: &NodeName, score: i32, set: &Known<()>) -> bool {
        self.note_score(node, score, set);
        if let Known::Unknown(why) = set {
            warn!("the promotion score of {node} could not be set: {why}");
        }
        set.is_known()
    }

    /// Takes the right to be promoted from a node that is there. A score of minus infinity does that;
    /// no score at all would give way to an operator's location rule of plus infinity, and Pacemaker
    /// would demote the primary for a node that is going to refuse.
    pub fn bar(&mut self, node: &NodeName) -> bool {
        self.set_score(node, BARRED)
    }

    /// Remembers whether this node has the right to be promoted.
    pub fn note_score(&mut self, node: &NodeName, score: i32, set: &Known<()>) {
        if *node == self.me {
            let barred = score == BARRED && set.is_known();
            self.cache.barred = if barred { uptime() } else { 0 };
            self.cache.bar_due = false;
        }
    }

    /// Before this node gets a score: killed right after it, the next action must not believe that there
    /// is none.
    pub fn forget_bar(&mut self) {
        if self.cache.barred > 0 {
            self.cache.barred = 0;
            self.home.keep(&self.cache);
        }
    }

    /// This node was the primary, and took the right to be promoted from itself a moment ago.
    pub fn is_barred_already(&self) -> bool {
        let since = self.cache.barred;
        let seconds = (since > 0).then(|| uptime().saturating_sub(since));
        seconds.is_some() && token::is_barred(seconds, self.home.read().if_read(), &self.me)
    }

    /// Removes a promotion score.
    pub fn delete_score(&mut self, node: &NodeName) -> Known<()> {
        let deleted = self.pacemaker.delete_score(node, self.tool_limit());
        if let Known::Unknown(why) = &deleted {
            warn!("the promotion score of {node} could not be removed: {why}");
        }
        deleted
    }

    /// Where a member is reached.
    pub fn address(&self, node: &NodeName) -> String {
        self.params.node_addresses.get(node).cloned().unwrap_or_else(|| node.to_string())
    }
}

/// Seconds since this machine was booted; unlike the time of day it never jumps.
pub fn uptime() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .ok()
        .and_then(|time| u64::try_from(time.tv_sec()).ok())
        .unwrap_or(0)
}

/// A new identity of a promotion, from the kernel's random numbers.
pub fn random_id() -> Result<PromotionId, String> {
    use std::io::Read;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| format!("/dev/urandom could not be read: {error}"))?;
    Ok(PromotionId(u64::from_be_bytes(bytes)))
}
