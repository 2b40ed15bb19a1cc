//! What `--json` prints is documented, field by field, for every command; the sources are read for the fields.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::Command;

/// A shape: the file and the type, the page, and the heading below which its fields stand.
const SHAPES: &[(&str, &[&str], &str, &str)] = &[
    (
        "decide/report/json.rs",
        &["Status", "Member", "Ledger", "Fencing", "Address", "Line"],
        "json.md",
        "## status",
    ),
    ("decide/explain/json.rs", &[], "json.md", "## explain"),
    ("decide/switchover/json.rs", &[], "json.md", "## switchover"),
    ("decide/pause.rs", &["Told"], "json.md", "## pause, resume"),
    ("decide/rebuild/json.rs", &[], "json.md", "## rebuild"),
    ("cli/bootstrap.rs", &[], "json.md", "## bootstrap"),
    ("cli/word.rs", &["Report", "Explained"], "json.md", "## forget, force-promote, adopt"),
    ("decide/history/json.rs", &[], "json.md", "## history"),
    ("cli/doctor.rs", &["Json", "Counts"], "doctor.md", "## JSON"),
    ("cli/setup.rs", &["Json", "Applied"], "setup.md", "## JSON"),
    ("decide/pghba/tried.rs", &[], "pghba.md", "### --json"),
    ("decide/pghba.rs", &["Verdict", "Entry", "Own", "BadLine", "Check"], "pghba.md", "### --json"),
    ("cli/fix_pghba.rs", &["Report"], "pghba.md", "## fix-pghba"),
];

/// Said once, for all of them.
const COMMON: [&str; 4] = ["version", "command", "resource", "seen_from"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The types of a file that are printed as JSON, with their fields.
fn printed(source: &str) -> Vec<(String, BTreeSet<String>)> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut found = Vec::new();
    for after in source.split("#[derive(").skip(1) {
        let (traits, rest) = after.split_once(")]").unwrap();
        let is_printed = traits.split(',').any(|name| name.trim() == "Serialize");
        let Some((_, item)) = rest
            .split_once("struct ")
            .filter(|(before, _)| is_printed && before.lines().all(|line| !line.contains("enum ")))
        else {
            continue;
        };
        let name = item.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned();
        let Some((_, body)) = item.split_once("{\n") else { continue };
        let body = body.split("\n}").next().unwrap();
        let lines: Vec<&str> = body.lines().map(str::trim).collect();
        let mut fields = BTreeSet::new();
        for (number, line) in lines.iter().enumerate() {
            let before = number.checked_sub(1).map_or("", |before| lines[before]);
            let left_out = before.contains("flatten") || before.contains("skip)");
            let bare = line.trim_start_matches("pub(super) ").trim_start_matches("pub ");
            if let Some((field, _)) =
                bare.split_once(": ").filter(|_| !left_out && !bare.starts_with(['/', '#']))
            {
                fields.insert(field.to_owned());
            }
        }
        found.push((name, fields));
    }
    found
}

/// What stands below a heading, up to the next of its rank.
fn section(page: &str, heading: &str) -> String {
    let text = read(&format!("docs/{page}"));
    let (_, after) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| {
        panic!("docs/{page} has no heading {heading:?}");
    });
    let rank = heading.split(' ').next().unwrap();
    let end = after.find(&format!("\n{rank} ")).unwrap_or(after.len());
    after[..end].to_owned()
}

#[test]
fn every_field_is_documented() {
    let mut missing = Vec::new();
    for (file, types, page, heading) in SHAPES {
        let text = section(page, heading);
        let found = printed(&read(&format!("src/{file}")));
        let mut seen = 0;
        for (name, fields) in &found {
            if !types.is_empty() && !types.contains(&name.as_str()) {
                continue;
            }
            seen += 1;
            for field in fields {
                let counts = name == "Counts";
                let field = if counts { field.to_uppercase() } else { field.clone() };
                let there = text.contains(&format!("`{field}`"))
                    || text.contains(&format!("\"{field}\""))
                    || text.contains(&format!(".{field}`"));
                if !there && !COMMON.contains(&field.as_str()) {
                    missing.push(format!("docs/{page}, {heading}: {field} ({name} in src/{file})"));
                }
            }
        }
        assert!(seen > 0 && seen >= types.len(), "{file}: {found:?}");
    }
    assert!(missing.is_empty(), "not documented:\n{}", missing.join("\n"));
}

#[test]
fn every_document_says_its_version_and_its_command() {
    for (file, top) in [
        ("decide/report/json.rs", "Status"),
        ("decide/pause.rs", "Told"),
        ("cli/word.rs", "Report"),
        ("cli/doctor.rs", "Json"),
        ("cli/setup.rs", "Json"),
        ("cli/setup.rs", "Applied"),
        ("decide/pghba/tried.rs", "Report"),
        ("cli/fix_pghba.rs", "Report"),
    ] {
        let found = printed(&read(&format!("src/{file}")));
        let (_, fields) = found.iter().find(|(name, _)| name == top).unwrap();
        assert!(fields.contains("version") && fields.contains("command"), "{file}: {fields:?}");
    }
    for file in [
        "decide/explain/json.rs",
        "decide/switchover/json.rs",
        "decide/rebuild/json.rs",
        "decide/history/json.rs",
        "cli/bootstrap.rs",
    ] {
        let found = printed(&read(&format!("src/{file}")));
        let both =
            |fields: &BTreeSet<String>| fields.contains("version") && fields.contains("command");
        assert!(found.iter().any(|(_, fields)| both(fields)), "{file}: {found:?}");
    }
}

/// Each command that is for people and has none below it.
fn leaves(command: &Command) -> Vec<&Command> {
    let below: Vec<&Command> = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
        .collect();
    if below.is_empty() { vec![command] } else { below.into_iter().flat_map(leaves).collect() }
}

#[test]
fn every_command_prints_json_and_the_page_says_where_its_shape_is() {
    let definition = pgtwin::cli::definition();
    for command in leaves(&definition) {
        let json = command.get_arguments().any(|argument| argument.get_id() == "json");
        assert!(json, "{} has no --json", command.get_name());
    }
    let page = read("docs/json.md");
    for command in definition.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let named = format!("`{}`", command.get_name());
        assert!(page.contains(&named), "docs/json.md does not name {named}");
    }
}
