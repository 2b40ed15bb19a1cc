//! The steps of a plan, one by one. Floor 3.

use std::path::PathBuf;
use std::time::Duration;

use super::super::recover::now;
use super::super::run::LOG_ROOT;
use super::{Failure, Work};
use crate::client::ledger_file::OwnFile;
use crate::cluster::known::Known;
use crate::cluster::recovery::{Attempts, Marker, Phase, Progress, ruin};
use crate::decide::facts::{DataDir, Process, Sql};
use crate::decide::recovery::work::{self, Step};
use crate::decide::recovery_check;
use crate::runtime::instance::Postgres;
use crate::runtime::{RuntimeError, own_files, rebuild, swap};
use crate::sys::chain;

const KEPT_DIR: &str = "kept";

impl Work<'_, '_> {
    pub(super) fn step(
        &mut self,
        step: Step,
        facts: work::Facts,
        seen: Option<&recovery_check::Facts>,
    ) -> Result<(), Failure> {
        let kept = self.state.join(KEPT_DIR);
        match step {
            Step::Mark { half_done, phase } => {
                if phase == Phase::Starting {
                    self.note_promotion()?;
                }
                self.mark(half_done, phase)
            }
            Step::RecoverCrash => {
                let deadline = self.agent.deadline;
                self.agent.pg.recover_single_user(&deadline).map_err(Failure::new)
            }
            Step::PutBack => self.put_back(),
            Step::KeepConfiguration => {
                if !matches!(self.agent.pg.data_dir(), DataDir::Cluster(_)) {
                    return Ok(());
                }
                // As long as the data is this node's own, an earlier attempt has kept nothing that is
                // not there as well, and somebody may have changed it since.
                let discarded = if self.half_done { Ok(()) } else { own_files::discard(&kept) };
                discarded
                    .and_then(|()| own_files::keep(self.agent.pg.place(), &kept))
                    .map_err(|error| Failure::new(chain(&error)))
            }
            Step::EnsureSlot => self.prove_source().and_then(|()| self.ensure_slot(seen)),
            Step::ProveSource => self.prove_source(),
            Step::Rewind => self.rewind(&kept),
            // What was copied of a server that has stepped down meanwhile never takes the old data's place.
            Step::Copy => self
                .copy(&kept, facts.keeps(), seen)
                .and_then(|()| self.prove_source())
                .and_then(|()| self.write_copy_of()),
            Step::Swap => {
                let layout = self.layout.clone().ok_or_else(|| {
                    Failure::new("where the new data is to go is not on record any more")
                })?;
                swap::swap(self.agent.pg.runtime(), &layout, &mut |_| true)
                    .map_err(|error| Failure::new(chain(&error)))
                    .map(|_| ())
            }
            Step::Start => self.start(),
            Step::AwaitStreaming => self.await_streaming(),
            Step::DiscardConfiguration => {
                own_files::discard(&kept).map_err(|error| Failure::new(chain(&error)))
            }
            Step::DropStaging => match &self.layout {
                Some(layout) => rebuild::remove_copy(self.agent.pg.place(), layout)
                    .map_err(|error| Failure::new(chain(&error))),
                None => Ok(()),
            },
            Step::DropOld | Step::DropOlderCopies => self.drop_old(),
            Step::Unmark => {
                let unmarked = self.right.remove_marker().and_then(|()| {
                    self.phase = Phase::Starting;
                    self.right.write_attempts(&Attempts::default())
                });
                unmarked.map_err(|error| Failure::new(chain(&error)))
            }
        }
    }

    pub(super) fn mark(&mut self, half_done: bool, phase: Phase) -> Result<(), Failure> {
        let Some(live) = &self.source else {
            return Err(Failure::new("there is no primary to copy"));
        };
        let ruin = ruin(self.ruin, half_done, phase);
        let marker = Marker {
            attempt: self.attempt,
            method: self.method,
            phase,
            source: live.node.clone(),
            system_id: live.system_id,
            begun: self.begun,
            worker: self.right.me().clone(),
            half_done,
            ruin,
            asked: self.asked,
            old_copy: self.old_copy(),
            reason: self.reason.clone(),
        };
        self.right.write_marker(&marker).map_err(|error| Failure::new(chain(&error)))?;
        (self.half_done, self.ruin, self.phase) = (half_done, ruin, phase);
        self.right.show_progress(&Progress::of(phase, 0, None, now()));
        Ok(())
    }

    /// The new data is of the source's promotion, whatever the old data was of. Until that is written the
    /// marker does not let the data be started.
    fn note_promotion(&mut self) -> Result<(), Failure> {
        let node = self.node()?;
        let Some(promotion) = self.promotion else {
            return Err(Failure::new(format!("the ledger has no promotion of {node}")));
        };
        self.in_turn(|agent| {
            let cib = agent.view().and_then(|view| view.ledger());
            match agent.exchange_with(cib, true) {
                OwnFile::Read(mut own) => {
                    own.is_a_copy_of(promotion, &node);
                    agent.write_own(&own).map_err(|error| Failure::new(chain(&error)))
                }
                OwnFile::Missing => Err(Failure::new("there is no ledger to note it in")),
                OwnFile::Unreadable(why) => Err(Failure::new(why)),
            }
        })?
    }

    /// The data is between old and new by the layout that is on record, or it is not.
    fn put_back(&mut self) -> Result<(), Failure> {
        let failed = |error: RuntimeError| Failure::new(chain(&error));
        let Some(layout) = &self.layout else { return self.nothing_on_record() };
        let place = self.agent.pg.place();
        if swap::is_half_moved(place, layout).map_err(failed)? {
            self.log.note("the old data is put back: where its parts lie is read from its links");
            swap::put_back(self.agent.pg.runtime(), layout, &mut |_| true).map_err(failed)?;
        }
        rebuild::remove_copy(place, layout).map_err(failed)
    }

    fn start(&mut self) -> Result<(), Failure> {
        let node = self.node()?;
        // With the programs that fit the new data.
        let log = PathBuf::from(LOG_ROOT).join(format!("{}.log", self.agent.resource));
        self.agent.pg = Postgres::new(self.exec, &self.agent.params, log)
            .map_err(|error| Failure::new(chain(&error)))?
            .until(self.agent.deadline);
        let settings = self.agent.standby_settings(Some(&node));
        let borrowed: Vec<(&str, Option<&str>)> =
            settings.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
        let deadline = self.agent.deadline;
        self.agent
            .pg
            .set_auto_conf(&borrowed)
            .and_then(|()| self.agent.pg.ensure_standby_signal())
            .and_then(|()| self.agent.pg.start(&deadline))
            .map_err(Failure::new)
    }

    fn await_streaming(&mut self) -> Result<(), Failure> {
        loop {
            let bound = self.agent.deadline.within(Duration::from_secs(5));
            let now = self.agent.pg.look(&bound);
            match &now.sql {
                Sql::Standby(standby) if standby.streams() => {
                    self.agent.note_parts(standby.system_id, standby.version);
                    break;
                }
                _ if now.process == Process::None => {
                    return Err(Failure::new(format!(
                        "PostgreSQL: {}",
                        self.agent.pg.why_it_ended()
                    )));
                }
                _ if self.agent.deadline.expired() => {
                    return Err(Failure::new("PostgreSQL runs and does not stream yet"));
                }
                _ => self.agent.deadline.sleep(Duration::from_millis(200)),
            }
        }
        self.in_turn(|agent| {
            if let Known::Known(view) = agent.view() {
                // pg_rewind empties pg_replslot, and a copy has none: what the others need is kept here
                // from now on, and not from the next care on.
                let members = agent.members(&view);
                agent.ensure_slots(&members);
            }
            if let OwnFile::Read(own) = agent.home.read() {
                agent.publish_ack(&own, true);
            }
        })
    }

    fn drop_old(&mut self) -> Result<(), Failure> {
        let Some(layout) = &self.layout else { return Ok(()) };
        if swap::is_done(self.agent.pg.place(), layout).map_err(|e| Failure::new(chain(&e)))? {
            swap::finish(self.agent.pg.place(), layout, &mut |_| true)
                .map_err(|e| Failure::new(chain(&e)))?;
        }
        self.forget_layout()
    }
}
