//! Two nodes in sync mode with `wait_for_all` off: one that boots alone has quorum.

use lab::{Cluster, Options, Result};

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
