//! PostgreSQL instances in temporary directories, run by an ordinary user.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::account::{home_of, is_root, test_user};

/// The directories of PostgreSQL's programs on this machine, oldest version first.
pub fn installed() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
        .collect();
    found.sort();
    assert!(
        !found.is_empty(),
        "no PostgreSQL server under /usr/lib/postgresql: tests/run installs it"
    );
    found
}

/// A program that runs as the tests' user when the tests run as root.
pub fn program(path: impl AsRef<Path>) -> Command {
    let mut command = Command::new(path.as_ref());
    command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").env("PATH", "/usr/bin:/bin");
    command.current_dir("/").stdin(Stdio::null());
    if is_root() {
        let user = test_user();
        command.uid(user.uid).gid(user.gid);
    }
    command
}

/// Standard output of a program that must succeed.
pub fn output(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    text(&out.stdout)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A directory of the tests' user, for data, sockets and files.
pub fn directory() -> TempDir {
    if is_root() { home_of(&test_user()) } else { tempfile::tempdir().unwrap() }
}

/// Writes a file that belongs to the tests' user.
pub fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    if is_root() {
        let user = test_user();
        chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}

/// One data directory. It has its socket beside it, no TCP port, and 1 MB WAL segments.
pub struct Instance {
    pub bin: PathBuf,
    pub data: PathBuf,
    pub home: TempDir,
}

impl Instance {
    /// A new cluster, not running; the superuser is `postgres`, and everybody may log in.
    pub fn new(bin: &Path) -> Self {
        let home = directory();
        let data = home.path().join("data");
        let made = Self { bin: bin.to_owned(), data, home };
        let mut initdb = program(bin.join("initdb"));
        initdb.args(["-U", "postgres", "-A", "trust", "-k", "--wal-segsize=1", "-E", "UTF8"]);
        output(initdb.args(["--no-sync", "-D"]).arg(&made.data));
        made.configure();
        made
    }

    /// A byte for byte copy of the data, which must not be running.
    pub fn copy(&self) -> Self {
        let home = directory();
        let data = home.path().join("data");
        output(program("/bin/cp").arg("-a").arg(&self.data).arg(&data));
        let made = Self { bin: self.bin.clone(), data, home };
        made.configure();
        made
    }

    fn configure(&self) {
        self.append(
            "postgresql.conf",
            &format!(
                "listen_addresses = ''\nunix_socket_directories = '{}'\nport = 54321\n\
                 fsync = off\nautovacuum = off\nwal_log_hints = on\nwal_keep_size = 100MB\n",
                self.home.path().display()
            ),
        );
    }

    /// The path of a file of the data directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// The text of a file of the data directory.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Adds to a file of the data directory.
    pub fn append(&self, name: &str, text: &str) {
        let before = fs::read_to_string(self.path(name)).unwrap_or_default();
        write(&self.path(name), &format!("{before}{text}"));
    }

    /// Runs pg_ctl to its end.
    pub fn ctl(&self, args: &[&str]) {
        let log = self.home.path().join("log");
        let mut command = program(self.bin.join("pg_ctl"));
        command.arg("-D").arg(&self.data).arg("-l").arg(&log).args(["-w", "-t", "120"]).args(args);
        // A postmaster would keep a pipe open.
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        let log = fs::read_to_string(log).unwrap_or_default();
        assert!(status.success(), "{command:?}: {log}");
    }

    pub fn start(&self) {
        self.ctl(&["start"]);
    }

    pub fn stop(&self) {
        self.ctl(&["-m", "fast", "stop"]);
    }

    /// psql on this instance, with this connection string added.
    pub fn psql(&self, conninfo: &str) -> Command {
        let mut command = program(self.bin.join("psql"));
        command.env("PGHOST", self.home.path()).env("PGPORT", "54321").env("PGUSER", "postgres");
        command.env("PGDATABASE", "postgres").args(["-w", "-XAt", "-v", "ON_ERROR_STOP=1"]);
        command.arg("-d").arg(conninfo);
        command
    }

    /// The answer to a query, columns divided by tabs.
    pub fn sql(&self, query: &str) -> String {
        let answer = output(self.psql("").args(["-F", "\t", "-c", query]));
        answer.strip_suffix('\n').unwrap_or(&answer).to_owned()
    }

    /// The answer to a command of the replication protocol, as psql prints it.
    pub fn replication(&self, command: &str) -> String {
        output(self.psql("replication=true").args(["-c", command]))
    }

    /// What pg_controldata prints, both streams.
    pub fn control_data(&self) -> String {
        let Output { stdout, stderr, .. } =
            program(self.bin.join("pg_controldata")).arg("-D").arg(&self.data).output().unwrap();
        text(&stdout) + &text(&stderr)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let mut command = program(self.bin.join("pg_ctl"));
        command.arg("-D").arg(&self.data).args(["-w", "-m", "immediate", "stop"]);
        // It may not be running.
        drop(command.stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}
