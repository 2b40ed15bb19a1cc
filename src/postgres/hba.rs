//! Who may log in from where: rows of `pg_hba_file_rules`, and the lines that replication needs.
//! Floor 0.
//!
//! Source: <https://www.postgresql.org/docs/current/view-pg-hba-file-rules.html> and
//! <https://www.postgresql.org/docs/current/auth-pg-hba-conf.html>.

mod admits;

use std::net::IpAddr;

pub use admits::{Admission, admits};

/// The query whose rows [`Rule::of_fields`] and [`parse_rows`] read; the same for versions 13 to 18.
pub const QUERY: &str = "SELECT line_number, type, database, user_name, address, netmask, \
    auth_method, error FROM pg_catalog.pg_hba_file_rules";

/// One line of `pg_hba.conf` (or of a file that it includes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number in its file.
    pub line: u32,
    /// `local`, `host`, `hostssl`, `hostnossl`, `hostgssenc` or `hostnogssenc`; empty when the line
    /// could not be read.
    pub kind: String,
    /// Names of databases, and keywords such as `all` and `replication`.
    pub databases: Vec<String>,
    /// Names of users, `all`, `+group`, `/expression`.
    pub users: Vec<String>,
    /// An address, a host name, `all`, `samehost` or `samenet`; empty for `local`.
    pub address: String,
    /// The mask of an address.
    pub netmask: String,
    /// `scram-sha-256`, `reject`, `trust`, …
    pub method: String,
    /// Why PostgreSQL cannot use the line.
    pub error: Option<String>,
}

/// Why rows cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} of pg_hba_file_rules has an unexpected {column}")]
pub struct HbaError {
    /// Counted from 1.
    pub row: usize,
    /// What is not as expected.
    pub column: &'static str,
}

/// Whether a user could log in from another machine, for both of the connections that a standby
/// makes. Each is the line that could let the user in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Physical replication.
    pub replication: Option<u32>,
    /// The database `postgres`, which pg_rewind needs.
    pub postgres: Option<u32>,
    /// Lines that PostgreSQL cannot use, with its reasons.
    pub errors: Vec<(u32, String)>,
}

impl Rule {
    /// Makes a rule of the columns of [`QUERY`], NULL being `None`.
    pub fn of_fields(row: usize, fields: [Option<&str>; 8]) -> Result<Self, HbaError> {
        let [line, kind, databases, users, address, netmask, method, error] = fields;
        let bad = |column| HbaError { row, column };
        let names = |field: Option<&str>, column| {
            field.map_or(Ok(Vec::new()), |text| parse_array(text).ok_or_else(|| bad(column)))
        };
        let text = |field: Option<&str>| field.unwrap_or_default().to_owned();
        Ok(Self {
            line: line.and_then(|n| n.parse().ok()).ok_or_else(|| bad("line_number"))?,
            kind: text(kind),
            databases: names(databases, "database")?,
            users: names(users, "user_name")?,
            address: text(address),
            netmask: text(netmask),
            method: text(method),
            error: error.map(ToOwned::to_owned),
        })
    }

    /// Whether it could match the user; groups and expressions could.
    fn could_be_user(&self, user: &str) -> bool {
        self.users.iter().any(|name| name == "all" || name == user || name.starts_with(['+', '/']))
    }

    fn could_be(&self, target: Target, user: &str) -> bool {
        self.databases.iter().any(|name| match target {
            // `all` and expressions do not match replication.
            Target::Replication => name == "replication",
            Target::Postgres => match name.as_str() {
                "all" | "postgres" => true,
                "sameuser" | "samerole" | "samegroup" => user == "postgres",
                other => other.starts_with('/'),
            },
        })
    }

    /// Whether it certainly matches, so that a `reject` hides what follows.
    fn surely_matches(&self, target: Target, user: &str) -> bool {
        self.kind == "host"
            && self.users.iter().any(|name| name == "all" || name == user)
            && self.databases.iter().any(|name| match target {
                Target::Replication => name == "replication",
                Target::Postgres => name == "all" || name == "postgres",
            })
    }

    fn reach(&self) -> Reach {
        match (self.address.as_str(), self.address.parse::<IpAddr>(), self.netmask.parse()) {
            ("all", _, _) => Reach { v4: true, v6: true, everywhere: true },
            ("" | "samehost" | "localhost", _, _) => Reach::NOWHERE,
            (_, Ok(IpAddr::V4(address)), Ok(IpAddr::V4(mask))) => {
                let local = address.is_loopback() && mask.octets().starts_with(&[255]);
                Reach { v4: !local, v6: false, everywhere: mask.is_unspecified() }
            }
            (_, Ok(IpAddr::V6(address)), Ok(IpAddr::V6(mask))) => {
                let local = address.is_loopback() && mask.to_bits() == u128::MAX;
                Reach { v4: false, v6: !local, everywhere: mask.is_unspecified() }
            }
            // A host name, or `samenet`.
            (_, _, _) => Reach { v4: true, v6: true, everywhere: false },
        }
    }
}

/// Which addresses of other machines a rule covers.
#[derive(Clone, Copy)]
struct Reach {
    v4: bool,
    v6: bool,
    everywhere: bool,
}

impl Reach {
    const NOWHERE: Self = Self { v4: false, v6: false, everywhere: false };
}

/// What a login is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Physical replication.
    Replication,
    /// The database `postgres`.
    Postgres,
}

/// Reads rows of [`QUERY`] as unaligned text with tabs between columns.
pub fn parse_rows(text: &str) -> Result<Vec<Rule>, HbaError> {
    let mut rules = Vec::new();
    for (index, line) in text.lines().filter(|line| !line.is_empty()).enumerate() {
        let mut columns = line.splitn(8, '\t').map(|field| Some(field).filter(|f| !f.is_empty()));
        let mut fields = [None; 8];
        for field in &mut fields {
            *field =
                columns.next().ok_or(HbaError { row: index + 1, column: "number of columns" })?;
        }
        rules.push(Rule::of_fields(index + 1, fields)?);
    }
    Ok(rules)
}

impl Presence {
    /// Looks for lines that could let `user` in from another machine, in the order of the file. It
    /// says nothing about which machine, or about the password.
    pub fn find(rules: &[Rule], user: &str) -> Self {
        Self {
            replication: find(rules, Target::Replication, user),
            postgres: find(rules, Target::Postgres, user),
            errors: rules
                .iter()
                .filter_map(|rule| rule.error.clone().map(|error| (rule.line, error)))
                .collect(),
        }
    }

    /// Whether both entries are there.
    pub fn is_complete(&self) -> bool {
        self.replication.is_some() && self.postgres.is_some()
    }

    /// Lines for `pg_hba.conf` that supply what is missing. An address is an IP address, one with
    /// a mask, or a host name; none means every directly attached network.
    pub fn lines_to_add(&self, user: &str, addresses: &[&str]) -> Vec<String> {
        let addresses = if addresses.is_empty() { &["samenet"] } else { addresses };
        let missing = [(self.replication, "replication"), (self.postgres, "postgres")]
            .into_iter()
            .filter(|(present, _)| present.is_none());
        missing
            .flat_map(|(_, database)| {
                addresses.iter().map(move |address| line(database, user, address))
            })
            .collect()
    }
}

/// The line that lets a user in from an address (an IP address, one with a mask, or a host name) by
/// password.
pub fn line(database: &str, user: &str, address: &str) -> String {
    let address = match address.parse() {
        Ok(IpAddr::V4(_)) => format!("{address}/32"),
        Ok(IpAddr::V6(_)) => format!("{address}/128"),
        Err(_) => address.to_owned(),
    };
    format!("host  {database}  {}  {address}  scram-sha-256", quote(user))
}

/// The line that lets a user in by the unix socket, as the system's user of that name.
pub fn local_line(database: &str, user: &str) -> String {
    format!("local  {database}  {}  peer", quote(user))
}

fn find(rules: &[Rule], target: Target, user: &str) -> Option<u32> {
    let (mut v4_open, mut v6_open) = (true, true);
    for rule in rules.iter().filter(|rule| rule.error.is_none() && rule.kind.starts_with("host")) {
        let reach = rule.reach();
        if rule.method == "reject" {
            if reach.everywhere && rule.surely_matches(target, user) {
                v4_open &= !reach.v4;
                v6_open &= !reach.v6;
            }
        } else if ((reach.v4 && v4_open) || (reach.v6 && v6_open))
            && rule.could_be_user(user)
            && rule.could_be(target, user)
        {
            return Some(rule.line);
        }
    }
    None
}

/// A user's name as `pg_hba.conf` wants it: quoted where it would mean something else.
fn quote(user: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    if !user.is_empty() && user.chars().all(plain) && user != "all" {
        return user.to_owned();
    }
    format!("\"{}\"", user.replace('"', "\"\""))
}

/// PostgreSQL's text form of a one-dimensional array of text.
fn parse_array(text: &str) -> Option<Vec<String>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut names = Vec::new();
    if inner.is_empty() {
        return Some(names);
    }
    let mut name = String::new();
    let mut quoted = false;
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' => name.push(chars.next()?),
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            other => name.push(other),
        }
    }
    names.push(name);
    if quoted { None } else { Some(names) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const CAPTURED: [&str; 4] = [
        include_str!("../../tests/fixtures/postgres/13/hba.tsv"),
        include_str!("../../tests/fixtures/postgres/15/hba.tsv"),
        include_str!("../../tests/fixtures/postgres/17/hba.tsv"),
        include_str!("../../tests/fixtures/postgres/18/hba.tsv"),
    ];

    #[test]
    fn the_view_of_every_version_is_read() {
        for text in CAPTURED {
            let rules = parse_rows(text).unwrap();
            assert_eq!(rules.len(), 11);
            let named = &rules[6];
            assert_eq!(named.databases, ["replication", "postgres"]);
            assert_eq!(named.users, ["Repl User"]);
            assert_eq!((named.address.as_str(), named.netmask.as_str()), ("10.0.0.0", "255.0.0.0"));
            assert_eq!((named.kind.as_str(), named.method.as_str()), ("host", "scram-sha-256"));
            assert_eq!(named.error, None);
            let broken = &rules[10];
            assert!(broken.kind.is_empty() && broken.users.is_empty());
            assert!(broken.error.as_ref().unwrap().contains("999.1.1.1/8"));
        }
    }

    #[test]
    fn entries_are_found_or_missing_in_the_view_of_every_version() {
        for text in CAPTURED {
            let rules = parse_rows(text).unwrap();
            let line = |index: usize| Some(rules[index].line);
            for (user, replication, postgres) in [
                ("Repl User", line(6), line(6)),
                ("replicator", line(8), None),
                ("nobody", None, None),
            ] {
                let found = Presence::find(&rules, user);
                assert_eq!(found.replication, replication, "{user}");
                assert_eq!(found.postgres, postgres, "{user}");
                assert_eq!(found.is_complete(), postgres.is_some(), "{user}");
                assert_eq!(found.errors.len(), 2);
            }
        }
    }

    /// Rows of kind, databases, users, address, netmask, method.
    fn presence(rows: &[&str]) -> (Option<u32>, Option<u32>) {
        let text: Vec<String> = rows
            .iter()
            .enumerate()
            .map(|(index, row)| format!("{}\t{}\t", index + 1, row.replace(' ', "\t")))
            .collect();
        let rules = parse_rows(&text.join("\n")).unwrap();
        let found = Presence::find(&rules, "repl");
        (found.replication, found.postgres)
    }

    #[test]
    fn a_line_counts_only_for_other_machines_and_for_what_it_names() {
        for (rows, replication, postgres) in [
            (&["host {all} {all} all  scram-sha-256"][..], None, Some(1)),
            (&["host {replication} {all} all  md5"], Some(1), None),
            (&["hostssl {all,replication} {repl} 10.0.0.0 255.0.0.0 md5"], Some(1), Some(1)),
            (&["host {replication,postgres} {other} all  md5"], None, None),
            (&["host {other} {repl} all  md5"], None, None),
            (&["local {all,replication} {all}   trust"], None, None),
            (&["host {all,replication} {all} 127.0.0.1 255.255.255.255 trust"], None, None),
            (&["host {all,replication} {all} 127.0.0.0 255.0.0.0 trust"], None, None),
            (&["host {all,replication} {all} 0.0.0.0 0.0.0.0 trust"], Some(1), Some(1)),
            (
                &["host {all,replication} {all} ::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff md5"],
                None,
                None,
            ),
            (&["host {all,replication} {all} :: :: md5"], Some(1), Some(1)),
            (&["host {all,replication} {all} samehost  md5"], None, None),
            (&["host {all,replication} {all} samenet  md5"], Some(1), Some(1)),
            (&["host {all,replication} {all} n1.example.org  md5"], Some(1), Some(1)),
            (&["host {all,replication} {+group} all  md5"], Some(1), Some(1)),
            (&["host {/^p,replication} {/^r} all  md5"], Some(1), Some(1)),
            (&["host {/^r} {repl} all  md5"], None, Some(1)),
            (&["host {sameuser,samerole} {repl} all  md5"], None, None),
        ] {
            assert_eq!(presence(rows), (replication, postgres), "{rows:?}");
        }
    }

    #[test]
    fn a_rejection_of_everybody_hides_the_lines_behind_it() {
        let both = "host {all,replication} {repl} all  md5";
        let v4 = "host {all,replication} {repl} 10.0.0.0 255.0.0.0 md5";
        for (first, second, expected) in [
            ("host {all,replication} {all} all  reject", both, (None, None)),
            ("host {replication} {all} all  reject", both, (None, Some(2))),
            ("host {all} {repl} all  reject", both, (Some(2), None)),
            ("host {all,replication} {+g} all  reject", both, (Some(2), Some(2))),
            ("hostnossl {all,replication} {all} all  reject", both, (Some(2), Some(2))),
            (
                "host {all,replication} {all} 10.0.0.1 255.255.255.255 reject",
                both,
                (Some(2), Some(2)),
            ),
            ("host {all,replication} {all} 0.0.0.0 0.0.0.0 reject", both, (Some(2), Some(2))),
            ("host {all,replication} {all} 0.0.0.0 0.0.0.0 reject", v4, (None, None)),
            ("host {all,replication} {all} :: :: reject", v4, (Some(2), Some(2))),
        ] {
            assert_eq!(presence(&[first, second]), expected, "{first} then {second}");
        }
    }

    #[test]
    fn the_lines_to_add_are_what_is_missing() {
        let none = Presence::default();
        assert_eq!(
            none.lines_to_add("replicator", &["10.0.0.2", "fe80::2"]),
            [
                "host  replication  replicator  10.0.0.2/32  scram-sha-256",
                "host  replication  replicator  fe80::2/128  scram-sha-256",
                "host  postgres  replicator  10.0.0.2/32  scram-sha-256",
                "host  postgres  replicator  fe80::2/128  scram-sha-256",
            ]
        );
        let half = Presence { replication: Some(3), ..Presence::default() };
        assert_eq!(
            half.lines_to_add("Repl User", &[]),
            ["host  postgres  \"Repl User\"  samenet  scram-sha-256"]
        );
        assert_eq!(
            half.lines_to_add("all", &["10.0.0.0/8"]),
            ["host  postgres  \"all\"  10.0.0.0/8  scram-sha-256"]
        );
        let both = Presence { replication: Some(3), postgres: Some(4), errors: Vec::new() };
        assert!(both.is_complete() && both.lines_to_add("r", &[]).is_empty());
    }

    #[test]
    fn rows_that_are_not_rows_are_errors() {
        for (text, row, column) in [
            ("x", 1, "number of columns"),
            ("1\t2\t3", 1, "number of columns"),
            ("x\thost\t{a}\t{a}\tall\t\tmd5\t", 1, "line_number"),
            ("1\thost\ta\t{a}\tall\t\tmd5\t", 1, "database"),
            ("1\thost\t{a}\t{\"a}\tall\t\tmd5\t", 1, "user_name"),
            ("1\thost\t{a}\t{a\\}\tall\t\tmd5\t", 1, "user_name"),
        ] {
            assert_eq!(parse_rows(text), Err(HbaError { row, column }), "{text}");
        }
        assert_eq!(parse_rows(""), Ok(Vec::new()));
        assert_eq!(parse_array(r#"{a,"b c","d\"e\\",""}"#).unwrap(), ["a", "b c", "d\"e\\", ""]);
        assert_eq!(parse_array("{}").unwrap(), Vec::<String>::new());
    }
}
