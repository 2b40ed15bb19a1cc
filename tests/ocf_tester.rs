//! Debian's ocf-tester judges the agent, installed as packaging/install does it, on a real
//! PostgreSQL without any cluster; and the same actions by hand, with a look at PostgreSQL after
//! each. Needs root: the agent runs as root and PostgreSQL as the tests' user.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod account;
mod engine;
mod rig;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pgtwin::ocf::params::Params;
use rig::{Rig, succeeds, text, without_root};
use tempfile::TempDir;

/// The agent, installed as a package would.
fn install() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/install");
    let mut command = Command::new(script);
    command.arg(env!("CARGO_BIN_EXE_pgtwin")).env("DESTDIR", root.path());
    succeeds(&mut command);
    let agent = root.path().join("usr/lib/ocf/resource.d/heartbeat/pgtwin");
    (root, agent)
}

/// The rig, with PostgreSQL in a container if the environment asks for it.
fn rig(resource: &'static str, agent: PathBuf) -> Rig {
    let mut on = Rig::new(resource, agent);
    if engine::asked_for().is_some() {
        let mut params = Params::default();
        engine::contain(&mut params, "pg", on.home.path(), &on.bindir);
        on.more = engine::as_words(&params);
    }
    on
}

#[test]
fn the_installed_agent_passes_ocf_tester() {
    if without_root() {
        return;
    }
    let (root, agent) = install();
    let on = rig("pgtwin-test-ocf", agent);
    let mut tester = Command::new("timeout");
    tester.args(["--kill-after=10", "420", "/usr/sbin/ocf-tester", "-n", on.resource]);
    for (name, value) in on.parameters() {
        tester.args(["-o", &format!("{name}={value}")]);
    }
    tester
        .arg(&on.program)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("OCF_ROOT", root.path().join("usr/lib/ocf"))
        .stdin(Stdio::null());
    let output = tester.output().expect("timeout, of coreutils");
    let said = text(&output);
    println!("{said}");
    assert!(output.status.success(), "ocf-tester ended with {}:{}", output.status, on.log());
    assert!(said.contains("passed all tests"), "{said}");
    assert!(!said.contains("* rc="), "{said}");
    for action in ["notify", "demote", "promote"] {
        assert!(!said.contains(&format!("does not support the {action} action")), "{said}");
    }
    assert_eq!(on.processes(), [""; 0]);
}

#[test]
fn each_action_does_what_its_exit_code_says() {
    if without_root() {
        return;
    }
    let (_root, agent) = install();
    let on = rig("pgtwin-test-hand", agent);
    on.expect("validate-all", 0);
    on.expect("monitor", 7);

    on.expect("start", 0);
    on.expect("monitor", 0);
    assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "t", "a node that boots never writes");

    on.expect("promote", 0);
    on.expect("monitor", 8);
    assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "f");
    on.ask("CREATE TABLE kept AS SELECT 42 AS answer");
    assert_eq!(on.ask("TABLE kept"), "42");

    on.expect("demote", 0);
    on.expect("monitor", 0);
    assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "t");
    assert_eq!(on.ask("TABLE kept"), "42");

    on.expect("promote", 0);
    assert_eq!(on.ask("TABLE kept"), "42");
    on.expect("stop", 0);
    assert_eq!(on.processes(), [""; 0], "stop says that nothing runs");
    on.expect("monitor", 7);
    on.expect("stop", 0);
}
