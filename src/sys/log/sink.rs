//! The places that a log line can go to. Each drops a line rather than wait or fail. Floor 2.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::fcntl::OFlag;

use super::line::Priority;

/// A syslog facility.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(u8);

impl Facility {
    /// By its usual name (`daemon`, `local0`, …); an unknown one counts as `daemon`.
    pub fn named(name: &str) -> Self {
        Self(match name.to_ascii_lowercase().as_str() {
            "user" => 1,
            "mail" => 2,
            "auth" | "security" => 4,
            "syslog" => 5,
            "lpr" => 6,
            "news" => 7,
            "uucp" => 8,
            "cron" => 9,
            "authpriv" => 10,
            "ftp" => 11,
            "local0" => 16,
            "local1" => 17,
            "local2" => 18,
            "local3" => 19,
            "local4" => 20,
            "local5" => 21,
            "local6" => 22,
            "local7" => 23,
            _ => 3,
        })
    }
}

/// The system's log socket.
#[derive(Debug)]
pub(super) struct Syslog {
    socket: UnixDatagram,
    facility: Facility,
}

impl Syslog {
    pub(super) fn open(facility: Facility) -> Option<Self> {
        Self::open_at(Path::new("/dev/log"), facility)
    }

    fn open_at(path: &Path, facility: Facility) -> Option<Self> {
        let socket = UnixDatagram::unbound().ok()?;
        // A daemon that does not read would block us for ever.
        socket.set_nonblocking(true).ok()?;
        socket.connect(path).ok()?;
        Some(Self { socket, facility })
    }

    pub(super) fn send(&self, priority: Priority, text: &str) {
        let number = u32::from(self.facility.0) * 8 + priority as u32;
        let stamp = super::now().of_syslog();
        let _ = self.socket.send(format!("<{number}>{stamp} {text}").as_bytes());
    }
}

/// A file that others write to as well.
#[derive(Debug)]
pub(super) struct LogFile(File);

impl LogFile {
    /// Opens it for appending, or creates it (0640). Anything but a regular file is left alone.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .custom_flags(flags.bits())
            .open(path)
            .ok()?;
        file.metadata().ok()?.is_file().then_some(Self(file))
    }

    pub(super) fn append(&self, line: &str) {
        // One write, so that lines of several processes do not mix.
        let _ = (&self.0).write(line.as_bytes());
    }
}

pub(super) fn to_stderr(line: &str) {
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reaches_the_socket_with_facility_and_severity() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let listener = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::open_at(&path, Facility::named("local3")).unwrap();
        syslog.send(Priority::Warning, "pgtwin(db)[7]: WARNING: x");
        let mut buffer = [0; 200];
        let count = listener.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..count]).unwrap();
        // <19 * 8 + 4>Mmm dd hh:mm:ss tag
        assert!(text.starts_with("<156>"), "{text}");
        assert_eq!(text.find("pgtwin"), Some("<156>Nov  5 11:00:00 ".len()), "{text}");
    }

    #[test]
    fn a_daemon_that_does_not_read_costs_lines_and_no_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let _listener = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::open_at(&path, Facility::named("daemon")).unwrap();
        for _ in 0..10_000 {
            syslog.send(Priority::Notice, "more than any queue holds");
        }
        assert!(Syslog::open_at(&dir.path().join("none"), Facility::named("daemon")).is_none());
    }

    #[test]
    fn a_facility_that_nobody_knows_is_daemon() {
        assert_eq!(Facility::named("DAEMON"), Facility(3));
        assert_eq!(Facility::named("local7"), Facility(23));
        assert_eq!(Facility::named("nonsense"), Facility(3));
    }

    #[test]
    fn only_a_regular_file_is_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "old\n").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [at("link"), at("fifo"), dir.path().into(), "/dev/null".into(), at("no/dir")] {
            assert!(LogFile::open(&path).is_none(), "{path:?}");
        }
        LogFile::open(&at("file")).unwrap().append("new\n");
        LogFile::open(&at("made")).unwrap().append("first\n");
        assert_eq!(std::fs::read_to_string(at("file")).unwrap(), "old\nnew\n");
        assert_eq!(std::fs::read_to_string(at("made")).unwrap(), "first\n");
    }
}
