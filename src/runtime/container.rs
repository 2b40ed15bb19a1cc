//! PostgreSQL in a container of podman or docker. Floor 2.
//!
//! The container is a wrapping around the same processes on the same paths: PGDATA and all that belongs to it
//! is at its own path inside, the user is pguser by number, and there is no user namespace. So on this host the
//! postmaster is a process like any other, and is found, proven and signalled as on bare metal
//! ([`super::processes`]); the engine is asked only to start one, to run a program, and to remove what is left.
//!
//! The engine's command stays attached for as long as the container lives: what the server says comes by it
//! into the start log, and its end says how a start failed.

mod image;
mod mounts;
mod permit;
mod spec;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tracing::{info, warn};

use crate::client::engine::{Engine, QUESTION, Run};
use crate::cluster::known::Known;
use crate::decide::container::{
    Before, Named, Whose, before_start, is_removed_after_end, left_behind,
};
use crate::decide::facts::Process;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::detach::TAG;
use crate::sys::exec::{Cmd, Exec};
use crate::sys::process::{Process::Gone, process};

use super::processes::Processes;
use super::{
    BinariesError, Launched, Place, Runtime, RuntimeError, Shutdown, bare, one_server, start, text,
};

use image::Programs;

pub use permit::withdraw;
pub use spec::Spec;

/// The label that names the resource; a container without it is none of ours.
pub const LABEL: &str = "pgtwin.resource";
/// The label that says what it does.
const ROLE: &str = "pgtwin.role";
/// What removing a container may take: its processes are killed, and its mounts undone.
const REMOVAL: Duration = Duration::from_secs(5);
/// What it may take after a command that was killed, for there is little time left.
const QUICK_REMOVAL: Duration = Duration::from_secs(2);
/// What is killed in a container is gone within this time, unless a disk hangs.
const TO_SETTLE: Duration = Duration::from_secs(10);
/// Where a server in a container has its socket, unless a parameter says otherwise.
const SOCKET_DIR: &str = "/run/postgresql";

/// How many programs this process has had in containers: a command may look at its instance more than once, and
/// a container of before may still be about to vanish.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// An instance that is started in a container.
pub struct Container<'a> {
    exec: &'a dyn Exec,
    spec: Spec,
    processes: Processes,
    engine: OnceCell<Result<Engine, BinariesError>>,
    programs: OnceCell<Result<Programs, BinariesError>>,
}

impl<'a> Container<'a> {
    /// The instance at this place. Nothing is looked at yet.
    pub fn new(exec: &'a dyn Exec, place: Place, spec: Spec) -> Self {
        let hint = permit::run_root().join(format!("{}.postmaster", key(&place)));
        Self {
            exec,
            spec,
            processes: Processes::new(place, Some(hint)),
            engine: OnceCell::new(),
            programs: OnceCell::new(),
        }
    }

    fn engine(&self) -> Result<&Engine, BinariesError> {
        let find = || {
            Engine::find(self.spec.runtime)
                .map_err(|error| BinariesError::NoEngine(error.to_string()))
        };
        self.engine.get_or_init(find).as_ref().map_err(Clone::clone)
    }

    fn programs(&self) -> Result<&Programs, BinariesError> {
        let find = || image::programs(self.engine()?, self.exec, self.place(), &self.spec);
        self.programs.get_or_init(find).as_ref().map_err(Clone::clone)
    }

    /// The socket's directory, inside and on the host.
    fn socket_dir(&self) -> &Path {
        self.place().socket_dir.as_deref().unwrap_or(Path::new(SOCKET_DIR))
    }

    /// A container of this instance's image, with all that belongs to the instance.
    fn container(&self, program: &str, new: &[PathBuf]) -> Result<Run, RuntimeError> {
        let programs = self.programs()?;
        let place = self.place();
        let mut binds = mounts::of_instance(place, &self.spec, self.socket_dir(), new)?;
        binds.push(permit::grant(&key(place))?);
        let user = &place.user;
        let mut env = vec![("LC_ALL".to_owned(), "C".to_owned())];
        if let Ok(Some(login)) = nix::unistd::User::from_name(&user.name) {
            env.push(("HOME".to_owned(), text(&login.dir)));
        }
        env.extend([
            ("USER".to_owned(), user.name.clone()),
            ("LOGNAME".to_owned(), user.name.clone()),
        ]);
        Ok(Run {
            name: self.spec.name.clone(),
            image: programs.image.clone(),
            program: format!("{}/{program}", programs.dir),
            workdir: "/".to_owned(),
            user: (user.uid, user.gid),
            groups: user.groups.iter().copied().filter(|gid| *gid != user.gid).collect(),
            network: self.spec.network.clone(),
            labels: vec![(LABEL.to_owned(), key(place))],
            env,
            env_passed: Vec::new(),
            binds,
            remove: false,
            options: self.spec.options.clone(),
        })
    }

    /// The paths that the instance's containers see of the host, as they are inside.
    pub fn mounted(&self) -> Result<BTreeSet<String>, RuntimeError> {
        let binds = mounts::of_instance(self.place(), &self.spec, self.socket_dir(), &[])?;
        let volume = |option: &String| {
            let volume = option.strip_prefix("--volume=")?;
            volume.split(':').nth(1).filter(|path| path.starts_with('/')).map(str::to_owned)
        };
        let paths = binds.into_iter().map(|bind| bind.inside.unwrap_or(bind.path));
        Ok(paths.chain(self.spec.options.iter().filter_map(volume)).collect())
    }

    /// The command that is the postmaster's container.
    fn postmaster(&self) -> Result<Cmd, RuntimeError> {
        let place = self.place();
        let mut run = self.container("postgres", &[])?;
        // In PGDATA from its first moment: by that its processes are found.
        run.workdir = place.pgdata_text();
        run.labels.push((ROLE.to_owned(), "server".to_owned()));
        run.options.extend(self.spec.limits());
        run.options.extend(self.spec.ports(place.port));
        let args = bare::postmaster_args(place, Some(self.socket_dir()));
        Ok(self.engine()?.run(&run).args(args))
    }

    fn named(&self, engine: &Engine, limit: Duration) -> Known<Option<Named>> {
        let key = key(self.place());
        engine.container(self.exec, &self.spec.name, limit).map(|found| {
            let found = found?;
            let whose = match found.labels.get(LABEL) {
                Some(label) if *label == key => Whose::Ours,
                Some(label) => Whose::AnothersOf(label.clone()),
                None => Whose::Nobodys,
            };
            Some(Named { whose, state: found.state })
        })
    }

    fn remove(&self, engine: &Engine, limit: Duration) -> Result<(), String> {
        self.carry_out(&engine.remove(&self.spec.name).limit(limit))
    }

    /// Has the engine do something; else its last words.
    fn carry_out(&self, cmd: &Cmd) -> Result<(), String> {
        match self.exec.run(cmd) {
            Ok(output) if output.ok() => Ok(()),
            Ok(output) => Err(super::last_words(&output.stderr)),
            Err(error) => Err(chain(&error)),
        }
    }
}

/// What this instance is called in labels and in /run: the resource, after which its start log is named.
fn key(place: &Place) -> String {
    let stem = place.start_log.file_stem().unwrap_or_default().to_string_lossy();
    stem.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect()
}

impl Runtime for Container<'_> {
    fn processes(&self) -> &Processes {
        &self.processes
    }

    fn is_contained(&self) -> bool {
        true
    }

    fn command(&self, program: &str) -> Result<Cmd, BinariesError> {
        self.command_on(program, &[]).map_err(|error| match error {
            RuntimeError::Binaries(error) => error,
            other => BinariesError::NoVersion { program: program.to_owned(), why: chain(&other) },
        })
    }

    fn command_on(&self, program: &str, new: &[PathBuf]) -> Result<Cmd, RuntimeError> {
        let mut run = self.container(program, new)?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{}-{}-{number}", self.spec.name, std::process::id());
        run.name.clone_from(&name);
        run.remove = true;
        run.labels.push((ROLE.to_owned(), "program".to_owned()));
        run.env.push((permit::TAG.to_owned(), permit::tag(&key(self.place()))?));
        run.env_passed.push(TAG.to_owned());
        let engine = self.engine()?;
        Ok(engine.run(&run).when_killed(engine.remove(&name).limit(QUICK_REMOVAL)))
    }

    fn launch(&self) -> Result<Launched, RuntimeError> {
        self.processes.reap();
        let lock = one_server::claim(self.place(), one_server::Numbers::OfTheirOwn)?;
        mounts::make_socket_dir(self.place(), self.socket_dir())?;
        let cmd = self.postmaster()?;
        let engine = self.engine()?;
        match before_start(&self.spec.name, &self.named(engine, QUESTION)) {
            Before::Start => {}
            Before::RemoveFirst(remark) => {
                if let Some(remark) = remark {
                    warn!("{remark}");
                }
                self.remove(engine, REMOVAL).map_err(|why| RuntimeError::Failed {
                    what: "remove the container of before",
                    why,
                })?;
            }
            Before::Refuse(why) => return Err(RuntimeError::Refused(why)),
        }
        info!("PostgreSQL is started in the container {} by {}", self.spec.name, engine.kind);
        let launched = start::spawn(&cmd, &self.place().start_log, true, lock)?;
        self.processes.adopt(launched.pid);
        Ok(launched)
    }

    fn abandon(&self) {
        // A start that hangs in the engine would go on some day: without its permit it cannot.
        permit::close_own(&key(self.place()));
        let _ = self.processes.signal(Shutdown::Kill);
        if let Ok(engine) = self.engine()
            && is_removed_after_end(&self.named(engine, QUICK_REMOVAL))
        {
            let _ = self.remove(engine, QUICK_REMOVAL);
        }
    }

    fn settle(&self) -> Result<(), RuntimeError> {
        permit::end_own(self.place(), &Deadline::after(TO_SETTLE)).map_err(RuntimeError::Refused)
    }

    fn clean_up(&self, limit: Duration) {
        if self.processes.process() != Process::None {
            return;
        }
        let Ok(engine) = self.engine() else { return };
        // Asked once in this action already: another question would only cost another time-out.
        let found = match self.programs.get() {
            Some(Err(BinariesError::EngineSilent(why))) => Known::Unknown(why.clone()),
            Some(Ok(_) | Err(_)) | None => self.named(engine, limit.min(QUESTION)),
        };
        if let Known::Unknown(why) = &found {
            warn!("the container {} stays until the next start: {why}", self.spec.name);
        }
        if is_removed_after_end(&found)
            && let Err(why) = self.remove(engine, limit.min(REMOVAL))
        {
            warn!("the container {} could not be removed: {why}", self.spec.name);
        }
    }

    fn sweep(&self, limit: Duration) {
        let Ok(engine) = self.engine() else { return };
        let label = format!("{LABEL}={}", key(self.place()));
        let Known::Known(names) = engine.labelled(self.exec, &label, limit.min(QUESTION)) else {
            return;
        };
        let left = left_behind(&self.spec.name, &names, |pid| matches!(process(pid), Gone));
        if left.is_empty() {
            return;
        }
        let names = left.join(", ");
        match self.carry_out(&engine.remove_ended(&left).limit(limit.min(REMOVAL))) {
            Ok(()) => info!("containers that programs have left are removed: {names}"),
            Err(why) => {
                warn!("containers that programs have left could not be removed: {names}: {why}");
            }
        }
    }
}
