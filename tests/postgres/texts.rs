//! What people write: configuration, connection strings, passfiles, names and units, read as the server
//! and libpq read it.

use super::*;

#[test]
fn a_settings_file_is_read_as_the_server_reads_it() {
    let values = [
        "= 'x'",
        "='x'",
        "'x'",
        "= 'x'\t# note",
        "= 'x'\r",
        "= ''",
        "= 'it''s'",
        r"= 'it\'s'",
        r"= 'C:\\dir\b\f\t\r\x\101\0609'",
        "= 'é # no comment'",
        "= on",
        "on",
        "= on#note",
        "on on",
        "= pg_catalog.x.y",
        "= pg-1:x/y",
        "= 5",
        "= -1",
        "= +64MB",
        "= 0x1F",
        "= 0x",
        "= 0700",
        "= 1.5e-3",
        "= 1.e5",
        "= .5",
        "= .",
        "= -.",
        "= 1.5MB",
        "= 1e5",
        "= 1.5e",
        "= b.c",
        "= b.c.",
        "= b.",
        "= /tmp",
        "= *",
        "=",
        "",
        "== 5",
        "= 5 6",
        "= 'x' 'y'",
        "= 'x'y",
        "= 'x",
        r"= 'x\'",
        r"= 'x\",
        "= x'y'",
        "= \"x\"",
        "= -",
        "= é",
        "= a$b",
        "= a%",
        "= 5_000",
        "= 5é",
        "= x;",
        "= 'a\\8'",
        "= 0x1FMB",
        "= 12kB34",
    ];
    for bin in installed() {
        let a = Instance::new(&bin);
        a.start();
        let names = ["Pgtwin.Odd", "a-b", "1a", "a.b.c", "a.", ".a", "x$", "'a'", "é.ü", "_._"];
        let lines: Vec<String> = values
            .iter()
            .enumerate()
            .map(|(index, value)| format!("pgtwin.v{index} {value}\n"))
            .chain(names.iter().map(|name| format!("{name} = 5\n")))
            .collect();
        // Each in a file of its own: the view gives a file up at its first error.
        for (index, line) in lines.iter().enumerate() {
            write(&a.path(&format!("form{index}.conf")), line);
            a.append("postgresql.conf", &format!("include 'form{index}.conf'\n"));
        }
        let seen = a.sql(
            "select json_agg(json_build_object('file', substring(sourcefile from '[^/]*$'), \
             'name', name, 'value', setting)) from pg_file_settings",
        );
        let seen: Vec<serde_json::Value> = serde_json::from_str(&seen).unwrap();
        for (index, line) in lines.iter().enumerate() {
            let row = seen.iter().find(|row| row["file"] == format!("form{index}.conf"));
            let row = row.unwrap_or_else(|| panic!("{bin:?} {line:?}: not seen by the server"));
            if let Some((name, value)) = conf::entries(line).next() {
                assert_eq!(row["value"], value.as_str(), "{bin:?} {line:?}");
                assert_eq!(row["name"], name, "{bin:?} {line:?}");
            } else {
                assert_eq!(row["name"], serde_json::Value::Null, "{bin:?} {line:?}");
                assert_eq!(conf::first_bad_line(line), Some(1), "{line:?}");
            }
        }
    }
}

#[test]
fn the_server_takes_what_is_set_and_alter_system_keeps_it() {
    for bin in installed() {
        let a = Instance::new(&bin);
        let values =
            ["", "x", "it's", "'", "\\", "\\'", "a # b", "é\t", "host=n1 password='it''s \\\\'"];
        a.append("postgresql.auto.conf", "# mine\nwork_mem = 3MB # my note");
        let mut text = a.read("postgresql.auto.conf");
        for (index, value) in values.iter().enumerate() {
            text = conf::set(&text, &format!("pgtwin.v{index}"), value).unwrap();
        }
        assert!(text.contains("# mine\nwork_mem = 3MB # my note\n"));
        write(&a.path("postgresql.auto.conf"), &text);
        a.start();
        for (index, value) in values.iter().enumerate() {
            assert_eq!(&a.sql(&format!("show pgtwin.v{index}")), value);
        }
        assert_eq!(a.sql("show work_mem"), "3MB");
        a.sql("alter system set cluster_name = 'mine'");
        let rewritten = a.read("postgresql.auto.conf");
        for (index, value) in values.iter().enumerate() {
            let name = format!("pgtwin.v{index}");
            assert_eq!(conf::get(&rewritten, &name).as_ref(), Some(&(*value).to_owned()));
            assert_eq!(conf::set(&rewritten, &name, value).unwrap(), rewritten);
        }
        let without = conf::remove(&rewritten, "cluster_name");
        assert_eq!(conf::get(&without, "cluster_name"), None);
    }
}

#[test]
fn a_connection_string_is_read_as_libpq_reads_it() {
    for bin in installed() {
        let a = Instance::new(&bin);
        a.start();
        for form in [
            "application_name=x",
            "application_name = x",
            " application_name\t=\n'x y' ",
            r"application_name='it\'s \\ \x'",
            r"application_name=it\'s\ one",
            "application_name=x'y'",
            "application_name='' user=postgres",
            "application_name=a application_name=b",
            "application_name= user=postgres",
            "application_name='x'user=postgres",
            r"application_name=x\",
            "application_name=",
            "application_name",
            "application_name='x",
            r"application_name='x\'",
            "=x",
            "application_name=x y",
        ] {
            // As primary_conninfo, a form is parsed by libpq; as psql's argument, too.
            let conninfo = format!("connect_timeout=5 {form}");
            let out = a.psql(&conninfo).args(["-c", "show application_name"]).output().unwrap();
            match Conninfo::parse(&conninfo) {
                Ok(info) => {
                    let expected = info.get("application_name").unwrap_or_default();
                    assert!(out.status.success(), "{form}: {}", text(&out.stderr));
                    // psql names itself where it finds no name.
                    let shown = text(&out.stdout).replace("psql\n", "\n");
                    assert_eq!(shown, format!("{expected}\n"), "{form}");
                }
                Err(error) => assert!(!out.status.success(), "{form}: {error}"),
            }
        }
        for name in ["x", "a b", "it's", "\\", "'", "a=b", "x\\'y", "a  b "] {
            let info = Conninfo::new().with("application_name", name).with("user", "postgres");
            let shown = output(a.psql(&info.to_text()).args(["-c", "show application_name"]));
            assert_eq!(shown, format!("{name}\n"));
        }
    }
}

#[test]
fn a_passfile_is_read_as_libpq_reads_it() {
    for bin in installed() {
        let a = Instance::new(&bin);
        write(&a.path("pg_hba.conf"), "local all postgres trust\nlocal all all scram-sha-256\n");
        a.start();
        let secret = r"ge:h\eim";
        a.sql(&format!(
            "set password_encryption = 'scram-sha-256'; \
             create role \"re:pl\" login password '{secret}'"
        ));
        let host = a.home.path().to_str().unwrap();
        let right = r"ge\:h\\eim";
        for lines in [
            format!("*:*:*:*:{right}"),
            format!("{host}:54321:postgres:re\\:pl:{right}"),
            format!("{host}:54321:postgres:re\\:pl:{right}\r"),
            format!("{host}:54321:postgres:re:pl:{right}"),
            format!("{host}:5432:postgres:re\\:pl:{right}"),
            format!("{host}:54321:replication:re\\:pl:{right}"),
            format!("localhost:54321:*:*:{right}"),
            format!("# *:*:*:*:no\n\nnot a line\n*:54321:*:re\\:pl:{right}"),
            format!("*:*:*:*:wrong\n{host}:54321:postgres:re\\:pl:{right}"),
            format!(" *:*:*:*:{right}"),
            format!("*:*:postgres:*:{right} "),
            r"*:*:*:*:ge:h\\eim".to_owned(),
            r"*:*:*:*:ge\:h\eim".to_owned(),
            r"*:*:*:*:\g\e\:\h\\\e\i\m".to_owned(),
            format!("*:*:*:*:{right}:more"),
            format!("{}:*:*:*:{right}", host.replace('t', "\\t")),
        ] {
            let path = a.home.path().join("passfile");
            write(&path, &lines);
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
            let info =
                Conninfo::new().with("user", "re:pl").with("passfile", path.to_str().unwrap());
            let out = a.psql(&info.to_text()).args(["-c", "select 1"]).output().unwrap();
            let file = Passfile::parse(&lines);
            let found = file.lookup(host, 54321, "postgres", "re:pl");
            let ours = found.is_some_and(|entry| entry.password.reveal() == secret);
            assert_eq!(out.status.success(), ours, "{lines:?}: {}", text(&out.stderr));
        }
    }
}

#[test]
fn a_line_of_ours_is_read_as_it_is_meant() {
    for bin in installed() {
        let a = Instance::new(&bin);
        a.start();
        let major = a.sql("show server_version_num").parse::<u32>().unwrap() / 10_000;
        let (file, addresses) = (a.read("pg_hba.conf"), ["10.0.0.2", "fe80::2"]);
        for user in ["replicator", "Repl User", "a\"b", "all", "+x", "@x", "é", "a,b", "#"] {
            let of = |address| {
                hba::line_of("host", "replication,postgres", user, address, "scram-sha-256")
            };
            a.append("pg_hba.conf", &(addresses.map(of).join("\n") + "\n"));
            let mut rules = hba::parse_rows(&(a.sql(hba::QUERY) + "\n")).unwrap();
            assert!(rules.iter().all(|rule| rule.broken().is_none()), "{rules:?}");
            let text = a.read("pg_hba.conf");
            hba::file::note_quotes(rules.iter_mut(), &hba::file::lines(text.as_bytes(), major));
            let around = hba::Surroundings::unknown("not asked");
            for (target, address) in
                [hba::Target::Replication, hba::Target::POSTGRES].into_iter().zip(addresses)
            {
                let origin = hba::Origin::Tcp(address.parse().unwrap(), hba::Channel::Plain);
                let comes_in = |user| {
                    let attempt = hba::Attempt { target, user, origin };
                    matches!(hba::admits(&rules, &attempt, &around), hba::Admission::In(_))
                };
                assert!(comes_in(user) && !comes_in("somebody"), "{user}: {rules:?}");
            }
            write(&a.path("pg_hba.conf"), &file);
        }
    }
}

#[test]
fn the_server_matches_standby_names_as_we_do() {
    for bin in installed() {
        let a = Instance::new(&bin);
        a.start();
        let long = "n".repeat(64);
        let names = ["n2", "Node-3.example.org", "a\"b", "with, comma) and (", "12", "a$b"];
        let set: BTreeSet<_> = names.iter().map(|name| name.parse().unwrap()).collect();
        let reload = |value: &str| {
            let before = a.read("postgresql.auto.conf");
            let after = conf::set(&before, "synchronous_standby_names", value).unwrap();
            write(&a.path("postgresql.auto.conf"), &after);
            a.sql("select pg_reload_conf()");
            until("the reload", || a.sql("show synchronous_standby_names") == value);
        };
        let show = || {
            let answer = a.replication("SHOW synchronous_standby_names");
            sync_names::parse(parse_show(&answer).unwrap())
        };
        reload(&sync_names::write(&set));
        assert_eq!(show(), SyncNames::Ours(set));
        for (value, ours) in [
            ("any 1 (n2, N3)", true),
            ("ANY 01 (n2)", true),
            ("ANY 1 (2)", true),
            ("ANY 1 (a$b, _x)", true),
            ("*", false),
            ("n2, n3", false),
            ("ANY 2 (n2,n3)", false),
            ("FIRST 1 (n2)", false),
            ("1 (n2)", false),
        ] {
            reload(value);
            assert_eq!(matches!(show(), SyncNames::Ours(_)), ours, "{value}");
        }

        // Who counts: a receiver that calls itself so.
        for (setting, calls_itself, counts) in [
            ("n2", "N2", true),
            ("Node-3.example.org", "node-3.EXAMPLE.org", true),
            ("a\"b", "a\"b", true),
            ("n1", "n10", false),
            (&long[..63], &long[..63], true),
            (&long, &long, false),
        ] {
            let valid = sync_names::validate_name(setting);
            assert_eq!(valid.is_ok(), setting.len() < 64);
            reload(&format!("ANY 1 (\"{}\")", setting.replace('"', "\"\"")));
            let info = Conninfo::new()
                .with("application_name", calls_itself)
                .with("user", "postgres")
                .with("host", a.home.path().to_str().unwrap())
                .with("port", "54321");
            let mut receive = program(bin.join("pg_receivewal"));
            receive.arg("-D").arg(a.home.path()).arg("--synchronous").arg("-d").arg(info.to_text());
            let mut child = receive.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let state =
                || a.sql("select sync_state from pg_stat_replication where state = 'streaming'");
            until("the receiver streams", || !state().is_empty());
            let expected = if counts { "quorum" } else { "async" };
            // Its priority is read anew after a reload, a moment later.
            until("the receiver's rank", || state() == expected);
            child.kill().unwrap();
            child.wait().unwrap();
            until("the receiver is gone", || {
                a.sql("select count(*) from pg_stat_replication") == "0"
            });
        }
    }
}

#[test]
fn the_server_takes_every_slot_name_we_make() {
    for bin in installed() {
        let a = Instance::new(&bin);
        a.append("postgresql.conf", "max_replication_slots = 20\n");
        a.start();
        let long = "x".repeat(255);
        let nodes = ["n1", "N1", "node-1", "node.1", "node_1", "1", "_", &long];
        for node in nodes {
            a.sql(&format!(
                "select pg_create_physical_replication_slot('{}')",
                slot_name("ha_slot", node)
            ));
        }
        assert_eq!(a.sql("select count(*) from pg_replication_slots"), nodes.len().to_string());
        for name in ["", "A", "a-b", "é", "ok_1", &"y".repeat(63), &"y".repeat(64)] {
            let query = format!("select pg_create_physical_replication_slot('{name}')");
            let out = a.psql("").args(["-c", &query]).output().unwrap();
            assert_eq!(out.status.success(), is_valid(name), "{name}: {}", text(&out.stderr));
        }
    }
}

#[test]
fn versions_and_units_agree_with_the_server() {
    for bin in installed() {
        let a = Instance::new(&bin);
        a.start();
        let program = Version::of_program(&output(program(bin.join("postgres")).arg("--version")));
        let server = Version::of_number(&a.sql("show server_version_num"));
        assert_eq!(program.unwrap(), server.clone().unwrap());
        assert_eq!(major_of_pg_version(&a.read("PG_VERSION")), Ok(server.unwrap().major));

        let rows = a.sql(
            "select name, setting, unit, current_setting(name) from pg_settings \
             where unit is not null and vartype = 'integer'",
        );
        let (mut times, mut sizes) = (0, 0);
        for row in rows.lines() {
            let fields: Vec<&str> = row.split('\t').collect();
            let [name, setting, unit, shown] = fields[..] else { panic!("{row}") };
            let setting: i64 = setting.parse().unwrap();
            let scaled = |factor: i64| if setting < 0 { setting } else { setting * factor };
            let count: i64 = unit.trim_end_matches(char::is_alphabetic).parse().unwrap_or(1);
            let unit = unit.trim_start_matches(|c: char| c.is_ascii_digit());
            let time =
                [("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
            let size = [("B", 1), ("kB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30)];
            if let Some((_, factor)) = time.iter().find(|(name, _)| *name == unit) {
                assert_eq!(milliseconds(shown), Ok(scaled(count * factor)), "{name} = {shown}");
                times += 1;
            } else if let Some((_, factor)) = size.iter().find(|(name, _)| *name == unit) {
                assert_eq!(bytes(shown), Ok(scaled(count * factor)), "{name} = {shown}");
                sizes += 1;
            } else {
                panic!("{row}: a unit that we do not know");
            }
        }
        assert!(times > 10 && sizes > 10, "{times} {sizes}");
    }
}
