//! The log of an attempt to recover a node, with all that was done and said, and the summary beside
//! it. Floor 2.
//!
//! A log that cannot be written never keeps a node from coming back: what is lost is counted, and
//! said at the end. Nothing secret is in it: commands carry no password (see `sys::exec`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use crate::cluster::recovery::{Kept, Summary};
use crate::sys::chain;
use crate::sys::exec::{Cmd, Ended, Exec, ExecError, Output, RunAs};
use crate::sys::files::{self, FileError, Kind, Seen};
use crate::sys::log::one_line;
use crate::sys::utc::{self, Utc};

/// So many attempts keep their logs.
pub const KEPT: usize = 20;

/// The longest line, in bytes.
const LINE: usize = 2000;
/// Of the output of a command, so many lines from its begin and as many from its end.
const EITHER_END: usize = 200;
const SUMMARY_BYTES: u64 = 64 * 1024;

/// Where the logs of a resource are: as a rule `/var/log/pgtwin/RSC`.
#[derive(Clone, Debug)]
pub struct RecoveryLogs {
    dir: PathBuf,
}

impl RecoveryLogs {
    /// `root` is as a rule `/var/log/pgtwin`.
    pub fn new(root: &str, resource: &str) -> Self {
        Self { dir: PathBuf::from(root).join(resource) }
    }

    /// Makes sure of the directory.
    pub fn ensure(&self) -> Result<(), FileError> {
        files::ensure_root_dir(&self.dir, 0o750)
    }

    /// A new file's place for what a process of this name itself prints: log lines, and what went very
    /// wrong. What the last one printed is put aside as `NAME.out.old`.
    pub fn output_of(&self, name: &str) -> Result<PathBuf, FileError> {
        self.ensure()?;
        let path = self.dir.join(format!("{name}.out"));
        let old = self.dir.join(format!("{name}.out.old"));
        match fs::rename(&path, &old) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(path),
            Err(source) => Err(FileError::Io { what: "put aside", path, source }),
            Ok(()) => Ok(path),
        }
    }

    /// Begins the log of this attempt, and removes the oldest ones. `now` is in seconds of the epoch.
    pub fn begin(&self, attempt: u32, now: i64) -> Result<RecoveryLog, FileError> {
        self.ensure()?;
        let mut at = now;
        loop {
            let name = format!("recovery-{}-attempt-{attempt}", Utc::of(at).of_name());
            match self.open(name, OpenOptions::new().create_new(true).mode(0o640)) {
                Ok(log) => {
                    self.prune(&log.name);
                    return Ok(log);
                }
                // Two in one second: the later one gets the next.
                Err(FileError::Io { source, .. })
                    if source.kind() == io::ErrorKind::AlreadyExists
                        && at < now.saturating_add(100) =>
                {
                    at += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The log of the newest attempt of this number, to say in it what its worker could not say any
    /// more. None: there is none.
    pub fn reopen(&self, attempt: u32) -> Result<Option<RecoveryLog>, FileError> {
        let names = match self.names() {
            Ok(names) => names,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(FileError::Io { what: "list", path: self.dir.clone(), source });
            }
        };
        let number = u64::from(attempt);
        let of_number = |name: &&str| Attempt::of(name).is_some_and(|one| one.number == number);
        let logs = names.iter().filter_map(|name| name.strip_suffix(".log")).filter(of_number);
        match logs.max_by_key(|name| Attempt::of(name)) {
            Some(newest) => self.open(newest.to_owned(), &mut OpenOptions::new()).map(Some),
            None => Ok(None),
        }
    }

    fn open(&self, name: String, options: &mut OpenOptions) -> Result<RecoveryLog, FileError> {
        let path = self.dir.join(format!("{name}.log"));
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let io = |source| FileError::Io { what: "open", path: path.clone(), source };
        let file = options.append(true).custom_flags(flags.bits()).open(&path).map_err(io)?;
        if !file.metadata().map_err(io)?.is_file() {
            return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        Ok(RecoveryLog { dir: self.dir.clone(), name, path, file, lost: AtomicU64::new(0) })
    }

    /// The log of the newest attempt.
    pub fn newest(&self) -> Kept<PathBuf> {
        match self.names() {
            Ok(names) => {
                let logs = names.iter().filter(|name| name.strip_suffix(".log").is_some());
                let newest = logs.max_by_key(|name| Attempt::of(name));
                newest.map_or(Kept::Missing, |name| Kept::Read(self.dir.join(name)))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Kept::Missing,
            Err(e) => Kept::Unreadable(format!("{}: {e}", self.dir.display())),
        }
    }

    /// The summary of the newest attempt that has one.
    pub fn last_summary(&self) -> Kept<Summary> {
        let names = match self.names() {
            Ok(names) => names,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Kept::Missing,
            Err(e) => return Kept::Unreadable(format!("{}: {e}", self.dir.display())),
        };
        let summaries = names.iter().filter(|name| name.strip_suffix(".json").is_some());
        let Some(newest) = summaries.max_by_key(|name| Attempt::of(name)) else {
            return Kept::Missing;
        };
        match self.summary(newest) {
            Ok(summary) => Kept::Read(summary),
            Err(why) => Kept::Unreadable(why),
        }
    }

    /// All summaries, oldest first; one that cannot be read is why there are none.
    pub fn summaries(&self) -> Kept<Vec<Summary>> {
        let mut names = match self.names() {
            Ok(names) => names,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Kept::Missing,
            Err(e) => return Kept::Unreadable(format!("{}: {e}", self.dir.display())),
        };
        names.retain(|name| name.strip_suffix(".json").is_some());
        names.sort_by_key(|name| Attempt::of(name));
        match names.iter().map(|name| self.summary(name)).collect() {
            Ok(all) => Kept::Read(all),
            Err(why) => Kept::Unreadable(why),
        }
    }

    fn summary(&self, name: &str) -> Result<Summary, String> {
        let path = self.dir.join(name);
        let text = files::read_root_owned(&path, SUMMARY_BYTES).map_err(|error| chain(&error))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// The names of all files of attempts here; others are nobody's business.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            if let Ok(name) = entry?.file_name().into_string()
                && Attempt::of(&name).is_some()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Removes what is older than the newest attempts, but never what belongs to `current`. What
    /// cannot be removed stays.
    fn prune(&self, current: &str) {
        let names = match self.names() {
            Ok(names) => names,
            Err(e) => {
                tracing::warn!("{}: {e}: old logs of recoveries stay", self.dir.display());
                return;
            }
        };
        for name in too_old(&names, current) {
            let path = self.dir.join(name);
            match files::look(&path) {
                Seen::Present(entry) if entry.kind == Kind::File => {
                    if let Err(e) = fs::remove_file(&path) {
                        tracing::warn!("cannot remove {}: {e}", path.display());
                    }
                }
                Seen::Present(_) | Seen::Missing | Seen::Unknown(_) => {}
            }
        }
    }
}

/// What the name of a file says of its attempt; ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attempt {
    day: u64,
    time: u64,
    number: u64,
}

impl Attempt {
    /// Of `recovery-YYYYMMDD-HHMMSS-attempt-N.log` or `.json`, with or without its end.
    fn of(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".log").or(name.strip_suffix(".json")).unwrap_or(name);
        let mut parts = name.strip_prefix("recovery-")?.splitn(4, '-');
        let digits = |part: &str, count: Option<usize>| {
            let fits = count.is_none_or(|count| part.len() == count);
            let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            if fits && plain { part.parse().ok() } else { None }
        };
        let day = digits(parts.next()?, Some(8))?;
        let time = digits(parts.next()?, Some(6))?;
        let number = match (parts.next()?, parts.next()?) {
            ("attempt", number) => digits(number, None)?,
            _ => return None,
        };
        Some(Self { day, time, number })
    }
}

/// Which of these files go: those of all attempts but the newest, `current` being one of these
/// whatever its date is.
fn too_old<'a>(names: &'a [String], current: &str) -> Vec<&'a str> {
    let current = Attempt::of(current);
    let mut attempts: Vec<Attempt> = names
        .iter()
        .filter_map(|name| Attempt::of(name))
        .filter(|one| Some(*one) != current)
        .collect();
    attempts.sort_unstable();
    attempts.dedup();
    let room = KEPT.saturating_sub(usize::from(current.is_some()));
    let old = attempts.len().saturating_sub(room);
    attempts.truncate(old);
    let goes = |name: &&str| Attempt::of(name).is_some_and(|one| attempts.contains(&one));
    names.iter().map(String::as_str).filter(goes).collect()
}

/// The log of one attempt.
#[derive(Debug)]
pub struct RecoveryLog {
    dir: PathBuf,
    name: String,
    path: PathBuf,
    file: File,
    lost: AtomicU64,
}

impl RecoveryLog {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line, with the time before it. A text of several lines becomes one.
    pub fn note(&self, text: &str) {
        self.line(&one_line(text, LINE));
    }

    /// Writes what will be done, in its order.
    pub fn plan<S: AsRef<str>>(&self, steps: &[S]) {
        self.note("plan:");
        for (number, step) in steps.iter().enumerate() {
            self.note(&format!("  {}. {}", number + 1, step.as_ref()));
        }
    }

    /// Writes that a step of the plan begins, by its number there.
    pub fn step(&self, number: usize, step: &str) {
        self.note(&format!("step {number}: {step}"));
    }

    /// Writes that a command begins.
    pub fn command(&self, cmd: &Cmd) {
        self.note(&format!("run {}", shown(cmd)));
    }

    /// Writes how a command ended, after what time, and what it said.
    ///
    /// Pacemaker's whole configuration and state, which are read again and again, are left out.
    pub fn ended(&self, cmd: &Cmd, result: &Result<Output, ExecError>, took: Duration) {
        const LONG_WINDED: [&str; 2] = ["cibadmin", "crm_mon"];
        let program = Path::new(&cmd.program).file_name();
        let program = program.map_or(cmd.program.clone(), |name| name.to_string_lossy().into());
        let took = format!("after {}.{:03} s", took.as_secs(), took.subsec_millis());
        match result {
            Ok(output) => {
                if !(output.ok() && LONG_WINDED.contains(&program.as_str())) {
                    self.output("  out| ", &output.stdout);
                }
                self.output("  err| ", &output.stderr);
                let how = match output.ended {
                    Ended::Exited(code) => format!("ended with code {code}"),
                    Ended::Signaled(signal) => format!("was killed by signal {signal}"),
                    Ended::TimedOut => "took too long and was killed".to_owned(),
                };
                self.note(&format!("{program} {how} {took}"));
            }
            Err(error) => self.note(&format!("{program} failed {took}: {}", chain(error))),
        }
    }

    fn output(&self, prefix: &str, text: &str) {
        // A progress bar goes back to the begin of its line, over and over.
        let lines: Vec<&str> =
            text.split(['\n', '\r']).filter(|line| !line.trim().is_empty()).collect();
        let left_out = lines.len().saturating_sub(2 * EITHER_END);
        for (number, line) in lines.iter().enumerate() {
            if left_out == 0 || number < EITHER_END || number >= EITHER_END + left_out {
                self.line(&format!("{prefix}{}", one_line(line, LINE)));
            } else if number == EITHER_END {
                self.line(&format!("{prefix}({left_out} lines left out)"));
            }
        }
    }

    /// Writes the result, here and as JSON beside, and puts both on the disk.
    pub fn result(&self, summary: &Summary) -> Result<(), FileError> {
        let took = summary.ended.saturating_sub(summary.begun);
        let how = match (summary.failure.as_str(), summary.next_command.as_str()) {
            ("", _) => String::new(),
            (failure, "") => format!(": {failure}"),
            (failure, next) => format!(": {failure}; next: {next}"),
        };
        self.note(&format!(
            "result: {:?} in phase {} after {took} s, {} bytes copied{how}",
            summary.outcome,
            summary.phase.word(),
            summary.copied_bytes
        ));
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 {
            self.note(&format!("{lost} lines of this log could not be written"));
        }
        let synced = self.file.sync_all();
        let name = format!("{}.json", self.name);
        let text = serde_json::to_string_pretty(summary).map_err(|e| FileError::Io {
            what: "write",
            path: self.dir.join(&name),
            source: e.into(),
        })?;
        files::write_durably(&self.dir, &name, format!("{text}\n").as_bytes(), 0o640)?;
        synced.map_err(|source| FileError::Io { what: "sync", path: self.path.clone(), source })
    }

    fn line(&self, text: &str) {
        let line = format!("{} {text}\n", Utc::of(utc::now()));
        // One write, so that a line is there whole or not at all.
        match (&self.file).write(line.as_bytes()) {
            Ok(count) if count == line.len() => {}
            Ok(_) | Err(_) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A command as people would type it, with its user.
fn shown(cmd: &Cmd) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
    let word = |text: &str| {
        if !text.is_empty() && text.chars().all(plain) {
            text.to_owned()
        } else {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
    };
    let words = std::iter::once(&cmd.program).chain(&cmd.args);
    let line = words.map(|text| word(text)).collect::<Vec<_>>().join(" ");
    match &cmd.run_as {
        RunAs::Caller => line,
        RunAs::User(user) => format!("as {user}: {line}"),
    }
}

/// Runs commands, and writes each with its output and its time into the log.
pub struct Logged<'a> {
    exec: &'a dyn Exec,
    log: &'a RecoveryLog,
}

impl<'a> Logged<'a> {
    /// Through `exec`, into `log`.
    pub fn new(exec: &'a dyn Exec, log: &'a RecoveryLog) -> Self {
        Self { exec, log }
    }
}

impl Exec for Logged<'_> {
    fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
        self.log.command(cmd);
        let begun = Instant::now();
        let result = self.exec.run(cmd);
        self.log.ended(cmd, &result, begun.elapsed());
        result
    }

    fn run_watched(&self, cmd: &Cmd, line: &mut dyn FnMut(&str)) -> Result<Output, ExecError> {
        self.log.command(cmd);
        let begun = Instant::now();
        let result = self.exec.run_watched(cmd, line);
        self.log.ended(cmd, &result, begun.elapsed());
        result
    }

    /// At the same time; each is written with the time that the slowest took.
    fn run_all(&self, cmds: &[Cmd]) -> Vec<Result<Output, ExecError>> {
        for cmd in cmds {
            self.log.command(cmd);
        }
        let begun = Instant::now();
        let results = self.exec.run_all(cmds);
        let took = begun.elapsed();
        for (cmd, result) in cmds.iter().zip(&results) {
            self.log.ended(cmd, result, took);
        }
        results
    }
}

#[cfg(test)]
#[path = "recovery_log/tests.rs"]
mod tests;
