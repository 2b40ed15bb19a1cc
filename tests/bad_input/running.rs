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

#[test]
fn a_malformed_pguser_hides_no_postgresql_from_a_probe_and_keeps_none_from_its_stop() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-user");
    let bad: Env<'_> = &[("OCF_RESKEY_pguser", value("a b"))];
    assert_eq!(on.call(Call::Start, &[]).code, 0);
    assert_eq!(on.call(Call::Probe, bad).code, 0);
    let answer = on.call(Call::Unpromoted, bad);
    assert_eq!(answer.code, 190, "{}", answer.stderr);
    assert!(answer.reason().starts_with("pguser=\"a b\": "), "{answer:?}");
    assert_eq!(on.call(Call::Promote, &[]).code, 0);
    assert_eq!(on.call(Call::Probe, bad).code, 8);
    assert_eq!(on.call(Call::Promoted, bad).code, 191);

    // By a link it could be anybody's: that is said, and it is neither stopped nor taken to be stopped.
    let link = on.home.path().join("link");
    std::os::unix::fs::symlink(on.pgdata(), &link).unwrap();
    let linked =
        [("OCF_RESKEY_pguser", value("a b")), ("OCF_RESKEY_pgdata", Some(link.as_os_str()))];
    for call in [Call::Probe, Call::Promoted, Call::Stop] {
        let answer = on.call(call, &linked);
        assert_eq!(answer.code, 1, "{call:?}: {}", answer.stderr);
        assert!(
            answer.reason().starts_with("PostgreSQL runs, and as whom is not known"),
            "{answer:?}"
        );
    }
    assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "f", "it still serves");

    assert_eq!(on.call(Call::Stop, bad).code, 0);
    assert_eq!(on.processes(), [""; 0], "stop says that nothing runs");
    for (call, env) in [(Call::Probe, bad), (Call::Probe, &linked[..])] {
        assert_eq!(on.call(call, env).code, 7);
    }
    assert_eq!(on.call(Call::Stop, &linked).code, 0);
}
