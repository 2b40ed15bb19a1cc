//! `pgtwin bootstrap` with real initdb, pg_createcluster and PostgreSQL. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr)]

#[path = "account/mod.rs"]
#[allow(dead_code)]
mod account;
mod engine;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use account::{NAME, home_of, is_root, test_user};
use pgtwin::ocf::params::Params;

/// A password that needs care in a passfile and in SQL.
const PASSWORD: &str = "it's : a \\ secret ü";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn hostname() -> String {
    nix::unistd::gethostname().unwrap().to_string_lossy().into_owned()
}

/// A file with the password, where only root can have put it.
struct Secret(PathBuf);

impl Secret {
    fn new(name: &str, text: &str) -> Self {
        let dir = PathBuf::from(format!("/run/pgtwin-test-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(dir.join("password"), text).unwrap();
        fs::set_permissions(dir.join("password"), fs::Permissions::from_mode(0o600)).unwrap();
        Self(dir)
    }

    fn file(&self) -> String {
        self.0.join("password").display().to_string()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        let _ = fs::remove_file("/var/log/pgtwin/bootstrap.log");
    }
}

fn bootstrap(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgtwin"));
    command.arg("bootstrap").args(args).env_clear().stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn bindir() -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|dir| dir.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().unwrap()
}

fn as_user(user: &str, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--init-groups", "--"]).arg(program);
    command.env_clear().env("LC_ALL", "C.UTF-8").env("PATH", "/usr/bin:/bin").current_dir("/");
    command
}

fn succeeds(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Of a database of the tests' user: the nodes, and its parameters.
struct Place {
    home: tempfile::TempDir,
    port: u16,
    me: String,
}

impl Place {
    fn new() -> Self {
        Self { home: home_of(&test_user()), port: free_port(), me: hostname() }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn args(&self, role: &str, me: &str, more: &[&str]) -> Vec<String> {
        let mut args: Vec<String> = vec![role.into()];
        for node in [format!("{me}=127.0.0.1"), "other-node=127.0.0.2".into()] {
            args.extend(["--node".to_owned(), node]);
        }
        for param in [
            format!("pgdata={}", self.path("data")),
            format!("pgport={}", self.port),
            format!("pg_bindir={}", bindir().display()),
            format!("pguser={NAME}"),
            format!("socket_dir={}", self.path("")),
            format!("pgpassfile={}", self.path("pass")),
        ] {
            args.extend(["--param".to_owned(), param]);
        }
        if engine::asked_for().is_some() {
            let mut params = Params::default();
            engine::contain(&mut params, "pg", self.home.path(), &bindir());
            for (name, value) in engine::as_words(&params) {
                args.extend(["--param".to_owned(), format!("{name}={value}")]);
            }
        }
        args.extend(more.iter().map(|one| (*one).to_owned()));
        args
    }

    fn call(&self, role: &str, more: &[&str]) -> (Option<i32>, String, String) {
        let args = self.args(role, &self.me, more);
        bootstrap(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// A program of PostgreSQL's, as the tests' user.
fn program(name: &str) -> Command {
    as_user(NAME, &bindir().join(name))
}

#[test]
fn a_primary_is_made_of_nothing_and_standbys_can_log_in() {
    if !is_root() {
        eprintln!("not tried: not root");
        return;
    }
    let (place, secret) = (Place::new(), Secret::new("primary", &format!("{PASSWORD}\n")));
    let file = secret.file();
    let (code, stdout, stderr) = place.call("primary", &["--dry-run"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("initdb: a new database with checksums"), "{stdout}");
    assert!(!Path::new(&place.path("data")).exists() && !Path::new(&place.path("pass")).exists());

    let (code, stdout, stderr) = place.call("primary", &["--password-file", &file, "--yes"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(one_line(&stdout).contains("replicator can log in at 127.0.0.1"), "{stdout}");
    assert!(stdout.contains("pgtwin setup --apply"), "{stdout}");
    assert!(!stdout.contains("secret"));
    let control = succeeds(program("pg_controldata").arg(place.path("data")));
    assert!(control.contains("shut down\n"), "{control}");
    assert!(!control.contains("Data page checksum version:           0"), "{control}");
    let meta = fs::metadata(place.path("pass")).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.uid()), (0o600, test_user().uid));
    let hba = fs::read_to_string(place.path("data/pg_hba.conf")).unwrap();
    assert!(hba.starts_with("# BEGIN pgtwin"), "{hba}");
    assert!(hba.contains("host  postgres  replicator  127.0.0.2/32  scram-sha-256  # other-node"));
    let auto = fs::read_to_string(place.path("data/postgresql.auto.conf")).unwrap();
    for line in ["wal_log_hints = 'on'", "restart_after_crash = 'off'", "listen_addresses = '*'"] {
        assert!(auto.contains(line), "{line}: {auto}");
    }

    // What there is now is not overwritten, and is as good as it was said to be.
    let (code, stdout, stderr) =
        place.call("primary", &["--password-file", &file, "--yes", "--json"]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""));
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["outcome"], "refused");
    assert!(json["reasons"][0].as_str().unwrap().contains("never overwritten"), "{json}");
    let options = format!("-k {} -p {}", place.path(""), place.port);
    let log = place.path("log");
    let start = ["-D", &place.path("data"), "-o", &options, "-l", &log, "-w", "start"];
    succeeds(program("pg_ctl").args(start));
    let login = format!(
        "host=127.0.0.1 port={} user=replicator dbname=postgres passfile={}",
        place.port,
        place.path("pass")
    );
    let asked = program("psql")
        .args(["-Atw", &login, "-c", "SELECT count(*) > 0 FROM pg_ls_dir('pg_wal', true, true)"])
        .output();
    let copied = program("pg_basebackup")
        .args(["-w", "--checkpoint=fast", "-d", &login, "-D", &place.path("copy")])
        .output();
    succeeds(program("pg_ctl").args(["-D", &place.path("data"), "-m", "fast", "stop"]));
    let (asked, copied) = (asked.unwrap(), copied.unwrap());
    assert_eq!(String::from_utf8_lossy(&asked.stdout), "t\n", "{asked:?}");
    assert!(copied.status.success(), "{copied:?}");
    assert!(!fs::read_to_string(&log).unwrap_or_default().contains("secret"));
}

#[test]
fn a_standby_gets_the_passfile_and_no_data() {
    if !is_root() {
        eprintln!("not tried: not root");
        return;
    }
    let (place, secret) = (Place::new(), Secret::new("standby", PASSWORD));
    let file = secret.file();
    let (code, stdout, stderr) = place.call("standby", &["--password-file", &file, "--yes"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let text = fs::read_to_string(place.path("pass")).unwrap();
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains(":replication:replicator:it's \\: a \\\\ secret ü\n"), "{text}");
    assert!(!Path::new(&place.path("data")).exists());
    // Again it is the same.
    assert_eq!(place.call("standby", &["--password-file", &file, "--yes"]).0, Some(0));
    assert_eq!(fs::read_to_string(place.path("pass")).unwrap(), text);
    // Another password is not mixed in.
    let other = Secret::new("other", "another");
    let (code, _, stderr) = place.call("standby", &["--password-file", &other.file(), "--yes"]);
    assert_eq!(code, Some(1));
    assert!(one_line(&stderr).contains("has another password for replicator"), "{stderr}");
    assert_eq!(fs::read_to_string(place.path("pass")).unwrap(), text);
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is() {
    if !is_root() {
        eprintln!("not tried: not root");
        return;
    }
    let (place, secret) = (Place::new(), Secret::new("refused", PASSWORD));
    let file = secret.file();
    let strings = |args: &[String]| bootstrap(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let stranger = place.args("primary", "somebody-else", &["--password-file", &file, "--yes"]);
    let (code, _, stderr) = strings(&stranger);
    assert_eq!(code, Some(1));
    assert!(one_line(&stderr).contains("--node names somebody-else, other-node"), "{stderr}");
    // Nobody is there to be asked, neither for the password nor at all.
    let (code, _, stderr) = place.call("primary", &["--yes"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("--password-file"), "{stderr}");
    let (code, _, stderr) = place.call("primary", &["--password-file", &file]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("add --yes"), "{stderr}");
    // A file that others may have written.
    let open = place.path("open");
    fs::write(&open, "x").unwrap();
    let (code, _, stderr) = place.call("primary", &["--password-file", &open, "--yes"]);
    assert_eq!(code, Some(1), "{stderr}");
    let empty = Secret::new("empty", "\n");
    let (code, _, stderr) = place.call("primary", &["--password-file", &empty.file(), "--yes"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("the password is empty"), "{stderr}");
    for name in ["data", "pass"] {
        assert!(!Path::new(&place.path(name)).exists(), "{name}");
    }
    // A locale that there is not: said, with what is left.
    let (code, _, stderr) =
        place.call("primary", &["--password-file", &file, "--yes", "--locale", "xx_XX.UTF-8"]);
    assert_eq!(code, Some(1));
    assert!(one_line(&stderr).contains("xx_XX"), "{stderr}");
    for args in [
        &["primary"][..],
        &["primary", "--node", "n1=10.0.0.11"],
        &["standby", "--node", "a=10.0.0.1", "--node", "b=10.0.0.2", "--locale", "-x"],
        &["primary", "--node", "a=10.0.0.1", "--node", "b=10.0.0.2", "--json"],
        &["somebody"],
    ] {
        let (code, stdout, stderr) = bootstrap(args);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
    }
}

/// A cluster of Debian's, which is dropped in the end.
struct Debian(String, String);

impl Drop for Debian {
    fn drop(&mut self) {
        let mut drop = Command::new("pg_dropcluster");
        drop.args(["--stop", &self.0, &self.1]).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = drop.status();
        let _ = fs::remove_dir_all(format!("/etc/postgresql/{}/{}", self.0, self.1));
        let _ = fs::remove_dir_all(format!("/var/lib/postgresql/{}/{}", self.0, self.1));
        let _ = fs::remove_file("/var/lib/postgresql/.pgpass-pgtwin-test");
    }
}

#[test]
fn debians_layout_is_made_by_debians_own_tool() {
    if !is_root() || !Path::new("/usr/bin/pg_createcluster").exists() {
        eprintln!("not tried: not root, or no postgresql-common");
        return;
    }
    let version = bindir().parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let (name, secret) = ("pgtwin-test", Secret::new("debian", PASSWORD));
    let cluster = Debian(version.clone(), name.to_owned());
    drop(Debian(version.clone(), name.to_owned()));
    let (me, port) = (format!("{}=127.0.0.1", hostname()), format!("pgport={}", free_port()));
    let (debian, file) = (format!("{version}/{name}"), secret.file());
    let call = |role: &str| {
        bootstrap(&[
            role,
            "--node",
            &me,
            "--node",
            "other-node=127.0.0.2",
            "--debian",
            &debian,
            "--param",
            &port,
            "--param",
            "pgpassfile=/var/lib/postgresql/.pgpass-pgtwin-test",
            "--password-file",
            &file,
            "--yes",
        ])
    };
    let data = format!("/var/lib/postgresql/{debian}");
    let etc = format!("/etc/postgresql/{debian}");
    let (code, stdout, stderr) = call("standby");
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "no data");
    let hba = fs::read_to_string(format!("{etc}/pg_hba.conf")).unwrap();
    assert!(hba.starts_with("# BEGIN pgtwin"), "{hba}");
    let start = fs::read_to_string(format!("{etc}/start.conf")).unwrap();
    assert!(start.contains("disabled"), "{start}");
    // What is left of a cluster is in the way, and it is said how it goes.
    let (code, _, stderr) = call("primary");
    assert_eq!(code, Some(1));
    assert!(one_line(&stderr).contains(&format!("pg_dropcluster {version} {name}")), "{stderr}");
    drop(cluster);

    let cluster = Debian(version.clone(), name.to_owned());
    let (code, stdout, stderr) = call("primary");
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(one_line(&stdout).contains("replicator can log in at 127.0.0.1"), "{stdout}");
    assert!(Path::new(&format!("{data}/PG_VERSION")).exists());
    let (code, _, stderr) = call("standby");
    assert_eq!(code, Some(1));
    assert!(
        one_line(&stderr).contains(&format!("pg_dropcluster --stop {debian}").replace('/', " "))
    );
    drop(cluster);
}
