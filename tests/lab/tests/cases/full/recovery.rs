//! Nodes that find their own way back: nobody lends a hand.

use lab::{Cluster, Options, Result};

use crate::look::wait_stopped;
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};
use crate::takeover::Primary;

/// The summary of the last recovery of a node.
fn last_summary(cluster: &Cluster, node: &str) -> Result<String> {
    let script = "cat $(ls -t /var/log/pgtwin/pgtwin/*.json | head -n 1)";
    cluster.check(node, &["sh", "-c", script]).map(|output| output.text())
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_01_a_primary_with_wal_that_nobody_else_has_is_rewound() {
    case(&Options::default(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let old = primary.old.clone();
        for standby in cluster.others(&old) {
            cluster.cut_replication(&standby)?;
        }
        // Flushed there, acknowledged to nobody.
        std::thread::sleep(std::time::Duration::from_secs(1));
        cluster.power_cut(&old)?;
        cluster.heal()?;
        let new = primary.is_taken_over()?;
        cluster.power_on(&old)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, new);
        let summary = last_summary(cluster, &old)?;
        assert!(summary.contains("\"rewind\"") && summary.contains("\"done\""), "{summary}");
        primary.load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_05_a_standby_whose_data_was_wiped_is_built_anew() {
    case(&Options::default(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let node = cluster.others(&primary.old)[0].clone();
        cluster.standby(&node, true)?;
        wait_stopped(cluster, &node)?;
        let wipe = format!("rm -rf {}", cluster.options.pgdata());
        cluster.check(&node, &["sh", "-c", &wipe])?;
        cluster.standby(&node, false)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary.old);
        let summary = last_summary(cluster, &node)?;
        assert!(summary.contains("\"rebuild\"") && summary.contains("\"done\""), "{summary}");
        primary.load.end().map(drop)
    });
}
