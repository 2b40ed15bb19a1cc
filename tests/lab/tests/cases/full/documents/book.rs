//! The pages, their blocks of commands, and how these are typed.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::run::Output;
use lab::{Cluster, LabError, Result};

/// A page, and how a block there begins: its first words, white space as one blank. A block that reads so
/// as a whole comes before one that only begins so.
pub type Key = (&'static str, &'static str);

/// The longest that a block may take.
const LIMIT: Duration = Duration::from_mins(4);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn file(page: &str) -> PathBuf {
    if page == "README.md" { root().join(page) } else { root().join("docs").join(page) }
}

/// The names of all pages.
pub fn pages() -> Vec<String> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let names = docs
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .filter(|name| !["README.md", "SUMMARY.md", "CHANGELOG.md"].contains(&name.as_str()));
    names.chain(["README.md".to_owned()]).collect()
}

/// Lines that are indented like code.
#[derive(Clone, Debug)]
pub struct Block {
    /// Without the indentation.
    pub text: String,
}

impl Block {
    fn words(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Its lines, those that go on (`\`) joined, without comments and empty ones.
    pub fn lines(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", " ");
        let plain = joined.lines().map(|line| line.split(" # ").next().unwrap_or(line).trim());
        plain.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
    }
}

/// All blocks of a page.
pub fn blocks(page: &str) -> Vec<Block> {
    let text = fs::read_to_string(file(page)).unwrap();
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    let (mut inside, mut after_blank) = (false, true);
    for line in text.lines() {
        let indented = line.starts_with("    ");
        if indented && (inside || after_blank) {
            if !inside {
                blocks.push(Vec::new());
            }
            inside = true;
            blocks.last_mut().unwrap().push(line);
        } else if line.trim().is_empty() && inside {
            blocks.last_mut().unwrap().push("");
        } else {
            inside = false;
        }
        after_blank = line.trim().is_empty();
    }
    blocks.into_iter().map(|lines| Block { text: unindented(&lines) }).collect()
}

/// The one block that begins so.
pub fn find((page, start): Key) -> Block {
    let blocks = blocks(page);
    if let Some(whole) = blocks.iter().find(|block| block.words() == start) {
        return whole.clone();
    }
    let mut found = blocks.iter().filter(|block| block.words().starts_with(start));
    let first = found.next().unwrap_or_else(|| panic!("{page} has no block {start:?}"));
    assert!(found.next().is_none(), "{page} has several blocks {start:?}");
    first.clone()
}

/// The documents, with the addresses of a lab.
pub struct Book {
    prefix: String,
    taken: RefCell<BTreeSet<Key>>,
}

impl Book {
    /// `prefix` is the first three bytes of the nodes' addresses.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), taken: RefCell::new(BTreeSet::new()) }
    }

    /// The same, with the addresses of the lab; and it is played.
    pub fn take(&self, key: Key) -> Block {
        self.taken.borrow_mut().insert(key);
        Block { text: find(key).text.replace("10.0.0.", &format!("{}.", self.prefix)) }
    }

    /// Types a block on a node, the answers of the operator included.
    pub fn play(&self, cluster: &Cluster, node: &str, key: Key) -> Result<String> {
        script(cluster, node, &self.take(key).text)
    }

    /// Whether all was played that the table promises, and nothing else.
    pub fn end(&self, promised: &[Key]) {
        let promised: BTreeSet<Key> = promised.iter().copied().collect();
        assert_eq!(*self.taken.borrow(), promised);
    }
}

fn unindented(lines: &[&str]) -> String {
    let depth = |line: &&str| line.len() - line.trim_start().len();
    let least = lines.iter().filter(|line| !line.is_empty()).map(depth).min().unwrap_or(0);
    let cut: Vec<&str> = lines.iter().map(|line| line.get(least..).unwrap_or("")).collect();
    cut.join("\n").trim_end().to_owned()
}

/// What asks a person is told not to: nobody sits here.
fn answered(text: &str) -> String {
    let asks = ["switchover", "rebuild", "pause", "resume", "fix-pghba", "adopt"]
        .map(|one| format!("pgtwin {one}"));
    let line = |line: &str| {
        let bare = line.split(" # ").next().unwrap_or(line).trim_end();
        let there = line.contains("--yes") || line.contains("--dry-run");
        if asks.iter().any(|start| bare.starts_with(start.as_str())) && !there {
            format!("{bare} --yes")
        } else {
            line.to_owned()
        }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Whether pgtwin doctor has found something of this verdict.
pub fn finds(said: &str, verdict: &str) -> bool {
    said.lines().any(|line| line.starts_with(verdict))
}

/// Types lines into a shell of root's on a node.
pub fn script(cluster: &Cluster, node: &str, text: &str) -> Result<String> {
    let output = attempt(cluster, node, text)?;
    if output.ok() {
        return Ok(output.all());
    }
    Err(LabError::plain(format!("on {node}, exit code {}:\n{text}\n{}", output.code, output.all())))
}

/// The same; how it ends is a result.
pub fn attempt(cluster: &Cluster, node: &str, text: &str) -> Result<Output> {
    let output = cluster.command(node, &["sh", "-ec", &answered(text)]).limit(LIMIT).output()?;
    eprintln!("--- on {node}\n{text}\n--- exit code {}\n{}", output.code, output.all());
    Ok(output)
}

#[test]
fn blocks_are_found_with_their_lines_and_answers() {
    let lines = ["    a \\", "        b   # why", "", "    # c", "    d"];
    let block = Block { text: unindented(&lines) };
    assert_eq!(block.text, "a \\\n    b   # why\n\n# c\nd");
    assert_eq!(block.lines(), ["a      b", "d"]);
    assert_eq!(
        answered("pgtwin switchover --to n2   # x\npgtwin rebuild n2 --dry-run"),
        "pgtwin switchover --to n2 --yes\npgtwin rebuild n2 --dry-run"
    );
}
