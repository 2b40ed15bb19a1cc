//! What a new instance gets before anybody uses it. Floor 2.

use std::path::PathBuf;

use super::Postgres;
use crate::client::sql::acts;
use crate::runtime::create::{self, New};
use crate::sys::chain;
use crate::sys::deadline::Deadline;

impl Postgres<'_> {
    /// Makes the database system. Its programs have to be found anew afterwards.
    pub fn create(&self, new: &New<'_>, deadline: &Deadline) -> Result<(), String> {
        create::create(self.runtime(), self.exec, new, deadline).map_err(|error| chain(&error))
    }

    /// Removes data that was made a moment ago.
    pub fn remove_new_data(&self) -> Result<(), String> {
        create::remove_new_data(self.runtime()).map_err(|error| chain(&error))
    }

    /// Puts a block of lines at the beginning of its new pg_hba.conf.
    pub fn put_hba_block(&self, block: &str) -> Result<(), String> {
        let place = self.place();
        let inside = || place.pgdata.join("pg_hba.conf");
        let file: PathBuf = match &place.config_file {
            Some(conf) => conf.with_file_name("pg_hba.conf"),
            None => inside(),
        };
        create::put_hba_block(self.runtime(), &file, block).map_err(|error| chain(&error))
    }

    /// Makes the role by which standbys log in.
    pub fn make_replication_role(&self, role: &str, password: &str) -> Result<(), String> {
        self.with_session(|wire, bound| acts::make_replication_role(wire, role, password, bound))
    }
}
