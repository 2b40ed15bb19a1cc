//! Writing a configuration of `pgtwin setup` into the cluster. Floor 3.

use std::time::Duration;

use super::operate::tools;
use crate::client::pacemaker::configure::Edit;
use crate::cluster::cib::Cib;
use crate::cluster::known::Known;
use crate::decide::setup::Plan;
use crate::decide::setup::apply::Change;
use crate::sys::exec::System;

/// How long one of Pacemaker's tools may take.
const TOOL: Duration = Duration::from_secs(20);

/// What would be changed, and of which configuration.
#[derive(Debug)]
pub struct Planned {
    /// The configuration as it was read.
    before: String,
    /// What is to be changed.
    pub change: Change,
}

/// Looks at the cluster; what keeps it from being changed, one line each.
pub fn plan(plan: &Plan) -> Result<Planned, Vec<String>> {
    let before = match tools(&System).cib_text(TOOL) {
        Known::Known(text) => text,
        Known::Unknown(why) => return Err(vec![format!("Pacemaker could not be asked: {why}")]),
    };
    // A file in place of a cluster has no state.
    let cib = Cib::parse_configuration(&before)
        .map_err(|error| vec![format!("the configuration cannot be understood: {error}")])?;
    let change = plan.change(&cib, &before)?;
    Ok(Planned { before, change })
}

/// Changes it, all at once or not at all.
pub fn apply(planned: &Planned) -> Result<(), String> {
    let Change { properties, sections, .. } = &planned.change;
    let edit =
        Edit { properties: properties.clone(), sections: sections.clone(), ..Edit::default() };
    tools(&System).configure(&planned.before, &edit, TOOL)
}
