//! Moving the primary by Pacemaker's own tool, and taking its constraint away again; and having Pacemaker
//! leave the resource alone. Floor 2.
//!
//! `--promoted` is called `--master` before Pacemaker 2.1, and who knows what later: the tool's help is
//! asked. A lifetime makes the constraint end by itself should nobody be left to remove it: the node on
//! which the command runs may die. (Seen with 2.1.5: with a lifetime the constraint has a rule instead of
//! a node, and `--clear --node` finds it all the same.)

use std::time::Duration;

use super::{Pacemaker, commands, known, storable};
use crate::cluster::asked;
use crate::cluster::cib::OWN_PREFIX;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::paused;
use crate::sys::chain;

/// The options that a version of `crm_resource` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveOptions {
    /// How the promoted role is named.
    pub role: &'static str,
    /// Whether a constraint can be given a lifetime.
    pub lifetime: bool,
}

impl MoveOptions {
    /// Reads `crm_resource --help-all`; why it is of no use.
    pub fn of_help(help: &str) -> Result<Self, String> {
        let has = |option: &str| {
            let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
            help.match_indices(option).any(|(at, _)| {
                help.get(at + option.len()..).is_some_and(|rest| rest.starts_with(is_end))
            })
        };
        let role = ["--promoted", "--master"].into_iter().find(|option| has(option));
        match (role, has("--move"), has("--clear")) {
            (Some(role), true, true) => Ok(Self { role, lifetime: has("--lifetime") }),
            _ => Err("crm_resource --help-all names no --move, --clear and --promoted: is this Pacemaker \
                      older than 1.1.15, or newer than 3.0?"
                .to_owned()),
        }
    }
}

impl Pacemaker<'_> {
    /// Which options there are.
    pub fn move_options(&self, limit: Duration) -> Known<MoveOptions> {
        known(self.stdout(commands::move_help(limit))).and_then(|help| {
            match MoveOptions::of_help(&help) {
                Ok(options) => Known::Known(options),
                Err(why) => Known::Unknown(why),
            }
        })
    }

    /// Orders the primary to a node, by a constraint that ends after `lifetime` where that is possible.
    pub fn move_primary(
        &self,
        options: MoveOptions,
        clone: &str,
        node: &NodeName,
        lifetime: Duration,
        limit: Duration,
    ) -> Known<()> {
        self.tell(commands::move_primary(options, clone, node, lifetime, limit))
    }

    /// Takes that back; no error where there is no such constraint.
    pub fn clear_move(
        &self,
        options: MoveOptions,
        clone: &str,
        node: &NodeName,
        limit: Duration,
    ) -> Known<()> {
        self.tell(commands::clear_move(options, clone, node, limit))
    }

    /// Keeps an instance off a node, by a constraint that ends after `lifetime` where that is possible.
    pub fn ban(
        &self,
        options: MoveOptions,
        clone: &str,
        node: &NodeName,
        lifetime: Duration,
        limit: Duration,
    ) -> Known<()> {
        self.tell(commands::ban(options, clone, node, lifetime, limit))
    }

    /// Takes that back; no error where there is no such constraint.
    pub fn clear_ban(&self, clone: &str, node: &NodeName, limit: Duration) -> Known<()> {
        self.tell(commands::clear_ban(clone, node, limit))
    }

    /// Notes that the resource is paused.
    pub fn note_pause(&self, text: &str, limit: Duration) -> Known<()> {
        self.note(paused::NAME, text, limit)
    }

    /// Removes that note.
    pub fn forget_pause(&self, limit: Duration) -> Known<()> {
        self.forget_note(paused::NAME, limit)
    }

    /// Orders that the data of a node be built anew.
    pub fn note_order(&self, node: &NodeName, text: &str, limit: Duration) -> Known<()> {
        self.note(&asked::entry_of(node), text, limit)
    }

    /// Removes that order; no error where there is none.
    pub fn forget_order(&self, node: &NodeName, limit: Duration) -> Known<()> {
        self.forget_note(&asked::entry_of(node), limit)
    }

    fn note(&self, name: &str, text: &str, limit: Duration) -> Known<()> {
        let set = format!("{OWN_PREFIX}{}", self.resource);
        match storable(text) {
            Ok(()) => {
                self.tell(commands::set_property(&set, &format!("{set}-{name}"), text, limit))
            }
            Err(error) => Known::Unknown(chain(&error)),
        }
    }

    fn forget_note(&self, name: &str, limit: Duration) -> Known<()> {
        let set = format!("{OWN_PREFIX}{}", self.resource);
        self.tell(commands::delete_property(&set, &format!("{set}-{name}"), limit))
    }

    /// Has Pacemaker manage this clone, or leave it alone.
    pub fn manage(&self, clone: &str, managed: bool, limit: Duration) -> Known<()> {
        self.tell(if managed {
            commands::manage(clone, limit)
        } else {
            commands::unmanage(clone, limit)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_options_are_those_of_the_version() {
        let help = "  -M, --move    Create a constraint\n  -U, --clear   Remove all constraints\n  \
                    -u, --lifetime=TIMESPEC   Lifespan\n";
        let promoted = format!("{help}  --promoted   Limit scope\n  --master   Deprecated\n");
        let old = format!("{help}  --master   Limit scope\n");
        let of = |text: &str| MoveOptions::of_help(text);
        assert_eq!(of(&promoted).unwrap(), MoveOptions { role: "--promoted", lifetime: true });
        assert_eq!(of(&old).unwrap(), MoveOptions { role: "--master", lifetime: true });
        let without = promoted.replace("--lifetime=", "--lifetimes=");
        assert_eq!(of(&without).unwrap(), MoveOptions { role: "--promoted", lifetime: false });
        for text in ["", help, "--promoted-max --master-max --move --clear", "--promoted --move"] {
            assert!(of(text).unwrap_err().contains("--promoted"), "{text}");
        }
    }
}
