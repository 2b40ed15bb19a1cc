//! n1, a real primary, and n2, its real standby; what Pacemaker's tools say is played.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pgtwin::agent::operate::Subject;
use pgtwin::agent::worker;
use pgtwin::cluster::ledger::{Entry, Mode, Own, PromotionId};
use pgtwin::cluster::node::NodeName;
use pgtwin::cluster::recovery::{Kept, Marker};
use pgtwin::ocf::params::Params;
use pgtwin::postgres::lsn::Timeline;
use pgtwin::runtime::Shutdown;
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::deadline::Deadline;
use pgtwin::sys::exec::System;

use crate::account::{NAME, home_of, test_user};
use crate::engine;

pub const RESOURCE: &str = "pgtwin-test-rebuild";
pub const TIME: Duration = Duration::from_mins(2);

pub fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

pub fn bindir() -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|dir| dir.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().unwrap()
}

pub fn succeeds(program: &str, args: &[&str]) -> String {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", NAME, "--regid", NAME, "--init-groups", "--"]);
    command.arg(bindir().join(program)).args(args).stdin(Stdio::null());
    command.env_clear().env("LC_ALL", "C.UTF-8").env("PATH", "/usr/bin:/bin").current_dir("/");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// n1, the primary, at 127.0.0.1, and n2, its standby, at 127.0.0.2; this is n2.
pub struct World {
    pub home: tempfile::TempDir,
    pub port: String,
    pub system: u64,
    /// What Pacemaker was told.
    pub told: Mutex<Vec<String>>,
    /// How often it was asked since n2 said that it is rebuilt.
    pub asked: AtomicU32,
    /// n1 counts on n2 whatever it says.
    pub stubborn: AtomicBool,
    /// What was asked of n2 on another node.
    pub order: Mutex<String>,
    /// The CIB takes no change.
    pub sealed: AtomicBool,
    /// Pacemaker has stopped it everywhere.
    pub stopped: AtomicBool,
    /// It has a tablespace, and WAL of its own elsewhere.
    pub spread: bool,
    /// pg_rewind fails after its first write.
    pub breaks: AtomicBool,
    /// When crash recovery ends, n4 has been promoted.
    pub overtakes: AtomicBool,
    /// It has been.
    pub overtaken: AtomicBool,
    /// n1's promotion, and what was given up for its data.
    pub promotion: u64,
    pub adopted: Option<Vec<u64>>,
    /// What n2 has told of the ledger, and the `admin_epoch` that it has set.
    pub slot: Mutex<Option<String>>,
    pub epoch: AtomicU64,
}

impl World {
    pub fn new() -> Self {
        Self::laid_out(false)
    }

    /// Its WAL and its tablespace lie in `wal` and `space`, and its configuration not in PGDATA.
    pub fn spread() -> Self {
        Self::laid_out(true)
    }

    fn laid_out(spread: bool) -> Self {
        forget();
        let home = home_of(&test_user());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut new = Self {
            home,
            port: port.to_string(),
            system: 0,
            told: Mutex::new(Vec::new()),
            asked: 0.into(),
            stubborn: true.into(),
            order: Mutex::new(String::new()),
            sealed: false.into(),
            stopped: false.into(),
            spread,
            breaks: false.into(),
            overtakes: false.into(),
            overtaken: false.into(),
            promotion: 7,
            adopted: None,
            slot: Mutex::new(None),
            epoch: 4.into(),
        };
        let standby = new.path("standby");
        new.make_primary();
        let source = format!("host=127.0.0.1 port={} user={NAME} application_name=n2", new.port);
        let mut copy: Vec<String> =
            ["-d", &source, "-D", &standby, "--checkpoint=fast"].map(str::to_owned).into();
        if spread {
            let there = new.make_dir("there");
            new.psql(&format!("CREATE TABLESPACE s LOCATION '{there}'"));
            new.psql("CREATE TABLE in_s TABLESPACE s AS SELECT 7 AS i");
            copy.push(format!("--waldir={}", new.path("wal")));
            copy.push(format!("--tablespace-mapping={there}={}", new.path("space")));
        }
        let copy: Vec<&str> = copy.iter().map(String::as_str).collect();
        succeeds("pg_basebackup", &copy);
        new.configure("standby", "127.0.0.2");
        let auto = new.home.path().join("standby/postgresql.auto.conf");
        let before = fs::read_to_string(&auto).unwrap();
        fs::write(&auto, format!("{before}primary_conninfo = '{source}'\n")).unwrap();
        for name in ["standby/standby.signal", "standby/mark-of-the-old-data"] {
            new.touch(name);
        }
        new.start("standby");
        new.streams();
        new
    }

    /// A database that did not exist before.
    pub fn make_primary(&mut self) {
        let primary = self.path("primary");
        let initdb = ["--auth-local=peer", "--auth-host=trust", "--data-checksums", "--no-sync"];
        succeeds("initdb", &[&initdb[..], &["--wal-segsize=1", "-D", &primary]].concat());
        self.configure("primary", "127.0.0.1");
        self.start("primary");
        let system = self.psql("SELECT system_identifier FROM pg_control_system()");
        self.system = system.parse().unwrap();
    }

    /// n1's data is of another database system now, and of another promotion.
    pub fn another_primary(&mut self) {
        self.stop("primary");
        for name in ["primary", "primary-socket"] {
            fs::remove_dir_all(self.home.path().join(name)).unwrap();
        }
        self.make_primary();
        self.promotion += 1;
    }

    /// The database system of n2's data.
    pub fn own_system(&self) -> u64 {
        let said = succeeds("pg_controldata", &["-D", &self.path("standby")]);
        let line =
            said.lines().find(|line| line.starts_with("Database system identifier")).unwrap();
        line.split_whitespace().last().unwrap().parse().unwrap()
    }

    pub fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    pub fn configure(&self, name: &str, address: &str) {
        let sockets = self.home.path().join(format!("{name}-socket"));
        self.make_dir(&format!("{name}-socket"));
        let conf = match self.config_file().filter(|_| name == "standby") {
            Some(file) => PathBuf::from(file),
            None => self.home.path().join(name).join("postgresql.conf"),
        };
        let text = format!(
            "port = {}\nlisten_addresses = '{address}'\nunix_socket_directories = '{}'\nfsync = off\n\
             logging_collector = on\nwal_receiver_status_interval = 1s\nwal_keep_size = 256MB\n",
            self.port,
            sockets.display()
        );
        fs::write(&conf, text).unwrap();
    }

    pub fn start(&self, name: &str) {
        let log = self.path(&format!("{name}.log"));
        let data = self.path(name);
        let mut args = vec!["-D", &data, "-l", &log, "-w", "start"];
        let option = self.config_file().map(|file| format!("-c config_file={file}"));
        if let Some(option) = option.as_deref().filter(|_| name == "standby") {
            args.extend(["-o", option]);
        }
        succeeds("pg_ctl", &args);
    }

    /// n2's instance as the agent has it, if it is to be in a container.
    pub fn params(&self) -> Params {
        let mut params = Params {
            pgdata: self.path("standby"),
            pgport: self.port.parse().unwrap(),
            pguser: NAME.to_owned(),
            socket_dir: Some(self.path("standby-socket")),
            ..Params::default()
        };
        engine::contain(&mut params, "n2", self.home.path(), &bindir());
        params
    }

    fn standby(&self) -> Postgres<'static> {
        let log = self.home.path().join(format!("{RESOURCE}.log"));
        Postgres::new(&System, &self.params(), log).unwrap()
    }

    pub fn config_file(&self) -> Option<String> {
        self.spread.then(|| self.path("standby.conf"))
    }

    /// A directory of pguser's.
    pub fn make_dir(&self, name: &str) -> String {
        let path = self.home.path().join(name);
        fs::create_dir_all(&path).unwrap();
        let user = test_user();
        chown(&path, Some(user.uid), Some(user.gid)).unwrap();
        self.path(name)
    }

    /// An empty file of pguser's.
    pub fn touch(&self, name: &str) {
        let path = self.home.path().join(name);
        fs::write(&path, "").unwrap();
        let user = test_user();
        chown(&path, Some(user.uid), Some(user.gid)).unwrap();
    }

    /// n2 has a ledger, and has followed n1.
    pub fn write_ledger(&self) {
        let mut own = Own::new(RESOURCE, &node("n2"));
        own.store.set_done(self.entry());
        own.followed = Some(PromotionId(7));
        let mut home = subject(self).home();
        home.take_turn(TIME).unwrap();
        home.write(&own).unwrap();
    }

    /// A server that was promoted by hand on n2's data has parted from n1, and crashed.
    pub fn part(&self) {
        let data = self.path("standby");
        succeeds("pg_ctl", &["-D", &data, "-w", "promote"]);
        let login = format!("host=127.0.0.2 port={} dbname=postgres user={NAME}", self.port);
        let write =
            "CREATE TABLE only_here AS SELECT g FROM generate_series(1, 1000) g; CHECKPOINT";
        for sql in write.split("; ") {
            succeeds("psql", &["-Atw", &login, "-c", sql]);
        }
        succeeds("pg_ctl", &["-D", &data, "-m", "immediate", "-w", "stop"]);
    }

    /// The names beside the standby's data that begin so.
    pub fn beside(&self, begin: &str) -> Vec<String> {
        let entries = fs::read_dir(self.home.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(begin)).collect();
        names.sort();
        names
    }

    /// What the log of the last attempt says.
    pub fn last_log() -> String {
        let entries = fs::read_dir(Path::new("/var/log/pgtwin").join(RESOURCE)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut logs: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
        logs.sort();
        fs::read_to_string(logs.pop().unwrap()).unwrap()
    }

    pub fn stop(&self, name: &str) {
        if name == "standby" && engine::asked_for().is_some() {
            // pg_ctl would take the number in postmaster.pid for one of this host.
            return self.standby().stop(&Deadline::after(TIME)).unwrap();
        }
        succeeds("pg_ctl", &["-D", &self.path(name), "-m", "fast", "-w", "stop"]);
    }

    /// Asked of the primary.
    pub fn psql(&self, sql: &str) -> String {
        self.psql_of("127.0.0.1", sql)
    }

    pub fn psql_of(&self, address: &str, sql: &str) -> String {
        let login = format!("host={address} port={} dbname=postgres user={NAME}", self.port);
        succeeds("psql", &["-Atw", &login, "-c", sql])
    }

    pub fn streams(&self) {
        let ask = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'n2' AND state = \
                   'streaming'";
        let begin = Instant::now();
        while self.psql(ask) != "1" {
            assert!(begin.elapsed() < TIME, "n2 does not stream");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub fn has(&self, path: &str) -> bool {
        self.home.path().join(path).exists()
    }

    /// n1's entry: n2 may take over, until n1 has had the time to see that it is rebuilt.
    pub fn entry(&self) -> Entry {
        let stubborn = self.stubborn.load(Ordering::Relaxed);
        let told = !stubborn && self.asked.load(Ordering::Relaxed) > 4;
        let heirs = if told { BTreeSet::new() } else { BTreeSet::from([node("n2")]) };
        Entry {
            system_id: self.system,
            term: self.promotion - 6,
            seq: u64::from(told),
            id: PromotionId(self.promotion),
            primary: node("n1"),
            timeline: Timeline(1),
            mode: Mode::Sync,
            heirs,
            history: Vec::new(),
            adopted: self.adopted.clone(),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(runtime) = engine::asked_for() {
            let _ = self.standby().runtime().signal(Shutdown::Kill);
            engine::remove(runtime, &self.params().container_name);
        }
        for name in ["standby", "primary"] {
            let mut stop = Command::new("setpriv");
            stop.args(["--reuid", NAME, "--regid", NAME, "--init-groups", "--"]);
            stop.arg(bindir().join("pg_ctl")).args(["-D", &self.path(name)]);
            stop.args(["-m", "immediate", "stop"]).stdout(Stdio::null()).stderr(Stdio::null());
            let _ = stop.status();
        }
        forget();
    }
}

pub fn forget() {
    for root in ["/var/lib/pgtwin", "/run/pgtwin", "/var/log/pgtwin"] {
        let _ = fs::remove_dir_all(Path::new(root).join(RESOURCE));
        let _ = fs::remove_file(Path::new(root).join(format!("{RESOURCE}.log")));
    }
}

pub fn subject(world: &World) -> Subject {
    Subject::find(world, Some(RESOURCE)).unwrap()
}

/// A worker, as the agent starts one.
pub fn work(world: &World) -> Result<(), String> {
    let order = subject(world).agent(world, TIME).unwrap().recovery().give_order().unwrap();
    worker::recover(world, RESOURCE, &node("n2"), &order)
}

pub fn marker(world: &World) -> Kept<Marker> {
    subject(world).agent(world, TIME).unwrap().recovery().marker()
}
