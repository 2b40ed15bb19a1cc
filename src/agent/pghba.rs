//! What `pgtwin validate-pghba` and `fix-pghba` look at: this node's server and its file, the members
//! and their addresses, and from a standby the primary's answers. Floor 3.

pub mod fix;
mod ground;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::client::peer::{self, Peer};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::facts::{Sql, StandbyFacts};
use crate::decide::pghba::{Facts, Report, Tries, check, tries};
use crate::decide::reach::Member;
use crate::ocf::params::Params;
use crate::postgres::conninfo::Conninfo;
use crate::runtime::instance::Postgres;
use crate::runtime::instance::recovery_facts::Provider;
use crate::sys::deadline::Deadline;
use crate::sys::exec::Exec;

pub use ground::{Ground, NoGround, Which, this_node};

/// What resolving all names may take.
const FOR_NAMES: Duration = Duration::from_secs(4);
/// What the two logins at a primary may take.
const FOR_LOGINS: Duration = Duration::from_secs(15);

/// A member with what its address means.
pub fn member(exec: &dyn Exec, params: &Params, node: &NodeName, limit: &Deadline) -> Member {
    let address = params.node_addresses.get(node).cloned().unwrap_or_else(|| node.to_string());
    let resolved: Known<Vec<IpAddr>> = match peer::addresses(exec, &address, limit) {
        Ok(addresses) => Known::Known(addresses),
        Err(why) => Known::Unknown(why),
    };
    Member { node: node.clone(), address, resolved }
}

/// From where members come, as far as that is known.
pub fn addresses(members: &[Member]) -> BTreeSet<IpAddr> {
    let known = members.iter().filter_map(|member| match &member.resolved {
        Known::Known(addresses) => Some(addresses),
        Known::Unknown(_) => None,
    });
    known.flatten().copied().collect()
}

/// Whose file is looked at, and for whom.
pub struct Asked<'a, 'b> {
    /// This node's instance.
    pub pg: &'a Postgres<'b>,
    /// Starts programs.
    pub exec: &'a dyn Exec,
    /// The parameters.
    pub params: &'a Params,
    /// This node.
    pub me: &'a NodeName,
    /// All members, this node included.
    pub members: &'a [NodeName],
}

impl Asked<'_, '_> {
    /// All that the check looks at.
    pub fn facts(&self, primary: bool, deadline: &Deadline) -> Result<Facts, String> {
        let limit = deadline.within(FOR_NAMES);
        let member = |node| member(self.exec, self.params, node, &limit);
        let members: Vec<Member> = self.members.iter().map(member).collect();
        let user = self.pg.replication_user();
        let found = self.pg.hba_facts(&user, &addresses(&members), deadline).into_result()?;
        let login = self.pg.login_like();
        Ok(Facts {
            me: self.me.clone(),
            primary,
            about: found.about,
            role: found.role,
            rules: found.rules,
            around: found.around,
            agent: found.agent,
            sslmode: login.get("sslmode").unwrap_or("prefer").to_owned(),
            user,
            members,
        })
    }
}

impl Ground<'_> {
    /// The whole report, or why there is none.
    pub fn report(&self, deadline: &Deadline) -> Result<Report, String> {
        let (role, primary, primary_unknown) = match self.sql(deadline)? {
            Sql::Standby(standby) => match self.tried(&standby) {
                Ok(tries) => ("standby", Some(tries), None),
                Err(why) => ("standby", None, Some(why)),
            },
            _ => ("primary", None, None),
        };
        let facts = self.asked().facts(role == "primary", deadline)?;
        let mut report = Report {
            version: Report::VERSION,
            command: Report::COMMAND,
            ok: false,
            node: self.me.to_string(),
            resource: self.resource.clone(),
            role,
            primary,
            primary_unknown,
            check: check(&facts),
        };
        report.ok = report.is_well();
        Ok(report)
    }

    fn asked(&self) -> Asked<'_, '_> {
        Asked {
            pg: &self.pg,
            exec: self.exec,
            params: &self.params,
            me: &self.me,
            members: &self.members,
        }
    }

    /// What this node's server is: an error if it is neither primary nor standby.
    fn sql(&self, deadline: &Deadline) -> Result<Sql, String> {
        let instance = self.pg.look(&deadline.within(Duration::from_secs(10)));
        match instance.sql {
            sql @ (Sql::Primary(_) | Sql::Standby(_)) => Ok(sql),
            Sql::NotAsked => Err(format!(
                "PostgreSQL in {} on {} cannot be asked: {}",
                self.params.pgdata, self.me, instance.process
            )),
            other => Err(format!("PostgreSQL on {} cannot be asked: {other}", self.me)),
        }
    }

    /// Logs in at the primary as a standby does, both ways.
    fn tried(&self, standby: &StandbyFacts) -> Result<Tries, String> {
        let (node, host, port) = self.primary(standby)?;
        let peer = Peer {
            host,
            port,
            user: self.pg.replication_user(),
            passfile: self.pg.passfile(),
            like: self.pg.login_like(),
        };
        let provider = Provider { node: &node, peer: &peer, slot: "" };
        let (server, source) = self.pg.try_logins(&provider, FOR_LOGINS);
        Ok(tries(&server, &source))
    }

    /// Whom Pacemaker has promoted; without a cluster, from whom this standby streams.
    fn primary(&self, standby: &StandbyFacts) -> Result<(String, String, u16), String> {
        let port = self.params.pgport;
        if let Some(promoted) = &self.promoted {
            let others: Vec<&NodeName> = promoted.iter().filter(|node| **node != self.me).collect();
            return match others.as_slice() {
                [one] => {
                    let host = self.params.node_addresses.get(*one).cloned();
                    Ok((one.to_string(), host.unwrap_or_else(|| one.to_string()), port))
                }
                [] => Err("Pacemaker has promoted no other node".to_owned()),
                _ => Err("Pacemaker has more than one node promoted".to_owned()),
            };
        }
        let conninfo = Conninfo::parse(&standby.conninfo).map_err(|error| error.to_string())?;
        let host = conninfo.get("host").or(conninfo.get("hostaddr"));
        let host = host.ok_or("primary_conninfo names no host")?.to_owned();
        let port = conninfo.get("port").and_then(|port| port.parse().ok()).unwrap_or(port);
        let named = |(_, address): &(&NodeName, &String)| **address == host;
        let node = self.params.node_addresses.iter().find(named).map(|(node, _)| node.to_string());
        Ok((node.unwrap_or_else(|| host.clone()), host, port))
    }
}
