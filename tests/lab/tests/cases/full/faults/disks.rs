//! Disks of the primary that freeze, become read-only, or fill up.

use std::time::Duration;

use lab::{Cluster, Options, disks};

use super::{is_well_again, limit};
use crate::look::{logs_since, marks, stays};
use crate::stage::{SOON, case, fresh};
use crate::takeover::Primary;

fn devices() -> Options {
    Options { disk: Some(1536), device: true, ..Options::default() }
}

/// Whether a write goes through within a few seconds.
fn can_write(cluster: &Cluster, node: &str) -> bool {
    let data = cluster.options.pgdata();
    let script = format!("echo x > {data}/probe && rm {data}/probe");
    let probe = ["timeout", "-k", "1", "3", "sh", "-c", &script];
    cluster.command(node, &probe).limit(Duration::from_secs(5)).output().is_ok_and(|one| one.ok())
}

/// Whatever waits for a frozen disk cannot be killed, and its node's power is what is left: here, where all disks
/// are one machine's, it has to thaw for that.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_07_while_the_disk_is_frozen_every_action_answers_before_its_time_is_over() {
    fresh(&devices(), |cluster| {
        for operation in ["stop", "demote", "start", "promote"] {
            limit(cluster, operation, 40)?;
        }
        let primary = Primary::under_load(cluster)?;
        let old = primary.old.clone();
        let lab = &cluster.options.name;
        let before = marks(cluster)?;
        disks::freeze(lab, &old, true)?;
        let frozen = (|| {
            assert!(!can_write(cluster, &old), "the disk is not frozen");
            stays(20, "monitors answer", || {
                logs_since(cluster, &before, &old).is_ok_and(|log| !log.contains("Timed Out"))
            })?;
            // A demotion has to write its checkpoint, and so has a stop.
            cluster.move_primary(None)?;
            cluster.wait_until("the node is to be fenced, or has been", 3 * SOON, || {
                let lost =
                    |mon: lab::crm_mon::CrmMon| mon.node(&old).is_some_and(|one| one.unclean);
                !cluster.is_running(&old) || cluster.crm_mon().is_ok_and(lost)
            })
        })();
        let log = logs_since(cluster, &before, &old)?;
        disks::freeze(lab, &old, false)?;
        frozen?;
        assert!(!log.contains("Timed Out"), "Pacemaker had to kill an action:\n{log}");
        let new = primary.is_taken_over()?;
        cluster.wait_off(&old, SOON)?;
        cluster.clear_moves()?;
        is_well_again(cluster)?;
        primary.comes_back_under(&new)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_08_a_primary_whose_disk_becomes_read_only_is_replaced() {
    fresh(&devices(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let old = primary.old.clone();
        disks::fail(&cluster.options.name, &old)?;
        assert!(!can_write(cluster, &old), "the disk is not read-only");
        let new = primary.is_taken_over()?;
        // What a person does: the machine is switched off, and the disk checked.
        if cluster.is_running(&old) {
            cluster.power_cut(&old)?;
        }
        disks::repair(&cluster.options.name, &old)?;
        is_well_again(cluster)?;
        primary.comes_back_under(&new)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_09_a_primary_that_has_no_room_for_wal_is_replaced_and_comes_back_when_there_is_room() {
    case(&Options { disk: Some(1536), ..Options::default() }, |cluster| {
        let primary = Primary::under_load(cluster)?;
        let old = primary.old.clone();
        cluster.fill_disk(&old, true)?;
        // More WAL than there is room for; the server ends in the middle of it.
        let flood = "SELECT count(pg_logical_emit_message(false, 'flood', repeat('x', 1000000))) \
                     FROM generate_series(1, 4000)";
        assert!(cluster.psql(&old, flood).is_err(), "there was room");
        let new = primary.is_taken_over()?;
        cluster.fill_disk(&old, false)?;
        is_well_again(cluster)?;
        primary.comes_back_under(&new)
    });
}
