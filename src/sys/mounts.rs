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

/// A mount point of /etc/fstab that this path lies on, and that is not mounted. The root is always
/// mounted.
pub fn missing_below(path: &Path) -> Result<Option<PathBuf>, String> {
    let fstab = Path::new("/etc/fstab");
    let text = match read_untrusted_bytes(fstab, LARGEST) {
        Ok(text) => text,
        Err(FileError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(super::chain(&error)),
    };
    let mounted = mount_points().map_err(|error| super::chain(&error))?;
    let wanted = text.split(|byte| *byte == b'\n').filter_map(of_fstab);
    Ok(wanted.filter(|point| path.starts_with(point)).find(|point| !mounted.contains(point)))
}

/// The second field of a line, see fstab(5).
fn of_fstab(line: &[u8]) -> Option<PathBuf> {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let first = fields.next()?;
    if first.starts_with(b"#") {
        return None;
    }
    let point = PathBuf::from(OsString::from_vec(unescaped(fields.next()?)));
    (point.is_absolute() && point != Path::new("/")).then_some(point)
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
    fn a_line_of_fstab_names_its_mount_point() {
        for (line, expected) in [
            ("/dev/sdb1 /srv/pg ext4 defaults 0 2", Some("/srv/pg")),
            (
                r"UUID=1\t/srv/my\040data xfs noatime 0 0".replace(r"\t", "\t").as_str(),
                Some("/srv/my data"),
            ),
            ("# /dev/sdb1 /srv/pg ext4", None),
            ("/dev/sda1 / ext4 defaults 0 1", None),
            ("/dev/sda2 none swap sw 0 0", None),
            ("", None),
            ("/dev/sdb1", None),
        ] {
            assert_eq!(of_fstab(line.as_bytes()), expected.map(PathBuf::from), "{line}");
        }
    }

    #[test]
    fn the_root_and_proc_are_mounted_here() {
        let points = mount_points().unwrap();
        assert!(points.contains(&"/".into()) && points.contains(&"/proc".into()), "{points:?}");
    }
}
