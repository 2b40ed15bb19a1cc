//! Each address of each member, judged for both logins; and what keeps out whoever comes. Floor 1.

use std::net::IpAddr;

use super::{Access, Entry, Facts, Own, Role, Secret, Verdict};
use crate::cluster::known::Known;
use crate::decide::reach::Member;
use crate::decide::source::identifier;
use crate::postgres::hba::{Admission, Channel, Rule, Target, admits};

/// One row for each address that a member has.
pub(super) fn entries(facts: &Facts, rules: &[Rule]) -> Vec<Entry> {
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

/// The agent's own logins, by the socket.
pub(super) fn own(facts: &Facts, rules: &[Rule]) -> Own {
    let of = |target| {
        let admission = admits(rules, &facts.own_attempt(target), &facts.agent.around);
        let verdict = told(facts, admission);
        match admission {
            // It may have one in pguser's own passfile, and should not have to.
            Admission::In(rule) if !["peer", "ident", "trust"].contains(&rule.method.as_str()) => {
                let why = format!("line {} asks the agent for a password", rule.line);
                Verdict { access: Access::Unknown, why, lacks_line: true, ..verdict }
            }
            // PostgreSQL takes `ident` for `peer` there.
            Admission::In(rule) => {
                let why = format!("line {}", rule.line);
                Verdict { access: Access::Yes, why, lacks_line: false, ..verdict }
            }
            _ => verdict,
        }
    };
    Own {
        user: facts.agent.user.clone(),
        replication: of(Target::Replication),
        postgres: of(Target::POSTGRES),
    }
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
pub(super) fn by_method<'a>(
    members: &'a [Entry],
    methods: &'a [&str],
) -> impl Iterator<Item = u32> + 'a {
    let asks = |verdict: &&Verdict| verdict.method.as_deref().is_some_and(|m| methods.contains(&m));
    let others = members.iter().filter(|entry| !entry.this_node);
    let verdicts = others.flat_map(|entry| [&entry.replication, &entry.pg_rewind]);
    verdicts.filter(asks).filter_map(|verdict| verdict.line)
}

/// What keeps every member out, whatever the lines say.
pub(super) fn problems(facts: &Facts, members: &[Entry]) -> Vec<String> {
    let user = identifier(&facts.user);
    let mut problems = Vec::new();
    match facts.role {
        Role::Missing => problems.push(format!(
            "the role {} does not exist: CREATE ROLE {user} LOGIN REPLICATION, then \\password {user}",
            facts.user
        )),
        Role::There { login, replication, expired, .. } => {
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
        }
    }
    problems.extend(login_problems(facts, members));
    problems
}

/// What keeps the role out besides the lines and its own attributes: its password, and TLS.
#[must_use]
pub fn of_logins(facts: &Facts) -> Vec<String> {
    login_problems(facts, &entries(facts, &facts.rules))
}

fn login_problems(facts: &Facts, members: &[Entry]) -> Vec<String> {
    let user = identifier(&facts.user);
    let mut problems = Vec::new();
    if let Role::There { secret, .. } = facts.role {
        let asked = |methods: &[&str]| by_method(members, methods).next().is_some();
        if secret == Secret::Md5 && asked(&["scram-sha-256"]) {
            problems.push(format!(
                "the password of {} is stored as md5: set it anew (\\password {user}) with \
                 password_encryption = 'scram-sha-256'",
                facts.user
            ));
        }
        if secret == Secret::None && asked(&["scram-sha-256", "md5", "password"]) {
            problems.push(format!("{} has no password: \\password {user}", facts.user));
        }
    }
    let asks_for_tls = ["require", "verify-ca", "verify-full"].contains(&facts.sslmode.as_str());
    if asks_for_tls && !facts.about.ssl {
        problems
            .push(format!("members ask for TLS (sslmode={}), and ssl is off here", facts.sslmode));
    }
    problems
}
