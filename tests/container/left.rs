//! Programs in containers that outlive who has started them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use pgtwin::runtime::container::withdraw;
use pgtwin::sys::deadline::poll_until;
use pgtwin::sys::exec::{Ended, Exec, System};

use crate::box_of::{soon, with_each_engine};

/// The processes that carry the mark of an instance's programs.
fn marked() -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        entry.unwrap().file_name().to_str().and_then(|name| name.parse::<i32>().ok())
    });
    let has = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut each = environment.split(|b| *b == 0);
        each.any(|one| one.starts_with(b"PGTWIN_STARTED_BY=pgtwin-test-box/"))
    };
    pids.filter(has).collect()
}

#[test]
fn a_program_whose_time_is_over_is_gone_with_its_container() {
    with_each_engine(|on| {
        let pg = on.started();
        let query = "SELECT pg_sleep(300)";
        let (dir, port) = (on.home.path().display().to_string(), on.params.pgport.to_string());
        let cmd = pg.runtime().command("psql").unwrap();
        let cmd = cmd.args(["-XAtqc", query, "-h", &dir, "-p", &port, "postgres"]);
        let output = System.run(&cmd.limit(Duration::from_secs(3))).unwrap();
        assert_eq!(output.ended, Ended::TimedOut, "{output:?}");
        poll_until(&soon(), Duration::from_millis(50), || marked().is_empty().then_some(()))
            .unwrap();
        let only_the_server = || (on.containers() == [on.name()]).then_some(());
        poll_until(&soon(), Duration::from_millis(100), only_the_server).unwrap();
    });
}

#[test]
fn containers_that_nobody_removes_any_more_are_swept_together() {
    with_each_engine(|on| {
        let pg = on.started();
        let image = on.params.container_image.clone().unwrap();
        let made = |pid: i32, label: &str| {
            let name = format!("{}-{pid}-1", on.name());
            on.tell(&["create", "--name", &name, "--label", label, &image, "true"]);
            name
        };
        let ours = "pgtwin.resource=pgtwin-test-box";
        // No process has this number, by the kernel's own bound.
        let left = made(i32::MAX, ours);
        let at_work = made(std::process::id().try_into().unwrap(), ours);
        let anothers = made(i32::MAX - 1, "pgtwin.resource=pgtwin-test-another");
        pg.runtime().sweep(Duration::from_secs(30));
        assert!(!on.tell(&["ps", "--all", "--format", "{{.Names}}"]).contains(&left));
        for stays in [&at_work, &anothers] {
            on.tell(&["rm", stays]);
        }
        assert_eq!(on.containers(), [on.name()], "the server is untouched");
    });
}

#[test]
fn what_a_killed_process_has_left_is_ended_and_what_it_had_begun_never_starts() {
    with_each_engine(|on| {
        let pg = on.started();
        let place = pg.place().clone();
        // What tests before this one have had.
        withdraw(&place, &soon()).unwrap();
        // This test's program, which starts one and is killed.
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "left::helper_that_runs_a_program", "--ignored", "--nocapture"])
            .env("PGTWIN_TEST_HOME", on.home.path())
            .env("PGTWIN_TEST_DATA", &on.params.pgdata)
            .env("PGTWIN_TEST_PORT", on.params.pgport.to_string())
            .env("PGTWIN_TEST_IMAGE", on.params.container_image.clone().unwrap())
            .env("PGTWIN_TEST_RUNTIME", format!("{:?}", on.runtime))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let is_there = || {
            on.ask("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sleep(301)%' AND pid <> pg_backend_pid()")
                == "1"
        };
        poll_until(&soon(), Duration::from_millis(100), || is_there().then_some(())).unwrap();
        let permits = PathBuf::from("/run/pgtwin/permits/pgtwin-test-box");
        assert_eq!(
            fs::read_dir(&permits).unwrap().count(),
            2,
            "its permit, and that of this process"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!marked().is_empty(), "it lives on in its container");
        withdraw(&place, &soon()).unwrap();
        assert!(marked().is_empty(), "{:?}", marked());
        assert_eq!(fs::read_dir(&permits).unwrap().count(), 1);
        // The server was started by this process, which is not gone, and goes on in any case.
        crate::box_of::await_answer(&pg);
        // Without its permit, no container starts: as one whose start an engine had put off.
        let own = fs::read_dir(&permits).unwrap().next().unwrap().unwrap().path();
        let cmd = pg.runtime().command("psql").unwrap().arg("--version").limit(crate::box_of::LONG);
        assert!(System.run(&cmd).unwrap().ok());
        fs::remove_dir(&own).unwrap();
        let output = System.run(&cmd).unwrap();
        assert!(!output.ok(), "{output:?}");
    });
}

/// The permit of a process that is gone: by it the whole node is looked through.
fn permit_of_one_that_is_gone() -> PathBuf {
    let permit = PathBuf::from("/run/pgtwin/permits/pgtwin-test-box/2-1");
    fs::create_dir_all(&permit).unwrap();
    permit
}

/// Regression: frozen processes look like such that wait for a disk, so that it could not be told whose they are.
/// A stop of a paused container failed before it thawed anything, and the node was fenced.
#[test]
fn a_paused_server_is_told_from_programs_that_were_left() {
    with_each_engine(|on| {
        let pg = on.started();
        let permit = permit_of_one_that_is_gone();
        on.tell(&["pause", on.name()]);
        let withdrawn = withdraw(pg.place(), &soon());
        on.tell(&["unpause", on.name()]);
        withdrawn.unwrap();
        assert!(!permit.exists());
        crate::box_of::await_answer(&pg);
    });
}

/// The same where processes of a busy server wait for the disk whenever they are looked at.
#[test]
fn a_server_that_waits_for_the_disk_is_told_from_programs_that_were_left() {
    with_each_engine(|on| {
        let pg = on.started();
        let permit = permit_of_one_that_is_gone();
        let (dir, port) = (on.home.path().display().to_string(), on.params.pgport.to_string());
        let busy = |number: u32| {
            // pg_test_fsync is in the image, and waits for the disk most of the time.
            let file = format!("{}/busy-{number}", on.params.pgdata);
            let program =
                format!("{}/pg_test_fsync -s 60 -f {file} > /dev/null", on.bindir.display());
            let sql = format!("COPY (SELECT 1) TO PROGRAM '{program}'");
            Command::new("setpriv")
                .args(["--reuid", crate::account::NAME, "--regid", crate::account::NAME])
                .arg("--init-groups")
                .arg(on.bindir.join("psql"))
                .args(["-XAtqc", &sql, "-h", &dir, "-p", &port, "postgres"])
                .current_dir("/")
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let mut sessions: Vec<_> = (1..=12).map(busy).collect();
        let waiting = || {
            let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
                let stat = fs::read_to_string(entry.unwrap().path().join("stat")).ok()?;
                stat.contains("(pg_test_fsync) D").then_some(())
            });
            (pids.count() >= 2).then_some(())
        };
        poll_until(&soon(), Duration::from_millis(5), waiting).unwrap();
        let withdrawn = withdraw(pg.place(), &soon());
        let _ = pg.runtime().signal(pgtwin::runtime::Shutdown::Kill);
        for session in &mut sessions {
            session.wait().unwrap();
        }
        withdrawn.unwrap();
        assert!(!permit.exists());
    });
}

#[test]
#[ignore = "a process of the tests"]
fn helper_that_runs_a_program() {
    use pgtwin::ocf::params::{ContainerRuntime, Params};
    use pgtwin::runtime::instance::Postgres;
    let env = |name: &str| std::env::var(format!("PGTWIN_TEST_{name}")).unwrap();
    let home = PathBuf::from(env("HOME"));
    let port = env("PORT");
    let params = Params {
        pgdata: env("DATA"),
        pgport: port.parse().unwrap(),
        pguser: crate::account::NAME.into(),
        container_mode: true,
        container_runtime: match env("RUNTIME").as_str() {
            "Podman" => ContainerRuntime::Podman,
            _ => ContainerRuntime::Docker,
        },
        container_image: Some(env("IMAGE")),
        container_name: crate::engine::container_name(&home, "pg"),
        socket_dir: Some(home.display().to_string()),
        ..Params::default()
    };
    let pg = Postgres::new(&System, &params, home.join("pgtwin-test-box.log")).unwrap();
    let cmd = pg.runtime().command("psql").unwrap();
    let home = home.display().to_string();
    let cmd = cmd.args(["-XAtqc", "SELECT pg_sleep(301)", "-h", &home, "-p", &port, "postgres"]);
    System.run(&cmd.limit(crate::box_of::LONG * 5)).unwrap();
}
