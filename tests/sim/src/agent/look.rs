//! What the agent sees of its own server, in the words of the decisions.

use pgtwin::cluster::known::Known;
use pgtwin::cluster::position::{Exactness, Position};
use pgtwin::decide::facts::{
    DataDir, Instance, PrimaryFacts, Process, Receiver, Sql, StandbyFacts, Walsender,
};
use pgtwin::postgres::control_data::ControlData;
use pgtwin::postgres::lsn::{Lsn, Timeline};
use pgtwin::postgres::sync_names::{self, StandbyName};

use super::Agent;
use crate::mutation::Mutation;
use crate::server::Phase;
use crate::wal::{line, lsn, timeline};
use crate::world::{Disk, World, name};

/// V as PostgreSQL has it.
pub fn names_text(names: &std::collections::BTreeSet<usize>) -> String {
    sync_names::write(&names.iter().map(|node| standby_name(*node)).collect())
}

/// The name of a node's walreceiver.
pub fn standby_name(node: usize) -> StandbyName {
    name(node).as_str().parse().expect("a node's name is a standby's")
}

fn control(disk: &Disk) -> ControlData {
    let records = &disk.wal.records;
    let begun = disk.checkpoint.min(records.len());
    let ended = disk.min_recovery.map(|at| at.min(records.len()));
    ControlData {
        control_version: 1700,
        system_id: disk.system,
        state: disk.state.clone(),
        checkpoint: lsn(begun),
        redo: lsn(begun),
        timeline: timeline(&records[..begun]),
        prev_timeline: timeline(&records[..begun]),
        min_recovery_end: ended.map_or(Lsn::ZERO, lsn),
        min_recovery_timeline: ended.map_or(Timeline(0), |at| timeline(&records[..at])),
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

fn sql(world: &World, node: usize, now: u64) -> Sql {
    let here = &world.nodes[node];
    let Some(server) = &here.server else { return Sql::NotAsked };
    let records = &here.disk.wal.records;
    let started = i64::try_from(server.life).unwrap_or(i64::MAX);
    match server.phase {
        Phase::Starting => Sql::Starting("it replays".into()),
        Phase::Stopping => Sql::ShuttingDown,
        Phase::Primary => Sql::Primary(Box::new(PrimaryFacts {
            names: names_text(&server.names),
            insert: lsn(records.len()),
            redo: lsn(server.redo),
            timeline: timeline(records),
            started,
            walsenders: server
                .senders
                .iter()
                .map(|(standby, sender)| Walsender {
                    name: name(*standby).to_string(),
                    state: if sender.caught_up { "streaming" } else { "catchup" }.into(),
                    flush: sender.flush.map(lsn),
                    replay: sender.flush.map(lsn),
                    priority: u32::from(sender.names.contains(standby)),
                    sync_state: String::new(),
                    silent_for: Some(now.saturating_sub(sender.heard) / 1000),
                    pid: 1,
                })
                .collect(),
            version: 170_006,
            weaknesses: Vec::new(),
            system_id: here.disk.system,
            slots: Vec::new(),
        })),
        Phase::Standby => Sql::Standby(Box::new(StandbyFacts {
            receive: server.streamed.then(|| lsn(here.disk.wal.flushed)),
            replay: Some(lsn(server.replayed)),
            receiver: server.streams_from.map(|from| Receiver {
                state: "streaming".into(),
                host: name(from).to_string(),
                port: 5432,
                timeline: timeline(records),
                latest_end: None,
                pid: 1,
            }),
            startup_waits_for: server.at_end.then(|| "RecoveryWalStream".into()),
            conninfo: server
                .upstream
                .map(|from| format!("host={}", name(from)))
                .unwrap_or_default(),
            slot: String::new(),
            paused: false,
            apply_delay: 0,
            started,
            version: 170_006,
            system_id: here.disk.system,
            slots: Vec::new(),
        })),
    }
}

impl Agent {
    /// One look at the instance, without time passing.
    pub(super) fn look_now(&self) -> Instance {
        let world = self.sim.world.borrow();
        let here = &world.nodes[self.me];
        let process = match here.server {
            Some(_) => Process::Running { pid: 42, stopped: false },
            None => Process::None,
        };
        let data = DataDir::Cluster(Box::new(control(&here.disk)));
        Instance { data, process, sql: sql(&world, self.me, self.sim.now()) }
    }

    pub(super) async fn look(&self) -> Instance {
        self.sim.act().await;
        self.look_now()
    }

    /// How far this node's data goes: IDENTIFY_SYSTEM on a standby, and the history file.
    pub(super) fn position(&self, instance: &Instance) -> Known<Position> {
        let Sql::Standby(standby) = &instance.sql else {
            return Known::unknown("it does not answer as a standby");
        };
        let world = self.sim.world.borrow();
        let here = &world.nodes[self.me];
        let Some(server) = &here.server else { return Known::unknown("it ended meanwhile") };
        let exact = standby.at_end_of_wal() || world.has(Mutation::ReplayingIsExact);
        let reached = if server.streamed { here.disk.wal.flushed } else { server.replayed };
        Known::Known(Position {
            system_id: here.disk.system,
            line: line(&here.disk.wal.records[..reached.min(here.disk.wal.records.len())]),
            lsn: lsn(reached),
            exactness: if exact { Exactness::Exact } else { Exactness::AtLeast },
        })
    }
}
