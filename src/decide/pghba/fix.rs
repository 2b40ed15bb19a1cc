//! Putting the missing lines into pg_hba.conf: in one marked block, in the place where they count, and
//! all else as it was. Floor 1.

mod diff;

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::judge::{entries, own};
use super::{AGENT, Access, Check, Entry, Facts, Need, check, needs, place};
use crate::cluster::node::NodeName;
use crate::postgres::hba::file::{Line, is_open, lines};
use crate::postgres::hba::{self, Name, Rule};

pub use diff::masked;

const BEGIN: &str = "# BEGIN pgtwin: the members of this cluster (pgtwin fix-pghba)";
const END: &str = "# END pgtwin";

/// The block as it is put into a new file: for the logins of `user` from these addresses.
pub fn new_block(user: &str, members: &[(NodeName, String)]) -> String {
    let mut text = format!("{BEGIN}\n");
    for (node, address) in members {
        for database in ["replication", "postgres"] {
            text.push_str(&hba::line(database, user, address));
            text.push_str("  # ");
            text.push_str(node.as_str());
            text.push('\n');
        }
    }
    text + END + "\n\n"
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// All lines that are needed are there.
    Nothing,
    /// It cannot be done, for this reason.
    Refused(String),
    /// This.
    Change(Plan),
}

/// A new text of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// All of it.
    pub text: Vec<u8>,
    /// The lines of the block.
    pub lines: Vec<String>,
    /// What changes, for people.
    pub diff: String,
}

/// The block as it stands in the file: its place, and the lines between its marks.
struct Block {
    from: usize,
    to: usize,
    /// Numbers of its first line and of the first behind it.
    numbers: (u32, u32),
    rules: Vec<Vec<Vec<Name>>>,
    /// The node behind each of these.
    nodes: Vec<String>,
}

/// Plans it. `text` is the file that `facts` tell of.
#[must_use]
pub fn plan(facts: &Facts, text: &[u8]) -> Ruling {
    let found = check(facts);
    if let Some(bad) = found.errors.first() {
        return Ruling::Refused(format!(
            "PostgreSQL cannot read line {} of {} ({}), and would load nothing of it: correct that \
             first",
            bad.line, bad.file, bad.error
        ));
    }
    let all = lines(text, facts.about.major);
    let block = match find(text, &all) {
        Ok(block) => block,
        Err(why) => return Ruling::Refused(format!("{}: {why}", facts.about.hba_file)),
    };
    let inside = |rule: &Rule| {
        let numbers = block.as_ref().map(|block| block.numbers);
        facts.is_of_main(rule) && numbers.is_some_and(|(a, b)| (a..b).contains(&rule.line))
    };
    let others: Vec<Rule> = facts.rules.iter().filter(|rule| !inside(rule)).cloned().collect();
    let without = entries(facts, &others);
    let lacking = needs(&without, &own(facts, &others));
    let wanted = wanted(facts, &without, lacking.clone(), block.as_ref());
    let line = |need: &Need| format!("{}  # {}", facts.line(need), need.node);
    let new: Vec<String> = wanted.iter().map(line).collect();
    let from = place(facts, &others, &lacking).map(|at| start_of(facts, &others, at, &all));
    let change = Change { text, block: block.as_ref(), new: &new, before: from, facts, all: &all };
    let text_after = change.text();
    if text_after == text {
        return Ruling::Nothing;
    }
    let diff = diff::unified(&facts.about.hba_file, text, &text_after);
    Ruling::Change(Plan { text: text_after, lines: new, diff })
}

/// What the block is to hold: what an address lacks without it, and what it holds already for an address
/// that is still a member's.
fn wanted(
    facts: &Facts,
    without: &[Entry],
    mut wanted: Vec<Need>,
    block: Option<&Block>,
) -> Vec<Need> {
    let Some(block) = block else { return wanted };
    let unresolved: BTreeSet<&str> = without
        .iter()
        .filter(|entry| entry.address.is_none())
        .map(|entry| entry.node.as_str())
        .collect();
    for (fields, node) in block.rules.iter().zip(&block.nodes) {
        let Some((address, replication, postgres)) = ours(fields, facts) else { continue };
        let owner = without.iter().find(|entry| entry.address == address);
        let node = match owner {
            _ if address.is_none() => AGENT.to_owned(),
            Some(entry) => entry.node.clone(),
            None if unresolved.contains(node.as_str()) => node.clone(),
            None => continue,
        };
        match wanted.iter_mut().find(|need| need.address == address) {
            Some(need) => {
                need.replication |= replication;
                need.postgres |= postgres;
            }
            None => wanted.push(Need { node, address, replication, postgres }),
        }
    }
    // The agent first, then in the order of the members, whichever came first.
    let order = |need: &Need| without.iter().position(|entry| entry.node == need.node);
    wanted.sort_by_key(|need| (order(need), need.address));
    wanted
}

/// A line as the block has it: its address (none: the socket), and for which of the two it lets in.
fn ours(fields: &[Vec<Name>], facts: &Facts) -> Option<(Option<IpAddr>, bool, bool)> {
    let [kind, databases, users, address, ..] = fields else { return None };
    let [name] = users.as_slice() else { return None };
    let [address] = address.as_slice() else { return None };
    let has = |database: &str| databases.iter().any(|name| *name == database);
    let lets_in = (has("replication"), has("postgres"));
    if is_local(kind) {
        // What stands there is the method.
        let ours = name.text == facts.agent.user && address.text == "peer";
        return ours.then_some((None, lets_in.0, lets_in.1));
    }
    let (address, bits) = address.text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let whole = if address.is_ipv4() { "32" } else { "128" };
    let ours = name.text == facts.user && bits == whole;
    ours.then_some((Some(address), lets_in.0, lets_in.1))
}

fn is_local(kind: &[Name]) -> bool {
    matches!(kind, [name] if *name == "local")
}

/// Where the rule's line begins, or the line that includes its file.
fn start_of(facts: &Facts, rules: &[Rule], at: usize, all: &[Line]) -> usize {
    let of_main = |rule: &&Rule| facts.is_of_main(rule);
    let begins = |number: u32| all.iter().find(|line| line.number == number).map(|l| l.start);
    match rules.get(at) {
        Some(rule) if facts.is_of_main(rule) => begins(rule.line).unwrap_or(0),
        _ => {
            let before = rules.iter().take(at).rfind(of_main).map_or(0, |rule| rule.line);
            let mut behind = all.iter().filter(|line| line.number > before);
            behind.find(|line| line.include().is_some()).map_or(0, |line| line.start)
        }
    }
}

struct Change<'a> {
    text: &'a [u8],
    block: Option<&'a Block>,
    new: &'a [String],
    before: Option<usize>,
    facts: &'a Facts,
    all: &'a [Line],
}

impl Change<'_> {
    fn text(&self) -> Vec<u8> {
        // As the block's own lines end, and else as the file's first does.
        let begin = self.block.map(|block| block.from);
        let model = self.all.iter().find(|line| begin.is_none_or(|from| line.start == from));
        let crlf = model.is_some_and(|line| {
            self.text.get(line.start..line.end).is_some_and(|line| line.ends_with(b"\r\n"))
        });
        let eol: &[u8] = if crlf { b"\r\n" } else { b"\n" };
        let mut block = Vec::new();
        if !self.new.is_empty() {
            for line in [BEGIN].into_iter().chain(self.new.iter().map(String::as_str)).chain([END])
            {
                block.extend_from_slice(line.as_bytes());
                block.extend_from_slice(eol);
            }
        }
        let (from, to) =
            self.block.map_or((usize::MAX, usize::MAX), |block| (block.from, block.to));
        // A block that stands early enough stays where it is.
        let at = match self.before {
            None => from.min(self.text.len()),
            Some(before) => before.min(from),
        };
        let mut text = Vec::with_capacity(self.text.len() + block.len() + 4);
        let part = |a: usize, b: usize| self.text.get(a..b.max(a)).unwrap_or_default();
        text.extend_from_slice(part(0, at));
        if !block.is_empty() && at == self.text.len() {
            self.end_line(&mut text, eol);
        }
        text.extend_from_slice(&block);
        let end = self.text.len();
        if at >= from {
            text.extend_from_slice(part(to.min(end), end));
        } else {
            text.extend_from_slice(part(at, from.min(end)));
            text.extend_from_slice(part(to.min(end), end));
        }
        text
    }

    /// Ends the last line, so that nothing continues it.
    fn end_line(&self, text: &mut Vec<u8>, eol: &[u8]) {
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.extend_from_slice(eol);
        }
        if is_open(text, self.facts.about.major) {
            text.extend_from_slice(eol);
        }
    }
}

/// The block, if there is one.
fn find(text: &[u8], all: &[Line]) -> Result<Option<Block>, String> {
    let written = |line: &Line| {
        let bytes = text.get(line.start..line.end).unwrap_or_default();
        String::from_utf8_lossy(bytes).trim().to_owned()
    };
    let mut block: Option<Block> = None;
    let mut open = false;
    for line in all {
        let words = written(line);
        if words.starts_with("# BEGIN pgtwin") {
            if block.is_some() {
                return Err(format!(
                    "line {} begins a second block of pgtwin's: remove one of them with its marks",
                    line.number
                ));
            }
            let numbers = (line.number, line.number);
            let (rules, nodes) = (Vec::new(), Vec::new());
            block = Some(Block { from: line.start, to: line.end, numbers, rules, nodes });
            open = true;
        } else if words.starts_with(END) {
            let Some(block) = block.as_mut().filter(|_| open) else {
                return Err(format!(
                    "line {} ends a block of pgtwin's that does not begin: remove it",
                    line.number
                ));
            };
            (block.to, block.numbers.1) = (line.end, line.number);
            open = false;
        } else if let Some(block) = block.as_mut().filter(|_| open && !line.fields.is_empty()) {
            block.rules.push(line.fields.clone());
            let node = words.rsplit_once("# ").map_or("", |(_, node)| node);
            block.nodes.push(node.trim().to_owned());
        }
    }
    match block {
        Some(block) if open => Err(format!(
            "line {} begins a block of pgtwin's that does not end: remove the mark, or write \"{END}\" \
             behind its last line",
            block.numbers.0
        )),
        other => Ok(other),
    }
}

/// Whether the file that was written is what was planned: its check, or what is wrong with it.
pub fn verify(before: &Facts, after: &Facts, plan: &Plan) -> Result<Check, String> {
    let check = check(after);
    if let Some(bad) = check.errors.first() {
        return Err(format!("PostgreSQL cannot read line {} of it: {}", bad.line, bad.error));
    }
    for (login, verdict) in check.agent.logins() {
        if verdict.lacks_line {
            return Err(format!("{AGENT} would still be kept out of {login}: {}", verdict.why));
        }
    }
    let needy = check.members.iter().find(|entry| {
        entry.address.is_some() && (entry.replication.lacks_line || entry.pg_rewind.lacks_line)
    });
    if let Some(entry) = needy {
        let verdict = if entry.replication.access == Access::Yes {
            &entry.pg_rewind
        } else {
            &entry.replication
        };
        return Err(format!("{} would still be kept out: {}", entry.node, verdict.why));
    }
    // What others wrote is there as it was, in its order.
    let foreign = |facts: &Facts| -> Vec<Rule> {
        let ours = |rule: &Rule| {
            let mut lines = plan.lines.iter().map(|line| lines(line.as_bytes(), 13));
            facts.is_of_main(rule) && lines.any(|line| line.first().is_some_and(|l| same(rule, l)))
        };
        let kept = facts.rules.iter().filter(|rule| !ours(rule)).cloned();
        kept.map(|rule| Rule { line: 0, ..rule }).collect()
    };
    let (old, new) = (foreign(before), foreign(after));
    let mut old = old.iter();
    if !new.iter().all(|rule| old.any(|before| before == rule)) {
        return Err("other lines mean something else than before".to_owned());
    }
    Ok(check)
}

fn same(rule: &Rule, line: &Line) -> bool {
    let [kind, databases, users, address, ..] = line.fields.as_slice() else { return false };
    let first = |field: &[Name]| field.first().map_or(String::new(), |name| name.text.clone());
    let texts = |names: &[Name]| names.iter().map(|name| name.text.clone()).collect::<Vec<_>>();
    rule.kind == first(kind)
        && texts(&rule.databases) == texts(databases)
        && texts(&rule.users) == texts(users)
        && (is_local(kind) || first(address).split('/').next() == Some(rule.address.as_str()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
