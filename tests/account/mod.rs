//! An ordinary user of the tests' own, created by root when it is missing, and kept.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use pgtwin::sys::privilege::User;
use tempfile::TempDir;

/// Its name.
pub const NAME: &str = "pgtwin-test";
/// Its second group, as Debian's postgres has ssl-cert.
pub const EXTRA: &str = "pgtwin-extra";

pub fn is_root() -> bool {
    nix::unistd::getuid().is_root()
}

pub fn test_user() -> User {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        let quiet = |program: &str, args: &[&str]| {
            let mut command = Command::new(program);
            command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().unwrap_or_else(|e| panic!("{program}: {e}"));
        };
        // Another test process may be doing the same at this moment.
        let start = Instant::now();
        while !User::named(NAME).is_ok_and(|user| user.groups.len() == 2) {
            assert!(start.elapsed() < Duration::from_secs(30), "cannot create user {NAME}");
            quiet("groupadd", &["--system", EXTRA]);
            quiet("useradd", &["--system", "--user-group", "--shell", "/bin/sh", NAME]);
            quiet("usermod", &["--append", "--groups", EXTRA, NAME]);
            thread::sleep(Duration::from_millis(50));
        }
    });
    User::named(NAME).unwrap()
}

/// A temporary directory of that user's, closed to others.
pub fn home_of(user: &User) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    chown(dir.path(), Some(user.uid), Some(user.gid)).unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    dir
}
