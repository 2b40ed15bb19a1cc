//! An operator's order for another node: its data is to be built anew. The CIB keeps it, beside the ledger,
//! until that node has taken it; and what the node answers. Floor 0.
//!
//! Both are one line of printable ASCII. An order says only that somebody wants it: whether it may be done
//! is found out by the node itself.

use std::fmt;
use std::str::FromStr;

use super::node::NodeName;

/// The longest name of who asks, and the longest words of an answer, in bytes.
const BY: usize = 80;
const WORDS: usize = 400;

/// How the name of an entry begins, without the prefix of the resource's; the node's name follows.
pub const PREFIX: &str = "rebuild-";
/// So long a node may take to take it, in seconds: a monitor has to come round.
pub const TO_TAKE: i64 = 120;

/// The name of the entry, without the prefix of the resource's.
pub fn entry_of(node: &NodeName) -> String {
    format!("{PREFIX}{node}")
}

/// Tells one order from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderId(pub u64);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which one it is.
    pub id: OrderId,
    /// When, in seconds of the epoch, by the clock of the node on which it was given.
    pub at: i64,
    /// By whom.
    pub by: String,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is taken and under way.
    GoesOn,
    /// The new data streams.
    Done,
    /// The attempt failed, and another one follows.
    Failed,
    /// It was ended from outside.
    Over,
    /// It may not be done.
    Refused,
    /// It was not begun.
    NotBegun,
}

impl Stage {
    const ALL: [Self; 6] =
        [Self::GoesOn, Self::Done, Self::Failed, Self::Over, Self::Refused, Self::NotBegun];

    /// In one word, as `pgtwin rebuild --json` has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::GoesOn => "goes-on",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Over => "over",
            Self::Refused => "refused",
            Self::NotBegun => "not-begun",
        }
    }
}

/// What the node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// To this order.
    pub id: OrderId,
    /// So it stands.
    pub stage: Stage,
    /// After so many seconds.
    pub seconds: u64,
    /// So many bytes were copied; known at the end.
    pub bytes: u64,
    /// How far, or why; may be empty.
    pub words: String,
}

/// A text is neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no {1}")]
pub struct NotUnderstood(String, &'static str);

impl NotUnderstood {
    fn new(text: &str, what: &'static str) -> Self {
        let plain = |c: &char| *c == ' ' || c.is_ascii_graphic();
        Self(text.chars().filter(plain).take(60).collect(), what)
    }
}

fn plain(text: &str, max: usize) -> String {
    let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.trim().chars().map(plain).take(max).collect::<String>().trim_end().to_owned()
}

fn is_plain(text: &str, max: usize) -> bool {
    plain(text, max) == text
}

fn number<T: FromStr>(text: &str, digits: usize) -> Option<T> {
    let fits = (1..=digits).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// `name=value` before the next blank, and what follows that.
fn field<'t>(text: &'t str, name: &str) -> Option<(&'t str, &'t str)> {
    text.strip_prefix(name)?.strip_prefix('=')?.split_once(' ')
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for OrderId {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<Self, NotUnderstood> {
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let id = u64::from_str_radix(text, 16).ok();
        id.filter(|_| text.len() == 16 && text.bytes().all(lower))
            .map(Self)
            .ok_or_else(|| NotUnderstood::new(text, "number of an order"))
    }
}

impl Order {
    /// An order of now, by somebody whose name is shown otherwise where it cannot be stored.
    pub fn new(id: OrderId, at: i64, by: &str) -> Self {
        let by = plain(by, BY);
        Self { id, at, by: if by.is_empty() { "?".to_owned() } else { by } }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "id={} at={} by={}", self.id, self.at, self.by)
    }
}

impl FromStr for Order {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<Self, NotUnderstood> {
        let read = || {
            let (id, rest) = field(text, "id")?;
            let (at, by) = field(rest, "at")?;
            let by = by.strip_prefix("by=")?;
            let good = !by.is_empty() && is_plain(by, BY);
            let order = Self { id: id.parse().ok()?, at: number(at, 11)?, by: by.to_owned() };
            good.then_some(order)
        };
        read().ok_or_else(|| NotUnderstood::new(text, "order"))
    }
}

impl Answer {
    /// To this order. Words that cannot be stored are shown otherwise.
    pub fn new(id: OrderId, stage: Stage, seconds: u64, words: &str) -> Self {
        Self { id, stage, seconds, bytes: 0, words: plain(words, WORDS) }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, stage, seconds, bytes, words } = self;
        let stage = stage.word();
        write!(f, "id={id} stage={stage} seconds={seconds} bytes={bytes} words={words}")
    }
}

impl FromStr for Answer {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<Self, NotUnderstood> {
        let read = || {
            let (id, rest) = field(text, "id")?;
            let (stage, rest) = field(rest, "stage")?;
            let (seconds, rest) = field(rest, "seconds")?;
            let (bytes, rest) = field(rest, "bytes")?;
            let words = rest.strip_prefix("words=")?;
            let answer = Self {
                id: id.parse().ok()?,
                stage: Stage::ALL.into_iter().find(|one| one.word() == stage)?,
                seconds: number(seconds, 9)?,
                bytes: number(bytes, 18)?,
                words: words.to_owned(),
            };
            is_plain(words, WORDS).then_some(answer)
        };
        read().ok_or_else(|| NotUnderstood::new(text, "answer to an order"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ID: OrderId = OrderId(0x8f3a_12bc_0000_0001);

    #[test]
    fn an_order_reads_back_and_a_name_that_cannot_be_stored_is_shown_otherwise() {
        let order = Order::new(ID, 1_764_138_600, " operator J\u{fc}rgen\n(sudo) on n1 ");
        let text = "id=8f3a12bc00000001 at=1764138600 by=operator J?rgen?(sudo) on n1";
        assert_eq!(order.to_string(), text);
        assert_eq!(text.parse(), Ok(order));
        assert_eq!(Order::new(ID, 5, "").to_string().parse::<Order>().unwrap().by, "?");
        assert_eq!(Order::new(ID, 5, &"x".repeat(500)).by.len(), BY);
        for text in [
            "",
            "id=8f3a12bc00000001 at=1764138600 by=",
            "id=8f3a12bc00000001 at=1764138600",
            "id=8F3A12BC00000001 at=1764138600 by=x",
            "id=8f3a12bc at=1764138600 by=x",
            "id=8f3a12bc00000001 at=-5 by=x",
            "id=8f3a12bc00000001 at=+5 by=x",
            "id=8f3a12bc00000001 at=176413860000 by=x",
            "at=1764138600 id=8f3a12bc00000001 by=x",
            "id=8f3a12bc00000001 at=1764138600 by= x",
            "id=8f3a12bc00000001 at=1764138600 by=x\x1b[2J",
            "id=8f3a12bc00000001 at=1764138600 by=\u{fc}",
        ] {
            let error = text.parse::<Order>().unwrap_err().to_string();
            assert!(error.is_ascii() && !error.contains('\x1b'), "{error}");
        }
        let long = format!("id={ID} at=5 by={}", "x".repeat(81));
        assert!(long.parse::<Order>().unwrap_err().to_string().len() < 90);
    }

    #[test]
    fn an_answer_reads_back_and_nothing_else_does() {
        for stage in Stage::ALL {
            let answer = Answer { bytes: 7, ..Answer::new(ID, stage, 42, "copying (12 %)\n") };
            assert_eq!(answer.to_string().parse(), Ok(answer));
        }
        let none = Answer::new(ID, Stage::GoesOn, 0, "");
        assert_eq!(none.to_string().parse(), Ok(none));
        let long = Answer::new(ID, Stage::Failed, 0, &"w".repeat(9999));
        assert_eq!(long.words.len(), WORDS);
        assert_eq!(long.to_string().parse(), Ok(long.clone()));
        for text in [
            String::new(),
            format!("{long}w"),
            format!("{ID} stage=done seconds=1 bytes=1 words="),
            format!("id={ID} stage=gone seconds=1 bytes=1 words="),
            format!("id={ID} stage=done seconds=-1 bytes=1 words="),
            format!("id={ID} stage=done seconds=1 bytes=x words="),
            format!("id={ID} stage=done seconds=1 bytes=1 words=\x1b[2J"),
            format!("id={ID} stage=done seconds=1 bytes=1 words=\u{202e}x"),
        ] {
            assert!(text.parse::<Answer>().is_err(), "{text}");
        }
    }
}
