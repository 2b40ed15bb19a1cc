//! `validate-all`, `validate-pghba` and `reload-agent`. Floor 3.

use std::time::Duration;

use tracing::warn;

use super::Agent;
use super::outcome::Outcome;
use super::pghba::Asked;
use crate::client::sql::look::UNLIMITED_SLOTS;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::answer::End;
use crate::decide::facts::{DataDir, Sql};
use crate::decide::pghba;
use crate::decide::slots::lost_at_failover;
use crate::decide::source::{Login, Passfile};
use crate::postgres::pgpass;
use crate::runtime::BinariesError;
use crate::runtime::passfile::Fitness;

/// What a look at the server may take.
const LOOK: Duration = Duration::from_secs(5);

/// The answer where PostgreSQL's programs are not what the data needs.
pub fn without_programs(error: &BinariesError) -> Outcome {
    let end = match error {
        BinariesError::NotInBindir { .. }
        | BinariesError::NotFound { .. }
        | BinariesError::NoEngine(_)
        | BinariesError::NoImageNamed(_)
        | BinariesError::NoImage { .. }
        | BinariesError::NotInImage { .. } => End::NoPrograms,
        BinariesError::OtherMajor { .. } | BinariesError::ImageOfOtherMajor { .. } => {
            End::OtherPrograms
        }
        BinariesError::NoVersion { .. } | BinariesError::EngineSilent(_) => End::Failed,
    };
    Outcome::ended(end, error.to_string())
}

impl Agent<'_> {
    /// Checks what the parameters name on this node. The parameters themselves were checked before.
    pub fn validate_all(&mut self) -> Outcome {
        if let Err(error) = self.pg.check_programs() {
            return without_programs(&error);
        }
        if let Some(why) = self.refused_name() {
            return Outcome::ended(End::WrongPlace, why);
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
                output.extend(self.params.two_places(&self.me));
                for line in &output {
                    warn!("{line}");
                }
                Outcome { output, ..Outcome::ok() }
            }
            DataDir::Unusable(why) => Outcome::ended(End::UnusableData, why),
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
        match self.pg.look(&self.deadline.within(LOOK)).sql {
            Sql::Primary(primary) => {
                let mut words = primary.weaknesses;
                words.extend(self.pg.overrides().unwrap_or_default());
                if let Known::Known(logical) = self.pg.logical_slots(primary.version) {
                    let members = self.others().into_iter().collect();
                    words.extend(lost_at_failover(&logical, &self.slots_of_others(&members)));
                }
                words.extend(self.pg.history_warnings(true));
                words
            }
            Sql::Standby(_) => {
                let limit = self.pg.setting("max_slot_wal_keep_size").known();
                let unlimited = limit.is_some_and(|limit| limit == "-1");
                let unlimited = unlimited.then(|| UNLIMITED_SLOTS.to_owned()).into_iter();
                unlimited.chain(self.pg.history_warnings(false)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The other members, as far as they are known without asking anybody.
    fn others(&self) -> Vec<NodeName> {
        let known = self.known_members();
        let named = || self.params.node_addresses.keys().cloned().collect();
        known.unwrap_or_else(named).into_iter().filter(|node| *node != self.me).collect()
    }

    /// Takes over parameters that changed without touching the instance.
    pub fn reload_agent(&mut self) -> Outcome {
        // What runs goes on, and its monitor says so. To fail here would restart it.
        if let Err(error) = self.pg.check_programs() {
            warn!("{error}");
        }
        let instance = self.pg.look(&self.deadline);
        if let Sql::Standby(standby) = &instance.sql
            && let Ok(upstream) = self.cache.upstream.parse()
        {
            let (conninfo, slot) = (standby.conninfo.clone(), standby.slot.clone());
            if let Err(why) = self.follow(&upstream, &conninfo, &slot, &instance.sql) {
                return Outcome::error(why);
            }
        }
        if let Some(size) = self.slot_wal_keep_size()
            && let Err(why) = self.pg.set_and_reload(&[("max_slot_wal_keep_size", Some(&size))])
        {
            return Outcome::error(why);
        }
        // The next monitor cares for names, slots and warnings by what is in force now.
        self.cache.asked = 0;
        self.cache.warned = 0;
        self.cache.warned_of.clear();
        Outcome::ok()
    }

    /// Whether pg_hba.conf lets the replication user in from every other member, for both databases.
    pub fn validate_pghba(&mut self) -> Outcome {
        let mut members = self.others();
        members.push(self.me.clone());
        let asked = Asked {
            pg: &self.pg,
            exec: self.exec,
            params: &self.params,
            me: &self.me,
            members: &members,
        };
        let primary = !matches!(self.pg.look(&self.deadline.within(LOOK)).sql, Sql::Standby(_));
        let check = match asked.facts(primary, &self.deadline) {
            Ok(facts) => pghba::check(&facts),
            Err(why) => return Outcome::error(why),
        };
        if members.len() < 2 {
            return Outcome::error(
                "no other member is known: set node_list, or let a monitor of the cluster run first",
            );
        }
        if check.is_well() {
            let words = format!(
                "{} lets {} in from every member, for replication and for postgres",
                check.file, check.user
            );
            return Outcome { output: vec![words], ..Outcome::ok() };
        }
        // Pacemaker cuts a reason off: what is to be done comes first.
        let output = check.complaints();
        let reason = if check.add.is_empty() {
            output.join(" | ")
        } else {
            format!("pg_hba.conf lacks: {}", check.add.join(" | "))
        };
        Outcome { output, ..Outcome::ended(End::NeedsAttention, reason) }
    }
}
