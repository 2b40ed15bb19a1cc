//! What podman and docker say of a container and of an image, as JSON. Floor 2.

use std::collections::BTreeMap;

use serde_json::Value;

pub use crate::decide::container::State;
use crate::sys::exec::{Ended, Output};

/// A container, as the engine knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its number.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: State,
    /// Its first process on this host, while there is one: by the engine's word, which proves nothing.
    pub pid: Option<i32>,
    /// The number of the image that it was made of, without `sha256:`.
    pub image_id: String,
    /// The image as it was named.
    pub image: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// An image on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its number, without `sha256:`.
    pub id: String,
    /// Its names with tags.
    pub tags: Vec<String>,
    /// Its names with digests: those of registries.
    pub digests: Vec<String>,
    /// The environment that it brings.
    pub env: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Bytes.
    pub size: Option<u64>,
}

impl Container {
    /// Reads `container inspect`. The error is the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let one = only(text)?;
        let state = at(&one, &["State"]).ok_or("has no State")?;
        let status = text_at(state, &["Status"]).ok_or("has no State.Status")?;
        let state = match status.as_str() {
            "created" | "initialized" | "configured" => State::Created,
            "running" => State::Running,
            "paused" => State::Paused,
            "exited" | "stopped" => State::Exited {
                code: at(state, &["ExitCode"]).and_then(Value::as_i64).ok_or("has no ExitCode")?,
                out_of_memory: at(state, &["OOMKilled"]).and_then(Value::as_bool).unwrap_or(false),
            },
            _ => State::Other(status.chars().filter(|c| !c.is_control()).take(40).collect()),
        };
        let pid = at(&one, &["State", "Pid"]).and_then(Value::as_i64);
        Ok(Self {
            id: text_at(&one, &["Id"]).ok_or("has no Id")?,
            name: text_at(&one, &["Name"]).ok_or("has no Name")?.trim_start_matches('/').to_owned(),
            state,
            pid: pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0),
            image_id: id_at(&one, "Image").ok_or("has no Image")?,
            image: text_at(&one, &["ImageName"])
                .or_else(|| text_at(&one, &["Config", "Image"]))
                .unwrap_or_default(),
            labels: map_at(&one, &["Config", "Labels"]),
        })
    }
}

impl Image {
    /// Reads `image inspect`. The error is the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let one = only(text)?;
        let env = list_at(&one, &["Config", "Env"]);
        let env = env.iter().filter_map(|line| line.split_once('='));
        Ok(Self {
            id: id_at(&one, "Id").ok_or("has no Id")?,
            tags: list_at(&one, &["RepoTags"]),
            digests: list_at(&one, &["RepoDigests"]),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            labels: map_at(&one, &["Config", "Labels"]),
            size: at(&one, &["Size"]).and_then(Value::as_u64),
        })
    }

    /// The major version of PostgreSQL, where the image says it: by the variable PG_MAJOR of the official
    /// image's kin, or by a directory of its PATH. A claim: the program itself is asked before it is used.
    pub fn major(&self) -> Option<u32> {
        let named = self.env.get("PG_MAJOR").and_then(|text| text.trim().parse().ok());
        named.or_else(|| self.path().find_map(major_of_dir)).filter(|major| *major >= 10)
    }

    /// The directories of its PATH.
    pub fn path(&self) -> impl Iterator<Item = &str> {
        let path = self.env.get("PATH").map_or("", String::as_str);
        path.split(':').filter(|dir| dir.starts_with('/'))
    }
}

/// `/usr/lib/postgresql/17/bin`, `/usr/lib/postgresql17/bin`, `/usr/pgsql-17/bin`.
fn major_of_dir(dir: &str) -> Option<u32> {
    let stem = dir.strip_suffix("/bin")?;
    let digits = stem.len() - stem.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (before, number) = stem.split_at_checked(digits)?;
    let known = ["/postgresql/", "/postgresql", "/pgsql-"];
    known.iter().any(|end| before.ends_with(end)).then(|| number.parse().ok()).flatten()
}

/// Whether the engine says, and not only fails, that what was asked for is not there.
pub(super) fn says_there_is_none(output: &Output) -> bool {
    const WORDS: [&str; 4] =
        ["no such container", "no such image", "no such object", "image not known"];
    let said = output.stderr.to_ascii_lowercase();
    matches!(output.ended, Ended::Exited(code) if code != 0)
        && WORDS.iter().any(|words| said.contains(words))
}

fn only(text: &str) -> Result<Value, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    match value {
        Value::Array(list) if list.len() == 1 => {
            list.into_iter().next().ok_or_else(|| "is empty".to_owned())
        }
        _ => Err("is not a list of one".to_owned()),
    }
}

fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

fn text_at(value: &Value, path: &[&str]) -> Option<String> {
    at(value, path).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn id_at(value: &Value, name: &str) -> Option<String> {
    let id = text_at(value, &[name])?;
    Some(id.strip_prefix("sha256:").unwrap_or(&id).to_owned())
}

fn list_at(value: &Value, path: &[&str]) -> Vec<String> {
    let list = at(value, path).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn map_at(value: &Value, path: &[&str]) -> BTreeMap<String, String> {
    let map = at(value, path).and_then(Value::as_object);
    let pairs = map.into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!("../../../tests/fixtures/engine/", $name, ".json"))
        };
    }

    #[test]
    fn both_engines_say_what_a_container_does() {
        let exited = |out_of_memory| State::Exited { code: 137, out_of_memory };
        for (text, state, pid) in [
            (fixture!("podman-container-running"), State::Running, true),
            (fixture!("podman-container-paused"), State::Paused, true),
            (fixture!("podman-container-exited"), exited(false), false),
            (fixture!("podman-container-created"), State::Created, false),
            // This kernel told podman nothing.
            (fixture!("podman-container-oom"), exited(false), false),
            (fixture!("docker-container-running"), State::Running, true),
            (fixture!("docker-container-paused"), State::Paused, true),
            (fixture!("docker-container-exited"), exited(false), false),
            (fixture!("docker-container-created"), State::Created, false),
            (fixture!("docker-container-oom"), exited(true), false),
        ] {
            let container = Container::parse(text).unwrap();
            assert_eq!(container.state, state);
            assert_eq!(container.pid.is_some(), pid, "{state:?}");
            assert_eq!(container.name, "cap-a");
            assert_eq!((container.id.len(), container.image_id.len()), (64, 64));
        }
        let podman = Container::parse(fixture!("podman-container-running")).unwrap();
        assert_eq!(podman.image, "localhost/pgtwin-test-pg:15");
        let docker = Container::parse(fixture!("docker-container-running")).unwrap();
        assert_eq!(docker.image, "pgtwin-lab-base:trixie");
        for container in [podman, docker] {
            assert_eq!(container.labels.get("org.pgtwin.x").map(String::as_str), Some("1"));
        }
    }

    #[test]
    fn an_unusual_state_is_kept_by_its_word() {
        for word in ["removing", "stopping", "dead", "restarting"] {
            let text =
                fixture!("docker-container-running").replace("\"running\"", &format!("{word:?}"));
            assert_eq!(Container::parse(&text).unwrap().state, State::Other(word.to_owned()));
        }
    }

    #[test]
    fn both_engines_say_what_an_image_is() {
        let podman = Image::parse(fixture!("podman-image")).unwrap();
        assert_eq!(podman.tags, ["localhost/pgtwin-test-pg:15"]);
        assert_eq!(podman.digests.len(), 1);
        assert_eq!(podman.major(), Some(15));
        assert_eq!(podman.size, Some(248_587_460));
        let docker = Image::parse(fixture!("docker-image-bare")).unwrap();
        assert_eq!(docker.id.len(), 64);
        assert!(docker.env.is_empty() && docker.labels.is_empty() && docker.digests.is_empty());
        assert_eq!(docker.major(), None);
    }

    #[test]
    fn the_major_version_is_read_from_what_images_set() {
        for (env, major) in [
            ("PG_MAJOR=17", Some(17)),
            ("PATH=/usr/local/bin:/usr/lib/postgresql/16/bin:/usr/bin", Some(16)),
            ("PATH=/usr/lib/postgresql17/bin", Some(17)),
            ("PATH=/usr/pgsql-14/bin", Some(14)),
            ("PATH=/usr/lib/foo17/bin:/17/bin:relative/postgresql/17/bin", None),
            ("PG_MAJOR=x", None),
            ("PG_MAJOR=9", None),
        ] {
            let text = format!("[{{\"Id\":\"sha256:a\",\"Config\":{{\"Env\":[{env:?}]}}}}]");
            assert_eq!(Image::parse(&text).unwrap().major(), major, "{env}");
        }
    }
}
