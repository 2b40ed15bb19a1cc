//! The check before a recovery changes the first byte: what stands in the way of a rewind, and of a
//! rebuild, each with its remedy. Floor 1.
//!
//! A way back is open when nothing was found that closes it. What could not be found out is a
//! finding like any other: it closes what needs it.

pub mod room;
mod settings;

use std::fmt;

use crate::cluster::known::Known;
use crate::decide::facts::DataDir;
use crate::decide::source::{Advice, Answer, Login, Sender, Server, Session, Source, identifier};
use crate::postgres::control_data::ControlData;
use crate::postgres::lsn::Timeline;
use crate::postgres::version::Version;

use room::Room;

/// What the check looks at.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The source: its node, and how this node logs in there.
    pub server: Server,
    /// This node's slot there.
    pub slot: String,
    /// What both logins answered.
    pub source: Source,
    /// This node's data.
    pub data: DataDir,
    /// The database systems that an operator has given up for the source's.
    pub given_up: Vec<u64>,
    /// The major version in its `PG_VERSION`; asked only where there is data.
    pub data_major: Known<u32>,
    /// The version of this node's programs.
    pub programs: Known<Version>,
    /// Room on this node's file systems.
    pub room: Room,
    /// Why a copy could not be put in its place, with the remedy; none inside: it could, or that was not
    /// looked at.
    pub places: Known<Option<String>>,
}

/// What a finding closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closes {
    /// A rewind; a rebuild is none the worse.
    Rewind,
    /// A rebuild; a rewind is none the worse.
    Rebuild,
    /// Either.
    Both,
}

/// What kind of obstacle it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No server to talk to.
    Silent,
    /// A login was not let in.
    NotLetIn(Login),
    /// What came back was not understood, or a question had no answer.
    NotFoundOut,
    /// The source is a standby.
    InRecovery,
    /// The two logins are answered by two database systems.
    TwoServers,
    /// The data is of another database system.
    OtherSystem,
    /// This node's programs are of another major version than the source.
    Programs,
    /// This node's data is of another major version than the source.
    DataVersion,
    /// There is no data to rewind.
    NoData,
    /// What stands at PGDATA is not to be touched.
    Unusable,
    /// Neither wal_log_hints nor checksums.
    NoHints,
    /// The source runs without full_page_writes.
    NoFullPages,
    /// The source has not written its checkpoint after the promotion.
    CheckpointPending,
    /// The role may not execute what pg_rewind needs.
    NotExecutable,
    /// A file system has too little room.
    TooFull,
    /// Where a copy would go, something cannot be replaced safely.
    Place,
    /// This node's slot is lost.
    SlotLost,
    /// This node's slot is in use, or is not a physical one.
    SlotTaken,
    /// This node has no slot, and there is no room for one.
    NoSlotLeft,
    /// Too few walsenders are left.
    NoWalsenderLeft,
}

/// One obstacle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// What it closes.
    pub closes: Closes,
    /// In words, with the remedy.
    pub advice: Advice,
}

impl Finding {
    fn new(kind: Kind, closes: Closes, advice: Advice) -> Self {
        Self { kind, closes, advice }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.advice.fmt(f)
    }
}

/// The result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Check {
    /// All that was found, what closes both ways first.
    pub findings: Vec<Finding>,
}

impl Check {
    /// Why a rewind is not possible; none: it is.
    pub fn against_rewind(&self) -> Option<&Finding> {
        self.findings.iter().find(|found| found.closes != Closes::Rebuild)
    }

    /// Why a rebuild is not possible; none: it is.
    pub fn against_rebuild(&self) -> Option<&Finding> {
        self.findings.iter().find(|found| found.closes != Closes::Rewind)
    }
}

/// Judges the facts.
pub fn check(facts: &Facts) -> Check {
    let mut findings = Vec::new();
    logins(facts, &mut findings);
    if let Some(sender) = facts.source.replication.answered() {
        versions(facts, sender, &mut findings);
        own_data(facts, sender, &mut findings);
    }
    if let Some(session) = facts.source.postgres.answered() {
        identity(facts, session, &mut findings);
        if let Some(sender) = facts.source.replication.answered() {
            checkpoint(facts, sender.timeline, session, &mut findings);
        }
        functions(facts, session, &mut findings);
        settings::check(facts, session, &mut findings);
        findings.extend(room::check(&facts.room, &facts.server, session));
        match &facts.places {
            Known::Known(None) => {}
            Known::Known(Some(why)) => {
                let advice = Advice::new("a copy cannot be made here", why).in_brief(why);
                findings.push(Finding::new(Kind::Place, Closes::Rebuild, advice));
            }
            Known::Unknown(why) => {
                let what = "where a copy would go is not known";
                findings.push(not_found_out(Closes::Rebuild, what, why));
            }
        }
    }
    let mut seen: Vec<Finding> = Vec::new();
    for found in findings {
        if !seen.contains(&found) {
            seen.push(found);
        }
    }
    seen.sort_by_key(|found| found.closes != Closes::Both);
    Check { findings: seen }
}

fn logins(facts: &Facts, findings: &mut Vec<Finding>) {
    let Facts { server, source, .. } = facts;
    findings.extend(login(server, Login::Replication, &source.replication));
    findings.extend(login(server, Login::Postgres, &source.postgres));
}

fn login<T>(server: &Server, login: Login, answer: &Answer<T>) -> Option<Finding> {
    let (kind, advice) = match answer {
        Answer::In(_) => return None,
        Answer::NotLetIn(refusal) => (Kind::NotLetIn(login), server.not_let_in(login, refusal)),
        Answer::Silent(silence) => (Kind::Silent, server.silent(silence)),
        Answer::Unknown(words) => (
            Kind::NotFoundOut,
            Advice::new(
                format!("{} was not understood when asked for {}", server.node, login.database()),
                format!("it says: {words}"),
            ),
        ),
    };
    Some(Finding::new(kind, Closes::Both, advice))
}

fn versions(facts: &Facts, sender: &Sender, findings: &mut Vec<Finding>) {
    let node = &facts.server.node;
    if !sender.primary {
        findings.push(Finding::new(
            Kind::InRecovery,
            Closes::Both,
            Advice::new(
                format!("{node} is a standby"),
                "nothing is recovered from a standby: wait for the primary",
            ),
        ));
    }
    match &facts.programs {
        Known::Known(programs) if programs.major == sender.version.major => {}
        Known::Known(programs) => findings.push(Finding::new(
            Kind::Programs,
            Closes::Both,
            Advice::new(
                format!("PostgreSQL here is {programs}, on {node} {}", sender.version),
                format!("install major version {} here, or set pg_bindir", sender.version.major),
            ),
        )),
        Known::Unknown(why) => findings.push(not_found_out(
            Closes::Both,
            "the version of PostgreSQL's programs here is not known",
            why,
        )),
    }
}

fn own_data(facts: &Facts, sender: &Sender, findings: &mut Vec<Finding>) {
    let node = &facts.server.node;
    let control = match &facts.data {
        DataDir::Cluster(control) => control,
        DataDir::Absent | DataDir::Empty => {
            findings.push(Finding::new(
                Kind::NoData,
                Closes::Rewind,
                Advice::new("there is no data to rewind", "it is copied from the primary"),
            ));
            return;
        }
        DataDir::Unusable(why) => {
            findings.push(Finding::new(
                Kind::Unusable,
                Closes::Both,
                Advice::new(
                    format!("what stands at pgdata is not touched: {why}"),
                    "put it right, or move it away",
                ),
            ));
            return;
        }
        DataDir::Unknown(why) => {
            findings.push(not_found_out(Closes::Both, "pgdata could not be read", why));
            return;
        }
    };
    if control.system_id != sender.system_id {
        let (closes, remedy) = if facts.given_up.contains(&control.system_id) {
            (Closes::Rewind, "it was given up (pgtwin adopt): it is replaced by a copy")
        } else {
            let move_away =
                "it is another database: move it away by hand, then an empty pgdata is filled";
            (Closes::Both, move_away)
        };
        findings.push(Finding::new(
            Kind::OtherSystem,
            closes,
            Advice::new(
                format!(
                    "this node's data is of database system {}, {node} has {}",
                    control.system_id, sender.system_id
                ),
                remedy,
            ),
        ));
    }
    match &facts.data_major {
        Known::Known(major) if *major == sender.version.major => {}
        Known::Known(major) => findings.push(Finding::new(
            Kind::DataVersion,
            Closes::Rewind,
            Advice::new(
                format!("this node's data is of version {major}, {node} is {}", sender.version),
                "a rewind does not change the version: it has to be rebuilt",
            ),
        )),
        Known::Unknown(why) => findings.push(not_found_out(
            Closes::Rewind,
            "the version of this node's data is not known",
            why,
        )),
    }
    hints(control, findings);
}

fn hints(control: &ControlData, findings: &mut Vec<Finding>) {
    if !control.wal_log_hints && !control.checksums {
        findings.push(Finding::new(
            Kind::NoHints,
            Closes::Rewind,
            Advice::new(
                "this node ran without wal_log_hints and without checksums, which pg_rewind needs",
                "it has to be rebuilt; for the next time: wal_log_hints = on on every node",
            ),
        ));
    }
}

fn identity(facts: &Facts, session: &Session, findings: &mut Vec<Finding>) {
    let node = &facts.server.node;
    match &session.identity {
        Known::Unknown(why) => findings.push(not_found_out(
            Closes::Both,
            &format!("who answers as {node} in the database postgres is not known"),
            why,
        )),
        Known::Known(is) => {
            let other = facts.source.replication.answered();
            if other.is_some_and(|sender| sender.system_id != is.system_id) {
                findings.push(Finding::new(
                    Kind::TwoServers,
                    Closes::Both,
                    Advice::new(
                        format!("two databases answer at {} ({node})", facts.server.host),
                        "is the address a pooler's or a virtual one? See node_addresses",
                    ),
                ));
            }
            if is.in_recovery && other.is_none_or(|sender| sender.primary) {
                findings.push(Finding::new(
                    Kind::InRecovery,
                    Closes::Both,
                    Advice::new(
                        format!("{node} answers in the database postgres as a standby"),
                        "nothing is recovered from a standby: wait for the primary",
                    ),
                ));
            }
        }
    }
}

fn checkpoint(facts: &Facts, writes: Timeline, session: &Session, findings: &mut Vec<Finding>) {
    let node = &facts.server.node;
    match &session.checkpoint_timeline {
        Known::Known(on_disk) if *on_disk == writes => {}
        Known::Known(on_disk) => findings.push(Finding::new(
            Kind::CheckpointPending,
            Closes::Rewind,
            Advice::new(
                format!(
                    "{node} writes timeline {writes}, and its control file is still on {on_disk}"
                ),
                format!("wait for its checkpoint, or on {node}: CHECKPOINT"),
            ),
        )),
        Known::Unknown(why) => findings.push(not_found_out(
            Closes::Rewind,
            &format!("whether {node} has written its checkpoint since its promotion is not known"),
            why,
        )),
    }
}

fn functions(facts: &Facts, session: &Session, findings: &mut Vec<Finding>) {
    let (node, user) = (&facts.server.node, &facts.server.user);
    match &session.not_executable {
        Known::Known(missing) if missing.is_empty() => {}
        Known::Known(missing) => {
            let (missing, role) = (missing.join(", "), identifier(user));
            let grant = format!("GRANT EXECUTE ON FUNCTION {missing} TO {role}");
            let advice = Advice::new(
                format!("the role {user} may not execute what pg_rewind needs"),
                format!("on {node}, in the database postgres: {grant}"),
            );
            let brief = format!("pg_rewind needs on {node}, in postgres: {grant}");
            findings.push(Finding::new(
                Kind::NotExecutable,
                Closes::Rewind,
                advice.in_brief(brief),
            ));
        }
        Known::Unknown(why) => findings.push(not_found_out(
            Closes::Rewind,
            &format!("what the role {user} may execute on {node} is not known"),
            why,
        )),
    }
}

/// Something that is not known, and so permits nothing.
pub(super) fn not_found_out(closes: Closes, what: &str, why: &str) -> Finding {
    Finding::new(Kind::NotFoundOut, closes, Advice::new(what, why))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
