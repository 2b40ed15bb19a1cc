//! Clusters without fencing: nothing proves that a lost node is dead.

use lab::Options;

use crate::load::Load;
use crate::look::{assert_no_failures, nobody_is_promoted, wait_reason};
use crate::repair::{has_all_heirs, make_ready};
use crate::stage::{SOON, case};
use crate::takeover::Primary;

pub fn unfenced(nodes: u32) -> Options {
    Options { nodes, fencing: false, ..Options::default() }
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_13_without_fencing_a_planned_move_works() {
    case(&unfenced(3), |cluster| {
        let primary = Primary::under_load(cluster)?;
        // Shown all the time: something is missing here, although everything runs.
        wait_reason(cluster, &primary.old, &["fencing"])?;
        cluster.move_primary(None)?;
        let new = primary.is_taken_over()?;
        cluster.clear_moves()?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, new);
        assert_no_failures(cluster)?;
        primary.load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_13_without_fencing_an_unclean_loss_of_the_primary_promotes_nobody() {
    case(&unfenced(3), |cluster| {
        let primary = cluster.primary()?;
        let load = Load::start(cluster)?;
        cluster.power_cut(&primary)?;
        let standbys = cluster.others(&primary);
        cluster.wait_until("Pacemaker has noticed the loss", SOON, || {
            cluster.crm_mon().is_ok_and(|mon| mon.node(&primary).is_some_and(|one| !one.online))
        })?;
        cluster.wait_until("a standby says that it is because of fencing", SOON, || {
            standbys.iter().any(|node| crate::look::reasons(cluster, node).contains("fencing"))
        })?;
        nobody_is_promoted(cluster, 20)?;
        cluster.power_on(&primary)?;
        // Everybody is there again, so everything is known: who has it all is promoted.
        cluster.wait_healthy(SOON)?;
        has_all_heirs(cluster)?;
        load.goes_on()?;
        let seen = load.end()?;
        // One that was promoted after all would have been one of three.
        assert!(seen.primaries().len() <= 2, "{:?}", seen.primaries());
        Ok(())
    });
}

mod full {
    use super::*;

    #[test]
    #[ignore = "starts containers: tests/run --full does"]
    fn case_13_with_fencing_advised_an_unclean_loss_of_the_primary_is_taken_over() {
        case(&unfenced(3), |cluster| {
            cluster.parameter("fencing", "advised")?;
            cluster.settle()?;
            make_ready(cluster)?;
            let primary = Primary::under_load(cluster)?;
            wait_reason(cluster, &primary.old, &["fencing"])?;
            cluster.power_cut(&primary.old)?;
            let new = primary.is_taken_over()?;
            cluster.power_on(&primary.old)?;
            primary.comes_back_under(&new)?;
            cluster.parameter("fencing", "required")
        });
    }
}
