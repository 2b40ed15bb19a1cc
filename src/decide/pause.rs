//! Whether the resource can be paused, or a pause ended, and what an operator should know before.
//! Floor 1.

use serde::Serialize;

use crate::cluster::cib::{Setting, truth};
use crate::cluster::known::Known;
use crate::cluster::paused::{NAME, Paused};
use crate::cluster::topology::Role;
use crate::decide::report::json::VERSION;
use crate::decide::report::{Facts, Server, span};

/// So many actions of Pacemaker's are named.
const SHOWN: usize = 8;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It is so already.
    Nothing(String),
    /// It cannot be done; why.
    Refused(String),
    /// It can.
    Possible {
        /// What Pacemaker's tool names.
        clone: String,
        /// What an operator should know.
        remarks: Vec<String>,
        /// What follows may interrupt the service, or end its protection: somebody is asked.
        asks: bool,
    },
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was so already.
    Nothing,
    /// It cannot be done.
    Refused,
    /// Pacemaker did not take it.
    Failed,
}

impl Outcome {
    /// Whether it is now as it was wanted.
    pub fn is_well(self) -> bool {
        matches!(self, Self::Done | Self::Nothing)
    }
}

/// What `pgtwin pause --json` and `pgtwin resume --json` print: documented in docs/json.md.
#[derive(Debug, Serialize)]
pub struct Told {
    version: u32,
    command: &'static str,
    resource: String,
    outcome: Outcome,
    reason: Option<String>,
    remarks: Vec<String>,
}

impl Told {
    /// So it ended, for this reason.
    pub fn new(
        command: &'static str,
        resource: String,
        outcome: Outcome,
        reason: Option<String>,
        remarks: Vec<String>,
    ) -> Self {
        Self { version: VERSION, command, resource, outcome, reason, remarks }
    }
}

/// The pause that an operator has noted; none: there is none. Unknown: it cannot be read.
pub fn noted(facts: &Facts) -> Option<Known<Paused>> {
    let text = facts.cib.own_entries(&facts.resource).remove(NAME)?;
    Some(Known::from(text.parse::<Paused>()))
}

/// A pause in words: since when, and who.
pub fn words(facts: &Facts, paused: &Known<Paused>) -> String {
    match paused {
        Known::Known(Paused { since, by }) => {
            format!("paused for {} ({by})", span(facts.recovery.now.saturating_sub(*since)))
        }
        Known::Unknown(why) => format!("paused, since ? ({why})"),
    }
}

/// Whether the configuration says that Pacemaker shall not manage it.
fn is_unmanaged(facts: &Facts) -> bool {
    let Some(primitive) = facts.cib.primitive(&facts.resource) else { return false };
    let clone = primitive.clone.as_ref().and_then(|clone| clone.meta.get("is-managed"));
    let is_off =
        |setting: &Setting| matches!(setting, Setting::Set(text) if truth(text) == Some(false));
    [primitive.meta.get("is-managed"), clone].into_iter().flatten().any(is_off)
}

fn clone_of(facts: &Facts) -> Result<String, Ruling> {
    let clone = facts.cib.primitive(&facts.resource).and_then(|one| one.clone.as_ref());
    clone.map(|clone| clone.id.clone()).ok_or_else(|| {
        Ruling::Refused(format!("{} is in no clone: it has to be a promotable one", facts.resource))
    })
}

fn word(role: &Role) -> &str {
    match role {
        Role::Promoted => "promoted",
        Role::Unpromoted => "a standby",
        Role::Started => "started",
        Role::Stopped => "stopped",
        Role::Other(other) => other,
    }
}

/// May it be paused?
#[must_use]
pub fn judge_pause(facts: &Facts) -> Ruling {
    let clone = match clone_of(facts) {
        Ok(clone) => clone,
        Err(refused) => return refused,
    };
    if is_unmanaged(facts) {
        return match noted(facts) {
            Some(paused) => {
                Ruling::Nothing(format!("{} is {}", facts.resource, words(facts, &paused)))
            }
            None => Ruling::Refused(format!(
                "somebody has set is-managed=false on {} by hand: pgtwin resume removes it",
                facts.resource
            )),
        };
    }
    let mut remarks = Vec::new();
    if facts.status.options.maintenance_mode {
        remarks.push(
            "the cluster is in maintenance mode: that goes on whatever is paused here".to_owned(),
        );
    }
    if facts.primary().is_none() {
        remarks.push("there is no primary, and nobody is promoted while it is paused".to_owned());
    }
    Ruling::Possible { clone, remarks, asks: true }
}

/// May the pause be ended, and what would Pacemaker do then? `at_once`: what its scheduler says. It knows
/// what monitors have told it; what has happened since is seen by asking PostgreSQL.
#[must_use]
pub fn judge_resume(facts: &Facts, at_once: &Known<Vec<String>>) -> Ruling {
    let clone = match clone_of(facts) {
        Ok(clone) => clone,
        Err(refused) => return refused,
    };
    if !is_unmanaged(facts) && noted(facts).is_none() {
        return Ruling::Nothing(format!("{} is not paused", facts.resource));
    }
    let mut remarks = Vec::new();
    for node in &facts.members {
        let (role, server) = (facts.role(node), facts.servers.get(node));
        match (role, server) {
            (Some(Role::Promoted), Some(Server::Standby(..))) => remarks.push(format!(
                "{node} is promoted for Pacemaker, and its PostgreSQL is a standby: it is demoted or \
                 restarted"
            )),
            (Some(Role::Promoted), Some(Server::Absent(_))) => remarks.push(format!(
                "{node} is promoted for Pacemaker, and its PostgreSQL does not run: that is a failure of \
                 the primary"
            )),
            (Some(Role::Unpromoted), Some(Server::Primary(..))) => remarks.push(format!(
                "{node} is a standby for Pacemaker, and its PostgreSQL accepts writes: it is restarted"
            )),
            // A monitor has told Pacemaker that it stopped, or not yet.
            (None | Some(Role::Stopped | Role::Unpromoted), Some(Server::Absent(_)))
                if facts.may_run_on(node) =>
            {
                remarks.push(format!("PostgreSQL does not run on {node}: it is started"));
            }
            (Some(Role::Promoted), Some(Server::Primary(..)))
            | (Some(Role::Unpromoted), Some(Server::Standby(..)))
            // What Pacemaker does not run is left to its scheduler.
            | (None | Some(Role::Stopped), _) => {}
            (Some(role), Some(server)) => remarks.push(format!(
                "to Pacemaker {node} is {}, and its PostgreSQL says: {server}",
                word(role)
            )),
            (Some(role), None) => remarks.push(format!(
                "to Pacemaker {node} is {}, and its PostgreSQL was not asked",
                word(role)
            )),
        }
    }
    match at_once {
        Known::Known(nothing) if nothing.is_empty() => {}
        Known::Known(actions) => {
            let (shown, more) = (actions.len().min(SHOWN), actions.len().saturating_sub(SHOWN));
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            let shown = actions.get(..shown).unwrap_or_default().join(", ");
            remarks.push(format!("Pacemaker will at once: {shown}{more}"));
        }
        Known::Unknown(why) => {
            remarks.push(format!("what Pacemaker will do at once is not known: {why}"));
        }
    }
    let asks = !remarks.is_empty();
    if facts.status.options.maintenance_mode {
        remarks.push("the cluster is in maintenance mode, and stays in it".to_owned());
    }
    Ruling::Possible { clone, remarks, asks }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::decide::report::report;
    use crate::decide::report::tests::{fits, healthy};
    use crate::decide::support::node;

    const NOW: i64 = 1_700_000_000;

    fn set_managed(facts: &mut Facts, value: Option<&str>) {
        let at = facts.cib.primitives.iter().position(|one| one.id == "db").unwrap();
        let meta = &mut facts.cib.primitives[at].clone.as_mut().unwrap().meta;
        meta.remove("is-managed");
        if let Some(value) = value {
            meta.insert("is-managed".into(), Setting::Set(value.into()));
        }
        for instance in &mut facts.status.instances {
            instance.managed = value.is_none();
        }
    }

    fn note(facts: &mut Facts, text: &str) {
        let entry = BTreeMap::from([("pgtwin-db-paused".to_owned(), text.to_owned())]);
        facts.cib.own_sets.insert("pgtwin-db".into(), entry);
    }

    fn nothing() -> Known<Vec<String>> {
        Known::Known(Vec::new())
    }

    /// Paused for 20 minutes.
    fn paused() -> Facts {
        let mut facts = healthy();
        set_managed(&mut facts, Some("false"));
        note(&mut facts, &Paused { since: NOW - 1200, by: "operator root".into() }.to_string());
        facts
    }

    #[test]
    fn a_pause_is_begun_once_and_ended_once() {
        let possible = |ruling: Ruling| match ruling {
            Ruling::Possible { clone, remarks, .. } => (clone, remarks),
            other => panic!("{other:?}"),
        };
        assert_eq!(possible(judge_pause(&healthy())), ("db-clone".to_owned(), Vec::new()));
        let already = Ruling::Nothing("db is paused for 20 min (operator root)".into());
        assert_eq!(judge_pause(&paused()), already);
        assert_eq!(
            possible(judge_resume(&paused(), &nothing())),
            ("db-clone".to_owned(), Vec::new())
        );
        assert_eq!(
            judge_resume(&healthy(), &nothing()),
            Ruling::Nothing("db is not paused".into())
        );
        // What was set by hand is said, and can be ended.
        let mut facts = healthy();
        set_managed(&mut facts, Some("no"));
        assert!(matches!(judge_pause(&facts), Ruling::Refused(why) if why.contains("by hand")));
        assert_eq!(possible(judge_resume(&facts, &nothing())).1, Vec::<String>::new());
        // A note that was left behind can be removed.
        let mut facts = paused();
        set_managed(&mut facts, None);
        assert_eq!(possible(judge_resume(&facts, &nothing())).1, Vec::<String>::new());
    }

    #[test]
    fn what_pacemaker_would_put_right_is_said_before() {
        let mut facts = paused();
        facts.servers.insert(node("n1"), Server::Absent("it does not run".into()));
        facts.servers.insert(node("n2"), Server::Absent("it does not run".into()));
        facts.servers.insert(
            node("n3"),
            Server::Primary(crate::postgres::lsn::Timeline(4), crate::postgres::lsn::Lsn(9)),
        );
        let Ruling::Possible { remarks, .. } = judge_resume(&facts, &nothing()) else { panic!() };
        for (remark, words) in remarks.iter().zip([
            "n1 is promoted for Pacemaker, and its PostgreSQL does not run",
            "PostgreSQL does not run on n2: it is started",
            "n3 is a standby for Pacemaker, and its PostgreSQL accepts writes",
        ]) {
            assert!(remark.contains(words), "{remark}");
        }
        assert_eq!(remarks.len(), 3);
        // A monitor has found that it does not run.
        let at = facts.status.instances.iter().position(|one| one.nodes.contains(&node("n2")));
        facts.status.instances[at.unwrap()].active = false;
        let Ruling::Possible { remarks, .. } = judge_resume(&facts, &nothing()) else { panic!() };
        assert!(remarks.contains(&"PostgreSQL does not run on n2: it is started".to_owned()));
        // Nothing is started on a node that is to run nothing.
        facts.status.nodes.iter_mut().find(|one| one.name == node("n2")).unwrap().standby = true;
        let Ruling::Possible { remarks, .. } = judge_resume(&facts, &nothing()) else { panic!() };
        assert_eq!(remarks.len(), 2, "{remarks:?}");
    }

    #[test]
    fn nobody_is_asked_where_pacemaker_finds_all_as_it_should_be_and_whatever_is_unknown_asks() {
        let asks = |facts: &Facts, at_once: &Known<Vec<String>>| match judge_resume(facts, at_once)
        {
            Ruling::Possible { asks, remarks, .. } => (asks, remarks),
            other => panic!("{other:?}"),
        };
        assert_eq!(asks(&paused(), &nothing()), (false, Vec::new()));
        // Maintenance of the cluster has nothing done at all.
        let mut facts = paused();
        facts.status.options.maintenance_mode = true;
        assert!(!asks(&facts, &nothing()).0);
        let rows: &[(Server, &str)] = &[
            (
                Server::Silent("it hangs".into()),
                "to Pacemaker n1 is promoted, and its PostgreSQL says",
            ),
            (Server::Absent("it does not run".into()), "that is a failure of the primary"),
        ];
        for (server, words) in rows {
            let mut facts = paused();
            facts.servers.insert(node("n1"), server.clone());
            let (asks, remarks) = asks(&facts, &nothing());
            assert!(asks && remarks[0].contains(words), "{remarks:?}");
        }
        let mut facts = paused();
        facts.servers.remove(&node("n2"));
        assert!(asks(&facts, &nothing()).1[0].contains("its PostgreSQL was not asked"));
        let actions = Known::Known((0..10).map(|n| format!("demote db:{n} on n{n}")).collect());
        let (does_ask, remarks) = asks(&paused(), &actions);
        assert!(does_ask && remarks[0].contains("demote db:7 on n7, and 2 more"), "{remarks:?}");
        let (does_ask, remarks) = asks(&paused(), &Known::unknown("crm_simulate hung"));
        assert!(does_ask && remarks[0].contains("not known: crm_simulate hung"), "{remarks:?}");
    }

    #[test]
    fn programs_are_told_how_it_ended() {
        let told = |outcome, reason: Option<&str>| {
            let reason = reason.map(str::to_owned);
            let told = Told::new("pause", "db".into(), outcome, reason, vec!["mind".into()]);
            serde_json::to_string(&told).unwrap()
        };
        assert_eq!(
            told(Outcome::Done, None),
            r#"{"version":1,"command":"pause","resource":"db","outcome":"done","reason":null,"remarks":["mind"]}"#
        );
        assert!(
            told(Outcome::Refused, Some("no")).contains(r#""outcome":"refused","reason":"no""#)
        );
        let well = [Outcome::Done, Outcome::Nothing, Outcome::Refused, Outcome::Failed];
        assert_eq!(well.map(Outcome::is_well), [true, true, false, false]);
    }

    #[test]
    fn status_shows_since_when_and_who_and_what_was_left() {
        let text = report(&paused()).to_string();
        fits(&text);
        assert!(
            text.contains("Maintenance  YES: db is paused for 20 min (operator root)"),
            "{text}"
        );
        assert!(text.contains("- db is paused for 20 min (operator root): "), "{text}");
        assert!(text.contains("pgtwin resume"), "{text}");
        let mut facts = paused();
        note(&mut facts, "rubbish");
        assert!(report(&facts).to_string().contains("db is paused, since ?"));
        let mut facts = paused();
        set_managed(&mut facts, None);
        let report = report(&facts);
        assert!(report.warnings[0].contains("a note of a pause is left"), "{report}");
    }
}
