//! Warnings before something fails: whether standbys will reach this primary, whether this standby still
//! reaches its own, and what a failover would lose. Each is said in the log once, and shown by `pgtwin
//! status` for as long as it holds. Floor 3.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::{info, warn};

use super::{Agent, pghba};
use crate::client::peer::PeerAnswer;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::facts::{PrimaryFacts, Sql, StandbyFacts};
use crate::decide::pghba::OwnAgent;
use crate::decide::reach::{Facts, Member, USUAL_CAUSES, kept_out, obstacles};
use crate::decide::slots::{lost_at_failover, not_synchronized};
use crate::decide::start::Upstream;
use crate::postgres::conninfo::Conninfo;
use crate::postgres::hba::Surroundings;
use crate::sys::deadline::Deadline;

/// How often it is looked again, in seconds, where all is well.
const EVERY: u64 = 300;
/// And where it is not.
const SOON: u64 = 60;

/// What a look at the server may take.
const LOOK: Duration = Duration::from_secs(5);
/// What resolving all names may take.
pub const FOR_NAMES: Duration = Duration::from_secs(2);

/// What a primary warns of.
const AS_PRIMARY: &str = "primary";
/// What a standby warns of.
const AS_STANDBY: &str = "standby";

impl Agent<'_> {
    /// The primary looks at what its standbys will meet: after its promotion, and now and then. Last in
    /// a monitor that has asked Pacemaker anyway: nothing waits for it.
    pub fn warn_as_primary(&mut self, primary: &PrimaryFacts) {
        let of = format!("{} {}", primary.timeline, primary.started);
        if !self.warnings_are_due(AS_PRIMARY, &of) {
            return;
        }
        let Some(members) = self.known_members() else { return };
        // Slots were made since, and standbys may have come.
        let Sql::Primary(primary) = self.pg.look(&self.deadline.within(LOOK)).sql else { return };
        let primary = primary.as_ref();
        let others: Vec<NodeName> =
            members.iter().filter(|node| **node != self.me).cloned().collect();
        let streaming: BTreeSet<NodeName> = others
            .iter()
            .filter(|node| self.standby_of(primary, node, members.len()).is_some())
            .cloned()
            .collect();
        let slots = self.slots_of_others(&members);
        // A resolver that does not answer holds up all of them no longer than one.
        let limit = self.deadline.within(FOR_NAMES);
        let user = self.pg.replication_user();
        let others: Vec<Member> = others.iter().map(|node| self.member(node, &limit)).collect();
        let from = pghba::addresses(&others);
        let (rules, around, agent) = match self.pg.hba_facts(&user, &from, &limit) {
            Known::Known(hba) => (Known::Known(hba.rules), hba.around, hba.agent),
            Known::Unknown(why) => {
                let around = Surroundings::unknown(&why);
                let agent = OwnAgent { user: self.params.pguser.clone(), around: around.clone() };
                (Known::Unknown(why), around, agent)
            }
        };
        let facts = Facts {
            me: self.member(&self.me, &limit),
            port: self.params.pgport,
            user,
            listen: self.pg.setting("listen_addresses"),
            rules,
            around,
            agent,
            others,
            streaming,
            missing_slots: slots.iter().filter(|s| !primary.slots.contains(s)).cloned().collect(),
        };
        let programs = self.without_programs();
        let worst = programs.clone().or_else(|| kept_out(&facts).into_iter().next());
        self.cache.kept_out = worst.unwrap_or_default();
        let mut words: Vec<String> = programs.into_iter().chain(obstacles(&facts)).collect();
        if let Known::Known(logical) = self.pg.logical_slots(primary.version) {
            words.extend(lost_at_failover(&logical, &slots));
        }
        words.extend(self.pg.history_warnings(true));
        self.note_warnings(AS_PRIMARY, words);
    }

    /// A standby tries its primary's port while all is well: the connection that it has may be older
    /// than a change of the network. `upstream`: what the same monitor was answered there.
    pub fn warn_as_standby(&mut self, upstream: &Upstream, standby: &StandbyFacts) {
        let (node, silent) = match upstream {
            Upstream::Live(live) => (live.node.clone(), None),
            Upstream::Silent(node, why) => (node.clone(), Some(why.clone())),
            Upstream::Nobody | Upstream::Disowned(..) | Upstream::Unknown(_) => return,
        };
        if silent.is_none() && !self.warnings_are_due(AS_STANDBY, node.as_str()) {
            return;
        }
        let quiet = silent.is_none();
        let mut words = if let Some(why) = silent {
            let address = self.address(&node);
            let but = if standby.streams() { " (it still streams)" } else { "" };
            vec![format!(
                "the primary {node} is not reached at {address} port {}{but}: {why}; {USUAL_CAUSES}",
                self.params.pgport
            )]
        } else {
            let limit = self.deadline.bounded(Duration::from_secs(3));
            let programs = self.without_programs();
            self.cache.kept_out = programs.clone().unwrap_or_default();
            match self.pg.failover_slots(&self.peer(&node), standby.version, limit) {
                _ if programs.is_some() => programs.into_iter().collect(),
                Ok(slots) => {
                    let conninfo = Conninfo::parse(&standby.conninfo).unwrap_or_default();
                    let lost = not_synchronized(&slots, |name| self.pg.setting(name), &conninfo);
                    lost.into_iter().collect()
                }
                Err(refused @ PeerAnswer::AuthFailed(_)) => {
                    self.cache.kept_out = format!(
                        "the primary {node} lets no pg_rewind from here in (database postgres): \
                         {refused}"
                    );
                    vec![self.cache.kept_out.clone()]
                }
                Err(_) => Vec::new(),
            }
        };
        if quiet {
            words.extend(self.pg.history_warnings(false));
        }
        self.note_warnings(AS_STANDBY, words);
    }

    /// Why this instance would not be promoted, or started again: its programs are not where pg_bindir says,
    /// or not those of its data.
    fn without_programs(&self) -> Option<String> {
        let why = self.pg.check_programs().err()?;
        // The reason comes first: Pacemaker shows 128 bytes.
        Some(format!("{why}; it runs, and can be neither promoted nor started again"))
    }

    /// A member with what its address means.
    fn member(&self, node: &NodeName, limit: &Deadline) -> Member {
        pghba::member(self.exec, &self.params, node, limit)
    }

    fn warnings_are_due(&mut self, kind: &str, of: &str) -> bool {
        let now = super::uptime();
        let troubled = self.cache.warnings.get(kind).is_some_and(|words| !words.is_empty());
        let wait = if troubled { SOON } else { EVERY };
        let same = self.cache.warned_of == of;
        if same && now.saturating_sub(self.cache.warned) < wait {
            return false;
        }
        (self.cache.warned_of, self.cache.warned) = (of.to_owned(), now);
        true
    }

    /// Says what is new, and what is over.
    fn note_warnings(&mut self, kind: &str, words: Vec<String>) {
        let before = self.cache.warnings.remove(kind).unwrap_or_default();
        for line in words.iter().filter(|line| !before.contains(line)) {
            warn!("{line}");
        }
        for line in before.iter().filter(|line| !words.contains(line)) {
            info!("not any more: {line}");
        }
        // Those of another role are past.
        self.cache.warnings.clear();
        if !words.is_empty() {
            self.cache.warnings.insert(kind.to_owned(), words);
        }
    }
}
