//! The end of our own PostgreSQL: by force if need be, or in order or not at all. Floor 2.

use std::time::Duration;

use tracing::warn;

use crate::client::sql::acts;
use crate::decide::facts::{Process, Sql};
use crate::sys::chain;
use crate::sys::deadline::{Deadline, poll_until};

use super::Postgres;
use crate::runtime::shutdown::{self, Usher, Walsenders};
use crate::runtime::stop::{self, Patience, Stopped};
use crate::runtime::{Shutdown, look};

/// How long the logger may outlive the postmaster: it ends once it has written what it got.
const FOR_THE_LOGGER: Duration = Duration::from_secs(5);

impl Postgres<'_> {
    /// Stops it: in order, then at once, then by force. `Ok`: the postmaster and all of its
    /// children are gone.
    pub fn stop(&self, deadline: &Deadline) -> Result<(), String> {
        let walsenders = self.walsenders_before(deadline);
        self.end(walsenders, Patience::of(deadline.left()), deadline)
    }

    /// The same for one that answers nobody: it gets some time to end in order, and no more.
    pub fn stop_hung(&self, deadline: &Deadline) -> Result<(), String> {
        self.end(Walsenders::default(), Patience::with_one_that_hangs(deadline.left()), deadline)
    }

    /// Shuts a primary down so that it ends with a shutdown checkpoint which its standbys have
    /// received. Never in a harsher way: if it does not end in time, that is an error.
    pub fn shut_down_in_order(&self, deadline: &Deadline) -> Result<(), String> {
        // Phases without any time: what is not gone then is an error.
        let walsenders = self.walsenders_before(deadline);
        let mut usher = Usher::new(self.runtime(), walsenders, half_of(deadline));
        *self.session.borrow_mut() = None;
        if self.runtime.process() == Process::None {
            return Ok(());
        }
        self.runtime.signal(Shutdown::Fast).map_err(|error| chain(&error))?;
        let mut orphaned = None;
        let gone = poll_until(deadline, Duration::from_millis(20), || {
            usher.help();
            match self.runtime.process() {
                Process::None => Some(Ok(())),
                // For a moment that is how an orderly end looks: the postmaster has removed its pid
                // file, or the logger writes down what it still has.
                Process::Orphans(pids) => {
                    let grace = orphaned.get_or_insert_with(|| deadline.within(FOR_THE_LOGGER));
                    grace.expired().then(|| {
                        Err(format!("the postmaster died in its shutdown and left {pids:?} behind"))
                    })
                }
                Process::Running { .. } | Process::Unknown(_) => None,
            }
        });
        gone.unwrap_or_else(|| Err("the fast shutdown did not end in time".to_owned()))
    }

    fn end(
        &self,
        walsenders: Walsenders,
        patience: Patience,
        deadline: &Deadline,
    ) -> Result<(), String> {
        // The session must not keep the server from ending.
        *self.session.borrow_mut() = None;
        let mut usher = Usher::new(self.runtime(), walsenders, half_of(deadline));
        let fast = Shutdown::Fast;
        match stop::stop(self.runtime(), fast, patience, deadline, &mut || usher.help()) {
            Ok(Stopped::NotRunning | Stopped::After(Shutdown::Fast)) => Ok(()),
            Ok(Stopped::After(Shutdown::Immediate)) => {
                warn!("PostgreSQL did not end in order in time: it was told to end at once");
                Ok(())
            }
            Ok(Stopped::After(Shutdown::Kill)) => {
                warn!("PostgreSQL ended neither in order nor when told to at once: it was killed");
                Ok(())
            }
            Err(error) => Err(chain(&error)),
        }
    }

    /// The walsenders of a server that answers, after those that are not waited for were sent away.
    fn walsenders_before(&self, deadline: &Deadline) -> Walsenders {
        let bound = deadline.within(Duration::from_secs(2).min(deadline.left() / 4));
        let seen = look::look(self.runtime(), self.session.borrow_mut().take(), &bound);
        match (seen.sql, seen.connection) {
            (Sql::Primary(facts), Some(mut session)) => {
                shutdown::before(self.runtime(), &mut session, &facts, &bound)
            }
            // A standby owes its cascade nothing, and those that are ahead of it never finish.
            (Sql::Standby(_), Some(mut session)) => {
                let sent_away = acts::walsenders(&mut session, &bound).unwrap_or_default();
                let _ = self.runtime.terminate(&sent_away);
                Walsenders { waited_for: Vec::new(), sent_away }
            }
            _ => Walsenders::default(),
        }
    }
}

/// Half of what is left: until then a standby that says nothing is waited for.
fn half_of(deadline: &Deadline) -> Deadline {
    deadline.less(deadline.left() / 2)
}
