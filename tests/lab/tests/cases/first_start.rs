//! First starts: of a cluster that a hand has run until now, and of one that names no members.

use lab::{Cluster, Options, Result, Watcher, Writer};

use crate::ledger;
use crate::look::instances;
use crate::repair::make_ready;
use crate::stage::{SOON, fresh};
use crate::takeover::Primary;

/// Three databases that stream, each standby through a slot that a person has named.
fn streaming_by_hand(cluster: &Cluster) -> Result<()> {
    cluster.start_postgres_by_hand("n1", None)?;
    for node in ["n2", "n3"] {
        cluster.psql("n1", &format!("SELECT pg_create_physical_replication_slot('of_{node}')"))?;
        cluster.start_postgres_by_hand(node, Some("n1"))?;
        cluster.psql(node, &format!("ALTER SYSTEM SET primary_slot_name = 'of_{node}'"))?;
        cluster.psql(node, "SELECT pg_reload_conf()")?;
    }
    let active = "SELECT count(*) FROM pg_replication_slots WHERE active";
    cluster.wait_until("both standbys stream through their slots", SOON, || {
        cluster.psql("n1", active).is_ok_and(|count| count == "2")
    })
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_12_a_running_cluster_is_taken_over_without_a_restart() {
    fresh(&Options { start: false, ..Options::default() }, |cluster| {
        streaming_by_hand(cluster)?;
        let running = instances(cluster)?;
        // The cluster's own address does not exist yet.
        let writer =
            Writer::start_at(&cluster.addresses.node("n1"), std::time::Duration::from_millis(8));
        let watcher = Watcher::start(cluster, Some("n1"));
        writer.wait_more(cluster, 30, SOON)?;

        cluster.start_all()?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(cluster.promoted().as_deref(), Some("n1"));
        let entry = ledger::wait_heirs(cluster, "n1", &["n2", "n3"])?;
        assert_eq!(entry.primary, "n1");
        writer.wait_more(cluster, 30, SOON)?;
        cluster.settle()?;
        assert_eq!(instances(cluster)?, running, "an instance was restarted");

        let log = writer.stop();
        let seen = watcher.stop();
        assert_eq!(seen.held_ended, None, "an open session was ended");
        seen.require_one_primary()?;
        let verdict = lab::Verdict::of(cluster, &log)?;
        eprintln!("{verdict}");
        verdict.require_clean()?;
        // And from here on it is a cluster like any other.
        make_ready(cluster)?;
        cluster.move_primary(Some("n2"))?;
        assert_eq!(cluster.wait_new_primary("n1", SOON)?, "n2");
        cluster.clear_moves()?;
        cluster.wait_healthy(SOON)?;
        ledger::wait_heirs(cluster, "n2", &["n1", "n3"]).map(drop)
    });
}

/// Where node_list is not given, the members are the nodes where Pacemaker may run the clone.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn case_01_without_node_list_all_nodes_of_the_clone_are_members() {
    let mut options = Options::default();
    options.params.insert("node_list".into(), String::new());
    fresh(&options, |cluster| {
        let cib = cluster.on_any(&["cibadmin", "--query"])?;
        assert!(cib.contains("name=\"pgdata\"") && !cib.contains("node_list"), "{cib}");
        let mut primary = Primary::under_load(cluster)?;
        let others = cluster.others(&primary.old);
        ledger::wait_heirs(cluster, &primary.old, &others)?;
        let slots =
            "SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots";
        let wanted: Vec<String> = others.iter().map(|node| format!("ha_slot_{node}")).collect();
        assert_eq!(cluster.psql(&primary.old, slots)?, wanted.join(" "));

        // A member that is away stays one: its slot is kept, and its loss is seen in the ledger.
        cluster.power_cut(&others[0])?;
        ledger::wait_heirs(cluster, &primary.old, &others[1..])?;
        primary.load.goes_on()?;
        assert_eq!(cluster.psql(&primary.old, slots)?, wanted.join(" "));
        cluster.power_on(&others[0])?;
        cluster.wait_healthy(SOON)?;

        primary.before = ledger::wait_heirs(cluster, &primary.old, &others)?;
        cluster.power_cut(&primary.old)?;
        let new = primary.is_taken_over()?;
        cluster.power_on(&primary.old)?;
        primary.comes_back_under(&new)
    });
}
