//! How an action ends. Floor 3.

use crate::ocf::exit_code::ExitCode;

/// An exit code, the reason that Pacemaker shows with it, and lines for the standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What Pacemaker gets.
    pub code: ExitCode,
    /// What people get, in one line.
    pub reason: Option<String>,
    /// What is printed (meta-data, usage, findings).
    pub output: Vec<String>,
}

impl Outcome {
    /// This code, without words.
    pub fn is(code: ExitCode) -> Self {
        Self { code, reason: None, output: Vec::new() }
    }

    /// This code, for this reason.
    pub fn because(code: ExitCode, reason: impl Into<String>) -> Self {
        Self { code, reason: Some(reason.into()), output: Vec::new() }
    }

    /// Success.
    pub fn ok() -> Self {
        Self::is(ExitCode::Ok)
    }

    /// A failure that another try may mend.
    pub fn error(reason: impl Into<String>) -> Self {
        Self::because(ExitCode::Error, reason)
    }
}
