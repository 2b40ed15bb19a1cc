//! Whether the members get in at each other: pg_hba.conf, the role, the passfile, and the two logins
//! tried from here. Floor 1.

use std::net::IpAddr;

use super::settings::psql;
use super::{Facts, Login, Member, Said, Server, or_ok};
use crate::cluster::known::Known;
use crate::decide::source::identifier;
use crate::decide::wanted::shell_word;
use crate::postgres::copy_tools::REWIND_GRANTS;
use crate::postgres::hba::{self, Admission, Target, admits};

const LOGINS: [(Target, &str); 2] =
    [(Target::Replication, "replication"), (Target::Postgres, "postgres")];

/// The lines of pg_hba.conf here, for every other member: this node may be the primary tomorrow.
pub(super) fn hba(facts: &Facts, member: &Member, server: &Server) -> Vec<Said> {
    let rules = match &server.rules {
        Known::Known(rules) => rules,
        Known::Unknown(why) => {
            return vec![Said::unknown(format!("pg_hba.conf could not be read: {why}"))];
        }
    };
    let reload = |said: Said| said.run(psql(facts, "SELECT pg_reload_conf()"));
    let mut said = Vec::new();
    for rule in rules {
        if let Some(error) = &rule.error {
            said.push(reload(
                Said::fail(format!(
                    "line {} of pg_hba.conf cannot be read ({error}): a reload does nothing, and a start \
                     fails",
                    rule.line
                ))
                .fix("Correct the line, then:"),
            ));
        }
    }
    if !said.is_empty() {
        return said;
    }
    for (node, peer) in &member.peers {
        let addresses: Vec<IpAddr> = match &peer.resolved {
            Known::Known(all) => all.iter().copied().filter(|one| !one.is_loopback()).collect(),
            Known::Unknown(_) => Vec::new(),
        };
        let Some(first) = addresses.first() else {
            said.push(
                Said::unknown(format!(
                    "where {node} comes from is not known: its name is not found"
                ))
                .fix("See the check addresses."),
            );
            continue;
        };
        for (target, database) in LOGINS {
            let all: Vec<Admission> =
                addresses.iter().map(|from| admits(rules, target, &server.user, *from)).collect();
            let line = hba::line(database, &server.user, &first.to_string());
            // It may come from any of its addresses.
            if all.iter().any(|one| matches!(one, Admission::In(_))) {
                continue;
            }
            if target == Target::Replication && server.streaming.contains(node) {
                continue;
            }
            if all.contains(&Admission::Perhaps) {
                said.push(
                    Said::unknown(format!(
                        "whether pg_hba.conf lets {node} ({first}) in for {database} depends on TLS, \
                         groups, networks or names"
                    ))
                    .fix("Run it on that node, which tries it; or have a line that leaves no doubt:")
                    .run(line),
                );
            } else {
                let why = match all.first() {
                    Some(Admission::Rejected(at)) => format!("line {at} of pg_hba.conf keeps"),
                    _ => "no line of pg_hba.conf lets".to_owned(),
                };
                let how = if why.ends_with("lets") { "in" } else { "out" };
                let out = Said::fail(format!("{why} {node} ({first}) {how} for {database}"))
                    .fix("Put this line before the one that decides now, then reload:");
                said.push(reload(out.run(line)));
            }
        }
    }
    or_ok(said, "pg_hba.conf here lets every other member in, for both databases")
}

pub(super) fn logins(_: &Facts, member: &Member) -> Vec<Said> {
    let mut said = Vec::new();
    for (node, peer) in &member.peers {
        let postgres = match &peer.postgres {
            Login::In(_) => Login::In(()),
            Login::KeptOut(words) => Login::KeptOut(words.clone()),
            Login::NotTried(why) => Login::NotTried(why.clone()),
        };
        let answers = [("replication", &peer.replication), ("postgres", &postgres)];
        let silent = |one: &Login<()>| match one {
            Login::NotTried(why) => Some(why.clone()),
            Login::In(()) | Login::KeptOut(_) => None,
        };
        // One that is not there says so once.
        if let [Some(one), Some(other)] = answers.map(|(_, answer)| silent(answer))
            && one == other
        {
            said.push(
                Said::unknown(format!("{node} could not be asked at {}: {one}", peer.address))
                    .fix("See why:")
                    .run("pgtwin status"),
            );
            continue;
        }
        for (database, answer) in answers {
            match answer {
                Login::In(()) => {}
                Login::KeptOut(words) => said.push(
                    Said::fail(format!("{node} does not let this node in for {database}: {words}"))
                        .fix(format!(
                            "On {node}, pg_hba.conf; here, the passfile; then run it again, or look \
                             closer:"
                        ))
                        .run("pgtwin validate-pghba"),
                ),
                Login::NotTried(why) => said.push(
                    Said::unknown(format!("a login at {node} for {database} had no answer: {why}"))
                        .fix("See why:")
                        .run("pgtwin status"),
                ),
            }
        }
    }
    or_ok(said, "every other member lets this one in, for both databases")
}

pub(super) fn role(facts: &Facts, member: &Member, server: &Server) -> Vec<Said> {
    let (user, quoted) = (&server.user, identifier(&server.user));
    let Some(role) = &server.role else {
        return vec![
            Said::fail(format!("there is no role {user} for replication"))
                .fix("On the primary, then give it a password with \\password:")
                .run(psql(facts, &format!("CREATE ROLE {quoted} LOGIN REPLICATION"))),
        ];
    };
    let mut said = Vec::new();
    let alter = |said: Said, what: &str| {
        said.fix("On the primary:").run(psql(facts, &format!("ALTER ROLE {quoted} {what}")))
    };
    if !role.login {
        said.push(alter(Said::fail(format!("the role {user} may not log in")), "LOGIN"));
    }
    if !role.replication && !role.superuser {
        said.push(alter(Said::fail(format!("the role {user} may not replicate")), "REPLICATION"));
    }
    if role.expired {
        said.push(alter(
            Said::fail(format!(
                "the password of the role {user} has expired: no standby gets in anew"
            )),
            "VALID UNTIL 'infinity'",
        ));
    }
    let standbys = i64::try_from(member.peers.len()).unwrap_or(i64::MAX);
    if role.limit >= 0 && role.limit < standbys.saturating_add(3) {
        said.push(alter(
            Said::warn(format!(
                "the role {user} may have {} connections: {standbys} standbys and a copy need {}",
                role.limit,
                standbys.saturating_add(3)
            )),
            "CONNECTION LIMIT -1",
        ));
    }
    if !role.may_rewind && !role.superuser {
        let mut one = Said::warn(format!(
            "the role {user} may not do what pg_rewind does: an old primary comes back by a full copy"
        ))
        .fix("On the primary, in the database postgres:");
        for grant in REWIND_GRANTS {
            one = one.run(psql(facts, &format!("GRANT {grant} TO {quoted}")));
        }
        said.push(one);
    }
    or_ok(said, format!("the role {user} may do what it has to"))
}

pub(super) fn passfile(facts: &Facts, member: &Member) -> Vec<Said> {
    let named = facts.params.pgpassfile.as_deref();
    let path = named.map_or_else(|| format!("~{}/.pgpass", facts.params.pguser), str::to_owned);
    let user = &facts.params.pguser;
    let mut said = Vec::new();
    if let Some(wrong) = &member.host.passfile {
        said.push(
            Said::fail(wrong.clone())
                .fix("It belongs to the PostgreSQL user, and nobody else may read it:")
                .run(format!("chown {user}: {}", shell_word(&path)))
                .run(format!("chmod 600 {}", shell_word(&path))),
        );
    }
    for odd in &member.host.passfile_odd {
        said.push(
            Said::warn(format!("{path}: {odd}")).fix(
                "A colon or a backslash in a field has a backslash before it; correct the line.",
            ),
        );
    }
    for (node, peer) in &member.peers {
        // A login that works without needs none.
        let both_in = peer.replication == Login::In(()) && matches!(peer.postgres, Login::In(_));
        if both_in || peer.passfile_lacks.is_empty() {
            continue;
        }
        said.push(
            Said::warn(format!("{path} has not all lines for {node}"))
                .fix(format!("Add: {}", peer.passfile_lacks.join(", and "))),
        );
    }
    or_ok(said, "the passfile is as libpq wants it")
}
