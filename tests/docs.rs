//! The documents say what the program says: every refusal of an election and every reason for
//! waiting is found in docs/safety.md in its own words, and no link leads nowhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pgtwin::client::recovery_log::KEPT;
use pgtwin::cluster::cib::{Cib, Setting, Settings};
use pgtwin::cluster::known::Known;
use pgtwin::cluster::ledger::{Entry, Mode, Own, Past, PromotionId, Store};
use pgtwin::cluster::node::NodeName;
use pgtwin::cluster::recovery::{Attempts, MOST, Turn, pause};
use pgtwin::decide::election::Obstacle;
use pgtwin::decide::recovery::{self, Cause, Check, Marked, Mount, Possible, Way};
use pgtwin::decide::start::{Live, Upstream};
use pgtwin::decide::sync::Waiting;
use pgtwin::decide::upstream::disowned;
use pgtwin::ocf::params::{Params, TABLE};
use pgtwin::postgres::copy_tools::REWIND_GRANTS;
use pgtwin::postgres::history::History;
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
        adopted: None,
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
        Obstacle::NotAnHeir(Box::new(Entry { adopted: Some(vec![]), ..*entry(BTreeSet::new()) })),
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
        Obstacle::LagUnknown(name()),
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
            | Obstacle::TooFarBehind { .. }
            | Obstacle::LagUnknown(_) => {}
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

/// All that a node says that waits to be brought back, or is not brought back.
fn waiting_words() -> Vec<String> {
    let live = Live {
        node: name(),
        system_id: NUMBER,
        line: History::of_first_line(),
        lsn: Lsn(NUMBER),
        promotion: Known::Known(PromotionId(1)),
        knows_our_promotion: None,
        feeds_us: true,
        adopted: None,
    };
    let unsaid = Upstream::Live(Box::new(Live { promotion: Known::unknown(WHY), ..live.clone() }));
    let live = Upstream::Live(Box::new(live));
    let mut ledger = Store::default();
    ledger.set_done(*entry(BTreeSet::new()));
    let other: NodeName = WHY.parse().unwrap();
    let older = Upstream::Disowned(other.clone(), disowned(&other, &ledger).unwrap());
    ledger.set_done(Entry { primary: other.clone(), ..*entry(names()) });
    let same = Upstream::Disowned(other.clone(), disowned(&other, &ledger).unwrap());
    let mut ledger = Store::default();
    ledger.set_done(Entry { primary: other.clone(), term: 1, ..*entry(names()) });
    let history = vec![Past { id: PromotionId(NUMBER), timeline: Timeline(1) }];
    ledger.set_intent(Entry { history, ..*entry(names()) });
    let followed = Upstream::Disowned(other.clone(), disowned(&other, &ledger).unwrap());
    let well = recovery::Facts {
        pgdata: WHY.into(),
        marked: Marked::Nothing,
        cause: Known::Known(Some(Cause::Diverged(WHY.into()))),
        system_id: Some(NUMBER),
        upstream: live,
        upstream_is_me: false,
        adopting: None,
        mount: Mount::InPlace,
        // A number that is no other part of a message.
        failed: Attempts { failed: 77_777, ..Attempts::default().failed_again(0, WHY, WHY) },
        turn: Turn::Now,
        again: WHY.into(),
        rewind_failed: false,
        check: Some(Check {
            rewind: Possible::Never(WHY.into()),
            rebuild: Possible::NotNow(WHY.into()),
        }),
    };
    let cause_unknown = Known::unknown(WHY);
    let adopting = Own { adopting: Some(PromotionId(1)), ..Own::new(WHY, &name()) }.unfinished();
    let all = [
        recovery::Facts { mount: Mount::Missing(WHY.into()), ..well.clone() },
        recovery::Facts { mount: Mount::Unknown(WHY.into()), ..well.clone() },
        recovery::Facts { cause: cause_unknown, ..well.clone() },
        recovery::Facts {
            marked: Marked::Unreadable(WHY.into()),
            upstream: Upstream::Nobody,
            ..well.clone()
        },
        recovery::Facts { upstream: Upstream::Nobody, ..well.clone() },
        recovery::Facts { upstream: Upstream::Silent(name(), WHY.into()), ..well.clone() },
        recovery::Facts { upstream: older, ..well.clone() },
        recovery::Facts { upstream: same, ..well.clone() },
        recovery::Facts { upstream: followed, ..well.clone() },
        recovery::Facts { upstream: Upstream::Unknown(WHY.into()), ..well.clone() },
        recovery::Facts { upstream: unsaid, ..well.clone() },
        recovery::Facts { upstream_is_me: true, ..well.clone() },
        recovery::Facts { system_id: Some(1), ..well.clone() },
        recovery::Facts { adopting, ..well.clone() },
        recovery::Facts { turn: Turn::At(1), ..well.clone() },
        recovery::Facts { turn: Turn::Over, ..well.clone() },
        well,
    ];
    let words = |facts: &recovery::Facts| match recovery::way(facts) {
        Way::Wait(words) | Way::Refuse(words) => words,
        way @ (Way::Follow | Way::MakeTheCheck | Way::Recover(..)) => panic!("{way:?}: {facts:?}"),
    };
    all.iter().map(words).collect()
}

#[test]
fn what_a_waiting_node_says_is_explained_in_its_own_words() {
    let words = waiting_words();
    assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
    let missing = missing_in("recovery.md", words.into_iter());
    assert!(missing.is_empty(), "docs/recovery.md lacks: {missing:#?}");
}

#[test]
fn the_numbers_and_grants_of_the_recovery_page_are_those_of_the_program() {
    let page = fs::read_to_string(root().join("docs/recovery.md")).unwrap();
    for grant in REWIND_GRANTS {
        assert!(page.contains(&format!("    GRANT {grant} TO replicator;\n")), "{grant}");
    }
    let short = |seconds: u64| match seconds {
        0..60 => format!("{seconds} s"),
        _ => format!("{} min", seconds / 60),
    };
    let mut pauses: Vec<String> = (1..MOST).map(|failed| short(pause(failed).as_secs())).collect();
    pauses.dedup();
    let last = pauses.pop().unwrap();
    let sentence = format!("{}, then {last} each. After {MOST} in a row", pauses.join(", "));
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&page).contains(&sentence), "{sentence}");
    assert!(words(&page).contains(&format!("The last {KEPT} attempts are kept")));
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

/// Where the links of a page lead to.
fn links(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let targets = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
    targets.map(|rest| rest.split(')').next().unwrap().to_owned()).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut found = 0;
    for page in pages() {
        for link in links(&page) {
            found += 1;
            assert!(leads_somewhere(&page, &link), "{}: {link}", page.display());
        }
    }
    assert!(found > 100, "only {found} links were found");
    assert!(!leads_somewhere(&root().join("README.md"), "docs/nowhere.md"));
    assert!(!leads_somewhere(&root().join("README.md"), "docs/safety.md#nowhere"));
}

/// What lies outside of docs/ is not in the book.
#[test]
fn no_link_leads_out_of_the_book() {
    for page in pages().iter().filter(|page| page.parent() == Some(&root().join("docs"))) {
        for link in links(page) {
            assert!(!link.contains("..") && !link.starts_with('/'), "{}: {link}", page.display());
        }
    }
}

#[test]
fn the_book_and_its_first_page_have_every_page_once() {
    for (summary, itself) in [("SUMMARY.md", "SUMMARY.md"), ("README.md", "README.md")] {
        let mut listed = links(&root().join("docs").join(summary));
        listed.sort();
        let mut wanted: Vec<String> = pages()
            .iter()
            .filter(|page| page.parent() == Some(&root().join("docs")))
            .map(|page| page.file_name().unwrap().to_str().unwrap().to_owned())
            .filter(|name| name != itself && name != "SUMMARY.md")
            .collect();
        wanted.sort();
        assert_eq!(listed, wanted, "docs/{summary}");
    }
}

/// The CIB that the commands of the quick start made, by this tool.
fn made_by(tool: &str) -> Cib {
    let path = root().join(format!("tests/fixtures/quick-start/{tool}.cib.xml"));
    Cib::parse(&fs::read_to_string(path).unwrap()).unwrap()
}

fn settings(settings: &Settings) -> BTreeMap<String, String> {
    let plain = |(name, value): (&String, &Setting)| match value {
        Setting::Set(value) => (name.clone(), value.clone()),
        Setting::Conditional => panic!("{name} is set by a rule"),
    };
    settings.iter().map(plain).collect()
}

#[test]
fn the_commands_of_the_quick_start_make_a_resource_that_pgtwin_takes() {
    let page = fs::read_to_string(root().join("docs/quick-start.md")).unwrap();
    let (_, page) = page.split_once("### 5. The resource").unwrap();
    let (crmsh, pcs) = page.split_once("With pcs:").unwrap();
    let (pcs, _) = pcs.split_once("### 6.").unwrap();
    for (tool, commands) in [("crmsh", crmsh), ("pcs", pcs)] {
        let cib = made_by(tool);
        let primitive = cib.primitive("db").unwrap();
        let clone = primitive.clone.as_ref().unwrap();
        assert_eq!(clone.id, "db-clone", "{tool}");
        assert!(clone.promotable, "{tool}");
        let parameters = settings(&primitive.parameters);
        let resolved = Params::resolve_attributes(&parameters);
        assert_eq!(resolved.errors, [], "{tool}");
        for name in parameters.keys() {
            assert!(TABLE.iter().any(|spec| spec.name == name), "{tool}: {name} is no parameter");
        }
        // What was captured is what the page says.
        let words: Vec<&str> = commands.split_whitespace().collect();
        let mut all = parameters;
        all.extend(settings(&primitive.meta));
        all.extend(settings(&clone.meta));
        all.remove("node_list");
        assert!(commands.contains("node_list=\"n1 n2 n3\""), "{tool}");
        for (name, value) in all {
            let word = format!("{name}={value}");
            let implied = tool == "pcs" && name == "promotable";
            assert!(words.contains(&word.as_str()) || implied, "{tool}: the page lacks {word}");
        }
        let written = words.iter().filter(|word| word.contains("timeout=") && word.ends_with('s'));
        let operations = primitive.operations.iter().filter(|operation| {
            // pcs adds what the meta-data suggests.
            operation.name != "reload-agent"
        });
        // failure-timeout, and the timeout of the address's monitor.
        assert_eq!(written.count(), operations.count() + 2, "{tool}");
    }
}
