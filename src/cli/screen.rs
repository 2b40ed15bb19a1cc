//! What commands show: text of 80 columns, in colours on a terminal; or JSON. Floor 4.

use std::fmt::Display;
use std::io::{self, IsTerminal};

use serde::Serialize;

use super::say;
use crate::sys::log::one_line;

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[1;32m";
const YELLOW: &str = "\x1b[1;33m";
const CYAN: &str = "\x1b[1;36m";
const PLAIN: &str = "\x1b[0m";
/// To the upper left corner, and nothing below.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// How titles of lists are shown.
const TITLES: [(&str, &str); 6] = [
    ("Warnings:", YELLOW),
    ("Advice:", CYAN),
    ("Nobody is promoted:", RED),
    ("Not possible:", RED),
    ("Writes:", BOLD),
    ("This supposes:", CYAN),
];

/// Words that somebody should see first. They stand alone, so that `NO` is not found in `NODE`.
const WORDS: [(&str, &str); 6] = [
    ("UNCLEAN", RED),
    ("NO:", RED),
    ("YES:", YELLOW),
    ("YES", GREEN),
    ("waiting", YELLOW),
    ("rebuilding", YELLOW),
];

/// Whether standard output is a terminal whose owner wants colours.
pub(super) fn is_coloured() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    io::stdout().is_terminal()
        && set("NO_COLOR").is_none()
        && set("TERM").is_none_or(|term| term != "dumb")
}

/// Shows a text. Words of a server may be among it: nothing of them steers a terminal.
pub(super) fn show(text: impl Display, coloured: bool) -> io::Result<()> {
    let text = text.to_string();
    let mut out = String::with_capacity(text.len());
    for (number, line) in text.lines().enumerate() {
        let line = one_line(line, usize::MAX);
        out.push_str(&if coloured { painted(&line, number == 0) } else { line });
        out.push('\n');
    }
    say::whole(out)
}

/// Empties the terminal, for the next of several screens.
pub(super) fn clear() -> io::Result<()> {
    say::whole(CLEAR)
}

/// A shape as JSON: for people over several lines, or, of many, one a line.
pub(super) fn json(shape: &impl Serialize, one_line: bool) -> io::Result<()> {
    let text =
        if one_line { serde_json::to_string(shape) } else { serde_json::to_string_pretty(shape) };
    say::whole(format!("{}\n", text.map_err(io::Error::other)?))
}

fn painted(line: &str, is_first: bool) -> String {
    if is_first || line.starts_with("NODE ") {
        return format!("{BOLD}{line}{PLAIN}");
    }
    if let Some((_, colour)) = TITLES.iter().find(|(title, _)| *title == line) {
        return format!("{colour}{line}{PLAIN}");
    }
    let painted = |word: &str| {
        let found = WORDS.iter().find(|(it, _)| *it == word);
        found.map_or_else(|| word.to_owned(), |(_, colour)| format!("{colour}{word}{PLAIN}"))
    };
    // What follows a bullet is prose.
    if line.starts_with("- ") || line.starts_with("  ") {
        return line.to_owned();
    }
    line.split(' ').map(painted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn colours_change_no_word_and_no_column() {
        let text = [
            "db: synchronous replication, 3 members, as seen from n1",
            "NODE  ROLE     STATE      TL  LSN",
            "n1    ?        UNCLEAN     ?  ?",
            "NOTED  is no word of these, nor UNCLEANED",
            "Quorum       NO: 1 of 3 nodes are online",
            "Warnings:",
            "- UNCLEAN in prose is prose",
            "  NO: and so is this",
        ];
        let shown: Vec<String> =
            text.iter().enumerate().map(|(number, line)| painted(line, number == 0)).collect();
        for (line, shown) in text.iter().zip(&shown) {
            let mut bare = shown.clone();
            for code in [BOLD, RED, GREEN, YELLOW, CYAN, PLAIN] {
                bare = bare.replace(code, "");
            }
            assert_eq!(bare, *line);
        }
        let coloured = |at: usize| shown.get(at).unwrap().contains('\x1b');
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6, 7].map(coloured),
            [true, true, true, false, true, true, false, false]
        );
    }
}
