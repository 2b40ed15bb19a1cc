//! The text of a log line and of the exit reason: one line each, whatever is put into it. Floor 2.

use std::fmt::Write as _;
use std::io::{self, Write};

use nix::libc;
use tracing::Level;

/// The longest message, in bytes. Each is one datagram and one write.
pub(super) const MAX: usize = 3000;
/// Pacemaker shows so many bytes of an exit reason and cuts the rest off, in the middle of a
/// character if need be (`lib/services/services_linux.c`).
const REASON_MAX: usize = 128;
const REASON_PREFIX: &str = "ocf-exit-reason:";
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Syslog's severities, as far as they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Debug = 7,
}

impl Priority {
    pub(super) fn of(level: Level) -> Self {
        if level == Level::ERROR {
            Self::Error
        } else if level == Level::WARN {
            Self::Warning
        } else if level == Level::INFO {
            Self::Notice
        } else {
            Self::Debug
        }
    }

    /// What stands before the message, in the words of OCF agents.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
            Self::Debug => "DEBUG",
        }
    }
}

/// `pgtwin(RSC)[pid]`, or `pgtwin[pid]` without a resource.
pub(super) fn tag(instance: Option<&str>, pid: u32) -> String {
    match instance {
        Some(name) => format!("pgtwin({})[{pid}]", one_line(name, 80)),
        None => format!("pgtwin[{pid}]"),
    }
}

/// The text as one line of at most `max` bytes: whatever would end the line, move the cursor or
/// turn the reading direction is written as an escape, and a cut is marked with "...".
pub fn one_line(text: &str, max: usize) -> String {
    const CUT: &str = "...";
    let mut line = String::with_capacity(text.len().min(max));
    // The length up to which the mark of a cut still fits.
    let mut fits = 0;
    for c in text.trim_end().chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if disturbs(c) => {
                // Writing to a String does not fail.
                let _ = write!(line, "{}", c.escape_unicode());
            }
            c => line.push(c),
        }
        if line.len() > max {
            line.truncate(fits);
            if fits + CUT.len() <= max {
                line.push_str(CUT);
            }
            return line;
        }
        if line.len() + CUT.len() <= max {
            fits = line.len();
        }
    }
    line
}

fn disturbs(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The line by which Pacemaker learns why an action did not succeed. It takes the last one on
/// standard error, wherever the prefix stands, and shows 128 bytes: put the essence first.
pub fn exit_reason_line(reason: &str) -> String {
    format!("{REASON_PREFIX}{}\n", one_line(&no_reason(reason), REASON_MAX))
}

/// The text without what would be taken for an exit reason.
pub(super) fn no_reason(text: &str) -> String {
    text.replace(REASON_PREFIX, "ocf-exit-reason ")
}

/// Whether Pacemaker shows the whole of this reason.
pub fn fits_as_reason(reason: &str) -> bool {
    one_line(reason, usize::MAX).len() <= REASON_MAX
}

/// Writes the exit reason. To be called once, at the end.
pub fn write_exit_reason(to: &mut impl Write, reason: &str) -> io::Result<()> {
    to.write_all(exit_reason_line(reason).as_bytes())?;
    to.flush()
}

/// A moment in local time, as log files have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    month: usize,
    day: i32,
    hour: i32,
    minute: i32,
    second: i32,
}

impl Moment {
    /// This second of the epoch, in the time zone of the machine.
    pub(super) fn local(epoch: i64) -> Self {
        let time: libc::time_t = epoch;
        let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
        // SAFETY: localtime_r(3) reads one time_t and writes one tm, and keeps neither pointer. A
        // tm of zeroes is a valid value (numbers and a null pointer), so it is initialised even if
        // the function fails and leaves it alone. The variable TZ, which it reads, is changed
        // nowhere in this program.
        #[allow(unsafe_code)]
        let parts = unsafe {
            libc::localtime_r(&raw const time, parts.as_mut_ptr());
            parts.assume_init()
        };
        Self {
            month: usize::try_from(parts.tm_mon).unwrap_or_default(),
            day: parts.tm_mday,
            hour: parts.tm_hour,
            minute: parts.tm_min,
            second: parts.tm_sec,
        }
    }

    /// `Nov 05 11:00:00`, as in the cluster's log.
    pub(super) fn of_file(self) -> String {
        let Self { day, hour, minute, second, .. } = self;
        format!("{} {day:02} {hour:02}:{minute:02}:{second:02}", self.month())
    }

    /// `Nov  5 11:00:00`, as RFC 3164 wants it.
    pub(super) fn of_syslog(self) -> String {
        let Self { day, hour, minute, second, .. } = self;
        format!("{} {day:2} {hour:02}:{minute:02}:{second:02}", self.month())
    }

    fn month(self) -> &'static str {
        MONTHS.get(self.month).copied().unwrap_or("???")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_forge_a_second_line() {
        for (text, line) in [
            ("plain", "plain"),
            ("ends here\n", "ends here"),
            ("a\nNov 20 11:00:00 x: ERROR: b", "a\\nNov 20 11:00:00 x: ERROR: b"),
            ("a\r\tb", "a\\r\\tb"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("a\0b\u{7f}", "a\\u{0}b\\u{7f}"),
            ("a\u{85}b\u{2028}c\u{202e}d", "a\\u{85}b\\u{2028}c\\u{202e}d"),
            ("größer → ok", "größer → ok"),
        ] {
            assert_eq!(one_line(text, 100), line);
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_says_so() {
        assert_eq!(one_line("abcdefgh", 8), "abcdefgh");
        assert_eq!(one_line("abcdefghi", 8), "abcde...");
        assert_eq!(one_line("ääääää", 8), "ää...");
        assert_eq!(one_line("abcd\n\n\nx", 8), "abcd...");
        assert_eq!(one_line("abcdef", 2), "");
        for max in 0..40 {
            let line = one_line("ä\u{1b}→b\n".repeat(20).as_str(), max);
            assert!(line.len() <= max, "{max}: {line}");
        }
    }

    #[test]
    fn the_exit_reason_is_one_short_line_with_one_prefix() {
        assert_eq!(exit_reason_line("no ledger"), "ocf-exit-reason:no ledger\n");
        let nasty =
            format!("said: ocf-exit-reason:all is well\nocf-exit-reason:{}", "ö".repeat(99));
        let line = exit_reason_line(&nasty);
        assert_eq!(line.matches(REASON_PREFIX).count(), 1);
        assert_eq!(line.matches('\n').count(), 1);
        let reason = line.strip_prefix(REASON_PREFIX).unwrap().trim_end();
        assert!(reason.len() <= REASON_MAX && reason.ends_with("..."), "{reason}");
        let mut written = Vec::new();
        write_exit_reason(&mut written, "x").unwrap();
        assert_eq!(written, b"ocf-exit-reason:x\n");
        assert!(!no_reason(&nasty).contains(REASON_PREFIX));
        assert!(fits_as_reason(&"x".repeat(128)) && !fits_as_reason(&"\nx".repeat(64)));
    }

    #[test]
    fn the_tag_names_resource_and_process() {
        assert_eq!(tag(Some("pg-db:1"), 77), "pgtwin(pg-db:1)[77]");
        assert_eq!(tag(None, 77), "pgtwin[77]");
        assert_eq!(tag(Some("a\nb"), 77), "pgtwin(a\\nb)[77]");
    }

    #[test]
    fn moments_have_the_form_of_their_log() {
        let moment = Moment { month: 10, day: 5, hour: 1, minute: 2, second: 3 };
        assert_eq!(moment.of_file(), "Nov 05 01:02:03");
        assert_eq!(moment.of_syslog(), "Nov  5 01:02:03");
        let strange = Moment { month: 12, ..moment };
        assert!(strange.of_file().starts_with("???"));
    }

    #[test]
    fn local_time_is_what_date_says() {
        let mut date = std::process::Command::new("date");
        date.args(["-d", "@1700000000", "+%b %d %T"]).env("LC_ALL", "C");
        let text = date.output().unwrap().stdout;
        let expected = String::from_utf8(text).unwrap();
        assert_eq!(Moment::local(1_700_000_000).of_file(), expected.trim());
    }
}
