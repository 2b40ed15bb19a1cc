//! The rules, by the names that docs/safety.md and the sources have for them, and the deliberate
//! errors by which the model shows that each of them is needed.

/// A rule of the protocol.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// The source that holds it, below `src`.
    pub source: &'static str,
}

const fn rule(name: &'static str, source: &'static str) -> Rule {
    Rule { name, source }
}

/// All rules that the model has, in the order of docs/safety.md.
pub const RULES: &[Rule] = &[
    rule("heir", "decide/election.rs"),
    rule("newest", "decide/election.rs"),
    rule("intent-binds", "decide/election.rs"),
    rule("all-seen", "decide/election.rs"),
    rule("most-wal", "decide/election.rs"),
    rule("same-branch", "decide/election.rs"),
    rule("confirmers", "decide/election.rs"),
    rule("own-file", "decide/election.rs"),
    rule("known-names", "decide/election.rs"),
    rule("same-term", "decide/election.rs"),
    rule("alone-first", "decide/election.rs"),
    rule("cold-start", "decide/election.rs"),
    rule("fenced-first", "decide/promote.rs"),
    rule("intent-first", "decide/promote.rs"),
    rule("resolve-first", "decide/promote.rs"),
    rule("known-history", "decide/promote.rs"),
    rule("note-first", "agent/origin.rs"),
    rule("explained", "cluster/ledger/origin.rs"),
    rule("in-effect", "decide/sync.rs"),
    rule("heir-has-all", "decide/sync.rs"),
    rule("heirs-agree", "decide/sync.rs"),
    rule("rest-has-all", "decide/sync.rs"),
    rule("file-first", "decide/sync.rs"),
    rule("proven-out", "decide/sync/alone.rs"),
    rule("own-file-last", "decide/sync/alone.rs"),
    rule("names-last", "decide/sync/alone.rs"),
    rule("fresh-score", "agent/start.rs"),
];

/// A deliberate error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Break {
    /// Whoever has a score may be promoted.
    Anybody,
    /// The files of those who are seen are not read.
    CibOnly,
    /// The intent of a node that is not there does not bind.
    IntentIgnored,
    /// One member of E that is seen is enough.
    NotAllSeen,
    /// The primary restarts in place although not all of E was seen.
    InPlaceUnseen,
    /// Positions are not compared.
    Behind,
    /// What a node's data is of is not asked.
    AnyBranch,
    /// A node follows a primary whose promotion it knows nothing of: its entry is an intent still.
    UnknownFollows,
    /// Before a promotion a node is pointed at the candidate, whatever the data of both is of.
    BlindPointing,
    /// V is empty after every promotion.
    NobodyConfirms,
    /// The primary believes that E is empty because the CIB says so.
    CibIsEnough,
    /// In place, V is all of E, whether or not its members know that E.
    UnknownNames,
    /// A promotion in place takes a new term.
    NewTerm,
    /// A new primary on another node keeps the other heirs.
    HeirsKept,
    /// Any of E and the primary may start alone where there is no primary.
    LoneStart,
    /// A node is promoted while others are unclean.
    Unfenced,
    /// PostgreSQL is told before the intent is in the CIB.
    NoIntent,
    /// A new intent replaces one that was carried out and never marked done.
    Unresolved,
    /// An entry names all promotions of the entry before it, whatever the candidate's data has.
    AllHistory,
    /// What a node follows is noted when it streams, and not before.
    NotedLate,
    /// What data has beyond the promotion that is noted is not looked at.
    Unexplained,
    /// V counts before the checkpointer has taken it up.
    NoCheckpoint,
    /// V counts before the senders have taken it up.
    OldSenders,
    /// The first heir need not have what was written before it came.
    HeirLacks,
    /// V grows before those of the old E know the new one.
    HeirsUnaware,
    /// E shrinks before the rest has what the other one confirmed.
    RestLacks,
    /// The first heir is in the CIB before it is in the own file.
    CibFirst,
    /// The primary goes on alone without a proof.
    Unproven,
    /// The own file says E={} before the proof.
    FileTooSoon,
    /// V is empty before the proof.
    NamesTooSoon,
    /// Scores outlive a reboot.
    OldScores,
}

/// A deliberate error, and which rule it breaks.
#[derive(Clone, Copy, Debug)]
pub struct Mutation {
    /// The error.
    pub breaks: Break,
    /// Its name on the command line.
    pub name: &'static str,
    /// The rule.
    pub rule: &'static str,
}

const fn mutation(breaks: Break, name: &'static str, rule: &'static str) -> Mutation {
    Mutation { breaks, name, rule }
}

/// All deliberate errors.
pub const MUTATIONS: &[Mutation] = &[
    mutation(Break::Anybody, "anybody", "heir"),
    mutation(Break::CibOnly, "cib-only", "newest"),
    mutation(Break::IntentIgnored, "intent-ignored", "intent-binds"),
    mutation(Break::NotAllSeen, "not-all-seen", "all-seen"),
    mutation(Break::InPlaceUnseen, "in-place-unseen", "all-seen"),
    mutation(Break::Behind, "behind", "most-wal"),
    mutation(Break::AnyBranch, "any-branch", "same-branch"),
    mutation(Break::UnknownFollows, "unknown-follows", "same-branch"),
    mutation(Break::BlindPointing, "blind-pointing", "same-branch"),
    mutation(Break::NobodyConfirms, "nobody-confirms", "confirmers"),
    mutation(Break::CibIsEnough, "cib-is-enough", "own-file"),
    mutation(Break::UnknownNames, "unknown-names", "known-names"),
    mutation(Break::NewTerm, "new-term", "same-term"),
    mutation(Break::HeirsKept, "heirs-kept", "alone-first"),
    mutation(Break::LoneStart, "lone-start", "cold-start"),
    mutation(Break::Unfenced, "unfenced", "fenced-first"),
    mutation(Break::NoIntent, "no-intent", "intent-first"),
    mutation(Break::Unresolved, "unresolved", "resolve-first"),
    mutation(Break::AllHistory, "all-history", "known-history"),
    mutation(Break::NotedLate, "noted-late", "note-first"),
    mutation(Break::Unexplained, "unexplained", "explained"),
    mutation(Break::NoCheckpoint, "no-checkpoint", "in-effect"),
    mutation(Break::OldSenders, "old-senders", "in-effect"),
    mutation(Break::HeirLacks, "heir-lacks", "heir-has-all"),
    mutation(Break::HeirsUnaware, "heirs-unaware", "heirs-agree"),
    mutation(Break::RestLacks, "rest-lacks", "rest-has-all"),
    mutation(Break::CibFirst, "cib-first", "file-first"),
    mutation(Break::Unproven, "unproven", "proven-out"),
    mutation(Break::FileTooSoon, "file-too-soon", "own-file-last"),
    mutation(Break::NamesTooSoon, "names-too-soon", "names-last"),
    mutation(Break::OldScores, "old-scores", "fresh-score"),
];

/// A set of deliberate errors.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Broken(u32);

impl Broken {
    /// With one more.
    #[must_use]
    pub const fn with(self, what: Break) -> Self {
        Self(self.0 | 1 << what as u32)
    }

    /// Whether it is among them.
    pub const fn has(self, what: Break) -> bool {
        self.0 >> what as u32 & 1 == 1
    }
}
