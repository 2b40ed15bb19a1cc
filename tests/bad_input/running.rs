//! A parameter that becomes malformed while PostgreSQL runs.

use crate::rig;
use crate::rig::call::{Call, Env, value};
use crate::rig::without_root;

#[test]
fn a_malformed_parameter_degrades_what_runs_and_stops_nothing_but_when_asked_to() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-running");
    assert_eq!(on.call(Call::Start, &[]).code, 0);
    let bad: Env<'_> = &[("OCF_RESKEY_rep_mode", value("synch"))];
    let named = |call, code| {
        let answer = on.call(call, bad);
        assert_eq!(answer.code, code, "{call:?}: {}", answer.stderr);
        assert!(answer.reason().starts_with("rep_mode=\"synch\": "), "{call:?}: {answer:?}");
        assert!(answer.reason().ends_with("write sync or async"), "{call:?}: {answer:?}");
    };
    named(Call::Unpromoted, 190);
    assert_eq!(on.call(Call::Probe, bad).code, 0);
    named(Call::Promote, 6);
    assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "t");

    assert_eq!(on.call(Call::Promote, &[]).code, 0);
    named(Call::Promoted, 191);
    assert_eq!(on.call(Call::Probe, bad).code, 8);
    assert_eq!(on.call(Call::ReloadAgent, bad).code, 0);
    assert_eq!(on.call(Call::Notify, bad).code, 0);
    named(Call::Demote, 1);
    named(Call::Start, 6);
    named(Call::ValidateAll, 6);
    assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "f", "it still serves");

    // The programs of PostgreSQL vanish, too: nobody needs them to see, or to stop.
    let gone: Env<'_> =
        &[("OCF_RESKEY_rep_mode", value("synch")), ("OCF_RESKEY_pg_bindir", value("/nonexistent"))];
    assert_eq!(on.call(Call::Promoted, gone).code, 191);
    assert_eq!(on.call(Call::Stop, gone).code, 0);
    assert_eq!(on.processes(), [""; 0]);
}
