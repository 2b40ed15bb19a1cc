//! What was measured, kept in a file so that a comparison can be made in pieces.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::compare::blow::Blow;
use crate::compare::cost::Cost;
use crate::error::{LabError, Result};
use crate::options::Agent;

/// One blow, and what came of it. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Who was struck.
    pub product: Agent,
    /// By what.
    pub blow: Blow,
    /// When, in UTC.
    pub at: String,
    /// The machine's load averages before.
    pub load: String,
    /// The node that was struck.
    pub node: String,
    /// The primary before.
    pub old: String,
    /// The primary at the end; none where nobody or more than one was found.
    pub new: Option<String>,
    /// How long writes stood still until the node was made whole; none: they did not go on.
    pub outage: Option<u64>,
    /// Writes acknowledged.
    pub acknowledged: usize,
    /// Of these, not on the primary at the end; none where there was nobody to ask.
    pub lost: Option<usize>,
    /// Writes that an instance took between two of another one.
    pub dual: usize,
    /// From the node's being made whole until all was well without anybody's help; none: not in time.
    pub back: Option<u64>,
    /// How long writes stood still after the node was made whole.
    pub outage_of_return: u64,
}

/// All that was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Versions of the programs, by product and package.
    pub versions: BTreeMap<String, String>,
    /// The blows.
    pub measured: Vec<Measured>,
    /// What each costs while nothing happens.
    pub costs: Vec<Cost>,
    /// Rounds that were played again because they could not be measured, and why.
    #[serde(default)]
    pub repeated: Vec<String>,
}

impl Record {
    /// The record of a directory; an empty one where there is none yet.
    pub fn read(dir: &Path) -> Result<Self> {
        let file = file(dir);
        match fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| {
                let file = file.display();
                LabError::plain(format!("{file} is not readable: {error}; move it away"))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(LabError::io(format!("read {}", file.display()))(error)),
        }
    }

    /// Writes it; the old one is whole until the new one is.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let file = file(dir);
        let new = dir.join("compare.json.new");
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| LabError::plain(format!("cannot write the record: {error}")))?;
        fs::create_dir_all(dir)
            .and_then(|()| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, &file))
            .map_err(LabError::io(format!("write {}", file.display())))
    }

    /// The measurements of one blow on one product.
    pub fn of(&self, product: Agent, blow: Blow) -> impl Iterator<Item = &Measured> {
        self.measured.iter().filter(move |one| one.product == product && one.blow == blow)
    }

    /// How many rounds are still to be measured.
    pub fn missing(&self, product: Agent, blow: Blow, rounds: u32) -> u32 {
        rounds.saturating_sub(u32::try_from(self.of(product, blow).count()).unwrap_or(u32::MAX))
    }

    /// True if what it costs was measured.
    pub fn has_cost(&self, product: Agent) -> bool {
        self.costs.iter().any(|cost| cost.product == product)
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("compare.json")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    /// A round of a blow on the primary n1, of which n2 became the next.
    pub(crate) fn measured(product: Agent, blow: Blow, outage: Option<u64>) -> Measured {
        Measured {
            product,
            blow,
            at: "2026-11-26T15:32:44Z".to_owned(),
            load: "1 1 1".to_owned(),
            node: "n1".to_owned(),
            old: "n1".to_owned(),
            new: Some("n2".to_owned()),
            outage,
            acknowledged: 100,
            lost: Some(0),
            dual: 0,
            back: Some(9000),
            outage_of_return: 90,
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_says_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = Record::read(dir.path()).unwrap();
        assert_eq!(record, Record::default());
        record.measured.push(measured(Agent::Paf, Blow::Move, Some(1500)));
        record.write(dir.path()).unwrap();
        let read = Record::read(dir.path()).unwrap();
        assert_eq!(read, record);
        assert_eq!(read.missing(Agent::Paf, Blow::Move, 5), 4);
        assert_eq!(read.missing(Agent::Paf, Blow::KillNode, 5), 5);
        assert_eq!(read.missing(Agent::Paf, Blow::Move, 1), 0);
        fs::write(dir.path().join("compare.json"), "{").unwrap();
        assert!(Record::read(dir.path()).is_err());
    }
}
