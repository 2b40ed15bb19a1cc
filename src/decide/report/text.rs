//! The report as text of 80 columns. Floor 1.

use std::fmt::{self, Write};

use super::{Report, Row, WIDTH};

/// Between two columns.
const GAP: &str = "  ";

impl Row {
    fn cells(&self) -> [&str; 9] {
        [
            &self.node,
            &self.role,
            &self.state,
            &self.timeline,
            &self.lsn,
            &self.lag,
            &self.sync,
            &self.score,
            &self.heir,
        ]
    }
}

const TITLES: [&str; 9] = ["NODE", "ROLE", "STATE", "TL", "LSN", "LAG", "SYNC", "SCORE", "HEIR"];
/// Numbers stand on the right.
const RIGHT: [bool; 9] = [false, false, false, true, false, true, false, true, false];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", wrapped(&self.title, 0))?;
        table(f, &self.rows)?;
        f.write_char('\n')?;
        let titles = self.lines.iter().map(|(title, _)| title.len()).max().unwrap_or(0);
        for (title, words) in &self.lines {
            let line = format!("{title:titles$}{GAP}{words}");
            writeln!(f, "{}", wrapped(&line, titles + GAP.len()))?;
        }
        for (title, list) in [("Warnings", &self.warnings), ("Advice", &self.advice)] {
            if !list.is_empty() {
                writeln!(f, "\n{title}:")?;
            }
            for words in list {
                writeln!(f, "{}", wrapped(&format!("- {words}"), 2))?;
            }
        }
        Ok(())
    }
}

/// The table. A name that would make it too wide stands on a line of its own.
fn table(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    let mut widths = TITLES.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row.cells()) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let total = widths.iter().sum::<usize>() + GAP.len() * (widths.len() - 1);
    if total > WIDTH
        && let Some(names) = widths.first_mut()
    {
        *names = names.saturating_sub(total - WIDTH).max(TITLES.first().map_or(0, |t| t.len()));
    }
    writeln!(f, "{}", line(TITLES, &widths))?;
    for row in rows {
        let mut cells = row.cells();
        let too_long = widths.first().is_some_and(|width| row.node.chars().count() > *width);
        if too_long && let Some(name) = cells.first_mut() {
            writeln!(f, "{name}")?;
            *name = "";
        }
        writeln!(f, "{}", line(cells, &widths))?;
    }
    Ok(())
}

fn line(cells: [&str; 9], widths: &[usize; 9]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .zip(RIGHT)
        .map(
            |((cell, width), right)| {
                if right { format!("{cell:>width$}") } else { format!("{cell:width$}") }
            },
        )
        .collect();
    padded.join(GAP).trim_end().to_owned()
}

/// Breaks a line between words, so that it keeps to the width; what follows is indented.
pub fn wrapped(text: &str, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut now = String::new();
    // Blanks at the beginning and between a title and its words are kept.
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .char_indices()
            .skip_while(|(_, c)| *c == ' ')
            .find(|(_, c)| *c == ' ')
            .map_or(rest.len(), |(at, _)| at);
        let (word, tail) = rest.split_at(end);
        rest = tail;
        let is_first = now.trim().is_empty();
        if !is_first && now.chars().count() + word.chars().count() > WIDTH {
            lines.push(std::mem::take(&mut now));
            now.push_str(&" ".repeat(indent));
            now.push_str(word.trim_start());
        } else {
            now.push_str(word);
        }
    }
    lines.push(now);
    lines.join("\n")
}
