//! What the engine itself says of the container: privileges, mounts, secrets.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use pgtwin::ocf::params::ContainerRuntime;

use crate::account::test_user;
use crate::box_of::with_each_engine;

#[test]
fn the_server_has_no_privilege_and_no_secret_is_shown() {
    with_each_engine(|on| {
        let passfile = on.home.path().join("passfile");
        fs::write(&passfile, "*:*:*:*:the-very-secret\n").unwrap();
        fs::set_permissions(&passfile, fs::Permissions::from_mode(0o600)).unwrap();
        let pg = on.started();
        let text = on.tell(&["container", "inspect", on.name()]);
        assert!(!text.contains("the-very-secret"));
        for word in ["docker.sock", "podman.sock"] {
            assert!(!text.contains(word), "{word}");
        }
        let one = |format: &str| on.tell(&["container", "inspect", "--format", format, on.name()]);
        let user = test_user();
        assert_eq!(one("{{.Config.User}}"), format!("{}:{}", user.uid, user.gid));
        assert_eq!(one("{{.HostConfig.Privileged}}"), "false");
        assert_eq!(one("{{.HostConfig.NetworkMode}}"), "host");
        assert!(!one("{{.HostConfig.PidMode}}").contains("host"));
        assert!(!one("{{.HostConfig.IpcMode}}").contains("host"));
        assert!(one("{{.HostConfig.SecurityOpt}}").contains("no-new-privileges"));
        assert_eq!(one("{{.HostConfig.ShmSize}}"), (64 << 20).to_string());
        if on.runtime == ContainerRuntime::Docker {
            assert_eq!(one("{{.HostConfig.CapDrop}}"), "[ALL]");
        }
        // What the kernel gives it, which is what counts.
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
