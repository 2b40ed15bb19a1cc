//! The causes why a standby does not stream, and what mends them. Floor 1.

/// Why it does not stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// An administrator has paused replay, so that nobody asks for WAL.
    PausedByAdministrator,
    /// A setting is lower than the primary's, so that replay has paused, or ended.
    LowerSettings,
    /// Nobody answers who could send WAL.
    NoPrimary,
    /// A login is refused: pg_hba.conf, password, role, TLS.
    NotLetIn,
    /// The receiver is refused, though the same login is not when it is tried.
    ReceiverNotLetIn,
    /// The slot is not there.
    SlotMissing,
    /// The slot is in use by another connection, or is not a physical one.
    SlotTaken,
    /// The slot is lost, and the WAL that is needed is there all the same.
    SlotSpent,
    /// The slot is lost, and what it kept with it.
    SlotLost,
    /// The WAL that it needs is gone on the primary.
    WalRemoved,
    /// Its data has diverged from the primary's.
    Diverged,
    /// The log says that timelines do not fit, and comparing them has not shown it.
    TimelineUnproven,
    /// A history file of another line was found, in an archive perhaps.
    ForeignHistory,
    /// It replays WAL without a receiver: an archive has what it needs.
    CatchingUp,
    /// A disk is full.
    DiskFull,
    /// Its startup process ended.
    StartupFailed,
    /// None of these.
    NotKnown,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::PausedByAdministrator,
        Self::LowerSettings,
        Self::NoPrimary,
        Self::NotLetIn,
        Self::ReceiverNotLetIn,
        Self::SlotMissing,
        Self::SlotTaken,
        Self::SlotSpent,
        Self::SlotLost,
        Self::WalRemoved,
        Self::Diverged,
        Self::TimelineUnproven,
        Self::ForeignHistory,
        Self::CatchingUp,
        Self::DiskFull,
        Self::StartupFailed,
        Self::NotKnown,
    ];

    /// Whether a rewind or a rebuild mends it. Nothing else ever leads to one.
    pub const fn recovery_helps(self) -> bool {
        match self {
            Self::SlotLost | Self::WalRemoved | Self::Diverged => true,
            Self::PausedByAdministrator
            | Self::LowerSettings
            | Self::NoPrimary
            | Self::NotLetIn
            | Self::ReceiverNotLetIn
            | Self::SlotMissing
            | Self::SlotTaken
            | Self::SlotSpent
            | Self::TimelineUnproven
            | Self::ForeignHistory
            | Self::CatchingUp
            | Self::DiskFull
            | Self::StartupFailed
            | Self::NotKnown => false,
        }
    }

    /// Whether a new slot on the primary mends it; then whether the old one is dropped first.
    pub const fn new_slot_helps(self) -> Option<bool> {
        match self {
            Self::SlotMissing => Some(false),
            Self::SlotSpent => Some(true),
            Self::PausedByAdministrator
            | Self::LowerSettings
            | Self::NoPrimary
            | Self::NotLetIn
            | Self::ReceiverNotLetIn
            | Self::SlotTaken
            | Self::SlotLost
            | Self::WalRemoved
            | Self::Diverged
            | Self::TimelineUnproven
            | Self::ForeignHistory
            | Self::CatchingUp
            | Self::DiskFull
            | Self::StartupFailed
            | Self::NotKnown => None,
        }
    }
}
