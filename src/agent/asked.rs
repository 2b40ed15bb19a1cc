//! Orders that were given on another node: this node's data is to be built anew. Floor 3.
//!
//! A monitor of a standby that has just read the CIB finds the order there; the CIB's file has changed with
//! it, so that the next monitor reads it. The order is removed before anything begins: it is carried out
//! once or never. What carries it out is the operator's command itself, as a process of its own that
//! outlives the monitor: with all of its checks.

use std::time::Duration;

use tracing::{info, warn};

use super::Agent;
use super::recover::now;
use super::run::{LOG_ROOT, RUN_ROOT};
use super::view::View;
use crate::client::pacemaker::{Attribute, Pacemaker};
use crate::client::recovery_log::RecoveryLogs;
use crate::cluster::asked::{Answer, Order, Stage, entry_of};
use crate::cluster::known::Known;
use crate::decide::rebuild::asked::{Due, due};
use crate::sys::chain;
use crate::sys::detach;
use crate::sys::exec::Cmd;

/// How long the start of the command may take.
const TO_BEGIN: Duration = Duration::from_secs(10);
/// How long telling may take.
const TELLING: Duration = Duration::from_secs(5);

/// Tells whoever gave the order how it stands.
pub fn tell(pacemaker: &Pacemaker<'_>, answer: &Answer) {
    let told = pacemaker.publish(Attribute::Rebuild, &answer.to_string(), TELLING);
    if let Known::Unknown(why) = told {
        warn!("who has asked for a full copy could not be told: {why}");
    }
}

impl Agent<'_> {
    /// Takes an order that another node has given, if there is one; the order that is to be begun.
    pub fn take_order(&mut self, view: &View) -> Option<Order> {
        let text = view.cib.own_entries(&self.resource).remove(&entry_of(&self.me));
        let due = due(text.as_deref(), &self.cache.order_taken, now());
        if due == Due::Nothing {
            return None;
        }
        let removed = self.pacemaker.forget_order(&self.me, self.tool_limit());
        match (due, removed) {
            (Due::Nothing, _) => None,
            (Due::Void(why), _) => {
                warn!("an order to build this node's data anew is not carried out: {why}");
                None
            }
            (Due::Take(_), Known::Unknown(why)) => {
                warn!("an order to build this node's data anew waits: it cannot be removed: {why}");
                None
            }
            (Due::Take(order), Known::Known(())) => {
                // Whatever happens to the CIB: not a second time.
                self.cache.order_taken = order.id.to_string();
                self.home.keep(&self.cache);
                Some(order)
            }
        }
    }

    /// Takes it and has it carried out.
    pub fn follow_orders(&mut self, view: &View) {
        let Some(order) = self.take_order(view) else { return };
        info!("this node's data is to be built anew ({})", order.by);
        if let Err(why) = self.begin_order(&order) {
            warn!("{why}");
            tell(&self.pacemaker, &Answer::new(order.id, Stage::NotBegun, 0, &why));
        }
    }

    fn begin_order(&self, order: &Order) -> Result<(), String> {
        let program = detach::own_program().map_err(|error| chain(&error))?;
        let output = |root| RecoveryLogs::new(root, &self.resource).output_of("asked");
        let output =
            output(LOG_ROOT).or_else(|_| output(RUN_ROOT)).map_err(|error| chain(&error))?;
        let command = Cmd::new(program.display().to_string()).args([
            "ordered",
            &format!("--resource={}", self.resource),
            &format!("--node={}", self.me),
            &format!("--order={}", order.id),
            &format!("--by={}", order.by),
        ]);
        let unit = detach::unit_name(&format!("asked-{}", self.resource), 1, now());
        let deadline = self.deadline.within(TO_BEGIN);
        detach::launch(&detach::ways(&command, &unit), &program, &output, &deadline)
            .map(drop)
            .map_err(|error| chain(&error))
    }
}
