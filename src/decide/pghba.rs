//! Whether pg_hba.conf of one node lets every member in, for both of the logins that a standby makes,
//! and the lines that are missing. How it is told is in `words`; putting the lines in is in `fix`.
//! Floor 1.

pub mod fix;
mod tried;
mod words;

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::reach::Member;
pub use tried::{Report, Tried, Tries, tries};

use crate::postgres::hba::{
    Admission, Attempt, Channel, Origin, Rule, Surroundings, Target, admits, first_that_may_fit,
    line_of,
};

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
        self.errors.is_empty() && self.problems.is_empty() && self.members.iter().all(well)
    }
}

impl Check {
    /// What is wrong in one line each, and each line to add.
    pub fn complaints(&self) -> Vec<String> {
        let bad = self.errors.iter().map(|bad| {
            format!("PostgreSQL cannot read line {} of {}: {}", bad.line, bad.file, bad.error)
        });
        let mut words: Vec<String> = bad.chain(self.problems.iter().cloned()).collect();
        let others = self.members.iter().filter(|entry| !entry.this_node);
        for entry in others {
            for (login, verdict) in
                [("replication", &entry.replication), ("postgres", &entry.pg_rewind)]
            {
                if verdict.access != Access::Yes {
                    let from = entry.address.map(|address| format!(" ({address})"));
                    let from = from.unwrap_or_default();
                    words.push(format!("{}{from} for {login}: {}", entry.node, verdict.why));
                }
            }
        }
        let place = self.before.as_ref().map(|spot| format!(" before line {}", spot.line));
        let place = place.unwrap_or_default();
        words.extend(self.add.iter().map(|line| format!("add{place}: {line}")));
        words
    }
}

/// The two logins, with the database as pg_hba.conf names it.
const LOGINS: [(Target<'static>, &str); 2] =
    [(Target::Replication, "replication"), (Target::POSTGRES, "postgres")];

/// Judges the file.
#[must_use]
pub fn check(facts: &Facts) -> Check {
    let members = entries(facts, &facts.rules);
    let needs = needs(&members);
    let before = place(facts, &facts.rules, &needs)
        .and_then(|at| facts.rules.get(at))
        .map(|rule| Spot { file: facts.file_of(rule).to_owned(), line: rule.line });
    let mut notes = Vec::new();
    if !needs.is_empty() && needs.iter().all(|need| need.node == facts.me.as_str()) {
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
    }
}

/// What an address lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Need {
    node: String,
    address: IpAddr,
    replication: bool,
    postgres: bool,
}

impl Need {
    fn targets(&self) -> impl Iterator<Item = (Target<'static>, &'static str)> {
        let wanted = [self.replication, self.postgres];
        LOGINS.into_iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(login, _)| login)
    }
}

fn needs(entries: &[Entry]) -> Vec<Need> {
    let need = |entry: &Entry| {
        Some(Need {
            node: entry.node.clone(),
            address: entry.address?,
            replication: entry.replication.lacks_line,
            postgres: entry.pg_rewind.lacks_line,
        })
    };
    entries.iter().filter_map(need).filter(|need| need.replication || need.postgres).collect()
}

/// Before which of the rules lines for all of these have to stand.
fn place(facts: &Facts, rules: &[Rule], needs: &[Need]) -> Option<usize> {
    let first = |need: &Need| {
        need.targets()
            .flat_map(|(target, _)| facts.channels().iter().map(move |channel| (target, *channel)))
            .filter_map(|(target, channel)| {
                let attempt = facts.attempt(target, need.address, channel);
                first_that_may_fit(rules, &attempt, &facts.around)
            })
            .min()
    };
    needs.iter().filter_map(first).min()
}

/// One row for each address that a member has.
fn entries(facts: &Facts, rules: &[Rule]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for member in &facts.members {
        let this_node = member.node == facts.me;
        let node = member.node.to_string();
        match addresses(member) {
            Ok(addresses) => entries.extend(addresses.into_iter().map(|address| Entry {
                node: node.clone(),
                this_node,
                address: Some(address),
                replication: verdict(facts, rules, Target::Replication, address),
                pg_rewind: verdict(facts, rules, Target::POSTGRES, address),
            })),
            Err(why) => {
                let unknown = Verdict {
                    access: Access::Unknown,
                    line: None,
                    file: None,
                    method: None,
                    why,
                    lacks_line: false,
                };
                let (replication, pg_rewind) = (unknown.clone(), unknown);
                entries.push(Entry { node, this_node, address: None, replication, pg_rewind });
            }
        }
    }
    entries
}

/// From where a member comes. A name that means the loopback address, or one that counts on one link
/// only, means it on its own machine and nowhere else; an owner who gives such an address means it.
fn addresses(member: &Member) -> Result<Vec<IpAddr>, String> {
    let all = match &member.resolved {
        Known::Known(all) => all,
        Known::Unknown(why) => return Err(why.clone()),
    };
    if member.address.parse::<IpAddr>().is_ok() {
        return Ok(all.clone());
    }
    let of_a_link = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let seen_by_others = |a: &&IpAddr| !a.is_loopback() && !a.is_unspecified() && !of_a_link(a);
    let others: Vec<IpAddr> = all.iter().filter(seen_by_others).copied().collect();
    if others.is_empty() {
        return Err(format!(
            "{} means only an address of its own machine here: set node_addresses, or correct \
             /etc/hosts",
            member.address
        ));
    }
    Ok(others)
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

    fn file_of<'a>(&'a self, rule: &'a Rule) -> &'a str {
        rule.file.as_deref().unwrap_or(&self.about.hba_file)
    }

    fn is_of_main(&self, rule: &Rule) -> bool {
        self.file_of(rule) == self.about.hba_file
    }

    /// The line that this takes, with no more rights than that.
    fn line(&self, need: &Need) -> String {
        let databases: Vec<&str> = need.targets().map(|(_, database)| database).collect();
        let tls = self.about.ssl && self.sslmode != "disable";
        let kind = if tls { "hostssl" } else { "host" };
        let method = match self.role {
            Role::There { secret: Secret::Md5, .. } => "md5",
            Role::There { .. } | Role::Missing => "scram-sha-256",
        };
        let address = need.address.to_string();
        line_of(kind, &databases.join(","), &self.user, &address, method)
    }
}

/// The best that any of the ways comes to.
fn verdict(facts: &Facts, rules: &[Rule], target: Target<'static>, address: IpAddr) -> Verdict {
    let of = |channel: &Channel| {
        let admission = admits(rules, &facts.attempt(target, address, *channel), &facts.around);
        told(facts, admission)
    };
    let rank = |verdict: &Verdict| match verdict.access {
        Access::Yes => 0,
        Access::Unknown => 1,
        Access::No => 2,
    };
    let all: Vec<Verdict> = facts.channels().iter().map(of).collect();
    all.into_iter().min_by_key(rank).unwrap_or_else(|| told(facts, Admission::NoLine))
}

fn told(facts: &Facts, admission: Admission<'_>) -> Verdict {
    let (rule, access, lacks_line) = match admission {
        Admission::NoLine => (None, Access::No, true),
        Admission::Rejected(rule) => (Some(rule), Access::No, true),
        Admission::Perhaps(rule) => (Some(rule), Access::Unknown, true),
        Admission::In(rule) => match rule.method.as_str() {
            // No standby runs a server that answers that.
            "ident" => (Some(rule), Access::Unknown, true),
            // Another line would not make the password another one.
            "scram-sha-256" if facts.stored_as_md5() => (Some(rule), Access::No, false),
            _ => (Some(rule), Access::Yes, false),
        },
    };
    let Some(rule) = rule else {
        let why = "no line".to_owned();
        return Verdict { access, line: None, file: None, method: None, why, lacks_line };
    };
    let line = if facts.is_of_main(rule) {
        format!("line {}", rule.line)
    } else {
        format!("line {} of {}", rule.line, facts.file_of(rule))
    };
    let why = match admission {
        Admission::Rejected(_) => format!("{line} rejects it"),
        Admission::Perhaps(_) => format!("whether {line} fits is not known"),
        Admission::In(_) if access == Access::Unknown => {
            format!("{line} asks an ident server there, and a standby has none")
        }
        Admission::In(_) if access == Access::No => {
            format!("{line} asks for scram-sha-256, and the password is stored as md5")
        }
        Admission::In(_) | Admission::NoLine => line,
    };
    Verdict {
        access,
        line: Some(rule.line),
        file: Some(facts.file_of(rule).to_owned()),
        method: Some(rule.method.clone()),
        why,
        lacks_line,
    }
}

impl Facts {
    fn stored_as_md5(&self) -> bool {
        matches!(self.role, Role::There { secret: Secret::Md5, .. })
    }
}

/// The lines by which other members come to these methods.
fn by_method<'a>(members: &'a [Entry], methods: &'a [&str]) -> impl Iterator<Item = u32> + 'a {
    let asks = |verdict: &&Verdict| verdict.method.as_deref().is_some_and(|m| methods.contains(&m));
    let others = members.iter().filter(|entry| !entry.this_node);
    let verdicts = others.flat_map(|entry| [&entry.replication, &entry.pg_rewind]);
    verdicts.filter(asks).filter_map(|verdict| verdict.line)
}

/// What keeps every member out, whatever the lines say.
fn problems(facts: &Facts, members: &[Entry]) -> Vec<String> {
    let user = crate::decide::source::identifier(&facts.user);
    let mut problems = Vec::new();
    match facts.role {
        Role::Missing => problems.push(format!(
            "the role {} does not exist: CREATE ROLE {user} LOGIN REPLICATION, then \\password {user}",
            facts.user
        )),
        Role::There { login, replication, secret, expired } => {
            if !login {
                problems.push(format!("{} may not log in: ALTER ROLE {user} LOGIN", facts.user));
            }
            if !replication {
                problems.push(format!(
                    "{} may not replicate: ALTER ROLE {user} REPLICATION",
                    facts.user
                ));
            }
            if expired {
                problems.push(format!(
                    "the password of {} has expired: ALTER ROLE {user} VALID UNTIL 'infinity'",
                    facts.user
                ));
            }
            match secret {
                Secret::Scram => {}
                Secret::Md5 => {
                    if by_method(members, &["scram-sha-256"]).next().is_some() {
                        problems.push(format!(
                            "the password of {} is stored as md5: set it anew (\\password {user}) \
                             with password_encryption = 'scram-sha-256'",
                            facts.user
                        ));
                    }
                }
                Secret::None => {
                    let methods = ["scram-sha-256", "md5", "password"];
                    if by_method(members, &methods).next().is_some() {
                        problems.push(format!("{} has no password: \\password {user}", facts.user));
                    }
                }
            }
        }
    }
    let asks_for_tls = ["require", "verify-ca", "verify-full"].contains(&facts.sslmode.as_str());
    if asks_for_tls && !facts.about.ssl {
        problems
            .push(format!("members ask for TLS (sslmode={}), and ssl is off here", facts.sslmode));
    }
    problems
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
