//! The programs that the lab installs into its nodes, built by cargo on the host. The host's C
//! library must not be newer than the oldest release's (Debian 12): a node that cannot start
//! the agent says so at once.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use crate::error::{LabError, Result};
use crate::progress::step;
use crate::run::Run;

/// The two programs.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The agent.
    pub agent: PathBuf,
    /// The lab's own program in a node.
    pub node: PathBuf,
}

static BUILT: Mutex<Option<Binaries>> = Mutex::new(None);

/// Builds both, once a process.
pub fn build() -> Result<Binaries> {
    let mut built = BUILT.lock().map_err(|_| LabError::plain("an earlier build panicked"))?;
    if let Some(binaries) = &*built {
        return Ok(binaries.clone());
    }
    let binaries = step("building pgtwin and the nodes' helper", cargo_build)?;
    *built = Some(binaries.clone());
    Ok(binaries)
}

fn cargo_build() -> Result<Binaries> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Run::new(cargo)
        .args(["build", "--profile", "lab", "--message-format", "json-render-diagnostics"])
        .args(["-p", "pgtwin", "-p", "lab", "--bin", "pgtwin", "--bin", "lab-node"])
        .dir(root)
        .limit(Duration::from_mins(30))
        .check()?;
    let messages = output.text();
    let find = |name: &str| {
        executable(&messages, name)
            .ok_or_else(|| LabError::plain(format!("cargo built no program `{name}`")))
    };
    Ok(Binaries { agent: find("pgtwin")?, node: find("lab-node")? })
}

fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message.pointer("/target/name").is_some_and(|target| target == name))
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
}

#[cfg(test)]
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
}
