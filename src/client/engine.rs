//! The command lines of podman and docker: which of them is here, what it is asked and told, as values,
//! and what it answers. Floor 2.
//!
//! Both take the same words for all that is used of them. An engine that is down or hangs has said
//! nothing: that is unknown, and never "there is none".

mod inspect;
mod run;

use std::fmt;
use std::time::Duration;

use crate::cluster::known::Known;
use crate::ocf::params::ContainerRuntime;
use crate::sys::chain;
use crate::sys::exec::{Cmd, Ended, Exec, Output, PROGRAM_DIRS, find_program};

pub use inspect::{Container, Image, State};
pub use run::{Bind, Run};

/// What a question to the engine gets: one that is well answers in a fraction of it.
pub const QUESTION: Duration = Duration::from_secs(5);

/// Whose command line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No daemon: each container has a small process beside it.
    Podman,
    /// A daemon, which runs them all.
    Docker,
}

impl Kind {
    /// The name of its program.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker => "docker",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

/// An engine that is installed. It was not asked anything yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Which one.
    pub kind: Kind,
    /// Its program, an absolute path.
    pub program: String,
}

/// That no engine is installed; with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} installed (looked in {}): install it, or set container_runtime", PROGRAM_DIRS.join(", "))]
pub struct NoEngine {
    wanted: &'static str,
}

impl Engine {
    /// The engine that the parameter names; with `auto` podman, or else docker. Nothing is executed.
    pub fn find(wanted: ContainerRuntime) -> Result<Self, NoEngine> {
        let (kinds, wanted): (&[Kind], _) = match wanted {
            ContainerRuntime::Auto => {
                (&[Kind::Podman, Kind::Docker], "neither podman nor docker is")
            }
            ContainerRuntime::Podman => (&[Kind::Podman], "podman is not"),
            ContainerRuntime::Docker => (&[Kind::Docker], "docker is not"),
        };
        let installed = kinds.iter().find_map(|&kind| {
            let program = find_program(kind.program())?.display().to_string();
            Some(Self { kind, program })
        });
        installed.ok_or(NoEngine { wanted })
    }

    /// A command line of it.
    pub fn command<I: IntoIterator<Item = S>, S: Into<String>>(&self, args: I) -> Cmd {
        // docker looks for its configuration there, and warns where there is none.
        let cmd = Cmd::new(&self.program).env("HOME", "/root").args(args);
        match self.kind {
            // podman 5 says by each command, before what it has to say, that this version will go.
            Kind::Podman => cmd.env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1"),
            Kind::Docker => cmd,
        }
    }

    /// The engine's version: of docker that of the daemon, which has to answer.
    pub fn version(&self, exec: &dyn Exec, limit: Duration) -> Known<String> {
        let format = match self.kind {
            Kind::Podman => "{{.Client.Version}}",
            Kind::Docker => "{{.Server.Version}}",
        };
        let cmd = self.command(["version", "--format", format]).limit(limit);
        self.asked(exec, &cmd).and_then(|output| match output.ended {
            Ended::Exited(0) => Known::Known(output.stdout.trim().to_owned()),
            Ended::Exited(_) | Ended::Signaled(_) | Ended::TimedOut => self.no_answer(&output),
        })
    }

    /// The container of this name or number; none: the engine says that there is none.
    pub fn container(
        &self,
        exec: &dyn Exec,
        name: &str,
        limit: Duration,
    ) -> Known<Option<Container>> {
        let cmd = self.command(["container", "inspect", name]).limit(limit);
        self.asked(exec, &cmd).and_then(|output| self.read(&output, Container::parse))
    }

    /// The image of this reference or number on this node; none: the engine says that there is none.
    pub fn image(&self, exec: &dyn Exec, reference: &str, limit: Duration) -> Known<Option<Image>> {
        let cmd = self.command(["image", "inspect", reference]).limit(limit);
        self.asked(exec, &cmd).and_then(|output| self.read(&output, Image::parse))
    }

    /// Removes a container whatever its state; a running one is killed. One that is not there is no failure
    /// for podman, and an exit code for docker.
    pub fn remove(&self, name: &str) -> Cmd {
        self.command(["rm", "--force", "--volumes", name])
    }

    /// Removes containers that do not run; one that runs stays, and is an exit code.
    pub fn remove_ended(&self, names: &[String]) -> Cmd {
        self.command(["rm", "--volumes"]).args(names)
    }

    /// The names of all containers with this label (`name=value`), whatever their state.
    pub fn labelled(&self, exec: &dyn Exec, label: &str, limit: Duration) -> Known<Vec<String>> {
        let filter = format!("label={label}");
        let args = ["ps", "--all", "--no-trunc", "--filter", &filter, "--format", "{{.Names}}"];
        let cmd = self.command(args).limit(limit);
        self.asked(exec, &cmd).and_then(|output| match output.ended {
            Ended::Exited(0) => Known::Known(
                output
                    .stdout
                    .lines()
                    .map(str::trim)
                    .filter(|l| !l.is_empty())
                    .map(Into::into)
                    .collect(),
            ),
            Ended::Exited(_) | Ended::Signaled(_) | Ended::TimedOut => self.no_answer(&output),
        })
    }

    /// Lets a paused container go on.
    pub fn unpause(&self, name: &str) -> Cmd {
        self.command(["unpause", name])
    }

    /// Downloads an image. Its progress is what it says on standard error.
    pub fn pull(&self, reference: &str) -> Cmd {
        self.command(["pull", reference])
    }

    fn asked(&self, exec: &dyn Exec, cmd: &Cmd) -> Known<Output> {
        match exec.run(cmd) {
            Ok(output) if output.ended == Ended::TimedOut => {
                Known::unknown(format!("{} did not answer within {:?}", self.kind, cmd.limit))
            }
            Ok(output) => Known::Known(output),
            Err(error) => Known::unknown(chain(&error)),
        }
    }

    fn read<T>(
        &self,
        output: &Output,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Known<Option<T>> {
        if output.ok() {
            return match parse(&output.stdout) {
                Ok(value) => Known::Known(Some(value)),
                Err(why) => Known::unknown(format!("{} gave an answer that {why}", self.kind)),
            };
        }
        if inspect::says_there_is_none(output) {
            return Known::Known(None);
        }
        self.no_answer(output)
    }

    fn no_answer<T>(&self, output: &Output) -> Known<T> {
        let words: String = output
            .stderr
            .trim()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(300)
            .collect();
        Known::unknown(format!("{} gave no answer: {words}", self.kind))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::sys::exec::ExecError;

    struct Says(Ended, &'static str, &'static str);

    impl Exec for Says {
        fn run(&self, _: &Cmd) -> Result<Output, ExecError> {
            Ok(Output { ended: self.0, stdout: self.1.into(), stderr: self.2.into() })
        }
    }

    fn engine(kind: Kind) -> Engine {
        Engine { kind, program: format!("/usr/bin/{kind}") }
    }

    #[test]
    fn only_the_engines_own_word_says_that_there_is_no_container() {
        // As podman 4.3 and docker 20.10 say it.
        for (kind, ended, stderr, none) in [
            (
                Kind::Podman,
                Ended::Exited(125),
                "Error: inspecting object: no such container x\n",
                true,
            ),
            (
                Kind::Docker,
                Ended::Exited(1),
                "Error response from daemon: No such container: x\n",
                true,
            ),
            (Kind::Docker, Ended::Exited(1), "Error: No such container: x\n", true),
            (
                Kind::Docker,
                Ended::Exited(1),
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n",
                false,
            ),
            (Kind::Podman, Ended::Exited(125), "Error: cannot open the database\n", false),
            (Kind::Podman, Ended::Signaled(9), "", false),
            (Kind::Docker, Ended::TimedOut, "", false),
        ] {
            let answer = engine(kind).container(&Says(ended, "[]", stderr), "x", QUESTION);
            assert_eq!(answer == Known::Known(None), none, "{stderr}");
            assert_eq!(answer.is_known(), none, "{stderr}");
        }
        for (stderr, none) in [
            ("Error: inspecting object: nosuch: image not known\n", true),
            (
                "Error response from daemon: no such image: nosuch: No such image: nosuch:latest\n",
                true,
            ),
            ("permission denied", false),
        ] {
            let says = Says(Ended::Exited(1), "[]\n", stderr);
            assert_eq!(
                engine(Kind::Podman).image(&says, "nosuch", QUESTION) == Known::Known(None),
                none
            );
        }
    }

    #[test]
    fn an_answer_that_is_not_understood_is_unknown() {
        for text in ["", "[]", "{}", "[{}]", "[{\"Id\": 3}]", "[{\"Id\":\"a\",\"Name\":\"x\"}]"] {
            let answer =
                engine(Kind::Docker).container(&Says(Ended::Exited(0), text, ""), "x", QUESTION);
            assert!(!answer.is_known(), "{text}");
        }
    }

    #[test]
    fn commands_are_values() {
        let cmd = engine(Kind::Docker).remove("pg");
        assert_eq!(cmd.program, "/usr/bin/docker");
        assert_eq!(cmd.args, ["rm", "--force", "--volumes", "pg"]);
        let cmd = engine(Kind::Podman).remove_ended(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(cmd.args, ["rm", "--volumes", "a", "b"]);
    }

    #[test]
    fn names_are_one_a_line() {
        let engine = engine(Kind::Podman);
        let list = engine.labelled(&Says(Ended::Exited(0), "a\nb\n", ""), "x=1", QUESTION);
        assert_eq!(list, Known::Known(vec!["a".to_owned(), "b".to_owned()]));
        assert!(!engine.labelled(&Says(Ended::Exited(1), "", "no"), "x=1", QUESTION).is_known());
    }
}
