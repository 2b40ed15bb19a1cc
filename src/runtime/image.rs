//! Looking into an image: which PostgreSQL is in it, by which libraries it sorts texts, and which
//! extensions it has. Floor 2.
//!
//! Nothing but PostgreSQL's own programs, the loader and libc are run, as the PostgreSQL user, without
//! network, data or privilege: an image may have no shell. Whether a file is there is learned by having the
//! engine copy it out of a container that is made for it and never started.

mod programs;

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use tracing::warn;

use crate::client::engine::{Engine, Image, Run};
use crate::client::registry::last_words;
use crate::cluster::known::Known;
use crate::postgres::libraries::{self, Libraries};
use crate::postgres::version::Version;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, Ended, Exec, Output};
use crate::sys::privilege::User;

use super::BinariesError;

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(30);
/// How long the removal of a container may take.
const REMOVAL: Duration = Duration::from_secs(10);
/// The same after a program that was killed, for there may be little time left.
const QUICK_REMOVAL: Duration = Duration::from_secs(2);
/// Has the loader of glibc tell what a program is linked to, in place of running it.
const TRACE: (&str, &str) = ("LD_TRACE_LOADED_OBJECTS", "1");

/// What is in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Where its PostgreSQL is.
    pub bindir: String,
    /// Which one that is.
    pub version: Version,
    /// Its C library, as in `glibc 2.36`; none: another one, or it does not tell.
    pub libc: Option<String>,
    /// The major version of its ICU.
    pub icu: Option<String>,
}

/// Looks into one image.
pub struct Look<'a> {
    /// Starts programs.
    pub exec: &'a dyn Exec,
    /// The engine that has it.
    pub engine: &'a Engine,
    /// Its name, or its id.
    pub name: &'a str,
    /// The PostgreSQL user of this node.
    pub user: &'a User,
    /// What its containers are called, before their number.
    pub prefix: String,
    /// Their labels.
    pub labels: Vec<(String, String)>,
    /// How long one program may take.
    pub each: Duration,
    /// How many containers were made for it.
    pub made: Cell<u32>,
}

impl<'a> Look<'a> {
    /// A look with containers that nobody else has a name for.
    pub fn new(exec: &'a dyn Exec, engine: &'a Engine, name: &'a str, user: &'a User) -> Self {
        let prefix = format!("pgtwin-look-{}", std::process::id());
        Self {
            exec,
            engine,
            name,
            user,
            prefix,
            labels: Vec::new(),
            each: LOOK,
            made: Cell::new(0),
        }
    }
}

impl Look<'_> {
    /// What is in it. `given` is pg_bindir; `major`: the version that is hoped for.
    pub fn inside(
        &self,
        image: &Image,
        given: Option<&Path>,
        major: Option<u32>,
        deadline: &Deadline,
    ) -> Result<Inside, BinariesError> {
        let (bindir, version) = self.programs(image, given, major, deadline)?;
        let (libc, icu) = self.libraries(&format!("{bindir}/postgres"), deadline);
        Ok(Inside { bindir, version, libc, icu })
    }

    fn libraries(&self, program: &str, deadline: &Deadline) -> (Option<String>, Option<String>) {
        let traced = self.run(program, &[], &[TRACE], deadline);
        let found = Libraries::traced(&traced.map(|output| output.stdout).unwrap_or_default());
        let libc = found.libc.and_then(|path| {
            let said = self.run(&path, &[], &[], deadline).ok()?;
            libraries::glibc(&said.stdout)
        });
        (libc, found.icu)
    }

    /// Which of these files the image lacks: of each, one of its paths is enough.
    pub fn missing(
        &self,
        files: &[(String, Vec<String>)],
        deadline: &Deadline,
    ) -> Known<Vec<String>> {
        if files.is_empty() {
            return Known::Known(Vec::new());
        }
        let name = self.next_name();
        let args = ["create", "--pull=never", "--network=none", "--name", &name, self.name, "true"];
        let made = self.engine.command(args).limit(deadline.bounded(LOOK));
        let found = match self.exec.run(&made) {
            Ok(output) if output.ok() => self.lacks(&name, files, deadline),
            Ok(output) => Known::unknown(format!(
                "{} made no container to look into: {}",
                self.engine.kind,
                last_words(&output)
            )),
            Err(error) => Known::unknown(chain(&error)),
        };
        self.remove(&name);
        found
    }

    fn lacks(
        &self,
        container: &str,
        files: &[(String, Vec<String>)],
        deadline: &Deadline,
    ) -> Known<Vec<String>> {
        let dir = match tempfile::Builder::new().prefix("pgtwin-image-").tempdir() {
            Ok(dir) => dir,
            Err(error) => return Known::unknown(format!("a directory to copy to: {error}")),
        };
        let mut lacking = Vec::new();
        for (what, paths) in files {
            let mut there = false;
            for path in paths {
                match self.is_there(container, path, dir.path(), deadline) {
                    Known::Known(true) => there = true,
                    Known::Known(false) => {}
                    Known::Unknown(why) => return Known::Unknown(why),
                }
                if there {
                    break;
                }
            }
            if !there {
                lacking.push(what.clone());
            }
        }
        Known::Known(lacking)
    }

    fn is_there(&self, container: &str, path: &str, to: &Path, deadline: &Deadline) -> Known<bool> {
        let to = to.join("file").display().to_string();
        let from = format!("{container}:{path}");
        let cmd = self.engine.command(["cp", &from, &to]).limit(deadline.bounded(LOOK));
        let output = match self.exec.run(&cmd) {
            Ok(output) => output,
            Err(error) => return Known::unknown(chain(&error)),
        };
        let _ = std::fs::remove_file(&to);
        let said = output.stderr.to_ascii_lowercase();
        match output.ended {
            Ended::Exited(0) => Known::Known(true),
            Ended::Exited(_) if says_no_file(&said) => Known::Known(false),
            Ended::Exited(_) | Ended::Signaled(_) | Ended::TimedOut => Known::unknown(format!(
                "{} copied nothing: {}",
                self.engine.kind,
                last_words(&output)
            )),
        }
    }

    /// Runs a program of the image to its end.
    fn run(
        &self,
        program: &str,
        args: &[&str],
        env: &[(&str, &str)],
        deadline: &Deadline,
    ) -> Result<Output, String> {
        let name = self.next_name();
        let run = Run {
            name: name.clone(),
            image: self.name.to_owned(),
            program: program.to_owned(),
            workdir: "/".to_owned(),
            user: (self.user.uid, self.user.gid),
            groups: Vec::new(),
            network: "none".to_owned(),
            labels: self.labels.clone(),
            env: env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            env_passed: Vec::new(),
            binds: Vec::new(),
            remove: true,
            options: Vec::new(),
        };
        let cmd = self.engine.run(&run).args(args.iter().copied());
        let cmd = cmd.limit(deadline.bounded(self.each));
        let cmd = cmd.when_killed(self.engine.remove(&name).limit(QUICK_REMOVAL));
        self.exec.run(&cmd).map_err(|error| chain(&error))
    }

    fn next_name(&self) -> String {
        self.made.set(self.made.get() + 1);
        format!("{}-{}", self.prefix, self.made.get())
    }

    fn remove(&self, name: &str) {
        match self.exec.run(&self.engine.remove(name).limit(REMOVAL)) {
            Ok(output) if output.ok() => {}
            Ok(output) => warn!("container {name} is left behind: {}", last_words(&output)),
            Err(error) => warn!("container {name} is left behind: {}", chain(&error)),
        }
    }
}

/// As podman and docker say that a path is not in a container.
fn says_no_file(said: &str) -> bool {
    [
        "no such file or directory",
        "could not find the file",
        "could not be found on container",
        "no such container:path",
    ]
    .iter()
    .any(|words| said.contains(words))
}

/// Where images keep the control file of an extension, by where their programs are.
pub fn extension_file(bindir: &str, major: u32, name: &str) -> Vec<String> {
    let shared = [
        format!("/usr/share/postgresql/{major}"),
        format!("/usr/share/postgresql{major}"),
        "/usr/share/postgresql".to_owned(),
        beside(bindir, "share/postgresql"),
        beside(bindir, "share"),
    ];
    shared.map(|dir| format!("{dir}/extension/{name}.control")).into()
}

/// The same of a library that the server loads.
pub fn library_file(bindir: &str, major: u32, name: &str) -> Vec<String> {
    let name = name.trim_start_matches("$libdir/").trim_end_matches(".so");
    if name.starts_with('/') {
        return vec![format!("{name}.so")];
    }
    let dirs = [
        beside(bindir, "lib"),
        beside(bindir, "lib64"),
        format!("/usr/lib/postgresql/{major}/lib"),
        format!("/usr/lib/postgresql{major}/lib64"),
        format!("/usr/lib64/postgresql{major}"),
        beside(bindir, "lib/postgresql"),
    ];
    dirs.map(|dir| format!("{dir}/{name}.so")).into()
}

fn beside(bindir: &str, what: &str) -> String {
    format!("{}/{what}", bindir.trim_end_matches("/bin"))
}

/// What sorts texts for the PostgreSQL of this host.
pub fn host_libraries(
    exec: &dyn Exec,
    postgres: Cmd,
    deadline: &Deadline,
) -> (Option<String>, Option<String>) {
    let limit = deadline.bounded(LOOK);
    let user = postgres.run_as.clone();
    let traced = exec.run(&postgres.env(TRACE.0, TRACE.1).limit(limit));
    let found = Libraries::traced(&traced.map(|output| output.stdout).unwrap_or_default());
    let libc = found.libc.and_then(|path| {
        let mut cmd = Cmd::new(path).limit(limit);
        cmd.run_as = user;
        libraries::glibc(&exec.run(&cmd).ok()?.stdout)
    });
    (libc, found.icu)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn files_of_extensions_are_looked_for_where_distributions_keep_them() {
        let debian = "/usr/lib/postgresql/17/bin";
        let control = extension_file(debian, 17, "vector");
        assert_eq!(control.first().unwrap(), "/usr/share/postgresql/17/extension/vector.control");
        let library = library_file(debian, 17, "$libdir/pg_stat_statements.so");
        assert_eq!(library.first().unwrap(), "/usr/lib/postgresql/17/lib/pg_stat_statements.so");
        assert_eq!(library_file(debian, 17, "/opt/x/y.so"), ["/opt/x/y.so"]);
        let alpine = extension_file("/usr/local/bin", 17, "vector");
        assert!(
            alpine.contains(&"/usr/local/share/postgresql/extension/vector.control".to_owned())
        );
    }

    #[test]
    fn an_engine_says_that_a_file_is_not_there() {
        for said in [
            "error: \"/x\" could not be found on container a: no such file or directory",
            "error response from daemon: could not find the file /x in container a",
            "error: no such container:path: a:/x",
        ] {
            assert!(says_no_file(said));
        }
        for said in ["cannot connect to the docker daemon", "error: no such container: a"] {
            assert!(!says_no_file(said));
        }
    }
}
