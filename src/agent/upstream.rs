//! Finding the primary, proving it, and streaming from it. Floor 3.

use std::collections::BTreeSet;

use tracing::{debug, info, warn};

use super::Agent;
use super::view::View;
use crate::client::ledger_file::OwnFile;
use crate::client::peer::{Peer, PeerAnswer};
use crate::cluster::known::Known;
use crate::cluster::ledger::Store;
use crate::cluster::node::NodeName;
use crate::decide::facts::{DataDir, Sql};
use crate::decide::source::Login;
use crate::decide::start::{Live, Upstream};
use crate::decide::upstream::{Answer, Candidate, choose, in_order};
use crate::postgres::conninfo::Conninfo;
use crate::postgres::history::History;
use crate::postgres::lsn::Timeline;
use crate::postgres::refusal::Refusal;
use crate::runtime::instance::recovery_facts::Provider;

impl Agent<'_> {
    /// A member as a server to log in to, as the replication user.
    pub fn peer(&self, node: &NodeName) -> Peer {
        Peer {
            host: self.address(node),
            port: self.params.pgport,
            user: self.pg.replication_user(),
            passfile: self.pg.passfile(),
            like: self.pg.login_like(),
        }
    }

    /// The ledger as far as it is known here: the CIB's, and the own file.
    pub fn known_ledger(&self, view: &View, own: &OwnFile) -> Known<Store> {
        view.ledger().map(|cib| match own {
            OwnFile::Read(own) => own.store.merged(&cib, Some(&self.me)),
            OwnFile::Missing | OwnFile::Unreadable(_) => cib,
        })
    }

    /// The primary of the cluster: whom Pacemaker has promoted, or the primary of the newest ledger
    /// entry, if it answers as one, and the ledger does not stand against it. `reach`: the timeline of all that this
    /// node's data holds, where that is known.
    pub fn find_upstream(
        &mut self,
        view: &View,
        file: &OwnFile,
        reach: Option<Timeline>,
    ) -> Upstream {
        let mut candidates: Vec<NodeName> =
            view.promoted().into_iter().filter(|node| *node != self.me).collect();
        let promoted: BTreeSet<NodeName> = candidates.iter().cloned().collect();
        if let Known::Known(store) = &view.ledger()
            && let Some(entry) = store.newest_done()
            && entry.primary != self.me
            && !promoted.contains(&entry.primary)
            && view.node(&entry.primary) == crate::decide::sync::NodeState::Online
        {
            candidates.push(entry.primary.clone());
        }
        let ledger = self.known_ledger(view, file);
        let mut asked = Vec::new();
        for node in in_order(candidates, &ledger) {
            let answer = match self.ask_primary(&node, view, file, reach) {
                Ok(Some(live)) => Answer::Primary(Box::new(live)),
                Ok(None) => Answer::NotOne,
                Err(why) => Answer::Silent(why),
            };
            debug!("asked {node} whether it is the primary: {answer:?}");
            let promoted = promoted.contains(&node);
            let found = matches!(answer, Answer::Primary(_));
            asked.push(Candidate { node, promoted, answer });
            if found {
                // The others are older, if they are anything.
                break;
            }
        }
        choose(asked, &ledger)
    }

    /// Asks one node whether it is the primary: `None` if it answers and is not.
    fn ask_primary(
        &mut self,
        node: &NodeName,
        view: &View,
        file: &OwnFile,
        reach: Option<Timeline>,
    ) -> Result<Option<Live>, String> {
        let peer = self.peer(node);
        let limit = self.deadline.bounded(std::time::Duration::from_secs(5));
        let identity = match self.pg.identify_peer(&peer, limit) {
            PeerAnswer::Primary(identity) => identity,
            PeerAnswer::Standby(_) => return Ok(None),
            PeerAnswer::AuthFailed(words) => {
                let slot = self.own_slot();
                let provider = Provider { node: node.as_str(), peer: &peer, slot: &slot };
                let server = self.pg.server(&provider);
                let advice = server.not_let_in(Login::Replication, &Refusal::of(&words));
                return Err(advice.brief());
            }
            other => return Err(other.to_string()),
        };
        let line = if identity.timeline.0 == 1 {
            History::of_first_line()
        } else {
            self.pg.peer_history(&peer, identity.timeline, limit).into_result()?
        };
        let at = (line, identity.lsn);
        let ledger = view.ledger();
        let own = self.given_up(file, (node, identity.timeline), &ledger, reach);
        Ok(Some(Live::of(node, identity.system_id, at, &ledger, own.as_ref())))
    }

    /// The settings with which this node streams from `node`. What an administrator added to
    /// primary_conninfo (sslmode and the like) stays.
    pub fn conninfo_for(&self, node: &NodeName, present: &str) -> Conninfo {
        let mut conninfo = Conninfo::parse(present).unwrap_or_default();
        if conninfo.is_empty() {
            conninfo.log_in_like(&self.pg.login_like());
        }
        for (keyword, value) in [
            ("host", self.address(node)),
            ("port", self.params.pgport.to_string()),
            ("user", self.pg.replication_user()),
            ("application_name", self.standby_name()),
        ] {
            conninfo.set(keyword, &value);
        }
        conninfo.remove("hostaddr");
        conninfo.remove("password");
        if let Some(passfile) = self.pg.passfile() {
            conninfo.set("passfile", &passfile);
        }
        conninfo
    }

    fn standby_name(&self) -> String {
        let members = self.member_count().unwrap_or(2);
        self.params.application_name_for(&self.me, members).unwrap_or_else(|_| self.me.to_string())
    }

    /// The settings of a standby, for postgresql.auto.conf: `upstream` or nobody.
    pub fn standby_settings(&mut self, upstream: Option<&NodeName>) -> Vec<(String, String)> {
        let present = self.pg.auto_conf_value("primary_conninfo").unwrap_or_default();
        let mut settings = match upstream {
            Some(node) => {
                let conninfo = self.conninfo_for(node, &present).to_text();
                vec![("primary_conninfo".to_owned(), conninfo)]
            }
            None => self.pg.no_upstream(),
        };
        if let Some(size) = self.slot_wal_keep_size() {
            settings.push(("max_slot_wal_keep_size".to_owned(), size));
        }
        settings.extend([
            ("primary_slot_name".to_owned(), self.own_slot()),
            ("recovery_target_timeline".to_owned(), "latest".to_owned()),
        ]);
        settings
    }

    /// The value of max_slot_wal_keep_size, if the owner gave the parameter; 0 is no limit.
    pub fn slot_wal_keep_size(&self) -> Option<String> {
        self.params.max_slot_wal_keep_size.map(|megabytes| match megabytes {
            0 => "-1".to_owned(),
            megabytes => format!("{megabytes}MB"),
        })
    }

    /// Makes a running standby stream from `node`. Whether anything was changed.
    pub fn follow(
        &mut self,
        node: &NodeName,
        present: &str,
        slot: &str,
        sql: &Sql,
    ) -> Result<bool, String> {
        self.note_pointed(node, sql)?;
        let wanted = self.conninfo_for(node, present);
        let now = Conninfo::parse(present).unwrap_or_default();
        self.cache.upstream = node.to_string();
        self.cache.upstream_host = self.address(node);
        let my_slot = self.slot_to_use(node, &now, slot);
        if now.same_meaning(&wanted) && slot == my_slot {
            return Ok(false);
        }
        info!("streams from {node} ({}) from now on", self.address(node));
        self.pg.set_and_reload(&[
            ("primary_conninfo", Some(&wanted.to_text())),
            ("primary_slot_name", Some(&my_slot)),
        ])?;
        Ok(true)
    }

    /// Makes a running standby stream from nobody.
    pub fn listen_to_nobody(&mut self) -> Result<(), String> {
        let nobody = self.pg.no_upstream();
        let settings: Vec<(&str, Option<&str>)> =
            nobody.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
        self.cache.upstream.clear();
        self.cache.upstream_host.clear();
        self.pg.set_and_reload(&settings)
    }

    /// The slot to stream by from `node`. With a changed `slot_name` it is the one that this node has used,
    /// until there is one of the new name: by a slot that is not there nothing is streamed.
    fn slot_to_use(&self, node: &NodeName, now: &Conninfo, present: &str) -> String {
        let mine = self.own_slot();
        let moves = now.get("host") != Some(&self.address(node));
        if present == mine || moves {
            return mine;
        }
        match self.make_own_slot(node, false) {
            Ok(()) => mine,
            Err(why) => {
                warn!("the slot {mine} cannot be made on {node}, so {present:?} stays: {why}");
                present.to_owned()
            }
        }
    }

    /// Points a server that takes no sessions at `node`: PostgreSQL itself refuses WAL of another line.
    pub fn follow_without_sql(&mut self, node: &NodeName, data: &DataDir) -> Result<(), String> {
        self.note_pointed_blindly(node, data)?;
        let settings = self.standby_settings(Some(node));
        let borrowed: Vec<(&str, Option<&str>)> =
            settings.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
        self.cache.upstream = node.to_string();
        self.cache.upstream_host = self.address(node);
        self.pg.set_auto_conf(&borrowed)?;
        self.pg.reload()
    }
}
