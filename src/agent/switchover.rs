//! `pgtwin switchover`: the move itself. Whatever happens on the way, the constraint that the move needs
//! is taken back. Floor 3.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::operate::Subject;
use super::outlook::outlook;
use crate::client::pacemaker::Pacemaker;
use crate::client::pacemaker::moving::MoveOptions;
use crate::client::peer::PeerAnswer;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::facts::{Process, Sql};
use crate::decide::switchover::{
    Course, Event, Outcome, Plan, Ruling, has_constraint, hindered, judge, outstanding,
};
use crate::runtime::instance::Postgres;
use crate::sys::deadline::{Deadline, poll_until};
use crate::sys::exec::System;
use crate::sys::interrupt::Interrupt;

/// How long one of Pacemaker's tools may take.
const TOOL: Duration = Duration::from_secs(10);
/// How long a server may take to say what it is.
const ANSWER: Duration = Duration::from_secs(1);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(50);
/// A checkpoint that took so long is followed by another: much has been written meanwhile.
const LONG: Duration = Duration::from_secs(5);
/// The constraint lives longer than the move may take, and not for ever.
const AFTER_ALL: Duration = Duration::from_mins(10);
/// How long the constraint may resist.
const TO_CLEAR: Duration = Duration::from_secs(30);
/// How long somebody may take to be the primary when the move has failed, and how long after Ctrl-C.
const WAY_BACK: Duration = Duration::from_mins(1);
const AFTER_INTERRUPT: Duration = Duration::from_secs(15);
/// How long the old primary may take to stream.
const TO_FOLLOW: Duration = Duration::from_mins(1);

/// One move.
struct Moving<'a> {
    subject: &'a Subject,
    pg: Postgres<'a>,
    pacemaker: Pacemaker<'a>,
    options: MoveOptions,
    interrupt: &'a Interrupt,
    began: Instant,
    course: Course,
    tell: &'a mut dyn FnMut(u64, &Event),
}

/// What ended a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Waited {
    /// The target accepts writes.
    Target,
    /// Another node does.
    Other(NodeName),
    /// Nobody, and the time is over.
    TimedOut,
    /// Ctrl-C.
    Interrupted,
}

/// Moves the primary. `timeout`: for a checkpoint, and again from the order to Pacemaker to the first
/// write. `tell` is called with each event as it happens.
pub fn switch_over(
    subject: &Subject,
    plan: &Plan,
    timeout: Duration,
    interrupt: &Interrupt,
    tell: &mut dyn FnMut(u64, &Event),
) -> Course {
    let system = System;
    let course = Course {
        plan: plan.clone(),
        events: Vec::new(),
        last_writable: None,
        outcome: Outcome::Nobody,
    };
    let not_begun = |why: String| Course { outcome: Outcome::NotBegun(why), ..course.clone() };
    let pacemaker = subject.pacemaker(&system);
    let options = match pacemaker.move_options(TOOL) {
        Known::Known(options) => options,
        Known::Unknown(why) => return not_begun(why),
    };
    let pg = match subject.postgres(&system) {
        Ok(pg) => pg,
        Err(why) => return not_begun(why),
    };
    let began = Instant::now();
    let mut moving = Moving { subject, pg, pacemaker, options, interrupt, began, course, tell };
    moving.course.outcome = moving.carry_out(timeout);
    moving.course
}

impl Moving<'_> {
    fn note(&mut self, event: Event) {
        let at = self.now();
        (self.tell)(at, &event);
        self.course.events.push((at, event));
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn carry_out(&mut self, timeout: Duration) -> Outcome {
        if let Err(why) = self.checkpoint(timeout) {
            return Outcome::NotBegun(why);
        }
        if self.interrupt.came() {
            return Outcome::NotBegun("it was interrupted".into());
        }
        // The person may have thought for an hour, and the checkpoint have taken another.
        if let Err(why) = self.check_again() {
            return Outcome::NotBegun(why);
        }
        let Plan { clone, to, .. } = self.course.plan.clone();
        let lifetime = timeout + AFTER_ALL;
        let _ = self.see(&self.course.plan.from.clone());
        if let Known::Unknown(why) =
            self.pacemaker.move_primary(self.options, &clone, &to, lifetime, TOOL)
        {
            // It may have been taken all the same.
            self.note(Event::Told);
            self.clear();
            return Outcome::NotBegun(why);
        }
        self.note(Event::Told);
        let deadline = Deadline::after(timeout);
        match self.await_primary(&deadline) {
            Waited::Target => self.finish(&to),
            Waited::Other(node) => {
                self.clear();
                self.say_why(false);
                Outcome::Elsewhere(node)
            }
            Waited::TimedOut => {
                self.say_why(true);
                self.note(Event::TimedOut);
                self.way_back(WAY_BACK)
            }
            Waited::Interrupted => {
                self.note(Event::Interrupted);
                self.way_back(AFTER_INTERRUPT)
            }
        }
    }

    fn checkpoint(&mut self, limit: Duration) -> Result<(), String> {
        let deadline = Deadline::after(limit);
        let from = self.course.plan.from.clone();
        loop {
            let before = Instant::now();
            let written = if from == self.subject.me {
                self.pg.checkpoint(&deadline)
            } else {
                self.pg.checkpoint_peer(&self.subject.peer(&from, &self.pg), deadline.left())
            };
            let took = before.elapsed();
            match written {
                Err(_) if deadline.expired() => {
                    return Err(format!(
                        "{from} has not written its checkpoint in {} s, and its end would take as long: \
                         try again when it is through, or give it more --timeout",
                        limit.as_secs()
                    ));
                }
                Err(why) => {
                    self.note(Event::NotCheckpointed(why));
                    return Ok(());
                }
                Ok(()) if took >= LONG && deadline.left() > took => {}
                Ok(()) => {
                    self.note(Event::Checkpointed);
                    return Ok(());
                }
            }
        }
    }

    fn check_again(&self) -> Result<(), String> {
        let resource = self.subject.resource();
        let subject = Subject::find_with(&System, Some(resource), &self.subject.overrides)
            .map_err(|error| error.to_string())?;
        match judge(&outlook(&subject), Some(&self.course.plan.to)) {
            Ruling::Possible(plan) if plan.from == self.course.plan.from => Ok(()),
            Ruling::Possible(plan) => Err(format!("the primary is {} by now", plan.from)),
            Ruling::Already(node) => Err(format!("{node} is the primary by now")),
            Ruling::Refused(reasons) => Err(reasons.join("; ")),
        }
    }

    /// Whether a node accepts writes, by its own word. Silence is no word.
    fn ask(&self, node: &NodeName) -> Known<bool> {
        if *node == self.subject.me {
            let instance = self.pg.look(&Deadline::after(ANSWER));
            return match (instance.sql, instance.process) {
                (Sql::Primary(_), _) => Known::Known(true),
                (Sql::Standby(_) | Sql::Starting(_) | Sql::ShuttingDown, _)
                | (_, Process::None) => Known::Known(false),
                (other, _) => Known::unknown(other.to_string()),
            };
        }
        let peer = self.subject.peer(node, &self.pg);
        match self.pg.identify_peer(&peer, ANSWER) {
            PeerAnswer::Primary(_) => Known::Known(true),
            PeerAnswer::Standby(_)
            | PeerAnswer::Starting(_)
            | PeerAnswer::ShuttingDown
            | PeerAnswer::Refused => Known::Known(false),
            other @ (PeerAnswer::Busy(_)
            | PeerAnswer::AuthFailed(_)
            | PeerAnswer::Unreachable(_)
            | PeerAnswer::NoAnswer
            | PeerAnswer::Unknown(_)) => Known::unknown(other.to_string()),
        }
    }

    /// The same; of one that does not say, Pacemaker knows whether its promotion came to an end.
    fn is_writable(&self, node: &NodeName) -> bool {
        match self.ask(node) {
            Known::Known(writable) => writable,
            Known::Unknown(_) => match self.pacemaker.status(TOOL) {
                Known::Known(status) => {
                    let mut promoted = status.promoted_on(self.subject.resource());
                    promoted.next() == Some(node) && promoted.next().is_none()
                }
                Known::Unknown(_) => false,
            },
        }
    }

    /// Looks whether the old primary still accepts writes.
    fn see(&mut self, from: &NodeName) -> Known<bool> {
        let asked = self.now();
        let writable = self.ask(from);
        if writable == Known::Known(true) {
            self.course.last_writable = Some(asked);
        }
        writable
    }

    fn await_primary(&mut self, deadline: &Deadline) -> Waited {
        let Plan { from, to, .. } = self.course.plan.clone();
        let mut others: Vec<NodeName> = self.members().into_iter().collect();
        others.retain(|node| *node != to);
        let mut stopped = false;
        for turn in 1_usize.. {
            if self.interrupt.came() {
                return Waited::Interrupted;
            }
            let still = if stopped { Known::Known(false) } else { self.see(&from) };
            if !stopped && still == Known::Known(false) {
                stopped = true;
                self.note(Event::Stopped);
            }
            if still != Known::Known(true) && self.is_writable(&to) {
                self.note(Event::Promoted(to));
                return Waited::Target;
            }
            // The others by turns: each costs time in which the target is not looked at.
            if stopped
                && turn % 4 == 0
                && let Some(node) = others.get(turn / 4 % others.len().max(1)).cloned()
                && self.ask(&node) == Known::Known(true)
            {
                self.note(Event::Promoted(node.clone()));
                return Waited::Other(node);
            }
            if deadline.expired() {
                break;
            }
            deadline.sleep(INTERVAL);
        }
        Waited::TimedOut
    }

    /// Notes what kept the move from its end; `waits`: or what it waits for.
    fn say_why(&mut self, waits: bool) {
        let Course { plan, events, .. } = &self.course;
        let now = self.pacemaker.status(TOOL);
        let mut by = hindered(plan, self.subject.resource(), &self.subject.view.status, &now);
        if by.is_empty() && waits {
            let stopped = events.iter().any(|(_, event)| *event == Event::Stopped);
            by.push(outstanding(plan, stopped, &now));
        }
        for by in by {
            self.note(Event::Hindered(by));
        }
    }

    fn members(&self) -> BTreeSet<NodeName> {
        self.subject.view.members(self.subject.params.node_list.as_deref())
    }

    /// The target is the primary: until clients reach it, and the old one follows.
    fn finish(&mut self, to: &NodeName) -> Outcome {
        if let Some(vip) = self.subject.params.vip.as_ref().map(ToString::to_string) {
            let peer = self.subject.peer_at(vip, &self.pg);
            let end = Deadline::after(TO_FOLLOW);
            let reached = poll_until(&end, INTERVAL, || {
                let there = matches!(self.pg.identify_peer(&peer, ANSWER), PeerAnswer::Primary(_));
                (there || self.interrupt.came()).then_some(there)
            });
            if reached == Some(true) {
                self.note(Event::Reached(peer.host, to.clone()));
            }
        }
        self.clear();
        let from = self.course.plan.from.clone();
        let end = Deadline::after(TO_FOLLOW);
        let follows = poll_until(&end, Duration::from_millis(300), || {
            if self.interrupt.came() {
                return Some(false);
            }
            let cib = self.pacemaker.cib(TOOL).known()?;
            let view = crate::decide::view::View { cib, ..self.subject.view.clone() };
            view.in_state("streaming").any(|node| node == from).then_some(true)
        });
        if follows == Some(true) {
            self.note(Event::Follows(to.clone()));
        }
        Outcome::Done
    }

    /// The move has not come to its end: without the constraint the scores decide again.
    fn way_back(&mut self, patience: Duration) -> Outcome {
        self.clear();
        match self.await_anybody(&Deadline::after(patience)) {
            None => Outcome::Nobody,
            Some(node) if node == self.course.plan.to => Outcome::Done,
            Some(node) => Outcome::Elsewhere(node),
        }
    }

    fn await_anybody(&mut self, deadline: &Deadline) -> Option<NodeName> {
        let members = self.members();
        let found = poll_until(deadline, Duration::from_millis(200), || {
            // Asked twice, it waits no longer.
            if self.interrupt.came() {
                return Some(None);
            }
            members.iter().find(|node| self.ask(node) == Known::Known(true)).cloned().map(Some)
        })?;
        if let Some(node) = &found {
            self.note(Event::Promoted(node.clone()));
        }
        found
    }

    /// Takes the constraint back, and sees that it is gone.
    fn clear(&mut self) {
        let Plan { clone, to, .. } = self.course.plan.clone();
        let mut last = String::new();
        let cleared = poll_until(&Deadline::after(TO_CLEAR), Duration::from_secs(1), || {
            if let Known::Unknown(why) = self.pacemaker.clear_move(self.options, &clone, &to, TOOL)
            {
                last = why;
                return None;
            }
            match self.pacemaker.cib(TOOL) {
                Known::Known(cib) if !has_constraint(&cib, &clone) => Some(()),
                Known::Known(_) => {
                    "the CIB still has it".clone_into(&mut last);
                    None
                }
                Known::Unknown(why) => {
                    last = why;
                    None
                }
            }
        });
        self.note(match cleared {
            Some(()) => Event::Cleared,
            None => Event::NotCleared(last),
        });
    }
}
