//! The way back, row by row.

use super::*;
use crate::cluster::ledger::PromotionId;
use crate::cluster::node::NodeName;
use crate::cluster::recovery::WorkerId;
use crate::decide::start::Live;
use crate::postgres::history::History;
use crate::postgres::lsn::Lsn;

fn n1() -> NodeName {
    "n1".parse().unwrap()
}

fn live() -> Upstream {
    Upstream::Live(Box::new(Live {
        node: n1(),
        system_id: 7,
        line: History::of_first_line(),
        lsn: Lsn(0x300_0000),
        promotion: Known::Known(PromotionId(1)),
        knows_our_promotion: Some(true),
        feeds_us: true,
        adopted: None,
    }))
}

fn disowned() -> Upstream {
    Upstream::Disowned(n1(), "n1 accepts writes, and the ledger's primary is n2".into())
}

/// It accepts writes, and the ledger says nothing of it.
fn of_no_promotion() -> Upstream {
    let Upstream::Live(live) = live() else { panic!() };
    Upstream::Live(Box::new(Live {
        promotion: Known::unknown("the ledger does not say it yet"),
        ..*live
    }))
}

fn facts() -> Facts {
    Facts {
        pgdata: "/srv/pg".into(),
        marked: Marked::Nothing,
        cause: Known::Known(Some(Cause::Diverged("data diverged".into()))),
        system_id: Some(7),
        upstream: live(),
        upstream_is_me: false,
        adopting: None,
        mount: Mount::InPlace,
        failed: Attempts::default(),
        turn: Turn::Now,
        again: "rm /var/lib/pgtwin/db/attempts".into(),
        rewind_failed: false,
        check: Some(Check { rewind: Possible::Yes, rebuild: Possible::Yes }),
    }
}

fn recovers(way: &Way) -> Option<Method> {
    match way {
        Way::Recover(method, _) => Some(*method),
        Way::Follow | Way::MakeTheCheck | Way::Wait(_) | Way::Refuse(_) => None,
    }
}

#[test]
fn what_can_follow_is_left_alone_and_what_is_not_known_waits() {
    assert_eq!(way(&Facts { cause: Known::Known(None), ..facts() }), Way::Follow);
    let unknown = Facts { cause: Known::unknown("psql hangs"), ..facts() };
    assert!(matches!(way(&unknown), Way::Wait(why) if why.contains("psql hangs")));
}

#[test]
fn a_rewind_comes_first_and_a_copy_where_a_rewind_cannot_work() {
    use Possible::{Never, NotNow, Yes};
    let no = |words: &str| NotNow(words.to_owned());
    let never = || Never("no wal_log_hints".into());
    let diverged = || Cause::Diverged("d".into());
    for (name, cause, failed, rewind, rebuild, expected) in [
        ("diverged", diverged(), false, Yes, Yes, Some(Method::Rewind)),
        ("diverged, a copy is not possible", diverged(), false, Yes, no("x"), Some(Method::Rewind)),
        ("no hints", diverged(), false, never(), Yes, Some(Method::Rebuild)),
        ("no hints, no room", diverged(), false, never(), no("disk"), None),
        ("a line is missing in hba", diverged(), false, no("hba"), Yes, None),
        ("a rewind failed before", diverged(), true, Yes, Yes, Some(Method::Rebuild)),
        ("a rewind failed before, no room", diverged(), true, Yes, no("disk"), None),
        ("no data", Cause::NoData, false, never(), Yes, Some(Method::Rebuild)),
        ("same number", Cause::OtherBranch("b".into()), false, Yes, Yes, Some(Method::Rebuild)),
        ("given up", Cause::GivenUp("g".into()), false, Yes, Yes, Some(Method::Rebuild)),
        ("WAL gone", Cause::WalGone("w".into()), false, Yes, Yes, Some(Method::Rebuild)),
        ("asked for", Cause::Asked("a".into()), false, Yes, Yes, Some(Method::Rebuild)),
        ("asked for, no room", Cause::Asked("a".into()), false, Yes, no("disk"), None),
        ("WAL gone, no password", Cause::WalGone("w".into()), false, Yes, no("password"), None),
    ] {
        let system_id = (cause != Cause::NoData).then_some(7);
        let facts = Facts {
            cause: Known::Known(Some(cause)),
            system_id,
            rewind_failed: failed,
            check: Some(Check { rewind, rebuild }),
            ..facts()
        };
        assert_eq!(recovers(&way(&facts)), expected, "{name}");
    }
}

#[test]
fn another_database_is_overwritten_only_where_an_operator_gave_it_up() {
    for adopted in [None, Some(vec![]), Some(vec![9]), Some(vec![9, 8])] {
        let given_up = adopted.as_ref().is_some_and(|systems| systems.contains(&8));
        let Upstream::Live(live) = live() else { panic!() };
        let upstream = Upstream::Live(Box::new(Live { adopted, ..*live }));
        let whole = Facts {
            upstream: upstream.clone(),
            system_id: Some(8),
            cause: Known::Known(Some(Cause::GivenUp("g".into()))),
            ..facts()
        };
        let ruin = Facts { marked: Marked::HalfDone { system_id: 8 }, upstream, ..facts() };
        for (name, facts) in [("whole", whole), ("half done", ruin)] {
            match way(&facts) {
                Way::Recover(Method::Rebuild, _) => assert!(given_up, "{name}"),
                Way::Refuse(why) => {
                    assert!(!given_up && why.contains("another database"), "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

#[test]
fn data_that_an_operator_began_to_adopt_is_not_replaced() {
    let adopting = Some("pgtwin adopt n2 has not ended".to_owned());
    let begun = Facts { adopting, ..facts() };
    for cause in [Cause::Diverged("d".into()), Cause::OtherBranch("b".into())] {
        let facts = Facts { cause: Known::Known(Some(cause)), ..begun.clone() };
        assert!(
            matches!(way(&facts), Way::Refuse(why) if why.contains("pgtwin adopt n2 has not ended"))
        );
    }
    // Where it was moved away, nothing is lost by a copy.
    let gone = Facts { cause: Known::Known(Some(Cause::NoData)), system_id: None, ..begun };
    assert_eq!(recovers(&way(&gone)), Some(Method::Rebuild));
}

#[test]
fn a_copy_that_was_asked_for_is_made_of_data_that_nobody_has_touched_since() {
    let marker = |phase, half_done| Marker {
        attempt: 1,
        method: Method::Rebuild,
        phase,
        source: n1(),
        system_id: 7,
        begun: 1000,
        worker: WorkerId { boot: "0f1e2d3c".into(), pid: 4711, start_ticks: 123 },
        half_done,
        ruin: false,
        asked: true,
        old_copy: None,
        reason: "a full copy was asked for (operator root)".into(),
    };
    let asked = marker(Phase::Copying, false);
    let unasked = Marker { asked: false, ..asked.clone() };
    let silent = Upstream::Silent(n1(), "no route".into());
    for (name, marker, upstream, untouched, expected) in [
        ("as it was left", &asked, &live(), true, true),
        ("the check comes next", &marker(Phase::Checking, false), &live(), true, true),
        ("the primary may answer later", &asked, &silent, true, true),
        ("nobody is there to copy", &asked, &Upstream::Nobody, true, false),
        ("but one that is not the primary", &asked, &disowned(), true, false),
        ("somebody has started PostgreSQL on it", &asked, &live(), false, false),
        ("nobody has asked", &unasked, &live(), true, false),
        ("the new data is in place", &marker(Phase::Starting, false), &live(), true, false),
        ("half done is another matter", &marker(Phase::Swapping, true), &live(), true, false),
    ] {
        assert_eq!(is_asked_for(marker, upstream, untouched), expected, "{name}");
    }
}

#[test]
fn half_done_data_is_replaced_whatever_else_is_known_of_it() {
    for marked in [Marked::HalfDone { system_id: 7 }, Marked::Unreadable("rubbish".into())] {
        for cause in [Known::Known(None), Known::unknown("not looked at")] {
            let facts = Facts { marked: marked.clone(), cause, ..facts() };
            assert_eq!(recovers(&way(&facts)), Some(Method::Rebuild), "{marked:?}");
        }
    }
    let whole = Facts { marked: Marked::Whole, cause: Known::Known(None), ..facts() };
    assert_eq!(way(&whole), Way::Follow);
}

#[test]
fn nothing_is_recovered_from_anybody_but_the_proven_primary_of_this_database() {
    let other = Facts { system_id: Some(8), ..facts() };
    assert!(matches!(way(&other), Way::Refuse(why) if why.contains("another database")));
    let other = Facts { marked: Marked::HalfDone { system_id: 8 }, ..facts() };
    assert!(matches!(way(&other), Way::Refuse(_)));
    let itself = Facts { upstream_is_me: true, ..facts() };
    assert!(matches!(way(&itself), Way::Refuse(why) if why.contains("itself")));
    for upstream in [
        Upstream::Nobody,
        Upstream::Silent(n1(), "no route".into()),
        disowned(),
        of_no_promotion(),
        Upstream::Unknown("crm_mon hangs".into()),
    ] {
        for marked in [Marked::Nothing, Marked::HalfDone { system_id: 7 }] {
            let facts = Facts { upstream: upstream.clone(), marked, ..facts() };
            assert!(matches!(way(&facts), Way::Wait(_)), "{upstream:?}");
        }
    }
}

#[test]
fn an_unmounted_directory_is_not_written_to() {
    let missing = Facts { mount: Mount::Missing("/etc/fstab".into()), ..facts() };
    assert!(
        matches!(way(&missing), Way::Refuse(why) if why.contains("/srv/pg") && why.contains("mount it"))
    );
    let unknown = Facts { mount: Mount::Unknown("no /proc".into()), ..facts() };
    assert!(matches!(way(&unknown), Way::Wait(_)));
}

#[test]
fn attempts_keep_their_pause_and_the_check_comes_before_them() {
    let failed = Attempts::default().failed_again(1000, "no route to n2", "less log");
    let early = Facts { failed: failed.clone(), turn: Turn::At(1010), check: None, ..facts() };
    assert_eq!(
        way(&early),
        Way::Wait(
            "attempt 1 to bring its data back failed, and another one follows: no route to n2 (data \
             diverged)"
                .into()
        )
    );
    let over = Facts { turn: Turn::Over, ..early.clone() };
    let Way::Wait(why) = way(&over) else { panic!("it goes on") };
    assert!(shown(&why).contains("to try again: rm /var/lib/pgtwin/db/attempts; "), "{why}");
    assert!(why.contains("no route to n2") && why.contains("data diverged"), "{why}");
    let due = Facts { turn: Turn::Now, ..early };
    assert_eq!(way(&due), Way::MakeTheCheck);
    assert_eq!(way(&Facts { check: None, ..facts() }), Way::MakeTheCheck);
}

/// The first bytes of a reason, as Pacemaker keeps them.
fn shown(why: &str) -> &str {
    &why[..why.len().min(128)]
}

#[test]
fn what_stands_in_the_way_is_shown_by_pacemaker_with_the_line_to_add() {
    use crate::decide::recovery_check::Closes::{Both, Rebuild, Rewind};
    use crate::decide::source::{Advice, Login, Passfile, Server};
    use crate::postgres::refusal::{Refusal, SeenAs};
    let server = |passfile| Server {
        node: "n1".into(),
        host: "10.0.0.12".into(),
        port: 5432,
        user: "replicator".into(),
        passfile,
    };
    let none = || server(Passfile::NotNamed);
    let missing = server(Passfile::Missing { path: "/var/lib/postgresql/.pgpass".into() });
    let seen = |address: &str| Some(SeenAs::Address(address.parse().unwrap()));
    let hba = |refusal| none().not_let_in(Login::Replication, &refusal);
    let v4 = "host  replication  replicator  10.0.0.2/32  scram-sha-256";
    let v6 = "host  replication  replicator  fd00:10::2/128  scram-sha-256";
    let passfile = "10.0.0.12:5432:replication:replicator:PASSWORD";
    let diverged = "data diverged: timeline 12 at 3A/8C0001F8, primary n1 timeline 13 at 3A/8D000148 (the \
                    primary's line: 1, 2 from 0/3000148, 3 from 0/4000148)";
    let kind = Kind::NotLetIn(Login::Replication);
    let room = Advice::new(
        "a rebuild needs 51234 MB, and 812 MB are free on the file system of /var/lib/postgresql/17/main",
        "make room there (measured by tablespaces, WAL by pg_ls_waldir)",
    );
    let place = Advice::new("a copy cannot be made here", "chown it");
    for (kind, closes, advice, words) in [
        (kind, Both, hba(Refusal::NoHbaLine(seen("10.0.0.2"))), v4),
        (kind, Both, hba(Refusal::NoHbaLine(seen("fd00:10::2"))), v6),
        (kind, Both, hba(Refusal::HbaRejects(seen("10.0.0.2"))), v4),
        (kind, Both, hba(Refusal::Method), "host  replication  replicator  samenet  scram-sha-256"),
        (kind, Both, hba(Refusal::NoPassword), passfile),
        (kind, Both, missing.not_let_in(Login::Replication, &Refusal::NoPassword), passfile),
        (
            Kind::TooFull,
            Both,
            room,
            "812 MB are free on the file system of /var/lib/postgresql/17/main",
        ),
        (Kind::Place, Both, place, "a copy cannot be made here: chown it"),
    ] {
        let silent = Upstream::Silent(n1(), advice.brief());
        let found = recovery_check::Check { findings: vec![Finding { kind, closes, advice }] };
        let check = Some(Check::of(&found, &Marked::Whole));
        let cause = Known::Known(Some(Cause::Diverged(diverged.into())));
        let asked = Facts { cause: cause.clone(), check, ..facts() };
        let unasked = Facts { cause, upstream: silent, ..facts() };
        let mut all = vec![asked];
        if let Kind::NotLetIn(_) = kind {
            all.push(unasked);
        }
        for facts in all {
            let Way::Wait(why) = way(&facts) else { panic!("{words}: it begins") };
            assert!(shown(&why).contains(words), "{words}: {}", shown(&why));
            assert!(why.contains(words) && why.ends_with(diverged), "{why}");
        }
    }
    // Both ways are closed: what closes the one that is left comes first.
    let (no_hints, full) = (Advice::new("no wal_log_hints", "set it"), Advice::new("full", "room"));
    let findings = vec![
        Finding { kind: Kind::NoHints, closes: Rewind, advice: no_hints },
        Finding { kind: Kind::TooFull, closes: Rebuild, advice: full },
    ];
    let check = Some(Check::of(&recovery_check::Check { findings }, &Marked::Whole));
    let Way::Wait(why) = way(&Facts { check, ..facts() }) else { panic!("it begins") };
    assert_eq!(why, "full: room; pg_rewind cannot work (no wal_log_hints: set it); data diverged");
}

#[test]
fn a_worker_in_single_user_mode_is_not_taken_for_a_server_without_its_postmaster() {
    let (yes, no) = (Known::Known(true), Known::Known(false));
    let unknown = || Known::unknown("no /proc");
    let running = || Process::Running { pid: 7, stopped: false };
    for (process, at_work, expected) in [
        (Process::None, yes.clone(), Standing::AtWork),
        (Process::None, no.clone(), Standing::Idle),
        (Process::None, unknown(), Standing::Unsure("no /proc".into())),
        (Process::Orphans(vec![7]), yes.clone(), Standing::AtWork),
        (Process::Orphans(vec![7]), no.clone(), Standing::Other),
        (Process::Orphans(vec![7]), unknown(), Standing::Other),
        (running(), yes.clone(), Standing::Runs),
        (running(), no.clone(), Standing::Runs),
        (running(), unknown(), Standing::Runs),
        (Process::Unknown("x".into()), yes, Standing::Other),
        (Process::Unknown("x".into()), no, Standing::Other),
        (Process::Unknown("x".into()), unknown(), Standing::Other),
    ] {
        assert_eq!(standing(&process, &at_work), expected, "{process:?} {at_work:?}");
    }
}

#[test]
fn what_can_be_mended_waits_and_what_cannot_goes_the_other_way() {
    use crate::decide::recovery_check::Closes::{Both, Rebuild, Rewind};
    use crate::decide::source::{Advice, Login};
    let check = |found: &[(Kind, recovery_check::Closes)]| {
        let findings = found.iter().map(|(kind, closes)| Finding {
            kind: *kind,
            closes: *closes,
            advice: Advice::new("what", "remedy"),
        });
        let Check { rewind, rebuild } =
            Check::of(&recovery_check::Check { findings: findings.collect() }, &Marked::Whole);
        let word = |possible: &Possible| match possible {
            Possible::Yes => "yes",
            Possible::NotNow(_) => "not now",
            Possible::Never(_) => "never",
        };
        (word(&rewind), word(&rebuild))
    };
    for (found, expected) in [
        (&[] as &[_], ("yes", "yes")),
        (&[(Kind::NoHints, Rewind)], ("never", "yes")),
        (&[(Kind::SlotLost, Rewind)], ("never", "yes")),
        (&[(Kind::NoData, Rewind)], ("never", "yes")),
        (&[(Kind::NotExecutable, Rewind)], ("not now", "yes")),
        (&[(Kind::TooFull, Rebuild)], ("yes", "not now")),
        (&[(Kind::Place, Rebuild)], ("yes", "not now")),
        (&[(Kind::Place, Rebuild), (Kind::NoData, Rewind)], ("never", "not now")),
        (&[(Kind::NotLetIn(Login::Postgres), Both)], ("not now", "not now")),
        (&[(Kind::NotLetIn(Login::Postgres), Both), (Kind::NoHints, Rewind)], ("never", "not now")),
    ] {
        assert_eq!(check(found), expected, "{found:?}");
    }
}

#[test]
fn what_a_recovery_has_left_half_done_does_not_stand_in_its_own_way() {
    use crate::decide::recovery_check::Closes::Both;
    use crate::decide::source::Advice;
    let found = |kinds: &[Kind]| recovery_check::Check {
        findings: kinds
            .iter()
            .map(|kind| Finding {
                kind: *kind,
                closes: Both,
                advice: Advice::new("it holds base but no PG_VERSION", "look"),
            })
            .collect(),
    };
    let half_done = Marked::HalfDone { system_id: 7 };
    let unreadable = || Marked::Unreadable("rubbish".into());
    for (kinds, marked, expected) in [
        (&[Kind::Unusable][..], half_done.clone(), Some(Method::Rebuild)),
        (&[Kind::Unusable, Kind::TooFull], half_done.clone(), None),
        (&[Kind::OtherSystem], half_done, None),
        // Nobody says that this is ours.
        (&[Kind::Unusable], unreadable(), None),
        (&[Kind::Unusable], Marked::Whole, None),
        (&[Kind::Unusable], Marked::Nothing, None),
    ] {
        let check = Some(Check::of(&found(kinds), &marked));
        let facts = Facts { marked: marked.clone(), check, ..facts() };
        assert_eq!(recovers(&way(&facts)), expected, "{kinds:?} {marked:?}");
    }
}
