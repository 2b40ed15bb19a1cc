//! Two nodes in sync mode: what three nodes or the other order show already.

use crate::ledger;
use crate::load::Load;
use crate::look::{assert_no_failures, assert_taken_over};
use crate::repair::{self, comes_back, has_all_heirs};
use crate::stage::{SOON, case};
use crate::stopping::{assert_stopped_without_fencing, freeze_all};
use crate::two_nodes::{both_return, pair, two};

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_02_killing_the_postmaster_of_one_of_two_promotes_the_other() {
    case(&two(), |cluster| {
        let (old, standby) = pair(cluster)?;
        let before = ledger::own(cluster, &old)?;
        let load = Load::start(cluster)?;
        cluster.signal_postmaster(&old, "KILL")?;
        let new = cluster.wait_new_primary(&old, SOON)?;
        assert_eq!(new, standby);
        assert_taken_over(cluster, &before, &new)?;
        comes_back(cluster, &old)?;
        load.goes_on()?;
        assert_eq!(has_all_heirs(cluster)?, new);
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_07_both_lose_power_and_the_primary_returns_first() {
    case(&two(), |cluster| {
        let (primary, standby) = pair(cluster)?;
        both_return(cluster, &primary, &standby)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_14_a_hung_primary_of_two_is_stopped_without_fencing() {
    case(&two(), |cluster| {
        let (old, standby) = pair(cluster)?;
        let load = Load::start(cluster)?;
        freeze_all(cluster, &old)?;
        cluster.standby(&old, true)?;
        let new = cluster.wait_new_primary(&old, SOON)?;
        assert_eq!(new, standby);
        assert_stopped_without_fencing(cluster, &old)?;
        cluster.standby(&old, false)?;
        comes_back(cluster, &old)?;
        load.goes_on()?;
        repair::make_ready(cluster)?;
        assert_no_failures(cluster)?;
        load.end().map(drop)
    });
}
