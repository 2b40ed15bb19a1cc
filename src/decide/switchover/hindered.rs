//! What kept a move from its end, or what it still waits for. Floor 1.

use super::Plan;
use crate::cluster::known::Known;
use crate::cluster::topology::{ClusterStatus, NodeState};

/// What has happened that keeps it, one line each. `before`: what Pacemaker said when the move began.
pub fn hindered(
    plan: &Plan,
    resource: &str,
    before: &ClusterStatus,
    now: &Known<ClusterStatus>,
) -> Vec<String> {
    let now = match now {
        Known::Known(now) => now,
        Known::Unknown(why) => return vec![format!("what Pacemaker does is not known: {why}")],
    };
    let mut found = Vec::new();
    for node in [&plan.from, &plan.to] {
        match now.node_state(node) {
            NodeState::OnlineMember => {}
            NodeState::OfflineClean => found.push(format!("{node} is offline")),
            NodeState::OfflineUnclean | NodeState::Unknown => {
                found.push(format!("{node} is lost and has not been fenced"));
            }
            NodeState::Pending => found.push(format!("{node} is not online yet")),
        }
    }
    let new = now.failures_of(resource).filter(|failure| !before.failures.contains(failure));
    found.extend(new.map(|failure| {
        let reason = if failure.reason.is_empty() { &failure.words } else { &failure.reason };
        format!("{} on {} failed: {reason}", failure.operation, failure.node)
    }));
    found
}

/// What is still to be done, where nothing has happened that keeps it. `stopped`: the old primary accepts no
/// writes any more.
pub fn outstanding(plan: &Plan, stopped: bool, now: &Known<ClusterStatus>) -> String {
    let (what, node) = if stopped { ("promoted", &plan.to) } else { ("demoted", &plan.from) };
    let dc = now.clone().known().and_then(|now| now.dc);
    let place = match dc {
        Some(dc) => format!("the system log of {dc}, which leads, says what it waits for"),
        None => "no node leads the cluster at the moment".to_owned(),
    };
    format!("Pacemaker has not {what} {node} yet: {place}")
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::cluster::topology::FailedAction;
    use crate::decide::report::tests::healthy;
    use crate::decide::support::node;

    type Change = fn(&mut ClusterStatus);

    fn failed(reason: &str) -> FailedAction {
        FailedAction {
            resource: "db".into(),
            operation: "promote".into(),
            node: node("n2"),
            exit_code: Some(1),
            words: "error".into(),
            reason: reason.into(),
            when: Some("2026-11-20 12:02:06Z".into()),
        }
    }

    fn plan() -> Plan {
        let (from, to) = (node("n1"), node("n2"));
        Plan { from, to, clone: "db-clone".into(), remarks: Vec::new() }
    }

    #[test]
    fn what_keeps_a_move_is_a_lost_node_or_a_failure_that_is_new() {
        let rows: [(&str, Change, &[&str]); 7] = [
            ("nothing", |_| {}, &[]),
            (
                "refused",
                |now| now.failures.push(failed("n3 has more")),
                &["promote on n2 failed: n3 has more"],
            ),
            (
                "without a reason",
                |now| now.failures.push(failed("")),
                &["promote on n2 failed: error"],
            ),
            ("the same failure as before", |now| now.failures.push(failed("an old one")), &[]),
            (
                "another resource's",
                |now| now.failures.push(FailedAction { resource: "ip".into(), ..failed("no") }),
                &[],
            ),
            (
                "the target is lost",
                |now| {
                    now.nodes[1].online = false;
                    now.nodes[1].unclean = true;
                },
                &["n2 is lost and has not been fenced"],
            ),
            ("the old one is off", |now| now.nodes[0].online = false, &["n1 is offline"]),
        ];
        let mut before = healthy().status;
        before.failures.push(failed("an old one"));
        for (name, change, expected) in rows {
            let mut now = before.clone();
            change(&mut now);
            let found = hindered(&plan(), "db", &before, &Known::Known(now));
            assert_eq!(found, expected, "{name}");
        }
        let unknown = hindered(&plan(), "db", &before, &Known::unknown("it does not run"));
        assert_eq!(unknown, ["what Pacemaker does is not known: it does not run"]);
    }

    #[test]
    fn where_nothing_keeps_it_the_next_step_is_told_and_who_knows_more() {
        let mut now = healthy().status;
        now.dc = Some(node("n3"));
        let led = Known::Known(now.clone());
        now.dc = None;
        let not_led = Known::Known(now);
        for (stopped, now, words) in [
            (
                false,
                &led,
                "Pacemaker has not demoted n1 yet: the system log of n3, which leads, says what it waits for",
            ),
            (
                true,
                &not_led,
                "Pacemaker has not promoted n2 yet: no node leads the cluster at the moment",
            ),
        ] {
            assert_eq!(outstanding(&plan(), stopped, now), words);
        }
    }
}
