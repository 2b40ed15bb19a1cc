//! What this node remembers of itself, and tells the others: for `pgtwin history`. Floor 3.
//!
//! Writing it down is one line without a sync, and what fails is no more than logged. It is told by a
//! monitor that asks Pacemaker anyway: at most a minute later, and never on the way of what has happened.

use std::time::Duration;

use tracing::{debug, warn};

use super::Agent;
use super::recover::now;
use super::run::STATE_ROOT;
use crate::client::pacemaker::Attribute;
use crate::client::past_file::PastFile;
use crate::cluster::known::Known;
use crate::cluster::past::{Event, Kind, told};
use crate::cluster::recovery::{Kept, Summary};
use crate::decide::history;
use crate::sys::chain;

/// How long telling may take.
const TELLING: Duration = Duration::from_secs(2);

fn note(resource: &str, kind: Kind, words: &str) {
    if let Err(error) = PastFile::new(STATE_ROOT, resource).add(&Event::new(now(), kind, words)) {
        warn!("{}", chain(&error));
    }
}

/// Writes down how an attempt to bring this node's data back has ended.
pub fn note_recovery(summary: &Summary) {
    note(&summary.resource, Kind::Recovery, &history::of_recovery(summary));
}

impl Agent<'_> {
    /// Writes down that something has happened.
    pub fn note_past(&self, kind: Kind, words: &str) {
        if !self.standalone {
            note(&self.resource, kind, words);
        }
    }

    /// The same of a promotion, once: its words name it.
    pub fn note_promotion(&self, words: &str) {
        let known = matches!(PastFile::new(STATE_ROOT, &self.resource).read(), Kept::Read(events)
            if events.iter().any(|event| event.kind() == Kind::Promotion && event.words() == words));
        if !known {
            self.note_past(Kind::Promotion, words);
        }
    }

    /// Tells the others, if there is anything new. For monitors that ask Pacemaker anyway.
    pub fn tell_past(&mut self) {
        let file = PastFile::new(STATE_ROOT, &self.resource);
        let Some(stamp) = file.stamp().filter(|stamp| *stamp != self.cache.past_told) else {
            return;
        };
        let text = match file.read() {
            Kept::Read(events) => told(&events),
            Kept::Missing => None,
            Kept::Unreadable(why) => {
                warn!("{why}");
                None
            }
        };
        let limit = self.deadline.bounded(TELLING);
        match text.map(|text| self.pacemaker.publish(Attribute::History, &text, limit)) {
            None | Some(Known::Known(())) => self.cache.past_told = stamp,
            Some(Known::Unknown(why)) => debug!("what has happened could not be told: {why}"),
        }
    }
}
