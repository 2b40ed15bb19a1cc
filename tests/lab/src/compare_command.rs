//! `lab compare` on the command line.

#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use lab::compare::blow::Blow;
use lab::compare::record::Record;
use lab::compare::{self, Wish, table};
use lab::options::{Agent, Options, Release};
use lab::{Result, host};

/// What `lab compare` takes.
#[derive(Args)]
pub struct Compare {
    /// Rounds of each fault, those on record included.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// These only, separated by commas: pgtwin, paf, patroni.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Agent>,
    /// These faults only, separated by commas. `--faults` lists them.
    #[arg(long, value_delimiter = ',')]
    fault: Vec<Blow>,
    /// List the faults, and do nothing.
    #[arg(long)]
    faults: bool,
    /// Print the tables of what is on record, and do nothing.
    #[arg(long)]
    show: bool,
    /// Seconds of rest before each round.
    #[arg(long, default_value_t = 5)]
    rest: u64,
    /// Leave out what each costs while nothing happens.
    #[arg(long)]
    no_costs: bool,
    /// Debian release: bookworm, trixie or forky.
    #[arg(long, default_value = "trixie")]
    release: Release,
    /// Number of nodes, 3 to 5: etcd needs three.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=5))]
    nodes: u32,
    /// This pgtwin binary instead of one that is built.
    #[arg(long)]
    agent_binary: Option<PathBuf>,
    /// Where the record is kept. [default: target/compare]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Leave dockerd running if it was started.
    #[arg(long)]
    pub keep_engine: bool,
}

impl Compare {
    /// True if it only prints.
    pub fn only_prints(&self) -> bool {
        self.show || self.faults
    }

    /// Does it, with clusters of this name.
    pub fn run(self, name: &str) -> Result<ExitCode> {
        if self.faults {
            for (blow, _, words) in Blow::ALL {
                println!("{:<18} {words}", blow.to_string());
            }
            return Ok(ExitCode::SUCCESS);
        }
        let dir = self.out.unwrap_or_else(compare::default_dir);
        if self.show {
            print!("{}", table::show(&Record::read(&dir)?));
            return Ok(ExitCode::SUCCESS);
        }
        let options = Options {
            name: name.to_owned(),
            nodes: self.nodes,
            release: self.release,
            agent_binary: self.agent_binary,
            ..Options::default()
        };
        let wish = Wish {
            rounds: self.rounds,
            only: self.only,
            blows: self.fault,
            rest: Duration::from_secs(self.rest),
            costs: !self.no_costs,
            dir,
        };
        let record = compare::compare(&options, &wish);
        if !self.keep_engine {
            host::stop_engine()?;
        }
        print!("{}", table::show(&record?));
        Ok(ExitCode::SUCCESS)
    }
}
