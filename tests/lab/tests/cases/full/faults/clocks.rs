//! Clocks that are set while all runs.

use std::time::Duration;

use lab::config::PRIMITIVE;
use lab::{Cluster, Meets, Options, Result};

use crate::load::Load;
use crate::look::{instances, monitor_records, stays};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, fresh};

const HOUR: i64 = 3600;

/// By this machine's clock.
fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

fn set(cluster: &Cluster, node: &str, seconds: i64) -> Result<()> {
    cluster.meets(node, Meets::Clock(seconds))?;
    let theirs = cluster.check(node, &["date", "+%s"])?.text().parse::<i64>();
    let ahead = theirs.map_err(|error| lab::LabError::plain(error.to_string()))? - now();
    assert!((ahead - seconds).abs() < 30, "the clock of {node} is {ahead} s ahead");
    Ok(())
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_13_clocks_that_jump_by_an_hour_move_nothing_and_failovers_go_on() {
    fresh(&Options { start: false, preload: true, ..Options::default() }, |cluster| {
        cluster.start_all()?;
        cluster.wait_healthy(SOON)?;
        let first = has_all_heirs(cluster)?;
        let others = cluster.others(&first);
        let load = Load::start(cluster)?;
        let running = instances(cluster)?;
        for (node, seconds) in [(&first, HOUR), (&others[0], -HOUR)] {
            set(cluster, node, seconds)?;
            stays(15, "the primary stays where it is", || cluster.is_writable(&first))?;
            load.goes_on()?;
        }
        assert_eq!(instances(cluster)?.len(), running.len());
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, first);
        assert_eq!(cluster.running().len(), 3, "nobody is fenced for a clock");

        // From an hour ahead to an hour behind, and back; then the one that is behind is lost.
        cluster.move_primary(Some(&others[0]))?;
        assert_eq!(cluster.wait_new_primary(&first, SOON)?, others[0]);
        cluster.clear_moves()?;
        cluster.wait_healthy(SOON)?;
        has_all_heirs(cluster)?;
        load.goes_on()?;
        cluster.power_cut(&others[0])?;
        let third = cluster.wait_new_primary(&others[0], SOON)?;
        load.goes_on()?;
        cluster.power_on(&others[0])?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, third);

        // And at once by two hours, while its postmaster dies.
        set(cluster, &third, -HOUR)?;
        set(cluster, &third, HOUR)?;
        cluster.signal_postmaster(&third, "KILL")?;
        cluster.wait_until("somebody is the primary", SOON, || cluster.primary().is_ok())?;
        cluster.wait_healthy(SOON)?;
        let last = has_all_heirs(cluster)?;
        load.goes_on()?;

        // What a monitor finds after that may be older, by Pacemaker's record, than what it found before: Pacemaker
        // goes by the latter. So this comes when all is well, and nothing has to be found.
        for node in cluster.nodes() {
            set(cluster, &node, 0)?;
        }
        stays(15, "the primary stays where it is", || cluster.is_writable(&last))?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, last);
        load.goes_on()?;
        load.end().map(drop)
    });
}

/// Pacemaker has recorded that the standby's monitor succeeded by a clock that was ahead: no failure since is later,
/// and nothing follows from it until Pacemaker forgets it (`failure-timeout`) and has the monitor run anew.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_13_a_standby_that_fails_after_its_clock_was_set_back_is_brought_back_a_minute_later() {
    fresh(&Options { start: false, preload: true, ..Options::default() }, |cluster| {
        cluster.start_all()?;
        cluster.wait_healthy(SOON)?;
        let primary = has_all_heirs(cluster)?;
        let standby = cluster.others(&primary)[0].clone();
        let load = Load::start(cluster)?;
        fails_unheeded(cluster, &primary, &standby)?;
        cluster.wait_until("the standby is back by itself", Duration::from_mins(3), || {
            answers(cluster, &standby)
        })?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary);

        // Where failures are never forgotten it takes somebody who has Pacemaker look anew.
        let timeout = [
            "crm_resource",
            "--resource",
            PRIMITIVE,
            "--meta",
            "--delete-parameter",
            "failure-timeout",
        ];
        cluster.check(&primary, &timeout)?;
        fails_unheeded(cluster, &primary, &standby)?;
        stays(75, "Pacemaker does nothing about it", || !answers(cluster, &standby))?;
        refresh(cluster, &standby)?;
        cluster.wait_until("the standby is back", SOON, || answers(cluster, &standby))?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary);
        load.goes_on()?;
        let seen = load.end()?;
        assert_eq!(seen.held_ended, None, "the primary has run all the time");
        Ok(())
    });
}

/// The standby's server is killed after its monitor was recorded by a clock that was ahead and is right again.
fn fails_unheeded(cluster: &Cluster, primary: &str, standby: &str) -> Result<()> {
    set(cluster, standby, HOUR)?;
    refresh(cluster, standby)?;
    cluster.wait_until("its monitor recurs by the clock that is ahead", SOON, || {
        recorded(cluster, standby, "_monitor_8000").iter().any(|when| *when > now() + HOUR / 2)
    })?;
    set(cluster, standby, 0)?;
    cluster.wait_healthy(SOON)?;
    assert_eq!(has_all_heirs(cluster)?, primary);
    cluster.signal_postmaster(standby, "KILL")?;
    cluster.wait_until("its monitor has found that", SOON, || {
        !recorded(cluster, standby, "_last_failure_0").is_empty()
    })?;
    stays(20, "Pacemaker does nothing about it", || !answers(cluster, standby))
}

fn refresh(cluster: &Cluster, node: &str) -> Result<()> {
    let refresh = ["crm_resource", "--refresh", "--resource", PRIMITIVE, "--node", node];
    cluster.check(node, &refresh).map(drop)
}

fn answers(cluster: &Cluster, node: &str) -> bool {
    cluster.psql(node, "SELECT 1").is_ok()
}

/// When the node's monitors of this kind ended with another result than before, by its clock.
fn recorded(cluster: &Cluster, node: &str, kind: &str) -> Vec<i64> {
    let id = format!("{PRIMITIVE}{kind}");
    let records = monitor_records(cluster, node).unwrap_or_default();
    records.into_iter().filter(|one| one.id.starts_with(&id)).map(|one| one.changed).collect()
}
