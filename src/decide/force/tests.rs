use super::*;
use crate::cluster::position::Publication;
use crate::decide::election::{Obstacle, Plan, Purpose};
use crate::decide::support::{SYSTEM, after, at, at_least, entry, node, nodes, says, store};

/// n1 went on alone in term 3 and is lost; n2 runs as a standby and is to be promoted.
fn stuck() -> Facts {
    let binding = after(entry(3, 9, 33, "n1", ""), &[22]);
    Facts {
        node: node("n2"),
        me: node("n2"),
        member: true,
        quorum: Known::Known(true),
        promoted: nodes(""),
        others: BTreeMap::from([(
            node("n1"),
            Other {
                online: false,
                absence: Absence::Proven,
                server: Server::Absent("it is not reached".into()),
            },
        )]),
        here: Here::Standby,
        position: Known::Known(at("1", "0/500")),
        data: Known::Known((SYSTEM, Timeline(1))),
        entries: Known::Known(vec![binding.clone()]),
        pending: false,
        followed: Some(PromotionId(33)),
        ruling: election::Ruling::Refused(vec![Obstacle::NotAnHeir(Box::new(binding))]),
        mode: Mode::Sync,
        strict: false,
        maintenance: false,
    }
}

fn other(server: Server) -> BTreeMap<NodeName, Other> {
    let online = Absence::Present("it is online".into());
    BTreeMap::from([(node("n1"), Other { online: true, absence: online, server })])
}

fn proposal(facts: &Facts) -> Proposal {
    match judge(facts) {
        Ruling::Possible(proposal) => proposal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_is_refused_while_anybody_else_may_write_or_nothing_could_come_of_it() {
    let lost = |absence: Absence| {
        let server = Server::Absent("it is not reached".into());
        BTreeMap::from([(node("n1"), Other { online: false, absence, server })])
    };
    let rows: Vec<(&str, Facts, &str)> = vec![
        ("elsewhere", Facts { node: node("n1"), ..stuck() }, "it has to run on n1 itself"),
        ("no such node", Facts { node: node("n9"), ..stuck() }, "n9 is no member"),
        ("this node in capitals", Facts { node: node("N2"), ..stuck() }, "this node is n2, not N2"),
        (
            "another node by its longer name",
            Facts { node: node("n1.example.org"), ..stuck() },
            "there is no member n1.example.org: n1 may be meant",
        ),
        ("a stranger", Facts { member: false, ..stuck() }, "n2 is no member"),
        ("a primary", Facts { promoted: nodes("n1"), ..stuck() }, "n1 is promoted for Pacemaker"),
        (
            "a writable peer that Pacemaker knows nothing of",
            Facts { others: other(Server::Primary(Timeline(1), Lsn(1))), ..stuck() },
            "n1 accepts writes at this moment",
        ),
        (
            "a lost node that was not fenced",
            Facts { others: lost(Absence::Present("it is lost".into())), ..stuck() },
            "n1 may still accept writes: it is lost",
        ),
        ("no quorum", Facts { quorum: Known::Known(false), ..stuck() }, "no quorum"),
        (
            "no controller",
            Facts { quorum: Known::unknown("there is no controller"), ..stuck() },
            "there is no controller",
        ),
        (
            "it does not run",
            Facts { here: Here::Other("it does not run".into()), ..stuck() },
            "has to run as a standby on n2 first",
        ),
        ("it is primary", Facts { here: Here::Primary, ..stuck() }, "n2 accepts writes already"),
        ("a promotion is under way", Facts { pending: true, ..stuck() }, "has begun and has not"),
        (
            "its data is not known",
            Facts { data: Known::unknown("no control file"), ..stuck() },
            "no control file",
        ),
        (
            "the ledger cannot be read",
            Facts { entries: Known::unknown("crm_mon hung"), ..stuck() },
            "the ledger cannot be read: crm_mon hung",
        ),
        (
            "another database",
            Facts { data: Known::Known((99, Timeline(1))), ..stuck() },
            "is about database system 7, the data of n2 is 99",
        ),
    ];
    for (name, facts, expected) in rows {
        match judge(&facts) {
            Ruling::Refused(why) => assert!(why.contains(expected), "{name}: {why}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn what_the_election_permits_needs_no_force() {
    let plan =
        Plan { term: 4, seq: 0, in_place: false, names: nodes(""), heirs: nodes(""), after: None };
    let facts = Facts { ruling: election::Ruling::Permitted(plan), ..stuck() };
    assert_eq!(judge(&facts), Ruling::NotNeeded);
}

#[test]
fn a_standby_that_opens_only_with_an_upstream_can_be_promoted() {
    let facts = Facts {
        here: Here::WaitsForUpstream,
        position: Known::unknown("it takes no session yet"),
        ..stuck()
    };
    let proposal = proposal(&facts);
    assert!(proposal.remarks.iter().any(|words| words.contains("it takes no session yet")));
}

#[test]
fn the_entry_is_that_of_a_primary_alone_in_the_next_term() {
    let facts = stuck();
    let written = entry_of(&facts);
    assert_eq!((written.term, written.seq), (4, 0));
    assert_eq!(written.primary, node("n2"));
    assert!(written.heirs.is_empty());
    let ids: Vec<u64> = written.history.iter().map(|past| past.id.0).collect();
    assert_eq!(ids, [33, 22]);
    // An intent counts for the term, whoever began it.
    let mut facts = stuck();
    let more = vec![entry(3, 9, 33, "n1", ""), entry(6, 0, 66, "n3", "")];
    facts.entries = Known::Known(more);
    assert_eq!(entry_of(&facts).term, 7);
    facts.entries = Known::Known(Vec::new());
    assert_eq!(entry_of(&facts).term, 1);
}

fn entry_of(facts: &Facts) -> Entry {
    super::entry(&proposal(facts), &facts.me, PromotionId(44), facts.mode)
}

#[test]
fn the_history_names_only_promotions_that_the_data_contains() {
    let binding = after(entry(3, 9, 33, "n1", ""), &[22, 11]);
    let rows: [(Option<u64>, &[u64]); 4] =
        [(Some(33), &[33, 22, 11]), (Some(22), &[22, 11]), (Some(77), &[77]), (None, &[])];
    for (followed, expected) in rows {
        let facts = Facts {
            entries: Known::Known(vec![binding.clone()]),
            followed: followed.map(PromotionId),
            ..stuck()
        };
        let ids: Vec<u64> = proposal(&facts).history.iter().map(|past| past.id.0).collect();
        assert_eq!(ids, expected, "{followed:?}");
    }
    // Pointed at a primary of timeline 2, and nothing of that has come in.
    let binding = Entry { timeline: Timeline(2), ..binding };
    let facts =
        Facts { entries: Known::Known(vec![binding]), followed: Some(PromotionId(33)), ..stuck() };
    let ids: Vec<u64> = proposal(&facts).history.iter().map(|past| past.id.0).collect();
    assert_eq!(ids, [22, 11]);
}

#[test]
fn what_may_be_lost_is_said_node_by_node() {
    let losses = |facts: &Facts| proposal(facts).losses.join("\n");
    let said = losses(&stuck());
    assert!(said.contains("n1 was the primary of term 3; it went on alone"), "{said}");
    assert!(said.contains("n1 has not been seen (it is not reached)"), "{said}");

    let heirs = entry(3, 9, 33, "n1", "n2 n3");
    let mut facts = Facts { entries: Known::Known(vec![heirs]), ..stuck() };
    facts.others.extend(
        [(node("n3"), other(Server::Standby(Timeline(1), Lsn(0x500))))]
            .map(|(name, mut others)| (name, others.pop_first().unwrap().1)),
    );
    let said = losses(&facts);
    assert!(!said.contains("went on alone"), "{said}");
    assert!(said.contains("n3 may have confirmed commits that n2 has not"), "{said}");
    assert!(said.contains("As far as n3 says, n2 has all that n3 has"), "{said}");

    facts.others.get_mut(&node("n3")).unwrap().server = Server::Standby(Timeline(1), Lsn(0x580));
    let said = losses(&facts);
    assert!(said.contains("IT HAS 128 B MORE (0/580 against 0/500): promote n3"), "{said}");

    facts.others.get_mut(&node("n3")).unwrap().server = Server::Standby(Timeline(2), Lsn(0x580));
    let said = losses(&facts);
    assert!(said.contains("n3 is on timeline 2 at 0/580, n2 on timeline 1 at 0/500"), "{said}");

    facts.others.remove(&node("n3"));
    assert!(losses(&facts).contains("n3 is no member any more"));

    let asynchronous = Entry { mode: Mode::Async, ..entry(3, 9, 33, "n1", "n2") };
    let said = losses(&Facts { entries: Known::Known(vec![asynchronous]), ..stuck() });
    assert!(said.contains("replication was asynchronous"), "{said}");

    let said = losses(&Facts { entries: Known::Known(Vec::new()), ..stuck() });
    assert!(said.contains("there is no ledger"), "{said}");

    let own = entry(3, 9, 33, "n2", "");
    let said = losses(&Facts { entries: Known::Known(vec![own]), ..stuck() });
    assert!(said.contains("what n2 itself cannot recover"), "{said}");
}

#[test]
fn what_else_matters_is_said() {
    let remarks = |facts: &Facts| proposal(facts).remarks.join("\n");
    let said = remarks(&stuck());
    for expected in [
        "n2 is on timeline 1 at 0/500",
        "the election refuses n2: only n1 has every acknowledged commit",
        "do not start n1 while it cannot reach n2",
        "n2 takes commits on its own until a standby streams from it",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let mut facts = Facts { strict: true, maintenance: true, ..stuck() };
    facts.position = Known::Known(at_least("1", "0/500"));
    let unproven = Absence::Assumed("fencing is disabled".into());
    facts.others.get_mut(&node("n1")).unwrap().absence = unproven;
    let said = remarks(&facts);
    for expected in [
        "n2 still replays",
        "nothing proves that n1 is down: fencing is disabled",
        "commits on n2 wait until a standby streams from it (sync_strict=true)",
        "until maintenance is over",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// The election for a node in a cluster of n1 and n2, after n2 was forced.
fn elects(me: &str, own: Store, cib: Store, peer: &Known<Publication>) -> election::Ruling {
    let peers = nodes("n1 n2").into_iter().filter(|name| *name != node(me));
    election::judge(&election::Facts {
        me: node(me),
        position: Known::Known(at("1", "0/500")),
        own,
        followed: Some(PromotionId(33)),
        cib: Known::Known(cib),
        peers: peers.map(|name| (name, peer.clone())).collect(),
        out: nodes(""),
        mode: Mode::Sync,
        strict: false,
        reached: None,
        max_lag: 0,
        force: false,
        purpose: Purpose::ColdStart,
    })
}

#[test]
fn the_election_permits_the_forced_node_whatever_it_sees_of_the_others() {
    let alone = after(entry(3, 9, 33, "n1", ""), &[22]);
    let forced = entry_of(&stuck());
    let old = store(std::slice::from_ref(&alone));
    let mut own = old.clone();
    own.set_done(forced.clone());
    let more = says(at("1", "0/900"), old.clone());
    for cib in [own.clone(), old.clone(), store(&[])] {
        for peer in [Known::unknown("it is offline"), more.clone()] {
            let ruling = elects("n2", own.clone(), cib.clone(), &peer);
            let election::Ruling::Permitted(plan) = ruling else { panic!("{ruling:?}") };
            // Like a primary that went on alone and restarts: no other term, nobody to wait for.
            assert_eq!((plan.term, plan.seq), (4, 1));
            assert!(plan.names.is_empty() && plan.heirs.is_empty());
            assert!(plan.after.unwrap().descends_from(PromotionId(22)));
        }
    }
}

#[test]
fn the_old_primary_is_bound_by_the_forced_entry_wherever_it_sees_it() {
    let alone = after(entry(3, 9, 33, "n1", ""), &[22]);
    let old = store(std::slice::from_ref(&alone));
    let mut new = old.clone();
    new.set_done(entry_of(&stuck()));
    let forced = says(at("1", "0/500"), new.clone());
    let nobody = || Known::unknown("it is offline");
    let rows = [
        ("in the CIB", new.clone(), nobody(), false),
        ("in what n2 says", old.clone(), forced.clone(), false),
        ("in both", new, forced, false),
        // The operator's own risk: nothing of it reaches n1.
        ("nowhere", old.clone(), nobody(), true),
    ];
    for (name, cib, peer, permitted) in rows {
        let ruling = elects("n1", old.clone(), cib, &peer);
        assert_eq!(
            matches!(ruling, election::Ruling::Permitted(_)),
            permitted,
            "{name}: {ruling:?}"
        );
    }
}

#[test]
fn two_forced_on_two_sides_tie_and_neither_is_permitted_once_they_meet() {
    let alone = after(entry(3, 9, 33, "n1", ""), &[22]);
    let old = store(std::slice::from_ref(&alone));
    let forced = |name: &str, id: u64| {
        let mut store = old.clone();
        store.set_done(Entry { primary: node(name), id: PromotionId(id), ..entry_of(&stuck()) });
        store
    };
    let (one, two) = (forced("n1", 55), forced("n2", 66));
    let ruling = elects("n1", one.clone(), one.clone(), &says(at("1", "0/500"), two.clone()));
    assert!(matches!(ruling, election::Ruling::Refused(_)), "{ruling:?}");
    let ruling = elects("n2", two.clone(), one.clone(), &Known::unknown("it is offline"));
    assert!(matches!(ruling, election::Ruling::Refused(_)), "{ruling:?}");
}

#[test]
fn entries_of_several_stores_are_told_once() {
    let one = entry(3, 9, 33, "n1", "");
    let two = entry(3, 1, 34, "n2", "");
    let mut stores = [store(std::slice::from_ref(&one)), store(&[one.clone(), two.clone()])];
    assert_eq!(all_entries(&stores), [one.clone(), two.clone()]);
    let intent = Entry { id: PromotionId(35), primary: node("n3"), seq: 2, ..two.clone() };
    for store in &mut stores {
        store.set_intent(intent.clone());
    }
    assert_eq!(all_entries(&stores), [one, intent.as_carried_out(), two]);
}
