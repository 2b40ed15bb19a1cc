//! Defects of PostgreSQL and of the machine, one by one.

mod rows;

use super::*;

use rows::{ROWS, corosync, volume};

/// The facts after a change of the member and its server.
fn with(cib: &str, change: impl Fn(&mut Member, &mut Server)) -> Facts {
    let mut facts = facts_of(cib, "trixie");
    let Here::Member(member) = &mut facts.here else { unreachable!() };
    let Known::Known(mut server) = member.server.clone() else { unreachable!() };
    change(member, &mut server);
    member.server = Known::Known(server);
    facts
}

fn set(server: &mut Server, name: &str, text: &str) {
    server.settings.insert(name.to_owned(), value(text));
}

/// Here and there alike.
fn set_all(member: &mut Member, server: &mut Server, name: &str, text: &str) {
    set(server, name, text);
    for remote in remotes(member) {
        remote.settings.insert(name.to_owned(), text.to_owned());
    }
}

fn remotes(member: &mut Member) -> impl Iterator<Item = &mut Remote> {
    member.peers.values_mut().filter_map(|peer| match &mut peer.postgres {
        Login::In(remote) => Some(remote),
        _ => None,
    })
}

fn hba(member: &mut Member) -> &mut pghba::Facts {
    let Known::Known(hba) = &mut member.hba else { unreachable!() };
    hba
}

fn n2(member: &mut Member) -> &mut Peer {
    member.peers.get_mut(&node("n2")).unwrap()
}

/// What a row of ours leads to besides.
fn besides(name: &str) -> &'static [&'static str] {
    match name {
        "indexes" => &["versions"],
        "the size is not known" => &["timeouts-size"],
        _ => &[],
    }
}

#[test]
fn every_defect_of_a_server_or_a_machine_is_named() {
    let cib = healthy_cib("trixie");
    let (mut named, mut failed) = (BTreeSet::new(), Vec::new());
    for (name, change, expected) in ROWS {
        named.insert(expected.split([' ', ':']).nth(1).unwrap().to_owned());
        let unlike = unlike(&with(&cib, change), expected, besides(name));
        failed.extend(unlike.map(|why| format!("{name}: {why}")));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // Each check that looks at a member has a row that it does not pass.
    let members =
        TABLE.iter().filter(|check| !matches!(check.look, Look::Cluster(_) | Look::State(_)));
    let missing: Vec<&str> =
        members.map(|check| check.id).filter(|id| !named.contains(*id)).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}

#[test]
fn a_server_that_was_not_asked_leaves_nothing_well_that_it_would_have_to_say() {
    let mut facts = healthy();
    let Here::Member(member) = &mut facts.here else { unreachable!() };
    member.server = Known::unknown("it does not run");
    let report = examine(&facts, &[]);
    for check in TABLE.iter().filter(|check| matches!(check.look, Look::Server(_))) {
        let verdicts: Vec<Verdict> = report
            .findings
            .iter()
            .filter(|one| one.check == check.id)
            .map(|one| one.verdict)
            .collect();
        assert_eq!(verdicts, [Verdict::Unknown], "{}", check.id);
    }
    assert_eq!(report.verdict(), Verdict::Unknown);
}

#[test]
fn a_server_without_the_settings_leaves_the_checks_of_them_unknown() {
    let facts = with(&healthy_cib("trixie"), |_, server| server.settings.clear());
    let said = said(&facts).join("\n");
    for check in [
        "wal-level",
        "hot-standby",
        "rewind",
        "durability",
        "synchronous-commit",
        "restart-after-crash",
        "wal-senders",
        "sender-timeout",
        "listen-addresses",
        "archiving",
        "slots",
        "settings-size",
    ] {
        assert!(said.contains(&format!("UNKNOWN {check}: ")), "{check}: {said}");
    }
    assert!(!said.contains("FAIL"), "{said}");
}

#[test]
fn members_that_do_not_answer_are_not_known_rather_than_well() {
    let silent = |member: &mut Member, _: &mut Server| {
        let peer = n2(member);
        peer.replication = Login::NotTried("nobody listens there".into());
        peer.postgres = Login::NotTried("nobody listens there".into());
    };
    let said = said(&with(&healthy_cib("trixie"), silent)).join("\n");
    for check in ["logins", "settings-size", "settings-equal", "delays", "clock"] {
        assert!(said.contains(&format!("UNKNOWN {check}: ")), "{check}: {said}");
    }
    assert_eq!(said.matches("nobody listens there").count(), 1, "{said}");
    let kept_out = |member: &mut Member, _: &mut Server| {
        n2(member).postgres = Login::KeptOut("no pg_hba.conf entry".into());
        n2(member).passfile_lacks = vec!["n2:5432:postgres:replicator:PASSWORD".into()];
    };
    let said = super::said(&with(&healthy_cib("trixie"), kept_out)).join("\n");
    assert!(said.contains("FAIL logins: n2 does not let this node in for postgres"), "{said}");
    assert!(
        said.contains("WARN passfile: ") && said.contains("has not all lines for n2"),
        "{said}"
    );
}

#[test]
fn names_that_lead_nowhere_or_back_here_are_named() {
    let address = |text: &'static str| {
        move |member: &mut Member, _: &mut Server| {
            n2(member).resolved = Known::Known(vec![text.parse().unwrap()]);
        }
    };
    let said_of = |change: &dyn Fn(&mut Member, &mut Server)| {
        said(&with(&healthy_cib("trixie"), change)).join("\n")
    };
    let own = said_of(&address("127.0.1.1"));
    assert!(own.contains("FAIL addresses: n2 is 127.0.1.1 here, which is this machine"), "{own}");
    let vip = said_of(&address("10.0.0.100"));
    assert!(vip.contains("n2 is reached by the address 10.0.0.100, which moves"), "{vip}");
    let nowhere = said_of(&|member, _| {
        n2(member).resolved = Known::unknown("no address");
        hba(member).members[1].resolved = Known::unknown("no address");
    });
    assert!(nowhere.contains("FAIL addresses: n2 is not found"), "{nowhere}");
    assert!(
        nowhere.contains("UNKNOWN hba: whether pg_hba.conf here lets in is not known of n2 for"),
        "{nowhere}"
    );
    // Debian's own line for the machine's own name.
    let debian = said_of(&|member, _| {
        member.host.resolved = Known::Known(vec!["127.0.1.1".parse().unwrap()]);
    });
    assert_eq!(debian, "");
    let fqdn = said_of(&|member, _| member.host.hostname = "n1.example.org".into());
    assert_eq!(fqdn, "");
}

#[test]
fn two_nodes_need_two_node_or_a_device_and_to_wait_for_each_other() {
    let two = of_two(&healthy_cib("trixie"));
    let said_of = |change: &dyn Fn(&mut Corosync)| {
        said(&with(&two, |member, _| change(corosync(member)))).join("\n")
    };
    assert_eq!(said_of(&|_| ()), "");
    let neither = said_of(&|corosync| corosync.two_node = false);
    assert!(neither.contains("FAIL corosync: corosync.conf has neither two_node: 1"), "{neither}");
    assert_eq!(
        said_of(&|corosync| {
            corosync.two_node = false;
            corosync.device = Some("net".into());
        }),
        ""
    );
    let alone = said_of(&|corosync| corosync.wait_for_all = Some(false));
    assert!(alone.contains("WARN corosync: corosync.conf has wait_for_all: 0"), "{alone}");
}

#[test]
fn async_mode_and_a_large_database_are_judged_by_their_own_measure() {
    let cib = healthy_cib("trixie");
    let asynchronous =
        cib.replace("name=\"repuser\" value=\"replicator\"", "name=\"rep_mode\" value=\"async\"");
    let facts = with(&asynchronous, |m, s| set_all(m, s, "synchronous_commit", "off"));
    assert_eq!(said(&facts), [""; 0]);
    let large = with(&cib, |member, server| {
        server.database = Known::Known(9 << 40);
        volume(member, 0, 90 << 40);
        if let Known::Known(volumes) = &mut member.host.volumes {
            volumes[0].total = 100 << 40;
        }
    });
    only(
        "large",
        &large,
        "WARN timeouts-size: basebackup_timeout is 3600 s: a node could not be rebuilt",
    );
}
