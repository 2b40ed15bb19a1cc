//! Each block of commands in the documents is played by a case (`full::documents`), or the table below says
//! why not.

use std::collections::BTreeSet;

use crate::full::documents::book::{blocks, find, pages};
use crate::full::documents::played;

/// Blocks that no case plays, and why.
const NOT_PLAYED: &[(&str, &str, &str)] = &[
    ("README.md", "cargo run -p lab -- demo", "the lab's test `command` plays it"),
    ("README.md", "the fault", "what the demo prints"),
    ("README.md", "tests/run", "this"),
    ("README.md", "packaging/build", "every lab installs what it builds"),
    ("architecture.md", "loop {", "no command"),
    (
        "architecture.md",
        "cargo run -p fuzz",
        "it needs a nightly toolchain; tests/run fuzzes without",
    ),
    ("architecture.md", "floor", "no command"),
    (
        "compare-measured.md",
        "cargo run -p lab -- compare",
        "two hours; full::compare plays one round of one fault",
    ),
    ("concepts.md", "applications --->", "no command"),
    ("cli.md", "*", "made from the program; tests/manual compares"),
    (
        "container-images.md",
        "pgtwin container pull",
        "tests/container plays it, with a registry of its own",
    ),
    (
        "container-migration.md",
        "pgtwin container adopt",
        "full::containers does it, on nodes with podman",
    ),
    (
        "container-migration.md",
        "pgtwin container leave",
        "full::containers does it, on nodes with podman",
    ),
    ("container-migration.md", "REINDEX DATABASE", "an operator's SQL, for another glibc"),
    ("containers.md", "pcs resource update", "full::containers does it, on nodes with podman"),
    ("containers.md", "container_options=", "a value; rows of ocf::params have it"),
    ("containers.md", "Runtime n1", "a screen; decide::report::tests::runtime has its rows"),
    ("doctor.md", "{", "JSON"),
    ("install.md", "packaging/build", "every lab installs what it builds"),
    (
        "install.md",
        "apt install ./pgtwin",
        "every lab installs the .deb, by dpkg; there is no RPM system here",
    ),
    ("install.md", "cargo build --release", "tests/packages plays it"),
    ("model.md", "cargo run -p model", "tests/run plays the model, with other bounds"),
    (
        "operations.md",
        "op monitor interval=30s",
        "a line of a resource; tests/clone plays the level",
    ),
    ("pghba.md", "# pgtwin validate-pghba", "what it prints; tests/hba compares"),
    ("pghba.md", "# BEGIN pgtwin", "what it writes; tests/hba compares"),
    ("quick-start.md", "cargo run -p lab -- up", "every case brings a lab up"),
    ("quick-start.md", "cargo run -p lab -- status", "the lab's test `command` plays it"),
    (
        "quick-start.md",
        "systemctl disable",
        "there is neither systemd nor systemctl in a container; step 4 does it for the instance",
    ),
    (
        "recovery-by-hand.md",
        "rm /var/lib/pgtwin/db/attempts",
        "it takes ten failed attempts; rows of decide::recovery have the rule",
    ),
    ("recovery.md", "host replication", "the quick start's"),
    ("recovery.md", "*:5432", "the quick start's"),
    (
        "recovery.md",
        "rm /var/lib/pgtwin/RSC/attempts",
        "it takes ten failed attempts; rows of decide::recovery have the rule",
    ),
    ("setup.md", "{", "JSON"),
    ("storage.md", "/srv/postgres/", "no command"),
    ("storage.md", "pgtwin storage migrate --confirm", "tests/storage plays it, on Btrfs and ext4"),
    ("storage.md", "pgtwin storage migrate --dry-run", "tests/storage plays it, on Btrfs and ext4"),
    ("storage.md", "pgtwin storage migrate --undo", "tests/storage plays it, on Btrfs and ext4"),
    ("storage.md", "pgtwin storage prepare --dry-run", "tests/storage plays it, on Btrfs and ext4"),
    (
        "storage.md",
        "pgtwin storage prepare --param storage_root=/srv/postgres #",
        "not yet on a cluster; tests/storage plays its own commands without one",
    ),
    (
        "storage.md",
        "pgtwin storage prepare --param storage_root=/srv/postgres --param pguser",
        "tests/storage plays it",
    ),
    ("torture.md", "cargo run -p lab -- torture", "cases::torture plays it, with other options"),
];

#[test]
fn every_block_of_the_documents_is_played_or_the_table_says_why_not() {
    let mut left = BTreeSet::new();
    for page in pages() {
        left.extend(blocks(&page).into_iter().map(|block| (page.clone(), block.text)));
    }
    assert!(left.len() > 80, "{}", left.len());
    let keys = NOT_PLAYED.iter().map(|(page, start, _)| (*page, *start)).chain(played());
    for (page, start) in keys {
        if start == "*" {
            left.retain(|(of, _)| of != page);
            continue;
        }
        let text = find((page, start)).text;
        // Two cases may play the same block.
        left.remove(&(page.to_owned(), text));
    }
    let words = |(page, text): &(String, String)| format!("{page}: {}", text.replace('\n', " | "));
    assert!(
        left.is_empty(),
        "not played:\n{}",
        left.iter().map(words).collect::<Vec<_>>().join("\n")
    );
}
