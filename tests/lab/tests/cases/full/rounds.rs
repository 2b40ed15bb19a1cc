//! Many faults in a row on one cluster under one load: what a single case, played on a cluster
//! just made, cannot find. The order is drawn from a seed, which is printed and may be given.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::chance::Chance;
use lab::{Cluster, Options, Result};

use crate::ledger;
use crate::load::Load;
use crate::look::{after_a_killed_postmaster, assert_taken_over, marks};
use crate::repair::{has_all_heirs, make_ready};
use crate::stage::{SOON, case};

/// What happens in a round; all but the last two end with another primary.
const FAULTS: [&str; 9] = [
    "kill the postmaster",
    "kill a backend of the primary",
    "cut the primary's power",
    "cut the primary off",
    "move",
    "put the primary's node into standby",
    "freeze the primary's instance",
    "kill a standby's postmaster",
    "cut a standby's power",
];

fn seed() -> u64 {
    let given = std::env::var("PGTWIN_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn rounds(cluster: &Cluster) -> Result<()> {
    let seed = seed();
    let rounds = number("PGTWIN_ROUNDS", 12);
    eprintln!("{rounds} rounds, seed {seed}");
    let mut chance = Chance::new(seed);
    for round in 1..=rounds {
        let fault = chance.one_of(&FAULTS).unwrap();
        let standbys = cluster.others(&cluster.primary()?);
        let standby = chance.one_of(&standbys).unwrap();
        eprintln!("round {round}: {fault}");
        one_round(cluster, fault, standby)?;
        make_ready(cluster)?;
    }
    Ok(())
}

fn one_round(cluster: &Cluster, fault: &str, standby: &str) -> Result<()> {
    let primary = cluster.primary()?;
    let standby = standby.to_owned();
    let before = ledger::own(cluster, &primary)?;
    let load = Load::start(cluster)?;
    let marks = marks(cluster)?;
    let taken_over = || {
        let new = cluster.wait_new_primary(&primary, SOON)?;
        assert_taken_over(cluster, &before, &new)?;
        load.goes_on()
    };
    match fault {
        "kill the postmaster" => {
            cluster.signal_postmaster(&primary, "KILL")?;
            after_a_killed_postmaster(cluster, &primary, &before, &marks)?;
        }
        "kill a backend of the primary" => {
            // restart_after_crash is off in the lab: the whole instance ends.
            let backend = "SELECT pid FROM pg_stat_activity WHERE application_name = 'lab_writer' \
                           LIMIT 1";
            // One that was seen may have gone by itself.
            cluster.wait_until("a backend is killed", SOON, || {
                let pid = cluster.psql(&primary, backend);
                pid.and_then(|pid| cluster.check(&primary, &["kill", "-s", "KILL", &pid])).is_ok()
            })?;
            after_a_killed_postmaster(cluster, &primary, &before, &marks)?;
        }
        "cut the primary's power" => {
            cluster.power_cut(&primary)?;
            taken_over()?;
            cluster.power_on(&primary)?;
            cluster.wait_healthy(SOON)?;
        }
        "cut the primary off" => {
            cluster.cut_all(&primary)?;
            // Of three the two fence the one. Of two each may be the faster.
            let both = [primary.clone(), standby.clone()];
            let off = cluster.wait_for("one side is fenced", SOON, || {
                both.iter().find(|node| !cluster.is_running(node)).cloned()
            })?;
            if off == primary {
                taken_over()?;
            } else {
                assert_eq!(cluster.nodes().len(), 2, "the primary has fenced one of two others");
                ledger::wait_heirs::<&str>(cluster, &primary, &[])?;
                load.goes_on()?;
            }
            cluster.heal()?;
            cluster.power_on(&off)?;
            cluster.wait_healthy(SOON)?;
        }
        "move" => {
            cluster.move_primary(Some(&standby))?;
            taken_over()?;
            assert_eq!(cluster.primary()?, standby);
            cluster.clear_moves()?;
        }
        "put the primary's node into standby" => {
            cluster.standby(&primary, true)?;
            taken_over()?;
            cluster.standby(&primary, false)?;
        }
        "freeze the primary's instance" => {
            crate::stopping::freeze_all(cluster, &primary)?;
            taken_over()?;
            cluster.wait_healthy(SOON)?;
        }
        "kill a standby's postmaster" => {
            cluster.signal_postmaster(&standby, "KILL")?;
            load.goes_on()?;
        }
        "cut a standby's power" => {
            cluster.power_cut(&standby)?;
            cluster.wait_until("the standby's loss is in the ledger", SOON, || {
                ledger::own(cluster, &primary).is_ok_and(|entry| !entry.heirs.contains(&standby))
            })?;
            load.goes_on()?;
            cluster.power_on(&standby)?;
        }
        other => panic!("no fault {other}"),
    }
    cluster.wait_healthy(SOON)?;
    has_all_heirs(cluster)?;
    load.goes_on()?;
    thread::sleep(Duration::from_secs(1));
    load.end().map(drop)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn many_faults_in_a_row_on_three_nodes_lose_nothing() {
    case(&Options::default(), rounds);
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn many_faults_in_a_row_on_two_nodes_lose_nothing() {
    case(&Options { nodes: 2, ..Options::default() }, rounds);
}
