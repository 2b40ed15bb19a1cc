//! The text of pg_hba.conf as PostgreSQL divides it: lines, fields, names, quotes. The view has most
//! of it; where a new line can be put, and what stands in quotes, only the text tells. Floor 0.
//!
//! Source: PostgreSQL's `src/backend/libpq/hba.c` (`tokenize_auth_file`, `next_token`).

use super::{Name, Rule};

/// A line, with those that continue it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The number of its first line, counted from 1.
    pub number: u32,
    /// Where it begins in the text.
    pub start: usize,
    /// Where the next begins.
    pub end: usize,
    /// Its fields, each a list of names; none for a blank line and a comment.
    pub fields: Vec<Vec<Name>>,
}

impl Line {
    /// The names of the other file or directory that is read in its place, since version 16.
    pub fn include(&self) -> Option<&str> {
        let [directive, what] = self.fields.as_slice() else { return None };
        let includes = |name: &Name| {
            ["include", "include_if_exists", "include_dir"].contains(&name.text.as_str())
        };
        directive.first().filter(|name| includes(name)).and(what.first()).map(|n| n.text.as_str())
    }
}

/// Divides a text. Since version 14 a backslash at the end continues a line.
pub fn lines(text: &[u8], major: u32) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut joined: Vec<u8> = Vec::new();
    // Where the line begins that is being read, its number, and how many it has so far.
    let (mut start, mut number, mut count) = (0, 1, 0);
    let mut end = 0;
    for physical in text.split_inclusive(|byte| *byte == b'\n') {
        end += physical.len();
        count += 1;
        let content = physical.strip_suffix(b"\n").unwrap_or(physical);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        let continued = content.strip_suffix(b"\\").filter(|_| major >= 14);
        joined.extend_from_slice(continued.unwrap_or(content));
        if continued.is_some() && end < text.len() {
            continue;
        }
        let fields = fields(&String::from_utf8_lossy(&joined));
        lines.push(Line { number, start, end, fields });
        joined.clear();
        (start, number, count) = (end, number + count, 0);
    }
    lines
}

/// Whether what is added to the end of this text would continue its last line.
pub fn is_open(text: &[u8], major: u32) -> bool {
    let last = text.strip_suffix(b"\n").unwrap_or(text);
    major >= 14 && last.strip_suffix(b"\r").unwrap_or(last).ends_with(b"\\")
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

fn fields(line: &str) -> Vec<Vec<Name>> {
    let mut chars = line.chars().peekable();
    let mut fields = Vec::new();
    loop {
        let mut field = Vec::new();
        while let Some((name, comma)) = next_name(&mut chars) {
            field.push(name);
            if !comma {
                break;
            }
        }
        if field.is_empty() {
            return fields;
        }
        fields.push(field);
    }
}

/// The next name, and whether a comma follows it at once.
fn next_name(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<(Name, bool)> {
    while chars.next_if(|c| is_blank(*c) || *c == ',').is_some() {}
    let mut name = Name { text: String::new(), quoted: false };
    let (mut in_quote, mut was_quote, mut saw_quote, mut comma) = (false, false, false, false);
    while let Some(c) = chars.next_if(|c| !is_blank(*c) || in_quote) {
        if c == '#' && !in_quote {
            chars.by_ref().for_each(drop);
            break;
        }
        if c == ',' && !in_quote {
            comma = true;
            break;
        }
        if c != '"' || was_quote {
            name.text.push(c);
        }
        // Two of them are one that is meant.
        was_quote = in_quote && c == '"' && !was_quote;
        if c == '"' {
            in_quote = !in_quote;
            saw_quote = true;
            name.quoted |= name.text.is_empty();
        }
    }
    (saw_quote || !name.text.is_empty()).then_some((name, comma))
}

/// Notes in rules which names stand in quotes, from the lines of their file. A rule whose names are
/// other ones there (an `@file`, a change in between) is left as it is.
pub fn note_quotes<'a>(rules: impl Iterator<Item = &'a mut Rule>, lines: &[Line]) {
    for rule in rules {
        let found = lines.binary_search_by_key(&rule.line, |line| line.number);
        let Some(line) = found.ok().and_then(|at| lines.get(at)) else { continue };
        let [_, databases, users, ..] = line.fields.as_slice() else { continue };
        for (names, written) in [(&mut rule.databases, databases), (&mut rule.users, users)] {
            if names.iter().map(|name| &name.text).eq(written.iter().map(|name| &name.text)) {
                names.clone_from(written);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::postgres::hba::parse_rows;

    /// Fields with names, a quoted one in angle brackets.
    fn shown(line: &Line) -> String {
        let name = |name: &Name| {
            if name.quoted { format!("<{}>", name.text) } else { name.text.clone() }
        };
        let field = |names: &Vec<Name>| names.iter().map(name).collect::<Vec<_>>().join(",");
        line.fields.iter().map(field).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn names_are_divided_as_postgresql_divides_them() {
        for (text, expected) in [
            ("host all all 10.0.0.0/8 md5", "host all all 10.0.0.0/8 md5"),
            ("host\ta,b , c\t\"d e\",f all md5\r", "host a,b c <d e>,f all md5"),
            ("host a,  b all all md5", "host a,b all all md5"),
            (" host \"a\"\"b\" all # host", "host <a\"b> all"),
            ("host a#b all", "host a"),
            ("host \"a#b\" \"\" all", "host <a#b> <> all"),
            ("host a\"b c\"d all", "host ab cd all"),
            ("host \"a,b\" +\"g h\" all", "host <a,b> +g h all"),
            ("# host all", ""),
            ("  ,, ", ""),
        ] {
            assert_eq!(shown(&lines(text.as_bytes(), 15)[0]), expected, "{text}");
        }
    }

    #[test]
    fn lines_have_their_numbers_and_places_and_some_continue() {
        let text = b"# one \\\n two\nhost al\\\r\nl all\n\nlocal \\";
        let places = |major| -> Vec<(u32, usize, usize, String)> {
            let lines = lines(text, major);
            lines.iter().map(|line| (line.number, line.start, line.end, shown(line))).collect()
        };
        assert_eq!(
            places(14),
            [
                (1, 0, 13, String::new()),
                (3, 13, 29, "host all all".into()),
                (5, 29, 30, String::new()),
                (6, 30, 37, "local".into()),
            ]
        );
        assert_eq!(places(13).len(), 6);
        assert_eq!(places(13)[3], (4, 23, 29, "l all".into()));
        assert!(is_open(b"x \\\r\n", 14) && !is_open(b"x \\\r\n", 13) && !is_open(b"x\n", 14));
        assert_eq!(lines(b"", 18), []);
        assert_eq!(lines(b"\\\n\\\nx\n", 14).len(), 1);
    }

    #[test]
    fn includes_are_two_fields() {
        let line = |text: &str| lines(text.as_bytes(), 16).remove(0);
        assert_eq!(line("include \"a b.conf\"").include(), Some("a b.conf"));
        assert_eq!(line("include_dir hba.d # x").include(), Some("hba.d"));
        for text in ["include", "include a b", "host a", "# include a"] {
            assert_eq!(line(text).include(), None, "{text}");
        }
    }

    #[test]
    fn quotes_take_the_meaning_from_a_keyword_and_nothing_else_is_changed() {
        let mut rules = parse_rows(
            "1\thost\t{all,x}\t{+g}\tall\t\tmd5\t\n2\thost\t{all}\t{all}\tall\t\tmd5\t\n\
             3\thost\t{a,b}\t{all}\tall\t\tmd5\t\n9\thost\t{all}\t{all}\tall\t\tmd5\t\n",
        )
        .unwrap();
        let text =
            b"host \"all\",x \"+g\" all md5\nhost all \"all\" all md5\nhost @f all all md5\n";
        note_quotes(rules.iter_mut(), &lines(text, 15));
        assert!(!rules[0].databases[0].is("all") && rules[0].users[0].group().is_none());
        assert!(!rules[0].databases[1].quoted);
        assert!(rules[1].databases[0].is("all") && !rules[1].users[0].is("all"));
        assert!(rules[2].users[0].is("all") && rules[3].databases[0].is("all"));
    }
}
