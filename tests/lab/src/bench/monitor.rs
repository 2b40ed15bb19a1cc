//! What a quiet monitor costs, next to a bare connection with one question.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bench::figures::Spread;
use crate::cluster::Cluster;
use crate::config::{self, PRIMITIVE};
use crate::error::{LabError, Result};
use crate::progress::say;

/// A time in microseconds, as it travels from a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken(u64);

impl Taken {
    /// Of a time.
    pub fn of(time: Duration) -> Self {
        Self(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }

    fn time(self) -> Duration {
        Duration::from_micros(self.0)
    }
}

/// What `lab-node measure` has seen on a node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Samples {
    /// A connection, one question, and goodbye, within one process.
    pub bare: Vec<Taken>,
    /// A monitor, from the start of its process to its end.
    pub monitor: Vec<Taken>,
    /// The same program, told to print its version.
    pub start: Vec<Taken>,
    /// The exit codes of the monitors.
    pub codes: Vec<i32>,
    /// How many processes (and threads) came into being on the node while a monitor ran.
    pub processes: Vec<u32>,
    /// The greatest resident set of all programs that were run.
    pub peak_kib: u64,
}

/// The monitor itself, and the process that PostgreSQL makes for its connection.
const OWN: u32 = 2;

/// Measures on one node.
pub fn measure(cluster: &Cluster, node: &str, promoted: bool, rounds: u32) -> Result<String> {
    let role = if promoted { "primary" } else { "standby" };
    say(format!("{rounds} monitors of the {role} {node}"));
    let command = ["/lab/lab-node", "measure", &rounds.to_string()];
    let output = cluster
        .command(node, &command)
        .stdin(environment(
            cluster,
            node,
            promoted,
            &config::params(&cluster.options, &cluster.addresses),
        ))
        .limit(Duration::from_mins(5))
        .check()?;
    let samples: Samples = serde_json::from_str(&output.text())
        .map_err(|error| LabError::plain(format!("the samples of {node}: {error}")))?;
    Ok(report(role, &samples))
}

/// What Pacemaker would give a recurring monitor of an agent with these parameters.
pub fn environment(
    cluster: &Cluster,
    node: &str,
    promoted: bool,
    params: &BTreeMap<String, String>,
) -> String {
    let options = &cluster.options;
    let (role, code, interval) =
        if promoted { ("Promoted", "8", "3000") } else { ("Unpromoted", "0", "8000") };
    let nodes = options.nodes.to_string();
    let meta = [
        ("timeout", "120000"),
        ("interval", interval),
        ("role", role),
        ("op_target_rc", code),
        ("on_node", node),
        ("clone_max", &nodes),
        ("promoted_max", "1"),
        ("master_max", "1"),
        ("notify", "true"),
    ];
    let mut text = format!(
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nOCF_ROOT=/usr/lib/ocf\n\
         OCF_RA_VERSION_MAJOR=1\nOCF_RA_VERSION_MINOR=1\nOCF_RESOURCE_PROVIDER=heartbeat\nHA_debug=0\n\
         OCF_RESOURCE_INSTANCE={PRIMITIVE}\nOCF_RESKEY_crm_feature_set=3.20.0\n"
    );
    for (name, value) in meta {
        let _ = writeln!(text, "OCF_RESKEY_CRM_meta_{name}={value}");
    }
    for (name, value) in params {
        let _ = writeln!(text, "OCF_RESKEY_{name}={value}");
    }
    text
}

fn report(role: &str, samples: &Samples) -> String {
    let of = |taken: &[Taken]| Spread::of(taken.iter().map(|one| one.time()));
    let mut text = format!("monitor of a {role} (exit codes {:?})\n", samples.codes);
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<42}{value}");
    };
    if let (Some(bare), Some(monitor), Some(start)) =
        (of(&samples.bare), of(&samples.monitor), of(&samples.start))
    {
        row("bare connection and question", bare.to_string());
        row("monitor", monitor.to_string());
        let more = (monitor.median.as_secs_f64() - bare.median.as_secs_f64()) * 1000.0;
        let times = monitor.median.as_secs_f64() / bare.median.as_secs_f64();
        row("  more than bare, medians", format!("{more:.2} ms ({times:.2} times)"));
        row("  of it the start of its process", start.to_string());
    }
    row("peak memory, at most", format!("{} KiB", samples.peak_kib));
    let least = samples.processes.iter().min().copied().unwrap_or(0);
    row(
        "programs executed by one",
        match least.checked_sub(OWN) {
            Some(0) => "none".to_owned(),
            more => format!("{more:?}"),
        } + &format!(
            " (new processes meanwhile on the node: {least}, its own and PostgreSQL's for it are {OWN})"
        ),
    );
    text
}
