//! What a cluster around the resource should look like, in one place: `doctor` compares with it, and
//! `setup` prints it. Floor 1.

use crate::ocf::action::{Role, Suggestion};

/// A shell for Pacemaker's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// `crm`, as on openSUSE.
    Crmsh,
    /// `pcs`, as on Red Hat's systems.
    Pcs,
}

/// What the clone has to be told.
pub const CLONE_META: &[(&str, &str)] = &[
    ("promotable", "true"),
    ("notify", "true"),
    ("interleave", "true"),
    ("clone-node-max", "1"),
    ("promoted-max", "1"),
];

/// An action of the primary's address that comes after one of the clone's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// The clone's action.
    pub first: &'static str,
    /// The address's action.
    pub then: &'static str,
    /// `Mandatory` or `Optional`.
    pub kind: &'static str,
}

/// Each order holds one way only (`symmetrical=false`): an address that goes before the demotion takes from
/// PostgreSQL the way to tell its clients that their sessions end, and they wait for an answer until their
/// own limits. The second must not be mandatory: when a demotion is past and the clone has stopped before
/// the address went (the transition was begun anew), a mandatory order waits for a demotion that cannot
/// come, the address stays "blocked", and Pacemaker does not end on that node.
pub const ADDRESS_AFTER: &[After; 2] = &[
    After { first: "promote", then: "start", kind: "Mandatory" },
    After { first: "demote", then: "stop", kind: "Optional" },
];

/// What the primitive should be told.
pub const RESOURCE_META: &[(&str, &str)] =
    &[("migration-threshold", "5"), ("failure-timeout", "60s"), ("priority", PRIORITY)];

/// The database's priority: with it a node that runs the primary may shoot first.
pub const PRIORITY: &str = "10";

/// With two nodes: how long the node without the primary waits before it shoots. A few seconds more
/// than any delay of the devices themselves.
pub const PRIORITY_FENCING_DELAY: &str = "15s";

/// The role by which members log in at each other.
pub const REPLICATION_ROLE: &str = "replicator";

/// Keeps resources where they are.
pub const STICKINESS: &str = "100";

/// Options of the cluster that Pacemaker has by itself, and that should not be otherwise.
pub const PROPERTIES: &[(&str, &str)] =
    &[("stonith-enabled", "true"), ("no-quorum-policy", "stop")];

/// A setting of PostgreSQL's, for every node's postgresql.conf.
#[derive(Debug)]
pub struct ServerSetting {
    /// Its name.
    pub name: &'static str,
    /// What it should be, as it stands in the file.
    pub value: &'static str,
    /// Why, in a few words.
    pub why: &'static str,
}

/// What has to stand in postgresql.conf where PostgreSQL's defaults do not do.
pub const SERVER: &[ServerSetting] = &[
    setting("listen_addresses", "'*'", "standbys and clients have to reach it"),
    setting("wal_level", "replica", "the least that replication needs"),
    setting("max_wal_senders", "10", "one a standby, two more for a copy"),
    setting("max_replication_slots", "10", "one a standby"),
    setting("wal_log_hints", "on", "pg_rewind needs it, or data checksums"),
    setting("hot_standby", "on", "a standby has to answer"),
    setting("restart_after_crash", "off", "a crash is Pacemaker's business"),
    setting("wal_sender_timeout", "10s", "how long a dead standby may delay a planned move"),
];

const fn setting(name: &'static str, value: &'static str, why: &'static str) -> ServerSetting {
    ServerSetting { name, value, why }
}

/// What [`SERVER`] has for this setting, as a line of postgresql.conf.
pub fn server_line(name: &str) -> String {
    SERVER
        .iter()
        .find(|setting| setting.name == name)
        .map_or_else(|| name.to_owned(), |setting| format!("{name} = {}", setting.value))
}

/// Settings that pgtwin writes into postgresql.auto.conf, and nobody else into any other file.
pub const OWN_SETTINGS: &[&str] =
    &["synchronous_standby_names", "primary_conninfo", "primary_slot_name"];

/// The command that sets a cluster option.
pub fn property(name: &str, value: &str) -> String {
    format!("crm_attribute --type crm_config --name {name} --update {value}")
}

/// The command that sets a meta attribute of a clone, or of a primitive.
pub fn resource_meta(resource: &str, name: &str, value: &str) -> String {
    format!(
        "crm_resource --resource {resource} --meta --set-parameter {name} --parameter-value {value}"
    )
}

/// The command that deletes a constraint; `kind` as `rsc_location`.
pub fn delete_constraint(kind: &str, id: &str) -> String {
    format!("cibadmin --delete --xml-text {}", shell_word(&format!("<{kind} id=\"{id}\"/>")))
}

/// An operation in the words that both shells share: `monitor timeout=60s interval=3s role=Promoted`.
pub fn operation(one: &Suggestion) -> String {
    let interval = one.interval_s.unwrap_or(0);
    let role = one.role.map(|role| format!(" role={}", role.name())).unwrap_or_default();
    // What a failed monitor of a primary needs is a standby there and another primary, and no stop between.
    let on_fail = if one.role == Some(Role::Promoted) { " on-fail=demote" } else { "" };
    format!("{} timeout={}s interval={interval}s{role}{on_fail}", one.action, one.timeout_s)
}

/// A text as one word of a shell.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    if text.contains('\'') && !text.contains(['"', '\\', '$', '`', '!']) {
        return format!("\"{text}\"");
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A command on lines that a shell reads as one: broken at blanks outside of quotes. What cannot be
/// broken is longer.
pub fn command_lines(command: &str, width: usize) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (None, ' ') => {
                words.push(String::new());
                continue;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    let mut lines: Vec<String> = Vec::new();
    let mut now = String::new();
    for word in words {
        let full = now.chars().count() + 1 + word.chars().count() + 2 > width;
        if now.trim().is_empty() {
            now.push_str(&word);
        } else if full {
            lines.push(format!("{now} \\"));
            now = format!("  {word}");
        } else {
            now.push(' ');
            now.push_str(&word);
        }
    }
    lines.push(now);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_shell_is_one_whatever_is_in_it() {
        for (text, expected) in [
            ("/var/lib/x-1.y", "/var/lib/x-1.y"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "\"it's\""),
            ("$(reboot)", "'$(reboot)'"),
            ("it's $(reboot)", "'it'\\''s $(reboot)'"),
            ("ALTER ROLE \"a b\" X", "'ALTER ROLE \"a b\" X'"),
        ] {
            assert_eq!(shell_word(text), expected, "{text}");
        }
    }

    #[test]
    fn an_operation_is_written_as_both_shells_take_it() {
        let all: Vec<String> =
            crate::ocf::action::SUGGESTIONS.iter().map(operation).take(6).collect();
        assert_eq!(all.first().map(String::as_str), Some("start timeout=120s interval=0s"));
        assert!(
            all.contains(
                &"monitor timeout=60s interval=3s role=Promoted on-fail=demote".to_owned()
            ),
            "{all:?}"
        );
        assert_eq!(server_line("hot_standby"), "hot_standby = on");
    }

    #[test]
    fn a_long_command_stays_one_for_a_shell() {
        assert_eq!(command_lines("a b", 20), ["a b"]);
        assert_eq!(
            command_lines("one 'two three' four", 12),
            ["one \\", "  'two three' \\", "  four"]
        );
        let long = "psql -c 'SELECT a very long statement that no line holds'";
        assert_eq!(command_lines(long, 20).len(), 2);
        let joined = |lines: Vec<String>| {
            lines.iter().map(|l| l.trim_end_matches('\\').trim()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(joined(command_lines(long, 20)), long);
    }
}
