//! Whether data may be moved into the storage, and how. Floor 1.
//!
//! Nothing is moved but what was shut down in order and does not run; and nothing that could not be put
//! back. What a copy would not keep is refused with its name.

use std::fmt;

use crate::cluster::cib::{Setting, truth};
use crate::cluster::known::Known;
use crate::cluster::migration::{Method, Record, Stage};
use crate::cluster::node::NodeName;
use crate::decide::facts::{DataDir, Process};
use crate::decide::report::bytes;
use crate::decide::view::View;

use super::Form;

/// File systems on which files can share blocks.
const SHARING: [&str; 4] = ["btrfs", "xfs", "bcachefs", "ocfs2"];
/// Of a copy: one part in so many more than the files, for the file system's own.
const MORE: u64 = 50;
/// And so much at least stays free.
const LEAST: u64 = 64 << 20;
/// So many odd files are named.
const SHOWN: usize = 8;

/// What is in the old data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its path below the data directory.
    pub path: &'a str,
    /// What it is.
    pub what: What<'a>,
    /// Whose.
    pub uid: u32,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// A file or a directory of the same file system.
    Plain,
    /// A directory that is a subvolume, or that something is mounted at.
    Apart,
    /// A symbolic link with this text.
    Link(&'a str),
    /// A socket, a FIFO or a device.
    Special,
}

/// Why a copy would not keep an entry; none: it does.
pub fn not_kept(entry: &Entry<'_>, from: &str, uid: u32) -> Option<String> {
    let Entry { path, what, uid: owner } = entry;
    match what {
        What::Special => Some(format!("{path} is a socket, a FIFO or a device: remove it")),
        What::Apart => Some(format!(
            "{path} is a file system or a subvolume of its own: move it elsewhere, and make a symbolic link \
             to it"
        )),
        What::Link(to) if to.contains('\n') => {
            Some(format!("{path} is an odd symbolic link: remove it"))
        }
        What::Link(to) if is_below(to, from) => Some(format!(
            "{path} is a symbolic link to {to}, which is in the data directory that would be removed: make \
             it a relative one, or move what it leads to elsewhere"
        )),
        What::Link(to) if !to.starts_with('/') && leaves(path, to) => Some(format!(
            "{path} is a symbolic link to {to}, which leads elsewhere from another place: make it an \
             absolute one"
        )),
        What::Plain if *owner != uid => Some(format!(
            "{path} belongs to uid {owner}, and would be {uid}'s: chown it, or move it out of the data \
             directory"
        )),
        What::Link(_) | What::Plain => None,
    }
}

fn is_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a relative link leads out of the data directory, on its way or at its end.
fn leaves(path: &str, to: &str) -> bool {
    let mut depth = path.matches('/').count();
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where the data is; its real path.
    pub from: String,
    /// Where it goes.
    pub to: String,
    /// A move that was begun; unknown: its record cannot be read.
    pub record: Known<Option<Record>>,
    /// What runs at the old place.
    pub process: Process,
    /// What runs at the new one.
    pub process_there: Process,
    /// What is at the old place.
    pub data: DataDir,
    /// What is at the new one.
    pub data_there: DataDir,
    /// What a copy would not keep.
    pub not_kept: Vec<String>,
    /// Bytes of all files; none where the data was not looked through.
    pub bytes: Option<u64>,
    /// Bytes of those that are there from a copy that was cut off.
    pub bytes_there: u64,
    /// Bytes that the PostgreSQL user may write at the new place.
    pub free: Known<u64>,
    /// Whether both are on one file system.
    pub same_filesystem: Known<bool>,
    /// The type of that at the new place.
    pub kind: String,
    /// What the old data directory is.
    pub form: Known<Form>,
    /// Why Pacemaker may start it at any moment; none: it does not.
    pub may_start: Option<String>,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How.
    pub method: Method,
    /// The database system.
    pub system_id: u64,
    /// A move that was begun is finished.
    pub goes_on: bool,
    /// In words, one line each.
    pub steps: Vec<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It is done.
    Done(Record),
    /// Everything that stands against it.
    Refused(Vec<String>),
    /// It may be done.
    Possible(Plan),
}

/// Whether it may be moved.
#[must_use]
pub fn judge(facts: &Facts) -> Ruling {
    let record = match &facts.record {
        Known::Known(record) => record.as_ref(),
        Known::Unknown(why) => return Ruling::Refused(vec![why.clone()]),
    };
    let mut against = Vec::new();
    if let Some(record) = record {
        if record.from != facts.from {
            return Ruling::Refused(vec![format!(
                "a move from {} was begun and not finished: finish it, or take it back (--undo)",
                record.from
            )]);
        }
        match record.stage {
            Stage::Moved | Stage::Removing => return Ruling::Done(record.clone()),
            Stage::Making | Stage::Switching => {}
        }
    }
    if is_below(&facts.to, &facts.from) || is_below(&facts.from, &facts.to) {
        against.push(format!("{} and {} lie in one another", facts.from, facts.to));
    }
    against.extend(facts.may_start.clone());
    for (at, process) in [(&facts.from, &facts.process), (&facts.to, &facts.process_there)] {
        if *process != Process::None {
            against.push(format!("PostgreSQL in {at} has to be stopped: {process}"));
        }
    }
    let switching = record.is_some_and(|record| record.stage == Stage::Switching);
    let mut system_id = record.map(|record| record.system_id);
    match &facts.data {
        DataDir::Cluster(control) if !control.state.is_clean() => against.push(format!(
            "the data in {} was not shut down in order (it is {}): start PostgreSQL and stop it",
            facts.from, control.state
        )),
        DataDir::Cluster(control) if system_id.is_some_and(|id| id != control.system_id) => {
            against.push(format!(
                "{} is another database than the one whose move was begun: take that back (--undo)",
                facts.from
            ));
        }
        DataDir::Cluster(control) => system_id = Some(control.system_id),
        // Put out of use already.
        DataDir::Absent | DataDir::Unusable(_) if switching => {}
        DataDir::Absent | DataDir::Empty => {
            against.push(format!("there is no database in {}: name it by --from", facts.from));
        }
        DataDir::Unusable(why) | DataDir::Unknown(why) => against.push(why.clone()),
    }
    match &facts.data_there {
        DataDir::Absent | DataDir::Empty => {}
        DataDir::Cluster(_) if switching => {}
        DataDir::Cluster(_) => against.push(format!(
            "{} has a database already, which is not replaced: move it away",
            facts.to
        )),
        DataDir::Unusable(why) | DataDir::Unknown(why) => against.push(why.clone()),
    }
    let odd = facts.not_kept.iter().take(SHOWN).map(|why| format!("{}/{why}", facts.from));
    against.extend(odd);
    if let Some(more) = facts.not_kept.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        against.push(format!("and {more} more in {}", facts.from));
    }
    let method = match (record, method(facts)) {
        (Some(record), _) => record.method,
        (None, Ok(method)) => method,
        (None, Err(why)) => {
            against.push(why);
            Method::Copy
        }
    };
    if let (Method::Copy, Some(bytes)) = (method, facts.bytes) {
        against.extend(no_room(facts, bytes.saturating_sub(facts.bytes_there)));
    }
    match system_id {
        Some(system_id) if against.is_empty() => Ruling::Possible(Plan {
            method,
            system_id,
            goes_on: record.is_some(),
            steps: steps(facts, method, switching),
        }),
        Some(_) | None => Ruling::Refused(against),
    }
}

fn method(facts: &Facts) -> Result<Method, String> {
    let shares = SHARING.contains(&facts.kind.as_str());
    match (&facts.same_filesystem, &facts.form) {
        (Known::Unknown(why), _) | (_, Known::Unknown(why)) => Err(why.clone()),
        (Known::Known(true), Known::Known(Form::Subvolume)) if facts.kind == "btrfs" => {
            Ok(Method::Snapshot)
        }
        (Known::Known(true), Known::Known(_)) if shares => Ok(Method::Reflink),
        (Known::Known(true | false), Known::Known(_)) => Ok(Method::Copy),
    }
}

fn no_room(facts: &Facts, needed: u64) -> Option<String> {
    let needed = needed.saturating_add(needed / MORE).saturating_add(LEAST);
    match facts.free {
        Known::Known(free) if free >= needed => None,
        Known::Known(free) => Some(format!(
            "{} has {} free, and the copy takes {}: make room",
            facts.to,
            bytes(free),
            bytes(needed)
        )),
        Known::Unknown(ref why) => Some(format!("how much is free is not known: {why}")),
    }
}

fn steps(facts: &Facts, method: Method, switching: bool) -> Vec<String> {
    let Facts { from, to, .. } = facts;
    let size = facts.bytes.map(|count| format!(", {}", bytes(count))).unwrap_or_default();
    let mut steps = Vec::new();
    if !switching {
        steps.push(match method {
            Method::Snapshot => format!("a snapshot of the subvolume {from}{size}"),
            Method::Reflink => format!("files that share their blocks with those of {from}{size}"),
            Method::Copy => format!("a copy of all files of {from}{size}"),
        });
        steps.push(match method {
            Method::Snapshot | Method::Reflink => {
                "it is verified: names, sizes, pg_controldata".to_owned()
            }
            Method::Copy => {
                "it is verified: names, sizes, pg_controldata, and the content of each file"
                    .to_owned()
            }
        });
    }
    steps.push(format!("{from} is put out of use: global/pg_control is renamed to pg_control.old"));
    steps.push(format!("the new data comes to {to}; the old is left until --confirm"));
    steps
}

/// Why Pacemaker may start the resource on this node at any moment.
pub fn may_start(view: &View, me: &NodeName) -> Option<String> {
    let node = view.status.node(me)?;
    let idle =
        !node.online || node.standby || node.maintenance || view.status.options.maintenance_mode;
    let primitive = view.cib.primitive(&view.resource)?;
    let clone = primitive.clone.as_ref();
    let meta = |name: &str| {
        let all = [primitive.meta.get(name), clone.and_then(|clone| clone.meta.get(name))];
        all.into_iter().flatten().find_map(|setting| match setting {
            Setting::Set(value) => Some(value.clone()),
            Setting::Conditional => None,
        })
    };
    let stopped = meta("target-role").is_some_and(|role| role.eq_ignore_ascii_case("stopped"));
    let unmanaged = meta("is-managed").is_some_and(|text| truth(&text) == Some(false));
    let which = clone.map_or(primitive.id.as_str(), |clone| clone.id.as_str());
    (!idle && !stopped && !unmanaged).then(|| {
        format!(
            "Pacemaker may start {} on {me} at any moment: stop it first (pcs resource disable {which}, or \
             crm resource stop {which}), or put the node into standby",
            view.resource
        )
    })
}

/// What was seen of data that was moved, when the old is to be removed.
#[derive(Clone, Debug)]
pub struct After {
    /// The record; unknown: it cannot be read.
    pub record: Known<Option<Record>>,
    /// Where the data went.
    pub to: String,
    /// The data directory that the parameters name.
    pub in_use: String,
    /// What is there.
    pub data: DataDir,
    /// What runs at the old place.
    pub process: Process,
    /// The inode of the old directory; none: it is gone.
    pub inode: Known<Option<u64>>,
    /// The system identifier in the control file that was put out of use; none: that is gone.
    pub old_system: Known<Option<u64>>,
    /// Something is at its place as the control file.
    pub old_is_in_use: Known<bool>,
}

/// Why the old data is not removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRemoved(pub String);

impl fmt::Display for NotRemoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the old data may be removed: it is what was moved, and the new is what is used.
pub fn may_remove(after: &After) -> Result<Record, NotRemoved> {
    let no = |why: String| Err(NotRemoved(why));
    let record = match &after.record {
        Known::Unknown(why) => return no(why.clone()),
        Known::Known(None) => {
            return no("no data was moved here: nothing is to be removed".to_owned());
        }
        Known::Known(Some(record)) => record,
    };
    match record.stage {
        Stage::Moved | Stage::Removing => {}
        Stage::Making | Stage::Switching => {
            return no(format!(
                "the move from {} is not finished: pgtwin storage migrate goes on with it",
                record.from
            ));
        }
    }
    if after.in_use != after.to {
        return no(format!(
            "pgdata={} is what is used, and not {}: remove pgdata from the resource's parameters first",
            after.in_use, after.to
        ));
    }
    match &after.data {
        DataDir::Cluster(control) if control.system_id == record.system_id => {}
        DataDir::Cluster(_) => return no(format!("{} is another database", after.to)),
        DataDir::Absent | DataDir::Empty => {
            return no(format!("there is no database in {}", after.to));
        }
        DataDir::Unusable(why) | DataDir::Unknown(why) => return no(why.clone()),
    }
    if after.process != Process::None {
        return no(format!("PostgreSQL in {}: {}", record.from, after.process));
    }
    let inode = match &after.inode {
        Known::Unknown(why) => return no(why.clone()),
        // It is gone: what is left is the record.
        Known::Known(None) => return Ok(record.clone()),
        Known::Known(Some(inode)) => *inode,
    };
    if inode != record.inode {
        return no(format!("{} is another directory than was moved: it stays", record.from));
    }
    match (record.stage, &after.old_system, &after.old_is_in_use) {
        (_, _, Known::Unknown(why)) | (_, Known::Unknown(why), _) => no(why.clone()),
        (_, _, Known::Known(true)) => no(format!(
            "{} was put to use again (it has a global/pg_control): it stays",
            record.from
        )),
        (_, Known::Known(Some(id)), _) if *id != record.system_id => {
            no(format!("{} is of another database than was moved: it stays", record.from))
        }
        (Stage::Removing, Known::Known(_), _) | (_, Known::Known(Some(_)), _) => Ok(record.clone()),
        (_, Known::Known(None), _) => no(format!(
            "{} has no global/pg_control.old, by which the moved data is known: it stays",
            record.from
        )),
    }
}

#[cfg(test)]
mod tests;
