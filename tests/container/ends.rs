//! A server in a container, from its start to each of its ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use pgtwin::decide::facts::{DataDir, Process};
use pgtwin::postgres::control_data::ClusterState;

use crate::box_of::{await_answer, await_gone, is_gone, pid, soon, with_each_engine};
use crate::engine;

const CLEANING: Duration = Duration::from_secs(20);

fn state(pg: &pgtwin::runtime::instance::Postgres<'_>) -> ClusterState {
    match pg.data_dir() {
        DataDir::Cluster(control) => control.state,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_starts_is_promoted_and_ends_in_order_on_the_paths_of_the_host() {
    with_each_engine(|on| {
        let pg = on.instance();
        assert_eq!(state(&pg), ClusterState::ShutDown);
        pg.ensure_standby_signal().unwrap();
        pg.start(&soon()).unwrap();
        await_answer(&pg);
        assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "t");
        assert_eq!(on.ask("SHOW data_directory"), on.params.pgdata);
        // As the server counts it is another number, and both are known for the same process.
        let inner: i32 = on.ask("SELECT pid FROM pg_stat_activity LIMIT 1").parse().unwrap();
        assert_ne!(inner, pid(&pg));
        pg.promote().unwrap();
        let end = soon();
        while on.ask("SELECT pg_is_in_recovery()") == "t" {
            assert!(!end.expired(), "not promoted");
            end.sleep(Duration::from_millis(50));
        }
        on.ask("CREATE TABLE kept AS SELECT 42 AS answer");
        pg.shut_down_in_order(&soon()).unwrap();
        assert_eq!(state(&pg), ClusterState::ShutDown);
        pg.runtime().clean_up(CLEANING);
        assert_eq!(on.containers(), [""; 0]);

        // Another process of the agent finds what one has started, and so does one that knows of no containers.
        pg.start(&soon()).unwrap();
        assert_eq!(pid(&on.instance()), pid(&on.bare()));
        await_answer(&on.instance());
        assert_eq!(on.ask("TABLE kept"), "42");
        on.bare().stop(&soon()).unwrap();
        assert!(is_gone(&pg));
    });
}

#[test]
fn a_postmaster_that_is_killed_takes_its_container_with_it_and_the_next_start_clears_up() {
    with_each_engine(|on| {
        let pg = on.started();
        kill(Pid::from_raw(pid(&pg)), Signal::SIGKILL).unwrap();
        await_gone(&pg);
        assert_eq!(state(&pg), ClusterState::InProduction);
        // What is left of the container does not stand in the way.
        pg.start(&soon()).unwrap();
        await_answer(&pg);
        pg.stop(&soon()).unwrap();
        assert_eq!(state(&pg), ClusterState::ShutDown);
    });
}

/// Numbers begin anew in each container: what a killed server has left may name any process of the next one. The
/// collector of the log is there before the lock of the socket is taken.
#[test]
fn what_a_killed_server_has_left_names_no_process_of_the_next_container() {
    with_each_engine(|on| {
        on.configure("logging_collector = on");
        for next in 0..=3 {
            let pg = on.started();
            let socket = PathBuf::from(on.ask("SHOW unix_socket_directories"));
            let lock = socket.join(format!(".s.PGSQL.{}.lock", on.params.pgport));
            kill(Pid::from_raw(pid(&pg)), Signal::SIGKILL).unwrap();
            await_gone(&pg);
            for file in [lock, pg.place().pgdata.join("postmaster.pid")] {
                let text = fs::read_to_string(&file).unwrap();
                let (number, rest) = text.split_once('\n').unwrap();
                let number: u32 = number.parse().unwrap();
                fs::write(&file, format!("{}\n{rest}", number + next)).unwrap();
            }
            pg.start(&soon()).unwrap_or_else(|why| panic!("{next} after its own: {why}"));
            await_answer(&pg);
            pg.stop(&soon()).unwrap();
        }
    });
}

#[test]
fn a_paused_container_is_seen_to_stand_still_and_is_stopped_without_its_engine() {
    with_each_engine(|on| {
        let pg = on.started();
        on.tell(&["pause", on.name()]);
        assert!(matches!(pg.runtime().process(), Process::Running { stopped: true, .. }));
        pg.stop(&soon()).unwrap();
        assert!(is_gone(&pg));
        assert_eq!(state(&pg), ClusterState::ShutDown, "it was thawed, and ended in order");
        pg.runtime().clean_up(CLEANING);
        assert_eq!(on.containers(), [""; 0]);
    });
}

#[test]
fn a_container_that_somebody_has_removed_is_simply_gone() {
    with_each_engine(|on| {
        let pg = on.started();
        on.tell(&["rm", "--force", on.name()]);
        await_gone(&pg);
        pg.runtime().clean_up(CLEANING);
        pg.start(&soon()).unwrap();
        await_answer(&pg);
    });
}

#[test]
fn a_container_that_its_engine_has_killed_is_a_server_that_crashed() {
    with_each_engine(|on| {
        let pg = on.started();
        on.tell(&["kill", "--signal=KILL", on.name()]);
        await_gone(&pg);
        assert_eq!(state(&pg), ClusterState::InProduction);
        pg.start(&soon()).unwrap();
        await_answer(&pg);
    });
}

#[test]
fn a_container_that_somebody_stops_ends_in_order_and_does_not_come_back_by_hand() {
    with_each_engine(|on| {
        let pg = on.started();
        on.tell(&["stop", on.name()]);
        await_gone(&pg);
        assert_eq!(state(&pg), ClusterState::ShutDown, "its engine asks for a fast shutdown");
        // As when the action has ended that started it: its permit goes with it.
        let permits = Path::new("/run/pgtwin/permits/pgtwin-test-box");
        for permit in permits.read_dir().unwrap() {
            fs::remove_dir(permit.unwrap().path()).unwrap();
        }
        let started = engine::try_tell(on.runtime, &["start", on.name()]);
        assert!(!started.status.success(), "{started:?}");
        assert!(is_gone(&pg));
        pg.start(&soon()).unwrap();
        await_answer(&pg);
    });
}

#[test]
fn children_are_told_by_the_numbers_that_the_server_names() {
    with_each_engine(|on| {
        let pg = on.started();
        let children = on.ask("SELECT string_agg(pid::text, ' ') FROM pg_stat_activity");
        let children: Vec<i32> = children.split(' ').map(|pid| pid.parse().unwrap()).collect();
        let writer: i32 = on
            .ask("SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'")
            .parse()
            .unwrap();
        assert!(children.contains(&writer));
        assert_eq!(pg.runtime().children_among(&[writer, 1]), [writer]);
    });
}

/// Regression: a command that looked at its instance twice gave two containers one name.
#[test]
fn programs_of_one_process_have_containers_of_different_names() {
    with_each_engine(|on| {
        let name = |pg: &pgtwin::runtime::instance::Postgres<'_>| {
            let cmd = pg.runtime().command("psql").unwrap();
            cmd.args.into_iter().find(|arg| arg.starts_with("--name=")).unwrap()
        };
        let (one, other) = (on.instance(), on.instance());
        let names = [name(&one), name(&one), name(&other), name(&other)];
        let different: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    });
}
