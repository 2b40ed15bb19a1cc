//! The marker and the attempts as files: a line that names the version, one line a field, and a
//! checksum. Whatever is not understood is an error. Floor 0.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Attempts, Marker, Method, Phase, WorkerId};
use crate::cluster::node::NodeName;
use crate::cluster::sealed::{seal, unseal};

const MARKER: &str = "pgtwin-recovery 1";
const ATTEMPTS: &str = "pgtwin-attempts 1";

/// Why a text is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", about(text))]
pub struct NotUnderstood {
    what: String,
    text: String,
}

fn about(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text:?}") }
}

impl NotUnderstood {
    pub(super) fn new(what: impl Into<String>, text: &str) -> Self {
        Self { what: what.into(), text: text.chars().take(80).collect() }
    }
}

/// A number of digits alone.
pub(super) fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl Marker {
    /// The text of the file of this resource and node.
    pub fn to_text(&self, resource: &str, node: &NodeName) -> String {
        let mut body = head(MARKER, resource, node);
        // Writing to a String does not fail.
        let _ = write!(
            body,
            "attempt {}\nmethod {}\nphase {}\nsource {}\nsystem {}\nbegun {}\nworker {}\nhalf-done {}\n",
            self.attempt,
            self.method.word(),
            self.phase.word(),
            self.source,
            self.system_id,
            self.begun,
            self.worker,
            if self.half_done { "yes" } else { "no" },
        );
        if self.ruin {
            body.push_str("ruin yes\n");
        }
        if self.asked {
            body.push_str("asked yes\n");
        }
        if let Some(path) = &self.old_copy {
            let _ = writeln!(body, "old-copy {}", escaped(path));
        }
        let _ = writeln!(body, "reason {}", escaped(&self.reason));
        seal(body)
    }

    /// Reads a file of this resource and node.
    pub fn parse(text: &str, resource: &str, node: &NodeName) -> Result<Self, NotUnderstood> {
        let mut fields = Fields::read(text, MARKER, resource, node)?;
        let old_copy = fields.take_if_there("old-copy").map(unescaped).transpose()?;
        if let Some(path) = old_copy.as_deref().filter(|path| !path.starts_with('/')) {
            return Err(NotUnderstood::new("old-copy is no absolute path", path));
        }
        let attempt = fields.number("attempt")?;
        let marker = Self {
            attempt: u32::try_from(attempt)
                .ok()
                .filter(|attempt| *attempt > 0)
                .ok_or_else(|| NotUnderstood::new("attempt is out of range", ""))?,
            method: fields.word("method", &Method::ALL, Method::word)?,
            phase: fields.word("phase", &Phase::ALL, Phase::word)?,
            source: fields.node("source")?,
            system_id: fields.number("system")?,
            begun: fields.seconds("begun")?,
            worker: fields.take("worker")?.parse::<WorkerId>()?,
            half_done: match fields.take("half-done")? {
                "yes" => true,
                "no" => false,
                other => {
                    return Err(NotUnderstood::new("half-done is neither yes nor no", other));
                }
            },
            ruin: fields.yes("ruin")?,
            asked: fields.yes("asked")?,
            old_copy,
            reason: unescaped(fields.take("reason")?)?,
        };
        fields.end()?;
        Ok(marker)
    }
}

impl Attempts {
    /// The text of the file of this resource and node.
    pub fn to_text(&self, resource: &str, node: &NodeName) -> String {
        let mut body = head(ATTEMPTS, resource, node);
        let _ = write!(
            body,
            "failed {}\nfailed-at {}\nreason {}\nnext {}\n",
            self.failed,
            self.failed_at,
            escaped(&self.reason),
            escaped(&self.next_command),
        );
        seal(body)
    }

    /// Reads a file of this resource and node.
    pub fn parse(text: &str, resource: &str, node: &NodeName) -> Result<Self, NotUnderstood> {
        let mut fields = Fields::read(text, ATTEMPTS, resource, node)?;
        let attempts = Self {
            failed: u32::try_from(fields.number("failed")?)
                .map_err(|_| NotUnderstood::new("failed is out of range", ""))?,
            failed_at: fields.seconds("failed-at")?,
            reason: unescaped(fields.take("reason")?)?,
            next_command: unescaped(fields.take("next")?)?,
        };
        fields.end()?;
        Ok(attempts)
    }
}

fn head(magic: &str, resource: &str, node: &NodeName) -> String {
    format!("{magic}\nresource {resource}\nnode {node}\n")
}

/// The lines of a file, each taken once.
struct Fields<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    fn read(
        text: &'a str,
        magic: &str,
        resource: &str,
        node: &NodeName,
    ) -> Result<Self, NotUnderstood> {
        let body = unseal(text).map_err(|what| NotUnderstood::new(what, ""))?;
        let mut lines = body.lines();
        match lines.next() {
            Some(line) if line == magic => {}
            line => {
                let what = "it was written by another version or program";
                return Err(NotUnderstood::new(what, line.unwrap_or_default()));
            }
        }
        let mut fields = Self(BTreeMap::new());
        for line in lines {
            let (key, value) = line
                .split_once(' ')
                .ok_or_else(|| NotUnderstood::new("a line has no value", line))?;
            if fields.0.insert(key, value).is_some() {
                return Err(NotUnderstood::new(format!("{key} stands twice"), ""));
            }
        }
        for (key, ours) in [("resource", resource), ("node", node.as_str())] {
            let theirs = fields.take(key)?;
            if theirs != ours {
                return Err(NotUnderstood::new(format!("it belongs to another {key}"), theirs));
            }
        }
        Ok(fields)
    }

    fn take_if_there(&mut self, key: &str) -> Option<&'a str> {
        self.0.remove(key)
    }

    /// A line that stands there only where it says yes.
    fn yes(&mut self, key: &str) -> Result<bool, NotUnderstood> {
        match self.take_if_there(key) {
            None => Ok(false),
            Some("yes") => Ok(true),
            Some(other) => Err(NotUnderstood::new(format!("{key} is not yes"), other)),
        }
    }

    fn take(&mut self, key: &str) -> Result<&'a str, NotUnderstood> {
        self.take_if_there(key)
            .ok_or_else(|| NotUnderstood::new(format!("the line {key} is missing"), ""))
    }

    fn number(&mut self, key: &str) -> Result<u64, NotUnderstood> {
        let text = self.take(key)?;
        number(text).ok_or_else(|| NotUnderstood::new(format!("{key} is no number"), text))
    }

    fn seconds(&mut self, key: &str) -> Result<i64, NotUnderstood> {
        i64::try_from(self.number(key)?)
            .map_err(|_| NotUnderstood::new(format!("{key} is no time"), ""))
    }

    fn word<T: Copy>(
        &mut self,
        key: &str,
        all: &[T],
        word: fn(T) -> &'static str,
    ) -> Result<T, NotUnderstood> {
        let text = self.take(key)?;
        let found = all.iter().find(|one| word(**one) == text).copied();
        found.ok_or_else(|| NotUnderstood::new(format!("{key} has an unknown value"), text))
    }

    fn node(&mut self, key: &str) -> Result<NodeName, NotUnderstood> {
        let text = self.take(key)?;
        text.parse().map_err(|_| NotUnderstood::new(format!("{key} is no node's name"), text))
    }

    fn end(self) -> Result<(), NotUnderstood> {
        match self.0.keys().next() {
            Some(key) => Err(NotUnderstood::new("it has an unknown line", key)),
            None => Ok(()),
        }
    }
}

/// On one line, whatever it holds.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescaped(text: &str) -> Result<String, NotUnderstood> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        plain.push(match chars.next() {
            Some('\\') => '\\',
            Some('n') => '\n',
            Some('r') => '\r',
            _ => return Err(NotUnderstood::new("an escape is malformed", text)),
        });
    }
    Ok(plain)
}
