//! The pages on recovery: what an administrator does by hand, on the cluster of the quick start, where n1
//! is to come back and n2 is the primary.

use lab::{Cluster, Result};

use super::book::{Book, Key, script};
use super::quick_start::{self, all_stream, bare, book, is_primary};
use crate::stage::{SOON, fresh};

const PAGE: &str = "recovery-by-hand.md";
const FIRST: Key = (PAGE, "pgtwin status");
const IS_PRIMARY: Key = (PAGE, "runuser -u postgres -- psql -At");
const REBUILD: Key = (PAGE, "pgtwin rebuild n1");
const NOTHING: Key = (PAGE, "crm node standby n1 # pcs node standby n1 mv");
const END: Key = (PAGE, "crm node standby n1");
const AWAY: Key = (PAGE, "crm node standby n1 # stops PostgreSQL");
const NOTES: Key = (PAGE, "rm -rf /var/lib/pgtwin/db/recovery");
const REWIND: Key = (PAGE, "cd /var/lib/postgresql/17/main");
const COPY: Key = (PAGE, "mv /var/lib/postgresql/17/main /var/lib/postgresql/17/main.mine runuser");
const LEDGER: Key = (PAGE, "rm -f /var/lib/pgtwin/db/ledger");
const OLD: Key = (PAGE, "ls -d /var/lib/postgresql/17/main*");
const STATUS: Key = ("recovery.md", "pgtwin status");
const ROLE: Key = ("recovery.md", "ALTER ROLE replicator");
const MEASURE: Key = ("recovery.md", "GRANT pg_read_all_stats");
const GRANTS: Key = ("recovery-check.md", "GRANT EXECUTE");

pub const PLAYS: &[Key] = &[
    FIRST, IS_PRIMARY, REBUILD, NOTHING, END, AWAY, NOTES, REWIND, COPY, LEDGER, OLD, STATUS, ROLE,
    MEASURE, GRANTS,
];

fn stopped(cluster: &Cluster) -> Result<()> {
    cluster.wait_until("PostgreSQL is stopped on n1", SOON, || {
        cluster.exec("n1", &["pgrep", "postgres"]).is_ok_and(|output| !output.ok())
    })
}

/// n1, whose PostgreSQL is stopped, writes on a branch of its own: somebody has started it by hand.
fn part(cluster: &Cluster) -> Result<()> {
    let data = "/var/lib/postgresql/17/main";
    let ctl = format!(
        "/usr/lib/postgresql/17/bin/pg_ctl -s -w -D {data} -l /dev/null \
         -o '-c config_file=/etc/postgresql/17/main/postgresql.conf -c synchronous_standby_names='"
    );
    script(
        cluster,
        "n1",
        &format!("rm {data}/standby.signal; runuser -u postgres -- {ctl} start"),
    )?;
    cluster.psql("n1", "CREATE TABLE mine AS SELECT 1 AS id")?;
    script(cluster, "n1", &format!("runuser -u postgres -- {ctl} stop")).map(drop)
}

/// What lies there is whole, says the administrator: back it comes, without a recovery.
fn back(book: &Book, cluster: &Cluster) -> Result<()> {
    let begun = recoveries(cluster)?;
    let notes = book.take(NOTES).lines();
    for line in &notes {
        script(cluster, "n1", line)?;
    }
    all_stream(cluster)?;
    assert_eq!(recoveries(cluster)?, begun, "pgtwin had nothing to do");
    script(cluster, "n1", "rm -rf /var/lib/postgresql/17/main.mine").map(drop)
}

fn recoveries(cluster: &Cluster) -> Result<String> {
    script(cluster, "n1", "ls /var/log/pgtwin/db 2>/dev/null || true")
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn the_commands_of_the_pages_on_recovery_bring_a_node_back() {
    fresh(&bare(3), |cluster| {
        quick_start::follow(&book(cluster), cluster)?;
        let book = book(cluster);
        for key in [ROLE, MEASURE, GRANTS] {
            cluster.psql(&cluster.primary()?, &book.take(key).text)?;
        }
        script(cluster, "n3", "pgtwin switchover --to n2")?;
        is_primary(cluster, "n2")?;

        book.play(cluster, "n1", REBUILD)?;
        all_stream(cluster)?;
        book.play(cluster, "n1", STATUS)?;
        for line in book.take(FIRST).lines() {
            script(cluster, "n1", &line.replace("less ", "cat "))?;
        }
        let said = book.play(cluster, "n1", IS_PRIMARY)?;
        assert_eq!(said, "f");

        // The copy is regretted.
        book.play(cluster, "n1", AWAY)?;
        stopped(cluster)?;
        let old = book.take(OLD).lines();
        let names = script(cluster, "n1", &old[0])?;
        let kept = names.lines().find(|name| name.contains("main.backup.")).unwrap();
        script(cluster, "n1", &old[1])?;
        let (_, with_a_time) = old[2].split_once("mv ").unwrap();
        let (with_a_time, _) = with_a_time.split_once(' ').unwrap();
        script(cluster, "n1", &old[2].replace(with_a_time, kept))?;
        back(&book, cluster)?;

        // It copies what finds no data.
        let nothing = book.take(NOTHING).lines();
        script(cluster, "n1", &nothing[0])?;
        stopped(cluster)?;
        script(cluster, "n1", &nothing[1])?;
        script(cluster, "n1", &nothing[2])?;
        all_stream(cluster)?;
        script(cluster, "n1", "rm -rf /var/lib/postgresql/17/main.mine")?;

        book.play(cluster, "n1", END)?;
        stopped(cluster)?;
        script(cluster, "n1", "crm node online n1")?;
        all_stream(cluster)?;

        // Parted as a primary that was stopped in order, and came back by somebody's hand.
        script(cluster, "n3", "pgtwin switchover --to n1")?;
        is_primary(cluster, "n1")?;
        book.play(cluster, "n1", AWAY)?;
        stopped(cluster)?;
        cluster.wait_until("n2 or n3 is the primary", SOON, || cluster.primary().is_ok())?;
        if cluster.primary()? == "n3" {
            let dry_run = ["pgtwin", "switchover", "--to", "n2", "--dry-run"];
            cluster.wait_until("n2 streams from n3", SOON, || {
                cluster.exec("n3", &dry_run).is_ok_and(|said| said.ok())
            })?;
            script(cluster, "n3", "pgtwin switchover --to n2")?;
        }
        part(cluster)?;
        cluster.psql("n2", "CHECKPOINT")?;
        let said = book.play(cluster, "n1", REWIND)?;
        assert!(said.contains("Done!"), "{said}");
        back(&book, cluster)?;
        assert_eq!(cluster.psql("n1", "SELECT to_regclass('mine') IS NULL")?, "t");

        book.play(cluster, "n1", AWAY)?;
        stopped(cluster)?;
        book.play(cluster, "n1", COPY)?;
        book.play(cluster, "n1", LEDGER)?;
        back(&book, cluster)?;
        book.end(PLAYS);
        Ok(())
    });
}
