//! An orderly end of a primary: its standbys get all of its WAL, the shutdown checkpoint included,
//! and one that does not answer does not hold up the others. Floor 2.
//!
//! A fast shutdown waits for every walsender: for a dead peer until `wal_sender_timeout`, for a
//! logical subscriber without a bound. A peer that stopped reading keeps even the checkpoint from
//! being written.

use std::time::{Duration, Instant};

use crate::client::sql::look::Hint;
use crate::client::sql::{self, Connection, Wire};
use crate::decide::facts::{PrimaryFacts, Sql, Walsender};
use crate::sys::deadline::Deadline;

use super::Runtime;

/// How long a walsender may lag behind before the shutdown begins, while another one keeps up.
const TO_CATCH_UP: Duration = Duration::from_secs(1);
/// How long the others may take once the first standby has everything.
const AFTER_THE_FIRST: Duration = Duration::from_secs(2);
const INTERVAL: Duration = Duration::from_millis(25);
const ROUND: Duration = Duration::from_millis(200);

/// The walsenders of a server, as they were just before its shutdown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walsenders {
    /// They get the time to hand over the rest.
    pub waited_for: Vec<i32>,
    /// They were told to end, and may need to be told again.
    pub sent_away: Vec<i32>,
}

/// Sends away those that lag, while at least one standby keeps up; with none that does, nobody is
/// sent away.
pub fn before(
    runtime: &dyn Runtime,
    session: &mut Connection,
    first: &PrimaryFacts,
    deadline: &Deadline,
) -> Walsenders {
    let target = first.insert;
    let end = deadline.within(TO_CATCH_UP);
    let pids = |some: &[&Walsender]| some.iter().map(|walsender| walsender.pid).collect();
    let mut now = first.clone();
    loop {
        let lags = |w: &&Walsender| w.flush.is_none_or(|flush| flush < target);
        let (behind, up): (Vec<_>, Vec<_>) = now.walsenders.iter().partition(lags);
        if behind.is_empty() || end.expired() {
            if up.is_empty() {
                return Walsenders { waited_for: pids(&behind), sent_away: Vec::new() };
            }
            let sent_away: Vec<i32> = pids(&behind);
            let _ = runtime.terminate(&sent_away);
            return Walsenders { waited_for: pids(&up), sent_away };
        }
        end.sleep(INTERVAL);
        let Sql::Primary(facts) =
            sql::look::look(session as &mut dyn Wire, Hint::Primary, &Deadline::after(TO_CATCH_UP))
        else {
            let all: Vec<&Walsender> = now.walsenders.iter().collect();
            return Walsenders { waited_for: pids(&all), sent_away: Vec::new() };
        };
        now = *facts;
    }
}

/// Helps a shutdown along: called again and again while it lasts.
pub struct Usher<'a> {
    runtime: &'a dyn Runtime,
    walsenders: Walsenders,
    first_done: Option<Instant>,
    last_round: Option<Instant>,
    /// From here on nobody is waited for any more.
    until: Deadline,
}

impl<'a> Usher<'a> {
    /// For these walsenders; at `until` all that are left are sent away.
    pub fn new(runtime: &'a dyn Runtime, walsenders: Walsenders, until: Deadline) -> Self {
        Self { runtime, walsenders, first_done: None, last_round: None, until }
    }

    /// One round: sends away those that are late.
    pub fn help(&mut self) {
        if self.last_round.is_some_and(|last| last.elapsed() < ROUND) {
            return;
        }
        self.last_round = Some(Instant::now());
        let before = self.walsenders.waited_for.len();
        self.walsenders.waited_for = self.runtime.children_among(&self.walsenders.waited_for);
        if self.walsenders.waited_for.len() < before && self.first_done.is_none() {
            self.first_done = Some(Instant::now());
        }
        let late = self.first_done.is_some_and(|first| first.elapsed() >= AFTER_THE_FIRST);
        if late || self.until.expired() {
            self.walsenders.sent_away.append(&mut self.walsenders.waited_for);
        }
        if !self.walsenders.sent_away.is_empty() {
            // A walsender that is stuck in sending takes the first request for its end, tries to
            // send that news as well, and is released by the second one.
            let _ = self.runtime.terminate(&self.walsenders.sent_away);
            self.walsenders.sent_away = self.runtime.children_among(&self.walsenders.sent_away);
        }
    }
}
