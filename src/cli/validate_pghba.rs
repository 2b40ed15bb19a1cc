//! `pgtwin validate-pghba`. Floor 4.

use std::time::Duration;

use clap::Args;

use super::target::Target;
use super::{End, ask, say};
use crate::agent::pghba::Ground;
use crate::ocf::env::META;
use crate::sys::deadline::Deadline;
use crate::sys::exec::System;

/// How long looking may take.
const LOOKING: Duration = Duration::from_mins(1);

/// Check that pg_hba.conf lets every member in
///
/// For each address of each member: replication, and the database postgres, which pg_rewind needs.
/// Lines are tried in their order as PostgreSQL does it. A check mark is a login that comes in, a
/// cross one that does not; a question mark is what cannot be told. The lines that are missing are
/// printed with the place where they count. A standby also logs in at the primary, both ways.
///
/// Without a cluster, --param says what it would: pgdata, node_list, node_addresses, ...
///
/// Exits with 0 when nothing is missing that a failover needs, with 1 when something is, or when
/// that could not be found out, with 2 when the command line is wrong.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    target: Target,
    /// Print JSON, of the shape in docs/pghba.md
    #[arg(long)]
    json: bool,
}

/// Whether the word stands for the action of the resource agent: nothing follows it, and whoever
/// calls it speaks as Pacemaker does.
pub(super) fn is_action(args: &[String]) -> bool {
    let by_cluster = |name: &std::ffi::OsStr| {
        let name = name.to_string_lossy();
        name == "OCF_RESOURCE_INSTANCE" || name == "OCF_ROOT" || name.starts_with(META)
    };
    args.len() == 1 && std::env::vars_os().any(|(name, _)| by_cluster(&name))
}

pub(super) fn run(options: &Options) -> End {
    let ground = match Ground::find(&System, &options.target.which()) {
        Ok(ground) => ground,
        Err(error) => return ask::no_ground(&error),
    };
    let report = match ground.report(&Deadline::after(LOOKING)) {
        Ok(report) => report,
        Err(why) => return ask::failed(&why),
    };
    if options.json {
        if let Err(why) = say::json(&report) {
            return ask::failed(&why);
        }
    } else {
        // Words of the server are in it, and of a file of the PostgreSQL user's.
        say::line(report.to_string().trim_end());
        let words = if report.ok {
            "Nothing is missing that a failover needs."
        } else {
            "Something is missing that a failover needs, or could not be found out."
        };
        say::line(words);
    }
    if report.ok { End::Ok } else { End::Attention }
}
