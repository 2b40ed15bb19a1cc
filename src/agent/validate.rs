//! `validate-all`, `validate-pghba` and `reload-agent`. Floor 3.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::warn;

use super::Agent;
use super::outcome::Outcome;
use super::reach::FOR_NAMES;
use crate::client::sql::look::UNLIMITED_SLOTS;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::facts::{DataDir, Sql};
use crate::decide::reach::{Facts, obstacles};
use crate::decide::slots::lost_at_failover;
use crate::decide::source::{Login, Passfile};
use crate::ocf::exit_code::ExitCode;
use crate::postgres::hba::{Presence, Rule};
use crate::postgres::pgpass;
use crate::runtime::BinariesError;
use crate::runtime::passfile::Fitness;

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
                let mut output = self.pg.started_at_boot();
                match self.passfile_words() {
                    Ok(words) => output.extend(words),
                    Err(why) => return Outcome::error(why),
                }
                output.extend(self.server_words());
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

    /// What is odd about the passfile, one line each; an error if it cannot be used. That a line is
    /// missing is no error: certificates need none.
    fn passfile_words(&self) -> Result<Vec<String>, String> {
        let Some(named) = self.params.pgpassfile.as_deref() else { return Ok(Vec::new()) };
        let mut words = Vec::new();
        match self.pg.passfile_fitness() {
            None | Some(Fitness::Fit) => {}
            Some(Fitness::Missing) => {
                return Err(format!(
                    "pgpassfile={named} is missing: make it, owned by {}, mode 0600",
                    self.params.pguser
                ));
            }
            Some(Fitness::Unusable(why)) => return Err(why),
            Some(Fitness::Unfit { why, .. }) => {
                words.push(format!("{why}; until then {} uses a copy", self.params.pguser));
            }
        }
        let Some(passfile) = self.pg.passfile() else { return Ok(words) };
        for node in self.others() {
            let peer = self.peer(&node);
            match self.pg.passfile_facts(&peer) {
                Passfile::Read { replication, postgres, bad, .. } => {
                    for bad in bad.iter().map(|bad| format!("pgpassfile={passfile}: {bad}")) {
                        if !words.contains(&bad) {
                            words.push(bad);
                        }
                    }
                    for (there, login) in
                        [(replication, Login::Replication), (postgres, Login::Postgres)]
                    {
                        let database = login.database();
                        if there.is_none() {
                            words.push(format!(
                                "pgpassfile={passfile} has no line for {database} on {node}: add {}",
                                pgpass::line(&peer.host, peer.port, database, &peer.user)
                            ));
                        }
                    }
                }
                Passfile::NotNamed | Passfile::Missing { .. } | Passfile::Unreadable { .. } => {}
            }
        }
        Ok(words)
    }

    /// What a running server weakens or would lose, one line each.
    fn server_words(&mut self) -> Vec<String> {
        match self.pg.look(&self.deadline.within(Duration::from_secs(5))).sql {
            Sql::Primary(primary) => {
                let mut words = primary.weaknesses;
                words.extend(self.pg.overrides().unwrap_or_default());
                if let Known::Known(logical) = self.pg.logical_slots(primary.version) {
                    let members = self.others().into_iter().collect();
                    words.extend(lost_at_failover(&logical, &self.slots_of_others(&members)));
                }
                words
            }
            Sql::Standby(_) => {
                let limit = self.pg.setting("max_slot_wal_keep_size").known();
                let unlimited = limit.is_some_and(|limit| limit == "-1");
                unlimited.then(|| UNLIMITED_SLOTS.to_owned()).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Members that pg_hba.conf surely keeps out, with the lines to add.
    fn kept_out(&self, rules: Vec<Rule>) -> Vec<String> {
        let (others, limit) = (self.others(), self.deadline.within(FOR_NAMES));
        obstacles(&Facts {
            me: self.member(&self.me, &limit),
            port: self.params.pgport,
            user: self.pg.replication_user(),
            listen: Known::unknown("not asked"),
            rules: Known::Known(rules),
            others: others.iter().map(|node| self.member(node, &limit)).collect(),
            streaming: BTreeSet::new(),
            missing_slots: Vec::new(),
        })
    }

    /// The other members, as far as they are known without asking anybody.
    fn others(&self) -> Vec<NodeName> {
        let known = self.known_members();
        let named = || self.params.node_addresses.keys().cloned().collect();
        known.unwrap_or_else(named).into_iter().filter(|node| *node != self.me).collect()
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
        let missing = if missing.is_empty() { self.kept_out(rules) } else { missing };
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
