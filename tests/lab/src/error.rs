//! What can go wrong in the lab. `Debug` prints like `Display` with its causes, because a test
//! that returns `Err` shows the `Debug` form, and the dump of a cluster is read by people.

use std::fmt;
use std::time::Duration;

/// The lab's result.
pub type Result<T, E = LabError> = std::result::Result<T, E>;

/// What the lab failed at.
#[derive(thiserror::Error)]
pub enum LabError {
    /// A file or a process could not be handled by the operating system.
    #[error("cannot {doing}")]
    Io {
        /// What was attempted, on what.
        doing: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A program ran and failed.
    #[error("`{command}` ended with {status}: {stderr}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status in words.
        status: String,
        /// The end of what it said on stderr.
        stderr: String,
    },
    /// A program did not end in time and was killed.
    #[error("`{command}` did not end within {limit:?}, and was killed")]
    Hung {
        /// The command line.
        command: String,
        /// How long it had.
        limit: Duration,
    },
    /// A condition was waited for in vain.
    #[error("waited {limit:?} in vain until {what}\n{state}")]
    Waited {
        /// The condition, as the end of a sentence that begins with "until".
        what: String,
        /// How long it was waited for.
        limit: Duration,
        /// What the cluster looked like at the end.
        state: String,
    },
    /// SQL that failed.
    #[error("cannot {doing}")]
    Sql {
        /// What was attempted, on what.
        doing: String,
        /// PostgreSQL's or the driver's answer.
        source: tokio_postgres::Error,
    },
    /// Anything else, with what to do about it.
    #[error("{0}")]
    Plain(String),
}

impl LabError {
    /// For `map_err` on an I/O result: says what was attempted.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// For `map_err` on a result of SQL: says what was attempted.
    pub fn sql(doing: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Sql { doing, source }
    }

    /// An error that is one sentence.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::Plain(text.into())
    }
}

/// The error and its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

impl fmt::Debug for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(self))
    }
}
