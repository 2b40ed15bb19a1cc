//! The command: `cargo run -p model --release -- NAME=VALUE...`, see [`model::options::HELP`].
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use model::options::HELP;
use model::{Ending, Model, Options, search};

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(&words) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("model: {error}");
            return ExitCode::from(2);
        }
    };
    let began = std::time::Instant::now();
    let outcome = search(&Model { options });
    println!("{outcome}, {} s", began.elapsed().as_secs());
    match outcome.ending {
        Ending::Exhausted | Ending::Stopped => ExitCode::SUCCESS,
        Ending::CommitLost | Ending::TwoPrimaries | Ending::FalseFollower | Ending::Stuck => {
            ExitCode::FAILURE
        }
    }
}
