//! A round of care for the standbys, told to Pacemaker and to people: what it means is said by
//! `decide::monitor::primary`. Floor 3.

use super::Agent;
use super::outcome::Outcome;
use crate::cluster::past::Kind;
use crate::decide::monitor::primary::{Around, Cared, Writes, answer, state, writes};

impl Agent<'_> {
    fn around(&self) -> Around<'_> {
        Around {
            mode: self.mode(),
            members: self.known_members().map(|members| members.len()),
            unfenced: &self.cache.unfenced,
            policy: self.params.fencing,
            failed: self.cache.care_failed,
            kept_out: &self.cache.kept_out,
        }
    }

    /// What the state attribute says of this primary.
    pub fn primary_state(&self, cared: &Cared) -> String {
        state(cared, &self.around())
    }

    /// Writes down when commits begin to wait, for whom, and when they go on.
    pub fn note_waiting(&mut self, cared: &Cared) {
        match writes(cared, &self.cache.commits_wait) {
            Writes::AsBefore => {}
            Writes::Wait(words) => {
                self.note_past(Kind::Sync, &words);
                self.cache.commits_wait = words;
            }
            Writes::GoOn => {
                self.cache.commits_wait.clear();
                self.note_past(Kind::Sync, "commits go on");
            }
        }
    }

    /// What a monitor of a primary answers after a round of care.
    pub fn primary_outcome(&self, cared: &Cared) -> Outcome {
        answer(cared, &self.around()).into()
    }
}
