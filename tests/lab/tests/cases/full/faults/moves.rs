//! Planned moves, many in a row, and one while the other standby is dead.

use lab::Options;

use super::is_well_again;
use crate::ledger;
use crate::load::Load;
use crate::look::assert_no_failures;
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};

/// How many.
const MOVES: usize = 50;

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_10_fifty_planned_moves_in_a_row_lose_nothing() {
    case(&Options::default(), |cluster| {
        let first = cluster.primary()?;
        let before = ledger::own(cluster, &first)?;
        let load = Load::start(cluster)?;
        for number in 0..MOVES {
            let from = cluster.primary()?;
            let others = cluster.others(&from);
            let target = &others[number % others.len()];
            if number % 2 == 0 {
                let switchover = ["pgtwin", "switchover", "--to", target, "--yes"];
                cluster.command(&from, &switchover).limit(2 * SOON).check()?;
            } else {
                cluster.move_primary(Some(target))?;
                cluster.wait_new_primary(&from, SOON)?;
                cluster.clear_moves()?;
            }
            assert_eq!(cluster.primary()?, *target, "move {number}");
            load.goes_on()?;
            cluster.wait_healthy(SOON)?;
            has_all_heirs(cluster)?;
        }
        let after = ledger::own(cluster, &cluster.primary()?)?;
        assert_eq!(after.term, before.term + MOVES as u64, "each was one promotion");
        assert_no_failures(cluster)?;
        assert_eq!(cluster.running().len(), 3, "nobody is fenced for a move");
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_11_a_planned_move_comes_to_its_end_although_the_other_standby_has_just_died() {
    case(&Options::default(), |cluster| {
        let old = cluster.primary()?;
        let others = cluster.others(&old);
        let (target, dead) = (&others[0], &others[1]);
        let load = Load::start(cluster)?;
        // Nobody has missed it yet.
        cluster.power_cut(dead)?;
        cluster.move_primary(Some(target))?;
        assert_eq!(cluster.wait_new_primary(&old, SOON)?, *target);
        load.goes_on()?;
        cluster.clear_moves()?;
        assert_eq!(is_well_again(cluster)?, *target);
        load.goes_on()?;
        load.end().map(drop)
    });
}
