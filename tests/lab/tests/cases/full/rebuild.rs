//! `pgtwin rebuild`: a standby that could follow gets a full copy, and nothing is lost wherever that is cut
//! off.

use lab::{Cluster, Options, Result};

use super::recovery::{ballast, copying, go_on_copying};
use crate::load::Load;
use crate::look::{assert_no_failures, flat};
use crate::recovery::assert_recovered;
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};

fn copy_of(cluster: &Cluster, node: &str) -> Result<String> {
    let path = format!("{}/pgtwin.copy", cluster.options.pgdata());
    cluster.exec(node, &["cat", &path]).map(|output| output.text())
}

/// Types the command on one node for another, or the same, and waits for its end.
fn is_done(cluster: &Cluster, on: &str, node: &str, source: &str) -> Result<()> {
    let command = ["pgtwin", "rebuild", node, "--yes", "--json"];
    let done = cluster.command(on, &command).limit(SOON).check()?;
    let done: serde_json::Value = serde_json::from_str(&done.text()).expect("JSON");
    assert_eq!((&done["outcome"], &done["source"]), (&"done".into(), &source.into()), "{done}");
    Ok(())
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn rebuild_01_a_standby_gets_a_full_copy_while_writes_go_on() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let node = cluster.others(&primary)[0].clone();
        let before = copy_of(cluster, &node)?;
        let load = Load::start(cluster)?;
        for (on, whose, words) in
            [(&primary, &primary, "is the primary"), (&node, &"n9".to_owned(), "is no member")]
        {
            let refused = cluster.exec(on, &["pgtwin", "rebuild", whose, "--yes"])?;
            assert_eq!(refused.code, 1, "{}", refused.all());
            let said = flat(&refused.all());
            assert!(said.contains(words), "{said}");
        }
        let dry = cluster.check(&node, &["pgtwin", "rebuild", &node, "--dry-run", "--json"])?;
        let dry: serde_json::Value = serde_json::from_str(&dry.text()).expect("JSON");
        assert_eq!(
            (&dry["outcome"], &dry["source"]),
            (&"possible".into(), &primary.as_str().into())
        );
        assert_eq!(copy_of(cluster, &node)?, before, "nothing was copied yet");

        is_done(cluster, &node, &node, &primary)?;
        assert_ne!(copy_of(cluster, &node)?, before, "it is a copy, made now");
        load.goes_on()?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary);
        assert_recovered(cluster, &node, "rebuild")?;
        // Pacemaker had nothing to put right.
        assert_no_failures(cluster)?;
        load.end().map(drop)
    });
}

/// What a node tells of what has happened.
fn history(cluster: &Cluster, on: &str) -> Result<Vec<serde_json::Value>> {
    let told = cluster.exec(on, &["pgtwin", "history", "--json"])?;
    let told: serde_json::Value = serde_json::from_str(&told.text()).expect("JSON");
    Ok(told["events"].as_array().cloned().unwrap_or_default())
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn rebuild_05_a_standby_is_built_anew_by_an_order_of_another_node() {
    case(&Options::default(), |cluster| {
        let primary = cluster.primary()?;
        let node = cluster.others(&primary)[0].clone();
        let load = Load::start(cluster)?;
        let before = copy_of(cluster, &node)?;
        is_done(cluster, &primary, &node, &primary)?;
        assert_ne!(copy_of(cluster, &node)?, before, "it is a copy, made now");
        load.goes_on()?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary);
        assert_recovered(cluster, &node, "rebuild")?;
        assert_no_failures(cluster)?;
        let cib = cluster.check(&primary, &["cibadmin", "--query"])?.text();
        assert!(!cib.contains(&format!("-rebuild-{node}")), "the order is still there");
        // Each of them tells of the other's part: the copy, and that it was let go for that.
        cluster.wait_until("what has happened is told everywhere", SOON, || {
            let both = [&primary, &node].map(|on| history(cluster, on).unwrap_or_default());
            both.iter().all(|events| {
                let has = |kind: &str, of: &str, words: &str| {
                    events.iter().any(|one| {
                        let said = one["words"].as_str().unwrap_or_default();
                        one["kind"] == kind && one["node"] == of && said.contains(words)
                    })
                };
                has("recovery", &node, "brought back by rebuild")
                    && has("sync", &primary, &format!("without {node} from now on"))
                    && has("sync", &primary, &format!("with {node} from now on"))
                    && has("promotion", &primary, "became the primary")
            })
        })?;
        load.end().map(drop)
    });
}

/// A copy that was asked for, and in its middle something that befalls it; all is well again afterwards.
fn while_copied(befalls: impl Fn(&Cluster, &str) -> Result<()>, method: Option<&str>) {
    case(&Options::default(), |cluster| {
        ballast(cluster, 400)?;
        let primary = cluster.primary()?;
        let node = cluster.others(&primary)[0].clone();
        let load = Load::start(cluster)?;
        let script = format!("pgtwin rebuild {node} --yes >/dev/null 2>&1 </dev/null &");
        cluster.check(&node, &["sh", "-c", &script])?;
        copying(cluster, &node)?;
        befalls(cluster, &node)?;
        go_on_copying(cluster, &node)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary);
        if let Some(method) = method {
            assert_recovered(cluster, &node, method)?;
        }
        load.goes_on()?;
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn rebuild_02_a_worker_that_is_killed_is_followed_by_another() {
    let kill = |cluster: &Cluster, node: &str| {
        cluster.check(node, &["pkill", "-KILL", "-f", "pgtwin recover"]).map(drop)
    };
    while_copied(kill, Some("rebuild"));
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn rebuild_03_the_command_is_killed_and_the_copy_goes_on() {
    let kill = |cluster: &Cluster, node: &str| {
        cluster.check(node, &["pkill", "-KILL", "-f", "pgtwin rebuild"]).map(drop)
    };
    while_copied(kill, Some("rebuild"));
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn rebuild_04_after_a_power_cut_the_old_data_is_used_again() {
    let cut = |cluster: &Cluster, node: &str| {
        cluster.power_cut(node)?;
        // Before that the cluster fences it while it boots again.
        cluster.wait_until(&format!("{node} is missed and fenced"), SOON, || {
            let mon = cluster.crm_mon();
            mon.is_ok_and(|mon| mon.node(node).is_some_and(|one| !one.online && !one.unclean))
        })?;
        cluster.power_on(node)
    };
    while_copied(cut, None);
}
