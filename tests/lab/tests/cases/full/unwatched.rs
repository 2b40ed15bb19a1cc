//! Instances whose monitor Pacemaker has cancelled, for a promotion that it broke off or in maintenance mode,
//! and does not schedule again: it takes the memory of a failure for it.

use std::thread;
use std::time::{Duration, Instant};

use lab::config::PRIMITIVE;
use lab::{Cluster, Options, Result};

use crate::load::Load;
use crate::look::{instances, logs_since, marks, monitor_records, stays, wait_reason};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};
use crate::two_nodes::{pair, two};

/// `failure-timeout` of the lab's resource.
const FAILURE_TIMEOUT: Duration = Duration::from_mins(1);

/// The ids of what is on record of a node's monitors: of the one that recurs, and of the memory of one.
fn monitors(cluster: &Cluster, node: &str) -> Result<Vec<String>> {
    let records = monitor_records(cluster, node)?;
    Ok(records.into_iter().map(|record| record.id).collect())
}

fn recurs(cluster: &Cluster, node: &str) -> bool {
    monitors(cluster, node).is_ok_and(|ids| ids.iter().any(|id| id.starts_with(&monitor())))
}

fn monitor() -> String {
    format!("{PRIMITIVE}_monitor_")
}

/// Has Pacemaker remember a failure of the standby's monitor: a degraded answer is one.
fn degrade_once(cluster: &Cluster, standby: &str) -> Result<()> {
    cluster.psql(standby, "SELECT pg_wal_replay_pause()")?;
    wait_reason(cluster, standby, &["paused"])?;
    cluster.psql(standby, "SELECT pg_wal_replay_resume()")?;
    cluster.wait_healthy(SOON)
}

/// Orders a move and takes it back while the old primary's agent cannot begin with it.
fn break_a_move_off(cluster: &Cluster, primary: &str, standby: &str) -> Result<()> {
    let hold = format!(
        "setsid flock /run/pgtwin/{PRIMITIVE}/lock sleep 6 >/dev/null 2>&1 </dev/null & sleep 0.5"
    );
    cluster.check(primary, &["sh", "-c", &hold])?;
    cluster.move_primary(Some(standby))?;
    cluster.wait_until("the standby's monitor is cancelled", Duration::from_secs(4), || {
        !recurs(cluster, standby)
    })?;
    cluster.clear_moves()
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn a_standby_whose_monitor_pacemaker_has_lost_is_monitored_again() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let standby = cluster.others(&primary)[0].clone();
        let load = Load::start(cluster)?;
        degrade_once(cluster, &standby)?;
        break_a_move_off(cluster, &primary, &standby)?;
        cluster.settle()?;
        let left = monitors(cluster, &standby)?;
        assert_eq!(left, [format!("{PRIMITIVE}_last_failure_0")], "Pacemaker has mended itself");
        stays(15, "nobody monitors the standby", || !recurs(cluster, &standby))?;
        let status = cluster.command(&primary, &["pgtwin", "status"]).output()?.text();
        assert!(
            status.contains(&format!("Pacemaker runs {standby} and does not monitor it")),
            "{status}"
        );

        // The primary asks Pacemaker once a minute, and wants to see it twice.
        cluster.wait_until("the standby is monitored again", Duration::from_mins(4), || {
            recurs(cluster, &standby)
        })?;
        thread::sleep(Duration::from_secs(10));
        assert!(cluster.agent_log(&primary)?.contains("does not monitor"), "somebody else did it");
        assert_eq!(cluster.primary()?, primary);
        load.goes_on()?;
        assert_eq!(has_all_heirs(cluster)?, primary);
        let seen = load.end()?;
        assert_eq!(seen.held_ended, None, "the primary has run all the time");
        Ok(())
    });
}

/// The same of a primary: a cluster in which a node that was never seen is not fenced is degraded.
fn degrade_primary_once(cluster: &Cluster, primary: &str) -> Result<()> {
    let option = ["crm_attribute", "--type", "crm_config", "--name", "startup-fencing"];
    cluster.on_any(&[&option[..], &["--update", "false"]].concat())?;
    wait_reason(cluster, primary, &["startup-fencing"])?;
    cluster.on_any(&[&option[..], &["--delete"]].concat())?;
    cluster.wait_until("it is degraded no more", SOON, || {
        !crate::look::reasons(cluster, primary).contains("no working fencing")
    })
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn a_primary_whose_monitor_maintenance_has_taken_is_monitored_again_and_its_death_is_seen() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let running = instances(cluster)?;
        degrade_primary_once(cluster, &primary)?;
        cluster.property("maintenance-mode", "true")?;
        cluster.wait_until("no monitor recurs", SOON, || !recurs(cluster, &primary))?;
        cluster.property("maintenance-mode", "false")?;
        cluster.settle()?;
        let left = monitors(cluster, &primary)?;
        assert_eq!(left, [format!("{PRIMITIVE}_last_failure_0")], "Pacemaker has mended itself");
        stays(15, "nobody monitors the primary", || !recurs(cluster, &primary))?;
        let other = &cluster.others(&primary)[0];
        let status = cluster.command(other, &["pgtwin", "status"]).output()?.text();
        let words = format!("Pacemaker runs {primary} and does not monitor it");
        assert!(status.contains(&words), "{status}");

        cluster.wait_until("the primary is monitored again", Duration::from_mins(4), || {
            recurs(cluster, &primary)
        })?;
        assert_eq!(cluster.primary()?, primary);
        assert_eq!(instances(cluster)?, running, "nothing is restarted for that");
        let told = format!("does not monitor {primary}");
        assert!(
            cluster
                .others(&primary)
                .iter()
                .any(|node| { cluster.agent_log(node).is_ok_and(|log| log.contains(&told)) }),
            "somebody else did it"
        );

        // The same, and it dies before anybody has noticed.
        degrade_primary_once(cluster, &primary)?;
        cluster.property("maintenance-mode", "true")?;
        cluster.wait_until("no monitor recurs", SOON, || !recurs(cluster, &primary))?;
        let load = Load::start(cluster)?;
        cluster.property("maintenance-mode", "false")?;
        cluster.settle()?;
        assert!(!recurs(cluster, &primary), "Pacemaker has mended itself");
        load.goes_on()?;
        cluster.signal_postmaster(&primary, "KILL")?;
        cluster.wait_until("somebody is the primary", Duration::from_mins(4), || {
            cluster.promoted().is_some_and(|node| cluster.is_writable(&node))
        })?;
        cluster.wait_healthy(SOON)?;
        has_all_heirs(cluster)?;
        load.goes_on()?;
        load.end().map(drop)
    });
}

/// A node that joins has everything that is recorded of operations written anew, and of a monitor whose last result is
/// 191 that is the memory of a failure alone: Pacemaker would wait for three minutes for the record of the monitor to go, before it
/// demotes.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn a_degraded_primary_is_moved_at_once_although_a_node_has_joined() {
    case(&two(), |cluster| {
        let (primary, standby) = pair(cluster)?;
        let load = Load::start(cluster)?;
        let option = ["crm_attribute", "--type", "crm_config", "--name", "startup-fencing"];
        cluster.on_any(&[&option[..], &["--update", "false"]].concat())?;
        wait_reason(cluster, &primary, &["startup-fencing"])?;

        cluster.power_cut(&standby)?;
        thread::sleep(Duration::from_secs(8));
        cluster.power_on(&standby)?;
        cluster.wait_healthy(SOON)?;
        cluster.wait_until("the primary's monitor is recorded", Duration::from_secs(30), || {
            recurs(cluster, &primary)
        })?;
        wait_reason(cluster, &primary, &["startup-fencing"])?;
        has_all_heirs(cluster)?;
        says_that_it_streams(cluster, &standby)?;
        // The walsender of before the loss holds the slot for some seconds.
        load.goes_on()?;

        let before = marks(cluster)?;
        cluster.check(&primary, &["pgtwin", "switchover", "--yes"])?;
        cluster.wait_new_primary(&primary, SOON)?;
        load.goes_on()?;
        for node in cluster.nodes() {
            let log = logs_since(cluster, &before, &node)?;
            assert!(!log.contains("did not send cancel result"), "{node} has waited for that");
        }
        cluster.on_any(&[&option[..], &["--delete"]].concat())?;
        cluster.wait_healthy(SOON)?;
        load.end().map(drop)
    });
}

/// Waits for a monitor of a standby that streams: a move asks for what it has said.
fn says_that_it_streams(cluster: &Cluster, standby: &str) -> Result<()> {
    let state = format!("pgtwin-{PRIMITIVE}-state");
    cluster.wait_until(&format!("{standby} says that it streams"), SOON, || {
        cluster.crm_mon().is_ok_and(|mon| mon.attribute(standby, &state) == Some("streaming"))
    })
}

/// Whether Pacemaker shows that this standby does not stream.
fn shows_that_it_does_not_stream(cluster: &Cluster, standby: &str) -> bool {
    cluster.crm_mon().is_ok_and(|mon| {
        mon.failures.iter().any(|one| one.node == standby && one.reason.contains("not stream"))
    })
}

/// Regression: Pacemaker shows a reason for as long as `failure-timeout` says, although nothing has failed; and when
/// it finds a failure as old as that, it deletes what it remembers of the resource's failures on that node, be the
/// reason a second old. A monitor whose result does not change is not recorded again. Nobody saw then why no standby
/// was promoted.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn a_reason_that_pacemaker_shows_no_more_is_told_again() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let standby = cluster.others(&primary)[0].clone();
        cluster.signal_postmaster(&standby, "KILL")?;
        cluster.wait_until("Pacemaker shows the failure", SOON, || {
            cluster.crm_mon().is_ok_and(|mon| mon.failures.iter().any(|one| one.node == standby))
        })?;
        let failed = Instant::now();
        cluster.wait_healthy(SOON)?;
        cluster.cut_replication(&standby)?;
        cluster.check(&standby, &["pkill", "-f", "walreceiver"])?;
        let shown = || shows_that_it_does_not_stream(cluster, &standby);
        cluster.wait_until("Pacemaker shows the reason", SOON, shown)?;

        let old = FAILURE_TIMEOUT + Duration::from_secs(2);
        thread::sleep(old.saturating_sub(failed.elapsed()));
        // Pacemaker computes anew, and finds the failure old.
        cluster.property("cluster-recheck-interval", "14min")?;
        cluster.wait_until("Pacemaker has deleted the reason", Duration::from_secs(20), || {
            let memory = format!("{PRIMITIVE}_last_failure_0");
            monitors(cluster, &standby).is_ok_and(|ids| !ids.contains(&memory))
        })?;
        cluster.wait_until("Pacemaker shows the reason again", Duration::from_mins(1), shown)?;
        let first = Instant::now();
        while first.elapsed() < 3 * FAILURE_TIMEOUT {
            // A second look: the first one may have met Pacemaker while it wrote.
            cluster.wait_until("Pacemaker goes on showing it", Duration::from_secs(3), shown)?;
            thread::sleep(Duration::from_millis(500));
        }

        cluster.heal()?;
        cluster.wait_healthy(2 * SOON)?;
        assert_eq!(cluster.primary()?, primary);
        Ok(())
    });
}
