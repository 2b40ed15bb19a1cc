//! What an attempt leaves in writing for the next one, and for people. Floor 3.

use super::{Failure, Work};
use crate::cluster::ledger::PromotionId;
use crate::cluster::recovery::Summary;
use crate::decide::facts::DataDir;
use crate::runtime::layout::Layout;
use crate::sys::chain;
use crate::sys::files::{self, Seen};

const LAYOUT: &str = "layout";
/// The promotion that the copy is of, as long as the layout is on record.
const COPY_OF: &str = "copy-of";

impl Work<'_, '_> {
    pub(super) fn read_layout(&self) -> Option<Layout> {
        let path = self.state.join(LAYOUT);
        if files::look(&path) == Seen::Missing {
            return None;
        }
        let text = files::read_root_owned(&path, 1 << 20).map_err(|error| chain(&error));
        match text.and_then(|text| Layout::parse(&text).map_err(|error| error.to_string())) {
            Ok(layout) => Some(layout),
            Err(why) => {
                self.log.note(&why);
                None
            }
        }
    }

    /// Where data is there, its links tell where its parts lie. Where there is none, a layout that cannot
    /// be read might, and is not passed over.
    pub(super) fn nothing_on_record(&self) -> Result<(), Failure> {
        let path = self.state.join(LAYOUT);
        if files::look(&path) == Seen::Missing
            || matches!(self.agent.pg.data_dir(), DataDir::Cluster(_))
        {
            return Ok(());
        }
        let path = path.display();
        Err(Failure {
            why: format!(
                "where WAL and tablespaces of the old data lie is not known: {path} cannot be read"
            ),
            next_command: format!(
                "rm {path}   # then WAL goes into PGDATA, tablespaces as at the primary"
            ),
        })
    }

    pub(super) fn write_layout(&self, layout: &Layout) -> Result<(), Failure> {
        let text = layout
            .to_text()
            .ok_or_else(|| Failure::new("a path of the data is no text, or holds a line break"))?;
        files::write_durably(&self.state, LAYOUT, text.as_bytes(), 0o600)
            .map_err(|error| Failure::new(chain(&error)))
    }

    pub(super) fn read_copy_of(&self) -> Option<PromotionId> {
        let path = self.state.join(COPY_OF);
        let text = files::read_root_owned(&path, 64).map_err(|error| chain(&error));
        let read = text.and_then(|text| text.trim_end().parse().map_err(|_| format!("{text:?}")));
        read.map_err(|why| self.log.note(&format!("of what the copy is, is not on record: {why}")))
            .ok()
    }

    pub(super) fn write_copy_of(&self) -> Result<(), Failure> {
        let Some(promotion) = self.promotion else {
            return Err(Failure::new("the ledger has no promotion of the primary"));
        };
        files::write_durably(&self.state, COPY_OF, format!("{promotion}\n").as_bytes(), 0o600)
            .map_err(|error| Failure::new(chain(&error)))
    }

    /// The old data is gone, or is a backup.
    pub(super) fn forget_layout(&self) -> Result<(), Failure> {
        files::remove_durably(&self.state, LAYOUT)
            .and_then(|()| files::remove_durably(&self.state, COPY_OF))
            .map_err(|error| Failure::new(chain(&error)))
    }

    pub(super) fn old_copy(&self) -> Option<String> {
        let layout = self.layout.as_ref()?;
        let data = layout.data().filter(|data| data.has_old)?;
        Some(layout.old_dir(data).display().to_string())
    }

    /// What has come of it so far.
    pub(super) fn tell(&self, summary: &mut Summary) {
        if let Some(live) = &self.source {
            summary.source = live.node.to_string();
            summary.system_id = live.system_id.to_string();
        }
        summary.method = self.method;
        summary.phase = self.phase;
        summary.reason.clone_from(&self.reason);
        summary.old_copy = self.old_copy();
        summary.copied_bytes = self.copied;
    }
}
