//! Whether replication of a standby is broken, carried from one monitor to the next. Floor 1.
//!
//! A receiver whose WAL is gone gets in at every attempt, and shows `streaming` until it is refused: one
//! sighting ends no break. What ends it is WAL that came in, or a receiver that has lived since the last
//! monitor. And replay that goes on without a receiver (an archive feeds it) is a break, but not one
//! that a recovery is wanted for.

use serde::{Deserialize, Serialize};

use crate::decide::facts::StandbyFacts;
use crate::postgres::lsn::Lsn;

/// What is kept between two monitors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Watch {
    /// Monitors in a row that found no replication.
    pub broken: u32,
    /// The last of these in a row that found the data at the same place.
    pub stuck: u32,
    /// How far the data went at the last look, received or replayed; 0 while nothing is broken.
    pub at: u64,
    /// The process that may have streamed at the last look; 0: none did, or nothing is broken.
    pub receiver: i32,
}

/// What a monitor sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It streams.
    Streams,
    /// It is broken, and a receiver shows `streaming`: that may be the end of the break, or another
    /// attempt.
    Perhaps,
    /// It does not stream.
    Broken,
}

impl Watch {
    /// After one more look.
    #[must_use]
    pub fn after(self, standby: &StandbyFacts) -> (Self, Seen) {
        let receive = standby.receive.unwrap_or(Lsn::ZERO).0;
        let at = receive.max(standby.replay.unwrap_or(Lsn::ZERO).0);
        let receiver = match &standby.receiver {
            Some(receiver) if standby.streams() => receiver.pid,
            Some(_) | None => 0,
        };
        if receiver == 0 {
            let stuck = if at > self.at { 1 } else { self.stuck.saturating_add(1) };
            let broken = self.broken.saturating_add(1);
            return (Self { broken, stuck, at, receiver }, Seen::Broken);
        }
        if self.broken == 0 || receive > self.at || receiver == self.receiver {
            // The same every time: what does not change is not written.
            return (Self::default(), Seen::Streams);
        }
        let stuck = if at > self.at { 0 } else { self.stuck };
        (Self { stuck, at, receiver, ..self }, Seen::Perhaps)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::decide::support::streaming;

    /// No receiver, and so far.
    fn broken(at: u64) -> StandbyFacts {
        StandbyFacts { receiver: None, ..streaming(0, at) }
    }

    /// No receiver; replayed so far, and received less.
    fn replayed(at: u64) -> StandbyFacts {
        StandbyFacts { replay: Some(Lsn(at)), ..broken(0x100) }
    }

    fn waiting(pid: i32, at: u64) -> StandbyFacts {
        let mut standby = streaming(pid, at);
        if let Some(receiver) = &mut standby.receiver {
            receiver.state = "waiting".into();
        }
        standby
    }

    /// Name, what is looked at, what is seen, and then: broken and stuck so often.
    type Row<'a> = (&'a str, &'a [StandbyFacts], &'a [Seen], u32, u32);

    #[test]
    fn one_sighting_of_a_receiver_ends_no_break() {
        use Seen::{Broken, Perhaps, Streams};
        let rows: &[Row<'_>] = &[
            ("it streams", &[streaming(1, 0x400), streaming(1, 0x400)], &[Streams, Streams], 0, 0),
            ("it streams at the first look", &[streaming(1, 0x400)], &[Streams], 0, 0),
            ("it breaks", &[streaming(1, 0x400), broken(0x400)], &[Streams, Broken], 1, 1),
            (
                "regression: its WAL is gone, and each attempt shows streaming for a moment",
                &[
                    broken(0x400),
                    streaming(1, 0x400),
                    broken(0x400),
                    streaming(2, 0x400),
                    streaming(3, 0x400),
                    broken(0x400),
                ],
                &[Broken, Perhaps, Broken, Perhaps, Perhaps, Broken],
                3,
                3,
            ),
            (
                "a first request names the begin of a segment, which is no progress",
                &[
                    replayed(0x480),
                    StandbyFacts { replay: Some(Lsn(0x480)), ..streaming(1, 0x400) },
                ],
                &[Broken, Perhaps],
                1,
                1,
            ),
            (
                "WAL has come in",
                &[broken(0x400), broken(0x400), streaming(1, 0x401)],
                &[Broken, Broken, Streams],
                0,
                0,
            ),
            (
                "nothing is written, and the receiver lives",
                &[broken(0x400), streaming(1, 0x400), streaming(1, 0x400)],
                &[Broken, Perhaps, Streams],
                0,
                0,
            ),
            (
                "not if it was seen, and then was not",
                &[broken(0x400), streaming(1, 0x400), broken(0x400), streaming(1, 0x400)],
                &[Broken, Perhaps, Broken, Perhaps],
                2,
                2,
            ),
            (
                "a receiver at the end of a timeline does not stream",
                &[waiting(1, 0x400), waiting(1, 0x400)],
                &[Broken, Broken],
                2,
                2,
            ),
            (
                "an archive feeds it: broken, and not stuck",
                &[replayed(0x300), replayed(0x400), replayed(0x500)],
                &[Broken, Broken, Broken],
                3,
                1,
            ),
            (
                "and then there is no more",
                &[replayed(0x300), replayed(0x400), replayed(0x400), replayed(0x400)],
                &[Broken, Broken, Broken, Broken],
                4,
                3,
            ),
        ];
        for (name, looks, expected, broken, stuck) in rows {
            let mut watch = Watch { at: 0x300, ..Watch::default() };
            let mut seen = Vec::new();
            for look in *looks {
                let (next, now) = watch.after(look);
                watch = next;
                seen.push(now);
            }
            assert_eq!(seen, *expected, "{name}");
            assert_eq!((watch.broken, watch.stuck), (*broken, *stuck), "{name}");
        }
    }

    #[test]
    fn nothing_counts_beyond_its_bounds() {
        let most = Watch { broken: u32::MAX, stuck: u32::MAX, at: u64::MAX, receiver: 0 };
        assert_eq!(most.after(&broken(0)).0.broken, u32::MAX);
    }
}
