//! The agent as a program, and a fresh database for it that belongs to the tests' user. Needs root:
//! the agent runs as root.
#![allow(dead_code)] // each test program uses another part

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub mod call;

use crate::account::{NAME, home_of, is_root, test_user};

/// Where the agent keeps what outlives an action; removed for the resources of these tests.
const STATE: [&str; 3] = ["/var/lib/pgtwin", "/run/pgtwin", "/var/log/pgtwin"];

/// The agent and its database, which vanishes when this is dropped.
pub struct Rig {
    pub resource: &'static str,
    pub program: PathBuf,
    pub home: TempDir,
    pub bindir: PathBuf,
    pub port: u16,
    /// More parameters of the resource.
    pub more: Vec<(&'static str, String)>,
}

impl Rig {
    pub fn new(resource: &'static str, program: impl Into<PathBuf>) -> Self {
        let user = test_user();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (program, home) = (program.into(), home_of(&user));
        let new = Self { resource, program, home, bindir: bindir(), port, more: Vec::new() };
        new.forget();
        let password = new.home.path().join("password");
        fs::write(&password, "not used: pgtwin logs in through the socket\n").unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).unwrap();
        let mut initdb = new.as_user("initdb");
        initdb
            .args([
                "--wal-segsize=1",
                "--auth-local=peer",
                "--auth-host=scram-sha-256",
                "--no-sync",
                "--pwfile",
            ])
            .args([password.as_path(), Path::new("--pgdata"), &new.pgdata()]);
        succeeds(&mut initdb);
        // The logger outlives the postmaster by a moment.
        let conf = new.pgdata().join("postgresql.auto.conf");
        let old = fs::read_to_string(&conf).unwrap();
        fs::write(&conf, format!("{old}logging_collector = 'on'\n")).unwrap();
        new
    }

    pub fn pgdata(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The parameters of the resource.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let own = [
            ("pgdata", self.pgdata().to_str().unwrap().to_owned()),
            ("pgport", self.port.to_string()),
            ("pg_bindir", self.bindir.to_str().unwrap().to_owned()),
            ("pguser", NAME.to_owned()),
            ("socket_dir", self.home.path().to_str().unwrap().to_owned()),
        ];
        own.into_iter().chain(self.more.iter().cloned()).collect()
    }

    /// A program of PostgreSQL's, as the tests' user.
    pub fn as_user(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", NAME, "--regid", NAME, "--init-groups", "--"])
            .arg(self.bindir.join(program))
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/");
        command
    }

    /// One action by hand, as Pacemaker's executor would start it outside a clone.
    pub fn act(&self, action: &str, more: &[(&str, &str)]) -> Output {
        self.command(action).envs(more.iter().copied()).output().unwrap()
    }

    /// The command of such an action.
    pub fn command(&self, action: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(action)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("OCF_RESOURCE_INSTANCE", self.resource)
            .env("OCF_RESOURCE_TYPE", "pgtwin")
            .env("OCF_RESKEY_CRM_meta_timeout", "60000");
        for (name, value) in self.parameters() {
            command.env(format!("OCF_RESKEY_{name}"), value);
        }
        command.stdin(Stdio::null());
        command
    }

    pub fn expect(&self, action: &str, code: i32) {
        let output = self.act(action, &[]);
        assert_eq!(output.status.code(), Some(code), "{action}: {}{}", text(&output), self.log());
    }

    /// What PostgreSQL says to one query through its socket.
    pub fn ask(&self, query: &str) -> String {
        let mut psql = self.as_user("psql");
        psql.args(["-X", "-A", "-t", "-d", "postgres", "-c", query, "-h"])
            .arg(self.home.path())
            .args(["-p", &self.port.to_string()]);
        succeeds(&mut psql).trim().to_owned()
    }

    /// The processes whose working directory is PGDATA.
    pub fn processes(&self) -> Vec<String> {
        let pgdata = fs::canonicalize(self.pgdata()).unwrap_or_else(|_| self.pgdata());
        fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|proc| fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd == pgdata))
            .map(|proc| fs::read_to_string(proc.join("cmdline")).unwrap_or_default())
            .collect()
    }

    /// PostgreSQL's own log, wherever it was told to write it.
    pub fn log(&self) -> String {
        let newest = |dir: PathBuf| {
            let entries = fs::read_dir(dir).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
            entries.filter(|path| path.extension().is_some_and(|end| end == "log")).max()
        };
        let found = [self.pgdata().join("log"), self.pgdata()].into_iter().find_map(newest);
        found.map_or_else(String::new, |path| {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let from = text.len().saturating_sub(4000);
            format!("\n--- {}\n{}", path.display(), text.get(from..).unwrap_or(&text))
        })
    }

    /// Removes what the agent keeps about the resource.
    pub fn forget(&self) {
        for dir in STATE {
            let _ = fs::remove_dir_all(Path::new(dir).join(self.resource));
            let _ = fs::remove_file(Path::new(dir).join(format!("{}.log", self.resource)));
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // pg_ctl would take the number in postmaster.pid for one of this host.
        let of = |name| self.more.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        if let (Some(engine), Some(name)) = (of("container_runtime"), of("container_name")) {
            let _ = Command::new(engine).args(["rm", "--force", "--volumes", name]).output();
        }
        // What a test has left in PGDATA may be a pipe.
        let stop = self.as_user("pg_ctl");
        let mut bounded = Command::new("timeout");
        bounded.args(["--kill-after=1", "20"]).arg(stop.get_program()).args(stop.get_args());
        bounded.args(["stop", "--mode=immediate", "--pgdata"]).arg(self.pgdata());
        let _ = bounded.env_clear().current_dir("/").output();
        self.forget();
    }
}

pub fn text(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    streams.concat()
}

pub fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The programs of the newest PostgreSQL that is installed.
pub fn bindir() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|dir| dir.join("initdb").is_file())
        .max_by_key(|dir| {
            dir.parent().and_then(|dir| dir.file_name()?.to_str()?.parse::<u32>().ok())
        })
        .expect("no PostgreSQL below /usr/lib/postgresql: apt-get install postgresql")
}

/// Says so where a test can't be made; tests/run refuses to begin without root.
pub fn without_root() -> bool {
    if !is_root() {
        eprintln!("not made: this test needs root");
    }
    !is_root()
}
