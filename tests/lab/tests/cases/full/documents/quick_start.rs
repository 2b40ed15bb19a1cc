//! The quick start, followed to the letter from fresh nodes to a tested failover, with crmsh, and again
//! with pcs after the resource was removed as its last section says.

use lab::{Cluster, Options, Result};

use super::book::{Block, Book, Key, attempt, script};
use crate::stage::{SOON, fresh};

const PAGE: &str = "quick-start.md";
const PROGRAMS: Key = (PAGE, "apt-get install postgresql pacemaker");
const SETTINGS: Key = (PAGE, "listen_addresses =");
const HBA: Key = (PAGE, "local all postgres peer");
const PASSFILE: Key = (PAGE, "*:5432:replication");
const ROLE: Key = (PAGE, "pg_ctlcluster 17 main start");
const COPY: Key = (PAGE, "rm -rf /var/lib/postgresql/17/main");
const STOP: Key = (PAGE, "pg_ctlcluster 17 main stop");
const DISABLED: Key = (PAGE, "echo disabled");
const CRMSH: Key = (PAGE, "crm configure <<'END'");
const PCS: Key = (PAGE, "pcs cluster cib db.xml");
const CRM_MON: Key = (PAGE, "crm_mon -1");
const STATUS: Key = (PAGE, "pgtwin status # on any node");
const EXPLAIN: Key = (PAGE, "pgtwin explain pgtwin explain --if");
const MOVE: Key = (PAGE, "pgtwin switchover --to n2");
const CRASH: Key = (PAGE, "kill -9");
const EMPTY: Key = (PAGE, "crm node standby n3");
const REMOVE: Key = (PAGE, "crm_attribute --type crm_config --name maintenance-mode");
const FORGET: Key = (PAGE, "cibadmin --delete");

pub const PLAYS: &[Key] = &[
    PROGRAMS, SETTINGS, HBA, PASSFILE, ROLE, COPY, STOP, DISABLED, CRMSH, PCS, CRM_MON, STATUS,
    EXPLAIN, MOVE, CRASH, EMPTY, REMOVE, FORGET,
];

/// What every one of the cases that follow the documents begins with.
pub fn bare(nodes: u32) -> Options {
    Options { bare: true, nodes, start: false, ..Options::default() }
}

pub fn book(cluster: &Cluster) -> Book {
    Book::new(&cluster.addresses.prefix)
}

/// Steps 1 to 4: machines with Corosync, Pacemaker and fencing get their databases.
pub fn databases(book: &Book, cluster: &Cluster) -> Result<()> {
    cluster.start_all()?;
    cluster.wait_online(SOON)?;
    let programs = book.take(PROGRAMS).lines().join(" ");
    let wanted = programs.split_whitespace().skip(2);
    let settings = book.take(SETTINGS).text;
    let hba = book.take(HBA).text;
    let passfile = book.take(PASSFILE).text;
    let (lines, owner) = passfile.split_once("\n\n").unwrap();
    let query: Vec<&str> = ["dpkg-query", "--show"].into_iter().chain(wanted).collect();
    cluster.each_node(|node| {
        cluster.check(node, &query)?;
        // What installing the package makes.
        script(cluster, node, "pg_createcluster --locale C.UTF-8 17 main")?;
        append(cluster, node, "/etc/postgresql/17/main/postgresql.conf", &settings)?;
        append(cluster, node, "/etc/postgresql/17/main/pg_hba.conf", &hba)?;
        append(cluster, node, "/var/lib/postgresql/.pgpass", lines)?;
        script(cluster, node, owner).map(drop)
    })?;
    book.play(cluster, "n1", ROLE)?;
    for node in cluster.others("n1") {
        book.play(cluster, &node, COPY)?;
    }
    book.play(cluster, "n1", STOP)?;
    let disabled = book.take(DISABLED).text;
    cluster.each_node(|node| script(cluster, node, &disabled).map(drop))
}

/// Step 5, and 6 as far as it waits.
pub fn resource(book: &Book, cluster: &Cluster, tool: Key) -> Result<()> {
    assert_eq!(script(cluster, "n1", "crm_verify -LV")?, "", "before the resource");
    book.play(cluster, "n1", tool)?;
    assert_eq!(script(cluster, "n1", "crm_verify -LV")?, "", "with the resource");
    all_stream(cluster)
}

fn append(cluster: &Cluster, node: &str, path: &str, text: &str) -> Result<()> {
    script(cluster, node, &format!("cat >> {path} <<'THE_END'\n{text}\nTHE_END")).map(drop)
}

/// Steps 1 to 5, for those who go on from there.
pub fn follow(book: &Book, cluster: &Cluster) -> Result<()> {
    databases(book, cluster)?;
    resource(book, cluster, CRMSH)
}

/// One primary; all others stream, and commits wait for them.
pub fn all_stream(cluster: &Cluster) -> Result<()> {
    cluster.wait_until("all standbys stream and count", SOON, || {
        cluster
            .primary()
            .is_ok_and(|primary| cluster.has_standbys(&primary, cluster.nodes().len() - 1))
    })?;
    // They are heirs a moment later.
    cluster.wait_until("pgtwin status has nothing to complain of", SOON, || {
        cluster.command("n1", &["pgtwin", "status"]).output().is_ok_and(|output| output.ok())
    })
}

/// Waits until this node is the primary with everything that belongs to it.
pub fn is_primary(cluster: &Cluster, node: &str) -> Result<()> {
    cluster.wait_until(&format!("{node} is the primary"), SOON, || {
        cluster.primary().is_ok_and(|primary| primary == node)
    })?;
    all_stream(cluster)
}

fn addressed(cluster: &Cluster) -> Result<()> {
    let primary = cluster.primary()?;
    let shown = script(cluster, "n1", "crm_mon -1")?;
    let vip = shown.lines().find(|line| line.contains("IPaddr2")).unwrap_or_default();
    assert!(vip.contains(&format!("Started {primary}")), "{shown}");
    Ok(())
}

/// Step 6.
fn look(book: &Book, cluster: &Cluster) -> Result<()> {
    let shown = book.play(cluster, "n2", CRM_MON)?;
    assert!(
        shown.contains("Promoted: [ n1 ]") && shown.contains("Unpromoted: [ n2 n3 ]"),
        "{shown}"
    );
    addressed(cluster)?;
    let shown = book.play(cluster, "n1", STATUS)?;
    assert!(shown.contains("ANY 1 (\"n2\",\"n3\")"), "{shown}");
    Ok(())
}

/// `pgtwin explain` answers, and exits with 1 where nobody would be promoted: the loss of two of three.
pub fn explains(cluster: &Cluster, block: &Block) -> Result<()> {
    for line in block.lines() {
        let said = attempt(cluster, "n3", &line)?;
        let lost = line.split("--if ").skip(1).flat_map(|names| names.split(',')).count();
        assert_eq!(said.code, i32::from(lost > 1), "{line}: {}", said.all());
    }
    Ok(())
}

/// Step 7, and the node that comes back.
fn try_it(book: &Book, cluster: &Cluster) -> Result<()> {
    cluster.psql("n1", "CREATE TABLE kept AS SELECT 1 AS id")?;
    explains(cluster, &book.take(EXPLAIN))?;
    let moves = book.take(MOVE);
    let lines = moves.lines();
    let [switchover, standby, online] = lines.as_slice() else { panic!("{moves:?}") };
    script(cluster, "n1", switchover)?;
    is_primary(cluster, "n2")?;
    addressed(cluster)?;
    script(cluster, "n1", standby)?;
    cluster.wait_until("another one is the primary", SOON, || {
        cluster.primary().is_ok_and(|primary| primary != "n2")
    })?;
    script(cluster, "n1", online)?;
    all_stream(cluster)?;

    let primary = cluster.primary()?;
    book.play(cluster, &primary, CRASH)?;
    cluster.wait_until("a standby has taken over", SOON, || {
        cluster.primary().is_ok_and(|new| new != primary)
    })?;
    all_stream(cluster)?;
    addressed(cluster)?;

    // The fence device, as the page says it in the text.
    let primary = cluster.primary()?;
    let other = cluster.others(&primary)[0].clone();
    script(cluster, &other, &format!("stonith_admin --fence {primary}"))?;
    cluster.wait_until("another one has taken over", SOON, || {
        cluster.primary().is_ok_and(|new| new != primary)
    })?;
    cluster.power_on(&primary)?;
    cluster.wait_online(SOON)?;
    all_stream(cluster)?;

    if cluster.primary()? == "n3" {
        script(cluster, "n1", switchover)?;
        is_primary(cluster, "n2")?;
    }
    let empty = book.take(EMPTY);
    let lines = empty.lines();
    let [standby, away, online, watch] = lines.as_slice() else { panic!("{empty:?}") };
    script(cluster, "n1", standby)?;
    cluster.wait_until("PostgreSQL is stopped on n3", SOON, || {
        cluster.exec("n3", &["pgrep", "postgres"]).is_ok_and(|output| !output.ok())
    })?;
    script(cluster, "n3", away)?;
    script(cluster, "n3", online)?;
    let shown = attempt(cluster, "n3", &watch.replace("watch ", ""))?;
    assert!(shown.text().contains("n3"), "{}", shown.all());
    all_stream(cluster)?;
    assert_eq!(cluster.psql("n3", "SELECT id FROM kept")?, "1");
    Ok(())
}

/// The last section, with what its comment leaves to the reader.
fn remove(book: &Book, cluster: &Cluster, delete: &str) -> Result<()> {
    let primary = cluster.primary()?;
    let removal = book.take(REMOVE);
    let mut lines = removal.lines().into_iter();
    let maintenance = lines.next().unwrap();
    let (refresh, end) = (lines.next().unwrap(), lines.next().unwrap());
    script(cluster, "n1", &maintenance)?;
    script(cluster, "n1", delete)?;
    script(cluster, "n1", &refresh)?;
    script(cluster, "n1", &end)?;
    cluster.settle()?;
    assert_eq!(cluster.primary()?, primary, "PostgreSQL runs as it is");
    assert!(cluster.has_standbys(&primary, 2));
    Ok(())
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn the_quick_start_followed_to_the_letter_leads_to_a_tested_failover() {
    fresh(&bare(3), |cluster| {
        let book = book(cluster);
        follow(&book, cluster)?;
        look(&book, cluster)?;
        try_it(&book, cluster)?;

        // What runs is taken over by the same resource, made by the other tool.
        let primary = cluster.primary()?;
        let started = "SELECT pg_postmaster_start_time()";
        let since = cluster.psql(&primary, started)?;
        let delete = "crm configure delete vip-after-promote vip-after-demote vip-with-primary vip db-clone db";
        remove(&book, cluster, delete)?;
        script(
            cluster,
            "n1",
            "crm_attribute --type crm_config --name maintenance-mode --update true",
        )?;
        book.play(cluster, "n1", PCS)?;
        cluster.wait_until("Pacemaker has seen what runs", SOON, || {
            let shown = script(cluster, "n1", "crm_mon -1").unwrap_or_default();
            shown.contains(&format!("Promoted {primary}"))
                || shown.contains(&format!("Promoted: [ {primary} ]"))
        })?;
        script(
            cluster,
            "n1",
            "crm_attribute --type crm_config --name maintenance-mode --update false",
        )?;
        all_stream(cluster)?;
        cluster
            .wait_until("the address is with the primary", SOON, || addressed(cluster).is_ok())?;
        assert_eq!(cluster.primary()?, primary);
        assert_eq!(cluster.psql(&primary, started)?, since, "it was restarted");
        assert_eq!(cluster.psql(&primary, "SELECT id FROM kept")?, "1");

        let delete = "pcs --force resource delete vip && pcs --force resource delete db-clone";
        remove(&book, cluster, delete)?;
        book.play(cluster, "n1", FORGET)?;
        let left = cluster.on_any(&["cibadmin", "--query", "--scope", "crm_config"])?;
        assert!(!left.contains("pgtwin-db"), "{left}");
        book.end(PLAYS);
        Ok(())
    });
}
