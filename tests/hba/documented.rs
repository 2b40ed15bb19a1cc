//! What the two commands say of pg_hba.conf is found in docs/troubleshooting.md in its own words.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::PoisonError;

use pgtwin::cluster::known::Known;
use pgtwin::decide::pghba::fix::{Ruling, plan};
use pgtwin::decide::pghba::{About, Check, Facts, OwnAgent, Role, Secret, check};
use pgtwin::decide::reach::Member;
use pgtwin::postgres::hba::{Rule, Surroundings, parse_rows};

use crate::place::ONE_AT_A_TIME;

/// What varies; no message contains it otherwise.
const NAME: &str = "zz1";
const LINE: &str = "77777";

fn rule(fields: &str) -> Vec<Rule> {
    let local = format!("{LINE}\tlocal\t{{all,replication}}\t{{all}}\t\t\tpeer\t");
    parse_rows(&format!("{LINE}\t{}\t\n{local}", fields.replace(' ', "\t"))).unwrap()
}

fn facts() -> Facts {
    let address = "10.0.0.2";
    let resolved = Known::Known(vec![address.parse().unwrap()]);
    let member = Member { node: NAME.parse().unwrap(), address: address.into(), resolved };
    Facts {
        me: "zz2".parse().unwrap(),
        primary: true,
        user: NAME.into(),
        about: About { major: 15, ssl: false, hba_file: NAME.into(), changed: false },
        role: role(true, true, Secret::Scram, false),
        rules: rule("host {all,replication} {all} all  scram-sha-256"),
        around: Surroundings {
            major: Known::Known(15),
            groups: Known::Known(BTreeSet::new()),
            interfaces: Known::Known(Vec::new()),
            host_names: BTreeMap::new(),
            matches: BTreeMap::new(),
        },
        agent: OwnAgent { user: NAME.into(), around: Surroundings::unknown("not asked") },
        sslmode: "prefer".into(),
        members: vec![member],
    }
}

const fn role(login: bool, replication: bool, secret: Secret, expired: bool) -> Role {
    Role::There { login, replication, secret, expired }
}

/// Everything that a check says, but for the lines to add.
fn words(found: &Check) -> Vec<String> {
    let members = found.members.iter().flat_map(|entry| [&entry.replication, &entry.pg_rewind]);
    let verdicts = [&found.agent.replication, &found.agent.postgres].into_iter().chain(members);
    let failed = verdicts.filter(|verdict| verdict.access != pgtwin::decide::pghba::Access::Yes);
    let mut words: Vec<String> = failed.map(|verdict| verdict.why.clone()).collect();
    words.extend(found.problems.iter().chain(&found.notes).cloned());
    words
}

/// The longest part of a message that does not vary, and ends before what is to be typed.
fn constant_part(message: &str) -> String {
    let message = message.split(": ").next().unwrap();
    let text = message.replace(NAME, "\0").replace(LINE, "\0");
    text.split('\0').map(str::trim).max_by_key(|part| part.len()).unwrap().to_owned()
}

#[test]
fn every_finding_has_its_entry_in_the_troubleshooting() {
    let well = facts;
    let by = |fields: &str| Facts { rules: rule(fields), ..well() };
    let mut home = well();
    home.members[0].address = NAME.into();
    home.members[0].resolved = Known::Known(vec!["127.0.1.1".parse().unwrap()]);
    let mut changed = well();
    changed.about.changed = true;
    let mut idle = well();
    let error = Some("hostssl record cannot match because SSL is disabled".to_owned());
    idle.rules.push(Rule { error, ..idle.rules[0].clone() });
    let all = [
        by("host {other} {all} all  md5"),
        by("host {all,replication} {all} all  reject"),
        by("host {all,replication} {all} n2.example.org  md5"),
        by("host {all,replication} {all} all  ident"),
        by("host {all,replication} {all} all  trust"),
        by("local {all,replication} {all}   scram-sha-256"),
        Facts { me: NAME.parse().unwrap(), ..by("host {other} {all} all  md5") },
        Facts { role: Role::Missing, ..well() },
        Facts { role: role(false, true, Secret::Scram, false), ..well() },
        Facts { role: role(true, false, Secret::Scram, false), ..well() },
        Facts { role: role(true, true, Secret::Md5, false), ..well() },
        Facts { role: role(true, true, Secret::None, false), ..well() },
        Facts { role: role(true, true, Secret::Scram, true), ..well() },
        Facts { sslmode: "require".into(), ..well() },
        home,
        changed,
        idle,
    ];
    let mut said: Vec<String> = Vec::new();
    for facts in &all {
        let new = words(&check(facts));
        assert!(!new.is_empty(), "{facts:?} says nothing");
        said.extend(new);
    }
    for text in
        ["# BEGIN pgtwin\n", "# END pgtwin\n", "# BEGIN pgtwin\n# END pgtwin\n# BEGIN pgtwin\n"]
    {
        let Ruling::Refused(why) = plan(&well(), text.as_bytes()) else { panic!("{text}") };
        let words = why.split_once(": line ").unwrap().1;
        said.push(words.split_once(' ').unwrap().1.to_owned());
    }
    // While another test acts as the PostgreSQL user, this process is that user and may not read here.
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/troubleshooting.md");
    let page = fs::read_to_string(page).unwrap();
    let parts: BTreeSet<String> = said.iter().map(|words| constant_part(words)).collect();
    assert!(parts.len() >= 17, "{parts:#?}");
    let missing: Vec<&String> = parts.iter().filter(|part| !page.contains(*part)).collect();
    assert!(missing.is_empty(), "docs/troubleshooting.md lacks: {missing:#?}");
}
