//! The tags of a repository, asked from its registry: by skopeo where it is installed, else by the engine,
//! if it can. Floor 2.
//!
//! Both read root's logins and the settings of registries of this machine; nothing of that is ours. An
//! operator's command asks, and no action of the agent.

use std::time::Duration;

use serde::Deserialize;

use super::engine::{Engine, Kind};
use crate::sys::exec::{Cmd, Ended, Exec, ExecError, Output, find_program};

/// More tags than this are not asked for.
const MOST: u32 = 100_000;

/// Why the tags are not known.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Nobody here can ask.
    #[error(
        "the tags of {repository} cannot be listed: docker cannot do that, and skopeo is not installed; \
         install skopeo, or set container_image"
    )]
    NoLister {
        /// What was to be asked for.
        repository: String,
    },
    /// The program could not be run.
    #[error("{program} could not be run")]
    Exec {
        /// The program.
        program: String,
        /// Why.
        source: ExecError,
    },
    /// The registry did not answer in time.
    #[error(
        "{program} had no answer of {repository} within {} s: is the registry reached from this node? \
         set container_image to an image that lies here to do without",
        .limit.as_secs()
    )]
    TimedOut {
        /// The program.
        program: String,
        /// What was asked for.
        repository: String,
        /// Our limit.
        limit: Duration,
    },
    /// It failed.
    #[error("{program} could not list the tags of {repository}: {words}")]
    Failed {
        /// The program.
        program: String,
        /// What was asked for.
        repository: String,
        /// What it said.
        words: String,
    },
    /// It printed something else.
    #[error("what {program} printed are no tags of {repository}: {words}")]
    Rubbish {
        /// The program.
        program: String,
        /// What was asked for.
        repository: String,
        /// What is wrong with it.
        words: String,
    },
}

/// What is printed, by which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lister {
    Skopeo,
    Podman,
}

/// The tags of `repository`, which names its registry, in the registry's order.
pub fn tags(
    exec: &dyn Exec,
    engine: Option<&Engine>,
    repository: &str,
    limit: Duration,
) -> Result<Vec<String>, RegistryError> {
    let skopeo = find_program("skopeo").map(|path| path.display().to_string());
    tags_by(exec, skopeo, engine, repository, limit)
}

/// The same, with the skopeo that is at this path, if there is one.
pub fn tags_by(
    exec: &dyn Exec,
    skopeo: Option<String>,
    engine: Option<&Engine>,
    repository: &str,
    limit: Duration,
) -> Result<Vec<String>, RegistryError> {
    let (lister, cmd) = match (skopeo, engine) {
        (Some(program), _) => (Lister::Skopeo, by_skopeo(&program, repository)),
        (None, Some(engine)) if engine.kind == Kind::Podman => {
            (Lister::Podman, by_podman(engine, repository))
        }
        (None, Some(_) | None) => {
            return Err(RegistryError::NoLister { repository: repository.to_owned() });
        }
    };
    let cmd = cmd.limit(limit);
    let program = cmd.program.rsplit('/').next().unwrap_or_default().to_owned();
    let repository = repository.to_owned();
    let output = match exec.run(&cmd) {
        Ok(output) => output,
        Err(source) => return Err(RegistryError::Exec { program, source }),
    };
    match output.ended {
        Ended::Exited(0) => parse(lister, &output.stdout).map_err(|words| RegistryError::Rubbish {
            program,
            repository,
            words,
        }),
        Ended::TimedOut => Err(RegistryError::TimedOut { program, repository, limit }),
        Ended::Exited(_) | Ended::Signaled(_) => {
            Err(RegistryError::Failed { program, repository, words: last_words(&output) })
        }
    }
}

fn by_skopeo(program: &str, repository: &str) -> Cmd {
    let args = ["list-tags".to_owned(), format!("docker://{repository}")];
    Cmd::new(program).env("HOME", "/root").args(args)
}

fn by_podman(engine: &Engine, repository: &str) -> Cmd {
    let limit = format!("--limit={MOST}");
    engine.command(["search", "--list-tags", &limit, "--format=json", repository])
}

/// What skopeo prints: `{"Repository": …, "Tags": […]}`; and podman: `[{"Name": …, "Tags": […]}]`.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Tags")]
    tags: Option<Vec<String>>,
}

fn parse(lister: Lister, text: &str) -> Result<Vec<String>, String> {
    let listed: Vec<Listed> = match lister {
        Lister::Skopeo => serde_json::from_str(text).map(|one| vec![one]),
        Lister::Podman => serde_json::from_str(text),
    }
    .map_err(|error| error.to_string())?;
    // null is what a repository without tags has.
    Ok(listed.into_iter().flat_map(|one| one.tags.unwrap_or_default()).collect())
}

/// The end of what a program said of its failure, on one line.
pub fn last_words(output: &Output) -> String {
    let lines: Vec<&str> = output.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.last().map_or("it said nothing", |line| line.trim());
    let plain = last.chars().map(|c| if c.is_control() { ' ' } else { c });
    let words: Vec<char> = plain.collect();
    // The cause comes last.
    words.iter().skip(words.len().saturating_sub(300)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    /// Captured from skopeo 1.9.3 and podman 4.3.1, asked about docker-registry 2.8.
    const SKOPEO: &str = "{\n    \"Repository\": \"localhost:5057/db/pg\",\n    \"Tags\": [\n        \
                          \"15\",\n        \"15.9\",\n        \"latest\"\n    ]\n}\n";
    const PODMAN: &str = "[\n    {\n        \"Name\": \"localhost:5057/db/pg\",\n        \"Tags\": [\n            \
                          \"15\",\n            \"15.9\",\n            \"latest\"\n        ]\n    }\n]\n";

    struct Says(Ended, &'static str, &'static str);

    impl Exec for Says {
        fn run(&self, _: &Cmd) -> Result<Output, ExecError> {
            Ok(Output { ended: self.0, stdout: self.1.into(), stderr: self.2.into() })
        }
    }

    fn engine(kind: Kind) -> Engine {
        Engine { kind, program: format!("/usr/bin/{kind}") }
    }

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn tags_are_listed_by_skopeo_or_else_by_podman() {
        let expected = ["15", "15.9", "latest"];
        let skopeo = || Some("/usr/bin/skopeo".to_owned());
        let podman = engine(Kind::Podman);
        let ok = Ended::Exited(0);
        let tags = |says, skopeo, engine| tags_by(&says, skopeo, engine, "r/x", LIMIT);
        assert_eq!(tags(Says(ok, SKOPEO, ""), skopeo(), Some(&podman)).unwrap(), expected);
        assert_eq!(tags(Says(ok, SKOPEO, ""), skopeo(), None).unwrap(), expected);
        assert_eq!(tags(Says(ok, PODMAN, ""), None, Some(&podman)).unwrap(), expected);
        let none = "{\"Repository\": \"r/x\", \"Tags\": null}";
        assert_eq!(tags(Says(ok, none, ""), skopeo(), None).unwrap(), Vec::<String>::new());
        let cmd = by_podman(&podman, "r.example/db/pg");
        assert_eq!(
            cmd.args,
            ["search", "--list-tags", "--limit=100000", "--format=json", "r.example/db/pg"]
        );
        assert_eq!(by_skopeo("/usr/bin/skopeo", "r/x").args, ["list-tags", "docker://r/x"]);
    }

    #[test]
    fn without_an_answer_it_is_said_what_is_to_be_done() {
        let skopeo = || Some("/usr/bin/skopeo".to_owned());
        let docker = engine(Kind::Docker);
        let rows: &[(Says, Option<String>, Option<&Engine>, &str)] = &[
            (
                Says(Ended::Exited(0), "", ""),
                None,
                Some(&docker),
                "install skopeo, or set container_image",
            ),
            (Says(Ended::Exited(0), "", ""), None, None, "install skopeo, or set container_image"),
            (Says(Ended::TimedOut, "", ""), skopeo(), None, "no answer of r/x within 20 s"),
            (
                Says(Ended::Exited(1), "", "time=x level=fatal msg=\"connection refused\"\n\n"),
                skopeo(),
                None,
                "could not list the tags of r/x: time=x level=fatal msg=\"connection refused\"",
            ),
            (Says(Ended::Signaled(9), "", ""), skopeo(), None, "it said nothing"),
            (Says(Ended::Exited(0), "{", ""), skopeo(), None, "are no tags of r/x"),
            (Says(Ended::Exited(0), "[]", ""), skopeo(), None, "are no tags of r/x"),
        ];
        for (says, skopeo, engine, words) in rows {
            let answer = tags_by(says, skopeo.clone(), *engine, "r/x", LIMIT);
            let error = answer.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
