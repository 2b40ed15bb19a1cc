//! `pgtwin force-promote`. Floor 4.

use clap::Args;

use super::End;

/// Make a node the primary although commits may be lost
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The node
    node: String,
}

pub(super) fn run(_options: &Options) -> End {
    End::Usage
}
