//! Tests of the box itself: that its cluster forms, fences and moves with Pacemaker's own test
//! agent, and that its watcher and checker find a planted disaster. They start containers, so
//! they are ignored unless asked for: `cargo test -p lab -- --ignored --test-threads 1`.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use lab::options::{Agent, Options, Release};
use lab::torture::equal::differences;
use lab::workload::append::{self, Append};
use lab::workload::bank::{self, Auditor, Transfer};
use lab::workload::checker::Verdict;
use lab::workload::session::{Crowd, Session};
use lab::workload::steady::Steady;
use lab::workload::watcher::Watcher;
use lab::workload::writer::{WriteLog, Writer};
use lab::{Cluster, FenceMode, Result};

const SOON: Duration = Duration::from_mins(1);

fn stateful(nodes: u32, release: Release) -> Options {
    Options { agent: Agent::Stateful, nodes, release, ..Options::default() }
}

/// A closed port that answers proves the address as well as an open one.
fn answers(address: &str) -> bool {
    let address: SocketAddr = format!("{address}:9").parse().unwrap();
    match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
    }
}

/// Everything a failover needs, on any release and number of nodes.
fn forms_fences_and_rejoins(options: Options) -> Result<()> {
    let cluster = Cluster::up(options)?;
    let vip = cluster.addresses.vip();
    let first = cluster.promoted().unwrap();
    assert!(answers(&vip), "{vip} does not answer from the host");
    assert_eq!(cluster.on_any(&["crm_verify", "-L"])?, "");

    cluster.move_primary(None)?;
    let second = cluster.wait_new_primary(&first, SOON)?;
    cluster.clear_moves()?;
    cluster.wait_healthy(SOON)?;

    cluster.power_cut(&second)?;
    let third = cluster.wait_new_primary(&second, SOON)?;
    cluster.wait_until("the address is at its new place", SOON, || {
        cluster.crm_mon().is_ok_and(|mon| mon.vip() == [third.as_str()]) && answers(&vip)
    })?;
    let history = cluster.check(&third, &["stonith_admin", "--history", &second])?.text();
    assert!(history.contains(&format!("of {second} successful")), "{history}");

    cluster.power_on(&second)?;
    cluster.wait_healthy(SOON)
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn three_nodes_of_trixie_form_a_cluster_that_fences_and_takes_a_node_back() -> Result<()> {
    forms_fences_and_rejoins(stateful(3, Release::Trixie))
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn a_node_cut_off_by_the_network_is_fenced_by_the_others() -> Result<()> {
    let cluster = Cluster::up(stateful(3, Release::Trixie))?;
    let first = cluster.promoted().unwrap();
    cluster.cut_all(&first)?;
    cluster.wait_off(&first, SOON)?;
    let second = cluster.wait_new_primary(&first, SOON)?;
    cluster.power_on(&first)?;
    cluster.wait_healthy(SOON)?;
    assert_eq!(cluster.promoted(), Some(second), "stickiness keeps the primary where it is");
    Ok(())
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn nobody_takes_over_while_fencing_fails() -> Result<()> {
    let cluster = Cluster::up(stateful(3, Release::Trixie))?;
    let first = cluster.promoted().unwrap();
    cluster.fence_mode(Some(&first), FenceMode::Fails)?;
    cluster.power_cut(&first)?;
    cluster.wait_until("fencing has failed", SOON, || {
        cluster.all_logs().contains("fails because the lab says so")
    })?;
    let mon = cluster.crm_mon()?;
    let still = mon.promoted();
    assert!(still.is_empty() || still == [first.as_str()], "{still:?} took over");
    cluster.fence_mode(Some(&first), FenceMode::Works)?;
    cluster.wait_new_primary(&first, SOON).map(drop)
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn a_cluster_stopped_in_an_orderly_way_starts_again() -> Result<()> {
    let cluster = Cluster::up(stateful(3, Release::Trixie))?;
    cluster.stop_all()?;
    assert!(cluster.crm_mon().is_err(), "Pacemaker still answers");
    cluster.start_all()?;
    cluster.wait_healthy(SOON)
}

/// Three databases that stream, started by hand; no Pacemaker.
fn by_hand() -> Result<Cluster> {
    let cluster = Cluster::up(Options { start: false, ..Options::default() })?;
    cluster.start_postgres_by_hand("n1", None)?;
    for node in ["n2", "n3"] {
        cluster.start_postgres_by_hand(node, Some("n1"))?;
    }
    cluster.wait_until("both standbys stream", SOON, || {
        cluster.streaming_from("n1").is_ok_and(|standbys| standbys.len() == 2)
    })?;
    Ok(cluster)
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn the_checker_and_the_watcher_are_content_with_a_quiet_primary() -> Result<()> {
    let cluster = by_hand()?;
    let writer = Writer::start_at(&cluster.addresses.node("n1"), Duration::from_millis(5));
    let watcher = Watcher::start(&cluster, Some("n1"));
    writer.wait_more(&cluster, 100, SOON)?;
    let log = writer.stop();
    let seen = watcher.stop();
    let verdict = Verdict::of(&cluster, &log)?;
    assert!(verdict.is_clean() && verdict.acknowledged >= 100, "{verdict}");
    seen.require_one_primary()?;
    assert_eq!(seen.held_ended, None);
    for node in cluster.nodes() {
        assert!(seen.answers.contains_key(&node), "{node} was not watched");
    }
    Ok(())
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn the_watcher_finds_two_primaries_and_the_checker_finds_what_the_second_lacks() -> Result<()> {
    let cluster = by_hand()?;
    let writer = Writer::start_at(&cluster.addresses.node("n1"), Duration::from_millis(5));
    let watcher = Watcher::start(&cluster, Some("n1"));
    writer.wait_more(&cluster, 50, SOON)?;
    // The planted disaster: a standby cut off, left behind, and promoted beside the primary.
    cluster.cut("n1", "n2")?;
    writer.wait_more(&cluster, 50, SOON)?;
    cluster.psql("n2", "SELECT pg_promote()")?;
    assert!(cluster.primary().is_err(), "two nodes are writable");
    writer.wait_more(&cluster, 50, SOON)?;
    thread::sleep(Duration::from_millis(500));
    let log = writer.stop();
    let seen = watcher.stop();
    assert!(seen.require_one_primary().is_err(), "two primaries went unseen");
    assert!(Verdict::on(&cluster, "n1", &log)?.is_clean());
    let verdict = Verdict::on(&cluster, "n2", &log)?;
    assert!(verdict.lost.len() >= 50, "{verdict}");
    assert!(verdict.require_clean().is_err());
    Ok(())
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn lists_and_bank_are_content_with_one_primary_and_find_what_a_second_one_lacks() -> Result<()> {
    let cluster = by_hand()?;
    let tables = format!(
        "{}; {}; GRANT SELECT, INSERT, UPDATE ON lists, accounts, transfers TO lab",
        append::TABLES,
        bank::TABLES
    );
    cluster.psql("n1", &tables)?;
    let (address, pause) = (cluster.addresses.node("n1"), Duration::from_millis(10));
    let begin = || {
        let appends = Steady::start("lab_append", &address, pause, 0, Append::default());
        let transfers = Steady::start("lab_transfer", &address, pause, 1, Transfer::new(1));
        (appends, transfers)
    };
    let some = |what: &dyn Fn() -> WriteLog| {
        let before = what().acknowledgements().len();
        cluster.wait_until("there are more", SOON, || what().acknowledgements().len() > before + 30)
    };
    let auditor = Auditor::start(&cluster);
    let (appends, transfers) = begin();
    some(&|| appends.log())?;
    some(&|| transfers.log())?;
    let ((elements, job), (moved, _)) = (appends.stop(), transfers.stop());
    assert_eq!(job.missed, Vec::<i64>::new());
    assert_eq!(differences(&cluster, "n1")?, Vec::<String>::new());
    for node in cluster.nodes() {
        let lists = append::lists(&cluster, &node)?;
        assert!(Verdict::compare(&elements, &append::held(&lists, 0)).is_clean());
        assert_eq!(append::out_of_order(&lists, &elements), Vec::<i64>::new());
        let (records, balances) = bank::books(&cluster, &node)?;
        let held = records.iter().map(|record| (record.id, 1)).collect();
        assert!(Verdict::compare(&moved, &held).is_clean());
        assert_eq!(bank::wrong_balances(&records, &balances), Vec::<String>::new());
    }
    assert!(auditor.sums().reads > 3 && auditor.sums().wrong.is_empty(), "{:?}", auditor.sums());

    // The planted disaster, and money from nowhere.
    cluster.cut("n1", "n2")?;
    let more = Steady::start("lab_append", &address, pause, 1000, Append::default());
    some(&|| more.log())?;
    cluster.psql("n2", "SELECT pg_promote()")?;
    let (elements, _) = more.stop();
    let held = append::held(&append::lists(&cluster, "n2")?, 0);
    assert!(Verdict::compare(&elements, &held).lost.len() > 30);
    cluster.psql("n2", "UPDATE accounts SET balance = balance + 1 WHERE account = 3")?;
    cluster.wait_until("the auditor has seen the wrong sum", SOON, || {
        auditor.sums().wrong.iter().any(|wrong| wrong.contains("n2 (primary)"))
    })?;
    let (records, balances) = bank::books(&cluster, "n2")?;
    assert_eq!(bank::wrong_balances(&records, &balances).len(), 1);
    Ok(())
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn a_crowd_takes_every_connection_and_a_session_stays_open() -> Result<()> {
    let cluster = by_hand()?;
    let address = cluster.addresses.node("n1");
    let session = Session::open(&address)?;
    session.sql("BEGIN; INSERT INTO watched VALUES ('test')")?;
    let crowd = Crowd::start(&address);
    cluster.wait_until("all connections are taken", SOON, || crowd.refused() > 5)?;
    assert!(Session::open(&address).is_err(), "there was a connection left");
    assert_eq!(session.sql("SELECT count(*) > 0, 'x' FROM watched")?, ["t|x"]);
    drop(crowd);
    cluster.wait_until("connections are free again", SOON, || Session::open(&address).is_ok())
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn the_writer_measures_an_outage_and_the_held_session_ends_with_its_postmaster() -> Result<()> {
    let cluster = by_hand()?;
    let writer = Writer::start_at(&cluster.addresses.node("n1"), Duration::from_millis(5));
    let watcher = Watcher::start(&cluster, Some("n1"));
    writer.wait_more(&cluster, 50, SOON)?;
    let fault = std::time::Instant::now();
    cluster.power_cut("n1")?;
    writer.expect_none(Duration::from_secs(2))?;
    cluster.power_on("n1")?;
    cluster.start_postgres_by_hand("n1", None)?;
    writer.wait_more(&cluster, 50, SOON)?;
    cluster.wait_until("the watcher has seen both instances", SOON, || {
        watcher.seen().primaries().len() == 2
    })?;
    // A node without power says no goodbye: the session learns of it when it is next retransmitted.
    cluster
        .wait_until("the held session has ended", SOON, || watcher.seen().held_ended.is_some())?;
    let log = writer.stop();
    let seen = watcher.stop();
    assert!(log.outage(fault) >= Duration::from_secs(2), "{:?}", log.outage(fault));
    assert!(Verdict::on(&cluster, "n1", &log)?.is_clean());
    assert!(seen.held_ended.is_some());
    seen.require_one_primary()
}

/// The smoke tests of the cases run on these releases, too.
mod full {
    use super::*;

    #[test]
    #[ignore = "starts containers: tests/run --full does"]
    fn two_nodes_of_bookworm_form_a_cluster_that_fences_and_takes_a_node_back() -> Result<()> {
        forms_fences_and_rejoins(stateful(2, Release::Bookworm))
    }

    #[test]
    #[ignore = "starts containers: tests/run --full does"]
    fn three_nodes_of_forky_form_a_cluster_that_fences_and_takes_a_node_back() -> Result<()> {
        forms_fences_and_rejoins(stateful(3, Release::Forky))
    }
}
