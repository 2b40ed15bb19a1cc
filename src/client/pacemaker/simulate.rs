//! Asking Pacemaker what it would do, without having it do it: its scheduler on a copy. Floor 2.

use std::fs;
use std::time::Duration;

use super::{Pacemaker, commands, known};
use crate::cluster::known::Known;
use crate::cluster::simulation;

impl Pacemaker<'_> {
    /// What Pacemaker would do at once if it managed this clone again, each action in a few words. Nothing
    /// is changed.
    pub fn if_managed(&self, clone: &str, limit: Duration) -> Known<Vec<String>> {
        self.cib_text(limit).and_then(|now| {
            let copied = tempfile::Builder::new()
                .prefix("pgtwin-cib-")
                .suffix(".xml")
                .tempfile()
                .and_then(|file| fs::write(file.path(), now).map(|()| file));
            let file = match copied {
                Ok(file) => file,
                Err(error) => return Known::unknown(format!("a copy of the CIB: {error}")),
            };
            known(self.on_file(commands::manage(clone, limit), file.path())).and_then(|_| {
                let cmd = commands::simulate(&file.path().display().to_string(), limit);
                known(self.answer(cmd, simulation::parse))
            })
        })
    }
}
