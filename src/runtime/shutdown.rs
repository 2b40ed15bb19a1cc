//! An orderly end of a primary: its standbys get all of its WAL, the shutdown checkpoint included,
//! and one that does not answer does not hold up the others. Floor 2.
//!
//! A fast shutdown waits for every walsender: for a dead peer until `wal_sender_timeout`, for a
//! logical subscriber without a bound. A peer that stopped reading keeps even the checkpoint from
//! being written.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::sql::{self, Connection, Wire};
use crate::decide::facts::{PrimaryFacts, Sql, Walsender};
use crate::sys::deadline::Deadline;

use super::Runtime;

/// How long a walsender may lag behind before the shutdown begins, while another one keeps up.
const TO_CATCH_UP: Duration = Duration::from_millis(1000);
/// How long the others may take once the first standby has everything.
const AFTER_THE_FIRST: Duration = Duration::from_millis(2000);
const INTERVAL: Duration = Duration::from_millis(25);

/// Sends away those that lag, while at least one standby keeps up; with none that does, nobody is
/// sent away. Returns the walsenders that remain, to be watched during the shutdown.
pub fn before(
    runtime: &dyn Runtime,
    session: &mut Connection,
    first: &PrimaryFacts,
    deadline: &Deadline,
) -> Vec<i32> {
    let target = first.insert;
    let end = deadline.within(TO_CATCH_UP);
    let mut now = first.clone();
    loop {
        let lag = |w: &&Walsender| w.flush.is_none_or(|flush| flush < target);
        let (behind, up): (Vec<_>, Vec<_>) = now.walsenders.iter().partition(lag);
        if behind.is_empty() || end.expired() {
            if !up.is_empty() {
                let behind: Vec<i32> = behind.iter().map(|walsender| walsender.pid).collect();
                if runtime.terminate(&behind).is_ok() {
                    return up.iter().map(|walsender| walsender.pid).collect();
                }
            }
            return now.walsenders.iter().map(|walsender| walsender.pid).collect();
        }
        end.sleep(INTERVAL);
        match sql::look::look(session as &mut dyn Wire, &end.within(TO_CATCH_UP)) {
            Sql::Primary(facts) => now = *facts,
            _ => return now.walsenders.iter().map(|walsender| walsender.pid).collect(),
        }
    }
}

/// Helps a shutdown along: called again and again while it lasts.
pub struct Usher<'a> {
    runtime: &'a dyn Runtime,
    walsenders: Vec<i32>,
    first_left: Option<Instant>,
    last_look: Option<Instant>,
    /// From here on nobody is waited for any more.
    until: Deadline,
}

impl<'a> Usher<'a> {
    /// For these walsenders; at `until` all that are left are sent away.
    pub fn new(runtime: &'a dyn Runtime, walsenders: Vec<i32>, until: Deadline) -> Self {
        Self { runtime, walsenders, first_left: None, last_look: None, until }
    }

    /// One round: sends away those that are late.
    pub fn help(&mut self) {
        if self.walsenders.is_empty()
            || self.last_look.is_some_and(|last| last.elapsed() < INTERVAL * 4)
        {
            return;
        }
        self.last_look = Some(Instant::now());
        let left = self.runtime.children_among(&self.walsenders);
        if left.len() < self.walsenders.len() && self.first_left.is_none() {
            self.first_left = Some(Instant::now());
        }
        let late = self.first_left.is_some_and(|first| first.elapsed() >= AFTER_THE_FIRST);
        if (late || self.until.expired()) && !left.is_empty() {
            tracing::info!("walsenders that do not finish are ended: {left:?}");
            let _ = self.runtime.terminate(&left);
            thread::sleep(Duration::from_millis(1));
            self.walsenders.clear();
        }
    }
}
