//! Three nodes in async mode: no commit waits for a standby.

use lab::{Cluster, Mode, Options, Result};

use crate::ledger;
use crate::load::Load;
use crate::look::{assert_no_failures, instances, reasons};
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

/// Lets a standby's receiver reach nobody; Corosync and Pacemaker are not concerned.
fn cut_receiver(cluster: &Cluster, standby: &str) -> Result<()> {
    let rules = |other: String| {
        let address = cluster.addresses.node(&other);
        let reset = "-j REJECT --reject-with tcp-reset";
        format!(
            "iptables -A OUTPUT -p tcp --dport 5432 -d {address} {reset}\n\
             iptables -A INPUT -p tcp --sport 5432 -s {address} {reset}\n"
        )
    };
    let script: Vec<String> = cluster.others(standby).into_iter().map(rules).collect();
    cluster.check(standby, &["sh", "-ec", &script.concat()]).map(drop)
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn case_04_a_planned_move_to_a_standby_that_lacks_the_last_wal_is_refused() {
    case(&asynchronous(), |cluster| {
        let old = cluster.primary()?;
        let target = cluster.others(&old)[0].clone();
        let before = ledger::own(cluster, &old)?;
        let load = Load::start(cluster)?;
        cut_receiver(cluster, &target)?;
        // Committed while the receiver is cut: the target does not have these.
        load.goes_on()?;
        cluster.move_primary(Some(&target))?;
        // Either of: another node has more; the old primary ended further on.
        cluster.wait_until("crm_mon says that the target lacks something", SOON, || {
            let said = reasons(cluster, &target);
            said.contains("has more") || said.contains("this node has")
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
#[ignore = "starts containers: tests/run does"]
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
