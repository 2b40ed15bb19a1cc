//! The page on upgrades: what takes another major version of PostgreSQL, and an update of Pacemaker.
//!
//! Debian's archive has one major version a release. The image's 17 goes by the name of 18 as well: pg_upgrade
//! takes a version for its own successor, so the commands are those of the page, to the letter.

use lab::{Cluster, Result};

use super::book::{Book, Key, script};
use super::quick_start::{self, all_stream, bare, book, is_primary};
use crate::stage::{SOON, fresh};

const PAGE: &str = "upgrades.md";
const ALONE: Key = (PAGE, "rm /var/lib/postgresql/17/main/standby.signal");
const UPGRADE: Key = (PAGE, "cd /var/lib/postgresql runuser");
const ABOVE: Key = (PAGE, "install -d -o postgres");
const POINT: Key = (PAGE, "crm_resource --resource db --set-parameter pgdata");
const ADOPT: Key = (PAGE, "pgtwin adopt n1");
const PACEMAKER: Key = (PAGE, "crm node standby n2 crm cluster stop");

pub const PLAYS: &[Key] = &[ALONE, UPGRADE, ABOVE, POINT, ADOPT, PACEMAKER];

/// What installing the next version makes: its programs and its configuration.
const INSTALL: &str = "ln -s 17 /usr/lib/postgresql/18
mkdir -p /etc/postgresql/18
cp -a /etc/postgresql/17/main /etc/postgresql/18/main
sed -i 's,/17/main,/18/main,g' /etc/postgresql/18/main/postgresql.conf";

/// An empty cluster of it, with what the old one was made with.
const EMPTY: &str = "install -d -o postgres -g postgres /var/lib/postgresql/18
checksums=$(runuser -u postgres -- psql -AtXc 'SHOW data_checksums')
test \"$checksums\" = off || more=--data-checksums
runuser -u postgres -- /usr/lib/postgresql/18/bin/initdb -D /var/lib/postgresql/18/main \
  --encoding UTF8 --locale C.UTF-8 --no-instructions $more";

fn system(cluster: &Cluster, node: &str) -> Result<String> {
    cluster.psql(node, "SELECT system_identifier FROM pg_control_system()")
}

fn another_major_version(book: &Book, cluster: &Cluster) -> Result<()> {
    cluster.psql("n1", "CREATE TABLE kept AS SELECT 42 AS answer")?;
    let old = system(cluster, "n1")?;
    cluster.each_node(|node| script(cluster, node, INSTALL).map(drop))?;
    script(cluster, "n1", EMPTY)?;
    script(cluster, "n1", "crm resource stop db-clone; crm_resource --wait --timeout 90s")?;
    book.play(cluster, "n1", ALONE)?;
    let said = book.play(cluster, "n1", UPGRADE)?;
    assert!(said.contains("Upgrade Complete"), "{said}");
    for node in cluster.others("n1") {
        book.play(cluster, &node, ABOVE)?;
    }
    book.play(cluster, "n1", POINT)?;
    let said = book.play(cluster, "n1", ADOPT)?;
    assert!(said.contains("the data of n1 is the truth; start it"), "{said}");
    script(cluster, "n1", "crm resource start db-clone")?;
    is_primary(cluster, "n1")?;
    assert_ne!(system(cluster, "n1")?, old);
    for node in cluster.nodes() {
        assert_eq!(system(cluster, &node)?, system(cluster, "n1")?, "{node}");
        assert_eq!(cluster.psql(&node, "SELECT answer FROM kept")?, "42", "{node}");
        let data = cluster.psql(&node, "SHOW data_directory")?;
        assert_eq!(data, "/var/lib/postgresql/18/main", "{node}");
    }
    Ok(())
}

/// There is no systemd in a container, which `crm cluster` asks: the lab stops and starts in its place.
fn another_pacemaker(book: &Book, cluster: &Cluster) -> Result<()> {
    let lines = book.take(PACEMAKER).lines();
    let [standby, stop, start, online] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!([stop.as_str(), start.as_str()], ["crm cluster stop", "crm cluster start"]);
    script(cluster, "n1", standby)?;
    cluster.stop_cluster("n2")?;
    cluster.start_cluster("n2")?;
    cluster.wait_online(SOON)?;
    script(cluster, "n1", online)?;
    all_stream(cluster)?;
    is_primary(cluster, "n1")
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn the_commands_of_the_page_on_upgrades_bring_the_data_to_another_version() {
    fresh(&bare(3), |cluster| {
        quick_start::follow(&book(cluster), cluster)?;
        let book = book(cluster);
        another_pacemaker(&book, cluster)?;
        another_major_version(&book, cluster)?;
        book.end(PLAYS);
        Ok(())
    });
}
