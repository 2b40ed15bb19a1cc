//! What the ledger says, read as an operator would read it: the file on each node, and the copy
//! in the CIB. A reader of its own, so that it does not inherit the agent's mistakes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::config::PRIMITIVE;
use crate::error::{LabError, Result, chain};

/// How long a change of heirs may take.
const SOON: Duration = Duration::from_secs(90);

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `done` or `intent`.
    pub stage: String,
    /// Grows with every change of the primary.
    pub term: u64,
    /// Grows with every change within the term.
    pub seq: u64,
    /// The promotion's random number.
    pub id: String,
    /// The primary's node.
    pub primary: String,
    /// E: who may replace the primary.
    pub heirs: BTreeSet<String>,
}

/// A set of names, to compare `heirs` with.
pub fn set<S: AsRef<str>>(names: &[S]) -> BTreeSet<String> {
    names.iter().map(|name| name.as_ref().to_owned()).collect()
}

fn parse(text: &str) -> Result<Entry> {
    let (stage, fields) = text.split_once(' ').unwrap_or((text, ""));
    let field = |name: &str| {
        fields
            .split(' ')
            .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
            .ok_or_else(|| LabError::plain(format!("no {name} in the ledger's `{text}`")))
    };
    let number = |name: &str| {
        field(name)?
            .parse()
            .map_err(|_| LabError::plain(format!("{name} is no number in the ledger's `{text}`")))
    };
    let heirs = field("heirs")?;
    Ok(Entry {
        stage: stage.to_owned(),
        term: number("term")?,
        seq: number("seq")?,
        id: field("id")?.to_owned(),
        primary: field("primary")?.to_owned(),
        heirs: heirs.split(',').filter(|name| *name != "-").map(str::to_owned).collect(),
    })
}

fn path() -> String {
    format!("/var/lib/pgtwin/{PRIMITIVE}/ledger")
}

/// The entries in a node's file, whether it runs or not.
pub fn file(cluster: &Cluster, node: &str) -> Result<Vec<Entry>> {
    let text = cluster.read_file(node, &path())?;
    let entry = |line: &&str| line.starts_with("done ") || line.starts_with("intent ");
    text.lines().filter(entry).map(parse).collect()
}

/// The done entry in a node's own file that names the node as primary.
pub fn own(cluster: &Cluster, node: &str) -> Result<Entry> {
    file(cluster, node)?
        .into_iter()
        .find(|entry| entry.stage == "done" && entry.primary == node)
        .ok_or_else(|| LabError::plain(format!("the ledger of {node} has no entry of its own")))
}

/// The promotion that a node's own file says it follows.
pub fn followed(cluster: &Cluster, node: &str) -> Result<String> {
    cluster
        .read_file(node, &path())?
        .lines()
        .find_map(|line| line.strip_prefix("followed ").map(str::to_owned))
        .ok_or_else(|| LabError::plain(format!("the ledger of {node} follows nothing")))
}

/// The entries in the CIB.
pub fn cib(cluster: &Cluster) -> Result<Vec<Entry>> {
    let xpath = format!("//nvpair[starts-with(@name,'pgtwin-{PRIMITIVE}-ledger-')]");
    let xml = cluster.on_any(&["cibadmin", "--query", "--xpath", &xpath])?;
    let mut entries = Vec::new();
    for part in xml.split(" value=\"").skip(1) {
        let value = part.split('"').next().unwrap_or_default();
        // A slot is a done entry, an intent, or both; and what of the node's promotions came to nothing.
        let is_entry = |text: &&str| !text.is_empty() && !text.starts_with("void ");
        for text in value.split("; ").filter(is_entry) {
            entries.push(parse(text)?);
        }
    }
    Ok(entries)
}

/// The done entry of this primary in the CIB.
pub fn in_cib(cluster: &Cluster, primary: &str) -> Result<Entry> {
    cib(cluster)?
        .into_iter()
        .find(|entry| entry.stage == "done" && entry.primary == primary)
        .ok_or_else(|| LabError::plain(format!("the CIB has no ledger entry of {primary}")))
}

/// Waits until the primary's own file and the CIB name these heirs, and no others.
pub fn wait_heirs<S: AsRef<str>>(cluster: &Cluster, primary: &str, heirs: &[S]) -> Result<Entry> {
    let wanted = set(heirs);
    let what = format!("the ledger of {primary}, file and CIB, has the heirs {wanted:?}");
    cluster.wait_for(&what, SOON, || {
        let entry = own(cluster, primary).ok().filter(|entry| entry.heirs == wanted)?;
        in_cib(cluster, primary).is_ok_and(|copy| copy == entry).then_some(entry)
    })
}

/// All of it, for people.
pub fn show(cluster: &Cluster) -> String {
    let mut text = String::new();
    for node in cluster.nodes() {
        match cluster.read_file(&node, &path()) {
            Ok(content) => {
                for line in content.lines() {
                    let _ = writeln!(text, "{node}: {line}");
                }
            }
            Err(error) => {
                let _ = writeln!(text, "{node}: {}", chain(&error));
            }
        }
    }
    match cib(cluster) {
        Ok(entries) => {
            for entry in entries {
                let _ = writeln!(text, "CIB: {entry:?}");
            }
        }
        Err(error) => {
            let _ = writeln!(text, "CIB: {}", chain(&error));
        }
    }
    text
}
