//! `pgtwin doctor --cib` as a program, over configurations that real clusters had.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn quick_start(tool: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/fixtures/quick-start/{tool}.cib.xml"))
}

fn doctor(args: &[&str], stdin: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pgtwin"))
        .arg("doctor")
        .args(args)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that was refused before reads nothing.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_configuration_in_a_file_is_judged_without_a_cluster() {
    for tool in ["crmsh", "pcs"] {
        let path = quick_start(tool);
        let path = path.to_str().unwrap();
        let (code, stdout, stderr) = doctor(&["--cib", path], "");
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
        assert!(stdout.contains("0 FAIL, 0 WARN, 0 UNKNOWN"), "{stdout}");
        assert!(stdout.contains("they look at a running cluster"), "{stdout}");

        let text = std::fs::read_to_string(path).unwrap();
        let broken = text.replace("name=\"notify\" value=\"true\"", "name=\"notify\" value=\"no\"");
        assert_ne!(broken, text);
        let (code, stdout, _) = doctor(&["--cib", "-"], &broken);
        assert_eq!(code, Some(1), "{stdout}");
        assert!(stdout.contains("FAIL     clone-notify: notify of db-clone is \"no\""), "{stdout}");
        assert!(stdout.contains("--set-parameter notify"), "{stdout}");
        assert!(stdout.lines().all(|line| line.chars().count() <= 80), "{stdout}");
        assert!(!stdout.contains('\u{1b}'), "no terminal, no colour: {stdout}");
        let (code, stdout, _) = doctor(&["--cib", "-", "--skip", "clone-notify"], &broken);
        assert_eq!(code, Some(0), "{stdout}");
        assert!(stdout.contains("Skipped: clone-notify"), "{stdout}");
        let (_, stdout, _) = doctor(&["--cib", "-", "--why"], &broken);
        assert!(stdout.contains("Why: Elections are held in notifications"), "{stdout}");
        let (_, stdout, _) = doctor(&["--cib", "-", "--all"], &broken);
        assert!(stdout.contains("OK       fencing-enabled: fencing is enabled"), "{stdout}");
    }
}

#[test]
fn a_configuration_without_a_status_is_one_too() {
    let text = std::fs::read_to_string(quick_start("crmsh")).unwrap();
    let (configuration, _) = text.split_once("  <status>").unwrap();
    let (_, inside) = configuration.split_once('>').unwrap();
    let (code, stdout, stderr) = doctor(&["--cib", "-"], &format!("<cib>{inside}</cib>"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
}

#[test]
fn json_has_the_shape_that_is_documented() {
    let text = std::fs::read_to_string(quick_start("pcs")).unwrap();
    let broken =
        text.replace("\"stonith-enabled\" value=\"true\"", "\"stonith-enabled\" value=\"no\"");
    let (code, stdout, stderr) = doctor(&["--cib", "-", "--json"], &broken);
    assert_eq!((code, stderr.as_str()), (Some(1), ""));
    let json: Value = serde_json::from_str(&stdout).unwrap();
    let page = include_str!("../docs/doctor.md");
    for (name, _) in json.as_object().unwrap() {
        assert!(page.contains(&format!("\"{name}\":")), "docs/doctor.md lacks {name}");
    }
    assert_eq!((&json["version"], &json["command"]), (&1.into(), &"doctor".into()));
    assert_eq!((&json["verdict"], &json["seen_from"]), (&"FAIL".into(), &Value::Null));
    assert_eq!(json["attention"], true);
    assert_eq!((&json["counts"]["FAIL"], &json["counts"]["UNKNOWN"]), (&1.into(), &0.into()));
    assert_eq!(json["run_on"], serde_json::json!(["n1", "n2", "n3"]));
    assert!(json["left_out"].as_array().unwrap().contains(&"hba".into()));
    let findings = json["findings"].as_array().unwrap();
    let failed: Vec<&Value> = findings.iter().filter(|one| one["verdict"] == "FAIL").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["check"], "fencing-enabled");
    let commands = failed[0]["remedy"]["commands"].as_array().unwrap();
    assert!(commands[0].as_str().unwrap().contains("--name stonith-enabled --update true"));
}

/// Runs a command of a remedy as a person would, on a configuration in a file.
fn typed(command: &str, file: &Path) {
    let in_file = match command.strip_prefix("pcs ") {
        // The agent is not installed where the tests are.
        Some(rest) => format!("pcs -f '{}' --force {rest}", file.display()),
        None => command.to_owned(),
    };
    let mut shell = Command::new("sh");
    shell.args(["-c", &in_file]).env("CIB_file", file).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let output = shell.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&said));
}

fn is_installed(program: &str) -> bool {
    let dirs = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    dirs.iter().any(|dir| Path::new(dir).join(program).exists())
}

/// A defect, and the check that names it.
const MENDED: &[(&str, &str, &str)] = &[
    ("\"stonith-enabled\" value=\"true\"", "\"stonith-enabled\" value=\"no\"", "fencing-enabled"),
    ("\"stonith-enabled\" value=\"true\"", "\"startup-fencing\" value=\"no\"", "fencing-startup"),
    ("\"stonith-enabled\" value=\"true\"", "\"maintenance-mode\" value=\"yes\"", "maintenance"),
    (
        "\"no-quorum-policy\" value=\"stop\"",
        "\"no-quorum-policy\" value=\"ignore\"",
        "quorum-policy",
    ),
    ("name=\"notify\" value=\"true\"", "name=\"notify\" value=\"no\"", "clone-notify"),
    ("name=\"promotable\" value=\"true\"", "name=\"promotable\" value=\"0\"", "clone"),
    ("name=\"interleave\" value=\"true\"", "name=\"interleave\" value=\"no\"", "clone-options"),
    ("name=\"promoted-max\" value=\"1\"", "name=\"promoted-max\" value=\"2\"", "clone-options"),
    ("name=\"failure-timeout\"", "name=\"is-managed\"", "failures"),
    ("\"migration-threshold\" value=\"5\"", "\"migration-threshold\" value=\"1\"", "failures"),
    ("\"resource-stickiness\" value=\"100\"", "\"resource-stickiness\" value=\"0\"", "stickiness"),
    (
        "</constraints>",
        "<rsc_location id=\"cli-ban-x\" rsc=\"db-clone\" node=\"n2\" role=\"Promoted\" \
      score=\"-INFINITY\"/></constraints>",
        "moves",
    ),
    (
        "</constraints>",
        "<rsc_location id=\"loc\" rsc=\"db-clone\" node=\"n2\" role=\"Promoted\" \
      score=\"INFINITY\"/></constraints>",
        "preferences",
    ),
    (" with-rsc-role=\"Promoted\"", "", "address-place"),
    ("score=\"INFINITY\"", "score=\"5\"", "address-place"),
    ("first-action=\"promote\"", "first-action=\"start\"", "address-order"),
    ("then-action=\"start\" symmetrical=\"false\"", "then-action=\"start\"", "address-order"),
    ("first-action=\"demote\"", "first-action=\"stop\"", "address-order"),
];
/// What crmsh leaves to an editor.
const MENDED_BY_PCS: &[(&str, &str, &str)] = &[
    ("name=\"stop\" timeout=\"120s\"", "name=\"stop\" timeout=\"20s\"", "timeouts"),
    ("timeout=\"60s\" interval=\"8s\"", "timeout=\"60s\" interval=\"3s\"", "monitors"),
    ("on-fail=\"demote\"", "on-fail=\"block\"", "monitors"),
];

#[test]
fn what_a_remedy_says_to_type_mends_it() {
    for tool in ["cibadmin", "crm_resource", "pcs", "crm"] {
        if !is_installed(tool) {
            eprintln!("not made: {tool} is not installed");
            return;
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cib.xml");
    let healthy = std::fs::read_to_string(quick_start("pcs")).unwrap();
    for shell in ["pcs", "crmsh"] {
        let rows = MENDED.iter().chain(MENDED_BY_PCS.iter().filter(|_| shell == "pcs"));
        for (from, to, check) in rows {
            assert!(healthy.contains(from), "{from}");
            std::fs::write(&file, healthy.replacen(from, to, 1)).unwrap();
            let look = || {
                let args = ["--cib", file.to_str().unwrap(), "--json", "--shell", shell];
                let (_, stdout, stderr) = doctor(&args, "");
                let json: Value =
                    serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stderr}"));
                json["findings"].as_array().unwrap().clone()
            };
            let bad: Vec<Value> = look().into_iter().filter(|one| one["verdict"] != "OK").collect();
            assert!(bad.iter().all(|one| one["check"] == *check), "{check}: {bad:#?}");
            assert!(!bad.is_empty(), "{check}: {to} is well");
            for command in bad.iter().flat_map(|one| one["remedy"]["commands"].as_array().unwrap())
            {
                typed(command.as_str().unwrap(), &file);
            }
            let left: Vec<Value> =
                look().into_iter().filter(|one| one["verdict"] != "OK").collect();
            assert!(left.is_empty(), "{shell}: {check} after {bad:#?}: {left:#?}");
        }
    }
}

#[test]
fn what_is_no_configuration_and_what_is_no_check_is_said() {
    for (args, stdin, code, words) in [
        (&["--cib", "/nowhere/db.xml"][..], "", 1, "/nowhere/db.xml is no configuration"),
        (&["--cib", "-"], "<cib><configuration>", 1, "- is no configuration of a cluster"),
        (&["--cib", "-"], "rubbish", 1, "- is no configuration of a cluster"),
        (&["--cib", "/"], "", 1, "/ is no configuration of a cluster"),
        (&["--skip", "everything"], "", 2, "there is no check of that name"),
        (&["--json", "--why"], "", 2, "cannot be used with"),
        (&["--shell", "bash"], "", 2, "[possible values: crmsh, pcs]"),
    ] {
        let (found, stdout, stderr) = doctor(args, stdin);
        assert_eq!((found, stdout.as_str()), (Some(code), ""), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
    let text = std::fs::read_to_string(quick_start("pcs")).unwrap();
    let other = text.replace("type=\"pgtwin\"", "type=\"pgsql\"");
    let (code, _, stderr) = doctor(&["--cib", "-"], &other);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("no resource of this cluster uses ocf:heartbeat:pgtwin"), "{stderr}");
    let (code, _, stderr) = doctor(&["--cib", "-", "--resource", "pg"], &text);
    assert_eq!(code, Some(2), "{stderr}");
}
