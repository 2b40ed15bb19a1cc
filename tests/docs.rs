//! The documents say what the program says: every refusal of an election and every reason for
//! waiting is found in docs/safety.md in its own words, and no link leads nowhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pgtwin::cluster::ledger::{Entry, Mode, PromotionId};
use pgtwin::cluster::node::NodeName;
use pgtwin::decide::election::Obstacle;
use pgtwin::decide::sync::Waiting;
use pgtwin::postgres::lsn::{Lsn, Timeline};

/// What stands for a name, a number or a text that varies; no message contains it otherwise.
const NAME: &str = "zz1";
const WHY: &str = "zz2";
const NUMBER: u64 = 77_777;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn name() -> NodeName {
    NAME.parse().unwrap()
}

fn names() -> BTreeSet<NodeName> {
    BTreeSet::from([name()])
}

#[allow(clippy::unnecessary_box_returns)] // obstacles hold it so
fn entry(heirs: BTreeSet<NodeName>) -> Box<Entry> {
    Box::new(Entry {
        system_id: NUMBER,
        term: NUMBER,
        seq: 0,
        id: PromotionId(NUMBER),
        primary: name(),
        timeline: Timeline(1),
        mode: Mode::Sync,
        heirs,
        history: Vec::new(),
    })
}

fn obstacles() -> Vec<Obstacle> {
    let at = (Timeline(77_777), Lsn(NUMBER));
    let all = vec![
        Obstacle::OwnPositionUnknown(WHY.into()),
        Obstacle::StillReplaying,
        Obstacle::OwnLedgerUnknown(WHY.into()),
        Obstacle::CibUnknown(WHY.into()),
        Obstacle::ForeignSystem { theirs: NUMBER, ours: NUMBER, source: WHY.into() },
        Obstacle::NotAnHeir(entry(BTreeSet::new())),
        Obstacle::NotAnHeir(entry(names())),
        Obstacle::NotSeen(name(), WHY.into()),
        Obstacle::NotExact(name()),
        Obstacle::Behind { better: name(), at, mine: at },
        Obstacle::Diverged { from: name(), fork: at },
        Obstacle::OtherBranch { mine: PromotionId(NUMBER), primary: name() },
        Obstacle::NobodyToConfirm(names()),
        // Their words are those of the look at the old primary's end.
        Obstacle::LacksTheEnd(format!("{NAME} ended at 0/12FD1 (timeline 77777), this node has")),
        Obstacle::EndUnknown(format!(
            "{NAME} is online, does not run, and where it ended is not known"
        )),
        Obstacle::TooFarBehind { bytes: NUMBER, allowed: NUMBER },
    ];
    // A new one has to be put into the list, and into the document.
    for one in &all {
        match one {
            Obstacle::OwnPositionUnknown(_)
            | Obstacle::StillReplaying
            | Obstacle::OwnLedgerUnknown(_)
            | Obstacle::CibUnknown(_)
            | Obstacle::ForeignSystem { .. }
            | Obstacle::NotAnHeir(_)
            | Obstacle::NotSeen(..)
            | Obstacle::NotExact(_)
            | Obstacle::Behind { .. }
            | Obstacle::Diverged { .. }
            | Obstacle::OtherBranch { .. }
            | Obstacle::NobodyToConfirm(_)
            | Obstacle::LacksTheEnd(_)
            | Obstacle::EndUnknown(_)
            | Obstacle::TooFarBehind { .. } => {}
        }
    }
    all
}

fn waits() -> Vec<Waiting> {
    let all = vec![
        Waiting::ClusterUnknown(WHY.into()),
        Waiting::ForStandby(names()),
        Waiting::ForProof(names()),
        Waiting::Strict,
        Waiting::NoFencing(WHY.into()),
        Waiting::NoQuorum,
        Waiting::FileLost(names()),
        Waiting::FileLost(BTreeSet::new()),
        Waiting::ForAcks(names()),
    ];
    for one in &all {
        match one {
            Waiting::ClusterUnknown(_)
            | Waiting::ForStandby(_)
            | Waiting::ForProof(_)
            | Waiting::Strict
            | Waiting::NoFencing(_)
            | Waiting::NoQuorum
            | Waiting::FileLost(_)
            | Waiting::ForAcks(_) => {}
        }
    }
    all
}

/// The longest part of a message that does not vary.
fn constant_part(message: &str) -> String {
    let mut text = message.to_owned();
    for varies in [NAME, WHY, "77777", "0/12FD1", "0000000000012fd1"] {
        text = text.replace(varies, "\0");
    }
    text.split('\0').map(str::trim).max_by_key(|part| part.len()).unwrap().to_owned()
}

fn missing_in(page: &str, messages: impl Iterator<Item = String>) -> Vec<String> {
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
    messages.map(|message| constant_part(&message)).filter(|part| !text.contains(part)).collect()
}

#[test]
fn every_refusal_and_every_wait_is_explained_in_its_own_words() {
    let refusals = obstacles().into_iter().map(|one| one.to_string());
    let waits = waits().into_iter().map(|one| one.to_string());
    let missing = missing_in("safety.md", refusals.chain(waits));
    assert!(missing.is_empty(), "docs/safety.md lacks: {missing:#?}");
}

#[test]
fn a_message_that_is_not_explained_would_be_found() {
    let invented = format!("{NAME} has no business here ({WHY})");
    assert_eq!(missing_in("safety.md", [invented].into_iter()), ["has no business here ("]);
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("packaging/README.md")];
    let docs = fs::read_dir(root().join("docs")).unwrap();
    pages.extend(docs.map(|entry| entry.unwrap().path()));
    pages.retain(|page| page.extension().is_some_and(|end| end == "md"));
    pages
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn leads_somewhere(page: &Path, link: &str) -> bool {
    let (file, part) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { page.with_file_name(file) };
    if part.is_empty() {
        return target.exists();
    }
    fs::read_to_string(target).is_ok_and(|text| {
        text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == part)
    })
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split(')').next().unwrap();
            links += 1;
            assert!(leads_somewhere(&page, link), "{}: {link}", page.display());
        }
    }
    assert!(links > 20, "only {links} links were found");
    assert!(!leads_somewhere(&root().join("README.md"), "docs/nowhere.md"));
    assert!(!leads_somewhere(&root().join("README.md"), "docs/safety.md#nowhere"));
}
