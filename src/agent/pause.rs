//! `pgtwin pause` and `pgtwin resume`: Pacemaker manages the resource no more, or again. Monitors go on,
//! and so does fencing. Floor 3.

use std::time::Duration;

use tracing::info;

use super::operate::Subject;
use crate::cluster::known::Known;
use crate::cluster::paused::Paused;
use crate::sys::exec::System;

/// How long one of Pacemaker's tools may take.
const TOOL: Duration = Duration::from_secs(20);

/// Pauses it. The note comes first: what is paused without one cannot be told from what somebody has set
/// by hand.
pub fn pause(subject: &Subject, clone: &str, paused: &Paused) -> Result<(), String> {
    let pacemaker = subject.pacemaker(&System);
    pacemaker.note_pause(&paused.to_string(), TOOL).into_result()?;
    match pacemaker.manage(clone, false, TOOL) {
        Known::Known(()) => {
            info!("{} pauses {}", paused.by, subject.resource());
            Ok(())
        }
        Known::Unknown(why) => {
            let _ = pacemaker.forget_pause(TOOL);
            Err(why)
        }
    }
}

/// What Pacemaker would do at once if it managed the resource again.
pub fn at_once(subject: &Subject) -> Known<Vec<String>> {
    let primitive = subject.view.cib.primitive(subject.resource());
    match primitive.and_then(|one| one.clone.as_ref()) {
        Some(clone) => subject.pacemaker(&System).if_managed(&clone.id, TOOL),
        None => Known::unknown("it is in no clone"),
    }
}

/// Ends that.
pub fn resume(subject: &Subject, clone: &str, by: &str) -> Result<(), String> {
    let pacemaker = subject.pacemaker(&System);
    pacemaker.manage(clone, true, TOOL).into_result()?;
    info!("{by} resumes {}", subject.resource());
    pacemaker.forget_pause(TOOL).into_result().map_err(|why| {
        format!("Pacemaker manages it again, and the note of the pause is still there: {why}")
    })
}
