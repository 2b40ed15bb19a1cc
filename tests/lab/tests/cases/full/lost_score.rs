//! Scores that Pacemaker's CIB has lost, and one that was never given. When a node's controller goes, the others
//! delete the node's attributes from the CIB; its attribute manager, which lives on, believes them to be there and
//! writes none of them again.

use lab::config::PRIMITIVE;
use lab::{Cluster, Options, Result};

use crate::look::{logs_since, marks};
use crate::stage::{SOON, case};
use crate::takeover::Primary;
use crate::two_nodes::{pair, two};

/// The CIB has a promotion score of this node.
fn is_in_the_cib(cluster: &Cluster, at: &str, node: &str) -> Result<bool> {
    let xpath = format!(
        "//node_state[@uname='{node}']/transient_attributes//nvpair[@name='master-{PRIMITIVE}']"
    );
    let query = ["cibadmin", "--query", "--xpath", &xpath];
    Ok(cluster.command(at, &query).output()?.ok())
}

/// Without it Pacemaker has nobody to promote when the primary dies.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn a_score_that_went_with_a_controller_is_written_again_and_the_standby_takes_over() {
    case(&two(), |cluster| {
        let (primary, standby) = pair(cluster)?;
        let load = Primary::under_load(cluster)?;
        let before = marks(cluster)?;
        assert!(is_in_the_cib(cluster, &primary, &standby)?);
        cluster.check(&standby, &["pkill", "--signal", "KILL", "-f", "pacemaker-controld"])?;
        cluster.wait_until("the CIB has lost the standby's score", SOON, || {
            is_in_the_cib(cluster, &primary, &standby).is_ok_and(|there| !there)
        })?;
        cluster.wait_until("the CIB has it again", SOON, || {
            is_in_the_cib(cluster, &primary, &standby).is_ok_and(|there| there)
        })?;
        let said = logs_since(cluster, &before, &primary)?;
        assert!(said.contains(&format!("the CIB has lost the score of {standby}")), "{said}");

        cluster.power_cut(&primary)?;
        assert_eq!(load.is_taken_over()?, standby);
        cluster.power_on(&primary)?;
        load.comes_back_under(&standby)
    });
}

/// Regression: E has grown, and the primary is lost before it gives the new heir its score. Another heir has one, and
/// less: it gave way to one whom Pacemaker could not promote, and nobody was the primary until the old one was back.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn an_heir_that_has_more_and_never_got_the_right_takes_over_by_that_of_another_one() {
    case(&Options::default(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let heirs = cluster.others(&primary.old);
        let [less, more] = heirs.as_slice() else { unreachable!("three nodes have two standbys") };
        // The primary's agent acts no more.
        cluster.check(&primary.old, &["pkill", "-STOP", "-f", "pacemaker-execd"])?;
        let score = format!("master-{PRIMITIVE}");
        cluster.on_any(&["attrd_updater", "--name", &score, "--node", more, "--delete"])?;
        cluster.wait_until("the heir has no score", SOON, || {
            is_in_the_cib(cluster, less, more).is_ok_and(|there| !there)
        })?;
        cluster.cut_replication(less)?;
        primary.load.goes_on()?;
        let before = marks(cluster)?;
        cluster.power_cut(&primary.old)?;
        assert_eq!(&primary.is_taken_over()?, more);
        let said = logs_since(cluster, &before, less)?;
        assert!(!said.contains("promotion refused"), "{less} has begun its promotion: {said}");
        cluster.heal()?;
        cluster.power_on(&primary.old)?;
        primary.comes_back_under(more)
    });
}
