//! Torture: a cluster under load, and a nemesis that breaks it again and again by a plan that is drawn from a
//! seed; at the end everything is healed, compared, counted and judged. The plan, the verdict and the report
//! are pure; what injects and undoes a fault is thin.

pub mod act;
pub mod equal;
pub mod inject;
pub mod judge;
pub mod kind;
pub mod load;
pub mod nemesis;
pub mod plan;
pub mod report;
mod run;
pub mod undo;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::binaries;
use crate::chance::Chance;
use crate::error::{LabError, Result};
use crate::options::{Agent, Options};
use crate::torture::kind::Kind;
use crate::torture::plan::{Plan, Rest, Shape, Step};

pub use report::Report;
pub use run::torture;

/// From so many MB on a disk has room for what brings data back: its copy, the WAL that comes meanwhile
/// (`max_wal_size`, 1 GB), and what the run has written.
const DISK: u32 = 2048;

/// What is wanted of a run.
#[derive(Debug, Clone)]
pub struct Wish {
    /// What the plan is drawn from.
    pub seed: u64,
    /// For how long faults are injected.
    pub time: Duration,
    /// These kinds only; all, where there is none.
    pub only: Vec<Kind>,
    /// Where the report is written, and the logs of a run that fails.
    pub dir: PathBuf,
}

/// These options, with what torture needs: clocks that can be set, and disks that can fail. Fencing may fail for as
/// long as a fault lasts: Pacemaker would give up after ten failures, until an operator asks it again.
pub fn options(options: Options) -> Options {
    let mut properties = BTreeMap::from([("stonith-max-attempts".to_owned(), "10000".to_owned())]);
    properties.extend(options.properties);
    Options { properties, preload: true, device: options.disk.is_some(), ..options }
}

/// Refuses what cannot be tortured, before a cluster is built for it.
pub fn check(options: &Options, only: &[Kind]) -> Result<()> {
    if options.agent != Agent::Pgtwin {
        return Err(LabError::plain("torture is for pgtwin: leave out --agent"));
    }
    if !options.start {
        return Err(LabError::plain("torture needs a cluster that runs: leave out --no-start"));
    }
    if let Some(disk) = options.disk.filter(|disk| *disk < DISK) {
        return Err(LabError::plain(format!(
            "disks of {disk} MB: data that has parted is brought back only where there is room for what comes \
             meanwhile; {DISK} or more"
        )));
    }
    if Plan::new(0, shape(options), only).next().is_none() {
        return Err(LabError::plain(
            "this cluster can have none of these faults: cut-pair takes three nodes, those of disks \
             take --disk",
        ));
    }
    Ok(())
}

/// What a plan must know of a cluster with these options.
pub fn shape(options: &Options) -> Shape {
    Shape {
        nodes: options.node_names().len(),
        disks: options.disk.is_some() && options.device,
        clocks: options.preload,
    }
}

/// The plan of a run as text: as many steps as would fit in if the cluster were well at once.
pub fn show(seed: u64, shape: Shape, only: &[Kind], time: Duration) -> String {
    let mut left = time;
    let mut text = format!("seed {seed}, {} nodes, at least for the first {}:\n", shape.nodes, {
        let seconds = time.as_secs();
        format!("{} min {} s", seconds / 60, seconds % 60)
    });
    for step in Plan::new(seed, shape, only) {
        let _ = writeln!(text, "{step}");
        let lasts = lasts(&step);
        if lasts >= left {
            break;
        }
        left -= lasts;
    }
    text
}

fn lasts(step: &Step) -> Duration {
    let (Rest::Well(time) | Rest::Hurry(time)) = step.rest;
    step.hold + time
}

/// Where a run leaves its report if nobody says where; what an earlier one has left there is removed.
pub fn default_dir(seed: u64) -> Result<PathBuf> {
    let root = binaries::root();
    let root = root.canonicalize().unwrap_or(root);
    let dir = root.join("target/torture").join(format!("seed-{seed}"));
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LabError::io(format!("remove {}", dir.display()))(error))
        }
        _ => Ok(dir),
    }
}

/// A seed for who gives none: by the clock, and short enough to be typed.
pub fn new_seed() -> u64 {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Chance::new(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)).below(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fencing_is_tried_again_and_a_property_that_is_given_stays() {
        let given = BTreeMap::from([("load-threshold".to_owned(), "200%".to_owned())]);
        let options = options(Options { properties: given, ..Options::default() });
        let get = |name: &str| options.properties.get(name).map(String::as_str);
        assert_eq!(
            (get("stonith-max-attempts"), get("load-threshold")),
            (Some("10000"), Some("200%"))
        );
        assert_eq!(shape(&options), Shape { nodes: 3, disks: false, clocks: true });
        let disks = super::options(Options { disk: Some(1536), ..Options::default() });
        assert_eq!(shape(&disks), Shape { nodes: 3, disks: true, clocks: true });
    }

    #[test]
    fn what_cannot_be_tortured_is_refused_with_what_to_change() {
        let refused = |options: &Options, only: &[Kind]| {
            check(options, only).err().map(|error| error.to_string()).unwrap_or_default()
        };
        let usual = super::options(Options::default());
        assert_eq!(refused(&usual, &[]), "");
        assert_eq!(refused(&usual, &[Kind::Clock]), "");
        assert!(refused(&usual, &[Kind::FrozenDisk, Kind::ReadOnlyDisk]).contains("--disk"));
        assert_eq!(refused(&usual, &[Kind::CutPair, Kind::FullDisk]), "");
        let two = Options { nodes: 2, ..Options::default() };
        assert!(refused(&two, &[Kind::CutPair]).contains("three nodes"));
        assert!(refused(&usual, &[Kind::FullDisk]).contains("--disk"));
        let small = Options { disk: Some(DISK - 1), ..Options::default() };
        assert!(refused(&small, &[]).contains("2048 or more"));
        let enough = Options { disk: Some(DISK), ..Options::default() };
        assert_eq!(refused(&enough, &[]), "");
        let other = Options { agent: Agent::Pgsql, ..Options::default() };
        assert!(refused(&other, &[]).contains("--agent"));
        let stopped = Options { start: false, ..Options::default() };
        assert!(refused(&stopped, &[]).contains("--no-start"));
    }

    #[test]
    fn a_plan_is_shown_for_as_long_as_it_is_to_last() {
        let shape = Shape { nodes: 3, disks: false, clocks: true };
        let of = |minutes| show(7, shape, &[], Duration::from_mins(minutes));
        let (short, long) = (of(2), of(20));
        let lines = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        assert!(lines(&long).starts_with(&lines(&short)), "{short}\n{long}");
        assert!(lines(&long).len() > 2 * lines(&short).len(), "{short}\n{long}");
        assert!(
            short.starts_with("seed 7, 3 nodes, at least for the first 2 min 0 s:\n"),
            "{short}"
        );
    }
}
