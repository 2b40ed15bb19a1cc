//! Our own instance and its peers on real PostgreSQL: every installed major version, in a temporary
//! directory, as a user of the tests' own (as oneself, where the tests don't run as root).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use pgtwin::client::peer::{Peer, PeerAnswer};
use pgtwin::client::sql::{Connection, Wire, acts};
use pgtwin::cluster::known::Known;
use pgtwin::decide::facts::{DataDir, Instance, PrimaryFacts, Process, Sql, StandbyFacts};
use pgtwin::ocf::params::Params;
use pgtwin::postgres::control_data::{ClusterState, ControlData};
use pgtwin::postgres::lsn::{Lsn, Timeline};
use pgtwin::runtime::instance::Postgres;
use pgtwin::runtime::look;
use pgtwin::sys::deadline::{Deadline, poll_until};
use pgtwin::sys::exec::{Cmd, Exec, System};
use pgtwin::sys::privilege::User;

/// The effective identity belongs to the whole process, so one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const TEST_USER: &str = "pgtwin-test";
/// How long something that surely happens may take on a busy machine.
const LONG: Duration = Duration::from_mins(1);

fn soon() -> Deadline {
    Deadline::after(LONG)
}

fn test_user() -> User {
    if !geteuid().is_root() {
        let me = nix::unistd::User::from_uid(geteuid()).unwrap().unwrap();
        return User::named(&me.name).unwrap();
    }
    if User::named(TEST_USER).is_err() {
        let add = Cmd::new("useradd").args(["--system", "--create-home", TEST_USER]);
        let output = System.run(&add).unwrap();
        assert!(output.ok(), "{output:?}");
    }
    User::named(TEST_USER).unwrap()
}

fn majors() -> Vec<(u32, PathBuf)> {
    let mut found: Vec<(u32, PathBuf)> = (13..=18)
        .map(|major| (major, PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"))))
        .filter(|(_, dir)| dir.join("initdb").exists())
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no PostgreSQL below /usr/lib/postgresql");
    found
}

/// A directory with instances of one version, all of them ended when it goes.
struct Place {
    dir: tempfile::TempDir,
    user: User,
    bindir: PathBuf,
    major: u32,
    instances: std::cell::RefCell<Vec<(String, u16)>>,
    _alone: MutexGuard<'static, ()>,
}

/// Runs a test on every version.
fn on_every_version(test: impl Fn(&Place)) {
    for (major, bindir) in majors() {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let user = test_user();
        let dir = tempfile::Builder::new().prefix("pgtwin-").tempdir().unwrap();
        if geteuid().is_root() {
            chown(dir.path(), Some(user.uid), Some(user.gid)).unwrap();
        }
        eprintln!("PostgreSQL {major} in {}", dir.path().display());
        let instances = std::cell::RefCell::default();
        test(&Place { dir, user, bindir, major, instances, _alone: alone });
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, program: &str, args: &[&str]) -> String {
        let cmd = Cmd::new(self.bindir.join(program).display().to_string())
            .args(args.iter().copied())
            .user(&self.user.name)
            .limit(LONG);
        let output = System.run(&cmd).unwrap();
        assert!(output.ok(), "{program} {args:?}: {output:?}");
        output.stdout
    }

    fn write(&self, path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        if geteuid().is_root() {
            chown(path, Some(self.user.uid), Some(self.user.gid)).unwrap();
        }
    }

    fn append(&self, path: &Path, text: &str) {
        let old = fs::read_to_string(path).unwrap();
        self.write(path, &(old + text), 0o600);
    }

    fn params(&self, name: &str, port: u16) -> Params {
        Params {
            pgdata: self.path(name).display().to_string(),
            pgport: port,
            pguser: self.user.name.clone(),
            pg_bindir: Some(self.bindir.display().to_string()),
            ..Params::default()
        }
    }

    /// The instance of this name, as the agent would have it.
    fn instance(&self, name: &str, port: u16) -> Postgres<'static> {
        self.instances.borrow_mut().push((name.to_owned(), port));
        let log = self.path(&format!("{name}.start.log"));
        Postgres::new(&System, &self.params(name, port), log).unwrap()
    }

    /// A new primary that has not been started.
    fn initdb(&self, name: &str) -> (Postgres<'static>, u16) {
        let port = free_port();
        let data = self.path(name);
        let data_text = data.display().to_string();
        self.run(
            "initdb",
            &[
                "-D",
                &data_text,
                "-N",
                "-k",
                "-A",
                "peer",
                "--auth-host=scram-sha-256",
                "-E",
                "UTF8",
            ],
        );
        self.append(
            &data.join("postgresql.conf"),
            &format!(
                "unix_socket_directories = '{}'\nlisten_addresses = '127.0.0.1'\n\
                 shared_buffers = 16MB\nwal_keep_size = 64MB\nfsync = off\n\
                 restart_after_crash = off\nwal_retrieve_retry_interval = 200ms\n",
                self.dir.path().display()
            ),
        );
        (self.instance(name, port), port)
    }

    /// A standby of a running primary, not started.
    fn basebackup(&self, primary_port: u16, name: &str) -> (Postgres<'static>, u16) {
        let port = free_port();
        let from = format!(
            "host={} port={primary_port} user={} application_name={name}",
            self.dir.path().display(),
            self.user.name
        );
        let data = self.path(name).display().to_string();
        self.run("pg_basebackup", &["-d", &from, "-D", &data, "-R", "-c", "fast", "-N"]);
        // -R does not write the application_name of the tool that made the copy.
        let pg = self.instance(name, port);
        pg.set_auto_conf(&[("primary_conninfo", Some(&from))]).unwrap();
        (pg, port)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for (name, port) in self.instances.borrow_mut().drain(..) {
            let log = self.dir.path().join("cleanup.log");
            let params = Params {
                pgdata: self.dir.path().join(name).display().to_string(),
                pgport: port,
                pguser: self.user.name.clone(),
                ..Params::default()
            };
            if let Ok(pg) = Postgres::new(&System, &params, log) {
                let _ = pg.runtime().signal(pgtwin::runtime::Shutdown::Kill);
            }
        }
    }
}

fn now(pg: &Postgres<'_>) -> Instance {
    pg.look(&Deadline::after(Duration::from_secs(10)))
}

fn await_primary(pg: &Postgres<'_>) -> PrimaryFacts {
    poll_until(&soon(), Duration::from_millis(20), || match now(pg).sql {
        Sql::Primary(facts) => Some(*facts),
        _ => None,
    })
    .unwrap_or_else(|| panic!("no primary: {:?}", now(pg)))
}

fn await_standby(pg: &Postgres<'_>, good: impl Fn(&StandbyFacts) -> bool) -> StandbyFacts {
    poll_until(&soon(), Duration::from_millis(20), || match now(pg).sql {
        Sql::Standby(facts) if good(&facts) => Some(*facts),
        _ => None,
    })
    .unwrap_or_else(|| panic!("no such standby: {:?}", now(pg)))
}

fn started_primary(place: &Place, name: &str) -> (Postgres<'static>, u16) {
    let (pg, port) = place.initdb(name);
    pg.start(&soon()).unwrap();
    await_primary(&pg);
    (pg, port)
}

fn pid(pg: &Postgres<'_>) -> i32 {
    match pg.runtime().process() {
        Process::Running { pid, .. } => pid,
        other => panic!("{other:?}"),
    }
}

fn session(pg: &Postgres<'_>) -> Connection {
    look::open(pg.place(), pid(pg), &soon()).unwrap_or_else(|answer| panic!("{answer:?}"))
}

fn sql(pg: &Postgres<'_>, text: &str) -> Vec<Vec<Option<String>>> {
    session(pg).ask(text, &soon()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn value(pg: &Postgres<'_>, text: &str) -> String {
    sql(pg, text)[0][0].clone().unwrap_or_default()
}

fn control(pg: &Postgres<'_>) -> Box<ControlData> {
    match pg.data_dir() {
        DataDir::Cluster(control) => control,
        other => panic!("{other:?}"),
    }
}

fn identify(pg: &Postgres<'_>) -> pgtwin::client::peer::Identity {
    match pg.identify(&soon()) {
        Known::Known(identity) => identity,
        Known::Unknown(why) => panic!("{why}"),
    }
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn await_process(pg: &Postgres<'_>, good: impl Fn(&Process) -> bool) -> Process {
    poll_until(&soon(), Duration::from_millis(10), || {
        Some(pg.runtime().process()).filter(|process| good(process))
    })
    .unwrap_or_else(|| panic!("{:?}", pg.runtime().process()))
}

/// The postmaster killed, and its children gone.
fn crash(pg: &Postgres<'_>) {
    signal(pid(pg), Signal::SIGKILL);
    await_process(pg, |process| *process == Process::None);
}

#[test]
fn a_data_directory_is_absent_empty_unusable_or_a_cluster() {
    on_every_version(|place| {
        let pg = place.instance("data", free_port());
        let data = place.path("data");
        let make = |path: &Path| {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
            if geteuid().is_root() {
                chown(path, Some(place.user.uid), Some(place.user.gid)).unwrap();
            }
        };
        assert_eq!(
            now(&pg),
            Instance { data: DataDir::Absent, process: Process::None, sql: Sql::NotAsked }
        );
        make(&data);
        assert_eq!(pg.data_dir(), DataDir::Empty);
        make(&data.join("lost+found"));
        assert_eq!(pg.data_dir(), DataDir::Empty);
        let unusable = |expected: &str| match pg.data_dir() {
            DataDir::Unusable(why) => assert!(why.contains(expected), "{why}"),
            other => panic!("{expected}: {other:?}"),
        };
        place.write(&data.join("photo.jpg"), "x", 0o600);
        unusable("photo.jpg");
        place.write(&data.join("PG_VERSION"), "eleven\n", 0o600);
        unusable("PG_VERSION");
        place.write(&data.join("PG_VERSION"), &format!("{}\n", place.major), 0o600);
        unusable("No such file or directory");
        fs::remove_dir_all(&data).unwrap();
        place.write(&data, "", 0o600);
        unusable("not a directory");
        fs::remove_file(&data).unwrap();

        let (elsewhere, _) = place.initdb("elsewhere");
        assert_eq!(control(&elsewhere).state, ClusterState::ShutDown);
        symlink(place.path("elsewhere"), &data).unwrap();
        assert_eq!(control(&pg).system_id, control(&elsewhere).system_id);
        for (mode, refused) in [(0o750, false), (0o755, true), (0o770, true), (0o700, false)] {
            let path = place.path("elsewhere");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match pg.data_dir() {
                DataDir::Unusable(why) if refused => assert!(why.contains("chmod 0700"), "{why}"),
                DataDir::Cluster(_) if !refused => {}
                other => panic!("{mode:o}: {other:?}"),
            }
        }
        if geteuid().is_root() {
            chown(place.path("elsewhere"), Some(0), Some(0)).unwrap();
            unusable("chown -R");
            chown(place.path("elsewhere"), Some(place.user.uid), None).unwrap();
        }
        place.write(&place.path("elsewhere").join("PG_VERSION"), "12\n", 0o600);
        let fresh = place.instance("elsewhere", free_port());
        match fresh.check_programs() {
            Err(why) => assert!(why.contains("the data directory is of 12"), "{why}"),
            Ok(()) => panic!("programs of {} for data of 12", place.major),
        }
    });
}

#[test]
fn a_control_file_that_is_damaged_is_not_believed() {
    on_every_version(|place| {
        let (pg, _) = place.initdb("n1");
        let file = place.path("n1").join("global/pg_control");
        let mut bytes = fs::read(&file).unwrap();
        bytes[40] ^= 0xff;
        fs::write(&file, bytes).unwrap();
        match pg.data_dir() {
            DataDir::Unusable(why) => assert!(why.contains("damaged"), "{why}"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_primary_starts_answers_and_stops_cleanly() {
    on_every_version(|place| {
        let (pg, port) = place.initdb("n1");
        assert_eq!(now(&pg).process, Process::None);
        pg.start(&soon()).unwrap();
        let facts = await_primary(&pg);
        assert_eq!(facts.version / 10_000, place.major);
        assert_eq!(facts.timeline, Timeline(1));
        assert_eq!((facts.names.as_str(), facts.walsenders.len()), ("", 0));
        assert!(facts.redo <= facts.insert && facts.redo.is_valid());
        let words: Vec<&String> =
            facts.weaknesses.iter().filter(|words| !words.contains("skips the wait")).collect();
        assert_eq!(words.len(), 2, "{words:?}");
        assert!(words[0].contains("fsync") && words[1].contains("max_slot_wal_keep_size"));
        let started = value(&pg, "SELECT floor(extract(epoch FROM pg_postmaster_start_time()))");
        assert_eq!(facts.started / 1_000_000, started.parse::<i64>().unwrap());
        assert!(matches!(now(&pg).process, Process::Running { stopped: false, .. }));

        let session = session(&pg);
        assert_eq!(session.postmaster_pid(), pid(&pg));
        drop(session);
        for (setting, expected) in [
            ("application_name", "pgtwin_agent"),
            ("search_path", "pg_catalog,pg_temp"),
            ("session_user", &place.user.name),
            ("port", &port.to_string()),
        ] {
            let found = if setting == "session_user" {
                value(&pg, "SELECT session_user")
            } else {
                value(&pg, &format!("SELECT current_setting('{setting}')"))
            };
            assert_eq!(found, expected, "{setting}");
        }
        pg.stop(&soon()).unwrap();
        let instance = now(&pg);
        assert_eq!((&instance.process, &instance.sql), (&Process::None, &Sql::NotAsked));
        let control = control(&pg);
        assert_eq!(control.state, ClusterState::ShutDown);
        assert_eq!(control.system_id, facts.system_id);
        pg.stop(&soon()).unwrap();
    });
}

#[test]
fn the_parameters_win_over_a_configuration_that_lies_elsewhere() {
    on_every_version(|place| {
        let (first, _) = place.initdb("n1");
        drop(first);
        let sockets = place.path("my sockets");
        fs::create_dir(&sockets).unwrap();
        if geteuid().is_root() {
            chown(&sockets, Some(place.user.uid), None).unwrap();
        }
        // Debian's layout; the data_directory in it is of another instance.
        let conf = place.path("elsewhere.conf");
        fs::rename(place.path("n1").join("postgresql.conf"), &conf).unwrap();
        place.append(&conf, &format!("data_directory = '{}'\n", place.path("n2").display()));
        place.append(
            &conf,
            &format!(
                "hba_file = '{0}/pg_hba.conf'\nident_file = '{0}/pg_ident.conf'\n",
                place.path("n1").display()
            ),
        );
        let port = free_port();
        let params = Params {
            config_file: Some(conf.display().to_string()),
            socket_dir: Some(sockets.display().to_string()),
            start_opts: vec!["-c".into(), "work_mem=5MB".into()],
            ..place.params("n1", port)
        };
        let pg = Postgres::new(&System, &params, place.path("x.log")).unwrap();
        place.instances.borrow_mut().push(("n1".into(), port));
        pg.start(&soon()).unwrap();
        await_primary(&pg);
        for (setting, expected) in [
            ("data_directory", place.path("n1").display().to_string()),
            ("config_file", conf.display().to_string()),
            ("unix_socket_directories", sockets.display().to_string()),
            ("work_mem", "5MB".into()),
            ("port", port.to_string()),
        ] {
            assert_eq!(value(&pg, &format!("SELECT current_setting('{setting}')")), expected);
        }
        pg.stop(&soon()).unwrap();
    });
}

#[test]
fn a_start_that_fails_says_why() {
    on_every_version(|place| {
        let (pg, _) = place.initdb("n1");
        place.append(&place.path("n1").join("postgresql.conf"), "no_such_setting = 1\n");
        let why = pg.start(&soon()).unwrap_err();
        assert!(why.contains("FATAL") && why.contains("exit 1"), "{why}");
        assert!(!why.contains('\n'), "{why}");
        assert_eq!(pg.runtime().process(), Process::None);

        let (good, port) = started_primary(place, "n2");
        let (other, _) = place.initdb("n3");
        drop(other);
        let same_port = place.instance("n3", port);
        let why = same_port.start(&soon()).unwrap_err();
        assert!(why.contains("already in use"), "{why}");
        assert_eq!(same_port.runtime().process(), Process::None);
        await_primary(&good);
    });
}

#[test]
fn a_crash_is_seen_and_recovered_in_single_user_mode() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        sql(&pg, "CREATE TABLE public.t AS SELECT generate_series(1, 1000) AS n");
        let mut open = session(&pg);
        open.ask("BEGIN; INSERT INTO public.t SELECT generate_series(1, 500)", &soon()).unwrap();
        sql(&pg, "INSERT INTO public.t VALUES (0)");
        crash(&pg);
        drop(open);
        let instance = now(&pg);
        assert_eq!((&instance.process, &instance.sql), (&Process::None, &Sql::NotAsked));
        assert_eq!(control(&pg).state, ClusterState::InProduction);

        // As a start does it: standby.signal may be there already.
        pg.ensure_standby_signal().unwrap();
        pg.recover_single_user(&soon()).unwrap();
        assert_eq!(control(&pg).state, ClusterState::ShutDown);
        let signal_file = place.path("n1").join("standby.signal");
        assert!(signal_file.exists());
        let end = pg.end_of_checkpoint(&control(&pg), &soon()).into_result().unwrap();

        pg.start(&soon()).unwrap();
        let facts = await_standby(&pg, StandbyFacts::at_end_of_wal);
        assert_eq!(facts.receive, None);
        assert_eq!(facts.replay, Some(end));
        assert_eq!(identify(&pg).lsn, end);
        pg.promote(&soon()).unwrap();
        await_primary(&pg);
        assert_eq!(value(&pg, "SELECT count(*) FROM public.t"), "1001");
    });
}

#[test]
fn single_user_recovery_refuses_what_it_could_spoil() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        let why = pg.recover_single_user(&soon()).unwrap_err();
        assert!(why.contains("Running"), "{why}");
        crash(&pg);
        let recovery = place.path("n1").join("recovery.signal");
        place.write(&recovery, "", 0o600);
        let why = pg.recover_single_user(&soon()).unwrap_err();
        assert!(why.contains("recovery.signal"), "{why}");
        assert_eq!(control(&pg).state, ClusterState::InProduction);
        fs::remove_file(&recovery).unwrap();
        place.append(&place.path("n1").join("postgresql.conf"), "no_such_setting = 1\n");
        let why = pg.recover_single_user(&soon()).unwrap_err();
        assert!(why.contains("no_such_setting") || why.contains("FATAL"), "{why}");
        assert!(place.path("n1").join("standby.signal").exists());
    });
}

#[test]
fn a_standby_has_everything_of_a_primary_that_was_shut_down_in_order() {
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        n1.ensure_slots(&["slot_n2".into(), "slot_n2".into()]).unwrap();
        let (n2, _) = place.basebackup(port, "n2");
        n2.set_auto_conf(&[("primary_slot_name", Some("slot_n2"))]).unwrap();
        n2.start(&soon()).unwrap();
        let facts = await_standby(&n2, StandbyFacts::streams);
        assert_eq!(facts.slot, "slot_n2");
        assert!(facts.conninfo.contains(&format!("port={port}")));
        assert_eq!((facts.paused, facts.apply_delay), (false, 0));
        let receiver = facts.receiver.unwrap();
        assert_eq!((receiver.port, receiver.timeline), (port, Timeline(1)));
        assert_eq!(receiver.host, place.dir.path().display().to_string());
        assert!(facts.receive.is_some());

        let primary = await_primary(&n1);
        assert_eq!(primary.slots, ["slot_n2"]);
        assert_eq!(primary.system_id, facts.system_id);
        let walsender = &primary.walsenders[0];
        assert_eq!((walsender.name.as_str(), walsender.state.as_str()), ("n2", "streaming"));
        assert_eq!((walsender.priority, walsender.sync_state.as_str()), (0, "async"));

        sql(&n1, "CREATE TABLE public.t AS SELECT generate_series(1, 50000) AS n");
        n1.shut_down_in_order(&soon()).unwrap();
        let control = control(&n1);
        assert_eq!(control.state, ClusterState::ShutDown);
        let end = n1.end_of_checkpoint(&control, &soon()).into_result().unwrap();
        let position = identify(&n2);
        assert_eq!((position.timeline, position.lsn), (control.timeline, end));
        let why = n2.end_of_checkpoint(&super_control(&n2), &soon()).into_result().unwrap_err();
        assert!(why.contains("not shut down as a primary"), "{why}");

        n2.promote(&soon()).unwrap();
        let primary = await_primary(&n2);
        assert_eq!(primary.timeline, Timeline(2));
        let line = n2.history_of(Timeline(2)).into_result().unwrap();
        assert!(line.contains(Timeline(1), end));
        assert_eq!(n2.highest_history(), Known::Known(Some(Timeline(2))));
        assert_eq!(n1.highest_history(), Known::Known(None));
        assert!(n1.history_of(Timeline(2)).why_unknown().unwrap().contains("00000002.history"));

        // The old primary follows without a rewind.
        let (dir, user) = (place.dir.path().display(), &place.user.name);
        let n2_port = value(&n2, "SELECT current_setting('port')");
        let back = format!("host={dir} port={n2_port} user={user} application_name=n1");
        n1.set_auto_conf(&[("primary_conninfo", Some(&back)), ("primary_slot_name", None)])
            .unwrap();
        n1.ensure_standby_signal().unwrap();
        n1.start(&soon()).unwrap();
        // At first it may stream the rest of timeline 1.
        await_standby(&n1, |facts| {
            facts.streams() && facts.receiver.as_ref().is_some_and(|r| r.timeline == Timeline(2))
        });
        assert_eq!(n1.history_of(Timeline(2)).into_result().unwrap(), line);
    });
}

fn super_control(pg: &Postgres<'_>) -> ControlData {
    *control(pg)
}

#[test]
fn a_frozen_standby_does_not_hold_up_a_shutdown_that_another_one_follows() {
    on_every_version(|place| {
        let (n1, port) = place.initdb("n1");
        // A dead peer is never noticed by PostgreSQL itself here.
        place.append(&place.path("n1").join("postgresql.conf"), "wal_sender_timeout = 0\n");
        n1.start(&soon()).unwrap();
        await_primary(&n1);
        let (n2, _) = place.basebackup(port, "n2");
        let (n3, _) = place.basebackup(port, "n3");
        for standby in [&n2, &n3] {
            standby.start(&soon()).unwrap();
            await_standby(standby, StandbyFacts::streams);
        }
        let receiver: i32 = value(&n3, "SELECT pid FROM pg_stat_wal_receiver").parse().unwrap();
        for (name, rows) in [("idle", 0), ("jammed", 400_000)] {
            signal(receiver, Signal::SIGSTOP);
            if rows > 0 {
                sql(
                    &n1,
                    &format!("CREATE TABLE public.{name} AS SELECT generate_series(1, {rows})"),
                );
            }
            n1.shut_down_in_order(&soon()).unwrap();
            let end = n1.end_of_checkpoint(&control(&n1), &soon()).into_result().unwrap();
            assert_eq!(identify(&n2).lsn, end, "{name}");
            signal(receiver, Signal::SIGCONT);
            if rows > 0 {
                break;
            }
            n1.start(&soon()).unwrap();
            await_primary(&n1);
            for standby in [&n2, &n3] {
                await_standby(standby, StandbyFacts::streams);
            }
            let again = value(&n3, "SELECT pid FROM pg_stat_wal_receiver");
            if again != receiver.to_string() {
                return a_frozen_receiver_jams(&n1, &n2, again.parse().unwrap());
            }
        }
    });
}

fn a_frozen_receiver_jams(n1: &Postgres<'_>, n2: &Postgres<'_>, receiver: i32) {
    signal(receiver, Signal::SIGSTOP);
    sql(n1, "CREATE TABLE public.jam AS SELECT generate_series(1, 400000)");
    n1.shut_down_in_order(&soon()).unwrap();
    let end = n1.end_of_checkpoint(&control(n1), &soon()).into_result().unwrap();
    assert_eq!(identify(n2).lsn, end);
    signal(receiver, Signal::SIGCONT);
}

#[test]
fn a_stopped_postmaster_hangs_and_is_stopped_all_the_same() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        signal(pid(&pg), Signal::SIGSTOP);
        await_process(&pg, |process| matches!(process, Process::Running { stopped: true, .. }));
        // Another process of the agent, without a session from before.
        let later = place.instance("n1", pg.place().port);
        let instance = later.look(&Deadline::after(Duration::from_millis(700)));
        assert_eq!(instance.sql, Sql::Hung);
        assert!(matches!(instance.process, Process::Running { stopped: true, .. }));
        assert!(matches!(instance.data, DataDir::Cluster(_)));
        later.stop(&soon()).unwrap();
        assert_eq!(later.runtime().process(), Process::None);
        assert_eq!(control(&later).state, ClusterState::ShutDown);
    });
}

#[test]
fn processes_that_a_dead_postmaster_left_are_orphans_and_a_stop_clears_them() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        let mut session = session(&pg);
        let backend: i32 = session.ask("SELECT pg_backend_pid()", &soon()).unwrap()[0][0]
            .clone()
            .unwrap()
            .parse()
            .unwrap();
        signal(backend, Signal::SIGSTOP);
        signal(pid(&pg), Signal::SIGKILL);
        let orphans = await_process(&pg, |process| *process == Process::Orphans(vec![backend]));
        let instance = now(&pg);
        assert_eq!((instance.process, instance.sql), (orphans, Sql::NotAsked));
        pg.stop(&soon()).unwrap();
        assert_eq!(pg.runtime().process(), Process::None);
    });
}

#[test]
fn nothing_is_believed_that_only_the_pid_file_says() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        let file = place.path("n1").join("postmaster.pid");
        let text = fs::read_to_string(&file).unwrap();
        let postmaster = pid(&pg);
        // The file names us, or nobody, or holds rubbish: the postmaster is found by itself.
        let others = [std::process::id().to_string(), "999999999".into(), "rubbish".into()];
        for first in others {
            let (_, rest) = text.split_once('\n').unwrap();
            place.write(&file, &format!("{first}\n{rest}"), 0o600);
            assert_eq!(pid(&pg), postmaster, "{first}");
        }
        // A clock that was set since the start does not hide it either.
        let mut lines: Vec<&str> = text.lines().collect();
        lines[2] = "1000000000";
        place.write(&file, &(lines.join("\n") + "\n"), 0o600);
        assert_eq!(pid(&pg), postmaster);
        place.write(&file, &text, 0o600);
        crash(&pg);
        // A stale file with the pid of a living process that is not PostgreSQL.
        let (_, rest) = text.split_once('\n').unwrap();
        place.write(&file, &format!("{}\n{rest}", std::process::id()), 0o600);
        assert_eq!(pg.runtime().process(), Process::None);
        pg.stop(&soon()).unwrap();
    });
}

#[test]
fn a_server_is_stopped_although_its_directory_is_gone() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        let postmaster = pid(&pg);
        fs::remove_dir_all(place.path("n1")).unwrap();
        let later = place.instance("n1", pg.place().port);
        // It looks after its own lock file once a minute only.
        assert_eq!(pid(&later), postmaster);
        later.stop(&soon()).unwrap();
        let instance = now(&later);
        assert_eq!((instance.data, instance.process), (DataDir::Absent, Process::None));
        assert!(
            matches!(
                pgtwin::sys::process::process(postmaster),
                pgtwin::sys::process::Process::Gone
            ) || is_zombie(postmaster)
        );
    });
}

#[test]
fn a_server_is_stopped_although_its_directory_was_renamed() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        let postmaster = pid(&pg);
        fs::rename(place.path("n1"), place.path("away")).unwrap();
        let params = Params {
            socket_dir: Some(place.dir.path().display().to_string()),
            ..place.params("n1", pg.place().port)
        };
        let later = Postgres::new(&System, &params, place.path("n1.start.log")).unwrap();
        assert_eq!(pid(&later), postmaster);
        later.stop(&soon()).unwrap();
        assert_eq!(now(&later).process, Process::None);
    });
}

/// A child of these tests that has ended and was not waited for.
fn is_zombie(pid: i32) -> bool {
    match pgtwin::sys::process::process(pid) {
        pgtwin::sys::process::Process::Present(facts) => facts.is_dead(),
        _ => false,
    }
}

#[test]
fn a_server_without_a_free_connection_is_busy_and_alive() {
    on_every_version(|place| {
        let (pg, _) = place.initdb("n1");
        place.append(
            &place.path("n1").join("postgresql.conf"),
            "max_connections = 4\nsuperuser_reserved_connections = 0\nmax_wal_senders = 0\n\
             wal_level = minimal\n",
        );
        pg.start(&soon()).unwrap();
        let bound = || Deadline::after(Duration::from_secs(10));
        poll_until(&soon(), Duration::from_millis(20), || {
            look::open(pg.place(), pid(&pg), &bound()).ok()
        })
        .unwrap();
        let mut sessions = Vec::new();
        for _ in 0..20 {
            match look::open(pg.place(), pid(&pg), &bound()) {
                Ok(session) => sessions.push(session),
                Err(_) => break,
            }
        }
        let instance = now(&pg);
        assert!(
            matches!(&instance.sql, Sql::Busy(why) if why.contains("too many clients")),
            "{instance:?}"
        );
        drop(sessions);
        await_primary(&pg);
    });
}

#[test]
fn a_statement_that_is_cut_short_is_busy_and_the_session_goes_on() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        let mut session =
            look::open(pg.place(), pid(&pg), &Deadline::after(Duration::from_secs(1))).unwrap();
        let error = session.ask("SELECT pg_sleep(600)", &soon()).unwrap_err();
        assert!(matches!(Sql::from(error), Sql::Busy(_)));
        session.ask("SELECT 1", &soon()).unwrap();
        let error =
            session.ask("SELECT pg_sleep(600)", &Deadline::after(Duration::from_millis(100)));
        assert_eq!(Sql::from(error.unwrap_err()), Sql::Hung);
    });
}

#[test]
fn a_standby_whose_snapshot_is_not_known_starts_and_waits_for_wal() {
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        // More than 64 open subtransactions overflow the snapshot.
        let mut open = session(&n1);
        open.ask("CREATE TABLE public.t (n int)", &soon()).unwrap();
        open.ask("BEGIN", &soon()).unwrap();
        for n in 0..80 {
            open.ask(&format!("SAVEPOINT s{n}; INSERT INTO public.t VALUES ({n})"), &soon())
                .unwrap();
        }
        n1.request_checkpoint().unwrap();
        sql(&n1, "CHECKPOINT");
        sql(&n1, "INSERT INTO public.t VALUES (1000)");
        crash(&n1);
        drop(open);
        n1.ensure_standby_signal().unwrap();
        n1.start(&soon()).unwrap();
        let waits = poll_until(&soon(), Duration::from_millis(50), || {
            n1.waits_for_upstream(&now(&n1)).then_some(())
        });
        assert!(waits.is_some(), "{:?}", now(&n1));
        let instance = now(&n1);
        assert!(matches!(instance.sql, Sql::Starting(_)), "{instance:?}");
        assert!(matches!(instance.process, Process::Running { stopped: false, .. }));
        // Reading its configuration again needs no session.
        n1.set_and_reload(&[("primary_conninfo", Some(&format!("host=127.0.0.1 port={port}")))])
            .unwrap();
        n1.stop(&soon()).unwrap();
    });
}

#[test]
fn settings_are_written_line_by_line_and_take_effect() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        sql(&pg, "ALTER SYSTEM SET work_mem = '7MB'");
        let names = r#"ANY 1 ("n-2", "n.3")"#;
        pg.set_and_reload(&[("synchronous_standby_names", Some(names)), ("port", None)]).unwrap();
        pg.await_setting("synchronous_standby_names", names, &soon()).unwrap();
        assert_eq!(await_primary(&pg).names, names);
        assert_eq!(pg.auto_conf_value("synchronous_standby_names").as_deref(), Some(names));
        assert_eq!(pg.auto_conf_value("work_mem").as_deref(), Some("7MB"));
        let file = place.path("n1").join("postgresql.auto.conf");
        let meta = fs::metadata(&file).unwrap();
        let owner = std::os::unix::fs::MetadataExt::uid(&meta);
        assert_eq!((meta.permissions().mode() & 0o777, owner), (0o600, place.user.uid));
        let before = std::os::unix::fs::MetadataExt::ino(&meta);
        pg.set_and_reload(&[("synchronous_standby_names", Some(names))]).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::ino(&fs::metadata(&file).unwrap()), before);

        // Its own SQL never waits for a standby that is not there.
        pg.ensure_slots(&["a".into()]).unwrap();
        assert_eq!(await_primary(&pg).slots, ["a"]);
        pg.drop_slot("a").unwrap();
        pg.drop_slot("a").unwrap();
        assert_eq!(await_primary(&pg).slots, Vec::<String>::new());

        let facts = await_primary(&pg);
        pg.request_checkpoint().unwrap();
        poll_until(&soon(), Duration::from_millis(20), || {
            (await_primary(&pg).redo >= facts.insert).then_some(())
        })
        .expect("the checkpoint began after it was asked for");
        let short = Deadline::after(Duration::from_millis(200));
        let why = pg.await_setting("work_mem", "1GB", &short).unwrap_err();
        assert!(why.contains("work_mem") && why.contains("7MB"), "{why}");

        place.append(&file, "this is = = broken\n");
        let why = pg.set_auto_conf(&[("work_mem", Some("9MB"))]).unwrap_err();
        assert!(why.contains("postgresql.auto.conf"), "{why}");
    });
}

#[test]
fn roles_and_databases_that_do_not_wait_are_named() {
    on_every_version(|place| {
        let (pg, _) = started_primary(place, "n1");
        sql(&pg, "CREATE ROLE bulk; ALTER ROLE bulk SET synchronous_commit = local");
        sql(&pg, "ALTER DATABASE template1 SET synchronous_commit TO off");
        sql(&pg, "ALTER SYSTEM SET synchronous_commit = remote_write");
        pg.reload().unwrap();
        pg.await_setting("synchronous_commit", "remote_write", &soon()).unwrap();
        let mut words = await_primary(&pg).weaknesses;
        words.extend(pg.overrides().unwrap());
        let words = words.join("\n");
        for expected in [
            "synchronous_commit is remote_write",
            "local for role bulk",
            "off for database template1",
        ] {
            assert!(words.contains(expected), "{expected}: {words}");
        }
    });
}

#[test]
fn slots_of_a_standby_are_made_and_moved_forward() {
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        let (n2, _) = place.basebackup(port, "n2");
        n2.start(&soon()).unwrap();
        await_standby(&n2, StandbyFacts::streams);
        let names = ["slot_n3".to_owned()];
        n2.ensure_slots(&names).unwrap();
        assert_eq!(await_standby(&n2, |_| true).slots, names);
        sql(&n1, "CREATE TABLE public.t AS SELECT generate_series(1, 1000)");
        let target = await_primary(&n1).insert;
        await_standby(&n2, |facts| facts.replay >= Some(target));
        n2.advance_slots(&names, target).unwrap();
        let at = |pg| value(pg, "SELECT restart_lsn FROM pg_replication_slots").parse::<Lsn>();
        assert_eq!(at(&n2).unwrap(), target);
        // Never backwards, and not beyond what is replayed.
        n2.advance_slots(&names, Lsn(1)).unwrap();
        assert_eq!(at(&n2).unwrap(), target);
        n2.advance_slots(&names, Lsn(u64::MAX / 2)).unwrap();
        assert!(at(&n2).unwrap() <= await_standby(&n2, |_| true).replay.unwrap());
        n2.advance_slots(&[], target).unwrap();
    });
}

#[test]
fn a_promotion_request_is_pending_until_it_is_done() {
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        let (n2, _) = place.basebackup(port, "n2");
        // The end of recovery takes as long as this file is there.
        let gate = place.path("gate");
        place.write(&gate, "", 0o666);
        n2.set_auto_conf(&[(
            "recovery_end_command",
            Some(&format!("while test -e {}; do sleep 0.1; done", gate.display())),
        )])
        .unwrap();
        n2.start(&soon()).unwrap();
        await_standby(&n2, StandbyFacts::streams);
        assert_eq!(n2.promotion_pending(), Known::Known(false));

        sql(&n2, "SELECT pg_wal_replay_pause()");
        await_standby(&n2, |facts| facts.paused);
        assert_eq!(n2.promotion_pending(), Known::Known(false));
        assert!(await_standby(&n2, |_| true).paused, "asking has resumed a paused replay");
        sql(&n2, "SELECT pg_wal_replay_resume()");

        // Before the startup process has seen it.
        let startup: i32 =
            value(&n2, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'")
                .parse()
                .unwrap();
        signal(startup, Signal::SIGSTOP);
        n2.promote(&soon()).unwrap();
        assert_eq!(n2.promotion_pending(), Known::Known(true));
        signal(startup, Signal::SIGCONT);
        // After it has taken the file away.
        poll_until(&soon(), Duration::from_millis(20), || {
            (!place.path("n2").join("promote").exists()).then_some(())
        })
        .unwrap();
        let pending = poll_until(&soon(), Duration::from_millis(20), || {
            (n2.promotion_pending() == Known::Known(true)).then_some(())
        });
        assert!(pending.is_some());
        fs::remove_file(&gate).unwrap();
        await_primary(&n2);
        assert_eq!(n2.promotion_pending(), Known::Known(false));
        assert_eq!(n1.promotion_pending(), Known::Known(false));
    });
}

#[test]
fn the_position_of_ones_own_needs_a_line_in_pg_hba() {
    on_every_version(|place| {
        let (pg, _) = place.initdb("n1");
        let hba = place.path("n1").join("pg_hba.conf");
        place.write(&hba, "local all all peer\n", 0o600);
        pg.start(&soon()).unwrap();
        let facts = await_primary(&pg);
        let why = pg.identify(&soon());
        let expected = format!("local replication {} peer", place.user.name);
        assert!(why.why_unknown().is_some_and(|why| why.contains(&expected)), "{why:?}");
        place.write(&hba, "local all,replication all peer\nhost x y nonsense\n", 0o600);
        let rules = pg.hba_rules().into_result().unwrap();
        assert_eq!(rules[0].databases, ["all", "replication"]);
        assert!(rules[1].error.is_some());
        place.write(&hba, "local all,replication all peer\n", 0o600);
        pg.reload().unwrap();
        let identity =
            poll_until(&soon(), Duration::from_millis(50), || pg.identify(&soon()).known())
                .unwrap();
        assert_eq!((identity.system_id, identity.timeline), (facts.system_id, facts.timeline));
        assert_eq!(identity.version.major, place.major);
        assert!(identity.lsn.is_valid());
    });
}

#[test]
fn peers_are_asked_with_the_password_of_the_passfile() {
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        let password = r"a:b\c'd";
        sql(
            &n1,
            &format!(
                "CREATE ROLE replicator REPLICATION LOGIN PASSWORD '{}'",
                password.replace('\'', "''")
            ),
        );
        let passfile = place.path("my passfile's");
        let line = format!("127.0.0.1:{port}:replication:replicator:a\\:b\\\\c'd\n");
        place.write(&passfile, &line, 0o600);
        let peer = |port| Peer {
            host: "127.0.0.1".into(),
            port,
            user: "replicator".into(),
            passfile: Some(passfile.display().to_string()),
        };
        let ask = |pg: &Postgres<'_>, peer: &Peer| pg.identify_peer(peer, Duration::from_secs(20));
        let PeerAnswer::Primary(identity) = ask(&n1, &peer(port)) else {
            panic!("{:?}", ask(&n1, &peer(port)))
        };
        assert_eq!(identity.system_id, await_primary(&n1).system_id);
        // A primary whose sessions are read-only by default is a primary all the same.
        sql(&n1, "ALTER SYSTEM SET default_transaction_read_only = on");
        n1.reload().unwrap();
        n1.await_setting("default_transaction_read_only", "on", &soon()).unwrap();
        let answer = ask(&n1, &peer(port));
        assert!(
            matches!(answer, PeerAnswer::Primary(_))
                || place.major == 13 && matches!(answer, PeerAnswer::Unknown(_)),
            "{answer:?}"
        );
        let mut writer = session(&n1);
        writer.ask("SET default_transaction_read_only = off", &soon()).unwrap();
        writer.ask("ALTER SYSTEM RESET default_transaction_read_only", &soon()).unwrap();
        drop(writer);
        n1.reload().unwrap();

        let (n2, n2_port) = place.basebackup(port, "n2");
        n2.start(&soon()).unwrap();
        await_standby(&n2, StandbyFacts::streams);
        place.write(&passfile, &line.replace(&format!(":{port}:"), ":*:"), 0o600);
        let answer = ask(&n1, &peer(n2_port));
        assert!(matches!(answer, PeerAnswer::Standby(_)), "{answer:?}");
        n2.promote(&soon()).unwrap();
        await_primary(&n2);
        let PeerAnswer::Primary(identity) = ask(&n1, &peer(n2_port)) else { panic!() };
        assert_eq!(identity.timeline, Timeline(2));
        let limit = Duration::from_secs(20);
        let theirs = n1.peer_history(&peer(n2_port), Timeline(2), limit).into_result().unwrap();
        assert_eq!(theirs, n2.history_of(Timeline(2)).into_result().unwrap());
        assert!(n1.peer_history(&peer(n2_port), Timeline(9), limit).why_unknown().is_some());

        let mut none = peer(port);
        none.passfile = Some("/dev/null".into());
        let mut nobody = peer(port);
        nobody.user = "nobody_of_this_name".into();
        place.write(&place.path("wrong"), "*:*:*:*:wrong\n", 0o600);
        let mut wrong = peer(port);
        wrong.passfile = Some(place.path("wrong").display().to_string());
        for refused in [&none, &nobody, &wrong] {
            let answer = ask(&n1, refused);
            assert!(matches!(&answer, PeerAnswer::AuthFailed(_)), "{answer:?}");
        }
        sql(&n1, "ALTER ROLE replicator NOREPLICATION");
        let answer = ask(&n1, &peer(port));
        assert!(matches!(&answer, PeerAnswer::AuthFailed(_)), "{answer:?}");
        n1.stop(&soon()).unwrap();
        assert_eq!(ask(&n2, &peer(port)), PeerAnswer::Refused);
    });
}

/// A listener on which no connection comes about any more, and those that fill it.
fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // listen(2) again: only the length of the queue changes.
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let bound = Duration::from_millis(200);
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, bound) {
        held.push(stream);
    }
    (listener, held)
}

#[test]
fn a_peer_that_accepts_and_says_nothing_gives_no_answer() {
    on_every_version(|place| {
        let pg = place.instance("nothing", free_port());
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = Peer {
            host: "localhost".into(),
            port: silent.local_addr().unwrap().port(),
            user: "replicator".into(),
            passfile: None,
        };
        let answer = pg.identify_peer(&peer, Duration::from_secs(3));
        assert_eq!(answer, PeerAnswer::NoAnswer);
        // A machine that swallows what is sent to it: its queue is full.
        let full = full_listener();
        let port = full.0.local_addr().unwrap().port();
        let answer = pg.identify_peer(&Peer { port, ..peer }, Duration::from_secs(3));
        assert!(matches!(answer, PeerAnswer::Unreachable(_)), "{answer:?}");
    });
}

#[test]
fn a_look_without_the_user_or_on_a_foreign_socket_believes_nothing() {
    on_every_version(|place| {
        let params = Params { pguser: "no-such-user-here".into(), ..place.params("n1", 1) };
        assert!(Postgres::new(&System, &params, place.path("log")).is_err());

        let (n1, _) = started_primary(place, "n1");
        let (n2, _) = started_primary(place, "n2");
        // n2's pid file claims the port of n1.
        let file = place.path("n2").join("postmaster.pid");
        let text = fs::read_to_string(&file).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[3] = n1.place().port.to_string();
        place.write(&file, &(lines.join("\n") + "\n"), 0o600);
        let fresh = place.instance("n2", n2.place().port);
        match now(&fresh).sql {
            Sql::Unknown(why) => assert!(why.contains("not the postmaster"), "{why}"),
            other => panic!("{other:?}"),
        }
        place.write(&file, &text, 0o600);
        await_primary(&fresh);
        let mut session = session(&n1);
        assert!(!acts::terminate_walsender(&mut session, 1, "n9", &soon()).unwrap());
        acts::commit_locally(&mut session).unwrap();
    });
}
