//! An instance in a container of one engine, with a directory of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pgtwin::decide::facts::{Process, Sql};
use pgtwin::ocf::params::{ContainerRuntime, Params};
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::deadline::{Deadline, poll_until};
use pgtwin::sys::exec::{Exec, System};
use tempfile::TempDir;

use crate::account::{NAME, home_of, is_root, test_user};
use crate::engine;

/// The effective identity belongs to the whole process, so one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// How long something that surely happens may take on a busy machine.
pub const LONG: Duration = Duration::from_mins(1);

pub fn soon() -> Deadline {
    Deadline::after(LONG)
}

/// An instance that was made and not started.
pub struct Box {
    pub runtime: ContainerRuntime,
    pub home: TempDir,
    pub params: Params,
    pub bindir: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

/// Waits until no other test of this program is at work.
pub fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a test with each engine.
pub fn with_each_engine(test: impl Fn(&Box)) {
    if !is_root() {
        eprintln!("not made: this test needs root");
        return;
    }
    let engines = engine::that_answer();
    assert!(!engines.is_empty(), "neither podman nor docker answers: apt-get install podman");
    for runtime in engines {
        eprintln!("{runtime:?}");
        test(&Box::new(runtime, alone()));
    }
}

fn bindir() -> PathBuf {
    let mut found: Vec<PathBuf> = (13..=18)
        .map(|major| PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")))
        .filter(|dir| dir.join("initdb").exists())
        .collect();
    found.pop().expect("no PostgreSQL below /usr/lib/postgresql")
}

impl Box {
    fn new(runtime: ContainerRuntime, alone: MutexGuard<'static, ()>) -> Self {
        let home = home_of(&test_user());
        let bindir = bindir();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut params = Params {
            pgdata: home.path().join("data").display().to_string(),
            pgport: port,
            pguser: NAME.into(),
            ..Params::default()
        };
        engine::contain_by(runtime, &mut params, "pg", home.path(), &bindir);
        let new = Self { runtime, home, params, bindir, _alone: alone };
        new.as_user("initdb", &["-A", "peer", "-N", "-D", &new.params.pgdata]);
        new.configure("listen_addresses = '127.0.0.1'\nfsync = off");
        new
    }

    /// One of PostgreSQL's programs on the host, as the tests' user.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NAME, "--regid", NAME, "--init-groups", "--"]);
        command.arg(self.bindir.join(program)).args(args).stdin(Stdio::null());
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
        command
    }

    pub fn as_user(&self, program: &str, args: &[&str]) -> String {
        let mut command = self.command(program, args);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What a client on the host gets.
    pub fn ask(&self, query: &str) -> String {
        let output = self.try_ask(query);
        assert!(output.status.success(), "{query}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The same, of a query that may fail.
    pub fn try_ask(&self, query: &str) -> Output {
        let (dir, port) = (self.home.path().to_str().unwrap(), self.params.pgport.to_string());
        let args = ["-XAtqc", query, "-h", dir, "-p", &port, "postgres"];
        self.command("psql", &args).output().unwrap()
    }

    /// Lines at the end of postgresql.conf.
    pub fn configure(&self, lines: &str) {
        let conf = Path::new(&self.params.pgdata).join("postgresql.conf");
        let text = fs::read_to_string(&conf).unwrap();
        fs::write(&conf, format!("{text}{lines}\n")).unwrap();
    }

    /// The instance, as the agent has it with these parameters.
    pub fn with(&self, params: &Params) -> Postgres<'static> {
        self.by(&System, params)
    }

    /// The same, by other means to start programs.
    pub fn by<'a>(&self, exec: &'a dyn Exec, params: &Params) -> Postgres<'a> {
        Postgres::new(exec, params, self.home.path().join("pgtwin-test-box.log")).unwrap()
    }

    pub fn instance(&self) -> Postgres<'static> {
        self.with(&self.params)
    }

    /// The same instance by what is installed on the host.
    pub fn bare(&self) -> Postgres<'static> {
        let bindir = Some(self.bindir.display().to_string());
        self.with(&Params { container_mode: false, pg_bindir: bindir, ..self.params.clone() })
    }

    pub fn started(&self) -> Postgres<'static> {
        let pg = self.instance();
        pg.start(&soon()).unwrap();
        await_answer(&pg);
        pg
    }

    pub fn name(&self) -> &str {
        &self.params.container_name
    }

    pub fn tell(&self, args: &[&str]) -> String {
        engine::tell(self.runtime, args)
    }

    pub fn containers(&self) -> Vec<String> {
        let dir = self.home.path().file_name().unwrap().to_string_lossy().into_owned();
        let text = self.tell(&["ps", "--all", "--format", "{{.Names}}"]);
        let ours = text.lines().filter(|name| name.contains(dir.trim_start_matches('.')));
        ours.map(str::to_owned).collect()
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        for name in self.containers() {
            engine::remove(self.runtime, &name);
        }
        let _ = self.bare().runtime().signal(pgtwin::runtime::Shutdown::Kill);
    }
}

pub fn await_answer(pg: &Postgres<'_>) {
    let answers = || {
        let sql = pg.look(&Deadline::after(Duration::from_secs(10))).sql;
        matches!(sql, Sql::Primary(_) | Sql::Standby(_)).then_some(())
    };
    poll_until(&soon(), Duration::from_millis(20), answers)
        .unwrap_or_else(|| panic!("{:?}", pg.look(&soon())));
}

pub fn pid(pg: &Postgres<'_>) -> i32 {
    match pg.runtime().process() {
        Process::Running { pid, .. } => pid,
        other => panic!("{other:?}"),
    }
}

pub fn is_gone(pg: &Postgres<'_>) -> bool {
    pg.runtime().process() == Process::None
}

pub fn await_gone(pg: &Postgres<'_>) {
    poll_until(&soon(), Duration::from_millis(20), || is_gone(pg).then_some(()))
        .unwrap_or_else(|| panic!("{:?}", pg.runtime().process()));
}
