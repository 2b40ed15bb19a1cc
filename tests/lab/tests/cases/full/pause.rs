//! `pgtwin pause` and `pgtwin resume`: nothing is put right meanwhile, nodes are fenced all the same, and
//! the end of a pause puts right what there is.

use lab::{Cluster, Options, Result};

use crate::load::Load;
use crate::look::{nobody_is_promoted, status, stays};
use crate::repair::{has_all_heirs, power_on_all};
use crate::stage::{SOON, case};

fn order(cluster: &Cluster, node: &str, what: &str) -> Result<String> {
    let output = cluster.exec(node, &["pgtwin", what, "--yes"])?;
    eprintln!("{what} on {node}: exit code {}\n{}", output.code, output.all());
    assert!(output.ok(), "{}", output.all());
    Ok(output.text())
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn pause_01_a_dead_standby_stays_dead_until_the_end_of_the_pause() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let others = cluster.others(&primary);
        let load = Load::start(cluster)?;
        order(cluster, &others[1], "pause")?;
        let shown = status(cluster, &others[0])?;
        assert!(
            shown.contains("is paused for") && shown.contains("pgtwin resume ends it"),
            "{shown}"
        );
        let again = cluster.check(&primary, &["pgtwin", "pause", "--yes", "--json"])?.text();
        let again: serde_json::Value = serde_json::from_str(&again).expect("JSON");
        assert_eq!(again["outcome"], "nothing", "{again}");
        assert!(
            again["reason"].as_str().is_some_and(|why| why.contains("is paused for")),
            "{again}"
        );

        cluster.signal_postmaster(&others[0], "KILL")?;
        // The other one confirms.
        load.goes_on()?;
        let one_streams =
            || cluster.streaming_from(&primary).is_ok_and(|streams| streams.len() == 1);
        cluster.wait_until("the dead standby is seen to be gone", SOON, one_streams)?;
        // No answer says nothing of it.
        let streams_again = || {
            cluster.streaming_from(&primary).is_ok_and(|streams| streams.contains_key(&others[0]))
        };
        stays(20, "the standby is not restarted", || !streams_again())?;
        load.goes_on()?;
        let told = order(cluster, &primary, "resume")?;
        assert!(told.contains("it is started"), "{told}");
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary);
        let shown = status(cluster, &primary)?;
        assert!(!shown.contains("pause"), "{shown}");
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn pause_02_a_lost_primary_is_fenced_and_nobody_is_promoted_until_the_end_of_the_pause() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let others = cluster.others(&primary);
        let load = Load::start(cluster)?;
        order(cluster, &primary, "pause")?;
        cluster.power_cut(&primary)?;
        cluster.wait_until(&format!("{primary} was fenced"), SOON, || {
            cluster
                .on_any(&["stonith_admin", "--history", &primary])
                .is_ok_and(|text| text.contains(&format!("of {primary} successful")))
        })?;
        nobody_is_promoted(cluster, 15)?;
        let explained = cluster.exec(&others[0], &["pgtwin", "explain"])?;
        assert_eq!(explained.code, 1, "{}", explained.all());
        assert!(explained.text().contains("Pacemaker does not manage"), "{}", explained.all());
        let told = cluster.exec(&others[0], &["pgtwin", "history"])?;
        assert!(told.text().contains("was fenced by"), "{}", told.all());
        order(cluster, &others[0], "resume")?;
        cluster.wait_new_primary(&primary, SOON)?;
        load.goes_on()?;
        power_on_all(cluster)?;
        has_all_heirs(cluster)?;
        load.end().map(drop)
    });
}
