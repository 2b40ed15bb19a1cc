//! pg_hba.conf: its text, the server's view of it, and what fix-pghba makes of it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pgtwin::cluster::known::Known;
use pgtwin::decide::pghba::fix::{self, Ruling};
use pgtwin::decide::pghba::{About, Facts, OwnAgent, Role, Secret};
use pgtwin::decide::reach::Member;
use pgtwin::postgres::hba::file::{Line, is_open, lines, note_quotes};
use pgtwin::postgres::hba::{
    self, Admission, Attempt, Channel, Name, Origin, Rule, Surroundings, Target as Wanted, admits,
    first_that_may_fit,
};

use crate::{Target, text};

const FILES: &[&str] = &[
    // Regression of the target: a mark with a blank before it.
    "# BEGIN pgtwin: the members of this cluster (pgtwin fix-pghba)\nlocal all all peer\n # END pgtwin\nhost all all all reject\n",
    "# TYPE  DATABASE\nlocal all all peer\nhost all all 127.0.0.1/32 scram-sha-256\n",
    "host replication,postgres repl 10.0.0.0/24 md5 # x\nhost all \"a b\",+g ::1/128 reject\\\n trust\n",
    "local all all peer\n# BEGIN pgtwin: the members of this cluster (pgtwin fix-pghba)\nhost  replication,postgres  \
     repl  10.0.0.2/32  scram-sha-256  # n2\n# END pgtwin\nhost all all all reject\n",
    "hostssl all /^a.*$ 0.0.0.0/0 cert\ninclude_dir \"x y\"\nhost @f all samenet md5\n",
];

pub const FILE: Target =
    Target { name: "hba_file", run: each_byte_is_of_one_line, captured: &[], seeds: FILES };

fn each_byte_is_of_one_line(data: &[u8]) {
    for major in [13, 18] {
        let all = lines(data, major);
        let mut end = 0;
        let mut number = 0;
        for line in &all {
            assert_eq!(line.start, end);
            assert!(line.end > line.start && line.number > number);
            (end, number) = (line.end, line.number);
            let _ = line.include();
        }
        assert_eq!(end, data.len());
        if !is_open(data, major) && !data.is_empty() {
            let more =
                [data, if data.ends_with(b"\n") { b"" } else { b"\n" }, b"host a b c d\n"].concat();
            let last = lines(&more, major).pop().unwrap();
            assert_eq!(last.fields.len(), 5, "a line is put behind all others");
        }
        let mut rules = view(data, major);
        note_quotes(rules.iter_mut(), &all);
    }
    // A line of ours lets in whom it names, whatever that is.
    let given = text(data);
    let user: String = given.chars().filter(|c| !c.is_control()).take(63).collect();
    let ours = hba::line("replication", &user, "10.0.0.1");
    let all = lines(ours.as_bytes(), 18);
    let [line] = all.as_slice() else { panic!("{ours:?} is {} lines", all.len()) };
    let [_, _, users, address, _] = line.fields.as_slice() else { panic!("{ours:?}: {line:?}") };
    assert_eq!(
        (users.len(), users[0].text.as_str(), address[0].text.as_str()),
        (1, &*user, "10.0.0.1/32")
    );
    assert!(!users[0].is("all") && users[0].group().is_none(), "{ours:?}");
}

pub const ROWS: Target = Target {
    name: "hba_rows",
    run: a_line_that_admits_is_one_that_may_fit,
    captured: &["hba.tsv"],
    seeds: &[
        "1\thost\t{all,x}\t{\"+g\",\"a b\"}\t10.0.0.0\t255.0.0.0\tmd5\t\n2\t\t\t\t\t\t\tbroken\n",
    ],
};

fn a_line_that_admits_is_one_that_may_fit(data: &[u8]) {
    let Ok(rules) = hba::parse_rows(&text(data)) else { return };
    let around = Surroundings::unknown("not asked");
    for origin in [
        Origin::Tcp([10, 0, 0, 2].into(), Channel::Tls),
        Origin::Tcp(Ipv6Addr::LOCALHOST.into(), Channel::Plain),
        Origin::Socket,
    ] {
        for target in [Wanted::Replication, Wanted::Database("postgres")] {
            let attempt = Attempt { target, user: "replicator", origin };
            let admission = admits(&rules, &attempt, &around);
            match (admission, first_that_may_fit(&rules, &attempt, &around)) {
                (Admission::NoLine, _) => {}
                (_, None) => panic!("{admission:?}, and nothing may fit"),
                (
                    Admission::In(rule) | Admission::Rejected(rule) | Admission::Perhaps(rule),
                    Some(_),
                ) => {
                    assert!(rules.contains(rule));
                }
            }
        }
    }
}

pub const FIX: Target = Target {
    name: "hba_fix",
    run: the_fixed_file_is_well_and_nothing_else_is_changed,
    captured: &[],
    seeds: FILES,
};

/// What is planned is what has to be planned no more, and takes no line away but its own.
fn the_fixed_file_is_well_and_nothing_else_is_changed(data: &[u8]) {
    let before = facts(data);
    let Ruling::Change(plan) = fix::plan(&before, data) else { return };
    let after = facts(&plan.text);
    if fix::verify(&before, &after, &plan).is_ok() {
        assert_eq!(fix::plan(&after, &plan.text), Ruling::Nothing, "{}", plan.diff);
    }
    let (old, new) = (outside(data), outside(&plan.text));
    assert_eq!(text(&old), text(&new), "{}", plan.diff);
}

/// What stands outside of the block, without a last line break, which may have been missing. A backslash at its
/// end goes on with a line, that of a comment too.
fn outside(file: &[u8]) -> Vec<u8> {
    let (mut inside, mut ends) = (false, false);
    let mut kept = Vec::new();
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let words = line.trim_ascii_start();
        inside |= words.starts_with(b"# BEGIN pgtwin");
        if !inside {
            kept.extend_from_slice(line);
        }
        ends |= inside && words.starts_with(b"# END pgtwin");
        let last = words.iter().rev().find(|byte| !b"\r\n".contains(byte));
        if ends && last != Some(&b'\\') {
            (inside, ends) = (false, false);
        }
    }
    while kept.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        kept.pop();
    }
    kept
}

fn facts(file: &[u8]) -> Facts {
    let member = |node: &str, address: [u8; 4]| Member {
        node: node.parse().unwrap(),
        address: IpAddr::from(address).to_string(),
        resolved: Known::Known(vec![address.into()]),
    };
    let around = Surroundings {
        major: Known::Known(15),
        groups: Known::Known(BTreeSet::from(["postgres".to_owned()])),
        ..Surroundings::unknown("not asked")
    };
    Facts {
        me: "n1".parse().unwrap(),
        primary: true,
        user: "repl".into(),
        about: About { major: 15, ssl: false, hba_file: "/hba".into(), changed: false },
        role: Role::There { login: true, replication: true, secret: Secret::Scram, expired: false },
        rules: view(file, 15),
        around: around.clone(),
        agent: OwnAgent { user: "postgres".into(), around },
        sslmode: "prefer".into(),
        members: vec![member("n1", [10, 0, 0, 1]), member("n2", [10, 0, 0, 2])],
    }
}

/// The server's view of a text, as far as it is simple; other lines are left out.
fn view(file: &[u8], major: u32) -> Vec<Rule> {
    lines(file, major).iter().filter_map(rule).collect()
}

fn rule(line: &Line) -> Option<Rule> {
    let (kind, databases, users, address, method) = match line.fields.as_slice() {
        [kind, databases, users, method] => (kind, databases, users, "", method),
        [kind, databases, users, address, method] => {
            (kind, databases, users, &*address[0].text, method)
        }
        _ => return None,
    };
    let kind = kind[0].text.clone();
    if !["local", "host", "hostssl", "hostnossl"].contains(&kind.as_str())
        || (kind == "local") != address.is_empty()
    {
        return None;
    }
    let (address, netmask) = match address.split_once('/') {
        Some((address, bits)) => {
            let bits: u32 = bits.parse().ok()?;
            let mask: IpAddr = match address.parse().ok()? {
                IpAddr::V4(_) if bits <= 32 => {
                    Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - bits).unwrap_or(0)).into()
                }
                IpAddr::V6(_) if bits <= 128 => {
                    Ipv6Addr::from_bits(u128::MAX.checked_shl(128 - bits).unwrap_or(0)).into()
                }
                _ => return None,
            };
            (address, mask.to_string())
        }
        None => (address, String::new()),
    };
    let name = |name: &Name| Name { text: name.text.clone(), quoted: name.quoted };
    Some(Rule {
        line: line.number,
        file: None,
        kind,
        databases: databases.iter().map(name).collect(),
        users: users.iter().map(name).collect(),
        address: address.to_owned(),
        netmask,
        method: method[0].text.clone(),
        error: None,
    })
}
