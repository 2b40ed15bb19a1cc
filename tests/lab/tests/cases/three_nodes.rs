//! Three nodes in sync mode: what is asked of the usual cluster.

use std::time::{Duration, Instant};

use lab::Options;
use lab::workload::session::Patient;

use crate::ledger::{self, set};
use crate::load::Load;
use crate::look::{
    after_a_killed_postmaster, assert_no_failures, instances, logs_since, marks,
    nobody_is_promoted, wait_reason,
};
use crate::repair::{self, has_all_heirs};
use crate::stage::{SOON, case, fresh};
use crate::takeover::{Primary, the_last_primary_returns};

fn three() -> Options {
    Options::default()
}

/// Case 1.
pub fn cold_start(shape: &Options) {
    fresh(&Options { start: false, ..shape.clone() }, |cluster| {
        assert!(cluster.crm_mon().is_err(), "Pacemaker runs already");
        assert!(cluster.primary().is_err(), "PostgreSQL runs already");
        let load = Load::wait_for_a_primary(cluster, None);
        cluster.start_all()?;
        cluster.wait_healthy(SOON)?;
        let primary = cluster.primary()?;
        let mon = cluster.crm_mon()?;
        assert_eq!(mon.promoted(), [primary.as_str()]);
        assert_eq!(mon.vip(), [primary.as_str()]);
        load.goes_on()?;
        let others = cluster.others(&primary);
        let entry = ledger::wait_heirs(cluster, &primary, &others)?;
        assert_eq!(entry.primary, primary);
        // Every member keeps its own copy.
        for node in &others {
            cluster.wait_until(&format!("the file of {node} has the entry too"), SOON, || {
                ledger::file(cluster, node).is_ok_and(|entries| entries.contains(&entry))
            })?;
        }
        assert_eq!(cluster.on_any(&["crm_verify", "-LV"])?, "");
        let seen = load.end()?;
        assert_eq!(seen.primaries().len(), 1, "{:?}", seen.primaries());
        Ok(())
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_01_three_stopped_nodes_become_a_primary_and_two_streaming_standbys() {
    cold_start(&three());
}

/// Case 2.
pub fn killed_postmaster(shape: &Options) {
    case(shape, |cluster| {
        let old = cluster.primary()?;
        let before = ledger::own(cluster, &old)?;
        let load = Load::start(cluster)?;
        let marks = marks(cluster)?;
        cluster.signal_postmaster(&old, "KILL")?;
        let new = after_a_killed_postmaster(cluster, &old, &before, &marks)?;
        load.goes_on()?;
        assert_eq!(has_all_heirs(cluster)?, new);
        assert_eq!(cluster.running(), cluster.nodes(), "nobody is fenced for a postmaster");
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_02_killing_the_postmaster_promotes_who_has_it_all_and_loses_nothing() {
    killed_postmaster(&three());
}

/// Case 3.
pub fn killed_node(shape: &Options) {
    case(shape, |cluster| {
        let primary = Primary::under_load(cluster)?;
        cluster.power_cut(&primary.old)?;
        let new = primary.is_taken_over()?;
        let old = &primary.old;
        let history = cluster.check(&new, &["stonith_admin", "--history", old])?.text();
        assert!(history.contains(&format!("of {old} successful")), "{history}");
        cluster.power_on(old)?;
        primary.comes_back_under(&new)
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_03_killing_the_primarys_node_fences_it_and_loses_nothing() {
    killed_node(&three());
}

/// Case 4.
pub fn planned_move(shape: &Options) {
    case(shape, |cluster| {
        let old = cluster.primary()?;
        let before = ledger::own(cluster, &old)?;
        let load = Load::start(cluster)?;
        for target in [cluster.others(&old)[0].clone(), old.clone()] {
            let from = cluster.primary()?;
            let marks = marks(cluster)?;
            let client = Patient::start(&cluster.addresses.vip(), SOON)?;
            cluster.move_primary(Some(&target))?;
            assert_eq!(cluster.wait_new_primary(&from, SOON)?, target);
            load.goes_on()?;
            // The address goes after the demotion: over it PostgreSQL says good-bye.
            let told = client.was_told().expect("a client waits for a server that is gone");
            assert!(told.contains("terminating connection due to administrator command"), "{told}");
            cluster.clear_moves()?;
            // Nobody has anything that the new primary lacks: all follow at once.
            cluster.wait_healthy(SOON)?;
            has_all_heirs(cluster)?;
            let log = logs_since(cluster, &marks, &target)?;
            let checked = format!("has everything up to the end of {from}");
            assert!(log.contains(&checked), "the shutdown checkpoint was not checked:\n{log}");
        }
        let after = ledger::own(cluster, &old)?;
        assert_eq!(after.term, before.term + 2);
        assert_no_failures(cluster)?;
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_04_a_planned_move_by_crm_resource_loses_nothing() {
    planned_move(&three());
}

/// Regression: a standby that nobody had seen stream from the new primary was not noted as its
/// follower, became the next primary without that promotion in its history, and all others were
/// refused as another branch of one timeline number.
#[test]
#[ignore = "starts containers: tests/run does"]
fn case_04_who_follows_the_primary_is_known_before_its_stream_is() {
    case(&three(), |cluster| {
        let first = cluster.primary()?;
        let others = cluster.others(&first);
        let (second, third) = (&others[0], &others[1]);
        let load = Load::start(cluster)?;
        cluster.cut_replication(third)?;
        cluster.move_primary(Some(second))?;
        assert_eq!(cluster.wait_new_primary(&first, SOON)?, *second);
        cluster.clear_moves()?;
        let promotion = ledger::own(cluster, second)?.id;
        cluster.wait_until(&format!("{third} is noted as a follower"), SOON, || {
            ledger::followed(cluster, third).is_ok_and(|id| id == promotion)
        })?;
        cluster.heal()?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, *second);
        cluster.move_primary(Some(third))?;
        assert_eq!(cluster.wait_new_primary(second, SOON)?, *third);
        cluster.clear_moves()?;
        load.goes_on()?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, *third);
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_04_putting_the_primarys_node_into_standby_moves_the_primary_and_loses_nothing() {
    case(&three(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let marks = marks(cluster)?;
        cluster.standby(&primary.old, true)?;
        let new = primary.is_taken_over()?;
        let log = logs_since(cluster, &marks, &new)?;
        let checked = format!("has everything up to the end of {}", primary.old);
        assert!(log.contains(&checked), "the shutdown checkpoint was not checked:\n{log}");
        cluster.standby(&primary.old, false)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, new);
        assert_no_failures(cluster)?;
        primary.load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_05_standbys_go_and_come_back_and_the_ledger_shows_each_step() {
    case(&three(), |cluster| {
        let primary = cluster.primary()?;
        let others = cluster.others(&primary);
        let (lost, stopped) = (&others[0], &others[1]);
        let first = ledger::own(cluster, &primary)?;
        assert_eq!(first.heirs, set(&others));
        let load = Load::start(cluster)?;

        cluster.power_cut(lost)?;
        load.goes_on()?;
        let without_one = ledger::wait_heirs(cluster, &primary, &[stopped])?;
        load.goes_on()?;

        cluster.standby(stopped, true)?;
        let alone = ledger::wait_heirs::<&str>(cluster, &primary, &[])?;
        load.goes_on()?;
        // It was the stopped one's own word that let the primary go on alone.
        let ask = ["attrd_updater", "--query", "--all", "--name", "pgtwin-pgtwin-ack"];
        let acks = cluster.on_any(&ask)?;
        let line = acks.lines().find(|line| line.contains(stopped.as_str())).unwrap_or_default();
        let named = format!("{}.{}.", alone.id, alone.term);
        assert!(line.contains(&named), "no ack of {stopped}: {acks}");
        let seq = line.split(&named).nth(1).unwrap().trim_end_matches(['"', ' ']);
        assert!(seq.parse::<u64>().unwrap() <= alone.seq, "{acks}");
        wait_reason(cluster, &primary, &["no standby streams"])?;

        cluster.standby(stopped, false)?;
        let one_again = ledger::wait_heirs(cluster, &primary, &[stopped])?;
        load.goes_on()?;
        cluster.power_on(lost)?;
        cluster.wait_healthy(SOON)?;
        let both_again = ledger::wait_heirs(cluster, &primary, &others)?;
        load.goes_on()?;

        let steps = [&first, &without_one, &alone, &one_again, &both_again];
        for pair in steps.windows(2) {
            assert!(pair[0].seq < pair[1].seq, "{steps:?}");
            assert_eq!((pair[0].term, &pair[0].id), (pair[1].term, &pair[1].id), "{steps:?}");
        }
        let seen = load.end()?;
        assert_eq!(seen.held_ended, None, "the primary has run all the time");
        Ok(())
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_05_without_both_standby_nodes_nothing_is_committed() {
    case(&three(), |cluster| {
        let primary = cluster.primary()?;
        let load = Load::start(cluster)?;
        for node in cluster.others(&primary) {
            cluster.power_cut(&node)?;
        }
        load.writer.expect_none(Duration::from_secs(15))?;
        cluster.wait_until("crm_mon says that there is no quorum", SOON, || {
            cluster.crm_mon_on(&primary).is_ok_and(|mon| !mon.quorum)
                && cluster.crm_mon_text().is_ok_and(|text| text.contains("WITHOUT quorum"))
        })?;
        // The agent itself says it, too: Pacemaker stops what runs here, and asks it nothing more.
        let status = cluster.exec(&primary, &["pgtwin", "status"])?.all();
        assert!(status.contains("this partition has no quorum"), "{status}");
        load.writer.expect_none(Duration::from_secs(5))?;
        assert!(!ledger::own(cluster, &primary)?.heirs.is_empty(), "it must not count on itself");
        // Who has not joined yet when the other one brings the quorum back is fenced while it boots. What is fenced
        // stays off here, until it is powered on.
        cluster.wait_until("both are back", 2 * SOON, || repair::power_on_all(cluster).is_ok())?;
        load.goes_on()?;
        has_all_heirs(cluster)?;
        load.end().map(drop)
    });
}

/// With three nodes the quorum may come from a node that knows nothing: it changes nothing.
#[test]
#[ignore = "starts containers: tests/run does"]
fn case_06_a_stale_standby_waits_for_the_last_primary_whatever_the_quorum() {
    case(&three(), |cluster| {
        let primary = cluster.primary()?;
        let others = cluster.others(&primary);
        let (stale, witness) = (&others[0], &others[1]);
        let load = Load::start(cluster)?;
        cluster.standby(witness, true)?;
        ledger::wait_heirs(cluster, &primary, &[stale])?;
        cluster.power_cut(stale)?;
        ledger::wait_heirs::<&str>(cluster, &primary, &[])?;
        load.goes_on()?;
        cluster.power_cut(&primary)?;

        cluster.power_on(stale)?;
        wait_reason(cluster, stale, &[&primary])?;
        nobody_is_promoted(cluster, 15)?;
        cluster.standby(witness, false)?;
        wait_reason(cluster, witness, &[&primary])?;
        nobody_is_promoted(cluster, 15)?;

        the_last_primary_returns(cluster, &primary, load)
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_08_a_primary_cut_off_by_the_network_is_fenced_and_nothing_is_lost() {
    case(&three(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        cluster.cut_all(&primary.old)?;
        cluster.wait_off(&primary.old, SOON)?;
        let new = primary.is_taken_over()?;
        assert_eq!(cluster.running(), cluster.others(&primary.old), "one side survives");
        cluster.power_on(&primary.old)?;
        primary.comes_back_under(&new)
    });
}

/// What a monitor says of a stopped postmaster.
const FOUND_STOPPED: &str = "stopped by a signal (SIGSTOP)";

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_09_a_stopped_postmaster_is_found_and_the_service_moves() {
    case(&three(), |cluster| {
        // A parameter that is reloaded: nothing restarts for it.
        let running = instances(cluster)?;
        cluster.parameter("monitor_timeout_promoted", "12")?;
        cluster.settle()?;
        assert_eq!(instances(cluster)?, running);
        let primary = Primary::under_load(cluster)?;
        let marks = marks(cluster)?;
        cluster.signal_postmaster(&primary.old, "STOP")?;
        let stopped = Instant::now();
        // By the agent's own bound: the interval of 3 s, these 12 s, and as much again for a busy machine.
        // Pacemaker's own, of 120 s, would find it as well, and much later.
        cluster.wait_until("the agent's own monitor finds it", Duration::from_secs(30), || {
            logs_since(cluster, &marks, &primary.old).is_ok_and(|log| log.contains(FOUND_STOPPED))
        })?;
        eprintln!("found after {:.1} s", stopped.elapsed().as_secs_f64());
        let new = primary.is_taken_over()?;
        let log = logs_since(cluster, &marks, &primary.old)?;
        assert!(!log.contains("Timed Out"), "an operation was killed by Pacemaker:\n{log}");
        primary.comes_back_under(&new)?;
        assert_eq!(cluster.running(), cluster.nodes(), "nobody is fenced for a postmaster");
        cluster.parameter("monitor_timeout_promoted", "60")
    });
}

/// A superuser's clients for a minute, more than there are connections; they try again and again.
const CROWD: &str = r#"
end=$(($(date +%s) + 60))
for client in $(seq 120); do
    (while test $(date +%s) -lt $end; do
        psql -X -q -c "SELECT pg_sleep($end - extract(epoch FROM now()))" postgres
        sleep 1
    done) >/dev/null 2>&1 &
done
wait
"#;

mod full {
    use super::*;

    #[test]
    #[ignore = "starts containers: tests/run --full does"]
    fn case_10_exhausted_connections_are_no_reason_to_fail_over() {
        case(&three(), |cluster| {
            let primary = cluster.primary()?;
            let running = instances(cluster)?;
            let load = Load::start(cluster)?;
            std::thread::scope(|scope| {
                let crowd = scope.spawn(|| {
                    let shell = cluster.command_as_postgres(&primary, &["sh", "-s"]);
                    shell.stdin(CROWD).limit(Duration::from_mins(3)).output()
                });
                cluster.wait_until("the connections are exhausted", SOON, || {
                    let refused = cluster.psql(&primary, "SELECT 1");
                    refused.is_err_and(|error| format!("{error}").contains("too many clients"))
                })?;
                crowd.join().expect("the crowd's thread").map(drop)
            })?;
            load.goes_on()?;
            cluster.settle()?;
            assert_eq!(cluster.promoted(), Some(primary.clone()));
            assert_eq!(instances(cluster)?, running, "an instance was restarted");
            has_all_heirs(cluster)?;
            let seen = load.end()?;
            assert_eq!(seen.held_ended, None, "an open session was ended");
            Ok(())
        });
    }
}
