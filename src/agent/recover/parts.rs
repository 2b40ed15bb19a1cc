//! Where the parts of this node's data lie: noted by monitors while it is in use, for the day when its data is
//! lost and with it the links. Floor 3.

use std::path::{Path, PathBuf};

use tracing::{debug, info, warn};

use super::super::Agent;
use super::super::run::STATE_ROOT;
use crate::runtime::layout::{Noted, links, note, real_data};
use crate::sys::chain;
use crate::sys::files::{self, Seen};

const PARTS: &str = "parts";
const LARGEST: u64 = 4 << 20;

impl Agent<'_> {
    fn state_dir(&self) -> PathBuf {
        Path::new(STATE_ROOT).join(&self.resource)
    }

    /// The same from a monitor, where PGDATA leads to other places than were noted. What it leads to may hang, and
    /// a monitor with it: it is looked at after starts and copies, and when there is something new.
    pub fn watch_parts(&self, system_id: u64, version: u32) {
        let Ok(links) = links(self.pg.place()) else { return };
        let Ok(at) = real_data(self.pg.place()) else { return };
        if self.noted_parts().is_none_or(|noted| !noted.is_about(system_id, &links, &at)) {
            self.note_parts(system_id, version);
        }
    }

    /// Notes where the parts of the running data lie. `version` is the server's number.
    pub fn note_parts(&self, system_id: u64, version: u32) {
        if self.standalone {
            return;
        }
        let noted = match note(self.pg.place(), system_id, version / 10_000) {
            Ok(noted) => noted,
            Err(error) => return debug!("where its parts lie is not noted: {}", chain(&error)),
        };
        let Some(text) = noted.to_text() else { return };
        let dir = self.state_dir();
        if files::read_root_owned(&dir.join(PARTS), LARGEST).is_ok_and(|before| before == text) {
            return;
        }
        for part in &noted.parts {
            let what = part.oid.map_or("pg_wal".to_owned(), |oid| format!("tablespace {oid}"));
            info!("noted for the day when its data is lost: {what} lies in {}", part.at.display());
        }
        if let Err(error) = files::write_durably(&dir, PARTS, text.as_bytes(), 0o600) {
            warn!("{}", chain(&error));
        }
    }

    /// Where they lay when this node's data was in use last; none: nobody has noted it, or it cannot be read.
    pub fn noted_parts(&self) -> Option<Noted> {
        let path = self.state_dir().join(PARTS);
        if self.standalone || files::look(&path) == Seen::Missing {
            return None;
        }
        let text = files::read_root_owned(&path, LARGEST).map_err(|error| chain(&error));
        let noted = text.and_then(|text| {
            Noted::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
        });
        noted.map_err(|why| warn!("where the data's parts lay is not known: {why}")).ok()
    }
}
