//! What a recovery, and the diagnosis of broken replication, want to know. Floor 2.

use std::time::Duration;

use crate::client::peer::Peer;
use crate::client::peer::source::{self, Question};
use crate::client::sql::acts;
use crate::cluster::known::Known;
use crate::decide::broken_replication::{self, Diagnosis, Lower, needed, why_paused};
use crate::decide::facts::StandbyFacts;
use crate::decide::recovery_check::{self, room::Room};
use crate::decide::source::{Answer, Passfile, Server, Source, Tablespace};
use crate::postgres::control_data::ControlData;
use crate::postgres::lsn::Lsn;
use crate::postgres::version::{Version, major_of_pg_version};
use crate::runtime::layout::{self, Noted, Remembered};
use crate::runtime::{RuntimeError, data_dir, passfile, room, server_log, succeeded};
use crate::sys::chain;
use crate::sys::deadline::Deadline;

use super::Postgres;

/// Of a survey from which nothing follows: no old copy has such a name.
const NO_STAMP: &str = "00000000-000000";

/// The server that is asked, and for what.
#[derive(Clone, Debug)]
pub struct Provider<'a> {
    /// Its node, for people.
    pub node: &'a str,
    /// How this node logs in there.
    pub peer: &'a Peer,
    /// This node's slot there.
    pub slot: &'a str,
}

/// The standby that is diagnosed.
#[derive(Clone, Debug)]
pub struct Standby<'a> {
    /// What it says; none: it does not run, or does not answer.
    pub facts: Option<&'a StandbyFacts>,
    /// From where it needs WAL; none: it needs none yet, or that is not known.
    pub wanted: Option<Lsn>,
    /// How far it had come at an earlier look, which found it broken too; none: there was none.
    pub replayed_before: Option<Lsn>,
    /// Whether its data still goes together with the primary's, if that was compared.
    pub parted: Known<Option<String>>,
}

impl Postgres<'_> {
    /// All that the check before a recovery looks at. `noted`: where the parts lay of data that is lost.
    /// `between`: the data is between old and new, where its links say nothing of its parts. What was given
    /// up for the source the ledger knows.
    pub fn recovery_facts(
        &self,
        provider: &Provider<'_>,
        noted: Option<&Noted>,
        between: bool,
        deadline: &Deadline,
    ) -> recovery_check::Facts {
        let limit = deadline.bounded(Duration::from_mins(1)).max(Duration::from_secs(2));
        let source = self.ask_source(provider, None, limit);
        let tablespaces: &[Tablespace] = match source.postgres.answered() {
            Some(session) => match &session.tablespaces {
                Known::Known(list) => list,
                Known::Unknown(_) => &[],
            },
            None => &[],
        };
        let sender = source.replication.answered();
        let of_source =
            |noted: &&Noted| sender.is_some_and(|sender| sender.system_id == noted.system_id);
        let noted = noted.filter(of_source);
        let volumes = room::volumes(self.place(), tablespaces, noted, deadline);
        let places = match sender {
            Some(sender) if !between => self.places(tablespaces, sender.version.major, noted),
            Some(_) | None => Known::Known(None),
        };
        recovery_check::Facts {
            server: self.server(provider),
            slot: provider.slot.to_owned(),
            data: self.data_dir(),
            given_up: Vec::new(),
            data_major: self.data_major(),
            programs: self.programs_version(),
            // Old data stays until the new is whole.
            room: Room { volumes, old_stays: true },
            places,
            source,
        }
    }

    /// Why a copy could not be put where it would go, with the remedy; none inside: it could.
    fn places(
        &self,
        tablespaces: &[Tablespace],
        major: u32,
        noted: Option<&Noted>,
    ) -> Known<Option<String>> {
        let tablespaces: Vec<layout::Tablespace> =
            tablespaces.iter().filter_map(layout::Tablespace::of).collect();
        let known = noted.map_or(Remembered::Nothing, Remembered::Noted);
        match layout::survey(self.place(), &tablespaces, major, false, NO_STAMP, known) {
            Ok(_) => Known::Known(None),
            Err(RuntimeError::Refused(why)) => Known::Known(Some(why)),
            Err(error) => Known::unknown(chain(&error)),
        }
    }

    /// All that the diagnosis of a standby looks at that does not stream.
    pub fn broken_facts(
        &self,
        provider: &Provider<'_>,
        standby: Standby<'_>,
        limit: Duration,
    ) -> broken_replication::Facts {
        let deadline = self.bound(limit);
        let control = self.control(&deadline);
        let limit = deadline.left().max(Duration::from_secs(2));
        broken_replication::Facts {
            server: self.server(provider),
            slot: provider.slot.to_owned(),
            source: self.ask_source(provider, standby.wanted, limit),
            standby: standby.facts.cloned(),
            wanted: standby.wanted,
            replayed_before: standby.replayed_before,
            parted: standby.parted,
            lower: match (&control, standby.facts) {
                (Known::Known(control), Some(_)) => self.lower_settings(control),
                (Known::Known(_), None) => Known::unknown("the server does not answer"),
                (Known::Unknown(why), _) => Known::unknown(why.clone()),
            },
            log: server_log::trouble(self.place()),
            segment_size: control.map(|control| control.wal_segment_size),
            room: room::for_wal(self.place()),
        }
    }

    /// Tries both logins at another server, and asks it nothing for a recovery.
    pub fn try_logins(&self, provider: &Provider<'_>, limit: Duration) -> (Server, Source) {
        (self.server(provider), self.ask_source(provider, None, limit))
    }

    /// Why replay is paused, of a standby that says it is.
    pub fn why_paused(&self, limit: Duration) -> Option<Diagnosis> {
        let lower =
            self.control(&self.bound(limit)).and_then(|control| self.lower_settings(&control));
        why_paused(true, &lower, &server_log::trouble(self.place()))
    }

    /// Why a server that was started is not there any more, in words.
    pub fn why_it_ended(&self) -> String {
        broken_replication::why_it_ended(&server_log::trouble(self.place()))
    }

    fn control(&self, deadline: &Deadline) -> Known<ControlData> {
        data_dir::control_data(self.runtime(), self.exec, deadline)
            .map_err(|error| super::OneLine(chain(&error)))
            .into()
    }

    /// Asks the source on both kinds of connection.
    fn ask_source(
        &self,
        provider: &Provider<'_>,
        wal_from: Option<Lsn>,
        limit: Duration,
    ) -> Source {
        let psql = match self.runtime.command("psql") {
            Ok(psql) => psql,
            Err(error) => {
                let why = error.to_string();
                let (replication, postgres) = (Answer::Unknown(why.clone()), Answer::Unknown(why));
                return Source { replication, postgres };
            }
        };
        let question = Question { slot: provider.slot, wal_from };
        source::ask(self.exec, &psql, provider.peer, &question, limit)
    }

    /// The server that is asked, for words about it.
    pub fn server(&self, provider: &Provider<'_>) -> Server {
        let peer = provider.peer;
        Server {
            node: provider.node.to_owned(),
            host: peer.host.clone(),
            port: peer.port,
            user: peer.user.clone(),
            passfile: self.passfile_facts(peer),
        }
    }

    /// The passfile of a login, as libpq finds it.
    pub fn passfile_facts(&self, peer: &Peer) -> Passfile {
        passfile::facts(&self.place().user, peer)
    }

    /// The major version that is written in the data directory.
    pub fn data_major(&self) -> Known<u32> {
        match self.place().read("PG_VERSION", 64) {
            Ok(text) => Known::from(major_of_pg_version(&text)),
            Err(error) => Known::unknown(chain(&error)),
        }
    }

    /// The version of the programs that make a copy.
    pub fn programs_version(&self) -> Known<Version> {
        let what = "ask pg_basebackup for its version";
        let cmd = match self.runtime.command("pg_basebackup") {
            Ok(cmd) => cmd.arg("--version"),
            Err(error) => return Known::unknown(error.to_string()),
        };
        let output = match self.exec.run(&cmd) {
            Ok(output) => output,
            Err(error) => return Known::unknown(chain(&error)),
        };
        match succeeded(what, &output) {
            Ok(()) => Known::from(Version::of_program(&output.stdout)),
            Err(error) => Known::unknown(chain(&error)),
        }
    }

    /// Settings of the running server that are lower than its control file says it needs.
    fn lower_settings(&self, control: &ControlData) -> Known<Vec<Lower>> {
        let mut lower = Vec::new();
        for (name, needed) in needed(control) {
            let value = match self.with_session(|wire, bound| acts::show(wire, name, bound)) {
                Ok(value) => value,
                Err(why) => return Known::unknown(why),
            };
            match value.parse::<u32>() {
                Ok(here) if here < needed => lower.push(Lower { name, here, needed }),
                Ok(_) => {}
                Err(_) => return Known::unknown(format!("{name} is {value:?}")),
            }
        }
        Known::Known(lower)
    }
}
