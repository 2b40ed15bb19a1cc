//! The page on operations, from its top to its bottom, on the cluster of the quick start.

use lab::{Cluster, Result};

use super::book::{Book, Key, attempt, finds, script};
use super::quick_start::{self, all_stream, bare, book, explains, is_primary};
use crate::look::instances;
use crate::stage::{SOON, fresh};

const PAGE: &str = "operations.md";
const STATUS: Key = (PAGE, "pgtwin status pgtwin status --watch");
const EXPLAIN: Key = (PAGE, "pgtwin explain pgtwin explain --if n1");
const SWITCHOVER: Key = (PAGE, "pgtwin switchover --dry-run");
const BY_HAND: Key = (PAGE, "crm_resource --move");
const STANDBY: Key = (PAGE, "crm node standby n2");
const REBUILD: Key = (PAGE, "pgtwin rebuild n2 --dry-run");
const PAUSE: Key = (PAGE, "pgtwin pause");
const PREFER: Key = (PAGE, "crm configure location prefer-n2");
const AVOID: Key = (PAGE, "crm configure location no-db-on-n3");
const READERS: Key = (PAGE, "crm configure primitive readers");
const READERS_ELSE: Key = (PAGE, "crm configure location readers-where readers rule 100");
const CLOCKS: Key = (PAGE, "crm_resource --refresh");
const HISTORY: Key = (PAGE, "pgtwin history");
const INSTALL: Key = ("install.md", "crm_attribute --type crm_config");
const DOCTOR: Key = ("doctor.md", "pgtwin doctor");
const DOCTOR_OPTIONS: Key = ("doctor.md", "pgtwin doctor --why");
const HBA: Key = ("pghba.md", "pgtwin validate-pghba --param pgdata");
const SECURITY: Key = ("security.md", "pgtwin status");
const MINOR: Key = ("upgrades.md", "crm node standby n2 # pcs node standby n2");
const MINOR_PRIMARY: Key = ("upgrades.md", "pgtwin switchover --to n2 crm node standby n1");
const ADOPT: Key = (PAGE, "pgtwin adopt n1");

pub const PLAYS: &[Key] = &[
    STATUS,
    EXPLAIN,
    SWITCHOVER,
    BY_HAND,
    STANDBY,
    REBUILD,
    PAUSE,
    PREFER,
    AVOID,
    READERS,
    READERS_ELSE,
    CLOCKS,
    HISTORY,
    INSTALL,
    DOCTOR,
    DOCTOR_OPTIONS,
    HBA,
    SECURITY,
    MINOR,
    MINOR_PRIMARY,
    ADOPT,
];

/// The ids of all constraints, resources and so on.
fn configuration(cluster: &Cluster) -> Result<String> {
    cluster.on_any(&["cibadmin", "--query", "--scope", "configuration"])
}

fn shows(book: &Book, cluster: &Cluster) -> Result<()> {
    let status = book.take(STATUS).lines();
    script(cluster, "n1", &status[0])?;
    let watched = attempt(cluster, "n2", &format!("timeout 5 {}", status[1]))?;
    assert_eq!(watched.code, 124, "it went on until it was ended");
    explains(cluster, &book.take(EXPLAIN))?;
    book.play(cluster, "n1", SECURITY)?;
    book.play(cluster, "n1", HBA)?;
    for line in book.take(DOCTOR_OPTIONS).lines().into_iter().chain(book.take(DOCTOR).lines()) {
        let line =
            line.replace("--skip ID", "--skip fencing-tested").replace("FILE", "/root/cib.xml");
        script(cluster, "n1", "cibadmin --query > /root/cib.xml")?;
        let said = attempt(cluster, "n1", &line)?;
        assert!(said.code < 2, "{line}: {}", said.all());
        assert!(!finds(&said.text(), "FAIL"), "{line}: {}", said.all());
    }
    Ok(())
}

fn moves(book: &Book, cluster: &Cluster) -> Result<()> {
    for line in book.take(SWITCHOVER).lines() {
        script(cluster, "n3", &line)?;
        all_stream(cluster)?;
    }
    is_primary(cluster, "n2")?;
    script(cluster, "n3", "pgtwin switchover --to n1")?;
    is_primary(cluster, "n1")?;
    let by_hand = book.take(BY_HAND).lines();
    script(cluster, "n1", &by_hand[0])?;
    cluster.wait_until("n2 is the primary, and the others stream from it", SOON, || {
        cluster.primary().is_ok_and(|primary| primary == "n2") && cluster.has_standbys("n2", 2)
    })?;
    let said = attempt(cluster, "n1", "pgtwin status")?;
    assert!(said.code == 1 && said.text().contains("cli-prefer-db-clone"), "{}", said.all());
    script(cluster, "n1", &by_hand[1])?;
    is_primary(cluster, "n2")?;
    assert!(!configuration(cluster)?.contains("cli-"), "the constraint is gone");
    all_stream(cluster)?;
    let running = instances(cluster)?;
    book.play(cluster, "n3", CLOCKS)?;
    cluster.settle()?;
    all_stream(cluster)?;
    assert_eq!(instances(cluster)?, running, "nothing is restarted");
    is_primary(cluster, "n2")
}

/// `n2` leaves and comes back; where it was the primary, another one takes over meanwhile.
fn away_and_back(cluster: &Cluster, lines: &[String]) -> Result<()> {
    script(cluster, "n1", &lines[0])?;
    cluster.wait_until("PostgreSQL is stopped on n2", SOON, || {
        cluster.exec("n2", &["pgrep", "postgres"]).is_ok_and(|output| !output.ok())
    })?;
    for line in &lines[1..] {
        if !line.starts_with("apt-get") && !line.starts_with("pgtwin status") {
            script(cluster, "n1", line)?;
        }
    }
    all_stream(cluster)
}

fn one_node(book: &Book, cluster: &Cluster) -> Result<()> {
    away_and_back(cluster, &book.take(STANDBY).lines())?;
    away_and_back(cluster, &book.take(MINOR).lines())?;
    let last = book.take(MINOR_PRIMARY).lines();
    script(cluster, "n3", &last[0])?;
    is_primary(cluster, "n2")?;
    script(cluster, "n3", &last[1])?;
    script(cluster, "n3", "crm node online n1; pgtwin switchover --to n1 || true")?;
    all_stream(cluster)?;
    script(cluster, "n3", "pgtwin switchover --to n1")?;
    is_primary(cluster, "n1")?;
    // On another node.
    book.play(cluster, "n3", REBUILD)?;
    all_stream(cluster)?;
    let pause = book.take(PAUSE).lines();
    script(cluster, "n3", &pause[0])?;
    let shown = attempt(cluster, "n1", "pgtwin status")?;
    assert!(shown.text().contains("paused"), "{}", shown.all());
    script(cluster, "n3", &pause[1])?;
    let install = book.take(INSTALL);
    script(cluster, "n1", &install.lines()[0])?;
    script(cluster, "n1", &install.lines()[1])?;
    all_stream(cluster)?;
    book.play(cluster, "n1", HISTORY).map(drop)
}

/// Types one line after the other, and looks whether the configuration has what each is about; takes it
/// out again with `undo`.
fn each(cluster: &Cluster, lines: &[String], has: &str, undo: &str) -> Result<()> {
    let before = configuration(cluster)?;
    for line in lines {
        script(cluster, "n1", line)?;
    }
    let after = configuration(cluster)?;
    assert!(after.contains(has) && !before.contains(has), "{lines:?}\n{after}");
    assert_eq!(script(cluster, "n1", "crm_verify -LV")?, "");
    cluster.settle()?;
    script(cluster, "n1", undo)?;
    cluster.settle()
}

fn rules(book: &Book, cluster: &Cluster) -> Result<()> {
    let prefer = book.take(PREFER).lines();
    each(cluster, &prefer[..1], "prefer-n2", "crm configure delete prefer-n2")?;
    let pcs = "pcs constraint location remove location-db-clone";
    each(cluster, &prefer[1..], "location-db-clone", pcs)?;
    assert_eq!(cluster.primary()?, "n1", "a primary that runs is left where it is");
    all_stream(cluster)?;

    let avoid = book.take(AVOID).lines();
    each(cluster, &avoid[..1], "no-db-on-n3", "crm configure delete no-db-on-n3")?;
    all_stream(cluster)?;
    let undo = "pcs constraint location remove location-db-clone-n3--INFINITY";
    each(cluster, &avoid[1..], "location-db-clone-n3", undo)?;
    all_stream(cluster)
}

fn readers(book: &Book, cluster: &Cluster) -> Result<()> {
    let all = book.take(READERS).lines();
    let other = book.take(READERS_ELSE).lines();
    let is_pcs = |line: &&String| line.starts_with("pcs ");
    for tool in ["crm", "pcs"] {
        let of = |lines: &[String]| -> Vec<String> {
            lines.iter().filter(|line| is_pcs(line) == (tool == "pcs")).cloned().collect()
        };
        let (with, without) = (of(&all), of(&other));
        assert_eq!((with.len(), without.len()), (2, 2), "{tool}");
        for line in &with {
            script(cluster, "n1", line)?;
        }
        assert_eq!(script(cluster, "n1", "crm_verify -LV")?, "");
        cluster.wait_until("readers are with a standby", SOON, || {
            let shown = script(cluster, "n1", "crm_mon -1").unwrap_or_default();
            shown.lines().any(|line| {
                line.contains("readers") && line.contains("Started n2")
                    || line.contains("readers") && line.contains("Started n3")
            })
        })?;
        // Those in the place of that rule.
        let remove_rule = match tool {
            "crm" => "crm configure delete readers-where",
            _ => "pcs constraint location remove location-readers",
        };
        script(cluster, "n1", remove_rule)?;
        for line in &without {
            script(cluster, "n1", line)?;
        }
        assert_eq!(script(cluster, "n1", "crm_verify -LV")?, "");
        cluster.settle()?;
        let shown = script(cluster, "n1", "crm_mon -1")?;
        assert!(shown.contains("readers"), "{shown}");
        script(
            cluster,
            "n1",
            "crm resource stop readers; crm_resource --wait; crm --force configure delete readers",
        )?;
        cluster.settle()?;
        assert!(!configuration(cluster)?.contains("readers"), "{tool}");
    }
    Ok(())
}

/// Data is declared the truth, here that which is there: what else it may be, `full::adopt` has.
fn adopts(book: &Book, cluster: &Cluster) -> Result<()> {
    script(cluster, "n1", "crm resource stop db-clone; crm_resource --wait --timeout 90s")?;
    let said = book.play(cluster, "n1", ADOPT)?;
    assert!(said.contains("the data of n1 is the truth; start it"), "{said}");
    script(cluster, "n1", "crm resource start db-clone")?;
    cluster.wait_until("n1 is the primary, and the others stream from it", SOON, || {
        cluster.primary().is_ok_and(|primary| primary == "n1") && cluster.has_standbys("n1", 2)
    })?;
    all_stream(cluster)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn the_commands_of_the_page_on_operations_do_what_it_says() {
    fresh(&bare(3), |cluster| {
        quick_start::follow(&book(cluster), cluster)?;
        let book = book(cluster);
        shows(&book, cluster)?;
        moves(&book, cluster)?;
        one_node(&book, cluster)?;
        rules(&book, cluster)?;
        readers(&book, cluster)?;
        adopts(&book, cluster)?;
        book.end(PLAYS);
        Ok(())
    });
}
