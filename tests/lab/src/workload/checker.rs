//! The checker: compares what the writer was told with what a node holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cluster::Cluster;
use crate::error::{LabError, Result};
use crate::workload::writer::{Outcome, WriteLog};

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The node that was read.
    pub node: String,
    /// Rows acknowledged.
    pub acknowledged: usize,
    /// Acknowledged and not there: the disaster.
    pub lost: Vec<i64>,
    /// There more than once: each was sent once.
    pub duplicated: Vec<i64>,
    /// Refused by the server and there all the same.
    pub refused_but_there: Vec<i64>,
    /// Without an answer, and there.
    pub unknown_there: usize,
    /// Without an answer, and not there.
    pub unknown_absent: usize,
}

impl Verdict {
    /// Compares with the rows of the present primary.
    pub fn of(cluster: &Cluster, log: &WriteLog) -> Result<Self> {
        Self::on(cluster, &cluster.primary()?, log)
    }

    /// Compares with the rows of a given node.
    pub fn on(cluster: &Cluster, node: &str, log: &WriteLog) -> Result<Self> {
        Self::since(cluster, node, log, 0)
    }

    /// Compares with those rows of a given node whose number is not less than `first`; the log has no others.
    pub fn since(cluster: &Cluster, node: &str, log: &WriteLog, first: i64) -> Result<Self> {
        let sql = format!(
            "SELECT id, count(*) FROM writes WHERE run = {} AND id >= {first} GROUP BY id",
            log.run
        );
        let rows = cluster.psql(node, &sql)?;
        let mut held = BTreeMap::new();
        for row in rows.lines() {
            let fields = row.split_once('|').map(|(id, count)| (id.parse(), count.parse()));
            let Some((Ok(id), Ok(count))) = fields else {
                return Err(LabError::plain(format!("{node} gave the row `{row}`")));
            };
            held.insert(id, count);
        }
        Ok(Self { node: node.to_owned(), ..Self::compare(log, &held) })
    }

    /// The comparison itself; `held` is how often each number is there.
    pub fn compare(log: &WriteLog, held: &BTreeMap<i64, u64>) -> Self {
        let mut verdict = Self::default();
        let mut known = BTreeSet::new();
        for attempt in &log.attempts {
            let there = held.contains_key(&attempt.id);
            known.insert(attempt.id);
            match attempt.outcome {
                Outcome::Acknowledged(_) => {
                    verdict.acknowledged += 1;
                    if !there {
                        verdict.lost.push(attempt.id);
                    }
                }
                Outcome::Refused(_) if there => verdict.refused_but_there.push(attempt.id),
                Outcome::Refused(_) => {}
                Outcome::Unknown(_) if there => verdict.unknown_there += 1,
                Outcome::Unknown(_) => verdict.unknown_absent += 1,
            }
        }
        for (id, count) in held {
            if *count > 1 {
                verdict.duplicated.push(*id);
            }
            if !known.contains(id) {
                verdict.unknown_there += 1;
            }
        }
        verdict
    }

    /// Nothing lost, nothing twice, nothing that was refused.
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.duplicated.is_empty() && self.refused_but_there.is_empty()
    }

    /// An error that tells the numbers, unless the verdict is clean.
    pub fn require_clean(&self) -> Result<()> {
        if self.is_clean() { Ok(()) } else { Err(LabError::plain(self.to_string())) }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} writes acknowledged, {} lost on {}; without an answer: {} there, {} not",
            self.acknowledged,
            self.lost.len(),
            self.node,
            self.unknown_there,
            self.unknown_absent
        )?;
        for (what, numbers) in [
            ("lost", &self.lost),
            ("there twice", &self.duplicated),
            ("refused but there", &self.refused_but_there),
        ] {
            if !numbers.is_empty() {
                let some: Vec<String> = numbers.iter().take(20).map(i64::to_string).collect();
                write!(f, "; {what} ({}): {}", numbers.len(), some.join(" "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::workload::writer::Attempt;

    #[test]
    fn every_kind_of_difference_is_found() {
        let now = Instant::now();
        let attempt = |id, outcome| Attempt { id, sent: now, outcome };
        let log = WriteLog {
            run: 1,
            attempts: vec![
                attempt(1, Outcome::Acknowledged(now)),
                attempt(2, Outcome::Acknowledged(now)),
                attempt(3, Outcome::Unknown(String::new())),
                attempt(4, Outcome::Unknown(String::new())),
                attempt(5, Outcome::Refused(String::new())),
                attempt(6, Outcome::Refused(String::new())),
            ],
            failed_connections: 0,
            begin: now,
            end: now,
        };
        let held = BTreeMap::from([(1, 2), (3, 1), (5, 1), (9, 1)]);
        let verdict = Verdict::compare(&log, &held);
        let expected = Verdict {
            node: String::new(),
            acknowledged: 2,
            lost: vec![2],
            duplicated: vec![1],
            refused_but_there: vec![5],
            unknown_there: 2,
            unknown_absent: 1,
        };
        assert_eq!(verdict, expected);
        assert!(!verdict.is_clean());
        let without_loss = BTreeMap::from([(1, 1), (2, 1)]);
        assert!(Verdict::compare(&log, &without_loss).is_clean());
    }
}
