//! The password file of libpq: who may log in where. Floor 0.
//!
//! Source: <https://www.postgresql.org/docs/current/libpq-pgpass.html>.

use std::fmt;

/// A password; shown as `****`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// What libpq would use for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The line it stands on, counted from 1.
    pub line: usize,
    /// What is sent to the server.
    pub password: Password,
}

/// A line that libpq passes over, or that can hardly mean what it says.
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
    #[error("has a port that is neither a number nor *; a colon in a field is written \\:")]
    Port,
    /// Its password has a colon without a backslash before it; libpq uses what stands before it.
    #[error("has a password that is cut at a colon: write \\: for a colon in it")]
    Colon,
    /// A field is empty and therefore matches nothing.
    #[error("has an empty field")]
    Empty,
}

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passfile {
    /// Lines that libpq passes over, but for comments and empty lines, and lines that can hardly
    /// mean what they say.
    pub bad: Vec<BadLine>,
    replication_user: Option<String>,
    /// Lines with their numbers, whole, as libpq matches them.
    lines: Vec<(usize, Password)>,
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

impl Passfile {
    /// Reads a file. No text is refused: lines that cannot work are listed in `bad`.
    pub fn parse(text: &str) -> Self {
        let mut file = Self::default();
        for (index, text) in text.split('\n').enumerate() {
            let line = index + 1;
            let text = text.trim_end_matches('\r');
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if let Err(problem) = check(text) {
                file.bad.push(BadLine { line, problem });
            }
            if file.replication_user.is_none() {
                file.replication_user = replication_user(text);
            }
            file.lines.push((line, Password(text.to_owned())));
        }
        file
    }

    /// What libpq would use: the first line that matches. A socket in the default directory counts
    /// as host `localhost`; a walreceiver's database is called `replication`.
    pub fn lookup(&self, host: &str, port: u16, database: &str, user: &str) -> Option<Found> {
        let port = port.to_string();
        self.lines.iter().find_map(|(line, text)| {
            let rest = [host, &port, database, user].iter().try_fold(text.reveal(), skip_match)?;
            let password = take_field(rest).map_or(rest, |(password, _)| password);
            Some(Found { line: *line, password: Password(unescape(password)) })
        })
    }

    /// The user of the first line whose database is `replication` and that names a user.
    pub fn replication_user(&self) -> Option<&str> {
        self.replication_user.as_deref()
    }
}

/// The lines of a file that can mean what they say, and nothing else: what a copy of it is made of. A
/// file that is no passfile has none.
pub fn good_lines(text: &str) -> String {
    let lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
    let good = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    good.filter(|line| check(line).is_ok()).flat_map(|line| [line, "\n"]).collect()
}

/// The line that a login needs, for people: what the password stands for is theirs to fill in.
pub fn line(host: &str, port: u16, database: &str, user: &str) -> String {
    format!("{}:{port}:{database}:{}:PASSWORD", escaped(host), escaped(user))
}

/// The same with the password.
pub fn line_with(host: &str, port: u16, database: &str, user: &str, password: &str) -> String {
    format!("{}:{port}:{database}:{}:{}", escaped(host), escaped(user), escaped(password))
}

/// A field as the file wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(':', "\\:")
}

/// What follows the field at the beginning of `text`, if that field matches. A colon in the value
/// matches one in the field with or without a backslash.
fn skip_match<'a>(text: &'a str, value: &&str) -> Option<&'a str> {
    if let Some(rest) = text.strip_prefix("*:") {
        return Some(rest);
    }
    let mut rest = text.chars();
    for wanted in value.chars() {
        let found = match rest.next()? {
            '\\' => rest.next()?,
            other => other,
        };
        if found != wanted {
            return None;
        }
    }
    rest.as_str().strip_prefix(':')
}

/// The first four fields, raw, and the rest of the line.
fn split(text: &str) -> Option<([&str; 4], &str)> {
    let (host, rest) = take_field(text)?;
    let (port, rest) = take_field(rest)?;
    let (database, rest) = take_field(rest)?;
    let (user, rest) = take_field(rest)?;
    Some(([host, port, database, user], rest))
}

fn check(text: &str) -> Result<(), Problem> {
    let ([host, port, database, user], password) = split(text).ok_or(Problem::Fields)?;
    if port != "*" && port.parse::<u16>().is_err() {
        return Err(Problem::Port);
    }
    if [host, database, user, password].contains(&"") {
        return Err(Problem::Empty);
    }
    if take_field(password).is_some() { Err(Problem::Colon) } else { Ok(()) }
}

fn replication_user(text: &str) -> Option<String> {
    let ([_, _, database, user], _) = split(text)?;
    let names_one = database == "replication" && user != "*" && !user.is_empty();
    names_one.then(|| unescape(user))
}

/// The raw field before the next `:` that is not escaped, and what follows that colon.
fn take_field(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == ':' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    let (raw, rest) = text.split_at_checked(end)?;
    Some((raw, rest.strip_prefix(':')?))
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
        fe80\\:\\:1:*:postgres:a\\:b:with\\:colons and spaces \n\
        short:5432:db\n\
        n1:five:db:u:geheim3\n\
        n1:5432:db:u:\n\
        :5432:db:u:geheim4\n\
        \\*:1:db:\\#u:geheim5\n\
        n9:1:db:u:geheim:6\n\
        fe80::2:1:db:u:geheim7";

    fn password(host: &str, port: u16, database: &str, user: &str) -> Option<String> {
        let file = Passfile::parse(FILE);
        file.lookup(host, port, database, user).map(|found| found.password.reveal().to_owned())
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
            ("n9", 1, "db", "u", Some("geheim")),
            // A colon of the value needs no backslash in the field.
            ("fe80::2", 1, "db", "u", Some("geheim7")),
        ] {
            let found = password(host, port, database, user);
            assert_eq!(found.as_deref(), expected, "{host}:{port}:{database}:{user}");
        }
    }

    #[test]
    fn lines_that_are_not_meant_so_are_reported_by_number() {
        let file = Passfile::parse(FILE);
        let bad: Vec<(usize, Problem)> =
            file.bad.iter().map(|bad| (bad.line, bad.problem)).collect();
        assert_eq!(
            bad,
            [
                (6, Problem::Fields),
                (7, Problem::Port),
                (8, Problem::Empty),
                (9, Problem::Empty),
                (11, Problem::Colon),
                (12, Problem::Port)
            ]
        );
        let text = file.bad[0].to_string();
        assert_eq!(text, "line 6 of the password file is not host:port:database:user:password");
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
        assert_eq!(file.lookup("n1", 5432, "replication", "repl").unwrap().line, 3);
        assert!(!shown.contains("geheim") && shown.contains("****"), "{shown}");
    }

    #[test]
    fn a_copy_has_good_lines_only_and_of_other_files_nothing() {
        assert_eq!(
            good_lines(FILE),
            "n1:5432:replication:repl:geheim1\n\
             *:5433:*:repl:geheim\\:2\\\\\n\
             fe80\\:\\:1:*:postgres:a\\:b:with\\:colons and spaces \n\
             \\*:1:db:\\#u:geheim5\n"
        );
        for other in [
            "root:$y$j9T$abc$def:20000:0:99999:7:::\n",
            "root:x:0:0:root:/root:/bin/bash\n",
            "sudo:x:27:admin\n",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n",
        ] {
            assert_eq!(good_lines(other), "", "{other}");
        }
    }

    #[test]
    fn the_line_that_is_proposed_fits_the_login_that_needs_it() {
        for (host, user) in
            [("n1", "repl"), ("fd00::1", "a:b"), (r"h\1", r"DOM\repl:x"), ("10.0.0.1", "r r")]
        {
            let text = line(host, 5432, "replication", user).replace("PASSWORD", r"pass\:wo\\rd");
            let file = Passfile::parse(&text);
            assert_eq!(file.bad, [], "{text}");
            let found = file.lookup(host, 5432, "replication", user).unwrap();
            assert_eq!(found.password.reveal(), r"pass:wo\rd");
            assert_eq!(file.lookup(host, 5432, "postgres", user), None);
        }
    }

    #[test]
    fn a_lone_backslash_stands_for_itself() {
        let file = Passfile::parse("h:1:d:u:p\\");
        assert_eq!(file.lookup("h", 1, "d", "u").unwrap().password.reveal(), "p\\");
        assert_eq!(Passfile::parse("h:1:d:u\\:p").bad.len(), 1);
    }
}
