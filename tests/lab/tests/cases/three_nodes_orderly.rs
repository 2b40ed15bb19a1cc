//! Case 11: the whole cluster ends and begins, maintenance, and what must not hold a move or a start up.

use std::time::Duration;

use lab::Options;

use crate::ledger;
use crate::load::Load;
use crate::look::{assert_no_failures, instances};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};
use crate::subtransactions::crash_with_many_subtransactions;
use crate::takeover::Primary;

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_11_the_whole_cluster_is_stopped_and_started_and_loses_nothing() {
    case(&Options::default(), |cluster| {
        let old = cluster.primary()?;
        let before = ledger::own(cluster, &old)?;
        let load = Load::start(cluster)?;
        cluster.stop_all()?;
        assert!(cluster.primary().is_err(), "PostgreSQL still runs");
        cluster.start_all()?;
        cluster.wait_healthy(SOON)?;
        load.goes_on()?;
        let primary = has_all_heirs(cluster)?;
        assert!(primary == old || before.heirs.contains(&primary), "{primary} was no heir");
        assert_eq!(cluster.running().len(), 3, "nobody was fenced");
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_11_pacemaker_restarted_under_maintenance_demotes_and_restarts_nothing() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let running = instances(cluster)?;
        let before = ledger::own(cluster, &primary)?;
        let load = Load::start(cluster)?;
        cluster.property("maintenance-mode", "true")?;
        // `crm_resource --wait` waits in vain here: it counts a monitor that is not to come.
        cluster.wait_until("all nodes know of the maintenance", SOON, || {
            cluster.nodes().iter().all(|node| {
                let listed = [
                    "cibadmin",
                    "--query",
                    "--local",
                    "--xpath",
                    "//nvpair[@name='maintenance-mode' and @value='true']",
                ];
                cluster.exec(node, &listed).is_ok_and(|output| output.ok())
            })
        })?;
        for node in cluster.nodes() {
            cluster.stop_pacemaker(&node)?;
        }
        assert!(cluster.crm_mon().is_err(), "Pacemaker still runs");
        load.goes_on()?;
        for node in cluster.nodes() {
            cluster.start_cluster(&node)?;
        }
        cluster.wait_until("all nodes are online again", SOON, || {
            cluster.crm_mon().is_ok_and(|mon| {
                let known = mon.promoted().len() + mon.unpromoted().len();
                mon.quorum && mon.online().len() == 3 && known == 3
            })
        })?;
        cluster.property("maintenance-mode", "false")?;
        cluster.settle()?;
        cluster.wait_healthy(SOON)?;
        load.goes_on()?;
        assert_eq!(cluster.promoted(), Some(primary.clone()));
        assert_eq!(instances(cluster)?, running, "an instance was restarted");
        let after = ledger::wait_heirs(cluster, &primary, &cluster.others(&primary))?;
        assert_eq!((after.term, after.id), (before.term, before.id), "promoted again");
        let seen = load.end()?;
        assert_eq!(seen.held_ended, None, "an open session was ended");
        Ok(())
    });
}

/// PostgreSQL itself has no limit here on how long a shutdown waits for a silent standby. The agent sends
/// all walsenders away at half of its time, which are 57 s; the one that follows the target and the frozen
/// one are told apart long before: what takes less than half of that was not a wait for the frozen one.
#[test]
#[ignore = "starts containers: tests/run does"]
fn case_11_a_planned_move_does_not_wait_for_another_standby_that_is_frozen() {
    case(&Options::default(), |cluster| {
        let old = cluster.primary()?;
        let others = cluster.others(&old);
        let (target, frozen) = (&others[0], &others[1]);
        cluster.psql(&old, "ALTER SYSTEM SET wal_sender_timeout = 0")?;
        cluster.psql(&old, "SELECT pg_reload_conf()")?;
        let load = Load::start(cluster)?;
        let receiver = cluster.psql(frozen, "SELECT pid FROM pg_stat_wal_receiver")?;
        cluster.check(frozen, &["kill", "-s", "STOP", &receiver])?;
        // Commits go on through the target; the frozen one falls behind.
        load.goes_on()?;
        cluster.move_primary(Some(target))?;
        assert_eq!(cluster.wait_new_primary(&old, Duration::from_secs(28))?, *target);
        load.goes_on()?;
        cluster.exec(frozen, &["kill", "-s", "CONT", &receiver])?;
        cluster.clear_moves()?;
        cluster.wait_healthy(SOON)?;
        assert_no_failures(cluster)?;
        cluster.psql(&old, "ALTER SYSTEM RESET wal_sender_timeout")?;
        cluster.psql(&old, "SELECT pg_reload_conf()")?;
        assert_eq!(has_all_heirs(cluster)?, *target);
        assert_eq!(cluster.running().len(), 3, "nobody was fenced");
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_11_a_primary_that_crashed_with_many_subtransactions_comes_back_as_a_standby() {
    case(&Options::default(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        crash_with_many_subtransactions(cluster, &primary.old)?;
        let new = primary.is_taken_over()?;
        primary.comes_back_under(&new)
    });
}
