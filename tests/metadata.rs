//! The files that are made from the tables are up to date, and the meta-data is valid by every
//! schema that judges it.
//!
//! `PGTWIN_REFRESH=1 cargo test --test metadata` writes the files anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod generated;

use std::path::Path;
use std::process::{Command, Output};

use generated::{is_up_to_date, repository};
use pgtwin::decide::doctor;
use pgtwin::ocf::{exit_code, metadata, params};

fn xml() -> String {
    metadata::xml(env!("CARGO_PKG_VERSION"))
}

/// Runs xmllint on a text, in a directory where it finds `ra-api-1.dtd`.
fn xmllint(dir: &Path, args: &[&str], text: &str) -> Output {
    let file = tempfile::Builder::new().suffix(".xml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    // From standard input, as ocf-tester does: a relative DTD is then looked for in the directory.
    Command::new("xmllint")
        .args(["--noout", "--nonet"])
        .args(args)
        .arg("-")
        .stdin(std::fs::File::open(file.path()).unwrap())
        .current_dir(dir)
        .output()
        .unwrap_or_else(|error| {
            panic!("xmllint can't be run ({error}): install libxml2-utils, e.g. apt-get install libxml2-utils")
        })
}

fn assert_valid(dir: &Path, args: &[&str]) {
    let output = xmllint(dir, args, &xml());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn dtd_dir() -> &'static Path {
    let dir = Path::new("/usr/share/resource-agents");
    assert!(
        dir.join("ra-api-1.dtd").is_file(),
        "{}/ra-api-1.dtd is missing: install resource-agents",
        dir.display()
    );
    dir
}

#[test]
fn the_checked_in_meta_data_is_up_to_date() {
    is_up_to_date("ocf-metadata/pgtwin.xml", &xml());
}

#[test]
fn the_parameters_page_is_up_to_date() {
    is_up_to_date("docs/parameters.md", &params::markdown());
}

#[test]
fn the_doctors_page_is_up_to_date() {
    is_up_to_date("docs/doctor.md", &doctor::markdown());
}

#[test]
fn the_exit_codes_page_is_up_to_date() {
    is_up_to_date("docs/exit-codes.md", &exit_code::markdown());
}

#[test]
fn the_meta_data_is_valid_by_the_dtd_that_ocf_tester_uses() {
    assert_valid(dtd_dir(), &["--valid"]);
}

#[test]
fn the_dtd_check_would_find_a_fault() {
    let broken = xml().replacen("type=\"integer\"", "type=\"number\"", 1);
    assert_ne!(broken, xml());
    assert!(!xmllint(dtd_dir(), &["--valid"], &broken).status.success());
}

/// By our own statement of OCF 1.1, and by those of pcs and Pacemaker where they are installed.
#[test]
fn the_meta_data_is_valid_by_ocf_1_1() {
    let schema = repository("tests/fixtures/ocf/ocf-1.1.rng");
    assert_valid(dtd_dir(), &["--relaxng", schema.to_str().unwrap()]);
    let others = ["/usr/share/pcs/data/ocf-1.1.rng", "/usr/share/pacemaker/api/ocf-ra-1.1.rng"];
    for schema in others.into_iter().filter(|schema| Path::new(schema).is_file()) {
        assert_valid(dtd_dir(), &["--relaxng", schema]);
    }
}

#[test]
fn the_ocf_1_1_check_would_find_a_fault() {
    let schema = repository("tests/fixtures/ocf/ocf-1.1.rng");
    let args = ["--relaxng", schema.to_str().unwrap()];
    for (good, bad) in [
        ("reloadable=\"1\"", "reloadable=\"yes\""),
        ("<version>1.1</version>", "<version>1.0</version>"),
        ("role=\"Promoted\"", "role=\"Master\""),
        ("timeout=\"120s\"", "timeout=\"soon\""),
    ] {
        let broken = xml().replacen(good, bad, 1);
        assert_ne!(broken, xml(), "{good}");
        assert!(!xmllint(dtd_dir(), &args, &broken).status.success(), "{bad}");
    }
}
