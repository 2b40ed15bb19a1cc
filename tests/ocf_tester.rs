//! Debian's ocf-tester judges the agent, installed as packaging/install does it, on a real
//! PostgreSQL without any cluster; and the same actions by hand, with a look at PostgreSQL after
//! each. Needs root: the agent runs as root and PostgreSQL as the tests' user.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod account;

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use account::{NAME, home_of, is_root, test_user};
use tempfile::TempDir;

/// Where the agent keeps what outlives an action; removed for the resources of these tests.
const STATE: [&str; 2] = ["/var/lib/pgtwin", "/run/pgtwin"];

/// An installed agent and a fresh database for it; both vanish when it is dropped.
struct Rig {
    resource: &'static str,
    install: TempDir,
    home: TempDir,
    bindir: PathBuf,
    port: u16,
}

impl Rig {
    fn new(resource: &'static str) -> Self {
        let user = test_user();
        let install = tempfile::tempdir().unwrap();
        fs::set_permissions(install.path(), Permissions::from_mode(0o755)).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/install");
        let mut command = Command::new(script);
        command.arg(env!("CARGO_BIN_EXE_pgtwin")).env("DESTDIR", install.path());
        succeeds(&mut command);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let new = Self { resource, install, home: home_of(&user), bindir: bindir(), port };
        new.forget();
        let password = new.home.path().join("password");
        fs::write(&password, "not used: pgtwin logs in through the socket\n").unwrap();
        fs::set_permissions(&password, Permissions::from_mode(0o644)).unwrap();
        let mut initdb = new.as_user("initdb");
        initdb
            .args(["--auth-local=peer", "--auth-host=scram-sha-256", "--no-sync", "--pwfile"])
            .args([password.as_path(), Path::new("--pgdata"), &new.pgdata()]);
        succeeds(&mut initdb);
        // The logger outlives the postmaster by a moment.
        let conf = new.pgdata().join("postgresql.auto.conf");
        let old = fs::read_to_string(&conf).unwrap();
        fs::write(&conf, format!("{old}logging_collector = 'on'\n")).unwrap();
        new
    }

    fn pgdata(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn agent(&self) -> PathBuf {
        self.install.path().join("usr/lib/ocf/resource.d/heartbeat/pgtwin")
    }

    /// The parameters of the resource.
    fn parameters(&self) -> [(&'static str, String); 5] {
        [
            ("pgdata", self.pgdata().to_str().unwrap().to_owned()),
            ("pgport", self.port.to_string()),
            ("pg_bindir", self.bindir.to_str().unwrap().to_owned()),
            ("pguser", NAME.to_owned()),
            ("socket_dir", self.home.path().to_str().unwrap().to_owned()),
        ]
    }

    /// A program of PostgreSQL's, as the tests' user.
    fn as_user(&self, program: &str) -> Command {
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
    fn act(&self, action: &str, more: &[(&str, &str)]) -> Output {
        let mut command = Command::new(self.agent());
        command
            .arg(action)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("OCF_ROOT", self.install.path().join("usr/lib/ocf"))
            .env("OCF_RESOURCE_INSTANCE", self.resource)
            .env("OCF_RESOURCE_TYPE", "pgtwin")
            .env("OCF_RESKEY_CRM_meta_timeout", "60000");
        for (name, value) in self.parameters() {
            command.env(format!("OCF_RESKEY_{name}"), value);
        }
        command.envs(more.iter().copied()).stdin(Stdio::null());
        command.output().unwrap()
    }

    fn expect(&self, action: &str, code: i32) {
        let output = self.act(action, &[]);
        assert_eq!(output.status.code(), Some(code), "{action}: {}{}", text(&output), self.log());
    }

    /// What PostgreSQL says to one query through its socket.
    fn ask(&self, query: &str) -> String {
        let mut psql = self.as_user("psql");
        psql.args(["-X", "-A", "-t", "-d", "postgres", "-c", query, "-h"])
            .arg(self.home.path())
            .args(["-p", &self.port.to_string()]);
        succeeds(&mut psql).trim().to_owned()
    }

    /// The processes whose working directory is PGDATA.
    fn processes(&self) -> Vec<String> {
        let pgdata = fs::canonicalize(self.pgdata()).unwrap();
        fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|proc| fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd == pgdata))
            .map(|proc| fs::read_to_string(proc.join("cmdline")).unwrap_or_default())
            .collect()
    }

    /// PostgreSQL's own log, wherever it was told to write it.
    fn log(&self) -> String {
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
    fn forget(&self) {
        for dir in STATE {
            let _ = fs::remove_dir_all(Path::new(dir).join(self.resource));
            let _ = fs::remove_file(Path::new(dir).join(format!("{}.start.log", self.resource)));
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let mut stop = self.as_user("pg_ctl");
        stop.args(["stop", "--mode=immediate", "--pgdata"]).arg(self.pgdata());
        let _ = stop.output();
        self.forget();
    }
}

fn text(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    streams.concat()
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The programs of the newest PostgreSQL that is installed.
fn bindir() -> PathBuf {
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
fn without_root() -> bool {
    if !is_root() {
        eprintln!("not made: this test needs root");
    }
    !is_root()
}

#[test]
fn the_installed_agent_passes_ocf_tester() {
    if without_root() {
        return;
    }
    let on = Rig::new("pgtwin-test-ocf");
    let mut tester = Command::new("timeout");
    tester.args(["--kill-after=10", "420", "/usr/sbin/ocf-tester", "-n", on.resource]);
    for (name, value) in on.parameters() {
        tester.args(["-o", &format!("{name}={value}")]);
    }
    tester
        .arg(on.agent())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("OCF_ROOT", on.install.path().join("usr/lib/ocf"))
        .stdin(Stdio::null());
    let output = tester.output().expect("timeout, of coreutils");
    let said = text(&output);
    println!("{said}");
    assert!(output.status.success(), "ocf-tester ended with {}:{}", output.status, on.log());
    assert!(said.contains("passed all tests"), "{said}");
    assert!(!said.contains("* rc="), "{said}");
    for action in ["notify", "demote", "promote"] {
        assert!(!said.contains(&format!("does not support the {action} action")), "{said}");
    }
    assert_eq!(on.processes(), [""; 0]);
}

#[test]
fn each_action_does_what_its_exit_code_says() {
    if without_root() {
        return;
    }
    let on = Rig::new("pgtwin-test-hand");
    on.expect("validate-all", 0);
    on.expect("monitor", 7);

    on.expect("start", 0);
    on.expect("monitor", 0);
    assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "t", "a node that boots never writes");

    on.expect("promote", 0);
    on.expect("monitor", 8);
    assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "f");
    on.ask("CREATE TABLE kept AS SELECT 42 AS answer");
    assert_eq!(on.ask("TABLE kept"), "42");

    on.expect("demote", 0);
    on.expect("monitor", 0);
    assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "t");
    assert_eq!(on.ask("TABLE kept"), "42");

    on.expect("promote", 0);
    assert_eq!(on.ask("TABLE kept"), "42");
    on.expect("stop", 0);
    assert_eq!(on.processes(), [""; 0], "stop says that nothing runs");
    on.expect("monitor", 7);
    on.expect("stop", 0);
}

#[test]
fn stop_and_probe_do_not_mind_a_broken_configuration() {
    if without_root() {
        return;
    }
    let on = Rig::new("pgtwin-test-broken");
    let cases: &[&[(&str, &str)]] = &[
        &[("OCF_RESKEY_pgport", "many")],
        &[("OCF_RESKEY_rep_mode", "perhaps")],
        &[("OCF_RESKEY_pgdata", "/nonexistent/data")],
        &[("OCF_RESKEY_pg_bindir", "/nonexistent/bin")],
        &[("OCF_RESKEY_pguser", "nobody-of-this-name")],
        &[("OCF_RESKEY_no_such_parameter", "1")],
    ];
    for case in cases {
        let probe =
            on.act("monitor", &[case, &[("OCF_RESKEY_CRM_meta_interval", "0")][..]].concat());
        assert_eq!(probe.status.code(), Some(7), "probe with {case:?}: {}", text(&probe));
        let stop = on.act("stop", case);
        assert_eq!(stop.status.code(), Some(0), "stop with {case:?}: {}", text(&stop));
    }
    let malformed = on.act("start", cases[0]);
    assert_eq!(malformed.status.code(), Some(6), "{}", text(&malformed));
    assert!(text(&malformed).contains("pgport"), "the reason names it: {}", text(&malformed));
    let unknown = on.act("dance", &[]);
    assert_eq!(unknown.status.code(), Some(3), "{}", text(&unknown));
    assert_eq!(on.processes(), [""; 0]);
}
