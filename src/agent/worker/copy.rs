//! The two tools that copy, with their progress. Floor 3.

use std::path::Path;

use super::super::recover::now;
use super::{Failure, Work};
use crate::cluster::known::Known;
use crate::cluster::recovery::{Phase, Progress};
use crate::decide::recovery_check;
use crate::postgres::copy_tools::{Copied, WhyNot};
use crate::runtime::layout::{self, Layout, Remembered, What};
use crate::runtime::own_files;
use crate::runtime::rebuild::{self, Copy, Rebuild};
use crate::runtime::rewind::{self, Rewind};
use crate::sys::chain;
use crate::sys::utc::Utc;

impl Work<'_, '_> {
    pub(super) fn rewind(&mut self, kept: &Path) -> Result<(), Failure> {
        let source = self.source()?;
        let deadline = self.agent.deadline;
        let (at_work, copied) = (self.right, &mut self.copied);
        let mut progress = |now_copied: Copied| {
            *copied = now_copied.done;
            let total = Some(now_copied.total);
            at_work.show_progress(&Progress::of(Phase::Rewinding, now_copied.done, total, now()));
        };
        let runtime = self.agent.pg.runtime();
        let result = rewind::rewind(runtime, self.exec, &source, kept, &deadline, &mut progress);
        let why = match result {
            Ok(Rewind::Rewound { timeline, fork, replay_to }) => {
                self.log.note(&format!(
                    "rewound to {fork} on timeline {timeline}; consistent from {replay_to} on"
                ));
                return Ok(());
            }
            Ok(Rewind::NotNeeded) => {
                "pg_rewind sees no difference, and the data has parted".to_owned()
            }
            Ok(Rewind::Failed { touched: true, words, .. }) => return Err(Failure::new(words)),
            Ok(Rewind::Failed { touched: false, words, why }) => {
                if let WhyNot::Grant(grant) = &why {
                    let user = self.agent.pg.replication_user();
                    self.log.note(&format!("on the primary: GRANT {grant} TO {user};"));
                }
                words
            }
            Err(error) => chain(&error),
        };
        // Nothing was changed: the data is what it was.
        self.mark(false, Phase::Rewinding)?;
        Err(Failure::new(why))
    }

    /// Of data that is lost nothing is left but what lay elsewhere.
    fn note_what_is_lost(&self, found: &Layout) {
        if found.data().is_none_or(|data| data.has_old) {
            return;
        }
        for part in found.parts.iter().filter(|part| part.what != What::Data) {
            let left = if part.has_old {
                "; what the lost data has left there goes when the new data streams"
            } else {
                ""
            };
            self.log.note(&format!("{} goes to {}{left}", part.what, part.at.display()));
        }
        if !found.parts.iter().any(|part| part.what == What::Wal) {
            self.log.note("WAL goes into PGDATA: it is not on record that it lay elsewhere");
        }
    }

    pub(super) fn copy(
        &mut self,
        kept: &Path,
        keep_old: bool,
        seen: Option<&recovery_check::Facts>,
    ) -> Result<(), Failure> {
        let session = seen.and_then(|seen| seen.source.postgres.answered());
        let sender = seen.and_then(|seen| seen.source.replication.answered());
        let (Some(session), Some(sender)) = (session, sender) else {
            return Err(Failure::new("the primary was not asked what it has"));
        };
        let tablespaces = match &session.tablespaces {
            Known::Known(list) => {
                list.iter().filter_map(layout::Tablespace::of).collect::<Vec<_>>()
            }
            Known::Unknown(why) => return Err(Failure::new(why.clone())),
        };
        if self.ruin {
            self.log.note(
                "the data may be what a broken rewind has left: no backup is made of it, and an earlier one \
                 stays",
            );
        }
        let stamp = Utc::of(self.begun).of_name();
        // What is on record is of data that may be gone meanwhile.
        let noted = self.agent.noted_parts().filter(|noted| noted.system_id == sender.system_id);
        let known = match (self.layout.as_ref().filter(|_| self.half_done), &noted) {
            (Some(plan), _) => Remembered::Plan(plan),
            (None, Some(noted)) => Remembered::Noted(noted),
            (None, None) => Remembered::Nothing,
        };
        let place = self.agent.pg.place();
        let major = sender.version.major;
        let found = layout::survey(place, &tablespaces, major, keep_old, &stamp, known)
            .map_err(|error| Failure::new(chain(&error)))?;
        if let Some(why) = found.why_not_kept() {
            self.log.note(&why);
        }
        self.note_what_is_lost(&found);
        self.write_layout(&found)?;
        self.layout = Some(found.clone());
        let source = self.source()?;
        let slot = self.slot();
        let copy = Copy {
            source: &source,
            slot: &slot,
            layout: &found,
            kept: own_files::are_kept(kept).then_some(kept),
        };
        let deadline = self.agent.deadline.within(self.agent.params.basebackup_timeout);
        let (at_work, copied) = (self.right, &mut self.copied);
        let mut progress = |now_copied: Copied| {
            *copied = now_copied.done;
            let total = Some(now_copied.total);
            at_work.show_progress(&Progress::of(Phase::Copying, now_copied.done, total, now()));
        };
        let runtime = self.agent.pg.runtime();
        match rebuild::rebuild(runtime, self.exec, copy, &deadline, &mut progress) {
            Ok(Rebuild::Copied) => Ok(()),
            Ok(Rebuild::Failed { words, .. }) => Err(Failure::new(words)),
            Err(error) => Err(Failure::new(chain(&error))),
        }
    }
}
