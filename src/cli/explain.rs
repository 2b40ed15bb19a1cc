//! `pgtwin explain`. Floor 4.

use std::collections::BTreeSet;
use std::str::FromStr;

use clap::Args;

use super::target::Target;
use super::{End, say, screen};
use crate::agent::outlook::outlook;
use crate::cluster::node::NodeName;
use crate::decide::explain::{explain, json};
use crate::decide::report::enumerate;

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
    /// Suppose that this node is lost, as in --if n2-dies; several: all at the same moment
    #[arg(long = "if", value_name = "NODE-dies")]
    supposed: Vec<Dies>,
    /// Print JSON; its shape is in docs/json.md
    #[arg(long)]
    json: bool,
}

/// `n2-dies`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Dies(NodeName);

impl FromStr for Dies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_suffix("-dies").ok_or("NODE-dies is wanted, as in n2-dies")?;
        name.parse()
            .map(Self)
            .map_err(|error: crate::cluster::node::NotANodeName| error.to_string())
    }
}

pub(super) fn run(options: &Options) -> End {
    let subject = match options.target.find() {
        Ok(subject) => subject,
        Err(end) => return end,
    };
    let dead: BTreeSet<NodeName> = options.supposed.iter().map(|dies| dies.0.clone()).collect();
    let known: BTreeSet<NodeName> = subject.view.status.full_members().cloned().collect();
    if let Some(stranger) = dead.iter().find(|node| !known.contains(*node)) {
        say::problem(format_args!(
            "pgtwin: --if {stranger}-dies: {stranger} is no node of this cluster; there is {}",
            enumerate(&known, "and")
        ));
        return End::Usage;
    }
    let facts = outlook(&subject);
    let explanation = explain(&facts, &dead);
    let shown = if options.json {
        screen::json(&json::explained(&explanation), false)
    } else {
        screen::show(&explanation, screen::is_coloured())
    };
    for problem in &facts.seen.problems {
        say::problem(format_args!("pgtwin: {problem}"));
    }
    if shown.is_ok() && explanation.is_well() { End::Ok } else { End::Attention }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn who_dies_is_named_as_it_is_said() {
        let parse = str::parse::<Dies>;
        assert_eq!(parse("n2-dies").unwrap(), Dies("n2".parse().unwrap()));
        // A node may be called so.
        assert_eq!(parse("who-dies-dies").unwrap(), Dies("who-dies".parse().unwrap()));
        for (text, words) in [
            ("n2", "NODE-dies is wanted"),
            ("n2-lives", "NODE-dies is wanted"),
            ("-dies", "it is empty"),
            ("n;2-dies", "is not a node name"),
        ] {
            assert!(parse(text).unwrap_err().contains(words), "{text}");
        }
    }
}
