//! Two nodes without fencing.

use std::time::Duration;

use crate::ledger;
use crate::load::Load;
use crate::look::{stays, wait_reason};
use crate::repair::{has_all_heirs, make_ready};
use crate::stage::{SOON, case};
use crate::two_nodes::pair;
use crate::unfenced::unfenced;

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_13_without_fencing_the_loss_of_the_only_standby_relaxes_nothing() {
    case(&unfenced(2), |cluster| {
        let (primary, standby) = pair(cluster)?;
        let load = Load::start(cluster)?;
        cluster.power_cut(&standby)?;
        cluster.wait_until("Pacemaker has noticed the loss", SOON, || {
            cluster.crm_mon().is_ok_and(|mon| mon.node(&standby).is_some_and(|one| !one.online))
        })?;
        load.writer.expect_none(Duration::from_secs(20))?;
        wait_reason(cluster, &primary, &["fencing"])?;
        let heirs = || ledger::own(cluster, &primary).map(|entry| entry.heirs);
        stays(5, "the lost standby is still counted", || {
            heirs().is_ok_and(|heirs| heirs.contains(&standby))
        })?;
        cluster.power_on(&standby)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary);
        load.goes_on()?;
        let seen = load.end()?;
        assert_eq!(seen.held_ended, None, "the primary has run all the time");
        Ok(())
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_13_with_fencing_advised_the_loss_of_the_only_standby_is_relaxed() {
    case(&unfenced(2), |cluster| {
        cluster.parameter("fencing", "advised")?;
        cluster.settle()?;
        make_ready(cluster)?;
        let (primary, standby) = pair(cluster)?;
        let load = Load::start(cluster)?;
        cluster.power_cut(&standby)?;
        ledger::wait_heirs::<&str>(cluster, &primary, &[])?;
        load.goes_on()?;
        cluster.power_on(&standby)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary);
        load.end().map(drop)?;
        cluster.parameter("fencing", "required")
    });
}
