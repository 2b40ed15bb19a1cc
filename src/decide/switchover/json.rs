//! What `pgtwin switchover --json` prints: documented in docs/json.md. Floor 1.

use serde::Serialize;

use super::{Course, Outcome, Plan, Ruling};
use crate::decide::report::json::VERSION;

/// The whole.
#[derive(Debug, Serialize)]
pub struct Switchover {
    version: u32,
    command: &'static str,
    resource: String,
    outcome: &'static str,
    from: Option<String>,
    to: Option<String>,
    primary: Option<String>,
    reasons: Vec<String>,
    remarks: Vec<String>,
    outage_ms: Option<u64>,
    constraint_removed: Option<bool>,
    events: Vec<Happened>,
}

#[derive(Debug, Serialize)]
struct Happened {
    at_ms: u64,
    event: &'static str,
    words: String,
}

fn empty(resource: &str, outcome: &'static str) -> Switchover {
    Switchover {
        version: VERSION,
        command: "switchover",
        resource: resource.to_owned(),
        outcome,
        from: None,
        to: None,
        primary: None,
        reasons: Vec::new(),
        remarks: Vec::new(),
        outage_ms: None,
        constraint_removed: None,
        events: Vec::new(),
    }
}

fn of_plan(resource: &str, outcome: &'static str, plan: &Plan) -> Switchover {
    Switchover {
        from: Some(plan.from.to_string()),
        to: Some(plan.to.to_string()),
        remarks: plan.remarks.clone(),
        ..empty(resource, outcome)
    }
}

/// What the checks said, where nothing was done.
pub fn ruled(resource: &str, ruling: &Ruling) -> Switchover {
    match ruling {
        Ruling::Already(node) => Switchover {
            to: Some(node.to_string()),
            primary: Some(node.to_string()),
            ..empty(resource, "already")
        },
        Ruling::Refused(reasons) => {
            Switchover { reasons: reasons.clone(), ..empty(resource, "refused") }
        }
        Ruling::Possible(plan) => Switchover {
            primary: Some(plan.from.to_string()),
            ..of_plan(resource, "possible", plan)
        },
    }
}

/// How it went.
pub fn went(resource: &str, course: &Course) -> Switchover {
    let (outcome, primary, reasons) = match &course.outcome {
        Outcome::Done => ("done", Some(course.plan.to.to_string()), Vec::new()),
        Outcome::Elsewhere(node) if *node == course.plan.from => {
            ("back", Some(node.to_string()), Vec::new())
        }
        Outcome::Elsewhere(node) => ("elsewhere", Some(node.to_string()), Vec::new()),
        Outcome::Nobody => ("nobody", None, Vec::new()),
        Outcome::NotBegun(why) => {
            ("not-begun", Some(course.plan.from.to_string()), vec![why.clone()])
        }
    };
    let events = course.events.iter().map(|(at, event)| Happened {
        at_ms: *at,
        event: event.word(),
        words: course.words(event),
    });
    Switchover {
        primary,
        reasons,
        outage_ms: course.outage(),
        constraint_removed: course.is_cleared(),
        events: events.collect(),
        ..of_plan(resource, outcome, &course.plan)
    }
}
