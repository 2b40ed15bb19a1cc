//! What is known of the server that a node is to be brought back from, or to stream from: what each
//! of the two logins answered, and in `words`, how what is wrong is told. Floor 1.

mod words;

use crate::cluster::known::Known;
use crate::postgres::lsn::{Lsn, Timeline};
use crate::postgres::pgpass::BadLine;
use crate::postgres::refusal::Refusal;
use crate::postgres::version::Version;

pub use words::{Advice, identifier};

/// Which kind of connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Login {
    /// As a walreceiver logs in.
    Replication,
    /// To the database `postgres`, as pg_rewind logs in.
    Postgres,
}

impl Login {
    /// The database as pg_hba.conf and the passfile name it.
    pub const fn database(self) -> &'static str {
        match self {
            Self::Replication => "replication",
            Self::Postgres => "postgres",
        }
    }
}

/// What a login came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer<T> {
    /// It was let in, and this was answered.
    In(T),
    /// It was not let in.
    NotLetIn(Refusal),
    /// Nobody answered who could have let it in.
    Silent(Silence),
    /// Something else came back; its words.
    Unknown(String),
}

impl<T> Answer<T> {
    /// What was answered, if it was let in.
    pub fn answered(&self) -> Option<&T> {
        match self {
            Self::In(value) => Some(value),
            Self::NotLetIn(_) | Self::Silent(_) | Self::Unknown(_) => None,
        }
    }
}

/// Why there was no server to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The machine says that nobody listens there. A firewall can say so as well.
    Refused,
    /// No TCP connection came about: no route, a dead machine, a firewall.
    NoRoute(String),
    /// TCP connected; no PostgreSQL answered in time.
    NoAnswer,
    /// It runs, and does not take connections yet.
    Starting,
    /// It is shutting down.
    ShuttingDown,
    /// It has no connection or walsender left.
    Busy(String),
}

/// The server, and how this node logs in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its node, for people.
    pub node: String,
    /// Name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The role for replication.
    pub user: String,
    /// This node's passfile.
    pub passfile: Passfile,
}

/// The passfile, as the PostgreSQL user finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passfile {
    /// No parameter names one: libpq looks for its default.
    NotNamed,
    /// Nothing is there.
    Missing {
        /// Where.
        path: String,
    },
    /// The PostgreSQL user cannot read it.
    Unreadable {
        /// Where.
        path: String,
        /// The PostgreSQL user.
        user: String,
        /// Why not, in one line.
        why: String,
    },
    /// It was read.
    Read {
        /// Where.
        path: String,
        /// Its permission bits: libpq passes over a file that group or others may use.
        mode: u32,
        /// The line that fits the login for replication.
        replication: Option<usize>,
        /// The line that fits the login to `postgres`.
        postgres: Option<usize>,
        /// Lines that cannot mean what they say.
        bad: Vec<BadLine>,
    },
}

/// The answers of both logins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The one of a walreceiver.
    pub replication: Answer<Sender>,
    /// The one of pg_rewind.
    pub postgres: Answer<Session>,
}

/// What a replication connection told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// It accepts writes.
    pub primary: bool,
    /// Its system identifier.
    pub system_id: u64,
    /// The timeline that it writes or replays.
    pub timeline: Timeline,
    /// How far its WAL goes.
    pub lsn: Lsn,
    /// Its version.
    pub version: Version,
}

/// What a session in the database `postgres` told; each on its own, for a role may be refused one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who it is.
    pub identity: Known<SessionIdentity>,
    /// The timeline of the checkpoint in its control file.
    pub checkpoint_timeline: Known<Timeline>,
    /// Settings.
    pub settings: Known<Settings>,
    /// Replication slots that there are.
    pub slots_used: Known<u32>,
    /// This node's slot; none: there is no slot of its name.
    pub slot: Known<Option<Slot>>,
    /// Walsenders that there are.
    pub walsenders: Known<u32>,
    /// Those of the functions that pg_rewind needs which the role may not execute.
    pub not_executable: Known<Vec<&'static str>>,
    /// Its tablespaces.
    pub tablespaces: Known<Vec<Tablespace>>,
    /// Its databases.
    pub databases: Known<Databases>,
    /// Bytes of WAL in its pg_wal; none: the role may not list it.
    pub wal_bytes: Known<Option<u64>>,
    /// Whether the segment that was asked for is still there.
    pub has_segment: Known<bool>,
}

/// Who a session is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionIdentity {
    /// Its system identifier.
    pub system_id: u64,
    /// It is in recovery.
    pub in_recovery: bool,
}

/// Settings of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `full_page_writes`.
    pub full_page_writes: bool,
    /// `max_replication_slots`.
    pub max_slots: u32,
    /// `max_wal_senders`.
    pub max_walsenders: u32,
    /// Bytes: `max_wal_size` and `wal_keep_size` together.
    pub wal_kept: u64,
}

/// A replication slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// It is a physical one.
    pub physical: bool,
    /// Somebody streams by it.
    pub active: bool,
    /// `reserved`, `extended`, `unreserved`, `lost`; empty before it was ever used.
    pub wal_status: String,
}

/// A tablespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tablespace {
    /// Its number; [`PG_DEFAULT`] and [`PG_GLOBAL`] lie in the data directory itself.
    pub oid: u32,
    /// What it holds, in bytes; none: the role may not know.
    pub bytes: Option<u64>,
    /// Where it is; empty for those two, relative for one that lies in the data directory.
    pub location: String,
}

/// `pg_default`, by its number.
pub const PG_DEFAULT: u32 = 1663;
/// `pg_global`, by its number.
pub const PG_GLOBAL: u32 = 1664;

impl Tablespace {
    /// Whether it lies outside the data directory.
    pub fn is_elsewhere(&self) -> bool {
        self.location.starts_with('/')
    }
}

/// All databases together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Databases {
    /// Bytes of those that the role may measure.
    pub bytes: u64,
    /// How many it may not.
    pub unmeasured: u32,
}

/// The functions that pg_rewind executes on the source.
pub const REWIND_FUNCTIONS: [&str; 4] = [
    "pg_catalog.pg_ls_dir(text,boolean,boolean)",
    "pg_catalog.pg_stat_file(text,boolean)",
    "pg_catalog.pg_read_binary_file(text)",
    "pg_catalog.pg_read_binary_file(text,bigint,bigint,boolean)",
];
