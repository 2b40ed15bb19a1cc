#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use super::*;

fn with(pairs: &[(&str, &str)]) -> Resolved {
    let env = pairs.iter().map(|(name, value)| (format!("{ENV_PREFIX}{name}"), (*value).into()));
    Params::resolve(&env.collect())
}

fn good(name: &str, value: &str) -> Params {
    let resolved = with(&[(name, value)]);
    assert_eq!(resolved.errors, [], "{name}={value}");
    resolved.params
}

fn nodes(names: &[&str]) -> Vec<NodeName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn nothing_given_is_the_defaults_of_the_documentation() {
    let params = Params::parse(&BTreeMap::new()).unwrap();
    assert_eq!(params, Params::default());
    let expected = Params {
        pgdata: "/var/lib/pgsql/data".into(),
        pgport: 5432,
        pguser: "postgres".into(),
        slot_name: "ha_slot".into(),
        monitor_timeout_promoted: Duration::from_mins(1),
        monitor_timeout_unpromoted: Duration::from_secs(30),
        basebackup_timeout: Duration::from_hours(1),
        replication_failure_threshold: 5,
        container_name: "postgres-ha".into(),
        container_network: "host".into(),
        container_shm_size: "1g".into(),
        max_promotion_lag_bytes: 10_485_760,
        ..Params::unset()
    };
    assert_eq!(params, expected);
}

#[test]
fn the_names_of_the_predecessor_are_all_there() {
    let old = [
        "pgdata pghost pgport pguser application_name slot_name max_slot_wal_keep_size",
        "monitor_timeout_promoted monitor_timeout_unpromoted rep_mode node_list",
        "backup_before_basebackup basebackup_timeout pgpassfile replication_failure_threshold vip",
        "pg_bindir container_mode pg_major_version container_name container_image",
        "max_promotion_lag_bytes force_promotion",
    ];
    for name in old.join(" ").split_whitespace() {
        assert!(TABLE.iter().any(|spec| spec.name == name), "{name}");
    }
}

#[test]
fn the_predecessors_example_configuration_is_accepted() {
    let resolved = with(&[
        ("pgdata", "/var/lib/pgsql/data"),
        ("pghost", "0.0.0.0"),
        ("pgport", "5432"),
        ("pguser", "postgres"),
        ("pgpassfile", "/var/lib/pgsql/.pgpass"),
        ("slot_name", "ha_slot"),
        ("max_slot_wal_keep_size", "1024"),
        ("monitor_timeout_promoted", "60"),
        ("monitor_timeout_unpromoted", "30"),
        ("rep_mode", "sync"),
        ("node_list", "psql1 psql2"),
        ("replication_failure_threshold", "5"),
        ("backup_before_basebackup", "true"),
        ("basebackup_timeout", "3600"),
        ("vip", "192.168.122.20"),
        ("max_promotion_lag_bytes", "-1"),
        ("pg_major_version", "auto"),
        ("application_name", "walreceiver"),
    ]);
    assert_eq!(resolved.errors, []);
}

#[test]
fn table_rows_are_complete_and_their_names_unique() {
    let mut names = BTreeSet::new();
    for spec in TABLE {
        assert!(names.insert(spec.name), "{} twice", spec.name);
        assert!(spec.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", spec.name);
        assert!((5..=60).contains(&spec.short.len()), "{}: short text", spec.name);
        assert!(spec.long.len() > 100, "{}: long text", spec.name);
        assert!(spec.default.is_some() == spec.unset.is_empty(), "{}: default", spec.name);
        for text in [spec.short, spec.long, spec.unset] {
            assert!(!text.contains("  ") && text.is_ascii() && text.trim() == text, "{text}");
        }
        assert!(spec.long.ends_with('.') && !spec.short.ends_with('.'), "{}", spec.name);
        assert_eq!(spec.unit.is_some(), spec.kind == Kind::Integer, "{}: unit", spec.name);
    }
}

#[test]
fn every_default_passes_its_own_validator() {
    for spec in TABLE {
        if let Some(default) = spec.default {
            let resolved = with(&[(spec.name, default)]);
            assert_eq!(resolved.errors, [], "{}={default}", spec.name);
            // That it was given is kept, of this one.
            let params = Params { pgdata_given: false, ..resolved.params };
            assert_eq!(params, Params::default(), "{}={default}", spec.name);
        }
    }
}

/// For each parameter: a value unlike its default, and a look at where it must arrive.
type Arrives = (&'static str, &'static str, fn(&Params) -> bool);

#[test]
fn every_parameter_arrives_in_its_own_field() {
    let rows: &[Arrives] = &[
        ("pgdata", "/srv/pg/17//main/", |p| p.pgdata == "/srv/pg/17/main"),
        ("storage_root", "/srv/pg/", |p| p.storage_root.as_deref() == Some("/srv/pg")),
        ("pgdata_mount", "/var/lib/pgsql/", |p| {
            p.pgdata_mount.as_deref() == Some("/var/lib/pgsql")
        }),
        ("pghost", "10.0.0.1, ::1 db.example", |p| {
            p.pghost.as_deref() == Some("10.0.0.1,::1,db.example")
        }),
        ("pgport", "5433", |p| p.pgport == 5433),
        ("pguser", "pg", |p| p.pguser == "pg"),
        ("application_name", "node-1.a", |p| p.application_name.as_deref() == Some("node-1.a")),
        ("slot_name", "s_1", |p| p.slot_name == "s_1"),
        ("max_slot_wal_keep_size", "0", |p| p.max_slot_wal_keep_size == Some(0)),
        ("monitor_timeout_promoted", "7", |p| p.monitor_timeout_promoted.as_secs() == 7),
        ("monitor_timeout_unpromoted", "8s", |p| p.monitor_timeout_unpromoted.as_secs() == 8),
        ("rep_mode", "Async", |p| p.rep_mode == RepMode::Async),
        ("node_list", " n1  n2 n3", |p| p.node_list == Some(nodes(&["n1", "n2", "n3"]))),
        ("backup_before_basebackup", "No", |p| !p.backup_before_basebackup),
        ("basebackup_timeout", "604800", |p| p.basebackup_timeout.as_secs() == 604_800),
        ("pgpassfile", "/p/.pgpass", |p| p.pgpassfile.as_deref() == Some("/p/.pgpass")),
        ("repuser", "rep", |p| p.repuser.as_deref() == Some("rep")),
        ("replication_failure_threshold", "1", |p| p.replication_failure_threshold == 1),
        ("vip", "20.0.0.1/24", |p| p.vip == "20.0.0.1".parse().ok()),
        ("pg_bindir", "/usr/bin", |p| p.pg_bindir.as_deref() == Some("/usr/bin")),
        ("container_mode", "1", |p| p.container_mode),
        ("pg_major_version", "17", |p| p.pg_major_version == Some(17)),
        ("container_name", "pg.1", |p| p.container_name == "pg.1"),
        ("container_image", "r.example:5000/pg:17", |p| {
            p.container_image.as_deref() == Some("r.example:5000/pg:17")
        }),
        ("container_runtime", "Docker", |p| p.container_runtime == ContainerRuntime::Docker),
        ("container_network", "pg-net", |p| p.container_network == "pg-net"),
        ("container_memory", "16G", |p| p.container_memory.as_deref() == Some("16g")),
        ("container_cpus", "1.5", |p| p.container_cpus.as_deref() == Some("1.5")),
        ("container_shm_size", "512m", |p| p.container_shm_size == "512m"),
        ("container_options", "--ulimit=nofile=9", |p| {
            p.container_options == ["--ulimit=nofile=9"]
        }),
        ("container_selinux_relabel", "yes", |p| p.container_selinux_relabel),
        ("container_registry", "r.example:5000", |p| {
            p.container_registry.as_deref() == Some("r.example:5000")
        }),
        ("container_repository", "db/postgres", |p| {
            p.container_repository.as_deref() == Some("db/postgres")
        }),
        ("max_promotion_lag_bytes", "-1", |p| p.max_promotion_lag_bytes == u64::MAX),
        ("force_promotion", "ON", |p| p.force_promotion),
        ("socket_dir", "/run/pg", |p| p.socket_dir.as_deref() == Some("/run/pg")),
        ("config_file", "/etc/p.conf", |p| p.config_file.as_deref() == Some("/etc/p.conf")),
        ("start_opts", "-c a='1 2'", |p| p.start_opts == ["-c", "a=1 2"]),
        ("node_addresses", "n1=10.0.0.1 n2=fe80::1", |p| {
            p.node_addresses.values().eq(["10.0.0.1", "fe80::1"])
        }),
        ("sync_strict", "yes", |p| p.sync_strict),
        ("fencing", "advised", |p| p.fencing == FencingPolicy::Advised),
    ];
    let covered: BTreeSet<&str> = rows.iter().map(|row| row.0).collect();
    assert_eq!(covered, TABLE.iter().map(|spec| spec.name).collect(), "a row for each parameter");
    for (name, value, arrived) in rows {
        assert!(!arrived(&Params::default()), "{name}: the row would pass without it");
        assert!(arrived(&good(name, value)), "{name}={value}");
    }
}

#[test]
fn what_is_malformed_is_refused_with_name_value_and_remedy() {
    let rows: &[(&str, &[&str])] = &[
        (
            "pgdata",
            &["data", "/", "//", "/etc", "/usr/", "/var/lib", "/etc/pg", "/a/../etc", "/a/./b"],
        ),
        (
            "pgdata",
            &["/usr/lib/pg", "/proc/1", "/tmp", "/a/$(reboot)", "/a/`x`", "/a/\"b", "/a\\b"],
        ),
        ("storage_root", &["srv", "/srv", "/etc/pg", "/run/pg", "/tmp", "/var/tmp", "/srv/../etc"]),
        ("pgdata_mount", &["mnt", "/a/../b", "/srv/pg", "/var/lib/pgsql/data/main", "/var/lib/pg"]),
        ("pghost", &["10.0.0.1/24", "a b;c", ",", "300.0.0.1", "-h"]),
        ("pgport", &["0", "65536", "-1", "5432x", "0x10", "+5432", "5 432"]),
        ("pguser", &["root", "0", "-u", "a b", "a:b", "a'b", "\u{e9}"]),
        ("application_name", &["*", "a b", "a\"b", "pgtwin_x", "PGTWIN_X", "a,b"]),
        ("slot_name", &["Slot", "a-b", "a.b", "s1234567890123456789012345678901"]),
        ("max_slot_wal_keep_size", &["-1", "1GB", "1.5", "2147483648"]),
        ("monitor_timeout_promoted", &["0", "3601", "60ms", "1min", "s", "-5"]),
        ("monitor_timeout_unpromoted", &["0", "30 s", "99999999999999999999"]),
        ("rep_mode", &["on", "synchronous", "sync,async"]),
        ("node_list", &["n1,n2", "n1 n1", "n1 N1", "n1 'n2'"]),
        ("backup_before_basebackup", &["2", "ja", "truee"]),
        ("basebackup_timeout", &["0", "604801", "1h"]),
        ("pgpassfile", &[".pgpass", "~/.pgpass", "/a/$HOME/.pgpass"]),
        ("repuser", &["a b", "a:b", "a;drop", "-r"]),
        ("replication_failure_threshold", &["0", "10001", "five"]),
        ("vip", &["db.example", "20.0.0.1/33", "20.0.0.1/", "20/32", "1.2.3.4/-1", "::1/129"]),
        ("pg_bindir", &["bin", "/usr/bin;reboot"]),
        ("container_mode", &["maybe"]),
        ("pg_major_version", &["12", "17.2", "100", "latest"]),
        ("container_name", &["-a", "a/b", "a b"]),
        ("container_image", &["a b", "-v/:/host", "$(x)", "r.example/pg@sha256:12"]),
        ("container_registry", &["https://r.example", "r.example/db", "-r", "r:0"]),
        ("container_repository", &["r.example/pg", "pg:17", "/pg", "Pg", "pg/"]),
        ("container_runtime", &["lxc", "podman docker"]),
        ("container_network", &["none", "container:x", "a b", "ns:/x"]),
        ("container_memory", &["1", "g", "0g", "-1g", "1gb", "1.5g", "1 g"]),
        ("container_cpus", &["0", "0.0", "x", "1.", ".5", "1.555", "-1", "1e3"]),
        ("container_shm_size", &["64", "1t"]),
        ("container_options", &["--privileged", "x"]),
        ("container_selinux_relabel", &["maybe"]),
        ("max_promotion_lag_bytes", &["-2", "10MB", "18446744073709551615"]),
        ("force_promotion", &["always"]),
        ("socket_dir", &["@pg", "run", "/a,b"]),
        ("config_file", &["postgresql.conf", "/etc/../x"]),
        ("start_opts", &["-D /x", "'", "--single"]),
        ("node_addresses", &["n1", "n1=", "=a", "n1=a n1=b", "n1=a n2=a", "n1=10.0.0.1/24"]),
        ("node_addresses", &["n1=[::1]", "n1=a;b"]),
        ("sync_strict", &["strict"]),
        ("fencing", &["off", "true"]),
    ];
    let covered: BTreeSet<&str> = rows.iter().map(|row| row.0).collect();
    assert_eq!(covered, TABLE.iter().map(|spec| spec.name).collect(), "a row for each parameter");
    for (name, values) in rows {
        for value in *values {
            let resolved = with(&[(name, value)]);
            assert_eq!(resolved.errors.len(), 1, "{name}={value}: {:?}", resolved.errors);
            assert_eq!(resolved.params, Params::default(), "{name}={value} changed something");
            assert!(resolved.refused(name));
            let line = resolved.errors[0].to_string();
            assert!(line.starts_with(&format!("{name}=")) && line.contains("; "), "{line}");
            let secret = TABLE.iter().any(|spec| spec.name == *name && spec.secret);
            assert_eq!(line.contains(&error::shown(value)), !secret, "{line}");
        }
    }
}

#[test]
fn hostile_values_are_refused_and_shown_harmlessly_by_every_parameter() {
    let long = "a".repeat(65_536);
    let hostile = [&long, "a\0b", "a\nb", "a\rb", "a\u{1b}[2Jb", "/a\nb", "n1=a\nn2=b", "\u{85}"];
    for spec in TABLE {
        for value in hostile {
            let resolved = with(&[(spec.name, value)]);
            assert_eq!(resolved.params, Params::default(), "{}={value:?}", spec.name);
            let line = resolved.errors[0].to_string();
            assert!(line.len() < 400, "{}: {} bytes", spec.name, line.len());
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}

#[test]
fn no_text_at_all_makes_a_parameter_panic() {
    let odd = [
        "=",
        "==",
        "''",
        "\"",
        "--",
        "-c",
        "-c=",
        "/",
        "%",
        "\u{fffd}",
        "\u{1f418}",
        ",",
        "*",
        "::",
        "-",
        ".",
        "..",
        "/.",
        "$(reboot)",
        "`id`",
        "; rm -rf /",
        "a=b=c",
        "{}",
        "-1",
        "\\",
        "/24",
    ];
    for spec in TABLE {
        for value in odd {
            let resolved = with(&[(spec.name, value)]);
            assert!(resolved.errors.len() <= 1, "{}={value}", spec.name);
        }
    }
}

/// Texts made of what means something somewhere, always the same ones.
fn odd_texts(count: usize) -> impl Iterator<Item = String> {
    let parts = [
        "-",
        "--",
        "c",
        "=",
        "/",
        "..",
        ",",
        " ",
        "'",
        "\"",
        "\\",
        "$(",
        ")",
        "`",
        "n1",
        "0",
        "9",
        "::",
        "1.2.3.4",
        "*",
        "%",
        "\u{e9}",
        "\u{1f418}",
        "\t",
        "\n",
        "\0",
        "s",
        "auto",
        ":",
        "@",
        "_",
        "x",
    ];
    let mut state = 0x9e37_79b9_u64;
    let mut next = move |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    (0..count).map(move |_| (0..=next(9)).map(|_| parts[next(parts.len())]).collect())
}

#[test]
fn whatever_is_accepted_has_no_shell_or_line_in_it_and_nothing_panics() {
    let mut accepted = 0;
    for text in odd_texts(3000) {
        for spec in TABLE.iter().filter(|spec| spec.name != "start_opts") {
            let resolved = with(&[(spec.name, &text)]);
            if resolved.errors.is_empty() && resolved.params != Params::default() {
                accepted += 1;
                let quiet = |c: char| !c.is_control() && !"$`\"\\;|&<>()".contains(c);
                assert!(text.trim().chars().all(quiet), "{}={text:?}", spec.name);
            }
        }
        let _ = with(&[("start_opts", &text)]);
    }
    assert!(accepted > 1000, "only {accepted} were accepted: the test tests little");
}

#[test]
fn given_but_empty_is_not_given() {
    let blanks: BTreeMap<String, String> =
        TABLE.iter().map(|spec| (format!("{ENV_PREFIX}{}", spec.name), " \t ".into())).collect();
    assert_eq!(Params::parse(&blanks), Ok(Params::default()));
}

#[test]
fn what_pacemaker_adds_and_what_is_unknown_is_not_looked_at() {
    let resolved = with(&[("CRM_meta_timeout", "x\ny"), ("crm_feature_set", "3.19"), ("nope", "")]);
    assert_eq!(resolved, Resolved { params: Params::default(), errors: Vec::new() });
}

#[test]
fn all_errors_of_a_set_are_reported_not_only_the_first() {
    let env: BTreeMap<String, String> = [("pgport", "x"), ("vip", "y"), ("fencing", "z")]
        .map(|(name, value)| (format!("{ENV_PREFIX}{name}"), value.to_owned()))
        .into();
    let errors = Params::parse(&env).unwrap_err();
    let names: BTreeSet<&str> = errors.all().iter().map(ParamError::name).collect();
    assert_eq!(names, BTreeSet::from(["fencing", "pgport", "vip"]));
    let line = errors.to_string();
    assert!(names.iter().all(|name| line.contains(name)) && !line.contains('\n'), "{line}");
}

#[test]
fn an_error_shows_at_most_eighty_characters_of_the_value() {
    let value = format!("/{}$", "x".repeat(200));
    let line = with(&[("pgdata", &value)]).errors[0].to_string();
    assert!(line.contains(&format!("/{}\" (cut; 202 bytes in all)", "x".repeat(79))), "{line}");
    assert!(!line.contains(&"x".repeat(80)), "{line}");
}

#[test]
fn application_name_is_refused_with_more_than_one_standby() {
    let two = with(&[("application_name", "a"), ("node_list", "n1 n2")]);
    assert_eq!(two.errors, []);
    let three = with(&[("application_name", "a"), ("node_list", "n1 n2 n3")]);
    assert!(three.refused("application_name") && three.params.application_name.is_none());

    let n1: NodeName = "n1".parse().unwrap();
    assert_eq!(two.params.application_name_for(&n1, 2).unwrap(), "a");
    assert_eq!(Params::default().application_name_for(&n1, 5).unwrap(), "n1");
    assert_eq!(two.params.one_name_for_many(2), None);
    assert_eq!(Params::default().one_name_for_many(5), None);
    let line = two.params.one_name_for_many(3).unwrap().to_string();
    assert!(line.contains("remove application_name"), "{line}");
    // The primary and the standby have to speak of the same name until somebody has done that.
    assert_eq!(two.params.application_name_for(&n1, 3).unwrap(), "n1");
}

#[test]
fn a_node_name_that_would_match_all_or_never_is_refused_as_application_name() {
    for name in ["*", &"n".repeat(64)] {
        let node: NodeName = name.parse().unwrap();
        assert!(Params::default().application_name_for(&node, 2).is_err(), "{name}");
    }
    let longest: NodeName = "n".repeat(63).parse().unwrap();
    assert!(Params::default().application_name_for(&longest, 2).is_ok());
}

#[test]
fn an_address_for_a_node_that_is_no_member_is_refused() {
    let resolved = with(&[("node_list", "n1 n2"), ("node_addresses", "n1=10.0.0.1 n3=10.0.0.3")]);
    assert!(resolved.refused("node_addresses"));
    assert!(resolved.errors[0].to_string().contains("\"n3\""), "{:?}", resolved.errors);
}

#[test]
fn names_from_the_cib_are_taken_without_the_prefix() {
    let attributes = BTreeMap::from([("pgport".to_owned(), "5499".to_owned())]);
    assert_eq!(Params::resolve_attributes(&attributes).params.pgport, 5499);
    assert_eq!(Params::resolve(&attributes).params.pgport, 5432);
}

#[test]
fn a_data_directory_on_its_own_mount_point_is_accepted() {
    for path in ["/pgdata", "/data", "/mnt/pg", "/usr/local/pgsql/data", "/home/pg/data"] {
        assert_eq!(good("pgdata", path).pgdata, path);
    }
}

#[test]
fn the_page_has_a_section_for_every_parameter() {
    let page = markdown();
    for spec in TABLE {
        assert!(page.contains(&format!("\n### {}\n", spec.name)), "{}", spec.name);
        assert!(page.contains(&format!("(#{})", spec.name)), "{}", spec.name);
    }
}

#[test]
fn the_storage_has_the_data_unless_pgdata_is_given_and_a_node_without_a_directory_is_refused() {
    type Row =
        (&'static [(&'static str, &'static str)], &'static str, Result<&'static str, ()>, bool);
    let rows: &[Row] = &[
        (&[], "n1", Ok("/var/lib/pgsql/data"), false),
        (&[("storage_root", "/srv/pg")], "n1", Ok("/srv/pg/@postgres-n1/data"), false),
        (&[("storage_root", "/srv/pg")], "n/1", Err(()), false),
        (&[("pgdata", "/d/pg"), ("storage_root", "/srv/pg")], "n1", Ok("/d/pg"), true),
        (&[("pgdata", "/d/pg"), ("storage_root", "/srv/pg")], "n/1", Ok("/d/pg"), true),
        // The default, given, is given.
        (
            &[("pgdata", "/var/lib/pgsql/data"), ("storage_root", "/srv/pg")],
            "n1",
            Ok("/var/lib/pgsql/data"),
            true,
        ),
        (
            &[("pgdata", "/srv/pg/@postgres-n1/data"), ("storage_root", "/srv/pg")],
            "n1",
            Ok("/srv/pg/@postgres-n1/data"),
            false,
        ),
        (
            &[("pgdata", ""), ("storage_root", "/srv/pg")],
            "n1",
            Ok("/srv/pg/@postgres-n1/data"),
            false,
        ),
    ];
    for (given, node, expected, two) in rows {
        let mut params = with(given).params;
        let node: NodeName = node.parse().unwrap();
        match (params.settle(&node), expected) {
            (Ok(()), Ok(path)) => assert_eq!(params.pgdata, *path, "{given:?}"),
            (Err(error), Err(())) => {
                assert!(error.to_string().contains("cannot be one of a directory"), "{error}");
            }
            (found, _) => panic!("{given:?}: {found:?}"),
        }
        assert_eq!(params.two_places(&node).is_some(), *two, "{given:?} {node}");
    }
}

#[test]
fn where_the_data_is_refused_nothing_else_is_taken_for_it() {
    for (given, expected) in [
        (&[("storage_root", "/etc")][..], true),
        (&[("storage_root", "/etc"), ("pgdata", "/d/pg")], false),
        (&[("storage_root", "/srv/pg"), ("pgdata", "/etc")], true),
        (&[("storage_root", "/srv/pg"), ("pgdata_mount", "/srv")], false),
    ] {
        assert_eq!(with(given).place_is_refused(), expected, "{given:?}");
    }
    assert!(
        with(&[("storage_root", "/srv/pg"), ("pgdata_mount", "/other")]).refused("pgdata_mount")
    );
    assert_eq!(with(&[("storage_root", "/srv/pg"), ("pgdata_mount", "/srv")]).errors, []);
}
