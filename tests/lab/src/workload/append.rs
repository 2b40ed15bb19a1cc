//! Lists to which elements are appended: each transaction reads a list, checks it, and writes it back with
//! one element more, under SERIALIZABLE. An acknowledged element that a later reader does not see, or that
//! is not in its place at the end, shows a primary that had lost it, if only for a moment.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::Cluster;
use crate::error::{LabError, Result};
use crate::workload::session;
use crate::workload::steady::{Job, Session};
use crate::workload::writer::{Attempt, Outcome, WriteLog};

/// So many numbers share a list: a list is written anew with every element.
const LENGTH: i64 = 200;

/// The tables of the lists, to be made by the superuser.
pub const TABLES: &str = "DROP TABLE IF EXISTS lists; \
    CREATE TABLE lists (key bigint PRIMARY KEY, elements bigint[] NOT NULL)";

/// One of two clients that append to the same lists, each the numbers with its own remainder.
#[derive(Debug, Clone, Default)]
pub struct Append {
    list: i64,
    /// Those of the present list.
    acknowledged: BTreeSet<i64>,
    /// Acknowledged, and not in the list when it was read again.
    pub missed: Vec<i64>,
}

/// So many clients append.
pub const CLIENTS: i64 = 2;

impl Job for Append {
    async fn run(&mut self, session: &Session<'_>, id: i64) -> Outcome {
        let list = id / LENGTH;
        if list != self.list {
            self.list = list;
            self.acknowledged.clear();
        }
        let read = format!(
            "BEGIN ISOLATION LEVEL SERIALIZABLE; \
             INSERT INTO lists VALUES ({list}, '{{}}') ON CONFLICT DO NOTHING; \
             SELECT elements FROM lists WHERE key = {list}"
        );
        let rows = match session.before_commit(&read).await {
            Ok(answer) => session::rows(answer),
            Err(outcome) => return outcome,
        };
        let Some(mut elements) = rows.first().and_then(|row| parse(row.first()?)) else {
            return Outcome::Refused(format!("no list was read: {rows:?}"));
        };
        self.missed.extend(self.acknowledged.iter().filter(|one| !elements.contains(one)));
        elements.push(id);
        let text: Vec<String> = elements.iter().map(i64::to_string).collect();
        let write =
            format!("UPDATE lists SET elements = '{{{}}}' WHERE key = {list}", text.join(","));
        if let Err(outcome) = session.before_commit(&write).await {
            return outcome;
        }
        let outcome = session.commit("COMMIT").await;
        if matches!(outcome, Outcome::Acknowledged(_)) {
            self.acknowledged.insert(id);
        }
        outcome
    }

    fn next(&self, id: i64) -> i64 {
        id + CLIENTS
    }
}

/// `{1,2,3}`.
fn parse(text: &str) -> Option<Vec<i64>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    inner.split(',').filter(|one| !one.is_empty()).map(|one| one.parse().ok()).collect()
}

/// All lists of a node.
pub fn lists(cluster: &Cluster, node: &str) -> Result<Vec<Vec<i64>>> {
    let rows = cluster.psql(node, "SELECT elements FROM lists ORDER BY key")?;
    let list = |row: &str| {
        parse(row).ok_or_else(|| LabError::plain(format!("{node} gave the list `{row}`")))
    };
    rows.lines().map(list).collect()
}

/// How often each element of the client whose first number was `first` is there.
pub fn held(lists: &[Vec<i64>], first: i64) -> BTreeMap<i64, u64> {
    let mut held = BTreeMap::new();
    for element in lists.iter().flatten().filter(|one| (**one - first) % CLIENTS == 0) {
        *held.entry(*element).or_default() += 1;
    }
    held
}

/// Acknowledged elements that stand behind a later one of the same client. Where it was not told that an
/// element is in the list, that may have come later.
pub fn out_of_order(lists: &[Vec<i64>], log: &WriteLog) -> Vec<i64> {
    let is_acknowledged = |one: &&Attempt| matches!(one.outcome, Outcome::Acknowledged(_));
    let acknowledged: BTreeSet<i64> =
        log.attempts.iter().filter(is_acknowledged).map(|one| one.id).collect();
    let mut found = Vec::new();
    for list in lists {
        let mut last = None;
        for element in list.iter().filter(|one| acknowledged.contains(one)) {
            if last.is_some_and(|last| last > element) {
                found.push(*element);
            }
            last = last.max(Some(element));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn log(outcomes: &[(i64, bool)]) -> WriteLog {
        let now = Instant::now();
        let attempts = outcomes
            .iter()
            .map(|(id, acknowledged)| {
                let outcome = if *acknowledged {
                    Outcome::Acknowledged(now)
                } else {
                    Outcome::Unknown(String::new())
                };
                Attempt { id: *id, sent: now, outcome }
            })
            .collect();
        WriteLog { attempts, ..WriteLog::begin() }
    }

    #[test]
    fn a_list_is_read_as_postgresql_prints_it() {
        assert_eq!(parse("{}"), Some(vec![]));
        assert_eq!(parse("{3,5,-1}"), Some(vec![3, 5, -1]));
        assert_eq!(parse("{NULL}"), None);
        assert_eq!(parse("3"), None);
    }

    #[test]
    fn an_acknowledged_element_behind_a_later_one_is_out_of_order_and_an_unknown_one_may_be() {
        let all = log(&[(2, true), (4, false), (6, true), (8, true)]);
        for (lists, expected) in [
            (vec![vec![2, 4, 6, 8]], vec![]),
            (vec![vec![2, 6, 4, 8]], vec![]),
            (vec![vec![2, 8, 6]], vec![6]),
            (vec![vec![8, 6, 2]], vec![6, 2]),
            // Another client's, and another list.
            (vec![vec![3, 2, 1, 6], vec![8]], vec![]),
        ] {
            assert_eq!(out_of_order(&lists, &all), expected, "{lists:?}");
        }
    }

    #[test]
    fn the_elements_of_a_client_are_counted_and_no_others() {
        let lists = [vec![1, 2, 3, 4], vec![4, 5]];
        assert_eq!(held(&lists, 2), BTreeMap::from([(2, 1), (4, 2)]));
        assert_eq!(held(&lists, 1), BTreeMap::from([(1, 1), (3, 1), (5, 1)]));
    }
}
