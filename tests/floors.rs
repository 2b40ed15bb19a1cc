//! A module imports only from the floors below its own, and the lower floors do not touch the world.
//!
//! The sources are read as text: comments and literals are blanked, paths of `use` trees are spelled
//! out, and each path is held against what its floor may name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The modules of each floor, lowest first.
const FLOORS: &[&[&str]] = &[
    &["ocf", "postgres", "cluster"],
    &["decide"],
    &["sys", "client", "runtime"],
    &["agent"],
    &["cli"],
];

/// Crates that floors 0 and 1 may name. quick_xml is a parser of `&str`; only its `from_file` reads.
const PURE_CRATES: &[&str] = &["std", "core", "alloc", "thiserror", "serde", "quick_xml"];

/// What floors 0 and 1 may not name in std: the world, and the clock.
const WORLD: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
];

/// Crates of this package that touch the world; any path that begins with one counts.
const WORLDLY_CRATES: &[&str] = &[
    "tokio",
    "tokio_postgres",
    "nix",
    "tempfile",
    "tracing",
    "tracing_subscriber",
    "clap",
    "libc",
];

/// Macros that print or read the environment at compile time or later.
const WORLDLY_MACROS: &[&str] = &["print!", "println!", "eprint!", "eprintln!", "dbg!"];

/// What only decisions name: the exit codes of the agent (std's has others), how two positions lie to each
/// other, and what a control file says of a crash. Above them these are handed on, and not judged.
const JUDGED: &[(&str, &[&str])] = &[
    (
        "ExitCode",
        &[
            "Ok",
            "Error",
            "Args",
            "Unimplemented",
            "Perm",
            "Installed",
            "Configured",
            "NotRunning",
            "RunningPromoted",
            "FailedPromoted",
            "Degraded",
            "DegradedPromoted",
        ],
    ),
    ("Relation", &["Equal", "AAhead", "BAhead", "Diverged"]),
    ("WasWritable", &["Yes", "No", "Unknown"]),
];

/// A path that ends in one of them.
fn is_judged(path: &str) -> bool {
    let mut parts = path.rsplit("::");
    let (variant, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    JUDGED.iter().any(|(judged, variants)| {
        *judged == name && (variant == "*" || variants.contains(&variant))
    })
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn floor_of(file: &str) -> Option<usize> {
    let module = file.split(['/', '.']).next()?;
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// Every Rust file below `src`, by its path relative to it.
fn sources() -> BTreeMap<String, String> {
    let root = source_root();
    let mut found = BTreeMap::new();
    let mut todo = vec![root.clone()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The source without what is not code, and without the test module at its end.
fn code_of(source: &str) -> String {
    let blanked = blank(source);
    let tests = blanked.match_indices("#[cfg(test)]").find(|(at, mark)| {
        let mut after = blanked[at + mark.len()..].lines().map(str::trim);
        let item = after.find(|line| !line.is_empty() && !line.starts_with("#["));
        item.is_some_and(|item| item.starts_with("mod tests"))
    });
    match tests {
        Some((at, _)) => blanked[..at].to_owned(),
        None => blanked,
    }
}

/// A file that holds nothing but tests.
fn is_test(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// Replaces comments and literals by blanks.
fn blank(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    let starts = |at: usize, word: &str| {
        word.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c))
    };
    while at < chars.len() {
        let c = chars[at];
        if starts(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            let mut depth = 0;
            loop {
                if starts(at, "/*") {
                    depth += 1;
                    at += 2;
                } else if starts(at, "*/") {
                    depth -= 1;
                    at += 2;
                } else {
                    at += 1;
                }
                if depth == 0 || at >= chars.len() {
                    break;
                }
            }
        } else if let Some(hashes) = raw_string(&chars, at) {
            let end: String =
                std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            at += hashes + 2;
            while at < chars.len() && !starts(at, &end) {
                at += 1;
            }
            at += end.len();
            out.push(' ');
        } else if c == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
            out.push(' ');
        } else if c == '\''
            && (chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\''))
        {
            at += if chars[at + 1] == '\\' { 3 } else { 2 };
            while at < chars.len() && chars[at] != '\'' {
                at += 1;
            }
            at += 1;
            out.push(' ');
        } else {
            out.push(c);
            at += 1;
        }
    }
    out
}

/// `r"`, `r#"` and so on at this place: the number of hashes.
fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    if chars[at] != 'r' || (at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')) {
        return None;
    }
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    (chars.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

/// All paths that the code names: `use` trees spelled out, and inline paths of two parts or more.
fn paths_of(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find("::") {
        // Back to the beginning of the path's first word, on to the end of the tree.
        let head_at = rest[..start].rfind(|c: char| !is_word(c)).map_or(0, |at| at + 1);
        let head = &rest[head_at..start];
        let (tails, used) = tails_of(&rest[start + 2..]);
        for tail in tails {
            let path = if head.is_empty() { tail } else { format!("{head}::{tail}") };
            paths.push(path);
        }
        rest = &rest[start + 2 + used..];
    }
    for line in code.lines() {
        // `use tokio;` and `extern crate tokio;` have no `::`.
        let line = line.trim().trim_start_matches("pub ");
        for start in ["use ", "extern crate "] {
            if let Some(name) = line.strip_prefix(start)
                && !name.contains("::")
            {
                paths.push(name.split([';', ' ']).next().unwrap_or_default().to_owned());
            }
        }
    }
    paths
}

/// What follows a `::`, spelled out, and how many bytes of the text it took.
fn tails_of(text: &str) -> (Vec<String>, usize) {
    let blanks = text.len() - text.trim_start().len();
    let text = &text[blanks..];
    if let Some(inner) = text.strip_prefix('{') {
        let mut tails = Vec::new();
        let mut used = 1;
        let mut rest = inner;
        loop {
            let skipped = rest.len() - rest.trim_start_matches([' ', '\n', ',']).len();
            rest = &rest[skipped..];
            used += skipped;
            if rest.is_empty() || rest.starts_with('}') {
                return (tails, blanks + (used + 1).min(text.len()));
            }
            let (more, took) = tails_of(rest);
            tails.extend(more);
            used += took.max(1);
            rest = rest.get(took.max(1)..).unwrap_or_default();
        }
    }
    let word = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    let name = &text[..word];
    if let Some(after) = text[word..].strip_prefix("::")
        && after.trim_start().starts_with(|c: char| is_word(c) || c == '{' || c == '*')
    {
        let (tails, used) = tails_of(after);
        let tails = tails.into_iter().map(|tail| format!("{name}::{tail}")).collect();
        return (tails, blanks + word + 2 + used);
    }
    let word = if name.is_empty() && text.starts_with('*') { 1 } else { word };
    (vec![text[..word].to_owned()], blanks + word)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn begins_with(path: &str, prefix: &str) -> bool {
    path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with("::"))
}

/// Everything that this file may not say, one line each.
fn violations(file: &str, source: &str) -> Vec<String> {
    if is_test(file) {
        return Vec::new();
    }
    // lib.rs and main.rs stand above all floors.
    let floor = floor_of(file).unwrap_or(FLOORS.len());
    let code = code_of(source);
    let paths = paths_of(&code);
    let mut found = Vec::new();
    let mut add = |what: &str| found.push(format!("src/{file} (floor {floor}) names {what}"));
    for path in &paths {
        let below_crate = path
            .strip_prefix("crate::")
            .or_else(|| path.strip_prefix("pgtwin::"))
            .and_then(|rest| rest.split("::").next());
        if let Some(module) = below_crate {
            let above = FLOORS.iter().skip(floor + 1).any(|modules| modules.contains(&module));
            if above {
                add(path);
            }
        }
        if path.starts_with("crate::*") {
            add("everything by crate::*");
        }
        if floor >= 2 && is_judged(path) {
            add(&format!("{path}; that is for decide/ to judge"));
        }
        let command = format!("::{path}::").contains("::process::Command::");
        if command && file != "sys/exec.rs" && !file.starts_with("sys/exec/") {
            add(&format!("{path}; only the module sys::exec starts a process"));
        }
        if floor <= 1 {
            let root = path.split("::").next().unwrap_or_default();
            let uses_crate = WORLDLY_CRATES.contains(&root);
            if uses_crate || WORLD.iter().any(|world| begins_with(path, world)) {
                add(path);
            }
            if path.ends_with("::from_file") {
                add(path);
            }
            if ["std::*", "std::net::*", "std::time::*"].contains(&path.as_str()) {
                add(path);
            }
        }
    }
    if floor <= 1 {
        for import in imports(&code) {
            let root = import.split("::").next().unwrap_or_default();
            let ours = ["crate", "super", "self"].contains(&root);
            // Names of the same module need no prefix: `use Kind::*`, `use fmt::Write`.
            let local = root.starts_with(char::is_uppercase)
                || code.contains(&format!("mod {root};"))
                || paths.iter().any(|path| path.ends_with(&format!("::{root}")));
            if !ours && !local && !PURE_CRATES.contains(&root) {
                add(&format!("the crate {root}"));
            }
        }
        for name in WORLDLY_MACROS {
            let whole = |at: usize| !code[..at].ends_with(is_word);
            if code.match_indices(name).any(|(at, _)| whole(at)) {
                add(name);
            }
        }
    }
    found
}

/// The paths of `use` declarations alone.
fn imports(code: &str) -> Vec<String> {
    let mut imports = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let starts_line = code[..at].rsplit('\n').next().is_some_and(|before| {
            let before = before.trim();
            before.is_empty() || before.starts_with("pub")
        });
        // `pub enum Cause {` declares nothing.
        let whole = !code[..at].ends_with(is_word);
        let end = code[at..].find(';').map(|end| at + end);
        if let (true, Some(end)) = (starts_line && whole, end) {
            imports.push(code[at + 4..end].trim().trim_start_matches("::").to_owned());
        }
    }
    imports
}

#[test]
fn every_file_keeps_to_its_floor() {
    let sources = sources();
    let mut read = vec![0; FLOORS.len()];
    let mut found = Vec::new();
    for (file, source) in &sources {
        if let Some(floor) = floor_of(file) {
            read[floor] += 1;
        }
        found.extend(violations(file, source));
    }
    assert!(read.iter().all(|files| *files > 0), "no file was read of a floor: {read:?}");
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_module_of_the_library_has_a_floor() {
    let library = std::fs::read_to_string(source_root().join("lib.rs")).unwrap();
    let modules: Vec<&str> = library
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert!(modules.len() >= FLOORS.iter().map(|floor| floor.len()).sum());
    for module in modules {
        assert!(floor_of(&format!("{module}/mod.rs")).is_some(), "{module} has no floor");
    }
    for file in sources().keys().filter(|file| floor_of(file).is_none()) {
        assert!(["lib.rs", "main.rs"].contains(&file.as_str()), "{file} has no floor");
    }
}

#[test]
fn a_planted_line_is_caught() {
    let rows = [
        ("ocf/a.rs", "use tokio::net::UnixStream;"),
        ("ocf/a.rs", "use ::tokio::net::UnixStream;"),
        ("postgres/a.rs", "use std::fs;"),
        ("postgres/a.rs", "use std::{fmt, fs::File};"),
        (
            "postgres/a.rs",
            "use std::{\n    fmt,\n    time::{\n        Duration,\n        Instant,\n    },\n};",
        ),
        ("cluster/a.rs", "fn f() { let _ = std::fs::read(\"x\"); }"),
        ("cluster/a.rs", "fn f() { let _ = std::env::var(\"x\"); }"),
        ("cluster/a.rs", "use std::time::*;"),
        ("cluster/a.rs", "use serde_json::Value;"),
        ("cluster/a.rs", "use nix;"),
        ("cluster/a.rs", "fn f() { let _ = quick_xml::Reader::from_file(\"x\"); }"),
        ("ocf/a.rs", "pub(crate) use rand::random;"),
        ("ocf/a.rs", "use crate::decide::start;"),
        ("ocf/a.rs", "use crate::{ocf::action, sys::exec};"),
        ("ocf/a.rs", "use crate::*;"),
        ("ocf/a.rs", "fn f() { println!(\"x\"); }"),
        ("decide/a.rs", "use crate::sys::exec::Cmd;"),
        ("decide/a.rs", "fn f() -> std::time::SystemTime { std::time::SystemTime::now() }"),
        ("decide/a.rs", "use std::net::{IpAddr, TcpStream};"),
        ("sys/a.rs", "use crate::agent::run;"),
        ("sys/a.rs", "use std::process::Command;"),
        ("sys/a.rs", "use std::process::{Command, ExitStatus};"),
        ("client/a.rs", "fn f() { let _ = crate::cli::print(); }"),
        ("agent/run.rs", "use crate::cli;"),
        ("agent/run.rs", "fn f() { std::process::Command::new(\"sh\"); }"),
        ("cli/status.rs", "use std::process::Command;"),
        ("cli/status.rs", "use std::process;\nfn f() { process::Command::new(\"sh\"); }"),
        ("cli/status.rs", "use tokio::process::Command;"),
        ("main.rs", "use std::process::{self, Command};"),
        ("ocf/a.rs", "#[cfg(test)]\nuse std::fs;"),
        ("agent/a.rs", "fn f() -> ExitCode { ExitCode::Degraded }"),
        ("agent/a.rs", "use crate::ocf::exit_code::ExitCode::{self, Perm};"),
        ("agent/a.rs", "use crate::ocf::exit_code::ExitCode::*;"),
        ("cli/a.rs", "fn f() { g(crate::ocf::exit_code::ExitCode::Error); }"),
        ("agent/a.rs", "fn f() { matches!(relation, Relation::Equal | Relation::BAhead); }"),
        ("runtime/a.rs", "fn f() { state.was_writable() == WasWritable::Yes; }"),
    ];
    for (file, line) in rows {
        assert!(!violations(file, line).is_empty(), "{file}: {line}");
    }
}

#[test]
fn what_is_allowed_is_not_caught() {
    let rows = [
        ("ocf/a.rs", "use std::collections::BTreeMap;\nuse crate::cluster::node::NodeName;"),
        ("ocf/a.rs", "use std::time::Duration;\nuse std::net::{IpAddr, Ipv4Addr};"),
        ("ocf/a.rs", "use serde::Serialize;\nuse thiserror::Error;\nuse super::{a, b};"),
        (
            "ocf/a.rs",
            "// use tokio::net;\n/* use std::fs; */\nfn f() -> &'static str { \"std::fs::read\" }",
        ),
        (
            "ocf/a.rs",
            "const A: &str = r#\"use std::fs::File;\"#;\nconst B: char = '\"';\nuse std::fmt;",
        ),
        ("ocf/a.rs", "#[cfg(test)]\nmod tests { use quick_xml::Reader; }"),
        ("decide/a.rs", "use crate::ocf::params::Params;\nuse crate::decide::score;"),
        ("decide/a.rs", "pub enum Cause {\n    One,\n}\nconst A: u8 = 1;"),
        ("ocf/a.rs", "use std::fmt;\nfn f() {\n    use fmt::Write as _;\n}"),
        ("cluster/a.rs", "use quick_xml::events::Event;"),
        ("sys/exec.rs", "use std::process::Command;"),
        ("sys/exec/system.rs", "use std::process::Command;"),
        ("client/a.rs", "use crate::sys::exec::Exec;\nuse tokio_postgres::Client;"),
        ("agent/a.rs", "use crate::client::sql;\nuse std::process::ExitCode;"),
        (
            "agent/a.rs",
            "use crate::ocf::exit_code::ExitCode;\nfn f(code: ExitCode) { code.code(); }",
        ),
        (
            "cli/a.rs",
            "use std::process::ExitCode;\nfn f() { ExitCode::from(1); ExitCode::SUCCESS }",
        ),
        ("decide/a.rs", "fn f() -> ExitCode { ExitCode::Degraded }"),
        ("ocf/a.rs", "#[cfg(test)]\n#[allow(dead_code)]\nmod tests {\n    use std::fs;\n}"),
        ("ocf/a/tests.rs", "use tempfile::tempdir;"),
        ("cli/a.rs", "use crate::agent::run;"),
        ("main.rs", "use std::process::ExitCode;\nuse pgtwin::cli;"),
    ];
    for (file, line) in rows {
        assert_eq!(violations(file, line), Vec::<String>::new(), "{file}: {line}");
    }
}
