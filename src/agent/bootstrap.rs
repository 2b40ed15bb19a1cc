//! `pgtwin bootstrap`: a node from nothing, step by step. Floor 3.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::operate::tools;
use super::pghba::this_node;
use super::recover::mounted;
use super::run::LOG_ROOT;
use crate::client::peer::Peer;
use crate::cluster::cib::Cib;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::bootstrap::{Become, Facts, against};
use crate::decide::facts::Sql;
use crate::decide::pghba::fix::new_block;
use crate::decide::source::{Answer, Login, Server};
use crate::decide::wanted;
use crate::ocf::params::Params;
use crate::runtime::create::New;
use crate::runtime::host;
use crate::runtime::instance::Postgres;
use crate::runtime::instance::recovery_facts::Provider;
use crate::runtime::passfile;
use crate::sys::chain;
use crate::sys::deadline::{Deadline, poll_until};
use crate::sys::exec::Exec;
use crate::sys::files::{Seen, ensure_root_dir, look_through};

/// How long all of it may take.
const ALL: Duration = Duration::from_mins(10);
/// How long a new server may take to answer.
const ANSWER: Duration = Duration::from_mins(1);
/// How long Pacemaker's tools may take.
const TOOL: Duration = Duration::from_secs(5);

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Order {
    /// What this node becomes.
    pub become_: Become,
    /// The parameters of the resource to be.
    pub params: Params,
    /// The members, and where each is reached.
    pub members: Vec<(NodeName, String)>,
    /// The role of standbys.
    pub role: String,
    /// The locale of the databases.
    pub locale: String,
    /// Version and cluster, where Debian's layout is wanted.
    pub debian: Option<(String, String)>,
}

/// An order, on this node.
pub struct Node<'a> {
    order: &'a Order,
    exec: &'a dyn Exec,
    me: NodeName,
    address: String,
    passfile: PathBuf,
    deadline: Deadline,
}

impl<'a> Node<'a> {
    /// Looks at the node, and changes nothing; what stands against the order, one line each.
    pub fn find(exec: &'a dyn Exec, order: &'a Order) -> Result<Self, Vec<String>> {
        let one = |why: String| vec![why];
        let names: std::collections::BTreeSet<NodeName> =
            order.members.iter().map(|(node, _)| node.clone()).collect();
        let me = this_node(&names).map_err(one)?;
        let address = order.members.iter().find(|(node, _)| *node == me);
        let address = address.map(|(_, address)| address.clone()).unwrap_or_default();
        let pg = postgres(exec, &order.params).map_err(one)?;
        let instance = pg.look(&Deadline::after(TOOL));
        let config = order.params.config_file.as_ref();
        let facts = Facts {
            pgdata: order.params.pgdata.clone(),
            config_file: config.cloned(),
            config_is_there: config
                .is_some_and(|file| look_through(Path::new(file)) != Seen::Missing),
            debian: order.debian.clone(),
            me: me.clone(),
            members: order.members.iter().map(|(node, _)| node.clone()).collect(),
            own_address: address.parse::<IpAddr>().ok().map(|own| host::is_own(&[own])),
            resources: resources(exec),
            mount: mounted(&order.params, &pg, &instance.data, None),
            data: instance.data,
            process: instance.process,
        };
        let against = against(&facts, order.become_);
        if !against.is_empty() {
            return Err(against);
        }
        let passfile = match &order.params.pgpassfile {
            Some(file) => PathBuf::from(file),
            None => home_of(&order.params.pguser).map_err(one)?.join(".pgpass"),
        };
        Ok(Self { order, exec, me, address, passfile, deadline: Deadline::after(ALL) })
    }

    /// What will be done, one line each.
    pub fn plan(&self) -> Vec<String> {
        let Order { params, debian, role, .. } = self.order;
        let by = match debian {
            Some((version, cluster)) => format!("pg_createcluster {version} {cluster}"),
            None => "initdb".to_owned(),
        };
        let passfile =
            format!("{}: the password of {role}, for all members", self.passfile.display());
        match (self.order.become_, debian) {
            (Become::Primary, _) => vec![
                format!("{by}: a new database with checksums in {}", params.pgdata),
                "pg_hba.conf: the members may log in".to_owned(),
                passfile,
                "postgresql.auto.conf: the settings that replication needs".to_owned(),
                format!("the role {role}, with what pg_rewind needs"),
                format!(
                    "a login as {role} at {}, for a test; then PostgreSQL is stopped",
                    self.address
                ),
            ],
            (Become::Standby, Some(_)) => vec![
                format!("{by}: the configuration; its data is removed again"),
                "pg_hba.conf: the members may log in".to_owned(),
                passfile,
            ],
            (Become::Standby, None) => vec![passfile],
        }
    }

    /// Does it; `tell` hears of each step that is done. The error says what is left.
    pub fn carry_out(&self, password: &str, tell: &mut dyn FnMut(&str)) -> Result<(), String> {
        ensure_root_dir(Path::new(LOG_ROOT), 0o750).map_err(|error| chain(&error))?;
        let done = self.steps(password, tell);
        done.map_err(|why| match (&self.order.debian, self.order.become_) {
            (Some((version, cluster)), _) => format!(
                "{why}. What was begun: pg_dropcluster --stop {version} {cluster} removes it"
            ),
            (None, Become::Primary) => format!(
                "{why}. What was begun is in {}: remove it before you try again",
                self.order.params.pgdata
            ),
            (None, Become::Standby) => why,
        })
    }

    fn steps(&self, password: &str, tell: &mut dyn FnMut(&str)) -> Result<(), String> {
        let Order { params, debian, role, members, locale, become_, .. } = self.order;
        // First what can be refused without anything having been made.
        let pg = postgres(self.exec, params)?;
        let hosts: Vec<String> = members.iter().map(|(_, address)| address.clone()).collect();
        passfile::add(&pg.place().user, &self.passfile, &hosts, params.pgport, role, password)?;
        tell(&format!("{} has the password", self.passfile.display()));
        let debian = debian.as_ref().map(|(version, cluster)| (version.as_str(), cluster.as_str()));
        if debian.is_some() || *become_ == Become::Primary {
            let new = New { locale, debian };
            pg.create(&new, &self.deadline)?;
            tell(&format!("the database is made in {}", params.pgdata));
            // Its programs are those of its version.
            let pg = postgres(self.exec, params)?;
            pg.put_hba_block(&new_block(role, members))?;
            tell("pg_hba.conf lets the members in");
            match become_ {
                Become::Primary => self.fill(&pg, password, tell)?,
                Become::Standby => {
                    pg.remove_new_data()?;
                    tell("the data that came with it is removed");
                }
            }
        }
        Ok(())
    }

    fn fill(
        &self,
        pg: &Postgres<'_>,
        password: &str,
        tell: &mut dyn FnMut(&str),
    ) -> Result<(), String> {
        let port = self.order.params.pgport.to_string();
        let unquoted = |value: &'static str| Some(value.trim_matches('\''));
        let mut settings: Vec<(&str, Option<&str>)> =
            wanted::SERVER.iter().map(|one| (one.name, unquoted(one.value))).collect();
        settings.push(("port", Some(&port)));
        pg.set_auto_conf(&settings)?;
        tell("postgresql.auto.conf has the settings that replication needs");
        pg.start(&self.deadline)?;
        let filled = self.ask_and_make(pg, password, tell);
        let stopped = pg.stop(&self.deadline);
        // Its container was made under another name than the resource's.
        pg.runtime().clean_up(self.deadline.left());
        filled.and(stopped)?;
        tell("PostgreSQL is stopped: Pacemaker starts it");
        Ok(())
    }

    fn ask_and_make(
        &self,
        pg: &Postgres<'_>,
        password: &str,
        tell: &mut dyn FnMut(&str),
    ) -> Result<(), String> {
        let role = &self.order.role;
        let end = self.deadline.within(ANSWER);
        let answers = || {
            let instance = pg.look(&end.within(TOOL));
            matches!(instance.sql, Sql::Primary(_)).then_some(())
        };
        if poll_until(&end, Duration::from_millis(200), answers).is_none() {
            return Err(format!("the new server does not answer: {}", pg.why_it_ended()));
        }
        pg.make_replication_role(role, password)?;
        tell(&format!("the role {role} is made"));
        let peer = Peer {
            host: self.address.clone(),
            port: self.order.params.pgport,
            user: role.clone(),
            passfile: Some(self.passfile.display().to_string()),
            like: pg.login_like(),
        };
        let provider = Provider { node: self.me.as_str(), peer: &peer, slot: "" };
        let (server, source) = pg.try_logins(&provider, TOOL);
        for (database, refused) in [
            ("replication", refusal(&server, Login::Replication, &source.replication)),
            ("postgres", refusal(&server, Login::Postgres, &source.postgres)),
        ] {
            if let Some(why) = refused {
                return Err(format!(
                    "{role} is not let in at {} for {database}: {why}",
                    self.address
                ));
            }
        }
        tell(&format!("{role} can log in at {}", self.address));
        Ok(())
    }
}

fn refusal<T>(server: &Server, login: Login, answer: &Answer<T>) -> Option<String> {
    match answer {
        Answer::In(_) => None,
        Answer::NotLetIn(refusal) => Some(server.not_let_in(login, refusal).to_string()),
        Answer::Silent(silence) => Some(server.silent(silence).to_string()),
        Answer::Unknown(words) => Some(words.clone()),
    }
}

fn postgres<'a>(exec: &'a dyn Exec, params: &Params) -> Result<Postgres<'a>, String> {
    let log = PathBuf::from(LOG_ROOT).join("bootstrap.log");
    Postgres::new(exec, params, log).map_err(|error| chain(&error))
}

fn home_of(user: &str) -> Result<PathBuf, String> {
    match nix::unistd::User::from_name(user) {
        Ok(Some(user)) => Ok(user.dir),
        Ok(None) => Err(format!("there is no user {user}")),
        Err(error) => Err(format!("the user {user} is not known: {error}")),
    }
}

/// What a cluster around this node has of ours. Where there is none that answers, nothing.
fn resources(exec: &dyn Exec) -> Vec<String> {
    let Known::Known(text) = tools(exec).cib_text(TOOL) else { return Vec::new() };
    let Ok(cib) = Cib::parse_configuration(&text) else { return Vec::new() };
    cib.primitives_of("pgtwin").map(|one| one.id.clone()).collect()
}
