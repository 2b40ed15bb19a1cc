//! Which notification leads to what, for whom; who gives way, and who is preferred.

use super::*;
use crate::cluster::ledger::Store;
use crate::decide::election::{Obstacle, Plan};
use crate::decide::support::{
    at, entry, in_async, in_recovery, node, nodes, says, store, streaming, writable,
};
use crate::ocf::notify::Listed;
use crate::postgres::lsn::Timeline;

use What::{Demote, Promote, Start, Stop};
use When::{Post, Pre};

/// Nodes; `-`: Pacemaker did not say.
fn listed(names: &str) -> Listed {
    match names {
        "-" => Listed::Unsaid,
        names => Listed::Nodes(names.split_ascii_whitespace().map(node).collect()),
    }
}

/// A notification about these, with these that are promoted in the same transition.
fn about(when: When, what: What, subject: &str, promote: &str) -> Notification {
    let of = |list| if list == what { listed(subject) } else { Listed::Unsaid };
    Notification {
        when,
        what,
        start: of(Start),
        stop: of(Stop),
        promote: if what == Promote { listed(subject) } else { listed(promote) },
        demote: of(Demote),
        active: listed("n1 n2 n3"),
        promoted: listed("n1"),
        unpromoted: listed("n2 n3"),
        available: listed("n1 n2 n3"),
        all: listed("n1 n2 n3"),
    }
}

fn starting() -> Sql {
    Sql::Starting("it replays".into())
}

/// Every answer of a server that is none of the three that count.
fn neither() -> [Sql; 7] {
    let why = || "why".to_owned();
    [
        Sql::NotAsked,
        Sql::ShuttingDown,
        Sql::Busy(why()),
        Sql::Alive(why()),
        Sql::Hung,
        Sql::Refused(why()),
        Sql::Unknown(why()),
    ]
}

fn care(names: &str, seconds: u64) -> Follows {
    Follows::Care(nodes(names), Duration::from_secs(seconds))
}

fn take_in(names: &str) -> Follows {
    Follows::TakeIn(nodes(names), Duration::from_secs(20))
}

#[test]
fn each_notification_leads_to_what_the_next_step_of_the_cluster_needs() {
    use Follows::{Join, Nothing, PerhapsColdStart};
    let before = || Follows::BeforePromotion(nodes("n2"));
    // When, what, of whom, who is promoted with it; and what a primary does, a standby, one that starts: n1.
    let rows = [
        (Pre, Start, "n2", "", Nothing, Nothing, Nothing),
        (Post, Start, "n2", "", take_in("n2"), PerhapsColdStart, Nothing),
        (Post, Start, "n1 n2", "", take_in("n1 n2"), PerhapsColdStart, Nothing),
        (Post, Start, "n2", "-", take_in("n2"), PerhapsColdStart, Nothing),
        (Post, Start, "n2", "n3", take_in("n2"), Nothing, Nothing),
        (Post, Start, "", "", take_in(""), Nothing, Nothing),
        (Pre, Stop, "n2", "", care("n2", 10), Nothing, Nothing),
        (Pre, Stop, "n2 n3", "", care("n2 n3", 10), Nothing, Nothing),
        (Pre, Stop, "n1 n2", "", Nothing, Nothing, Nothing),
        (Pre, Stop, "", "", Nothing, Nothing, Nothing),
        (Post, Stop, "n2", "", care("n2", 20), Nothing, Nothing),
        (Post, Stop, "n1 n2", "", Nothing, Nothing, Nothing),
        (Post, Stop, "", "", care("", 20), Nothing, Nothing),
        (Pre, Promote, "n2", "", Nothing, before(), before()),
        (Post, Promote, "n2", "", Nothing, Join(node("n2")), Nothing),
        (Post, Promote, "", "", Nothing, Nothing, Nothing),
        (Pre, Demote, "n1", "", Nothing, Nothing, Nothing),
        (Pre, Demote, "n2", "n1", Nothing, Nothing, Nothing),
        (Post, Demote, "n1", "", Nothing, Nothing, Nothing),
        (Post, Demote, "n2", "n1", Nothing, Nothing, Nothing),
    ];
    for (when, what, subject, promote, primary, standby, starts) in rows {
        let notification = about(when, what, subject, promote);
        let found = |sql: &Sql| follows(&notification, &node("n1"), sql);
        let name = format!("{notification} of {subject:?}, promoted {promote:?}");
        assert_eq!(found(&writable()), primary, "{name}: a primary");
        assert_eq!(found(&in_recovery()), standby, "{name}: a standby");
        assert_eq!(found(&starting()), starts, "{name}: one that starts");
        for sql in neither() {
            assert_eq!(found(&sql), Nothing, "{name}: {sql}");
        }
        if [primary, standby, starts].iter().any(|follows| *follows != Nothing) {
            assert!(matters(when, what), "{name}");
        }
    }
}

#[test]
fn what_leads_to_nothing_costs_no_look() {
    for (when, what, expected) in [
        (Pre, Start, false),
        (Post, Start, true),
        (Pre, Stop, true),
        (Post, Stop, true),
        (Pre, Promote, true),
        (Post, Promote, true),
        (Pre, Demote, false),
        (Post, Demote, false),
    ] {
        assert_eq!(matters(when, what), expected, "{when:?} {what:?}");
    }
}

#[test]
fn whoever_is_promoted_or_demoted_gets_new_monitors() {
    for (when, what, subject, promote, expected) in [
        (Pre, Promote, "n1", "", true),
        (Post, Promote, "n1", "", true),
        (Pre, Demote, "n1", "", true),
        (Post, Start, "n2", "n1", true),
        (Pre, Promote, "n2", "", false),
        (Pre, Demote, "n2", "n3", false),
        (Pre, Stop, "n1", "", false),
        (Post, Start, "n1", "-", false),
    ] {
        let notification = about(when, what, subject, promote);
        let found = renews_monitors(&notification, &node("n1"));
        assert_eq!(found, expected, "{notification} of {subject}, promoted {promote}");
    }
}

#[test]
fn a_right_that_was_left_for_the_demotion_goes_before_it() {
    for (when, what, subject, due, expected) in [
        (Pre, Demote, "n1", true, true),
        (Pre, Demote, "n1", false, false),
        (Pre, Demote, "n2", true, false),
        (Post, Demote, "n1", true, false),
        (Pre, Stop, "n1", true, false),
        (Pre, Promote, "n1", true, false),
    ] {
        let notification = about(when, what, subject, "");
        let found = takes_the_right(&notification, &node("n1"), due);
        assert_eq!(found, expected, "{notification} of {subject}, due {due}");
    }
}

fn file(store: Store) -> Own {
    Own { store, ..Own::new("db", &node("n1")) }
}

#[test]
fn a_promotion_waits_for_a_crashed_primary_where_it_alone_may_have_what_was_acknowledged() {
    let of = |primary: &str, heirs: &str| Some(file(store(&[entry(3, 1, 9, primary, heirs)])));
    let (one, two) = (of("n1", "n2"), of("n1", "n2 n3"));
    let theirs = of("n2", "n1 n3");
    let before = || about(Pre, Promote, "n2", "");
    for (name, notification, sql, barred, own, mode, expected) in [
        ("one heir", before(), starting(), true, &one, Mode::Sync, true),
        ("two heirs confirm each other", before(), starting(), true, &two, Mode::Sync, false),
        ("async promises nothing of them", before(), starting(), true, &two, Mode::Async, true),
        ("another was primary last", before(), starting(), true, &theirs, Mode::Sync, true),
        ("no file", before(), starting(), true, &None, Mode::Sync, true),
        ("it has not crashed now", before(), starting(), false, &one, Mode::Sync, false),
        ("it answers by now", before(), in_recovery(), true, &one, Mode::Sync, false),
        ("it hangs", before(), Sql::Hung, true, &one, Mode::Sync, false),
        ("after it", about(Post, Promote, "n2", ""), starting(), true, &one, Mode::Sync, false),
        ("another one", about(Pre, Stop, "n2", ""), starting(), true, &one, Mode::Sync, false),
    ] {
        let me = node("n1");
        let found = replay_is_awaited(&notification, &sql, barred, own.as_ref(), &me, mode);
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn those_who_were_started_stream_when_each_of_them_does() {
    let sender = |name: &str, state: &str| Walsender {
        name: name.into(),
        state: state.into(),
        flush: None,
        replay: None,
        priority: 0,
        sync_state: String::new(),
        silent_for: None,
        pid: 1,
    };
    let n2 = || Some("n2".to_owned());
    let senders = [sender("N2", "streaming"), sender("n3", "catchup"), sender("n4", "streaming")];
    for (name, started, expected) in [
        ("nobody was", vec![], true),
        ("one streams, whatever the case of its name", vec![n2()], true),
        ("one catches up", vec![Some("n3".into())], false),
        ("one of two", vec![n2(), Some("n3".into())], false),
        ("one is not there", vec![n2(), Some("n5".into())], false),
        ("one has no name", vec![n2(), None], false),
    ] {
        assert_eq!(all_stream(&started, &senders), expected, "{name}");
    }
}

#[test]
fn data_of_another_branch_is_pointed_at_nobody() {
    let newest = store(&[entry(3, 1, 9, "n2", "n1")]);
    let of = |followed| Some(Own { followed, ..file(newest.clone()) });
    assert!(!is_elsewhere(of(Some(PromotionId(9))).as_ref()));
    assert!(is_elsewhere(of(Some(PromotionId(8))).as_ref()));
    assert!(!is_elsewhere(of(None).as_ref()), "of what it is, is not known");
    assert!(!is_elsewhere(Some(&file(Store::default()))) && !is_elsewhere(None));

    for (sql, held, expected) in [
        (in_recovery(), true, Points::AtTheCandidate),
        (in_recovery(), false, Points::AtNobody),
        (starting(), true, Points::AsBefore),
        (starting(), false, Points::AsBefore),
        (writable(), false, Points::AsBefore),
        (Sql::Hung, false, Points::AsBefore),
    ] {
        assert_eq!(points(&sql, held), expected, "{sql} {held}");
    }
}

#[test]
fn who_takes_no_sessions_is_pointed_at_the_candidate_blindly() {
    for (name, sql, candidates, elsewhere, expected) in [
        ("it starts", starting(), "n2", false, Some("n2")),
        ("it starts, of another branch", starting(), "n2", true, None),
        ("it is the candidate", starting(), "n1", false, None),
        ("nobody is", starting(), "", false, None),
        ("it answers", in_recovery(), "n2", false, None),
        ("it hangs", Sql::Hung, "n2", false, None),
    ] {
        let candidates = nodes(candidates);
        let found = pointed_at_blindly(&sql, &candidates, &node("n1"), elsewhere);
        assert_eq!(found.map(NodeName::as_str), expected, "{name}");
    }
}

fn permitted() -> Ruling {
    Ruling::Permitted(Plan {
        term: 2,
        seq: 0,
        in_place: false,
        names: nodes("n3"),
        heirs: nodes(""),
        after: None,
    })
}

fn may_pass() -> Ruling {
    Ruling::Refused(vec![Obstacle::StillReplaying])
}

fn for_good() -> Ruling {
    let better = Obstacle::Behind {
        better: node("n3"),
        at: (Timeline(1), "0/500".parse().unwrap()),
        mine: (Timeline(1), "0/400".parse().unwrap()),
    };
    Ruling::Refused(vec![Obstacle::StillReplaying, better])
}

#[test]
fn a_candidate_gives_way_where_time_changes_nothing() {
    let Ruling::Refused(obstacles) = for_good() else { unreachable!() };
    let way = || Candidate::GivesWay(words(&obstacles));
    for (ruling, in_sync, in_async) in [
        (permitted(), Candidate::Waits, Candidate::UnlessTheOldPrimaryIsBack),
        (may_pass(), Candidate::Waits, Candidate::UnlessTheOldPrimaryIsBack),
        (for_good(), way(), way()),
    ] {
        assert_eq!(candidate(&ruling, Mode::Sync), in_sync, "{ruling:?}");
        assert_eq!(candidate(&ruling, Mode::Async), in_async, "{ruling:?}");
    }
}

#[test]
fn only_another_node_that_runs_and_was_not_shut_down_comes_back() {
    let entry = entry(3, 1, 9, "n1", "n2");
    for (me, runs, in_order, expected) in [
        ("n2", true, false, true),
        ("n2", true, true, false),
        ("n2", false, false, false),
        ("n1", true, false, false),
    ] {
        assert_eq!(may_be_back(&entry, &node(me), runs, in_order), expected, "{me} {runs}");
    }
}

#[test]
fn an_old_primary_with_less_or_on_another_line_is_not_given_way_to() {
    let mine = at("1", "0/500");
    let said = |line, lsn| says(at(line, lsn), Store::default());
    for (name, said, expected) in [
        ("as much", Some(said("1", "0/500")), true),
        ("more", Some(said("1", "0/600")), true),
        ("less", Some(said("1", "0/400")), false),
        ("another line", Some(said("1@0/300,2", "0/600")), false),
        ("no data", Some(Known::Known(Publication::NoData)), false),
        ("not known", Some(Known::unknown("older than the last promotion")), true),
        ("it has said nothing", None, true),
    ] {
        assert_eq!(has_no_less(said.as_ref(), &mine), expected, "{name}");
    }
}

#[test]
fn an_end_counts_for_the_promotion_that_it_names_and_an_unknown_one_forbids() {
    let end = |id| {
        let end =
            Shutdown { id: PromotionId(id), timeline: Timeline(1), end: "0/500".parse().unwrap() };
        Known::Known([(node("n1"), end.to_string())].into())
    };
    let rubbish = Known::Known([(node("n1"), "rubbish".to_owned())].into());
    for (name, said, of, expected) in [
        ("of this promotion", end(9), "n1", true),
        ("of an older one", end(8), "n1", false),
        ("of another node", end(9), "n2", false),
        ("rubbish", rubbish, "n1", false),
        ("nobody has said any", Known::Known(BTreeMap::new()), "n1", false),
        ("not known", Known::unknown("attrd hangs"), "n1", true),
    ] {
        assert_eq!(ended_in_order(&said, &node(of), PromotionId(9)), expected, "{name}");
    }
}

#[test]
fn who_has_more_than_the_candidate_is_preferred_and_in_async_mode_the_returning_primary() {
    use Preferred::{No, UnlessItEndedInOrder, Yes};
    let mine = at("1", "0/500");
    let said = |line, lsn| Some(says(at(line, lsn), Store::default()));
    let own = |primary| Some(file(store(&[in_async(entry(3, 1, 9, primary, "n2"))])));
    let returns = || UnlessItEndedInOrder(PromotionId(9));
    for (name, said, own, in_sync, in_async) in [
        ("the candidate has less", said("1", "0/400"), own("n2"), Yes, Yes),
        ("as much, and this node was primary", said("1", "0/500"), own("n1"), No, returns()),
        ("as much, and another was", said("1", "0/500"), own("n2"), No, No),
        ("as much, and there is no ledger", said("1", "0/500"), None, No, No),
        ("it has more", said("1", "0/600"), own("n1"), No, No),
        ("it is on another line", said("1@0/300,2", "0/400"), own("n1"), No, No),
        ("it has no data", Some(Known::Known(Publication::NoData)), own("n1"), No, No),
        ("it is not known", Some(Known::unknown("older")), own("n1"), No, No),
        ("it has said nothing", None, own("n1"), No, No),
    ] {
        let found = |mode| preferred(said.as_ref(), &mine, own.as_ref(), &node("n1"), mode);
        assert_eq!(found(Mode::Sync), in_sync, "{name}, sync");
        assert_eq!(found(Mode::Async), in_async, "{name}, async");
    }
}

#[test]
fn it_is_a_cold_start_only_where_nobody_is_chosen_and_nothing_is_received() {
    for (promoted, scored, expected) in
        [(false, false, true), (true, false, false), (false, true, false), (true, true, false)]
    {
        assert_eq!(may_be_cold_start(promoted, scored), expected, "{promoted} {scored}");
    }
    let streams = Sql::Standby(Box::new(streaming(1, 0x400)));
    assert!(waits_for_a_primary(&in_recovery()));
    for sql in [streams, starting(), writable(), Sql::Hung] {
        assert!(!waits_for_a_primary(&sql), "{sql}");
    }
}

#[test]
fn at_a_cold_start_one_takes_the_score_and_the_others_look_again() {
    for (name, ruling, another, out_of_time, expected) in [
        ("permitted", permitted(), None, false, Cold::LookWhoGoesFirst),
        ("permitted, late", permitted(), None, true, Cold::LookWhoGoesFirst),
        ("another goes first", permitted(), Some(true), false, Cold::LookAgain),
        ("also late: it is let go first once", permitted(), Some(true), true, Cold::LookAgain),
        ("nobody does", permitted(), Some(false), false, Cold::TakeTheScore),
        ("nobody does, late", permitted(), Some(false), true, Cold::TakeTheScore),
        ("somebody has not said yet", may_pass(), None, false, Cold::LookAgain),
        ("nor in time", may_pass(), None, true, Cold::LeaveIt),
        ("somebody has more", for_good(), None, false, Cold::LeaveIt),
        ("whoever would go first", for_good(), Some(false), false, Cold::LeaveIt),
        ("or would not", may_pass(), Some(true), true, Cold::LeaveIt),
    ] {
        assert_eq!(after_cold_election(&ruling, another, out_of_time), expected, "{name}");
    }
}

#[test]
fn a_candidate_holds_what_this_node_has_if_it_says_so() {
    let mine =
        Own { followed: Some(PromotionId(9)), ..file(store(&[entry(3, 1, 9, "n2", "n1 n3")])) };
    let said = |followed: Option<u64>| {
        says(at("1", "0/400"), Store::default()).map(|said| match said {
            Publication::Data(mut member) => {
                member.followed = followed.map(PromotionId);
                Publication::Data(member)
            }
            none @ Publication::NoData => none,
        })
    };
    let all = |followed: Option<u64>| Known::Known(Holds::All(followed.map(PromotionId)));
    let begun = said(Some(9)).map(|said| match said {
        Publication::Data(mut member) => {
            member.never_written = Some(Timeline(2));
            Publication::Data(member)
        }
        none @ Publication::NoData => none,
    });
    let own = Some(&mine);
    for (name, own, said, expected) in [
        ("the same promotion", own, Some(said(Some(9))), all(Some(9))),
        ("and the begin of one", own, Some(begun), Known::Known(Holds::NotAll)),
        ("another one", own, Some(said(Some(8))), Known::Known(Holds::NotAll)),
        ("of none", own, Some(said(None)), Known::Known(Holds::NotAll)),
        ("no data", own, Some(Known::Known(Publication::NoData)), Known::Known(Holds::NotAll)),
        ("nothing yet", own, None, Known::unknown("it has said nothing yet")),
        ("what does not count", own, Some(Known::unknown("old")), Known::unknown("old")),
        ("no file here", None, None, all(None)),
    ] {
        assert_eq!(holds(own, said.as_ref()), expected, "{name}");
    }
}
