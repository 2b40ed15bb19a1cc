//! `pgtwin status`. Floor 4.

use clap::Args;

use super::End;
use crate::agent::operate::Subject;
use crate::agent::survey::survey;
use crate::decide::report::report;
use crate::sys::exec::System;

/// Show the nodes, who may take over, and what needs attention
///
/// Works on any node of the cluster and changes nothing. A `?` is what could not be learned; a
/// warning says why. `-` is what does not apply. HEIR: the node may replace the primary. SYNC: a
/// commit waits for one of these. LAG: bytes of the primary's WAL that a standby lacks.
///
/// Exits with 0 when there is no warning, with 1 when there is one.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The primitive, when several use pgtwin
    #[arg(long, value_name = "RSC")]
    resource: Option<String>,
}

pub(super) fn run(options: &Options) -> End {
    let subject = match Subject::find(&System, options.resource.as_deref()) {
        Ok(subject) => subject,
        Err(error) => return super::ask::refused(&error),
    };
    let report = report(&survey(&subject));
    say!("{}", report.to_string().trim_end());
    if report.needs_attention() { End::Attention } else { End::Ok }
}
