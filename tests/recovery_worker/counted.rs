//! An attempt that ends before it knows what is to be done is an attempt all the same.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pgtwin::client::recovery_file::RecoveryHome;
use pgtwin::client::recovery_log::RecoveryLogs;
use pgtwin::cluster::recovery::{Kept, Outcome};

use crate::account::is_root;

const RESOURCE: &str = "pgtwin-test-counted";

/// The files of this resource are none before and after.
struct Emptied;

impl Emptied {
    fn new() -> Self {
        for root in ["/var/lib/pgtwin", "/run/pgtwin", "/var/log/pgtwin"] {
            let _ = fs::remove_dir_all(Path::new(root).join(RESOURCE));
        }
        Self
    }
}

impl Drop for Emptied {
    fn drop(&mut self) {
        std::mem::forget(Self::new());
    }
}

#[test]
fn a_worker_that_cannot_ask_pacemaker_counts_its_attempt_and_leaves_word_of_it() {
    if !is_root() {
        return;
    }
    let _emptied = Emptied::new();
    let home =
        RecoveryHome::new("/var/lib/pgtwin", "/run/pgtwin", RESOURCE, &"n1".parse().unwrap());
    let logs = RecoveryLogs::new("/var/log/pgtwin", RESOURCE);
    for failed in 1..=2 {
        let order = home.give_order().unwrap();
        let out = Command::new(env!("CARGO_BIN_EXE_pgtwin"))
            .args(["recover", "--resource", RESOURCE, "--node", "n1", "--order", &order])
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains("was not brought back: Pacemaker could not be asked"), "{said}");
        let Kept::Read(attempts) = home.attempts() else { panic!("{:?}", home.attempts()) };
        assert_eq!(attempts.failed, failed);
        assert!(attempts.reason.contains("Pacemaker could not be asked"), "{attempts:?}");
        let Kept::Read(summary) = logs.last_summary() else { panic!("{:?}", logs.last_summary()) };
        assert_eq!((summary.attempt, summary.outcome), (failed, Outcome::Failed));
        assert_eq!(summary.failure, attempts.reason);
        assert_eq!(summary.next_command, attempts.next_command);
        let log = fs::read_to_string(&summary.log).unwrap();
        assert!(log.contains(&summary.failure), "{log}");
        assert!(attempts.next_command.contains(&summary.log), "{attempts:?}");
    }
    // Nobody who has no order has an attempt.
    let out = Command::new(env!("CARGO_BIN_EXE_pgtwin"))
        .args(["recover", "--resource", RESOURCE, "--node", "n1", "--order", "none"])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(matches!(home.attempts(), Kept::Read(attempts) if attempts.failed == 2));
}
