//! Looking at the whole cluster for `pgtwin status`: Pacemaker, the ledger, and every member's
//! PostgreSQL at once. It changes nothing. Floor 3.

mod own_recovery;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use super::container::{self, Ground};
use super::operate::Subject;
use super::recover::now;
use super::run::{LOG_ROOT, RUN_ROOT, STATE_ROOT};
use crate::client::ledger_file::OwnFile;
use crate::client::pacemaker::Attribute;
use crate::client::past_file::PastFile;
use crate::client::peer::{self, Peer, PeerAnswer};
use crate::client::recovery_file::RecoveryHome;
use crate::client::recovery_log::RecoveryLogs;
use crate::cluster::known::Known;
use crate::cluster::ledger::Mode;
use crate::cluster::node::NodeName;
use crate::decide::facts::{Process, Sql, StandbyFacts};
use crate::decide::history::Records;
use crate::decide::report::runtime::{Runtimes, may_be_contained};
use crate::decide::report::{Facts, OwnLedger, Server};
use crate::ocf::params::RepMode;
use crate::postgres::sync_names::StandbyName;
use crate::runtime::instance::Postgres;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, System};

pub use own_recovery::own_recovery;

/// How long the other members together may take to answer, and how long our own instance may.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Looks at everything.
pub fn survey(subject: &Subject) -> Facts {
    closely(subject).0
}

/// The same, with all that our own instance says if it is a standby.
pub fn closely(subject: &Subject) -> (Facts, Option<StandbyFacts>) {
    let members = subject.view.members(subject.params.node_list.as_deref());
    let mut problems = subject.problems.clone();
    if !nix::unistd::geteuid().is_root() {
        problems.push("not run by root: PostgreSQL can hardly be asked".to_owned());
    }
    let refused = subject.params.one_name_for_many(members.len());
    problems.extend(refused.map(|error| error.to_string()));
    // Early, because it is compared with the CIB, which was read a moment ago.
    let own = match subject.home().read() {
        OwnFile::Read(own) => {
            problems.extend(own.unfinished());
            OwnLedger::Read(own.store)
        }
        OwnFile::Missing => OwnLedger::Missing,
        OwnFile::Unreadable(why) => OwnLedger::Unreadable(why),
    };
    let mut servers = BTreeMap::new();
    let (mut systems, mut delays) = (BTreeMap::new(), BTreeMap::new());
    let (mut local, mut standby) = (None, None);
    let standby_names = names_of(subject, &members);
    let mut names = Known::unknown("no primary answers");
    let system = System;
    let postgres = subject.postgres(&system);
    let recovery = {
        let (resource, me) = (subject.resource(), &subject.me);
        let home = RecoveryHome::new(STATE_ROOT, RUN_ROOT, resource, me);
        let logs = RecoveryLogs::new(LOG_ROOT, resource);
        let place = postgres.as_ref().ok().filter(|_| members.contains(me)).map(Postgres::place);
        own_recovery(&home, &logs, place, now(), &Deadline::after(PATIENCE))
    };
    match postgres {
        Err(why) => {
            let why = format!("{} cannot ask it: {why}", subject.me);
            for node in &members {
                servers.insert(node.clone(), Server::Silent(why.clone()));
            }
            names = Known::Unknown(why);
        }
        Ok(pg) => {
            let at_boot = pg.started_at_boot().into_iter();
            problems.extend(at_boot.map(|line| format!("{}: {line}", subject.me)));
            let others: Vec<NodeName> =
                members.iter().filter(|node| **node != subject.me).cloned().collect();
            // First our own, and not at the same time: looking at it means to be its user for a
            // moment, and a process is one user at a time.
            let mine = members.contains(&subject.me).then(|| look(&pg));
            // A primary knows best how late they are.
            let late = !matches!(mine, Some((Server::Primary(..), _)));
            let answers =
                thread::scope(|scope| ask_all(subject, &pg, others, late, scope).collect());
            for Asked { node, server, system, sync, delay } in answers {
                if let Some(sync) = sync {
                    names = sync;
                }
                systems.extend(system.map(|system| (node.clone(), system)));
                delays.extend(delay.map(|delay| (node.clone(), delay)));
                servers.insert(node, server);
            }
            if let Some((server, sql)) = mine {
                match sql {
                    Sql::Primary(primary) => {
                        names = Known::Known(primary.names.clone());
                        systems.insert(subject.me.clone(), primary.system_id);
                        delays = delays_of(&pg.delays(), &standby_names);
                        local = Some(*primary);
                    }
                    Sql::Standby(of_standby) => {
                        systems.insert(subject.me.clone(), of_standby.system_id);
                        delays.insert(subject.me.clone(), delay(pg.delay()));
                        standby = Some(*of_standby);
                    }
                    _ => {}
                }
                servers.insert(subject.me.clone(), server);
            }
        }
    }
    let facts = Facts {
        resource: subject.resource().to_owned(),
        me: subject.me.clone(),
        mode: match subject.params.rep_mode {
            RepMode::Sync => Mode::Sync,
            RepMode::Async => Mode::Async,
        },
        policy: subject.params.fencing,
        vip: subject.params.vip.map(|vip| vip.to_string()),
        status: subject.view.status.clone(),
        cib: subject.view.cib.clone(),
        ledger: subject.view.ledger(),
        own,
        members,
        servers,
        systems,
        delays,
        local,
        names,
        standby_names,
        noted: subject.home().cache().warnings.into_values().flatten().collect(),
        recovery,
        progress: BTreeMap::new(),
        runtimes: Runtimes::default(),
        configuration: super::examine::configuration(subject),
        problems,
    };
    let progress = progress_of_others(subject, &facts);
    let runtimes = runtimes(subject, &facts);
    let facts = Facts { progress, runtimes, ..facts };
    (facts, standby)
}

/// How far recoveries elsewhere are. Nobody is asked where there are none.
fn progress_of_others(subject: &Subject, facts: &Facts) -> BTreeMap<NodeName, String> {
    let view = facts.view();
    let rebuilding = |node: &NodeName| *node != facts.me && view.is_rebuilding(node);
    if !facts.members.iter().any(rebuilding) {
        return BTreeMap::new();
    }
    // One that is not told is none: the state says what matters.
    let said = subject.pacemaker(&System).read_all(Attribute::Progress, PATIENCE);
    said.known().unwrap_or_default().into_iter().filter(|(node, _)| rebuilding(node)).collect()
}

/// By what the members' PostgreSQL is run. Nobody and no engine is asked where all are on their hosts.
fn runtimes(subject: &Subject, facts: &Facts) -> Runtimes {
    let system = System;
    let Ok(pg) = subject.postgres(&system) else { return Runtimes::default() };
    let here = facts.members.contains(&subject.me);
    let here = here.then(|| container::runs(&Ground::of(subject, &pg), PATIENCE));
    if !may_be_contained(facts) {
        return Runtimes { here, told: BTreeMap::new() };
    }
    // What was not told is not said.
    let told = container::told(subject).known().unwrap_or_default();
    let told = told.into_iter().filter_map(|(node, told)| Some((node, told.known()?)));
    Runtimes { here, told: told.collect() }
}

/// What the members have written down of themselves: this one in its files, the others as they tell it.
pub fn records(subject: &Subject) -> Records {
    Records {
        own: PastFile::new(STATE_ROOT, subject.resource()).read(),
        recoveries: RecoveryLogs::new(LOG_ROOT, subject.resource()).summaries(),
        told: subject.pacemaker(&System).read_all(Attribute::History, PATIENCE),
    }
}

/// The application_name of each member that has a valid one.
fn names_of(subject: &Subject, members: &BTreeSet<NodeName>) -> BTreeMap<NodeName, StandbyName> {
    let name_of = |node: &NodeName| {
        let name = subject.params.application_name_for(node, members.len()).ok()?;
        Some((node.clone(), name.parse().ok()?))
    };
    members.iter().filter_map(name_of).collect()
}

fn delay<E: std::fmt::Display>(answer: Result<Option<u64>, E>) -> Known<u64> {
    match answer {
        Ok(Some(delay)) => Known::Known(delay),
        Ok(None) => Known::unknown("it has replayed no transaction yet"),
        Err(why) => Known::unknown(why.to_string()),
    }
}

/// Of those who stream, in the primary's words: each by its name.
fn delays_of(
    answer: &Result<BTreeMap<String, Option<u64>>, String>,
    names: &BTreeMap<NodeName, StandbyName>,
) -> BTreeMap<NodeName, Known<u64>> {
    let of = |(node, name): (&NodeName, &StandbyName)| match answer {
        Ok(all) => {
            let delay = all.iter().find(|(sender, _)| name.matches(sender))?.1;
            let unmeasured = || Known::unknown("the primary has not measured it yet");
            Some((node.clone(), delay.map_or_else(unmeasured, Known::Known)))
        }
        Err(why) => Some((node.clone(), Known::unknown(why.clone()))),
    };
    names.iter().filter_map(of).collect()
}

/// One member's answers.
struct Asked {
    node: NodeName,
    server: Server,
    /// The database system that it said to be.
    system: Option<u64>,
    /// `synchronous_standby_names`, if it is a primary.
    sync: Option<Known<String>>,
    /// How late it is, if it is a standby and was asked.
    delay: Option<Known<u64>>,
}

impl Asked {
    fn silent(node: NodeName, why: &str) -> Self {
        let server = Server::Silent(why.to_owned());
        Self { node, server, system: None, sync: None, delay: None }
    }
}

/// The questions under way.
struct Asking<'s> {
    threads: Vec<(NodeName, thread::ScopedJoinHandle<'s, Asked>)>,
}

impl Asking<'_> {
    fn collect(self) -> Vec<Asked> {
        let join = |(node, handle): (NodeName, thread::ScopedJoinHandle<'_, Asked>)| {
            let lost = |_| Asked::silent(node, "not asked");
            handle.join().unwrap_or_else(lost)
        };
        self.threads.into_iter().map(join).collect()
    }
}

/// Asks them all at the same time.
fn ask_all<'s>(
    subject: &Subject,
    pg: &Postgres<'_>,
    nodes: Vec<NodeName>,
    late: bool,
    scope: &'s thread::Scope<'s, '_>,
) -> Asking<'s> {
    // All of them first: to read how to log in means to be PostgreSQL's user for a moment as well. And a
    // psql for each: two containers cannot have one name.
    let peer = |node: NodeName| {
        let psql = pg.runtime().command("psql").map_err(|error| error.to_string());
        let peer = subject.peer(&node, pg);
        (node, peer, psql)
    };
    let peers: Vec<(NodeName, Peer, Result<Cmd, String>)> = nodes.into_iter().map(peer).collect();
    let ask = |(node, peer, psql): (NodeName, Peer, Result<Cmd, String>)| {
        (node.clone(), scope.spawn(move || ask(node, psql, &peer, late)))
    };
    Asking { threads: peers.into_iter().map(ask).collect() }
}

fn ask(node: NodeName, psql: Result<Cmd, String>, peer: &Peer, late: bool) -> Asked {
    let psql = match psql {
        Ok(psql) => psql,
        Err(why) => return Asked::silent(node, &why),
    };
    let deadline = Deadline::after(PATIENCE);
    let answer = peer::identify(&System, psql.clone(), peer, deadline.left());
    let (server, system) = (server(&answer), answer.identity().map(|is| is.system_id));
    let (mut sync, mut delay) = (None, None);
    match &server {
        Server::Primary(..) => {
            let name = "synchronous_standby_names";
            sync = Some(match peer::show(&System, psql, peer, name, deadline.left()) {
                Ok(value) => Known::Known(value),
                Err(answer) => Known::unknown(answer.to_string()),
            });
        }
        Server::Standby(..) if late => {
            delay = Some(self::delay(peer::delay(&System, psql, peer, deadline.left())));
        }
        Server::Standby(..) | Server::Absent(_) | Server::Silent(_) => {}
    }
    Asked { node, server, system, sync, delay }
}

fn server(answer: &PeerAnswer) -> Server {
    match answer {
        PeerAnswer::Primary(is) => Server::Primary(is.timeline, is.lsn),
        PeerAnswer::Standby(is) => Server::Standby(is.timeline, is.lsn),
        PeerAnswer::Refused | PeerAnswer::Unreachable(_) => Server::Absent(answer.to_string()),
        PeerAnswer::Starting(_)
        | PeerAnswer::ShuttingDown
        | PeerAnswer::Busy(_)
        | PeerAnswer::AuthFailed(_)
        | PeerAnswer::NoAnswer
        | PeerAnswer::Unknown(_) => Server::Silent(answer.to_string()),
    }
}

/// Our own instance, over its socket.
fn look(pg: &Postgres<'_>) -> (Server, Sql) {
    let deadline = Deadline::after(PATIENCE);
    let mut instance = pg.look(&deadline);
    if let Sql::Primary(primary) = &mut instance.sql {
        let more = pg.overrides().unwrap_or_else(|why| {
            vec![format!("the settings of roles and databases could not be read: {why}")]
        });
        primary.weaknesses.extend(more);
    }
    let server = match (&instance.sql, &instance.process) {
        (Sql::Primary(primary), _) => Server::Primary(primary.timeline, primary.insert),
        (Sql::Standby(_), _) => match pg.identify(&deadline) {
            Known::Known(is) => Server::Standby(is.timeline, is.lsn),
            Known::Unknown(why) => Server::Silent(why),
        },
        (_, Process::None) => Server::Absent("it does not run".to_owned()),
        (_, Process::Orphans(_)) => {
            Server::Silent("its postmaster is gone, processes of it still run".to_owned())
        }
        (_, Process::Unknown(why)) => Server::Silent(why.clone()),
        (other, Process::Running { .. }) => Server::Silent(other.to_string()),
    };
    (server, instance.sql)
}
