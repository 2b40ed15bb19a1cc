//! Our own instance, as the actions use it: every question with a deadline, every failure in words.
//! Floor 3.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use crate::client::peer::{self, Identity, Peer, PeerAnswer};
use crate::client::sql::{Connection, SqlError, acts};
use crate::cluster::known::Known;
use crate::decide::facts::{DataDir, Instance, Process, Sql};
use crate::postgres::conf;
use crate::postgres::control_data::ControlData;
use crate::postgres::hba::Presence;
use crate::postgres::history::History;
use crate::postgres::identify::Identified;
use crate::postgres::lsn::{Lsn, Timeline};
use crate::postgres::pgpass::Passfile;
use crate::runtime::data_dir::{self, SignalFile};
use crate::runtime::stop::{Patience, Stopped};
use crate::runtime::{Runtime, Shutdown, instance, recover, settings, start, stop, wal};
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, Exec};
use crate::sys::files::read_untrusted;
use crate::sys::privilege::with_user;

/// The role that replicates when neither `repuser` nor the passfile names one.
const DEFAULT_REPUSER: &str = "replicator";

/// The instance.
pub struct Postgres<'a> {
    runtime: &'a dyn Runtime,
    exec: &'a dyn Exec,
    repuser: String,
    connection: RefCell<Option<Connection>>,
}

impl<'a> Postgres<'a> {
    /// The instance of this runtime. `repuser` and `passfile` are the parameters of these names.
    pub fn new(
        runtime: &'a dyn Runtime,
        exec: &'a dyn Exec,
        repuser: Option<&str>,
        passfile: Option<&str>,
    ) -> Self {
        let user = &runtime.place().user;
        let from_passfile = || {
            let path = Path::new(passfile?);
            let text = with_user(user, || read_untrusted(path, 1 << 20)).ok()?.ok()?;
            Passfile::parse(&text).replication_user().map(str::to_owned)
        };
        let repuser = repuser
            .map(str::to_owned)
            .or_else(from_passfile)
            .unwrap_or_else(|| DEFAULT_REPUSER.to_owned());
        Self { runtime, exec, repuser, connection: RefCell::new(None) }
    }

    /// Whom standbys log in as.
    pub fn replication_user(&self) -> String {
        self.repuser.clone()
    }

    /// Looks at the instance. The data directory is looked at only where the server does not answer
    /// for itself, so that a quiet monitor starts no program.
    pub fn look(&self, deadline: &Deadline) -> Instance {
        self.connection.replace(None);
        let look = instance::look_running(self.runtime, deadline);
        let data = match (&look.process, &look.sql) {
            (Process::Running { .. }, Sql::Primary(_) | Sql::Standby(_)) => {
                DataDir::Unknown("not looked at: the server answers".into())
            }
            _ => self.data_dir(),
        };
        self.connection.replace(look.connection);
        Instance { data, process: look.process, sql: look.sql }
    }

    /// What stands at PGDATA.
    pub fn data_dir(&self) -> DataDir {
        data_dir::look(self.runtime, self.exec, &Deadline::after(Duration::from_secs(10)))
    }

    /// Whether PostgreSQL's programs are there.
    pub fn check_programs(&self) -> Result<(), String> {
        for program in ["postgres", "pg_ctl", "pg_controldata", "psql"] {
            self.runtime.command(program).map_err(|error| chain(&error))?;
        }
        Ok(())
    }

    fn with_connection<T>(
        &self,
        work: impl FnOnce(&mut Connection, &Deadline) -> Result<T, SqlError>,
    ) -> Result<T, String> {
        let deadline = Deadline::after(Duration::from_secs(5));
        let mut kept = self.connection.borrow_mut();
        if kept.is_none() {
            let endpoint = instance::endpoint(self.runtime.place())
                .map_err(|answer| format!("PostgreSQL does not answer: {answer:?}"))?;
            *kept = Some(Connection::open(&endpoint, &deadline).map_err(|error| chain(&error))?);
        }
        match kept.as_mut() {
            Some(connection) => work(connection, &deadline).map_err(|error| chain(&error)),
            None => Err("there is no connection to PostgreSQL".into()),
        }
    }

    /// Whether PostgreSQL has been told to promote and is not through.
    pub fn promotion_pending(&self) -> Known<bool> {
        match SignalFile::Promote.is_there(self.runtime.place()) {
            Ok(true) => return Known::Known(true),
            Ok(false) => {}
            Err(error) => return Known::Unknown(chain(&error)),
        }
        Known::from(
            self.with_connection(|connection, deadline| {
                acts::promotion_pending(connection, deadline)
            }),
        )
    }

    fn psql(&self) -> Result<Cmd, String> {
        self.runtime.command("psql").map_err(|error| chain(&error))
    }

    /// System, timeline and position of our own running instance.
    pub fn identify(&self, deadline: &Deadline) -> Known<Identified> {
        let place = self.runtime.place();
        let endpoint = match instance::endpoint(place) {
            Ok(endpoint) => endpoint,
            Err(answer) => {
                return Known::Unknown(format!("PostgreSQL does not answer: {answer:?}"));
            }
        };
        let psql = match self.psql() {
            Ok(psql) => psql,
            Err(why) => return Known::Unknown(why),
        };
        let answer = peer::local_identify(
            self.exec,
            psql,
            &endpoint.socket_dir.display().to_string(),
            endpoint.port,
            &place.user.name,
            deadline.bounded(Duration::from_secs(5)),
        );
        match answer {
            PeerAnswer::Primary(Identity { system, .. })
            | PeerAnswer::Standby(Identity { system, .. }) => Known::Known(system),
            other => {
                Known::Unknown(format!("IDENTIFY_SYSTEM on the own socket: {}", words(&other)))
            }
        }
    }

    /// Asks a peer who it is.
    pub fn identify_peer(&self, peer: &Peer, limit: Duration) -> PeerAnswer {
        match self.psql() {
            Ok(psql) => peer::identify(self.exec, psql, peer, limit),
            Err(why) => PeerAnswer::Unknown(why),
        }
    }

    /// The history of a peer's timeline.
    pub fn peer_history(&self, peer: &Peer, timeline: Timeline, limit: Duration) -> Known<History> {
        match self.psql() {
            Ok(psql) => match peer::timeline_history(self.exec, psql, peer, timeline, limit) {
                Ok(history) => Known::Known(history),
                Err(answer) => Known::Unknown(words(&answer)),
            },
            Err(why) => Known::Unknown(why),
        }
    }

    /// The history of a timeline from our own files.
    pub fn history_of(&self, timeline: Timeline) -> Known<History> {
        match wal::history(self.runtime.place(), timeline) {
            Ok(Some(history)) => Known::Known(history),
            Ok(None) => {
                Known::unknown(format!("there is no history file of timeline {timeline} here"))
            }
            Err(error) => Known::Unknown(chain(&error)),
        }
    }

    /// Starts the postmaster. An instance that lives and takes no sessions yet is started.
    pub fn start(&self, deadline: &Deadline) -> Result<(), String> {
        self.connection.replace(None);
        let launched = self.runtime.launch().map_err(|error| chain(&error))?;
        let wait = deadline.within(Duration::from_secs(1));
        start::wait_ready(self.runtime, &launched, &wait).map(|_| ()).map_err(|error| chain(&error))
    }

    /// Stops it by whatever is needed.
    pub fn stop(&self, deadline: &Deadline) -> Result<Stopped, String> {
        self.connection.replace(None);
        stop::stop(
            self.runtime,
            Shutdown::Fast,
            Patience::of(deadline.left()),
            deadline,
            &mut || {},
        )
        .map_err(|error| chain(&error))
    }

    /// A fast shutdown and nothing harsher.
    pub fn shut_down_in_order(&self, deadline: &Deadline) -> Result<(), String> {
        self.connection.replace(None);
        self.runtime.signal(Shutdown::Fast).map_err(|error| chain(&error))?;
        loop {
            match self.runtime.process() {
                Process::None => return Ok(()),
                _ if deadline.expired() => {
                    return Err("the fast shutdown did not come to its end in time".into());
                }
                _ => deadline.sleep(Duration::from_millis(10)),
            }
        }
    }

    /// `pg_ctl promote`.
    pub fn promote(&self, deadline: &Deadline) -> Result<(), String> {
        start::promote(self.runtime, self.exec, deadline).map_err(|error| chain(&error))
    }

    /// Crash recovery in single-user mode.
    pub fn recover_single_user(&self, deadline: &Deadline) -> Result<(), String> {
        recover::single_user_recover(self.runtime, self.exec, deadline)
            .map(|_| ())
            .map_err(|error| chain(&error))
    }

    /// The end of the shutdown checkpoint of a stopped primary.
    pub fn end_of_checkpoint(&self, control: &ControlData, deadline: &Deadline) -> Known<Lsn> {
        match wal::end_of_shutdown_checkpoint(self.runtime, self.exec, control, deadline) {
            Ok(end) => Known::Known(end),
            Err(error) => Known::Unknown(chain(&error)),
        }
    }

    /// Writes settings into postgresql.auto.conf.
    pub fn set_auto_conf(&self, values: &[(&str, Option<&str>)]) -> Result<(), String> {
        settings::set_auto_conf(self.runtime.place(), values)
            .map(|_| ())
            .map_err(|error| chain(&error))
    }

    /// The value of a setting in postgresql.auto.conf.
    pub fn auto_conf_value(&self, name: &str) -> Option<String> {
        let text = settings::auto_conf(self.runtime.place()).ok()?;
        conf::get(&text, name)
    }

    /// Makes the server read its configuration again, by SQL, or by a signal where it takes none.
    pub fn reload(&self) -> Result<(), String> {
        self.with_connection(|connection, deadline| acts::reload(connection, deadline))
            .or_else(|_| self.runtime.reload().map_err(|error| chain(&error)))
    }

    /// Both.
    pub fn set_and_reload(&self, values: &[(&str, Option<&str>)]) -> Result<(), String> {
        self.set_auto_conf(values)?;
        self.reload()
    }

    /// Waits until a fresh session sees a setting.
    pub fn await_setting(
        &self,
        name: &str,
        value: &str,
        deadline: &Deadline,
    ) -> Result<(), String> {
        let end = deadline.within(Duration::from_secs(5));
        loop {
            self.connection.replace(None);
            let seen = self.with_connection(|c, deadline| acts::show(c, name, deadline))?;
            if seen == value {
                return Ok(());
            }
            if end.expired() {
                return Err(format!(
                    "{name} is {seen:?} after a reload, not {value:?}: another file or an ALTER \
                     ROLE overrides postgresql.auto.conf"
                ));
            }
            end.sleep(Duration::from_millis(10));
        }
    }

    /// Makes it be a standby at its next start.
    pub fn ensure_standby_signal(&self) -> Result<(), String> {
        SignalFile::Standby.create(self.runtime.place()).map_err(|error| chain(&error))
    }

    /// Asks for a checkpoint and does not wait for it.
    pub fn request_checkpoint(&self) -> Result<(), String> {
        self.with_connection(|connection, deadline| acts::request_checkpoint(connection, deadline))
    }

    /// Makes the slots that are missing.
    pub fn ensure_slots(&self, wanted: &[String]) -> Result<(), String> {
        for name in wanted {
            self.with_connection(|connection, deadline| {
                acts::create_physical_slot(connection, name, deadline)
            })?;
        }
        Ok(())
    }

    /// Lines that pg_hba.conf lacks for the replication user; none when both entries are there.
    pub fn missing_hba(&self) -> Result<Vec<String>, String> {
        let rules =
            self.with_connection(|connection, deadline| acts::hba_rules(connection, deadline))?;
        let presence = Presence::find(&rules, &self.repuser);
        Ok(if presence.is_complete() {
            Vec::new()
        } else {
            presence.lines_to_add(&self.repuser, &["samenet"])
        })
    }

    /// Whether a starting standby has replayed all it has and waits for an upstream, as it does for
    /// ever after a crash with an overflowed snapshot.
    pub fn waits_for_upstream(&self, instance: &Instance) -> bool {
        matches!((&instance.process, &instance.sql), (Process::Running { .. }, Sql::Starting(_)))
    }

    /// Why the receiver does not stream, as far as the server can say.
    pub fn receiver_trouble(&self) -> Option<String> {
        None
    }
}

/// A peer's answer, for people.
pub fn words(answer: &PeerAnswer) -> String {
    match answer {
        PeerAnswer::Primary(_) => "it accepts writes".into(),
        PeerAnswer::Standby(_) => "it is a standby".into(),
        PeerAnswer::Starting(why) => format!("it does not take connections yet ({why})"),
        PeerAnswer::ShuttingDown => "it is shutting down".into(),
        PeerAnswer::Busy(why) => format!("it has no connection left ({why})"),
        PeerAnswer::AuthFailed(why) => format!("it did not let us in ({why})"),
        PeerAnswer::Refused => "nobody listens there".into(),
        PeerAnswer::Unreachable(why) => format!("it cannot be reached ({why})"),
        PeerAnswer::NoAnswer => "it accepts connections and does not answer".into(),
        PeerAnswer::Unknown(why) => why.clone(),
    }
}
