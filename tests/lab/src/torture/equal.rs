//! Whether all nodes hold the same, once each has replayed all that the primary has.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::error::Result;

/// What is compared.
const TABLES: [&str; 4] = ["writes", "lists", "accounts", "transfers"];
/// How long the last WAL may take.
const LIMIT: Duration = Duration::from_mins(2);

/// What differs between the primary and the others, in words. Nothing writes meanwhile.
pub fn differences(cluster: &Cluster, primary: &str) -> Result<Vec<String>> {
    // A record to be replayed, and one that has it flushed.
    let end = cluster.psql(primary, "SELECT pg_create_restore_point('lab')")?;
    cluster.psql(primary, "SELECT pg_switch_wal()")?;
    let reached = format!("SELECT pg_last_wal_replay_lsn() >= '{end}'::pg_lsn");
    let expected = digest(cluster, primary)?;
    let mut found = Vec::new();
    for node in cluster.others(primary) {
        cluster.wait_until(&format!("{node} has replayed up to {end}"), LIMIT, || {
            cluster.psql(&node, &reached).is_ok_and(|answer| answer == "t")
        })?;
        found.extend(compare(primary, &expected, &node, &digest(cluster, &node)?));
    }
    Ok(found)
}

/// For each table its number of rows and a sum over all of them, in whatever order they lie.
fn digest(cluster: &Cluster, node: &str) -> Result<Vec<String>> {
    let ask = |table: &&str| {
        let sql = format!(
            "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {table} t"
        );
        cluster.psql(node, &sql)
    };
    TABLES.iter().map(ask).collect()
}

fn compare(primary: &str, expected: &[String], node: &str, found: &[String]) -> Vec<String> {
    TABLES
        .iter()
        .zip(expected.iter().zip(found))
        .filter(|(_, (expected, found))| expected != found)
        .map(|(table, (expected, found))| {
            format!("{table}: {primary} has {expected}, {node} has {found} (rows|sum)")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_differs_is_named_with_both_nodes() {
        let list = |rows: [&str; 4]| rows.map(str::to_owned);
        let one = list(["5|77", "1|2", "20|3", "0|0"]);
        let other = list(["5|78", "1|2", "20|3", "0|0"]);
        assert_eq!(compare("n1", &one, "n2", &one), Vec::<String>::new());
        assert_eq!(
            compare("n1", &one, "n2", &other),
            ["writes: n1 has 5|77, n2 has 5|78 (rows|sum)"]
        );
    }
}
