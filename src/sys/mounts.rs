//! Where file systems are mounted, as the kernel says. Floor 2.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::files::{FileError, read_untrusted_bytes};

const LARGEST: u64 = 64 << 20;

/// All mount points that this process sees; bind mounts too, which a device number does not show.
pub fn mount_points() -> Result<Vec<PathBuf>, FileError> {
    let text = read_untrusted_bytes(Path::new("/proc/self/mountinfo"), LARGEST)?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(of_line).collect())
}

/// The fifth field of a line, see proc(5).
fn of_line(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    Some(PathBuf::from(OsString::from_vec(unescaped(field))))
}

/// Blank, tab, line feed and backslash stand there as three octal digits behind a backslash.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..3).filter(|_| byte == b'\\');
        let code = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(code) = code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            out.push(code);
            rest = behind.get(3..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = behind;
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_with_a_blank_and_a_backslash_is_read() {
        for (line, expected) in [
            ("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw", Some("/mnt2")),
            (r"36 35 98:0 / /srv/my\040data\134x rw - tmpfs none rw", Some(r"/srv/my data\x")),
            (r"36 35 98:0 / /a\04 rw - tmpfs none rw", Some(r"/a\04")),
            ("36 35 98:0", None),
            ("", None),
        ] {
            assert_eq!(of_line(line.as_bytes()), expected.map(PathBuf::from), "{line}");
        }
    }

    #[test]
    fn the_root_and_proc_are_mounted_here() {
        let points = mount_points().unwrap();
        assert!(points.contains(&"/".into()) && points.contains(&"/proc".into()), "{points:?}");
    }
}
