//! `pgtwin forget`. Floor 4.

use clap::Args;

use super::End;

/// Stop counting on a node that is gone for good
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The node
    node: String,
}

pub(super) fn run(_options: &Options) -> End {
    End::Usage
}
