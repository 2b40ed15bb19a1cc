//! Looking at the whole cluster for `pgtwin status`: Pacemaker, the ledger, and every member's
//! PostgreSQL at once. It changes nothing. Floor 3.

mod own_recovery;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use super::operate::Subject;
use super::recover::now;
use super::run::{LOG_ROOT, RUN_ROOT, STATE_ROOT};
use crate::client::ledger_file::OwnFile;
use crate::client::peer::{self, Peer, PeerAnswer};
use crate::client::recovery_file::RecoveryHome;
use crate::client::recovery_log::RecoveryLogs;
use crate::cluster::known::Known;
use crate::cluster::ledger::Mode;
use crate::cluster::node::NodeName;
use crate::decide::facts::{Process, Sql};
use crate::decide::report::{Facts, OwnLedger, Server};
use crate::ocf::params::RepMode;
use crate::runtime::instance::Postgres;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, System};

pub use own_recovery::own_recovery;

/// How long the other members together may take to answer, and how long our own instance may.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Looks at everything.
pub fn survey(subject: &Subject) -> Facts {
    let members = subject.view.members(subject.params.node_list.as_deref());
    let mut problems = subject.problems.clone();
    if !nix::unistd::geteuid().is_root() {
        problems.push("not run by root: PostgreSQL can hardly be asked".to_owned());
    }
    // Early, because it is compared with the CIB, which was read a moment ago.
    let own = match subject.home().read() {
        OwnFile::Read(own) => OwnLedger::Read(own.store),
        OwnFile::Missing => OwnLedger::Missing,
        OwnFile::Unreadable(why) => OwnLedger::Unreadable(why),
    };
    let mut servers = BTreeMap::new();
    let mut local = None;
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
            let answers = thread::scope(|scope| ask_all(subject, &pg, others, scope).collect());
            for Asked { node, server, sync } in answers {
                if let Some(sync) = sync {
                    names = sync;
                }
                servers.insert(node, server);
            }
            if let Some((server, sql)) = mine {
                if let Sql::Primary(primary) = sql {
                    names = Known::Known(primary.names.clone());
                    local = Some(*primary);
                }
                servers.insert(subject.me.clone(), server);
            }
        }
    }
    let standby_names = members
        .iter()
        .filter_map(|node| {
            let name = subject.params.application_name_for(node, members.len()).ok()?;
            Some((node.clone(), name.parse().ok()?))
        })
        .collect();
    Facts {
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
        local,
        names,
        standby_names,
        noted: subject.home().cache().warnings.into_values().flatten().collect(),
        recovery,
        problems,
    }
}

/// One member's answers.
struct Asked {
    node: NodeName,
    server: Server,
    /// `synchronous_standby_names`, if it is a primary.
    sync: Option<Known<String>>,
}

/// The questions under way.
struct Asking<'s> {
    threads: Vec<(NodeName, thread::ScopedJoinHandle<'s, Asked>)>,
}

impl Asking<'_> {
    fn collect(self) -> Vec<Asked> {
        let join = |(node, handle): (NodeName, thread::ScopedJoinHandle<'_, Asked>)| {
            let lost = |_| Asked { node, server: Server::Silent("not asked".into()), sync: None };
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
    scope: &'s thread::Scope<'s, '_>,
) -> Asking<'s> {
    let psql = pg.runtime().command("psql").map_err(|error| error.to_string());
    let (user, passfile) = (pg.replication_user(), pg.passfile());
    let like = pg.login_like();
    let ask = |node: NodeName| {
        let peer = Peer {
            host: subject
                .params
                .node_addresses
                .get(&node)
                .map_or_else(|| node.to_string(), Clone::clone),
            port: subject.params.pgport,
            user: user.clone(),
            passfile: passfile.clone(),
            like: like.clone(),
        };
        let (name, psql) = (node.clone(), psql.clone());
        (name, scope.spawn(move || ask(node, psql, &peer)))
    };
    Asking { threads: nodes.into_iter().map(ask).collect() }
}

fn ask(node: NodeName, psql: Result<Cmd, String>, peer: &Peer) -> Asked {
    let psql = match psql {
        Ok(psql) => psql,
        Err(why) => return Asked { node, server: Server::Silent(why), sync: None },
    };
    let deadline = Deadline::after(PATIENCE);
    let server = server(&peer::identify(&System, psql.clone(), peer, deadline.left()));
    let sync = matches!(server, Server::Primary(..)).then(|| {
        let name = "synchronous_standby_names";
        match peer::show(&System, psql, peer, name, deadline.left()) {
            Ok(value) => Known::Known(value),
            Err(answer) => Known::unknown(answer.to_string()),
        }
    });
    Asked { node, server, sync }
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
