//! What `pgtwin status` says of recoveries: of this node's in full, of others' what their state says.
//! Floor 1.

use std::fmt::Write as _;

use super::{Facts, Server, bytes};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::recovery::{Attempts, Kept, Marker, Outcome, Phase, Progress, Summary, Turn};
use crate::decide::view::REBUILDING;

/// The state of a member that waits for that, if nothing runs there.
const WAITING: &str = "waiting";
/// So many seconds without news of a copy are worth a word.
const QUIET: i64 = 60;

/// What this node has written of its recoveries.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Seconds of the epoch.
    pub now: i64,
    /// The recovery that has begun and has not ended.
    pub marker: Kept<Marker>,
    /// Whether a worker is at work.
    pub at_work: Known<bool>,
    /// How far it is.
    pub progress: Kept<Progress>,
    /// What is waited for, as the last monitor found it.
    pub waits: Kept<String>,
    /// The attempts that failed.
    pub attempts: Kept<Attempts>,
    /// What came of the last attempt.
    pub last: Kept<Summary>,
    /// The log of the newest attempt.
    pub log: Kept<String>,
    /// What a person types to have it tried again after the last attempt.
    pub again: String,
    /// Old copies of the data, oldest first.
    pub copies: Known<Vec<OldCopy>>,
}

/// An old copy of the data that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldCopy {
    /// Its directories.
    pub dirs: Vec<String>,
    /// Its size.
    pub bytes: Known<u64>,
}

impl Recovery {
    /// Nothing was ever recovered here.
    pub fn none(now: i64) -> Self {
        Self {
            now,
            marker: Kept::Missing,
            at_work: Known::Known(false),
            progress: Kept::Missing,
            waits: Kept::Missing,
            attempts: Kept::Missing,
            last: Kept::Missing,
            log: Kept::Missing,
            again: String::new(),
            copies: Known::Known(Vec::new()),
        }
    }

    fn span(&self, since: i64) -> String {
        span(self.now.saturating_sub(since))
    }
}

/// Whether a member has no server because its data is being brought back, as it says itself.
pub(super) fn is_under_way(facts: &Facts, node: &NodeName) -> bool {
    let said = facts.said(node);
    matches!(facts.servers.get(node), Some(Server::Absent(_)))
        && matches!(said.as_deref(), Some(REBUILDING | WAITING))
}

/// What a member other than this one says; none: nothing of a recovery.
pub(super) fn of_another(facts: &Facts, node: &NodeName) -> Option<String> {
    if *node == facts.me || facts.servers.get(node).is_some_and(|one| one.position().is_some()) {
        return None;
    }
    match facts.said(node).as_deref() {
        Some(REBUILDING) => Some(match facts.progress.get(node) {
            Some(words) => format!("{node}'s data is being brought back: {words}"),
            None => {
                format!("{node}'s data is being brought back: pgtwin status on {node} says how far")
            }
        }),
        Some(WAITING) if is_under_way(facts, node) => {
            Some(format!("{node} waits to be brought back: pgtwin status on {node} says for what"))
        }
        Some(_) | None => None,
    }
}

/// The lines about this node.
pub(super) fn lines(facts: &Facts, warnings: &mut Vec<String>) -> Vec<(&'static str, String)> {
    let recovery = &facts.recovery;
    let mut lines = Vec::new();
    match &recovery.marker {
        Kept::Missing => {}
        Kept::Unreadable(why) => warnings.push(format!(
            "whether a recovery of {} has ended cannot be read, so its data is not started: {why}",
            facts.me
        )),
        Kept::Read(marker) => lines.push(("Recovery", of_marker(facts, marker, warnings))),
    }
    let attempts = of_attempts(recovery, &recovery.marker, warnings);
    lines.extend(attempts.map(|words| ("Attempts", words)));
    copies(facts, &mut lines, warnings);
    lines
}

fn of_marker(facts: &Facts, marker: &Marker, warnings: &mut Vec<String>) -> String {
    let (recovery, me) = (&facts.recovery, &facts.me);
    let since = recovery.span(marker.begun);
    match &recovery.at_work {
        Known::Unknown(why) => {
            warnings.push(format!("whether a recovery of {me} is at work is not known: {why}"));
            format!("?: it began {since} ago ({})", marker.reason)
        }
        Known::Known(true) => {
            warnings.push(format!("{me}'s data is being brought back"));
            let mut words = if marker.phase == Phase::Checking {
                format!("at work for {since}: checks which way")
            } else {
                let (method, source) = (marker.method.word(), &marker.source);
                let how_far = how_far(recovery, marker);
                format!("at work for {since}: {method} from {source}, {how_far}")
            };
            let _ = write!(words, " ({})", marker.reason);
            match &recovery.log {
                Kept::Read(log) => {
                    let _ = write!(words, "; log: {log}");
                }
                Kept::Missing => {}
                Kept::Unreadable(why) => {
                    warnings.push(format!("the log of the recovery is not found: {why}"));
                }
            }
            words
        }
        Known::Known(false) if runs(facts) => {
            warnings.push(format!("{me} runs, and its recovery is not finished yet"));
            format!(
                "began {since} ago ({}); PostgreSQL runs, and when it streams a monitor has the rest \
                 done",
                marker.reason
            )
        }
        Known::Known(false) => {
            warnings.push(format!("{me} waits to be brought back"));
            let mut words = format!("waits since {since}: ");
            match &recovery.waits {
                Kept::Read(waits) => words.push_str(waits),
                Kept::Missing => words.push_str(&marker.reason),
                Kept::Unreadable(why) => {
                    warnings.push(format!("what {me} waits for is not known: {why}"));
                    words.push_str(&marker.reason);
                }
            }
            if marker.half_done {
                let _ = write!(
                    words,
                    "; the data here is between old and new ({} from {}, {}), and is not started",
                    marker.method.word(),
                    marker.source,
                    marker.phase.word()
                );
            }
            words
        }
    }
}

fn runs(facts: &Facts) -> bool {
    facts.servers.get(&facts.me).is_some_and(|server| server.position().is_some())
}

fn how_far(recovery: &Recovery, marker: &Marker) -> String {
    match &recovery.progress {
        Kept::Read(progress) if progress.phase == marker.phase => {
            let quiet = recovery.now.saturating_sub(progress.at);
            let stands = progress.percent.is_some() && quiet >= QUIET;
            let stands =
                if stands { format!(", no news for {}", span(quiet)) } else { String::new() };
            format!("{progress}{stands}")
        }
        Kept::Read(_) | Kept::Missing => marker.phase.word().to_owned(),
        Kept::Unreadable(why) => format!("{}, how far is not known: {why}", marker.phase.word()),
    }
}

/// The attempts that failed; none: there were none.
fn of_attempts(
    recovery: &Recovery,
    marker: &Kept<Marker>,
    warnings: &mut Vec<String>,
) -> Option<String> {
    let attempts = match &recovery.attempts {
        Kept::Read(attempts) if attempts.failed > 0 => attempts,
        Kept::Read(_) | Kept::Missing => return None,
        Kept::Unreadable(why) => {
            warnings.push(format!("how often recoveries failed here is not known: {why}"));
            return None;
        }
    };
    let Attempts { failed, failed_at, reason, next_command } = attempts;
    let ago = recovery.span(*failed_at);
    let mut words = format!("{failed} failed, the last {ago} ago");
    match &recovery.last {
        Kept::Read(last) if last.outcome != Outcome::Done && last.attempt == *failed => {
            let (method, phase) = (last.method.word(), last.phase.word());
            let from = if last.source.is_empty() { "?" } else { &last.source };
            let _ = write!(words, " ({method} from {from}, {phase})");
        }
        Kept::Read(_) | Kept::Missing => {}
        Kept::Unreadable(why) => {
            warnings.push(format!("what came of the last attempt is not known: {why}"));
        }
    }
    let _ = write!(words, ": {reason}");
    if *marker != Kept::Missing && recovery.at_work != Known::Known(true) {
        match attempts.turn(recovery.now) {
            Turn::Now => words.push_str("; the next begins with the next monitor"),
            Turn::At(then) => {
                let seconds = then.saturating_sub(recovery.now);
                let _ = write!(words, "; the next begins in {seconds} s");
            }
            Turn::Over => {
                let _ = write!(words, "; given up. When that is mended: {}", recovery.again);
            }
        }
    }
    if !next_command.is_empty() {
        let _ = write!(words, "; to see more: {next_command}");
    }
    Some(words)
}

fn copies(facts: &Facts, lines: &mut Vec<(&'static str, String)>, warnings: &mut Vec<String>) {
    let copies = match &facts.recovery.copies {
        Known::Known(copies) => copies,
        Known::Unknown(why) => {
            warnings.push(format!(
                "whether an old copy of {}'s data is kept is not known: {why}",
                facts.me
            ));
            return;
        }
    };
    for copy in copies {
        let size = match &copy.bytes {
            Known::Known(size) => bytes(*size),
            Known::Unknown(why) => format!("size ?: {why}"),
        };
        let what_then = if facts.recovery.marker == Kept::Missing {
            let dirs: Vec<String> = copy.dirs.iter().map(|dir| quoted(dir)).collect();
            format!("when it is not needed any more: rm -rf {}", dirs.join(" "))
        } else {
            "leave it alone until this node streams".to_owned()
        };
        let at = copy.dirs.first().map_or("?", String::as_str);
        lines.push(("Old copy", format!("{at} ({size}); {what_then}")));
    }
}

/// As a shell takes it for one word.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
    if path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

/// `37 s`, `12 min`, `3 h 20 min`, `2 d 4 h`. Of a clock that was set back nothing is left.
pub(crate) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{minutes} min"),
        7200..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}
