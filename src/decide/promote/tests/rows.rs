//! One row for each answer.

use super::super::{
    Answer, Facts, Intent, Late, Next, OldPrimary, Planned, Progress, Step, intent, late, next,
    words,
};
use crate::cluster::ledger::{Entry, Mode, Past, PromotionId};
use crate::decide::election::{Obstacle, Plan, Ruling};
use crate::decide::facts::{DataDir, Instance, Process, Sql};
use crate::decide::support::{
    SYSTEM, after, at_rest, data, entry, in_async, in_recovery, node, nodes, running, writable,
};
use crate::postgres::control_data::ClusterState;
use crate::postgres::lsn::{Lsn, Timeline};

pub fn plan() -> Plan {
    Plan {
        term: 2,
        seq: 0,
        in_place: false,
        names: nodes("n3"),
        heirs: nodes(""),
        after: Some(entry(1, 4, 1, "n1", "n2 n3")),
    }
}

/// All asked and answered well; nothing written yet.
fn ready() -> Facts {
    Facts {
        instance: running(ClusterState::InArchiveRecovery, in_recovery()),
        intent: Intent::None,
        ruling: Some(Ruling::Permitted(plan())),
        out_of_time: false,
        old_primary: Some(OldPrimary::NotWritable),
        planned: Some(Planned::Complete),
        force: false,
        mode: Mode::Sync,
        done: Progress::Nothing,
    }
}

fn refused(obstacle: Obstacle) -> Facts {
    Facts { ruling: Some(Ruling::Refused(vec![obstacle])), ..ready() }
}

fn fails(reason: &str) -> Next {
    Next::Failed(reason.into())
}

fn refuses(reason: &str) -> Next {
    Next::Refused { reason: reason.into(), better: None }
}

fn not_seen() -> Obstacle {
    Obstacle::NotSeen(node("n3"), "silent".into())
}

fn behind() -> Obstacle {
    let at = |lsn| (Timeline(1), Lsn(lsn));
    Obstacle::Behind { better: node("n3"), at: at(0x600), mine: at(0x500) }
}

#[test]
fn every_row_of_a_promotion() {
    let lacking = || Some(Planned::Lacking("n1 ended at 0/600".into()));
    let unknown = || Some(Planned::Unknown("n1 said nothing".into()));
    let may_be = || Some(OldPrimary::of(&node("n1"), false, Answer::Unknown("no password".into())));
    let not_proven = || Some(OldPrimary::NotProvenDown(node("n1"), "no fencing".into()));
    let asynchronous = || Facts { mode: Mode::Async, ..ready() };
    let primary = || running(ClusterState::InProduction, writable());
    let with = |process| Instance {
        data: data(ClusterState::InArchiveRecovery),
        process,
        sql: Sql::NotAsked,
    };
    let rows = vec![
        (
            "what does not run is not promoted",
            Facts { instance: at_rest(DataDir::Empty), ..ready() },
            fails("PostgreSQL is not running on this node"),
        ),
        (
            "nor what has lost its postmaster",
            Facts { instance: with(Process::Orphans(vec![43])), ..ready() },
            fails("PostgreSQL is not running on this node"),
        ),
        (
            "nor what could not be looked at",
            Facts { instance: with(Process::Unknown("EIO".into())), ..ready() },
            fails("processes could not be looked at: EIO"),
        ),
        ("a primary is promoted", Facts { instance: primary(), ..ready() }, Next::Promoted),
        (
            "once its file says so",
            Facts { instance: primary(), intent: Intent::CarriedOut, ..ready() },
            Next::Do(Step::ResolveDone),
        ),
        (
            "an earlier action was killed after it had told PostgreSQL",
            Facts { intent: Intent::Pending, ruling: None, ..ready() },
            Next::Do(Step::AwaitWritable),
        ),
        (
            "and that does not come to its end",
            Facts { intent: Intent::Pending, out_of_time: true, ..ready() },
            fails("an earlier promotion has not come to its end"),
        ),
        (
            "an earlier action was killed before it had told PostgreSQL",
            Facts { intent: Intent::Void, ruling: None, ..ready() },
            Next::Do(Step::ResolveVoid),
        ),
        (
            "an executed intent is marked done before another is written",
            Facts { intent: Intent::CarriedOut, ruling: None, ..ready() },
            Next::Do(Step::ResolveDone),
        ),
        ("first the election", Facts { ruling: None, ..ready() }, Next::Do(Step::Elect)),
        ("a silent peer is waited for", refused(not_seen()), Next::Do(Step::WaitAndElect)),
        (
            "but not for ever",
            Facts { out_of_time: true, ..refused(not_seen()) },
            refuses("n3 may have more and has not said how far it is (silent)"),
        ),
        (
            "a better node is named at once",
            refused(behind()),
            Next::Refused {
                reason: "n3 has more: timeline 1 at 0/600, this node timeline 1 at 0/500".into(),
                better: Some(node("n3")),
            },
        ),
        (
            "then the old primary's address",
            Facts { old_primary: None, ..ready() },
            Next::Do(Step::AskOldPrimary),
        ),
        (
            "one that still accepts writes forbids it",
            Facts { old_primary: Some(OldPrimary::Writable(node("n1"))), ..ready() },
            refuses("n1 still accepts writes: two primaries must not be"),
        ),
        (
            "forbids it forced and late, too",
            Facts {
                old_primary: Some(OldPrimary::Writable(node("n1"))),
                force: true,
                out_of_time: true,
                ..asynchronous()
            },
            refuses("n1 still accepts writes: two primaries must not be"),
        ),
        (
            "one that is lost and not proven down is waited for",
            Facts { old_primary: not_proven(), ..ready() },
            Next::Do(Step::WaitAndElect),
        ),
        (
            "and forbids it in the end, forced, too",
            Facts { old_primary: not_proven(), force: true, out_of_time: true, ..asynchronous() },
            refuses("n1 is lost and not proven down: no fencing"),
        ),
        (
            "one that left the cluster and may run on is waited for",
            Facts { old_primary: may_be(), ..ready() },
            Next::Do(Step::WaitAndElect),
        ),
        (
            "and forbids it in the end, too",
            Facts { old_primary: may_be(), out_of_time: true, ..ready() },
            refuses("n1 is offline, and may still accept writes: no password"),
        ),
        (
            "then its shutdown checkpoint",
            Facts { planned: None, ..ready() },
            Next::Do(Step::CheckPlanned),
        ),
        (
            "lacking the last WAL forbids it",
            Facts { planned: lacking(), ..ready() },
            refuses("n1 ended at 0/600"),
        ),
        (
            "in sync mode forced, too",
            Facts { planned: lacking(), force: true, ..ready() },
            refuses("n1 ended at 0/600"),
        ),
        (
            "in async mode as well",
            Facts { planned: lacking(), ..asynchronous() },
            refuses("n1 ended at 0/600"),
        ),
        (
            "unless forced",
            Facts { planned: lacking(), force: true, ..asynchronous() },
            Next::Do(Step::WriteIntent(plan())),
        ),
        (
            "in sync mode E has all that counts, wherever the old primary ended",
            Facts { planned: unknown(), ..ready() },
            Next::Do(Step::WriteIntent(plan())),
        ),
        (
            "in async mode its word is waited for",
            Facts { planned: unknown(), ..asynchronous() },
            Next::Do(Step::WaitAndElect),
        ),
        (
            "but not for ever",
            Facts { planned: unknown(), out_of_time: true, ..asynchronous() },
            refuses("n1 said nothing"),
        ),
        (
            "and not when forced",
            Facts { planned: unknown(), force: true, ..asynchronous() },
            Next::Do(Step::WriteIntent(plan())),
        ),
        ("the own file is first", ready(), Next::Do(Step::WriteIntent(plan()))),
        (
            "where there is no old primary as well",
            Facts {
                old_primary: Some(OldPrimary::NotApplicable),
                planned: Some(Planned::NotApplicable),
                ..ready()
            },
            Next::Do(Step::WriteIntent(plan())),
        ),
        (
            "then the CIB, and positions are withdrawn: this election's are never used again",
            Facts { done: Progress::FileWritten, ..ready() },
            Next::Do(Step::Announce),
        ),
        (
            "then V",
            Facts { done: Progress::Announced, ..ready() },
            Next::Do(Step::Configure(plan())),
        ),
        (
            "then PostgreSQL is told",
            Facts { done: Progress::Configured, ..ready() },
            Next::Do(Step::Tell),
        ),
        (
            "and waited for",
            Facts { done: Progress::Told, intent: Intent::Pending, ..ready() },
            Next::Do(Step::AwaitWritable),
        ),
        (
            "within the action's time",
            Facts { done: Progress::Told, intent: Intent::Pending, out_of_time: true, ..ready() },
            fails("PostgreSQL was told to promote and does not accept writes yet"),
        ),
        (
            "then the file says done",
            Facts { done: Progress::Told, intent: Intent::Pending, instance: primary(), ..ready() },
            Next::Do(Step::ResolveDone),
        ),
    ];
    for (name, facts, expected) in rows {
        assert_eq!(next(&facts), expected, "{name}");
    }
}

#[test]
fn obstacles_are_one_line() {
    assert_eq!(
        words(&[Obstacle::StillReplaying, not_seen()]),
        "this node still replays WAL that it already has; n3 may have more and has not said how \
         far it is (silent)"
    );
}

#[test]
fn an_intent_says_what_was_planned_and_what_came_before() {
    let before = after(entry(1, 4, 1, "n1", "n2 n3"), &[7]);
    let plan = Plan { after: Some(before), ..plan() };
    let id = PromotionId(9);
    let entry =
        intent(&plan, &node("n2"), Some(PromotionId(1)), id, SYSTEM, Timeline(3), Mode::Sync);
    let past = |id| Past { id: PromotionId(id), timeline: Timeline(1) };
    assert_eq!(
        entry,
        Entry {
            system_id: SYSTEM,
            term: 2,
            seq: 0,
            id,
            primary: node("n2"),
            timeline: Timeline(3),
            mode: Mode::Sync,
            heirs: nodes(""),
            history: vec![past(1), past(7)],
            adopted: None,
        }
    );
    // Regression: it has not seen the promotion that it replaces, so its data does not contain it.
    let entry =
        intent(&plan, &node("n2"), Some(PromotionId(7)), id, SYSTEM, Timeline(3), Mode::Sync);
    assert_eq!(entry.history, [past(7)]);
    // Regression: it was pointed at the primary of timeline 2 and has received nothing of that.
    let before = plan.after.clone().map(|entry| Entry { timeline: Timeline(2), ..entry });
    let of_two = Plan { after: before, ..plan.clone() };
    let history = |line| {
        let followed = Some(PromotionId(1));
        intent(&of_two, &node("n2"), followed, id, SYSTEM, Timeline(line), Mode::Sync).history
    };
    assert_eq!(history(1), [past(7)]);
    assert_eq!(history(2), [Past { id: PromotionId(1), timeline: Timeline(2) }, past(7)]);
    let first = Plan { after: None, ..plan };
    let entry = intent(&first, &node("n2"), None, id, SYSTEM, Timeline(1), Mode::Sync);
    assert_eq!(entry.history, []);
}

/// Regression: the E that async left behind is no promise, and V is empty.
#[test]
fn an_async_entry_stays_async_in_place_and_only_there() {
    let was = |entry: Entry| Some(in_async(entry));
    let mode = |plan: &Plan, mode| {
        intent(plan, &node("n1"), None, PromotionId(9), SYSTEM, Timeline(1), mode).mode
    };
    let in_place = Plan {
        term: 1,
        seq: 5,
        in_place: true,
        names: nodes(""),
        heirs: nodes("n2"),
        after: was(entry(1, 4, 1, "n1", "n2")),
    };
    assert_eq!(mode(&in_place, Mode::Sync), Mode::Async);
    assert_eq!(mode(&in_place, Mode::Async), Mode::Async);
    let sync = Plan { after: Some(entry(1, 4, 1, "n1", "n2")), ..in_place.clone() };
    assert_eq!(mode(&sync, Mode::Sync), Mode::Sync);
    assert_eq!(mode(&sync, Mode::Async), Mode::Async);
    let takeover = Plan { in_place: false, heirs: nodes(""), ..in_place };
    assert_eq!(mode(&takeover, Mode::Sync), Mode::Sync, "it starts with E = {{}}");
}

#[test]
fn regression_an_old_primary_that_does_not_say_what_it_is_may_be_one_unless_pacemaker_knows() {
    let n1 = node("n1");
    let silent = || Answer::Unknown("no password".into());
    for (in_cluster, answer, expected) in [
        (true, Answer::Primary, OldPrimary::Writable(n1.clone())),
        (false, Answer::Primary, OldPrimary::Writable(n1.clone())),
        (true, Answer::NoPrimary, OldPrimary::NotWritable),
        (false, Answer::NoPrimary, OldPrimary::NotWritable),
        (true, silent(), OldPrimary::NotWritable),
        (false, silent(), OldPrimary::MayBeWritable(n1.clone(), "no password".into())),
    ] {
        assert_eq!(OldPrimary::of(&n1, in_cluster, answer.clone()), expected, "{answer:?}");
    }
}

#[test]
fn regression_only_members_that_may_replay_are_waited_for_longer() {
    let silent = |name: &str| Obstacle::NotSeen(node(name), "it has not said yet".into());
    let replays = |name: &str| Obstacle::NotExact(node(name));
    let behind = || Obstacle::NobodyToConfirm(nodes("n3"));
    for (obstacles, expected) in [
        (vec![replays("n2")], vec![("n2", Late::Replays)]),
        (vec![silent("n2")], vec![("n2", Late::Silent)]),
        (vec![silent("n3"), replays("n2")], vec![("n2", Late::Replays), ("n3", Late::Silent)]),
        // Something else is in the way as well.
        (vec![replays("n2"), behind()], vec![]),
        (vec![Obstacle::StillReplaying, replays("n2")], vec![]),
        (vec![behind()], vec![]),
    ] {
        let expected = expected.into_iter().map(|(name, why)| (node(name), why)).collect();
        assert_eq!(late(Some(&Ruling::Refused(obstacles.clone()))), expected, "{obstacles:?}");
    }
    assert!(late(None).is_empty(), "nothing was asked yet");
}
