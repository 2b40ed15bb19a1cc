//! Where file systems are mounted, as the kernel says. Floor 2.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use super::files::{FileError, read_untrusted_bytes};

const LARGEST: u64 = 64 << 20;

/// All mount points that this process sees; bind mounts too, which a device number does not show.
pub fn mount_points() -> Result<Vec<PathBuf>, FileError> {
    let text = read_untrusted_bytes(Path::new("/proc/self/mountinfo"), LARGEST)?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(of_line).collect())
}

/// A file system that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its number: one of the whole file system, where `stat` has another for each subvolume.
    pub device: u64,
    /// Its type, as the kernel calls it.
    pub kind: String,
    /// Where it is mounted.
    pub point: PathBuf,
}

/// The file systems that this process sees.
#[derive(Clone, Debug)]
pub struct Mounts(Vec<FileSystem>);

impl Mounts {
    /// Reads them.
    pub fn read() -> Result<Self, FileError> {
        let text = read_untrusted_bytes(Path::new("/proc/self/mountinfo"), LARGEST)?;
        Ok(Self(text.split(|byte| *byte == b'\n').filter_map(file_system).collect()))
    }

    /// The one that a real path lies on, or would.
    pub fn holding(&self, path: &Path) -> Option<&FileSystem> {
        let on_way = self.0.iter().filter(|one| path.starts_with(&one.point));
        // Of two at one place the later one covers the other.
        on_way.max_by_key(|one| one.point.components().count())
    }

    /// A mount point below a real path.
    pub fn below(&self, path: &Path) -> Option<&Path> {
        let inside = |one: &&FileSystem| one.point != path && one.point.starts_with(path);
        self.0.iter().find(inside).map(|one| one.point.as_path())
    }

    /// Whether something is mounted just there.
    pub fn is_point(&self, path: &Path) -> bool {
        self.0.iter().any(|one| one.point == path)
    }
}

/// A line of mountinfo, see proc(5): the type stands behind a lone hyphen.
fn file_system(line: &[u8]) -> Option<FileSystem> {
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let point = of_line(line)?;
    let number = text(line.split(|byte| *byte == b' ').nth(2)?);
    let (major, minor) = number.split_once(':')?;
    let device = nix::sys::stat::makedev(major.parse().ok()?, minor.parse().ok()?);
    let mut rest = line.split(|byte| *byte == b' ').skip_while(|field| *field != b"-");
    Some(FileSystem { device, kind: text(rest.nth(1)?), point })
}

/// What is to be mounted where one of these paths leads, and is not: in words, for people. `named`: a
/// mount point that the owner named. `data`: there is a database, so that nothing says that a line with
/// `noauto`, which is mounted by somebody's hand if at all, is about it.
pub fn missing(
    paths: &[PathBuf],
    named: Option<&Path>,
    data: bool,
) -> Result<Option<String>, String> {
    let fstab = match read_untrusted_bytes(Path::new("/etc/fstab"), LARGEST) {
        Ok(text) => text,
        Err(FileError::Missing { .. }) => Vec::new(),
        Err(error) => return Err(super::chain(&error)),
    };
    let mounted = mount_points().map_err(|error| super::chain(&error))?;
    if let Some(point) = named.filter(|point| !mounted.contains(&resolved(point))) {
        return Ok(Some(format!("pgdata_mount={}", point.display())));
    }
    let paths: Vec<PathBuf> = paths.iter().map(|path| resolved(path)).collect();
    let of_fstab = not_mounted(&fstab, &mounted, &paths, data);
    Ok(of_fstab.map(|point| format!("/etc/fstab has {}", point.display())))
}

/// The first mount point of fstab that one of the paths lies on and that is not mounted. The root is
/// always mounted.
fn not_mounted(
    fstab: &[u8],
    mounted: &[PathBuf],
    paths: &[PathBuf],
    data: bool,
) -> Option<PathBuf> {
    fstab
        .split(|byte| *byte == b'\n')
        .filter_map(of_fstab)
        .filter(|line| line.auto || !data)
        .map(|line| resolved(&line.point))
        .filter(|point| point != Path::new("/"))
        .filter(|point| paths.iter().any(|path| path.starts_with(point)))
        .find(|point| !mounted.contains(point))
}

/// Where a path leads, symbolic links followed, as far as there is something; the rest as it stands.
fn resolved(path: &Path) -> PathBuf {
    const LINKS: u32 = 40;
    let mut real = PathBuf::from("/");
    let mut rest: Vec<OsString> = parts(path);
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&part);
        match fs::read_link(&next) {
            Ok(target) if links < LINKS => {
                links += 1;
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                rest.extend(parts(&target));
            }
            Ok(_) | Err(_) => real = next,
        }
    }
    real
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let wanted = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().filter(wanted).map(|part| part.as_os_str().to_owned()).rev().collect()
}

/// A line of fstab that mounts something.
#[derive(Debug, PartialEq)]
pub struct Line {
    /// Where.
    pub point: PathBuf,
    /// It is mounted at boot.
    pub auto: bool,
}

/// See fstab(5). What is mounted there (a device, a label, another directory) does not matter.
pub fn of_fstab(line: &[u8]) -> Option<Line> {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    if fields.next()?.starts_with(b"#") {
        return None;
    }
    let point = PathBuf::from(OsString::from_vec(unescaped(fields.next()?)));
    if !point.is_absolute() || matches!(fields.next(), Some(b"swap" | b"ignore")) {
        return None;
    }
    let mut options = fields.next().unwrap_or_default().split(|byte| *byte == b',');
    Some(Line { point, auto: options.all(|option| option != b"noauto") })
}

/// The fifth field of a line, see proc(5).
pub fn of_line(line: &[u8]) -> Option<PathBuf> {
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
    fn a_path_lies_on_the_innermost_file_system_and_the_last_at_one_place() {
        let lines = [
            "21 1 254:0 / / rw - ext4 /dev/vda rw",
            "36 21 0:75 /@pg /srv/pg rw,relatime shared:1 - btrfs /dev/sdb rw,subvol=/@pg",
            "37 21 0:75 /@logs /srv/pg10 rw - btrfs /dev/sdb rw",
            "40 36 0:80 / /srv/pg rw - tmpfs none rw",
            "odd",
        ];
        let mounts = Mounts(lines.iter().filter_map(|line| file_system(line.as_bytes())).collect());
        for (path, kind, device) in [
            ("/srv/pg/data", "tmpfs", (0, 80)),
            ("/srv/pg10", "btrfs", (0, 75)),
            ("/srv/pg1", "ext4", (254, 0)),
        ] {
            let found = mounts.holding(Path::new(path)).unwrap();
            let device = nix::sys::stat::makedev(device.0, device.1);
            assert_eq!((found.kind.as_str(), found.device), (kind, device), "{path}");
        }
        assert_eq!(mounts.below(Path::new("/srv")), Some(Path::new("/srv/pg")));
        assert_eq!(mounts.below(Path::new("/srv/pg")), None);
        assert!(mounts.is_point(Path::new("/srv/pg10")) && !mounts.is_point(Path::new("/srv")));
    }

    #[test]
    fn a_line_of_fstab_names_its_mount_point_and_whether_it_is_mounted_at_boot() {
        for (line, expected) in [
            ("/dev/sdb1 /srv/pg ext4 defaults 0 2", Some(("/srv/pg", true))),
            ("UUID=1\t/srv/my\\040data xfs noatime 0 0", Some(("/srv/my data", true))),
            ("LABEL=pg\\040data /srv/pg ext4 noatime,nofail 0 2", Some(("/srv/pg", true))),
            ("/srv/all/pg /srv/pg none bind 0 0", Some(("/srv/pg", true))),
            ("san:/pg /srv/pg nfs4 noauto,x-systemd.automount", Some(("/srv/pg", false))),
            ("/dev/sdb1 /srv/pg ext4 xnoauto", Some(("/srv/pg", true))),
            ("/dev/sdb1 /srv/pg", Some(("/srv/pg", true))),
            ("/dev/sda1 / ext4 defaults 0 1", Some(("/", true))),
            ("# /dev/sdb1 /srv/pg ext4", None),
            ("/dev/sda2 none swap sw 0 0", None),
            ("/swapfile /swap swap defaults 0 0", None),
            ("/dev/sdb1 /srv/pg ignore defaults 0 0", None),
            ("", None),
            ("/dev/sdb1", None),
        ] {
            let expected = expected.map(|(point, auto)| Line { point: point.into(), auto });
            assert_eq!(of_fstab(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_mount_that_is_not_there_is_missed_only_where_the_path_lies_on_it() {
        let fstab = "/dev/a /nowhere/pg ext4 defaults 0 2\n\
                     /dev/b /nowhere/hand ext4 noauto 0 2\n\
                     /dev/c / ext4 defaults 0 1\n";
        let none: &[&str] = &[];
        for (paths, mounted, data, expected) in [
            (&["/nowhere/pg/17/main"][..], none, true, Some("/nowhere/pg")),
            (&["/nowhere/pg"], none, false, Some("/nowhere/pg")),
            (&["/nowhere/pg/17/main"], &["/nowhere/pg"], true, None),
            (&["/nowhere/pg10"], none, false, None),
            (&["/nowhere"], none, false, None),
            (&["/nowhere/data", "/nowhere/pg/wal"], none, true, Some("/nowhere/pg")),
            (&["/nowhere/hand/data"], none, false, Some("/nowhere/hand")),
            (&["/nowhere/hand/data"], none, true, None),
        ] {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            let mounted: Vec<PathBuf> = mounted.iter().map(PathBuf::from).collect();
            let missed = not_mounted(fstab.as_bytes(), &mounted, &paths, data);
            assert_eq!(missed, expected.map(PathBuf::from), "{paths:?} {mounted:?} {data}");
        }
    }

    #[test]
    fn a_path_leads_where_its_links_lead_also_where_nothing_is() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        symlink("mnt/pg", top.join("data")).unwrap();
        symlink(top.join("elsewhere"), top.join("away")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        for (path, expected) in [
            ("data/17", "mnt/pg/17"),
            ("away/x", "elsewhere/x"),
            ("a/./b/../c", "a/c"),
            ("loop", "loop"),
        ] {
            assert_eq!(resolved(&top.join(path)), top.join(expected), "{path}");
        }
    }

    #[test]
    fn the_root_and_proc_are_mounted_here() {
        let points = mount_points().unwrap();
        assert!(points.contains(&"/".into()) && points.contains(&"/proc".into()), "{points:?}");
    }
}
