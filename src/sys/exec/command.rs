//! Commands as values, what comes back from them, and the trait that runs them. Floor 2.

use std::time::Duration;

use crate::sys::privilege::PrivilegeError;

/// Whom a child runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// The same identity as this process (root, under Pacemaker).
    Caller,
    /// Another user, by name, with that user's supplementary groups.
    User(String),
}

/// A command, as data. The child gets `env` and nothing else from our environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cmd {
    /// Program: an absolute path, or a name that is looked up in a fixed list of directories.
    pub program: String,
    /// Arguments, without the program's own name.
    pub args: Vec<String>,
    /// The whole environment of the child (`LC_ALL=C` and a fixed `PATH` are added by `Cmd::new`).
    pub env: Vec<(String, String)>,
    /// Whom it runs as.
    pub run_as: RunAs,
    /// Working directory; `/` by default.
    pub cwd: String,
    /// What is written to its standard input.
    pub stdin: Vec<u8>,
    /// It is killed after this time, with its process group.
    pub limit: Duration,
    /// What is run after it was killed, or did not get to its own end: it may have left something behind
    /// that is no child of it, such as a container.
    pub when_killed: Option<Box<Cmd>>,
}

impl Cmd {
    /// A command with a fixed environment, run as the caller, with a limit of ten seconds.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: vec![
                ("LC_ALL".into(), "C".into()),
                ("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ],
            run_as: RunAs::Caller,
            cwd: "/".into(),
            stdin: Vec::new(),
            limit: Duration::from_secs(10),
            when_killed: None,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: Into<String>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to the child's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs it as this user.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.run_as = RunAs::User(name.into());
        self
    }

    /// Runs it in this directory, entered as its own user.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<String>) -> Self {
        self.cwd = dir.into();
        self
    }

    /// Has this run after it was killed.
    #[must_use]
    pub fn when_killed(mut self, cleaning: Cmd) -> Self {
        self.when_killed = Some(Box::new(cleaning));
        self
    }

    /// Bounds its time.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// Our limit ran out and it was killed.
    TimedOut,
}

/// What a child left behind. Output is bounded and converted to UTF-8 with replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub ended: Ended,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it exited with 0.
    pub fn ok(&self) -> bool {
        self.ended == Ended::Exited(0)
    }
}

/// Why a child could not be started or watched.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The program is not there.
    #[error("{program} was not found in {searched}")]
    NotFound {
        /// Its name.
        program: String,
        /// Where it was looked for.
        searched: String,
    },
    /// The user does not exist.
    #[error("user {user:?} does not exist")]
    NoUser {
        /// Its name.
        user: String,
    },
    /// We cannot act as that user.
    #[error("cannot run {program} as another user")]
    Privilege {
        /// Its name.
        program: String,
        /// What stands in the way.
        source: PrivilegeError,
    },
    /// The system refused.
    #[error("cannot run {program}")]
    Io {
        /// Its name, and whose and where it should have run if that is out of the ordinary.
        program: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// Runs commands. One real implementation; tests script another.
pub trait Exec {
    /// Runs it to its end or its limit. A non-zero exit is an `Output`, not an error.
    fn run(&self, cmd: &Cmd) -> Result<Output, ExecError>;

    /// The same, and each line of its standard error is shown as it comes: a line ends with a line
    /// feed or a carriage return, and an empty one is not shown. Nothing else is done meanwhile.
    fn run_watched(&self, cmd: &Cmd, line: &mut dyn FnMut(&str)) -> Result<Output, ExecError> {
        let output = self.run(cmd)?;
        output.stderr.split(['\n', '\r']).filter(|text| !text.is_empty()).for_each(line);
        Ok(output)
    }

    /// Runs several that do not depend on each other; the answers in the same order.
    fn run_all(&self, cmds: &[Cmd]) -> Vec<Result<Output, ExecError>> {
        cmds.iter().map(|cmd| self.run(cmd)).collect()
    }
}
