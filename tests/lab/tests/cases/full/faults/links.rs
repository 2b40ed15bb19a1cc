//! Links that are cut one by one: replication without the cluster's, the cluster's without replication, and
//! both, as by a switch that dies, in either order.

use std::thread;
use std::time::Duration;

use lab::{Cluster, Options, Result};

use super::is_well_again;
use crate::ledger;
use crate::load::Load;
use crate::look::{nobody_is_promoted, stays, wait_reason};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};
use crate::takeover::{Primary, the_last_primary_returns};
use crate::two_nodes::{pair, two};

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_04_a_replication_link_that_is_cut_moves_nothing() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let load = Load::start(cluster)?;
        cluster.cut_replication(&primary)?;
        // Nobody is dead: each standby confirms that it is left out, and the primary goes on alone.
        ledger::wait_heirs::<&str>(cluster, &primary, &[])?;
        load.goes_on()?;
        for standby in cluster.others(&primary) {
            wait_reason(cluster, &standby, &[&primary])?;
        }
        stays(15, "the primary stays where it is", || cluster.is_writable(&primary))?;
        assert_eq!(cluster.running().len(), 3, "nobody is fenced for a link");
        cluster.heal()?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary);
        let seen = load.end()?;
        assert_eq!(seen.held_ended, None, "the primary has run all the time");
        Ok(())
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_05_a_primary_that_the_cluster_has_lost_is_fenced_while_it_still_replicates() {
    case(&Options::default(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        cluster.cut_corosync(&primary.old)?;
        cluster.wait_off(&primary.old, SOON)?;
        let new = primary.is_taken_over()?;
        cluster.heal()?;
        cluster.power_on(&primary.old)?;
        primary.comes_back_under(&new)
    });
}

/// The first link of the primary is cut, the other one so long after it.
fn a_switch_dies(cluster: &Cluster, replication_first: bool, pause: Duration) -> Result<()> {
    let load = Load::start(cluster)?;
    let old = cluster.primary()?;
    if replication_first {
        cluster.cut_replication(&old)?;
        thread::sleep(pause);
        cluster.cut_corosync(&old)?;
    } else {
        cluster.cut_corosync(&old)?;
        thread::sleep(pause);
        // Its node may have been fenced by now.
        let _ = cluster.cut_replication(&old);
    }
    let off = cluster.wait_for("one side is fenced", SOON, || {
        cluster.nodes().into_iter().find(|node| !cluster.is_running(node))
    })?;
    assert!(off == old || cluster.nodes().len() == 2, "the primary has fenced one of two others");
    load.goes_on()?;
    cluster.heal()?;
    is_well_again(cluster)?;
    load.goes_on()?;
    load.end().map(drop)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_06_a_switch_that_dies_under_three_nodes_costs_no_commit_in_either_order() {
    case(&Options::default(), |cluster| {
        for replication_first in [true, false] {
            a_switch_dies(cluster, replication_first, Duration::from_millis(800))?;
        }
        Ok(())
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_06_a_switch_that_dies_between_two_nodes_costs_no_commit_in_either_order() {
    case(&two(), |cluster| {
        for replication_first in [true, false] {
            a_switch_dies(cluster, replication_first, Duration::from_millis(800))?;
        }
        Ok(())
    });
}

/// In between the standbys have confirmed that they are left out, and the primary has gone on alone: then
/// nobody takes over from it.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_06_where_the_primary_went_on_alone_before_the_network_was_lost_it_is_waited_for() {
    case(&Options::default(), |cluster| {
        let load = Load::start(cluster)?;
        let old = cluster.primary()?;
        cluster.cut_replication(&old)?;
        ledger::wait_heirs::<&str>(cluster, &old, &[])?;
        load.goes_on()?;
        cluster.cut_corosync(&old)?;
        cluster.wait_off(&old, SOON)?;
        let standby = &cluster.others(&old)[0];
        wait_reason(cluster, standby, &["not promoted", &old])?;
        nobody_is_promoted(cluster, 20)?;
        cluster.heal()?;
        the_last_primary_returns(cluster, &old, load)
    });
}

/// The same of two nodes: whoever is fenced, what was acknowledged is kept.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_06_a_pair_that_lost_replication_long_before_the_network_loses_nothing() {
    case(&two(), |cluster| {
        let (old, standby) = pair(cluster)?;
        let load = Load::start(cluster)?;
        cluster.cut_replication(&old)?;
        ledger::wait_heirs::<&str>(cluster, &old, &[])?;
        load.goes_on()?;
        cluster.cut_corosync(&old)?;
        let off = cluster.wait_for("one side is fenced", SOON, || {
            cluster.nodes().into_iter().find(|node| !cluster.is_running(node))
        })?;
        if off == standby {
            load.goes_on()?;
        } else {
            nobody_is_promoted(cluster, 20)?;
        }
        cluster.heal()?;
        assert_eq!(is_well_again(cluster)?, old, "it alone has what was written since");
        load.goes_on()?;
        load.end().map(drop)
    });
}
