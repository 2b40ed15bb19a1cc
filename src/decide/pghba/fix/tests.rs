use super::super::tests::{facts, facts_without, member, own_line, view};
use super::*;
use crate::cluster::known::Known;

/// What becomes of this text; empty: nothing.
fn fixed_with(text: &str, change: impl Fn(&mut Facts)) -> String {
    let mut facts = facts(text);
    change(&mut facts);
    match plan(&facts, text.as_bytes()) {
        Ruling::Nothing => String::new(),
        Ruling::Refused(why) => panic!("{why}"),
        Ruling::Change(plan) => {
            let after = Facts { rules: with_own(&plan.text), ..facts.clone() };
            verify(&facts, &after, &plan).unwrap();
            // It is what it will be.
            assert_eq!(super::plan(&after, &plan.text), Ruling::Nothing, "{text}");
            String::from_utf8(plan.text).unwrap()
        }
    }
}

fn with_own(text: &[u8]) -> Vec<Rule> {
    let mut rules = view(text);
    rules.push(own_line());
    rules
}

#[test]
fn the_agents_own_line_comes_into_the_block_stays_there_and_counts() {
    let well = "host replication,postgres repl all md5\n";
    let plan_of = |text: &str| match plan(&facts_without(text), text.as_bytes()) {
        Ruling::Nothing => String::new(),
        Ruling::Refused(why) => panic!("{why}"),
        Ruling::Change(plan) => {
            let after = Facts { rules: view(&plan.text), ..facts_without(text) };
            verify(&facts_without(text), &after, &plan).unwrap();
            assert_eq!(super::plan(&after, &plan.text), Ruling::Nothing, "{text}");
            String::from_utf8(plan.text).unwrap()
        }
    };
    let block = format!("{BEGIN}\nlocal  replication  postgres  peer  # the agent\n{END}\n");
    let peer = "local all all peer\n";
    assert_eq!(plan_of(&format!("{well}{peer}")), format!("{well}{peer}{block}"));
    assert_eq!(plan_of(&format!("{well}{peer}{block}")), "");
    let reject = "local replication all reject\n";
    assert_eq!(
        plan_of(&format!("{well}{peer}{reject}{block}")),
        format!("{well}{peer}{block}{reject}")
    );
    // The line of a member, and its own: one block.
    let n2 = well.replace("all md5", "10.0.0.0/24 md5");
    let both = plan_of(&format!("{n2}{peer}"));
    let n3 = "host  replication,postgres  repl  fd00::3/128  scram-sha-256  # n3\n";
    assert_eq!(both, format!("{n2}{peer}{}", block.replace(END, &format!("{n3}{END}"))));
    let mut other = facts_without(&format!("{well}{peer}"));
    let Ruling::Change(plan) = plan(&other, format!("{well}{peer}").as_bytes()) else {
        panic!("no change")
    };
    let before = other.clone();
    other.agent.user = "else".into();
    other.rules = view(&plan.text);
    let why = verify(&before, &other, &plan).unwrap_err();
    assert!(why.contains("the agent would still be kept out of replication: "), "{why}");
}

fn fixed(text: &str) -> String {
    fixed_with(text, |_| ())
}

fn block(databases: &str) -> String {
    let line = |node: &str, address: &str| {
        format!("host  {databases}  repl  {address}  scram-sha-256  # {node}\n")
    };
    let lines = [("n1", "10.0.0.1/32"), ("n2", "10.0.0.2/32"), ("n3", "fd00::3/128")];
    let lines: String = lines.iter().map(|(node, address)| line(node, address)).collect();
    format!("{BEGIN}\n{lines}{END}\n")
}

#[test]
fn the_block_stands_where_it_counts_and_all_else_is_as_it_was() {
    let both = block("replication,postgres");
    for (before, after) in [
        ("", both.clone()),
        ("local all all peer", format!("local all all peer\n{both}")),
        ("# one\n\nlocal all all peer\n", format!("# one\n\nlocal all all peer\n{both}")),
        (
            "local all all peer\n# no\nhost all,replication all all reject # x\n# end\n",
            format!(
                "local all all peer\n# no\n{both}host all,replication all all reject # x\n# end\n"
            ),
        ),
        (
            "host all other all md5\nhost all all all ident\nhost all all all md5\n",
            format!("host all other all md5\n{both}host all all all ident\nhost all all all md5\n"),
        ),
        ("host all all all md5\n", format!("host all all all md5\n{}", block("replication"))),
        (
            "host replication repl all md5\nhost all all all reject",
            format!("host replication repl all md5\n{}host all all all reject", block("postgres")),
        ),
        ("host all,replication repl all md5\n", String::new()),
        ("local all all peer\\\n", format!("local all all peer\\\n\n{both}")),
    ] {
        assert_eq!(fixed(before), after, "{before:?}");
    }
}

#[test]
fn regression_a_file_that_ends_in_a_carriage_return_is_not_changed_again_and_again() {
    assert_eq!(fixed("\r"), format!("\r\n{}", block("replication,postgres")));
    let crlf = block("replication,postgres").replace('\n', "\r\n");
    assert_eq!(fixed("# one\r\n"), format!("# one\r\n{crlf}"));
    assert_eq!(fixed(&format!("# one\n{crlf}")), "");
}

#[test]
fn an_address_that_two_members_share_has_one_line() {
    let odd = |facts: &mut Facts| {
        facts.members = vec![member("n2", "10.0.0.2"), member("n3", "10.0.0.2")];
    };
    let line = "host  replication,postgres  repl  10.0.0.2/32  scram-sha-256  # n2\n";
    assert_eq!(
        fixed_with("local all all peer\n", odd),
        format!("local all all peer\n{BEGIN}\n{line}{END}\n")
    );
}

#[test]
fn lines_end_as_the_others_do() {
    let text = "local all all peer\r\nhost all all all reject\r\n";
    let expected = format!(
        "local all all peer\r\n{}host all all all reject\r\n",
        block("replication,postgres").replace('\n', "\r\n")
    );
    assert_eq!(fixed(text), expected);
}

#[test]
fn a_block_that_is_there_is_kept_moved_or_made_shorter() {
    let both = block("replication,postgres");
    let local = "local all all peer\n";
    assert_eq!(fixed(&format!("{local}{both}{local}")), "");
    let reject = "host all,replication all all reject\n";
    assert_eq!(
        fixed(&format!("{local}{reject}{both}{local}")),
        format!("{local}{both}{reject}{local}")
    );
    // One who left takes its line along, one who came gets one, whose address is not known keeps it.
    let without = |facts: &mut Facts| {
        facts.members.remove(2);
    };
    let n3 = both.split_inclusive('\n').find(|line| line.contains("# n3")).unwrap();
    assert_eq!(
        fixed_with(&format!("{both}{local}"), without),
        format!("{both}{local}").replace(n3, "")
    );
    let unknown = |facts: &mut Facts| facts.members[2].resolved = Known::unknown("no answer");
    assert_eq!(fixed_with(&format!("{both}{local}"), unknown), "");
    let more = |facts: &mut Facts| facts.members.push(member("n4", "10.0.0.4"));
    let n4 = "host  replication,postgres  repl  10.0.0.4/32  scram-sha-256  # n4\n";
    assert_eq!(
        fixed_with(&format!("{local}{both}"), more),
        format!("{local}{both}").replace(END, &format!("{n4}{END}"))
    );
    let alone = |facts: &mut Facts| facts.members.clear();
    assert_eq!(fixed_with(&format!("{local}{both}{reject}"), alone), format!("{local}{reject}"));
    // A line for an address that has one elsewhere as well stays: who has written which is not known.
    let wide = format!("host all,replication repl all md5\n{both}");
    assert_eq!(fixed(&wide), "");
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    for (text, words) in [
        (
            format!("{BEGIN}\nlocal all all peer\n"),
            "line 1 begins a block of pgtwin's that does not end",
        ),
        (
            format!("local all all peer\n{END}\n"),
            "line 2 ends a block of pgtwin's that does not begin",
        ),
        (format!("{BEGIN}\n{END}\n{BEGIN}\n{END}\n"), "line 3 begins a second block"),
    ] {
        match plan(&facts(&text), text.as_bytes()) {
            Ruling::Refused(why) => assert!(why.contains(words), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    let mut broken = facts("local all all peer\n");
    broken.rules[0].kind.clear();
    broken.rules[0].error = Some("nonsense".into());
    let Ruling::Refused(why) = plan(&broken, b"x\n") else { panic!("not refused") };
    assert!(why.contains("cannot read line 1 of /etc/pg_hba.conf (nonsense)"), "{why}");
}

#[test]
fn a_rule_of_an_included_file_is_stood_before_where_it_is_included() {
    let text = "local all all peer\ninclude a.conf\nlocal all all md5\ninclude b.conf\n";
    let mut facts = facts(text);
    facts.about.major = 16;
    let reject = view(b"host all,replication all all reject\n").remove(0);
    // Before the agent's own line, which stands behind the text.
    let at = facts.rules.len() - 1;
    facts.rules.insert(at, Rule { file: Some("/etc/b.conf".into()), ..reject });
    let Ruling::Change(plan) = plan(&facts, text.as_bytes()) else { panic!("no change") };
    let both = block("replication,postgres");
    let expected = text.replace("include b.conf", &format!("{both}include b.conf"));
    assert_eq!(String::from_utf8(plan.text).unwrap(), expected);
}

#[test]
fn a_file_that_became_another_one_is_noticed() {
    let text = "local all all peer\nhost all all all reject\n";
    let facts = facts(text);
    let Ruling::Change(plan) = plan(&facts, text.as_bytes()) else { panic!("no change") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let after = |bytes: &str| Facts { rules: with_own(bytes.as_bytes()), ..facts.clone() };
    let new = text(&plan.text);
    assert!(verify(&facts, &after(&new), &plan).is_ok());
    for (other, words) in [
        (new.replace("10.0.0.2", "10.0.0.9"), "n2 would still be kept out: "),
        (new.replace("peer", "trust"), "other lines mean something else"),
        (format!("host all all all trust\n{new}"), "other lines mean something else"),
    ] {
        let why = verify(&facts, &after(&other), &plan).unwrap_err();
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn the_difference_is_shown_as_diff_does_without_secrets() {
    let diff = |text: &str| match plan(&facts(text), text.as_bytes()) {
        Ruling::Change(plan) => plan.diff,
        other => panic!("{other:?}"),
    };
    let shown =
        diff("# 1\n# 2\n# 3\n# 4\nhost all,replication all all reject\n# 6\n# 7\n# 8\n# 9\n");
    let expected = format!(
        "--- /etc/pg_hba.conf\n+++ /etc/pg_hba.conf\n@@ -2,6 +2,11 @@\n # 2\n # 3\n # 4\n{}\
         \x20host all,replication all all reject\n # 6\n # 7\n",
        block("replication,postgres")
            .split_inclusive('\n')
            .flat_map(|line| ["+", line])
            .collect::<String>()
    );
    assert_eq!(shown, expected);
    assert!(diff("").contains("\n@@ -0,0 +1,5 @@\n+# BEGIN"), "{}", diff(""));
    let far = "# 1\n".repeat(20);
    let both = block("replication,postgres");
    let moved = diff(&format!("host all,replication all all reject\n{far}{both}"));
    assert!(moved.contains("@@ -1,3 +1,8 @@\n+# BEGIN"), "{moved}");
    let gone: String = both.split_inclusive('\n').flat_map(|line| ["-", line]).collect();
    assert!(moved.ends_with(&format!("\n@@ -19,8 +24,3 @@\n # 1\n # 1\n # 1\n{gone}")), "{moved}");
    for (line, expected) in [
        (
            "host all all all ldap ldapbindpasswd=geheim x",
            "host all all all ldap ldapbindpasswd=**** x",
        ),
        ("h \"ldapbindpasswd=ge heim\" y", "h \"ldapbindpasswd=****\" y"),
        ("h ldapbindpasswd=\"ge heim\" y", "h ldapbindpasswd=****\" y"),
        (
            "h radiussecrets=\"a,b\",c=d ldapbindpasswd=e",
            "h radiussecrets=****\",c=d ldapbindpasswd=****",
        ),
        ("host all", "host all"),
    ] {
        assert_eq!(masked(line), expected);
    }
}
