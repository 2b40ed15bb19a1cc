//! The way back, row by row.

use super::*;
use crate::cluster::node::NodeName;
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
        knows_our_promotion: Some(true),
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
        mount: Mount::InPlace,
        pause: 0,
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
        ("WAL gone", Cause::WalGone("w".into()), false, Yes, Yes, Some(Method::Rebuild)),
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
    let early = Facts { pause: 30, check: None, ..facts() };
    assert!(matches!(way(&early), Way::Wait(why) if why.contains("30 s")));
    assert_eq!(way(&Facts { check: None, ..facts() }), Way::MakeTheCheck);
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
            Check::of(&recovery_check::Check { findings: findings.collect() });
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
        (&[(Kind::NotLetIn(Login::Postgres), Both)], ("not now", "not now")),
        (&[(Kind::NotLetIn(Login::Postgres), Both), (Kind::NoHints, Rewind)], ("never", "not now")),
    ] {
        assert_eq!(check(found), expected, "{found:?}");
    }
}
