//! Why a parameter is refused, in one line for an operator. Floor 0.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// The characters of a refused value that an error shows.
const SHOWN: usize = 80;

/// One refused parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value}: {problem}; {remedy}")]
pub struct ParamError {
    name: &'static str,
    value: String,
    problem: Cow<'static, str>,
    remedy: Cow<'static, str>,
}

impl ParamError {
    /// Refuses `value` of the parameter `name`. A secret one is not shown.
    pub(super) fn new(name: &'static str, value: &str, secret: bool, problem: Problem) -> Self {
        let value = if secret { "(not shown)".to_owned() } else { shown(value) };
        Self { name, value, problem: problem.why, remedy: problem.remedy }
    }

    /// The parameter's name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// All refused parameters of a set, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamErrors(pub(super) Vec<ParamError>);

impl ParamErrors {
    /// The single errors, in the order of the table.
    pub fn all(&self) -> &[ParamError] {
        &self.0
    }
}

impl fmt::Display for ParamErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join(" | "))
    }
}

impl std::error::Error for ParamErrors {}

/// What is wrong with a value, and what to write instead; the parameter's name is added later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) why: Cow<'static, str>,
    pub(super) remedy: Cow<'static, str>,
}

impl Problem {
    pub(super) fn new(
        why: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { why: why.into(), remedy: remedy.into() }
    }
}

/// A value as an error shows it: quoted, cut, without control characters.
pub(super) fn shown(value: &str) -> String {
    let mut text = String::from("\"");
    let mut chars = value.chars();
    for c in chars.by_ref().take(SHOWN) {
        match c {
            '"' | '\'' => text.push(c),
            _ => text.extend(c.escape_debug()),
        }
    }
    text.push('"');
    if chars.next().is_some() {
        let _ = write!(text, " (cut; {} bytes in all)", value.len());
    }
    text
}
