//! `pgtwin container adopt` and `leave`, carried out: one node after the other is restarted where it shall be.
//! Floor 3.
//!
//! A node is given its value by a rule of Pacemaker's, and then stopped and started by Pacemaker: a constraint
//! keeps its instance away until it has stopped. The constraint is taken back in any case, and has a lifetime
//! for the case that this node dies. A node that does not come to stream gets its old value back.

use std::time::Duration;

use tracing::warn;

use super::told;
use crate::agent::operate::Subject;
use crate::agent::outlook::outlook;
use crate::agent::recover::now;
use crate::agent::switchover::switch_over;
use crate::client::pacemaker::configure::Edit;
use crate::cluster::cib::Primitive;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::changeover::{
    Facts, Member, PARAMETER, Plan, Step, Target, set_in_xml, set_of, target_on, unset_in_xml,
};
use crate::decide::switchover::{self, Ruling};
use crate::decide::view::View;
use crate::sys::deadline::{Deadline, poll_until};
use crate::sys::exec::System;
use crate::sys::interrupt::Interrupt;

/// How long one of Pacemaker's tools may take.
const TOOL: Duration = Duration::from_secs(20);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// The constraint lives longer than a stop may take, and not for ever.
const AFTER_ALL: Duration = Duration::from_mins(5);
/// How long taking the constraint back is tried.
const TO_CLEAR: Duration = Duration::from_mins(1);
/// How often a change of the configuration is tried: whoever else changes the CIB at the moment is in the way.
const TRIES: u32 = 10;
/// How long the move of the primary may take.
const MOVE: Duration = Duration::from_mins(1);

/// Looks at what the decision needs.
pub fn facts(subject: &Subject, target: Target) -> Result<Facts, String> {
    let seen = outlook(subject);
    let against_a_move = match switchover::judge(&seen, None) {
        Ruling::Refused(reasons) => reasons,
        Ruling::Already(_) | Ruling::Possible(_) => Vec::new(),
    };
    let primitive = primitive(subject)?;
    let nodes = subject.view.members(subject.params.node_list.as_deref());
    let streaming: Vec<NodeName> = subject.view.in_state("streaming").collect();
    let told = told(subject);
    let member = |node: &NodeName| Member {
        at: target_on(primitive, node),
        streams: streaming.contains(node),
        told: match &told {
            Known::Unknown(why) => Known::Unknown(why.clone()),
            Known::Known(all) => match all.iter().find(|(other, _)| other == node) {
                None => Known::Known(None),
                Some((_, told)) => told.clone().map(Some),
            },
        },
    };
    let members = nodes.iter().map(|node| (node.clone(), member(node))).collect();
    let elsewhere = elsewhere(primitive);
    let apart = nodes.iter().filter(|node| target_on(primitive, node) != elsewhere);
    Ok(Facts {
        target,
        now: now(),
        members,
        writable: seen.seen.writable().into_iter().cloned().collect(),
        apart: apart.cloned().collect(),
        elsewhere,
        against_a_move,
    })
}

fn primitive(subject: &Subject) -> Result<&Primitive, String> {
    let found = subject.view.cib.primitive(subject.resource());
    found.ok_or_else(|| format!("the CIB has no resource {}", subject.resource()))
}

/// The value on a node that no rule names.
fn elsewhere(primitive: &Primitive) -> Known<Target> {
    let mut of_all = primitive.clone();
    of_all.by_node.named.clear();
    match "any-other-node".parse() {
        Ok(node) => target_on(&of_all, &node),
        Err(_) => Known::unknown("no name of a node"),
    }
}

/// Carries the plan out, step by step. `tell` is called with what happens.
pub fn carry_out(
    subject: &Subject,
    plan: &Plan,
    target: Target,
    patience: Duration,
    interrupt: &Interrupt,
    tell: &mut dyn FnMut(String),
) -> Result<(), String> {
    let clone = primitive(subject)?.clone.as_ref().map(|clone| clone.id.clone());
    let clone = clone.ok_or_else(|| format!("{} is in no clone", subject.resource()))?;
    let mut change = Change { subject: subject.clone(), clone, target, patience, interrupt, tell };
    for step in &plan.steps {
        if interrupt.came() {
            return Err(format!(
                "it was interrupted between two nodes: pgtwin container {} goes on, and pgtwin container {} \
                 takes it back",
                target.command(),
                if target == Target::Host { "adopt" } else { "leave" }
            ));
        }
        match step {
            Step::Restart(node) => change.restart(node)?,
            Step::MoveFrom(node) => change.move_from(node)?,
            Step::Settle => change.settle()?,
        }
    }
    Ok(())
}

struct Change<'a> {
    subject: Subject,
    clone: String,
    target: Target,
    patience: Duration,
    interrupt: &'a Interrupt,
    tell: &'a mut dyn FnMut(String),
}

impl Change<'_> {
    fn say(&mut self, words: impl Into<String>) {
        (self.tell)(words.into());
    }

    /// The cluster as it is now.
    fn view(&mut self) -> Result<&View, String> {
        let resource = self.subject.resource().to_owned();
        let found = Subject::find_with(&System, Some(&resource), &self.subject.overrides);
        self.subject = found.map_err(|error| error.to_string())?;
        Ok(&self.subject.view)
    }

    /// Whether it streams and counts as one that may take over.
    fn is_well(&mut self, node: &NodeName) -> bool {
        self.view().is_ok_and(|view| {
            view.runs_on(node)
                && view.in_state("streaming").any(|other| other == *node)
                && view.scores().contains_key(node)
        })
    }

    fn await_well(&mut self, node: &NodeName) -> Result<(), String> {
        let deadline = Deadline::after(self.patience);
        let well = poll_until(&deadline, INTERVAL, || self.is_well(node).then_some(()));
        well.ok_or_else(|| {
            format!(
                "it has not come to stream within {} s: pgtwin status says why",
                self.patience.as_secs()
            )
        })
    }

    fn restart(&mut self, node: &NodeName) -> Result<(), String> {
        // The one before it may just have been taken in.
        self.await_well(node).map_err(|why| format!("{node}: {why}"))?;
        let resource = self.subject.resource().to_owned();
        self.say(format!("{node}: PostgreSQL is restarted {} ...", self.target));
        let rule = set_in_xml(&resource, node, self.target);
        self.configure(|_| Edit {
            sections: vec![("resources", rule.clone())],
            ..Edit::default()
        })?;
        match self.stop_and_start(node).and_then(|()| self.await_well(node)) {
            Ok(()) => {
                self.say(format!("{node}: PostgreSQL streams {}", self.target));
                Ok(())
            }
            Err(why) => {
                self.say(format!("{node}: {why}; it is taken back ..."));
                Err(self.take_back(node, &why))
            }
        }
    }

    /// Has Pacemaker stop the instance, and start it again.
    fn stop_and_start(&mut self, node: &NodeName) -> Result<(), String> {
        let lifetime = self.patience + AFTER_ALL;
        let subject = self.subject.clone();
        let pacemaker = subject.pacemaker(&System);
        let options = pacemaker.move_options(TOOL).into_result()?;
        let banned = pacemaker.ban(options, &self.clone, node, lifetime, TOOL).into_result();
        let stopped = match &banned {
            Err(_) => None,
            Ok(()) => poll_until(&Deadline::after(self.patience), INTERVAL, || {
                self.view().is_ok_and(|view| !view.runs_on(node)).then_some(())
            }),
        };
        // It may have been taken all the same.
        let cleared = poll_until(&Deadline::after(TO_CLEAR), Duration::from_secs(1), || {
            match pacemaker.clear_ban(&self.clone, node, TOOL) {
                Known::Known(()) => Some(()),
                Known::Unknown(why) => {
                    warn!("{why}");
                    None
                }
            }
        });
        if cleared.is_none() {
            return Err(format!(
                "the constraint that keeps PostgreSQL off it is still there: crm_resource --clear \
                 --resource {} --node {node}",
                self.clone
            ));
        }
        banned?;
        stopped.ok_or_else(|| format!("it was not stopped within {} s", self.patience.as_secs()))
    }

    /// Gives a node its old value back; the whole story.
    fn take_back(&mut self, node: &NodeName, why: &str) -> String {
        let resource = self.subject.resource().to_owned();
        let old = match self.target {
            Target::Container => Target::Host,
            Target::Host => Target::Container,
        };
        // Without a value of its own it has that of all the others, which may be the new one.
        let is_for_all = primitive(&self.subject).map(elsewhere) == Ok(Known::Known(old));
        let edit = if is_for_all {
            Edit { removed: vec![unset_in_xml(&resource, node)], ..Edit::default() }
        } else {
            let rule = set_in_xml(&resource, node, old);
            Edit { sections: vec![("resources", rule)], ..Edit::default() }
        };
        if let Err(not) = self.configure(|_| edit.clone()) {
            return format!(
                "{node}: {why}; and it could not be taken back ({not}): pgtwin container {}",
                if self.target == Target::Host { "adopt" } else { "leave" }
            );
        }
        let subject = self.subject.clone();
        // A failed start is not tried again before it is forgotten.
        let _ = subject.pacemaker(&System).refresh(node, TOOL);
        // It may run where it was to go, and only not stream there.
        match self.stop_and_start(node).and_then(|()| self.await_well(node)) {
            Ok(()) => format!(
                "{node}: {why}; it streams again where it was, and nothing else was changed"
            ),
            Err(not) => {
                format!("{node}: {why}; it has its old value of {PARAMETER} again, and {not}")
            }
        }
    }

    fn move_from(&mut self, node: &NodeName) -> Result<(), String> {
        let deadline = Deadline::after(self.patience);
        let mut last = Vec::new();
        let plan = poll_until(&deadline, Duration::from_secs(1), || {
            self.view().ok()?;
            match switchover::judge(&outlook(&self.subject), None) {
                Ruling::Possible(plan) if plan.from == *node => Some(Ok(plan)),
                Ruling::Possible(plan) => Some(Err(format!("the primary is {} by now", plan.from))),
                Ruling::Already(node) => Some(Err(format!("the primary is {node} by now"))),
                Ruling::Refused(reasons) => {
                    last = reasons;
                    None
                }
            }
        });
        let plan = match plan {
            Some(plan) => plan?,
            None => return Err(format!("the primary stays on {node}: {}", last.join("; "))),
        };
        self.say(format!("the primary is moved from {node} to {} ...", plan.to));
        let subject = self.subject.clone();
        let course = switch_over(&subject, &plan, MOVE, self.interrupt, &mut |at, event| {
            (self.tell)(plan.line(at, event));
        });
        if course.is_well() { Ok(()) } else { Err(course.summary().join(" ")) }
    }

    fn settle(&mut self) -> Result<(), String> {
        let resource = self.subject.resource().to_owned();
        let nodes = self.subject.view.members(self.subject.params.node_list.as_deref());
        let target = self.target;
        self.configure(|before| {
            let there =
                |node: &&NodeName| before.contains(&format!("\"{}\"", set_of(&resource, node)));
            Edit {
                removed: nodes
                    .iter()
                    .filter(there)
                    .map(|node| unset_in_xml(&resource, node))
                    .collect(),
                parameters: vec![(
                    resource.clone(),
                    PARAMETER.to_owned(),
                    target.value().to_owned(),
                )],
                ..Edit::default()
            }
        })?;
        self.say(format!("{PARAMETER}={} is set for all nodes", target.value()));
        Ok(())
    }

    /// Changes the configuration: what is refused because somebody else has changed it is tried again.
    fn configure(&mut self, edit: impl Fn(&str) -> Edit) -> Result<(), String> {
        let subject = self.subject.clone();
        let pacemaker = subject.pacemaker(&System);
        let mut last = String::new();
        for _ in 0..TRIES {
            let before = pacemaker.cib_text(TOOL).into_result()?;
            match pacemaker.configure(&before, &edit(&before), TOOL) {
                Ok(()) => return Ok(()),
                Err(why) => last = why,
            }
            Deadline::after(INTERVAL).sleep(INTERVAL);
        }
        Err(last)
    }
}
