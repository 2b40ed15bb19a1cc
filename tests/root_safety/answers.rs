//! What a server on the socket may answer.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use crate::fake::Fake;
use crate::rig;
use crate::rig::call::{Answer, Call, changed, value};
use crate::rig::{Rig, without_root};

const CALLS: [Call; 5] =
    [Call::Promoted, Call::Unpromoted, Call::Probe, Call::ReloadAgent, Call::ValidatePghba];

/// What the calls answer when the server gives no answer that counts.
const FAILED: [i32; 5] = [9, 1, 1, 0, 1];

fn asked(on: &Rig, what: &str, codes: [i32; 5]) -> BTreeMap<Call, Answer> {
    let before = on.snapshot();
    let answers = on.calls(&CALLS, &[("OCF_RESKEY_CRM_meta_timeout", value("10000"))]);
    assert_eq!(changed(&before, &on.snapshot()), [""; 0], "{what}");
    for (call, code) in CALLS.into_iter().zip(codes) {
        let answer = &answers[&call];
        assert_eq!(answer.code, code, "{what}, {call:?}: {}", answer.stderr);
        assert!(!answer.reason().starts_with("all is well"), "{what}: {}", answer.stderr);
    }
    answers
}

#[test]
fn no_answer_of_a_server_does_more_than_fail_the_question() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-answers");
    for mode in [
        "closes",
        "silent",
        "rubbish",
        "zeroes",
        "negative",
        "wants a password",
        "wants too much",
        "a giant greeting",
        "parameters without end",
        "rows without end",
        "empty rows without end",
        "a giant row",
        "notices without end",
        "drips",
        "a shouting error",
        "hostile values",
    ] {
        let mut fake = Fake::start(&on, mode, &[]);
        // Whole answers in the server's own protocol that make no sense: it lives.
        let codes = if mode == "hostile values" { [191, 190, 8, 0, 1] } else { FAILED };
        asked(&on, mode, codes);
        assert!(fake.is_alive(), "{mode}: only a stop ends it");
        let answer = on.call(Call::Stop, &[]);
        assert_eq!(answer.code, 0, "{mode}: {}", answer.stderr);
        assert!(fake.has_ended(), "{mode}: stop says that nothing runs");
    }
}

#[test]
fn a_socket_that_leads_to_another_users_server_gets_nothing() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-socket");
    let _fake = Fake::start(&on, "silent", &[]);
    let elsewhere = tempfile::tempdir().unwrap();
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = elsewhere.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    fs::remove_file(Fake::socket(&on)).unwrap();
    symlink(&path, Fake::socket(&on)).unwrap();
    let answers = asked(&on, "another's socket", FAILED);
    let said = &answers[&Call::Promoted].stderr;
    assert!(said.contains("belongs to uid 0, not to"), "{said}");
    listener.set_nonblocking(true).unwrap();
    let mut connections = 0;
    while let Ok((mut stream, _)) = listener.accept() {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"", "nothing is said to a stranger");
        connections += 1;
    }
    assert!(connections > 0);
}
