//! Whether the members get in at each other: pg_hba.conf, the role, the passfile, and the two logins
//! tried from here. Floor 1.

use super::settings::psql;
use super::{Facts, Login, Member, Said, Server, or_ok};
use crate::cluster::known::Known;
use crate::decide::pghba::{self, Access};
use crate::decide::source::identifier;
use crate::decide::wanted::shell_word;
use crate::postgres::copy_tools::REWIND_GRANTS;

/// The lines of pg_hba.conf here: this node may be the primary tomorrow. They are judged as
/// validate-pghba does it.
pub(super) fn hba(facts: &Facts, member: &Member, _: &Server) -> Vec<Said> {
    let hba = match &member.hba {
        Known::Known(hba) => hba,
        Known::Unknown(why) => {
            return vec![Said::unknown(format!("pg_hba.conf could not be read: {why}"))];
        }
    };
    let check = pghba::check(hba);
    let reload = |said: Said| said.run(psql(facts, "SELECT pg_reload_conf()"));
    if !check.errors.is_empty() {
        let bad = check.errors.iter().map(|bad| {
            let words = format!(
                "line {} of {} cannot be read ({}): a reload does nothing, and a start fails",
                bad.line, bad.file, bad.error
            );
            reload(Said::fail(words).fix("Correct the line, then:"))
        });
        return bad.collect();
    }
    let mut said = Vec::new();
    for (access, words) in [
        (Access::No, "pg_hba.conf here keeps out"),
        (Access::Unknown, "whether pg_hba.conf here lets in is not known of"),
    ] {
        let out = check.not_in(|one| one == access);
        if out.is_empty() {
            continue;
        }
        let words = format!("{words} {}", out.join("; "));
        let one = if access == Access::No { Said::fail(words) } else { Said::unknown(words) };
        said.push(match check.add.as_slice() {
            [] => one.fix("Look closer:").run("pgtwin validate-pghba"),
            add => {
                let or = if check.primary { " (or: pgtwin fix-pghba)" } else { "" };
                let place = check.place();
                let one = one.fix(format!("Put this {place}, and reload{or}:"));
                reload(add.iter().fold(one, Said::run))
            }
        });
    }
    said.extend(pghba::of_logins(hba).into_iter().map(|problem| {
        Said::fail(problem).fix("As it says. To look closer:").run("pgtwin validate-pghba")
    }));
    or_ok(said, "pg_hba.conf here lets every other member in, for both databases, and the agent")
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
