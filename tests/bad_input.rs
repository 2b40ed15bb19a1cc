//! Bad input, for every action of the real program on a real data directory: the exit code that the
//! action and role call for, a reason that says what to do, nothing changed on disk, no panic, and
//! an end before Pacemaker would kill it. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod account;
mod rig;

#[path = "bad_input/environment.rs"]
mod environment;
#[path = "bad_input/ledger.rs"]
mod ledger;
#[path = "bad_input/parameters.rs"]
mod parameters;
#[path = "bad_input/places.rs"]
mod places;
#[path = "bad_input/running.rs"]
mod running;
#[path = "bad_input/tampered.rs"]
mod tampered;

use rig::Rig;
use rig::call::{Call, Env, changed};

/// A fresh database, and the program as cargo built it.
fn rig(resource: &'static str) -> Rig {
    Rig::new(resource, env!("CARGO_BIN_EXE_pgtwin"))
}

/// What each kind of call has to answer.
#[derive(Clone, Copy)]
struct Codes {
    start: i32,
    validate: i32,
    promote: i32,
    demote: i32,
    monitor: i32,
    hba: i32,
}

impl Codes {
    /// Where nothing is wrong with the parameters and nothing runs.
    const STOPPED: Self = Self { start: 1, validate: 1, promote: 1, demote: 0, monitor: 7, hba: 1 };

    fn of(&self, call: Call) -> i32 {
        match call {
            Call::Start => self.start,
            Call::ValidateAll => self.validate,
            Call::Promote => self.promote,
            Call::Demote => self.demote,
            Call::Promoted | Call::Unpromoted => self.monitor,
            Call::ValidatePghba => self.hba,
            // Neither is ever made to fail by configuration, and nobody listens to the others.
            Call::Stop | Call::Notify | Call::ReloadAgent => 0,
            Call::Probe => 7,
        }
    }
}

/// Makes all of these calls; their codes, and that nothing has changed. What `start` said.
fn expect(on: &Rig, what: &str, calls: &[Call], env: Env<'_>, codes: Codes) -> Option<String> {
    let before = on.snapshot();
    let answers = on.calls(calls, env);
    for (&call, answer) in &answers {
        assert_eq!(answer.code, codes.of(call), "{what}, {call:?}: {}", answer.stderr);
    }
    assert_eq!(changed(&before, &on.snapshot()), [""; 0], "{what}: changed on disk");
    assert_eq!(on.processes(), [""; 0], "{what}: something was left running");
    answers.get(&Call::Start).map(|answer| answer.stderr.clone())
}
