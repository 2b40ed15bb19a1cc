//! Many histories, one after the other.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use clap::Parser;
use sim::{Mutation, Options, run};

/// Runs the real decisions of pgtwin on model nodes through histories full of faults.
#[derive(Parser)]
struct Args {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many histories.
    #[arg(long, default_value_t = 1)]
    histories: u64,
    /// How many nodes, 2 to 5; the seed decides if this is not given.
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..=5))]
    nodes: Option<u64>,
    /// For how long faults go on in a history, in seconds of its own time.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Plants this error in what the decisions are told or in the order of acts.
    #[arg(long)]
    mutation: Option<Mutation>,
    /// Has nodes rebuilt meanwhile.
    #[arg(long)]
    rebuilds: bool,
    /// Has other data put on nodes, and adopted, meanwhile.
    #[arg(long)]
    adoptions: bool,
    /// Has the distribution start PostgreSQL at boot, on data of a primary of the past.
    #[arg(long)]
    services: bool,
    /// Does not ask for a healthy cluster at the end.
    #[arg(long)]
    safety_only: bool,
    /// Prints the history also where nothing is wrong.
    #[arg(long)]
    verbose: bool,
    /// Goes on after a history that broke an invariant.
    #[arg(long)]
    go_on: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let options = Options {
        nodes: args.nodes.and_then(|nodes| usize::try_from(nodes).ok()),
        seconds: args.seconds,
        mutation: args.mutation,
        converges: !args.safety_only,
        rebuilds: args.rebuilds,
        adoptions: args.adoptions,
        services: args.services,
    };
    let (mut broken, mut acked, mut promotions) = (0, 0, 0);
    let (mut fenced, mut alone, mut rebuilt) = (0, 0, 0);
    let (mut adopted, mut given_up, mut by_hand) = (0, 0, 0);
    let last = args.seed.saturating_add(args.histories);
    for seed in args.seed..last {
        let report = run(seed, &options);
        acked += report.counts.acked;
        promotions += report.counts.promotions;
        fenced += report.counts.fenced;
        alone += report.counts.alone;
        rebuilt += report.counts.rebuilt;
        adopted += report.counts.adopted;
        given_up += report.counts.given_up;
        by_hand += report.counts.by_hand;
        if args.verbose || (report.violation.is_some() && !args.go_on) {
            for line in &report.history {
                println!("{line}");
            }
        }
        if let Some(words) = report.violation {
            println!("seed {seed}, {} nodes: {words}", report.nodes);
            broken += 1;
            if !args.go_on {
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "{} histories from seed {}, {broken} broke an invariant; {acked} commits acknowledged, \
         {promotions} promotions, {fenced} nodes fenced, {alone} times alone, {rebuilt} copies, {adopted} \
         adoptions that gave up {given_up} commits, {by_hand} servers started by the distribution",
        args.histories, args.seed
    );
    if broken > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
