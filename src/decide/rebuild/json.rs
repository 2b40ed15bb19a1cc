//! What `pgtwin rebuild --json` prints: documented in docs/json.md. Floor 1.

use serde::Serialize;

use super::{Course, Plan};
use crate::cluster::asked::{Answer, Stage};
use crate::cluster::node::NodeName;
use crate::decide::report::json::VERSION;

/// The whole.
#[derive(Debug, Serialize)]
pub struct Rebuild {
    version: u32,
    command: &'static str,
    resource: String,
    node: String,
    outcome: &'static str,
    source: Option<String>,
    reason: Option<String>,
    remarks: Vec<String>,
    seconds: Option<i64>,
    copied_bytes: Option<u64>,
    old_copy: Option<String>,
    log: Option<String>,
}

/// It cannot be done, or was not.
pub fn not_done(
    resource: &str,
    node: &NodeName,
    outcome: &'static str,
    reason: Option<&str>,
) -> Rebuild {
    Rebuild {
        version: VERSION,
        command: "rebuild",
        resource: resource.to_owned(),
        node: node.to_string(),
        outcome,
        source: None,
        reason: reason.map(str::to_owned),
        remarks: Vec::new(),
        seconds: None,
        copied_bytes: None,
        old_copy: None,
        log: None,
    }
}

/// It can be done.
pub fn possible(resource: &str, plan: &Plan) -> Rebuild {
    Rebuild {
        source: Some(plan.source.to_string()),
        remarks: plan.remarks.clone(),
        ..not_done(resource, &plan.node, "possible", None)
    }
}

/// How it went on another node.
pub fn heard(resource: &str, plan: &Plan, answer: &Answer) -> Rebuild {
    let shape = possible(resource, plan);
    let outcome = answer.stage.word();
    let words = (!answer.words.is_empty()).then(|| answer.words.clone());
    match answer.stage {
        Stage::Done => Rebuild {
            outcome,
            seconds: i64::try_from(answer.seconds).ok(),
            copied_bytes: Some(answer.bytes),
            old_copy: words,
            ..shape
        },
        Stage::GoesOn => Rebuild { outcome, ..shape },
        Stage::Failed | Stage::Over | Stage::Refused | Stage::NotBegun => {
            Rebuild { outcome, reason: words, ..shape }
        }
    }
}

/// How it went; none: nobody waited for the end.
pub fn went(resource: &str, plan: &Plan, course: Option<&Course>) -> Rebuild {
    let (outcome, reason) = match course {
        None | Some(Course::GoesOn(_)) => ("goes-on", None),
        Some(Course::Done(_)) => ("done", None),
        Some(Course::Failed(why)) => ("failed", Some(why)),
        Some(Course::Over(why)) => ("over", Some(why)),
    };
    let shape = Rebuild { outcome, reason: reason.cloned(), ..possible(resource, plan) };
    match course {
        Some(Course::Done(done)) => Rebuild {
            seconds: Some(done.ended.saturating_sub(done.begun)),
            copied_bytes: Some(done.copied_bytes),
            old_copy: done.old_copy.clone(),
            log: Some(done.log.clone()),
            source: Some(done.source.clone()),
            ..shape
        },
        Some(Course::GoesOn(_) | Course::Failed(_) | Course::Over(_)) | None => shape,
    }
}
