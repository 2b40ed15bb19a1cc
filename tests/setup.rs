//! `pgtwin setup` as a program; and what it prints, typed into the real crmsh and pcs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pgtwin::cluster::cib::{Cib, Setting, Settings};

const NODES: [&str; 6] =
    ["--node", "n1=10.0.0.11", "--node", "n2=10.0.0.12", "--node", "n3=10.0.0.13"];
const REST: [&str; 6] =
    ["--vip", "10.0.0.100/24", "--standby-vip", "10.0.0.101/24", "--debian", "17"];

fn run(command: &mut Command, stdin: &str) -> (Option<i32>, String, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn pgtwin(args: &[&str], stdin: &str) -> (Option<i32>, String, String) {
    run(Command::new(env!("CARGO_BIN_EXE_pgtwin")).args(args).env_clear(), stdin)
}

fn setup(more: &[&str]) -> String {
    let args = [&["setup"], &NODES[..], &REST[..], more].concat();
    let (code, stdout, stderr) = pgtwin(&args, "");
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}");
    stdout
}

#[test]
fn the_pipe_to_the_doctor_that_its_help_names_is_well() {
    for nodes in [&NODES[..4], &NODES[..]] {
        let args = [&["setup"], nodes, &REST, &["--shell", "xml", "--only", "cluster"]].concat();
        let (code, xml, stderr) = pgtwin(&args, "");
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        let (code, stdout, stderr) = pgtwin(&["doctor", "--cib", "-"], &xml);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    }
}

#[test]
fn it_prints_all_that_is_needed_and_each_part_alone() {
    let all = setup(&["--shell", "crmsh"]);
    for words in [
        "# 1. On every node, in /etc/postgresql/17/main/postgresql.conf\n",
        "# 2. On every node, in /etc/postgresql/17/main/pg_hba.conf, before its other",
        "wal_log_hints = on",
        "host  replication  replicator  10.0.0.11/32  scram-sha-256",
        "10.0.0.13:5432:postgres:replicator:PASSWORD",
        "\\password replicator",
        "echo disabled > /etc/postgresql/17/main/start.conf",
        "crm configure <<'END'",
        "ip=BMC-OF-n2",
    ] {
        assert!(all.contains(words), "{words}: {all}");
    }
    for part in ["conf", "hba", "passfile", "role", "service", "cluster"] {
        let alone = setup(&["--shell", "crmsh", "--only", part]);
        assert!(all.contains(&alone) && !alone.is_empty(), "{part}: {alone}");
    }
}

#[test]
fn json_has_each_part_with_the_same_text() {
    let json = setup(&["--shell", "pcs", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let page = include_str!("../docs/setup.md");
    for (name, _) in json.as_object().unwrap() {
        assert!(page.contains(&format!("\"{name}\":")), "docs/setup.md lacks {name}");
    }
    let parts = json["parts"].as_array().unwrap();
    assert_eq!((parts.len(), &json["version"]), (6, &1.into()));
    for part in parts {
        let alone = setup(&["--shell", "pcs", "--only", part["part"].as_str().unwrap()]);
        assert_eq!(part["text"], alone);
    }
}

#[test]
fn answers_that_make_no_configuration_are_refused_with_what_is_wanted() {
    let two = &NODES[..4];
    for (args, words) in [
        (&NODES[..2], "1 nodes: two to five members"),
        (&["--node", "n1"], "NAME=ADDRESS is wanted"),
        (&["--node", "a b=10.0.0.1"], "is not a node name"),
        (&[two, &["--vip", "10.0.0.100"]].concat(), "as in 10.0.0.100/24"),
        (&[two, &["--vip", "10.0.0.11/24"]].concat(), "10.0.0.11 is the address of a member"),
        (&[two, &["--param", "pg_data=/x"]].concat(), "there is no such parameter"),
        (&[two, &["--param", "node_list=n1"]].concat(), "node_list follows from --node"),
        (&[two, &["--param", "rep_mode=both"]].concat(), "rep_mode"),
        (&[two, &["--debian", "../etc"]].concat(), "17 or 17/main is wanted"),
        (&[two, &["--fence", "a b"]].concat(), "the name of an agent is wanted"),
        (
            &[two, &["--only", "all"]].concat(),
            "[possible values: conf, hba, passfile, role, service, cluster]",
        ),
        (&[two, &["--shell", "bash"]].concat(), "[possible values: crmsh, pcs, xml]"),
        (&[], "--node <NAME=ADDRESS>"),
    ] {
        let args: Vec<&str> = [&["setup"], args].concat();
        let (code, stdout, stderr) = pgtwin(&args, "");
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
}

fn plain(settings: &Settings) -> BTreeMap<String, String> {
    let text = |(name, value): (&String, &Setting)| match value {
        Setting::Set(value) => (name.clone(), value.clone()),
        Setting::Conditional => panic!("{name} is set by a rule"),
    };
    settings.iter().map(text).collect()
}

/// What matters of a configuration, whatever made it.
fn essence(cib: &Cib) -> Vec<String> {
    let mut all = Vec::new();
    let properties = ["stonith-enabled", "no-quorum-policy", "priority-fencing-delay"];
    all.extend(properties.map(|name| format!("{name} {:?}", cib.options.get(name))));
    all.push(format!("{:?}", plain(&cib.resource_defaults)));
    let mut primitives: Vec<_> = cib.primitives.iter().collect();
    primitives.sort_by_key(|one| &one.id);
    for one in primitives {
        let clone = one.clone.as_ref().map(|clone| (&clone.id, plain(&clone.meta)));
        all.push(format!("{} {} {:?} {clone:?}", one.id, one.agent, plain(&one.parameters)));
        all.push(format!("{} {:?}", one.id, plain(&one.meta)));
        // The shells add operations that the meta-data of an agent suggests.
        let ours = ["start", "stop", "promote", "demote", "notify"];
        let wanted = |name: &str| one.id == "db" && ours.contains(&name) || name == "monitor";
        let mut operations: Vec<String> = one
            .operations
            .iter()
            .filter(|op| wanted(&op.name))
            .map(|op| format!("{} {:?} {:?} {:?}", op.name, op.interval, op.timeout, op.role))
            .collect();
        operations.sort();
        all.push(format!("{} {operations:?}", one.id));
    }
    let mut constraints: Vec<String> = Vec::new();
    for one in &cib.colocations {
        let (what, with) = (&one.resource, &one.with);
        constraints.push(format!("{what:?} {with:?} {:?} {:?}", one.with_role, one.score));
    }
    for one in &cib.orders {
        constraints.push(format!("{:?} {:?} {:?}", one.first, one.first_action, one.then));
    }
    for one in &cib.locations {
        let scores: Vec<_> = one.rules.iter().map(|rule| rule.score.clone()).collect();
        constraints.push(format!("{:?} {scores:?}", one.resource));
    }
    constraints.sort();
    all.extend(constraints);
    all
}

/// The agent that stands for ours: of the package resource-agents, which other tests need.
const STAND_IN: &str = "../lib/ocf/resource.d/heartbeat/pgsql";

fn is_installed(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
}

/// Types the commands as a person would, for a cluster that is a file.
fn typed(commands: &str, file: &Path, dir: &Path) -> Cib {
    let commands = commands
        .replace("pcs cluster cib pgtwin-setup.xml", "cp \"$CIB_file\" pgtwin-setup.xml")
        .replace("pcs cluster cib-push pgtwin-setup.xml", "cp pgtwin-setup.xml \"$CIB_file\"")
        // Neither our agent nor a fence device is installed where the tests are; pcs makes no clone of
        // an agent that is not.
        .replace("ocf:heartbeat:pgtwin", "ocf:heartbeat:pgsql")
        .replace("pcs -f", "pcs --force -f")
        .replace("crm configure", "crm --force configure");
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &commands]).current_dir(dir).env("CIB_file", file);
    shell.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", dir);
    let (code, stdout, stderr) = run(&mut shell, "");
    assert_eq!(code, Some(0), "{commands}\n{stdout}{stderr}");
    let text = std::fs::read_to_string(file).unwrap();
    let text = text.replace("type=\"pgsql\"", "type=\"pgtwin\"");
    std::fs::write(file, &text).unwrap();
    Cib::parse_configuration(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn crmsh_and_pcs_make_of_it_what_the_document_says() {
    for nodes in [&NODES[..4], &NODES[..]] {
        let args =
            |shell| [&["setup"], nodes, &REST, &["--only", "cluster", "--shell", shell]].concat();
        let printed = |shell| pgtwin(&args(shell), "").1;
        let wanted = essence(&Cib::parse_configuration(&printed("xml")).unwrap());
        for (shell, program) in [("crmsh", "crm"), ("pcs", "pcs")] {
            if !is_installed(program) || !is_installed("cibadmin") || !is_installed(STAND_IN) {
                eprintln!("not made: {program} is not installed");
                continue;
            }
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("cib.xml");
            std::fs::write(&file, without_resources(nodes_of(&args(shell)))).unwrap();
            let found = typed(&printed(shell), &file, dir.path());
            assert_eq!(essence(&found), wanted, "{shell}");
            let (code, stdout, _) = pgtwin(&["doctor", "--cib", file.to_str().unwrap()], "");
            assert_eq!(code, Some(0), "{shell}: {stdout}");
        }
    }
}

/// The configuration of a real cluster that has no resources yet.
fn without_resources(nodes: usize) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("tests/fixtures/pacemaker/bookworm/healthy.cib.xml");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once("<resources>").unwrap();
    let (_, after) = rest.split_once("</resources>").unwrap();
    let (after, rest) = after.split_once("<status>").unwrap();
    let (_, end) = rest.split_once("</status>").unwrap();
    let text = format!("{before}<resources/>{after}<status/>{end}");
    if nodes == 2 { text.replace("<node id=\"3\" uname=\"n3\"/>", "") } else { text }
}

fn nodes_of(args: &[&str]) -> usize {
    args.iter().filter(|arg| **arg == "--node").count()
}

const FENCE: [&str; 6] =
    ["--fence", "fence_x", "--fence-param", "plug=%n", "--fence-param", "ip=h"];

/// With a file in place of the cluster, as Pacemaker's own tools take it.
fn applied(file: &Path, nodes: &[&str], more: &[&str]) -> (Option<i32>, String, String) {
    let args = [&["setup"], nodes, &REST, &["--apply"], more].concat();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgtwin"));
    run(command.args(args).env_clear().env("CIB_file", file), "")
}

#[test]
fn it_is_written_into_the_cluster_at_once_and_once() {
    if !is_installed("cibadmin") {
        eprintln!("not tried: Pacemaker's tools are not installed");
        return;
    }
    for nodes in [&NODES[..4], &NODES[..]] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cib.xml");
        let before = without_resources(nodes_of(nodes)).replace(
            "name=\"stonith-enabled\" value=\"true\"",
            "name=\"stonith-enabled\" value=\"false\"",
        );
        std::fs::write(&file, &before).unwrap();
        let unchanged = || assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
        // What is not filled in, and whom the cluster does not know.
        let (code, stdout, stderr) = applied(&file, nodes, &["--yes"]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""));
        assert!(stderr.contains("--fence-param ip="), "{stderr}");
        unchanged();
        let four = [nodes, &["--node", "n9=10.0.0.19"]].concat();
        let (code, _, stderr) = applied(&file, &four, &[&FENCE[..], &["--yes"]].concat());
        assert_eq!(code, Some(1));
        assert!(stderr.contains("n9 is no node of this cluster: n1, n2"), "{stderr}");
        // Nobody is there to be asked.
        let (code, stdout, stderr) = applied(&file, nodes, &FENCE);
        assert_eq!(code, Some(1));
        assert!(stdout.contains("property stonith-enabled=true (it is false now)"), "{stdout}");
        assert!(stderr.contains("add --yes"), "{stderr}");
        unchanged();

        let (code, stdout, stderr) = applied(&file, nodes, &[&FENCE[..], &["--yes"]].concat());
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        let text = std::fs::read_to_string(&file).unwrap();
        let args = [&["setup"], nodes, &REST, &FENCE, &["--shell", "xml", "--only", "cluster"]];
        let wanted = pgtwin(&args.concat(), "").1;
        let found = essence(&Cib::parse_configuration(&text).unwrap());
        assert_eq!(found, essence(&Cib::parse_configuration(&wanted).unwrap()));
        let (code, stdout, _) = pgtwin(&["doctor", "--cib", file.to_str().unwrap()], "");
        assert_eq!(code, Some(0), "{stdout}");

        let again = [&FENCE[..], &["--yes", "--json"]].concat();
        let (code, stdout, stderr) = applied(&file, nodes, &again);
        assert_eq!((code, stderr.as_str()), (Some(1), ""));
        let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(json["outcome"], "refused");
        assert!(
            json["reasons"][0].as_str().unwrap().contains("db is a resource of pgtwin already")
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn what_there_is_in_the_cluster_is_never_overwritten() {
    if !is_installed("cibadmin") {
        eprintln!("not tried: Pacemaker's tools are not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cib.xml");
    let other = "<resources><primitive id=\"db-vip\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\"/>\
                 </resources>";
    let before = without_resources(3).replace("<resources/>", other);
    std::fs::write(&file, &before).unwrap();
    let named = [&FENCE[..], &["--yes"]].concat();
    let (code, _, stderr) = applied(&file, &NODES, &named);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("something called db-vip already"), "{stderr}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    // Nor is anything written that Pacemaker would not take.
    let old = without_resources(3).replace("pacemaker-3.9", "pacemaker-1.0");
    std::fs::write(&file, &old).unwrap();
    let (code, stdout, stderr) = applied(&file, &NODES, &named);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), old);
    // Without a cluster.
    let (code, stdout, stderr) = applied(&dir.path().join("nowhere.xml"), &NODES, &named);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("Pacemaker could not be asked"), "{stderr}");
}
