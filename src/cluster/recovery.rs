//! What a recovery remembers. Floor 0.

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// pg_rewind.
    Rewind,
    /// pg_basebackup.
    Rebuild,
}

/// Where a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The check.
    Checking,
    /// Crash recovery.
    Recovering,
    /// pg_rewind.
    Rewinding,
    /// The configuration.
    PuttingRight,
    /// pg_basebackup.
    Copying,
    /// Renames.
    Swapping,
    /// The start.
    Starting,
}
