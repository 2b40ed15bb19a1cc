//! `validate-all`, `validate-pghba` and `reload-agent`. Floor 3.

use tracing::warn;

use super::Agent;
use super::outcome::Outcome;
use crate::cluster::known::Known;
use crate::decide::facts::{DataDir, Sql};
use crate::ocf::exit_code::ExitCode;
use crate::postgres::hba::Presence;
use crate::runtime::BinariesError;

/// The answer where PostgreSQL's programs are not what the data needs.
pub fn without_programs(error: &BinariesError) -> Outcome {
    let code = match error {
        BinariesError::NotInBindir { .. } | BinariesError::NotFound { .. } => ExitCode::Installed,
        BinariesError::OtherMajor { .. } => ExitCode::Args,
        BinariesError::NoVersion { .. } => ExitCode::Error,
    };
    Outcome::because(code, error.to_string())
}

impl Agent<'_> {
    /// Checks what the parameters name on this node. The parameters themselves were checked before.
    pub fn validate_all(&mut self) -> Outcome {
        if let Err(error) = self.pg.check_programs() {
            return without_programs(&error);
        }
        let data = self.pg.data_dir();
        if let Some(why) = self.mount(&data).refusal(&self.params.pgdata) {
            return Outcome::error(why);
        }
        match data {
            // No failure: the service is not started now, and the node may be wanted at once.
            DataDir::Cluster(_) => {
                let output = self.pg.started_at_boot();
                for line in &output {
                    warn!("{line}");
                }
                Outcome { output, ..Outcome::ok() }
            }
            DataDir::Unusable(why) => Outcome::because(ExitCode::Perm, why),
            DataDir::Absent | DataDir::Empty => Outcome::error(format!(
                "{} holds no database: make one by initdb on the first node, by pg_basebackup on \
                 the others",
                self.params.pgdata
            )),
            DataDir::Unknown(why) => Outcome::error(why),
        }
    }

    /// Takes over parameters that changed without touching the instance.
    pub fn reload_agent(&mut self) -> Outcome {
        let instance = self.pg.look(&self.deadline);
        if let Sql::Standby(standby) = &instance.sql
            && let Ok(upstream) = self.cache.upstream.parse()
        {
            let (conninfo, slot) = (standby.conninfo.clone(), standby.slot.clone());
            if let Err(why) = self.follow(&upstream, &conninfo, &slot) {
                return Outcome::error(why);
            }
        }
        if let Some(size) = self.slot_wal_keep_size()
            && let Err(why) = self.pg.set_and_reload(&[("max_slot_wal_keep_size", Some(&size))])
        {
            return Outcome::error(why);
        }
        self.cache.asked = 0;
        Outcome::ok()
    }

    /// Whether pg_hba.conf lets the replication user in, for both databases.
    pub fn validate_pghba(&mut self) -> Outcome {
        let rules = match self.pg.hba_rules() {
            Known::Known(rules) => rules,
            Known::Unknown(why) => return Outcome::error(why),
        };
        let user = self.pg.replication_user();
        let presence = Presence::find(&rules, &user);
        let missing = if presence.is_complete() {
            Vec::new()
        } else {
            presence.lines_to_add(&user, &["samenet"])
        };
        match missing {
            missing if missing.is_empty() => Outcome {
                output: vec![format!(
                    "pg_hba.conf has entries for {} in both databases, replication and postgres",
                    self.pg.replication_user()
                )],
                ..Outcome::ok()
            },
            missing => Outcome {
                code: ExitCode::Degraded,
                reason: Some(format!("pg_hba.conf lacks: {}", missing.join(" | "))),
                output: missing,
            },
        }
    }
}
