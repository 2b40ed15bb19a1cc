//! `pgtwin switchover`: ten times in a row under load, from whatever node, and what is left behind when
//! it is refused, interrupted or overtaken by a fault: nothing.

use std::thread;
use std::time::Duration;

use lab::run::Output;
use lab::{Cluster, Options, Result};

use crate::ledger;
use crate::load::Load;
use crate::look::flat;
use crate::repair::{has_all_heirs, power_on_all};
use crate::stage::{SOON, case};
use crate::two_nodes::two;

/// Three minutes are more than all its waits together.
const LIMIT: Duration = Duration::from_mins(4);

fn switch(cluster: &Cluster, node: &str, more: &[&str]) -> Result<Output> {
    let command: Vec<&str> =
        ["pgtwin", "switchover", "--yes"].iter().chain(more).copied().collect();
    let output = cluster.command(node, &command).limit(LIMIT).output()?;
    eprintln!("on {node}, {}: exit code {}\n{}", more.join(" "), output.code, output.all());
    Ok(output)
}

/// The ids of the constraints that moves and bans have left.
fn left(cluster: &Cluster) -> Result<Vec<String>> {
    let cib = cluster.on_any(&["cibadmin", "--query", "--scope", "constraints"])?;
    let ids = cib.split("id=\"").skip(1).filter_map(|rest| rest.split('"').next());
    Ok(ids.filter(|id| id.starts_with("cli-")).map(str::to_owned).collect())
}

fn nothing_is_left(cluster: &Cluster) -> Result<()> {
    assert_eq!(left(cluster)?, Vec::<String>::new());
    Ok(())
}

/// Ten moves, each ordered from another node than the one before.
fn ten_times(cluster: &Cluster) -> Result<()> {
    let load = Load::start(cluster)?;
    let nodes = cluster.nodes();
    for round in 0..10 {
        let from = cluster.primary()?;
        let others = cluster.others(&from);
        let before = ledger::own(cluster, &from)?;
        let to = &others[round % others.len()];
        let ordered_on = &nodes[round % nodes.len()];
        // Every second time it chooses by itself.
        let named = ["--to", to.as_str()];
        let more: &[&str] = if round % 2 == 0 { &named } else { &[] };
        let output = switch(cluster, ordered_on, more)?;
        assert!(output.ok(), "round {round}: {}", output.all());
        let new = cluster.primary()?;
        assert_ne!(new, from, "round {round}");
        if round % 2 == 0 {
            assert_eq!(new, *to, "round {round}");
        }
        let text = output.text();
        for words in [
            format!("{from} accepts no writes any more"),
            format!("{new} accepts writes"),
            "the constraint is removed".to_owned(),
            format!("{from} streams from {new}"),
            format!("{new} is the primary."),
            "Writes stood still for at most".to_owned(),
        ] {
            assert!(text.contains(&words), "round {round}: no {words:?} in\n{text}");
        }
        nothing_is_left(cluster)?;
        load.goes_on()?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, new);
        assert_eq!(ledger::own(cluster, &new)?.term, before.term + 1, "round {round}");
    }
    nothing_is_left(cluster)?;
    load.end().map(drop)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn switchover_01_ten_times_under_load_loses_nothing_and_leaves_nothing() {
    case(&Options::default(), ten_times);
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn switchover_01_ten_times_with_two_nodes_loses_nothing_and_leaves_nothing() {
    case(&two(), ten_times);
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn switchover_02_what_would_not_come_to_its_end_is_not_begun() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let others = cluster.others(&primary);
        let (to, third) = (&others[0], &others[1]);
        let load = Load::start(cluster)?;
        let refused = |more: &[&str], words: &str| -> Result<()> {
            let output = switch(cluster, &primary, more)?;
            assert_eq!(output.code, 1, "{}", output.all());
            assert!(output.text().contains(words), "no {words:?} in\n{}", output.all());
            assert_eq!(cluster.primary()?, primary);
            load.goes_on()
        };
        cluster.standby(to, true)?;
        ledger::wait_heirs(cluster, &primary, &[third])?;
        refused(&["--to", to], "it was put on standby")?;
        cluster.standby(to, false)?;
        cluster.wait_healthy(SOON)?;
        has_all_heirs(cluster)?;
        cluster.property("maintenance-mode", "true")?;
        refused(&[], "the cluster is in maintenance mode")?;
        cluster.property("maintenance-mode", "false")?;
        nothing_is_left(cluster)?;

        let ban =
            ["crm_resource", "--ban", "--promoted", "--resource", "pgtwin-clone", "--node", to];
        cluster.on_any(&ban)?;
        refused(&["--to", to], "keeps it from there")?;
        cluster.clear_moves()?;
        // To stay where it is, is no move.
        let output = switch(cluster, to, &["--to", &primary])?;
        assert!(output.ok() && output.text().contains("nothing is to be done"), "{}", output.all());
        // And a check is none.
        let output = cluster.exec(to, &["pgtwin", "switchover", "--dry-run"])?;
        assert!(output.ok(), "{}", output.all());
        assert_eq!(cluster.primary()?, primary);
        nothing_is_left(cluster)?;
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn switchover_03_ctrl_c_at_any_moment_leaves_no_constraint_and_one_primary() {
    case(&Options::default(), |cluster| {
        let load = Load::start(cluster)?;
        for tenths in [2, 5, 8, 11, 14, 18, 25] {
            let from = cluster.primary()?;
            let on = &cluster.others(&from)[0];
            let after = format!("{}.{}", tenths / 10, tenths % 10);
            let interrupted = ["timeout", "--signal=INT", &after, "pgtwin", "switchover", "--yes"];
            let output = cluster.command(on, &interrupted).limit(LIMIT).output()?;
            eprintln!("interrupted after {after} s: {}\n{}", output.code, output.all());
            nothing_is_left(cluster)?;
            cluster.wait_healthy(SOON)?;
            has_all_heirs(cluster)?;
            load.goes_on()?;
        }
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn switchover_04_a_target_that_dies_on_the_way_costs_no_commit_and_leaves_no_constraint() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let target = cluster.others(&primary)[0].clone();
        let load = Load::start(cluster)?;
        let output = thread::scope(|scope| {
            let moving = scope.spawn(|| switch(cluster, &primary, &["--to", &target]));
            // When Pacemaker has its order, whatever the checks took.
            let told = cluster.wait_until("the move has begun", SOON, || {
                left(cluster).is_ok_and(|ids| !ids.is_empty())
            });
            let cut = told.and_then(|()| cluster.power_cut(&target));
            let output = moving.join().expect("the command does not panic");
            cut.and(output)
        })?;
        let text = output.all();
        assert!(text.contains("the constraint is removed"), "{text}");
        nothing_is_left(cluster)?;
        // If it was promoted just before, another takes over from it. If it is lost between the end of the
        // old primary and its own promotion, the others wait for it: for all they know it has commits.
        power_on_all(cluster)?;
        load.goes_on()?;
        cluster.wait_healthy(SOON)?;
        has_all_heirs(cluster)?;
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn switchover_05_a_constraint_whose_command_died_with_its_node_has_an_end_and_is_told() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let others = cluster.others(&primary);
        let (target, on) = (&others[0], &others[1]);
        let load = Load::start(cluster)?;
        thread::scope(|scope| {
            let moving = scope.spawn(|| switch(cluster, on, &["--to", target]));
            let told = cluster.wait_until("the move has begun", SOON, || {
                left(cluster).is_ok_and(|ids| !ids.is_empty())
            });
            let cut = told.and_then(|()| cluster.power_cut(on));
            let _ = moving.join();
            cut
        })?;
        // Lost between two primaries it is waited for: it is one of those who may have more.
        power_on_all(cluster)?;
        load.goes_on()?;
        cluster.wait_healthy(SOON)?;
        let primary = has_all_heirs(cluster)?;
        // Unless it was quick enough.
        if !left(cluster)?.is_empty() {
            let cib = cluster.on_any(&["cibadmin", "--query", "--scope", "constraints"])?;
            assert!(cib.contains("<date_expression"), "{cib}");
            let status = cluster.exec(&primary, &["pgtwin", "status"])?;
            let words = "binds the primary to a node until it is removed";
            let text = flat(&status.text());
            assert!(status.code == 1 && text.contains(words), "{}", status.all());
            let output = switch(cluster, &primary, &[])?;
            assert!(output.text().contains("left from an earlier move"), "{}", output.all());
            cluster.clear_moves()?;
        }
        nothing_is_left(cluster)?;
        load.end().map(drop)
    });
}

/// Pacemaker's executor of a node starts no action meanwhile: the one whose turn it is never comes.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn switchover_06_a_move_that_is_taken_back_says_what_it_has_waited_for() {
    case(&Options::default(), |cluster| {
        let from = cluster.primary()?;
        let to = &cluster.others(&from)[0];
        let load = Load::start(cluster)?;
        cluster.check(&from, &["pkill", "-STOP", "-f", "pacemaker-execd"])?;
        let output = switch(cluster, to, &["--to", to, "--timeout", "5"]);
        cluster.check(&from, &["pkill", "-CONT", "-f", "pacemaker-execd"])?;
        let output = output?;
        let text = flat(&output.all());
        let words = format!("Pacemaker has not demoted {from} yet: the system log of n");
        assert!(output.code == 1 && text.contains(&words), "{text}");
        nothing_is_left(cluster)?;
        load.goes_on()?;
        cluster.wait_healthy(SOON)?;
        has_all_heirs(cluster)?;
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn explain_01_what_it_says_of_a_lost_primary_is_what_happens() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let others = cluster.others(&primary);
        let dies = format!("{primary}-dies");
        for node in cluster.nodes() {
            let output = cluster.exec(&node, &["pgtwin", "explain", "--if", &dies])?;
            eprintln!("{}", output.all());
            assert!(output.ok(), "{}", output.all());
            assert!(output.text().contains("would be promoted"), "{}", output.all());
        }
        // A standby that is away is lost to the ledger at once, and never named.
        cluster.standby(&others[0], true)?;
        ledger::wait_heirs(cluster, &primary, &[&others[1]])?;
        let output = cluster.exec(&others[1], &["pgtwin", "explain"])?;
        let expected = format!("if it were lost now, {} would be promoted", others[1]);
        let text = flat(&output.text());
        assert!(text.contains(&expected), "{}", output.all());
        let load = Load::start(cluster)?;
        cluster.power_cut(&primary)?;
        assert_eq!(cluster.wait_new_primary(&primary, SOON)?, others[1]);
        cluster.standby(&others[0], false)?;
        power_on_all(cluster)?;
        load.goes_on()?;
        cluster.wait_healthy(SOON)?;
        load.end().map(drop)
    });
}
