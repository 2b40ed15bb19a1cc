//! What the engine itself says of the containers, and the kernel of what runs in them: privileges, mounts,
//! secrets.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::thread;
use std::time::Duration;

use pgtwin::ocf::params::{ContainerRuntime, Params};
use pgtwin::sys::deadline::poll_until;
use pgtwin::sys::exec::{Ended, Exec, System};
use serde_json::Value;

use crate::account::test_user;
use crate::box_of::{Box, await_answer, soon, with_each_engine};

const SECRET: &str = "the-very-secret";

/// The same database with a passfile that the containers have.
fn with_a_secret(on: &Box) -> Params {
    let passfile = on.home.path().join("passfile");
    fs::write(&passfile, format!("*:*:*:*:{SECRET}\n")).unwrap();
    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o600)).unwrap();
    let user = test_user();
    chown(&passfile, Some(user.uid), Some(user.gid)).unwrap();
    Params { pgpassfile: Some(passfile.display().to_string()), ..on.params.clone() }
}

fn inspected(on: &Box, name: &str) -> (Value, String) {
    let text = on.tell(&["container", "inspect", name]);
    let all: Value = serde_json::from_str(&text).unwrap();
    (all[0].clone(), text)
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().cloned().unwrap_or_default();
    list.iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// What holds for the server's container, and for that of any program.
fn is_harmless(on: &Box, name: &str) {
    let (one, text) = inspected(on, name);
    assert!(!text.contains(SECRET), "{text}");
    for word in ["docker.sock", "podman.sock", "containerd.sock"] {
        assert!(!text.contains(word), "{word}");
    }
    let (config, host) = (&one["Config"], &one["HostConfig"]);
    let user = test_user();
    assert_eq!(config["User"], format!("{}:{}", user.uid, user.gid));
    assert_eq!(host["Privileged"], false);
    assert_eq!(host["NetworkMode"], "host");
    for space in ["PidMode", "IpcMode", "UTSMode", "UsernsMode", "CgroupnsMode"] {
        let mode = host[space].as_str().unwrap_or_default();
        assert!(mode != "host" || space == "CgroupnsMode", "{space}={mode}");
    }
    assert_eq!(texts(&host["CapAdd"]), [""; 0], "{name}");
    let devices = host["Devices"].as_array().cloned().unwrap_or_default();
    assert_eq!(devices, [] as [Value; 0]);
    let options = texts(&host["SecurityOpt"]);
    assert!(options.iter().any(|one| one == "no-new-privileges"), "{options:?}");
    assert!(!options.iter().any(|one| one.contains("unconfined")), "{options:?}");
    assert_eq!(host["RestartPolicy"]["MaximumRetryCount"], 0, "nobody but the agent starts it");
    let policy = host["RestartPolicy"]["Name"].as_str().unwrap();
    assert!(policy.is_empty() || policy == "no", "{policy}");
    if on.runtime == ContainerRuntime::Docker {
        assert_eq!(texts(&host["CapDrop"]), ["ALL"]);
    }
    // Where things are inside, and whether they can be changed there.
    let home = on.home.path().display().to_string();
    let mounts: BTreeSet<(String, bool)> = one["Mounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| {
            (mount["Destination"].as_str().unwrap().to_owned(), mount["RW"].as_bool().unwrap())
        })
        .collect();
    let of_ours: BTreeSet<(String, bool)> = [
        (on.params.pgdata.clone(), true),
        // The socket's directory, and what the tests mount.
        (home.clone(), true),
        (format!("{home}/passfile"), false),
        ("/etc/passwd".to_owned(), false),
        ("/etc/group".to_owned(), false),
        ("/run/pgtwin-permit".to_owned(), false),
    ]
    .into();
    assert_eq!(mounts, of_ours);
    // Its own variables; an image of the tests brings PATH.
    let names: BTreeSet<String> = texts(&config["Env"])
        .iter()
        .map(|line| line.split_once('=').map_or(line.as_str(), |(name, _)| name).to_owned())
        .collect();
    let known = [
        "PATH",
        "LC_ALL",
        "HOME",
        "USER",
        "LOGNAME",
        "PGTWIN_STARTED_BY",
        "PGTWIN_WORKER",
        "TERM",
        "HOSTNAME",
        "container",
    ];
    assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?}");
}

#[test]
fn no_container_has_a_privilege_and_no_secret_is_shown() {
    with_each_engine(|on| {
        let params = with_a_secret(on);
        let pg = on.with(&params);
        pg.start(&soon()).unwrap();
        await_answer(&pg);
        is_harmless(on, on.name());
        let one = |format: &str| on.tell(&["container", "inspect", "--format", format, on.name()]);
        assert_eq!(one("{{.HostConfig.ShmSize}}"), (64 << 20).to_string());
        // A program, while it runs.
        let (dir, port) = (on.home.path().display().to_string(), on.params.pgport.to_string());
        let query = "SELECT pg_sleep(300)";
        let cmd = pg.runtime().command("psql").unwrap();
        let cmd = cmd.args(["-XAtqc", query, "-h", &dir, "-p", &port, "postgres"]);
        let cmd = cmd.limit(crate::box_of::LONG);
        thread::scope(|scope| {
            let running = scope.spawn(|| System.run(&cmd).unwrap());
            let is_there = || {
                let sleeps =
                    "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(300)'";
                (!on.ask(sleeps).is_empty()).then_some(())
            };
            poll_until(&soon(), Duration::from_millis(100), is_there).unwrap();
            let name = on.containers().into_iter().find(|name| name != on.name()).unwrap();
            is_harmless(on, &name);
            on.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(300)'");
            assert!(matches!(running.join().unwrap().ended, Ended::Exited(code) if code != 0));
        });
    });
}

#[test]
fn what_the_kernel_gives_the_server_is_what_counts() {
    with_each_engine(|on| {
        let pg = on.started();
        let user = test_user();
        let pid = crate::box_of::pid(&pg);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = |name: &str| {
            let found = status.lines().find_map(|line| line.strip_prefix(name));
            found.unwrap().trim().to_owned()
        };
        for set in ["CapEff:", "CapPrm:", "CapBnd:", "CapInh:", "CapAmb:"] {
            assert_eq!(line(set).trim_start_matches('0'), "", "{set}");
        }
        assert_eq!(line("NoNewPrivs:"), "1");
        assert_eq!(line("Seccomp:"), "2");
        let groups: Vec<u32> =
            line("Groups:").split_whitespace().map(|gid| gid.parse().unwrap()).collect();
        assert!(user.groups.iter().all(|gid| groups.contains(gid)), "{groups:?}");
        let own = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        let its = |name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        assert_eq!(own("net"), its("net"));
        assert_eq!(own("user"), its("user"));
        for name in ["pid", "mnt", "ipc"] {
            assert_ne!(own(name), its(name), "{name}");
        }
    });
}
