//! The help of each command as a terminal of 80 columns shows it, kept whole under tests/fixtures/help: who
//! changes a word sees the screen that comes of it.

use clap::Command;

use crate::commands::shown;

/// Where they are kept.
pub const DIR: &str = "tests/fixtures/help";
const COLUMNS: usize = 80;

/// The name of each file, and its text.
pub fn screens() -> Vec<(String, String)> {
    let mut root = pgtwin::cli::definition();
    root.build();
    let mut screens = Vec::new();
    add(&root, &mut screens);
    screens
}

fn add(command: &Command, screens: &mut Vec<(String, String)>) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).replace(' ', "-");
    let screen = |long: bool| {
        let mut command = command.clone().term_width(COLUMNS);
        let help = if long { command.render_long_help() } else { command.render_help() };
        let lines: Vec<String> =
            help.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n") + "\n"
    };
    screens.push((format!("{name}.txt"), screen(true)));
    screens.push((format!("{name}.short.txt"), screen(false)));
    for sub in shown(command) {
        add(sub, screens);
    }
}

#[test]
fn no_screen_is_wider_than_a_terminal() {
    let screens = screens();
    assert!(screens.len() > 30, "{}", screens.len());
    for (name, text) in screens {
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{name}: {line}");
        }
    }
}
