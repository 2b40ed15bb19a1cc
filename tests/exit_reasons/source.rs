//! The texts in a source file of Rust, each with the calls that it is an argument of.

/// A literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// As it is printed; what is filled in is [`HOLE`].
    pub text: String,
    /// The calls around it, the innermost last: how each is called, and which argument it is.
    pub calls: Vec<(String, usize)>,
}

/// What stands for something that is filled in.
pub const HOLE: char = '\0';

impl Text {
    /// Whether it is this argument of such a call, or part of it.
    pub fn is_in(&self, name: &str, argument: Option<usize>) -> bool {
        let fits = |(called, at): &(String, usize)| {
            called == name && argument.is_none_or(|argument| argument == *at)
        };
        self.calls.iter().any(fits)
    }

    /// The longest part that does not vary.
    pub fn constant(&self) -> &str {
        let parts =
            self.text.split(HOLE).map(|part| part.trim_matches([' ', ':', ';', ',', '(', ')']));
        parts.max_by_key(|part| part.len()).unwrap_or_default()
    }
}

/// All texts of a source but those of its tests, which stand at its end.
pub fn texts(source: &str) -> Vec<Text> {
    let ends = source.match_indices("\n#[cfg(test)]\n").find(|(at, mark)| {
        let mut after = source[at + mark.len()..].lines();
        after
            .find(|line| !line.starts_with("#["))
            .is_some_and(|line| line.starts_with("mod tests {"))
    });
    let source = ends.map_or(source, |(at, _)| &source[..at]);
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut calls: Vec<(String, usize)> = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let next = |by: usize| chars.get(at + by).copied();
        match c {
            '/' if next(1) == Some('/') => {
                while chars.get(at).is_some_and(|c| *c != '\n') {
                    at += 1;
                }
            }
            // A character; what follows a lifetime is none.
            '\'' if next(1) == Some('\\') || next(2) == Some('\'') => {
                at += 2;
                while chars.get(at).is_some_and(|c| *c != '\'') {
                    at += 1;
                }
                at += 1;
            }
            '"' => {
                let (text, end) = literal(&chars, at + 1);
                found.push(Text { text: filled(&text), calls: calls.clone() });
                at = end;
            }
            '(' | '[' | '{' => {
                let name = if c == '(' { called(&chars[..at]) } else { String::new() };
                calls.push((name, 0));
                at += 1;
            }
            ')' | ']' | '}' => {
                calls.pop();
                at += 1;
            }
            ',' => {
                if let Some((_, argument)) = calls.last_mut() {
                    *argument += 1;
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    found
}

/// The path before an opening parenthesis.
fn called(before: &[char]) -> String {
    let part = |c: &&char| c.is_alphanumeric() || matches!(c, '_' | ':' | '!');
    let name: String = before.iter().rev().take_while(part).collect();
    name.chars().rev().collect()
}

/// What a literal says that begins here, and where it ends.
fn literal(chars: &[char], begin: usize) -> (String, usize) {
    let (mut text, mut at) = (String::new(), begin);
    while let Some(&c) = chars.get(at) {
        at += 1;
        match (c, chars.get(at)) {
            ('"', _) => break,
            ('\\', Some('\n')) => {
                while chars.get(at).is_some_and(|c| c.is_whitespace()) {
                    at += 1;
                }
            }
            ('\\', Some(escaped)) => {
                text.push(if *escaped == 'n' { '\n' } else { *escaped });
                at += 1;
            }
            _ => text.push(c),
        }
    }
    (text, at)
}

/// The text with holes, and with single blanks.
fn filled(text: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.chars().peekable());
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('{', Some('{')) | ('}', Some('}')) => {
                out.push(c);
                chars.next();
            }
            ('{', _) => {
                chars.by_ref().find(|c| *c == '}');
                out.push(HOLE);
            }
            _ => out.push(c),
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn texts_are_found_with_their_calls() {
    let source = r#"
        // "no" text
        fn f<'a>(x: &'a str) { let c = '"'; let d = '\''; }
        fn g() -> Next { Advice::new(format!("a {x} b \
            c"), "do {{it}}") }
        fn h() { warn!("{why}: \"said\""); }
#[cfg(test)]
#[allow(clippy::panic)]
mod tests { fn t() { f("not said") } }
        "#;
    let found = texts(source);
    let said: Vec<&str> = found.iter().map(|text| text.text.as_str()).collect();
    assert_eq!(said, ["a \0 b c", "do {it}", "\0: \"said\""]);
    assert!(found[0].is_in("Advice::new", Some(0)) && found[0].is_in("format!", None));
    assert!(found[1].is_in("Advice::new", Some(1)) && !found[1].is_in("format!", None));
    assert!(found[2].is_in("warn!", Some(0)));
    assert_eq!(found[2].constant(), "\"said\"");
}
