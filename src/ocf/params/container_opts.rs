//! `container_options`: more arguments for `podman run` and `docker run`. Floor 0.
//!
//! Root runs them, so what is accepted is a list, and everything else is refused: an option that undoes
//! the container's safety is refused also where an engine learns it tomorrow.

use super::error::Problem;
use super::start_opts::split;
use super::value::Parsed;

/// Options whose value cannot do harm: limits, names, what is seen from inside.
const HARMLESS: &[&str] = &[
    "add-host",
    "blkio-weight",
    "cgroup-parent",
    "cpu-shares",
    "cpuset-cpus",
    "cpuset-mems",
    "dns",
    "dns-option",
    "dns-search",
    "hostname",
    "ip",
    "ip6",
    "label",
    "memory-reservation",
    "memory-swap",
    "memory-swappiness",
    "network-alias",
    "oom-score-adj",
    "pids-limit",
    "publish",
    "stop-timeout",
    "tmpfs",
    "tz",
    "ulimit",
];

/// What a parameter or pgtwin itself gives.
const OWNED: &[(&str, &str)] = &[
    ("cpus", "use the parameter container_cpus"),
    ("detach", "remove it; pgtwin watches the container's beginning"),
    ("entrypoint", "remove it; pgtwin starts postgres itself"),
    ("interactive", "remove it; pgtwin gives it"),
    ("log-driver", "remove it; the first words of the server go to pgtwin's own log"),
    ("memory", "use the parameter container_memory"),
    ("name", "use the parameter container_name"),
    ("net", "use the parameter container_network"),
    ("network", "use the parameter container_network"),
    ("pull", "remove it; a start never downloads an image"),
    ("restart", "remove it; only Pacemaker starts PostgreSQL"),
    ("rm", "remove it; pgtwin removes the container"),
    ("shm-size", "use the parameter container_shm_size"),
    ("user", "use the parameter pguser"),
    ("workdir", "remove it; pgtwin gives it"),
];

/// What would open the host to the container.
const DANGEROUS: &[&str] = &[
    "cap-add",
    "cgroupns",
    "cgroup-conf",
    "device",
    "device-cgroup-rule",
    "gidmap",
    "group-add",
    "ipc",
    "pid",
    "privileged",
    "rootfs",
    "runtime",
    "subgidname",
    "subuidname",
    "sysctl",
    "uidmap",
    "userns",
    "uts",
    "volumes-from",
];

/// Of these a volume brings nothing in, nor of what lies below them.
const NEVER_BELOW: &[&str] =
    &["/boot", "/dev", "/etc/shadow", "/proc", "/root", "/run", "/sys", "/var/run"];
/// Of these it brings nothing in, but it may of what lies below them.
const NEVER: &[&str] = &[
    "/",
    "/bin",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/opt",
    "/sbin",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/sbin",
    "/usr/share",
    "/var",
    "/var/lib",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/pgtwin",
    "/var/log",
];

/// The arguments, one per element, each `--name=value`.
pub(super) fn container_opts(text: &str) -> Parsed<Vec<String>> {
    let words = split(text)?;
    words.iter().try_for_each(|word| option(word))?;
    Ok(words)
}

fn option(word: &str) -> Parsed<()> {
    let Some((name, value)) = word.strip_prefix("--").and_then(|word| word.split_once('=')) else {
        // What begins like a switch is named as what it would do.
        let name = word.trim_start_matches('-');
        known(name)?;
        return Err(Problem::new(
            "a word of it is not an option with its value",
            "write each as --name=value, without a blank in between",
        ));
    };
    known(name)?;
    match name {
        _ if value.is_empty() => {
            Err(Problem::new(format!("--{name} has no value"), "write it as --name=value"))
        }
        _ if HARMLESS.contains(&name) => Ok(()),
        "volume" => volume(value),
        "env" => env(value),
        "security-opt" => security(value),
        _ => Err(Problem::new(
            format!("--{} is not among the options that are let through", shown(name)),
            "see the page on containers for the list",
        )),
    }
}

fn known(name: &str) -> Parsed<()> {
    if let Some((_, instead)) = OWNED.iter().find(|(owned, _)| *owned == name) {
        return Err(Problem::new(format!("--{name} is pgtwin's to give"), *instead));
    }
    if DANGEROUS.contains(&name) {
        return Err(Problem::new(
            format!("--{name} would open the host to the container"),
            "remove it",
        ));
    }
    Ok(())
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// `/source:/target` with `ro`, `rw`, `z` or `Z` behind it.
fn volume(value: &str) -> Parsed<()> {
    let mut parts = value.split(':');
    let (source, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let modes = parts.next();
    let plain = |path: &str| {
        path.starts_with('/')
            && path.len() > 1
            && path.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != "..")
    };
    if parts.next().is_some() || !plain(source) || !plain(target) {
        return Err(Problem::new(
            "a volume is not a path of the host and a path inside",
            "write it as --volume=/path:/path, or with :ro behind it; both absolute, without . and ..",
        ));
    }
    let known = |mode: &str| ["ro", "rw", "z", "Z"].contains(&mode);
    if modes.is_some_and(|modes| !modes.split(',').all(known)) {
        return Err(Problem::new("a volume has an unknown mode", "write ro, rw, z or Z"));
    }
    let below = |path: &str, dir: &&str| {
        path == *dir || path.strip_prefix(*dir).is_some_and(|rest| rest.starts_with('/'))
    };
    if NEVER.contains(&source) || NEVER_BELOW.iter().any(|dir| below(source, dir)) {
        return Err(Problem::new(
            format!("the volume {source} is one of the system's"),
            "give a directory of this instance's own",
        ));
    }
    if NEVER.contains(&target) || ["/dev", "/proc", "/sys"].iter().any(|dir| below(target, dir)) {
        return Err(Problem::new(
            format!("a volume at {target} would hide what the image needs"),
            "give another path inside",
        ));
    }
    Ok(())
}

/// A variable for the server; none that would run other code in it.
fn env(value: &str) -> Parsed<()> {
    let (name, given) = value.split_once('=').unwrap_or((value, ""));
    let fine = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if !fine || name.is_empty() || given.is_empty() {
        return Err(Problem::new(
            "a variable is not written as NAME=value",
            "write it as --env=NAME=value",
        ));
    }
    let secret = ["PASS", "SECRET", "TOKEN", "KEY"].iter().any(|word| name.contains(word));
    if secret && name != "PGPASSFILE" {
        return Err(Problem::new(
            format!("the variable {name} looks like a secret, and everybody may read it"),
            "put it into a file that only pguser can read",
        ));
    }
    if name.starts_with("LD_") || name == "PATH" || name.starts_with("PGTWIN") {
        return Err(Problem::new(format!("the variable {name} is not let through"), "remove it"));
    }
    Ok(())
}

/// Only labels of SELinux and profiles: nothing that switches a protection off but SELinux's own.
fn security(value: &str) -> Parsed<()> {
    if value.starts_with("label=") || value.starts_with("label:") {
        return Ok(());
    }
    if matches!(value, "no-new-privileges" | "no-new-privileges=true" | "no-new-privileges:true") {
        return Ok(());
    }
    Err(Problem::new(
        "of --security-opt only label=... is let through",
        "remove it; profiles of seccomp and AppArmor are the engine's",
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn what_can_do_no_harm_is_let_through() {
        for text in [
            "--ulimit=nofile=65536 --dns=10.0.0.1",
            "--volume=/srv/archive:/srv/archive --volume=/etc/ssl/pg:/etc/ssl/pg:ro,Z",
            "--env=PGTZ=UTC",
            "--security-opt=label=disable",
            "\"--label=a=b c\"",
            "--volume=/var/lib/pgbackrest:/var/lib/pgbackrest",
            "--tmpfs=/tmp",
        ] {
            assert!(container_opts(text).is_ok(), "{text}");
        }
        assert_eq!(container_opts("'--label=a b' --tz=UTC").unwrap(), ["--label=a b", "--tz=UTC"]);
    }

    #[test]
    fn what_would_undo_the_containers_safety_is_refused() {
        for text in [
            "--privileged",
            "--privileged=true",
            "--pid=host",
            "--pid host",
            "--user=0",
            "-u=0",
            "-v/:/host",
            "--volume=/:/host",
            "--volume=/etc:/x",
            "--volume=//etc:/x",
            "--volume=/srv/../etc:/x",
            "--volume=/srv/:/x",
            "--volume=/var/run/docker.sock:/var/run/docker.sock",
            "--volume=/run/podman/podman.sock:/x",
            "--volume=/root/x:/x",
            "--volume=name:/x",
            "--volume=/srv/x:/usr/lib",
            "--volume=/srv/x:/dev/x",
            "--volume=/srv/x:/x:rw,exec",
            "--mount=type=bind,source=/,target=/x",
            "--name=x",
            "--rm",
            "--rm=true",
            "--entrypoint=/bin/sh",
            "--cap-add=ALL",
            "--cap-drop=NONE",
            "--security-opt=seccomp=unconfined",
            "--security-opt=no-new-privileges=false",
            "--userns=host",
            "--ipc=host",
            "--device=/dev/sda",
            "--volumes-from=x",
            "--restart=always",
            "--network=none",
            "--env-file=/etc/shadow",
            "--env=LD_PRELOAD=/x",
            "--env=POSTGRES_PASSWORD=x",
            "--env=HOME",
            "--hooks-dir=/x",
            "--gpus=all",
            "image",
            "--",
            "--=x",
            "--dns=",
        ] {
            assert!(container_opts(text).is_err(), "{text}");
        }
    }
}
