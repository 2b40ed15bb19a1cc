//! Who may log in from where: rows of `pg_hba_file_rules`, and lines for `pg_hba.conf`. Which of them
//! decides over a login is in `admits`, the file's own text in `file`. Floor 0.
//!
//! Source: <https://www.postgresql.org/docs/current/view-pg-hba-file-rules.html> and
//! <https://www.postgresql.org/docs/current/auth-pg-hba-conf.html>.

mod admits;
pub mod file;

use std::net::IpAddr;

pub use admits::{
    Admission, Attempt, Channel, Origin, Surroundings, Target, admits, first_that_may_fit,
};

/// The query whose rows [`Rule::of_fields`] and [`parse_rows`] read, in the order in which they are
/// tried; the same for versions 13 to 18. A file has a name since 16.
pub const QUERY: &str = "SELECT line_number, type, database, user_name, address, netmask, \
    auth_method, error, pg_catalog.to_jsonb(rule) ->> 'file_name' \
    FROM pg_catalog.pg_hba_file_rules rule";

/// A name in a list of databases or users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// As it stands there, without quotes.
    pub text: String,
    /// It is known to stand in quotes, so that it is no keyword and no group. The view does not tell.
    pub quoted: bool,
}

impl Name {
    /// Whether this is the keyword.
    pub fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text == keyword
    }

    /// The group whose members are meant, of `+group`.
    pub fn group(&self) -> Option<&str> {
        self.text.strip_prefix('+').filter(|_| !self.quoted)
    }

    /// The regular expression, of `/expression`: one since version 16, in quotes or not.
    pub fn expression(&self) -> Option<&str> {
        self.text.strip_prefix('/')
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self { text, quoted: false }
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

/// One line of `pg_hba.conf` (or of a file that it includes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number in its file.
    pub line: u32,
    /// Its file, where the server says it.
    pub file: Option<String>,
    /// `local`, `host`, `hostssl`, `hostnossl`, `hostgssenc` or `hostnogssenc`; empty when the line
    /// could not be read.
    pub kind: String,
    /// Names of databases, and keywords such as `all` and `replication`.
    pub databases: Vec<Name>,
    /// Names of users, `all`, `+group`, `/expression`.
    pub users: Vec<Name>,
    /// An address, a host name, `all`, `samehost` or `samenet`; empty for `local`.
    pub address: String,
    /// The mask of an address.
    pub netmask: String,
    /// `scram-sha-256`, `reject`, `trust`, …
    pub method: String,
    /// What PostgreSQL says against the line.
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

impl Rule {
    /// Makes a rule of the columns of [`QUERY`], NULL being `None`.
    pub fn of_fields(row: usize, fields: [Option<&str>; 9]) -> Result<Self, HbaError> {
        let [line, kind, databases, users, address, netmask, method, error, file] = fields;
        let bad = |column| HbaError { row, column };
        let names = |field: Option<&str>, column| {
            let names = field.map_or(Some(Vec::new()), parse_array).ok_or_else(|| bad(column))?;
            Ok(names.into_iter().map(Name::from).collect())
        };
        let text = |field: Option<&str>| field.unwrap_or_default().to_owned();
        Ok(Self {
            line: line.and_then(|n| n.parse().ok()).ok_or_else(|| bad("line_number"))?,
            file: file.map(ToOwned::to_owned),
            kind: text(kind),
            databases: names(databases, "database")?,
            users: names(users, "user_name")?,
            address: text(address),
            netmask: text(netmask),
            method: text(method),
            error: error.map(ToOwned::to_owned),
        })
    }

    /// Why PostgreSQL cannot read the line: it loads no file that has such a one, and goes on with the
    /// rules that it had.
    pub fn broken(&self) -> Option<&str> {
        self.error.as_deref().filter(|_| self.kind.is_empty())
    }

    /// Why PostgreSQL reads the line and passes over it: `hostssl` where TLS is off.
    pub fn idle(&self) -> Option<&str> {
        self.error.as_deref().filter(|_| !self.kind.is_empty())
    }

    /// Whether whom it fits is turned away.
    pub fn rejects(&self) -> bool {
        self.method == "reject"
    }
}

/// Reads rows of [`QUERY`] as unaligned text with tabs between columns; the last may be missing.
pub fn parse_rows(text: &str) -> Result<Vec<Rule>, HbaError> {
    let mut rules = Vec::new();
    for (index, line) in text.lines().filter(|line| !line.is_empty()).enumerate() {
        let mut columns = line.splitn(9, '\t').map(|field| Some(field).filter(|f| !f.is_empty()));
        let mut fields = [None; 9];
        for (number, field) in fields.iter_mut().enumerate() {
            *field = match columns.next() {
                Some(column) => column,
                None if number == 8 => None,
                None => return Err(HbaError { row: index + 1, column: "number of columns" }),
            };
        }
        rules.push(Rule::of_fields(index + 1, fields)?);
    }
    Ok(rules)
}

/// The line that lets a user in from an address (an IP address, one with a mask, or a host name) by
/// password.
pub fn line(database: &str, user: &str, address: &str) -> String {
    line_of("host", database, user, address, "scram-sha-256")
}

/// The same of this type, for a list of databases, by this method.
pub fn line_of(kind: &str, databases: &str, user: &str, address: &str, method: &str) -> String {
    let address = match address.parse() {
        Ok(IpAddr::V4(_)) => format!("{address}/32"),
        Ok(IpAddr::V6(_)) => format!("{address}/128"),
        Err(_) => address.to_owned(),
    };
    format!("{kind}  {databases}  {}  {address}  {method}", quote(user))
}

/// The line that lets a user in by the unix socket, as the system's user of that name.
pub fn local_line(database: &str, user: &str) -> String {
    format!("local  {database}  {}  peer", quote(user))
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
