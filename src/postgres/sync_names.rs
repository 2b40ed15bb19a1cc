//! `synchronous_standby_names`: written as `ANY 1 ("n2","n3")` or empty, and read back. Floor 0.
//!
//! Source: <https://www.postgresql.org/docs/current/runtime-config-replication.html#GUC-SYNCHRONOUS-STANDBY-NAMES>.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Bytes of an identifier that PostgreSQL keeps: a longer application_name is cut, and then never
/// matches the name in the setting.
pub const MAX_NAME_BYTES: usize = 63;

/// A standby's application_name: 1 to 63 bytes of printable ASCII, and not `*`, which would match
/// everybody. Compared without regard to case, as PostgreSQL does.
#[derive(Clone, Debug)]
pub struct StandbyName(String);

/// Why a text cannot be a standby's application_name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be a standby's application_name: {why}")]
pub struct BadName {
    name: String,
    why: &'static str,
}

/// What `SHOW synchronous_standby_names` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncNames {
    /// Nothing: no commit waits.
    Empty,
    /// One of these must confirm.
    Ours(BTreeSet<StandbyName>),
    /// Something pgtwin does not write: another rule, `*`, or a name that can never match.
    Foreign(String),
}

/// Says whether a name can work as a standby's application_name.
pub fn validate_name(name: &str) -> Result<(), BadName> {
    let refuse = |why| Err(BadName { name: name.chars().take(80).collect(), why });
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.len() > MAX_NAME_BYTES {
        return refuse("PostgreSQL cuts it after 63 bytes, and then it never matches");
    }
    if name == "*" {
        return refuse("PostgreSQL takes it for any standby");
    }
    if !name.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return refuse("PostgreSQL keeps printable ASCII only");
    }
    Ok(())
}

/// The value to set: empty for no names.
pub fn write(names: &BTreeSet<StandbyName>) -> String {
    if names.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> =
        names.iter().map(|name| format!("\"{}\"", name.0.replace('"', "\"\""))).collect();
    format!("ANY 1 ({})", quoted.join(","))
}

/// Reads the value of the setting.
pub fn parse(text: &str) -> SyncNames {
    let text = text.trim_matches(is_blank);
    if text.is_empty() {
        return SyncNames::Empty;
    }
    parse_any_one(text).map_or_else(|| SyncNames::Foreign(text.to_owned()), SyncNames::Ours)
}

/// `ANY 1 (name, …)` in any spelling that PostgreSQL reads so.
fn parse_any_one(text: &str) -> Option<BTreeSet<StandbyName>> {
    let mut tokens = tokens(text)?.into_iter();
    let is_any = matches!(tokens.next()?, Token::Word(word) if word.eq_ignore_ascii_case("any"));
    let is_one = matches!(tokens.next()?, Token::Number(number) if number.parse() == Ok(1_u32));
    if !is_any || !is_one || tokens.next()? != Token::Open {
        return None;
    }
    let mut names = BTreeSet::new();
    loop {
        let name = match tokens.next()? {
            Token::Word(word) | Token::Number(word) => word.to_owned(),
            Token::Quoted(name) => name,
            Token::Open | Token::Close | Token::Comma => return None,
        };
        names.insert(name.parse().ok()?);
        match tokens.next()? {
            Token::Comma => {}
            Token::Close => break,
            Token::Word(_) | Token::Number(_) | Token::Quoted(_) | Token::Open => return None,
        }
    }
    if tokens.next().is_some() { None } else { Some(names) }
}

#[derive(PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Number(&'a str),
    Quoted(String),
    Open,
    Close,
    Comma,
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let starts_word = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let in_word = |c: char| starts_word(c) || c.is_ascii_digit() || c == '$';
    let mut rest = text.trim_start_matches(is_blank);
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut behind = behind;
            loop {
                let (part, next) = behind.split_once('"')?;
                name.push_str(part);
                behind = next;
                match behind.strip_prefix('"') {
                    Some(next) => {
                        name.push('"');
                        behind = next;
                    }
                    None => break,
                }
            }
            found.push(Token::Quoted(name));
            rest = behind;
        } else if starts_word(first) || first.is_ascii_digit() {
            let is_number = first.is_ascii_digit();
            let end =
                rest.find(|c: char| if is_number { !c.is_ascii_digit() } else { !in_word(c) });
            let (word, behind) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
            found.push(if is_number { Token::Number(word) } else { Token::Word(word) });
            rest = behind;
        } else {
            found.push(match first {
                '(' => Token::Open,
                ')' => Token::Close,
                ',' => Token::Comma,
                _ => return None,
            });
            rest = rest.get(1..)?;
        }
        rest = rest.trim_start_matches(is_blank);
    }
    Some(found)
}

impl StandbyName {
    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text is this name in PostgreSQL's eyes.
    pub fn matches(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

impl FromStr for StandbyName {
    type Err = BadName;

    fn from_str(name: &str) -> Result<Self, BadName> {
        validate_name(name).map(|()| Self(name.to_owned()))
    }
}

impl fmt::Display for StandbyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for StandbyName {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for StandbyName {}

impl PartialOrd for StandbyName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for StandbyName {
    fn cmp(&self, other: &Self) -> Ordering {
        let folded = |name: &str| name.bytes().map(|b| b.to_ascii_lowercase()).collect::<Vec<_>>();
        folded(&self.0).cmp(&folded(&other.0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> BTreeSet<StandbyName> {
        list.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (list, text) in [
            (&[][..], ""),
            (&["n2"], r#"ANY 1 ("n2")"#),
            (&["n3", "n2"], r#"ANY 1 ("n2","n3")"#),
            (&["node-1.example.org", "a\"b"], r#"ANY 1 ("a""b","node-1.example.org")"#),
            (&["with, comma) and ( space"], r#"ANY 1 ("with, comma) and ( space")"#),
        ] {
            let set = names(list);
            assert_eq!(write(&set), text);
            let expected = if list.is_empty() { SyncNames::Empty } else { SyncNames::Ours(set) };
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn every_version_shows_what_was_set() {
        for show in [
            include_str!("../../tests/fixtures/postgres/13/show.tsv"),
            include_str!("../../tests/fixtures/postgres/15/show.tsv"),
            include_str!("../../tests/fixtures/postgres/17/show.tsv"),
            include_str!("../../tests/fixtures/postgres/18/show.tsv"),
        ] {
            let value = show
                .lines()
                .find_map(|line| line.strip_prefix("synchronous_standby_names\t"))
                .unwrap();
            assert_eq!(parse(value), SyncNames::Ours(names(&["n2", "Node-3.x"])));
        }
    }

    #[test]
    fn other_spellings_of_the_same_rule_are_ours() {
        for text in [
            "any 1 (n2, N3)",
            " Any\t1(\"n3\",n2) ",
            "ANY 01 (n2,n3)",
            "ANY 1 (n2, n2, \"N2\", n3)",
            "ANY\n1\n(\n\"n2\"\n,\nn3\n)",
        ] {
            assert_eq!(parse(text), SyncNames::Ours(names(&["n2", "n3"])), "{text}");
        }
        assert_eq!(parse("ANY 1 (2)"), SyncNames::Ours(names(&["2"])));
        assert_eq!(parse("  "), SyncNames::Empty);
    }

    #[test]
    fn other_rules_are_foreign() {
        let long = format!("ANY 1 (\"{}\")", "x".repeat(64));
        for text in [
            "*",
            "n2",
            "n2, n3",
            "1 (n2)",
            "FIRST 1 (n2)",
            "ANY 2 (n2,n3)",
            "ANY 1 (*)",
            "ANY 1 (n2,*)",
            r#"ANY 1 ("*")"#,
            "ANY 1 ()",
            "ANY 1 (n2,)",
            "ANY 1 (n2) x",
            "ANY 1 (n2",
            "ANY 1 n2",
            "ANY 1 (node-1)",
            "ANY 1 (\"n2)",
            "ANY 1 (é)",
            "ANY",
            &long,
        ] {
            assert_eq!(parse(text), SyncNames::Foreign(text.to_owned()));
        }
    }

    #[test]
    fn names_compare_without_regard_to_case() {
        let name: StandbyName = "Node_1".parse().unwrap();
        assert!(name.matches("nODE_1") && !name.matches("node-1"));
        assert_eq!(names(&["N1", "n1"]).len(), 1);
        assert_eq!(names(&["n1", "n10"]).len(), 2);
    }

    #[test]
    fn a_name_that_can_never_match_is_refused() {
        for name in ["", "*", "é", "a\tb", "a\nb", &"x".repeat(64)] {
            assert!(validate_name(name).is_err(), "{name:?}");
        }
        for name in ["n", "a b", "node-1.example.org", "\"", &"x".repeat(63)] {
            assert_eq!(validate_name(name), Ok(()), "{name:?}");
        }
    }
}
