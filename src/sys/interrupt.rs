//! Ctrl-C and its like, while something is under way that must not be left behind. Floor 2.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// From here on SIGINT, SIGTERM and SIGHUP end nothing: they are asked for. Threads that are started
/// later keep to that; children of `exec` have a mask of their own.
pub struct Interrupt {
    signals: SignalFd,
}

impl Interrupt {
    /// Begins. To be called before any other thread is started that lives on.
    pub fn catch() -> io::Result<Self> {
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            mask.add(signal);
        }
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { signals })
    }

    /// Whether one came since this was asked last.
    pub fn came(&self) -> bool {
        let mut came = false;
        while let Ok(Some(_)) = self.signals.read_signal() {
            came = true;
        }
        came
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;

    #[test]
    fn what_would_end_the_process_is_heard_once_and_ends_nothing() {
        // Of this thread alone: others of the tests keep their mask.
        let interrupt = Interrupt::catch().unwrap();
        assert!(!interrupt.came());
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            raise(signal).unwrap();
            assert!(interrupt.came(), "{signal}");
            assert!(!interrupt.came(), "{signal}");
        }
        raise(Signal::SIGINT).unwrap();
        raise(Signal::SIGTERM).unwrap();
        assert!(interrupt.came() && !interrupt.came());
    }
}
