//! How a primary becomes a standby. Floor 1.
//!
//! A demotion is an orderly shutdown, whose end is made known, and a start as a standby. One that cannot be
//! shut down in order is stopped instead: immediate mode is never a demotion. An instance that isn't running
//! is left to the stop and the start that follow, with no crash recovery before; where Pacemaker has none
//! follow (`on-fail=demote` of the primary's monitor), it is started as a standby here. A standby that was told to
//! promote by a promotion which was cut off would do so later, beside another primary: a restart makes it forget.

use std::collections::BTreeSet;

use crate::cluster::known::Known;
use crate::cluster::ledger::Entry;
use crate::cluster::node::NodeName;
use crate::decide::facts::{Instance, Process, Sql};
use crate::ocf::notify::Listed;

/// How a demotion begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is over: nothing runs, or a standby does.
    Done,
    /// It cannot be done in order, for this reason.
    Failed(&'static str),
    /// PostgreSQL is shut down in order, and started as a standby: a primary, or what may become one yet.
    ShutDown,
    /// It is started as a standby, as `start` does it.
    Start,
}

/// Whether the instance goes on where it is: `stops` says where instances stop in the same transition. Where
/// Pacemaker did not say, a stop follows.
#[must_use]
pub fn stays(stops: &Listed, me: &NodeName) -> bool {
    stops.known().is_some_and(|nodes| !nodes.contains(me))
}

/// The heirs that are lost in the same transition (`stops`) and leave others behind: a primary that is demoted
/// in order takes them out of E before its end. Its successor would wait for each of them until it returns:
/// it may have been promoted after that end, for all that is known. None where nobody would be left.
#[must_use]
pub fn parting(stops: &Listed, entry: Option<&Entry>, me: &NodeName) -> BTreeSet<NodeName> {
    let Some(entry) = entry.filter(|entry| entry.primary == *me) else { return BTreeSet::new() };
    let stopped = stops.nodes();
    if stopped.contains(me) || entry.heirs.is_subset(&stopped) {
        return BTreeSet::new();
    }
    entry.heirs.intersection(&stopped).cloned().collect()
}

/// How a demotion begins. `told`: a standby, as which it answers, has been told to promote.
#[must_use]
pub fn next(process: &Process, sql: &Sql, told: &Known<bool>, stays: bool) -> Next {
    match (process, sql) {
        (Process::None, _) if stays => Next::Start,
        (Process::None, _) => Next::Done,
        (_, Sql::Standby(_)) if *told == Known::Known(false) => Next::Done,
        (Process::Running { stopped: true, .. }, _) | (_, Sql::Hung) => Next::Failed(
            "PostgreSQL hangs: it cannot be shut down in order, and is stopped instead",
        ),
        (Process::Orphans(_), _) => {
            Next::Failed("the postmaster is gone and processes of it still run")
        }
        (
            Process::Running { stopped: false, .. } | Process::Unknown(_),
            Sql::NotAsked
            | Sql::Primary(_)
            | Sql::Standby(_)
            | Sql::Starting(_)
            | Sql::ShuttingDown
            | Sql::Busy(_)
            | Sql::Alive(_)
            | Sql::Refused(_)
            | Sql::Unknown(_),
        ) => Next::ShutDown,
    }
}

/// What goes before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaysDown {
    /// Nothing: after a crash the right is gone already, and this promotion has published no end.
    Nothing,
    /// The right to be promoted. A demotion that was done before has published its end already, and one that
    /// cannot be done in order has none to publish.
    TheRight,
    /// And what was said about an earlier end.
    TheRightAndItsEnd,
}

/// What goes before anything else. `barred`: this node has taken the right from itself a moment ago
/// ([`crate::decide::token::is_barred`]); `told`: as of [`next`].
#[must_use]
pub fn lays_down(process: &Process, sql: &Sql, told: &Known<bool>, barred: bool) -> LaysDown {
    match (process, next(process, sql, told, false)) {
        (Process::None, _) if barred => LaysDown::Nothing,
        (Process::None, _) | (_, Next::ShutDown) => LaysDown::TheRightAndItsEnd,
        (
            Process::Running { .. } | Process::Orphans(_) | Process::Unknown(_),
            Next::Done | Next::Failed(_) | Next::Start,
        ) => LaysDown::TheRight,
    }
}

/// How far it is after the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// A standby answers.
    Demoted,
    /// It still replays, and the time is over: its monitor goes on.
    StillReplays,
    /// It ended right after its start.
    Ended,
    /// Not yet.
    Wait,
}

/// How far it is after the start.
#[must_use]
pub fn after(instance: &Instance, out_of_time: bool) -> After {
    match (&instance.sql, &instance.process) {
        (Sql::Standby(_), _) => After::Demoted,
        (_, Process::None) => After::Ended,
        (_, Process::Running { .. } | Process::Orphans(_) | Process::Unknown(_)) => {
            if out_of_time {
                After::StillReplays
            } else {
                After::Wait
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::decide::facts::DataDir;
    use crate::decide::support::{entry, in_recovery, nodes, writable};

    fn processes() -> [Process; 5] {
        [
            Process::None,
            Process::Running { pid: 42, stopped: false },
            Process::Running { pid: 42, stopped: true },
            Process::Orphans(vec![43]),
            Process::Unknown("no /proc".into()),
        ]
    }

    const NOT_TOLD: Known<bool> = Known::Known(false);

    /// Short for the table: how it begins, and what is laid down if the node has not barred itself.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Is {
        /// Done, the end goes.
        Rest,
        /// Done, the end stays.
        Done,
        /// Fails: it hangs.
        Hangs,
        /// Fails: orphans.
        Orphans,
        /// Shut down.
        Down,
    }

    #[test]
    fn a_process_and_an_answer_decide_how_a_demotion_begins() {
        use Is::{Done, Down, Hangs, Orphans, Rest};
        let why = || "why".to_owned();
        // Nothing runs, it runs, it is stopped, orphans, not known.
        let rows = [
            (Sql::NotAsked, [Rest, Down, Hangs, Orphans, Down]),
            (writable(), [Rest, Down, Hangs, Orphans, Down]),
            (in_recovery(), [Rest, Done, Done, Done, Done]),
            (Sql::Starting(why()), [Rest, Down, Hangs, Orphans, Down]),
            (Sql::ShuttingDown, [Rest, Down, Hangs, Orphans, Down]),
            (Sql::Busy(why()), [Rest, Down, Hangs, Orphans, Down]),
            (Sql::Alive(why()), [Rest, Down, Hangs, Orphans, Down]),
            (Sql::Hung, [Rest, Hangs, Hangs, Hangs, Hangs]),
            (Sql::Refused(why()), [Rest, Down, Hangs, Orphans, Down]),
            (Sql::Unknown(why()), [Rest, Down, Hangs, Orphans, Down]),
        ];
        for (sql, expected) in rows {
            for (process, is) in processes().iter().zip(expected) {
                let begins = |stays| match next(process, &sql, &NOT_TOLD, stays) {
                    Next::Done => "done",
                    Next::Failed(words) if words.starts_with("PostgreSQL hangs") => "hangs",
                    Next::Failed(_) => "orphans",
                    Next::ShutDown => "down",
                    Next::Start => "start",
                };
                let (word, goes) = match is {
                    Rest => ("done", LaysDown::TheRightAndItsEnd),
                    Done => ("done", LaysDown::TheRight),
                    Hangs => ("hangs", LaysDown::TheRight),
                    Orphans => ("orphans", LaysDown::TheRight),
                    Down => ("down", LaysDown::TheRightAndItsEnd),
                };
                assert_eq!(begins(false), word, "{process:?} {sql}");
                let goes_on = if *process == Process::None { "start" } else { word };
                assert_eq!(begins(true), goes_on, "{process:?} {sql}, and nothing stops");
                assert_eq!(lays_down(process, &sql, &NOT_TOLD, false), goes, "{process:?} {sql}");
                let barred = if is == Rest { LaysDown::Nothing } else { goes };
                assert_eq!(
                    lays_down(process, &sql, &NOT_TOLD, true),
                    barred,
                    "{process:?} {sql}, barred"
                );
            }
        }
    }

    #[test]
    fn a_standby_that_was_told_to_promote_or_may_have_been_is_shut_down() {
        let hangs = "PostgreSQL hangs: it cannot be shut down in order, and is stopped instead";
        let orphans = "the postmaster is gone and processes of it still run";
        let rows = [
            Next::Done,
            Next::ShutDown,
            Next::Failed(hangs),
            Next::Failed(orphans),
            Next::ShutDown,
        ];
        for told in [Known::Known(true), Known::unknown("why")] {
            for (process, expected) in processes().iter().zip(&rows) {
                let begins = |stays| next(process, &in_recovery(), &told, stays);
                assert_eq!(begins(false), *expected, "{process:?} {told:?}");
                let goes_on = if *process == Process::None { &Next::Start } else { expected };
                assert_eq!(begins(true), *goes_on, "{process:?} {told:?}, and nothing stops");
                let ends = matches!(expected, Next::Done | Next::ShutDown);
                let goes = if ends { LaysDown::TheRightAndItsEnd } else { LaysDown::TheRight };
                assert_eq!(lays_down(process, &in_recovery(), &told, false), goes, "{process:?}");
                // What answers as something else was asked nothing.
                assert_eq!(
                    next(process, &writable(), &told, false),
                    next(process, &writable(), &NOT_TOLD, false)
                );
            }
        }
    }

    #[test]
    fn an_instance_stays_only_where_pacemaker_says_which_stop() {
        let me: NodeName = "n1".parse().unwrap();
        for (said, expected) in [
            (None, false),
            (Some(" "), true),
            (Some("n1"), false),
            (Some("n2 n1"), false),
            (Some("n10 n2"), true),
            (Some("n1 \u{7}"), false),
        ] {
            let name = "OCF_RESKEY_CRM_meta_notify_stop_uname".to_owned();
            let vars = said.map(|text| (name, text.to_owned())).into_iter().collect();
            assert_eq!(stays(&Listed::stops_with(&vars), &me), expected, "{said:?}");
        }
    }

    #[test]
    fn only_an_heir_that_leaves_another_one_behind_is_parted_with() {
        let me: NodeName = "n1".parse().unwrap();
        for (stops, primary, heirs, expected) in [
            // (who stops, the entry's primary, its heirs, who goes)
            (Some("n3"), "n1", "n2 n3", "n3"),
            (Some("n3 n4"), "n1", "n2 n3 n4 n5", "n3 n4"),
            (Some("n9"), "n1", "n2 n3", ""),
            (Some(" "), "n1", "n2 n3", ""),
            (None, "n1", "n2 n3", ""),
            // Nobody would be left, or it ends with them.
            (Some("n2 n3"), "n1", "n2 n3", ""),
            (Some("n3"), "n1", "n3", ""),
            (Some("n3"), "n1", "", ""),
            (Some("n1 n3"), "n1", "n2 n3", ""),
            (Some("n3"), "n2", "n1 n3", ""),
        ] {
            let name = "OCF_RESKEY_CRM_meta_notify_stop_uname".to_owned();
            let vars = stops.map(|text| (name, text.to_owned())).into_iter().collect();
            let entry = entry(1, 2, 3, primary, heirs);
            let goes = parting(&Listed::stops_with(&vars), Some(&entry), &me);
            assert_eq!(goes, nodes(expected), "{stops:?} of {heirs:?}");
        }
        assert!(parting(&Listed::Nodes(vec![me.clone()]), None, &me).is_empty());
    }

    #[test]
    fn a_demotion_is_over_when_a_standby_answers_or_its_time_is() {
        use After::{Demoted, Ended, StillReplays, Wait};
        let starting = || Sql::Starting("why".into());
        for (process, sql, in_time, too_late) in [
            (1, in_recovery(), Demoted, Demoted),
            (1, starting(), Wait, StillReplays),
            (1, Sql::Hung, Wait, StillReplays),
            (1, writable(), Wait, StillReplays),
            (0, Sql::NotAsked, Ended, Ended),
            (3, starting(), Wait, StillReplays),
            (4, starting(), Wait, StillReplays),
        ] {
            let process = processes()[process].clone();
            let now = Instance { data: DataDir::Absent, process, sql };
            assert_eq!((after(&now, false), after(&now, true)), (in_time, too_late), "{now:?}");
        }
    }
}
