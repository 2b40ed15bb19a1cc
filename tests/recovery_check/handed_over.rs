//! What a monitor mends, what it hands over to `start`, and how a break is told from a reconnect.

use std::time::Duration;

use pgtwin::cluster::position::{Exactness, Position};
use pgtwin::decide::broken_replication::{Cause, wanted};
use pgtwin::decide::facts::StandbyFacts;
use pgtwin::decide::recovery::{self, Marked};
use pgtwin::decide::standby::watch::{Seen, Watch};
use pgtwin::decide::start::{self, Live, Next, Upstream};
use pgtwin::postgres::history::History;
use pgtwin::postgres::lsn::Lsn;
use pgtwin::sys::deadline::poll_until;

use crate::pair::{GRANT, Pair, SLOT};
use crate::place::{await_standby, identify, now, on_every_version, soon, sql};

fn streams(pair: &Pair<'_>) {
    await_standby(&pair.n2, StandbyFacts::streams);
}

fn started(pair: &Pair<'_>) {
    pair.n2.start(&soon()).unwrap();
    pair.standby();
}

/// n2 stopped, its WAL gone on n1 though its slot is there; and where its data ends.
fn left_behind(pair: &Pair<'_>) -> Lsn {
    pair.set_on_n1("wal_keep_size", "0");
    started(pair);
    streams(pair);
    sql(&pair.n1, "SELECT pg_logical_emit_message(true, 'x', 'x')");
    let end = identify(&pair.n1).lsn;
    await_standby(&pair.n2, |facts| facts.replay >= Some(end));
    pair.n2.stop(&soon()).unwrap();
    sql(&pair.n1, &format!("SELECT pg_drop_replication_slot('{SLOT}')"));
    pair.move_on();
    pair.make_slot(false);
    end
}

#[test]
fn a_slot_that_is_missing_is_made_and_what_follows_needs_no_recovery() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        sql(&pair.n1, &format!("SELECT pg_drop_replication_slot('{SLOT}')"));
        started(&pair);
        let diagnosis = pair.await_diagnosis(Cause::SlotMissing);
        assert_eq!(diagnosis.cause.new_slot_helps(), Some(false));
        pair.make_slot(false);
        // The primary may have made it in between.
        pair.make_slot(false);
        streams(&pair);
    });
}

#[test]
fn a_slot_that_is_lost_is_made_anew_where_its_wal_is_not_needed_any_more() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        pair.set_on_n1("wal_keep_size", "0");
        pair.set_on_n1("max_slot_wal_keep_size", "1MB");
        // It streams without the slot, which is lost meanwhile.
        let conninfo = pair.n2.auto_conf_value("primary_conninfo").unwrap();
        pair.n2.set_auto_conf(&[("primary_slot_name", None)]).unwrap();
        started(&pair);
        streams(&pair);
        for _ in 0..6 {
            sql(&pair.n1, "SELECT pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal()");
            // No checkpoint takes away what it has not got.
            let end = identify(&pair.n1).lsn;
            await_standby(&pair.n2, |facts| facts.replay >= Some(end));
        }
        sql(&pair.n1, "CHECKPOINT");
        pair.n2.set_and_reload(&[("primary_conninfo", Some(""))]).unwrap();
        await_standby(&pair.n2, |facts| facts.receiver.is_none());
        let diagnosis = pair.await_diagnosis(Cause::SlotSpent);
        assert_eq!(diagnosis.cause.new_slot_helps(), Some(true));
        assert!(!diagnosis.cause.recovery_helps());
        pair.make_slot(true);
        let _ = pair.await_diagnosis(Cause::NotKnown);
        let settings =
            [("primary_conninfo", Some(conninfo.as_str())), ("primary_slot_name", Some(SLOT))];
        pair.n2.set_and_reload(&settings).unwrap();
        streams(&pair);
    });
}

#[test]
fn start_asks_the_primary_itself_before_data_is_given_up() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        let end = left_behind(&pair);
        assert_eq!(pair.at_start(end).cause, Cause::WalRemoved);
        // What is there is there, whatever was found before.
        let now = identify(&pair.n1).lsn;
        assert!(!pair.at_start(now).cause.recovery_helps());
        // Without the right to look, the log counts, of just that segment.
        sql(&pair.n1, &GRANT.replace("GRANT", "REVOKE").replace(" TO ", " FROM "));
        started(&pair);
        let wants = wanted(&pair.standby()).unwrap();
        let _ = pair.await_diagnosis(Cause::WalRemoved);
        pair.n2.stop(&soon()).unwrap();
        assert_eq!(pair.at_start(wants).cause, Cause::WalRemoved);
        assert!(!pair.at_start(now).cause.recovery_helps());
        // And where nobody lets it in, nothing is given up.
        pair.password("wrong");
        assert_eq!(pair.at_start(end).cause, Cause::NotLetIn);
    });
}

/// What a monitor measures is what `start` finds: else it would start the same data again and again.
#[test]
fn the_end_that_was_measured_is_the_end_of_the_data_that_was_stopped() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        started(&pair);
        streams(&pair);
        let conninfo = pair.n2.auto_conf_value("primary_conninfo").unwrap();
        // Buffers of all kinds are written, in the middle of a segment and at its end.
        for more in ["", ", pg_switch_wal()"] {
            sql(
                &pair.n1,
                "CREATE TABLE IF NOT EXISTS public.t AS SELECT generate_series(1, 9999) i",
            );
            sql(&pair.n1, "CHECKPOINT");
            sql(&pair.n1, "UPDATE public.t SET i = i + 1");
            sql(&pair.n1, &format!("SELECT pg_logical_emit_message(true, 'x', 'x'){more}"));
            let primary = identify(&pair.n1);
            await_standby(&pair.n2, |facts| facts.replay >= Some(primary.lsn));
            pair.n2.set_and_reload(&[("primary_conninfo", Some(""))]).unwrap();
            await_standby(&pair.n2, |facts| facts.receiver.is_none());
            let end = identify(&pair.n2);
            assert!(pair.standby().at_end_of_wal());
            pair.n2.stop(&soon()).unwrap();
            let line: History = "1".parse().unwrap();
            let live = Live {
                node: "n1".parse().unwrap(),
                system_id: primary.system_id,
                line: line.clone(),
                lsn: primary.lsn,
                promotion: pgtwin::cluster::known::Known::unknown("nobody asked"),
                knows_our_promotion: None,
                feeds_us: true,
                adopted: None,
            };
            let facts = start::Facts {
                pgdata: String::new(),
                instance: now(&pair.n2),
                upstream: Some(Upstream::Live(Box::new(live))),
                alone: false,
                recovered: None,
                prepared: false,
                started: None,
                attached: false,
                position: None,
                out_of_time: false,
                mount: pgtwin::decide::recovery::Mount::InPlace,
                marked: Marked::Nothing,
                parted: None,
                left_off: Some(Position {
                    system_id: end.system_id,
                    line,
                    lsn: end.lsn,
                    exactness: Exactness::Exact,
                }),
                written_apart: None,
                wal_gone: None,
            };
            let asks = Next::Do(start::Step::AskForWal(end.lsn));
            assert_eq!(start::next(&facts), asks, "{:?}", facts.instance);
            let gone = start::Facts { wal_gone: Some(Some("gone".into())), ..facts };
            let next = start::next(&gone);
            assert!(matches!(next, Next::Recover(Some(recovery::Cause::WalGone(_)))), "{next:?}");
            pair.n2.set_auto_conf(&[("primary_conninfo", Some(&conninfo))]).unwrap();
            started(&pair);
            streams(&pair);
        }
    });
}

#[test]
fn attempts_of_a_receiver_whose_wal_is_gone_are_not_taken_for_the_end_of_the_break() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        left_behind(&pair);
        pair.n2.set_auto_conf(&[("wal_retrieve_retry_interval", Some("1ms"))]).unwrap();
        started(&pair);
        let _ = pair.await_diagnosis(Cause::WalRemoved);
        let (mut watch, mut perhaps) = (Watch::default(), 0);
        for _ in 0..200 {
            let standby = pair.standby();
            let pid = standby.receiver.as_ref().map(|receiver| receiver.pid);
            // Two monitors are further apart than an attempt is long.
            if pid.is_some_and(|pid| pid == watch.receiver) {
                continue;
            }
            let (next, seen) = watch.after(&standby);
            // A first look knows of no break yet.
            assert!(watch.broken == 0 || seen != Seen::Streams, "{standby:?} after {watch:?}");
            perhaps += u32::from(seen == Seen::Perhaps);
            watch = next;
        }
        eprintln!("{perhaps} of 200 looks saw it stream, and {} in a row did not", watch.broken);
        assert!(watch.broken > 5, "{watch:?}");
    });
}

#[test]
fn a_break_is_over_when_wal_comes_in_or_the_receiver_lives() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        started(&pair);
        streams(&pair);
        pair.password("wrong");
        pair.cut();
        await_standby(&pair.n2, |facts| facts.receiver.is_none());
        let (broken, seen) = Watch::default().after(&pair.standby());
        assert_eq!(seen, Seen::Broken);
        pair.password("right");
        streams(&pair);
        let (perhaps, _) = broken.after(&pair.standby());
        let over = poll_until(&soon(), Duration::from_millis(50), || {
            let (_, seen) = perhaps.after(&pair.standby());
            (seen == Seen::Streams).then_some(())
        });
        assert!(over.is_some(), "{:?}", pair.standby());
        // By the first look, too, once something was written.
        sql(&pair.n1, "SELECT pg_logical_emit_message(true, 'x', 'x')");
        let end = identify(&pair.n1).lsn;
        await_standby(&pair.n2, |facts| facts.receive >= Some(end));
        assert_eq!(broken.after(&pair.standby()).1, Seen::Streams);
    });
}
