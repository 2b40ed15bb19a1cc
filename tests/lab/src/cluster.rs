//! A cluster in a box: its containers, from `up` to `down`, and commands in its nodes. What is
//! asked of PostgreSQL, of Pacemaker, and what is broken on purpose is in files of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::binaries::Program;
use crate::config::{self, Addresses, container_prefix};
use crate::docker::{self, docker};
use crate::error::{LabError, Result, chain};
use crate::options::{Agent, Options};
use crate::progress::{say, step};
use crate::rivals::{paf, patroni};
use crate::run::{Output, Run};
use crate::tree::Tree;
use crate::{binaries, disks, host, image, seed};

/// How often a condition is looked at while it is waited for.
const POLL: Duration = Duration::from_millis(200);

/// A running (or stopped) cluster. Dropping it removes it, unless it was to be kept.
#[derive(Debug)]
pub struct Cluster {
    /// What it was built from.
    pub options: Options,
    /// Its addresses.
    pub addresses: Addresses,
    keep: bool,
}

/// What `attach` needs of a lab that another process has built.
#[derive(Serialize, Deserialize)]
struct Saved {
    options: Options,
    prefix: String,
}

impl Cluster {
    /// Builds a cluster and, unless told otherwise, waits until it is healthy. A lab of the same
    /// name is replaced; leftovers of processes that have ended are removed.
    pub fn up(options: Options) -> Result<Self> {
        options.check()?;
        host::prepare()?;
        let name = options.name.clone();
        docker::remove(|one| one.lab == name || !docker::owner_lives(&one.owner))?;
        disks::remove_stale()?;
        let image = image::ensure_for(&options)?;
        let (agent, helper) = programs(&options)?;
        let begin = Instant::now();
        let addresses = create_network(&options)?;
        let keep = options.keep;
        let cluster = Self { options, addresses, keep };
        cluster.save()?;
        step("starting the nodes", || cluster.create_nodes(&image, agent.as_deref(), &helper))?;
        if cluster.options.agent.runs_postgres() && !cluster.options.bare {
            step("making the databases", || seed::seed(&cluster))?;
            if cluster.options.device {
                // They were copied without a sync; what a device has not got when it fails is lost.
                cluster.each_node(|node| {
                    cluster.check(node, &["sync", "-f", &cluster.options.pgdata()]).map(drop)
                })?;
            }
            match cluster.options.agent {
                Agent::Paf => paf::prepare(&cluster)?,
                Agent::Patroni => patroni::prepare(&cluster)?,
                Agent::Pgtwin | Agent::Pgsql | Agent::Stateful => {}
            }
        }
        if cluster.options.start {
            cluster.start_all()?;
            step("waiting until the cluster is healthy", || {
                let limit = Duration::from_mins(2);
                if cluster.options.bare {
                    cluster.wait_online(limit)
                } else {
                    cluster.wait_healthy(limit)
                }
            })?;
        }
        say(format!("{name} is up: {:.1} s", begin.elapsed().as_secs_f64()));
        Ok(cluster)
    }

    /// A lab that `up` has built, perhaps in another process. It is kept when dropped.
    pub fn attach(name: &str) -> Result<Self> {
        let path = host::lab_dir(name).join("lab.json");
        let text = fs::read_to_string(&path).map_err(|_| {
            LabError::plain(format!("there is no lab `{name}`: start one with `lab up`"))
        })?;
        let saved: Saved = serde_json::from_str(&text).map_err(|error| {
            LabError::plain(format!("{} is not readable: {error}", path.display()))
        })?;
        let addresses = Addresses { prefix: saved.prefix, names: saved.options.node_names() };
        Ok(Self { options: saved.options, addresses, keep: true })
    }

    /// Removes the containers, the network and the lab's directory.
    pub fn down(mut self) -> Result<()> {
        self.keep = true;
        self.save_wanted_logs();
        remove_lab(&self.options.name)
    }

    /// Leaves it running when it is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// The nodes' names.
    pub fn nodes(&self) -> Vec<String> {
        self.options.node_names()
    }

    /// All nodes but one.
    pub fn others(&self, node: &str) -> Vec<String> {
        self.nodes().into_iter().filter(|other| other != node).collect()
    }

    /// Name of a node's container.
    pub fn container(&self, node: &str) -> String {
        format!("{}{node}", container_prefix(&self.options.name))
    }

    /// Directory on the host that the nodes see as /lab.
    pub fn shared_dir(&self) -> PathBuf {
        host::lab_dir(&self.options.name).join("shared")
    }

    /// Directory on the host that the nodes see as /archive.
    fn archive_dir(&self) -> PathBuf {
        host::lab_dir(&self.options.name).join("archive")
    }

    /// Runs a command in a node as root, with 60 s to end; its exit code is a result.
    pub fn exec<S: AsRef<str>>(&self, node: &str, command: &[S]) -> Result<Output> {
        self.command(node, command).output()
    }

    /// Like `exec`; a non-zero exit code is an error.
    pub fn check<S: AsRef<str>>(&self, node: &str, command: &[S]) -> Result<Output> {
        self.command(node, command).check()
    }

    /// A command in a node, to be given input, a limit, or to be run.
    pub fn command<S: AsRef<str>>(&self, node: &str, command: &[S]) -> Run {
        docker(["exec", "--interactive", &self.container(node)])
            .args(command.iter().map(AsRef::as_ref))
            .limit(Duration::from_mins(1))
    }

    /// A command in a node, as the user postgres.
    pub fn command_as_postgres<S: AsRef<str>>(&self, node: &str, command: &[S]) -> Run {
        docker(["exec", "--interactive", "--user", "postgres", &self.container(node)])
            .args(command.iter().map(AsRef::as_ref))
            .limit(Duration::from_mins(1))
    }

    /// Does something for every node at once.
    pub fn each_node(&self, work: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
        let nodes = self.nodes();
        let work = &work;
        thread::scope(|scope| {
            let threads: Vec<_> =
                nodes.iter().map(|node| scope.spawn(move || work(node))).collect();
            threads.into_iter().try_for_each(|one| {
                one.join().unwrap_or_else(|_| Err(LabError::plain("a thread panicked")))
            })
        })
    }

    /// True if the node's container runs.
    pub fn is_running(&self, node: &str) -> bool {
        docker(["inspect", "--format", "{{.State.Running}}", &self.container(node)])
            .output()
            .is_ok_and(|output| output.text() == "true")
    }

    /// The nodes whose containers run.
    pub fn running(&self) -> Vec<String> {
        let filter = format!("label={}={}", docker::LABEL, self.options.name);
        let list = docker(["ps", "--filter", &filter, "--format", "{{.Names}}"])
            .output()
            .map(|output| output.text())
            .unwrap_or_default();
        let runs = |node: &String| list.lines().any(|name| name == self.container(node));
        self.nodes().into_iter().filter(runs).collect()
    }

    /// Waits until a condition holds. `what` ends the sentence "waited in vain until …".
    pub fn wait_until(
        &self,
        what: &str,
        limit: Duration,
        mut holds: impl FnMut() -> bool,
    ) -> Result<()> {
        self.wait_for(what, limit, || holds().then_some(()))
    }

    /// Waits until there is a value, and gives it. The limit is that of a cluster without containers.
    pub fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        let limit = limit * self.options.runtime.patience();
        let deadline = Instant::now() + limit;
        loop {
            if let Some(value) = look() {
                return Ok(value);
            }
            if Instant::now() >= deadline {
                return Err(LabError::Waited { what: what.to_owned(), limit, state: self.dump() });
            }
            thread::sleep(POLL);
        }
    }

    /// A file of a node, whether the node runs or not.
    pub fn read_file(&self, node: &str, path: &str) -> Result<String> {
        let source = format!("{}:{path}", self.container(node));
        let archive = docker(["cp", &source, "-"]).check()?;
        let output = Run::new("tar").args(["-x", "-O", "-f", "-"]).stdin(archive.stdout).check()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Writes a file into a node, owned by root, whether the node runs or not.
    pub fn write_file(&self, node: &str, path: &str, mode: u32, content: &str) -> Result<()> {
        let tree = Tree::new()?;
        tree.file(path, mode, content)?;
        tree.copy_to(&self.container(node))
    }

    fn save(&self) -> Result<()> {
        let dir = host::lab_dir(&self.options.name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("shared"))
            .map_err(LabError::io("create the lab's directory"))?;
        let saved = Saved { options: self.options.clone(), prefix: self.addresses.prefix.clone() };
        let text = serde_json::to_string_pretty(&saved)
            .map_err(|error| LabError::plain(format!("cannot write the options: {error}")))?;
        fs::write(dir.join("lab.json"), text).map_err(LabError::io("write lab.json"))
    }

    fn create_nodes(&self, image: &str, agent: Option<&Path>, helper: &Path) -> Result<()> {
        let shared = self.shared_dir().join("lab-node");
        fs::copy(helper, &shared).map_err(LabError::io(format!("copy {}", helper.display())))?;
        let tree = Tree::new()?;
        tree.file(
            "/etc/corosync/corosync.conf",
            0o644,
            &config::corosync(&self.options, &self.addresses),
        )?;
        let cib = config::cib(&self.options, &self.addresses);
        // Kept apart for people; boot gives the first one its owner.
        tree.file("/var/lib/pacemaker/cib/cib.xml", 0o600, &cib)?;
        tree.link("/usr/sbin/fence_lab", "/lab/lab-node")?;
        if let Some(agent) = agent {
            let package = self.shared_dir().join("pgtwin.deb");
            fs::write(package, binaries::package(agent)?)
                .map_err(LabError::io("share the package"))?;
        }
        let archive = tree.archive()?;
        if self.options.archive {
            let dir = self.archive_dir();
            fs::create_dir(&dir)
                .and_then(|()| fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)))
                .map_err(LabError::io(format!("create {}", dir.display())))?;
        }
        self.each_node(|node| {
            self.create_node(node, image)?;
            if let Some(megabytes) = self.options.disk {
                disks::make(&self.options.name, node, megabytes, self.options.device)?;
            }
            let target = format!("{}:/", self.container(node));
            docker(["cp", "-", &target]).stdin(archive.clone()).check()?;
            docker(["start", &self.container(node)]).check()?;
            self.wait_booted(node)?;
            if agent.is_some() {
                self.check(node, &["dpkg", "--force-unsafe-io", "--install", "/lab/pgtwin.deb"])?;
            }
            if self.options.preload { self.preload(node) } else { Ok(()) }
        })
    }

    fn create_node(&self, node: &str, image: &str) -> Result<()> {
        let shared = format!("{}:/lab:ro", self.shared_dir().display());
        let owner = if self.options.keep { String::new() } else { docker::this_process() };
        let mut run = docker(["create", "--init", "--name", &self.container(node)])
            .args(["--hostname", node])
            .args(["--label", &format!("{}={}", docker::LABEL, self.options.name)])
            .args(["--label", &format!("{}={owner}", docker::OWNER)])
            .args(["--network", &network_name(&self.options.name)])
            .args(["--ip", &self.addresses.node(node)])
            .args(["--shm-size", "1g", "--tmpfs", "/run:mode=755,exec", "--ulimit", "core=0"])
            .args(["--log-opt", "max-size=1m"])
            .args(["--volume", &shared])
            .args(["--volume", "/var/run/docker.sock:/lab-engine.sock"]);
        for capability in ["NET_ADMIN", "NET_RAW", "SYS_NICE", "SYS_PTRACE", "IPC_LOCK"] {
            run = run.args(["--cap-add", capability]);
        }
        if self.options.runtime.has_podman() {
            run = run.args(image::FOR_PODMAN);
        }
        for other in self.nodes() {
            run = run.args(["--add-host", &format!("{other}:{}", self.addresses.node(&other))]);
        }
        if self.options.ipv6 {
            run = run.args(["--ip6", &self.addresses.node6(node)]);
        }
        if self.options.archive {
            run = run.args(["--volume", &format!("{}:/archive", self.archive_dir().display())]);
        }
        if self.options.disk.is_some() {
            let disk = disks::path(&self.options.name, node);
            fs::create_dir_all(&disk)
                .map_err(LabError::io(format!("create {}", disk.display())))?;
            let parent = self.options.pgdata_parent();
            run = run.args(["--volume", &format!("{}:{parent}", disk.display())]);
        }
        for tmpfs in &self.options.tmpfs {
            run = run.args(["--tmpfs", tmpfs]);
        }
        run.args([image, "/lab/lab-node", "boot"]).check().map(drop)
    }

    /// Waits until the helper has made what a boot makes: directories under /run, the log socket.
    pub(crate) fn wait_booted(&self, node: &str) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.exec(node, &["test", "-e", "/run/lab/booted"])?.ok() {
            if Instant::now() >= deadline || !self.is_running(node) {
                let log = docker(["logs", "--tail", "20", &self.container(node)]).output()?.all();
                return Err(LabError::plain(format!("{node} does not boot:\n{log}")));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = remove_lab(&self.options.name)
        {
            say(format!("could not remove {}: {}", self.options.name, chain(&error)));
        }
    }
}

/// Removes a lab by its name, as far as there is something of it.
pub fn remove_lab(name: &str) -> Result<()> {
    disks::thaw_all(name)?;
    docker::remove(|one| one.lab == name)?;
    disks::remove(name)?;
    let dir = host::lab_dir(name);
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LabError::io(format!("remove {}", dir.display()))(error))
        }
        _ => Ok(()),
    }
}

/// The agent, where the cluster has one of ours, and the lab's helper.
fn programs(options: &Options) -> Result<(Option<PathBuf>, PathBuf)> {
    let given_or_built = |given: &Option<PathBuf>, program| {
        given.as_ref().map_or_else(|| binaries::build(program), |file| Ok(file.clone()))
    };
    let agent = match options.agent {
        Agent::Pgtwin => Some(given_or_built(&options.agent_binary, Program::Pgtwin)?),
        Agent::Pgsql | Agent::Stateful | Agent::Paf | Agent::Patroni => None,
    };
    Ok((agent, given_or_built(&options.node_binary, Program::LabNode)?))
}

fn network_name(lab: &str) -> String {
    format!("pgtwin-lab-{lab}")
}

/// A network that overlaps with none: the first free one after a number made from the name.
fn create_network(options: &Options) -> Result<Addresses> {
    let first = options.name.bytes().fold(7_u32, |sum, byte| sum * 31 % 250 + u32::from(byte));
    let mut last = LabError::plain("no network tried");
    for attempt in 0..50 {
        let prefix = format!("10.213.{}", (first + attempt) % 250 + 1);
        let addresses = Addresses { prefix, names: options.node_names() };
        let owner = if options.keep { String::new() } else { docker::this_process() };
        let mut create = docker(["network", "create", "--subnet", &addresses.subnet()]);
        if options.ipv6 {
            create = create.args(["--ipv6", "--subnet", &addresses.subnet6()]);
        }
        let made = create
            .args(["--label", &format!("{}={}", docker::LABEL, options.name)])
            .args(["--label", &format!("{}={owner}", docker::OWNER)])
            .args([&network_name(&options.name)])
            .check();
        match made {
            Ok(_) => return Ok(addresses),
            Err(error) if chain(&error).contains("overlap") => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}
