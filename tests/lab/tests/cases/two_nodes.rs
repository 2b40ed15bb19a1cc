//! Two nodes in sync mode.

use std::thread;
use std::time::Duration;

use lab::{Cluster, FenceMode, Options, Result};

use crate::ledger;
use crate::load::Load;
use crate::look::{nobody_is_promoted, wait_pacemaker, wait_reason};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};
use crate::subtransactions::crash_with_many_subtransactions;
use crate::takeover::the_last_primary_returns;

pub fn two() -> Options {
    Options { nodes: 2, ..Options::default() }
}

/// The primary and the standby.
pub fn pair(cluster: &Cluster) -> Result<(String, String)> {
    let primary = cluster.primary()?;
    let standby = cluster.others(&primary)[0].clone();
    Ok((primary, standby))
}

pub fn both_lose_power(cluster: &Cluster) -> Result<()> {
    cluster.each_node(|node| cluster.power_cut(node))
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn smoke_two_nodes_move_and_fail_over() {
    case(&two(), |cluster| {
        assert_eq!(cluster.nodes().len(), 2);
        crate::releases::moves_and_fails_over(cluster)
    });
}

/// S dies, P goes on alone and commits, P dies, S returns alone: it must not be promoted. P
/// returns: it is the primary.
pub fn a_stale_standby_waits(cluster: &Cluster, has_quorum: bool) -> Result<()> {
    let (primary, standby) = pair(cluster)?;
    let load = Load::start(cluster)?;
    cluster.power_cut(&standby)?;
    ledger::wait_heirs::<&str>(cluster, &primary, &[])?;
    load.goes_on()?;
    cluster.power_cut(&primary)?;

    cluster.power_on(&standby)?;
    wait_pacemaker(cluster, &standby)?;
    if has_quorum {
        wait_reason(cluster, &standby, &[&primary])?;
    } else {
        assert!(cluster.crm_mon_text()?.contains("WITHOUT quorum"));
    }
    nobody_is_promoted(cluster, 20)?;

    the_last_primary_returns(cluster, &primary, load)
}

pub fn both_return(cluster: &Cluster, first: &str, second: &str) -> Result<()> {
    let load = Load::start(cluster)?;
    both_lose_power(cluster)?;
    cluster.power_on(first)?;
    wait_pacemaker(cluster, first)?;
    thread::sleep(Duration::from_secs(5));
    assert!(cluster.primary().is_err(), "nobody can know yet who has it all");
    cluster.power_on(second)?;
    cluster.wait_healthy(SOON)?;
    has_all_heirs(cluster)?;
    load.goes_on()?;
    load.end().map(drop)
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_05_commits_resume_alone_after_the_standbys_fencing_and_not_before() {
    case(&two(), |cluster| {
        let (primary, standby) = pair(cluster)?;
        let before = ledger::own(cluster, &primary)?;
        let load = Load::start(cluster)?;
        cluster.fence_mode(Some(&standby), FenceMode::Fails)?;
        cluster.power_cut(&standby)?;
        cluster.wait_until("a fencing of the standby has failed", SOON, || {
            cluster.logs(&primary).is_ok_and(|log| log.contains("fails because the lab says so"))
        })?;
        load.writer.expect_none(Duration::from_secs(15))?;
        assert_eq!(
            ledger::own(cluster, &primary)?.heirs,
            before.heirs,
            "not fenced, still counted"
        );
        cluster.fence_mode(Some(&standby), FenceMode::Works)?;
        // After ten failures Pacemaker has given up, until somebody asks or something changes.
        cluster.check(&primary, &["stonith_admin", "--fence", &standby])?;
        let alone = ledger::wait_heirs::<&str>(cluster, &primary, &[])?;
        load.goes_on()?;
        wait_reason(cluster, &primary, &["no standby streams"])?;
        cluster.power_on(&standby)?;
        cluster.wait_healthy(SOON)?;
        let again = ledger::wait_heirs(cluster, &primary, &[&standby])?;
        assert!(before.seq < alone.seq && alone.seq < again.seq, "{before:?} {alone:?} {again:?}");
        load.goes_on()?;
        let seen = load.end()?;
        assert_eq!(seen.held_ended, None, "the primary has run all the time");
        Ok(())
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_07_both_lose_power_and_the_standby_returns_first() {
    case(&two(), |cluster| {
        let (primary, standby) = pair(cluster)?;
        both_return(cluster, &standby, &primary)
    });
}

mod full {
    use super::*;

    #[test]
    #[ignore = "starts containers: tests/run --full does"]
    fn case_06_a_stale_standby_that_returns_alone_waits_for_the_last_primary() {
        case(&two(), |cluster| a_stale_standby_waits(cluster, false));
    }

    #[test]
    #[ignore = "starts containers: tests/run --full does"]
    fn case_11_a_primary_alone_that_crashed_with_many_subtransactions_comes_back() {
        case(&two(), |cluster| {
            let (primary, standby) = pair(cluster)?;
            let load = Load::start(cluster)?;
            cluster.standby(&standby, true)?;
            ledger::wait_heirs::<&str>(cluster, &primary, &[])?;
            load.goes_on()?;
            crash_with_many_subtransactions(cluster, &primary)?;
            cluster.wait_until("the primary is back", SOON, || cluster.is_writable(&primary))?;
            load.goes_on()?;
            assert_eq!(cluster.promoted(), Some(primary.clone()));
            cluster.standby(&standby, false)?;
            cluster.wait_healthy(SOON)?;
            assert_eq!(has_all_heirs(cluster)?, primary);
            load.end().map(drop)
        });
    }
}
