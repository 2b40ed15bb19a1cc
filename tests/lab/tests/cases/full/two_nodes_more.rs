//! Two nodes in sync mode: what three nodes or the other order show already.

use crate::look::assert_no_failures;
use crate::repair::{comes_back, make_ready};
use crate::stage::case;
use crate::stopping::{assert_stopped_without_fencing, freeze_all};
use crate::takeover::Primary;
use crate::two_nodes::{both_return, pair, two};

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_02_killing_the_postmaster_of_one_of_two_promotes_the_other() {
    case(&two(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        cluster.signal_postmaster(&primary.old, "KILL")?;
        let new = primary.is_taken_over()?;
        primary.comes_back_under(&new)
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
        let primary = Primary::under_load(cluster)?;
        let old = &primary.old;
        freeze_all(cluster, old)?;
        cluster.standby(old, true)?;
        let new = primary.is_taken_over()?;
        assert_stopped_without_fencing(cluster, old)?;
        cluster.standby(old, false)?;
        comes_back(cluster, old)?;
        make_ready(cluster)?;
        assert_no_failures(cluster)?;
        primary.comes_back_under(&new)
    });
}
