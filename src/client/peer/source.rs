//! What a recovery asks of the server that it would come from: two logins with libpq's `psql`, one
//! for replication and one to the database `postgres`, on PostgreSQL 13 to 18. Floor 2.

mod session;

use std::net::IpAddr;
use std::time::Duration;

use crate::decide::source::{Answer, Login, Sender, Silence, Source};
use crate::postgres::lsn::Lsn;
use crate::postgres::refusal::Refusal;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, Exec};

use super::{
    Peer, PeerAnswer, answer, command, conninfo, identify_commands, knock, run, whereabouts,
};

/// What the second login keeps for itself.
const FOR_THE_SECOND: Duration = Duration::from_secs(5);

/// What is asked for besides the server itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// This node's slot.
    pub slot: &'a str,
    /// From where this node needs WAL; none: that is not asked.
    pub wal_from: Option<Lsn>,
}

/// Asks a server both ways, one connection each. Takes at most about `limit`.
pub fn ask(
    exec: &dyn Exec,
    psql: &Cmd,
    peer: &Peer,
    question: &Question<'_>,
    limit: Duration,
) -> Source {
    let deadline = Deadline::after(limit);
    let address = match whereabouts(exec, peer, &deadline) {
        Ok(None) => None,
        Ok(Some(addresses)) => match knock(&addresses, peer.port, &deadline) {
            Ok(address) => Some(address),
            Err(silence) => return nobody(&silence),
        },
        Err(PeerAnswer::Unknown(why)) => return nobody(&PeerAnswer::Unreachable(why)),
        Err(other) => return nobody(&other),
    };
    // The session comes first: a walsender of ours that is about to end would count as one in use.
    // It may take long over sizes, and leaves time for the other login.
    let first = deadline.less(FOR_THE_SECOND.min(limit / 2)).left();
    let cmd = command_for(psql, peer, Login::Postgres, address, question, first);
    let postgres = match run(exec, &cmd) {
        Ok(output) => session::read(&output),
        Err(no_answer) => not_in(&no_answer),
    };
    let left = deadline.left().max(Duration::from_secs(1));
    let cmd = command_for(psql, peer, Login::Replication, address, question, left);
    let replication = match run(exec, &cmd) {
        Ok(output) => sender(answer::identity(&output)),
        Err(no_answer) => not_in(&no_answer),
    };
    Source { replication, postgres }
}

fn nobody(answer: &PeerAnswer) -> Source {
    Source { replication: not_in(answer), postgres: not_in(answer) }
}

fn command_for(
    psql: &Cmd,
    peer: &Peer,
    login: Login,
    address: Option<IpAddr>,
    question: &Question<'_>,
    limit: Duration,
) -> Cmd {
    match login {
        Login::Replication => {
            command(psql.clone(), peer, login, address, &identify_commands(), limit)
        }
        Login::Postgres => {
            let mut info = conninfo(peer, login, address, limit);
            // Nothing of the role's own settings changes what the questions mean, and one that
            // takes too long leaves the others their answers.
            info.set(
                "options",
                &format!(
                    "-c search_path=pg_catalog,pg_temp -c default_transaction_read_only=on \
                     -c statement_timeout={}",
                    (limit / 2).as_millis().clamp(1000, 600_000)
                ),
            );
            let mut cmd = psql.clone().args(["-X", "-A", "-t", "-q", "-w", "-f", "-", "-d"]);
            cmd = cmd.arg(info.to_text()).limit(limit);
            cmd.stdin = session::script(question).into_bytes();
            cmd
        }
    }
}

/// A login that came to no session.
fn not_in<T>(answer: &PeerAnswer) -> Answer<T> {
    match answer {
        PeerAnswer::Starting(_) => Answer::Silent(Silence::Starting),
        PeerAnswer::ShuttingDown => Answer::Silent(Silence::ShuttingDown),
        PeerAnswer::Busy(words) => Answer::Silent(Silence::Busy(words.clone())),
        PeerAnswer::AuthFailed(words) => Answer::NotLetIn(Refusal::of(words)),
        PeerAnswer::Refused => Answer::Silent(Silence::Refused),
        PeerAnswer::Unreachable(why) => Answer::Silent(Silence::NoRoute(why.clone())),
        PeerAnswer::NoAnswer => Answer::Silent(Silence::NoAnswer),
        PeerAnswer::Unknown(words) => match Refusal::of(words) {
            Refusal::Other(words) => Answer::Unknown(words),
            refusal => Answer::NotLetIn(refusal),
        },
        PeerAnswer::Primary(_) | PeerAnswer::Standby(_) => {
            Answer::Unknown("an answer without a login".to_owned())
        }
    }
}

fn sender(answer: PeerAnswer) -> Answer<Sender> {
    let (primary, identity) = match answer {
        PeerAnswer::Primary(identity) => (true, identity),
        PeerAnswer::Standby(identity) => (false, identity),
        other => return not_in(&other),
    };
    Answer::In(Sender {
        primary,
        system_id: identity.system_id,
        timeline: identity.timeline,
        lsn: identity.lsn,
        version: identity.version,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::postgres::conninfo::Conninfo;

    #[test]
    fn the_command_has_the_encryption_of_primary_conninfo_and_no_secret() {
        let peer = Peer {
            host: "n1".into(),
            port: 5432,
            user: "replicator".into(),
            passfile: Some("/x".into()),
            like: Conninfo::parse(
                "host=other password=geheim sslpassword=geheim sslmode=verify-full \
                 sslrootcert=/ca options='-c geqo=off' application_name=n2",
            )
            .unwrap(),
        };
        let question = Question { slot: "x'; DROP", wal_from: Some(Lsn(1)) };
        for login in [Login::Replication, Login::Postgres] {
            let limit = Duration::from_secs(5);
            let cmd = command_for(&Cmd::new("psql"), &peer, login, None, &question, limit);
            let shown = format!("{cmd:?} {}", String::from_utf8_lossy(&cmd.stdin));
            let info = cmd.args.last().unwrap();
            assert!(info.contains("sslmode=verify-full") && info.contains("sslrootcert=/ca"));
            assert!(info.contains("host=n1") && info.contains("application_name=pgtwin_peer"));
            assert!(!shown.contains("geheim") && !shown.contains("geqo"), "{shown}");
            assert!(!shown.contains("DROP"), "{shown}");
            assert_eq!(info.contains("replication=true"), login == Login::Replication);
        }
    }
}
