//! Whom a standby that replays may be pointed at, and when it will never open.

use super::super::cannot_open;
use super::rows::live;
use crate::decide::start::Live;
use crate::decide::support::control;
use crate::postgres::control_data::ClusterState;
use crate::postgres::lsn::{Lsn, Timeline};

#[test]
fn a_standby_that_replays_is_pointed_at_a_primary_whose_line_has_its_checkpoint() {
    let mine = control(ClusterState::InArchiveRecovery);
    let knows = |knows_our_promotion| Live { knows_our_promotion, ..live("1") };
    for (name, live, expected) in [
        ("its line", live("1"), true),
        ("which forked after it", live("1@0/400,2"), true),
        ("which forked before it", live("1@0/200,2"), false),
        ("another database", Live { system_id: 8, ..live("1") }, false),
        ("it knows our promotion", knows(Some(true)), true),
        ("it does not", knows(Some(false)), false),
        ("that is not known", knows(None), true),
    ] {
        assert_eq!(cannot_open(&mine, &live).is_none(), expected, "{name}");
    }
    let mut newer = mine;
    (newer.timeline, newer.checkpoint) = (Timeline(2), Lsn(0x500));
    assert!(cannot_open(&newer, &live("1")).is_some(), "its timeline is not the primary's");
}

/// Regression: a primary crashed with more open subtransactions than a snapshot holds, and with a record that nobody
/// else had. It replayed as a standby, could not open without more WAL, got none for it was beyond the fork, and its
/// monitor said for ever that it replays.
#[test]
fn a_standby_that_replays_beyond_the_fork_never_opens() {
    let mine = control(ClusterState::InArchiveRecovery);
    let crashed = |end| {
        let mut control = mine.clone();
        (control.min_recovery_timeline, control.min_recovery_end) = (Timeline(1), Lsn(end));
        control
    };
    let forked = live("1@0/480,2");
    for (name, control, live, expected) in [
        ("it goes on from there", crashed(0x480), &forked, None),
        ("a record too many", crashed(0x481), &forked, Some("data diverged: timeline 1 at 0/481")),
        ("the primary's own line", crashed(0x481), &live("1"), None),
        ("it is not known how far it has to go", mine.clone(), &forked, None),
        ("its checkpoint already", mine.clone(), &live("1@0/200,2"), Some("data diverged")),
        ("another database", mine.clone(), &Live { system_id: 8, ..live("1") }, Some("another")),
    ] {
        let why = cannot_open(&control, live);
        assert_eq!(why.is_some(), expected.is_some(), "{name}: {why:?}");
        let said = why.zip(expected).is_none_or(|(why, words)| why.contains(words));
        assert!(said, "{name}");
    }
}
