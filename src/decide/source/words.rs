//! What is wrong with a source, in words, and what to do about it: the line to add, the statement
//! to type. Floor 1.

use std::fmt;

use crate::postgres::hba;
use crate::postgres::pgpass;
use crate::postgres::refusal::{Refusal, SeenAs};

use super::{Login, Passfile, Server, Silence};

/// Something that is so, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What was found.
    pub reason: String,
    /// What to do, with the line to add or to type.
    pub remedy: String,
    /// Where there is such a line: both in few words, with the line as far in front as it can be.
    brief: Option<String>,
}

impl Advice {
    /// Both.
    pub fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into(), brief: None }
    }

    /// The same, with what it is in a reason of Pacemaker's, which is cut off after 128 bytes.
    #[must_use]
    pub fn in_brief(self, brief: impl Into<String>) -> Self {
        Self { brief: Some(brief.into()), ..self }
    }

    /// For a reason of Pacemaker's: the line comes before what is only good to know.
    pub fn brief(&self) -> String {
        self.brief.clone().unwrap_or_else(|| self.to_string())
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.remedy)
    }
}

impl Server {
    /// What to say of a login that was not let in.
    pub fn not_let_in(&self, login: Login, refusal: &Refusal) -> Advice {
        let (node, user, database) = (&self.node, &self.user, login.database());
        let role = identifier(user);
        match refusal {
            Refusal::NoHbaLine(seen) => Advice::new(
                format!("pg_hba.conf on {node} has no line for {database} and this node"),
                format!("add there, and reload: {}", self.hba_line(login, *seen)),
            )
            .in_brief(format!("pg_hba.conf on {node} lacks: {}", self.hba_line(login, *seen))),
            Refusal::HbaRejects(seen) => Advice::new(
                format!(
                    "a line with reject in pg_hba.conf on {node} fits {database} and this node"
                ),
                format!("add before it, and reload: {}", self.hba_line(login, *seen)),
            )
            .in_brief(format!(
                "pg_hba.conf on {node}, before its reject: {}",
                self.hba_line(login, *seen)
            )),
            Refusal::NoPassword | Refusal::WrongPassword => self.password(login, refusal),
            Refusal::NoRole => Advice::new(
                format!("the role {user} does not exist on {node}"),
                format!("on {node}: CREATE ROLE {role} LOGIN REPLICATION, then \\password {role}"),
            ),
            Refusal::NoLogin => Advice::new(
                format!("the role {user} may not log in on {node}"),
                format!("on {node}: ALTER ROLE {role} LOGIN"),
            ),
            Refusal::NoReplication => Advice::new(
                format!("the role {user} may not replicate on {node}"),
                format!("on {node}: ALTER ROLE {role} REPLICATION"),
            ),
            Refusal::NoConnect => Advice::new(
                format!("the role {user} may not connect to the database {database} on {node}"),
                format!("on {node}: GRANT CONNECT ON DATABASE {database} TO {role}"),
            ),
            Refusal::NoDatabase => Advice::new(
                format!("the database {database} on {node} is missing or takes no connections"),
                format!(
                    "on {node}: CREATE DATABASE {database}, or ALTER DATABASE {database} \
                     ALLOW_CONNECTIONS true"
                ),
            ),
            Refusal::Tls => Advice::new(
                format!("TLS with {node} fails for {database}"),
                "check the ssl settings of primary_conninfo here, the certificates, and ssl there",
            ),
            Refusal::Method => Advice::new(
                format!(
                    "{node} authenticates {user} for {database} in another way than by password, \
                     and refuses it"
                ),
                format!(
                    "put before the line that fits in pg_hba.conf there, and reload: {}",
                    self.hba_line(login, None)
                ),
            )
            .in_brief(format!("pg_hba.conf on {node}, at the top: {}", self.hba_line(login, None))),
            Refusal::Other(words) => Advice::new(
                format!("{node} does not let {user} in for {database}"),
                format!("it says: {words}"),
            ),
        }
    }

    /// What to say where nobody answered.
    pub fn silent(&self, silence: &Silence) -> Advice {
        let Self { node, host, port, .. } = self;
        match silence {
            Silence::Refused => Advice::new(
                format!("nobody listens at {host} port {port} ({node})"),
                format!(
                    "does PostgreSQL run on {node}? listen_addresses and port there, pgport and \
                     node_addresses here, a firewall that rejects"
                ),
            ),
            Silence::NoRoute(why) => Advice::new(
                format!("{host} port {port} ({node}) is not reached"),
                format!("network, name resolution, a firewall that drops: {why}"),
            ),
            Silence::NoAnswer => Advice::new(
                format!("{host} port {port} ({node}) accepts connections and gives no answer"),
                format!("PostgreSQL on {node} hangs, or it is another service"),
            ),
            Silence::Starting => Advice::new(
                format!("PostgreSQL on {node} is still starting"),
                "nothing: it is asked again",
            ),
            Silence::ShuttingDown => Advice::new(
                format!("PostgreSQL on {node} is shutting down"),
                "nothing: it is asked again",
            ),
            Silence::Busy(words) => Advice::new(
                format!("PostgreSQL on {node} has no connection left for {}", self.user),
                format!(
                    "raise max_connections or max_wal_senders there, or end what fills them: \
                     {words}"
                ),
            ),
        }
    }

    /// The line that lets this node in.
    pub fn hba_line(&self, login: Login, seen: Option<SeenAs>) -> String {
        match seen {
            Some(SeenAs::Local) => hba::local_line(login.database(), &self.user),
            Some(SeenAs::Address(address)) => {
                hba::line(login.database(), &self.user, &address.to_string())
            }
            None => hba::line(login.database(), &self.user, "samenet"),
        }
    }

    /// A password is missing or wrong: the passfile usually says why.
    fn password(&self, login: Login, refusal: &Refusal) -> Advice {
        let (node, database) = (&self.node, login.database());
        let wanted = pgpass::line(&self.host, self.port, database, &self.user);
        let line = match &self.passfile {
            Passfile::NotNamed => {
                return match refusal {
                    Refusal::WrongPassword => self.wrong(login, "the default passfile"),
                    _ => Advice::new(
                        format!("{node} asks for a password for {database}, and there is none"),
                        format!("set pgpassfile to a file with the line {wanted}"),
                    )
                    .in_brief(format!("pgpassfile has to name a file with the line {wanted}")),
                };
            }
            Passfile::Missing { path } => {
                return Advice::new(
                    format!("the passfile {path} is missing"),
                    format!("make it, mode 0600, with the line {wanted}"),
                )
                .in_brief(format!("{path} is missing: {wanted} (mode 0600)"));
            }
            Passfile::Unreadable { path, user, why } => {
                return Advice::new(
                    format!("the passfile {path} cannot be read by {user}"),
                    format!("chown {user} {path}; chmod 0600 {path} ({why})"),
                );
            }
            Passfile::Read { path, mode, .. } if mode & 0o077 != 0 => {
                return Advice::new(
                    format!("the passfile {path} has mode {mode:04o}, so libpq passes over it"),
                    format!("chmod 0600 {path}"),
                );
            }
            Passfile::Read { path, replication, postgres, bad, .. } => {
                let line = match login {
                    Login::Replication => replication,
                    Login::Postgres => postgres,
                };
                let Some(line) = line else {
                    let odd = bad.first().map(|bad| format!(" ({bad})")).unwrap_or_default();
                    return Advice::new(
                        format!("the passfile {path} has no line for {database} on {node}"),
                        format!("add: {wanted}{odd}"),
                    )
                    .in_brief(format!("the passfile {path} lacks: {wanted}{odd}"));
                };
                format!("line {line} of {path}")
            }
        };
        self.wrong(login, &line)
    }

    fn wrong(&self, login: Login, line: &str) -> Advice {
        let (node, database) = (&self.node, login.database());
        Advice::new(
            format!("{node} refuses the password of {} for {database}", self.user),
            format!(
                "correct {line}, or on {node}: \\password {} (it says the same of a role that does \
                 not exist or has no password: \\du)",
                identifier(&self.user)
            ),
        )
    }

    /// This node's slot is somebody else's at the moment.
    pub fn slot_in_use(&self, slot: &str) -> Advice {
        let node = &self.node;
        Advice::new(
            format!("the slot {slot} on {node} is in use by another connection"),
            format!(
                "wait for its end (wal_sender_timeout), or on {node}: SELECT \
                 pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = \
                 '{slot}'"
            ),
        )
    }

    /// This node's slot has the name of another kind of slot.
    pub fn slot_is_logical(&self, slot: &str) -> Advice {
        Advice::new(
            format!("the slot {slot} on {} is a logical one", self.node),
            "set slot_name to another prefix, or drop that slot",
        )
    }
}

/// A role as SQL wants it.
pub fn identifier(name: &str) -> String {
    const RESERVED: [&str; 5] = ["user", "all", "default", "current_user", "session_user"];
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if begins && name.chars().all(plain) && !RESERVED.contains(&name) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}
