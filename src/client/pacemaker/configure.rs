//! Changing the cluster's configuration as a whole: in a copy, by Pacemaker's own tools, and then at once.
//! Floor 2.
//!
//! What is sent is the difference to the configuration that was read. It names that configuration's
//! version, so that it is refused where somebody has changed anything meanwhile.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Pacemaker, PacemakerError, commands, known};
use crate::cluster::known::Known;
use crate::sys::chain;
use crate::sys::exec::Cmd;

/// What is to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Elements that are removed, as XML, each by its id; one that is not there is no failure.
    pub removed: Vec<String>,
    /// Parameters of resources: the resource, the name, the value.
    pub parameters: Vec<(String, String, String)>,
    /// Options of the cluster.
    pub properties: Vec<(String, String)>,
    /// Sections of the configuration by name, with what is added to them.
    pub sections: Vec<(&'static str, String)>,
}

/// What `crm_diff` and `crm_verify` answer where there is something to say.
const DIFFERS: i32 = 1;

/// What `crm_verify` has against a configuration; none: it can be used. Warnings are of the state as well:
/// a node that is down is one.
fn errors(code: i32, said: &str) -> Option<String> {
    let only_warns = said.contains("Warnings found during check");
    if code == 0 || (only_warns && !said.contains("Errors found")) {
        return None;
    }
    let errors: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("error:"))
        .map(|line| line.rsplit("error:").next().unwrap_or_default().trim())
        .collect();
    Some(if errors.is_empty() {
        format!("crm_verify ended with {code}")
    } else {
        errors.join("; ")
    })
}

impl Pacemaker<'_> {
    /// The configuration and state of the cluster, as they stand.
    pub fn cib_text(&self, limit: Duration) -> Known<String> {
        known(self.stdout(commands::cib(limit)))
    }

    /// Makes these changes to the configuration `before`, all of them or none.
    pub fn configure(&self, before: &str, edit: &Edit, limit: Duration) -> Result<(), String> {
        let dir = tempfile::Builder::new()
            .prefix("pgtwin-setup-")
            .tempdir()
            .map_err(|error| format!("a directory for the new configuration: {error}"))?;
        let (old, new) = (dir.path().join("old.xml"), dir.path().join("new.xml"));
        for file in [&old, &new] {
            fs::write(file, before).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        let told = |cmd: Cmd| self.on_file(cmd, &new).map_err(|error| chain(&error));
        for element in &edit.removed {
            told(commands::remove_from("resources", element, limit))?;
        }
        for (resource, name, value) in &edit.parameters {
            told(commands::set_parameter(resource, name, value, limit))?;
        }
        for (name, value) in &edit.properties {
            told(commands::set_option(name, value, limit))?;
        }
        for (section, text) in &edit.sections {
            told(commands::add_to(section, text, limit))?;
        }
        let verified = self.run(commands::verify(&new.display().to_string(), limit));
        let (code, output) = verified.map_err(|error| chain(&error))?;
        if let Some(errors) = errors(code, &format!("{}\n{}", output.stdout, output.stderr)) {
            return Err(format!("Pacemaker does not take it, and nothing was changed: {errors}"));
        }
        let cmd =
            commands::difference(&old.display().to_string(), &new.display().to_string(), limit);
        let patch = match self.run(cmd).map_err(|error| chain(&error))? {
            (DIFFERS, output) => output.stdout,
            (0, _) => return Ok(()),
            (code, output) => {
                return Err(chain(&super::failed("crm_diff".to_owned(), code, &output)));
            }
        };
        self.stdout(commands::patch(&patch, limit)).map(drop).map_err(|error| {
            format!(
                "nothing was changed: {}; has somebody changed the configuration at the same moment?",
                chain(&error)
            )
        })
    }

    /// A tool, on a file in place of the cluster.
    pub(super) fn on_file(&self, cmd: Cmd, file: &Path) -> Result<String, PacemakerError> {
        let cmd = self.with_variables(cmd);
        let mut cmd =
            Cmd { env: cmd.env.into_iter().filter(|(n, _)| n != "CIB_file").collect(), ..cmd };
        cmd.env.push(("CIB_file".to_owned(), file.display().to_string()));
        let program = cmd.program.clone();
        match self.ended(&cmd, self.exec.run(&cmd))? {
            (0, output) => Ok(output.stdout),
            (code, output) => Err(super::failed(program, code, &output)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_configuration_keep_it_out_and_warnings_do_not() {
        let none = |said: &str| errors(78, said).is_none();
        assert_eq!(errors(0, ""), None);
        assert!(none("warning: Node n1 is unclean\ncrm_verify: Warnings found during check: x"));
        let said = "(unpack_resources) \terror: Resource start-up disabled\n(x) \terror: NOTE: y\n\
                    crm_verify: Errors found during check: config not valid";
        assert_eq!(errors(78, said), Some("Resource start-up disabled; NOTE: y".into()));
        assert_eq!(errors(66, "no such file"), Some("crm_verify ended with 66".into()));
        assert!(!none(""));
    }
}
