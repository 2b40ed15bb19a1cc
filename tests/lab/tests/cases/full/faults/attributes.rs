//! Pacemaker's attribute manager, by which nodes tell each other what they have.

use lab::Options;

use crate::ledger;
use crate::load::Load;
use crate::look::{logs_since, marks, reasons, wait_reason};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};

const WORDS: &str = "what this node has to say does not reach the others";

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_20_a_standby_whose_words_do_not_reach_the_others_says_so_and_takes_over_when_they_do() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let others = cluster.others(&primary);
        let (mute, other) = (&others[0], &others[1]);
        let before = marks(cluster)?;
        let load = Load::start(cluster)?;
        let manager = cluster.check(mute, &["pgrep", "-f", "[/]pacemaker-attrd"])?.text();
        cluster.check(mute, &["kill", "-s", "STOP", &manager])?;
        // A new promotion has to be acknowledged.
        cluster.move_primary(Some(other))?;
        assert_eq!(cluster.wait_new_primary(&primary, SOON)?, *other);
        cluster.clear_moves()?;
        wait_reason(cluster, mute, &[WORDS])?;
        load.goes_on()?;
        // Where Pacemaker has not killed it and started another one.
        let _ = cluster.exec(mute, &["kill", "-s", "CONT", &manager])?;
        ledger::wait_heirs(cluster, other, &cluster.others(other))?;
        cluster
            .wait_until("the reason is gone", SOON, || !reasons(cluster, mute).contains(WORDS))?;
        cluster.wait_healthy(SOON)?;
        cluster.move_primary(Some(mute))?;
        assert_eq!(cluster.wait_new_primary(other, SOON)?, *mute);
        load.goes_on()?;
        cluster.clear_moves()?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, *mute);
        assert_eq!(cluster.running().len(), 3, "nobody was fenced");
        // It streamed from the old primary, which got the new one's WAL at once, as a standby.
        let log = logs_since(cluster, &before, mute)?;
        let unheard = format!("not pointed at {other} before its promotion");
        assert!(log.contains(&unheard), "it knew what {other} holds: {log}");
        assert!(!log.contains("is brought back"), "its data could follow: {log}");
        load.end().map(drop)
    });
}
