//! What most cases have in common: a primary under load, something that befalls it, an heir that
//! takes over, and the end at which everybody is back and nothing was lost.

use lab::{Cluster, Result};

use crate::ledger;
use crate::load::Load;
use crate::look::assert_taken_over;
use crate::repair::has_all_heirs;
use crate::stage::SOON;

/// A primary that something is about to befall.
pub struct Primary<'a> {
    cluster: &'a Cluster,
    /// Its node.
    pub old: String,
    /// Its entry of the ledger.
    pub before: ledger::Entry,
    /// What is written meanwhile.
    pub load: Load<'a>,
}

impl<'a> Primary<'a> {
    /// The primary of a healthy cluster, with the load started.
    pub fn under_load(cluster: &'a Cluster) -> Result<Self> {
        let old = cluster.primary()?;
        let before = ledger::own(cluster, &old)?;
        Ok(Self { cluster, old, before, load: Load::start(cluster)? })
    }

    /// Waits until an heir has taken over and takes writes; gives its node.
    pub fn is_taken_over(&self) -> Result<String> {
        let new = self.cluster.wait_new_primary(&self.old, SOON)?;
        self.load.goes_on()?;
        assert_taken_over(self.cluster, &self.before, &new)?;
        Ok(new)
    }

    /// The old primary comes back as a standby of `new`, every standby is an heir again, and no
    /// acknowledged write was lost.
    pub fn comes_back_under(self, new: &str) -> Result<()> {
        self.cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(self.cluster)?, new);
        self.load.end().map(drop)
    }
}

/// The last primary, which went on alone, is powered on while others wait for it: it is the
/// primary, and nobody else has been in between.
pub fn the_last_primary_returns(cluster: &Cluster, primary: &str, load: Load<'_>) -> Result<()> {
    cluster.power_on(primary)?;
    cluster.wait_healthy(SOON)?;
    assert_eq!(has_all_heirs(cluster)?, primary, "who had it all is the primary");
    load.goes_on()?;
    let seen = load.end()?;
    assert!(seen.accepted.keys().all(|one| one.node == primary), "{:?}", seen.primaries());
    Ok(())
}
