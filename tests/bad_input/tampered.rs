//! Files that say where a recovery begins, how a server starts, and that one runs: somebody has put them there,
//! or a crash has left them. The data is not touched because of them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::account::NAME;
use crate::places::{TIMEOUT, own, put};
use crate::rig;
use crate::rig::call::{Call, value};
use crate::rig::{Rig, without_root};

/// A label as pg_basebackup writes it, of a checkpoint that is nowhere.
const LABEL: &str = "START WAL LOCATION: 7/7000028 (file 000000010000000700000070)\n\
                     CHECKPOINT LOCATION: 7/7000060\nBACKUP METHOD: streamed\nBACKUP FROM: primary\n\
                     START TIME: 2026-01-01 00:00:00 UTC\nLABEL: x\nSTART TIMELINE: 1\n";

fn start(on: &Rig, timeout: &'static str) -> (i32, String) {
    let answer = on.call(Call::Start, &[(TIMEOUT, value(timeout))]);
    (answer.code, answer.stderr)
}

#[test]
fn a_planted_label_or_recovery_signal_is_harmless_or_refused() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-tampered");
    let data = on.pgdata();
    // It is a standby all the same, and goes on to be one.
    put(&data.join("recovery.signal"), "");
    own(&data.join("recovery.signal"));
    let (code, said) = start(&on, "120000");
    assert_eq!(code, 0, "{said}");
    assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "t");
    assert_eq!(on.call(Call::Stop, &[]).code, 0);
    fs::remove_file(data.join("recovery.signal")).unwrap();

    for (what, text) in [("rubbish", "rubbish\n"), ("of another place", LABEL)] {
        let label = data.join("backup_label");
        put(&label, text);
        own(&label);
        let control = fs::read(data.join("global/pg_control")).unwrap();
        let (code, said) = start(&on, "40000");
        // A standby waits for the WAL that the label names; nobody is promoted with that.
        assert_eq!(code, i32::from(what == "rubbish"), "{what}: {said}");
        if code == 0 {
            assert!(said.contains("replays WAL"), "{what}: {said}");
            let promote = on.call(Call::Promote, &[(TIMEOUT, value("40000"))]);
            assert_eq!(promote.code, 1, "{what}: {}", promote.stderr);
        }
        assert_eq!(fs::read(data.join("global/pg_control")).unwrap(), control, "{what}");
        assert_eq!(on.call(Call::Stop, &[]).code, 0, "{what}");
        fs::remove_file(&label).unwrap();
    }
    let (code, said) = start(&on, "120000");
    assert_eq!(code, 0, "mended: {said}");
    assert_eq!(on.call(Call::Stop, &[]).code, 0);
}

struct Bystander(Child);

impl Bystander {
    fn new(of_the_user: bool) -> Self {
        let mut command = if of_the_user {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", NAME, "--regid", NAME, "--init-groups", "--", "/bin/sleep"]);
            command
        } else {
            Command::new("/bin/sleep")
        };
        Self(command.arg("600").current_dir("/").stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn claim(on: &Rig, pid: u32) {
    let path = on.pgdata().join("postmaster.pid");
    let (data, home, port) = (on.pgdata(), on.home.path(), on.port);
    let text = format!(
        "{pid}\n{}\n1\n{port}\n{}\n\n       1         1\nready   \n",
        data.display(),
        home.display()
    );
    put(Path::new(&path), text);
    own(&path);
}

/// After a crash the number in the lock file may be somebody else's: root's, or one of the postgres user's.
#[test]
fn a_stale_lock_file_whose_number_is_another_process_by_now_keeps_no_server_from_starting() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-stale");
    for of_the_user in [false, true] {
        let mut other = Bystander::new(of_the_user);
        claim(&on, other.0.id());
        assert_eq!(on.call(Call::Probe, &[]).code, 7);
        let (code, said) = start(&on, "120000");
        assert_eq!(code, 0, "of the user: {of_the_user}: {said}");
        assert_eq!(on.call(Call::Unpromoted, &[]).code, 0);
        assert_eq!(on.call(Call::Stop, &[]).code, 0);
        assert_eq!(other.0.try_wait().unwrap(), None, "it was ended");
    }
}
