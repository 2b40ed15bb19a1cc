//! Runs targets by a seed, for a while or so many times; and writes the corpus that libFuzzer begins from.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used)]

use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use clap::Parser;
use fuzz::mutate::{Chance, damaged};
use fuzz::{Target, corpus, target, targets};

/// Gives damaged texts to every parser of pgtwin. A text that breaks one is written to a file.
#[derive(Parser)]
struct Args {
    /// The targets; all, if none is given.
    targets: Vec<String>,
    /// How many texts each gets.
    #[arg(long, default_value_t = 20_000)]
    texts: u64,
    /// For how long all of them together go on instead, in seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs one target on this file, and nothing else.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Prints the names of the targets.
    #[arg(long)]
    list: bool,
    /// Writes the texts that each target is begun from to this directory, one below it for each.
    #[arg(long)]
    write_corpus: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let unknown = args.targets.iter().find(|name| target(name).is_none());
    if let Some(name) = unknown {
        eprintln!("there is no target {name}: see --list");
        return ExitCode::from(2);
    }
    let chosen: Vec<&'static Target> = targets::ALL
        .iter()
        .filter(|one| args.targets.is_empty() || args.targets.iter().any(|name| name == one.name))
        .collect();
    if args.list {
        for one in &chosen {
            println!("{}", one.name);
        }
        return ExitCode::SUCCESS;
    }
    if let Some(dir) = &args.write_corpus {
        write_corpus(&chosen, dir);
        return ExitCode::SUCCESS;
    }
    if let Some(file) = &args.file {
        let [one] = chosen.as_slice() else {
            eprintln!("--file needs one target");
            return ExitCode::from(2);
        };
        (one.run)(&fs::read(file).expect("the file of --file"));
        return ExitCode::SUCCESS;
    }
    let next = AtomicUsize::new(0);
    let broken = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(chosen.len());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(one) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // All threads together take the time that is given, each its share of the targets.
                    let share = args.seconds.map(|all| {
                        let workers = u32::try_from(workers).unwrap_or(u32::MAX);
                        let targets = u32::try_from(chosen.len()).unwrap_or(u32::MAX).max(1);
                        Duration::from_secs(all).saturating_mul(workers) / targets
                    });
                    if !lives(one, args.seed, args.texts, share) {
                        broken.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let broken = broken.into_inner();
    println!("{} targets, {broken} broken", chosen.len());
    if broken > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Whether a target holds what it asserts for all of its texts.
fn lives(target: &Target, seed: u64, texts: u64, share: Option<Duration>) -> bool {
    let corpus = corpus::of(target);
    let began = Instant::now();
    let mut chance = Chance::new(seed);
    let (mut count, mut slowest) = (0_u64, Duration::ZERO);
    let mut last = corpus.clone().into_iter();
    loop {
        let over = share.map_or(count >= texts, |share| began.elapsed() >= share);
        let given = match last.next() {
            // All of the corpus as it is, whatever the time.
            Some(whole) => whole,
            None if over => break,
            None => damaged(&corpus, &mut chance),
        };
        let before = Instant::now();
        if catch_unwind(|| (target.run)(&given)).is_err() {
            let file = std::env::temp_dir().join(format!("fuzz-{}-{seed}-{count}", target.name));
            let kept =
                fs::write(&file, &given).map_or_else(|error| error.to_string(), |()| String::new());
            println!(
                "BROKEN: {} by text {count} of seed {seed}; again: cargo run -p fuzz -- {} --file {} {kept}",
                target.name,
                target.name,
                file.display()
            );
            return false;
        }
        slowest = slowest.max(before.elapsed());
        count += 1;
    }
    println!(
        "{:<22} {count:>9} texts from {:>3}, {:>6.1} s, the slowest {:.1} ms",
        target.name,
        corpus.len(),
        began.elapsed().as_secs_f64(),
        slowest.as_secs_f64() * 1000.0
    );
    true
}

fn write_corpus(chosen: &[&Target], dir: &std::path::Path) {
    for one in chosen {
        let dir = dir.join(one.name);
        fs::create_dir_all(&dir).expect("a directory for the corpus");
        for (index, text) in corpus::of(one).iter().enumerate() {
            fs::write(dir.join(format!("{index:04}")), text).expect("a file of the corpus");
        }
    }
}
