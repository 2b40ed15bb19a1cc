//! Many histories, on all processors: the seed decides each, whoever lives through it.
#![allow(clippy::print_stdout)]

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use sim::{Counts, Mutation, Options, Report, run};

/// Runs the real decisions of pgtwin on model nodes through histories full of faults.
#[derive(Parser)]
struct Args {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many histories.
    #[arg(long, default_value_t = 1)]
    histories: u64,
    /// For how long histories follow each other instead, in hours.
    #[arg(long, value_parser = hours, conflicts_with = "histories")]
    hours: Option<Duration>,
    /// How many are lived through at a time; as many as there are processors, if this is not given.
    #[arg(long)]
    threads: Option<NonZero<usize>>,
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
    /// Has an heir promoted and lost, again and again, while the old primary comes back; no other faults.
    #[arg(long)]
    lost_heirs: bool,
    /// Has two nodes promoted to one timeline number, again and again; no other faults.
    #[arg(long)]
    branches: bool,
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

fn hours(text: &str) -> Result<Duration, String> {
    let hours: f64 = text.parse().map_err(|_| format!("{text:?} is no number of hours"))?;
    Duration::try_from_secs_f64(hours * 3600.0).map_err(|why| why.to_string())
}

/// What became of the histories so far.
#[derive(Default)]
struct Sum {
    histories: u64,
    broken: u64,
    counts: Counts,
}

impl Sum {
    /// Adds one, and prints what is to be printed of it.
    fn add(&mut self, report: Report, whole: bool) {
        let Report { seed, nodes, violation, history, counts } = report;
        self.histories += 1;
        self.counts += counts;
        if whole {
            for line in history {
                println!("{line}");
            }
        }
        if let Some(words) = violation {
            println!("seed {seed}, {nodes} nodes: {words}");
            self.broken += 1;
        }
    }
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
        lost_heirs: args.lost_heirs,
        branches: args.branches,
    };
    let begin = Instant::now();
    let last = args.seed.saturating_add(args.histories);
    let goes_on = |seed| args.hours.map_or(seed < last, |hours| begin.elapsed() < hours);
    let (next, over) = (AtomicU64::new(args.seed), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let live = || {
        while !over.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !goes_on(seed) {
                return;
            }
            let report = run(seed, &options);
            let ends = report.violation.is_some() && !args.go_on;
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            // Of two that are broken at one moment the first is shown.
            if !over.load(Ordering::Relaxed) {
                sum.add(report, args.verbose || ends);
            }
            over.fetch_or(ends, Ordering::Relaxed);
        }
    };
    let threads = args.threads.or(thread::available_parallelism().ok()).map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(live);
        }
    });
    let Sum { histories, broken, counts } =
        sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    if broken > 0 && !args.go_on {
        return ExitCode::FAILURE;
    }
    println!(
        "{histories} histories from seed {} in {:.0} s, {broken} broke an invariant; {} commits acknowledged, \
         {} promotions, {} nodes fenced, {} times alone, {} copies ({} of data that could follow), {} adoptions that gave up {} commits, {} \
         servers started by the distribution, {} heirs lost after their promotion, {} times somebody was promoted \
         without them, {} promoted to a timeline that had begun, {} rights passed on",
        args.seed,
        begin.elapsed().as_secs_f64(),
        counts.acked,
        counts.promotions,
        counts.fenced,
        counts.alone,
        counts.rebuilt,
        counts.needless,
        counts.adopted,
        counts.given_up,
        counts.by_hand,
        counts.heirs_lost,
        counts.without_them,
        counts.branches,
        counts.passed
    );
    if broken > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
