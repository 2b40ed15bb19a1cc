//! What a member remembers of itself, and what it tells the others of that. Floor 0.
//!
//! An event is one line of printable ASCII. What others tell is shown to people and decides nothing.

use std::fmt;
use std::str::FromStr;

/// The longest attribute that is told, in bytes. The oldest events give way.
const TOLD: usize = 1500;
/// The longest one that is read.
const READ: usize = 4 * TOLD;
/// The longest words of an event, in bytes.
const WORDS: usize = 250;
/// What stands before the events of an attribute: its version.
const VERSION: &str = "1";
/// What stands between two of them.
const BETWEEN: &str = " | ";
/// What stands at the end of words that were cut.
const CUT: &str = "...";

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This node became the primary.
    Promotion,
    /// As the primary, it counts on other standbys than before; or commits wait.
    Sync,
    /// Its data was brought back, or was to be.
    Recovery,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Promotion, Self::Sync, Self::Recovery];

    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Promotion => "promotion",
            Self::Sync => "sync",
            Self::Recovery => "recovery",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    at: i64,
    kind: Kind,
    words: String,
}

/// A text is no event, or no list of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotThePast {
    /// Nobody writes so much.
    #[error("it is longer than {READ} bytes")]
    TooLong,
    /// It may steer a terminal.
    #[error("it is not printable ASCII")]
    NotPrintable,
    /// Another pgtwin may have written it.
    #[error("it is of another version")]
    OtherVersion,
    /// One of the events.
    #[error("{0:?} is no event")]
    NoEvent(String),
}

impl Event {
    /// At this second of the epoch. What could steer a terminal or end the event is put in other words,
    /// and what is too long is cut.
    pub fn new(at: i64, kind: Kind, words: &str) -> Self {
        let plain = |c: char| match c {
            '|' => '/',
            ' '..='~' => c,
            c if c.is_whitespace() => ' ',
            _ => '?',
        };
        let mut words: String = words.trim().chars().map(plain).collect();
        if words.len() > WORDS {
            words.truncate(WORDS - CUT.len());
            words.push_str(CUT);
        }
        Self { at: at.max(0), kind, words }
    }

    /// When, in seconds of the epoch.
    pub fn at(&self) -> i64 {
        self.at
    }

    /// What kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// In words.
    pub fn words(&self) -> &str {
        &self.words
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.at, self.kind.word(), self.words)
    }
}

impl FromStr for Event {
    type Err = NotThePast;

    fn from_str(text: &str) -> Result<Self, NotThePast> {
        let read = || {
            let mut parts = text.splitn(3, ' ');
            let (at, kind, words) = (parts.next()?, parts.next()?, parts.next()?);
            let digits = (1..=11).contains(&at.len()) && at.bytes().all(|b| b.is_ascii_digit());
            let at = if digits { at.parse().ok()? } else { return None };
            let kind = Kind::ALL.into_iter().find(|one| one.word() == kind)?;
            let event = Self::new(at, kind, words);
            (!words.is_empty() && event.words == words).then_some(event)
        };
        let shown = || text.chars().filter(char::is_ascii_graphic).take(40).collect();
        read().ok_or_else(|| NotThePast::NoEvent(shown()))
    }
}

/// The newest of these events (the newest comes last) as an attribute; none: there is nothing to tell.
pub fn told(events: &[Event]) -> Option<String> {
    let mut room = TOLD - VERSION.len();
    let fits = |event: &&Event| {
        let needed = BETWEEN.len() + event.to_string().len();
        let enough = needed <= room;
        room = room.saturating_sub(needed);
        enough
    };
    let count = events.iter().rev().take_while(fits).count();
    let newest = events.get(events.len() - count..).filter(|newest| !newest.is_empty())?;
    Some(newest.iter().fold(VERSION.to_owned(), |text, event| format!("{text}{BETWEEN}{event}")))
}

/// What another member has told, oldest first.
pub fn heard(text: &str) -> Result<Vec<Event>, NotThePast> {
    if text.len() > READ {
        return Err(NotThePast::TooLong);
    }
    if !text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Err(NotThePast::NotPrintable);
    }
    let mut parts = text.split(BETWEEN);
    if parts.next() != Some(VERSION) {
        return Err(NotThePast::OtherVersion);
    }
    parts.map(str::parse).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const AT: i64 = 1_764_138_600;

    #[test]
    fn what_is_told_is_heard_as_it_was_and_the_oldest_gives_way() {
        assert_eq!(told(&[]), None);
        let kinds = Kind::ALL.into_iter().cycle();
        let events: Vec<Event> = (0..40)
            .zip(kinds)
            .map(|(n, kind)| Event::new(AT + n, kind, &format!("event {n} {}", "x".repeat(80))))
            .collect();
        let text = told(&events).unwrap();
        assert!(text.len() <= TOLD && text.starts_with("1 | "), "{text}");
        let heard = heard(&text).unwrap();
        assert!((10..20).contains(&heard.len()), "{}", heard.len());
        assert_eq!(heard, events[events.len() - heard.len()..]);
        // A single one always fits.
        let long = Event::new(AT, Kind::Sync, &"y".repeat(9999));
        assert_eq!(super::heard(&told(std::slice::from_ref(&long)).unwrap()).unwrap(), [long]);
    }

    #[test]
    fn words_steer_no_terminal_and_end_no_event() {
        let event = Event::new(-5, Kind::Recovery, " failed: \x1b[2J\n| 1 sync ü\u{202e} ");
        assert_eq!(event.to_string(), "0 recovery failed: ?[2J / 1 sync ??");
        assert_eq!(event.to_string().parse(), Ok(event));
        let cut = Event::new(AT, Kind::Recovery, &"w".repeat(251));
        assert!(cut.words().len() == WORDS && cut.words().ends_with("w..."));
    }

    #[test]
    fn what_others_tell_is_taken_as_a_whole_or_not_at_all() {
        for (text, words) in [
            ("", "another version"),
            ("2 | 1764138600 sync x", "another version"),
            ("1764138600 sync x", "another version"),
            ("1 | 1764138600 sync x | ", "is no event"),
            ("1 | 1764138600 sync ", "is no event"),
            ("1 | 1764138600 sync  x", "is no event"),
            ("1 | 1764138600 war x", "is no event"),
            ("1 | -5 sync x", "is no event"),
            ("1 | +5 sync x", "is no event"),
            ("1 | 999999999999 sync x", "is no event"),
            ("1 |  sync x", "is no event"),
            ("1 | 5 sync a|b", "is no event"),
            ("1 | 5 sync \x1b[2J", "not printable"),
            ("1 | 5 sync ü", "not printable"),
            ("1 | 5 sync a\nb", "not printable"),
        ] {
            let error = heard(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text:?}: {error}");
        }
        let long = format!("1{}", " | 5 sync x".repeat(600));
        assert_eq!(heard(&long), Err(NotThePast::TooLong));
        let wide = format!("1 | 5 sync {}", "x".repeat(251));
        assert!(heard(&wide).unwrap_err().to_string().len() < 80);
        assert_eq!(heard("1"), Ok(Vec::new()));
    }
}
