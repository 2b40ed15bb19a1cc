//! Fencing that fails or takes its time, while a primary is lost or frozen.

use std::time::{Duration, Instant};

use lab::{FenceMode, Options};

use super::is_well_again;
use crate::ledger;
use crate::load::Load;
use crate::look::{nobody_is_promoted, status};
use crate::stage::{SOON, case};
use crate::takeover::Primary;

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_01_a_lost_primary_that_cannot_be_fenced_is_replaced_by_nobody() {
    case(&Options::default(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let old = primary.old.clone();
        let standbys = cluster.others(&old);
        cluster.fence_mode(Some(&old), FenceMode::Fails)?;
        cluster.power_cut(&old)?;
        cluster.wait_until("a fencing has failed", SOON, || {
            cluster.crm_mon_text().is_ok_and(|mon| mon.contains("Failed Fencing Actions"))
        })?;
        nobody_is_promoted(cluster, 30)?;
        for node in &standbys {
            let said = status(cluster, node)?;
            assert!(said.contains(&format!("{old} is lost and has not been fenced")), "{said}");
            assert!(said.contains("Fencing the last attempt FAILED"), "{said}");
        }
        let mon = cluster.crm_mon_text()?;
        assert!(mon.contains("Failed Fencing Actions"), "{mon}");
        for node in &standbys {
            let entries = ledger::file(cluster, node)?;
            assert!(entries.iter().all(|entry| entry.term <= primary.before.term), "{entries:?}");
        }
        cluster.fence_mode(Some(&old), FenceMode::Works)?;
        // After ten failures Pacemaker has given up, until somebody asks or something changes.
        cluster.check(&standbys[0], &["stonith_admin", "--fence", &old])?;
        let new = primary.is_taken_over()?;
        cluster.power_on(&old)?;
        primary.comes_back_under(&new)
    });
}

/// The device may take longer than Pacemaker's usual minute.
fn patient() -> Options {
    let mut options = Options::default();
    options.properties.insert("stonith-timeout".into(), "150s".into());
    options
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_02_fencing_that_takes_a_minute_is_waited_for() {
    case(&patient(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        cluster.fence_mode(Some(&primary.old), FenceMode::Slow(Duration::from_mins(1)))?;
        cluster.power_cut(&primary.old)?;
        let cut = Instant::now();
        nobody_is_promoted(cluster, 55)?;
        let new = primary.is_taken_over()?;
        assert!(cut.elapsed() > Duration::from_mins(1), "before the fencing was over");
        cluster.fence_mode(Some(&primary.old), FenceMode::Works)?;
        cluster.power_on(&primary.old)?;
        primary.comes_back_under(&new)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_03_a_primary_that_freezes_for_a_minute_is_fenced_and_replaced() {
    case(&Options::default(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let frozen = Instant::now();
        cluster.freeze_node(&primary.old)?;
        cluster.wait_off(&primary.old, SOON)?;
        let new = primary.is_taken_over()?;
        while frozen.elapsed() < Duration::from_mins(1) {
            std::thread::sleep(Duration::from_secs(1));
        }
        primary.load.goes_on()?;
        cluster.thaw_node(&primary.old)?;
        cluster.power_on(&primary.old)?;
        primary.comes_back_under(&new)
    });
}

/// It thaws as a primary that does not know what was decided meanwhile: nothing was, for it was not fenced.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_03_a_primary_that_freezes_for_a_minute_and_cannot_be_fenced_is_thawed_and_loses_nothing() {
    case(&Options::default(), |cluster| {
        let load = Load::start(cluster)?;
        let old = cluster.primary()?;
        cluster.fence_mode(Some(&old), FenceMode::Fails)?;
        cluster.freeze_node(&old)?;
        nobody_is_promoted(cluster, 60)?;
        cluster.thaw_node(&old)?;
        std::thread::sleep(Duration::from_secs(5));
        cluster.fence_mode(Some(&old), FenceMode::Works)?;
        is_well_again(cluster)?;
        load.goes_on()?;
        load.end().map(drop)
    });
}
