//! The man page of the resource agent: its parameters and actions, from their tables.

use std::fmt::Write as _;

use clap_mangen::roff::{Roff, bold, italic, roman};
use pgtwin::ocf::action::SUGGESTIONS;
use pgtwin::ocf::exit_code::ExitCode;
use pgtwin::ocf::metadata;
use pgtwin::ocf::params::{Spec, TABLE};

use crate::commands::{body, title};

/// The file, named as those of other resource agents are.
pub const FILE: &str = "ocf_heartbeat_pgtwin.7";

/// The page.
pub fn page() -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("ocf_heartbeat_pgtwin - {}", metadata::SHORT))]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold("ocf:heartbeat:pgtwin")]);
    roff.control("SH", ["DESCRIPTION"]);
    paragraphs(&mut roff, metadata::LONG);
    roff.control("SH", ["PARAMETERS"]);
    roff.text([roman(
        "A parameter that is given without a value counts as not given. Booleans are true, yes, on \
         or 1, and false, no, off or 0.",
    )]);
    for (title, advanced) in [("Of every cluster", false), ("Advanced", true)] {
        roff.control("SS", [title]);
        for spec in TABLE.iter().filter(|spec| spec.advanced == advanced) {
            parameter(&mut roff, spec);
        }
    }
    roff.control("SH", ["ACTIONS"]);
    roff.text([roman("What tools put into the operations of a new resource:")]);
    for suggestion in SUGGESTIONS {
        roff.control("TP", []);
        let mut words = vec![bold(suggestion.action.name())];
        if let Some(role) = suggestion.role {
            words.push(roman(format!(" role={}", role.name())));
        }
        roff.text(words);
        let mut times = format!("timeout {} s", suggestion.timeout_s);
        if let Some(interval) = suggestion.interval_s {
            let _ = write!(times, ", interval {interval} s");
        }
        roff.text([roman(times)]);
    }
    roff.control("SH", ["EXIT STATUS"]);
    for code in ExitCode::ALL {
        roff.control("TP", []);
        roff.text([bold(code.code().to_string()), roman(format!(" {}", code.name()))]);
        roff.text([roman(code.meaning())]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("pgtwin"), roman("(8), "), bold("crm_mon"), roman("(8)")]);
    title("ocf_heartbeat_pgtwin", "7") + &body(&roff.render())
}

fn parameter(roff: &mut Roff, spec: &Spec) {
    roff.control("TP", []);
    roff.text([bold(spec.name), roman(" ("), italic(spec.kind.name()), roman(")")]);
    roff.text([roman(format!("{}.", spec.short))]);
    for paragraph in spec.long.split("\n\n").chain([spec.facts().as_str()]) {
        roff.control("IP", []);
        roff.text([roman(paragraph)]);
    }
}

fn paragraphs(roff: &mut Roff, text: &str) {
    for (number, paragraph) in text.split("\n\n").enumerate() {
        if number > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(paragraph)]);
    }
}
