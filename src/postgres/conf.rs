//! Editing of PostgreSQL's settings files, line by line: an administrator's other lines survive
//! byte for byte. Floor 0.
//!
//! Source: <https://www.postgresql.org/docs/current/config-setting.html#CONFIG-SETTING-CONFIGURATION-FILE>;
//! what is accepted follows the server's own lexer, which differs a little from the page.

/// Why a setting cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfError {
    /// The name cannot stand in a settings file.
    #[error("{0:?} is not the name of a PostgreSQL setting")]
    Name(String),
    /// The value cannot be written on one line. It is not shown: it may hold a secret.
    #[error(
        "the value for {0} holds a line break or a zero byte, which a settings file cannot hold"
    )]
    Value(String),
}

/// The value of `name`; where it is set more than once, the last one, as PostgreSQL does. Lines
/// that PostgreSQL would refuse are passed over: see [`first_bad_line`].
pub fn get(text: &str, name: &str) -> Option<String> {
    entries(text)
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .last()
        .map(|(_, value)| value)
}

/// All names and values in their order, repeated ones included.
pub fn entries(text: &str) -> impl Iterator<Item = (&str, String)> {
    text.split_inclusive('\n').filter_map(|line| match read(line) {
        Line::Entry(entry) => Some((entry.name, entry.value)),
        Line::Blank | Line::Bad => None,
    })
}

/// The first line, counted from 1, that PostgreSQL would refuse, and the whole file with it.
pub fn first_bad_line(text: &str) -> Option<usize> {
    text.split_inclusive('\n').position(|line| matches!(read(line), Line::Bad)).map(|at| at + 1)
}

/// The text with `name` set to `value`: in its last place if it has one, else at the end. Its
/// earlier places are removed, and a comment behind the value stays.
pub fn set(text: &str, name: &str, value: &str) -> Result<String, ConfError> {
    if !is_name(name) {
        return Err(ConfError::Name(name.chars().take(64).collect()));
    }
    let quoted = quote(value).ok_or_else(|| ConfError::Value(name.to_owned()))?;
    let last = text.split_inclusive('\n').enumerate().filter(|(_, line)| sets(line, name)).last();
    let mut out = String::with_capacity(text.len() + name.len() + quoted.len() + 5);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        match read(line) {
            Line::Entry(entry) if entry.name.eq_ignore_ascii_case(name) => {
                if last.is_none_or(|(at, _)| at != index) {
                    continue;
                }
                if entry.value == value {
                    out.push_str(line);
                } else {
                    out.push_str(entry.before);
                    out.push_str(&quoted);
                    out.push_str(entry.after);
                }
            }
            Line::Entry(_) | Line::Blank | Line::Bad => out.push_str(line),
        }
    }
    if last.is_none() {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.extend([name, " = ", &quoted, "\n"]);
    }
    Ok(out)
}

/// The text without any line that sets `name`.
pub fn remove(text: &str, name: &str) -> String {
    text.split_inclusive('\n').filter(|line| !sets(line, name)).collect()
}

/// The value between single quotes, as it stands in a settings file; `None` when it cannot.
pub fn quote(value: &str) -> Option<String> {
    if value.contains(['\n', '\r', '\0']) {
        return None;
    }
    Some(format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''")))
}

/// One line, as the server's lexer sees it.
enum Line<'a> {
    /// White space, a comment, or nothing.
    Blank,
    /// `name = value`, with or without the sign.
    Entry(Entry<'a>),
    /// A syntax error.
    Bad,
}

struct Entry<'a> {
    name: &'a str,
    value: String,
    /// The line up to the value.
    before: &'a str,
    /// The line behind the value, with its end.
    after: &'a str,
}

fn sets(line: &str, name: &str) -> bool {
    matches!(read(line), Line::Entry(entry) if entry.name.eq_ignore_ascii_case(name))
}

fn read(line: &str) -> Line<'_> {
    let body = line.strip_suffix('\n').unwrap_or(line);
    let start = skip_blanks(body);
    if at_end(start) {
        return Line::Blank;
    }
    let (name, rest) = take_word(start);
    if !is_name(name) {
        return Line::Bad;
    }
    let rest = skip_blanks(rest);
    let rest = skip_blanks(rest.strip_prefix('=').unwrap_or(rest));
    let Some((value, after)) = take_value(rest) else { return Line::Bad };
    if !at_end(skip_blanks(after)) {
        return Line::Bad;
    }
    let value_at = body.len().saturating_sub(rest.len());
    let value_length = rest.len().saturating_sub(after.len());
    let parts = line.split_at_checked(value_at).and_then(|(before, tail)| {
        tail.split_at_checked(value_length).map(|(_, after)| (before, after))
    });
    match parts {
        Some((before, after)) => Line::Entry(Entry { name, value, before, after }),
        None => Line::Bad,
    }
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\r'])
}

fn at_end(text: &str) -> bool {
    text.is_empty() || text.starts_with('#')
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_letter_or_digit(c: char) -> bool {
    is_letter(c) || c.is_ascii_digit()
}

/// The longest run that the lexer would take for a name or an unquoted value.
fn take_word(text: &str) -> (&str, &str) {
    if !text.starts_with(is_letter) {
        return ("", text);
    }
    let end = text.find(|c| !is_letter_or_digit(c) && !"-._:/".contains(c));
    end.and_then(|end| text.split_at_checked(end)).unwrap_or((text, ""))
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(is_letter) && text.chars().all(is_letter_or_digit)
}

/// `name` or `extension.name`.
fn is_name(text: &str) -> bool {
    match text.split_once('.') {
        Some((extension, name)) => is_identifier(extension) && is_identifier(name),
        None => is_identifier(text),
    }
}

/// A value at the beginning of `text`, decoded, and what follows it.
fn take_value(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('\'') {
        return take_string(rest);
    }
    if text.starts_with(is_letter) {
        let (word, rest) = take_word(text);
        // The lexer takes `a.b` for an extension's name, which cannot be a value.
        let qualified = !is_identifier(word) && is_name(word);
        return if qualified { None } else { Some((word.to_owned(), rest)) };
    }
    let (number, rest) = text.split_at_checked(number_length(text)?)?;
    Some((number.to_owned(), rest))
}

/// Behind the opening quote: the decoded value, and what follows the closing quote.
fn take_string(text: &str) -> Option<(String, &str)> {
    let mut value = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.next_if(|(_, next)| *next == '\'').is_some() => value.push(b'\''),
            '\'' => {
                let rest = text.get(at + 1..)?;
                return Some((String::from_utf8_lossy(&value).into_owned(), rest));
            }
            '\\' => match chars.next()?.1 {
                'b' => value.push(8),
                'f' => value.push(12),
                'n' => value.push(b'\n'),
                'r' => value.push(b'\r'),
                't' => value.push(b'\t'),
                first @ '0'..='7' => {
                    let mut code = first.to_digit(8)?;
                    for _ in 0..2 {
                        let Some((_, digit)) = chars.next_if(|(_, c)| ('0'..='7').contains(c))
                        else {
                            break;
                        };
                        code = code * 8 + digit.to_digit(8)?;
                    }
                    value.push(code.to_le_bytes().first().copied()?);
                }
                other => push_char(&mut value, other),
            },
            other => push_char(&mut value, other),
        }
    }
    None
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The length of the number at the beginning: an integer (decimal or hexadecimal, with letters of
/// a unit) or a real, whichever is longer; `None` if there is none.
fn number_length(text: &str) -> Option<usize> {
    let run = |from: usize, accept: fn(&u8) -> bool| {
        text.as_bytes().iter().skip(from).take_while(|byte| accept(byte)).count()
    };
    let sign = usize::from(text.starts_with(['+', '-']));
    let digits = run(sign, u8::is_ascii_digit);
    let hexadecimal = text.get(sign..).filter(|rest| rest.starts_with("0x")).map_or(0, |_| {
        let count = run(sign + 2, u8::is_ascii_hexdigit);
        if count == 0 { 0 } else { count + 2 }
    });
    let whole = digits.max(hexadecimal);
    let integer =
        if whole == 0 { 0 } else { sign + whole + run(sign + whole, u8::is_ascii_alphabetic) };
    let point = sign + digits;
    let mut real = 0;
    if text.as_bytes().get(point) == Some(&b'.') {
        real = point + 1 + run(point + 1, u8::is_ascii_digit);
        if matches!(text.as_bytes().get(real), Some(b'e' | b'E')) {
            let signed = usize::from(matches!(text.as_bytes().get(real + 1), Some(b'+' | b'-')));
            let exponent = run(real + 1 + signed, u8::is_ascii_digit);
            if exponent > 0 {
                real += 1 + signed + exponent;
            }
        }
    }
    Some(integer.max(real)).filter(|length| *length > 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const CAPTURED: [&str; 4] = [
        include_str!("../../tests/fixtures/postgres/13/postgresql.auto.conf"),
        include_str!("../../tests/fixtures/postgres/15/postgresql.auto.conf"),
        include_str!("../../tests/fixtures/postgres/17/postgresql.auto.conf"),
        include_str!("../../tests/fixtures/postgres/18/postgresql.auto.conf"),
    ];

    #[test]
    fn what_alter_system_wrote_is_read_in_every_version() {
        for text in CAPTURED {
            assert_eq!(first_bad_line(text), None);
            assert_eq!(
                get(text, "Synchronous_Standby_Names").as_deref(),
                Some(r#"ANY 1 ("n2","Node-3.x")"#)
            );
            assert_eq!(
                get(text, "search_path").as_deref(),
                Some(r#""$user", "it's", "back\slash""#)
            );
            assert_eq!(get(text, "work_mem").as_deref(), Some("5MB"));
            assert_eq!(get(text, "cluster_name").as_deref(), Some("x # y"));
            assert_eq!(get(text, "port"), None);
            assert_eq!(entries(text).count(), 4);
        }
    }

    #[test]
    fn what_we_write_is_what_alter_system_writes() {
        for text in CAPTURED {
            let header: String = text.split_inclusive('\n').take(2).collect();
            let ours = entries(text)
                .try_fold(header, |out, (name, value)| set(&out, name, &value))
                .unwrap();
            assert_eq!(ours, text);
        }
    }

    #[test]
    fn every_form_of_a_value_is_read_as_the_server_reads_it() {
        for (line, expected) in [
            ("a = 'x'", Some("x")),
            ("a='x'", Some("x")),
            ("a'x'", Some("x")),
            ("\t a 'x'\t# note", Some("x")),
            ("a = 'x'\r", Some("x")),
            ("a = ''", Some("")),
            ("a = 'it''s'", Some("it's")),
            (r"a = 'it\'s'", Some("it's")),
            (r"a = 'C:\\dir\n\t\x\101\0609'", Some("C:\\dir\n\txA09")),
            ("a = 'é # no comment'", Some("é # no comment")),
            ("a = on", Some("on")),
            ("a on", Some("on")),
            ("a = on#note", Some("on")),
            ("a = pg_catalog.x.y", Some("pg_catalog.x.y")),
            ("a = pg-1:x/y", Some("pg-1:x/y")),
            ("a = 5", Some("5")),
            ("a = -1", Some("-1")),
            ("a = +64MB", Some("+64MB")),
            ("a = 0x1F", Some("0x1F")),
            ("a = 0700", Some("0700")),
            ("a = 1.5e-3", Some("1.5e-3")),
            ("a = .5", Some(".5")),
            ("a = b.c", None),
            ("a = 1.5MB", None),
            ("a = 1e5", None),
            ("a = /tmp", None),
            ("a = *", None),
            ("a =", None),
            ("a", None),
            ("= 5", None),
            ("a == 5", None),
            ("a = 5 6", None),
            ("a = 'x' 'y'", None),
            ("a = 'x", None),
            (r"a = 'x\'", None),
            (r"a = 'x\", None),
            ("a = x'y'", None),
            ("a = \"x\"", None),
            ("a = -", None),
            ("a = 0x", Some("0x")),
        ] {
            assert_eq!(get(line, "A").as_deref(), expected, "{line}");
            assert_eq!(first_bad_line(line).is_none(), expected.is_some(), "{line}");
        }
        for (line, name) in
            [("Ext.a = 5", "ext.A"), ("a_1 = 5", "a_1"), ("é = 5", "é"), ("_ 5", "_")]
        {
            assert_eq!(get(line, name).as_deref(), Some("5"), "{line}");
        }
        for line in ["1a = 5", "a-b = 5", "a.b.c = 5", "a. = 5", ".a = 5", "a$ = 5", "'a' = 5"] {
            assert_eq!(first_bad_line(line), Some(1), "{line}");
        }
        assert_eq!(first_bad_line("\n# c\r\n \t\na = 1\nb =\n"), Some(5));
    }

    #[test]
    fn the_last_one_wins() {
        assert_eq!(get("a = 1\nb = 2\nA = 3\n", "a").as_deref(), Some("3"));
        assert_eq!(get("a = 1\na = rubbish here\n", "a").as_deref(), Some("1"));
    }

    #[test]
    fn setting_keeps_every_other_byte() {
        for (text, expected) in [
            ("", "a = 'new'\n"),
            ("b = 1", "b = 1\na = 'new'\n"),
            ("# a = 1\n", "# a = 1\na = 'new'\n"),
            ("a = 1", "a = 'new'"),
            ("a = 1\r\nb = 2\r\n", "a = 'new'\r\nb = 2\r\n"),
            ("  A\t'o''ld'  # why\n\n\tb=2", "  A\t'new'  # why\n\n\tb=2"),
            ("a = 1\nb = 2\na = 3 # c\nc = 4\n", "b = 2\na = 'new' # c\nc = 4\n"),
            ("a = new\n", "a = new\n"),
            ("a = 1\na = 'new'\n", "a = 'new'\n"),
            ("a rubbish here\nab = 1\n", "a rubbish here\nab = 1\na = 'new'\n"),
            ("é = 1\na=é#é\n", "é = 1\na='new'#é\n"),
        ] {
            let once = set(text, "a", "new").unwrap();
            assert_eq!(once, expected, "{text:?}");
            assert_eq!(set(&once, "a", "new").unwrap(), once, "twice is once: {text:?}");
        }
    }

    #[test]
    fn any_value_that_is_written_is_read_back() {
        for value in [
            "",
            "x",
            "it's",
            "'",
            "''",
            "\\",
            "\\'",
            "a # b",
            "ANY 1 (\"n\"\"2\")",
            "é\t",
            "host=10.0.0.1 password='it''s \\\\'",
        ] {
            let text = set("b = 1\n", "a", value).unwrap();
            assert_eq!(get(&text, "a").as_deref(), Some(value));
            assert_eq!(first_bad_line(&text), None);
            assert_eq!(remove(&text, "A"), "b = 1\n");
        }
    }

    #[test]
    fn what_a_file_cannot_hold_is_refused_without_showing_the_value() {
        for value in ["secret\nport = 1", "secret\r", "secret\0"] {
            let error = set("", "a", value).unwrap_err();
            assert_eq!(error, ConfError::Value("a".into()));
            assert!(!error.to_string().contains("secret"));
        }
        for name in ["", "1a", "a b", "a=1", "a-b", "a.b.c", "a\n"] {
            assert!(matches!(set("", name, "x"), Err(ConfError::Name(_))), "{name:?}");
        }
        assert_eq!(set("", "ext.name", "x").unwrap(), "ext.name = 'x'\n");
    }

    #[test]
    fn removing_takes_every_place_and_nothing_else() {
        assert_eq!(remove("A = 1\n#a\nab = 2\na 3", "a"), "#a\nab = 2\n");
        assert_eq!(remove("b = 1\n", "a"), "b = 1\n");
    }
}
