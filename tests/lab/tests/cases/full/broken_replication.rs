//! Standbys that do not stream: what is mended, what leads to new data, and what never does.

use lab::{Cluster, Options, Result};

use crate::look::{instances, wait_reason, wait_stopped};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};
use crate::takeover::Primary;

const PASSFILE: &str = "/var/lib/postgresql/.pgpass";

fn slot_of(cluster: &Cluster, node: &str) -> Result<String> {
    cluster.psql(node, "SHOW primary_slot_name")
}

/// Drops a slot that somebody may be using, and comes back for.
fn drop_slot(cluster: &Cluster, primary: &str, slot: &str) -> Result<()> {
    let sql = format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots \
         WHERE slot_name = '{slot}' AND active; \
         SELECT pg_drop_replication_slot('{slot}')"
    );
    cluster.wait_until(&format!("{slot} is dropped on {primary}"), SOON, || {
        cluster.psql(primary, &sql).is_ok()
    })
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn broken_01_a_standby_whose_wal_is_gone_is_built_anew() {
    case(&Options::default(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let node = cluster.others(&primary.old)[0].clone();
        let slot = slot_of(cluster, &node)?;
        cluster.standby(&node, true)?;
        wait_stopped(cluster, &node)?;
        cluster.psql(&primary.old, "ALTER SYSTEM SET wal_keep_size = 0")?;
        cluster.psql(&primary.old, "SELECT pg_reload_conf()")?;
        drop_slot(cluster, &primary.old, &slot)?;
        for _ in 0..4 {
            cluster.psql(&primary.old, "SELECT pg_switch_wal()")?;
            cluster.psql(&primary.old, "CHECKPOINT")?;
        }
        cluster.standby(&node, false)?;
        // It is started as it is, found out, and built anew.
        cluster.wait_healthy(3 * SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary.old);
        let script = "cat $(ls -t /var/log/pgtwin/pgtwin/*.json | head -n 1)";
        let summary = cluster.check(&node, &["sh", "-c", script])?.text();
        for word in ["\"rebuild\"", "\"done\"", "is gone on"] {
            assert!(summary.contains(word), "{word}: {summary}");
        }
        cluster.psql(&primary.old, "ALTER SYSTEM RESET wal_keep_size")?;
        cluster.psql(&primary.old, "SELECT pg_reload_conf()")?;
        primary.load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn broken_02_a_slot_that_is_dropped_by_hand_is_made_and_nothing_is_restarted() {
    case(&Options::default(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let node = cluster.others(&primary.old)[0].clone();
        let before = instances(cluster)?;
        let slot = slot_of(cluster, &node)?;
        drop_slot(cluster, &primary.old, &slot)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary.old);
        assert_eq!(instances(cluster)?, before);
        primary.load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn broken_03_a_wrong_password_is_named_and_never_leads_to_a_restart() {
    case(&Options::default(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let node = cluster.others(&primary.old)[0].clone();
        let before = instances(cluster)?;
        let right = cluster.read_file(&node, PASSFILE)?;
        let password = lab::config::REPLICATOR.1;
        let edit = |from: &str, to: &str| {
            let script = format!("sed -i 's/:{from}$/:{to}/' {PASSFILE}");
            cluster.check(&node, &["sh", "-c", &script]).map(drop)
        };
        edit(password, "wrong")?;
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_replication";
        cluster.psql(&primary.old, cut)?;
        wait_reason(cluster, &node, &["does not stream", "refuses the password"])?;
        assert_eq!(instances(cluster)?, before);
        edit("wrong", password)?;
        assert_eq!(cluster.read_file(&node, PASSFILE)?, right);
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary.old);
        assert_eq!(instances(cluster)?, before);
        primary.load.end().map(drop)
    });
}
