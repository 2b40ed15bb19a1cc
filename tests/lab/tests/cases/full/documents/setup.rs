//! From empty machines: `pgtwin bootstrap` and `pgtwin setup --apply`, as the page on them has it.

use lab::config::container_prefix;

use super::book::{Key, attempt, finds, script};
use super::quick_start::{all_stream, bare, book};
use crate::stage::{SOON, fresh};

const PAGE: &str = "setup.md";
const PRINT: Key = (PAGE, "pgtwin setup --node n1=10.0.0.11 --node n2=10.0.0.12 --node n3");
const JUDGE: Key = (PAGE, "pgtwin setup ...");
const APPLY: Key = (PAGE, "pgtwin setup --node n1=10.0.0.11 --node n2=10.0.0.12 --vip");
const PRIMARY: Key = (PAGE, "pgtwin bootstrap primary");
const STANDBY: Key = (PAGE, "pgtwin bootstrap standby");

pub const PLAYS: &[Key] = &[PRINT, JUDGE, APPLY, PRIMARY, STANDBY];

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn two_empty_machines_become_a_cluster_by_the_commands_of_the_page_on_setup() {
    fresh(&bare(2), |cluster| {
        let book = book(cluster);
        cluster.start_all()?;
        cluster.wait_online(SOON)?;
        let answers = "--password-file /root/password --yes";
        cluster.each_node(|node| cluster.write_file(node, "/root/password", 0o600, "SECRET\n"))?;
        script(cluster, "n1", &format!("{} {answers}", book.take(PRIMARY).text))?;
        script(cluster, "n2", &format!("{} {answers}", book.take(STANDBY).text))?;

        let print = book.take(PRINT).text;
        let said = script(cluster, "n1", &print)?;
        assert!(said.contains("ocf:heartbeat:pgtwin") && said.contains("wal_log_hints"), "{said}");
        let judge = book.take(JUDGE).text.replace("pgtwin setup ...", &print);
        let said = script(cluster, "n1", &judge)?;
        assert!(!finds(&said, "FAIL") && !finds(&said, "WARN"), "{said}");

        let apply = book.take(APPLY).text;
        let (before, fence) = apply.split_once("--fence-param ip=").unwrap();
        assert!(fence.trim_end().ends_with("--apply"), "{apply}");
        let fence = format!(
            "--fence fence_lab --fence-param prefix={}",
            container_prefix(&cluster.options.name)
        );
        script(cluster, "n1", &format!("{before} {fence} --apply --yes"))?;
        all_stream(cluster)?;
        assert_eq!(cluster.primary()?, "n1");
        let said = attempt(cluster, "n2", "pgtwin doctor")?;
        assert!(said.code < 2 && !finds(&said.text(), "FAIL"), "{}", said.all());
        book.end(PLAYS);
        Ok(())
    });
}
