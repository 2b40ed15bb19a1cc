//! Looking at the whole cluster for `pgtwin explain` and `pgtwin switchover`: what `survey` sees, and
//! what an election would be held on. It changes nothing. Floor 3.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use super::operate::Subject;
use super::survey;
use crate::client::ledger_file::OwnFile;
use crate::client::pacemaker::{Attribute, Question};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::explain::Facts;
use crate::decide::report;
use crate::postgres::history::History;
use crate::postgres::lsn::Timeline;
use crate::runtime::instance::Postgres;
use crate::sys::exec::System;

/// How long Pacemaker's tools may take.
const TOOL: Duration = Duration::from_secs(5);
/// How long a member may take to give the history of its timeline.
const HISTORY: Duration = Duration::from_secs(3);

/// Looks at everything.
pub fn outlook(subject: &Subject) -> Facts {
    let (seen, standby) = survey::closely(subject);
    let pacemaker = subject.pacemaker(&System);
    let all = [Attribute::Ack, Attribute::Position, Attribute::Shutdown];
    pacemaker.ask_together(&all.map(Question::All), TOOL);
    let said = |attribute| pacemaker.read_all(attribute, TOOL);
    let own = match subject.home().read() {
        OwnFile::Read(own) => Some(own),
        OwnFile::Missing | OwnFile::Unreadable(_) => None,
    };
    let newest = own.as_ref().and_then(|own| own.store.newest_done());
    Facts {
        lines: lines(subject, &seen),
        heard: newest.and_then(|entry| subject.home().cache().reached_by(entry.id)),
        own,
        standby,
        // As the agent reads them: one that is rubbish is none.
        acks: said(Attribute::Ack).map(|texts| {
            texts.into_iter().filter_map(|(node, text)| Some((node, text.parse().ok()?))).collect()
        }),
        published: said(Attribute::Position).map(each),
        shutdowns: said(Attribute::Shutdown).map(each),
        strict: subject.params.sync_strict,
        max_lag: subject.params.max_promotion_lag_bytes,
        force: subject.params.force_promotion,
        seen,
    }
}

fn each<T: FromStr<Err: std::fmt::Display>>(
    texts: BTreeMap<NodeName, String>,
) -> BTreeMap<NodeName, Known<T>> {
    texts.into_iter().map(|(node, text)| (node, Known::from(text.parse::<T>()))).collect()
}

/// The line of each timeline that somebody is on: of our own files, else of a member that is on it.
fn lines(subject: &Subject, seen: &report::Facts) -> BTreeMap<Timeline, Known<History>> {
    let on = seen.servers.iter().filter_map(|(node, server)| Some((node, server.position()?.0)));
    let on: Vec<(&NodeName, Timeline)> = on.collect();
    let timelines: BTreeSet<Timeline> = on.iter().map(|(_, timeline)| *timeline).collect();
    let system = System;
    let pg = match subject.postgres(&system) {
        Ok(pg) => pg,
        Err(why) => {
            let unknown = |timeline| (timeline, Known::unknown(why.clone()));
            return timelines.into_iter().map(unknown).collect();
        }
    };
    let line = |timeline: Timeline| {
        let mine = seen.members.contains(&seen.me).then(|| pg.history_of(timeline));
        if let Some(line @ Known::Known(_)) = mine {
            return line;
        }
        let others = on.iter().filter(|(node, its)| **node != seen.me && *its == timeline);
        ask(subject, &pg, timeline, others.map(|(node, _)| *node))
    };
    timelines.into_iter().map(|timeline| (timeline, line(timeline))).collect()
}

fn ask<'n>(
    subject: &Subject,
    pg: &Postgres<'_>,
    timeline: Timeline,
    nodes: impl Iterator<Item = &'n NodeName>,
) -> Known<History> {
    let mut line = Known::unknown(format!("nobody gave the history of timeline {timeline}"));
    for node in nodes {
        line = pg.peer_history(&subject.peer(node, pg), timeline, HISTORY);
        if line.is_known() {
            break;
        }
    }
    line
}
