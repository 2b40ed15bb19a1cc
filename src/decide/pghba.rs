//! Whether pg_hba.conf of one node lets every member in, for both of the logins that a standby makes,
//! and the lines that are missing. How it is told is in `words`; putting the lines in is in `fix`.
//! Floor 1.

pub mod fix;
mod judge;
mod tried;
mod words;

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

use crate::cluster::node::NodeName;
use crate::decide::reach::Member;
use crate::postgres::hba::{
    Attempt, Channel, Origin, Rule, Surroundings, Target, first_that_may_fit, line_of, local_line,
};

use judge::{by_method, entries, own, problems};

pub use judge::of_logins;
pub use tried::{Report, Tried, Tries, tries};

/// What the server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its major version.
    pub major: u32,
    /// Whether it takes TLS.
    pub ssl: bool,
    /// `hba_file`.
    pub hba_file: String,
    /// That file was changed after the server read it.
    pub changed: bool,
}

/// The role for replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// There is none.
    Missing,
    /// There is.
    There {
        /// It may log in.
        login: bool,
        /// It may replicate.
        replication: bool,
        /// How its password is stored.
        secret: Secret,
        /// Its password is not valid any more.
        expired: bool,
    },
}

/// How a password is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// For scram-sha-256, and for md5 as well.
    Scram,
    /// For md5 alone.
    Md5,
    /// There is no password.
    None,
}

/// Who asks a server on its own node: the agent, by the socket, as the role of pguser's name. Its session
/// is in the database postgres, and a replication connection tells it the node's position.
#[derive(Clone, Debug)]
pub struct OwnAgent {
    /// The role.
    pub user: String,
    /// What decides over its logins besides the lines.
    pub around: Surroundings,
}

/// All that the check looks at.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The node whose file it is.
    pub me: NodeName,
    /// It is the primary, and no standby that may become one.
    pub primary: bool,
    /// The role for replication.
    pub user: String,
    /// The server.
    pub about: About,
    /// That role there.
    pub role: Role,
    /// The lines of the file.
    pub rules: Vec<Rule>,
    /// What decides besides them.
    pub around: Surroundings,
    /// Who has to come in on the node itself.
    pub agent: OwnAgent,
    /// `sslmode` of the members' logins, as far as it is known here.
    pub sslmode: String,
    /// All members, this node included.
    pub members: Vec<Member>,
}

/// Whether somebody comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Yes, with the right password.
    Yes,
    /// No.
    No,
    /// That cannot be told.
    Unknown,
}

/// The verdict about one login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether it comes in.
    pub access: Access,
    /// The line that decides.
    pub line: Option<u32>,
    /// Its file.
    pub file: Option<String>,
    /// Its method.
    pub method: Option<String>,
    /// Why, in words.
    pub why: String,
    /// A line would help.
    #[serde(skip)]
    pub lacks_line: bool,
}

/// One address of one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The member.
    pub node: String,
    /// It is the node whose file it is: that its own address comes in is not needed here.
    pub this_node: bool,
    /// Its address; none: it is not known.
    pub address: Option<IpAddr>,
    /// The login of a walreceiver.
    pub replication: Verdict,
    /// The login of pg_rewind, to the database postgres.
    pub pg_rewind: Verdict,
}

/// The agent's own two logins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Own {
    /// As whom.
    pub user: String,
    /// For the position of this node.
    pub replication: Verdict,
    /// For all other questions.
    pub postgres: Verdict,
}

/// A line that PostgreSQL cannot read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Its file.
    pub file: String,
    /// Its number there.
    pub line: u32,
    /// PostgreSQL's words.
    pub error: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The file.
    pub file: String,
    /// It is the primary's.
    #[serde(skip)]
    pub primary: bool,
    /// The role for replication.
    pub user: String,
    /// Each member's addresses.
    pub members: Vec<Entry>,
    /// The agent on this node.
    pub agent: Own,
    /// Lines that PostgreSQL cannot read: as long as there is one, it loads nothing of the file.
    pub errors: Vec<BadLine>,
    /// What else keeps members out.
    pub problems: Vec<String>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// The lines to add.
    pub add: Vec<String>,
    /// Before which line they have to stand; none: at the end will do.
    pub before: Option<Spot>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spot {
    /// The file.
    pub file: String,
    /// The number of the line.
    pub line: u32,
}

impl Check {
    /// Whether nothing is missing that a failover needs.
    pub fn is_well(&self) -> bool {
        let well = |entry: &Entry| {
            entry.this_node
                || [&entry.replication, &entry.pg_rewind].iter().all(|v| v.access == Access::Yes)
        };
        self.errors.is_empty()
            && self.problems.is_empty()
            && self.members.iter().all(well)
            && self.agent.logins().iter().all(|(_, verdict)| verdict.access == Access::Yes)
    }

    /// Which logins of the agent and of other members end so, one line each.
    pub fn not_in(&self, ends_so: impl Fn(Access) -> bool) -> Vec<String> {
        let own = self.agent.logins().into_iter().filter(|(_, verdict)| ends_so(verdict.access));
        let mut words: Vec<String> =
            own.map(|(login, verdict)| self.agent.told(login, verdict)).collect();
        for entry in self.members.iter().filter(|entry| !entry.this_node) {
            let from = entry.address.map(|address| format!(" ({address})")).unwrap_or_default();
            for (login, verdict) in
                [("replication", &entry.replication), ("postgres", &entry.pg_rewind)]
            {
                if ends_so(verdict.access) {
                    words.push(format!("{}{from} for {login}: {}", entry.node, verdict.why));
                }
            }
        }
        words
    }

    /// Where the lines to add have to stand.
    pub fn place(&self) -> String {
        match &self.before {
            Some(spot) => format!("before line {} of {}", spot.line, spot.file),
            None => format!("at the end of {}", self.file),
        }
    }

    /// What is wrong in one line each, and each line to add.
    pub fn complaints(&self) -> Vec<String> {
        let bad = self.errors.iter().map(|bad| {
            format!("PostgreSQL cannot read line {} of {}: {}", bad.line, bad.file, bad.error)
        });
        let mut words: Vec<String> = bad.chain(self.problems.iter().cloned()).collect();
        words.extend(self.not_in(|access| access != Access::Yes));
        let place = self.before.as_ref().map(|spot| format!(" before line {}", spot.line));
        let place = place.unwrap_or_default();
        words.extend(self.add.iter().map(|line| format!("add{place}: {line}")));
        words
    }
}

impl Own {
    fn logins(&self) -> [(&'static str, &Verdict); 2] {
        [("replication", &self.replication), ("postgres", &self.postgres)]
    }

    fn told(&self, login: &str, verdict: &Verdict) -> String {
        format!("the agent itself (local, {}) for {login}: {}", self.user, verdict.why)
    }
}

/// The node behind a line for the agent.
const AGENT: &str = "the agent";

/// The two logins, with the database as pg_hba.conf names it.
const LOGINS: [(Target<'static>, &str); 2] =
    [(Target::Replication, "replication"), (Target::POSTGRES, "postgres")];

/// Judges the file.
#[must_use]
pub fn check(facts: &Facts) -> Check {
    let (members, agent) = (entries(facts, &facts.rules), own(facts, &facts.rules));
    let needs = needs(&members, &agent);
    let before = place(facts, &facts.rules, &needs)
        .and_then(|at| facts.rules.get(at))
        .map(|rule| Spot { file: facts.file_of(rule).to_owned(), line: rule.line });
    let mut notes = Vec::new();
    let mut afar = needs.iter().filter(|need| need.address.is_some()).peekable();
    if afar.peek().is_some() && afar.all(|need| need.node == facts.me.as_str()) {
        notes.push(format!(
            "a copy of {0} carries this file to another node, where {0} has to come in",
            facts.me
        ));
    }
    if facts.about.changed {
        notes.push(
            "the file was changed after PostgreSQL had read it: this is what it says once it is \
             reloaded"
                .to_owned(),
        );
    }
    let open: BTreeSet<u32> = by_method(&members, &["trust"]).collect();
    notes.extend(open.iter().map(|line| {
        format!("line {line} lets in anybody at that address, without a password (trust)")
    }));
    for rule in &facts.rules {
        notes.extend(rule.idle().map(|why| format!("line {} has no effect: {why}", rule.line)));
    }
    Check {
        file: facts.about.hba_file.clone(),
        primary: facts.primary,
        user: facts.user.clone(),
        errors: facts
            .rules
            .iter()
            .filter_map(|rule| {
                let error = rule.broken()?.to_owned();
                Some(BadLine { file: facts.file_of(rule).to_owned(), line: rule.line, error })
            })
            .collect(),
        problems: problems(facts, &members),
        notes,
        add: needs.iter().map(|need| facts.line(need)).collect(),
        before,
        members,
        agent,
    }
}

/// What an address lacks, or the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Need {
    node: String,
    /// None: the socket.
    address: Option<IpAddr>,
    replication: bool,
    postgres: bool,
}

impl Need {
    fn targets(&self) -> impl Iterator<Item = (Target<'static>, &'static str)> {
        let wanted = [self.replication, self.postgres];
        LOGINS.into_iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(login, _)| login)
    }
}

/// One for the agent, and one for an address, whoever shares it.
fn needs(entries: &[Entry], agent: &Own) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let (replication, postgres) = (agent.replication.lacks_line, agent.postgres.lacks_line);
    if replication || postgres {
        needs.push(Need { node: AGENT.to_owned(), address: None, replication, postgres });
    }
    for entry in entries {
        let (replication, postgres) = (entry.replication.lacks_line, entry.pg_rewind.lacks_line);
        let Some(address) = entry.address.filter(|_| replication || postgres) else { continue };
        let address = Some(address);
        if needs.iter().all(|need| need.address != address) {
            needs.push(Need { node: entry.node.clone(), address, replication, postgres });
        }
    }
    needs
}

/// Before which of the rules lines for all of these have to stand.
fn place(facts: &Facts, rules: &[Rule], needs: &[Need]) -> Option<usize> {
    let first = |need: &Need| {
        let of = |(target, _)| match need.address {
            None => {
                vec![first_that_may_fit(rules, &facts.own_attempt(target), &facts.agent.around)]
            }
            Some(address) => facts
                .channels()
                .iter()
                .map(|channel| {
                    let attempt = facts.attempt(target, address, *channel);
                    first_that_may_fit(rules, &attempt, &facts.around)
                })
                .collect(),
        };
        need.targets().flat_map(of).flatten().min()
    };
    needs.iter().filter_map(first).min()
}

impl Facts {
    /// The ways that a member tries, as libpq does: `prefer` goes on without TLS where the server
    /// refuses it with TLS.
    fn channels(&self) -> &'static [Channel] {
        match self.sslmode.as_str() {
            "disable" => &[Channel::Plain],
            "require" | "verify-ca" | "verify-full" => &[Channel::Tls],
            _ if !self.about.ssl => &[Channel::Plain],
            "allow" => &[Channel::Plain, Channel::Tls],
            _ => &[Channel::Tls, Channel::Plain],
        }
    }

    fn attempt(&self, target: Target<'static>, address: IpAddr, channel: Channel) -> Attempt<'_> {
        Attempt { target, user: &self.user, origin: Origin::Tcp(address, channel) }
    }

    fn own_attempt(&self, target: Target<'static>) -> Attempt<'_> {
        Attempt { target, user: &self.agent.user, origin: Origin::Socket }
    }

    fn file_of<'a>(&'a self, rule: &'a Rule) -> &'a str {
        rule.file.as_deref().unwrap_or(&self.about.hba_file)
    }

    fn is_of_main(&self, rule: &Rule) -> bool {
        self.file_of(rule) == self.about.hba_file
    }

    /// The line that this takes, with no more rights than that.
    fn line(&self, need: &Need) -> String {
        let databases: Vec<&str> = need.targets().map(|(_, database)| database).collect();
        let Some(address) = need.address else {
            return local_line(&databases.join(","), &self.agent.user);
        };
        let tls = self.about.ssl && self.sslmode != "disable";
        let kind = if tls { "hostssl" } else { "host" };
        let method = match self.role {
            Role::There { secret: Secret::Md5, .. } => "md5",
            Role::There { .. } | Role::Missing => "scram-sha-256",
        };
        line_of(kind, &databases.join(","), &self.user, &address.to_string(), method)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
