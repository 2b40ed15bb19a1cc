//! docs/cli.md: what `--help` says of every command, on one page.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::commands::{shown, usage};

const BEGIN: &str = "\
# Commands

This page is made from the definition of the command line; `pgtwin help COMMAND` and `man
pgtwin-COMMAND` say the same.

";

/// The page.
pub fn page() -> String {
    let mut root = pgtwin::cli::definition().disable_help_subcommand(true);
    root.build();
    let mut text = BEGIN.to_owned();
    text.push_str("| command | |\n|---|---|\n");
    for command in shown(&root) {
        let name = command.get_bin_name().unwrap();
        let link = name.replace(' ', "-");
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "| [`{name}`](#{link}) | {} |", prose(&about));
    }
    for command in shown(&root) {
        add(command, &mut text);
    }
    if let Some(after) = root.get_after_help() {
        text.push_str("\n## Actions and exit codes\n\n");
        for line in after.to_string().lines() {
            let _ = writeln!(text, "{}", format!("    {line}").trim_end());
        }
    }
    text.push_str("\nWhat the exit codes of actions mean: [exit-codes.md](exit-codes.md).\n");
    text
}

fn add(command: &Command, text: &mut String) {
    let _ = write!(text, "\n## {}\n\n", command.get_bin_name().unwrap());
    for form in usage(command) {
        let _ = writeln!(text, "    {form}");
    }
    let about = command.get_long_about().or_else(|| command.get_about());
    let _ = writeln!(text, "\n{}", prose(&about.map(ToString::to_string).unwrap_or_default()));
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && argument.get_id() != "help")
        .collect();
    if !arguments.is_empty() {
        text.push('\n');
    }
    for argument in arguments {
        let help = argument.get_long_help().or_else(|| argument.get_help());
        let mut help = help.map(ToString::to_string).unwrap_or_default();
        let values: Vec<String> = argument
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if argument.get_num_args().is_some_and(|number| number.takes_values()) {
            if !values.is_empty() {
                let _ = write!(help, " (one of {})", values.join(", "));
            }
            for default in argument.get_default_values() {
                let _ = write!(help, " (default: {})", default.display());
            }
        }
        let help = prose(&help).replace('\n', "\n  ");
        let _ = writeln!(text, "- `{argument}`: {}", help.replace("\n  \n", "\n\n"));
    }
    for sub in shown(command) {
        add(sub, text);
    }
}

/// A text of the help as Markdown, where `<` and `*` are no signs of their own.
fn prose(text: &str) -> String {
    text.replace('<', "\\<").replace('*', "\\*")
}
