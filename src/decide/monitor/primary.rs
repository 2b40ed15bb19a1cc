//! What a round of care for the standbys means for Pacemaker and for people. Floor 1.

use std::collections::BTreeSet;

use super::{Expected, Verdict, judge};
use crate::cluster::ledger::{Entry, Mode, names as list};
use crate::cluster::node::NodeName;
use crate::decide::facts::Instance;
use crate::decide::sync::Waiting;
use crate::ocf::exit_code::ExitCode;
use crate::ocf::params::FencingPolicy;

/// How a round of care ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Cared {
    /// All is as it should be with these heirs.
    Settled(BTreeSet<NodeName>),
    /// Something is awaited.
    Waiting(Waiting),
    /// Another node was promoted since.
    Superseded(Box<Entry>),
    /// A step failed; the next monitor goes on.
    Failed(String),
    /// This node does not answer as a primary any more: what was seen instead.
    NotPrimary(Box<Instance>),
}

/// What else is known.
#[derive(Clone, Debug)]
pub struct Around<'a> {
    /// How the owner wants to replicate.
    pub mode: Mode,
    /// How many members there are, this one included; none: not known.
    pub members: Option<usize>,
    /// Why fencing proves nothing here; empty when it works.
    pub unfenced: &'a str,
    /// What the owner says to that.
    pub policy: FencingPolicy,
    /// Rounds of care in a row that failed, this one included.
    pub failed: u32,
    /// What pg_hba.conf keeps from coming in; empty: nothing.
    pub kept_out: &'a str,
}

/// What the state attribute says of this primary. Pacemaker shows a reason only when the code changes; this
/// is always the present one.
#[must_use]
pub fn state(cared: &Cared, around: &Around<'_>) -> String {
    match cared {
        Cared::Settled(heirs)
            if heirs.is_empty() && around.members.is_some_and(|members| members > 1) =>
        {
            "primary-alone".into()
        }
        Cared::Waiting(Waiting::ForStandby(nodes) | Waiting::ForProof(nodes)) => {
            format!("primary-waiting-for-{}", list(nodes))
        }
        Cared::Waiting(Waiting::NoQuorum) => "primary-waiting-for-quorum".into(),
        Cared::Waiting(Waiting::NoFencing(_)) => "primary-waiting-for-fencing".into(),
        Cared::Waiting(Waiting::Strict) => "primary-waiting-for-a-standby".into(),
        Cared::Waiting(Waiting::FileLost(_)) => "primary-without-ledger".into(),
        Cared::Superseded(_) => "superseded".into(),
        Cared::Settled(_) if !around.unfenced.is_empty() => "primary-without-fencing".into(),
        Cared::Settled(_)
        | Cared::Waiting(Waiting::ClusterUnknown(_) | Waiting::ForAcks(_))
        | Cared::Failed(_)
        | Cared::NotPrimary(_) => "primary".into(),
    }
}

/// What a monitor of a primary answers after a round of care.
#[must_use]
pub fn answer(cared: &Cared, around: &Around<'_>) -> Verdict {
    match cared {
        Cared::Settled(heirs) if heirs.is_empty() && around.mode == Mode::Sync => {
            if around.members.is_some_and(|members| members < 2) {
                return Verdict::is(ExitCode::RunningPromoted);
            }
            Verdict::because(
                ExitCode::DegradedPromoted,
                "no standby streams: every commit is on this node only, and nobody can take over",
            )
        }
        Cared::Superseded(entry) => Verdict::because(
            ExitCode::FailedPromoted,
            format!(
                "{} was promoted since (term {}): this node must not accept writes any more",
                entry.primary, entry.term
            ),
        ),
        Cared::Settled(_) if !around.unfenced.is_empty() => Verdict::because(
            ExitCode::DegradedPromoted,
            format!(
                "no working fencing ({}): {}",
                around.unfenced,
                match around.policy {
                    FencingPolicy::Required => "an unclean loss promotes nobody",
                    FencingPolicy::Advised => "a lost node may still accept writes",
                }
            ),
        ),
        // Once may be a checkpoint under way or a tool that was slow.
        Cared::Failed(why) if around.failed > 1 => Verdict::because(
            ExitCode::DegradedPromoted,
            format!("standbys cannot be taken in or let go: {why}"),
        ),
        // It serves, and whoever has to come back would not be let in.
        Cared::Settled(_) if !around.kept_out.is_empty() => {
            Verdict::because(ExitCode::DegradedPromoted, around.kept_out)
        }
        Cared::Settled(_) | Cared::Waiting(Waiting::ForAcks(_)) | Cared::Failed(_) => {
            Verdict::is(ExitCode::RunningPromoted)
        }
        Cared::Waiting(waiting) => {
            Verdict::because(ExitCode::DegradedPromoted, waiting.to_string())
        }
        // It may only be busy: that is for the monitor's own rule to judge.
        Cared::NotPrimary(instance) => judge(Expected::Promoted, instance),
    }
}

/// What is written down of commits that wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Nothing new.
    AsBefore,
    /// They begin to wait, for this, or for something else than before.
    Wait(String),
    /// They go on.
    GoOn,
}

/// When commits begin to wait, for whom, and when they go on. `noted`: for what they waited at the last
/// round; empty: they did not.
#[must_use]
pub fn writes(cared: &Cared, noted: &str) -> Writes {
    match cared {
        Cared::Settled(_) if !noted.is_empty() => Writes::GoOn,
        Cared::Waiting(waiting) if waiting.stops_writes() && waiting.to_string() != noted => {
            Writes::Wait(waiting.to_string())
        }
        Cared::Settled(_)
        | Cared::Waiting(_)
        | Cared::Superseded(_)
        | Cared::Failed(_)
        | Cared::NotPrimary(_) => Writes::AsBefore,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::decide::facts::Sql;
    use crate::decide::support::{at_rest, data, entry, nodes, running};
    use crate::postgres::control_data::ClusterState;

    const WELL: Around<'_> = Around {
        mode: Mode::Sync,
        members: Some(3),
        unfenced: "",
        policy: FencingPolicy::Required,
        failed: 0,
        kept_out: "",
    };

    fn settled(heirs: &str) -> Cared {
        Cared::Settled(nodes(heirs))
    }

    fn waits() -> [(Waiting, &'static str, bool); 8] {
        let why = || "why".to_owned();
        [
            (Waiting::ClusterUnknown(why()), "primary", false),
            (Waiting::ForStandby(nodes("n2 n3")), "primary-waiting-for-n2,n3", true),
            (Waiting::ForProof(nodes("n2")), "primary-waiting-for-n2", true),
            (Waiting::Strict, "primary-waiting-for-a-standby", true),
            (Waiting::NoFencing(why()), "primary-waiting-for-fencing", true),
            (Waiting::NoQuorum, "primary-waiting-for-quorum", true),
            (Waiting::FileLost(nodes("n2")), "primary-without-ledger", false),
            (Waiting::ForAcks(nodes("n2")), "primary", false),
        ]
    }

    fn superseded() -> Cared {
        Cared::Superseded(Box::new(entry(4, 0, 11, "n2", "")))
    }

    fn crashed() -> Cared {
        Cared::NotPrimary(Box::new(at_rest(data(ClusterState::InProduction))))
    }

    #[test]
    fn a_primary_says_what_it_waits_for_and_what_it_lacks() {
        use ExitCode::{DegradedPromoted as Bad, FailedPromoted, RunningPromoted as Well};
        let unfenced = || Around { unfenced: "stonith is off", ..WELL };
        let kept_out = || Around { kept_out: "n3 is kept out", ..WELL };
        let of = |members| Around { members, ..WELL };
        let in_async = || Around { mode: Mode::Async, ..WELL };
        let (alone, plain, no_fencing) = ("primary-alone", "primary", "primary-without-fencing");
        let nobody = Some("no standby streams");
        let fencing = Some("no working fencing (stonith is off): an unclean loss promotes nobody");
        let accepted = Some("no working fencing (stonith is off): a lost node may still accept");
        let advised = Around { policy: FencingPolicy::Advised, ..unfenced() };
        let rows = [
            ("all is well", settled("n2"), WELL, plain, Well, None),
            ("nobody may take over", settled(""), WELL, alone, Bad, nobody),
            ("of how many is not known", settled(""), of(None), plain, Bad, nobody),
            ("there is nobody else", settled(""), of(Some(1)), plain, Well, None),
            ("async", settled(""), in_async(), alone, Well, None),
            ("async, with one", settled("n2"), in_async(), plain, Well, None),
            ("no fencing", settled("n2"), unfenced(), no_fencing, Bad, fencing),
            ("which is accepted", settled("n2"), advised, no_fencing, Bad, accepted),
            ("no fencing, and alone", settled(""), unfenced(), alone, Bad, nobody),
            ("somebody is kept out", settled("n2"), kept_out(), plain, Bad, Some("n3 is kept out")),
            (
                "fencing comes first",
                settled("n2"),
                Around { kept_out: "n3 is kept out", ..unfenced() },
                no_fencing,
                Bad,
                fencing,
            ),
            (
                "another was promoted",
                superseded(),
                WELL,
                "superseded",
                FailedPromoted,
                Some("n2 was promoted since (term 4)"),
            ),
            (
                "which counts before all else",
                superseded(),
                Around { kept_out: "n3 is kept out", ..unfenced() },
                "superseded",
                FailedPromoted,
                Some("n2 was promoted since (term 4)"),
            ),
            (
                "a step failed once",
                Cared::Failed("x".into()),
                Around { failed: 1, ..WELL },
                plain,
                Well,
                None,
            ),
            (
                "twice",
                Cared::Failed("x".into()),
                Around { failed: 2, ..WELL },
                plain,
                Bad,
                Some("standbys cannot be taken in or let go: x"),
            ),
            (
                "it has crashed meanwhile",
                crashed(),
                WELL,
                plain,
                FailedPromoted,
                Some("PostgreSQL is not running"),
            ),
            (
                "it is busy",
                Cared::NotPrimary(Box::new(running(
                    ClusterState::InProduction,
                    Sql::Busy("x".into()),
                ))),
                WELL,
                plain,
                Bad,
                Some("PostgreSQL is alive and takes no connection"),
            ),
        ];
        for (name, cared, around, says, code, reason) in rows {
            assert_eq!(state(&cared, &around), says, "{name}");
            let verdict = answer(&cared, &around);
            assert_eq!(verdict.code, code, "{name}");
            let begins = |words: &str| verdict.reason.as_deref().unwrap().starts_with(words);
            assert!(reason.map_or(verdict.reason.is_none(), begins), "{name}: {verdict:?}");
        }
    }

    #[test]
    fn what_is_awaited_is_the_reason_but_for_a_confirmation_that_nobody_misses() {
        for (waiting, says, _) in waits() {
            let cared = Cared::Waiting(waiting.clone());
            assert_eq!(state(&cared, &WELL), says, "{waiting:?}");
            let expected = match waiting {
                Waiting::ForAcks(_) => Verdict::is(ExitCode::RunningPromoted),
                other => Verdict::because(ExitCode::DegradedPromoted, other.to_string()),
            };
            assert_eq!(answer(&cared, &WELL), expected, "{says}");
        }
    }

    #[test]
    fn it_is_written_down_when_commits_begin_to_wait_and_when_they_go_on() {
        for (waiting, _, stops) in waits() {
            let (words, cared) = (waiting.to_string(), Cared::Waiting(waiting));
            let begins = if stops { Writes::Wait(words.clone()) } else { Writes::AsBefore };
            assert_eq!(writes(&cared, ""), begins, "{words}");
            assert_eq!(writes(&cared, "something else"), begins, "{words}");
            assert_eq!(writes(&cared, &words), Writes::AsBefore, "{words}, still");
        }
        assert_eq!(writes(&settled("n2"), "something"), Writes::GoOn);
        assert_eq!(writes(&settled("n2"), ""), Writes::AsBefore);
        for cared in [superseded(), Cared::Failed("x".into()), crashed()] {
            assert_eq!(writes(&cared, "something"), Writes::AsBefore, "{cared:?}");
        }
    }
}
