//! The password file of libpq: who may log in where. Floor 0.
//!
//! Source: <https://www.postgresql.org/docs/current/libpq-pgpass.html>.

use std::fmt;

/// A password; shown as `****`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// One usable line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counted from 1.
    pub line: usize,
    host: Field,
    port: Field,
    database: Field,
    user: Field,
    /// What is sent to the server.
    pub password: Password,
}

/// A line that libpq would pass over, or that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the password file {problem}")]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line. It never quotes the line, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It has fewer than five fields.
    #[error("is not host:port:database:user:password")]
    Fields,
    /// Its port is neither a number nor `*`.
    #[error("has a port that is neither a number nor *")]
    Port,
    /// A field is empty and therefore matches nothing.
    #[error("has an empty field")]
    Empty,
}

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passfile {
    /// Usable lines, in their order: the first that matches counts.
    pub entries: Vec<Entry>,
    /// The others, but for comments and empty lines.
    pub bad: Vec<BadLine>,
}

/// One of the first four fields.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Any,
    Is(String),
}

impl Password {
    /// The password itself, for the connection that needs it and nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

impl Field {
    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Is(text) => text == value,
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Any => None,
            Self::Is(text) => Some(text),
        }
    }
}

impl Passfile {
    /// Reads a file. No text is refused: lines that cannot work are listed in `bad`.
    pub fn parse(text: &str) -> Self {
        let mut file = Self::default();
        for (index, line) in text.split('\n').enumerate() {
            let line = line.trim_end_matches('\r');
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match parse_line(index + 1, line) {
                Ok(entry) => file.entries.push(entry),
                Err(problem) => file.bad.push(BadLine { line: index + 1, problem }),
            }
        }
        file
    }

    /// The entry that libpq would use: the first that matches. A socket in the default directory
    /// counts as host `localhost`; a walreceiver's database is called `replication`.
    pub fn lookup(&self, host: &str, port: u16, database: &str, user: &str) -> Option<&Entry> {
        let port = port.to_string();
        self.entries.iter().find(|entry| {
            entry.host.matches(host)
                && entry.port.matches(&port)
                && entry.database.matches(database)
                && entry.user.matches(user)
        })
    }

    /// The user of the first line whose database is `replication` and that names a user.
    pub fn replication_user(&self) -> Option<&str> {
        self.entries
            .iter()
            .filter(|entry| entry.database.name() == Some("replication"))
            .find_map(|entry| entry.user.name())
    }
}

fn parse_line(line: usize, text: &str) -> Result<Entry, Problem> {
    let (host, rest) = take_field(text).ok_or(Problem::Fields)?;
    let (port, rest) = take_field(rest).ok_or(Problem::Fields)?;
    let (database, rest) = take_field(rest).ok_or(Problem::Fields)?;
    let (user, rest) = take_field(rest).ok_or(Problem::Fields)?;
    // The password goes on to the end of the line, colons or not.
    let password = unescape(rest);
    if port.name().is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(Problem::Port);
    }
    let empty = [&host, &database, &user].iter().any(|field| field.name() == Some(""));
    if empty || password.is_empty() {
        return Err(Problem::Empty);
    }
    Ok(Entry { line, host, port, database, user, password: Password(password) })
}

/// The field before the next `:` that is not escaped, and what follows that colon.
fn take_field(text: &str) -> Option<(Field, &str)> {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == ':' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    let (raw, rest) = text.split_at_checked(end)?;
    let field = if raw == "*" { Field::Any } else { Field::Is(unescape(raw)) };
    Some((field, rest.strip_prefix(':')?))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        // A backslash at the very end stands for itself.
        out.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const FILE: &str = "# host:port:database:user:password\n\
        \n\
        n1:5432:replication:repl:geheim1\r\n\
        *:5433:*:repl:geheim\\:2\\\\\n\
        fe80\\:\\:1:*:postgres:a\\:b:with:colons and spaces \n\
        short:5432:db\n\
        n1:five:db:u:geheim3\n\
        n1:5432:db:u:\n\
        :5432:db:u:geheim4\n\
        \\*:1:db:\\#u:geheim5";

    fn password(host: &str, port: u16, database: &str, user: &str) -> Option<String> {
        let file = Passfile::parse(FILE);
        file.lookup(host, port, database, user).map(|entry| entry.password.reveal().to_owned())
    }

    #[test]
    fn the_first_line_that_matches_counts() {
        for (host, port, database, user, expected) in [
            ("n1", 5432, "replication", "repl", Some("geheim1")),
            ("n1", 5432, "postgres", "repl", None),
            ("n10", 5432, "replication", "repl", None),
            ("n1", 5433, "replication", "repl", Some("geheim:2\\")),
            ("anything", 5433, "x", "repl", Some("geheim:2\\")),
            ("fe80::1", 1, "postgres", "a:b", Some("with:colons and spaces ")),
            ("*", 1, "db", "#u", Some("geheim5")),
            ("n1", 1, "db", "#u", None),
        ] {
            let found = password(host, port, database, user);
            assert_eq!(found.as_deref(), expected, "{host}:{port}:{database}:{user}");
        }
    }

    #[test]
    fn lines_that_cannot_work_are_reported_by_number() {
        let file = Passfile::parse(FILE);
        let bad: Vec<(usize, Problem)> =
            file.bad.iter().map(|bad| (bad.line, bad.problem)).collect();
        assert_eq!(
            bad,
            [(6, Problem::Fields), (7, Problem::Port), (8, Problem::Empty), (9, Problem::Empty)]
        );
        let text = file.bad[0].to_string();
        assert_eq!(text, "line 6 of the password file is not host:port:database:user:password");
        let lines: Vec<usize> = file.entries.iter().map(|entry| entry.line).collect();
        assert_eq!(lines, [3, 4, 5, 10]);
    }

    #[test]
    fn the_replication_line_names_the_user() {
        for (text, expected) in [
            ("", None),
            ("*:*:*:repl:x", None),
            ("*:*:replication:*:x", None),
            ("*:*:replication:*:x\nn1:5432:replication:repl2:x", Some("repl2")),
            ("#*:*:replication:no:x\n*:*:db:u:x\n*:*:replication:a\\:b:x", Some("a:b")),
        ] {
            assert_eq!(Passfile::parse(text).replication_user(), expected, "{text}");
        }
    }

    #[test]
    fn no_password_is_ever_shown() {
        let file = Passfile::parse(FILE);
        let shown = format!("{file:?} {}", file.bad[1]);
        assert!(!shown.contains("geheim") && shown.contains("****"), "{shown}");
    }

    #[test]
    fn a_lone_backslash_stands_for_itself() {
        let file = Passfile::parse("h:1:d:u:p\\");
        assert_eq!(file.lookup("h", 1, "d", "u").unwrap().password.reveal(), "p\\");
        assert_eq!(Passfile::parse("h:1:d:u\\:p").bad.len(), 1);
    }
}
