//! The `lab` command: a Pacemaker cluster in a box, for people.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod compare_command;
mod interrupt;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime};

use clap::{Args, Parser, Subcommand};
use compare_command::Compare;
use lab::bench::{self, Plan};
use lab::clock::time_of_day;
use lab::error::chain;
use lab::faults::Fault;
use lab::options::{Agent, Mode, Options, Release, Runtime};
use lab::progress::say;
use lab::run::{Run, tail};
use lab::torture::kind::Kind;
use lab::torture::{self, Wish};
use lab::{Cluster, Result, cluster, demo, disks, docker, host, image, timeline};

/// A Pacemaker cluster in a box: PostgreSQL, pgtwin, real fencing, in containers.
#[derive(Parser)]
#[command(name = "lab")]
struct Cli {
    /// Name of the lab; several can run side by side. Default: `lab`, or `demo`, `bench`, `torture`, `compare`.
    #[arg(long, global = true)]
    name: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a cluster, and leave it running.
    Up {
        #[command(flatten)]
        shape: Shape,
        /// Corosync, Pacemaker, fencing and the programs only: to follow the quick start by hand.
        #[arg(long)]
        bare: bool,
    },
    /// Remove the cluster, and stop dockerd if the lab had started it.
    Down {
        /// Remove every lab of this machine.
        #[arg(long)]
        all: bool,
        /// Leave dockerd running.
        #[arg(long)]
        keep_engine: bool,
    },
    /// Show the cluster's state, and the primary's replication.
    Status,
    /// Open a shell in a node.
    Shell {
        /// n1, n2, …
        node: String,
        /// A command to run instead of bash.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Break something, or repair it. Without a name: list what there is.
    Fault {
        /// What to break.
        fault: Option<Fault>,
        /// The node; the primary's where not given.
        node: Option<String>,
    },
    /// Start a cluster, kill the primary under write load, report what it cost, clean up.
    Demo {
        #[command(flatten)]
        shape: Shape,
        /// What to break.
        #[arg(long, default_value = "kill-node")]
        fault: Fault,
        /// Leave dockerd running if it was started.
        #[arg(long)]
        keep_engine: bool,
    },
    /// Measure, on a cluster of its own, what a monitor costs and how long writes stand still.
    Bench {
        #[command(flatten)]
        shape: Shape,
        /// Rounds of each fault.
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// Monitors of each role.
        #[arg(long, default_value_t = 101)]
        monitors: u32,
        /// Kill the primary's node, too.
        #[arg(long)]
        node_loss: bool,
        /// Measure how long nodes take to come back instead: by pg_rewind, by pg_basebackup, after a
        /// switchover.
        #[arg(long)]
        rejoin: bool,
        /// Leave dockerd running if it was started.
        #[arg(long)]
        keep_engine: bool,
    },
    /// Break a cluster of its own again and again under load, by a plan that is drawn from a seed; heal,
    /// compare, count and judge. Exits with 1 if anything was lost, written on two nodes, or did not heal.
    Torture(Torture),
    /// Measure pgtwin, PAF and Patroni, in turn, under the same faults; print the tables.
    Compare(Compare),
    /// Show the system log of the nodes: the agent, Pacemaker, fencing.
    Logs {
        /// One node only.
        node: Option<String>,
        /// So many lines of each.
        #[arg(long, short = 'n', default_value_t = 40)]
        lines: usize,
        /// Write all logs of all nodes into a directory, and all of them in the order of time.
        #[arg(long)]
        save: Option<PathBuf>,
    },
    /// Build the images of the given releases, or of all.
    Image {
        /// bookworm, trixie, forky.
        releases: Vec<Release>,
    },
}

#[derive(Args)]
struct Shape {
    /// Number of nodes, 2 to 5.
    #[arg(long, default_value_t = 3)]
    nodes: u32,
    /// Debian release: bookworm, trixie or forky.
    #[arg(long, default_value = "trixie")]
    release: Release,
    /// Replication: sync or async.
    #[arg(long, default_value = "sync")]
    mode: Mode,
    /// Another agent than pgtwin: the distribution's own, as a yardstick, or Pacemaker's test agent
    /// without PostgreSQL.
    #[arg(long, value_enum, default_value_t = Agent::Pgtwin)]
    agent: Agent,
    /// Where PostgreSQL runs: on the nodes, in podman on them, or on n1 itself and in podman on the others.
    #[arg(long, value_enum, default_value_t = Runtime::Host)]
    runtime: Runtime,
    /// This pgtwin binary instead of one that is built.
    #[arg(long)]
    agent_binary: Option<PathBuf>,
    /// Do not start Corosync and Pacemaker.
    #[arg(long)]
    no_start: bool,
}

#[derive(Args)]
struct Torture {
    #[command(flatten)]
    shape: Shape,
    /// For how many minutes faults are injected. What has begun is brought to its end.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: u64,
    /// What the plan is drawn from; by the clock where none is given.
    #[arg(long)]
    seed: Option<u64>,
    /// These kinds of faults only, separated by commas. `--kinds` lists them.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Kind>,
    /// Give each node's data a file system of this many MB, which is filled, frozen and broken now and then.
    #[arg(long)]
    disk: Option<u32>,
    /// Where the report is written, and all logs of a run that fails.
    /// [default: target/torture/ and the seed]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print the plan, and do nothing.
    #[arg(long)]
    plan: bool,
    /// List the kinds of faults, and do nothing.
    #[arg(long)]
    kinds: bool,
    /// Leave the cluster of a run that failed as it is, until the next `lab up` or `lab down`.
    #[arg(long)]
    keep: bool,
    /// Leave dockerd running if it was started.
    #[arg(long)]
    keep_engine: bool,
}

impl Shape {
    fn options(self, name: &str, keep: bool) -> Options {
        Options {
            name: name.to_owned(),
            nodes: self.nodes,
            release: self.release,
            mode: self.mode,
            agent: self.agent,
            runtime: self.runtime,
            agent_binary: self.agent_binary,
            start: !self.no_start,
            keep,
            ..Options::default()
        }
    }
}

impl Cli {
    fn name(&self) -> String {
        let default = match self.command {
            Command::Demo { .. } => "demo",
            Command::Bench { .. } => "bench",
            Command::Torture { .. } => "torture",
            Command::Compare { .. } => "compare",
            _ => "lab",
        };
        self.name.clone().unwrap_or_else(|| default.to_owned())
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.command {
        Command::Up { .. } => interrupt::clean_up(Some(cli.name()), false),
        Command::Demo { keep_engine, .. } | Command::Bench { keep_engine, .. } => {
            interrupt::clean_up(Some(cli.name()), *keep_engine);
        }
        Command::Torture(torture) if !torture.plan && !torture.kinds => {
            interrupt::clean_up(Some(cli.name()), torture.keep_engine);
        }
        Command::Compare(compare) if !compare.only_prints() => {
            interrupt::clean_up(Some(cli.name()), compare.keep_engine);
        }
        // It would leave the engine running in the end, too.
        Command::Image { .. } => interrupt::clean_up(None, true),
        Command::Torture(_)
        | Command::Compare(_)
        | Command::Down { .. }
        | Command::Status
        | Command::Shell { .. }
        | Command::Fault { .. }
        | Command::Logs { .. } => {}
    }
    let stays = matches!(cli.command, Command::Up { .. });
    let done = run(cli);
    interrupt::has_returned();
    if done.is_err() {
        // Ctrl-C ends the programs that this one waits for, too: let the handler say so.
        thread::sleep(Duration::from_millis(100));
    }
    while interrupt::is_under_way() {
        // What failed, failed because the cluster was taken away; the handler ends the process.
        thread::sleep(Duration::from_secs(1));
    }
    match done {
        Ok(code) => code,
        Err(error) => {
            if stays {
                eprintln!("lab: `lab logs` shows why, `lab down` removes what is there");
            }
            eprintln!("lab: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let name = cli.name();
    match cli.command {
        Command::Up { shape, bare } => {
            let options = Options { bare, ..shape.options(&name, true) };
            let cluster = Cluster::up(options)?;
            println!("{}", cluster.crm_mon_text().unwrap_or_default());
        }
        Command::Down { all, keep_engine } => down(&name, all, keep_engine)?,
        Command::Status => status(&Cluster::attach(&name)?)?,
        Command::Shell { node, command } => return shell(&Cluster::attach(&name)?, &node, command),
        Command::Fault { fault: None, .. } => {
            for (_, fault, what) in Fault::ALL {
                println!("{fault:<24}{what}");
            }
        }
        Command::Fault { fault: Some(fault), node } => {
            println!("{}", fault.inject(&Cluster::attach(&name)?, node.as_deref())?);
        }
        Command::Demo { shape, fault, keep_engine } => {
            let report = demo::demo(shape.options(&name, false), fault);
            if !keep_engine {
                host::stop_engine()?;
            }
            println!("{}", report?);
        }
        Command::Bench { shape, rounds, monitors, node_loss, rejoin, keep_engine } => {
            let plan = Plan { rounds, monitors, node_loss, rejoin };
            let report = bench::bench(shape.options(&name, false), plan);
            if !keep_engine {
                host::stop_engine()?;
            }
            println!("{}", report?);
        }
        Command::Torture(wanted) => return torture(wanted, &name),
        Command::Compare(wanted) => return wanted.run(&name),
        Command::Logs { node, lines, save } => logs(&Cluster::attach(&name)?, node, lines, save)?,
        Command::Image { releases } => {
            host::prepare()?;
            let all = Release::ALL.to_vec();
            for release in if releases.is_empty() { all } else { releases } {
                println!("{}", image::ensure(release)?);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn torture(wanted: Torture, name: &str) -> Result<ExitCode> {
    if wanted.kinds {
        for row in Kind::ALL {
            println!("{:<18} {}", row.name, row.words);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options { disk: wanted.disk, ..wanted.shape.options(name, false) };
    options.check()?;
    let options = torture::options(options);
    torture::check(&options, &wanted.only)?;
    let seed = wanted.seed.unwrap_or_else(torture::new_seed);
    let time = Duration::from_mins(wanted.minutes);
    if wanted.plan {
        print!("{}", torture::show(seed, torture::shape(&options), &wanted.only, time));
        return Ok(ExitCode::SUCCESS);
    }
    let dir = wanted.out.map_or_else(|| torture::default_dir(seed), Ok)?;
    let mut cluster = Cluster::up(options)?;
    let done = torture::torture(&cluster, &Wish { seed, time, only: wanted.only, dir });
    let passed = done.as_ref().is_ok_and(torture::Report::passed);
    if done.is_err() {
        say(cluster.dump());
    }
    if wanted.keep && !passed {
        cluster.keep();
        println!("the cluster is left: lab --name {name} status, and … down removes it");
    } else {
        cluster.down()?;
        if !wanted.keep_engine {
            host::stop_engine()?;
        }
    }
    print!("{}", done?.text());
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn down(name: &str, all: bool, keep_engine: bool) -> Result<()> {
    host::prepare()?;
    cluster::remove_lab(name)?;
    docker::remove(|one| all || !docker::owner_lives(&one.owner))?;
    disks::remove_stale()?;
    if !keep_engine {
        host::stop_engine()?;
    }
    Ok(())
}

fn status(cluster: &Cluster) -> Result<()> {
    let options = &cluster.options;
    println!(
        "lab {}: {} nodes of {}, {} mode, address {}",
        options.name,
        options.nodes,
        options.release,
        options.mode.name(),
        cluster.addresses.vip()
    );
    for node in cluster.nodes() {
        let state = if cluster.is_running(&node) { "on" } else { "off" };
        println!("  {node} {} {state}", cluster.addresses.node(&node));
    }
    println!("{}", cluster.crm_mon_text()?);
    if options.agent.runs_postgres() {
        match cluster.primary() {
            Ok(primary) => {
                println!("\nprimary: {primary}");
                for (standby, (state, sync)) in cluster.streaming_from(&primary)? {
                    println!("  {standby}: {state}, {sync}");
                }
            }
            Err(error) => println!("\n{}", chain(&error)),
        }
    }
    Ok(())
}

fn shell(cluster: &Cluster, node: &str, command: Vec<String>) -> Result<ExitCode> {
    use std::io::IsTerminal;
    let mut args = vec!["exec".to_owned(), "--interactive".to_owned()];
    if std::io::stdin().is_terminal() {
        args.push("--tty".to_owned());
    }
    args.push(cluster.container(node));
    args.extend(if command.is_empty() { vec!["bash".to_owned()] } else { command });
    let code = Run::new("docker").args(args).on_terminal()?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn logs(
    cluster: &Cluster,
    node: Option<String>,
    lines: usize,
    save: Option<PathBuf>,
) -> Result<()> {
    if let Some(dir) = save {
        cluster.save_logs(&dir)?;
        timeline::write(&dir, &cluster.nodes(), time_of_day(SystemTime::now()))?;
        println!("{}", dir.display());
        return Ok(());
    }
    for node in node.map_or_else(|| cluster.nodes(), |name| vec![name]) {
        println!("--- {node}");
        println!("{}", tail(&cluster.logs(&node)?, lines));
    }
    Ok(())
}
