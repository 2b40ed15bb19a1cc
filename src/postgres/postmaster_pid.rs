//! The lock file of a running instance, `postmaster.pid`. Floor 0.
//!
//! Its owner is the database's user, so it is a claim, not a proof: nobody is signalled because
//! this file says so. Source: `src/include/utils/pidfile.h` of PostgreSQL.

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostmasterPid {
    /// The process: a postmaster, or a single-user backend.
    pub pid: u32,
    /// Whether it is a single-user backend (its number is written with a minus sign).
    pub single_user: bool,
    /// The data directory.
    pub data_dir: String,
    /// Start of the process, in seconds since 1970.
    pub start_time: i64,
    /// The port.
    pub port: u16,
    /// Directory of the first socket; `None` when there is none, or not yet.
    pub socket_dir: Option<String>,
    /// The first address it listens on; `None` when there is none, or not yet.
    pub listen_addr: Option<String>,
    /// Key and identifier of its shared memory; `None` before it has any.
    pub shmem: Option<(u64, u64)>,
    /// What it is doing.
    pub status: PostmasterStatus,
}

/// What a postmaster says that it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostmasterStatus {
    /// It has not said anything yet.
    NotYet,
    /// It is starting, or recovering without accepting sessions.
    Starting,
    /// It is shutting down.
    Stopping,
    /// It accepts sessions.
    Ready,
    /// It is a standby that does not accept sessions.
    Standby,
    /// Words this version of pgtwin does not know.
    Other(String),
}

/// Why the text is not a lock file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of postmaster.pid is not {expected}")]
pub struct PostmasterPidError {
    /// Counted from 1.
    pub line: usize,
    /// What should be there.
    pub expected: &'static str,
}

impl PostmasterPid {
    /// Reads the file. The first five lines are written at once; the others may be missing while
    /// the server starts.
    pub fn parse(text: &str) -> Result<Self, PostmasterPidError> {
        let lines: Vec<&str> = text.lines().collect();
        let line = |number: usize| lines.get(number.saturating_sub(1)).copied().unwrap_or_default();
        let bad = |line, expected| PostmasterPidError { line, expected };
        let pid = line(1).trim();
        let single_user = pid.starts_with('-');
        let digits = pid.strip_prefix('-').unwrap_or(pid);
        let only_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let pid = Some(digits)
            .filter(|_| only_digits)
            .and_then(|digits| digits.parse::<u32>().ok())
            .filter(|pid| (1..=i32::MAX.unsigned_abs()).contains(pid))
            .ok_or_else(|| bad(1, "a process number"))?;
        let data_dir = line(2).to_owned();
        if !data_dir.starts_with('/') {
            return Err(bad(2, "a directory"));
        }
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let shmem = match line(7).trim() {
            "" => None,
            text => {
                let mut parts = text.split_whitespace().map(str::parse::<u64>);
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(Ok(key)), Some(Ok(id)), None) => Some((key, id)),
                    _ => return Err(bad(7, "the key of a shared memory segment")),
                }
            }
        };
        Ok(Self {
            pid,
            single_user,
            data_dir,
            start_time: line(3).trim().parse().map_err(|_| bad(3, "a time"))?,
            port: line(4).trim().parse().map_err(|_| bad(4, "a port"))?,
            socket_dir: some(line(5)),
            listen_addr: some(line(6)),
            shmem,
            status: match line(8).trim() {
                "" => PostmasterStatus::NotYet,
                "starting" => PostmasterStatus::Starting,
                "stopping" => PostmasterStatus::Stopping,
                "ready" => PostmasterStatus::Ready,
                "standby" => PostmasterStatus::Standby,
                other => PostmasterStatus::Other(other.chars().take(40).collect()),
            },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn running_instances_of_every_version_are_read() {
        for text in [
            include_str!("../../tests/fixtures/postgres/13/postmaster.pid"),
            include_str!("../../tests/fixtures/postgres/15/postmaster.pid"),
            include_str!("../../tests/fixtures/postgres/17/postmaster.pid"),
            include_str!("../../tests/fixtures/postgres/18/postmaster.pid"),
        ] {
            let file = PostmasterPid::parse(text).unwrap();
            assert!(file.pid > 1 && !file.single_user && file.start_time > 1_700_000_000);
            assert_eq!((file.data_dir.as_str(), file.port), ("/tmp/pg/a", 54311));
            assert_eq!(file.socket_dir.as_deref(), Some("/tmp/pg"));
            assert_eq!(file.listen_addr, None);
            assert!(file.shmem.is_some());
            assert_eq!(file.status, PostmasterStatus::Ready);
        }
    }

    #[test]
    fn every_status_and_every_stage_of_the_start_is_read() {
        let head = "12\n/data\n1795176082\n5432\n/run\n";
        for (tail, listen, shmem, status) in [
            ("", None, None, PostmasterStatus::NotYet),
            ("*\n", Some("*"), None, PostmasterStatus::NotYet),
            ("*\n  10  20\n", Some("*"), Some((10, 20)), PostmasterStatus::NotYet),
            ("\n 10 20\nstarting\n", None, Some((10, 20)), PostmasterStatus::Starting),
            ("\n10 20\nstopping\n", None, Some((10, 20)), PostmasterStatus::Stopping),
            ("::\n10 20\nstandby \n", Some("::"), Some((10, 20)), PostmasterStatus::Standby),
            ("\n\nready   \n", None, None, PostmasterStatus::Ready),
            ("\n\nodd\n", None, None, PostmasterStatus::Other("odd".into())),
        ] {
            let file = PostmasterPid::parse(&format!("{head}{tail}")).unwrap();
            assert_eq!(file.listen_addr.as_deref(), listen, "{tail:?}");
            assert_eq!((file.shmem, file.status), (shmem, status), "{tail:?}");
        }
    }

    #[test]
    fn a_single_user_backend_has_a_negative_number() {
        let file = PostmasterPid::parse("-77\n/data\n1795176082\n5432\n\n").unwrap();
        assert_eq!((file.pid, file.single_user, file.socket_dir), (77, true, None));
    }

    #[test]
    fn what_is_not_a_lock_file_is_refused() {
        for (text, line) in [
            ("", 1),
            ("0\n/d\n1\n1\n", 1),
            ("-\n/d\n1\n1\n", 1),
            ("--1\n/d\n1\n1\n", 1),
            ("+1\n/d\n1\n1\n", 1),
            ("12x\n/d\n1\n1\n", 1),
            ("4294967295\n/d\n1\n1\n", 1),
            ("12\n", 2),
            ("12\nrelative\n1\n1\n", 2),
            ("12\n/d\n", 3),
            ("12\n/d\nx\n1\n", 3),
            ("12\n/d\n1\n", 4),
            ("12\n/d\n1\n65536\n", 4),
            ("12\n/d\n1\n1\n\n\nx\n", 7),
            ("12\n/d\n1\n1\n\n\n1 2 3\n", 7),
        ] {
            let found = PostmasterPid::parse(text).map_err(|error| error.line);
            assert_eq!(found.map(|file| file.pid), Err(line), "{text:?}");
        }
    }
}
