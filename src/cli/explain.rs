//! `pgtwin explain`. Floor 4.

use std::collections::BTreeSet;
use std::str::FromStr;

use clap::Args;

use super::target::Target;
use super::{End, say, screen};
use crate::agent::outlook::outlook;
use crate::cluster::node::{NodeName, NotANodeName};
use crate::decide::explain::{explain, json};
use crate::decide::report::{enumerate, wrapped};

/// Say who would be promoted, why not the others, and what becomes of writes
///
/// Works on any node of the cluster and changes nothing. The answer is what the agent itself would
/// find, in its own words (docs/safety.md has each of them); `this node` in them is the node of the
/// line. Without --if: who would take over if the primary were lost now, or, where there is none,
/// who would be promoted as things are.
///
/// Exits with 0 when there would be a primary that takes writes, with 1 otherwise.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    target: Target,
    /// Suppose that this node is lost, as in --if n2 or --if n2-dies; several (--if n2,n3, or the
    /// option twice): all at the same moment
    #[arg(long = "if", value_name = "NODE", value_delimiter = ',')]
    supposed: Vec<Lost>,
    /// Print JSON; its shape is in docs/json.md
    #[arg(long)]
    json: bool,
}

/// Who is supposed to be lost: `n2`, or `n2-dies`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lost {
    /// As it was said.
    said: NodeName,
    /// Without the word behind it, where there is one.
    dies: Option<NodeName>,
}

impl FromStr for Lost {
    type Err = NotANodeName;

    fn from_str(text: &str) -> Result<Self, NotANodeName> {
        let dies = text.strip_suffix("-dies").map(str::parse).transpose()?;
        Ok(Self { said: text.parse()?, dies })
    }
}

impl Lost {
    /// The node of the cluster that is meant. A node may be called `who-dies`: the word behind a name that
    /// there is comes first.
    fn among<'a>(&'a self, known: &BTreeSet<NodeName>) -> Result<&'a NodeName, &'a NodeName> {
        let mut meant = self.dies.iter().chain([&self.said]);
        let stranger = self.dies.as_ref().unwrap_or(&self.said);
        meant.find(|node| known.contains(*node)).ok_or(stranger)
    }
}

pub(super) fn run(options: &Options) -> End {
    let subject = match options.target.find() {
        Ok(subject) => subject,
        Err(end) => return end,
    };
    let known: BTreeSet<NodeName> = subject.view.status.full_members().cloned().collect();
    let mut dead = BTreeSet::new();
    for lost in &options.supposed {
        match lost.among(&known) {
            Ok(node) => dead.insert(node.clone()),
            Err(stranger) => {
                let words = format!(
                    "pgtwin: --if {}: {stranger} is no node of this cluster; there is {}",
                    lost.said,
                    enumerate(&known, "and")
                );
                say::problem(wrapped(&words, 8));
                return End::Usage;
            }
        };
    }
    let facts = outlook(&subject);
    let explanation = explain(&facts, &dead);
    let shown = if options.json {
        screen::json(&json::explained(&explanation), false)
    } else {
        screen::show(&explanation, screen::is_coloured())
    };
    for problem in &facts.seen.problems {
        say::problem(wrapped(&format!("pgtwin: {problem}"), 8));
    }
    if shown.is_ok() && explanation.is_well() { End::Ok } else { End::Attention }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn who_is_lost_may_be_named_with_and_without_the_word_behind_it() {
        let node = |name: &str| name.parse::<NodeName>().unwrap();
        let known = ["n1", "n2", "who-dies"].map(node).into();
        for (text, meant) in [
            ("n2-dies", Ok("n2")),
            ("n2", Ok("n2")),
            // A node may be called so.
            ("who-dies", Ok("who-dies")),
            ("who-dies-dies", Ok("who-dies")),
            ("n9", Err("n9")),
            ("n9-dies", Err("n9")),
            ("n2-lives", Err("n2-lives")),
        ] {
            let lost: Lost = text.parse().unwrap();
            let found = lost.among(&known).map(NodeName::as_str).map_err(NodeName::as_str);
            assert_eq!(found, meant, "{text}");
        }
        // The shorter one is a node as well.
        let known = ["n2", "n2-dies"].map(node).into();
        assert_eq!("n2-dies".parse::<Lost>().unwrap().among(&known), Ok(&node("n2")));
        for (text, words) in [
            ("-dies", "it is empty"),
            ("", "it is empty"),
            ("n;2", "is not a node name"),
            ("n;2-dies", "is not a node name"),
        ] {
            assert!(text.parse::<Lost>().unwrap_err().to_string().contains(words), "{text}");
        }
    }
}
