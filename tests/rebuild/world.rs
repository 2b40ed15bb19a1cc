//! n1, a real primary, and n2, its real standby; what Pacemaker's tools say is played.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pgtwin::cluster::ledger::{Entry, Mode, PromotionId, Slot};
use pgtwin::cluster::node::NodeName;
use pgtwin::postgres::lsn::Timeline;
use pgtwin::sys::exec::{Cmd, Ended, Exec, ExecError, Output, System};

use crate::account::{NAME, home_of, test_user};

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
    /// n1's promotion, and what was given up for its data.
    pub promotion: u64,
    pub adopted: Option<Vec<u64>>,
    /// What n2 has told of the ledger, and the `admin_epoch` that it has set.
    pub slot: Mutex<Option<String>>,
    pub epoch: AtomicU64,
}

impl World {
    pub fn new() -> Self {
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
            promotion: 7,
            adopted: None,
            slot: Mutex::new(None),
            epoch: 4.into(),
        };
        let standby = new.path("standby");
        new.make_primary();
        let source = format!("host=127.0.0.1 port={} user={NAME} application_name=n2", new.port);
        succeeds("pg_basebackup", &["-d", &source, "-D", &standby, "--checkpoint=fast"]);
        new.configure("standby", "127.0.0.2");
        let auto = new.home.path().join("standby/postgresql.auto.conf");
        let before = fs::read_to_string(&auto).unwrap();
        fs::write(&auto, format!("{before}primary_conninfo = '{source}'\n")).unwrap();
        for name in ["standby.signal", "mark-of-the-old-data"] {
            let file = new.home.path().join("standby").join(name);
            fs::write(&file, "").unwrap();
            let user = test_user();
            std::os::unix::fs::chown(&file, Some(user.uid), Some(user.gid)).unwrap();
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
        fs::create_dir(&sockets).unwrap();
        let user = test_user();
        std::os::unix::fs::chown(&sockets, Some(user.uid), Some(user.gid)).unwrap();
        let conf = self.home.path().join(name).join("postgresql.conf");
        let text = format!(
            "port = {}\nlisten_addresses = '{address}'\nunix_socket_directories = '{}'\nfsync = off\n\
             logging_collector = on\nwal_receiver_status_interval = 1s\n",
            self.port,
            sockets.display()
        );
        fs::write(&conf, text).unwrap();
    }

    pub fn start(&self, name: &str) {
        let log = self.path(&format!("{name}.log"));
        succeeds("pg_ctl", &["-D", &self.path(name), "-l", &log, "-w", "start"]);
    }

    pub fn stop(&self, name: &str) {
        succeeds("pg_ctl", &["-D", &self.path(name), "-m", "fast", "-w", "stop"]);
    }

    /// Asked of the primary.
    pub fn psql(&self, sql: &str) -> String {
        let login = format!("host=127.0.0.1 port={} dbname=postgres user={NAME}", self.port);
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

    pub fn cib(&self) -> String {
        let slot = Slot { done: Some(self.entry()), intent: None };
        let parameters = [
            ("pgdata", self.path("standby")),
            ("pgport", self.port.clone()),
            ("pguser", NAME.to_owned()),
            ("pg_bindir", bindir().display().to_string()),
            ("socket_dir", self.path("standby-socket")),
            ("repuser", NAME.to_owned()),
            ("node_list", "n1 n2".to_owned()),
            ("node_addresses", "n1=127.0.0.1 n2=127.0.0.2".to_owned()),
        ];
        let parameters: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("<nvpair id='p-{name}' name='{name}' value='{value}'/>"))
            .collect();
        let parameters = parameters.concat();
        let order = match self.order.lock().unwrap().as_str() {
            "" => String::new(),
            order => {
                format!("<nvpair id='o-2' name='pgtwin-{RESOURCE}-rebuild-n2' value='{order}'/>")
            }
        };
        let epoch = self.epoch.load(Ordering::Relaxed);
        let of_n2 = self.slot.lock().unwrap().as_ref().map_or_else(String::new, |slot| {
            format!("<nvpair id='l2' name='pgtwin-{RESOURCE}-ledger-n2' value='{slot}'/>")
        });
        let role = if self.is_stopped() {
            "<nvpair id='m-2' name='target-role' value='Stopped'/>"
        } else {
            ""
        };
        format!(
            "<cib admin_epoch='{epoch}' epoch='7' num_updates='1' have-quorum='1'><configuration><crm_config>\
             <cluster_property_set id='o'><nvpair id='o-1' name='stonith-enabled' value='true'/>\
             </cluster_property_set><cluster_property_set id='pgtwin-{RESOURCE}'><nvpair id='l' \
             name='pgtwin-{RESOURCE}-ledger-n1' value='{slot}'/>{of_n2}{order}</cluster_property_set>\
             </crm_config>\
             <nodes><node id='1' uname='n1'/><node id='2' uname='n2'/></nodes><resources><clone id='c'>\
             <meta_attributes id='m'><nvpair id='m-1' name='promotable' value='true'/>{role}</meta_attributes>\
             <primitive id='{RESOURCE}' class='ocf' provider='heartbeat' type='pgtwin'>\
             <instance_attributes id='p'>{parameters}</instance_attributes></primitive></clone>\
             </resources><constraints/></configuration><status/></cib>"
        )
    }

    pub fn status(&self) -> String {
        let file = "tests/fixtures/pacemaker/trixie/healthy.crm_mon.xml";
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        // n1 and n3 in each other's place, so that n1 is the primary.
        let text = text.replace("\"n3\"", "\"n0\"").replace("\"n1\"", "\"n3\"");
        let text =
            text.replace("\"n0\"", "\"n1\"").replace("id=\"db\"", &format!("id=\"{RESOURCE}\""));
        if !self.is_stopped() {
            return text;
        }
        ["Promoted", "Unpromoted", "Started"]
            .iter()
            .fold(text, |text, role| text.replace(&format!("role=\"{role}\""), "role=\"Stopped\""))
            .replace("active=\"true\"", "active=\"false\"")
    }
}

impl Exec for World {
    fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
        let asks = |word: &str| cmd.args.iter().any(|arg| arg == word);
        let stdout = match cmd.program.as_str() {
            "crm_mon" => self.status(),
            "cibadmin" if asks("--query") => {
                if self.told.lock().unwrap().iter().any(|told| told.contains("=rebuilding")) {
                    self.asked.fetch_add(1, Ordering::Relaxed);
                }
                self.cib()
            }
            "crm_node" => "n2\n".to_owned(),
            "attrd_updater" if asks("--query") => {
                "<pacemaker-result><status code='0' message='OK'/></pacemaker-result>".to_owned()
            }
            "crm_attribute" if self.sealed.load(Ordering::Relaxed) => {
                return Ok(Output {
                    ended: Ended::Exited(1),
                    stdout: String::new(),
                    stderr: "the CIB is sealed".to_owned(),
                });
            }
            "cibadmin" | "attrd_updater" | "crm_attribute" => {
                let told = format!("{} {}", cmd.program, cmd.args.join(" "));
                self.told.lock().unwrap().push(told);
                let text = String::from_utf8_lossy(&cmd.stdin);
                if let Some(epoch) = text.split("admin_epoch=\"").nth(1) {
                    let epoch = epoch.split('"').next().unwrap().parse().unwrap();
                    self.epoch.store(epoch, Ordering::Relaxed);
                }
                let ledger = format!("--name=pgtwin-{RESOURCE}-ledger-n2");
                let update = cmd.args.iter().find_map(|arg| arg.strip_prefix("--update="));
                if asks(&ledger)
                    && let Some(slot) = update
                {
                    *self.slot.lock().unwrap() = Some(slot.to_owned());
                }
                String::new()
            }
            _ => return System.run(cmd),
        };
        Ok(Output { ended: Ended::Exited(0), stdout, stderr: String::new() })
    }

    fn run_watched(&self, cmd: &Cmd, line: &mut dyn FnMut(&str)) -> Result<Output, ExecError> {
        System.run_watched(cmd, line)
    }

    fn run_all(&self, cmds: &[Cmd]) -> Vec<Result<Output, ExecError>> {
        cmds.iter().map(|cmd| self.run(cmd)).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
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
