//! What the startup process of an instance is doing while no session can ask. Floor 2.
//!
//! A standby that crashed as a primary with more than 64 subtransactions open does not open before
//! it has got more WAL. Its title says `recovering` all the time; only that it has stopped working
//! tells that it waits.

use std::fs;

/// How much a startup process has worked so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Its process.
    pub pid: i32,
    /// `S`: it sleeps, interruptibly.
    pub state: char,
    /// Processor time, in ticks.
    pub ticks: u64,
    /// How often it went to sleep or was put aside.
    pub switches: u64,
}

impl Activity {
    /// Of this process, if it is a startup process by its title, and has no child of its own that
    /// it waits for (a restore_command).
    pub fn of_startup(pid: i32) -> Option<Self> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
        let title = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        if !is_startup(&String::from_utf8_lossy(&title)) {
            return None;
        }
        let children = read(&format!("task/{pid}/children")).unwrap_or_default();
        if !children.trim().is_empty() {
            return None;
        }
        let (state, ticks) = of_stat(&read("stat")?)?;
        Some(Self { pid, state, ticks, switches: of_status(&read("status")?)? })
    }

    /// Whether it only slept between `earlier` and this. It may have woken up to look once: it
    /// tries again every `wal_retrieve_retry_interval`.
    pub fn idle_since(&self, earlier: &Self) -> bool {
        const WAKE_UP: u64 = 3;
        (self.pid, self.state, earlier.state) == (earlier.pid, 'S', 'S')
            && self.ticks == earlier.ticks
            && self.switches.saturating_sub(earlier.switches) <= WAKE_UP
    }
}

/// `postgres: startup recovering 000000010000000000000003`, perhaps with the cluster's name before.
pub fn is_startup(title: &str) -> bool {
    let mut words = title.split_whitespace();
    words.next() == Some("postgres:")
        && match words.next() {
            Some("startup") => true,
            Some(cluster) if cluster.ends_with(':') => words.next() == Some("startup"),
            Some(_) | None => false,
        }
}

/// Fields 3, 14 and 15 of proc_pid_stat(5); the name in parentheses may hold anything.
pub fn of_stat(text: &str) -> Option<(char, u64)> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let user: u64 = fields.nth(10)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((state, user.saturating_add(system)))
}

/// How often it was switched from and to, of proc_pid_status(5).
pub fn of_status(text: &str) -> Option<u64> {
    let mut sum: u64 = 0;
    let mut found = false;
    for line in text.lines() {
        if let Some((name, number)) = line.split_once(':')
            && name.ends_with("voluntary_ctxt_switches")
        {
            sum = sum.saturating_add(number.trim().parse().ok()?);
            found = true;
        }
    }
    found.then_some(sum)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn only_a_startup_process_has_its_title() {
        for (title, expected) in [
            ("postgres: startup recovering 000000010000000000000003", true),
            ("postgres: startup   ", true),
            ("postgres: main: startup waiting for 000000010000000000000003", true),
            ("postgres: checkpointer ", false),
            ("postgres: joe startup [local] idle", false),
            ("/usr/lib/postgresql/15/bin/postgres\0-D\0startup", false),
            ("", false),
        ] {
            assert_eq!(is_startup(title), expected, "{title}");
        }
    }

    #[test]
    fn work_is_read_from_the_kernels_own_words() {
        let stat = "12 (a) S) S 7 3 3 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 1 0 4711";
        assert_eq!(of_stat(stat), Some(('S', 56)));
        assert_eq!(of_stat("12 (postgres) S 7"), None);
        let status =
            "Name:\tpostgres\nvoluntary_ctxt_switches:\t10\nnonvoluntary_ctxt_switches:\t2\n";
        assert_eq!(of_status(status), Some(12));
        assert_eq!(of_status("Name:\tpostgres\n"), None);
    }

    #[test]
    fn it_waits_when_it_slept_all_the_time() {
        let then = Activity { pid: 9, state: 'S', ticks: 5, switches: 100 };
        for (now, idle) in [
            (then, true),
            (Activity { switches: 102, ..then }, true),
            (Activity { switches: 150, ..then }, false),
            (Activity { ticks: 6, ..then }, false),
            (Activity { state: 'R', ..then }, false),
            (Activity { state: 'D', ..then }, false),
            (Activity { pid: 10, ..then }, false),
        ] {
            assert_eq!(now.idle_since(&then), idle, "{now:?}");
        }
        assert!(!then.idle_since(&Activity { state: 'D', ..then }));
    }
}
