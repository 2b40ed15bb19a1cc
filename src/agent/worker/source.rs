//! The primary that is copied: proven, and holding what the copy will need. Floor 3.

use std::time::Duration;

use super::{Failure, Work};
use crate::client::peer::{self, Peer, PeerAnswer};
use crate::cluster::known::Known;
use crate::cluster::ledger::Store;
use crate::cluster::node::NodeName;
use crate::decide::recovery_check;
use crate::decide::upstream::disowned;

/// How long a source that does not answer is asked whether it still is the primary.
const FOR_THE_SOURCE: Duration = Duration::from_mins(1);

impl Work<'_, '_> {
    pub(super) fn node(&self) -> Result<NodeName, Failure> {
        let live = self.source.as_ref().ok_or_else(|| Failure::new("there is no primary"))?;
        Ok(live.node.clone())
    }

    pub(super) fn source(&self) -> Result<Peer, Failure> {
        Ok(self.agent.peer(&self.node()?))
    }

    pub(super) fn slot(&self) -> String {
        self.agent.own_slot()
    }

    /// The source still is what it was when it was chosen: a primary on the same timeline, against
    /// which the ledger does not stand. One that was demoted and promoted again meanwhile is on another.
    pub(super) fn prove_source(&mut self) -> Result<(), Failure> {
        let live = self.source.clone().ok_or_else(|| Failure::new("there is no primary"))?;
        let peer = self.agent.peer(&live.node);
        let until = self.agent.deadline.within(FOR_THE_SOURCE);
        loop {
            let limit = until.bounded(Duration::from_secs(10)).max(Duration::from_secs(1));
            let why = match self.agent.pg.identify_peer(&peer, limit) {
                PeerAnswer::Primary(is) if is.system_id != live.system_id => {
                    return Err(Failure::new(format!("another database answers at {}", live.node)));
                }
                PeerAnswer::Primary(is) if is.timeline != live.line.timeline() => {
                    return Err(Failure::new(format!(
                        "{} was promoted anew since it was chosen as the source",
                        live.node
                    )));
                }
                PeerAnswer::Primary(_) => match self.ledger() {
                    Known::Known(ledger) => {
                        return match disowned(&live.node, &ledger) {
                            None => Ok(()),
                            Some(why) => Err(Failure::new(why)),
                        };
                    }
                    Known::Unknown(why) => why,
                },
                PeerAnswer::Standby(_) => {
                    return Err(Failure::new(format!("{} is not the primary any more", live.node)));
                }
                other => other.to_string(),
            };
            if until.expired() {
                return Err(Failure::new(format!(
                    "whether {} still is the primary is not known: {why}",
                    live.node
                )));
            }
            until.sleep(Duration::from_secs(1));
        }
    }

    fn ledger(&mut self) -> Known<Store> {
        let own = self.agent.home.read();
        self.agent.view().and_then(|view| self.agent.known_ledger(&view, &own))
    }

    /// The slot is there, and was not lost.
    pub(super) fn ensure_slot(
        &mut self,
        seen: Option<&recovery_check::Facts>,
    ) -> Result<(), Failure> {
        let session = seen.and_then(|seen| seen.source.postgres.answered());
        let slot = session.map(|session| session.slot.clone());
        let (there, lost) = match slot {
            Some(Known::Known(Some(slot))) => (true, slot.wal_status == "lost"),
            Some(Known::Known(None)) => (false, false),
            Some(Known::Unknown(why)) => return Err(Failure::new(why)),
            None => return Err(Failure::new("the primary was not asked for the slot")),
        };
        if there && !lost {
            return Ok(());
        }
        let peer = self.agent.peer(&self.node()?);
        let psql = self.agent.pg.runtime().command("psql");
        let psql = psql.map_err(|error| Failure::new(error.to_string()))?;
        let limit = Duration::from_secs(30);
        peer::make_slot(self.exec, psql, &peer, &self.slot(), lost, limit)
            .map_err(|answer| Failure::new(format!("the slot could not be made: {answer}")))
    }
}
