//! What Pacemaker says in the environment, and hostile bytes in it.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::rig::call::{Call, Env, bytes, run, value};
use crate::rig::{Rig, without_root};
use crate::{Codes, expect, rig};

const TIMEOUT: &str = "OCF_RESKEY_CRM_meta_timeout";
const RESOURCE: &str = "OCF_RESOURCE_INSTANCE";
const HARMLESS: [Call; 4] = [Call::ValidateAll, Call::Stop, Call::Probe, Call::Unpromoted];

fn healthy() -> Codes {
    Codes { validate: 0, ..Codes::STOPPED }
}

#[test]
fn a_timeout_that_is_no_time_counts_as_not_said() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-timeout");
    let long = "9".repeat(100);
    for text in
        [None, Some(""), Some("0"), Some("-5"), Some("20s"), Some("1e9"), Some(long.as_str())]
    {
        let env = [(TIMEOUT, text.map(OsStr::new))];
        expect(&on, &format!("{TIMEOUT}={text:?}"), &HARMLESS, &env, healthy());
    }
    // Nobody can look at the control file in a millisecond: that is said, and is soft.
    let before = on.snapshot();
    for ms in ["1", "10"] {
        for (&call, answer) in &on.calls(&HARMLESS, &[(TIMEOUT, value(ms))]) {
            let codes =
                if call == Call::ValidateAll { vec![0, 1] } else { vec![healthy().of(call)] };
            assert!(codes.contains(&answer.code), "{ms} {call:?}: {answer:?}");
        }
    }
    assert_eq!(before, on.snapshot());
}

#[test]
fn variables_of_pacemaker_that_are_rubbish_are_disregarded() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-variables");
    let rubbish = [bytes(b"a\nb"), bytes(b"\xff\xfe"), "x".repeat(100_000).into(), "-1".into()];
    for name in [
        "OCF_RESKEY_CRM_meta_op_target_rc",
        "OCF_RESKEY_CRM_meta_physical_host",
        "OCF_RESKEY_CRM_meta_notify_type",
        "OCF_RESKEY_CRM_meta_notify_start_uname",
        "OCF_CHECK_LEVEL",
        "OCF_RESKEY_no_such_parameter",
        "HA_LOGFACILITY",
        "HA_LOGFILE",
        "HA_DEBUGLOG",
        "PCMK_ipc_type",
        "PATH",
        "LD_LIBRARY_PATH",
    ] {
        for bad in &rubbish {
            let env = [(name, Some(bad.as_os_str()))];
            // The log may go elsewhere, or nowhere, by these.
            expect(&on, name, &[Call::ValidateAll, Call::Stop, Call::Probe], &env, healthy());
        }
    }
    // Rubbish in a monitor's role is no promoted one.
    for bad in &rubbish {
        let env: Env<'_> =
            &[("OCF_RESKEY_CRM_meta_role", Some(bad)), ("OCF_RESKEY_CRM_meta_interval", Some(bad))];
        expect(&on, "role", &[Call::Promoted, Call::Unpromoted], env, healthy());
    }
    for target in ["/", "/dev/null", "/nonexistent/dir/log", "/proc/self/mem"] {
        let env = [("HA_LOGFILE", value(target)), ("HA_debug", value("1"))];
        expect(&on, target, &HARMLESS, &env, healthy());
    }
}

#[test]
fn variables_of_libpq_and_of_the_loader_change_nothing_and_are_passed_on_to_nobody() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-libpq");
    let elsewhere = [
        ("PGHOST", "/nonexistent"),
        ("PGHOSTADDR", "192.0.2.1"),
        ("PGPORT", "1"),
        ("PGUSER", "nobody"),
        ("PGDATABASE", "elsewhere"),
        ("PGPASSWORD", "mickey-mouse"),
        ("PGPASSFILE", "/etc/shadow"),
        ("PGSERVICE", "elsewhere"),
        ("PGSERVICEFILE", "/etc/shadow"),
        ("PGOPTIONS", "-c search_path=public -c default_transaction_read_only=on"),
        ("PGSSLMODE", "verify-full"),
        ("PGAPPNAME", "n1"),
        ("PGDATA", "/nonexistent"),
        ("PGTZ", "Mars/Olympus"),
        ("LD_PRELOAD", "/nonexistent/mickey-mouse.so"),
        ("LD_LIBRARY_PATH", "/nonexistent"),
        ("BASH_ENV", "/nonexistent/mickey-mouse"),
        ("IFS", "x"),
    ];
    let env: Vec<_> = elsewhere.iter().map(|(name, text)| (*name, value(text))).collect();
    let rows = [(Call::Start, 0), (Call::Promote, 0), (Call::Promoted, 8), (Call::ReloadAgent, 0)];
    for (call, code) in rows {
        let answer = on.call(call, &env);
        assert_eq!(answer.code, code, "{call:?}: {}", answer.stderr);
        // The loader itself tells of what it does not find.
        let said = answer.stderr.lines().filter(|line| !line.starts_with("ERROR: ld.so"));
        assert!(!said.collect::<String>().contains("mickey-mouse"), "{}", answer.stderr);
    }
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let servers: Vec<_> = pids
        .filter(|process| {
            std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == on.pgdata())
        })
        .map(|process| std::fs::read_to_string(process.join("environ")).unwrap_or_default())
        .collect();
    assert!(servers.len() > 3, "{servers:?}");
    for environment in servers {
        assert!(!environment.contains("mickey-mouse"), "{environment}");
        assert!(
            !environment.contains("192.0.2.1") && !environment.contains("LD_"),
            "{environment}"
        );
    }
    assert_eq!(on.ask("SHOW default_transaction_read_only"), "off");
    let stopped = on.call(Call::Stop, &env);
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
}

#[test]
fn a_resource_without_a_usable_name_is_stopped_and_probed_and_nothing_else() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-names");
    let names: [OsString; 7] = [
        "../../etc/cron.d/x".into(),
        "a/b".into(),
        bytes(b"a\nocf-exit-reason:all is well"),
        bytes(b"\xff\xfe"),
        "x".repeat(10_000).into(),
        "-rf".into(),
        "$(reboot)".into(),
    ];
    let codes = Codes { start: 2, validate: 2, promote: 2, demote: 2, monitor: 2, hba: 2 };
    for name in &names {
        let what = format!("{RESOURCE}={:.40}", name.display());
        for clone in [None, value("2")] {
            let env =
                [(RESOURCE, Some(name.as_os_str())), ("OCF_RESKEY_CRM_meta_clone_max", clone)];
            let calls = [Call::Start, Call::Promote, Call::Stop, Call::Probe, Call::Promoted];
            let said = expect(&on, &what, &calls, &env, codes).unwrap();
            assert!(said.contains("is not a resource's name"), "{what}: {said}");
        }
    }
    // Nobody but a person forgets it altogether.
    for call in Call::ALL {
        let answer = on.call(call, &[(RESOURCE, None)]);
        assert_eq!((answer.code, answer.reason().contains(RESOURCE)), (2, true), "{answer:?}");
    }
}

/// The agent with this action in an environment of nothing but rubbish.
fn bare(on: &Rig, action: &OsStr) -> Command {
    let mut command = Command::new(&on.program);
    command.arg(action).env_clear().stdin(Stdio::null());
    for name in ["OCF_RESKEY_pgport", "HA_LOGFILE", "OCF_RESKEY_CRM_meta_interval"] {
        command.env(name, OsStr::from_bytes(b"\xff\n\x1b"));
    }
    command
}

#[test]
fn an_action_that_does_not_exist_is_unimplemented_whatever_it_is_called() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-actions");
    let before = on.snapshot();
    let words: [OsString; 7] = [
        "".into(),
        "Start".into(),
        "start\n".into(),
        "migrate_to".into(),
        bytes(b"start\xff"),
        "x".repeat(100_000).into(),
        "../stop".into(),
    ];
    for word in &words {
        let mut command = bare(&on, word);
        let answer = command.output().unwrap();
        assert_eq!(answer.status.code(), Some(3), "{:.40}", word.display());
        let said = String::from_utf8(answer.stderr).unwrap();
        assert!(said.contains("it knows start, stop") && said.len() < 1500, "{said}");
        assert_eq!(said.lines().count(), said.split_terminator('\n').count(), "{said:?}");
    }
    let answer = bare(&on, OsStr::new("migrate_to")).args(["n2", "--now"]).output().unwrap();
    assert_eq!(answer.status.code(), Some(3), "whatever follows it");
    for (word, expected) in [("meta-data", "<resource-agent"), ("usage", "usage: pgtwin start|")] {
        let answer = run(word, bare(&on, OsStr::new(word)));
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
        assert!(answer.stdout.contains(expected), "{}", answer.stdout);
    }
    assert_eq!(before, on.snapshot());
}

#[test]
fn a_reader_that_has_gone_away_is_no_reason_to_fail() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-reader");
    // Half of the meta-data would be taken for the whole: it fails, and says nothing more.
    for (word, expected) in [("meta-data", 1), ("usage", 0), ("dance", 3)] {
        let mut command = bare(&on, OsStr::new(word));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(expected), "{word}: {said}");
        assert!(!said.contains("panicked"), "{word}: {said}");
    }
}
