//! `pgtwin fix-pghba`: plans, and carries out. Floor 3.

use std::path::PathBuf;

use tracing::info;

use super::Ground;
use crate::decide::facts::Sql;
use crate::decide::pghba::fix::{Plan, Ruling, plan, verify};
use crate::decide::pghba::{Check, Facts};
use crate::runtime::hba_file::HbaFile;
use crate::sys::chain;
use crate::sys::deadline::Deadline;

/// What is to be done, and what it was planned by.
pub struct Planned {
    /// What was found.
    pub facts: Facts,
    /// The file as it is.
    pub file: HbaFile,
    /// What is to be done.
    pub ruling: Ruling,
}

/// What was done.
pub struct Done {
    /// Where the old file is kept.
    pub backup: PathBuf,
    /// What is found now.
    pub check: Check,
}

impl Ground<'_> {
    /// Plans it, on a primary. Nothing is changed.
    pub fn plan_fix(&self, deadline: &Deadline) -> Result<Planned, String> {
        if let Sql::Standby(_) = self.sql(deadline)? {
            let primary = self.promoted.iter().flatten().next();
            let primary = primary.map_or("there".to_owned(), |node| format!("on {node}"));
            return Err(format!(
                "PostgreSQL on {} is a standby: run it {primary}, where the primary is; what this \
                 file lacks for a later promotion is shown by pgtwin validate-pghba",
                self.me
            ));
        }
        let facts = self.asked().facts(true, deadline)?;
        let file = self.pg.hba_file(&facts.about).map_err(|error| chain(&error))?;
        let ruling = plan(&facts, &file.bytes);
        if let Ruling::Change(_) = &ruling {
            file.check_writable(self.pg.place()).map_err(|error| chain(&error))?;
        }
        Ok(Planned { facts, file, ruling })
    }

    /// Carries it out: the file is kept, replaced, and looked at by PostgreSQL before it loads it. Where
    /// that finds anything wrong, the old file is put back.
    pub fn carry_out_fix(
        &self,
        planned: &Planned,
        plan: &Plan,
        deadline: &Deadline,
    ) -> Result<Done, String> {
        let place = self.pg.place();
        let Planned { facts, file, .. } = planned;
        let backup = file.back_up(place).map_err(|error| chain(&error))?;
        let path = file.path.display();
        info!("{path} gets {} lines of pgtwin's; kept as {}", plan.lines.len(), backup.display());
        let new = file.replace(place, plan.text.clone()).map_err(|error| chain(&error))?;
        let looked = self.asked().facts(true, deadline);
        let check = match looked.and_then(|after| verify(facts, &after, plan)) {
            Ok(check) => check,
            Err(why) => {
                return Err(match new.replace(place, file.bytes.clone()) {
                    Ok(_) => format!("{why}; {path} is as it was before, and nothing was loaded"),
                    Err(error) => format!(
                        "{why}; and {path} could not be put back ({}): it is in {}",
                        chain(&error),
                        backup.display()
                    ),
                });
            }
        };
        self.pg.reload_and_see(deadline).map_err(|why| {
            format!("{path} has the lines, and they do not count yet: {why}; reload PostgreSQL")
        })?;
        info!("PostgreSQL has loaded {path}");
        Ok(Done { backup, check })
    }
}
