//! The agent killed right before each of its acts, one after the other: each sync of a file, each rename, each
//! removal, each signal, each program that it starts. Whatever it was about to do, the next action puts it right.

use lab::{Cluster, Meets, Options, Result};

use super::is_well_again;
use crate::ledger;
use crate::load::Load;
use crate::look::{logs_since, marks, reasons};
use crate::repair::make_ready;
use crate::stage::{SOON, case, fresh};

/// `PGTWIN_ACTS=FROM-TO`: only these acts.
fn wanted() -> (u32, u32) {
    let given = std::env::var("PGTWIN_ACTS").ok();
    let numbers = given.as_deref().and_then(|text| text.split_once('-'));
    let number = |text: &str| text.parse().ok();
    numbers.and_then(|(from, to)| Some((number(from)?, number(to)?))).unwrap_or((1, u32::MAX))
}

fn prepared(body: impl FnOnce(&Cluster) -> Result<()>) {
    fresh(&Options { start: false, ..Options::default() }, |cluster| {
        cluster.each_node(|node| cluster.preload(node))?;
        cluster.start_all()?;
        cluster.wait_healthy(SOON)?;
        body(cluster)
    });
}

/// Arms it on the node that `of` names, has `provoked` happen, and waits until all is well; with the next act,
/// until there is none of this number any more.
fn before_each_act(
    cluster: &Cluster,
    actions: &'static [&'static str],
    of: impl Fn(&Cluster) -> Result<String>,
    provoked: impl Fn(&Cluster, &str) -> Result<()>,
) -> Result<()> {
    let load = Load::start(cluster)?;
    let (from, to) = wanted();
    let mut last = 0;
    for act in from..=to {
        make_ready(cluster)?;
        let node = of(cluster)?;
        cluster.meets(&node, Meets::Kill { actions, act })?;
        provoked(cluster, &node)?;
        is_well_again(cluster)?;
        load.goes_on()?;
        // A node that was fenced has lost nothing of that: it is on its disk.
        let killed = cluster.has_killed(&node)?;
        cluster.meets(&node, Meets::NoKill)?;
        eprintln!(
            "{}: {node}, act {act}: {}",
            actions.join(" "),
            if killed { "killed" } else { "over" }
        );
        if !killed {
            break;
        }
        last = act;
    }
    assert!(last >= from.max(4), "{} was killed before {last} acts only", actions.join(" "));
    load.end().map(drop)
}

fn moves_to(cluster: &Cluster, from: &str, target: &str) -> Result<()> {
    cluster.move_primary(Some(target))?;
    // It may be refused, or go elsewhere, where the agent dies on the way.
    let _ = cluster.wait_until("the move is over", SOON, || {
        cluster.primary().is_ok_and(|node| node != from) || cluster.is_healthy()
    });
    cluster.clear_moves()
}

fn a_standby(cluster: &Cluster) -> Result<String> {
    Ok(cluster.standbys()?[0].clone())
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_18_the_agent_is_killed_before_each_act_of_a_promotion() {
    prepared(|cluster| {
        before_each_act(cluster, &["promote"], a_standby, |cluster, target| {
            moves_to(cluster, &cluster.primary()?, target)
        })
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_18_the_agent_is_killed_before_each_act_of_a_demotion() {
    prepared(|cluster| {
        before_each_act(cluster, &["demote"], Cluster::primary, |cluster, primary| {
            moves_to(cluster, primary, &cluster.others(primary)[0])
        })
    });
}

/// A standby goes in order, and the primary shrinks E; it returns, and the primary grows E.
fn leaves_and_returns(cluster: &Cluster, primary: &str, killed_when_it_leaves: bool) -> Result<()> {
    let others = cluster.others(primary);
    let (leaves, stays) = (&others[0], &others[1]);
    if !killed_when_it_leaves {
        cluster.meets(primary, Meets::NoKill)?;
    }
    cluster.standby(leaves, true)?;
    cluster.wait_until("E is without it", SOON, || {
        let now = cluster.primary().and_then(|node| ledger::own(cluster, &node));
        now.is_ok_and(|entry| !entry.heirs.contains(leaves))
            || !cluster.is_running(stays)
            || (killed_when_it_leaves && is_waited_for(cluster, leaves))
    })
}

/// Where the agent was killed, and the primary demoted for it, a moment before the order to stop: an heir that stops
/// while there is no primary is waited for (docs/safety.md).
fn is_waited_for(cluster: &Cluster, heir: &str) -> bool {
    let words = format!("{heir} may have more and has not said how far it is");
    let others = cluster.others(heir);
    let found = cluster.promoted().is_none()
        && others.iter().all(|node| !cluster.is_writable(node))
        && others.iter().any(|node| reasons(cluster, node).contains(&words));
    if found {
        eprintln!("{heir} was stopped while there was no primary, and is waited for");
    }
    found
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_18_the_agent_is_killed_before_each_act_of_a_shrinking_e() {
    prepared(|cluster| {
        before_each_act(cluster, &["monitor", "notify"], Cluster::primary, |cluster, primary| {
            let leaves = cluster.others(primary)[0].clone();
            leaves_and_returns(cluster, primary, true)?;
            cluster.standby(&leaves, false)
        })
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_18_the_agent_is_killed_before_each_act_of_a_growing_e() {
    prepared(|cluster| {
        let (from, _) = wanted();
        let act = std::cell::Cell::new(from);
        before_each_act(cluster, &["monitor", "notify"], Cluster::primary, |cluster, primary| {
            let leaves = cluster.others(primary)[0].clone();
            leaves_and_returns(cluster, primary, false)?;
            cluster
                .meets(primary, Meets::Kill { actions: &["monitor", "notify"], act: act.get() })?;
            act.set(act.get() + 1);
            cluster.standby(&leaves, false)
        })
    });
}

/// It stands still after it was told, as one does that has much to replay, until it is demoted.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_18_the_agent_is_killed_while_a_standby_that_was_told_to_promote_takes_its_time() {
    case(&Options::default(), |cluster| {
        let old = cluster.primary()?;
        let target = cluster.others(&old)[0].clone();
        let load = Load::start(cluster)?;
        let marks = marks(cluster)?;
        let of_startup = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'";
        let startup = cluster.psql(&target, of_startup)?;
        cluster.check(&target, &["kill", "-s", "STOP", &startup])?;
        cluster.move_primary(Some(&target))?;
        let told = format!("{}/promote", cluster.options.pgdata());
        cluster.wait_until("it is told", SOON, || {
            cluster.check(&target, &["test", "-e", &told]).is_ok()
        })?;
        cluster.check(&target, &["pkill", "-KILL", "-f", "[/]pgtwin promote"])?;
        let anew = "this standby was told to promote: it is started anew";
        cluster.wait_until("it is demoted", SOON, || {
            logs_since(cluster, &marks, &target).is_ok_and(|log| log.contains(anew))
        })?;
        cluster.exec(&target, &["kill", "-s", "CONT", &startup])?;
        cluster.clear_moves()?;
        is_well_again(cluster)?;
        load.goes_on()?;
        assert_eq!(cluster.running().len(), 3, "nobody was fenced");
        load.end().map(drop)
    });
}
