//! Bounds and assumptions of a run, as `name=value` words.

use std::fmt;

use crate::rules::{Break, Broken, MUTATIONS};
use crate::state::NODES;

/// Who is what when the run begins. Node 0 is the primary and all others stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// E = {}.
    Alone,
    /// E = all standbys.
    All,
    /// E = {1}.
    One,
    /// E = {1} in the CIB, and more in the own file: a growth was begun.
    Growing,
}

/// What is explored.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // HELP has them
pub struct Options {
    pub nodes: usize,
    pub start: Start,
    pub wait_for_all: bool,
    pub third_vote: bool,
    pub ignore_quorum: bool,
    pub slow_senders: bool,
    pub cut_replication: bool,
    pub told_void: bool,
    pub live: bool,
    pub commits: u8,
    pub terms: u8,
    pub crashes: u8,
    pub cuts: u8,
    pub moves: u8,
    pub edits: u8,
    pub in_place: u8,
    pub seqs: u8,
    pub losses: u8,
    pub forced: u8,
    pub max: usize,
    pub broken: Broken,
}

/// What the options mean.
pub const HELP: &str = "\
Usage: model [NAME=VALUE]...

Explores every state within the bounds, and prints a shortest history to the first one that
breaks a promise, or EXHAUSTED. The defaults are in brackets; a name alone means 1.

  nodes=2|3              nodes that hold data [2]
  start=alone|all|one|growing
                         E when it begins: {}, all standbys, {1}, or {1} with a growth begun [all]
  wait_for_all=0|1       corosync's [1]
  third_vote=0|1         a vote without data beside two nodes [0]
  ignore_quorum=0|1      no-quorum-policy=ignore [0]
  slow_senders=0|1       senders take up a new V late [0]
  cut_replication=0|1    a cut of the cluster's network cuts replication too [0]
  told_void=0|1          everybody knows at once which promotions came to nothing, and their intents
                         bind nobody; otherwise nobody is told of it [0]
  live=0|1               also: once faults heal, a primary can come up [1]
  commits=N terms=N      commits, and the highest term [2, 3]
  crashes=N cuts=N       power losses and crashes of PostgreSQL; cuts of the network [2, 1]
  moves=N edits=N        planned moves; edits of a minority's CIB by hand [0, 0]
  in_place=N seqs=N      promotions in place; entries of one term [2, 3]
  losses=N forced=N      nodes that never come back; promotions by an operator's word. With one of
                         them live=0, and the loss of commits is accepted with that word [0, 0]
  max=N                  stop after so many states [60000000]
  break=NAME,...         deliberate errors: see docs/model.md
";

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 2,
            start: Start::All,
            wait_for_all: true,
            third_vote: false,
            ignore_quorum: false,
            slow_senders: false,
            cut_replication: false,
            told_void: false,
            live: true,
            commits: 2,
            terms: 3,
            crashes: 2,
            cuts: 1,
            moves: 0,
            edits: 0,
            in_place: 2,
            seqs: 3,
            losses: 0,
            forced: 0,
            max: 60_000_000,
            broken: Broken::default(),
        }
    }
}

/// A word that is no option.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OptionsError {
    /// Nothing is called so.
    Name(String),
    /// The value is not one of those that are possible.
    Value {
        /// Of which option.
        name: String,
        /// What was given.
        value: String,
        /// What is possible.
        possible: String,
    },
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "there is no option {name:?}: see model --help"),
            Self::Value { name, value, possible } => {
                write!(f, "{name}={value} is not possible: give {possible}")
            }
        }
    }
}

impl std::error::Error for OptionsError {}

impl Options {
    /// Reads words like `nodes=3`.
    pub fn parse<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Result<Self, OptionsError> {
        let mut options = Self::default();
        for word in words {
            let word = word.as_ref();
            let (name, value) = word.split_once('=').unwrap_or((word, "1"));
            options.set(name, value)?;
        }
        if options.losses > 0 || options.forced > 0 {
            options.live = false;
        }
        if options.third_vote && options.nodes != 2 {
            return Err(wrong("third_vote", "1", "it only with nodes=2"));
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), OptionsError> {
        // More than these do not fit into the few bits that a state has for them.
        let few = |most: u8| match value.parse::<u8>() {
            Ok(number) if number <= most => Ok(number),
            Ok(_) | Err(_) => Err(wrong(name, value, &format!("a number from 0 to {most}"))),
        };
        let flag = || Ok(few(1).map_err(|_| wrong(name, value, "0 or 1"))? == 1);
        match name {
            "nodes" => {
                self.nodes = match value {
                    "2" => 2,
                    "3" => NODES,
                    _ => return Err(wrong(name, value, "2 or 3")),
                }
            }
            "start" => {
                self.start = match value {
                    "alone" => Start::Alone,
                    "all" => Start::All,
                    "one" => Start::One,
                    "growing" => Start::Growing,
                    _ => return Err(wrong(name, value, "alone, all, one or growing")),
                }
            }
            "wait_for_all" => self.wait_for_all = flag()?,
            "third_vote" => self.third_vote = flag()?,
            "ignore_quorum" => self.ignore_quorum = flag()?,
            "slow_senders" => self.slow_senders = flag()?,
            "cut_replication" => self.cut_replication = flag()?,
            "told_void" => self.told_void = flag()?,
            "live" => self.live = flag()?,
            "commits" => self.commits = few(6)?,
            "terms" => self.terms = few(6)?,
            "crashes" => self.crashes = few(9)?,
            "cuts" => self.cuts = few(9)?,
            "moves" => self.moves = few(9)?,
            "edits" => self.edits = few(3)?,
            "in_place" => self.in_place = few(6)?,
            "seqs" => self.seqs = few(9)?,
            "losses" => self.losses = few(2)?,
            "forced" => self.forced = few(2)?,
            "max" => {
                self.max = value.parse().map_err(|_| wrong(name, value, "a number of states"))?;
            }
            "break" => {
                for word in value.split(',') {
                    let known = MUTATIONS.iter().find(|one| one.name == word);
                    let Some(one) = known else {
                        let names: Vec<&str> = MUTATIONS.iter().map(|one| one.name).collect();
                        return Err(wrong(name, word, &names.join(", ")));
                    };
                    self.broken = self.broken.with(one.breaks);
                }
            }
            _ => return Err(OptionsError::Name(name.to_owned())),
        }
        Ok(())
    }

    /// Whether this deliberate error is made.
    pub const fn breaks(&self, what: Break) -> bool {
        self.broken.has(what)
    }
}

fn wrong(name: &str, value: &str, possible: &str) -> OptionsError {
    OptionsError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        possible: possible.to_owned(),
    }
}
