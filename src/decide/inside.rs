//! What PostgreSQL's configuration names and a container would not see: files of TLS, directories, programs
//! of its commands. Floor 1.
//!
//! Inside, a path is there if it lies below what is mounted, or in the image. A relative one lies in the data
//! directory, which is mounted. What a shell makes of a command is not known here; its words that are paths
//! are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Settings that are one path.
const PATHS: [&str; 13] = [
    "data_directory",
    "config_file",
    "hba_file",
    "ident_file",
    "external_pid_file",
    "krb_server_keyfile",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_crl_dir",
    "ssl_crl_file",
    "ssl_dh_params_file",
    "ssl_key_file",
    "log_directory",
];
/// Of those, the ones that matter with `ssl=on` only.
const TLS: &str = "ssl_";
/// Settings that are commands, run by the server with a shell.
const COMMANDS: [&str; 5] = [
    "archive_command",
    "archive_cleanup_command",
    "recovery_end_command",
    "restore_command",
    "ssl_passphrase_command",
];
/// Libraries that the server loads at its start.
const LIBRARIES: [&str; 3] =
    ["shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"];

/// A path that a setting names and that is not mounted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unmounted {
    /// The setting.
    pub setting: String,
    /// The path.
    pub path: String,
}

/// The paths that are named and lie below none of `mounts`.
pub fn unmounted(settings: &BTreeMap<String, String>, mounts: &BTreeSet<String>) -> Vec<Unmounted> {
    let is = |name: &str| settings.get(name).map(|value| value.trim()).filter(|it| !it.is_empty());
    let tls = is("ssl") == Some("on");
    let logs = is("logging_collector") == Some("on");
    let mut found = BTreeSet::new();
    let mut add = |setting: &str, path: &str| {
        let below = |mount: &String| Path::new(path).starts_with(mount);
        if path.starts_with('/') && !mounts.iter().any(below) {
            found.insert(Unmounted { setting: setting.to_owned(), path: path.to_owned() });
        }
    };
    for name in PATHS {
        let matters = match name {
            "log_directory" => logs,
            _ if name.starts_with(TLS) => tls,
            _ => true,
        };
        if let Some(path) = is(name).filter(|_| matters) {
            add(name, path);
        }
    }
    for name in COMMANDS {
        for path in is(name).map(paths_of).unwrap_or_default() {
            add(name, &path);
        }
    }
    found.into_iter().collect()
}

/// The words of a command that are absolute paths.
fn paths_of(command: &str) -> Vec<String> {
    let between = |c: char| c.is_whitespace() || "'\"=;|&<>()`$".contains(c);
    let words = command.split(between).filter(|word| word.starts_with('/') && word.len() > 1);
    // %p and %f are files, which come and go: what holds them has to be there.
    let dir = |word: &str| match word.find('%') {
        Some(at) => {
            let before = word.get(..at).unwrap_or_default();
            before.rsplit_once('/').map_or("", |(dir, _)| dir).to_owned()
        }
        None => word.to_owned(),
    };
    let plain = ["/dev/null", "/bin/true", "/bin/false", "/bin/sh"];
    words
        .map(|word| dir(word.trim_end_matches(',')))
        .filter(|path| !path.is_empty() && !plain.contains(&path.as_str()))
        .collect()
}

/// The programs that commands name without a path: those of the image are run then.
pub fn programs(settings: &BTreeMap<String, String>) -> Vec<Unmounted> {
    let plain = ["cp", "test", "true", "false", ":", "exit", "cd", "["];
    let first = |name: &&str| {
        let command = settings.get(*name)?;
        let word = command.split_whitespace().next()?.trim_matches(['\'', '"']);
        // What the server shows of archive_command while archive_mode is off.
        if word == "(disabled)" {
            return None;
        }
        let named = !word.is_empty() && !word.contains('/') && !plain.contains(&word);
        named.then(|| Unmounted { setting: (*name).to_owned(), path: word.to_owned() })
    };
    COMMANDS.iter().filter_map(first).collect()
}

/// The libraries that the server loads at its start.
pub fn libraries(settings: &BTreeMap<String, String>) -> BTreeSet<String> {
    let lists = LIBRARIES.iter().filter_map(|name| settings.get(*name));
    lists
        .flat_map(|list| list.split(','))
        .map(|name| name.trim().trim_matches('"').to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    type Row = (&'static [(&'static str, &'static str)], &'static [&'static str]);

    #[test]
    fn what_is_named_and_not_mounted_is_found() {
        let mounts = ["/srv/pg/data", "/run/postgresql", "/etc/postgresql/17/main"]
            .map(str::to_owned)
            .into();
        let rows: &[Row] = &[
            (&[], &[]),
            (
                &[
                    ("data_directory", "/srv/pg/data"),
                    ("hba_file", "/etc/postgresql/17/main/pg_hba.conf"),
                ],
                &[],
            ),
            (
                &[("hba_file", "/etc/postgresql/17/other/pg_hba.conf")],
                &["hba_file /etc/postgresql/17/other/pg_hba.conf"],
            ),
            // A name that only begins alike.
            (&[("data_directory", "/srv/pg/data2")], &["data_directory /srv/pg/data2"]),
            (
                &[
                    ("ssl", "on"),
                    ("ssl_cert_file", "server.crt"),
                    ("ssl_key_file", "/etc/ssl/private/k.pem"),
                ],
                &["ssl_key_file /etc/ssl/private/k.pem"],
            ),
            (&[("ssl", "off"), ("ssl_key_file", "/etc/ssl/private/k.pem")], &[]),
            (
                &[("logging_collector", "on"), ("log_directory", "/var/log/pg")],
                &["log_directory /var/log/pg"],
            ),
            (&[("logging_collector", "off"), ("log_directory", "/var/log/pg")], &[]),
            (
                &[("archive_command", "test ! -f /srv/archive/%f && cp %p /srv/archive/%f")],
                &["archive_command /srv/archive"],
            ),
            (
                &[("archive_command", "/usr/local/bin/push '/srv/pg/data/pg_wal/%f' 2>/dev/null")],
                &["archive_command /usr/local/bin/push"],
            ),
            (
                &[(
                    "restore_command",
                    "pgbackrest --config=/etc/pgbackrest.conf archive-get %f %p",
                )],
                &["restore_command /etc/pgbackrest.conf"],
            ),
            (&[("archive_command", "/bin/true"), ("restore_command", "  ")], &[]),
        ];
        for (settings, expected) in rows {
            let found: Vec<String> = unmounted(&set(settings), &mounts)
                .into_iter()
                .map(|one| format!("{} {}", one.setting, one.path))
                .collect();
            assert_eq!(found, *expected, "{settings:?}");
        }
    }

    #[test]
    fn programs_without_a_path_are_those_of_the_image() {
        for (command, program) in [
            ("pgbackrest archive-push %p", Some("pgbackrest")),
            ("'wal-g' wal-push %p", Some("wal-g")),
            ("/usr/bin/barman x", None),
            ("cp %p /a/%f", None),
            ("test ! -f /a/%f && cp %p /a/%f", None),
            ("", None),
            ("(disabled)", None),
        ] {
            let found = programs(&set(&[("archive_command", command)]));
            assert_eq!(found.first().map(|one| one.path.as_str()), program, "{command}");
        }
    }

    #[test]
    fn libraries_are_the_elements_of_three_lists() {
        let settings = set(&[
            ("shared_preload_libraries", "pg_stat_statements, \"auto_explain\""),
            ("session_preload_libraries", ""),
            ("local_preload_libraries", "x"),
        ]);
        let found: Vec<String> = libraries(&settings).into_iter().collect();
        assert_eq!(found, ["auto_explain", "pg_stat_statements", "x"]);
    }
}
