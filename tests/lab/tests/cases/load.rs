//! The write load of a case, and the two promises that every case ends with: nothing that was
//! acknowledged is lost, and two nodes were never writable at once.

use lab::workload::watcher::Seen;
use lab::{Cluster, Result, Verdict, Watcher, Writer};

use crate::stage::SOON;

/// Writes that show that writing goes on.
const SOME: usize = 30;

/// A writer through the address, and a watcher of all nodes.
pub struct Load<'a> {
    cluster: &'a Cluster,
    pub writer: Writer,
    watcher: Watcher,
}

impl<'a> Load<'a> {
    /// Starts it; a session is held open to the primary. Returns when writes get through.
    pub fn start(cluster: &'a Cluster) -> Result<Self> {
        let load = Self::wait_for_a_primary(cluster, Some(&cluster.primary()?));
        load.goes_on()?;
        Ok(load)
    }

    /// Starts it where nobody is writable yet.
    pub fn wait_for_a_primary(cluster: &'a Cluster, held: Option<&str>) -> Self {
        let writer = Writer::start(cluster);
        Self { cluster, writer, watcher: Watcher::start(cluster, held) }
    }

    /// Waits until more writes are acknowledged.
    pub fn goes_on(&self) -> Result<()> {
        self.writer.wait_more(self.cluster, SOME, SOON)
    }

    /// Ends it where acknowledged writes may be lost: in async mode, when the primary's node is.
    pub fn end_async(self) -> Result<Seen> {
        let log = self.writer.stop();
        let seen = self.watcher.stop();
        seen.require_one_primary()?;
        let verdict = Verdict::of(self.cluster, &log)?;
        eprintln!("{verdict}");
        assert!(verdict.duplicated.is_empty() && verdict.refused_but_there.is_empty(), "{verdict}");
        Ok(seen)
    }

    /// Ends it, and compares what was acknowledged with what the primary holds now. Gives what
    /// the watcher has seen.
    pub fn end(self) -> Result<Seen> {
        let log = self.writer.stop();
        let seen = self.watcher.stop();
        seen.require_one_primary()?;
        let verdict = Verdict::of(self.cluster, &log)?;
        eprintln!("{verdict}");
        verdict.require_clean()?;
        assert!(verdict.acknowledged >= SOME, "hardly anything was written: {verdict}");
        Ok(seen)
    }
}
