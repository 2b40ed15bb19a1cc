//! What actions answer by what Pacemaker says of the clone and of the node: on real PostgreSQL, with
//! Pacemaker's answers as they were captured. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr)]

mod account;
mod engine;
mod rig;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pgtwin::agent::outcome::Outcome;
use pgtwin::agent::run::{RUN_ROOT, STATE_ROOT, run};
use pgtwin::agent::uptime;
use pgtwin::client::ledger_file::Home;
use pgtwin::cluster::ledger::{Entry, Mode, Own, PromotionId};
use pgtwin::cluster::node::NodeName;
use pgtwin::decide::facts::Sql;
use pgtwin::ocf::action::Action;
use pgtwin::ocf::exit_code::ExitCode;
use pgtwin::ocf::params::Params;
use pgtwin::postgres::lsn::Timeline;
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::deadline::{Deadline, poll_until};
use pgtwin::sys::exec::{Cmd, Ended, Exec, ExecError, Output, System};

use rig::{Rig, without_root};

/// To look at an instance means to be its user for a moment, and a process is one user at a time.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pacemaker as it was captured from three healthy nodes; all else is real.
struct Cluster {
    status: String,
    cib: String,
    asked: AtomicUsize,
}

impl Cluster {
    fn of(on: &Rig) -> Self {
        let read = |what: &str| {
            let file = format!("tests/fixtures/pacemaker/trixie/healthy.{what}.xml");
            let text =
                fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
            text.replace("id=\"db\"", &format!("id=\"{}\"", on.resource))
        };
        Self { status: read("crm_mon"), cib: read("cib"), asked: AtomicUsize::new(0) }
    }

    fn how_often_asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

impl Exec for Cluster {
    fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
        let queries = cmd.args.iter().any(|arg| arg == "--query");
        let stdout = match cmd.program.as_str() {
            "crm_mon" => {
                self.asked.fetch_add(1, Ordering::Relaxed);
                self.status.clone()
            }
            "cibadmin" if queries => self.cib.clone(),
            "attrd_updater" if queries => {
                "<pacemaker-result><status code='0' message='OK'/></pacemaker-result>".to_owned()
            }
            "cibadmin" | "attrd_updater" | "crm_attribute" => String::new(),
            _ => return System.run(cmd),
        };
        Ok(Output { ended: Ended::Exited(0), stdout, stderr: String::new() })
    }

    fn run_watched(&self, cmd: &Cmd, line: &mut dyn FnMut(&str)) -> Result<Output, ExecError> {
        System.run_watched(cmd, line)
    }

    fn run_all(&self, cmds: &[Cmd]) -> Vec<Result<Output, ExecError>> {
        cmds.iter().map(|cmd| self.run(cmd)).collect()
    }
}

/// One action on n2, as Pacemaker calls it in a clone of three.
fn act(on: &Rig, cluster: &Cluster, action: Action, more: &[(&str, &str)]) -> Outcome {
    let meta = [("timeout", "60000"), ("clone_max", "3"), ("on_node", "n2")];
    let meta = meta.map(|(name, value)| (format!("OCF_RESKEY_CRM_meta_{name}"), value.to_owned()));
    let own =
        on.parameters().into_iter().map(|(name, value)| (format!("OCF_RESKEY_{name}"), value));
    let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut vars: BTreeMap<String, String> = meta.into_iter().chain(own).chain(more).collect();
    vars.insert("OCF_RESOURCE_INSTANCE".to_owned(), on.resource.to_owned());
    run(action, &vars, cluster)
}

const PROMOTED: [(&str, &str); 2] =
    [("OCF_RESKEY_CRM_meta_interval", "3000"), ("OCF_RESKEY_CRM_meta_role", "Promoted")];
const UNPROMOTED: [(&str, &str); 2] =
    [("OCF_RESKEY_CRM_meta_interval", "8000"), ("OCF_RESKEY_CRM_meta_role", "Unpromoted")];

/// A cluster, more of the environment, and the beginning of what is said there.
type Row<'a> = (&'a Cluster, &'a [(&'a str, &'a str)], &'a str);

/// The rig, with PostgreSQL in a container if the environment asks for it.
fn rig(resource: &'static str) -> Rig {
    let mut on = Rig::new(resource, "not run");
    if engine::asked_for().is_some() {
        on.more = engine::as_words(&params(&on));
    }
    on
}

fn params(on: &Rig) -> Params {
    let mut params = Params {
        pgdata: on.pgdata().display().to_string(),
        pgport: on.port,
        pguser: account::NAME.to_owned(),
        pg_bindir: Some(on.bindir.display().to_string()),
        socket_dir: Some(on.home.path().display().to_string()),
        ..Params::default()
    };
    engine::contain(&mut params, "pg", on.home.path(), &on.bindir);
    params
}

/// Starts the server as it is, writable, and has n2's ledger say that it is the primary without heirs.
fn as_primary(on: &Rig, mode: Mode) {
    let log = on.home.path().join(format!("{}.log", on.resource));
    let pg = Postgres::new(&System, &params(on), log).unwrap();
    let soon = Deadline::after(Duration::from_mins(1));
    pg.start(&soon).unwrap();
    let answers = || matches!(pg.look(&soon).sql, Sql::Primary(_)).then_some(());
    poll_until(&soon, Duration::from_millis(20), answers).unwrap();
    let me: NodeName = "n2".parse().unwrap();
    let mut home = Home::new(STATE_ROOT, RUN_ROOT, on.resource, &me);
    home.take_turn(Duration::from_secs(5)).unwrap();
    let id = PromotionId(7);
    let mut own = Own::new(on.resource, &me);
    own.followed = Some(id);
    own.store.set_done(Entry {
        system_id: on.ask("SELECT system_identifier FROM pg_control_system()").parse().unwrap(),
        term: 1,
        seq: 0,
        id,
        primary: me,
        timeline: Timeline(1),
        mode,
        heirs: BTreeSet::new(),
        history: Vec::new(),
        adopted: None,
    });
    home.write(&own).unwrap();
    let mut cache = home.cache();
    (cache.asked, cache.monitored) = (uptime(), uptime());
    cache.cib_changed = home.cib_changed();
    cache.members = ["n1", "n2", "n3"].map(str::to_owned).into();
    home.keep(&cache);
}

#[test]
fn a_monitor_that_is_to_be_thorough_asks_pacemaker_and_a_quiet_one_does_not() {
    if without_root() {
        return;
    }
    let _turn = one_at_a_time();
    let on = rig("pgtwin-test-level");
    let cluster = Cluster::of(&on);
    as_primary(&on, Mode::Sync);
    let with_level = |level| {
        let more = [("OCF_RESKEY_node_list", "n2"), ("OCF_CHECK_LEVEL", level)];
        act(&on, &cluster, Action::Monitor, &[&PROMOTED[..], &more[..]].concat())
    };
    for (level, asks) in [("", false), ("0", false), ("deep", false), ("1", true), ("20", true)] {
        let outcome = with_level(level);
        assert_eq!(outcome.code, ExitCode::RunningPromoted, "{level:?}: {outcome:?}");
        assert_eq!(cluster.how_often_asked() > 0, asks, "OCF_CHECK_LEVEL={level:?}");
    }
}

#[test]
fn one_application_name_for_several_standbys_starts_nothing_and_stops_nothing() {
    if without_root() {
        return;
    }
    let _turn = one_at_a_time();
    let on = rig("pgtwin-test-one-name");
    let cluster = Cluster::of(&on);
    let name = ("OCF_RESKEY_application_name", "standby");
    let refused = |outcome: &Outcome, code| {
        assert_eq!(outcome.code, code, "{outcome:?}");
        let reason = outcome.reason.as_deref().unwrap();
        assert!(reason.starts_with("application_name=\"standby\": "), "{reason}");
        assert!(reason.contains("remove application_name"), "{reason}");
    };
    // Not 6, by which a third node would stop the two that work.
    refused(&act(&on, &cluster, Action::Start, &[name]), ExitCode::Args);
    refused(&act(&on, &cluster, Action::ValidateAll, &[name]), ExitCode::Args);
    assert_eq!(on.processes(), [""; 0]);
    assert!(!on.pgdata().join("standby.signal").exists());
    // Of two members the name is good, whatever the size of the clone.
    let two = [name, ("OCF_RESKEY_node_list", "n1 n2")];
    assert_eq!(act(&on, &cluster, Action::ValidateAll, &two).code, ExitCode::Ok);

    let unpromoted = |more: &[(&str, &str)]| {
        act(&on, &cluster, Action::Monitor, &[&UNPROMOTED[..], more].concat())
    };
    assert_eq!(act(&on, &cluster, Action::Start, &[]).code, ExitCode::Ok);
    let probe = act(&on, &cluster, Action::Monitor, &[name]);
    assert_eq!((probe.code, probe.reason), (ExitCode::Ok, None));
    let outcome = unpromoted(&[]);
    assert_eq!(outcome.code, ExitCode::Ok, "{outcome:?}");
    refused(&unpromoted(&[name]), ExitCode::Degraded);
    assert_eq!(act(&on, &cluster, Action::Stop, &[name]).code, ExitCode::Ok);
    assert_eq!(on.processes(), [""; 0]);
    fs::remove_file(on.pgdata().join("standby.signal")).unwrap();

    as_primary(&on, Mode::Async);
    let promoted = |more: &[(&str, &str)]| {
        let mode = [("OCF_RESKEY_rep_mode", "async")];
        act(&on, &cluster, Action::Monitor, &[&PROMOTED[..], &mode[..], more].concat())
    };
    let outcome = promoted(&[]);
    assert_eq!(outcome.code, ExitCode::RunningPromoted, "{outcome:?}");
    refused(&promoted(&[name]), ExitCode::DegradedPromoted);
    assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "f", "it still serves");
}

#[test]
fn what_is_no_full_node_of_the_cluster_runs_no_instance_and_is_looked_at_truly() {
    if without_root() {
        return;
    }
    let _turn = one_at_a_time();
    let on = rig("pgtwin-test-remote");
    let healthy = Cluster::of(&on);
    let mut remote = Cluster::of(&on);
    let n2 =
        |kind: &str| format!("resources_running=\"1\" type=\"{kind}\"/>\n    <node name=\"n3\"");
    assert!(remote.status.contains(&n2("member")));
    remote.status = remote.status.replace(&n2("member"), &n2("remote"));
    let guest = [("OCF_RESKEY_CRM_meta_physical_host", "host1")];
    let rows: [Row<'_>; 2] = [
        (&remote, &[], "n2 is a remote or guest node: "),
        (&healthy, &guest, "n2 is a guest node or a bundle's container (on host1): "),
    ];
    let refuses = |action, (cluster, more, words): Row<'_>| {
        let outcome = act(&on, cluster, action, more);
        assert!(outcome.reason.as_deref().unwrap().starts_with(words), "{action} {outcome:?}");
        outcome.code
    };
    for row in rows {
        assert_eq!(refuses(Action::Start, row), ExitCode::Args);
        assert_eq!(on.processes(), [""; 0]);
        assert_eq!(act(&on, row.0, Action::Monitor, row.1).code, ExitCode::NotRunning);
        assert_eq!(act(&on, row.0, Action::Stop, row.1).code, ExitCode::Ok);
    }
    // It became one while the instance ran.
    assert_eq!(act(&on, &healthy, Action::Start, &[]).code, ExitCode::Ok);
    for row in rows {
        assert_ne!(refuses(Action::Promote, row), ExitCode::Ok);
        assert_eq!(act(&on, row.0, Action::Monitor, row.1).code, ExitCode::Ok, "a probe");
    }
    assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "t");
    assert_eq!(act(&on, &remote, Action::Stop, &guest).code, ExitCode::Ok);
    assert_eq!(on.processes(), [""; 0]);
}
