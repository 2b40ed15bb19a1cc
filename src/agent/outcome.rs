//! How an action ends. The codes are chosen by `decide`. Floor 3.

use crate::decide::answer::{Answer, Asked, End, Met, answer, code};
use crate::decide::monitor::Verdict;
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
    /// Success.
    pub fn ok() -> Self {
        Self { code: code(End::Done), reason: None, output: Vec::new() }
    }

    /// A failure that another try may mend.
    pub fn error(reason: impl Into<String>) -> Self {
        Self::ended(End::Failed, reason)
    }

    /// This end, for this reason.
    pub fn ended(end: End, reason: impl Into<String>) -> Self {
        Self { code: code(end), reason: Some(reason.into()), output: Vec::new() }
    }

    /// The end of an action that has met this; none: it goes on all the same.
    pub fn of(met: &Met, asked: Asked, reason: impl Into<String>) -> Option<Self> {
        let (code, reason) = match answer(met, asked) {
            Answer::GoesOn => return None,
            Answer::Ends(code) => (code, None),
            Answer::Because(code) => (code, Some(reason.into())),
        };
        Some(Self { code, reason, output: Vec::new() })
    }
}

impl From<Verdict> for Outcome {
    fn from(Verdict { code, reason }: Verdict) -> Self {
        Self { code, reason, output: Vec::new() }
    }
}
