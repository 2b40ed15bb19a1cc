//! What a process has started and left behind, found without trusting its number. Floor 2.
//!
//! A process that made a session and is gone cannot be asked for its children any more. They are
//! still in its session, but so may be strangers: the kernel gives the number out again once the
//! session is empty. So a child of ours carries a tag in the environment that it was started with,
//! which its own children get as well, and both must fit. What clears its environment, or makes a
//! session of its own (a postmaster does), is not found here.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::identity::pin;
use super::{Found, Identity, Process, Proven, all_pids, is_of, process, stat};
use crate::sys::chain;
use crate::sys::files::read_untrusted_bytes;
use crate::sys::freezer::is_frozen;

/// The largest environment that is looked through.
const LARGEST: u64 = 1 << 20;

/// Whose descendants are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Kin<'a> {
    /// The session: the number of the process that made it.
    pub session: i32,
    /// Whom they run as.
    pub uids: &'a [u32],
    /// The variable of their environment.
    pub tag: (&'a str, &'a str),
}

/// All living processes that are proven to be such descendants. The one that made the session is not
/// among them.
pub fn find_kin(kin: &Kin<'_>) -> Found {
    let mut found = Found::default();
    let pids = match all_pids() {
        Ok(pids) => pids,
        Err(e) => {
            found.unknown.push(format!("list of processes in /proc: {e}"));
            return found;
        }
    };
    for pid in pids.into_iter().filter(|pid| *pid != kin.session) {
        match stat(pid) {
            Ok(Some(stat)) if stat.session == kin.session => {}
            Ok(_) => continue,
            Err(why) => {
                found.unknown.push(why);
                continue;
            }
        }
        match proven(pid, kin) {
            Identity::Proven(proven) => found.proven.push(proven),
            Identity::Other(_) | Identity::Gone => {}
            Identity::Unknown(why) => found.unknown.push(why),
        }
    }
    found
}

/// What is in PID namespaces of its own and was started by a call of ours that may be gone: processes in
/// containers, whose session and parent say nothing.
#[derive(Clone, Copy, Debug)]
pub struct Strays<'a> {
    /// Whom they run as.
    pub uid: u32,
    /// A variable of their environment.
    pub name: &'a str,
    /// How its value begins.
    pub begins: &'a str,
}

/// All such processes whose value of the variable, behind its beginning, is one that `wanted` names.
pub fn find_strays(strays: &Strays<'_>, wanted: &dyn Fn(&str) -> bool) -> Found {
    let mut found = Found::default();
    let pids = match all_pids() {
        Ok(pids) => pids,
        Err(e) => {
            found.unknown.push(format!("list of processes in /proc: {e}"));
            return found;
        }
    };
    for pid in pids {
        match is_of(pid, strays.uid) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(why) => {
                found.unknown.push(why);
                continue;
            }
        }
        match stray(pid, strays, wanted) {
            Identity::Proven(proven) => found.proven.push(proven),
            Identity::Other(_) | Identity::Gone => {}
            Identity::Unknown(why) => found.unknown.push(why),
        }
    }
    found
}

fn stray(pid: i32, strays: &Strays<'_>, wanted: &dyn Fn(&str) -> bool) -> Identity {
    let pinned = match pin(pid) {
        Ok(pinned) => pinned,
        Err(answer) => return answer,
    };
    if !pinned.facts().is_contained() {
        return Identity::Other(format!("pid {pid} is in no container"));
    }
    let tagged = environment_inside(pid).map(|environment| {
        let value = environment.split(|b| *b == 0).find_map(|variable| {
            let text = std::str::from_utf8(variable).ok()?;
            text.strip_prefix(strays.name)?.strip_prefix('=')?.strip_prefix(strays.begins)
        });
        value.is_some_and(wanted)
    });
    match pinned.ended_within(Duration::ZERO) {
        Ok(false) => judged(pinned, tagged),
        Ok(true) => Identity::Gone,
        Err(e) => Identity::Unknown(chain(&e)),
    }
}

fn proven(pid: i32, kin: &Kin<'_>) -> Identity {
    let pinned = match pin(pid) {
        Ok(pinned) => pinned,
        Err(answer) => return answer,
    };
    let facts = pinned.facts();
    if facts.session != kin.session || facts.uid != facts.euid || !kin.uids.contains(&facts.uid) {
        return Identity::Other(format!("pid {pid} is in another session, or somebody else's"));
    }
    let tagged = is_tagged(pid, kin.tag);
    // Still there: then what was read is of the process that is pinned.
    match pinned.ended_within(Duration::ZERO) {
        Ok(false) => judged(pinned, tagged),
        Ok(true) => Identity::Gone,
        Err(e) => Identity::Unknown(chain(&e)),
    }
}

fn judged(pinned: Proven, tagged: Result<bool, String>) -> Identity {
    match tagged {
        Ok(true) => Identity::Proven(pinned),
        Ok(false) => Identity::Other(format!("pid {} has no tag", pinned.facts().pid)),
        Err(why) => Identity::Unknown(why),
    }
}

/// Whether the process was started with this variable.
fn is_tagged(pid: i32, tag: (&str, &str)) -> Result<bool, String> {
    Ok(has(&environment(pid)?, tag))
}

/// What it was started with; nothing of one that is gone.
fn environment(pid: i32) -> Result<Vec<u8>, String> {
    // The kernel reads it through the process's memory map, and waits with a process that hangs while
    // it holds that one. A process that is not in the kernel at this moment does not.
    match process(pid) {
        Process::Present(facts) if facts.state == 'D' => {
            return Err(format!("pid {pid} waits for a disk: it cannot be told whose it is"));
        }
        Process::Present(_) => {}
        Process::Gone => return Ok(Vec::new()),
        Process::Unknown(why) => return Err(why),
    }
    read_environment(pid)
}

/// The same of a process in a container. What is frozen looks like one that waits for a disk, and holds
/// nothing. Of others that wait, as those of a busy server do, the first process of the container tells: it
/// does nothing but wait for the others.
fn environment_inside(pid: i32) -> Result<Vec<u8>, String> {
    if is_frozen(pid) {
        return read_environment(pid);
    }
    environment(pid).or_else(|why| environment_of_first(pid).ok_or(why))
}

/// What the container of a process was started with. Nobody of us enters one later.
fn environment_of_first(pid: i32) -> Option<Vec<u8>> {
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = namespace(pid)?;
    let is_first = |one: &i32| {
        namespace(*one).as_ref() == Some(&own)
            && matches!(process(*one), Process::Present(facts) if facts.inner_pid == 1)
    };
    let first = all_pids().ok()?.into_iter().find(is_first)?;
    let environment = environment(first).ok()?;
    // Still the same one, and not about to end, when it would have none.
    (namespace(first) == Some(own) && !environment.is_empty()).then_some(environment)
}

fn read_environment(pid: i32) -> Result<Vec<u8>, String> {
    let path = PathBuf::from(format!("/proc/{pid}/environ"));
    match read_untrusted_bytes(&path, LARGEST) {
        Ok(environment) => Ok(environment),
        Err(_) if process(pid) == Process::Gone => Ok(Vec::new()),
        Err(e) => Err(chain(&e)),
    }
}

/// Whether this is among the variables, each of which ends with a NUL.
fn has(environment: &[u8], (name, value): (&str, &str)) -> bool {
    let wanted = format!("{name}={value}");
    environment.split(|b| *b == 0).any(|variable| variable == wanted.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_whole_variable() {
        let environment = b"A=1\0TAG=b.7.99\0B=TAG=x\0LAST=cut";
        for (tag, there) in [
            (("TAG", "b.7.99"), true),
            (("A", "1"), true),
            (("LAST", "cut"), true),
            (("TAG", "b.7.9"), false),
            (("TAG", "b.7.999"), false),
            (("AG", "b.7.99"), false),
            (("TAG", "x"), false),
            (("", ""), false),
        ] {
            assert_eq!(has(environment, tag), there, "{tag:?}");
        }
        assert!(!has(b"", ("TAG", "x")));
    }
}
