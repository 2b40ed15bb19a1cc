//! Versions that are too old, that lose data, or that differ between nodes. Floor 1.

use std::collections::BTreeSet;

use super::{Facts, Here, Login, Member, Said, Server, or_ok};
use crate::cluster::known::Known;
use crate::cluster::utc::Utc;
use crate::postgres::version::{SUPPORTED, Version};

/// The oldest Pacemaker that pgtwin is tested with.
const OLDEST_PACEMAKER: [u32; 3] = [2, 1, 5];

/// The last day on which a major version of PostgreSQL is corrected, as its project announces it.
const LAST_DAYS: &[(u32, [i64; 3])] = &[
    (13, [2025, 11, 13]),
    (14, [2026, 11, 12]),
    (15, [2027, 11, 11]),
    (16, [2028, 11, 9]),
    (17, [2029, 11, 8]),
    (18, [2030, 11, 14]),
];

/// The numbers that a version begins with, as in `2.1.5-a3f44794f94`.
fn numbers(text: &str) -> Option<[u32; 3]> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let mut parts = text.get(..end)?.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?])
}

pub(super) fn pacemaker(facts: &Facts) -> Vec<Said> {
    if matches!(facts.here, Here::File) && !facts.cib.options.contains_key("dc-version") {
        // No cluster has had it yet.
        return Vec::new();
    }
    let mut said = Vec::new();
    let update = "Update one node after the other, each in standby: crm_standby --node NODE -v on.";
    match facts.cib.option("dc-version", "") {
        Known::Known(text) => match numbers(&text) {
            Some(version) if version < OLDEST_PACEMAKER => said.push(
                Said::warn(format!(
                    "Pacemaker {text} is older than 2.1.5, with which pgtwin is tested"
                ))
                .fix(update),
            ),
            Some(_) => {}
            None => said.push(
                Said::unknown(format!(
                    "the version of Pacemaker is not known (dc-version {text:?})"
                ))
                .fix("Ask:")
                .run("crmadmin --version"),
            ),
        },
        Known::Unknown(why) => said.push(Said::unknown(why).fix("Ask:").run("crmadmin --version")),
    }
    if let Known::Known(status) = &facts.status {
        let sets: BTreeSet<&str> =
            status.nodes.iter().filter_map(|node| node.feature_set.as_deref()).collect();
        if sets.len() > 1 {
            let all: Vec<&str> = sets.into_iter().collect();
            said.push(
                Said::warn(format!(
                    "the nodes run different versions of Pacemaker (feature sets {}): one that leaves \
                     may not be let in again",
                    all.join(", ")
                ))
                .fix(format!("Finish the update. {update}")),
            );
        }
    }
    or_ok(said, "Pacemaker is of a version that pgtwin is tested with, the same on all nodes")
}

/// What is known to lose or spoil data in a version.
fn defects(version: Version) -> Vec<String> {
    let mut found = Vec::new();
    if version.has_sync_start_bug() {
        found.push(format!(
            "PostgreSQL {version} skips the wait for a standby just after its start: a failover can lose \
             acknowledged commits"
        ));
    }
    if version.major == 14 && version.minor < 4 {
        found.push(format!(
            "PostgreSQL {version} makes indexes CONCURRENTLY that can miss rows: rebuild those after \
             the update"
        ));
    }
    found
}

pub(super) fn defective(_: &Facts, member: &Member, server: &Server) -> Vec<Said> {
    let update = |said: Said| {
        said.fix("Update to the newest minor version: standbys first, then a planned move, then the rest.")
    };
    let mut said: Vec<Said> =
        defects(server.version).into_iter().map(|words| update(Said::fail(words))).collect();
    for (node, peer) in &member.peers {
        let Login::In(remote) = &peer.postgres else { continue };
        said.extend(
            defects(remote.version)
                .into_iter()
                .map(|words| update(Said::fail(format!("{node}: {words}")))),
        );
    }
    or_ok(said, format!("PostgreSQL {} has no known defect that loses data", server.version))
}

pub(super) fn supported(facts: &Facts, member: &Member, server: &Server) -> Vec<Said> {
    let version = server.version;
    let mut said = Vec::new();
    if !version.is_supported() {
        said.push(
            Said::warn(format!(
                "pgtwin is made for PostgreSQL {} to {}, and this is {version}",
                SUPPORTED.start(),
                SUPPORTED.end()
            ))
            .fix("Look for a newer pgtwin, or an older PostgreSQL."),
        );
    }
    if let Some((_, [year, month, day])) =
        LAST_DAYS.iter().find(|(major, _)| *major == version.major)
        && facts.now / 86_400 > Utc::days(*year, *month, *day)
    {
        said.push(
            Said::warn(format!(
                "PostgreSQL {} is not corrected any more since {year}-{month:02}-{day:02}",
                version.major
            ))
            .fix("Plan the upgrade to a newer major version."),
        );
    }
    for (node, peer) in &member.peers {
        if let Login::In(remote) = &peer.postgres
            && remote.version != version
        {
            let same_major = remote.version.major == version.major;
            let verdict = if same_major { Said::warn } else { Said::fail };
            said.push(
                verdict(format!("PostgreSQL is {} on {node} and {version} here", remote.version))
                    .fix("Bring both to the newer one, the standby first."),
            );
        }
    }
    or_ok(
        said,
        format!("PostgreSQL {version} is supported, and the same on all members that answer"),
    )
}
