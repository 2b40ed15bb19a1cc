//! Three nodes and a third party's votes, which are quorum for a primary that is alone: with a quorum device's
//! `lms`, or as here by a node without data that has two votes.

use lab::config::CLONE;
use lab::{Cluster, LabError, Options, Result};

use crate::ledger;
use crate::load::Load;
use crate::look::{nobody_is_promoted, wait_reason};
use crate::stage::{SOON, fresh};

/// The node that votes.
const VOTER: &str = "n4";

fn three_and_a_voter() -> Options {
    let mut options = Options { nodes: 4, start: false, ..Options::default() };
    options.params.insert("node_list".into(), "n1 n2 n3".into());
    // They are in /etc/hosts.
    options.params.insert("node_addresses".into(), String::new());
    options
}

/// No instance runs on the voter, and it has two votes. Before the cluster is started.
fn have_it_vote(cluster: &Cluster) -> Result<()> {
    let corosync = format!("s/^    name: {VOTER}$/&\\n    quorum_votes: 2/");
    let ban = format!(
        "<rsc_location id=\"no-data\" rsc=\"{CLONE}\" node=\"{VOTER}\" score=\"-INFINITY\"/>"
    );
    let cib = format!(
        "s|</constraints>|{ban}&|; s|name=\"clone-max\" value=\"4\"|name=\"clone-max\" value=\"3\"|"
    );
    let script = format!(
        "sed -i '{corosync}' /etc/corosync/corosync.conf; cd /var/lib/pacemaker/cib; \
         sed -i '{cib}' cib.xml; chown hacluster:haclient cib.xml; \
         grep -q quorum_votes /etc/corosync/corosync.conf; grep -q no-data cib.xml; \
         grep -q 'value=\"3\"' cib.xml"
    );
    cluster.each_node(|node| cluster.check(node, &["sh", "-ec", &script]).map(drop))
}

fn members(cluster: &Cluster) -> Vec<String> {
    cluster.nodes().into_iter().filter(|node| node != VOTER).collect()
}

/// All three stream and are heirs; gives the primary.
fn is_well(cluster: &Cluster) -> Result<String> {
    let primary = cluster.wait_for("there is a primary", 2 * SOON, || cluster.primary().ok())?;
    let heirs: Vec<String> = members(cluster).into_iter().filter(|one| *one != primary).collect();
    ledger::wait_heirs(cluster, &primary, &heirs)?;
    Ok(primary)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_17_standbys_that_return_to_the_votes_of_a_third_party_wait_for_the_last_primary() {
    fresh(&three_and_a_voter(), |cluster| {
        have_it_vote(cluster)?;
        cluster.start_all()?;
        let primary = is_well(cluster)?;
        let standbys: Vec<String> =
            members(cluster).into_iter().filter(|one| *one != primary).collect();
        let load = Load::start(cluster)?;
        for node in &standbys {
            cluster.power_cut(node)?;
        }
        // Both are fenced: the voter and the primary are three votes of five.
        ledger::wait_heirs::<&str>(cluster, &primary, &[])?;
        load.goes_on()?;
        cluster.power_cut(&primary)?;
        for node in &standbys {
            cluster.power_on(node)?;
        }
        for node in &standbys {
            wait_reason(cluster, node, &[&primary])?;
        }
        let mon = cluster.crm_mon()?;
        if !mon.quorum {
            return Err(LabError::plain("they have no quorum: nothing is tried"));
        }
        nobody_is_promoted(cluster, 30)?;
        cluster.power_on(&primary)?;
        assert_eq!(is_well(cluster)?, primary, "who had it all is the primary");
        load.goes_on()?;
        let seen = load.end()?;
        assert!(seen.accepted.keys().all(|one| one.node == primary), "{:?}", seen.primaries());
        Ok(())
    });
}
