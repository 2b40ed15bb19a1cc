//! A primary that is spoilt and then stopped: `stop` succeeds, nobody is fenced, a standby takes
//! over. And the loss of a primary's node in async mode.

use std::collections::BTreeMap;

use lab::config::PRIMITIVE;
use lab::{Cluster, Options, Result};

use crate::async_mode::asynchronous;
use crate::look::{after_a_killed_postmaster, logs_since, marks};
use crate::recovery::assert_recovered;
use crate::repair::make_ready;
use crate::stage::{SOON, case};
use crate::stopping::{
    assert_stopped_without_fencing, break_configuration, bring_data_back, freeze_all, hide_data,
    mend_configuration,
};
use crate::subtransactions::crash_with_many_subtransactions;
use crate::takeover::Primary;

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_03_in_async_mode_a_standby_takes_over_from_a_node_that_lost_power() {
    case(&asynchronous(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        cluster.power_cut(&primary.old)?;
        let new = primary.is_taken_over()?;
        cluster.power_on(&primary.old)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(cluster.primary()?, new);
        // Acknowledged writes may be lost here: that is what async means. Two primaries may not.
        primary.load.end_async().map(drop)
    });
}

/// Takes `on-fail=demote` from the primary's monitor, as it is in configurations of before.
fn have_it_restarted(cluster: &Cluster) -> Result<()> {
    let monitor = format!(
        "<op id=\"{PRIMITIVE}-monitor-p\" name=\"monitor\" interval=\"3s\" role=\"Promoted\" \
         timeout=\"120s\"/>"
    );
    let node = cluster.primary()?;
    cluster.check(&node, &["cibadmin", "--replace", "--xml-text", &monitor])?;
    cluster.wait_healthy(SOON)
}

/// Whether Pacemaker has stopped the resource on this node since then.
fn was_stopped(cluster: &Cluster, since: &BTreeMap<String, usize>, node: &str) -> Result<bool> {
    let stop = format!("Result of stop operation for {PRIMITIVE} on {node}");
    Ok(logs_since(cluster, since, node)?.contains(&stop))
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_02_a_failed_monitor_demotes_and_one_without_on_fail_restarts_and_both_lose_nothing() {
    case(&Options::default(), |cluster| {
        for stops in [false, true] {
            if stops {
                have_it_restarted(cluster)?;
            }
            let primary = Primary::under_load(cluster)?;
            let since = marks(cluster)?;
            let old = primary.old.clone();
            cluster.signal_postmaster(&old, "KILL")?;
            let new = after_a_killed_postmaster(cluster, &old, &primary.before, &since)?;
            primary.load.goes_on()?;
            primary.comes_back_under(&new)?;
            assert_eq!(was_stopped(cluster, &since, &old)?, stops, "{old}");
        }
        Ok(())
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_02_in_async_mode_one_without_on_fail_restarts_in_place_too() {
    case(&asynchronous(), |cluster| {
        have_it_restarted(cluster)?;
        let primary = Primary::under_load(cluster)?;
        let old = primary.old.clone();
        let since = marks(cluster)?;
        cluster.signal_postmaster(&old, "KILL")?;
        cluster.wait_until("it was stopped and started", SOON, || {
            was_stopped(cluster, &since, &old).unwrap_or(false) && cluster.is_writable(&old)
        })?;
        primary.load.goes_on()?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(cluster.primary()?, old, "its own restart has everything");
        primary.load.end().map(drop)
    });
}

/// Spoils the primary, has its node put into standby, and expects a successor.
fn a_spoilt_primary_stops(
    cluster: &Cluster,
    spoil: impl Fn(&Cluster, &str) -> Result<()>,
    mend: impl Fn(&Cluster, &str) -> Result<()>,
) -> Result<()> {
    let primary = Primary::under_load(cluster)?;
    let old = &primary.old;
    spoil(cluster, old)?;
    cluster.standby(old, true)?;
    let new = primary.is_taken_over()?;
    assert_stopped_without_fencing(cluster, old)?;
    mend(cluster, old)?;
    cluster.standby(old, false)?;
    cluster.wait_healthy(SOON)?;
    make_ready(cluster)?;
    primary.comes_back_under(&new)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_14_a_primary_with_a_broken_configuration_stops_and_is_replaced() {
    case(&Options::default(), |cluster| {
        a_spoilt_primary_stops(cluster, break_configuration, mend_configuration)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_14_a_primary_whose_data_directory_is_missing_stops_and_is_replaced() {
    case(&Options::default(), |cluster| {
        a_spoilt_primary_stops(cluster, hide_data, bring_data_back)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_14_a_hung_primary_stops_and_is_replaced() {
    case(&Options::default(), |cluster| a_spoilt_primary_stops(cluster, freeze_all, |_, _| Ok(())));
}

/// Hot standby does not open, for there is no upstream yet when it starts, and cannot afterwards, for it has WAL that
/// nobody else has: no position can be asked for that would say so.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_11_a_primary_that_crashed_with_many_subtransactions_and_wal_of_its_own_is_rewound() {
    case(&Options::default(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        for standby in cluster.others(&primary.old) {
            cluster.cut_replication(&standby)?;
        }
        crash_with_many_subtransactions(cluster, &primary.old)?;
        let new = cluster.wait_new_primary(&primary.old, SOON)?;
        cluster.heal()?;
        primary.load.goes_on()?;
        let old = primary.old.clone();
        primary.comes_back_under(&new)?;
        assert_recovered(cluster, &old, "rewind")
    });
}
