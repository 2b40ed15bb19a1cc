//! Where a case is played: a cluster that cases of the same shape share, brought up for the first
//! of them and again after one that failed; several side by side where that is asked for; and what is kept
//! of a failure.

use std::any::type_name_of_val;
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use lab::clock::time_of_day;
use lab::error::chain;
use lab::{Cluster, Options, Result, host, timeline};
use nix::fcntl::Flock;

use crate::{ledger, repair};

/// Bound of everything that takes seconds on an idle machine.
pub const SOON: Duration = Duration::from_secs(90);
/// Lines of the agents' logs that a failure prints; all of them are saved.
const LINES: usize = 120;

/// Where clusters are up: a case has one of them to itself. As many as `PGTWIN_CLUSTER_THREADS` says.
static PLACES: Mutex<Vec<Place>> = Mutex::new(Vec::new());
static LEFT: Condvar = Condvar::new();
/// No other process runs cases meanwhile: held until this one ends.
static LOCK: OnceLock<Flock<File>> = OnceLock::new();

#[derive(Default)]
struct Place {
    /// A case is being played here.
    taken: bool,
    /// What is up, while it is not taken.
    up: Option<Up>,
    /// Somebody removes what is left here when this process ends.
    is_watched: bool,
}

struct Up {
    cluster: Cluster,
    /// What it was built from, but for its name and how it was started.
    shape: String,
}

/// A place that was taken; left when dropped.
struct Stage {
    place: usize,
    up: Option<Up>,
}

impl Stage {
    /// Takes the first place that is free and whose cluster has the highest rank; waits for one.
    fn take<R: Ord>(rank: impl Fn(Option<&Up>) -> R) -> Self {
        let mut places = locked();
        if places.is_empty() {
            places.resize_with(side_by_side(), Place::default);
        }
        loop {
            let free = places.iter_mut().enumerate().rev().filter(|(_, place)| !place.taken);
            if let Some((number, place)) = free.max_by_key(|(_, place)| rank(place.up.as_ref())) {
                place.taken = true;
                return Self { place: number, up: place.up.take() };
            }
            places = LEFT.wait(places).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Brings a cluster of this shape up, in the place of what is there.
    fn raise(&mut self, shape: &Options) {
        self.up = None;
        self.up = Some(raise(shape, self.place));
    }

    fn play(&mut self, name: &str, body: impl FnOnce(&Cluster) -> Result<()>) {
        let Some(up) = &self.up else { panic!("no cluster") };
        let Err(text) = played(name, &up.cluster, body) else { return };
        let dir = keep_evidence(&up.cluster, name, &text);
        // What it broke must not fail the next case.
        self.up = None;
        panic!("{name}: {text}\nall logs are in {}", dir.display());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(place) = locked().get_mut(self.place) {
            place.taken = false;
            place.up = self.up.take();
        }
        LEFT.notify_one();
    }
}

fn locked() -> MutexGuard<'static, Vec<Place>> {
    PLACES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many clusters there may be at a time.
fn side_by_side() -> usize {
    let Ok(text) = std::env::var("PGTWIN_CLUSTER_THREADS") else { return 1 };
    let number = text.parse().ok().filter(|number| (1..=16).contains(number));
    number.unwrap_or_else(|| panic!("PGTWIN_CLUSTER_THREADS={text}: a number from 1 to 16"))
}

/// Plays a case on a shared cluster of this shape, healthy at its beginning.
pub fn case<F: FnOnce(&Cluster) -> Result<()>>(shape: &Options, body: F) {
    let name = name_of(&body);
    let wanted = text_of(shape);
    let mut stage = Stage::take(|up| match up {
        Some(up) if up.shape == wanted => 2,
        Some(_) => 0,
        None => 1,
    });
    if let Some(up) = stage.up.take_if(|up| up.shape == wanted) {
        match repair::make_ready(&up.cluster) {
            Ok(()) => {
                eprintln!("{name}: on {}", up.cluster.options.name);
                stage.up = Some(up);
                return stage.play(&name, body);
            }
            Err(error) => eprintln!(
                "{name}: the cluster of the case before is of no use any more: {}",
                chain(&error)
            ),
        }
    }
    stage.raise(shape);
    stage.play(&name, |cluster| {
        repair::make_ready(cluster)?;
        body(cluster)
    });
}

/// Plays a case on a new cluster of this shape, whatever is there. The next case may have it.
pub fn fresh<F: FnOnce(&Cluster) -> Result<()>>(shape: &Options, body: F) {
    let name = name_of(&body);
    let mut stage = Stage::take(|up| up.is_none());
    stage.raise(shape);
    stage.play(&name, body);
}

/// The path of the test that runs here: the name of its thread, else of what made this closure.
fn name_of<T>(body: &T) -> String {
    if let Some(name) = thread::current().name().filter(|name| *name != "main") {
        return name.to_owned();
    }
    let path = type_name_of_val(body).trim_end_matches("::{{closure}}");
    path.trim_start_matches("cases::").to_owned()
}

fn text_of(shape: &Options) -> String {
    let mut shape = shape.clone();
    shape.name = String::new();
    shape.start = true;
    format!("{shape:?}")
}

fn raise(options: &Options, place: usize) -> Up {
    LOCK.get_or_init(|| host::lock("cases").unwrap());
    let lab = format!("t{}-{place}", std::process::id());
    let is_watched =
        locked().get_mut(place).is_some_and(|one| std::mem::replace(&mut one.is_watched, true));
    if !is_watched {
        remove_when_this_process_ends(&lab);
    }
    let shape = text_of(options);
    // A cluster that does not come up is a failure with all its evidence, too.
    let cluster = Cluster::up(Options { name: lab, start: false, ..options.clone() }).unwrap();
    let up = Up { cluster, shape };
    if options.start {
        let started = up.cluster.start_all().and_then(|()| up.cluster.wait_healthy(SOON));
        if let Err(error) = started {
            let dir = keep_evidence(&up.cluster, "cluster_up", &chain(&error));
            panic!("the cluster does not come up; all logs are in {}\n{error:?}", dir.display());
        }
    }
    up
}

/// Neither Ctrl-C nor an end without destructors leaves containers behind: a process of its own
/// gets the lock when this one has ended, and removes them.
fn remove_when_this_process_ends(lab: &str) {
    let lock = host::state_dir().join("cases.lock");
    let waits = Command::new("setsid")
        .args(["--fork", "flock"])
        .arg(lock)
        .args([env!("CARGO_BIN_EXE_lab"), "--name", lab, "down", "--keep-engine"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(waits.is_ok_and(|status| status.success()), "cannot start setsid and flock");
}

/// Why it failed, if it did.
fn played(
    name: &str,
    cluster: &Cluster,
    body: impl FnOnce(&Cluster) -> Result<()>,
) -> std::result::Result<(), String> {
    let begin = Instant::now();
    match catch_unwind(AssertUnwindSafe(|| body(cluster))) {
        Ok(Ok(())) => {
            eprintln!("{name}: {:.0} s", begin.elapsed().as_secs_f64());
            Ok(())
        }
        Ok(Err(error)) => Err(chain(&error)),
        Err(panic) => Err(match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
            (Some(text), _) => text.clone(),
            (None, Some(text)) => (*text).to_owned(),
            (None, None) => "a panic without words".to_owned(),
        }),
    }
}

/// Where the evidence of a case is kept.
pub fn evidence_dir(name: &str) -> PathBuf {
    let base = std::env::var_os("LAB_LOGS")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("cases"), PathBuf::from);
    base.join(name.replace("::", "-"))
}

/// Saves all logs, ledgers and the CIB, and prints what a person would look at first.
fn keep_evidence(cluster: &Cluster, name: &str, text: &str) -> PathBuf {
    let dir = evidence_dir(name);
    let _ = fs::remove_dir_all(&dir);
    if let Err(error) = cluster.save_logs(&dir) {
        eprintln!("could not save the logs: {}", chain(&error));
    }
    let ledgers = ledger::show(cluster);
    let agents = merged_agent_log(cluster);
    let cib = cluster.on_any(&["cibadmin", "--query"]).unwrap_or_else(|error| chain(&error));
    for (file, content) in
        [("failure", text), ("ledgers", &ledgers), ("agents", &agents), ("cib.xml", &cib)]
    {
        let _ = fs::write(dir.join(file), content);
    }
    if let Err(error) = timeline::write(&dir, &cluster.nodes(), time_of_day(SystemTime::now())) {
        eprintln!("could not save the timeline: {}", chain(&error));
    }
    let mon = cluster.crm_mon_text().unwrap_or_else(|error| chain(&error));
    let from = agents.lines().count().saturating_sub(LINES);
    let end: Vec<&str> = agents.lines().skip(from).collect();
    eprintln!("--- crm_mon\n{mon}\n--- ledgers\n{ledgers}--- agents\n{}", end.join("\n"));
    dir
}

/// The agents' lines of all nodes in the order of time (every line begins with the time of day;
/// the nodes have one clock).
pub fn merged_agent_log(cluster: &Cluster) -> String {
    let mut lines: Vec<String> = Vec::new();
    for node in cluster.nodes() {
        let log = cluster.agent_log(&node).unwrap_or_default();
        for line in log.lines().filter(|line| !line.contains("pacemaker-attrd")) {
            let (time, rest) = line.split_once(' ').unwrap_or(("", line));
            lines.push(format!("{time} {node} {rest}"));
        }
    }
    lines.sort();
    lines.join("\n")
}
