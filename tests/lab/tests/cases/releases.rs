//! A smoke on the other releases: comes up, moves, survives the loss of a postmaster and a node.

use lab::options::Release;
use lab::{Cluster, Options, Result};

use crate::ledger;
use crate::load::Load;
use crate::look::{after_a_killed_postmaster, assert_no_failures, assert_taken_over, marks};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};

/// A planned move, then a killed postmaster, then a lost node.
pub fn moves_and_fails_over(cluster: &Cluster) -> Result<()> {
    assert_eq!(cluster.on_any(&["crm_verify", "-LV"])?, "");
    let load = Load::start(cluster)?;
    let first = cluster.primary()?;
    let before = ledger::own(cluster, &first)?;
    cluster.move_primary(None)?;
    let second = cluster.wait_new_primary(&first, SOON)?;
    load.goes_on()?;
    assert_taken_over(cluster, &before, &second)?;
    cluster.clear_moves()?;
    cluster.wait_healthy(SOON)?;
    assert_no_failures(cluster)?;

    assert_eq!(has_all_heirs(cluster)?, second);
    let before = ledger::own(cluster, &second)?;
    let marks = marks(cluster)?;
    cluster.signal_postmaster(&second, "KILL")?;
    let third = after_a_killed_postmaster(cluster, &second, &before, &marks)?;
    load.goes_on()?;

    assert_eq!(has_all_heirs(cluster)?, third);
    let before = ledger::own(cluster, &third)?;
    cluster.power_cut(&third)?;
    let fourth = cluster.wait_new_primary(&third, SOON)?;
    load.goes_on()?;
    assert_taken_over(cluster, &before, &fourth)?;
    cluster.power_on(&third)?;
    cluster.wait_healthy(SOON)?;
    assert_eq!(has_all_heirs(cluster)?, fourth);
    load.end().map(drop)
}

mod full {
    use super::*;

    #[test]
    #[ignore = "starts containers: tests/run --full does"]
    fn smoke_bookworm_moves_and_fails_over() {
        case(&Options { release: Release::Bookworm, ..Options::default() }, |cluster| {
            moves_and_fails_over(cluster)
        });
    }

    #[test]
    #[ignore = "starts containers: tests/run --full does"]
    fn smoke_forky_moves_and_fails_over() {
        case(&Options { release: Release::Forky, ..Options::default() }, |cluster| {
            moves_and_fails_over(cluster)
        });
    }
}
