//! The actions of the resource agent: environment in, exit code and reason out. Floor 4.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::process::ExitCode;

use super::nearest::nearest;
use super::say;
use crate::agent::outcome::Outcome;
use crate::agent::run;
use crate::decide::answer::{End, code};
use crate::decide::report::wrapped;
use crate::ocf::action::Action;
use crate::ocf::metadata;
use crate::sys::exec::System;
use crate::sys::log;

const USAGE: &str = "usage: pgtwin start|stop|promote|demote|monitor|notify|validate-all|\n              \
                     validate-pghba|reload-agent|meta-data|usage\n\
                     These are actions of the OCF resource agent ocf:heartbeat:pgtwin; Pacemaker\n\
                     calls them, with its parameters in OCF_RESKEY_*.";

/// Runs one action by its name.
pub fn main(word: &str) -> ExitCode {
    let action = match word.parse::<Action>() {
        Ok(action) => action,
        Err(error) => {
            let commands = super::options::commands();
            say::problem(wrapped(&format!("pgtwin: {error}"), 8));
            if let Some(meant) = nearest(word, &commands) {
                say::problem(format_args!("Is it pgtwin {meant}?"));
            }
            let people =
                format!("Commands for people: {}; see pgtwin --help.", commands.join(", "));
            say::problem(wrapped(&people, 2));
            return ExitCode::from(code(End::NoAction).code());
        }
    };
    match action {
        Action::MetaData => {
            // Half of it would be taken for the whole.
            return match say::whole(metadata::xml(env!("CARGO_PKG_VERSION"))) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::from(code(End::Failed).code()),
            };
        }
        Action::Usage => {
            say::line(USAGE);
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    // What is not UTF-8 is no value of ours; it reaches the parameters with replacement signs, and
    // is refused there.
    let vars: BTreeMap<String, String> = std::env::vars_os()
        .map(|(name, value)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        })
        .collect();
    let settings =
        log::Settings::from_env(|name| vars.get(name).cloned(), std::io::stderr().is_terminal());
    log::init(&settings);
    finish(&run::run(action, &vars, &System))
}

fn finish(outcome: &Outcome) -> ExitCode {
    for line in &outcome.output {
        say::line(line);
    }
    if let Some(reason) = &outcome.reason {
        let _ = log::write_exit_reason(&mut std::io::stderr(), reason);
    }
    ExitCode::from(outcome.code.code())
}
