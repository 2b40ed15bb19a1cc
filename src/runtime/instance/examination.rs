//! What the doctor wants to know of this node's PostgreSQL. Floor 2.

use std::time::Duration;

use crate::client::peer::{self, Peer, PeerAnswer};
use crate::client::sql::{Wire, examine};
use crate::cluster::known::Known;
use crate::decide::doctor::{Remote, Server};
use crate::runtime::Runtime;
use crate::sys::deadline::Deadline;
use crate::sys::files::{Seen, look_through};

use super::{OneLine, Postgres};

/// Programs that are needed sooner or later.
const PROGRAMS: [&str; 7] =
    ["postgres", "pg_ctl", "psql", "pg_controldata", "pg_waldump", "pg_rewind", "pg_basebackup"];

impl Postgres<'_> {
    /// Asks everything. `slots`: those that belong to the other members.
    pub fn examine(&self, slots: Vec<String>) -> Known<Server> {
        Known::from(self.examined(slots).map_err(OneLine))
    }

    fn examined(&self, slots: Vec<String>) -> Result<Server, String> {
        let (primary, version) = self.with_session(examine::server)?;
        let user = self.replication_user();
        let number = version.major * 10_000 + version.minor;
        Ok(Server {
            primary,
            version,
            settings: self.with_session(examine::settings)?,
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
