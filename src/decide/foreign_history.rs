//! History files of another line than the server's: PostgreSQL takes the newest that it finds in its archive
//! for the way to go, and does not start if that is not its own, or is fed WAL of another branch. Floor 1.

use crate::postgres::history::{History, Switch};
use crate::postgres::lsn::{Lsn, Timeline};

/// The server that would follow them.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its timeline, with its ancestors.
    pub history: History,
    /// How far it is.
    pub lsn: Lsn,
    /// It accepts writes: a later timeline than its own is nobody's whom it knows.
    pub primary: bool,
}

/// Why a history file is not of this line; none: it is, or is of a branch that was left behind and that
/// nobody asks for, as its number is lower.
#[must_use]
pub fn foreign(line: &Line, found: &History) -> Option<String> {
    let (mine, timeline) = (line.history.timeline(), found.timeline());
    let ours = line.history.switches();
    let upto = |timeline: Timeline| -> Option<&[Switch]> {
        let known = ours.iter().position(|switch| switch.timeline == timeline);
        if timeline == mine { Some(ours) } else { known.and_then(|index| ours.get(..index)) }
    };
    match upto(timeline) {
        Some(expected) if same(expected, found.switches()) => None,
        Some(_) => Some(format!("timeline {timeline} is here another one")),
        None if timeline < mine => None,
        None if line.primary => {
            Some(format!("this primary is on timeline {mine}, and nobody was promoted since"))
        }
        None if found.contains(mine, line.lsn) && begins_like(ours, found.switches()) => None,
        None => Some(format!("it parts from timeline {mine} before {}", line.lsn)),
    }
}

/// What is said of such a file.
#[must_use]
pub fn words(path: &str, why: &str) -> String {
    format!(
        "{path} is of another line ({why}): a server that finds it does not start, or is fed WAL of that \
         line"
    )
}

fn same(ours: &[Switch], theirs: &[Switch]) -> bool {
    ours.len() == theirs.len() && begins_like(ours, theirs)
}

/// By timelines and positions: the reasons are words for people.
fn begins_like(ours: &[Switch], theirs: &[Switch]) -> bool {
    ours.len() <= theirs.len()
        && ours.iter().zip(theirs).all(|(a, b)| (a.timeline, a.at) == (b.timeline, b.at))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_lead_a_server_astray_is_foreign() {
        // Timeline 3 at 0/600, by way of 1 and 2.
        let line = |primary| Line {
            history: "1@0/100,2@0/300,3".parse().unwrap(),
            lsn: Lsn(0x600),
            primary,
        };
        for (found, of_primary, of_standby) in [
            ("1@0/100,2@0/300,3", false, false),
            ("1@0/100,2", false, false),
            ("1@0/100,2@0/200,3", true, true),
            ("2@0/300,3", true, true),
            ("1@0/80,2", true, true),
            ("1@0/100,2@0/300,3@0/600,4", true, false),
            ("1@0/100,2@0/300,3@0/5FF,4", true, true),
            ("1@0/100,2@0/400,4", true, true),
            ("1@0/80,2@0/300,3@0/700,4", true, true),
        ] {
            let found: History = found.parse().unwrap();
            for (primary, expected) in [(true, of_primary), (false, of_standby)] {
                let why = foreign(&line(primary), &found);
                assert_eq!(why.is_some(), expected, "{found} {primary}: {why:?}");
            }
        }
        // An abandoned branch with a lower number: whoever is on timeline 4 passes it by.
        let line =
            Line { history: "1@0/100,2@0/300,4".parse().unwrap(), lsn: Lsn(0x600), primary: true };
        assert_eq!(foreign(&line, &"1@0/100,2@0/200,3".parse().unwrap()), None);
    }
}
