//! The machine: disks, clock, services, permissions. Floor 1.

use super::{Facts, Login, Member, Said, Server, or_ok};
use crate::cluster::known::Known;
use crate::decide::report::bytes;
use crate::decide::wanted::shell_word;

/// Clocks may differ by so much.
const CLOCK_MS: u64 = 2000;
/// Below so many percent a file system is nearly full, and full.
const WARN_PERCENT: u64 = 15;
const FAIL_PERCENT: u64 = 5;

pub(super) fn disk(_: &Facts, member: &Member) -> Vec<Said> {
    let volumes = match &member.host.volumes {
        Known::Known(volumes) => volumes,
        Known::Unknown(why) => {
            return vec![Said::unknown(format!("the room on the disks is not known: {why}"))];
        }
    };
    let mut said = Vec::new();
    for volume in volumes {
        let percent = volume.free.saturating_mul(100) / volume.total.max(1);
        if percent >= WARN_PERCENT {
            continue;
        }
        let verdict = if percent < FAIL_PERCENT { Said::fail } else { Said::warn };
        said.push(
            verdict(format!(
                "{} are free for the {} in {}, {percent} % of its file system: PostgreSQL stops when it \
                 is full",
                bytes(volume.free),
                volume.what,
                volume.path
            ))
            .fix("Make room, or enlarge it; what holds the most:")
            .run(format!("du -xh --max-depth=2 {} | sort -h | tail", shell_word(&volume.path))),
        );
    }
    let all: Vec<String> = volumes
        .iter()
        .map(|volume| format!("{} for the {}", bytes(volume.free), volume.what))
        .collect();
    or_ok(said, format!("free: {}", all.join(", ")))
}

pub(super) fn room_for_copy(facts: &Facts, member: &Member, server: &Server) -> Vec<Said> {
    let volumes = match (&member.host.volumes, &server.database) {
        (Known::Known(volumes), Known::Known(_)) => volumes,
        (Known::Unknown(why), _) | (_, Known::Unknown(why)) => {
            return vec![Said::unknown(format!("the room for a copy is not known: {why}"))];
        }
    };
    let Known::Known(size) = server.database else { return Vec::new() };
    let data = volumes.iter().find(|volume| volume.what == "data");
    match data {
        Some(volume) if volume.free < size => vec![
            Said::warn(format!(
                "{} are free in {}, and the databases are {}: a copy is made beside the old data, so this \
                 node could not be rebuilt",
                bytes(volume.free),
                volume.path,
                bytes(size)
            ))
            .fix(if facts.params.backup_before_basebackup {
                "Enlarge the file system, or remove old backups of the data."
            } else {
                "Enlarge the file system."
            }),
        ],
        Some(volume) => vec![Said::ok(format!(
            "the databases are {}, and {} are free",
            bytes(size),
            bytes(volume.free)
        ))],
        None => vec![Said::unknown("the file system of the data was not found")],
    }
}

pub(super) fn copies(_: &Facts, member: &Member) -> Vec<Said> {
    match &member.host.copies {
        Known::Unknown(why) => {
            vec![Said::unknown(format!(
                "whether old copies of the data lie about is not known: {why}"
            ))]
        }
        Known::Known(copies) => {
            let said = copies.iter().map(|copy| {
                let size = match &copy.bytes {
                    Known::Known(size) => bytes(*size),
                    Known::Unknown(_) => "a lot".to_owned(),
                };
                let dirs: Vec<String> = copy.dirs.iter().map(|dir| shell_word(dir)).collect();
                let dirs = dirs.join(" ");
                Said::warn(format!("an old copy of the data takes {size}: {dirs}"))
                    .fix("When nothing in it is needed any more:")
                    .run(format!("rm -r --one-file-system {dirs}"))
            });
            or_ok(said.collect(), "no old copy of the data lies about")
        }
    }
}

pub(super) fn at_boot(_: &Facts, member: &Member) -> Vec<Said> {
    let said = member.host.at_boot.iter().map(|line| {
        let (words, command) = line.rsplit_once(": ").unwrap_or((line, ""));
        let said = Said::fail(format!(
            "{words}: after a crash an old primary comes up writable beside the new one"
        ));
        let said = said.fix("Pacemaker alone starts it:");
        if command.is_empty() { said } else { said.run(command) }
    });
    or_ok(said.collect(), "nothing but Pacemaker starts PostgreSQL at boot")
}

pub(super) fn remove_ipc(_: &Facts, member: &Member) -> Vec<Said> {
    let ipc = match &member.host.ipc {
        Known::Known(ipc) => ipc,
        Known::Unknown(why) => {
            return vec![
                Said::unknown(format!("what logind does with shared memory is not known: {why}"))
                    .fix("Look:")
                    .run("grep -r RemoveIPC /etc/systemd/logind.conf*"),
            ];
        }
    };
    let user = &ipc.user;
    vec![match (ipc.system_user, ipc.remove) {
        (true, _) => Said::ok(format!("{user} is a system user, whom logind leaves alone")),
        (false, Some(false)) => Said::ok("RemoveIPC is no"),
        (false, set) => {
            let is = if set.is_some() { "is yes" } else { "is not set, and yes by default" };
            Said::fail(format!(
                "RemoveIPC {is}, and {user} is no system user: when somebody logs out as {user}, the \
                 server's shared memory is removed, and it crashes"
            ))
            .fix("Set RemoveIPC=no in the section [Login] of /etc/systemd/logind.conf, then:")
            .run("systemctl restart systemd-logind")
        }
    }]
}

pub(super) fn clock(_: &Facts, member: &Member) -> Vec<Said> {
    let mut said = Vec::new();
    let mut asked = 0;
    for (node, peer) in &member.peers {
        let Login::In(remote) = &peer.postgres else { continue };
        asked += 1;
        let (ahead, within) = remote.clock;
        if ahead.unsigned_abs() > CLOCK_MS.saturating_add(within) {
            let seconds = ahead.unsigned_abs() / 1000;
            let way = if ahead > 0 { "ahead of" } else { "behind" };
            said.push(
                Said::warn(format!(
                    "the clock of {node} is {seconds} s {way} this one: logs and times of recoveries do \
                     not go together"
                ))
                .fix("See on both what keeps the time (chrony, systemd-timesyncd, ntpd):")
                .run("timedatectl"),
            );
        }
    }
    if asked < member.peers.len() {
        said.push(
            Said::unknown("the clock of a member that was not asked is not known")
                .fix("See the check logins."),
        );
    }
    or_ok(said, format!("the clocks agree to {} s", CLOCK_MS / 1000))
}

pub(super) fn programs(facts: &Facts, member: &Member) -> Vec<Said> {
    let said = member.host.programs.iter().map(|words| {
        Said::fail(words.clone()).fix(format!(
            "Install the packages of that version of PostgreSQL, or set pg_bindir of {}.",
            facts.resource
        ))
    });
    or_ok(said.collect(), "PostgreSQL's programs are there, and fit the data")
}

pub(super) fn modes(_: &Facts, member: &Member) -> Vec<Said> {
    match &member.host.modes {
        Known::Unknown(why) => {
            vec![Said::unknown(format!("owners and modes are not known: {why}"))]
        }
        Known::Known(wrong) => {
            let said = wrong
                .iter()
                .map(|(words, command)| Said::fail(words.clone()).fix("Correct it:").run(command));
            or_ok(said.collect(), "directories have the right owners and modes")
        }
    }
}
