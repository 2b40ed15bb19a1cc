//! PostgreSQL's settings on this node. Floor 1.

use super::{Facts, Member, Said, Server, or_ok};
use crate::cluster::known::Known;
use crate::decide::wanted;
use crate::ocf::params::RepMode;

impl Server {
    /// A setting's value, in its own unit.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|value| value.setting.as_str())
    }

    /// A setting that is on or off.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.text(name)? {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        }
    }

    /// A setting that is a number.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// A setting that PostgreSQL counts in blocks of 8 kB.
    pub(super) fn bytes(&self, name: &str) -> Option<u64> {
        u64::try_from(self.number(name)?).ok()?.checked_mul(8192)
    }
}

/// A statement for the server of a node.
pub(super) fn psql(facts: &Facts, sql: &str) -> String {
    let (user, port) = (&facts.params.pguser, facts.params.pgport);
    format!("runuser -u {user} -- psql -p {port} -c {}", wanted::shell_word(sql))
}

fn unread(name: &str) -> Said {
    Said::unknown(format!("{name} could not be read"))
}

/// Where to set it; what is read at start only takes one.
fn set(facts: &Facts, said: Said, line: &str, restart: bool) -> Said {
    if restart {
        said.fix(format!(
            "In postgresql.conf of every node: {line}; then restart the standbys, move, and restart the \
             last (crm node standby, and online again)."
        ))
    } else {
        said.fix(format!("In postgresql.conf of every node: {line}; then:"))
            .run(psql(facts, "SELECT pg_reload_conf()"))
    }
}

pub(super) fn wal_level(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    let line = wanted::server_line("wal_level");
    vec![match server.text("wal_level") {
        None => unread("wal_level"),
        Some(level @ ("replica" | "logical")) => Said::ok(format!("wal_level is {level}")),
        Some(level) => set(
            facts,
            Said::fail(format!("wal_level is {level}: no standby can stream")),
            &line,
            true,
        ),
    }]
}

pub(super) fn hot_standby(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    let line = wanted::server_line("hot_standby");
    vec![match server.flag("hot_standby") {
        None => unread("hot_standby"),
        Some(true) => Said::ok("hot_standby is on"),
        Some(false) => set(
            facts,
            Said::fail(
                "hot_standby is off: a standby answers nobody, and its position is not known",
            ),
            &line,
            true,
        ),
    }]
}

pub(super) fn rewind(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    let line = wanted::server_line("wal_log_hints");
    vec![match (server.flag("wal_log_hints"), server.flag("data_checksums")) {
        (Some(true), _) => Said::ok("wal_log_hints is on"),
        (_, Some(true)) => Said::ok("data checksums are on"),
        (Some(false), Some(false)) => set(
            facts,
            Said::warn(
                "wal_log_hints and data checksums are off: pg_rewind cannot be used, so an old primary \
                 comes back by a full copy",
            ),
            &line,
            true,
        ),
        (_, _) => unread("wal_log_hints"),
    }]
}

pub(super) fn durable(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    let mut said = Vec::new();
    for (name, means) in [
        ("fsync", "a crash of the machine loses commits, acknowledged ones too"),
        ("full_page_writes", "a crash of the machine can spoil data"),
    ] {
        match server.flag(name) {
            Some(true) => {}
            Some(false) => said.push(set(
                facts,
                Said::fail(format!("{name} is off: {means}")),
                &format!("{name} = on"),
                false,
            )),
            None => said.push(unread(name)),
        }
    }
    or_ok(said, "fsync and full_page_writes are on")
}

pub(super) fn commits(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    if facts.params.rep_mode == RepMode::Async {
        return vec![Said::ok("rep_mode=async: commits do not wait for a standby")];
    }
    let mut said = Vec::new();
    match server.text("synchronous_commit") {
        None => said.push(unread("synchronous_commit")),
        Some("on" | "remote_apply") => {}
        Some(other) => said.push(set(
            facts,
            Said::fail(format!(
                "synchronous_commit is {other}: commits are acknowledged before a standby has them, and \
                 a failover loses them"
            )),
            "synchronous_commit = on",
            false,
        )),
    }
    match &server.overrides {
        Known::Unknown(why) => said.push(Said::unknown(format!(
            "whether a role or database has its own synchronous_commit is not known: {why}"
        ))),
        Known::Known(words) => said.extend(words.iter().map(|words| {
            Said::warn(words.clone())
                .fix("If those commits matter:")
                .run(psql(facts, "ALTER ROLE ... RESET synchronous_commit"))
        })),
    }
    or_ok(said, "every commit waits for a standby")
}

pub(super) fn crashes(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    let line = wanted::server_line("restart_after_crash");
    vec![match server.flag("restart_after_crash") {
        None => unread("restart_after_crash"),
        Some(false) => Said::ok("restart_after_crash is off"),
        Some(true) => set(
            facts,
            Said::warn(
                "restart_after_crash is on: a server that crashed restarts itself, behind the cluster's \
                 back",
            ),
            &line,
            false,
        ),
    }]
}

/// Standbys need one sender each; a copy of one takes two more, while the old sender may linger.
pub(super) fn senders(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    let standbys = i64::try_from(facts.members.len().saturating_sub(1)).unwrap_or(i64::MAX);
    let wants = standbys.saturating_add(2);
    let line = format!("max_wal_senders = {}", wants.max(10));
    vec![match server.number("max_wal_senders") {
        None => unread("max_wal_senders"),
        Some(there) if there < standbys => set(
            facts,
            Said::fail(format!("max_wal_senders is {there}, and there are {standbys} standbys")),
            &line,
            true,
        ),
        Some(there) if there < wants => set(
            facts,
            Said::warn(format!(
                "max_wal_senders is {there}: with {standbys} standbys connected none is left for a copy, \
                 which takes two"
            )),
            &line,
            true,
        ),
        Some(there) => Said::ok(format!("max_wal_senders is {there}")),
    }]
}

pub(super) fn sender_timeout(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    const LONGEST_MS: i64 = 60_000;
    let line = wanted::server_line("wal_sender_timeout");
    vec![match server.number("wal_sender_timeout") {
        None => unread("wal_sender_timeout"),
        Some(0) => set(
            facts,
            Said::warn(
                "wal_sender_timeout is 0: a standby that vanished is waited for without end",
            ),
            &line,
            false,
        ),
        Some(there) if there > LONGEST_MS => set(
            facts,
            Said::warn(format!(
                "wal_sender_timeout is {} s: a standby that vanished holds up a planned move for so long",
                there / 1000
            )),
            &line,
            false,
        ),
        Some(there) => Said::ok(format!("wal_sender_timeout is {} s", there / 1000)),
    }]
}

pub(super) fn archive(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    let Some(mode) = server.text("archive_mode") else { return vec![unread("archive_mode")] };
    if mode == "off" {
        return vec![Said::ok("no WAL is archived")];
    }
    let empty = |name: &str| server.text(name).is_none_or(|text| text.trim().is_empty());
    if empty("archive_command") && empty("archive_library") {
        return vec![set(
            facts,
            Said::fail(format!(
                "archive_mode is {mode}, and nothing archives: WAL piles up until the disk is full"
            )),
            "archive_command = '...', or archive_mode = off, which takes a restart",
            false,
        )];
    }
    if let Some(words) = &server.archiver_fails {
        return vec![
            Said::fail(format!(
                "WAL is not archived ({words}): it piles up until the disk is full"
            ))
            .fix("See PostgreSQL's log for what archive_command said, then:")
            .run(psql(facts, "SELECT * FROM pg_stat_archiver")),
        ];
    }
    vec![Said::ok(format!("archive_mode is {mode}, and archiving works as far as is known"))]
}

pub(super) fn own_settings(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    let mut said = Vec::new();
    for name in wanted::OWN_SETTINGS {
        let Some(value) = server.settings.get(*name) else { continue };
        let from_elsewhere = match value.source.as_str() {
            "default" => continue,
            // Nothing comes back.
            _ if value.setting.is_empty() => continue,
            "configuration file" => value
                .file
                .as_ref()
                .filter(|file| !file.ends_with("/postgresql.auto.conf"))
                .map(|file| format!("in {file}")),
            "command line" => Some("on the command line (start_opts)".to_owned()),
            "override" => None,
            other => Some(format!("by {other}")),
        };
        if let Some(place) = from_elsewhere {
            // A value in the other file wins where postgresql.auto.conf has none.
            said.push(
                Said::warn(format!(
                    "{name} is set {place}: pgtwin sets it in postgresql.auto.conf, and takes it away \
                     there when nothing is to count"
                ))
                .fix(format!("Remove {name} there, on every node, and reload:"))
                .run(psql(facts, "SELECT pg_reload_conf()")),
            );
        }
    }
    or_ok(said, "what pgtwin sets is set nowhere else")
}

pub(super) fn recovery_target(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    let names = [
        "recovery_target",
        "recovery_target_lsn",
        "recovery_target_name",
        "recovery_target_time",
        "recovery_target_xid",
    ];
    let mut said = Vec::new();
    for name in names {
        if let Some(value) = server.text(name).filter(|value| !value.is_empty()) {
            said.push(
                Said::fail(format!(
                    "{name} is '{value}', left over from a restore: a standby stops replaying there, and \
                     has less than it was sent"
                ))
                .fix("Take it away on every node, then restart the standbys:")
                .run(psql(facts, &format!("ALTER SYSTEM RESET {name}"))),
            );
        }
    }
    if let Some(value) = server.text("recovery_target_timeline").filter(|value| *value != "latest")
    {
        said.push(
            Said::fail(format!(
                "recovery_target_timeline is '{value}': a standby does not follow a new primary"
            ))
            .fix("Take it away on every node, then restart the standbys:")
            .run(psql(facts, "ALTER SYSTEM RESET recovery_target_timeline")),
        );
    }
    or_ok(said, "no recovery target is set")
}

pub(super) fn files(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    let mut said = Vec::new();
    for line in &server.bad_lines {
        let name = line.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
        let words = format!("{}{name}: {}", line.place, line.error);
        let pending = line
            .name
            .as_ref()
            .and_then(|name| server.settings.get(name))
            .is_some_and(|value| value.pending);
        if line.at_start && pending {
            continue;
        }
        said.push(if line.at_start {
            Said::warn(words)
                .fix("If the value is right, it waits for a restart: make a planned move.")
        } else {
            Said::fail(format!("{words}: PostgreSQL does not start with it"))
                .fix("Correct the line, and look again:")
                .run(psql(facts, "SELECT * FROM pg_file_settings WHERE error IS NOT NULL"))
        });
    }
    let waiting: std::collections::BTreeSet<&str> = server
        .settings
        .iter()
        .filter(|(_, value)| value.pending)
        .map(|(name, _)| name.as_str())
        .collect();
    if !waiting.is_empty() {
        let names = waiting.into_iter().collect::<Vec<_>>().join(", ");
        said.push(
            Said::warn(format!("a restart is waited for by {names}: until then it is as it was"))
                .fix("Restart the standbys one by one, then make a planned move and restart the last."),
        );
    }
    or_ok(said, "the configuration files are in force")
}

pub(super) fn wraparound(facts: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    const WARN: u64 = 1_000_000_000;
    const FAIL: u64 = 1_900_000_000;
    let age = server.oldest_xid;
    if age < WARN {
        return vec![Said::ok(format!("the oldest transaction is {age} transactions old"))];
    }
    let verdict = if age < FAIL { Said::warn } else { Said::fail };
    vec![
        verdict(format!(
            "the oldest transaction that is not frozen is {age} transactions old: at 2.1 billion \
             PostgreSQL takes no writes any more"
        ))
        .fix("Find what holds vacuum back (old transactions, slots, prepared transactions), then:")
        .run(format!(
            "runuser -u {} -- vacuumdb --port {} --all --freeze --jobs=2",
            facts.params.pguser, facts.params.pgport
        )),
    ]
}
