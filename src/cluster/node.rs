//! The name by which Pacemaker knows a node. Floor 0.

use std::fmt;
use std::str::FromStr;

/// A Pacemaker node name: not empty, at most 255 bytes, printable, and free of white space and of
/// `,;=|` and quotes, which separate fields in what pgtwin stores. It does not begin with `-`, which
/// would be an option to Pacemaker's tools.
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

    /// Whether somebody who writes one of these names may mean the other: they differ in case, or
    /// one of them is the other with a domain behind it. To Pacemaker they are different nodes.
    pub fn is_nearly(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.0.to_ascii_lowercase(), other.0.to_ascii_lowercase());
        let longer = |long: &str, short: &str| {
            !short.contains('.') && long.strip_prefix(short).is_some_and(|end| end.starts_with('.'))
        };
        self != other && (mine == theirs || longer(&mine, &theirs) || longer(&theirs, &mine))
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
        if text.starts_with('-') {
            return refuse("it begins with -");
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() && !b",;=|\"'`\\".contains(&b)) {
            return refuse("only printable ASCII without space , ; = | \\ and quotes is accepted");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_an_option_or_a_separator_is_no_name() {
        for name in ["n1", "node-1.example.org", "10.0.0.1", "a:b", "N_1", "fe80::1"] {
            assert_eq!(name.parse::<NodeName>().unwrap().as_str(), name);
        }
        let long = "n".repeat(256);
        for name in [
            "", "-n1", "--", "n 1", "n\t1", "n,1", "n;1", "n=1", "n|1", "n\"1", "n\\1", "\u{e9}",
            &long,
        ] {
            let error = name.parse::<NodeName>().unwrap_err().to_string();
            assert!(error.len() < 200 && !error.contains('\t'), "{error}");
        }
    }

    #[test]
    fn names_that_differ_in_case_or_domain_are_nearly_the_same() {
        for (a, b, nearly) in [
            ("n1", "n1", false),
            ("n1", "N1", true),
            ("n1", "n1.example.org", true),
            ("N1.EXAMPLE.ORG", "n1", true),
            ("n1.example.org", "n1.example.com", false),
            ("n1", "n10", false),
            ("n1", "n10.example.org", false),
            ("n1", "n2", false),
        ] {
            let (a, b): (NodeName, NodeName) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!((a.is_nearly(&b), b.is_nearly(&a)), (nearly, nearly), "{a} {b}");
        }
    }
}
