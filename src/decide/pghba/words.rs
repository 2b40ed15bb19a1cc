//! The check as it is printed. Floor 1.

use std::fmt;

use super::{Access, Check, Entry, Verdict};
use crate::decide::report::wrapped;

/// Columns of a terminal.
const WIDTH: usize = 80;
const GAP: &str = "  ";
const TITLES: [&str; 4] = ["NODE", "ADDRESS", "REPLICATION", "PG_REWIND"];

impl Verdict {
    /// What stands in the table.
    fn cell(&self) -> String {
        match (self.access, self.line) {
            (Access::Yes, Some(line)) => format!("✓ line {line}"),
            (Access::Yes, None) => "✓".to_owned(),
            (Access::No, Some(line)) => format!("✗ line {line}"),
            (Access::No, None) => format!("✗ {}", self.why),
            (Access::Unknown, Some(line)) => format!("? line {line}"),
            (Access::Unknown, None) => "?".to_owned(),
        }
    }

    /// Whether the table says less than there is to say.
    fn has_more_to_say(&self) -> bool {
        match self.access {
            Access::Yes => false,
            Access::No => self.line.is_some(),
            Access::Unknown => true,
        }
    }
}

impl Entry {
    fn cells(&self) -> [String; 4] {
        let address = self.address.map_or_else(|| "?".to_owned(), |address| address.to_string());
        let node = if self.this_node { format!("({})", self.node) } else { self.node.clone() };
        [node, address, self.replication.cell(), self.pg_rewind.cell()]
    }

    /// What the table has no room for.
    fn remarks(&self) -> Vec<String> {
        let of = |login: &str, why: &str| match self.address {
            Some(address) => format!("{} ({address}), {login}: {why}", self.node),
            None => format!("{}: {why}", self.node),
        };
        let (replication, rewind) = (&self.replication, &self.pg_rewind);
        let more = [("replication", replication), ("pg_rewind", rewind)];
        let more = more.into_iter().filter(|(_, verdict)| verdict.has_more_to_say());
        let mut remarks: Vec<String> = more.map(|(login, v)| of(login, &v.why)).collect();
        if replication.why == rewind.why && remarks.len() == 2 {
            remarks = vec![of("both", &replication.why)];
        }
        remarks
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![TITLES.map(str::to_owned)];
        rows.extend(self.members.iter().map(Entry::cells));
        let mut widths = [0; 4];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        // What is too wide for a terminal has its name on a line of its own.
        let total = widths.iter().sum::<usize>() + GAP.len() * 3;
        widths[0] = (widths[0] + WIDTH).saturating_sub(total.max(WIDTH)).max(TITLES[0].len());
        for row in &mut rows {
            if row[0].chars().count() > widths[0] {
                writeln!(f, "{}", std::mem::take(&mut row[0]))?;
            }
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join(GAP).trim_end())?;
        }
        if let Some(own) = self.members.iter().find(|entry| entry.this_node) {
            let node = &own.node;
            writeln!(f, "({node}) is this node: its own address need not come in here.")?;
        }
        let explained = |entry: &&Entry| !entry.this_node || entry.address.is_none();
        let remarks = self.members.iter().filter(explained).flat_map(Entry::remarks);
        let out = |(_, verdict): &(&str, &Verdict)| verdict.access != Access::Yes;
        let own = self.agent.logins().into_iter().filter(out);
        let own = own.map(|(login, verdict)| self.agent.told(login, verdict));
        list(f, "Why:", own.chain(remarks))?;
        let bad = |bad: &super::BadLine| format!("{}, line {}: {}", bad.file, bad.line, bad.error);
        list(f, "PostgreSQL cannot read, and so loads nothing of:", self.errors.iter().map(bad))?;
        list(f, "Wrong as well:", self.problems.iter().cloned())?;
        list(f, "Mind:", self.notes.iter().cloned())?;
        if !self.add.is_empty() {
            // A command that works on the primary alone is no way for a standby.
            let or = if self.primary { " (or: pgtwin fix-pghba)" } else { "" };
            writeln!(f, "{}", wrapped(&format!("Add {}, and reload{or}:", self.place()), 2))?;
            for line in &self.add {
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    lines: impl Iterator<Item = String>,
) -> fmt::Result {
    let mut title = Some(title);
    for line in lines {
        if let Some(title) = title.take() {
            writeln!(f, "{title}")?;
        }
        writeln!(f, "{}", wrapped(&format!("- {line}"), 2))?;
    }
    Ok(())
}
