//! Slots that take over from others, that go, and that a failover would lose.

use std::time::Duration;

use pgtwin::decide::facts::StandbyFacts;
use pgtwin::decide::slots::lost_at_failover;
use pgtwin::postgres::lsn::Lsn;
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::deadline::poll_until;

use crate::place::{
    await_primary, await_standby, on_every_version, soon, sql, started_primary, value,
};

fn kept(pg: &Postgres<'_>, slot: &str) -> Lsn {
    let query = format!("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'");
    value(pg, &query).parse().unwrap()
}

#[test]
fn a_slot_takes_over_the_wal_of_the_predecessors_and_that_one_goes_when_nobody_uses_it() {
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        n1.ensure_slots(&["ha_slot".into()]).unwrap();
        let old = kept(&n1, "ha_slot");
        for _ in 0..3 {
            sql(&n1, "SELECT pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal()");
        }
        sql(&n1, "CHECKPOINT");
        n1.make_slot("ha_slot_n2", Some("ha_slot")).unwrap();
        n1.make_slot("ha_slot_n2", Some("ha_slot")).unwrap();
        assert_eq!(kept(&n1, "ha_slot_n2"), old);
        // Without one to take over from, WAL is kept from now on.
        n1.make_slot("ha_slot_n3", Some("there_is_none")).unwrap();
        n1.make_slot("ha_slot_n4", None).unwrap();
        assert!(kept(&n1, "ha_slot_n3") > old && kept(&n1, "ha_slot_n4") > old);
        // One that keeps nothing yet has nothing to take over.
        sql(&n1, "SELECT pg_create_physical_replication_slot('unused')");
        n1.make_slot("ha_slot_n5", Some("unused")).unwrap();
        assert!(kept(&n1, "ha_slot_n5") > old);

        let (n2, _) = place.basebackup(port, "n2");
        n2.set_auto_conf(&[("primary_slot_name", Some("ha_slot"))]).unwrap();
        n2.start(&soon()).unwrap();
        await_standby(&n2, StandbyFacts::streams);
        // A receiver says that it streams as soon as it is connected, and takes the slot after that.
        let used = "SELECT active::text FROM pg_replication_slots WHERE slot_name = 'ha_slot'";
        let taken = || (value(&n1, used) == "true").then_some(());
        poll_until(&soon(), Duration::from_millis(20), taken).expect("n2 takes its slot");
        assert_eq!(n1.drop_idle_slot("ha_slot"), Ok(false), "n2 streams by it");
        assert!(await_primary(&n1).slots.contains(&"ha_slot".to_owned()));
        // A standby does the same with its own.
        n2.ensure_slots(&["ha_slot".into()]).unwrap();
        n2.make_slot("ha_slot_n1", Some("ha_slot")).unwrap();
        assert_eq!(kept(&n2, "ha_slot_n1"), kept(&n2, "ha_slot"));
        assert_eq!(n2.drop_idle_slot("ha_slot"), Ok(true));
        n2.stop(&soon()).unwrap();
        assert_eq!(n1.drop_idle_slot("ha_slot"), Ok(true));
        assert_eq!(n1.drop_idle_slot("ha_slot"), Ok(false));
    });
}

#[test]
fn a_logical_slot_is_never_dropped_and_is_said_to_be_lost_at_a_failover() {
    on_every_version(|place| {
        let (n1, _) = started_primary(place, "n1");
        let version = await_primary(&n1).version;
        let said = |n1: &Postgres<'_>| {
            let logical = n1.logical_slots(version).into_result().unwrap();
            lost_at_failover(&logical, &["ha_slot_n2".to_owned()]).join("\n")
        };
        assert_eq!(said(&n1), "");
        sql(&n1, "ALTER SYSTEM SET wal_level = 'logical'");
        n1.stop(&soon()).unwrap();
        n1.start(&soon()).unwrap();
        await_primary(&n1);
        sql(&n1, "SELECT pg_create_logical_replication_slot('ha_slot_n9', 'pgoutput')");
        assert_eq!(n1.drop_idle_slot("ha_slot_n9"), Ok(false));
        let words = said(&n1);
        assert!(words.contains("loses the logical slots ha_slot_n9:"), "{words}");
        assert_eq!(words.contains("sync_replication_slots"), place.major >= 17, "{words}");
        if place.major >= 17 {
            let failover = "false, false, true";
            sql(
                &n1,
                &format!("SELECT pg_create_logical_replication_slot('b', 'pgoutput', {failover})"),
            );
            let words = said(&n1);
            assert!(words.contains("synchronized_standby_slots lacks ha_slot_n2"), "{words}");
            n1.ensure_slots(&["ha_slot_n2".into()]).unwrap();
            sql(&n1, "ALTER SYSTEM SET synchronized_standby_slots = 'ha_slot_n2'");
            n1.reload().unwrap();
            n1.await_setting("synchronized_standby_slots", "ha_slot_n2", &soon()).unwrap();
            assert!(!said(&n1).contains("lacks"), "{}", said(&n1));
        }
    });
}
