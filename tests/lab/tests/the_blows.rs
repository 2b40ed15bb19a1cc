//! What torture does to a cluster, one blow at a time: it hits, and is undone. They start containers, so they are
//! ignored unless asked for: `cargo test -p lab --test the_blows -- --ignored --test-threads 1`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lab::options::{Agent, Options};
use lab::torture::act::{Act, Blow, Cut, Daemon, Order, Process, Role, Target, Trouble};
use lab::torture::inject::{CANCELLED, Done, inject};
use lab::torture::undo::{Undo, start_daemons};
use lab::workload::session::Session;
use lab::workload::writer::{Outcome, Writer};
use lab::{Cluster, Result};

const SOON: Duration = Duration::from_mins(1);

/// `n1`, which was started as the primary.
const PRIMARY: Target = Target { role: Role::Primary, pick: 0 };
/// `n2`.
const STANDBY: Target = Target { role: Role::Standby, pick: 0 };

fn hit(cluster: &Cluster, act: &Act) -> Result<Done> {
    let done = inject(cluster, act, Instant::now() + Duration::from_secs(3))?;
    eprintln!("{act}: {}", done.words);
    Ok(done)
}

fn undo(cluster: &Cluster, act: &Act) -> Result<()> {
    let all = Undo::of(act);
    assert!(!all.is_empty(), "{act} leaves nothing behind");
    // Twice: what is owed is tried again.
    for one in all.iter().chain(&all) {
        one.apply(cluster)?;
    }
    Ok(())
}

/// Three databases that stream, started by hand; no Pacemaker.
fn by_hand() -> Result<Cluster> {
    let options = Options { start: false, disk: Some(1024), device: true, ..Options::default() };
    let cluster = Cluster::up(options)?;
    cluster.start_postgres_by_hand("n1", None)?;
    for node in ["n2", "n3"] {
        follow(&cluster, node)?;
    }
    Ok(cluster)
}

fn follow(cluster: &Cluster, node: &str) -> Result<()> {
    cluster.start_postgres_by_hand(node, Some("n1"))?;
    cluster.wait_until(&format!("{node} streams"), SOON, || {
        cluster.streaming_from("n1").is_ok_and(|all| all.contains_key(node))
    })
}

/// The states of the processes whose command lines match, as `ps` has them. The pattern must not match itself.
fn states(cluster: &Cluster, node: &str, pattern: &str) -> String {
    let script = format!("ps -o stat= -p $(pgrep -d , -f '{pattern}')");
    cluster.exec(node, &["sh", "-c", &script]).map(|output| output.text()).unwrap_or_default()
}

fn goes_on(states: &str) -> bool {
    !states.is_empty() && !states.contains('T')
}

/// Commits wait for a standby that does not exist. That takes effect when the checkpointer has seen it.
fn have_commits_wait(cluster: &Cluster) -> Result<()> {
    cluster.psql("n1", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")?;
    cluster.psql("n1", "SELECT pg_reload_conf()")?;
    // psql cancels its statement when it is interrupted.
    let insert = "INSERT INTO watched VALUES ('probe')";
    let psql =
        ["timeout", "-s", "INT", "-k", "2", "1", "psql", "-X", "-q", "-c", insert, "postgres"];
    cluster.wait_until("commits wait", SOON, || {
        let said = cluster.command_as_postgres("n1", &psql).output();
        said.is_ok_and(|output| output.all().contains("canceling wait for synchronous replication"))
    })
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn what_is_stopped_cut_frozen_or_filled_is_so_until_it_is_undone() -> Result<()> {
    let cluster = by_hand()?;
    let receiver = "^postgres: walreceiver";
    let act = Act::Strike(Process::Receiver, Blow::Pause, STANDBY);
    hit(&cluster, &act)?;
    assert!(states(&cluster, "n2", receiver).starts_with('T'), "it was not stopped");
    undo(&cluster, &act)?;
    assert!(goes_on(&states(&cluster, "n2", receiver)));

    let act = Act::PauseNode(STANDBY);
    hit(&cluster, &act)?;
    assert!(!cluster.exec("n2", &["true"]).is_ok_and(|output| output.ok()), "n2 is not frozen");
    assert!(cluster.is_running("n2"));
    undo(&cluster, &act)?;
    cluster.check("n2", &["true"])?;

    let free = || {
        let df = ["df", "--output=avail", &cluster.options.pgdata_parent()];
        let text = cluster.check("n2", &df)?.text();
        Ok::<u64, lab::LabError>(text.lines().last().unwrap().trim().parse().unwrap())
    };
    assert!(free()? > 100_000);
    let act = Act::Disk(Trouble::Full, STANDBY);
    hit(&cluster, &act)?;
    assert!(free()? < 1024);
    undo(&cluster, &act)?;
    assert!(free()? > 100_000);
    // The disk outlives a power cut, and there is room on it also if nobody could make it meanwhile.
    hit(&cluster, &act)?;
    cluster.power_cut("n2")?;
    undo(&cluster, &act)?;
    cluster.power_on("n2")?;
    assert!(free()? > 100_000);
    cluster.check("n2", &["test", "-s", &format!("{}/PG_VERSION", cluster.options.pgdata())])?;
    follow(&cluster, "n2")?;

    let probe = format!("echo x > {}/probe", cluster.options.pgdata_parent());
    let writes = || {
        let write = cluster.command("n2", &["timeout", "-k", "1", "2", "sh", "-c", &probe]);
        write.limit(Duration::from_secs(4)).output().is_ok_and(|output| output.ok())
    };
    assert!(writes());
    let act = Act::Disk(Trouble::Frozen, STANDBY);
    hit(&cluster, &act)?;
    assert!(!writes());
    undo(&cluster, &act)?;
    assert!(writes());
    cluster.wait_until("n2 goes on", SOON, || {
        cluster.streaming_from("n1").is_ok_and(|all| all.contains_key("n2"))
    })?;
    let act = Act::Disk(Trouble::ReadOnly, STANDBY);
    hit(&cluster, &act)?;
    assert!(!writes());
    undo(&cluster, &act)?;
    assert!(writes(), "it was switched off, repaired, and switched on");
    follow(&cluster, "n2")?;

    let others = 2;
    for (cut, input, output) in [
        (Cut::All, others, others),
        (Cut::In, others, 0),
        (Cut::Out, 0, others),
        (Cut::Pair, 1, 1),
        (Cut::Replication, 2 * others, 2 * others),
        (Cut::Corosync, others, others),
    ] {
        let rules = |chain: &str| {
            let list = cluster.check("n1", &["iptables", "-S", chain]).unwrap().text();
            list.lines().filter(|line| line.ends_with("-j DROP")).count()
        };
        let act = Act::Cut(cut, PRIMARY);
        hit(&cluster, &act)?;
        assert_eq!((rules("INPUT"), rules("OUTPUT")), (input, output), "{cut:?}");
        undo(&cluster, &act)?;
        assert_eq!((rules("INPUT"), rules("OUTPUT")), (0, 0), "{cut:?}");
    }
    Ok(())
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn what_is_killed_is_gone_and_who_is_cancelled_is_unknown() -> Result<()> {
    let cluster = by_hand()?;
    let address = cluster.addresses.node("n1");
    have_commits_wait(&cluster)?;
    let writer = Writer::start_as(CANCELLED, &address, Duration::from_millis(20));
    for end in [false, true] {
        hit(&cluster, &Act::Cancel { end, stopped: false })?;
    }
    let log = writer.stop();
    let words = |one: &lab::workload::writer::Attempt| match &one.outcome {
        Outcome::Unknown(words) => words.clone(),
        _ => String::new(),
    };
    assert_eq!(log.acknowledgements(), [], "a commit that did not wait was taken for acknowledged");
    assert!(log.attempts.iter().any(|one| words(one).contains("was cancelled")));
    assert!(log.attempts.iter().any(|one| words(one).contains("closed")), "{:?}", log.attempts);
    cluster.psql("n1", "ALTER SYSTEM RESET synchronous_standby_names")?;
    cluster.psql("n1", "SELECT pg_reload_conf()")?;

    hit(&cluster, &Act::Connections(true))?;
    cluster.wait_until("there are connections again", SOON, || {
        cluster.psql("n1", "SELECT 1").is_ok()
    })?;

    let session = Session::open(&address)?;
    hit(&cluster, &Act::Strike(Process::Client, Blow::Kill, PRIMARY))?;
    assert!(session.sql("SELECT 1").is_err(), "the session has outlived it");
    cluster.wait_until("the instance has ended with it", SOON, || !cluster.is_writable("n1"))?;
    for process in [Process::Checkpointer, Process::Postmaster, Process::Sender] {
        cluster.start_postgres_by_hand("n1", None)?;
        cluster.wait_until("the others stream again", SOON, || {
            cluster.streaming_from("n1").is_ok_and(|all| all.len() == 2)
        })?;
        hit(&cluster, &Act::Strike(process, Blow::Kill, PRIMARY))?;
        cluster.wait_until("the instance has ended", SOON, || !cluster.is_writable("n1"))?;
    }
    cluster.start_postgres_by_hand("n1", None)?;
    cluster.wait_until("n1 is writable", SOON, || cluster.is_writable("n1"))?;
    let ends = |node: &str| {
        cluster.wait_until(&format!("the instance of {node} has ended"), SOON, || {
            cluster.psql(node, "SELECT 1").is_err()
        })
    };
    for process in [Process::Startup, Process::Receiver] {
        cluster.wait_until("n2 streams", SOON, || {
            cluster.streaming_from("n1").is_ok_and(|all| all.contains_key("n2"))
        })?;
        hit(&cluster, &Act::Strike(process, Blow::Kill, STANDBY))?;
        ends("n2")?;
        follow(&cluster, "n2")?;
    }
    assert_eq!(hit(&cluster, &Act::KillNode(STANDBY, true))?.killed, ["n2"]);
    cluster.wait_until("n2 has booted", SOON, || {
        cluster.exec("n2", &["test", "-e", "/run/lab/booted"]).is_ok_and(|output| output.ok())
    })
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn daemons_come_back_and_the_orders_of_an_operator_are_undone() -> Result<()> {
    let shape = Options { agent: Agent::Stateful, preload: true, ..Options::default() };
    let cluster = Cluster::up(shape)?;
    let node = Target { role: Role::Any, pick: 2 };
    let attrd = "[/]pacemaker-attrd";
    let act = Act::StrikeDaemon(Daemon::Attrd, Blow::Pause, node);
    hit(&cluster, &act)?;
    assert!(states(&cluster, "n3", attrd).starts_with('T'), "it was not stopped");
    undo(&cluster, &act)?;
    assert!(goes_on(&states(&cluster, "n3", attrd)));
    let pid = || cluster.check("n3", &["pgrep", "-f", attrd]).map(|one| one.text());
    let before = pid()?;
    hit(&cluster, &Act::StrikeDaemon(Daemon::Attrd, Blow::Kill, node))?;
    cluster.wait_until("another one runs", SOON, || pid().is_ok_and(|now| now != before))?;
    hit(&cluster, &Act::StrikeDaemon(Daemon::Pacemakerd, Blow::Kill, node))?;
    start_daemons(&cluster)?;
    cluster.check("n3", &["pgrep", "-x", "pacemakerd"])?;
    cluster.wait_healthy(SOON)?;

    let ahead = || {
        let node = cluster.check("n3", &["date", "+%s"]).unwrap().text().parse::<i64>().unwrap();
        let host = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        node - i64::try_from(host).unwrap()
    };
    let act = Act::Clock(node, -3600);
    assert!(ahead().abs() < 30);
    hit(&cluster, &act)?;
    assert!((ahead() + 3600).abs() < 30);
    undo(&cluster, &act)?;
    assert!(ahead().abs() < 30);

    let all = [Order::Standby, Order::NodeMaintenance, Order::MaintenanceOn, Order::Refresh];
    let list = all.map(|order| (Duration::ZERO, order)).to_vec();
    let act = Act::Orders(list, 0);
    let done = hit(&cluster, &act)?;
    assert!(!done.words.contains("failed"), "{}", done.words);
    let set = || cluster.on_any(&["cibadmin", "--query", "--scope", "configuration"]);
    assert!(set()?.contains("name=\"maintenance\" value=\"on\""), "{}", set()?);
    undo(&cluster, &act)?;
    let left = set()?;
    for wrong in ["name=\"maintenance\" value=\"on\"", "name=\"standby\" value=\"on\""] {
        assert!(!left.contains(wrong), "{left}");
    }
    assert!(left.contains("name=\"maintenance-mode\" value=\"false\""), "{left}");
    cluster.wait_healthy(SOON)?;
    hit(&cluster, &Act::Moves(vec![(0, false), (1, false)]))?;
    Undo::Moves.apply(&cluster)?;
    cluster.wait_healthy(SOON)
}
