//! A run: the load, the plan carried out, the end, the report.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::clock::{date, time_of_day};
use crate::cluster::Cluster;
use crate::error::{LabError, Result, chain};
use crate::torture::equal::differences;
use crate::torture::judge::Findings;
use crate::torture::load::{Ended, Load};
use crate::torture::nemesis::{Nemesis, PATIENCE};
use crate::torture::plan::Plan;
use crate::torture::report::{self, Report, Spread};
use crate::torture::{Wish, shape};
use crate::{ledger, timeline};

/// A shorter time without an acknowledgement is no outage: a machine at work makes such pauses.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a question to a node may take.
const SOON: Duration = Duration::from_secs(30);
/// How long the load goes on in peace at the end.
const PEACE: Duration = Duration::from_secs(3);

/// Tortures a healthy cluster. The report says whether it has passed; an error means that there is none, because
/// nothing began.
pub fn torture(cluster: &Cluster, wish: &Wish) -> Result<Report> {
    let plan = Plan::new(wish.seed, shape(&cluster.options), &wish.only);
    fs::create_dir_all(&wish.dir)
        .map_err(LabError::io(format!("create {}", wish.dir.display())))?;
    let began = date(SystemTime::now());
    let mut load = Load::start(cluster, wish.seed)?;
    let mut nemesis = Nemesis::new(cluster);
    nemesis.note(format!("torture with seed {}, for {} s", wish.seed, wish.time.as_secs()));
    let mut findings = Findings::default();
    let begin = Instant::now();
    for step in plan {
        if begin.elapsed() >= wish.time {
            break;
        }
        let is_well = nemesis.play(&step);
        let looked = is_well.and_then(|()| {
            if nemesis.played.last().is_some_and(|played| played.well_after.is_some()) {
                load.look(cluster)
            } else {
                Ok(())
            }
        });
        if let Err(error) = looked {
            // The evidence is freshest here.
            let text = chain(&error);
            nemesis.note(format!("broken off: {text}"));
            if let Err(error) = write(&wish.dir.join("broken-off"), &situation(cluster)) {
                nemesis.note(chain(&error));
            }
            findings.broken.push(format!("after fault {}: {}", step.number, first_line(&text)));
            break;
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    if nemesis.played.iter().all(|played| played.failed) {
        let number = nemesis.played.len();
        findings.broken.push(format!("no fault hit anything, of {number}: nothing is shown"));
    }
    let converged_after = end(cluster, &mut nemesis, &mut findings);
    std::thread::sleep(PEACE);
    let ended = load.stop();
    judge(cluster, &ended, converged_after.is_some(), &mut findings);
    let outages = ended.outages(PAUSE);
    report::assign(&mut nemesis.played, &outages);
    let failures = findings.failures(cluster.options.mode);
    let mut report = Report {
        verdict: if failures.is_empty() { "passed" } else { "failed" },
        failures,
        seed: wish.seed,
        nodes: cluster.options.nodes,
        release: cluster.options.release.name(),
        mode: cluster.options.mode.name(),
        only: wish.only.clone(),
        began,
        seconds,
        outages: Spread::of(outages.iter().map(|(_, length)| length.as_secs_f64())),
        outages_by_kind: report::by_kind(&nemesis.played),
        well_after: Spread::of(nemesis.played.iter().filter_map(|played| played.well_after)),
        faults: nemesis.played.clone(),
        fenced: nemesis.fenced,
        converged_after,
        findings,
        bundle: None,
    };
    if !report.passed() {
        report.bundle = Some(wish.dir.display().to_string());
        bundle(cluster, &nemesis, &wish.dir);
    }
    write(&wish.dir.join("report.json"), &report.json())?;
    write(&wish.dir.join("report.txt"), &report.text())?;
    Ok(report)
}

/// Everything is healed, and the cluster is given its time. What it does not manage by itself is tried the way an
/// operator would: for whoever reads the report, as the run has failed then.
fn end(cluster: &Cluster, nemesis: &mut Nemesis<'_>, findings: &mut Findings) -> Option<f64> {
    nemesis.note("the end: all is healed");
    nemesis.undo_all();
    // A run that was broken off has had its time.
    let patience = if findings.broken.is_empty() { PATIENCE } else { PATIENCE / 3 };
    let error = match nemesis.get_well(patience) {
        Ok(time) => {
            nemesis.note(format!("well after {:.1} s", time.as_secs_f64()));
            return Some(time.as_secs_f64());
        }
        Err(error) => error,
    };
    let text = chain(&error);
    nemesis.note(format!("not well: {text}"));
    findings.broken.push(format!("at the end: {}", first_line(&text)));
    let ordered = cluster.cleanup();
    let helped = ordered.is_ok() && nemesis.get_well(PATIENCE / 3).is_ok();
    let words = if helped { "which helped" } else { "which did not help" };
    nemesis.note(format!("crm_resource --cleanup, {words}"));
    findings.interventions.push(format!("crm_resource --cleanup, {words}"));
    None
}

/// Reads what there is, and compares.
fn judge(cluster: &Cluster, ended: &Ended, converged: bool, findings: &mut Findings) {
    findings.missed = ended.missed();
    findings.sums_read = ended.sums.reads;
    findings.wrong_sums.clone_from(&ended.sums.wrong);
    let two = ended.seen.two_primaries();
    findings.samples = ended.seen.answers.values().sum();
    findings.two_primaries =
        two.iter().map(|(one, other, _)| format!("{one} around {other}")).collect();
    let mut broken = |what: &str, error: &LabError| {
        findings.broken.push(format!("{what}: {}", first_line(&chain(error))));
    };
    let primary = match cluster
        .wait_for("there is one primary", Duration::from_mins(1), || cluster.primary().ok())
    {
        Ok(primary) => primary,
        Err(error) => return broken("nothing could be compared", &error),
    };
    match ended.check(cluster, &primary) {
        Ok(checked) => {
            findings.accounts = checked.accounts;
            findings.out_of_order = checked.out_of_order;
            findings.wrong_balances = checked.wrong_balances;
        }
        Err(error) => broken("the rows could not be read", &error),
    }
    if !converged {
        return;
    }
    match differences(cluster, &primary) {
        Ok(differences) => {
            findings.compared = cluster.nodes().len() - 1;
            findings.differences = differences;
        }
        Err(error) => {
            findings.broken.push(format!("the nodes: {}", first_line(&chain(&error))));
        }
    }
}

/// All logs of all nodes, ledgers, the configuration, what the nemesis did, and one timeline of it.
fn bundle(cluster: &Cluster, nemesis: &Nemesis<'_>, dir: &Path) {
    let cib = cluster.on_any(&["cibadmin", "--query"]).unwrap_or_else(|error| chain(&error));
    let files = [
        ("nemesis.log", nemesis.log()),
        ("ledgers", ledger::show(cluster)),
        ("cib.xml", cib),
        ("state", situation(cluster)),
    ];
    let saved = cluster.save_logs(dir).and_then(|()| {
        files.iter().try_for_each(|(name, content)| write(&dir.join(name), content))?;
        timeline::write(dir, &cluster.nodes(), time_of_day(SystemTime::now()))
    });
    if let Err(error) = saved {
        crate::progress::say(format!("could not save all logs: {}", chain(&error)));
    }
}

/// What a person would ask first: Pacemaker, and pgtwin on every node.
fn situation(cluster: &Cluster) -> String {
    let mut text = cluster.crm_mon_text().unwrap_or_else(|error| chain(&error));
    for node in cluster.nodes() {
        for command in ["status", "explain"] {
            let ask = cluster.command(&node, &["pgtwin", command]).limit(SOON);
            let said = ask.output().map_or_else(|error| chain(&error), |output| output.all());
            let _ = write!(text, "\n--- pgtwin {command} on {node}\n{said}\n");
        }
    }
    text
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).map_err(LabError::io(format!("write {}", file.display())))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
