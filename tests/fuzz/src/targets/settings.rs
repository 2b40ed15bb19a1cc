//! What PostgreSQL and libpq are told: settings files, connection strings, passfiles, names and values.

use pgtwin::postgres::sync_names::{SyncNames, parse, write};
use pgtwin::postgres::{
    conf, conninfo::Conninfo, pgpass, restore_command, slot_name, start_conf, units,
};

use crate::{Target, halves, text};

/// A word that no text has by chance.
const SECRET: &str = "q9#secret'\\ word";

pub const CONF: Target = Target {
    name: "conf",
    run: conf_is_edited_and_nothing_else,
    captured: &["postgresql.auto.conf"],
    seeds: &[
        "a = 1\nprimary_conninfo = 'host=n2 user=''r'''  # by hand\nPrimary_Conninfo 'x'\nb=2\0new",
        "primary_conninfo\t'a\\'b\\101'\r\n# c\nx.y = off\nport = +0x1F",
        "include_if_exists 'other'\nshared_buffers = 128MB\nwork_mem=.5e-3\0it's # no \\ comment",
    ],
};

/// An edit of one line: the value is read back, all others stay, and twice is once.
fn conf_is_edited_and_nothing_else(data: &[u8]) {
    let (file, value) = halves(data);
    let name = "primary_conninfo";
    let others = |text: &str| -> Vec<(String, String)> {
        let other = |(found, _): &(&str, String)| !found.eq_ignore_ascii_case(name);
        conf::entries(text).filter(other).map(|(found, value)| (found.to_owned(), value)).collect()
    };
    let bad = |text: &str| {
        text.split_inclusive('\n').filter(|line| conf::first_bad_line(line).is_some()).count()
    };
    let removed = conf::remove(&file, name);
    assert_eq!(conf::get(&removed, name), None);
    assert_eq!(others(&removed), others(&file));
    assert_eq!(conf::remove(&removed, name), removed);
    let Ok(set) = conf::set(&file, name, &value) else {
        assert!(value.contains(['\n', '\r', '\0']));
        return;
    };
    assert_eq!(conf::get(&set, name).as_deref(), Some(&*value));
    assert_eq!(others(&set), others(&file));
    assert_eq!(bad(&set), bad(&file));
    assert_eq!(conf::set(&set, name, &value).as_deref(), Ok(&*set));
    assert_eq!(
        conf::entries(&set).filter(|(found, _)| found.eq_ignore_ascii_case(name)).count(),
        1
    );
    // What the text says is nobody's name.
    if let Ok(odd) = conf::set("", &value, "1") {
        assert_eq!(conf::get(&odd, &value).as_deref(), Some("1"));
        assert_eq!(conf::entries(&odd).count(), 1);
    }
}

pub const CONNINFO: Target = Target {
    name: "conninfo",
    run: conninfo_is_read_back_and_hides_secrets,
    captured: &[],
    seeds: &[
        "host=10.0.0.2 port=5432 user=replicator password='it''s' sslmode=verify-full",
        "user = repl password = 'a\\'b\\\\' application_name=n1\thost='' passfile=/x sslmode=require",
        "host=a\\ b host=c dbname='postgres://x' options='-c x=y'",
        "postgresql://user:secret@host/db",
        "\rpostgresql://user=c dbname=x",
    ],
};

fn conninfo_is_read_back_and_hides_secrets(data: &[u8]) {
    let Ok(info) = Conninfo::parse(&text(data)) else { return };
    assert_eq!(Conninfo::parse(&info.to_text()).as_ref(), Ok(&info));
    let secret = info.clone().with("password", SECRET).with("sslpassword", SECRET);
    assert_eq!(secret.get("password"), Some(SECRET));
    assert_eq!(Conninfo::parse(&secret.to_text()).unwrap().get("sslpassword"), Some(SECRET));
    assert!(!format!("{secret} {secret:?}").contains("q9#secret"));
    let mut other = Conninfo::new();
    other.log_in_like(&secret);
    for keyword in ["password", "sslpassword", "host", "hostaddr", "passfile", "user", "dbname"] {
        assert_eq!(other.get(keyword), None, "{keyword}");
    }
    let mut less = secret.clone();
    less.remove("password");
    assert_eq!(less.get("password"), None);
    assert!(info.same_meaning(&info) && !info.same_meaning(&secret));
}

pub const PASSFILE: Target = Target {
    name: "passfile",
    run: passfile_finds_what_was_written,
    captured: &[],
    seeds: &[
        "# comment\nn1:5432:replication:repl:pass\\:word\n*:*:*:repl:x\\\\\n::::\nhost:5432:db:u\n",
        "fd00\\:\\:1:5432:replication:r\\:epl:p\r\n*:*:postgres:*:two:parts\n",
        "h\\",
    ],
};

fn passfile_finds_what_was_written(data: &[u8]) {
    let given = text(data);
    let file = pgpass::Passfile::parse(&given);
    let shown = format!("{file:?}");
    let count = given.split('\n').count();
    assert!(file.bad.iter().all(|bad| bad.line <= count));
    if let Some(found) = file.lookup("n1", 5432, "replication", "repl") {
        assert!(!format!("{found:?}{shown}").contains("q9#secret"));
    }
    let good = pgpass::good_lines(&given);
    assert!(pgpass::Passfile::parse(&good).bad.is_empty());
    assert_eq!(pgpass::good_lines(&good), good);
    // A line of ours for what anybody is called.
    let mut words = given.split(['\n', '\r', '\0']);
    let (host, user) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let password = words.next().unwrap_or_default();
    if host.starts_with('#') {
        return;
    }
    let line = pgpass::line_with(host, 5432, "replication", user, password);
    let found = pgpass::Passfile::parse(&line).lookup(host, 5432, "replication", user).unwrap();
    assert_eq!((found.line, found.password.reveal()), (1, password));
}

pub const SYNC_NAMES: Target = Target {
    name: "sync_names",
    run: sync_names_are_read_back,
    captured: &[],
    seeds: &[
        "ANY 1 (\"n2\",\"Node-3.x\")",
        " any 1(n2 , \"a\"\"b\",\t\"N2\")",
        "FIRST 1 (n1, n2)",
        "ANY 2 (a, b)",
        "*",
        "n1,n2",
        "ANY 1 (\"*\")",
        "",
    ],
};

fn sync_names_are_read_back(data: &[u8]) {
    let given = text(data);
    match parse(&given) {
        SyncNames::Ours(names) => {
            let written = write(&names);
            assert_eq!(parse(&written), SyncNames::Ours(names));
        }
        SyncNames::Empty => {
            assert_eq!(given.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']), "");
        }
        SyncNames::Foreign(shown) => assert!(given.contains(&shown)),
    }
    // Two nodes have one slot's name only where they are one.
    let mut nodes = given.split('\n');
    let (a, b) = (nodes.next().unwrap_or_default(), nodes.next().unwrap_or_default());
    let slot = slot_name::slot_name("pgtwin", a);
    assert!(slot_name::is_valid(&slot));
    assert!(a.is_empty() || slot_name::is_of("pgtwin", &slot), "{slot}");
    assert_eq!(slot == slot_name::slot_name("pgtwin", b), a == b, "{a:?} {b:?}");
}

pub const VALUES: Target = Target {
    name: "values",
    run: values_are_within_bounds,
    captured: &["show.tsv"],
    seeds: &[
        "30s",
        "5min",
        "-1",
        "0",
        "1GB",
        "100us",
        "9223372036854775807d",
        "16 MB",
        "on",
        "cp /archive/%f %p",
        "test -f \"/a b/%f\" && cp '/arch/%f' %p",
        "# comment\nmanual\n",
        "auto",
    ],
};

fn values_are_within_bounds(data: &[u8]) {
    let given = text(data);
    for value in std::iter::once(&*given).chain(given.split(['\n', '\t'])) {
        let negative = value.trim().starts_with('-');
        for parsed in [units::milliseconds(value), units::bytes(value)].into_iter().flatten() {
            assert!(parsed >= 0 || negative, "{value:?} is {parsed}");
        }
        if let Err(why) = units::bytes(value) {
            assert!(why.to_string().len() < 1000);
        }
        let _ = units::boolean(value);
    }
    if let Some(dir) = restore_command::directory(&given) {
        assert!(dir.starts_with('/') && given.contains(&format!("{dir}/%f")));
        assert!(!dir.contains([' ', '\n', '$', '`', '*', '%', '\\']), "{dir:?}");
    }
    let _ = start_conf::starts_at_boot(Some(&given));
}
