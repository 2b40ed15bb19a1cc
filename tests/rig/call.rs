//! The agent's actions as Pacemaker calls them, each killed when its time is over, and what may be
//! expected of every answer whatever the input was.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Rig, STATE};

/// One kind of call. Monitors differ by role, and a probe is a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Start,
    Stop,
    Promote,
    Demote,
    Promoted,
    Unpromoted,
    Probe,
    Notify,
    ValidateAll,
    ReloadAgent,
    ValidatePghba,
}

impl Call {
    pub const ALL: [Self; 11] = [
        Self::Start,
        Self::Stop,
        Self::Promote,
        Self::Demote,
        Self::Promoted,
        Self::Unpromoted,
        Self::Probe,
        Self::Notify,
        Self::ValidateAll,
        Self::ReloadAgent,
        Self::ValidatePghba,
    ];

    pub fn action(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Promote => "promote",
            Self::Demote => "demote",
            Self::Promoted | Self::Unpromoted | Self::Probe => "monitor",
            Self::Notify => "notify",
            Self::ValidateAll => "validate-all",
            Self::ReloadAgent => "reload-agent",
            Self::ValidatePghba => "validate-pghba",
        }
    }

    fn meta(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Promoted => &[("interval", "3000"), ("role", "Promoted")],
            Self::Unpromoted => &[("interval", "8000"), ("role", "Unpromoted")],
            Self::Probe => &[("interval", "0")],
            Self::Notify => &[("notify_type", "pre"), ("notify_operation", "promote")],
            _ => &[],
        }
    }
}

/// How one call ended.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    /// What Pacemaker would show.
    pub fn reason(&self) -> &str {
        let mut lines = self.stderr.lines().rev();
        lines.find_map(|line| line.strip_prefix("ocf-exit-reason:")).unwrap_or("")
    }
}

/// More of the environment; a variable without a value is taken away.
pub type Env<'a> = &'a [(&'a str, Option<&'a OsStr>)];

impl Rig {
    /// Makes the call. The environment's OCF_RESKEY_CRM_meta_timeout is kept, as Pacemaker would.
    pub fn call(&self, call: Call, env: Env<'_>) -> Answer {
        let mut command = self.command(call.action());
        for (name, value) in call.meta() {
            command.env(format!("OCF_RESKEY_CRM_meta_{name}"), value);
        }
        for (name, value) in env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        run(&format!("{call:?} with {env:?}"), command)
    }

    /// All of these at once; they must not change anything.
    pub fn calls(&self, calls: &[Call], env: Env<'_>) -> BTreeMap<Call, Answer> {
        thread::scope(|scope| {
            let running: Vec<_> = calls
                .iter()
                .map(|&call| (call, scope.spawn(move || self.call(call, env))))
                .collect();
            running.into_iter().map(|(call, thread)| (call, thread.join().unwrap())).collect()
        })
    }

    /// Everything that the agent could have changed: the directory of the tests' user and the
    /// agent's own state, each file by what the kernel knows of it. Whatever is written to a file
    /// changes its ctime.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        walk(self.home.path(), &mut found);
        walk(&Path::new(STATE[0]).join(self.resource), &mut found);
        found
    }
}

/// Paths that are not what they were, by their last part.
pub fn changed(
    before: &BTreeMap<PathBuf, String>,
    after: &BTreeMap<PathBuf, String>,
) -> Vec<String> {
    let paths: std::collections::BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect()
}

fn walk(path: &Path, found: &mut BTreeMap<PathBuf, String>) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    let facts = [
        u64::from(meta.mode()),
        u64::from(meta.uid()),
        u64::from(meta.gid()),
        meta.ino(),
        // A directory's size and times change with its names, which are listed.
        if meta.is_dir() { 0 } else { meta.size() },
    ];
    let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
    let times = if meta.is_dir() { (0, 0, 0, 0) } else { times };
    found.insert(path.to_owned(), format!("{facts:?} {times:?} {:?}", fs::read_link(path).ok()));
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            walk(&entry.unwrap().path(), found);
        }
    }
}

/// Runs a command of the agent's to its end, or until Pacemaker would have killed it.
pub fn run(what: &str, mut command: Command) -> Answer {
    let timeout = command
        .get_envs()
        .find(|(name, _)| *name == OsStr::new("OCF_RESKEY_CRM_meta_timeout"))
        .and_then(|(_, value)| value?.to_str()?.parse().ok())
        // Pacemaker's own default is 20 s; what is less than a second nobody configures.
        .map_or(Duration::from_mins(1), Duration::from_millis)
        .max(Duration::from_secs(5));
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let out = reader(child.stdout.take().unwrap());
    let err = reader(child.stderr.take().unwrap());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() >= timeout {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{what}: Pacemaker would have killed it after {timeout:?}");
        }
        thread::sleep(Duration::from_millis(2));
    };
    let text = |thread: thread::JoinHandle<Vec<u8>>| {
        String::from_utf8(thread.join().unwrap()).unwrap_or_else(|e| panic!("{what}: {e}"))
    };
    let (stdout, stderr) = (text(out), text(err));
    assert_eq!(status.signal(), None, "{what}: {stderr}");
    let answer = Answer { code: status.code().unwrap(), stdout, stderr };
    judge(what, &answer);
    answer
}

fn reader(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// What holds for every answer.
fn judge(what: &str, answer: &Answer) {
    let Answer { code, stderr, .. } = answer;
    assert!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 190, 191].contains(code), "{what}: {code}\n{stderr}");
    assert!(!stderr.contains("panicked"), "{what}: {stderr}");
    let lines: Vec<&str> = stderr.split_terminator('\n').collect();
    for line in &lines {
        assert!(!line.contains(char::is_control), "{what}: {line:?}");
        assert!(line.len() <= 3100, "{what}: a line of {} bytes", line.len());
    }
    let reasons: Vec<&&str> = lines.iter().filter(|l| l.contains("ocf-exit-reason:")).collect();
    assert!(reasons.len() <= 1, "{what}: {reasons:?}");
    if let Some(reason) = reasons.first() {
        assert_eq!(Some(*reason), lines.last(), "{what}: the reason is the last line");
        assert!(reason.len() <= "ocf-exit-reason:".len() + 128, "{what}: {reason}");
    }
    // 0, 7 and 8 are what was asked for; the others say why.
    assert!([0, 7, 8].contains(code) || *code == 3 || !reasons.is_empty(), "{what}: {code}");
}

/// A text as a value of the environment.
#[allow(clippy::unnecessary_wraps)] // what an `Env` holds
pub fn value(text: &str) -> Option<&OsStr> {
    Some(OsStr::new(text))
}

/// Bytes as one.
pub fn bytes(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(bytes.to_vec())
}
