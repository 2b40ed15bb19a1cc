//! `pgtwin recover`: the worker that `start` and `monitor` start, not for people. Floor 4.

use clap::Args;

use super::{End, ask};
use crate::agent::worker;
use crate::cluster::node::NodeName;
use crate::ocf::env::ResourceName;
use crate::sys::exec::System;

/// Bring this node's data back, by an order of the agent
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The resource.
    #[arg(long)]
    resource: ResourceName,
    /// This node.
    #[arg(long)]
    node: NodeName,
    /// The order.
    #[arg(long)]
    order: String,
}

pub(super) fn run(options: &Options) -> End {
    ask::log_as(options.resource.as_str());
    match worker::recover(&System, options.resource.as_str(), &options.node, &options.order) {
        Ok(()) => End::Ok,
        Err(why) => {
            tracing::error!("this node's data was not brought back: {why}");
            End::Attention
        }
    }
}
