//! What the doctor wants to know of this node's PostgreSQL. Floor 2.

use std::path::Path;
use std::time::Duration;

use crate::client::peer::{self, Peer, PeerAnswer};
use crate::client::sql::{Wire, examine};
use crate::cluster::known::Known;
use crate::decide::doctor::{Histories, Remote, Server};
use crate::decide::foreign_history::{Line, words};
use crate::postgres::restore_command::directory;
use crate::runtime::archive;
use crate::sys::deadline::Deadline;
use crate::sys::files::{Seen, look_through};

use super::{OneLine, Postgres};

/// Programs that are needed sooner or later.
const PROGRAMS: [&str; 7] =
    ["postgres", "pg_ctl", "psql", "pg_controldata", "pg_waldump", "pg_rewind", "pg_basebackup"];

/// What the question for the own line may take.
const IDENTIFY: Duration = Duration::from_secs(5);

impl Postgres<'_> {
    /// Asks everything. `slots`: those that belong to the other members.
    pub fn examine(&self, slots: Vec<String>) -> Known<Server> {
        Known::from(self.examined(slots).map_err(OneLine))
    }

    fn examined(&self, slots: Vec<String>) -> Result<Server, String> {
        let (primary, version) = self.with_session(examine::server)?;
        let user = self.replication_user();
        let number = version.major * 10_000 + version.minor;
        let settings = self.with_session(examine::settings)?;
        let restore = settings.get("restore_command").map(|value| value.setting.as_str());
        Ok(Server {
            primary,
            version,
            histories: self.histories(primary, restore.unwrap_or_default()),
            settings,
            overrides: Known::from(self.overrides().map_err(OneLine)),
            role: self.with_session(|wire, bound| examine::role(wire, &user, bound))?,
            user,
            slots: self.with_session(examine::slots)?,
            logical: self.logical_slots(number),
            slots_of_members: slots,
            bad_lines: self.with_session(examine::bad_lines)?,
            archiver_fails: self.with_session(examine::archiver)?,
            oldest_xid: self.with_session(examine::oldest_xid)?,
            database: self.size(),
        })
    }

    /// History files of another line, in pg_wal and where `restore` copies from.
    fn histories(&self, primary: bool, restore: &str) -> Known<Histories> {
        let archive = directory(restore);
        let mut foreign = match self.foreign_histories(primary, &self.place().pgdata.join("pg_wal"))
        {
            Known::Known(foreign) => foreign,
            Known::Unknown(why) => return Known::Unknown(why),
        };
        if let Some(dir) = &archive {
            match self.foreign_histories(primary, dir.as_ref()) {
                Known::Known(more) => foreign.extend(more),
                Known::Unknown(why) => return Known::Unknown(why),
            }
        }
        Known::Known(Histories { archive, foreign })
    }

    fn foreign_histories(&self, primary: bool, dir: &Path) -> Known<Vec<(String, String)>> {
        let line = match self.identify(&Deadline::after(IDENTIFY)) {
            Known::Known(is) => {
                self.history_of(is.timeline).map(|history| Line { history, lsn: is.lsn, primary })
            }
            Known::Unknown(why) => Known::Unknown(why),
        };
        line.and_then(|line| archive::look(self.place(), dir, &line))
    }

    /// The same of pg_wal alone, which is near, in words; what cannot be seen is not warned of.
    pub fn history_warnings(&self, primary: bool) -> Vec<String> {
        let found = self.foreign_histories(primary, &self.place().pgdata.join("pg_wal"));
        found.known().unwrap_or_default().iter().map(|(path, why)| words(path, why)).collect()
    }

    fn size(&self) -> Known<u64> {
        let ask = |wire: &mut dyn Wire, bound: &Deadline| examine::size(wire, bound);
        Known::from(self.with_session(ask).map_err(OneLine))
    }

    /// Asks another member in the database `postgres`.
    pub fn examine_peer(&self, peer: &Peer, limit: Duration) -> Result<Remote, PeerAnswer> {
        let psql =
            self.runtime.command("psql").map_err(|error| PeerAnswer::Unknown(error.to_string()))?;
        peer::examine::examine(self.exec, psql, peer, limit)
    }

    /// Programs of PostgreSQL's that are missing or do not fit the data, in words.
    pub fn missing_programs(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for name in PROGRAMS {
            match self.runtime.command(name) {
                // The others fail in the same way.
                Err(error) => return vec![error.to_string()],
                Ok(cmd) => match look_through(cmd.program.as_ref()) {
                    Seen::Present(_) => {}
                    Seen::Missing => missing.push(format!("{} is missing", cmd.program)),
                    Seen::Unknown(why) => missing.push(why),
                },
            }
        }
        missing
    }
}
