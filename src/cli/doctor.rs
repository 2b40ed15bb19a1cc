//! `pgtwin doctor`. Floor 4.

use std::ffi::OsStr;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use serde::Serialize;

use super::target::Target;
use super::{End, ask, say, screen};
use crate::agent::examine::{examine, examine_file, read_configuration};
use crate::cluster::node::NodeName;
use crate::decide::doctor::{self, Facts, Finding, Report, Shell, Style, TABLE, Verdict};

/// Look for what would make for a bad night, and say what to type
///
/// Checks the cluster's configuration, PostgreSQL on this node, this machine, and whether the members
/// get in at each other. It changes nothing. Machines and servers are looked at on the node where it is
/// run: run it on each. What cannot be decided is UNKNOWN, and never OK.
///
/// Exits with 0 when every check is OK, with 1 when one is WARN, FAIL or UNKNOWN.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    target: Target,
    /// Print what is well, too
    #[arg(long)]
    all: bool,
    /// Say of each finding why it matters
    #[arg(long)]
    why: bool,
    /// Leave this check out; may be given several times
    #[arg(long, value_name = "CHECK", value_parser = CheckName, hide_possible_values = true)]
    skip: Vec<String>,
    /// Judge the configuration in a file, before it is in force; - is standard input
    #[arg(long, value_name = "FILE")]
    cib: Option<String>,
    /// Write remedies for this shell: crmsh or pcs, whichever is installed
    #[arg(long, value_name = "SHELL", value_parser = known_shell(), hide_possible_values = true)]
    shell: Option<Shell>,
    /// Print JSON for programs; docs/doctor.md has its shape
    #[arg(long, conflicts_with_all = ["all", "why"])]
    json: bool,
}

/// The name of a check. A shell completes it; an error does not list them, for that would fill the screen.
#[derive(Clone)]
struct CheckName;

impl TypedValueParser for CheckName {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let check = doctor::check_named(&value.to_string_lossy());
        check.map(|check| check.id.to_owned()).ok_or_else(|| {
            let words = "there is no check of that name: pgtwin doctor --all names them\n";
            clap::Error::raw(ErrorKind::InvalidValue, words).with_cmd(command)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(TABLE.iter().map(|check| PossibleValue::new(check.id))))
    }
}

/// The shells for which remedies can be written.
fn known_shell() -> impl TypedValueParser<Value = Shell> {
    let names = [PossibleValue::new("crmsh").alias("crm"), PossibleValue::new("pcs")];
    PossibleValuesParser::new(names).map(|name| match name.as_str() {
        "pcs" => Shell::Pcs,
        _ => Shell::Crmsh,
    })
}

pub(super) fn run(options: &Options) -> End {
    let mut facts = match facts(options) {
        Ok(facts) => facts,
        Err(end) => return end,
    };
    facts.shell = options.shell.unwrap_or(facts.shell);
    let report = doctor::examine(&facts, &options.skip);
    if options.json {
        // Half of it would be taken for the whole.
        if say::whole(json(&report)).is_err() {
            return End::Attention;
        }
    } else {
        let style = Style { all: options.all, why: options.why, colour: screen::is_coloured() };
        let _ = say::whole(report.text(style));
    }
    if report.verdict() == Verdict::Ok { End::Ok } else { End::Attention }
}

fn facts(options: &Options) -> Result<Facts, End> {
    match &options.cib {
        Some(path) => {
            let cib = read_configuration(path).map_err(|why| ask::failed(&why))?;
            examine_file(cib, &options.target.which()).map_err(|error| ask::refused(&error))
        }
        None => options.target.find().map(|subject| examine(&subject)),
    }
}

/// The shape that docs/doctor.md has.
#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    command: &'static str,
    resource: &'a str,
    seen_from: Option<&'a str>,
    attention: bool,
    verdict: Verdict,
    counts: Counts,
    findings: &'a [Finding],
    left_out: &'a [&'static str],
    skipped: &'a [String],
    run_on: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Counts {
    ok: usize,
    unknown: usize,
    warn: usize,
    fail: usize,
}

fn json(report: &Report) -> String {
    let count = |verdict| report.count(verdict);
    let json = Json {
        version: 1,
        command: "doctor",
        resource: &report.resource,
        seen_from: report.node.as_ref().map(NodeName::as_str),
        attention: report.verdict() > Verdict::Ok,
        verdict: report.verdict(),
        counts: Counts {
            ok: count(Verdict::Ok),
            unknown: count(Verdict::Unknown),
            warn: count(Verdict::Warn),
            fail: count(Verdict::Fail),
        },
        findings: &report.findings,
        left_out: &report.left_out,
        skipped: &report.skipped,
        run_on: report.run_on.iter().map(NodeName::as_str).collect(),
    };
    // Texts and numbers: there is nothing in it that could not be written.
    serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"
}
