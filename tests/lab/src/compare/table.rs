//! The record as tables in Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use crate::bench::figures::Spread;
use crate::compare::blow::Blow;
use crate::compare::cost::Cost;
use crate::compare::record::{Measured, Record};
use crate::compare::round::LIMIT;
use crate::compare::{PRODUCTS, name};

/// A pause that is shorter is none: a machine at work makes such pauses.
const PAUSE: u64 = 500;

/// All of it: the blows, and the costs.
pub fn show(record: &Record) -> String {
    let repeated = record.repeated.iter().fold(String::new(), |mut text, one| {
        let _ = write!(text, "\nPlayed again: {one}\n");
        text
    });
    format!("{}\n{}\n{}{repeated}", versions(record), blows(record), costs(record))
}

fn versions(record: &Record) -> String {
    let mut text = String::from("| | versions |\n|---|---|\n");
    for (product, versions) in &record.versions {
        let _ = writeln!(text, "| {product} | {versions} |");
    }
    text
}

fn blows(record: &Record) -> String {
    let mut text = String::from(
        "| fault | | rounds | writes stood still: median | worst | acknowledged writes lost | \
         writes of a second primary | all well by itself | after: median | worst | pause meanwhile: worst |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (blow, _, words) in Blow::ALL {
        for product in PRODUCTS {
            let rounds: Vec<&Measured> = record.of(product, blow).collect();
            if !rounds.is_empty() {
                let _ = writeln!(text, "| {words} | {} | {} |", name(product), cells(&rounds));
            }
        }
    }
    text
}

fn cells(rounds: &[&Measured]) -> String {
    let (median, worst) = spread(rounds.iter().map(|one| one.outage));
    let back = rounds.iter().filter(|one| one.back.is_some()).count();
    let (back_median, back_worst) = spread(rounds.iter().filter_map(|one| one.back).map(Some));
    let pauses = rounds.iter().map(|one| one.outage_of_return);
    let pause = pauses.max().filter(|longest| *longest >= PAUSE).map_or("none".to_owned(), seconds);
    [
        rounds.len().to_string(),
        median,
        worst,
        lost(rounds),
        rounds.iter().map(|one| one.dual).sum::<usize>().to_string(),
        format!("{back} of {}", rounds.len()),
        back_median,
        back_worst,
        pause,
    ]
    .join(" | ")
}

/// Of all rounds together; a round in which nobody could be asked is told, for it is not known.
fn lost(rounds: &[&Measured]) -> String {
    let sum: usize = rounds.iter().filter_map(|one| one.lost).sum();
    match rounds.iter().filter(|one| one.lost.is_none()).count() {
        0 => sum.to_string(),
        unknown => format!("{sum}, unknown in {unknown}"),
    }
}

/// Median and worst of some times in milliseconds; what has no end is longer than all.
fn spread(times: impl Iterator<Item = Option<u64>>) -> (String, String) {
    let endless = Duration::MAX;
    let times = times.map(|time| time.map_or(endless, Duration::from_millis));
    let show = |time: Duration| {
        if time == endless {
            format!("more than {} s", LIMIT.as_secs())
        } else {
            format!("{:.1} s", time.as_secs_f64())
        }
    };
    match Spread::of(times) {
        Some(spread) => (show(spread.median), show(spread.max)),
        None => ("–".to_owned(), "–".to_owned()),
    }
}

fn seconds(millis: u64) -> String {
    format!("{:.1} s", Duration::from_millis(millis).as_secs_f64())
}

fn costs(record: &Record) -> String {
    let mut text = String::from(
        "| | one monitor, or one turn of the loop: processor | processes | a quiet node: processor | processes |\n\
         |---|---|---|---|---|\n",
    );
    for product in PRODUCTS {
        for cost in record.costs.iter().filter(|cost| cost.product == product) {
            let role = if cost.primary { "primary" } else { "standby" };
            let _ = writeln!(text, "| {}, {role} | {} |", name(product), cost_cells(cost));
        }
    }
    text
}

#[allow(clippy::cast_precision_loss)] // Microseconds of a minute.
fn cost_cells(cost: &Cost) -> String {
    let seconds = cost.quiet.time.max(1) as f64 / 1e6;
    let share = cost.quiet.processor as f64 / 1e4 / seconds;
    let processes = f64::from(cost.quiet.processes) * 60.0 / seconds;
    format!(
        "{:.1} ms | {:.1} | {share:.1} % of one | {processes:.0} a minute",
        cost.processor as f64 / 1000.0,
        cost.processes
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::cost::Quiet;
    use crate::compare::record::tests::measured;
    use crate::options::Agent;

    #[test]
    fn a_row_tells_the_median_the_worst_and_what_is_not_known() {
        let mut rounds =
            [Some(1000), None, Some(3000)].map(|one| measured(Agent::Paf, Blow::KillNode, one));
        let [first, second, third] = &mut rounds;
        first.lost = None;
        second.dual = 4;
        third.back = None;
        third.outage_of_return = 700;
        let record = Record { measured: rounds.to_vec(), ..Record::default() };
        let text = blows(&record);
        let row = "| primary's node killed | PAF | 3 | 3.0 s | more than 180 s | 0, unknown in 1 | 4 | 2 of 3 | 9.0 s \
                   | 9.0 s | 0.7 s |";
        assert_eq!(text.lines().last(), Some(row), "{text}");
        assert_eq!(text.lines().count(), 3, "what was not measured has no row: {text}");
    }

    #[test]
    fn a_quiet_node_is_told_by_the_minute() {
        let quiet = Quiet { time: 30_000_000, processor: 1_500_000, of_named: 0, processes: 10 };
        let cost =
            Cost { product: Agent::Pgtwin, primary: true, processor: 2500, processes: 2.0, quiet };
        let text = costs(&Record { costs: vec![cost], ..Record::default() });
        let row = "| pgtwin, primary | 2.5 ms | 2.0 | 5.0 % of one | 20 a minute |";
        assert_eq!(text.lines().last(), Some(row), "{text}");
    }

    #[test]
    fn an_empty_record_is_empty_tables() {
        assert!(
            show(&Record::default()).lines().all(|line| line.is_empty() || line.starts_with('|'))
        );
    }
}
