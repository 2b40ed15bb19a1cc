//! Whether the distribution starts this database at boot, without asking Pacemaker. Floor 2.
//!
//! A primary that crashed comes back writable that way, next to the one that has taken over.

use std::fs;
use std::path::{Path, PathBuf};

use crate::postgres::conf;
use crate::postgres::start_conf::starts_at_boot;
use crate::sys::files::{self, Seen};

/// No configuration file is larger.
const MAX_BYTES: u64 = 1024 * 1024;
/// More directories than that are nobody's configuration.
const MAX_ENTRIES: usize = 1000;

/// What starts the database in `pgdata` at boot, and how to switch that off: one line each. `root` is
/// `/` but for tests.
pub fn starters(root: &Path, pgdata: &Path, config_file: Option<&Path>) -> Vec<String> {
    let debian = root.join("etc/postgresql");
    if files::look_through(&debian) != Seen::Missing {
        return clusters(&debian, pgdata, config_file);
    }
    // Elsewhere one service runs the database of a fixed place, which is as a rule this one.
    units(&root.join("etc/systemd/system"))
}

fn clusters(debian: &Path, pgdata: &Path, config_file: Option<&Path>) -> Vec<String> {
    let mut found = Vec::new();
    for version in entries(debian) {
        for cluster in entries(&version) {
            let conf = cluster.join("postgresql.conf");
            let named = config_file == Some(conf.as_path()) || {
                files::read_untrusted(&conf, MAX_BYTES)
                    .ok()
                    .and_then(|text| conf::get(&text, "data_directory"))
                    .is_some_and(|dir| same(Path::new(&dir), pgdata))
            };
            let path = cluster.join("start.conf");
            let text = files::read_untrusted(&path, MAX_BYTES).ok();
            if named && starts_at_boot(text.as_deref()) {
                found.push(format!(
                    "Debian starts this database at boot, Pacemaker or not: echo disabled > {}",
                    path.display()
                ));
            }
        }
    }
    found
}

fn units(systemd: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for wants in entries(systemd) {
        if wants.extension().is_none_or(|end| end != "wants") {
            continue;
        }
        for unit in entries(&wants) {
            let Some(name) = unit.file_name().and_then(|name| name.to_str()) else { continue };
            if name.starts_with("postgresql") && name.ends_with(".service") {
                found.push(format!(
                    "the service {name} starts PostgreSQL at boot, Pacemaker or not: systemctl \
                     disable {name}"
                ));
            }
        }
    }
    found
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        entries.take(MAX_ENTRIES).filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Compared by name, for `named` is text of the PostgreSQL user: no path that it chose is looked at.
fn same(named: &Path, pgdata: &Path) -> bool {
    named == pgdata || fs::canonicalize(pgdata).is_ok_and(|real| real == named)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn debian_starts_the_database_whose_start_conf_says_auto() {
        let root = root(&[
            ("etc/postgresql/17/main/postgresql.conf", "data_directory = '/data/17'\n"),
            ("etc/postgresql/17/main/start.conf", "auto\n"),
            ("etc/postgresql/17/other/postgresql.conf", "data_directory = '/data/other'\n"),
            ("etc/postgresql/17/other/start.conf", "disabled\n"),
            ("etc/systemd/system/multi-user.target.wants/postgresql.service", ""),
        ]);
        let ask =
            |pgdata: &str, conf: Option<&Path>| starters(root.path(), Path::new(pgdata), conf);
        let found = ask("/data/17", None);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("/etc/postgresql/17/main/start.conf"), "{found:?}");
        assert!(ask("/data/other", None).is_empty(), "it is disabled");
        assert!(ask("/data/third", None).is_empty(), "no cluster of Debian's");
        let conf = root.path().join("etc/postgresql/17/main/postgresql.conf");
        assert_eq!(ask("/data/third", Some(&conf)).len(), 1, "named by its configuration");
    }

    #[test]
    fn elsewhere_an_enabled_service_starts_it() {
        let enabled = root(&[
            ("etc/systemd/system/multi-user.target.wants/postgresql-17.service", ""),
            ("etc/systemd/system/multi-user.target.wants/sshd.service", ""),
            ("etc/systemd/system/postgresql-16.service", ""),
        ]);
        let found = starters(enabled.path(), Path::new("/data"), None);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("systemctl disable postgresql-17.service"), "{found:?}");
        assert!(starters(root(&[]).path(), Path::new("/data"), None).is_empty());
    }
}
