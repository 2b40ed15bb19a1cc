//! Logs of several nodes as one, in the order of time. Some logs have a date and some have not: all are put
//! in order by the time of day, counted back from the moment at which they were read.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::clock::{DAY, clock, stamp};
use crate::error::{LabError, Result};

/// A log.
#[derive(Debug, Clone, Copy)]
pub struct Log<'a> {
    /// The node, or whoever wrote it.
    pub node: &'a str,
    /// What kind of log it is, in a word.
    pub kind: &'a str,
    /// All of it.
    pub text: &'a str,
}

/// All lines of these logs in one order, each with its time of day, its node and its kind. `now` is the time of
/// day at which they were read: no line is newer. Lines without a time belong to the line before them.
pub fn merge(logs: &[Log<'_>], now: Duration) -> String {
    let mut lines: Vec<(Duration, String)> = Vec::new();
    for log in logs {
        lines.extend(of(log, now));
    }
    // Stable: lines of one moment stay in the order of their log.
    lines.sort_by_key(|(at, _)| *at);
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

/// The day of `now`; a log may be as many days older.
const LAST: u32 = 8;

/// The lines of a log, with the time since a midnight that all logs share. No log is silent for half a day.
fn of(log: &Log<'_>, now: Duration) -> Vec<(Duration, String)> {
    let mut days = LAST;
    let mut later = now;
    let mut lines = Vec::new();
    for (at, texts) in entries(log.text).into_iter().rev() {
        if at > later + DAY / 2 {
            // Much later in the day than what comes after it: it is of the day before.
            days = days.saturating_sub(1);
        } else if at + DAY / 2 < later {
            // And back: a line that is late by a moment, around midnight.
            days = (days + 1).min(LAST);
        }
        later = at;
        for text in texts.into_iter().rev() {
            let line = format!("{} {:<7} {:<9} {text}", clock(at), log.node, log.kind);
            lines.push((DAY * days + at, line));
        }
    }
    lines.reverse();
    lines
}

/// Lines with their times, and those without one that follow.
fn entries(text: &str) -> Vec<(Duration, Vec<&str>)> {
    let mut entries: Vec<(Duration, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        match (split(line), entries.last_mut()) {
            (Some((at, rest)), _) => entries.push((at, vec![rest])),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    entries
}

/// The time of a line, and what comes after it:
/// `12:34:56.789 …` of the nodes' system log and of the nemesis,
/// `2026-11-26 12:34:56.789 UTC …` of PostgreSQL,
/// `Nov 26 12:34:56 …` or `Nov 26 12:34:56.789 …` of Corosync and Pacemaker.
fn split(line: &str) -> Option<(Duration, &str)> {
    let mut rest = line;
    for _ in 0..3 {
        let (word, after) = rest.split_once(' ')?;
        if let Some(at) = stamp(word) {
            return Some((at, after.strip_prefix("UTC ").unwrap_or(after)));
        }
        let is_of_date =
            word.len() <= 10 && word.bytes().all(|one| one.is_ascii_alphanumeric() || one == b'-');
        if !is_of_date {
            return None;
        }
        rest = after.trim_start();
    }
    None
}

/// The timeline of a directory with logs, as `Cluster::save_logs` leaves them, and a log of the nemesis if there
/// is one (`nemesis.log`). Pacemaker's own file is not in it: its notices are in the system log.
pub fn of_directory(dir: &Path, nodes: &[String], now: Duration) -> String {
    // A node may have no such log.
    let read = |file: String| {
        let bytes = fs::read(dir.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let mut texts: Vec<(&str, &str, String)> =
        vec![("nemesis", "fault", read("nemesis.log".into()))];
    for node in nodes {
        let older = read(format!("{node}-syslog.1"));
        texts.push((node, "syslog", older + &read(format!("{node}-syslog"))));
        texts.push((node, "postgres", read(format!("{node}-postgresql.log"))));
        texts.push((node, "corosync", read(format!("{node}-corosync.log"))));
    }
    let logs: Vec<Log<'_>> =
        texts.iter().map(|(node, kind, text)| Log { node, kind, text }).collect();
    merge(&logs, now)
}

/// Writes the timeline of a directory into it.
pub fn write(dir: &Path, nodes: &[String], now: Duration) -> Result<()> {
    let text = of_directory(dir, nodes, now);
    let file = dir.join("timeline.log");
    fs::write(&file, text).map_err(LabError::io(format!("write {}", file.display())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_line_is_found_in_each_kind_of_log() {
        for (line, expected) in [
            (
                "15:32:44.123 pgtwin(pgtwin)[7]: a b",
                Some(("15:32:44.123", "pgtwin(pgtwin)[7]: a b")),
            ),
            (
                "2026-11-26 15:32:44.123 UTC [9] app LOG:  x",
                Some(("15:32:44.123", "[9] app LOG:  x")),
            ),
            (
                "Nov 26 15:32:44 [9] n1 corosync notice  [TOTEM ] x",
                Some(("15:32:44.000", "[9] n1 corosync notice  [TOTEM ] x")),
            ),
            ("Nov  6 15:32:44.500 n1 pacemakerd x", Some(("15:32:44.500", "n1 pacemakerd x"))),
            ("\tSELECT 1 AS \"15:00:00\"", None),
            ("no time at all here 15:32:44.123 x", None),
            ("", None),
        ] {
            let found = split(line).map(|(at, rest)| (clock(at), rest.to_owned()));
            let expected = expected.map(|(at, rest)| (at.to_owned(), rest.to_owned()));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn lines_of_all_nodes_come_in_the_order_of_time() {
        let logs = [
            Log { node: "n1", kind: "syslog", text: "10:00:01.000 a\n10:00:03.000 c\n" },
            Log {
                node: "n2",
                kind: "postgres",
                text: "lost\n2026-11-26 10:00:02.000 UTC [1] b\n\tmore of b\n",
            },
        ];
        let merged = merge(&logs, stamp("10:00:04.000").unwrap());
        let expected = "10:00:01.000 n1      syslog    a\n\
                        10:00:02.000 n2      postgres  [1] b\n\
                        10:00:02.000 n2      postgres  \tmore of b\n\
                        10:00:03.000 n1      syslog    c\n";
        assert_eq!(merged, expected);
    }

    #[test]
    fn what_was_before_midnight_comes_before_what_was_after_it() {
        let logs = [
            Log { node: "n1", kind: "syslog", text: "23:59:58.000 a\n00:00:02.000 c\n" },
            Log { node: "n2", kind: "syslog", text: "23:59:59.000 b\n" },
            Log { node: "n3", kind: "syslog", text: "00:00:03.000 d\n" },
        ];
        let merged = merge(&logs, stamp("00:00:05").unwrap());
        let order: String = merged.lines().filter_map(|line| line.chars().last()).collect();
        assert_eq!(order, "abcd", "{merged}");
    }

    #[test]
    fn lines_that_are_late_by_a_moment_around_midnight_stay_there() {
        let text = "23:59:59.900 a\n00:00:00.100 b\n23:59:59.950 c\n00:00:00.200 d\n";
        let logs = [Log { node: "n1", kind: "syslog", text }];
        let merged = merge(&logs, stamp("00:10:00").unwrap());
        let order: String = merged.lines().filter_map(|line| line.chars().last()).collect();
        assert_eq!(order, "acbd", "{merged}");
    }

    #[test]
    fn a_log_of_two_days_is_in_order() {
        let text = "16:00:00.000 a\n22:00:00.000 b\n01:00:00.000 c\n11:00:00.000 d\n\
                    20:00:00.000 e\n02:00:00.000 f\n";
        let logs = [Log { node: "n1", kind: "syslog", text }];
        let merged = merge(&logs, stamp("02:30:00").unwrap());
        let order: String = merged.lines().filter_map(|line| line.chars().last()).collect();
        assert_eq!(order, "abcdef", "{merged}");
    }

    #[test]
    fn a_directory_of_logs_gives_one_timeline_with_the_older_part_of_a_log_first() {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("n1-syslog.1", "10:00:00.000 a\n"),
            ("n1-syslog", "10:00:02.000 c\n"),
            ("n1-postgresql.log", "2026-11-26 10:00:01.000 UTC [1] b\n"),
            ("nemesis.log", "10:00:01.500 kill\n"),
        ] {
            fs::write(dir.path().join(file), text).unwrap();
        }
        write(dir.path(), &["n1".to_owned(), "n2".to_owned()], stamp("10:00:04").unwrap()).unwrap();
        let text = fs::read_to_string(dir.path().join("timeline.log")).unwrap();
        let order: String = text.lines().filter_map(|line| line.chars().last()).collect();
        assert_eq!(order, "ablc", "{text}");
    }
}
