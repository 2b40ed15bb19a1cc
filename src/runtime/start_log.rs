//! The file that holds what a postmaster prints: its first words, and all of its log where the
//! configuration collects it nowhere else. It is kept short, whether logrotate looks after it or not.
//! Floor 2.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// How long the file may grow before its content is put aside: beyond what logrotate lets it.
pub const LARGEST: u64 = 128 << 20;

/// Puts the content aside, as `NAME.old`, once it is longer than `largest`. Whoever writes to it
/// goes on at its beginning, for it is opened for appending; a line that is written meanwhile may
/// be lost. Whether anything was put aside.
pub fn bound(path: &Path, largest: u64) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() && meta.len() > largest => {}
        Ok(_) => return Ok(false),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    }
    let open = |what: &mut OpenOptions| {
        what.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits()).open(path)
    };
    let old = old(path);
    match fs::remove_file(&old) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let mut aside = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&old)?;
    let copied = io::copy(&mut open(OpenOptions::new().read(true))?, &mut aside);
    // Shortened in any case: where the copy finds no room, that is why it has to be.
    open(OpenOptions::new().write(true))?.set_len(0)?;
    copied.map(|_| true)
}

fn old(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".old");
    name.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_log_that_nobody_collects_is_kept_short_under_its_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert!(!bound(&path, 10).unwrap());
        let mut writer = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        writer.write_all(b"0123456789").unwrap();
        assert!(!bound(&path, 10).unwrap());
        writer.write_all(b"!").unwrap();
        assert!(bound(&path, 10).unwrap());
        writer.write_all(b"next").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "next");
        assert_eq!(fs::read_to_string(dir.path().join("log.old")).unwrap(), "0123456789!");
        writer.write_all(b" and more").unwrap();
        assert!(bound(&path, 10).unwrap());
        assert_eq!(fs::read_to_string(dir.path().join("log.old")).unwrap(), "next and more");
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "precious").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(!bound(&link, 1).unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}
