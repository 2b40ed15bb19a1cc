//! Which exit code an action answers. Floor 1.
//!
//! Whatever an action comes to or meets has its code here, by the action and by the role that Pacemaker
//! expects; what a monitor sees of a server is judged by [`crate::decide::monitor`] and
//! [`crate::decide::standby`]. Two rules lie over the table. A stop and a probe are never made to fail by
//! configuration. And what can differ between nodes, or heal by itself, is never 6 (`Configured`): from one
//! node that bans all of them, the primary too.

use crate::cluster::known::Known;
use crate::decide::monitor::Expected;
use crate::ocf::action::Action;
use crate::ocf::exit_code::ExitCode;

/// How an action ends that went its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It did what was asked, or found it done.
    Done,
    /// It failed for a reason that may pass.
    Failed,
    /// PostgreSQL's programs are not on this node.
    NoPrograms,
    /// They are of another major version than the data.
    OtherPrograms,
    /// The resource cannot work on this node, or not in this cluster as it is.
    WrongPlace,
    /// PGDATA lacks a permission, or is damaged.
    UnusableData,
    /// What runs as a standby, or comes back to be one, needs attention.
    NeedsAttention,
    /// There is no such action.
    NoAction,
}

/// The code of an end.
#[must_use]
pub fn code(end: End) -> ExitCode {
    match end {
        End::Done => ExitCode::Ok,
        End::Failed => ExitCode::Error,
        End::NoPrograms => ExitCode::Installed,
        End::OtherPrograms | End::WrongPlace => ExitCode::Args,
        End::UnusableData => ExitCode::Perm,
        End::NeedsAttention => ExitCode::Degraded,
        End::NoAction => ExitCode::Unimplemented,
    }
}

/// What Pacemaker asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The action.
    pub action: Action,
    /// What a monitor expects; of other actions it does not count.
    pub expected: Expected,
}

impl Asked {
    /// Pacemaker wants to know what runs here, and expects nothing.
    pub fn is_probe(self) -> bool {
        self.action == Action::Monitor && self.expected == Expected::Anything
    }
}

/// What an action meets before its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met {
    /// No resource is named.
    NoResource,
    /// Its name cannot be one of a file: it has no ledger and no scores.
    NamelessResource,
    /// Parameters are malformed.
    Malformed {
        /// PGDATA is among them: it is not known what the resource is.
        place: bool,
    },
    /// PostgreSQL's user is malformed, and who owns its data says it.
    Nothing,
    /// The same, and nothing runs in PGDATA.
    NothingRuns,
    /// The same, and who owns it, or what runs in it, is not known.
    NoOwner,
    /// The resource is in no promotable clone.
    NoClone,
    /// This is a guest node, a remote one, or a bundle's container.
    NoFullNode,
    /// This node's name is not known.
    NoNodeName,
    /// Each node has its data in the storage, and which it is here is not known: nothing can be said of
    /// what runs.
    NoPlace,
    /// PostgreSQL's user cannot be had, so that nothing can be done. A user database that does not answer
    /// (LDAP, sssd) ends no PostgreSQL, and may say that there is no such user: what runs in PGDATA is seen
    /// without it.
    NoUser {
        /// The user database says that there is no such user.
        gone: bool,
        /// Something runs in PGDATA.
        runs: Known<bool>,
    },
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// It goes on all the same.
    GoesOn,
    /// It ends so, without a word to people.
    Ends(ExitCode),
    /// It ends so, with the reason.
    Because(ExitCode),
}

/// What an action that meets this answers.
pub fn answer(met: &Met, asked: Asked) -> Answer {
    const DONE: ExitCode = ExitCode::Ok;
    const FAILED: ExitCode = ExitCode::Error;
    use Action::{Demote, Monitor, Notify, Promote, ReloadAgent, Start, Stop};
    use Answer::{Because, Ends, GoesOn};
    let probe = asked.is_probe();
    match met {
        // A stop needs neither, nor does a probe; and nothing else is done without them.
        Met::NamelessResource | Met::NoNodeName if asked.action == Stop || probe => GoesOn,
        Met::NoResource | Met::NamelessResource => Because(ExitCode::Args),
        Met::Nothing => GoesOn,
        Met::NothingRuns => match asked.action {
            Stop => Ends(DONE),
            Monitor => Ends(ExitCode::NotRunning),
            _ => GoesOn,
        },
        Met::NoOwner => match asked.action {
            Stop | Monitor => Because(FAILED),
            _ => GoesOn,
        },
        Met::NoFullNode => match asked.action {
            Start | Promote => Because(ExitCode::Args),
            _ => GoesOn,
        },
        Met::NoNodeName | Met::NoPlace => Because(FAILED),
        Met::Malformed { place } => match asked.action {
            Stop if *place => Ends(DONE),
            Monitor if *place && probe => Ends(ExitCode::NotRunning),
            Monitor if *place => Because(FAILED),
            // With defaults in place of what the owner meant, a monitor only looks.
            Stop | Monitor => GoesOn,
            // Nobody listens to a notification. A change that cannot be taken over leaves what runs as it is,
            // and the monitor says so: an error here would stop all of it.
            Notify | ReloadAgent => Ends(DONE),
            Demote => Because(FAILED),
            Start
            | Promote
            | Action::ValidateAll
            | Action::ValidatePghba
            | Action::MetaData
            | Action::Usage => Because(ExitCode::Configured),
        },
        Met::NoClone => match asked.action {
            Start | Promote => Because(ExitCode::Configured),
            Stop
            | Demote
            | Monitor
            | Notify
            | Action::ValidateAll
            | ReloadAgent
            | Action::ValidatePghba
            | Action::MetaData
            | Action::Usage => GoesOn,
        },
        Met::NoUser { gone, runs } => match (asked.action, runs) {
            (Notify, _) | (Stop, Known::Known(false)) => Ends(DONE),
            (Monitor, Known::Known(false)) if probe || !gone => Ends(ExitCode::NotRunning),
            // It is not bounced for that, and a stop would end in fencing.
            (Monitor, Known::Known(true)) if !probe => Because(match asked.expected {
                Expected::Promoted => ExitCode::DegradedPromoted,
                Expected::Anything | Expected::Unpromoted => ExitCode::Degraded,
            }),
            (Stop, _) | (Monitor, Known::Known(true) | Known::Unknown(_)) => Because(FAILED),
            _ if *gone => Because(ExitCode::Installed),
            _ => Because(FAILED),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use Answer::{Because, Ends, GoesOn};
    use ExitCode::{
        Args, Configured, Degraded, DegradedPromoted, Error, Installed, NotRunning, Ok, Perm,
        Unimplemented,
    };
    use Expected::{Anything, Promoted, Unpromoted};

    fn asked(action: Action, expected: Expected) -> Asked {
        Asked { action, expected }
    }

    /// Start, stop, promote, demote, notify, validate-all, reload-agent, validate-pghba, and a probe, a
    /// standby's monitor and a primary's.
    fn all() -> [Asked; 11] {
        [
            asked(Action::Start, Anything),
            asked(Action::Stop, Anything),
            asked(Action::Promote, Anything),
            asked(Action::Demote, Anything),
            asked(Action::Notify, Anything),
            asked(Action::ValidateAll, Anything),
            asked(Action::ReloadAgent, Anything),
            asked(Action::ValidatePghba, Anything),
            asked(Action::Monitor, Anything),
            asked(Action::Monitor, Unpromoted),
            asked(Action::Monitor, Promoted),
        ]
    }

    #[test]
    fn what_an_action_meets_has_a_code_for_each_of_them() {
        const ON: Answer = GoesOn;
        let (err, conf, done) = (Because(Error), Because(Configured), Ends(Ok));
        let args = Because(Args);
        let user = |gone, runs| Met::NoUser { gone, runs };
        let (no, yes) = (|| Known::Known(false), || Known::Known(true));
        let unknown = || Known::unknown("/proc is not there");
        let (not_here, stopped) = (Because(Installed), Ends(NotRunning));
        let (worse, worst) = (Because(Degraded), Because(DegradedPromoted));
        let rows = [
            (Met::NoResource, [args; 11]),
            (Met::NamelessResource, [args, ON, args, args, args, args, args, args, ON, args, args]),
            (
                Met::Malformed { place: true },
                [conf, done, conf, err, done, conf, done, conf, stopped, err, err],
            ),
            (
                Met::Malformed { place: false },
                [conf, ON, conf, err, done, conf, done, conf, ON, ON, ON],
            ),
            (Met::Nothing, [ON; 11]),
            (Met::NothingRuns, [ON, done, ON, ON, ON, ON, ON, ON, stopped, stopped, stopped]),
            (Met::NoOwner, [ON, err, ON, ON, ON, ON, ON, ON, err, err, err]),
            (Met::NoFullNode, [args, ON, args, ON, ON, ON, ON, ON, ON, ON, ON]),
            (Met::NoClone, [conf, ON, conf, ON, ON, ON, ON, ON, ON, ON, ON]),
            (Met::NoNodeName, [err, ON, err, err, err, err, err, err, ON, err, err]),
            (Met::NoPlace, [err; 11]),
            (
                user(true, no()),
                [
                    not_here, done, not_here, not_here, done, not_here, not_here, not_here,
                    stopped, not_here, not_here,
                ],
            ),
            (
                user(true, yes()),
                [
                    not_here, err, not_here, not_here, done, not_here, not_here, not_here, err,
                    worse, worst,
                ],
            ),
            (
                user(true, unknown()),
                [
                    not_here, err, not_here, not_here, done, not_here, not_here, not_here, err,
                    err, err,
                ],
            ),
            (
                user(false, no()),
                [err, done, err, err, done, err, err, err, stopped, stopped, stopped],
            ),
            (user(false, yes()), [err, err, err, err, done, err, err, err, err, worse, worst]),
            (user(false, unknown()), [err, err, err, err, done, err, err, err, err, err, err]),
        ];
        for (met, expected) in rows {
            let found = all().map(|asked| answer(&met, asked));
            assert_eq!(found, expected, "{met:?}");
        }
    }

    #[test]
    fn an_end_has_the_code_that_leaves_other_nodes_alone() {
        for (end, expected) in [
            (End::Done, Ok),
            (End::Failed, Error),
            (End::NoPrograms, Installed),
            (End::OtherPrograms, Args),
            (End::WrongPlace, Args),
            (End::UnusableData, Perm),
            (End::NeedsAttention, Degraded),
            (End::NoAction, Unimplemented),
        ] {
            assert_eq!(code(end), expected, "{end:?}");
            assert_ne!(code(end), Configured, "that bans every node");
        }
    }

    #[test]
    fn a_stop_and_a_probe_never_fail_for_what_is_configured() {
        let configured = [
            Met::NamelessResource,
            Met::Malformed { place: true },
            Met::Malformed { place: false },
            Met::NoClone,
        ];
        for met in configured {
            let stop = answer(&met, asked(Action::Stop, Anything));
            assert!([GoesOn, Ends(Ok)].contains(&stop), "{met:?}: {stop:?}");
            let probe = answer(&met, asked(Action::Monitor, Anything));
            assert!([GoesOn, Ends(NotRunning)].contains(&probe), "{met:?}: {probe:?}");
        }
    }
}
