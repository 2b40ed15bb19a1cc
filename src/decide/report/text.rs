//! The report as text of 80 columns. Floor 1.

use std::fmt::{self, Write};

use super::{Cell, Report, Row, WIDTH, bytes};

/// Between two columns.
const GAP: &str = "  ";

/// Pacemaker's.
const INFINITY: i32 = 1_000_000;
/// How many columns the table has.
const COLUMNS: usize = 10;

impl Row {
    fn cells(&self) -> [String; COLUMNS] {
        [
            self.node.clone(),
            self.role.shown(|role| (*role).to_owned()),
            self.state.shown(Clone::clone),
            self.timeline.shown(ToString::to_string),
            self.lsn.shown(ToString::to_string),
            self.lag.shown(|lag| bytes(*lag)),
            self.delay.shown(|delay| moment(*delay)),
            self.sync.shown(|sync| yes_no(*sync)),
            self.score.shown(|score| match *score {
                INFINITY.. => "INF".to_owned(),
                ..=-1_000_000 => "-INF".to_owned(),
                score => score.to_string(),
            }),
            self.heir.shown(|heir| yes_no(*heir)),
        ]
    }
}

impl<T> Cell<T> {
    fn shown(&self, value: impl Fn(&T) -> String) -> String {
        match self {
            Self::Is(it) => value(it),
            Self::Unknown => "?".to_owned(),
            Self::No => "-".to_owned(),
        }
    }
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// Milliseconds, as short as a table needs them: `0 s`, `0.4 s`, `37 s`, `12 min`, `9 h`.
pub(crate) fn moment(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match milliseconds {
        0 => "0 s".to_owned(),
        // What was measured and is less than is shown is not nothing.
        1..10_000 => format!(
            "{seconds}.{} s",
            (milliseconds % 1000 / 100).max(u64::from(milliseconds < 100))
        ),
        10_000..600_000 => format!("{seconds} s"),
        600_000..36_000_000 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

const TITLES: [&str; COLUMNS] =
    ["NODE", "ROLE", "STATE", "TL", "LSN", "LAG", "DELAY", "SYNC", "SCORE", "HEIR"];
/// Numbers stand on the right.
const RIGHT: [bool; COLUMNS] = [false, false, false, true, false, true, true, false, true, false];

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
    let rows: Vec<[String; COLUMNS]> = rows.iter().map(Row::cells).collect();
    let mut widths = TITLES.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let total = widths.iter().sum::<usize>() + GAP.len() * (widths.len() - 1);
    if total > WIDTH
        && let Some(names) = widths.first_mut()
    {
        *names = names.saturating_sub(total - WIDTH).max(TITLES.first().map_or(0, |t| t.len()));
    }
    writeln!(f, "{}", line(&TITLES, &widths))?;
    for row in &rows {
        let mut cells = row.each_ref().map(String::as_str);
        if let (Some(name), Some(width)) = (cells.first_mut(), widths.first())
            && name.chars().count() > *width
        {
            writeln!(f, "{name}")?;
            *name = "";
        }
        writeln!(f, "{}", line(&cells, &widths))?;
    }
    Ok(())
}

fn line(cells: &[&str; COLUMNS], widths: &[usize; COLUMNS]) -> String {
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
