//! Instances in a directory of the tests' own, and what is done with them again and again.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use pgtwin::client::sql::{Connection, Wire};
use pgtwin::cluster::known::Known;
use pgtwin::decide::facts::{DataDir, Instance, PrimaryFacts, Process, Sql, StandbyFacts};
use pgtwin::ocf::params::Params;
use pgtwin::postgres::control_data::ControlData;
use pgtwin::runtime::instance::Postgres;
use pgtwin::runtime::look;
use pgtwin::sys::deadline::{Deadline, poll_until};
use pgtwin::sys::exec::{Cmd, Exec, System};
use pgtwin::sys::privilege::User;

/// The effective identity belongs to the whole process, so one test at a time.
pub static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub const TEST_USER: &str = "pgtwin-test";

/// How long something that surely happens may take on a busy machine.
pub const LONG: Duration = Duration::from_mins(1);

pub fn soon() -> Deadline {
    Deadline::after(LONG)
}

pub fn test_user() -> User {
    if !geteuid().is_root() {
        let me = nix::unistd::User::from_uid(geteuid()).unwrap().unwrap();
        return User::named(&me.name).unwrap();
    }
    if User::named(TEST_USER).is_err() {
        let add = Cmd::new("useradd").args(["--system", "--create-home", TEST_USER]);
        let output = System.run(&add).unwrap();
        assert!(output.ok(), "{output:?}");
    }
    User::named(TEST_USER).unwrap()
}

pub fn majors() -> Vec<(u32, PathBuf)> {
    let mut found: Vec<(u32, PathBuf)> = (13..=18)
        .map(|major| (major, PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"))))
        .filter(|(_, dir)| dir.join("initdb").exists())
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no PostgreSQL below /usr/lib/postgresql");
    found
}

/// A directory with instances of one version, all of them ended when it goes.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub user: User,
    pub bindir: PathBuf,
    pub major: u32,
    pub instances: std::cell::RefCell<Vec<(String, u16)>>,
    _alone: MutexGuard<'static, ()>,
}

/// Runs a test on every version.
pub fn on_every_version(test: impl Fn(&Place)) {
    for (major, bindir) in majors() {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let user = test_user();
        let dir = tempfile::Builder::new().prefix("pgtwin-").tempdir().unwrap();
        if geteuid().is_root() {
            chown(dir.path(), Some(user.uid), Some(user.gid)).unwrap();
        }
        eprintln!("PostgreSQL {major} in {}", dir.path().display());
        let instances = std::cell::RefCell::default();
        test(&Place { dir, user, bindir, major, instances, _alone: alone });
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Place {
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn run(&self, program: &str, args: &[&str]) -> String {
        let cmd = Cmd::new(self.bindir.join(program).display().to_string())
            .args(args.iter().copied())
            .user(&self.user.name)
            .limit(LONG);
        let output = System.run(&cmd).unwrap();
        assert!(output.ok(), "{program} {args:?}: {output:?}");
        output.stdout
    }

    pub fn write(&self, path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        if geteuid().is_root() {
            chown(path, Some(self.user.uid), Some(self.user.gid)).unwrap();
        }
    }

    pub fn append(&self, path: &Path, text: &str) {
        let old = fs::read_to_string(path).unwrap();
        self.write(path, &(old + text), 0o600);
    }

    pub fn params(&self, name: &str, port: u16) -> Params {
        let mut params = Params {
            pgdata: self.path(name).display().to_string(),
            pgport: port,
            pguser: self.user.name.clone(),
            pg_bindir: Some(self.bindir.display().to_string()),
            ..Params::default()
        };
        crate::engine::contain(&mut params, name, self.dir.path(), &self.bindir);
        params
    }

    /// The instance of this name, as the agent would have it.
    pub fn instance(&self, name: &str, port: u16) -> Postgres<'static> {
        self.instances.borrow_mut().push((name.to_owned(), port));
        let log = self.path(&format!("{name}.start.log"));
        Postgres::new(&System, &self.params(name, port), log).unwrap()
    }

    /// A new primary that has not been started.
    pub fn initdb(&self, name: &str) -> (Postgres<'static>, u16) {
        let port = free_port();
        let data = self.path(name);
        let data_text = data.display().to_string();
        self.run(
            "initdb",
            &[
                "-D",
                &data_text,
                "-N",
                "-k",
                "-A",
                "peer",
                "--auth-host=scram-sha-256",
                "-E",
                "UTF8",
            ],
        );
        self.append(
            &data.join("postgresql.conf"),
            &format!(
                "unix_socket_directories = '{}'\nlisten_addresses = '127.0.0.1'\n\
                 shared_buffers = 16MB\nwal_keep_size = 64MB\nfsync = off\n\
                 restart_after_crash = off\nwal_retrieve_retry_interval = 200ms\n",
                self.dir.path().display()
            ),
        );
        (self.instance(name, port), port)
    }

    /// A standby of a running primary, not started.
    pub fn basebackup(&self, primary_port: u16, name: &str) -> (Postgres<'static>, u16) {
        let port = free_port();
        let from = format!(
            "host={} port={primary_port} user={} application_name={name}",
            self.dir.path().display(),
            self.user.name
        );
        let data = self.path(name).display().to_string();
        self.run("pg_basebackup", &["-d", &from, "-D", &data, "-R", "-c", "fast", "-N"]);
        // -R does not write the application_name of the tool that made the copy.
        let pg = self.instance(name, port);
        pg.set_auto_conf(&[("primary_conninfo", Some(&from))]).unwrap();
        (pg, port)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for (name, port) in self.instances.borrow_mut().drain(..) {
            let log = self.dir.path().join("cleanup.log");
            let params = Params {
                pgdata: self.dir.path().join(name).display().to_string(),
                pgport: port,
                pguser: self.user.name.clone(),
                ..Params::default()
            };
            if let Ok(pg) = Postgres::new(&System, &params, log) {
                let _ = pg.runtime().signal(pgtwin::runtime::Shutdown::Kill);
            }
            if let Some(runtime) = crate::engine::asked_for() {
                let name = Path::new(&params.pgdata).file_name().unwrap().to_string_lossy();
                crate::engine::remove(
                    runtime,
                    &crate::engine::container_name(self.dir.path(), &name),
                );
            }
        }
    }
}

pub fn now(pg: &Postgres<'_>) -> Instance {
    pg.look(&Deadline::after(Duration::from_secs(10)))
}

pub fn await_primary(pg: &Postgres<'_>) -> PrimaryFacts {
    poll_until(&soon(), Duration::from_millis(20), || match now(pg).sql {
        Sql::Primary(facts) => Some(*facts),
        _ => None,
    })
    .unwrap_or_else(|| panic!("no primary: {:?}", now(pg)))
}

pub fn await_standby(pg: &Postgres<'_>, good: impl Fn(&StandbyFacts) -> bool) -> StandbyFacts {
    poll_until(&soon(), Duration::from_millis(20), || match now(pg).sql {
        Sql::Standby(facts) if good(&facts) => Some(*facts),
        _ => None,
    })
    .unwrap_or_else(|| panic!("no such standby: {:?}", now(pg)))
}

pub fn started_primary(place: &Place, name: &str) -> (Postgres<'static>, u16) {
    let (pg, port) = place.initdb(name);
    pg.start(&soon()).unwrap();
    await_primary(&pg);
    (pg, port)
}

pub fn pid(pg: &Postgres<'_>) -> i32 {
    match pg.runtime().process() {
        Process::Running { pid, .. } => pid,
        other => panic!("{other:?}"),
    }
}

pub fn session(pg: &Postgres<'_>) -> Connection {
    look::open(pg.place(), pid(pg), &soon()).unwrap_or_else(|answer| panic!("{answer:?}"))
}

pub fn sql(pg: &Postgres<'_>, text: &str) -> Vec<Vec<Option<String>>> {
    session(pg).ask(text, &soon()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub fn value(pg: &Postgres<'_>, text: &str) -> String {
    sql(pg, text)[0][0].clone().unwrap_or_default()
}

pub fn control(pg: &Postgres<'_>) -> Box<ControlData> {
    match pg.data_dir() {
        DataDir::Cluster(control) => control,
        other => panic!("{other:?}"),
    }
}

pub fn identify(pg: &Postgres<'_>) -> pgtwin::client::peer::Identity {
    match pg.identify(&soon()) {
        Known::Known(identity) => identity,
        Known::Unknown(why) => panic!("{why}"),
    }
}

/// The number on this host of a child of the postmaster's that the server names by this one: in a container
/// they are counted otherwise.
pub fn on_host(pg: &Postgres<'_>, named: i32) -> i32 {
    let (parent, named) = (pid(pg).to_string(), named.to_string());
    let is_it = |other: &i32| {
        let status = fs::read_to_string(format!("/proc/{other}/status")).unwrap_or_default();
        let last = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().last())
        };
        last("PPid:") == Some(parent.as_str()) && last("NSpid:") == Some(named.as_str())
    };
    let entries = fs::read_dir("/proc").unwrap();
    let mut pids =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.find(is_it).unwrap_or_else(|| panic!("no child {named} of {parent}"))
}

pub fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

pub fn await_process(pg: &Postgres<'_>, good: impl Fn(&Process) -> bool) -> Process {
    poll_until(&soon(), Duration::from_millis(10), || {
        Some(pg.runtime().process()).filter(|process| good(process))
    })
    .unwrap_or_else(|| panic!("{:?}", pg.runtime().process()))
}

/// The postmaster killed, and its children gone.
pub fn crash(pg: &Postgres<'_>) {
    signal(pid(pg), Signal::SIGKILL);
    await_process(pg, |process| *process == Process::None);
}
