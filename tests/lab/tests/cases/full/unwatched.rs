//! A standby whose monitor Pacemaker has cancelled for a promotion that it broke off, and does not
//! schedule again: it takes the memory of a failure for it.

use std::thread;
use std::time::Duration;

use lab::config::PRIMITIVE;
use lab::{Cluster, Options, Result};

use crate::load::Load;
use crate::look::{stays, wait_reason};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};

/// The ids of a node's monitors in the CIB's status: of the one that recurs, and of the memory of one.
fn monitors(cluster: &Cluster, node: &str) -> Result<Vec<String>> {
    let xpath = format!(
        "//node_state[@uname='{node}']//lrm_resource[@id='{PRIMITIVE}']\
         /lrm_rsc_op[@operation='monitor' and @interval!='0']"
    );
    let query = ["cibadmin", "--query", "--xpath", &xpath];
    let output = cluster.command(&cluster.running()[0], &query).output()?;
    let text = output.text();
    let ids = text.split("<lrm_rsc_op id=\"").skip(1).filter_map(|rest| rest.split('"').next());
    Ok(ids.map(str::to_owned).collect())
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
