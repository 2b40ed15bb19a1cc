//! Clocks that are set while all runs.

use lab::{Cluster, Meets, Options, Result};

use crate::load::Load;
use crate::look::{instances, stays};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, fresh};

const HOUR: i64 = 3600;

fn set(cluster: &Cluster, node: &str, seconds: i64) -> Result<()> {
    cluster.meets(node, Meets::Clock(seconds))?;
    let now = |node: &str| {
        cluster
            .check(node, &["date", "+%s"])?
            .text()
            .parse::<i64>()
            .map_err(|error| lab::LabError::plain(error.to_string()))
    };
    let host = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let ahead = now(node)? - i64::try_from(host.as_secs()).unwrap();
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
