//! Three nodes in async mode: no commit waits for a standby.

use lab::{Mode, Options};

use crate::ledger;
use crate::load::Load;
use crate::look::{
    assert_no_failures, instances, logs_since, marks, nobody_is_promoted, wait_reason_of_any,
};
use crate::repair::make_ready;
use crate::stage::{SOON, case};
use crate::subtransactions::crash_with_many_subtransactions;

pub fn asynchronous() -> Options {
    Options { mode: Mode::Async, ..Options::default() }
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_02_in_async_mode_the_primary_restarts_in_place() {
    case(&asynchronous(), |cluster| {
        let primary = cluster.primary()?;
        let before = ledger::own(cluster, &primary)?;
        let running = instances(cluster)?;
        let load = Load::start(cluster)?;
        cluster.signal_postmaster(&primary, "KILL")?;
        cluster.wait_until("the primary has restarted", SOON, || {
            cluster.is_writable(&primary)
                && instances(cluster).is_ok_and(|now| now.get(&primary) != running.get(&primary))
        })?;
        load.goes_on()?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(cluster.primary()?, primary, "its own restart has everything");
        let after = ledger::own(cluster, &primary)?;
        assert_eq!(after.term, before.term, "nobody else was promoted");
        load.end().map(drop)
    });
}

mod full {
    use super::*;

    #[test]
    #[ignore = "starts containers: tests/run --full does"]
    fn case_04_standbys_that_lack_wal_before_the_shutdown_checkpoint_are_refused() {
        case(&asynchronous(), |cluster| {
            let old = cluster.primary()?;
            let load = Load::start(cluster)?;
            for standby in cluster.others(&old) {
                cluster.cut_replication(&standby)?;
            }
            load.goes_on()?;
            // The old primary is stopped: its published end is all that speaks for what it has.
            cluster.standby(&old, true)?;
            let marks = marks(cluster)?;
            let refused =
                wait_reason_of_any(cluster, &cluster.others(&old), &["ended at", "this node has"])?;
            assert!(refused.contains(&old), "{refused}");
            nobody_is_promoted(cluster, 15)?;
            for standby in cluster.others(&old) {
                let log = logs_since(cluster, &marks, &standby)?;
                assert!(!log.contains("promoted: term"), "{standby}:\n{log}");
            }
            cluster.heal()?;
            cluster.standby(&old, false)?;
            cluster.wait_until("the one that has it all is the primary again", SOON, || {
                cluster.primary().is_ok_and(|now| now == old)
            })?;
            load.goes_on()?;
            cluster.cleanup()?;
            cluster.wait_healthy(SOON)?;
            let seen = load.end()?;
            assert_eq!(
                seen.primaries().len(),
                2,
                "it ended and began again: {:?}",
                seen.primaries()
            );
            Ok(())
        });
    }

    #[test]
    #[ignore = "starts containers: tests/run --full does"]
    fn case_04_a_planned_move_to_a_standby_that_lacks_the_last_wal_is_refused() {
        case(&asynchronous(), |cluster| {
            let old = cluster.primary()?;
            let target = cluster.others(&old)[0].clone();
            let before = ledger::own(cluster, &old)?;
            let load = Load::start(cluster)?;
            let marks = marks(cluster)?;
            cluster.cut_replication(&target)?;
            // Committed meanwhile: the target does not have these.
            load.goes_on()?;
            cluster.move_primary(Some(&target))?;
            // It gives way before anything fails: somebody who is there has more, or the old primary has
            // said where it ended, whatever it hears first.
            cluster.wait_until("the target says what it lacks", SOON, || {
                logs_since(cluster, &marks, &target).is_ok_and(|log| {
                    log.contains("not to be promoted: ")
                        && (log.contains("has more") || log.contains(&format!("{old} ended at")))
                })
            })?;
            cluster.wait_until("somebody who has it all is the primary", SOON, || {
                cluster.primary().is_ok_and(|now| now != target)
            })?;
            load.goes_on()?;
            assert!(!cluster.is_writable(&target));
            cluster.heal()?;
            cluster.clear_moves()?;
            cluster.cleanup()?;
            cluster.wait_healthy(SOON)?;
            assert_ne!(cluster.primary()?, target);
            assert!(ledger::own(cluster, &cluster.primary()?)?.term >= before.term);
            let seen = load.end()?;
            assert!(seen.accepted.keys().all(|one| one.node != target), "{:?}", seen.primaries());
            Ok(())
        });
    }

    #[test]
    #[ignore = "starts containers: tests/run --full does"]
    fn case_11_a_primary_with_standbys_that_crashed_with_many_subtransactions_comes_back() {
        case(&asynchronous(), |cluster| {
            let primary = cluster.primary()?;
            let load = Load::start(cluster)?;
            crash_with_many_subtransactions(cluster, &primary)?;
            // As the primary or, if another one has everything too, as its standby.
            load.goes_on()?;
            cluster.wait_healthy(SOON)?;
            make_ready(cluster)?;
            assert_no_failures(cluster)?;
            load.end().map(drop)
        });
    }
}
