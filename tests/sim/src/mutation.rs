//! Errors that are planted on purpose. The simulator is worth something only if it finds them.

use std::fmt;
use std::str::FromStr;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Going on alone: the own file says E={} before anybody is proven out.
    RelaxBeforeProof,
    /// A standby that does not stream is taken for proven out.
    BrokenConnectionIsProof,
    /// V counts as in effect as soon as it is set.
    EffectiveAtOnce,
    /// Nobody waits until a standby has flushed the barrier.
    NoBarrier,
    /// A standby that still replays says that its position is all there is.
    ReplayingIsExact,
    /// A member that has said nothing is taken for one that has no more than oneself.
    SilenceIsConsent,
    /// What was said in an earlier election counts.
    OldPositionsCount,
    /// The intent is written after PostgreSQL was told.
    IntentAfterPromotion,
    /// The entry is acknowledged before it is on the disk.
    AckBeforeFile,
    /// The ledger file is written and not synced.
    LedgerNotSynced,
    /// A primary that restarts in place waits for nobody.
    InPlaceWithoutNames,
    /// Scores are granted and never taken away.
    ScoreNotRevoked,
    /// The own entry is taken from the CIB.
    CibIsBelieved,
    /// A lost node counts as down before it is fenced.
    LostIsDown,
    /// A larger E follows V instead of going before it.
    NamesBeforeHeirs,
    /// The end of the old primary is not looked at in a planned move, nor is its position.
    NoShutdownCheck,
    /// A demotion leaves a standby alone that was told to promote.
    ToldIsLeft,
    /// An adoption calls the promotions before it a part of its data.
    AdoptionHasHistory,
    /// The own file goes on permitting what it did until the configuration has an adoption.
    AdoptionIsNotBegun,
    /// The own file has an adoption before the configuration has it.
    AdoptedBeforeAnnounced,
    /// An older copy of the configuration may win over one that has an adoption.
    AdoptionIsOlder,
    /// Nobody waits until a node that is cut off knows that it is.
    AdoptedAtOnce,
    /// Data is adopted while others run.
    AdoptsBesideOthers,
    /// What data has beyond the promotion that is noted is not looked at.
    NothingIsExplained,
    /// A standby is pointed at the candidate whatever its own data is of.
    PointedBlindly,
    /// Whoever accepts writes is copied, whatever the ledger says.
    AnybodyIsCopied,
    /// A server that is found to accept writes is the primary of the ledger again.
    FoundIsPrimary,
    /// Whatever a promotion has left that the control file does not know is taken for never written.
    NothingIsWritten,
}

/// All of them, with their names.
pub const ALL: &[(Mutation, &str)] = &[
    (Mutation::RelaxBeforeProof, "relax-before-proof"),
    (Mutation::BrokenConnectionIsProof, "broken-connection-is-proof"),
    (Mutation::EffectiveAtOnce, "effective-at-once"),
    (Mutation::NoBarrier, "no-barrier"),
    (Mutation::ReplayingIsExact, "replaying-is-exact"),
    (Mutation::SilenceIsConsent, "silence-is-consent"),
    (Mutation::OldPositionsCount, "old-positions-count"),
    (Mutation::IntentAfterPromotion, "intent-after-promotion"),
    (Mutation::AckBeforeFile, "ack-before-file"),
    (Mutation::LedgerNotSynced, "ledger-not-synced"),
    (Mutation::InPlaceWithoutNames, "in-place-without-names"),
    (Mutation::ScoreNotRevoked, "score-not-revoked"),
    (Mutation::CibIsBelieved, "cib-is-believed"),
    (Mutation::LostIsDown, "lost-is-down"),
    (Mutation::NamesBeforeHeirs, "names-before-heirs"),
    (Mutation::NoShutdownCheck, "no-shutdown-check"),
    (Mutation::ToldIsLeft, "told-is-left"),
    (Mutation::AdoptionHasHistory, "adoption-has-history"),
    (Mutation::AdoptionIsNotBegun, "adoption-is-not-begun"),
    (Mutation::AdoptedBeforeAnnounced, "adopted-before-announced"),
    (Mutation::AdoptionIsOlder, "adoption-is-older"),
    (Mutation::AdoptedAtOnce, "adopted-at-once"),
    (Mutation::AdoptsBesideOthers, "adopts-beside-others"),
    (Mutation::NothingIsExplained, "nothing-is-explained"),
    (Mutation::PointedBlindly, "pointed-blindly"),
    (Mutation::AnybodyIsCopied, "anybody-is-copied"),
    (Mutation::FoundIsPrimary, "found-is-primary"),
    (Mutation::NothingIsWritten, "nothing-is-written"),
];

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ALL.iter().find(|(one, _)| one == self).map_or("?", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Mutation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || ALL.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
        ALL.iter()
            .find(|(_, name)| *name == text)
            .map(|(one, _)| *one)
            .ok_or_else(|| format!("no mutation is called {text:?}; there are: {}", names()))
    }
}
