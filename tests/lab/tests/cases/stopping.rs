//! `stop` must succeed whatever state the instance is in: a stop that fails gets the node fenced.

use lab::config::PRIMITIVE;
use lab::{Cluster, Options, Result};

use crate::load::Load;
use crate::look::{postgres_processes, wait_stopped};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};

/// Stops every process of an instance in its tracks, the postmaster first.
pub fn freeze_all(cluster: &Cluster, node: &str) -> Result<()> {
    cluster.signal_postmaster(node, "STOP")?;
    let mut kill = vec!["kill".to_owned(), "-s".to_owned(), "STOP".to_owned()];
    kill.extend(postgres_processes(cluster, node)?);
    cluster.check(node, &kill).map(drop)
}

/// The instance was stopped by the agent: no failed stop, no process left, and the node lives.
pub fn assert_stopped_without_fencing(cluster: &Cluster, node: &str) -> Result<()> {
    wait_stopped(cluster, node)?;
    assert!(cluster.is_running(node), "{node} was fenced");
    assert_eq!(postgres_processes(cluster, node)?, Vec::<String>::new(), "processes are left");
    let failures = cluster.crm_mon()?.failures;
    let stop = format!("{PRIMITIVE}_stop_0");
    assert!(!failures.iter().any(|failure| failure.op == stop), "{failures:?}");
    Ok(())
}

/// Spoils a standby, has it stopped, mends it, and has it back; the primary is not concerned.
fn a_spoilt_standby_stops(
    cluster: &Cluster,
    spoil: impl Fn(&Cluster, &str) -> Result<()>,
    mend: impl Fn(&Cluster, &str) -> Result<()>,
) -> Result<()> {
    let primary = cluster.primary()?;
    let standby = cluster.others(&primary)[0].clone();
    let load = Load::start(cluster)?;
    spoil(cluster, &standby)?;
    cluster.standby(&standby, true)?;
    assert_stopped_without_fencing(cluster, &standby)?;
    load.goes_on()?;
    mend(cluster, &standby)?;
    cluster.standby(&standby, false)?;
    cluster.cleanup()?;
    cluster.wait_healthy(SOON)?;
    assert_eq!(has_all_heirs(cluster)?, primary);
    let seen = load.end()?;
    assert_eq!(seen.held_ended, None, "the primary has run all the time");
    Ok(())
}

fn shell(cluster: &Cluster, node: &str, script: &str) -> Result<()> {
    cluster.check(node, &["sh", "-ec", script]).map(drop)
}

pub fn break_configuration(cluster: &Cluster, node: &str) -> Result<()> {
    let conf = format!("{}/postgresql.conf", cluster.options.pgdata());
    shell(
        cluster,
        node,
        &format!("cp -p {conf} /root/; echo 'this is = no configuration' >> {conf}"),
    )
}

pub fn mend_configuration(cluster: &Cluster, node: &str) -> Result<()> {
    shell(cluster, node, &format!("cp -p /root/postgresql.conf {}/", cluster.options.pgdata()))
}

pub fn hide_data(cluster: &Cluster, node: &str) -> Result<()> {
    let data = cluster.options.pgdata();
    shell(cluster, node, &format!("mv {data} {data}.away"))
}

pub fn bring_data_back(cluster: &Cluster, node: &str) -> Result<()> {
    let data = cluster.options.pgdata();
    // A postmaster that loses its directory may have left its pid file.
    shell(cluster, node, &format!("rm -rf {data}; mv {data}.away {data}"))
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_14_a_standby_with_a_broken_configuration_stops() {
    case(&Options::default(), |cluster| {
        a_spoilt_standby_stops(cluster, break_configuration, mend_configuration)
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_14_a_standby_whose_data_directory_is_missing_stops() {
    case(&Options::default(), |cluster| {
        a_spoilt_standby_stops(cluster, hide_data, bring_data_back)
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_14_a_hung_standby_stops() {
    case(&Options::default(), |cluster| a_spoilt_standby_stops(cluster, freeze_all, |_, _| Ok(())));
}
