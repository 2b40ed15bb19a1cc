//! What the server's pg_hba.conf says, and all that decides with it. Floor 2.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use crate::client::peer;
use crate::client::sql::hba;
use crate::cluster::known::Known;
use crate::decide::pghba::{About, OwnAgent, Role};
use crate::postgres::hba::file::{lines, note_quotes};
use crate::postgres::hba::{Name, Rule, Surroundings};
use crate::runtime::RuntimeError;
use crate::runtime::hba_file::{self, HbaFile};
use crate::sys::deadline::{Deadline, poll_until};
use crate::sys::interfaces;

use super::{OneLine, Postgres};

/// What the server knows of its file, for one user.
#[derive(Clone, Debug)]
pub struct HbaFacts {
    /// Of itself.
    pub about: About,
    /// Of the role.
    pub role: Role,
    /// The lines that may be about the role, or the agent.
    pub rules: Vec<Rule>,
    /// What decides besides them.
    pub around: Surroundings,
    /// Who asks the server here.
    pub agent: OwnAgent,
}

impl Postgres<'_> {
    /// Asks for all of it. `addresses`: from where the role will come; only these have host names.
    pub fn hba_facts(
        &self,
        user: &str,
        addresses: &BTreeSet<IpAddr>,
        deadline: &Deadline,
    ) -> Known<HbaFacts> {
        let agent = self.place().user.name.as_str();
        let asked = self.with_session(|wire, bound| {
            let (about, role, groups) = hba::about(wire, user, agent, bound)?;
            let rules = hba::rules(wire, &[user, agent], bound)?;
            let pairs =
                if about.major >= 16 { pairs(&rules, &[user, agent]) } else { BTreeSet::new() };
            // One that PostgreSQL itself cannot compile leaves the others without an answer.
            let matches = hba::matches(wire, &pairs, bound).unwrap_or_default();
            Ok((about, role, groups, rules, matches))
        });
        let (about, role, mut groups, mut rules, matches) = match asked {
            Ok(asked) => asked,
            Err(why) => return Known::Unknown(why),
        };
        self.note_quotes(&about, &mut rules);
        let host_names = if rules.iter().any(names_a_host) {
            let name =
                |address: &IpAddr| (*address, peer::host_name(self.exec, *address, deadline));
            addresses.iter().map(name).collect()
        } else {
            BTreeMap::new()
        };
        let around = Surroundings {
            major: Known::Known(about.major),
            groups: Known::Known(groups.get(user).cloned().unwrap_or_default()),
            interfaces: Known::from(interfaces::addresses().map_err(OneLine)),
            host_names,
            matches,
        };
        let own = groups.remove(agent).unwrap_or_default();
        let own = Surroundings { groups: Known::Known(own), ..around.clone() };
        let agent = OwnAgent { user: agent.to_owned(), around: own };
        Known::Known(HbaFacts { about, role, rules, around, agent })
    }

    /// The file itself.
    pub fn hba_file(&self, about: &About) -> Result<HbaFile, RuntimeError> {
        hba_file::read(self.place(), Path::new(&about.hba_file))
    }

    /// Makes the server read its configuration again, and sees that it has.
    pub fn reload_and_see(&self, deadline: &Deadline) -> Result<(), String> {
        let before = self.with_session(hba::loaded_at)?;
        self.reload()?;
        let loaded = || {
            // A session that begins now has the rules as well; an older one may be told earlier.
            *self.session.borrow_mut() = None;
            let now = self.with_session(hba::loaded_at).ok()?;
            (now != before).then_some(())
        };
        poll_until(deadline, Duration::from_millis(20), loaded)
            .ok_or_else(|| "PostgreSQL did not read its configuration in time".to_owned())
    }

    /// Which names stand in quotes: the view does not tell. A file that cannot be read tells nothing.
    fn note_quotes(&self, about: &About, rules: &mut [Rule]) {
        let named = rules.iter().map(|rule| rule.file.as_deref().unwrap_or(&about.hba_file));
        let files: BTreeSet<String> = named.map(str::to_owned).collect();
        for file in files {
            let Ok(read) = hba_file::read(self.place(), Path::new(&file)) else { continue };
            let of_it = rules
                .iter_mut()
                .filter(|rule| rule.file.as_deref().unwrap_or(&about.hba_file) == file);
            note_quotes(of_it, &lines(&read.bytes, about.major));
        }
    }
}

/// Expressions with the names that they are compared with.
fn pairs(rules: &[Rule], users: &[&str]) -> BTreeSet<(String, String)> {
    let mut pairs = BTreeSet::new();
    for rule in rules {
        let mut put = |names: &[Name], wanted: &str| {
            let expressions = names.iter().filter_map(Name::expression);
            pairs.extend(expressions.map(|e| (e.to_owned(), wanted.to_owned())));
        };
        for user in users {
            put(&rule.users, user);
        }
        put(&rule.databases, "postgres");
    }
    pairs
}

/// Whether the client's host name counts.
fn names_a_host(rule: &Rule) -> bool {
    let numeric = rule.address.split('%').next().unwrap_or_default();
    !["", "all", "samehost", "samenet"].contains(&rule.address.as_str())
        && numeric.parse::<IpAddr>().is_err()
}
