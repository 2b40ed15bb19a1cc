//! The container engine, through its command: what the lab creates carries a label with the
//! lab's name, so that leftovers of a killed process are found and removed.

use std::thread;
use std::time::{Duration, Instant};

use crate::error::{LabError, Result};
use crate::run::Run;

/// Label with the lab's name, on every container and network.
pub const LABEL: &str = "pgtwin-lab";
/// Label with the process that made it; empty where the lab outlives its process.
pub const OWNER: &str = "pgtwin-lab-owner";

/// A command of the engine.
pub fn docker<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    Run::new("docker").args(args).limit(Duration::from_mins(2))
}

/// A container or network of some lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// Its name.
    pub name: String,
    /// The lab's name.
    pub lab: String,
    /// The process that made it, as `pid:start time`; empty where it was meant to stay.
    pub owner: String,
}

/// All containers of labs, running or not.
pub fn containers() -> Result<Vec<Owned>> {
    let format = format!(r#"{{{{.Names}}}};{{{{.Label "{LABEL}"}}}};{{{{.Label "{OWNER}"}}}}"#);
    let filter = format!("label={LABEL}");
    let list = docker(["ps", "-a", "--filter", &filter, "--format", &format]).check()?.text();
    Ok(parse_owned(&list))
}

/// All networks of labs.
pub fn networks() -> Result<Vec<Owned>> {
    let format = format!(r#"{{{{.Name}}}};{{{{.Label "{LABEL}"}}}};{{{{.Label "{OWNER}"}}}}"#);
    let filter = format!("label={LABEL}");
    let list = docker(["network", "ls", "--filter", &filter, "--format", &format]).check()?.text();
    Ok(parse_owned(&list))
}

fn parse_owned(list: &str) -> Vec<Owned> {
    list.lines()
        .filter_map(|line| {
            let mut fields = line.split(';');
            Some(Owned {
                name: fields.next()?.to_owned(),
                lab: fields.next()?.to_owned(),
                owner: fields.next()?.to_owned(),
            })
        })
        .collect()
}

/// How long a removal may take that somebody else has begun: the engine refuses a second one meanwhile, and a
/// busy disk makes the first one slow.
const TO_VANISH: Duration = Duration::from_mins(1);

/// Removes the containers and networks that `chosen` picks. Others may be at it too, a signal's
/// handler for one: what counts is that nothing is left.
pub fn remove(chosen: impl Fn(&Owned) -> bool) -> Result<()> {
    let mut last = None;
    let end = Instant::now() + TO_VANISH;
    while Instant::now() < end {
        let containers = names(containers()?, &chosen);
        let networks = names(networks()?, &chosen);
        if containers.is_empty() && networks.is_empty() {
            return Ok(());
        }
        for (command, doomed) in [
            (["rm", "--force", "--volumes"].as_slice(), containers),
            (["network", "rm"].as_slice(), networks),
        ] {
            if !doomed.is_empty() {
                let run = docker(command).args(doomed);
                last = run.check().err().or(last);
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err(last.unwrap_or_else(|| LabError::plain("containers appear as fast as they are removed")))
}

fn names(all: Vec<Owned>, chosen: &impl Fn(&Owned) -> bool) -> Vec<String> {
    all.into_iter().filter(|one| chosen(one)).map(|one| one.name).collect()
}

/// How the label of ownership names this process: its id and start time, for ids are reused.
pub fn this_process() -> String {
    let pid = std::process::id();
    format!("{pid}:{}", start_time(pid).unwrap_or_default())
}

/// False where the process named by an ownership label has ended. An empty label never ends.
pub fn owner_lives(owner: &str) -> bool {
    let Some((pid, start)) = owner.split_once(':') else { return true };
    let Ok(pid) = pid.parse() else { return true };
    start_time(pid).is_some_and(|now| now == start)
}

/// Field 22 of /proc/PID/stat: clock ticks since boot.
fn start_time(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_gives_name_lab_and_owner() {
        let owned = parse_owned("lab-a-n1;a;12:345\nlab-b;b;\n");
        let row = |name: &str, lab: &str, owner: &str| Owned {
            name: name.to_owned(),
            lab: lab.to_owned(),
            owner: owner.to_owned(),
        };
        assert_eq!(owned, [row("lab-a-n1", "a", "12:345"), row("lab-b", "b", "")]);
    }

    #[test]
    fn this_process_lives_and_another_with_its_id_does_not() {
        assert!(owner_lives(&this_process()));
        assert!(!owner_lives(&format!("{}:1", std::process::id())));
        assert!(owner_lives(""));
    }
}
