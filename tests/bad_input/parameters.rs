//! Every parameter of the table, malformed in its own ways and in those that no parameter allows.

use std::ffi::OsString;

use pgtwin::ocf::params::TABLE;

use crate::rig::call::{Call, bytes, value};
use crate::rig::without_root;
use crate::{Codes, expect, rig};

/// Values that a parameter of this name refuses. One without a row here fails the test.
fn malformed(name: &str) -> &'static [&'static str] {
    match name {
        "pgdata" => &["data", "/", "/etc", "/srv/../etc", "/srv/a;b", "/srv/$(id)", "/proc/1/root"],
        "storage_root" => &["srv", "/etc", "/run/pg", "/srv/../etc", "/srv/a;b", "/tmp"],
        "pgdata_mount" => &["mnt", "/a/../b", "/somewhere/else"],
        "pgport" => &["0", "65536", "-1", "5432x", "0x10", "١", "18446744073709551616"],
        "pghost" => &["10.0.0.256", "a b;c", "10.0.0.1/24"],
        "pguser" => &["root", "0", "-x", "a b", "a;b"],
        "rep_mode" => &["synch", "0"],
        "node_list" => &["n1 n1", "n1 N1", "-n1", "n1,n2", "n1 $n2"],
        "vip" => &["10.0.0.256", "10.0.0.1/33", "name"],
        "pgpassfile" | "pg_bindir" | "config_file" => &["pass", "/a/../b", "/a\"b", "/a`b`"],
        "repuser" => &["-x", "a b", "a'b"],
        "node_addresses" => &["n1", "n1=", "n1=10.0.0.1 n1=10.0.0.2", "n1=10.0.0.1 n2=10.0.0.1"],
        "monitor_timeout_promoted" | "monitor_timeout_unpromoted" => &["0", "3601", "30ms", "1m"],
        "sync_strict"
        | "force_promotion"
        | "backup_before_basebackup"
        | "container_mode"
        | "container_selinux_relabel" => &["2", "perhaps", "tru"],
        "fencing" => &["optional"],
        "max_slot_wal_keep_size" => &["-1", "10GB", "2147483648"],
        "max_promotion_lag_bytes" => &["-2", "10MB", "1e6"],
        "replication_failure_threshold" => &["0", "10001", "five"],
        "basebackup_timeout" => &["0", "604801", "1h"],
        "slot_name" => &["Ha", "a-b", "a234567890123456789012345678901"],
        "application_name" => &["*", "pgtwin_x", "a\"b", "a,b"],
        "socket_dir" => &["run", "/a,b", "/run/../tmp"],
        "start_opts" => &["-c port=1", "-D /x", "'open", "-c work_mem", "word", "--x"],
        "pg_major_version" => &["12", "17.2", "new"],
        "container_name" => &["-x", "a b"],
        "container_runtime" => &["lxc", "podman docker"],
        "container_network" => &["none", "container:x", "a b"],
        "container_memory" => &["1", "0g", "-1g", "1 g"],
        "container_cpus" => &["0", "x", "1.555"],
        "container_shm_size" => &["64", "1t"],
        "container_options" => &["--privileged", "--pid=host", "x"],
        "container_image" => &["-x", "a b", "a;b"],
        "container_registry" => &["-x", "https://r.example", "r.example/pg"],
        "container_repository" => &["-x", "a b", "r.example/pg", "pg:17"],
        other => panic!("{other}: give it malformed values here"),
    }
}

/// Values that none accepts.
fn malformed_for_all() -> Vec<OsString> {
    vec![
        bytes(b"1\n2"),
        bytes(b"/srv/\x1b[2J"),
        bytes(b"/srv/\xff\xfe"),
        bytes(b"-c work_mem=\xff"),
        "7".repeat(5000).into(),
    ]
}

#[test]
fn a_malformed_parameter_is_named_with_its_value_and_remedy_and_changes_nothing() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-parameters");
    for spec in TABLE {
        let own = malformed(spec.name).iter().map(OsString::from);
        for (index, bad) in own.chain(malformed_for_all()).enumerate() {
            let what = format!("{}={:.60}", spec.name, bad.display());
            let variable = format!("OCF_RESKEY_{}", spec.name);
            let env = [(variable.as_str(), Some(bad.as_os_str()))];
            // Without it it is not known what would have to be looked at.
            let names_nothing = spec.name == "pgdata";
            let codes = Codes {
                start: 6,
                validate: 6,
                promote: 6,
                demote: 1,
                monitor: if names_nothing { 1 } else { 7 },
                hba: 6,
            };
            // All actions for the first of its values, those that go on for the others.
            let few = [Call::Start, Call::Stop, Call::Probe, Call::Promoted];
            let calls = if index == 0 { &Call::ALL[..] } else { &few[..] };
            let said = expect(&on, &what, calls, &env, codes).unwrap();
            let log = said.lines().find(|line| line.starts_with("pgtwin: ERROR: ")).unwrap();
            assert!(log.contains(&format!("{}=", spec.name)), "{what}: {log}");
            let (problem, remedy) = log.rsplit_once("; ").unwrap_or_else(|| panic!("{log}"));
            assert!(problem.len() > 20 && remedy.len() > 5, "{what}: {log}");
            match bad.to_str() {
                _ if spec.secret => assert!(log.contains("(not shown)"), "{what}: {log}"),
                Some(text) if text.len() < 60 && !text.contains(char::is_control) => {
                    assert!(log.contains(text), "{what}: {log}");
                }
                Some(_) | None => {}
            }
        }
    }
}

#[test]
fn a_parameter_that_is_missing_or_blank_has_its_default() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-missing");
    for blank in [None, value(""), value(" \t ")] {
        for name in ["pgport", "pg_bindir", "socket_dir"] {
            let variable = format!("OCF_RESKEY_{name}");
            let calls = [Call::ValidateAll, Call::Stop, Call::Probe];
            let codes = Codes { validate: 0, ..Codes::STOPPED };
            expect(&on, &format!("{name} {blank:?}"), &calls, &[(&variable, blank)], codes);
        }
    }
    // The default of pgdata belongs to another user, or to nobody.
    if std::path::Path::new("/var/lib/pgsql/data").exists() {
        eprintln!("not made: /var/lib/pgsql/data exists");
        return;
    }
    let env = [("OCF_RESKEY_pgdata", None)];
    let said = expect(&on, "no pgdata", &Call::ALL, &env, Codes::STOPPED).unwrap();
    assert!(said.contains("pgdata=/var/lib/pgsql/data does not exist"), "{said}");
    let env = [("OCF_RESKEY_pguser", value("pgtwin-test-nobody"))];
    let codes = Codes { start: 5, validate: 5, promote: 5, demote: 5, monitor: 5, hba: 5 };
    let calls = [Call::Start, Call::Stop, Call::Probe, Call::Promoted, Call::ValidateAll];
    let said = expect(&on, "no such user", &calls, &env, codes).unwrap();
    assert!(said.contains("\"pgtwin-test-nobody\" does not exist"), "{said}");
}
