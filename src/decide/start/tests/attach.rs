//! Whom a standby that replays may be pointed at.

use super::super::may_attach;
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
        assert_eq!(may_attach(&mine, &live), expected, "{name}");
    }
    let mut newer = mine;
    (newer.timeline, newer.checkpoint) = (Timeline(2), Lsn(0x500));
    assert!(!may_attach(&newer, &live("1")), "its timeline is not the primary's");
}
