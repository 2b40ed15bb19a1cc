//! The right to be promoted, and what it is worth: who has it, who has laid it down, and by which score it
//! is told to Pacemaker. Floor 1.

use std::collections::BTreeSet;

use crate::cluster::known::Known;
use crate::cluster::ledger::{Mode, Own, PromotionId, Store, names};
use crate::cluster::node::NodeName;
use crate::decide::election::{Purpose, Ruling};

/// Pacemaker's minus infinity: no right to be promoted.
pub const BARRED: i32 = -1_000_000;
/// The score that a member gives itself at a cold start: below any heir's.
pub const COLD_SCORE: i32 = 5_000;
/// What the primary of the ledger adds to it.
const AS_IT_WAS: i32 = 1_000;
/// The score that whoever may take over, or a returning primary, gives itself when it has more than the
/// candidate: above any heir's, below the primary's.
pub const PREFERRED_SCORE: i32 = 12_000;
/// For how many seconds a primary that has taken the right from itself knows that nobody has given it back.
const A_MOMENT: u64 = 10;

/// The newest promotion of the ledger is this node's, and no other one of its own is under way.
fn was_primary_last(own: Option<&Own>, me: &NodeName) -> bool {
    own.is_some_and(|own| own.store.intent(me).is_none() && is_primary_of(own, me))
}

fn is_primary_of(own: &Own, me: &NodeName) -> bool {
    own.store.newest_done().is_some_and(|entry| entry.primary == *me)
}

/// The file names this node as the primary of the newest promotion.
#[must_use]
pub fn is_named(own: Option<&Own>, me: &NodeName) -> bool {
    own.is_some_and(|own| is_primary_of(own, me))
}

/// This node was the primary, and took the right to be promoted from itself a moment ago: whoever gives a
/// score is a primary, and there has been none since, so nobody has given it back. `seconds`: since then;
/// none: it has not, or has a score again.
#[must_use]
pub fn is_barred(seconds: Option<u64>, own: Option<&Own>, me: &NodeName) -> bool {
    seconds.is_some_and(|seconds| seconds < A_MOMENT) && was_primary_last(own, me)
}

/// This node laid its score down in this election: `noted` is the promotion under which it did.
#[must_use]
pub fn has_yielded(noted: &str, own: Option<&Own>) -> bool {
    let newest = own.and_then(|own| own.store.newest_done());
    newest.is_some_and(|entry| entry.id.to_string() == noted)
}

/// Which election a node may hold. The score is the token of whoever was primary, and one that was laid down
/// for somebody who has more is still had; without it only the rule of a cold start permits anything.
#[must_use]
pub fn purpose(has_token: bool) -> Purpose {
    if has_token { Purpose::Promotion } else { Purpose::ColdStart }
}

/// Which election a node holds that has more than a candidate, instead of it: one of E may use the candidate's right
/// ([`passed_to`]).
#[must_use]
pub fn purpose_instead(has_token: bool, candidate_has_one: bool, mode: Mode) -> Purpose {
    purpose(has_token || candidate_has_one && mode == Mode::Sync)
}

/// Under which promotion a node lays its score down, so that it may take it up again if the better one does
/// not come; none: it had none, or that is not known. The score goes either way.
#[must_use]
pub fn laid_down(has_token: &Known<bool>, own: Option<&Own>) -> Option<PromotionId> {
    match has_token {
        Known::Known(true) => own?.store.newest_done().map(|entry| entry.id),
        Known::Known(false) | Known::Unknown(_) => None,
    }
}

/// To which of E a node passes the right that it lays down: to one that has more, and may be promoted then by its own
/// election. It may never have got one: E has grown, and the primary was lost before it gave the score.
#[must_use]
pub fn passed_to<'a>(
    has_token: &Known<bool>,
    ruling: &'a Ruling,
    own: Option<&Own>,
) -> Option<&'a NodeName> {
    let newest = own?.store.newest_done()?;
    let may_take_over =
        |better: &&NodeName| newest.mode == Mode::Sync && newest.heirs.contains(*better);
    match has_token {
        Known::Known(true) => ruling.better().filter(may_take_over),
        Known::Known(false) | Known::Unknown(_) => None,
    }
}

/// The primary of the ledger is preferred among equals, so that a cluster that was stopped comes back as it
/// was.
#[must_use]
pub fn cold_score(own: Option<&Own>, me: &NodeName) -> i32 {
    if is_named(own, me) { COLD_SCORE + AS_IT_WAS } else { COLD_SCORE }
}

/// Whether a server that accepts writes is the primary by the ledger, and gets its score back where Pacemaker
/// has forgotten it. Where there is no ledger at all: if nobody is promoted. `system_id`: of its data.
#[must_use]
pub fn is_primary_by_ledger(
    own: Option<&Own>,
    cib: &Store,
    me: &NodeName,
    system_id: u64,
    anybody_promoted: bool,
) -> bool {
    let all = own.map_or_else(|| cib.clone(), |own| own.store.merged(cib, Some(me)));
    match all.newest_done() {
        Some(entry) => entry.primary == *me && entry.system_id == system_id,
        None => !anybody_promoted,
    }
}

/// Why a server that accepts writes here may have been overtaken, where no promotion of the cluster's has made it do
/// so: a hand has started it, or the distribution at boot, on data of a primary of the past. `None`: nobody else
/// can be the primary, or there is no ledger that could name one.
#[must_use]
pub fn overtaken(own: Option<&Own>, cib: &Store, me: &NodeName) -> Option<String> {
    let all = own.map_or_else(|| cib.clone(), |own| own.store.merged(cib, Some(me)));
    let newest = all.newest_done()?;
    if newest.primary != *me {
        return Some(format!("the ledger's primary is {} (term {})", newest.primary, newest.term));
    }
    if newest.mode == Mode::Sync && only_me(own, me) {
        return None;
    }
    let who = if newest.mode == Mode::Sync && !newest.heirs.is_empty() {
        names(&newest.heirs)
    } else {
        "somebody".to_owned()
    };
    Some(format!("{who} may have taken over (term {})", newest.term))
}

/// Whom a standby listens to while there is no primary: the one of the ledger, who most likely becomes it
/// again. One that waits for a snapshot opens by what it gets there. Data that is of another branch listens to
/// nobody: the numbers of timelines do not tell.
#[must_use]
pub fn most_likely(own: Option<&Own>, me: &NodeName) -> Option<NodeName> {
    let own = own?;
    let newest = own.store.newest_done()?;
    (newest.primary != *me && !own.is_elsewhere_than(newest)).then(|| newest.primary.clone())
}

/// The own file says that nobody but this node can be the primary.
#[must_use]
pub fn only_me(own: Option<&Own>, me: &NodeName) -> bool {
    was_primary_last(own, me)
        && own.and_then(|own| own.store.newest_done()).is_some_and(|entry| entry.heirs.is_empty())
}

/// This node is the primary of the ledger, and none of those who may replace it runs (whatever comes, they
/// will follow it), or the mode is async, where it is preferred to them. `running`: where Pacemaker has an
/// instance.
#[must_use]
pub fn nobody_else_runs(own: Option<&Own>, me: &NodeName, running: &BTreeSet<NodeName>) -> bool {
    was_primary_last(own, me)
        && own
            .and_then(|own| own.store.newest_done())
            .is_some_and(|entry| entry.mode == Mode::Async || entry.heirs.is_disjoint(running))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::cluster::ledger::Entry;
    use crate::decide::election::Obstacle;
    use crate::decide::support::{SYSTEM, entry, in_async, intending, node, nodes, store};
    use crate::decide::sync::{HEIR_SCORE, PRIMARY_SCORE};
    use crate::postgres::lsn::{Lsn, Timeline};

    fn file(store: Store) -> Own {
        Own { store, ..Own::new("db", &node("n1")) }
    }

    /// A store of this entry.
    fn only(entry: &Entry) -> Store {
        store(std::slice::from_ref(entry))
    }

    fn of(primary: &str) -> Own {
        file(store(&[entry(3, 1, 9, primary, "n2")]))
    }

    #[test]
    fn scores_are_ranked_by_what_they_are_worth() {
        let ranked = [BARRED, 0, COLD_SCORE, COLD_SCORE + AS_IT_WAS, HEIR_SCORE];
        let ranked = [ranked.as_slice(), &[PREFERRED_SCORE, PRIMARY_SCORE]].concat();
        assert!(ranked.is_sorted() && ranked.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn only_the_primary_of_the_last_promotion_knows_for_a_moment_that_it_is_barred() {
        let about_to = file(intending(&[entry(3, 1, 9, "n1", "n2")], &entry(3, 2, 10, "n1", "n2")));
        let (mine, theirs, empty) = (of("n1"), of("n2"), file(Store::default()));
        for (name, seconds, own, barred) in [
            ("just now", Some(0), Some(&mine), true),
            ("a moment ago", Some(9), Some(&mine), true),
            ("long ago", Some(10), Some(&mine), false),
            ("never", None, Some(&mine), false),
            ("another was promoted since", Some(0), Some(&theirs), false),
            ("its own promotion is under way", Some(0), Some(&about_to), false),
            ("there is no ledger", Some(0), Some(&empty), false),
            ("the file cannot be read", Some(0), None, false),
        ] {
            assert_eq!(is_barred(seconds, own, &node("n1")), barred, "{name}");
        }
    }

    #[test]
    fn a_score_that_was_laid_down_is_had_for_as_long_as_nobody_is_promoted() {
        let own = of("n2");
        let noted = PromotionId(9).to_string();
        assert!(has_yielded(&noted, Some(&own)));
        assert!(!has_yielded(&PromotionId(8).to_string(), Some(&own)), "another promotion");
        assert!(!has_yielded("", Some(&own)), "it has not");
        assert!(!has_yielded("", Some(&file(Store::default()))), "nobody was ever promoted");
        assert!(!has_yielded(&noted, None), "the file cannot be read");
        assert_eq!((purpose(true), purpose(false)), (Purpose::Promotion, Purpose::ColdStart));
        for (mine, theirs, mode, expected) in [
            (true, false, Mode::Sync, Purpose::Promotion),
            (true, false, Mode::Async, Purpose::Promotion),
            (false, true, Mode::Sync, Purpose::Promotion),
            (false, true, Mode::Async, Purpose::ColdStart),
            (false, false, Mode::Sync, Purpose::ColdStart),
        ] {
            assert_eq!(purpose_instead(mine, theirs, mode), expected, "{mine} {theirs} {mode:?}");
        }
    }

    #[test]
    fn only_what_was_had_is_laid_down() {
        let own = of("n2");
        let (yes, no) = (Known::Known(true), Known::Known(false));
        assert_eq!(laid_down(&yes, Some(&own)), Some(PromotionId(9)));
        assert_eq!(laid_down(&no, Some(&own)), None);
        assert_eq!(laid_down(&Known::unknown("?"), Some(&own)), None);
        assert_eq!(laid_down(&yes, None), None);
        assert_eq!(laid_down(&yes, Some(&file(Store::default()))), None);
    }

    #[test]
    fn the_right_is_passed_to_one_of_e_that_has_more_by_whoever_has_it() {
        let at = |lsn| (Timeline(1), Lsn(lsn));
        let behind =
            |better: &str| Obstacle::Behind { better: node(better), at: at(9), mine: at(1) };
        let silent = Obstacle::NotSeen(node("n4"), "silent".into());
        let (yes, no, unknown) = (Known::Known(true), Known::Known(false), Known::unknown("?"));
        let own = file(store(&[entry(3, 1, 9, "n2", "n1 n3 n4")]));
        let asynchronous = file(only(&in_async(entry(3, 1, 9, "n2", "n1 n3 n4"))));
        let empty = file(Store::default());
        for (name, had, obstacles, own, expected) in [
            ("it has more", &yes, vec![behind("n3")], Some(&own), Some("n3")),
            (
                "and another is silent",
                &yes,
                vec![silent.clone(), behind("n3")],
                Some(&own),
                Some("n3"),
            ),
            ("nobody has more", &yes, vec![silent], Some(&own), None),
            ("the old primary: it needs none", &yes, vec![behind("n2")], Some(&own), None),
            ("it is not one of E", &yes, vec![behind("n5")], Some(&own), None),
            ("without a right", &no, vec![behind("n3")], Some(&own), None),
            ("or none that is known", &unknown, vec![behind("n3")], Some(&own), None),
            ("in async mode", &yes, vec![behind("n3")], Some(&asynchronous), None),
            ("without a ledger", &yes, vec![behind("n3")], Some(&empty), None),
        ] {
            let ruling = Ruling::Refused(obstacles);
            let to = passed_to(had, &ruling, own).map(NodeName::as_str);
            assert_eq!(to, expected, "{name}");
        }
        let behind = Ruling::Refused(vec![behind("n3")]);
        assert_eq!(passed_to(&yes, &behind, None), None, "the file cannot be read");
    }

    #[test]
    fn a_cold_start_prefers_the_primary_of_the_ledger_among_equals() {
        let me = node("n1");
        assert_eq!(cold_score(Some(&of("n1")), &me), 6_000);
        for own in [Some(&of("n2")), Some(&file(Store::default())), None] {
            assert_eq!(cold_score(own, &me), 5_000, "{own:?}");
        }
        assert!(is_named(Some(&of("n1")), &me) && !is_named(Some(&of("n2")), &me));
        assert!(!is_named(None, &me));
    }

    #[test]
    fn a_writable_server_gets_its_score_back_if_the_newest_entry_is_its_own() {
        let (mine, theirs) = (entry(3, 1, 9, "n1", ""), entry(4, 0, 11, "n2", ""));
        let (empty, of_both) = (Store::default(), store(&[mine.clone(), theirs.clone()]));
        let file_of = |entry| Some(file(only(entry)));
        for (name, own, cib, system, promoted, named) in [
            ("as the file has it", file_of(&mine), &empty, SYSTEM, true, true),
            ("as the CIB has it", None, &only(&mine), SYSTEM, true, true),
            ("of another database", file_of(&mine), &empty, 8, true, false),
            ("the CIB is newer", file_of(&mine), &of_both, SYSTEM, false, false),
            ("the file is newer", file_of(&theirs), &only(&mine), SYSTEM, false, false),
            ("no ledger, and nobody is promoted", None, &empty, SYSTEM, false, true),
            ("no ledger, and somebody is", None, &empty, SYSTEM, true, false),
        ] {
            let found = is_primary_by_ledger(own.as_ref(), cib, &node("n1"), system, promoted);
            assert_eq!(found, named, "{name}");
        }
    }

    #[test]
    fn a_server_that_nobody_promoted_may_have_been_overtaken_unless_nobody_else_could() {
        let (mine, alone) = (entry(3, 1, 9, "n1", "n2 n3"), entry(3, 1, 9, "n1", ""));
        let theirs = entry(4, 0, 11, "n2", "n1");
        let (empty, of_both) = (Store::default(), store(&[alone.clone(), theirs.clone()]));
        let intends = intending(std::slice::from_ref(&alone), &entry(4, 0, 10, "n1", ""));
        let file_of = |entry| Some(file(only(entry)));
        let rows: [(&str, Option<Own>, &Store, Option<&str>); 10] = [
            ("it has heirs", file_of(&mine), &empty, Some("n2,n3 may have taken over (term 3)")),
            ("by the CIB", None, &only(&mine), Some("n2,n3 may have taken over (term 3)")),
            (
                "another one is",
                file_of(&theirs),
                &empty,
                Some("the ledger's primary is n2 (term 4)"),
            ),
            (
                "another one is, by the CIB",
                file_of(&alone),
                &of_both,
                Some("the ledger's primary is n2 (term 4)"),
            ),
            ("E is empty, by the own file", file_of(&alone), &empty, None),
            (
                "E is empty by the CIB, which may be old",
                None,
                &only(&alone),
                Some("somebody may have taken over (term 3)"),
            ),
            (
                "a promotion of its own was cut off",
                Some(file(intends)),
                &empty,
                Some("somebody may have taken over (term 3)"),
            ),
            (
                "in async mode anybody takes over",
                file_of(&in_async(alone.clone())),
                &empty,
                Some("somebody may have taken over (term 3)"),
            ),
            ("an own file without any entry", Some(file(Store::default())), &empty, None),
            ("no ledger at all", None, &empty, None),
        ];
        for (name, own, cib, why) in rows {
            assert_eq!(overtaken(own.as_ref(), cib, &node("n1")).as_deref(), why, "{name}");
        }
    }

    #[test]
    fn without_a_primary_a_standby_listens_to_the_one_of_the_ledger() {
        let me = node("n1");
        assert_eq!(most_likely(Some(&of("n2")), &me), Some(node("n2")));
        assert_eq!(most_likely(Some(&of("n1")), &me), None, "itself");
        assert_eq!(most_likely(Some(&file(Store::default())), &me), None);
        assert_eq!(most_likely(None, &me), None);
        let followed = |id| Own { followed: Some(PromotionId(id)), ..of("n2") };
        assert_eq!(most_likely(Some(&followed(9)), &me), Some(node("n2")));
        assert_eq!(most_likely(Some(&followed(8)), &me), None, "of another branch");
    }

    #[test]
    fn nobody_else_can_be_the_primary_only_where_the_own_file_lets_nobody_replace_it() {
        let alone = entry(3, 1, 9, "n1", "");
        for (name, own, only) in [
            ("E is empty", Some(file(only(&alone))), true),
            ("somebody may take over", Some(of("n1")), false),
            ("another was primary", Some(file(store(&[entry(3, 1, 9, "n2", "")]))), false),
            (
                "its promotion is under way",
                Some(file(intending(std::slice::from_ref(&alone), &entry(3, 2, 10, "n1", "")))),
                false,
            ),
            ("no ledger", Some(file(Store::default())), false),
            ("no file", None, false),
        ] {
            assert_eq!(only_me(own.as_ref(), &node("n1")), only, "{name}");
        }
    }

    #[test]
    fn a_primary_need_not_wait_for_those_who_do_not_run() {
        let heirs = |names: &str| file(store(&[entry(3, 1, 9, "n1", names)]));
        let in_async = file(store(&[in_async(entry(3, 1, 9, "n1", "n2"))]));
        let own_intent = intending(&[entry(3, 1, 9, "n1", "")], &entry(3, 2, 10, "n1", ""));
        for (name, own, running, expected) in [
            ("its heir runs", Some(heirs("n2")), "n1 n2", false),
            ("one of its heirs runs", Some(heirs("n2 n3")), "n3", false),
            ("no heir runs", Some(heirs("n2")), "n1 n3", true),
            ("it has none", Some(heirs("")), "n2 n3", true),
            ("async: it is preferred to them", Some(in_async), "n2", true),
            ("another was primary", Some(of("n2")), "", false),
            ("its promotion is under way", Some(file(own_intent)), "", false),
            ("no file", None, "", false),
        ] {
            let found = nobody_else_runs(own.as_ref(), &node("n1"), &nodes(running));
            assert_eq!(found, expected, "{name}");
        }
    }
}
