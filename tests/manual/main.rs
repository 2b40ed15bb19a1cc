//! Man pages, completions, the screens of the help and docs/cli.md are made from the definition of the command line, and
//! the agent's man page from the table of parameters. They are up to date, the programs that read
//! them have nothing to say against them, and the shells complete by them.
//!
//! `PGTWIN_REFRESH=1 cargo test --test manual` writes the files anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod agent;
mod book;
mod commands;
#[path = "../generated/mod.rs"]
mod generated;
mod help;
mod shells;

use std::process::Command;

use generated::{are_all_up_to_date, is_up_to_date, repository};

/// Whose pages they are, in the footer of each.
const SOURCE: &str = concat!("pgtwin ", env!("CARGO_PKG_VERSION"));

/// All man pages: the name of each file, and its text.
fn man_pages() -> Vec<(String, String)> {
    let mut pages = commands::pages();
    pages.push((agent::FILE.to_owned(), agent::page()));
    pages
}

#[test]
fn the_man_pages_are_up_to_date() {
    are_all_up_to_date("packaging/man", &man_pages());
}

#[test]
fn the_completions_are_up_to_date() {
    are_all_up_to_date("packaging/completions", &shells::scripts());
}

#[test]
fn the_screens_of_the_help_are_as_they_were_looked_at() {
    are_all_up_to_date(help::DIR, &help::screens());
}

#[test]
fn the_page_of_the_commands_is_up_to_date() {
    is_up_to_date("docs/cli.md", &book::page());
}

#[test]
fn every_command_for_people_has_a_page_and_no_other_has() {
    let definition = pgtwin::cli::definition();
    let shown = definition.get_subcommands().filter(|command| !command.is_hide_set());
    let mut wanted: Vec<String> =
        shown.map(|command| format!("pgtwin-{}.8", command.get_name())).collect();
    wanted.extend(["pgtwin.8".to_owned(), agent::FILE.to_owned()]);
    let names: Vec<String> = man_pages().into_iter().map(|(name, _)| name).collect();
    for page in &wanted {
        assert!(names.contains(page), "{page} is missing");
    }
    assert!(!names.iter().any(|name| name.starts_with("pgtwin-recover.")), "{names:?}");
    assert!(!book::page().contains("pgtwin recover"), "a hidden command in docs/cli.md");
}

/// What groff says against a text.
fn complaints(name: &str, text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    std::fs::write(&file, text).unwrap();
    let output = Command::new("groff")
        .args(["-man", "-Tutf8", "-K", "utf8", "-ww", "-rLL=78n"])
        .arg(&file)
        .output()
        .unwrap_or_else(|error| panic!("groff can't be run ({error}): install groff-base"));
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        said.push_str("groff failed");
    }
    said
}

#[test]
fn groff_has_nothing_to_say_against_a_page() {
    for (name, text) in man_pages() {
        assert_eq!(complaints(&name, &text), "", "{name}");
    }
}

#[test]
fn groff_would_say_something_against_a_fault() {
    let (name, text) = man_pages().swap_remove(0);
    assert_ne!(complaints(&name, &text.replacen(".SH ", ".SHH ", 1)), "");
}

#[test]
fn every_parameter_is_in_the_agents_page() {
    let page = agent::page();
    for spec in pgtwin::ocf::params::TABLE {
        assert!(page.contains(&format!("\\fB{}\\fR", spec.name)), "{}", spec.name);
    }
}

/// The pages that `SEE ALSO` names are there, and the files that `FILES` names are those of the
/// program.
#[test]
fn no_page_refers_to_one_that_is_not_there() {
    let pages = man_pages();
    for (file, text) in &pages {
        for (at, _) in text.match_indices("\\fR(8)") {
            let name = text[..at].rsplit("\\fB").next().unwrap().replace("\\-", "-");
            if name.starts_with("pgtwin") {
                assert!(
                    pages.iter().any(|(page, _)| *page == format!("{name}.8")),
                    "{file}: {name}"
                );
            }
        }
    }
    assert!(repository("packaging/man/pgtwin.8").exists());
}
