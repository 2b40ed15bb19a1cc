//! `lab torture`, with seeds that stay the same. The long runs are for people: docs/torture.md.

use std::time::Duration;

use lab::torture::{self, Wish};
use lab::{Cluster, Options, Result};

use crate::stage::{case, evidence_dir};

/// Tortures a cluster with this seed, for so many minutes, and expects that it passes.
pub fn tortured(cluster: &Cluster, seed: u64, minutes: u64) -> Result<()> {
    let dir = evidence_dir(&format!("torture-{}-{seed}", cluster.options.name));
    let wish = Wish { seed, time: Duration::from_mins(minutes), only: Vec::new(), dir };
    let report = torture::torture(cluster, &wish)?;
    eprintln!("{}", report.text());
    assert!(report.passed(), "seed {seed}: {}", report.failures.join("; "));
    assert!(report.faults.iter().any(|fault| !fault.failed), "nothing was broken");
    Ok(())
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn torture_a_minute_of_it_loses_nothing() {
    case(&torture::options(Options::default()), |cluster| tortured(cluster, 41, 1));
}
