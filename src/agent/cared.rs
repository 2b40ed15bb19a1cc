//! What a round of care for the standbys means for Pacemaker and for people. Floor 3.

use super::Agent;
use super::care::Cared;
use super::outcome::Outcome;
use crate::cluster::ledger::{Mode, names as list};
use crate::cluster::past::Kind;
use crate::decide::monitor::{Expected, judge};
use crate::decide::sync::Waiting;
use crate::ocf::exit_code::ExitCode;
use crate::ocf::params::FencingPolicy;

impl Agent<'_> {
    /// What the state attribute says of this primary. Pacemaker shows a reason only when the code
    /// changes; this is always the present one.
    pub fn primary_state(&self, cared: &Cared) -> String {
        match cared {
            Cared::Settled(heirs)
                if heirs.is_empty()
                    && self.known_members().is_some_and(|members| members.len() > 1) =>
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
            Cared::Settled(_) if !self.cache.unfenced.is_empty() => {
                "primary-without-fencing".into()
            }
            Cared::Settled(_)
            | Cared::Waiting(Waiting::ClusterUnknown(_) | Waiting::ForAcks(_))
            | Cared::Failed(_)
            | Cared::NotPrimary(_) => "primary".into(),
        }
    }

    /// Writes down when commits begin to wait, for whom, and when they go on.
    pub fn note_waiting(&mut self, cared: &Cared) {
        match cared {
            Cared::Settled(_) if !self.cache.commits_wait.is_empty() => {
                self.cache.commits_wait.clear();
                self.note_past(Kind::Sync, "commits go on");
            }
            Cared::Waiting(waiting) if waiting.stops_writes() => {
                let words = waiting.to_string();
                if words != self.cache.commits_wait {
                    self.note_past(Kind::Sync, &words);
                    self.cache.commits_wait = words;
                }
            }
            Cared::Settled(_)
            | Cared::Waiting(_)
            | Cared::Superseded(_)
            | Cared::Failed(_)
            | Cared::NotPrimary(_) => {}
        }
    }

    /// What a monitor of a primary answers after a round of care.
    pub fn primary_outcome(&mut self, cared: &Cared) -> Outcome {
        match cared {
            Cared::Settled(heirs) if heirs.is_empty() && self.mode() == Mode::Sync => {
                if self.known_members().is_some_and(|members| members.len() < 2) {
                    return Outcome::is(ExitCode::RunningPromoted);
                }
                Outcome::because(
                    ExitCode::DegradedPromoted,
                    "no standby streams: every commit is on this node only, and nobody can take \
                     over",
                )
            }
            Cared::Superseded(entry) => Outcome::because(
                ExitCode::FailedPromoted,
                format!(
                    "{} was promoted since (term {}): this node must not accept writes any more",
                    entry.primary, entry.term
                ),
            ),
            Cared::Settled(_) if !self.cache.unfenced.is_empty() => Outcome::because(
                ExitCode::DegradedPromoted,
                format!(
                    "no working fencing ({}): {}",
                    self.cache.unfenced,
                    match self.params.fencing {
                        FencingPolicy::Required => "an unclean loss promotes nobody",
                        FencingPolicy::Advised => "a lost node may still accept writes",
                    }
                ),
            ),
            // Once may be a checkpoint under way or a tool that was slow.
            Cared::Failed(why) if self.cache.care_failed > 1 => Outcome::because(
                ExitCode::DegradedPromoted,
                format!("standbys cannot be taken in or let go: {why}"),
            ),
            // It serves, and whoever has to come back would not be let in.
            Cared::Settled(_) if !self.cache.kept_out.is_empty() => {
                Outcome::because(ExitCode::DegradedPromoted, self.cache.kept_out.clone())
            }
            Cared::Settled(_) | Cared::Waiting(Waiting::ForAcks(_)) | Cared::Failed(_) => {
                Outcome::is(ExitCode::RunningPromoted)
            }
            Cared::Waiting(waiting) => {
                Outcome::because(ExitCode::DegradedPromoted, waiting.to_string())
            }
            // It may only be busy: that is for the monitor's own rule to judge.
            Cared::NotPrimary(instance) => {
                let verdict = judge(Expected::Promoted, instance);
                Outcome { code: verdict.code, reason: verdict.reason, output: Vec::new() }
            }
        }
    }
}
