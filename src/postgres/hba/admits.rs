//! Which line of pg_hba.conf decides over a login: the first that fits, as in PostgreSQL's own
//! `check_hba`. What the lines alone do not tell is in [`Surroundings`]; what is not known there leaves
//! the verdict open. Floor 0.
//!
//! Source: PostgreSQL's `src/backend/libpq/hba.c`, versions 13 to 18.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Name, Rule};
use crate::cluster::known::Known;

/// What a login is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// Physical replication.
    Replication,
    /// A database of this name, with SQL or for logical replication.
    Database(&'a str),
}

impl Target<'static> {
    /// What pg_rewind logs in to.
    pub const POSTGRES: Self = Self::Database("postgres");
}

/// How a connection over TCP is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Not at all.
    Plain,
    /// By TLS.
    Tls,
    /// By GSSAPI.
    Gss,
    /// That is not known.
    Unknown,
}

/// Where a login comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The server's unix socket.
    Socket,
    /// This address, as the server sees it.
    Tcp(IpAddr, Channel),
}

/// A login.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// What for.
    pub target: Target<'a>,
    /// As whom.
    pub user: &'a str,
    /// From where.
    pub origin: Origin,
}

/// What decides besides the lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The server's major version.
    pub major: Known<u32>,
    /// The roles that the user is a member of, directly or not: itself too, if it exists.
    pub groups: Known<BTreeSet<String>>,
    /// The server's own addresses, each with its mask.
    pub interfaces: Known<Vec<(IpAddr, IpAddr)>>,
    /// The host name of an address, if that name leads back to the address.
    pub host_names: BTreeMap<IpAddr, Known<Option<String>>>,
    /// Whether an expression matches a name, by (expression, name).
    pub matches: BTreeMap<(String, String), bool>,
}

impl Surroundings {
    /// Nothing is known, for this reason.
    pub fn unknown(why: &str) -> Self {
        Self {
            major: Known::unknown(why),
            groups: Known::unknown(why),
            interfaces: Known::unknown(why),
            host_names: BTreeMap::new(),
            matches: BTreeMap::new(),
        }
    }
}

/// What the first line that fits says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission<'a> {
    /// This line lets the user in, if its method does.
    In(&'a Rule),
    /// Whether this line fits is not known, and it matters.
    Perhaps(&'a Rule),
    /// This line rejects the user.
    Rejected(&'a Rule),
    /// No line fits.
    NoLine,
}

/// How a line goes together with a login.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fits {
    No,
    Perhaps,
    Yes,
}

/// Judges the lines in their order.
pub fn admits<'a>(
    rules: &'a [Rule],
    attempt: &Attempt<'_>,
    around: &Surroundings,
) -> Admission<'a> {
    let mut unsure: Option<&Rule> = None;
    let (mut perhaps_in, mut perhaps_rejected) = (false, false);
    for rule in rules.iter().filter(|rule| rule.error.is_none()) {
        match rule.fits(attempt, around) {
            Fits::No => {}
            Fits::Perhaps => {
                unsure = unsure.or(Some(rule));
                perhaps_in |= !rule.rejects();
                perhaps_rejected |= rule.rejects();
            }
            Fits::Yes => {
                let open = if rule.rejects() { perhaps_in } else { perhaps_rejected };
                return match (unsure.filter(|_| open), rule.rejects()) {
                    (Some(first), _) => Admission::Perhaps(first),
                    (None, true) => Admission::Rejected(rule),
                    (None, false) => Admission::In(rule),
                };
            }
        }
    }
    match unsure.filter(|_| perhaps_in) {
        Some(first) => Admission::Perhaps(first),
        None => Admission::NoLine,
    }
}

/// Which line is the first that fits, or may: what a new line has to stand before.
pub fn first_that_may_fit(
    rules: &[Rule],
    attempt: &Attempt<'_>,
    around: &Surroundings,
) -> Option<usize> {
    let may = |rule: &Rule| rule.error.is_none() && rule.fits(attempt, around) != Fits::No;
    rules.iter().position(may)
}

fn sure(fits: bool) -> Fits {
    if fits { Fits::Yes } else { Fits::No }
}

fn any<T>(list: impl IntoIterator<Item = T>, fits: impl Fn(T) -> Fits) -> Fits {
    list.into_iter().map(fits).max().unwrap_or(Fits::No)
}

impl Rule {
    fn fits(&self, attempt: &Attempt<'_>, around: &Surroundings) -> Fits {
        self.origin_fits(attempt.origin, around)
            .min(any(&self.databases, |name| database_fits(name, attempt, around)))
            .min(any(&self.users, |name| user_fits(name, attempt.user, around)))
    }

    fn origin_fits(&self, origin: Origin, around: &Surroundings) -> Fits {
        let Origin::Tcp(address, channel) = origin else { return sure(self.kind == "local") };
        let kind = match (self.kind.as_str(), channel) {
            ("host", _)
            | ("hostssl", Channel::Tls)
            | ("hostgssenc", Channel::Gss)
            | ("hostnossl", Channel::Plain | Channel::Gss)
            | ("hostnogssenc", Channel::Plain | Channel::Tls) => Fits::Yes,
            ("hostssl" | "hostgssenc" | "hostnossl" | "hostnogssenc", Channel::Unknown) => {
                Fits::Perhaps
            }
            _ => Fits::No,
        };
        kind.min(self.address_fits(address, around))
    }

    fn address_fits(&self, address: IpAddr, around: &Surroundings) -> Fits {
        let interfaces = |fits: fn(IpAddr, (IpAddr, IpAddr)) -> bool| match &around.interfaces {
            Known::Known(list) => sure(list.iter().any(|own| fits(address, *own))),
            Known::Unknown(_) => Fits::Perhaps,
        };
        match self.address.as_str() {
            "all" => return Fits::Yes,
            "samehost" => return interfaces(|address, (own, _)| address == own),
            "samenet" => return interfaces(|address, (own, mask)| within(address, own, mask)),
            _ => {}
        }
        // An address of a link has its interface behind it.
        let numeric = self.address.split('%').next().unwrap_or_default();
        match (numeric.parse(), self.netmask.parse()) {
            (Ok(of), Ok(mask)) => sure(within(address, of, mask)),
            (Ok(_), Err(_)) => Fits::Perhaps,
            (Err(_), _) => host_fits(&self.address, address, around),
        }
    }
}

/// Whether an address lies in a network. Those of the other family never do.
fn within(address: IpAddr, of: IpAddr, mask: IpAddr) -> bool {
    match (address, of, mask) {
        (IpAddr::V4(it), IpAddr::V4(of), IpAddr::V4(mask)) => (it & mask) == (of & mask),
        (IpAddr::V6(it), IpAddr::V6(of), IpAddr::V6(mask)) => (it & mask) == (of & mask),
        _ => false,
    }
}

/// A host name, or, with a dot in front, all that end so. Case does not count.
fn host_fits(pattern: &str, address: IpAddr, around: &Surroundings) -> Fits {
    match around.host_names.get(&address) {
        // The name that means the machine itself is no other machine's.
        _ if pattern == "localhost" && !address.is_loopback() => Fits::No,
        None | Some(Known::Unknown(_)) => Fits::Perhaps,
        Some(Known::Known(None)) => Fits::No,
        Some(Known::Known(Some(name))) => {
            let (name, pattern) = (name.to_ascii_lowercase(), pattern.to_ascii_lowercase());
            sure(if pattern.starts_with('.') { name.ends_with(&pattern) } else { name == pattern })
        }
    }
}

fn database_fits(name: &Name, attempt: &Attempt<'_>, around: &Surroundings) -> Fits {
    let database = match attempt.target {
        // Nothing else lets physical replication in: not `all`, and no expression.
        Target::Replication => return sure(name.is("replication")),
        Target::Database(database) => database,
    };
    if name.is("all") {
        Fits::Yes
    } else if name.is("sameuser") {
        sure(database == attempt.user)
    } else if name.is("samerole") || name.is("samegroup") {
        is_member(database, around)
    } else if name.is("replication") {
        Fits::No
    } else {
        name_fits(name, database, around)
    }
}

fn user_fits(name: &Name, user: &str, around: &Surroundings) -> Fits {
    if let Some(group) = name.group() {
        is_member(group, around)
    } else if name.is("all") {
        Fits::Yes
    } else {
        name_fits(name, user, around)
    }
}

fn is_member(group: &str, around: &Surroundings) -> Fits {
    match &around.groups {
        Known::Known(groups) => sure(groups.contains(group)),
        Known::Unknown(_) => Fits::Perhaps,
    }
}

/// The name itself, or since version 16 an expression.
fn name_fits(name: &Name, wanted: &str, around: &Surroundings) -> Fits {
    let plain = sure(name.text == wanted);
    let Some(expression) = name.expression() else { return plain };
    match &around.major {
        Known::Known(major) if *major < 16 => plain,
        Known::Known(_) => match around.matches.get(&(expression.to_owned(), wanted.to_owned())) {
            Some(matches) => sure(*matches),
            None => Fits::Perhaps,
        },
        Known::Unknown(_) => Fits::Perhaps,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::postgres::hba::parse_rows;

    /// Rows of kind, databases, users, address, netmask, method.
    fn rules(rows: &[&str]) -> Vec<Rule> {
        let text: Vec<String> = rows
            .iter()
            .enumerate()
            .map(|(index, row)| format!("{}\t{}\t", index + 1, row.replace(' ', "\t")))
            .collect();
        parse_rows(&text.join("\n")).unwrap()
    }

    /// The verdict in a word, with the number of its line.
    fn word(admission: Admission<'_>) -> String {
        match admission {
            Admission::In(rule) => format!("in {}", rule.line),
            Admission::Perhaps(rule) => format!("perhaps {}", rule.line),
            Admission::Rejected(rule) => format!("rejected {}", rule.line),
            Admission::NoLine => "no line".to_owned(),
        }
    }

    fn asked(rows: &[&str], target: Target<'_>, address: &str, around: &Surroundings) -> String {
        let origin = Origin::Tcp(address.parse().unwrap(), Channel::Unknown);
        word(admits(&rules(rows), &Attempt { target, user: "repl", origin }, around))
    }

    #[test]
    fn what_is_not_known_is_left_open_and_only_where_it_matters() {
        const N2: &str = "10.0.0.2";
        let net = "host {replication} {repl} 10.0.0.0 255.255.255.0 md5";
        for (rows, address, replication, postgres) in [
            (&[net][..], N2, "in 1", "no line"),
            (&[net], "10.0.1.2", "no line", "no line"),
            (&[net], "fd00::2", "no line", "no line"),
            (&["host {all,replication} {all} samehost  trust"], N2, "perhaps 1", "perhaps 1"),
            (&["host {all,replication} {all} samenet  md5"], N2, "perhaps 1", "perhaps 1"),
            (&["host {all,replication} {all} localhost  trust"], N2, "no line", "no line"),
            (&["host {all,replication} {all} n2.example.org  md5"], N2, "perhaps 1", "perhaps 1"),
            (&["hostssl {all,replication} {all} all  md5"], N2, "perhaps 1", "perhaps 1"),
            (&["host {all,replication} {+repls} all  md5"], N2, "perhaps 1", "perhaps 1"),
            (&["host {all,replication} {/^re} all  md5"], N2, "perhaps 1", "perhaps 1"),
            (&["host {/^post,replication} {repl} all  md5"], N2, "in 1", "perhaps 1"),
            (&["host {sameuser,samerole} {repl} all  md5"], N2, "no line", "perhaps 1"),
            // What may have let it in is not undone by a line behind it, nor what may have not.
            (
                &["hostssl {replication} {repl} all  md5", "host {replication} {all} all  reject"],
                N2,
                "perhaps 1",
                "no line",
            ),
            (&["hostnossl {replication} {all} all  reject", net], N2, "perhaps 1", "no line"),
            // Both ways lead to the same end.
            (&["hostssl {replication} {all} all  md5", net], N2, "in 2", "no line"),
            (&["hostssl {replication} {all} all  reject"], N2, "no line", "no line"),
        ] {
            let around = Surroundings::unknown("not asked");
            assert_eq!(asked(rows, Target::Replication, address, &around), replication, "{rows:?}");
            assert_eq!(asked(rows, Target::POSTGRES, address, &around), postgres, "{rows:?}");
        }
    }

    #[test]
    fn a_line_that_postgresql_passes_over_decides_nothing() {
        let text = "1\thostssl\t{all}\t{all}\tall\t\treject\tcannot match because SSL is disabled\n\
                    2\thost\t{all}\t{all}\tall\t\tmd5\t\n";
        let rules = parse_rows(text).unwrap();
        assert!(rules[0].idle().is_some() && rules[0].broken().is_none());
        let origin = Origin::Tcp("10.0.0.2".parse().unwrap(), Channel::Tls);
        let attempt = Attempt { target: Target::POSTGRES, user: "repl", origin };
        let around = Surroundings::unknown("not asked");
        assert_eq!(word(admits(&rules, &attempt, &around)), "in 2");
        assert_eq!(first_that_may_fit(&rules, &attempt, &around), Some(1));
    }

    #[test]
    fn expressions_are_asked_for_and_not_guessed() {
        let rows = &["host {replication} {/^re} all  md5"];
        let mut around = Surroundings::unknown("not asked");
        for (major, matches, expected) in [
            (15, None, "no line"),
            (16, None, "perhaps 1"),
            (16, Some(true), "in 1"),
            (18, Some(false), "no line"),
        ] {
            around.major = Known::Known(major);
            let key = ("^re".to_owned(), "repl".to_owned());
            around.matches = matches.map(|matches| (key, matches)).into_iter().collect();
            let verdict = asked(rows, Target::Replication, "10.0.0.2", &around);
            assert_eq!(verdict, expected, "{major} {matches:?}");
        }
    }
}
