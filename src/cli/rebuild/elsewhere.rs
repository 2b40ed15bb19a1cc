//! `pgtwin rebuild` of another node: the order is left in the CIB, and its answers are listened to. Floor 4.

use std::thread;
use std::time::{Duration, Instant};

use crate::agent::operate::Subject;
use crate::agent::{random_id, recover};
use crate::client::pacemaker::{Attribute, Pacemaker};
use crate::cluster::asked::{Answer, Order, OrderId};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::rebuild::asked::{Heard, Listener, not_taken};
use crate::sys::exec::System;
use crate::sys::interrupt::Interrupt;

/// How long one of Pacemaker's tools may take.
const TOOL: Duration = Duration::from_secs(20);
/// How often it is listened.
const POLL: Duration = Duration::from_secs(1);

/// Gives the order and listens until its end; `tell` hears how far it is. None: it goes on, and nobody
/// listens any more. The error: nothing was begun, as far as is known.
pub(super) fn order(
    subject: &Subject,
    node: &NodeName,
    by: &str,
    tell: &mut dyn FnMut(&str),
) -> Result<Option<Answer>, String> {
    let interrupt = Interrupt::catch().map_err(|error| format!("signals: {error}"))?;
    let system = System;
    let pacemaker = subject.pacemaker(&system);
    let order = Order::new(OrderId(random_id()?.0), recover::now(), by);
    if let Known::Unknown(why) = pacemaker.note_order(node, &order.to_string(), TOOL) {
        // It may have been taken all the same.
        return Err(withdrawn(&pacemaker, node, &format!("the order could not be given: {why}")));
    }
    tell(&format!("{node} is told; its next monitor takes the order"));
    let begun = Instant::now();
    let mut listener = Listener::default();
    loop {
        let said = pacemaker.read_all(Attribute::Rebuild, TOOL).known();
        let said = said.and_then(|mut all| all.remove(node));
        match listener.hear(order.id, said.as_deref(), begun.elapsed().as_secs()) {
            Heard::GoesOn(Some(words)) if !words.is_empty() => tell(&words),
            Heard::GoesOn(_) => {}
            Heard::Ended(answer) => return Ok(Some(answer)),
            Heard::Silent => return Ok(None),
            Heard::NotTaken => return Err(withdrawn(&pacemaker, node, &not_taken(node))),
        }
        if interrupt.came() {
            return if listener.is_taken() {
                Ok(None)
            } else {
                Err(withdrawn(&pacemaker, node, "it was interrupted, and the order is withdrawn"))
            };
        }
        thread::sleep(POLL);
    }
}

/// Takes the order back; what to say.
fn withdrawn(pacemaker: &Pacemaker<'_>, node: &NodeName, why: &str) -> String {
    match pacemaker.forget_order(node, TOOL) {
        Known::Known(()) => format!("{why}. Had {node} just taken it, pgtwin status shows it"),
        Known::Unknown(not) => {
            format!("{why}. It could not be taken back ({not}): {node} may still carry it out")
        }
    }
}
