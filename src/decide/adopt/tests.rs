use super::*;
use crate::decide::recovery::Marked;
use crate::decide::support::{SYSTEM, after, control, data, entry as an_entry, node, nodes};
use crate::postgres::control_data::{ClusterState, ControlData};
use crate::postgres::lsn::Lsn;

fn down() -> Other {
    let absence = Absence::Present("it is online".into());
    Other { online: true, absence, server: Server::Absent("nobody listens".into()) }
}

fn away(absence: Absence) -> Other {
    Other { online: false, absence, ..down() }
}

/// n1 was the primary of term 3 and n2 its heir; everything is stopped, and n2 has other data now.
fn stopped() -> Facts {
    Facts {
        resource: "db".into(),
        node: node("n2"),
        me: node("n2"),
        member: true,
        quorum: Known::Known(true),
        held: Held::Stopped,
        runs_on: nodes(""),
        others: BTreeMap::from([(node("n1"), down()), (node("n3"), down())]),
        here: Here {
            process: Process::None,
            data: data(ClusterState::ShutDown),
            not_mounted: None,
            majors: Known::Known((17, 17)),
            to_recover: Known::Known(None),
            lead_on: Known::Known(vec![]),
            at_work: Known::Known(false),
            marked: Marked::Nothing,
        },
        entries: Known::Known(vec![after(an_entry(3, 9, 33, "n1", "n2"), &[22])]),
        mode: Mode::Sync,
        strict: false,
        keep_old: true,
        keep_restore_command: false,
    }
}

fn proposal(facts: &Facts) -> Proposal {
    match judge(facts) {
        Ruling::Possible(proposal) => proposal,
        Ruling::Refused(why) => panic!("{why}"),
    }
}

fn here(change: impl FnOnce(&mut Here)) -> Facts {
    let mut facts = stopped();
    change(&mut facts.here);
    facts
}

fn other(one: Other) -> Facts {
    let others = BTreeMap::from([(node("n1"), one), (node("n3"), down())]);
    Facts { others, ..stopped() }
}

fn says(server: Server) -> Facts {
    other(Other { server, ..down() })
}

fn of(change: impl FnOnce(&mut ControlData)) -> Facts {
    let mut control = control(ClusterState::InProduction);
    change(&mut control);
    here(|here| here.data = DataDir::Cluster(Box::new(control)))
}

#[test]
fn it_is_refused_while_anything_runs_or_may_or_is_not_known() {
    let rows: Vec<(&str, Facts, &str)> = vec![
        ("elsewhere", Facts { node: node("n1"), ..stopped() }, "run it on n1 (this is n2)"),
        ("no such node", Facts { node: node("n9"), ..stopped() }, "n9 is no member"),
        ("in capitals", Facts { node: node("N2"), ..stopped() }, "this node is n2, not N2"),
        ("a longer name", Facts { node: node("n1.x"), ..stopped() }, "n1 may be meant"),
        ("a stranger", Facts { member: false, ..stopped() }, "n2 is no member"),
        ("no quorum", Facts { quorum: Known::Known(false), ..stopped() }, "has no quorum"),
        (
            "who knows",
            Facts { quorum: Known::unknown("no controller"), ..stopped() },
            "no controller",
        ),
        ("not held", Facts { held: Held::No, ..stopped() }, "may start db at any moment"),
        ("runs here", Facts { runs_on: nodes("n2"), ..stopped() }, "has db running on n2: stop it"),
        ("runs there", Facts { runs_on: nodes("n1"), ..stopped() }, "crm_resource --refresh"),
        ("a primary", says(Server::Primary(Timeline(1), Lsn(1))), "n1 accepts writes"),
        ("a standby", says(Server::Standby(Timeline(1), Lsn(1))), "PostgreSQL runs on n1: stop it"),
        ("a riddle", says(Server::Silent("no answer".into())), "on n1 is not known: no answer"),
        ("lost", other(away(Absence::Present("it is lost".into()))), "--confirm n1"),
        (
            "it runs here",
            here(|here| here.process = Process::Running { pid: 7, stopped: false }),
            "has to be stopped here, and it runs, pid 7",
        ),
        (
            "orphans",
            here(|here| here.process = Process::Orphans(vec![7])),
            "has to be stopped here",
        ),
        (
            "a process that is not known",
            here(|here| here.process = Process::Unknown("EIO".into())),
            "here is not known: EIO",
        ),
        ("the ledger", Facts { entries: Known::unknown("hung"), ..stopped() }, "read: hung"),
    ];
    for (name, facts, expected) in rows {
        match judge(&facts) {
            Ruling::Refused(why) => assert!(why.contains(expected), "{name}: {why}"),
            Ruling::Possible(_) => panic!("{name}"),
        }
    }
}

#[test]
fn data_that_postgresql_would_not_start_on_or_that_is_half_done_is_refused() {
    let rows: Vec<(&str, Facts, &str)> = vec![
        ("nothing", here(|here| here.data = DataDir::Absent), "no data here"),
        ("an empty one", here(|here| here.data = DataDir::Empty), "no data here"),
        ("no database", here(|here| here.data = DataDir::Unusable("it is /etc".into())), "/etc"),
        ("EIO", here(|here| here.data = DataDir::Unknown("EIO".into())), "be read: EIO"),
        ("no mount", here(|here| here.not_mounted = Some("not mounted".into())), "not mounted"),
        (
            "another version",
            here(|here| here.majors = Known::Known((16, 17))),
            "is of version 16, and the programs are 17",
        ),
        (
            "no version",
            here(|here| here.majors = Known::unknown("EIO")),
            "the version of the data is not known: EIO",
        ),
        (
            "a backup",
            here(|here| here.to_recover = Known::Known(Some("backup_label"))),
            "has not been recovered (backup_label is there): start PostgreSQL on it by hand once",
        ),
        (
            "perhaps a backup",
            here(|here| here.to_recover = Known::unknown("EACCES")),
            "not known: EACCES",
        ),
        ("a backup that was begun", of(|it| it.backup_end_required = true), "not come to its end"),
        ("likewise", of(|it| it.backup_start = Lsn(1)), "not come to its end"),
        ("it starts up", of(|it| it.state = ClusterState::StartingUp), "says starting up"),
        ("another word", of(|it| it.state = ClusterState::Other("x".into())), "says x"),
        (
            "a worker",
            here(|here| here.at_work = Known::Known(true)),
            "is at work: see pgtwin status",
        ),
        ("perhaps one", here(|here| here.at_work = Known::unknown("EIO")), "not known: EIO"),
        (
            "half done",
            here(|here| here.marked = Marked::HalfDone { system_id: SYSTEM }),
            "ended half way",
        ),
        (
            "perhaps half done",
            here(|here| here.marked = Marked::Unreadable("cut".into())),
            "unreadable: cut",
        ),
    ];
    for (name, facts, expected) in rows {
        match judge(&facts) {
            Ruling::Refused(why) => assert!(why.contains(expected), "{name}: {why}"),
            Ruling::Possible(_) => panic!("{name}"),
        }
    }
}

/// What was given up would come back out of the archive, on all nodes.
#[test]
fn data_that_is_led_on_by_its_settings_is_refused_until_the_operator_knows() {
    let set = |lead_on, keep_restore_command| Facts {
        keep_restore_command,
        ..here(|here| here.lead_on = Known::Known(lead_on))
    };
    let refusal = |facts: &Facts| match judge(facts) {
        Ruling::Refused(why) => why,
        Ruling::Possible(_) => String::new(),
    };
    for target in &LEAD_ON[1..] {
        for keep in [false, true] {
            let why = refusal(&set(vec![*target], keep));
            assert!(why.starts_with(&format!("{target} is set here, of a recovery")), "{why}");
        }
    }
    let why = refusal(&set(vec![RESTORE_COMMAND], false));
    for words in ["of timeline 1 beyond this data", "until n2 is the", "--keep-restore-command"] {
        assert!(why.contains(words), "{words}: {why}");
    }
    let told = proposal(&set(vec![RESTORE_COMMAND], true)).remarks.join("\n");
    assert!(told.contains("has it replay what the archive has"), "{told}");
    for keep in [false, true] {
        let unknown = here(|here| here.lead_on = Known::unknown("postgres: EIO"));
        let facts = Facts { keep_restore_command: keep, ..unknown };
        assert!(refusal(&facts).contains("set here is not known: postgres: EIO"));
    }
}

#[test]
fn what_a_server_can_recover_by_itself_is_adopted_wherever_nothing_runs() {
    for state in [
        ClusterState::ShutDown,
        ClusterState::ShutDownInRecovery,
        ClusterState::ShuttingDown,
        ClusterState::InCrashRecovery,
        ClusterState::InArchiveRecovery,
        ClusterState::InProduction,
    ] {
        proposal(&of(|it| it.state = state));
    }
    proposal(&here(|here| here.marked = Marked::Whole));
    proposal(&Facts { held: Held::Unmanaged, ..stopped() });
    proposal(&Facts { entries: Known::Known(vec![]), ..stopped() });
    proposal(&other(away(Absence::Proven)));
    proposal(&other(away(Absence::Assumed("fencing is disabled".into()))));
}

#[test]
fn the_entry_is_of_a_new_term_and_nothing_leads_to_it() {
    let entries = vec![an_entry(3, 9, 33, "n1", "n2"), an_entry(4, 0, 44, "n3", "")];
    let facts =
        Facts { entries: Known::Known(entries), ..of(|it| it.min_recovery_timeline = Timeline(2)) };
    let it = entry(&proposal(&facts), &node("n2"), PromotionId(55), Mode::Sync);
    // Regression: n3 had been promoted unseen, and was of the same term.
    assert_eq!((it.term, it.seq, it.id), (4 + LEAP, 0, PromotionId(55)));
    assert_eq!((it.primary.as_str(), it.timeline, it.system_id), ("n2", Timeline(2), SYSTEM));
    assert!(it.heirs.is_empty() && it.history.is_empty());
    assert_eq!(it.adopted, Some(vec![]));
    for followed in [None, Some(PromotionId(33)), Some(PromotionId(44))] {
        assert_eq!(it.is_after(followed), Some(false), "{followed:?}");
    }
    assert_eq!(it.is_after(Some(PromotionId(55))), Some(true));
}

#[test]
fn only_database_systems_that_the_ledger_knew_are_given_up() {
    let other = |system_id, entry: Entry| Entry { system_id, ..entry };
    let before = |adopted: &[u64], entry: Entry| Entry { adopted: Some(adopted.to_vec()), ..entry };
    for (entries, expected) in [
        (vec![], vec![]),
        (vec![an_entry(3, 0, 33, "n1", "")], vec![]),
        (vec![other(8, an_entry(3, 0, 33, "n1", ""))], vec![8]),
        // The one before, and those that were given up for it.
        (vec![before(&[6, 5], other(8, an_entry(3, 0, 33, "n1", "")))], vec![8, 6, 5]),
        // Back to the old one.
        (vec![before(&[SYSTEM], other(8, an_entry(3, 0, 33, "n1", "")))], vec![8]),
        // Of the same number by two nodes.
        (
            vec![
                other(9, an_entry(2, 0, 22, "n1", "")),
                before(&[9, 6], other(8, an_entry(3, 0, 33, "n3", ""))),
            ],
            vec![8, 9, 6],
        ),
    ] {
        let facts = Facts { entries: Known::Known(entries.clone()), ..stopped() };
        assert_eq!(proposal(&facts).given_up, expected, "{entries:?}");
    }
}

#[test]
fn it_is_told_what_is_lost_and_what_to_mind() {
    let said = |facts: &Facts| {
        let it = proposal(facts);
        format!("{}\n{}", it.losses.join("\n"), it.remarks.join("\n"))
    };
    let words = said(&stopped());
    for expected in [
        "is not in the data of n2: of term 3, n1 and n2 have them all",
        "the data of n1 and n3: it is replaced by a full copy; the old data is kept as a backup",
        "the data of n2: database system 7, timeline 1, checkpoint at 0/300, shut down",
        "n2 takes commits on its own until a standby streams",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    let alone = Facts { entries: Known::Known(vec![an_entry(3, 9, 33, "n1", "")]), ..stopped() };
    assert!(said(&alone).contains("of term 3, n1 has them all"));
    let upgraded = of(|it| it.system_id = 8);
    assert!(said(&upgraded).contains("the database system 7: 8 takes its place"));
    let nothing = Facts { entries: Known::Known(vec![]), keep_old: false, ..stopped() };
    let words = said(&nothing);
    assert!(words.contains("there is no ledger") && words.contains(", and removed"), "{words}");
    let strict = Facts { strict: true, ..stopped() };
    assert!(said(&strict).contains("wait until a standby streams from it (sync_strict=true)"));
    let words = said(&other(away(Absence::Proven)));
    assert!(words.contains("do not start n1 while it cannot reach n2"), "{words}");
    assert!(!words.contains("nothing proves"), "{words}");
    let words = said(&other(away(Absence::Assumed("fencing is disabled".into()))));
    assert!(words.contains("nothing proves that n1 is down: fencing is disabled"), "{words}");
}

#[test]
fn the_own_file_permits_nothing_from_the_begin_to_the_end_of_it() {
    let mut own = Own::new("db", &node("n2"));
    own.followed = Some(PromotionId(33));
    own.store.set_done(an_entry(3, 9, 33, "n2", ""));
    let it = entry(&proposal(&stopped()), &node("n2"), PromotionId(55), Mode::Sync);
    let begun = begun(&own, &it);
    assert!(begun.unfinished().is_some());
    // What it knew is there still, and its data is of none of that.
    assert_eq!(begun.store, own.store);
    assert!(begun.is_elsewhere_than(begun.store.newest_done().unwrap()));
    for before in [&own, &begun] {
        let ended = ended(before, &it);
        assert_eq!((ended.unfinished(), ended.followed), (None, Some(it.id)));
        assert_eq!(ended.store.entries().collect::<Vec<_>>(), [&it]);
    }
}
