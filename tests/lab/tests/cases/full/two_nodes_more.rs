//! Two nodes in sync mode: what three nodes or the other order show already.

use std::time::Duration;

use crate::ledger;
use crate::load::Load;
use crate::look::{assert_no_failures, instances};
use crate::repair::{has_all_heirs, make_ready};
use crate::stage::{SOON, case};
use crate::stopping::{assert_stopped_without_fencing, freeze_all};
use crate::takeover::Primary;
use crate::three_nodes::killed_postmaster;
use crate::two_nodes::{both_return, pair, two};

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_02_killing_the_postmaster_of_one_of_two_promotes_who_has_it_all_and_loses_nothing() {
    killed_postmaster(&two());
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_05_a_standby_that_runs_and_cannot_stream_is_let_go_by_its_own_word() {
    case(&two(), |cluster| {
        let (primary, standby) = pair(cluster)?;
        let load = Load::start(cluster)?;
        let running = instances(cluster)?;
        cluster.cut_replication(&standby)?;
        load.writer.expect_none(Duration::from_secs(5))?;
        // Nothing is fenced and nothing is stopped: only the standby itself can let the primary go.
        let alone = ledger::wait_heirs::<&str>(cluster, &primary, &[])?;
        load.goes_on()?;
        assert_eq!(instances(cluster)?, running, "nobody was restarted");
        cluster.heal()?;
        let again = ledger::wait_heirs(cluster, &primary, &[&standby])?;
        assert!(alone.seq < again.seq && alone.id == again.id, "{alone:?} {again:?}");
        load.goes_on()?;
        cluster.wait_healthy(SOON)?;
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_05_a_primary_whose_ledger_file_is_lost_makes_it_anew_and_can_be_replaced() {
    case(&two(), |cluster| {
        let (primary, standby) = pair(cluster)?;
        let before = ledger::own(cluster, &primary)?;
        let load = Load::start(cluster)?;
        cluster.check(&primary, &["rm", "/var/lib/pgtwin/pgtwin/ledger"])?;
        load.goes_on()?;
        let anew = ledger::wait_heirs(cluster, &primary, &[&standby])?;
        assert!(anew.id == before.id && anew.seq > before.seq + 1, "{before:?} {anew:?}");
        let file = cluster.read_file(&primary, "/var/lib/pgtwin/pgtwin/ledger")?;
        assert!(file.contains(&format!("followed {}", before.id)), "{file}");
        cluster.power_cut(&primary)?;
        assert_eq!(cluster.wait_new_primary(&primary, SOON)?, standby);
        load.goes_on()?;
        cluster.power_on(&primary)?;
        cluster.wait_healthy(SOON)?;
        has_all_heirs(cluster)?;
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
        let primary = Primary::under_load(cluster)?;
        let old = &primary.old;
        freeze_all(cluster, old)?;
        cluster.standby(old, true)?;
        let new = primary.is_taken_over()?;
        assert_stopped_without_fencing(cluster, old)?;
        cluster.standby(old, false)?;
        cluster.wait_healthy(SOON)?;
        make_ready(cluster)?;
        assert_no_failures(cluster)?;
        primary.comes_back_under(&new)
    });
}
