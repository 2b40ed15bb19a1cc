//! The operator's command line. Floor 4.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use super::{
    adopt, bootstrap, container, doctor, explain, fix_pghba, force_promote, forget, history, pause,
    rebuild, recover, setup, status, storage, switchover, validate_pghba,
};

/// What stands below the operator's commands in the help.
const AFTER: &str = "\
Actions of the resource agent (Pacemaker calls them, with OCF_RESKEY_* set):
  start, stop, promote, demote, monitor, notify, reload-agent, validate-all,
  validate-pghba, meta-data, usage

Exit codes of the operator's commands:
  0  done, or all is well
  1  something needs attention, or it was not done; the reason is printed
  2  the command line is wrong
Actions exit with the codes of OCF resource agents (an unknown action: 3).";

/// PostgreSQL high availability on Pacemaker.
#[derive(Debug, Parser)]
#[command(
    name = "pgtwin",
    version,
    after_help = AFTER,
    arg_required_else_help = true,
    max_term_width = 80
)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

/// Their words stand with their options.
#[derive(Debug, Subcommand)]
enum Command {
    Status(status::Options),
    Explain(explain::Options),
    Switchover(switchover::Options),
    Rebuild(rebuild::Options),
    History(history::Options),
    Pause(pause::PauseOptions),
    Resume(pause::ResumeOptions),
    ValidatePghba(validate_pghba::Options),
    FixPghba(fix_pghba::Options),
    Doctor(doctor::Options),
    Setup(setup::Options),
    Bootstrap(bootstrap::Options),
    Storage(storage::Options),
    Forget(forget::Options),
    ForcePromote(force_promote::Options),
    Adopt(adopt::Options),
    Container(container::Options),
    #[command(hide = true)]
    Recover(recover::Options),
    #[command(hide = true)]
    Ordered(rebuild::ordered::Options),
}

/// The definition of the whole command line, of which man pages and completions are made.
pub fn definition() -> clap::Command {
    Options::command()
}

/// The names of the commands for people.
pub(super) fn commands() -> Vec<String> {
    let command = Options::command();
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| command.get_name().to_owned()).collect()
}

/// Whether this is a command, and no action of the agent.
pub(super) fn is_command(word: &str) -> bool {
    word == "help" || Options::command().get_subcommands().any(|command| command.get_name() == word)
}

/// Runs what the command line says; a mistake in it is told and exits with 2.
pub(super) fn main() -> ExitCode {
    match Options::parse().command {
        Command::Status(options) => status::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Switchover(options) => switchover::run(&options),
        Command::Rebuild(options) => rebuild::run(&options),
        Command::History(options) => history::run(&options),
        Command::Pause(options) => pause::run_pause(&options),
        Command::Resume(options) => pause::run_resume(&options),
        Command::ValidatePghba(options) => validate_pghba::run(&options),
        Command::FixPghba(options) => fix_pghba::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Setup(options) => setup::run(&options),
        Command::Bootstrap(options) => bootstrap::run(&options),
        Command::Storage(options) => storage::run(&options),
        Command::Forget(options) => forget::run(&options),
        Command::ForcePromote(options) => force_promote::run(&options),
        Command::Adopt(options) => adopt::run(&options),
        Command::Container(options) => container::run(&options),
        Command::Recover(options) => recover::run(&options),
        Command::Ordered(options) => rebuild::ordered::run(&options),
    }
    .into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
