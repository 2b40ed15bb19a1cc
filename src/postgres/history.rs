//! Timeline history: which positions belong to the line of WAL that a node is on, and which of
//! two nodes is ahead. Timelines compare by ancestry, never by number. Floor 0.
//!
//! Source: <https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES>,
//! and the history files under `pg_wal`.

use std::fmt;
use std::str::FromStr;

use super::lsn::{Lsn, Timeline};

/// The end of an ancestor: the point where the next timeline branched off it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The ancestor that ended here.
    pub timeline: Timeline,
    /// Its last byte that counts, plus one.
    pub at: Lsn,
    /// PostgreSQL's words about it; empty when read from the compact form.
    pub reason: String,
}

/// A timeline and the line of its ancestors, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    timeline: Timeline,
    switches: Vec<Switch>,
}

/// How two positions, each on its own line of WAL, lie to one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same line and the same position.
    Equal,
    /// All that B has is part of A's line, and A has more (a further timeline counts as more).
    AAhead,
    /// All that A has is part of B's line, and B has more.
    BAhead,
    /// Each is on a branch that the other's line lacks.
    Diverged {
        /// The last timeline they share; 0 when they share none.
        timeline: Timeline,
        /// The last position they share; `0/0` when they share none.
        at: Lsn,
    },
}

/// Why a text is not a timeline history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A line of a history file does not have the form `timeline LSN reason`.
    #[error("line {line} of the history of timeline {of} is not `timeline LSN reason`")]
    Line {
        /// Whose history it is.
        of: Timeline,
        /// Counted from 1.
        line: usize,
    },
    /// Ancestors must come in ascending order, below the timeline itself, with ascending ends.
    #[error("the history of timeline {of} is out of order at timeline {at}")]
    Order {
        /// Whose history it is.
        of: Timeline,
        /// The first ancestor that is out of order.
        at: Timeline,
    },
    /// The compact form is damaged.
    #[error("{0:?} is not a line of timelines (expected a form like 1@0/3000148,2)")]
    Compact(String),
}

impl History {
    /// Timeline 1, which has no history file.
    pub fn of_first_line() -> Self {
        Self::without_ancestors(Timeline::FIRST)
    }

    /// A timeline without a history file: 1, or one that pg_resetwal made up.
    pub fn without_ancestors(timeline: Timeline) -> Self {
        Self { timeline, switches: Vec::new() }
    }

    /// Reads the text of `timeline`'s history file.
    pub fn parse_file(timeline: Timeline, text: &str) -> Result<Self, HistoryError> {
        let mut switches = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = || HistoryError::Line { of: timeline, line: index + 1 };
            let (ancestor, rest) = line.split_once(char::is_whitespace).ok_or_else(bad)?;
            let rest = rest.trim_start();
            let (at, reason) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            switches.push(Switch {
                timeline: ancestor.parse().map_err(|_| bad())?,
                at: at.parse().map_err(|_| bad())?,
                reason: reason.trim().to_owned(),
            });
        }
        Self::checked(timeline, switches)
    }

    fn checked(timeline: Timeline, switches: Vec<Switch>) -> Result<Self, HistoryError> {
        let mut before = (Timeline(0), Lsn::ZERO);
        for switch in &switches {
            let ordered = switch.timeline > before.0
                && switch.timeline < timeline
                && switch.at >= before.1
                && switch.at.is_valid()
                && switch.at != Lsn::MAX;
            if !ordered {
                return Err(HistoryError::Order { of: timeline, at: switch.timeline });
            }
            before = (switch.timeline, switch.at);
        }
        Ok(Self { timeline, switches })
    }

    /// The timeline whose history this is.
    pub fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// Its ancestors, oldest first.
    pub fn switches(&self) -> &[Switch] {
        &self.switches
    }

    /// The line up to an ancestor, and where that one ends; none where it is no ancestor.
    pub fn ancestor(&self, timeline: Timeline) -> Option<(Self, Lsn)> {
        let index = self.switches.iter().position(|switch| switch.timeline == timeline)?;
        let (before, rest) = self.switches.split_at(index);
        let line = Self { timeline, switches: before.to_vec() };
        rest.first().map(|switch| (line, switch.at))
    }

    /// Where its own timeline begins; `0/0` without ancestors.
    pub fn begin(&self) -> Lsn {
        self.switches.last().map_or(Lsn::ZERO, |switch| switch.at)
    }

    /// Whether a position is part of this line: it is on the timeline itself, or on an ancestor
    /// and not beyond its end.
    pub fn contains(&self, timeline: Timeline, lsn: Lsn) -> bool {
        timeline == self.timeline
            || self.switches.iter().any(|switch| switch.timeline == timeline && lsn <= switch.at)
    }

    /// Whether both say the same about timelines and their ends; reasons do not count.
    pub fn same_line(&self, other: &Self) -> bool {
        self.segments().eq(other.segments())
    }

    /// Each timeline with its end, oldest first; the last one has no end.
    fn segments(&self) -> impl Iterator<Item = (Timeline, Lsn)> + '_ {
        self.switches
            .iter()
            .map(|switch| (switch.timeline, switch.at))
            .chain(std::iter::once((self.timeline, Lsn::MAX)))
    }

    /// The last position that both lines have: `Lsn::MAX` on the common timeline when they are the
    /// same line, `None` when they share nothing.
    pub fn fork_point(&self, other: &Self) -> Option<(Timeline, Lsn)> {
        let mut common = None;
        for (ours, theirs) in self.segments().zip(other.segments()) {
            if ours.0 != theirs.0 {
                break;
            }
            common = Some((ours.0, ours.1.min(theirs.1)));
            if ours.1 != theirs.1 {
                break;
            }
        }
        common
    }

    /// Compares two positions, each the end of what a node has on its own line.
    ///
    /// Two nodes that claim one timeline number with different ancestors have diverged. At a
    /// switch point the node that has followed the switch is ahead of one that has not.
    pub fn compare(a: (&Self, Lsn), b: (&Self, Lsn)) -> Relation {
        let Some((timeline, at)) = a.0.fork_point(b.0) else {
            return Relation::Diverged { timeline: Timeline(0), at: Lsn::ZERO };
        };
        let a_is_common = a.0.timeline == timeline && a.1 <= at;
        let b_is_common = b.0.timeline == timeline && b.1 <= at;
        match (a_is_common, b_is_common) {
            (true, true) => match a.1.cmp(&b.1) {
                std::cmp::Ordering::Less => Relation::BAhead,
                std::cmp::Ordering::Equal => Relation::Equal,
                std::cmp::Ordering::Greater => Relation::AAhead,
            },
            (true, false) => Relation::BAhead,
            (false, true) => Relation::AAhead,
            (false, false) => Relation::Diverged { timeline, at },
        }
    }
}

/// The compact form, for a node attribute: ancestors with their ends, then the timeline itself, as
/// in `1@0/3000148,2@0/5000000,3`.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for switch in &self.switches {
            write!(f, "{}@{},", switch.timeline, switch.at)?;
        }
        write!(f, "{}", self.timeline)
    }
}

impl FromStr for History {
    type Err = HistoryError;

    fn from_str(text: &str) -> Result<Self, HistoryError> {
        let bad = || HistoryError::Compact(text.chars().take(80).collect());
        let (ancestors, own) = match text.rsplit_once(',') {
            Some((ancestors, own)) => (Some(ancestors), own),
            None => (None, text),
        };
        let mut switches = Vec::new();
        for part in ancestors.into_iter().flat_map(|list| list.split(',')) {
            let (timeline, at) = part.split_once('@').ok_or_else(bad)?;
            switches.push(Switch {
                timeline: timeline.parse().map_err(|_| bad())?,
                at: at.parse().map_err(|_| bad())?,
                reason: String::new(),
            });
        }
        Self::checked(own.parse().map_err(|_| bad())?, switches)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn line(text: &str) -> History {
        text.parse().unwrap()
    }

    fn lsn(text: &str) -> Lsn {
        text.parse().unwrap()
    }

    #[test]
    fn a_file_is_read_with_comments_blank_lines_and_any_white_space() {
        let text = "# a comment\n\n1\t0/3000148\tno recovery target specified\n \
                    2  0/5000000  before 2000-01-01 01:00:00+01\r\n3 0/5000000";
        let history = History::parse_file(Timeline(5), text).unwrap();
        assert_eq!(history.to_string(), "1@0/3000148,2@0/5000000,3@0/5000000,5");
        assert_eq!(history.switches()[0].reason, "no recovery target specified");
        assert_eq!(history.switches()[1].reason, "before 2000-01-01 01:00:00+01");
        assert_eq!(history.begin(), lsn("0/5000000"));
        assert!(history.same_line(&line("1@0/3000148,2@0/5000000,3@0/5000000,5")));
    }

    #[test]
    fn malformed_files_are_errors() {
        let of = Timeline(4);
        let bad_line = |line| HistoryError::Line { of, line };
        for (text, expected) in [
            ("1", bad_line(1)),
            ("x 0/1 r", bad_line(1)),
            ("1 0/1 r\n2", bad_line(2)),
            ("1 here r", bad_line(1)),
            ("-1 0/1", bad_line(1)),
            ("0 0/1 r", bad_line(1)),
            ("2 0/5 r\n1 0/6 r", HistoryError::Order { of, at: Timeline(1) }),
            ("1 0/5 r\n1 0/6 r", HistoryError::Order { of, at: Timeline(1) }),
            ("1 0/5 r\n2 0/4 r", HistoryError::Order { of, at: Timeline(2) }),
            ("4 0/5 r", HistoryError::Order { of, at: Timeline(4) }),
            ("1 0/0 r", HistoryError::Order { of, at: Timeline(1) }),
        ] {
            assert_eq!(History::parse_file(of, text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn an_empty_file_is_a_timeline_without_ancestors() {
        let history = History::parse_file(Timeline(3), "").unwrap();
        assert_eq!(history, History::without_ancestors(Timeline(3)));
        assert_eq!(History::of_first_line().to_string(), "1");
        assert_eq!(History::of_first_line().begin(), Lsn::ZERO);
    }

    #[test]
    fn the_compact_form_survives_writing_and_reading() {
        for text in ["1", "7", "1@0/3000148,2", "1@0/3000148,2@0/5000000,9"] {
            assert_eq!(line(text).to_string(), text);
        }
        for text in ["", ",", "1@0/3000148", "1@0/3000148,", ",1", "1,2", "2@0/1,1", "1@x,2", "é"]
        {
            assert!(text.parse::<History>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_position_is_part_of_a_line_up_to_the_end_of_its_timeline() {
        let history = line("1@0/300,3@0/500,4");
        for (timeline, at, expected) in [
            (1, "0/100", true),
            (1, "0/300", true),
            (1, "0/301", false),
            (2, "0/100", false),
            (3, "0/500", true),
            (3, "0/501", false),
            (4, "9/0", true),
            (5, "0/100", false),
        ] {
            assert_eq!(history.contains(Timeline(timeline), lsn(at)), expected, "{timeline} {at}");
        }
    }

    #[test]
    fn the_fork_point_is_the_last_common_position() {
        for (a, b, expected) in [
            ("1", "1", Some((1, Lsn::MAX))),
            ("1", "1@0/300,2", Some((1, lsn("0/300")))),
            ("1@0/300,2", "1@0/300,3", Some((1, lsn("0/300")))),
            ("1@0/300,2", "1@0/400,3", Some((1, lsn("0/300")))),
            ("1@0/300,2@0/500,3", "1@0/300,2@0/480,4", Some((2, lsn("0/480")))),
            ("1@0/300,2@0/500,3", "1@0/300,2", Some((2, lsn("0/500")))),
            ("1@0/300,2", "1@0/310,2", Some((1, lsn("0/300")))),
            ("1", "2", None),
        ] {
            let expected = expected.map(|(timeline, at)| (Timeline(timeline), at));
            assert_eq!(line(a).fork_point(&line(b)), expected, "{a} {b}");
            assert_eq!(line(b).fork_point(&line(a)), expected, "{b} {a}");
        }
    }

    #[test]
    fn an_ancestor_is_a_line_with_an_end() {
        let whole = line("1@0/300,2@0/500,5");
        for (timeline, expected) in
            [(1, Some(("1", "0/300"))), (2, Some(("1@0/300,2", "0/500"))), (3, None), (5, None)]
        {
            let expected = expected.map(|(text, end)| (line(text), lsn(end)));
            assert_eq!(whole.ancestor(Timeline(timeline)), expected, "{timeline}");
        }
    }

    #[test]
    fn positions_compare_by_ancestry_and_never_by_number() {
        let diverged =
            |timeline, at| Relation::Diverged { timeline: Timeline(timeline), at: lsn(at) };
        for (a, a_at, b, b_at, expected) in [
            ("1", "0/100", "1", "0/100", Relation::Equal),
            ("1", "0/200", "1", "0/100", Relation::AAhead),
            ("1@0/300,2", "0/400", "1", "0/200", Relation::AAhead),
            ("1@0/300,2", "0/400", "1", "0/300", Relation::AAhead),
            // At the switch point itself, the one that followed is ahead.
            ("1@0/300,2", "0/300", "1", "0/300", Relation::AAhead),
            // The older timeline went on: a larger number or LSN decides nothing.
            ("1@0/300,2", "0/400", "1", "0/301", diverged(1, "0/300")),
            ("1@0/300,2", "0/400", "1", "9/0", diverged(1, "0/300")),
            ("1@0/300,3", "0/400", "1@0/300,2", "0/301", diverged(1, "0/300")),
            // Two promotions that took the same number.
            ("1@0/300,2", "0/400", "1@0/310,2", "0/400", diverged(1, "0/300")),
            ("1@0/300,2@0/500,3", "0/600", "1@0/310,2", "0/400", diverged(1, "0/300")),
            ("1@0/300,2@0/500,3", "0/600", "1@0/300,2", "0/500", Relation::AAhead),
            ("1", "0/100", "2", "0/100", diverged(0, "0/0")),
        ] {
            let (a, b) = (line(a), line(b));
            let swapped = match expected {
                Relation::AAhead => Relation::BAhead,
                Relation::BAhead => Relation::AAhead,
                same @ (Relation::Equal | Relation::Diverged { .. }) => same,
            };
            assert_eq!(History::compare((&a, lsn(a_at)), (&b, lsn(b_at))), expected, "{a} {b}");
            assert_eq!(History::compare((&b, lsn(b_at)), (&a, lsn(a_at))), swapped, "{b} {a}");
        }
    }
}
