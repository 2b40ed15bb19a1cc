//! The report as text of 80 columns. Floor 1.

use std::fmt::{self, Write as _};

use super::{Finding, Report, TABLE, Verdict, check_named};
use crate::cluster::node::NodeName;
use crate::decide::report::{WIDTH, wrapped};
use crate::decide::wanted::command_lines;

/// Below a verdict.
const INDENT: usize = 9;

/// What of it is shown, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// What is well, too.
    pub all: bool,
    /// Why each finding matters.
    pub why: bool,
    /// Verdicts in colour.
    pub colour: bool,
}

impl Report {
    /// For people.
    pub fn text(&self, style: Style) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = self.write(&mut text, style);
        text
    }

    fn write(&self, f: &mut String, style: Style) -> fmt::Result {
        let whence = match &self.node {
            Some(node) => format!("as seen from {node}"),
            None => "in a configuration from a file".to_owned(),
        };
        writeln!(f, "{}\n", wrapped(&format!("{}: {whence}", self.resource), 0))?;
        let mut verdicts = vec![Verdict::Fail, Verdict::Warn, Verdict::Unknown];
        if style.all {
            verdicts.push(Verdict::Ok);
        }
        for verdict in verdicts {
            for group in self.groups(verdict) {
                finding(f, &group, style)?;
                if verdict != Verdict::Ok {
                    f.push('\n');
                }
            }
        }
        if style.all && self.count(Verdict::Ok) > 0 {
            f.push('\n');
        }
        writeln!(f, "{}", wrapped(&self.summary(), 0))?;
        for line in self.notes(style) {
            writeln!(f, "{}", wrapped(&line, 0))?;
        }
        Ok(())
    }

    /// Findings of one verdict; those that say the same of several checks are one.
    fn groups(&self, verdict: Verdict) -> Vec<Vec<&Finding>> {
        let mut groups: Vec<Vec<&Finding>> = Vec::new();
        for finding in self.findings.iter().filter(|finding| finding.verdict == verdict) {
            let same = |group: &&mut Vec<&Finding>| {
                group.first().is_some_and(|one| {
                    one.words == finding.words
                        && one.remedy == finding.remedy
                        && verdict != Verdict::Ok
                })
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(finding),
                None => groups.push(vec![finding]),
            }
        }
        groups
    }

    fn summary(&self) -> String {
        let count = |verdict: Verdict| format!("{} {}", self.count(verdict), verdict.name());
        let made = TABLE.len() - self.left_out.len() - self.skipped.len();
        let all = [Verdict::Fail, Verdict::Warn, Verdict::Unknown, Verdict::Ok].map(count);
        format!("{made} checks: {}", all.join(", "))
    }

    /// What was not looked at, and where to look.
    fn notes(&self, style: Style) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.skipped.is_empty() {
            lines.push(format!("Skipped: {}", self.skipped.join(", ")));
        }
        let others: Vec<&str> = self.run_on.iter().map(NodeName::as_str).collect();
        if !self.left_out.is_empty() {
            let count = self.left_out.len();
            let need = match &self.node {
                Some(_) => {
                    "of PostgreSQL and of machines were not made: they need a node with data"
                }
                None => "were not made: they look at a running cluster and its nodes",
            };
            lines.push(format!("{count} checks {need}"));
        }
        if !others.is_empty() {
            lines.push(format!(
                "Run pgtwin doctor on {} as well: it looks at its own server and machine",
                others.join(", ")
            ));
        }
        if self.node.is_none() && self.verdict() > Verdict::Ok {
            lines.push(
                "With CIB_file=FILE in the environment, Pacemaker's commands change a file".into(),
            );
        }
        if !style.why && self.verdict() > Verdict::Ok {
            lines.push("Why each matters: pgtwin doctor --why, or docs/doctor.md".to_owned());
        }
        lines
    }
}

fn finding(f: &mut String, group: &[&Finding], style: Style) -> fmt::Result {
    let Some(first) = group.first() else { return Ok(()) };
    let mut ids: Vec<&str> = group.iter().map(|finding| finding.check).collect();
    ids.dedup();
    let line = format!("{:7}  {}: {}", first.verdict.name(), ids.join(", "), first.words);
    let line = wrapped(&line, INDENT);
    let colour = match first.verdict {
        Verdict::Ok => "32",
        Verdict::Unknown => "36",
        Verdict::Warn => "33",
        Verdict::Fail => "1;31",
    };
    match line.strip_prefix(first.verdict.name()) {
        Some(rest) if style.colour => {
            writeln!(f, "\u{1b}[{colour}m{}\u{1b}[0m{rest}", first.verdict.name())?;
        }
        _ => writeln!(f, "{line}")?,
    }
    let indent = " ".repeat(INDENT);
    if style.why && first.verdict > Verdict::Ok {
        for id in ids {
            let why = check_named(id).map_or("", |check| check.why);
            writeln!(f, "{}", wrapped(&format!("{indent}Why: {why}"), INDENT))?;
        }
    }
    if !first.remedy.words.is_empty() {
        writeln!(f, "{}", wrapped(&format!("{indent}{}", first.remedy.words), INDENT))?;
    }
    for command in &first.remedy.commands {
        for line in command_lines(command, WIDTH - INDENT - 2) {
            writeln!(f, "{indent}  {line}")?;
        }
    }
    Ok(())
}
