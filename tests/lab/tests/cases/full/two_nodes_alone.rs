//! Two nodes in sync mode with `wait_for_all` off: one that boots alone has quorum.

use lab::{Cluster, Options, Result};

use crate::ledger;
use crate::load::Load;
use crate::look::{nobody_is_promoted, wait_pacemaker, wait_reason};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};
use crate::two_nodes::{a_stale_standby_waits, both_lose_power, pair, two};

/// The survivor of a boot alone has quorum: what it knows must hold it back, nothing else does.
fn two_that_wait_for_nobody() -> Options {
    Options { wait_for_all: false, ..two() }
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_06_without_wait_for_all_a_stale_standby_waits_and_says_for_whom() {
    case(&two_that_wait_for_nobody(), |cluster| a_stale_standby_waits(cluster, true));
}

/// Only one of two returns after both lost power at once: it cannot know, and says so.
fn only_one_returns(cluster: &Cluster, which: impl Fn(&(String, String)) -> &String) -> Result<()> {
    let both = pair(cluster)?;
    let returns = which(&both).clone();
    let missing = cluster.others(&returns)[0].clone();
    let load = Load::start(cluster)?;
    both_lose_power(cluster)?;
    cluster.power_on(&returns)?;
    wait_pacemaker(cluster, &returns)?;
    wait_reason(cluster, &returns, &[&missing])?;
    nobody_is_promoted(cluster, 20)?;
    cluster.power_on(&missing)?;
    cluster.wait_healthy(SOON)?;
    has_all_heirs(cluster)?;
    load.goes_on()?;
    load.end().map(drop)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_07_both_lose_power_and_only_the_primary_returns() {
    case(&two_that_wait_for_nobody(), |cluster| only_one_returns(cluster, |pair| &pair.0));
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_07_both_lose_power_and_only_the_standby_returns() {
    case(&two_that_wait_for_nobody(), |cluster| only_one_returns(cluster, |pair| &pair.1));
}

/// Regression: the simulator found it. A primary that was fenced boots, the distribution starts its server, which
/// accepts writes, and the node has quorum alone: it took itself for the primary, had the one that had taken over
/// fenced, and went on without its commits.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_07_a_server_that_the_distribution_starts_at_boot_is_no_primary_for_that() {
    case(&two_that_wait_for_nobody(), |cluster| {
        let (primary, standby) = pair(cluster)?;
        let load = Load::start(cluster)?;
        // What is started at boot is started in this order here, for once.
        cluster.check(&primary, &["rm", "/etc/lab-cluster-enabled"])?;
        cluster.power_cut(&primary)?;
        ledger::wait_heirs::<&str>(cluster, &standby, &[])?;
        load.goes_on()?;
        cluster.power_cut(&standby)?;

        cluster.power_on(&primary)?;
        cluster.start_postgres_by_hand(&primary, None)?;
        assert!(cluster.is_writable(&primary), "it is as the distribution starts it");
        cluster.start_cluster(&primary)?;
        wait_pacemaker(cluster, &primary)?;
        wait_reason(cluster, &primary, &[&standby])?;
        nobody_is_promoted(cluster, 20)?;
        assert!(!cluster.is_writable(&primary));
        let log = cluster.agent_log(&primary)?;
        let why = format!(
            "was started by hand or at boot, not by the cluster; {standby} may have taken over"
        );
        assert!(log.contains(&why), "{log}");

        cluster.power_on(&standby)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, standby);
        load.goes_on()?;
        load.end().map(drop)
    });
}
