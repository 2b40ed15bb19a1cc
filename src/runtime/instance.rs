//! Our own PostgreSQL as the agent knows it: every look and every act, each with its bound, and
//! errors in one line. Floor 2.

mod creation;
mod ending;
mod examination;
mod extensions;
pub mod hba;
pub mod recovery_facts;
mod slots;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::client::peer::{self, Identity, Peer, PeerAnswer};
use crate::client::sql::{self, Connection, SqlError, acts};
use crate::cluster::known::Known;
use crate::cluster::ledger::Beyond;
use crate::decide::facts::{DataDir, Instance, Process, Sql};
use crate::ocf::params::Params;
use crate::postgres::conf;
use crate::postgres::conninfo::Conninfo;
use crate::postgres::control_data::ControlData;
use crate::postgres::history::History;
use crate::postgres::lsn::{Lsn, Timeline};
use crate::sys::chain;
use crate::sys::deadline::{Deadline, poll_until};
use crate::sys::exec::Exec;
use crate::sys::privilege::PrivilegeError;

use super::data_dir::{self, SignalFile};
use super::passfile::{self, Copies, Fitness};
use super::startup_process::Activity;
use super::{
    BinariesError, Place, Runtime, Spec, at_boot, look, recover, settings, start, start_log, wal,
    way,
};

/// The role for replication where neither a parameter nor the passfile names one.
const REPLICATION_USER: &str = "replicator";
/// A setting of ours in postgresql.auto.conf, which means nothing to PostgreSQL. Everybody may read it.
const KEPT_LOGIN: &str = "pgtwin.primary_conninfo";
/// Bound of a quick question in a session that is open.
const QUICK: Duration = Duration::from_secs(5);
/// What a look at the data directory gets in any case: less than the margin of any honest deadline.
const AT_LEAST: Duration = Duration::from_millis(200);
/// How long one that was just seen to hang is waited for.
const ONCE_MORE: Duration = Duration::from_millis(500);
/// A startup process that did nothing for so long waits for WAL.
const IDLE_FOR: Duration = Duration::from_millis(300);

/// Our own instance. It keeps one session open from the first look that got an answer.
pub struct Postgres<'a> {
    exec: &'a dyn Exec,
    runtime: Box<dyn Runtime + 'a>,
    session: RefCell<Option<Connection>>,
    startup: RefCell<Option<(Instant, Activity)>>,
    repuser: Option<String>,
    passfile: Option<PathBuf>,
    copies: Copies,
    in_use: OnceCell<Option<PathBuf>>,
    until: Option<Deadline>,
    hung: String,
}

impl<'a> Postgres<'a> {
    /// The instance that the parameters name. `start_log` gets the postmaster's first words: a file
    /// in a directory of ours. Fails when its user does not exist, so that nothing of it can run.
    pub fn new(
        exec: &'a dyn Exec,
        params: &Params,
        start_log: PathBuf,
    ) -> Result<Self, PrivilegeError> {
        let place = Place::of(params, start_log)?;
        Ok(Self {
            exec,
            runtime: way(exec, place, Spec::asked(params)),
            session: RefCell::new(None),
            startup: RefCell::new(None),
            repuser: params.repuser.clone(),
            passfile: params.pgpassfile.as_ref().map(PathBuf::from),
            copies: Copies::None,
            in_use: OnceCell::new(),
            until: None,
            hung: String::new(),
        })
    }

    /// The same, with what is done about a passfile that libpq would pass over.
    #[must_use]
    pub fn with_copies(mut self, copies: Copies) -> Self {
        self.copies = copies;
        self
    }

    /// The same, with an end for all that has a bound of its own: no question goes on beyond it.
    #[must_use]
    pub fn until(mut self, deadline: Deadline) -> Self {
        self.until = Some(deadline);
        self
    }

    /// The same, where a monitor has just found that this postmaster ([`look::identity`]) hangs: what is done about that
    /// does not wait for its answers once more.
    #[must_use]
    pub fn seen_to_hang(mut self, postmaster: &str) -> Self {
        postmaster.clone_into(&mut self.hung);
        self
    }

    /// Whether this postmaster is the one that a monitor has found to hang.
    pub fn was_seen_to_hang(&self) -> bool {
        !self.hung.is_empty()
            && look::identity(&self.runtime.process()).is_some_and(|one| one == self.hung)
    }

    /// `time`, or what is left of all.
    fn bound(&self, time: Duration) -> Deadline {
        self.until.map_or_else(|| Deadline::after(time), |until| until.within(time))
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        self.runtime.place()
    }

    /// How it is run.
    pub fn runtime(&self) -> &dyn Runtime {
        self.runtime.as_ref()
    }

    /// Why this server is not one of the runtime that the parameters ask for, if one runs.
    pub fn runs_otherwise(&self) -> Option<String> {
        self.runtime.processes().run_otherwise(self.runtime.is_contained())
    }

    /// Whether this server runs in a container; none: none is seen to run.
    pub fn runs_contained(&self) -> Option<bool> {
        self.runtime.processes().are_contained()
    }

    /// Whether PostgreSQL's programs are there and fit the data.
    pub fn check_programs(&self) -> Result<(), BinariesError> {
        self.runtime.command("postgres").map(|_| ())
    }

    /// What starts this database at boot besides Pacemaker, one line each.
    pub fn started_at_boot(&self) -> Vec<String> {
        let place = self.place();
        at_boot::starters(Path::new("/"), &place.pgdata, place.config_file.as_deref())
    }

    /// Looks at everything. The directory is looked at only where the server does not answer: an
    /// answer says more than its control file, and a quiet monitor executes no program.
    pub fn look(&self, deadline: &Deadline) -> Instance {
        let session = self.session.borrow_mut().take();
        let hangs = self.was_seen_to_hang();
        let bound = if hangs { deadline.within(ONCE_MORE) } else { *deadline };
        let seen = look::look(self.runtime(), session, &bound);
        let answered = seen.connection.is_some();
        *self.session.borrow_mut() = seen.connection;
        let data = if answered {
            DataDir::Unknown("not looked at, for the server answers".to_owned())
        } else {
            // A server that hangs may have used up the time for its answers.
            let bound = self.bound(QUICK).max(*deadline).max(Deadline::after(AT_LEAST));
            data_dir::look(self.runtime(), self.exec, &bound)
        };
        Instance { data, process: seen.process, sql: seen.sql }
    }

    /// Keeps the file short that has what the postmaster prints.
    pub fn bound_log(&self) {
        if let Err(error) = start_log::bound(&self.place().start_log, start_log::LARGEST) {
            warn!("{} could not be shortened: {error}", self.place().start_log.display());
        }
    }

    /// The data directory alone.
    pub fn data_dir(&self) -> DataDir {
        data_dir::look(self.runtime(), self.exec, &self.bound(Duration::from_secs(10)))
    }

    /// Its position, as it tells a replication connection over its socket.
    pub fn identify(&self, deadline: &Deadline) -> Known<Identity> {
        let endpoint = match look::endpoint(self.place()) {
            Ok(endpoint) => endpoint,
            Err(answer) => return Known::unknown(answer.to_string()),
        };
        let psql = match self.runtime.command("psql") {
            Ok(psql) => psql,
            Err(error) => return Known::unknown(error.to_string()),
        };
        let dir = endpoint.socket_dir.display().to_string();
        let user = &self.place().user.name;
        let limit = self.bound(QUICK).bounded(deadline.left());
        match peer::local_identify(self.exec, psql, &dir, endpoint.port, user, limit) {
            PeerAnswer::Primary(identity) | PeerAnswer::Standby(identity) => Known::Known(identity),
            other => Known::unknown(format!("its position cannot be asked for: {other}")),
        }
    }

    /// The line of a timeline of its own.
    pub fn history_of(&self, timeline: Timeline) -> Known<History> {
        match wal::history(self.place(), timeline) {
            Ok(Some(history)) => Known::Known(history),
            Ok(None) => Known::unknown(format!(
                "{} is missing in pg_wal, so the line of timeline {timeline} is not known",
                timeline.history_file()
            )),
            Err(error) => Known::unknown(chain(&error)),
        }
    }

    /// What its WAL holds beyond a timeline.
    pub fn beyond(&self, timeline: Timeline, deadline: &Deadline) -> Known<Beyond> {
        let found = wal::beyond(self.runtime(), self.exec, timeline, deadline);
        found.map_err(|error| OneLine(chain(&error))).into()
    }

    /// Where the shutdown checkpoint ends that a primary wrote last.
    pub fn end_of_checkpoint(&self, control: &ControlData, deadline: &Deadline) -> Known<Lsn> {
        wal::end_of_shutdown_checkpoint(self.runtime(), self.exec, control, deadline)
            .map_err(|error| OneLine(chain(&error)))
            .into()
    }

    /// Whether it was told to promote and has not done so yet.
    pub fn promotion_pending(&self) -> Known<bool> {
        match SignalFile::Promote.is_there(self.place()) {
            Ok(true) => return Known::Known(true),
            Ok(false) => {}
            Err(error) => return Known::unknown(chain(&error)),
        }
        Known::from(self.with_session(acts::promotion_pending).map_err(OneLine))
    }

    /// Whether it runs, takes no session, and waits for WAL that it has not got: then it opens
    /// only with an upstream (a hot standby whose snapshot is not known yet). It is asked again and
    /// again: only two questions some time apart can see that nothing goes on.
    pub fn waits_for_upstream(&self, instance: &Instance) -> bool {
        if !matches!(instance.sql, Sql::Starting(_)) {
            return false;
        }
        let Some(now) = self.runtime.startup_activity() else { return false };
        let mut earlier = self.startup.borrow_mut();
        match earlier.as_ref() {
            Some((since, then)) if now.idle_since(then) => since.elapsed() >= IDLE_FOR,
            Some(_) | None => {
                *earlier = Some((Instant::now(), now));
                false
            }
        }
    }

    /// Starts the postmaster and sees it hold its lock file, or die.
    pub fn start(&self, deadline: &Deadline) -> Result<(), String> {
        *self.session.borrow_mut() = None;
        let launched = self.runtime.launch().map_err(|error| chain(&error))?;
        start::wait_running(self.runtime(), &launched, deadline).map_err(|error| chain(&error))
    }

    /// Tells a standby to become a primary; does not wait for it.
    pub fn promote(&self) -> Result<(), String> {
        start::promote(self.runtime()).map_err(|error| chain(&error))
    }

    /// Which of these settings a server that is started here would have, as its files and options say; it need
    /// not run.
    pub fn configured(
        &self,
        names: &[&'static str],
        deadline: &Deadline,
    ) -> Known<Vec<&'static str>> {
        let found = settings::configured(self.runtime(), self.exec, names, deadline);
        found.map_err(|error| chain(&error)).into()
    }

    /// Recovers a crashed primary in single-user mode, and leaves it shut down with standby.signal.
    pub fn recover_single_user(&self, deadline: &Deadline) -> Result<(), String> {
        recover::single_user_recover(self.runtime(), self.exec, deadline)
            .map(|_| ())
            .map_err(|error| chain(&error))
    }

    /// Makes its next start one as a standby.
    pub fn ensure_standby_signal(&self) -> Result<(), String> {
        SignalFile::Standby.create(self.place()).map_err(|error| chain(&error))
    }

    /// Sets (or with `None` removes) settings in postgresql.auto.conf.
    pub fn set_auto_conf(&self, values: &[(&str, Option<&str>)]) -> Result<(), String> {
        settings::set_auto_conf(self.place(), values).map_err(|error| chain(&error))
    }

    /// The same, and makes the server read them: also where the file has them already, for whoever wrote
    /// them may have been killed before it said so.
    pub fn set_and_reload(&self, values: &[(&str, Option<&str>)]) -> Result<(), String> {
        self.set_auto_conf(values).and_then(|()| self.reload())
    }

    /// A setting as postgresql.auto.conf has it.
    pub fn auto_conf_value(&self, name: &str) -> Option<String> {
        conf::get(&settings::auto_conf(self.place()).ok()?, name)
    }

    /// How this node logs in where it streams from, besides address and role: what an administrator has
    /// put into `primary_conninfo`, or had put there when it was cleared.
    pub fn login_like(&self) -> Conninfo {
        let Ok(text) = settings::auto_conf(self.place()) else { return Conninfo::new() };
        let read = |name| Conninfo::parse(&conf::get(&text, name)?).ok();
        let present = read("primary_conninfo").filter(|conninfo| !conninfo.is_empty());
        present.or_else(|| read(KEPT_LOGIN)).unwrap_or_default()
    }

    /// The setting that keeps [`Self::login_like`] while `primary_conninfo` is cleared: a node that is
    /// promoted, or has nobody to stream from, is a standby again one day. None: there is nothing to keep.
    pub fn kept_login(&self) -> Option<(String, String)> {
        let mut login = Conninfo::new();
        login.log_in_like(&self.login_like());
        (!login.is_empty()).then(|| (KEPT_LOGIN.to_owned(), login.to_text()))
    }

    /// The settings by which it streams from nobody, and keeps how it logs in.
    pub fn no_upstream(&self) -> Vec<(String, String)> {
        let mut settings: Vec<_> = self.kept_login().into_iter().collect();
        settings.push(("primary_conninfo".to_owned(), String::new()));
        settings
    }

    /// Makes the server, also one that takes no sessions yet, read its configuration again.
    pub fn reload(&self) -> Result<(), String> {
        self.runtime.reload().map_err(|error| chain(&error))
    }

    /// Waits until a session sees this value of a setting: then every session that begins from now
    /// on sees it.
    pub fn await_setting(
        &self,
        name: &str,
        value: &str,
        deadline: &Deadline,
    ) -> Result<(), String> {
        let mut last = String::new();
        poll_until(deadline, Duration::from_millis(10), || {
            match self.with_session(|wire, bound| acts::show(wire, name, bound)) {
                Ok(now) if now == value => return Some(()),
                Ok(now) => last = format!("it is {now:?}"),
                Err(why) => last = why,
            }
            None
        })
        .ok_or_else(|| format!("{name} did not become {value:?} in time: {last}"))
    }

    /// Asks for a checkpoint and does not wait for it.
    pub fn request_checkpoint(&self) -> Result<(), String> {
        self.with_session(acts::request_checkpoint)
    }

    /// Has a checkpoint written and waits for its end, as long as that takes within the deadline.
    pub fn checkpoint(&self, deadline: &Deadline) -> Result<(), String> {
        self.with_session(|wire, _| acts::checkpoint(wire, deadline))
    }

    /// Has another server write one.
    pub fn checkpoint_peer(&self, peer: &Peer, limit: Duration) -> Result<(), String> {
        let psql = self.runtime.command("psql").map_err(|error| error.to_string())?;
        peer::checkpoint(self.exec, psql, peer, limit).map_err(|answer| answer.to_string())
    }

    /// The value of a setting.
    pub fn setting(&self, name: &str) -> Known<String> {
        Known::from(self.with_session(|wire, bound| acts::show(wire, name, bound)).map_err(OneLine))
    }

    /// Roles and databases of a primary whose commits wait for no standby, in words.
    pub fn overrides(&self) -> Result<Vec<String>, String> {
        self.with_session(sql::look::overrides)
    }

    /// How late everybody who streams from this primary is, by application_name, in milliseconds; none
    /// where that was not measured.
    pub fn delays(&self) -> Result<BTreeMap<String, Option<u64>>, String> {
        self.with_session(sql::delays::of_all)
    }

    /// How late this standby is, in milliseconds; none when it has replayed no transaction.
    pub fn delay(&self) -> Result<Option<u64>, String> {
        self.with_session(sql::delays::of_one)
    }

    /// The role for replication connections: of the parameter, of the passfile, or `replicator`.
    pub fn replication_user(&self) -> String {
        if let Some(user) = &self.repuser {
            return user.clone();
        }
        let user = &self.place().user;
        let of_passfile =
            self.passfile_in_use().and_then(|path| passfile::replication_user(user, path));
        of_passfile.unwrap_or_else(|| REPLICATION_USER.to_owned())
    }

    /// The passfile that logins name: pgpassfile, or a copy of it for the PostgreSQL user.
    pub fn passfile(&self) -> Option<String> {
        self.passfile_in_use().map(|path| path.display().to_string())
    }

    fn passfile_in_use(&self) -> Option<&Path> {
        let find = || {
            let named = self.passfile.as_ref()?;
            Some(passfile::in_use(&self.place().user, named, &self.copies))
        };
        self.in_use.get_or_init(find).as_deref()
    }

    /// Whether libpq can use the passfile that a parameter names; none: none does.
    pub fn passfile_fitness(&self) -> Option<Fitness> {
        self.passfile.as_ref().map(|path| passfile::fitness(&self.place().user, path))
    }

    /// Asks another server who it is.
    pub fn identify_peer(&self, peer: &Peer, limit: Duration) -> PeerAnswer {
        match self.runtime.command("psql") {
            Ok(psql) => peer::identify(self.exec, psql, peer, limit),
            Err(error) => PeerAnswer::Unknown(error.to_string()),
        }
    }

    /// Asks another server for the line of a timeline.
    pub fn peer_history(&self, peer: &Peer, timeline: Timeline, limit: Duration) -> Known<History> {
        let psql = match self.runtime.command("psql") {
            Ok(psql) => psql,
            Err(error) => return Known::unknown(error.to_string()),
        };
        match peer::timeline_history(self.exec, psql, peer, timeline, limit) {
            Ok(history) => Known::Known(history),
            Err(answer) => Known::unknown(format!(
                "{} did not give the history of timeline {timeline}: {answer}",
                peer.host
            )),
        }
    }

    /// Runs a question in the open session, or in a new one.
    fn with_session<T>(
        &self,
        question: impl FnOnce(&mut dyn crate::client::sql::Wire, &Deadline) -> Result<T, SqlError>,
    ) -> Result<T, String> {
        let bound = self.bound(QUICK);
        let mut session = self.session.borrow_mut();
        if session.is_none() {
            let pid = match self.runtime.process() {
                Process::Running { pid, .. } => pid,
                other => return Err(format!("PostgreSQL cannot be asked: {other}")),
            };
            let opened = look::open(self.place(), pid, &bound);
            *session = Some(opened.map_err(|answer| format!("no session: {answer}"))?);
        }
        let Some(open) = session.as_mut() else { return Err("no session".to_owned()) };
        match question(open, &bound) {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if !matches!(error, SqlError::Server { .. } | SqlError::Answer(_)) {
                    *session = None;
                }
                Err(chain(&error))
            }
        }
    }
}

/// A text as an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct OneLine(String);
