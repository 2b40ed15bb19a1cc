//! Answers of the replication protocol, as `psql -XAt` prints them. Floor 0.
//!
//! Source: <https://www.postgresql.org/docs/current/protocol-replication.html>. Columns are divided
//! by `|` (psql's default) or by a tab.

use super::history::{History, HistoryError};
use super::lsn::{Lsn, Timeline};

/// What IDENTIFY_SYSTEM says: who an instance is and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identified {
    /// The identifier that initdb made.
    pub system_id: u64,
    /// The timeline it writes, or replays.
    pub timeline: Timeline,
    /// On a primary what is flushed; on a standby what is flushed or replayed, whichever is more.
    pub lsn: Lsn,
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifyError {
    /// It does not have the form of an answer to this command.
    #[error("the answer to {command} is {answer:?}, which is not understood")]
    Answer {
        /// The command of the replication protocol.
        command: &'static str,
        /// The beginning of the answer.
        answer: String,
    },
    /// The history file that was sent is damaged.
    #[error("the server sent a damaged history file")]
    History(#[source] HistoryError),
}

/// Reads the answer to `IDENTIFY_SYSTEM`.
pub fn parse_identify(text: &str) -> Result<Identified, IdentifyError> {
    let read = || {
        let line = only_line(text)?;
        let mut fields = line.split(['|', '\t']);
        let system_id: u64 = fields.next()?.parse().ok()?;
        let timeline = fields.next()?.parse().ok()?;
        let lsn = fields.next()?.parse().ok()?;
        // The fourth is the name of a database, empty for physical replication.
        let _database = fields.next()?;
        let done = fields.next().is_none() && system_id != 0;
        done.then_some(Identified { system_id, timeline, lsn })
    };
    read().ok_or_else(|| not_understood("IDENTIFY_SYSTEM", text))
}

/// Reads the answer to `TIMELINE_HISTORY n`, whose second column has several lines.
pub fn parse_timeline_history(text: &str) -> Result<History, IdentifyError> {
    let (timeline, content) = text
        .split_once(['|', '\t'])
        .and_then(|(name, content)| Some((Timeline::of_history_file(name)?, content)))
        .ok_or_else(|| not_understood("TIMELINE_HISTORY", text))?;
    History::parse_file(timeline, content).map_err(IdentifyError::History)
}

/// Reads the answer to `SHOW name`: one line, which may be empty.
pub fn parse_show(text: &str) -> Result<&str, IdentifyError> {
    only_line(text).ok_or_else(|| not_understood("SHOW", text))
}

/// The text without its line end; `None` when there are more lines, or not even one.
fn only_line(text: &str) -> Option<&str> {
    let line = text.strip_suffix('\n')?;
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') { None } else { Some(line) }
}

fn not_understood(command: &'static str, text: &str) -> IdentifyError {
    IdentifyError::Answer { command, answer: text.trim().chars().take(80).collect() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    macro_rules! fixtures {
        ($name:literal) => {
            [
                include_str!(concat!("../../tests/fixtures/postgres/13/", $name)),
                include_str!(concat!("../../tests/fixtures/postgres/15/", $name)),
                include_str!(concat!("../../tests/fixtures/postgres/17/", $name)),
                include_str!(concat!("../../tests/fixtures/postgres/18/", $name)),
            ]
        };
    }

    #[test]
    fn the_answer_of_every_version_is_read_with_either_divider() {
        for (bar, tab) in fixtures!("identify.txt").into_iter().zip(fixtures!("identify-tab.txt")) {
            let found = parse_identify(bar).unwrap();
            assert_eq!(parse_identify(tab), Ok(found));
            assert_eq!(found.timeline, Timeline(3));
            assert!(found.lsn.is_valid());
        }
        assert_eq!(
            parse_identify("7710222564287865490|1|0/B51740|\n"),
            Ok(Identified {
                system_id: 7_710_222_564_287_865_490,
                timeline: Timeline(1),
                lsn: Lsn(0xB5_1740),
            })
        );
    }

    #[test]
    fn a_history_that_was_sent_is_the_history_on_disk() {
        let bars = fixtures!("timeline-history.txt");
        let tabs = fixtures!("timeline-history-tab.txt");
        let files = fixtures!("00000003.history");
        for ((bar, tab), file) in bars.into_iter().zip(tabs).zip(files) {
            let on_disk = History::parse_file(Timeline(3), file).unwrap();
            assert_eq!(on_disk.switches().len(), 2);
            assert_eq!(parse_timeline_history(bar), Ok(on_disk.clone()));
            assert_eq!(parse_timeline_history(tab), Ok(on_disk));
        }
    }

    #[test]
    fn a_setting_is_one_line() {
        for text in fixtures!("replication-show.txt") {
            assert_eq!(parse_show(text), Ok("1min"));
        }
        assert_eq!(parse_show("\n"), Ok(""));
        assert!(parse_show("").is_err() && parse_show("a\nb\n").is_err());
    }

    #[test]
    fn rubbish_is_an_error() {
        for text in [
            "",
            "\n",
            "x\n",
            "1|1|0/1\n",
            "0|1|0/1|\n",
            "1|0|0/1|\n",
            "1|1|zero|\n",
            "1|1|0/1||\n",
            "1|1|0/1|",
            "1|1|0/1|\n1|1|0/1|\n",
        ] {
            assert!(parse_identify(text).is_err(), "{text:?}");
        }
        for text in ["", "00000003.history", "x|1\t0/1\tr\n", "00000003.history|nonsense\n"] {
            assert!(parse_timeline_history(text).is_err(), "{text:?}");
        }
    }
}
