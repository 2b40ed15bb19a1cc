//! The nemesis: carries the steps of a plan out, undoes them, and sees to it that the cluster gets well. It
//! does for the nodes what their hardware and systemd would do, power on and daemons started, and nothing that
//! an operator would have to do.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::clock::{clock, time_of_day};
use crate::cluster::Cluster;
use crate::error::{LabError, Result, chain};
use crate::faults::FenceMode;
use crate::ledger;
use crate::options::Mode;
use crate::progress::say;
use crate::torture::inject::{Done, inject};
use crate::torture::kind::Kind;
use crate::torture::plan::{Fencing, Rest, Step};
use crate::torture::shape;
use crate::torture::undo::{self, Undo};

/// How long the cluster may take to get well after a fault. Long: a node whose agent was killed in start is
/// banned for a minute (`failure-timeout`), and a recovery that was cut off three times is tried again after
/// two.
pub const PATIENCE: Duration = Duration::from_mins(6);

/// How often it is looked whether a fault goes on.
const TICK: Duration = Duration::from_millis(100);

/// A step as it was carried out.
#[derive(Debug, Clone, Serialize)]
pub struct Played {
    /// Its number in the plan.
    pub number: usize,
    /// Its kind.
    pub kind: Kind,
    /// The kind of what came with it.
    pub with: Option<Kind>,
    /// What was planned.
    pub plan: String,
    /// What was done, or why not.
    pub done: Vec<String>,
    /// True if none of it could be done.
    pub failed: bool,
    /// Seconds since the beginning of the torture.
    pub at: f64,
    /// Seconds from there until it was undone.
    pub lasted: f64,
    /// Seconds from there until all was well; none where that was not waited for.
    pub well_after: Option<f64>,
    /// The longest time, in seconds, in which no write was acknowledged and which began meanwhile.
    pub outage: Option<f64>,
    /// When it began.
    #[serde(skip)]
    pub begin: Instant,
    /// When the next might begin.
    #[serde(skip)]
    pub end: Instant,
}

/// What the nemesis has done so far.
#[derive(Debug)]
pub struct Nemesis<'a> {
    cluster: &'a Cluster,
    begin: Instant,
    owed: BTreeSet<Undo>,
    /// What is to be undone once more when all nodes are together.
    again: BTreeSet<Undo>,
    /// Nodes whose power it has cut and not given back.
    killed: BTreeSet<String>,
    /// So often it found a node off that it had not switched off.
    pub fenced: usize,
    /// The steps.
    pub played: Vec<Played>,
    /// What it said, with the time of day.
    lines: Vec<String>,
}

impl<'a> Nemesis<'a> {
    /// One that begins now.
    pub fn new(cluster: &'a Cluster) -> Self {
        Self {
            cluster,
            begin: Instant::now(),
            owed: BTreeSet::new(),
            again: BTreeSet::new(),
            killed: BTreeSet::new(),
            fenced: 0,
            played: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Says something, and keeps it for the timeline.
    pub fn note(&mut self, text: impl AsRef<str>) {
        self.note_of(SystemTime::now(), text);
    }

    /// The same about a moment ago.
    fn note_of(&mut self, at: SystemTime, text: impl AsRef<str>) {
        let text = text.as_ref();
        say(text);
        let at = clock(time_of_day(at));
        self.lines.push(format!("{at} {}", text.replace('\n', " | ")));
    }

    /// All that it said, a line each.
    pub fn log(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    /// Carries a step out, undoes it, and waits as the plan says. An error: the cluster does not get well.
    pub fn play(&mut self, step: &Step) -> Result<()> {
        self.note(format!("fault{step}"));
        let begin = Instant::now();
        let with = step.with.iter().flat_map(|(_, _, act)| Undo::of(act));
        self.owe(Undo::of(&step.act).into_iter().chain(with));
        let mut done = self.fencing(step.fencing);
        for words in &done {
            self.note(format!("  {words}"));
        }
        let end = Instant::now() + step.hold;
        let missed = AtomicUsize::new(0);
        let (first, second) = thread::scope(|scope| {
            let cluster = self.cluster;
            let missed = &missed;
            let hit = move |act| {
                let result = inject(cluster, act, end).inspect_err(|_| {
                    missed.fetch_add(1, Ordering::Relaxed);
                });
                (SystemTime::now(), result)
            };
            let first = scope.spawn(move || hit(&step.act));
            let second = step.with.as_ref().map(|(after, _, act)| {
                scope.spawn(move || {
                    thread::sleep(*after);
                    hit(act)
                })
            });
            // Where nothing was hit there is nothing to wait for.
            let acts = 1 + usize::from(second.is_some());
            while Instant::now() < end && missed.load(Ordering::Relaxed) < acts {
                thread::sleep(TICK.min(end.saturating_duration_since(Instant::now())));
            }
            let joined = |one: thread::ScopedJoinHandle<'_, (SystemTime, Result<Done>)>| {
                let panicked =
                    |_| (SystemTime::now(), Err(LabError::plain("the fault's thread panicked")));
                one.join().unwrap_or_else(panicked)
            };
            (joined(first), second.map(joined))
        });
        let mut failed = true;
        for (at, result) in [Some(first), second].into_iter().flatten() {
            let words = match result {
                Ok(one) => {
                    failed = false;
                    self.killed.extend(one.killed);
                    one.words
                }
                // A node that is gone already, a process that is not there: such is chance.
                Err(error) => first_line(&chain(&error)),
            };
            self.note_of(at, format!("  {words}"));
            done.push(words);
        }
        self.undo();
        let undone = Instant::now();
        let well = match step.rest {
            Rest::Well(_) => Some(self.get_well(PATIENCE)),
            Rest::Hurry(_) => {
                self.look_after();
                None
            }
        };
        let well_after = match &well {
            Some(Ok(time)) => {
                self.note(format!("  well after {:.1} s", time.as_secs_f64()));
                Some(time.as_secs_f64())
            }
            Some(Err(_)) | None => None,
        };
        if !matches!(well, Some(Err(_))) {
            let (Rest::Well(time) | Rest::Hurry(time)) = step.rest;
            thread::sleep(time);
        }
        self.played.push(Played {
            number: step.number,
            kind: step.kind,
            with: step.with.as_ref().map(|(_, kind, _)| *kind),
            plan: step.to_string().trim().to_owned(),
            done,
            failed,
            at: begin.duration_since(self.begin).as_secs_f64(),
            lasted: undone.duration_since(begin).as_secs_f64(),
            well_after,
            outage: None,
            begin,
            end: Instant::now(),
        });
        well.map_or(Ok(()), |well| well.map(drop))
    }

    fn fencing(&mut self, fencing: Fencing) -> Vec<String> {
        let (mode, words) = match fencing {
            Fencing::Works => return Vec::new(),
            Fencing::Fails => (FenceMode::Fails, "fencing fails".to_owned()),
            Fencing::Slow(by) => {
                (FenceMode::Slow(by), format!("fencing takes {} s longer", by.as_secs()))
            }
        };
        self.owed.insert(Undo::Fencing);
        match self.cluster.fence_mode(None, mode) {
            Ok(()) => vec![words],
            Err(error) => vec![chain(&error)],
        }
    }

    fn owe(&mut self, list: impl IntoIterator<Item = Undo>) {
        for one in list {
            self.owed.insert(one);
            if one.is_of_configuration() {
                self.again.insert(one);
            }
        }
    }

    /// Undoes what is owed. What cannot be done now stays owed.
    fn undo(&mut self) {
        for one in self.owed.clone() {
            match one.apply(self.cluster) {
                Ok(()) => {
                    self.owed.remove(&one);
                }
                Err(error) => {
                    self.note(format!("  {one:?} has to wait: {}", first_line(&chain(&error))));
                }
            }
        }
    }

    /// Gives nodes their power back and starts daemons that have died.
    fn look_after(&mut self) {
        let running = self.cluster.running();
        let off = self.cluster.nodes().into_iter().filter(|node| !running.contains(node));
        for node in off.collect::<Vec<_>>() {
            if self.killed.remove(&node) {
                self.note(format!("  power on for {node}"));
            } else {
                self.fenced += 1;
                self.note(format!("  power on for {node}, which was fenced"));
            }
            if let Err(error) = self.cluster.power_on(&node) {
                self.note(format!("  {node} does not boot: {}", first_line(&chain(&error))));
            }
        }
        // One that was booted at once, or by its fencing, and runs.
        self.killed.clear();
        if let Err(error) = undo::start_daemons(self.cluster) {
            self.note(format!("  daemons have to wait: {}", first_line(&chain(&error))));
        }
    }

    /// Waits until all that was done is undone and the cluster is well; gives how long that took.
    pub fn get_well(&mut self, limit: Duration) -> Result<Duration> {
        let begin = Instant::now();
        loop {
            self.undo();
            self.look_after();
            if self.owed.is_empty() && self.cluster.is_healthy() && self.all_are_heirs() {
                if self.again.is_empty() {
                    return Ok(begin.elapsed());
                }
                self.owed = std::mem::take(&mut self.again);
                continue;
            }
            if begin.elapsed() >= limit {
                return Err(LabError::Waited {
                    what: "the cluster is well: one primary, all others stream and may replace it"
                        .to_owned(),
                    limit,
                    state: self.cluster.dump(),
                });
            }
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// In sync mode: the primary's ledger says that every other node may replace it.
    fn all_are_heirs(&self) -> bool {
        if self.cluster.options.mode == Mode::Async {
            return true;
        }
        self.cluster.primary().is_ok_and(|primary| {
            ledger::own(self.cluster, &primary)
                .is_ok_and(|entry| entry.heirs == ledger::set(&self.cluster.others(&primary)))
        })
    }

    /// Undoes everything that any fault may have left, whether this one has had it or not.
    pub fn undo_all(&mut self) {
        let shape = shape(&self.cluster.options);
        self.owe(Undo::ALL.into_iter().filter(|one| one.fits(shape)));
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
