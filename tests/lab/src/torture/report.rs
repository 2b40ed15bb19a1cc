//! The report of a run: a value that is written as JSON, and as a page of text for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::torture::judge::{Account, Findings};
use crate::torture::kind::Kind;
use crate::torture::nemesis::Played;

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `passed` or `failed`.
    pub verdict: &'static str,
    /// Why it failed.
    pub failures: Vec<String>,
    /// What the plan was drawn from.
    pub seed: u64,
    /// So many nodes.
    pub nodes: u32,
    /// Their release.
    pub release: &'static str,
    /// Their mode.
    pub mode: &'static str,
    /// The kinds that the plan was confined to; empty: all.
    pub only: Vec<Kind>,
    /// When it began, in UTC.
    pub began: String,
    /// For how many seconds faults were injected.
    pub seconds: f64,
    /// The faults, in order.
    pub faults: Vec<Played>,
    /// Times without an acknowledged row, longer than 0.3 s, in seconds.
    pub outages: Option<Spread>,
    /// The longest of each fault, by kind.
    pub outages_by_kind: BTreeMap<Kind, Spread>,
    /// How long it took, after a fault was undone, until all was well.
    pub well_after: Option<Spread>,
    /// Nodes found off that the nemesis had not switched off.
    pub fenced: usize,
    /// After the last fault, how many seconds until all was well.
    pub converged_after: Option<f64>,
    /// What was found.
    #[serde(flatten)]
    pub findings: Findings,
    /// Where the logs of a run that failed are.
    pub bundle: Option<String>,
}

/// What is said of many times, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// So many.
    pub count: usize,
    /// The one in the middle.
    pub median: f64,
    /// Nine of ten are not longer.
    pub p90: f64,
    /// The longest.
    pub max: f64,
}

impl Spread {
    /// Of any times; none of no times.
    pub fn of(times: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = times.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        // The least time that is not exceeded by so many percent (nearest rank).
        let rank =
            |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Self { count: sorted.len(), median: rank(50)?, p90: rank(90)?, max: rank(100)? })
    }

    fn words(&self) -> String {
        format!("median {:.2} s, p90 {:.2} s, max {:.2} s", self.median, self.p90, self.max)
    }
}

/// Notes with each fault the longest outage that began meanwhile.
pub fn assign(faults: &mut [Played], outages: &[(std::time::Instant, Duration)]) {
    for fault in faults {
        let meanwhile = outages.iter().filter(|(at, _)| *at >= fault.begin && *at < fault.end);
        fault.outage = meanwhile.map(|(_, length)| length.as_secs_f64()).max_by(f64::total_cmp);
    }
}

/// The longest outage of each fault, by kind. Where two faults met, it is of the first.
pub fn by_kind(faults: &[Played]) -> BTreeMap<Kind, Spread> {
    let mut times: BTreeMap<Kind, Vec<f64>> = BTreeMap::new();
    for fault in faults {
        times.entry(fault.kind).or_default().extend(fault.outage);
    }
    times.into_iter().filter_map(|(kind, all)| Some((kind, Spread::of(all)?))).collect()
}

impl Report {
    /// True if nothing was wrong.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// As JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|error| error.to_string()) + "\n"
    }

    /// As a page of 80 columns.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let verdict = self.verdict.to_uppercase();
        let seconds = Duration::from_secs_f64(self.seconds.max(0.0)).as_secs();
        let _ = writeln!(
            text,
            "torture: {verdict}\nseed {}, {} nodes of {}, {} mode, {} min {} s from {}\n",
            self.seed,
            self.nodes,
            self.release,
            self.mode,
            seconds / 60,
            seconds % 60,
            self.began
        );
        for failure in &self.failures {
            text.push_str(&wrapped(&format!("FAILED: {failure}")));
        }
        if !self.failures.is_empty() {
            text.push('\n');
        }
        self.faults_text(&mut text);
        self.figures_text(&mut text);
        self.accounts_text(&mut text);
        if !self.passed() {
            text.push_str("\nthe last faults\n");
            for fault in self.faults.iter().skip(self.faults.len().saturating_sub(5)) {
                text.push_str(&wrapped(&format!("{:.0} s: {}", fault.at, fault.plan)));
                for done in &fault.done {
                    text.push_str(&wrapped(&format!("  {done}")));
                }
            }
        }
        if let Some(bundle) = &self.bundle {
            let _ = write!(text, "\nall logs, and timeline.log:\n  {bundle}\n");
        }
        text
    }

    fn faults_text(&self, text: &mut String) {
        let failed = self.faults.iter().filter(|fault| fault.failed).count();
        let with = self.faults.iter().filter(|fault| fault.with.is_some()).count();
        let _ = writeln!(
            text,
            "{} faults, {with} with a second one, {failed} that found nothing to hit\n\n  \
             fault              number  longest pause of writes that began meanwhile",
            self.faults.len()
        );
        let mut numbers: BTreeMap<Kind, usize> = BTreeMap::new();
        for fault in &self.faults {
            *numbers.entry(fault.kind).or_default() += 1;
        }
        for (kind, number) in numbers {
            let spread = self.outages_by_kind.get(&kind);
            let words = spread.map_or_else(|| "none".to_owned(), Spread::words);
            let _ = writeln!(text, "  {:<18} {number:>6}  {words}", kind.row().name);
        }
        text.push('\n');
    }

    fn figures_text(&self, text: &mut String) {
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<28}{value}");
        };
        let spread = |spread: Option<&Spread>| {
            spread
                .map_or_else(|| "none".to_owned(), |one| format!("{}, {}", one.count, one.words()))
        };
        let times = |found: &[String]| {
            if found.is_empty() { "never".to_owned() } else { format!("{} times", found.len()) }
        };
        let found = &self.findings;
        row("pauses of writes > 0.3 s", spread(self.outages.as_ref()));
        row("well again after", spread(self.well_after.as_ref()));
        row("nodes fenced", self.fenced.to_string());
        let samples = format!("{} in {} samples", times(&found.two_primaries), found.samples);
        row("two writable at once", samples);
        let sums = format!("{} in {} reads", times(&found.wrong_sums), found.sums_read);
        row("bank's sum wrong", sums);
        row("list elements not read", found.missed.len().to_string());
        row("list elements out of order", found.out_of_order.len().to_string());
        let converged = self
            .converged_after
            .map_or_else(|| "not well".to_owned(), |time| format!("well after {time:.1} s"));
        row("at the end", converged);
        let equal = match (found.compared, found.differences.is_empty()) {
            (0, _) => "not compared".to_owned(),
            (nodes, true) => format!("none, {nodes} compared with the primary"),
            (_, false) => "found".to_owned(),
        };
        row("differences between nodes", equal);
        row("interventions", found.interventions.len().to_string());
        text.push('\n');
    }

    fn accounts_text(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "  {:<18}{:>12}{:>7}{:>8}{:>9}{:>12}{:>11}",
            "writes", "acknowledged", "lost", "twice", "refused", "unknown", "of them in"
        );
        let all = Account::sum("all", &self.findings.accounts);
        for one in self.findings.accounts.iter().chain([&all]) {
            let _ = writeln!(
                text,
                "  {:<18}{:>12}{:>7}{:>8}{:>9}{:>12}{:>11}",
                one.name,
                one.acknowledged,
                one.lost,
                one.twice,
                one.refused,
                one.unknown_there + one.unknown_absent,
                one.unknown_there
            );
        }
        if self.findings.accounts.is_empty() {
            text.push_str("  nothing could be read at the end\n");
        }
    }
}

/// Lines of at most 80 columns; what goes on is indented.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    let lead = text.len() - text.trim_start().len();
    line.push_str(text.get(..lead).unwrap_or_default());
    for word in text.split_whitespace() {
        if line.len() + word.len() + 1 > 80 && !line.trim().is_empty() {
            let _ = writeln!(lines, "{}", line.trim_end());
            line.clear();
            line.push_str("    ");
        }
        line.push_str(word);
        line.push(' ');
    }
    let _ = writeln!(lines, "{}", line.trim_end());
    lines
}

#[cfg(test)]
mod tests;
