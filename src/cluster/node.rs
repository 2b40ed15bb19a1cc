//! The name by which Pacemaker knows a node. Floor 0.

use std::fmt;
use std::str::FromStr;

/// A Pacemaker node name: not empty, at most 255 bytes, printable, and free of white space and of
/// `,;=` and quotes, which separate fields in what pgtwin stores.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

/// Why a text is not a node name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a node name: {why}")]
pub struct NotANodeName {
    text: String,
    why: &'static str,
}

impl NodeName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = NotANodeName;

    fn from_str(text: &str) -> Result<Self, NotANodeName> {
        let refuse = |why| Err(NotANodeName { text: text.chars().take(64).collect(), why });
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > 255 {
            return refuse("it is longer than 255 bytes");
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() && !b",;=\"'`\\".contains(&b)) {
            return refuse("only printable ASCII without space , ; = \\ and quotes is accepted");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
