//! What the tests of the decisions share: short ways to write facts, and numbers by chance that are
//! the same in every run. Floor 1.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::hash::{BuildHasherDefault, Hasher};

use super::facts::{DataDir, Instance, PrimaryFacts, Process, Receiver, Sql, StandbyFacts};
use super::source::{
    Answer, Databases, PG_DEFAULT, PG_GLOBAL, Passfile, Sender, Server, Session, SessionIdentity,
    Settings, Slot, Source, Tablespace,
};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Mode, Past, PromotionId, Store};
use crate::cluster::node::NodeName;
use crate::cluster::position::{Exactness, Member, Position, Publication};
use crate::postgres::control_data::{ClusterState, ControlData};
use crate::postgres::lsn::{Lsn, Timeline};
use crate::postgres::version::Version;

/// The database system of all tests.
pub const SYSTEM: u64 = 7;

/// A node.
pub fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

/// Nodes, separated by spaces.
pub fn nodes(names: &str) -> BTreeSet<NodeName> {
    names.split_ascii_whitespace().map(node).collect()
}

/// An entry of the ledger: sync mode, timeline 1.
pub fn entry(term: u64, seq: u64, id: u64, primary: &str, heirs: &str) -> Entry {
    Entry {
        system_id: SYSTEM,
        term,
        seq,
        id: PromotionId(id),
        primary: node(primary),
        timeline: Timeline(1),
        mode: Mode::Sync,
        heirs: nodes(heirs),
        history: Vec::new(),
        adopted: None,
    }
}

/// The same entry in async mode.
pub fn in_async(entry: Entry) -> Entry {
    Entry { mode: Mode::Async, ..entry }
}

/// The same entry after these promotions, newest first.
pub fn after(entry: Entry, ids: &[u64]) -> Entry {
    let history =
        ids.iter().map(|id| Past { id: PromotionId(*id), timeline: Timeline(1) }).collect();
    Entry { history, ..entry }
}

/// A store of done entries.
pub fn store(done: &[Entry]) -> Store {
    let mut store = Store::default();
    for entry in done {
        store.set_done(entry.clone());
    }
    store
}

/// A store with an intent.
pub fn intending(done: &[Entry], intent: &Entry) -> Store {
    let mut store = store(done);
    store.set_intent(intent.clone());
    store
}

/// A position that is all there is: a line such as `1@0/300,2`, and the end of the WAL.
pub fn at(line: &str, lsn: &str) -> Position {
    Position {
        system_id: SYSTEM,
        line: line.parse().unwrap(),
        lsn: lsn.parse().unwrap(),
        exactness: Exactness::Exact,
    }
}

/// The position of a standby that still replays.
pub fn at_least(line: &str, lsn: &str) -> Position {
    Position { exactness: Exactness::AtLeast, ..at(line, lsn) }
}

/// What a member publishes.
pub fn says(position: Position, store: Store) -> Known<Publication> {
    Known::Known(Publication::Data(Box::new(Member {
        position,
        followed: None,
        primary_reached: None,
        never_written: None,
        store,
    })))
}

/// The control file of an instance in this state, on timeline 1 with its checkpoint at 0/300.
pub fn control(state: ClusterState) -> ControlData {
    ControlData {
        control_version: 1700,
        system_id: SYSTEM,
        state,
        checkpoint: Lsn(0x300),
        redo: Lsn(0x300),
        timeline: Timeline(1),
        prev_timeline: Timeline(1),
        min_recovery_end: Lsn::ZERO,
        min_recovery_timeline: Timeline(0),
        backup_start: Lsn::ZERO,
        backup_end_required: false,
        wal_level: "replica".into(),
        wal_log_hints: true,
        checksums: true,
        wal_segment_size: 16 << 20,
        wal_block_size: 8192,
        max_connections: 100,
        max_wal_senders: 10,
        max_worker_processes: 8,
        max_prepared_xacts: 0,
        max_locks: 64,
    }
}

/// A data directory in this state.
pub fn data(state: ClusterState) -> DataDir {
    DataDir::Cluster(Box::new(control(state)))
}

/// An instance that does not run.
pub fn at_rest(data: DataDir) -> Instance {
    Instance { data, process: Process::None, sql: Sql::NotAsked }
}

/// An instance that runs and answers so.
pub fn running(state: ClusterState, sql: Sql) -> Instance {
    Instance { data: data(state), process: Process::Running { pid: 42, stopped: false }, sql }
}

/// The answer of a server that accepts writes.
pub fn writable() -> Sql {
    Sql::Primary(Box::new(PrimaryFacts {
        names: String::new(),
        insert: Lsn(0x400),
        redo: Lsn(0x300),
        timeline: Timeline(1),
        started: 1,
        walsenders: Vec::new(),
        version: 170_005,
        weaknesses: Vec::new(),
        system_id: SYSTEM,
        slots: Vec::new(),
    }))
}

/// The answer of a server in recovery.
pub fn in_recovery() -> Sql {
    Sql::Standby(Box::new(StandbyFacts {
        receive: None,
        replay: Some(Lsn(0x300)),
        receiver: None,
        startup_waits_for: None,
        conninfo: String::new(),
        slot: String::new(),
        paused: false,
        apply_delay: 0,
        started: 1,
        version: 170_005,
        system_id: SYSTEM,
        slots: Vec::new(),
    }))
}

/// A standby whose receiver, of this process, streams and has come so far.
pub fn streaming(pid: i32, receive: u64) -> StandbyFacts {
    let Sql::Standby(standby) = in_recovery() else { unreachable!() };
    let receiver = Receiver {
        state: "streaming".into(),
        host: "n1".into(),
        port: 5432,
        timeline: Timeline(1),
        latest_end: None,
        pid,
    };
    StandbyFacts { receive: Some(Lsn(receive)), receiver: Some(receiver), ..*standby }
}

/// A source that everything is well with: `n1`, a primary on timeline 2, asked from `n2`.
pub fn source() -> Source {
    Source {
        replication: Answer::In(Sender {
            primary: true,
            system_id: SYSTEM,
            timeline: Timeline(2),
            lsn: Lsn(0x900_0000),
            version: Version { major: 17, minor: 5 },
        }),
        postgres: Answer::In(session()),
    }
}

/// What its session in the database postgres tells.
pub fn session() -> Session {
    let in_pgdata = |oid, bytes| Tablespace { oid, bytes: Some(bytes), location: String::new() };
    Session {
        identity: Known::Known(SessionIdentity { system_id: SYSTEM, in_recovery: false }),
        checkpoint_timeline: Known::Known(Timeline(2)),
        settings: Known::Known(Settings {
            full_page_writes: true,
            max_slots: 10,
            max_walsenders: 10,
            wal_kept: 1 << 30,
        }),
        slots_used: Known::Known(1),
        slot: Known::Known(Some(Slot {
            physical: true,
            active: false,
            wal_status: "reserved".into(),
        })),
        walsenders: Known::Known(1),
        not_executable: Known::Known(Vec::new()),
        tablespaces: Known::Known(vec![
            in_pgdata(PG_DEFAULT, 10 << 30),
            in_pgdata(PG_GLOBAL, 1 << 20),
        ]),
        databases: Known::Known(Databases { bytes: 10 << 30, unmeasured: 0 }),
        wal_bytes: Known::Known(Some(1 << 30)),
        has_segment: Known::Known(true),
    }
}

/// `n1` as a server to log in to, with a passfile that fits.
pub fn server() -> Server {
    Server {
        node: "n1".into(),
        host: "10.0.0.11".into(),
        port: 5432,
        user: "replicator".into(),
        passfile: Passfile::Read {
            path: "/pass".into(),
            mode: 0o600,
            replication: Some(1),
            postgres: Some(2),
            bad: Vec::new(),
        },
    }
}

/// SplitMix64: numbers by chance, the same in every run.
pub struct Chance(pub u64);

impl Chance {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below<T: TryFrom<u64>>(&mut self, bound: u64) -> T {
        T::try_from(self.next() % bound).ok().unwrap()
    }

    /// True once in `of` times.
    pub fn once_in(&mut self, of: u64) -> bool {
        self.next().is_multiple_of(of)
    }
}

/// A hasher for small values that we make ourselves: the explorations live from its speed.
#[derive(Default)]
pub struct Mix(u64);

/// For `HashSet` and `HashMap`.
pub type Fast = BuildHasherDefault<Mix>;

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value.cast_unsigned() as u64);
    }
}
