//! A library that the lab has loaded into every program of a node, and what it is told there: `preload.c`. It is
//! compiled on this machine, by the compiler that links the lab itself.

use std::fs;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::error::{LabError, Result};
use crate::run::Run;

const SOURCE: &str = include_str!("preload.c");
/// Where it is told what to do: four numbers of 64 bits, and the names of actions.
const CONTROL: &str = "/var/lib/lab/control";

/// What the programs of a node meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meets {
    /// A clock that is so many seconds ahead, or behind.
    Clock(i64),
    /// Each read of a page of WAL takes so much longer.
    SlowWal(Duration),
    /// The next agent with one of these actions is killed right before its act of this number, counted from 1.
    Kill {
        /// Names of actions.
        actions: &'static [&'static str],
        /// Which act: a sync, a rename, a removal, a signal, the start of a program.
        act: u32,
    },
    /// Nobody is killed any more.
    NoKill,
}

impl Cluster {
    /// Has it loaded from now on, by what is started from now on, also after the next boot.
    pub fn preload(&self, node: &str) -> Result<()> {
        let library = self.shared_dir().join("preload.so");
        if !library.exists() {
            // Beside it: nodes that are made at the same time must not load half of it.
            let made = self.shared_dir().join(format!("preload-{node}.so"));
            Run::new("cc")
                .args(["-x", "c", "-", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
                .args([&made])
                .stdin(SOURCE)
                .check()?;
            fs::rename(&made, &library).map_err(LabError::io("share preload.so"))?;
        }
        let script = format!(
            "mkdir -p /var/lib/lab; head -c 64 /dev/zero > {CONTROL}; chmod 644 {CONTROL}; \
             echo /lab/preload.so > /etc/ld.so.preload"
        );
        self.check(node, &["sh", "-ec", &script]).map(drop)
    }

    /// Tells it. What runs already is told at once.
    pub fn meets(&self, node: &str, what: Meets) -> Result<()> {
        let mut bytes = Vec::new();
        let (place, number) = match what {
            Meets::Clock(seconds) => (0, seconds),
            Meets::SlowWal(pause) => (8, i64::try_from(pause.as_micros()).unwrap_or(i64::MAX)),
            Meets::Kill { actions, act } => {
                bytes = format!(" {} ", actions.join(" ")).into_bytes();
                (16, i64::from(act))
            }
            Meets::NoKill => (16, 0),
        };
        if !bytes.is_empty() {
            if bytes.len() >= 32 {
                return Err(LabError::plain("the names of these actions are too long"));
            }
            bytes.resize(32, 0);
            self.write_control(node, 32, &bytes)?;
            self.write_control(node, 24, &[0; 8])?;
        }
        self.write_control(node, place, &number.to_le_bytes())
    }

    /// Whether an agent was killed since that was asked for.
    pub fn has_killed(&self, node: &str) -> Result<bool> {
        let read = ["od", "-A", "n", "-t", "d8", "-j", "24", "-N", "8", CONTROL];
        Ok(self.check(node, &read)?.text().trim() == "1")
    }

    /// In place: it is mapped.
    fn write_control(&self, node: &str, at: u32, bytes: &[u8]) -> Result<()> {
        let to = format!("of={CONTROL}");
        let seek = format!("seek={at}");
        let write = ["dd", &to, "bs=1", &seek, "conv=notrunc", "status=none"];
        self.command(node, &write).stdin(bytes).check().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_compiles_without_a_warning_and_has_the_layout_that_is_written() {
        let check = format!(
            "{SOURCE}\n#include <stddef.h>\n\
             _Static_assert(offsetof(struct control, microseconds) == 8, \"\");\n\
             _Static_assert(offsetof(struct control, act) == 16, \"\");\n\
             _Static_assert(offsetof(struct control, killed) == 24, \"\");\n\
             _Static_assert(offsetof(struct control, actions) == 32, \"\");\n\
             _Static_assert(sizeof(struct control) == 64, \"\");\n"
        );
        let out = std::env::temp_dir().join(format!("lab-preload-{}.so", std::process::id()));
        let run = Run::new("cc")
            .args(["-x", "c", "-", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
            .args([&out])
            .stdin(check)
            .check();
        let _ = fs::remove_file(&out);
        assert!(run.is_ok(), "{run:?}");
    }
}
