use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;
use crate::cluster::known::Known;
use crate::postgres::hba::Name;
use crate::postgres::hba::file::lines;

/// The view of a text, as far as these tests write it: addresses have a mask behind a slash.
pub(super) fn view(text: &[u8]) -> Vec<Rule> {
    let name = |name: &Name| Name { text: name.text.clone(), quoted: name.quoted };
    let rule = |line: &crate::postgres::hba::file::Line| {
        let (kind, databases, users, address, method) = match line.fields.as_slice() {
            [kind, databases, users, method] => (kind, databases, users, String::new(), method),
            [kind, databases, users, address, method] => {
                (kind, databases, users, address[0].text.clone(), method)
            }
            _ => return None,
        };
        let (address, bits) = match address.split_once('/') {
            Some((address, bits)) => (address.to_owned(), bits.parse().unwrap()),
            None => (address, 0),
        };
        let netmask = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => {
                Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - bits).unwrap_or(0)).to_string()
            }
            Ok(IpAddr::V6(_)) => {
                Ipv6Addr::from_bits(u128::MAX.checked_shl(128 - bits).unwrap_or(0)).to_string()
            }
            Err(_) => String::new(),
        };
        Some(Rule {
            line: line.number,
            file: None,
            kind: kind[0].text.clone(),
            databases: databases.iter().map(name).collect(),
            users: users.iter().map(name).collect(),
            address,
            netmask,
            method: method[0].text.clone(),
            error: None,
        })
    };
    lines(text, 15).iter().filter_map(rule).collect()
}

fn agent() -> OwnAgent {
    let around = Surroundings {
        major: Known::Known(15),
        groups: Known::Known(BTreeSet::from(["postgres".to_owned()])),
        ..Surroundings::unknown("not asked")
    };
    OwnAgent { user: "postgres".into(), around }
}

pub(super) fn member(name: &str, address: &str) -> Member {
    let resolved = match address.parse() {
        Ok(ip) => Known::Known(vec![ip]),
        Err(_) => Known::unknown(format!("the name {address} cannot be resolved: no address")),
    };
    Member { node: name.parse().unwrap(), address: address.into(), resolved }
}

/// The agent's own way in, somewhere behind the text.
pub(super) fn own_line() -> Rule {
    let line = view(b"local replication,postgres postgres peer\n").remove(0);
    Rule { line: 1000, ..line }
}

/// n1, the primary of three, with this file and the agent's own way in.
pub(super) fn facts(text: &str) -> Facts {
    let mut facts = facts_without(text);
    facts.rules.push(own_line());
    facts
}

/// The same without that.
pub(super) fn facts_without(text: &str) -> Facts {
    Facts {
        me: "n1".parse().unwrap(),
        primary: true,
        user: "repl".into(),
        about: About { major: 15, ssl: false, hba_file: "/etc/pg_hba.conf".into(), changed: false },
        role: Role::There { login: true, replication: true, secret: Secret::Scram, expired: false },
        rules: view(text.as_bytes()),
        around: Surroundings {
            major: Known::Known(15),
            groups: Known::Known(BTreeSet::from(["repl".to_owned()])),
            interfaces: Known::Known(vec![(
                "10.0.0.1".parse().unwrap(),
                "255.255.255.0".parse().unwrap(),
            )]),
            host_names: std::collections::BTreeMap::new(),
            matches: std::collections::BTreeMap::new(),
        },
        agent: agent(),
        sslmode: "prefer".into(),
        members: vec![member("n1", "10.0.0.1"), member("n2", "10.0.0.2"), member("n3", "fd00::3")],
    }
}

/// Access of n2 and n3, for replication and for pg_rewind.
fn access(facts: &Facts) -> String {
    let sign = |verdict: &Verdict| match verdict.access {
        Access::Yes => '+',
        Access::No => '-',
        Access::Unknown => '?',
    };
    let others = check(facts).members.into_iter().filter(|entry| !entry.this_node);
    others.flat_map(|entry| [sign(&entry.replication), sign(&entry.pg_rewind)]).collect()
}

#[test]
fn every_address_is_judged_for_both_logins() {
    for (text, expected) in [
        ("", "----"),
        ("host replication,postgres repl all md5", "++++"),
        ("host all repl all md5", "-+-+"),
        ("host replication repl 10.0.0.0/24 md5", "+---"),
        ("host replication,all repl samenet md5", "++--"),
        ("host replication,all repl samehost md5", "----"),
        ("host replication repl fd00::/16 md5\nhost all all all reject", "--+-"),
        ("host all,replication all 10.0.0.2/32 reject\nhost all,replication all all md5", "--++"),
        ("host all,replication repl n2.example.org md5", "????"),
        ("host all,replication repl all ident", "????"),
        ("hostnossl all,replication repl all md5", "++++"),
        ("hostssl all,replication repl all md5", "----"),
    ] {
        assert_eq!(access(&facts(text)), expected, "{text}");
        assert_eq!(check(&facts(text)).is_well(), expected == "++++", "{text}");
    }
}

#[test]
fn the_agents_own_logins_are_judged_and_get_their_line() {
    let line = |databases: &str| format!("local  {databases}  postgres  peer");
    let well = "host replication,postgres repl all md5\n";
    for (text, expected, add, before) in [
        ("local all,replication all peer", "++", None, None),
        ("local all all peer\nlocal replication all trust", "++", None, None),
        ("local all postgres ident\nlocal replication +postgres peer", "++", None, None),
        // `all` is no replication.
        ("local all all peer", "-+", Some("replication"), None),
        ("local replication all peer", "+-", Some("postgres"), None),
        ("", "--", Some("replication,postgres"), None),
        ("host all,replication all all trust", "--", Some("replication,postgres"), None),
        ("local all,replication other peer", "--", Some("replication,postgres"), None),
        ("local all,replication +dba peer", "--", Some("replication,postgres"), None),
        (
            "local all all peer\nlocal replication all reject\nlocal replication all peer",
            "-+",
            Some("replication"),
            Some(3),
        ),
        ("local all,replication all scram-sha-256", "??", Some("replication,postgres"), Some(2)),
        ("local all all peer\nlocal all,replication all md5", "?+", Some("replication"), Some(3)),
    ] {
        let found = check(&facts_without(&format!("{well}{text}")));
        let sign = |(_, verdict): (&str, &Verdict)| match verdict.access {
            Access::Yes => '+',
            Access::No => '-',
            Access::Unknown => '?',
        };
        let signs: String = found.agent.logins().into_iter().map(sign).collect();
        assert_eq!(signs, expected, "{text}");
        assert_eq!(found.add, add.map(line).into_iter().collect::<Vec<_>>(), "{text}");
        assert_eq!(found.before.as_ref().map(|spot| spot.line), before, "{text}");
        assert_eq!(found.is_well(), expected == "++", "{text}");
        let said = found.to_string();
        let told = said.contains("- the agent itself (local, postgres) for ");
        assert_eq!(told, expected != "++", "{said}");
    }
}

#[test]
fn a_member_tries_tls_as_its_sslmode_says() {
    for (text, sslmode, ssl, expected) in [
        ("hostssl all,replication repl all md5", "prefer", true, "++++"),
        ("hostnossl all,replication repl all md5", "prefer", true, "++++"),
        ("hostssl all,replication repl all md5", "disable", true, "----"),
        ("hostnossl all,replication repl all md5", "verify-full", true, "----"),
        (
            "hostssl all,replication repl all reject\nhost all,replication repl all md5",
            "allow",
            true,
            "++++",
        ),
        (
            "hostssl all,replication repl all reject\nhost all,replication repl all md5",
            "require",
            true,
            "----",
        ),
        ("host all,replication repl all md5", "require", false, "++++"),
    ] {
        let mut facts = facts(text);
        facts.sslmode = sslmode.into();
        facts.about.ssl = ssl;
        assert_eq!(access(&facts), expected, "{text} {sslmode}");
        let no_tls = check(&facts).problems.iter().any(|line| line.contains("ssl is off"));
        assert_eq!(no_tls, sslmode == "require" && !ssl, "{sslmode}");
    }
}

#[test]
fn the_lines_to_add_have_the_least_rights_and_their_place() {
    let well = "host replication,postgres repl 10.0.0.0/24 md5\n";
    let with = |text: &str, change: fn(&mut Facts)| {
        let mut facts = facts(text);
        change(&mut facts);
        let check = check(&facts);
        (check.add, check.before.map(|spot| spot.line))
    };
    let n3 = |line: &str| (vec![line.to_owned()], None);
    assert_eq!(
        with(well, |_| ()),
        n3("host  replication,postgres  repl  fd00::3/128  scram-sha-256")
    );
    assert_eq!(
        with(well, |facts| facts.about.ssl = true),
        n3("hostssl  replication,postgres  repl  fd00::3/128  scram-sha-256")
    );
    let md5 = |facts: &mut Facts| {
        let secret = Secret::Md5;
        facts.role = Role::There { login: true, replication: true, secret, expired: false };
    };
    assert_eq!(with(well, md5), n3("host  replication,postgres  repl  fd00::3/128  md5"));
    // What is there already is not asked for again, and each stands before what would shadow it.
    let (add, before) =
        with("local all all peer\nhost all all all md5\nhost all all all md5\n", |_| ());
    let line = |address: &str| format!("host  replication  repl  {address}  scram-sha-256");
    assert_eq!(add, ["10.0.0.1/32", "10.0.0.2/32", "fd00::3/128"].map(line));
    assert_eq!(before, None);
    let (add, before) = with("local all all peer\nhost all all all reject\n", |_| ());
    assert!(add[1].starts_with("host  replication,postgres  repl  10.0.0.2/32"), "{add:?}");
    assert_eq!(before, Some(2));
}

#[test]
fn what_no_line_mends_is_told_apart() {
    let text = "host replication,postgres repl all scram-sha-256";
    let role =
        |login, replication, secret, expired| Role::There { login, replication, secret, expired };
    for (role, words) in [
        (Role::Missing, "does not exist: CREATE ROLE repl LOGIN REPLICATION"),
        (role(false, true, Secret::Scram, false), "ALTER ROLE repl LOGIN"),
        (role(true, false, Secret::Scram, false), "ALTER ROLE repl REPLICATION"),
        (role(true, true, Secret::Scram, true), "has expired"),
        (role(true, true, Secret::None, false), "repl has no password: \\password repl"),
        (role(true, true, Secret::Md5, false), "stored as md5"),
    ] {
        let found = check(&Facts { role, ..facts(text) });
        let [problem] = found.problems.as_slice() else { panic!("{found:?}") };
        assert!(problem.contains(words), "{problem}");
        assert!(found.add.is_empty() && !found.is_well(), "{found:?}");
        assert!(found.complaints()[0].contains(words), "{:?}", found.complaints());
    }
    // Where no password is asked for, none is missed.
    for method in ["trust", "cert"] {
        let text = format!("host replication,postgres repl all {method}");
        let secret = role(true, true, Secret::None, false);
        let found = check(&Facts { role: secret, ..facts(&text) });
        assert!(found.is_well(), "{found:?}");
        let open = found.notes.iter().any(|note| note.contains("without a password"));
        assert_eq!(open, method == "trust", "{found:?}");
    }
}

#[test]
fn a_name_that_leads_nowhere_or_home_is_no_address() {
    let mut facts = facts("host replication,postgres repl all md5");
    facts.members[1] = member("n2", "n2.example.org");
    let mut home = member("n3", "127.0.1.1");
    home.address = "n3".into();
    facts.members[2] = home;
    assert_eq!(access(&facts), "????");
    let found = check(&facts);
    assert!(found.members[1].replication.why.contains("cannot be resolved"), "{found:?}");
    assert!(found.members[2].replication.why.contains("set node_addresses"), "{found:?}");
    // Who gives a loopback address means it; of a name, what others see counts.
    facts.members[1] = member("n2", "127.0.0.2");
    let several = ["fe80::3", "10.0.0.3", "fd00::3"].map(|ip| ip.parse().unwrap());
    facts.members[2].resolved = Known::Known(several.to_vec());
    assert_eq!(access(&facts), "++++++");
}

#[test]
fn lines_that_cannot_be_read_and_lines_without_effect_are_two_things() {
    let mut facts = facts("host replication,postgres repl all md5");
    let error = Some("hostssl record cannot match because SSL is disabled".to_owned());
    facts.rules.push(Rule { line: 7, kind: "hostssl".into(), error, ..facts.rules[0].clone() });
    let found = check(&facts);
    assert!(found.is_well() && found.notes[0].contains("line 7 has no effect"), "{found:?}");
    let error = Some("invalid IP address \"x\"".to_owned());
    let bad = Rule { line: 9, kind: String::new(), error, ..facts.rules[0].clone() };
    facts.rules.push(bad);
    let found = check(&facts);
    assert_eq!((found.errors.len(), found.errors[0].line), (1, 9));
    assert!(!found.is_well());
}

#[test]
fn the_report_fits_a_terminal_and_says_what_to_add_where() {
    let mut facts = facts("host replication repl all md5\nhost all all all reject\n");
    facts.members.push(member("n4", "n4.example.org"));
    facts.members[0] = member("n1", "n1.example.org");
    let shown = check(&facts).to_string();
    let expected = "\
NODE  ADDRESS   REPLICATION  PG_REWIND
(n1)  ?         ?            ?
n2    10.0.0.2  ✓ line 1     ✗ line 2
n3    fd00::3   ✓ line 1     ✗ line 2
n4    ?         ?            ?
(n1) is this node: its own address need not come in here.
Why:
- n1: the name n1.example.org cannot be resolved: no address
- n2 (10.0.0.2), pg_rewind: line 2 rejects it
- n3 (fd00::3), pg_rewind: line 2 rejects it
- n4: the name n4.example.org cannot be resolved: no address
Add before line 2 of /etc/pg_hba.conf, and reload (or: pgtwin fix-pghba):
  host  postgres  repl  10.0.0.2/32  scram-sha-256
  host  postgres  repl  fd00::3/128  scram-sha-256
";
    assert!(shown == expected, "{shown}");
}

#[test]
fn a_long_name_with_a_long_address_has_two_lines() {
    let mut facts = facts("host replication repl all md5\n");
    facts.members[1] = member("database-2.example.org", "2001:db8:85a3:1111:2222:8a2e:3370:7334");
    let shown = check(&facts).to_string();
    let expected = [
        "NODE              ADDRESS                                 REPLICATION  PG_REWIND",
        "(n1)              10.0.0.1                                ✓ line 1     ✗ no line",
        "database-2.example.org",
        "                  2001:db8:85a3:1111:2222:8a2e:3370:7334  ✓ line 1     ✗ no line",
        "n3                fd00::3                                 ✓ line 1     ✗ no line",
    ];
    assert_eq!(shown.lines().take(5).collect::<Vec<_>>(), expected, "{shown}");
}
