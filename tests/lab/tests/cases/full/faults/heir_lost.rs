//! An heir that is missing between two primaries: it was promoted, and gone before anybody else followed it; or it
//! was stopped while there was none.

use std::thread;
use std::time::Duration;

use lab::config::CLONE;
use lab::{Cluster, Options, Result};

use super::is_well_again;
use crate::ledger;
use crate::load::Load;
use crate::look::{logs_since, marks, nobody_is_promoted, status, wait_reason, wait_stopped};
use crate::stage::{SOON, case};

/// P is lost and S promoted, of which T gets no WAL: nothing is acknowledged by S. Then S is lost. Gives P, S, T.
fn the_heir_is_lost(cluster: &Cluster) -> Result<[String; 3]> {
    let first = cluster.primary()?;
    let others = cluster.others(&first);
    // Nobody's WAL reaches T any more but for the first one's; so S is the one that has it all.
    cluster.cut_replication(&others[1])?;
    cluster.power_cut(&first)?;
    let promoted = cluster.wait_new_primary(&first, SOON)?;
    let rest = others.iter().find(|node| **node != promoted).cloned().unwrap();
    cluster.power_cut(&promoted)?;
    Ok([first, promoted, rest])
}

/// Neither the old primary nor the other standby has what the lost heir may have acknowledged: they wait for it.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_19_an_heir_that_was_promoted_and_lost_is_waited_for() {
    case(&Options::default(), |cluster| {
        let load = Load::start(cluster)?;
        let [first, promoted, rest] = the_heir_is_lost(cluster)?;
        cluster.heal()?;
        cluster.power_on(&first)?;
        wait_reason(cluster, &rest, &["not promoted", &promoted])?;
        wait_reason(cluster, &first, &[&promoted])?;
        nobody_is_promoted(cluster, 30)?;
        cluster.power_on(&promoted)?;
        assert_eq!(is_well_again(cluster)?, promoted, "what it had is not lost");
        let entry = ledger::own(cluster, &promoted)?;
        assert_eq!(entry.primary, promoted);
        load.goes_on()?;
        load.end().map(drop)
    });
}

/// Keeps everybody from being promoted, or lets them again.
fn nobody_may_be_primary(cluster: &Cluster, forbidden: bool) -> Result<()> {
    for node in cluster.nodes() {
        let rule = format!(
            r#"<rsc_location id="never-{node}" rsc="{CLONE}" role="Promoted" node="{node}" score="-INFINITY"/>"#
        );
        let change: &[&str] = if forbidden {
            &["cibadmin", "--create", "--scope", "constraints", "--xml-text", &rule]
        } else {
            &["cibadmin", "--delete", "--xml-text", &rule]
        };
        cluster.on_any(change)?;
    }
    Ok(())
}

/// It may have acknowledged what the others lack, and whoever stops says nothing of itself any more.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_19_an_heir_that_is_stopped_while_there_is_no_primary_is_waited_for() {
    case(&Options::default(), |cluster| {
        let load = Load::start(cluster)?;
        let first = cluster.primary()?;
        let others = cluster.others(&first);
        let (stopped, rest) = (&others[0], &others[1]);
        nobody_may_be_primary(cluster, true)?;
        cluster.wait_until("it is demoted", SOON, || cluster.promoted().is_none())?;
        cluster.settle()?;
        cluster.standby(stopped, true)?;
        wait_stopped(cluster, stopped)?;
        nobody_may_be_primary(cluster, false)?;
        let words = format!(
            "{stopped} may have more and has not said how far it is (its node was put on standby: crm \
             node online {stopped})"
        );
        wait_reason(cluster, rest, &["not promoted", &words])?;
        nobody_is_promoted(cluster, 20)?;
        let told = status(cluster, rest)?;
        eprintln!("{told}");
        assert!(told.contains(&words), "{told}");
        cluster.standby(stopped, false)?;
        is_well_again(cluster)?;
        load.goes_on()?;
        load.end().map(drop)
    });
}

/// Lets a promotion on this node stand still between the begin of its timeline and the moment from which it accepts
/// writes, or no more. The begin is on its disk then, and the control file says that it was never writable.
fn stands_still_when_promoted(cluster: &Cluster, node: &str, still: bool) -> Result<()> {
    let change =
        if still { "SET recovery_end_command = 'sleep 601'" } else { "RESET recovery_end_command" };
    cluster.psql(node, &format!("ALTER SYSTEM {change}"))?;
    cluster.psql(node, "SELECT pg_reload_conf()").map(drop)
}

/// Regression (seeds 276, 770 and 1861 of the simulator): the heir has parted from the old primary, which has WAL that
/// nobody else has, and neither was promoted without an operator. Nobody ever wrote to the heir: it has no more than it
/// had before.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_19_a_promotion_that_was_lost_before_it_took_writes_is_in_nobodys_way() {
    case(&Options::default(), |cluster| {
        let load = Load::start(cluster)?;
        let first = cluster.primary()?;
        let others = cluster.others(&first);
        for node in &others {
            stands_still_when_promoted(cluster, node, true)?;
        }
        let before = marks(cluster)?;
        // What it writes from now on it has alone, and acknowledges to nobody.
        cluster.cut_replication(&first)?;
        thread::sleep(Duration::from_secs(3));
        cluster.power_cut(&first)?;
        let has_begun = |node: &String| {
            cluster.command(node, &["pgrep", "-f", "sleep 601"]).output().is_ok_and(|one| one.ok())
        };
        cluster
            .wait_until("an heir has begun its timeline", SOON, || others.iter().any(has_begun))?;
        let heir = others.iter().find(|node| has_begun(node)).cloned().unwrap();
        cluster.heal()?;
        for node in &others {
            cluster.power_cut(node)?;
        }
        for node in cluster.nodes() {
            cluster.power_on(&node)?;
        }
        assert_eq!(is_well_again(cluster)?, first, "the old primary has most");
        let said = logs_since(cluster, &before, &heir)?;
        let words = "came to nothing: nobody has written to timeline";
        assert!(said.contains(words), "{said}");
        for node in &others {
            stands_still_when_promoted(cluster, node, false)?;
        }
        load.goes_on()?;
        load.end().map(drop)
    });
}
