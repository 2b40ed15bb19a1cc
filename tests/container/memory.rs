//! A server that meets the limit of its container's memory: the kernel kills one of its processes, and what
//! follows is what follows any crash.

use std::time::Duration;

use pgtwin::ocf::params::Params;
use pgtwin::sys::deadline::poll_until;

use crate::box_of::{Box, await_answer, await_gone, is_gone, pid, soon, with_each_engine};

/// More than the container may have, at once and written to.
const EATER: &str = "SELECT length(repeat('x', 900000000))";

fn limited(on: &Box) -> Params {
    Params { container_memory: Some("200m".into()), ..on.params.clone() }
}

fn eat(on: &Box) {
    let output = on.try_ask(EATER);
    assert!(!output.status.success(), "it had all that it wanted: {output:?}");
}

#[test]
fn a_session_that_eats_the_memory_is_killed_and_the_server_recovers() {
    with_each_engine(|on| {
        on.configure("shared_buffers = 16MB");
        let pg = on.with(&limited(on));
        pg.start(&soon()).unwrap();
        await_answer(&pg);
        let limit =
            on.tell(&["container", "inspect", "--format", "{{.HostConfig.Memory}}", on.name()]);
        assert_eq!(limit, (200 << 20).to_string());
        on.ask("CREATE TABLE kept AS SELECT 42 AS answer");
        let before = pid(&pg);
        eat(on);
        let answers = || on.try_ask("TABLE kept").status.success().then_some(());
        poll_until(&soon(), Duration::from_millis(100), answers).unwrap();
        assert_eq!(on.ask("TABLE kept"), "42");
        assert_eq!(pid(&pg), before, "the postmaster and its container are the same");
        pg.stop(&soon()).unwrap();
    });
}

#[test]
fn one_that_does_not_restart_by_itself_ends_with_its_container_and_is_started_anew() {
    with_each_engine(|on| {
        on.configure("shared_buffers = 16MB\nrestart_after_crash = off");
        let pg = on.with(&limited(on));
        pg.start(&soon()).unwrap();
        await_answer(&pg);
        on.ask("CREATE TABLE kept AS SELECT 42 AS answer");
        eat(on);
        await_gone(&pg);
        // Not every engine and kernel tells, so nothing hangs on it.
        let told =
            on.tell(&["container", "inspect", "--format", "{{.State.OOMKilled}}", on.name()]);
        eprintln!("{:?} says that it was out of memory: {told}", on.runtime);
        assert!(is_gone(&on.instance()));
        pg.start(&soon()).unwrap();
        await_answer(&pg);
        assert_eq!(on.ask("TABLE kept"), "42");
        pg.stop(&soon()).unwrap();
    });
}
