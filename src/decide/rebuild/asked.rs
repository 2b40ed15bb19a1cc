//! An order to build this node's data anew that was given on another node: whether it holds, and what the
//! one who gave it hears of it. Floor 1.

use crate::cluster::asked::{Answer, Order, OrderId, Stage, TO_TAKE};
use crate::cluster::node::NodeName;
use crate::decide::rebuild::Course;

/// An order holds for so many seconds: whoever gave it is told that nobody took it long before.
const HOLDS: i64 = 600;

/// What a monitor makes of the order in the CIB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// There is none.
    Nothing,
    /// It is not to be carried out: it is removed, with this warning.
    Void(String),
    /// It is to be taken.
    Take(Order),
}

/// What to do about the order, if there is one. `taken`: the last one that this node took.
#[must_use]
pub fn due(text: Option<&str>, taken: &str, now: i64) -> Due {
    let order = match text.map(str::parse::<Order>) {
        None => return Due::Nothing,
        Some(Ok(order)) => order,
        Some(Err(why)) => return Due::Void(format!("it cannot be read: {why}")),
    };
    if order.id.to_string() == taken {
        return Due::Void("it was taken before".to_owned());
    }
    let age = now.saturating_sub(order.at);
    if age.unsigned_abs() > HOLDS.unsigned_abs() {
        let which = if age < 0 { "ahead" } else { "old" };
        return Due::Void(format!(
            "it is {} s {which} by this node's clock, and would hold for {HOLDS} s ({})",
            age.unsigned_abs(),
            order.by
        ));
    }
    Due::Take(order)
}

/// What the node answers while the copy is under way, and at its end.
#[must_use]
pub fn answer(id: OrderId, course: &Course, seconds: u64) -> Answer {
    let of = |stage, words: &str| Answer::new(id, stage, seconds, words);
    match course {
        Course::GoesOn(words) => of(Stage::GoesOn, words.as_deref().unwrap_or_default()),
        Course::Done(done) => {
            let took = done.ended.saturating_sub(done.begun);
            let seconds = u64::try_from(took).unwrap_or(0);
            let words = done.old_copy.as_deref().unwrap_or_default();
            Answer { seconds, bytes: done.copied_bytes, ..of(Stage::Done, words) }
        }
        Course::Failed(why) => of(Stage::Failed, why),
        Course::Over(why) => of(Stage::Over, why),
    }
}

/// What whoever gave the order makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Look again; how far it is, where that is new.
    GoesOn(Option<String>),
    /// It has come to an end.
    Ended(Answer),
    /// The node has not taken it, and should have.
    NotTaken,
    /// The node has taken it, and says nothing any more.
    Silent,
}

/// What was heard so far.
#[derive(Clone, Debug, Default)]
pub struct Listener {
    /// The last answer as it stood, and when it came, in seconds since the order.
    last: Option<(String, u64)>,
}

impl Listener {
    /// So long it may say nothing.
    const SILENCE: u64 = 180;

    /// Whether the node has taken the order.
    pub fn is_taken(&self) -> bool {
        self.last.is_some()
    }

    /// Takes in what the node says, if it says anything, so many seconds after the order.
    pub fn hear(&mut self, id: OrderId, said: Option<&str>, at: u64) -> Heard {
        let answer = said.and_then(|text| text.parse::<Answer>().ok());
        if let (Some(text), Some(answer)) = (said, answer.filter(|answer| answer.id == id))
            && self.last.as_ref().is_none_or(|(before, _)| before != text)
        {
            self.last = Some((text.to_owned(), at));
            return match answer.stage {
                Stage::GoesOn => Heard::GoesOn(Some(answer.words)),
                Stage::Done | Stage::Failed | Stage::Over | Stage::Refused | Stage::NotBegun => {
                    Heard::Ended(answer)
                }
            };
        }
        match &self.last {
            Some((_, since)) if at.saturating_sub(*since) > Self::SILENCE => Heard::Silent,
            None if at > TO_TAKE.unsigned_abs() => Heard::NotTaken,
            Some(_) | None => Heard::GoesOn(None),
        }
    }
}

/// Nobody has taken the order: what to say.
#[must_use]
pub fn not_taken(node: &NodeName) -> String {
    format!(
        "{node} has not taken the order in {TO_TAKE} s, and it is withdrawn: do monitors run there, with this \
         version of pgtwin, and do the clocks agree? Run pgtwin rebuild {node} on {node}"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cluster::recovery::{Method, Outcome, Phase, Summary};

    const NOW: i64 = 1_764_138_600;
    const ID: OrderId = OrderId(7);

    #[test]
    fn an_order_is_taken_once_and_only_while_it_is_fresh() {
        let order = |age: i64| Order::new(ID, NOW - age, "operator root on n1");
        let judged = |age, taken: &str| due(Some(&order(age).to_string()), taken, NOW);
        assert_eq!(due(None, "", NOW), Due::Nothing);
        for age in [0, 5, 600, -600] {
            assert_eq!(judged(age, "0000000000000006"), Due::Take(order(age)), "{age}");
        }
        for (ruling, words) in [
            (judged(601, ""), "601 s old"),
            (judged(-601, ""), "601 s ahead"),
            (judged(0, "0000000000000007"), "taken before"),
            (due(Some("rebuild"), "", NOW), "cannot be read"),
            (due(Some(""), "", NOW), "cannot be read"),
            // Of a clock that is no clock, the amount is no number of its type (found by fuzzing).
            (due(Some(&Order::new(ID, 0, "x").to_string()), "", i64::MIN), "s ahead"),
        ] {
            assert!(matches!(&ruling, Due::Void(why) if why.contains(words)), "{ruling:?}");
        }
    }

    fn done() -> Summary {
        Summary {
            resource: "db".into(),
            node: "n2".into(),
            attempt: 1,
            method: Method::Rebuild,
            source: "n1".into(),
            system_id: "7".into(),
            begun: NOW,
            ended: NOW + 42,
            outcome: Outcome::Done,
            phase: Phase::Starting,
            reason: "asked".into(),
            failure: String::new(),
            next_command: String::new(),
            old_copy: Some("/pg/data.backup".into()),
            copied_bytes: 99,
            log: String::new(),
        }
    }

    #[test]
    fn each_way_that_it_goes_has_its_answer() {
        let rows = [
            (Course::GoesOn(None), "stage=goes-on seconds=5 bytes=0 words="),
            (
                Course::GoesOn(Some("copying".into())),
                "stage=goes-on seconds=5 bytes=0 words=copying",
            ),
            (
                Course::Done(Box::new(done())),
                "stage=done seconds=42 bytes=99 words=/pg/data.backup",
            ),
            (Course::Failed("disk full".into()), "stage=failed seconds=5 bytes=0 words=disk full"),
            (Course::Over("a stop".into()), "stage=over seconds=5 bytes=0 words=a stop"),
        ];
        for (course, expected) in rows {
            assert_eq!(answer(ID, &course, 5).to_string(), format!("id={ID} {expected}"));
        }
    }

    #[test]
    fn who_listens_hears_of_its_own_order_alone_and_of_silence() {
        let said = |stage, seconds, words: &str| Answer::new(ID, stage, seconds, words).to_string();
        let mut listener = Listener::default();
        let other = Answer::new(OrderId(6), Stage::Done, 1, "").to_string();
        for text in [None, Some(other.as_str()), Some("rubbish")] {
            assert_eq!(listener.hear(ID, text, 120), Heard::GoesOn(None));
            assert_eq!(listener.clone().hear(ID, text, 121), Heard::NotTaken);
        }
        assert!(!listener.is_taken());
        let first = said(Stage::GoesOn, 1, "checking");
        assert_eq!(listener.hear(ID, Some(&first), 130), Heard::GoesOn(Some("checking".into())));
        assert!(listener.is_taken());
        assert_eq!(listener.hear(ID, Some(&first), 310), Heard::GoesOn(None));
        assert_eq!(listener.clone().hear(ID, Some(&first), 311), Heard::Silent);
        // Its node has left, and what it said with it.
        assert_eq!(listener.clone().hear(ID, None, 311), Heard::Silent);
        let next = said(Stage::GoesOn, 70, "checking");
        assert_eq!(listener.hear(ID, Some(&next), 311), Heard::GoesOn(Some("checking".into())));
        for stage in [Stage::Done, Stage::Failed, Stage::Over, Stage::Refused, Stage::NotBegun] {
            let answer = Answer::new(ID, stage, 80, "why");
            let heard = listener.clone().hear(ID, Some(&answer.to_string()), 320);
            assert_eq!(heard, Heard::Ended(answer));
        }
    }
}
