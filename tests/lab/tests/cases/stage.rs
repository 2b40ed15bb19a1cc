//! Where a case is played: a cluster that cases of the same shape share, brought up for the first
//! of them and again after one that failed; and what is kept of a failure.

use std::any::type_name_of_val;
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
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

/// The cluster that is up, if any. Held during a case, so that cases never run side by side.
static STAGE: Mutex<Option<Up>> = Mutex::new(None);

struct Up {
    cluster: Cluster,
    /// What it was built from, but for its name and how it was started.
    shape: String,
    /// No other process runs cases meanwhile.
    _lock: Flock<File>,
}

/// Plays a case on the shared cluster of this shape, healthy at its beginning.
pub fn case<F: FnOnce(&Cluster) -> Result<()>>(shape: &Options, body: F) {
    let name = name_of(&body);
    let mut stage = locked();
    if stage.as_ref().is_some_and(|up| up.shape != text_of(shape)) {
        *stage = None;
    }
    if let Some(up) = &*stage
        && let Err(error) = repair::make_ready(&up.cluster)
    {
        eprintln!(
            "{name}: the cluster of the case before is of no use any more: {}",
            chain(&error)
        );
        *stage = None;
    }
    let fresh = stage.is_none();
    let up = stage.get_or_insert_with(|| raise(shape));
    if fresh {
        play(&name, &mut stage, |cluster| {
            repair::make_ready(cluster)?;
            body(cluster)
        });
    } else {
        eprintln!("{name}: on {}", up.cluster.options.name);
        play(&name, &mut stage, body);
    }
}

/// Plays a case on a new cluster of this shape, whatever is there. The next case may have it.
pub fn fresh<F: FnOnce(&Cluster) -> Result<()>>(shape: &Options, body: F) {
    let name = name_of(&body);
    let mut stage = locked();
    *stage = None;
    *stage = Some(raise(shape));
    play(&name, &mut stage, body);
}

fn locked() -> MutexGuard<'static, Option<Up>> {
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
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

fn raise(options: &Options) -> Up {
    let lock = host::lock("cases").unwrap();
    let shape = text_of(options);
    remove_when_this_process_ends(&options.name);
    // A cluster that does not come up is a failure with all its evidence, too.
    let cluster = Cluster::up(Options { start: false, ..options.clone() }).unwrap();
    let up = Up { cluster, shape, _lock: lock };
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

fn play(
    name: &str,
    stage: &mut MutexGuard<'_, Option<Up>>,
    body: impl FnOnce(&Cluster) -> Result<()>,
) {
    let Some(up) = stage.as_ref() else { panic!("no cluster") };
    let begin = Instant::now();
    let text = match catch_unwind(AssertUnwindSafe(|| body(&up.cluster))) {
        Ok(Ok(())) => {
            eprintln!("{name}: {:.0} s", begin.elapsed().as_secs_f64());
            return;
        }
        Ok(Err(error)) => chain(&error),
        Err(panic) => match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
            (Some(text), _) => text.clone(),
            (None, Some(text)) => (*text).to_owned(),
            (None, None) => "a panic without words".to_owned(),
        },
    };
    let dir = keep_evidence(&up.cluster, name, &text);
    // What it broke must not fail the next case.
    **stage = None;
    panic!("{name}: {text}\nall logs are in {}", dir.display());
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
