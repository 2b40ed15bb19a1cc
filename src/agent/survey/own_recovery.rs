//! This node's recoveries, as their files say. Floor 3.

use std::path::Path;

use crate::client::recovery_file::RecoveryHome;
use crate::client::recovery_log::RecoveryLogs;
use crate::cluster::known::Known;
use crate::cluster::recovery::Kept;
use crate::decide::report::{OldCopy, Recovery};
use crate::runtime::{Place, old_copies};
use crate::sys::chain;
use crate::sys::deadline::Deadline;

/// Looks at them; none of it is changed. `place`: of the instance, on a node that has one.
pub fn own_recovery(
    home: &RecoveryHome,
    logs: &RecoveryLogs,
    place: Option<&Place>,
    now: i64,
    deadline: &Deadline,
) -> Recovery {
    let shown = |path: &Path| path.display().to_string();
    Recovery {
        now,
        marker: home.marker(),
        at_work: home.at_work().map(|worker| worker.is_some()),
        progress: home.progress(),
        waits: home.waits(),
        attempts: home.attempts(),
        last: logs.last_summary(),
        log: match logs.newest() {
            Kept::Read(path) => Kept::Read(shown(&path)),
            Kept::Missing => Kept::Missing,
            Kept::Unreadable(why) => Kept::Unreadable(why),
        },
        again: home.again(),
        copies: match place.map(|place| old_copies::kept(place, deadline)) {
            None => Known::Known(Vec::new()),
            Some(Err(error)) => Known::unknown(chain(&error)),
            Some(Ok(copies)) => Known::Known(
                copies
                    .into_iter()
                    .map(|copy| OldCopy {
                        dirs: copy.dirs.iter().map(|dir| shown(dir)).collect(),
                        bytes: copy.bytes,
                    })
                    .collect(),
            ),
        },
    }
}
