//! Replication slots, one's own and another server's. Floor 2.

use std::time::Duration;

use tracing::warn;

use super::{OneLine, Postgres};
use crate::client::peer::{self, Peer, PeerAnswer};
use crate::client::sql::acts;
use crate::cluster::known::Known;
use crate::decide::slots::LogicalSlots;
use crate::postgres::lsn::Lsn;

impl Postgres<'_> {
    /// Makes the physical slots that are missing.
    pub fn ensure_slots(&self, names: &[String]) -> Result<(), String> {
        for name in names {
            self.with_session(|wire, bound| acts::create_physical_slot(wire, name, bound))?;
        }
        Ok(())
    }

    /// Makes a physical slot that is missing: with the WAL that another one keeps, if there is one.
    pub fn make_slot(&self, name: &str, like: Option<&str>) -> Result<(), String> {
        if let Some(like) = like {
            let copied =
                self.with_session(|wire, bound| acts::copy_physical_slot(wire, like, name, bound));
            match copied {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(why) => warn!("the slot {name} could not take over the WAL of {like}: {why}"),
            }
        }
        self.with_session(|wire, bound| acts::create_physical_slot(wire, name, bound)).map(|_| ())
    }

    /// Drops a physical slot by which nobody streams. Whether there was one.
    pub fn drop_idle_slot(&self, name: &str) -> Result<bool, String> {
        self.with_session(|wire, bound| acts::drop_idle_slot(wire, name, bound))
    }

    /// The logical slots of a server of this version.
    pub fn logical_slots(&self, version: u32) -> Known<LogicalSlots> {
        let asked = self.with_session(|wire, bound| acts::logical_slots(wire, version, bound));
        Known::from(asked.map_err(OneLine))
    }

    /// Drops a physical slot, if there is one of that name.
    pub fn drop_slot(&self, name: &str) -> Result<(), String> {
        self.with_session(|wire, bound| acts::drop_physical_slot(wire, name, bound)).map(|_| ())
    }

    /// Moves the idle ones of these slots of a standby forward.
    pub fn advance_slots(&self, names: &[String], to: Lsn) -> Result<(), String> {
        self.with_session(|wire, bound| acts::advance_physical_slots(wire, names, to, bound))
    }

    /// Makes a physical slot on another server; a lost one of that name is dropped first.
    pub fn make_peer_slot(
        &self,
        peer: &Peer,
        slot: &str,
        lost: bool,
        limit: Duration,
    ) -> Result<(), PeerAnswer> {
        let psql =
            self.runtime.command("psql").map_err(|error| PeerAnswer::Unknown(error.to_string()))?;
        peer::make_slot(self.exec, psql, peer, slot, lost, limit)
    }

    /// The logical slots of another server that are to survive a failover.
    pub fn failover_slots(
        &self,
        peer: &Peer,
        version: u32,
        limit: Duration,
    ) -> Result<Vec<String>, PeerAnswer> {
        let psql =
            self.runtime.command("psql").map_err(|error| PeerAnswer::Unknown(error.to_string()))?;
        peer::failover_slots(self.exec, psql, peer, version, limit)
    }
}
