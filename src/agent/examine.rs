//! Looking at everything for `pgtwin doctor`: the configuration, this node's PostgreSQL, this machine,
//! and the other members as this one reaches them. It changes nothing. Floor 3.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::container::{self, Ground};
use super::operate::{NoSubject, Subject, parameters_with};
use super::pghba::{Asked, Which};
use super::recover::now;
use super::run::{LOG_ROOT, STATE_ROOT};
use crate::client::peer::{self, Peer as Address, PeerAnswer};
use crate::cluster::cib::Cib;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::readiness::Readiness;
use crate::decide::doctor::{
    self, Facts, Finding, Here, Host, Images, Login, Member, Peer, Shell, Verdict,
};
use crate::decide::pghba;
use crate::decide::report::OldCopy;
use crate::decide::source::Passfile;
use crate::ocf::params::Params;
use crate::postgres::pgpass;
use crate::postgres::slot_name::slot_name;
use crate::runtime::instance::Postgres;
use crate::runtime::passfile::Fitness;
use crate::runtime::{host, old_copies};
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, System, find_program};

/// How long each login at another member may take.
const LOGIN: Duration = Duration::from_secs(4);
/// How long all names together may take.
const NAMES: Duration = Duration::from_secs(5);
/// How long looking at pg_hba.conf may take.
const HBA: Duration = Duration::from_secs(10);
/// How long an engine may take for each answer.
const ENGINE: Duration = Duration::from_secs(3);
/// How long measuring old copies may take.
const MEASURING: Duration = Duration::from_secs(5);

/// Looks at the cluster that this node is of.
pub fn examine(subject: &Subject) -> Facts {
    let members = subject.view.members(subject.params.node_list.as_deref());
    let mut problems = subject.problems.clone();
    let here = if !members.contains(&subject.me) {
        Here::NoMember(subject.me.clone())
    } else if !nix::unistd::geteuid().is_root() {
        Here::NotRoot(subject.me.clone())
    } else {
        let system = System;
        match subject.postgres(&system) {
            Ok(pg) => {
                let own = own_places(subject.resource());
                let member = member(&pg, &subject.params, &subject.me, &members, &own);
                Here::Member(Box::new(with_images(member, subject, &pg)))
            }
            Err(why) => {
                // No user, no PostgreSQL: there is nothing more to look at.
                problems.push(why);
                Here::NoMember(subject.me.clone())
            }
        }
    };
    Facts {
        resource: subject.resource().to_owned(),
        params: subject.params.clone(),
        problems,
        members,
        cib: subject.view.cib.clone(),
        status: Known::Known(subject.view.status.clone()),
        now: now(),
        shell: shell(),
        here,
    }
}

/// Checks about which `status` has words of its own.
const TOLD_ANYWAY: [&str; 2] = ["maintenance", "parameters"];

/// What the doctor finds in the cluster's configuration alone: nobody is asked anything for it.
pub fn configuration(subject: &Subject) -> Vec<Finding> {
    let facts = Facts {
        resource: subject.resource().to_owned(),
        params: subject.params.clone(),
        problems: Vec::new(),
        members: subject.view.members(subject.params.node_list.as_deref()),
        cib: subject.view.cib.clone(),
        status: Known::unknown("it is about the configuration"),
        now: now(),
        shell: shell(),
        here: Here::File,
    };
    let mut findings = doctor::examine(&facts, &TOLD_ANYWAY.map(str::to_owned)).findings;
    findings.retain(|finding| finding.verdict != Verdict::Ok);
    findings
}

/// Looks at a configuration that is in no cluster yet.
pub fn examine_file(cib: Cib, which: &Which) -> Result<Facts, NoSubject> {
    let found = parameters_with(&cib, which.resource.as_deref(), &which.params, None)?;
    let members = match &found.params.node_list {
        Some(list) => list.iter().cloned().collect(),
        None => cib.full_members().cloned().collect(),
    };
    Ok(Facts {
        resource: found.resource,
        params: found.params,
        problems: found.problems,
        members,
        cib,
        status: Known::unknown("a file has no state"),
        now: now(),
        shell: shell(),
        here: Here::File,
    })
}

/// The shell for Pacemaker's configuration that is installed here; crmsh where neither is.
pub fn shell() -> Shell {
    if find_program("pcs").is_some() { Shell::Pcs } else { Shell::Crmsh }
}

/// The directories that root keeps for a resource.
fn own_places(resource: &str) -> Vec<PathBuf> {
    let state = Path::new(STATE_ROOT);
    vec![state.to_owned(), state.join(resource), PathBuf::from(LOG_ROOT)]
}

/// Looks at a member on itself. `own`: the directories of root's.
pub fn member(
    pg: &Postgres<'_>,
    params: &Params,
    me: &NodeName,
    members: &BTreeSet<NodeName>,
    own: &[PathBuf],
) -> Member {
    let others: Vec<&NodeName> = members.iter().filter(|node| *node != me).collect();
    let slots = others.iter().map(|node| slot_name(&params.slot_name, node.as_str())).collect();
    // Our own first, and not at the same time: looking at it means to be its user for a moment, and a
    // process is one user at a time.
    let server = pg.examine(slots);
    let hba =
        server.as_known().and_then(|server| hba_facts(pg, params, me, members, server.primary));
    let names = Deadline::after(NAMES);
    let host = host_facts(pg, params, me, own, &names);
    let peers = peers(pg, params, &others, &names);
    let odd = odd_lines(pg, &peers);
    Member {
        me: me.clone(),
        server,
        hba,
        host: Host { passfile_odd: odd, ..host },
        peers: peers.into_iter().map(|(node, (_, peer))| (node, peer)).collect(),
        images: None,
    }
}

/// The same, with what is known of images. On the host none is looked for.
fn with_images(member: Member, subject: &Subject, pg: &Postgres<'_>) -> Member {
    let now = container::runs(&Ground::of(subject, pg), ENGINE);
    if !subject.params.container_mode && now.contained != Some(true) {
        return member;
    }
    let image = match container::local(&Ground::of(subject, pg)) {
        Ok(local) => local.image.map(|image| image.as_ref().map(container::id_of)),
        Err(why) => Known::Unknown(why),
    };
    let images = container::told(subject).map(|told| {
        let id = |(node, told): (NodeName, Known<Readiness>)| Some((node, told.known()?.id));
        told.into_iter().filter_map(id).collect()
    });
    let asked = subject.params.container_mode;
    Member { images: Some(Images { asked, now, here: image, told: images }), ..member }
}

/// What validate-pghba judges: it is judged once.
fn hba_facts(
    pg: &Postgres<'_>,
    params: &Params,
    me: &NodeName,
    members: &BTreeSet<NodeName>,
    primary: bool,
) -> Known<pghba::Facts> {
    let members: Vec<NodeName> = members.iter().cloned().collect();
    let asked = Asked { pg, exec: &System, params, me, members: &members };
    match asked.facts(primary, &Deadline::after(HBA)) {
        Ok(facts) => Known::Known(facts),
        Err(why) => Known::Unknown(why),
    }
}

fn address_of(params: &Params, node: &NodeName) -> String {
    params.node_addresses.get(node).cloned().unwrap_or_else(|| node.to_string())
}

fn host_facts(
    pg: &Postgres<'_>,
    params: &Params,
    me: &NodeName,
    own: &[PathBuf],
    names: &Deadline,
) -> Host {
    let root = Path::new("/");
    let resolved = Known::from(peer::addresses(&System, &address_of(params, me), names));
    let is_own = resolved.as_known().and_then(|addresses| host::is_own(addresses));
    Host {
        hostname: host::hostname(),
        resolved,
        is_own,
        corosync: host::corosync(root),
        at_boot: pg.started_at_boot(),
        ipc: host::ipc(root, &pg.place().user),
        passfile: match pg.passfile_fitness() {
            None | Some(Fitness::Fit) => None,
            Some(Fitness::Missing) => {
                let named = params.pgpassfile.as_deref().unwrap_or_default();
                Some(format!("pgpassfile={named} is missing"))
            }
            Some(Fitness::Unfit { why, .. } | Fitness::Unusable(why)) => Some(why),
        },
        passfile_odd: Vec::new(),
        volumes: host::volumes(pg.place()),
        copies: copies(pg),
        programs: pg.missing_programs(),
        modes: host::wrong_modes(pg.place(), own),
    }
}

fn copies(pg: &Postgres<'_>) -> Known<Vec<OldCopy>> {
    match old_copies::kept(pg.place(), &Deadline::after(MEASURING)) {
        Err(error) => Known::unknown(chain(&error)),
        Ok(copies) => Known::Known(
            copies
                .into_iter()
                .map(|copy| OldCopy {
                    dirs: copy.dirs.iter().map(|dir| dir.display().to_string()).collect(),
                    bytes: copy.bytes,
                })
                .collect(),
        ),
    }
}

type Peers = BTreeMap<NodeName, (Address, Peer)>;

/// Tries both logins at all other members at the same time.
fn peers(pg: &Postgres<'_>, params: &Params, others: &[&NodeName], names: &Deadline) -> Peers {
    let address = |node: &NodeName| Address {
        host: address_of(params, node),
        port: params.pgport,
        user: pg.replication_user(),
        passfile: pg.passfile(),
        like: pg.login_like(),
    };
    let ask = |address: &Address, psql: &Result<Cmd, String>| -> (Login<()>, Login<_>) {
        let psql = match psql {
            Ok(psql) => psql.clone(),
            Err(why) => return (Login::NotTried(why.clone()), Login::NotTried(why.clone())),
        };
        let replication = match peer::identify(&System, psql.clone(), address, LOGIN) {
            PeerAnswer::Primary(_) | PeerAnswer::Standby(_) => Login::In(()),
            other => not_in(&other),
        };
        let postgres = match peer::examine::examine(&System, psql, address, LOGIN) {
            Ok(remote) => Login::In(remote),
            Err(other) => not_in(&other),
        };
        (replication, postgres)
    };
    // A psql for each: two containers cannot have one name.
    let psql = || pg.runtime().command("psql").map_err(|error| error.to_string());
    let all: Vec<(NodeName, Address, Result<Cmd, String>)> =
        others.iter().map(|node| ((*node).clone(), address(node), psql())).collect();
    let answers: Vec<_> = thread::scope(|scope| {
        let ask = &ask;
        let asked: Vec<_> =
            all.iter().map(|(_, address, psql)| scope.spawn(move || ask(address, psql))).collect();
        asked.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let lost = || (Login::NotTried("not asked".into()), Login::NotTried("not asked".into()));
    let mut found = Peers::new();
    for ((node, address, _), answer) in all.into_iter().zip(answers) {
        let (replication, postgres) = answer.unwrap_or_else(|_| lost());
        let resolved = Known::from(peer::addresses(&System, &address.host, names));
        let peer = Peer {
            address: format!("{} port {}", address.host, address.port),
            resolved,
            replication,
            postgres,
            passfile_lacks: lacking(pg, &address),
        };
        found.insert(node, (address, peer));
    }
    found
}

fn not_in<T>(answer: &PeerAnswer) -> Login<T> {
    match answer {
        PeerAnswer::AuthFailed(words) => Login::KeptOut(words.clone()),
        other => Login::NotTried(other.to_string()),
    }
}

/// The lines of the passfile for a member that are missing.
fn lacking(pg: &Postgres<'_>, address: &Address) -> Vec<String> {
    let Passfile::Read { replication, postgres, .. } = pg.passfile_facts(address) else {
        return Vec::new();
    };
    [("replication", replication), ("postgres", postgres)]
        .into_iter()
        .filter(|(_, there)| there.is_none())
        .map(|(database, _)| pgpass::line(&address.host, address.port, database, &address.user))
        .collect()
}

/// Lines of the passfile that cannot mean what they say.
fn odd_lines(pg: &Postgres<'_>, peers: &Peers) -> Vec<String> {
    let Some((address, _)) = peers.values().next() else { return Vec::new() };
    match pg.passfile_facts(address) {
        Passfile::Read { bad, .. } => bad.iter().map(ToString::to_string).collect(),
        Passfile::NotNamed | Passfile::Missing { .. } | Passfile::Unreadable { .. } => Vec::new(),
    }
}

/// A file with a configuration, as the operator names it; `-` is standard input.
pub fn read_configuration(path: &str) -> Result<Cib, String> {
    use std::io::Read;
    const LARGEST: u64 = 64 << 20;
    let failed = |why: String| format!("{path} is no configuration of a cluster: {why}");
    let mut text = String::new();
    let read = |from: &mut dyn Read, text: &mut String| from.take(LARGEST).read_to_string(text);
    let done = if path == "-" {
        read(&mut std::io::stdin().lock(), &mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| read(&mut file, &mut text))
    };
    done.map_err(|error| failed(error.to_string()))?;
    Cib::parse_configuration(&text).map_err(|error| failed(error.to_string()))
}
