//! The programs that the lab installs into its nodes, built by cargo on the host, the agent in its
//! Debian package. The host's C library must not be newer than the oldest release's (Debian 12): a
//! node that cannot have the package says so at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use crate::error::{LabError, Result};
use crate::progress::step;
use crate::run::Run;

/// A program that runs inside the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// The agent.
    Pgtwin,
    /// The agent as it is released, for measurements.
    Release,
    /// The lab's own.
    LabNode,
}

static BUILT: Mutex<BTreeMap<Program, PathBuf>> = Mutex::new(BTreeMap::new());
static PACKED: Mutex<BTreeMap<PathBuf, Vec<u8>>> = Mutex::new(BTreeMap::new());

/// Builds a program, once a process; gives its file.
pub fn build(program: Program) -> Result<PathBuf> {
    let mut built = BUILT.lock().map_err(|_| LabError::plain("an earlier build panicked"))?;
    if let Some(file) = built.get(&program) {
        return Ok(file.clone());
    }
    let (package, name, profile) = match program {
        Program::Pgtwin => ("pgtwin", "pgtwin", "lab"),
        Program::Release => ("pgtwin", "pgtwin", "release"),
        Program::LabNode => ("lab", "lab-node", "lab"),
    };
    let file = step(&format!("building {name}"), || cargo_build(package, name, profile))?;
    built.insert(program, file.clone());
    Ok(file)
}

/// The Debian package of this agent, made once a process; gives what is in the file.
pub fn package(agent: &Path) -> Result<Vec<u8>> {
    let mut packed = PACKED.lock().map_err(|_| LabError::plain("an earlier build panicked"))?;
    if let Some(package) = packed.get(agent) {
        return Ok(package.clone());
    }
    let package = step("packing pgtwin", || {
        let out = tempfile::tempdir().map_err(LabError::io("create a temporary directory"))?;
        let made = Run::new(root().join("packaging/build"))
            .args(["--binary".as_ref(), agent.as_os_str()])
            .args(["--out".as_ref(), out.path().as_os_str()])
            .args(["deb"])
            .limit(Duration::from_mins(10))
            .check()?
            .text();
        let file = made.lines().next_back().unwrap_or_default();
        fs::read(file).map_err(LabError::io(format!("read {file}")))
    })?;
    packed.insert(agent.to_owned(), package.clone());
    Ok(package)
}

/// The checkout that the lab was built from.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn cargo_build(package: &str, name: &str, profile: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Run::new(cargo)
        .args(["build", "--profile", profile, "--message-format", "json-render-diagnostics"])
        .args(["-p", package, "--bin", name])
        .dir(root())
        .limit(Duration::from_mins(30))
        .check()?;
    executable(&output.text(), name)
        .ok_or_else(|| LabError::plain(format!("cargo built no program `{name}`")))
}

fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message.pointer("/target/name").is_some_and(|target| target == name))
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_the_one_of_the_named_target() {
        let messages = r#"{"target":{"name":"other"},"executable":"/t/other"}
not json
{"target":{"name":"pgtwin"},"executable":null}
{"target":{"name":"pgtwin"},"executable":"/t/pgtwin"}"#;
        assert_eq!(executable(messages, "pgtwin"), Some(PathBuf::from("/t/pgtwin")));
        assert_eq!(executable(messages, "absent"), None);
    }

    #[test]
    fn an_agent_is_packed_as_dpkg_reads_it() {
        // Any program will do, and this one need not be built.
        let package = package(Path::new("/usr/bin/true")).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), package).unwrap();
        let list = Run::new("dpkg-deb").args(["--contents"]).args([file.path()]).check().unwrap();
        assert!(list.text().contains("/usr/lib/ocf/resource.d/heartbeat/pgtwin -> "));
    }
}
