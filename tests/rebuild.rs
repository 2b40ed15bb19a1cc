//! `pgtwin rebuild` and `pgtwin adopt` on a real primary and a real standby; Pacemaker's tools alone are played.
//! Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr)]

#[path = "account/mod.rs"]
#[allow(dead_code)]
mod account;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use account::{NAME, home_of, is_root, test_user};
use pgtwin::agent::adopt::Begun;
use pgtwin::agent::operate::Subject;
use pgtwin::agent::worker;
use pgtwin::client::ledger_file::OwnFile;
use pgtwin::cluster::ledger::{Entry, Mode, Own, PromotionId, Slot};
use pgtwin::cluster::node::NodeName;
use pgtwin::cluster::recovery::{Kept, Method};
use pgtwin::decide::adopt::{Ruling, judge};
use pgtwin::decide::recovery::Way;
use pgtwin::decide::report::Server;
use pgtwin::postgres::lsn::Timeline;
use pgtwin::sys::exec::{Cmd, Ended, Exec, ExecError, Output, System};

const RESOURCE: &str = "pgtwin-test-rebuild";
const REASON: &str = "a full copy was asked for (a test)";
const TIME: Duration = Duration::from_mins(2);

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn bindir() -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|dir| dir.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().unwrap()
}

fn succeeds(program: &str, args: &[&str]) -> String {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", NAME, "--regid", NAME, "--init-groups", "--"]);
    command.arg(bindir().join(program)).args(args).stdin(Stdio::null());
    command.env_clear().env("LC_ALL", "C.UTF-8").env("PATH", "/usr/bin:/bin").current_dir("/");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// n1, the primary, at 127.0.0.1, and n2, its standby, at 127.0.0.2; this is n2.
struct World {
    home: tempfile::TempDir,
    port: String,
    system: u64,
    /// What Pacemaker was told.
    told: Mutex<Vec<String>>,
    /// How often it was asked since n2 said that it is rebuilt.
    asked: AtomicU32,
    /// n1 counts on n2 whatever it says.
    stubborn: AtomicBool,
    /// n1's promotion, and what was given up for its data.
    promotion: u64,
    adopted: Option<Vec<u64>>,
    /// Pacemaker has stopped it everywhere.
    stopped: bool,
    /// What n2 has told of the ledger, and the `admin_epoch` that it has set.
    slot: Mutex<Option<String>>,
    epoch: AtomicU64,
}

impl World {
    fn new() -> Self {
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
            promotion: 7,
            adopted: None,
            stopped: false,
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
    fn make_primary(&mut self) {
        let primary = self.path("primary");
        let initdb = ["--auth-local=peer", "--auth-host=trust", "--data-checksums", "--no-sync"];
        succeeds("initdb", &[&initdb[..], &["--wal-segsize=1", "-D", &primary]].concat());
        self.configure("primary", "127.0.0.1");
        self.start("primary");
        let system = self.psql("SELECT system_identifier FROM pg_control_system()");
        self.system = system.parse().unwrap();
    }

    /// n1's data is of another database system now, and of another promotion.
    fn another_primary(&mut self) {
        self.stop("primary");
        for name in ["primary", "primary-socket"] {
            fs::remove_dir_all(self.home.path().join(name)).unwrap();
        }
        self.make_primary();
        self.promotion += 1;
    }

    /// The database system of n2's data.
    fn own_system(&self) -> u64 {
        let said = succeeds("pg_controldata", &["-D", &self.path("standby")]);
        let line =
            said.lines().find(|line| line.starts_with("Database system identifier")).unwrap();
        line.split_whitespace().last().unwrap().parse().unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn configure(&self, name: &str, address: &str) {
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

    fn start(&self, name: &str) {
        let log = self.path(&format!("{name}.log"));
        succeeds("pg_ctl", &["-D", &self.path(name), "-l", &log, "-w", "start"]);
    }

    fn stop(&self, name: &str) {
        succeeds("pg_ctl", &["-D", &self.path(name), "-m", "fast", "-w", "stop"]);
    }

    /// Asked of the primary.
    fn psql(&self, sql: &str) -> String {
        let login = format!("host=127.0.0.1 port={} dbname=postgres user={NAME}", self.port);
        succeeds("psql", &["-Atw", &login, "-c", sql])
    }

    fn streams(&self) {
        let ask = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'n2' AND state = \
                   'streaming'";
        let begin = Instant::now();
        while self.psql(ask) != "1" {
            assert!(begin.elapsed() < TIME, "n2 does not stream");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn has(&self, path: &str) -> bool {
        self.home.path().join(path).exists()
    }

    /// n1's entry: n2 may take over, until n1 has had the time to see that it is rebuilt.
    fn entry(&self) -> Entry {
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

    fn cib(&self) -> String {
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
        let epoch = self.epoch.load(Ordering::Relaxed);
        let of_n2 = self.slot.lock().unwrap().as_ref().map_or_else(String::new, |slot| {
            format!("<nvpair id='l2' name='pgtwin-{RESOURCE}-ledger-n2' value='{slot}'/>")
        });
        let role =
            if self.stopped { "<nvpair id='m-2' name='target-role' value='Stopped'/>" } else { "" };
        format!(
            "<cib admin_epoch='{epoch}' epoch='7' num_updates='1' have-quorum='1'><configuration><crm_config>\
             <cluster_property_set id='o'><nvpair id='o-1' name='stonith-enabled' value='true'/>\
             </cluster_property_set><cluster_property_set id='pgtwin-{RESOURCE}'><nvpair id='l' \
             name='pgtwin-{RESOURCE}-ledger-n1' value='{slot}'/>{of_n2}</cluster_property_set></crm_config>\
             <nodes><node id='1' uname='n1'/><node id='2' uname='n2'/></nodes><resources><clone id='c'>\
             <meta_attributes id='m'><nvpair id='m-1' name='promotable' value='true'/>{role}</meta_attributes>\
             <primitive id='{RESOURCE}' class='ocf' provider='heartbeat' type='pgtwin'>\
             <instance_attributes id='p'>{parameters}</instance_attributes></primitive></clone>\
             </resources><constraints/></configuration><status/></cib>"
        )
    }

    fn status(&self) -> String {
        let file = "tests/fixtures/pacemaker/trixie/healthy.crm_mon.xml";
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        // n1 and n3 in each other's place, so that n1 is the primary.
        let text = text.replace("\"n3\"", "\"n0\"").replace("\"n1\"", "\"n3\"");
        let text =
            text.replace("\"n0\"", "\"n1\"").replace("id=\"db\"", &format!("id=\"{RESOURCE}\""));
        if !self.stopped {
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

fn forget() {
    for root in ["/var/lib/pgtwin", "/run/pgtwin", "/var/log/pgtwin"] {
        let _ = fs::remove_dir_all(Path::new(root).join(RESOURCE));
        let _ = fs::remove_file(Path::new(root).join(format!("{RESOURCE}.log")));
    }
}

fn subject(world: &World) -> Subject {
    Subject::find(world, Some(RESOURCE)).unwrap()
}

/// What the command does before it starts a worker.
fn make_way(world: &World) {
    let subject = subject(world);
    let way = subject.agent(world, TIME).unwrap().way_to_a_copy(REASON).unwrap();
    assert_eq!(way, Way::Recover(Method::Rebuild, REASON.into()));
    let mut agent = subject.agent(world, TIME).unwrap();
    agent.home.take_turn(TIME).unwrap();
    agent.make_way_for_a_copy(&node("n1"), REASON).unwrap();
    let Kept::Read(marker) = agent.recovery().marker() else { panic!("no marker") };
    assert!(marker.asked && !marker.half_done && marker.reason == REASON, "{marker:?}");
    assert!(!world.has("standby/postmaster.pid"), "PostgreSQL runs");
}

/// A worker, as the agent starts one.
fn work(world: &World) -> Result<(), String> {
    let order = subject(world).agent(world, TIME).unwrap().recovery().give_order().unwrap();
    worker::recover(world, RESOURCE, &node("n2"), &order)
}

fn marker(world: &World) -> Kept<pgtwin::cluster::recovery::Marker> {
    subject(world).agent(world, TIME).unwrap().recovery().marker()
}

// One test: a process is one user at a time.
#[test]
fn a_standby_is_built_anew_or_goes_on_with_its_old_data_wherever_that_is_cut_off() {
    if !is_root() {
        eprintln!("not tried: not root");
        return;
    }
    let mut world = World::new();
    let mut own = Own::new(RESOURCE, &node("n2"));
    own.store.set_done(world.entry());
    own.followed = Some(PromotionId(7));
    let mut home = subject(&world).home();
    home.take_turn(TIME).unwrap();
    home.write(&own).unwrap();
    drop(home);

    // A primary that counts on its data keeps it from being replaced.
    let mut agent = subject(&world).agent(&world, TIME).unwrap();
    agent.home.take_turn(TIME).unwrap();
    let why = agent.make_way_for_a_copy(&node("n1"), REASON).unwrap_err();
    assert!(why.contains("counts on its data still"), "{why}");
    drop(agent);
    assert_eq!(marker(&world), Kept::Missing);
    world.start("standby");
    world.streams();
    world.stubborn.store(false, Ordering::Relaxed);
    world.asked.store(0, Ordering::Relaxed);

    // Cut off, and PostgreSQL is started again on the old data: that is all that happens.
    make_way(&world);
    let told = world.told.lock().unwrap().join("\n");
    for words in ["state --update=rebuilding", "--promotion=pgtwin-test-rebuild --node=n2 --delete"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    let said = |words: &str| told.find(words).unwrap_or_else(|| panic!("{words}: {told}"));
    // Of the entry that it was in, and then, when n1 has written that, of the one that it is not in.
    assert!(said("--update=0000000000000007.1.0") < said("--update=0000000000000007.1.1"));
    world.start("standby");
    world.streams();
    work(&world).unwrap();
    assert_eq!(marker(&world), Kept::Missing);
    assert!(world.has("standby/mark-of-the-old-data"));

    // Cut off, and somebody has worked on the old data since: the order holds no more.
    make_way(&world);
    std::thread::sleep(Duration::from_secs(3));
    world.start("standby");
    world.stop("standby");
    let why = work(&world).unwrap_err();
    assert!(why.contains("can follow as it is"), "{why}");
    assert!(world.has("standby/mark-of-the-old-data"));
    world.start("standby");
    world.streams();
    work(&world).unwrap();

    // And to its end.
    make_way(&world);
    work(&world).unwrap();
    world.streams();
    assert_eq!(marker(&world), Kept::Missing);
    assert!(!world.has("standby/mark-of-the-old-data"), "it is the old data");
    let conf = fs::read_to_string(world.path("standby/postgresql.conf")).unwrap();
    assert!(conf.contains("127.0.0.2"), "its own configuration: {conf}");
    let copies: Vec<PathBuf> = fs::read_dir(world.home.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("standby.backup."))
        .collect();
    let [copy] = copies.as_slice() else { panic!("{copies:?}") };
    assert!(copy.join("mark-of-the-old-data").exists());

    world.stop("standby");
    given_up_data_is_replaced(&mut world);
    world.stop("standby");
    own_data_is_adopted(&mut world);
}

/// n1 has another database system: that of n2 is left alone, until an operator has given it up.
fn given_up_data_is_replaced(world: &mut World) {
    let old = world.system;
    world.another_primary();
    for adopted in [None, Some(vec![]), Some(vec![old + 1])] {
        world.adopted = adopted;
        work(world).unwrap_err();
        assert_eq!(world.own_system(), old);
        assert_eq!(marker(world), Kept::Missing);
    }
    world.adopted = Some(vec![old + 1, old]);
    work(world).unwrap();
    world.streams();
    assert_eq!(marker(world), Kept::Missing);
    assert_eq!(world.own_system(), world.system);
    let OwnFile::Read(own) = subject(world).home().read() else { panic!("no ledger file") };
    assert_eq!(own.followed, Some(PromotionId(world.promotion)));
}

/// What the command does, with what it finds in the way.
fn own_data_is_adopted(world: &mut World) {
    let absent = |why: &str| BTreeMap::from([(node("n1"), Server::Absent(why.to_owned()))]);
    let judged = |world: &World| {
        let mut agent = subject(world).agent(world, TIME).unwrap();
        judge(&agent.adopt_facts(&node("n2"), &absent("nobody listens")).unwrap())
    };
    let refused = |world: &World, words: &str| match judged(world) {
        Ruling::Refused(why) => assert!(why.contains(words), "{words}: {why}"),
        Ruling::Possible(_) => panic!("{words}"),
    };
    world.stop("primary");
    refused(world, "Pacemaker has c running on n1");
    world.stopped = true;
    let label = world.home.path().join("standby/backup_label");
    fs::write(&label, "").unwrap();
    refused(world, "backup_label is there");
    fs::remove_file(&label).unwrap();
    world.start("standby");
    refused(world, "PostgreSQL has to be stopped here, and it runs");
    world.stop("standby");
    let Ruling::Possible(proposal) = judged(world) else { panic!("{:?}", judged(world)) };
    assert_eq!((proposal.term, proposal.system_id), (world.promotion - 5, world.system));

    // Before the others know of it, the own file permits nothing; and it goes no further than they know.
    let begin = |world: &World| {
        let mut agent = subject(world).agent(world, TIME).unwrap();
        agent.home.take_turn(TIME).unwrap();
        agent.begin_adoption(&proposal, "a test").unwrap()
    };
    let end = |world: &World, begun: &Begun| {
        let mut agent = subject(world).agent(world, TIME).unwrap();
        agent.home.take_turn(TIME).unwrap();
        agent.end_adoption(begun)
    };
    let own = |world: &World| match subject(world).home().read() {
        OwnFile::Read(own) => own,
        other => panic!("{other:?}"),
    };
    let begun = begin(world);
    assert_eq!(world.epoch.load(Ordering::Relaxed), 5);
    let file = own(world);
    assert!(file.unfinished().is_some() && file.store.done(&node("n2")).is_none(), "{file:?}");
    let slot: Slot = world.slot.lock().unwrap().as_ref().unwrap().parse().unwrap();
    assert_eq!(slot.done.as_ref(), Some(&begun.entry));
    let was = world.slot.lock().unwrap().take();
    assert!(end(world, &begun).unwrap_err().contains("the CIB does not have it any more"));
    *world.slot.lock().unwrap() = was;
    world.epoch.store(4, Ordering::Relaxed);
    assert!(end(world, &begun).unwrap_err().contains("the CIB does not have it any more"));
    assert!(own(world).unfinished().is_some());

    // It goes on when it is run again.
    let begun = begin(world);
    end(world, &begun).unwrap();
    let file = own(world);
    assert_eq!((file.unfinished(), file.followed), (None, Some(begun.entry.id)));
    assert_eq!(file.store.entries().collect::<Vec<_>>(), [&begun.entry]);
    assert_eq!(begun.entry.adopted, Some(world.adopted.clone().unwrap()));
}
