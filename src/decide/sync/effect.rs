//! What a primary sees of V and of its standbys: whether V is in effect, and who streams. Floor 1.

use std::collections::{BTreeMap, BTreeSet};

use super::Standby;
use crate::cluster::node::NodeName;
use crate::decide::facts::{PrimaryFacts, Walsender};
use crate::postgres::lsn::Lsn;
use crate::postgres::sync_names::{self, StandbyName, SyncNames};

/// How long a standby may be missing before the primary stops counting on it, in seconds.
const GONE_FOR_LONG: u64 = 10;
/// When a checkpoint that was asked for is asked for again, in seconds: the request may have been cut short
/// before it came to the checkpointer, on a machine that stood still. One that is only slow gets one
/// successor, however often it is asked for.
const CHECKPOINT_LOST: u64 = 15;
/// A standby that has WAL to confirm and says nothing for this long, in seconds, does not stream: its node may
/// be gone, and its walsender would show `streaming` until wal_sender_timeout. A live one answers every
/// wal_receiver_status_interval (10 s), and at once when it is sent something.
const SILENCE: u64 = 12;

/// The other members by the names of their walreceivers; one without a valid name is not among them.
pub type Names = BTreeMap<NodeName, StandbyName>;

/// V as a set of members; none when the setting is not ours.
#[must_use]
pub fn members_of(text: &str, others: &Names) -> Option<BTreeSet<NodeName>> {
    match sync_names::parse(text) {
        SyncNames::Empty => Some(BTreeSet::new()),
        SyncNames::Foreign(_) => None,
        SyncNames::Ours(names) => {
            let of = |name: &StandbyName| {
                let found = others.iter().find(|(_, of_node)| of_node.matches(name.as_str()));
                found.map(|(node, _)| node.clone())
            };
            names.iter().map(of).collect()
        }
    }
}

/// The walsender of a standby of this name that streams.
#[must_use]
pub fn sender<'a>(primary: &'a PrimaryFacts, name: &StandbyName) -> Option<&'a Walsender> {
    primary.walsenders.iter().find(|walsender| {
        name.matches(&walsender.name)
            && walsender.state == "streaming"
            && !has_stalled(walsender, primary.insert)
    })
}

fn has_stalled(walsender: &Walsender, insert: Lsn) -> bool {
    walsender.silent_for.is_some_and(|seconds| seconds >= SILENCE)
        && walsender.flush.is_none_or(|flush| flush < insert)
}

/// A standby as the primary sees it. `missing_for`: so many seconds without a walsender that streams.
#[must_use]
pub fn standby(sender: Option<&Walsender>, missing_for: u64, delayed: bool) -> Standby {
    Standby {
        streaming: sender.map(|walsender| walsender.flush.unwrap_or(Lsn(0))),
        gone_for_long: sender.is_none() && missing_for >= GONE_FOR_LONG,
        eligible: !delayed,
    }
}

/// What is kept from one look to the next, to prove that V is in effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// The postmaster's start that it is about, in microseconds since 1970.
    pub started: i64,
    /// V; empty: there was none.
    pub names: String,
    /// The insert position when V was first seen.
    pub names_at: u64,
    /// It is proven that backends wait.
    pub proven: bool,
    /// When a checkpoint was asked for since, in seconds of uptime; 0: it was not.
    pub requested: u64,
}

impl Effect {
    /// After one more look, and whether V is in effect. `members`: V; none when it is not ours. The wait flag
    /// is proven by a checkpoint that began after V was first seen, and after something was written since,
    /// for one that was under way may have begun at the very position: the checkpointer raises it. A name
    /// that was removed counts until no walsender of that name has a priority.
    #[must_use]
    pub fn after(
        self,
        primary: &PrimaryFacts,
        members: Option<&BTreeSet<NodeName>>,
        others: &Names,
    ) -> (Self, bool) {
        let Some(members) = members else { return (self, false) };
        let fresh = Self {
            started: primary.started,
            names: String::new(),
            names_at: primary.insert.0,
            proven: false,
            requested: 0,
        };
        let before = if self.started == primary.started { self } else { fresh.clone() };
        if members.is_empty() {
            return (Self { names: String::new(), proven: false, ..before }, true);
        }
        let before = if before.names.is_empty() { fresh } else { before };
        let proven = before.proven || primary.redo.0 > before.names_at;
        let now = Self { names: primary.names.clone(), proven, ..before };
        let is_of = |node: &NodeName, walsender: &Walsender| {
            others.get(node).is_some_and(|name| name.matches(&walsender.name))
        };
        let old_names_left = primary.walsenders.iter().any(|walsender| {
            walsender.priority > 0 && !members.iter().any(|node| is_of(node, walsender))
        });
        (now, proven && !old_names_left)
    }

    /// Whether a checkpoint is to be asked for, now.
    #[must_use]
    pub fn wants_a_checkpoint(&self, now: u64) -> bool {
        !self.proven
            && (self.requested == 0 || now.saturating_sub(self.requested) >= CHECKPOINT_LOST)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::decide::facts::Sql;
    use crate::decide::support::{node, nodes, writable};

    fn others() -> Names {
        ["n2", "n3"].map(|name| (node(name), name.parse().unwrap())).into()
    }

    fn walsender(name: &str, priority: u32) -> Walsender {
        Walsender {
            name: name.into(),
            state: "streaming".into(),
            flush: Some(Lsn(0x400)),
            replay: None,
            priority,
            sync_state: String::new(),
            silent_for: Some(1),
            pid: 1,
        }
    }

    /// V, how far it is, from where a crash would replay, and who streams.
    fn primary(names: &str, insert: u64, redo: u64, walsenders: Vec<Walsender>) -> PrimaryFacts {
        let Sql::Primary(primary) = writable() else { unreachable!() };
        let (insert, redo) = (Lsn(insert), Lsn(redo));
        PrimaryFacts { names: names.into(), insert, redo, walsenders, ..*primary }
    }

    #[test]
    fn v_is_understood_where_every_name_is_a_members() {
        for (text, expected) in [
            ("", Some("")),
            ("ANY 1 (n2)", Some("n2")),
            ("ANY 1 (n2,n3)", Some("n2 n3")),
            ("ANY 1 (\"n2\", \"N3\")", Some("n2 n3")),
            ("ANY 1 (n2,n4)", None),
            ("FIRST 1 (n2)", None),
            ("*", None),
        ] {
            assert_eq!(members_of(text, &others()), expected.map(nodes), "{text}");
        }
    }

    #[test]
    fn a_walsender_that_has_wal_to_confirm_and_is_silent_does_not_stream() {
        let of = |change: fn(&mut Walsender)| {
            let mut one = walsender("N2", 1);
            change(&mut one);
            one
        };
        for (name, walsender, streams) in [
            ("it streams, whatever the case of its name", of(|_| ()), true),
            ("it catches up", of(|one| one.state = "catchup".into()), false),
            ("another's name", of(|one| one.name = "n22".into()), false),
            ("silent, and nothing to confirm", of(|one| one.silent_for = Some(99)), true),
            (
                "silent, with WAL to confirm",
                of(|one| (one.silent_for, one.flush) = (Some(12), Some(Lsn(0x3ff)))),
                false,
            ),
            (
                "not yet silent for long",
                of(|one| (one.silent_for, one.flush) = (Some(11), Some(Lsn(0x3ff)))),
                true,
            ),
            (
                "silent, and has never confirmed any",
                of(|one| (one.silent_for, one.flush) = (Some(12), None)),
                false,
            ),
            (
                "for how long is not known",
                of(|one| (one.silent_for, one.flush) = (None, None)),
                true,
            ),
        ] {
            let primary = primary("", 0x400, 0x300, vec![walsender]);
            let found = sender(&primary, &"n2".parse().unwrap());
            assert_eq!(found.is_some(), streams, "{name}");
        }
    }

    #[test]
    fn a_standby_is_gone_after_a_while_and_late_replay_makes_no_heir() {
        let one = walsender("n2", 0);
        let fresh = Walsender { flush: None, ..one.clone() };
        for (name, sender, missing_for, delayed, streaming, gone, eligible) in [
            ("it streams", Some(&one), 0, false, Some(0x400), false, true),
            ("it has confirmed nothing", Some(&fresh), 0, false, Some(0), false, true),
            ("it came back", Some(&one), 99, false, Some(0x400), false, true),
            ("it may reconnect", None, 9, false, None, false, true),
            ("it is gone", None, 10, false, None, true, true),
            ("it replays late", Some(&one), 0, true, Some(0x400), false, false),
        ] {
            let found = standby(sender, missing_for, delayed);
            let expected = (streaming.map(Lsn), gone, eligible);
            assert_eq!((found.streaming, found.gone_for_long, found.eligible), expected, "{name}");
        }
    }

    /// In effect or not, look by look.
    fn looks(before: Effect, looks: &[PrimaryFacts]) -> Vec<bool> {
        let mut effect = before;
        let look = |primary: &PrimaryFacts| {
            let members = members_of(&primary.names, &others());
            let (after, now) =
                std::mem::take(&mut effect).after(primary, members.as_ref(), &others());
            effect = after;
            now
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn v_is_in_effect_after_a_checkpoint_that_began_later_and_when_no_old_name_is_left() {
        type Row<'a> = (&'a str, Effect, Vec<PrimaryFacts>, &'a [bool]);
        const ONE: &str = "ANY 1 (n2)";
        const TWO: &str = "ANY 1 (n2,n3)";
        let none = || Effect { started: 1, ..Effect::default() };
        let one = || vec![walsender("n2", 1)];
        let both = |removed| vec![walsender("n2", 1), walsender("n3", removed)];
        let proven =
            || Effect { names: ONE.into(), names_at: 0x400, proven: true, requested: 7, ..none() };
        let rows: Vec<Row<'_>> = vec![
            ("no V is in effect at once", none(), vec![primary("", 0x400, 0x300, vec![])], &[true]),
            (
                "one that is not ours never",
                none(),
                vec![primary("FIRST 1 (n2)", 0x400, 0x900, vec![])],
                &[false],
            ),
            (
                "a checkpoint from before proves nothing, nor one at the very position",
                none(),
                vec![
                    primary(ONE, 0x400, 0x300, one()),
                    primary(ONE, 0x500, 0x400, one()),
                    primary(ONE, 0x500, 0x401, one()),
                    primary(ONE, 0x500, 0x401, one()),
                ],
                &[false, false, true, true],
            ),
            (
                "another name keeps the proof",
                proven(),
                vec![primary(TWO, 0x600, 0x401, both(1))],
                &[true],
            ),
            (
                "a name that was removed counts until its walsender has seen it",
                proven(),
                vec![primary(ONE, 0x600, 0x401, both(1)), primary(ONE, 0x600, 0x401, both(0))],
                &[false, true],
            ),
            (
                "after none, it is proven anew",
                proven(),
                vec![
                    primary("", 0x600, 0x401, vec![]),
                    primary(ONE, 0x700, 0x401, one()),
                    primary(ONE, 0x700, 0x701, one()),
                ],
                &[true, false, true],
            ),
            (
                "after a start, too",
                Effect { started: 2, ..proven() },
                vec![primary(ONE, 0x700, 0x401, one()), primary(ONE, 0x800, 0x701, one())],
                &[false, true],
            ),
        ];
        for (name, before, primaries, expected) in rows {
            assert_eq!(looks(before, &primaries), expected, "{name}");
        }
    }

    #[test]
    fn what_is_not_ours_changes_nothing_that_is_known() {
        let before =
            Effect { started: 9, names: "x".into(), names_at: 1, proven: true, requested: 3 };
        let foreign = primary("*", 0x400, 0x300, vec![]);
        assert_eq!(before.clone().after(&foreign, None, &others()), (before, false));
    }

    #[test]
    fn a_checkpoint_is_asked_for_once_and_again_when_it_is_lost() {
        let of = |proven, requested| Effect { proven, requested, ..Effect::default() };
        for (name, effect, wants) in [
            ("not yet", of(false, 0), true),
            ("just now", of(false, 100), false),
            ("a while ago", of(false, 86), false),
            ("it is lost", of(false, 85), true),
            ("it is proven", of(true, 0), false),
        ] {
            assert_eq!(effect.wants_a_checkpoint(100), wants, "{name}");
        }
        let asked = Effect { started: 1, names: "x".into(), requested: 7, ..Effect::default() };
        let primary = primary("ANY 1 (n2)", 0x400, 0x300, vec![]);
        let same = asked.clone().after(&primary, Some(&nodes("n2")), &others()).0;
        assert_eq!(same.requested, 7, "the same V");
        let none = Effect { names: String::new(), ..asked };
        let anew = none.after(&primary, Some(&nodes("n2")), &others()).0;
        assert_eq!(anew.requested, 0, "a new one");
    }
}
