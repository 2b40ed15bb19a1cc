//! What the pages quote, and whether it is what the program says.

use crate::source::HOLE;

/// Fewer characters than these say nothing.
pub const LEAST: usize = 12;

/// What stands between backticks in a page. Blocks of commands have none.
pub fn quoted(page: &str) -> Vec<String> {
    let lines = page.lines().filter(|line| !line.starts_with("    "));
    let text = lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether a quotation is about this text: all of its words that do not vary stand there in their order, or
/// all of the text's in it.
pub fn is_about(quoted: &str, text: &str) -> bool {
    let long = |parts: &[String]| parts.iter().map(String::len).sum::<usize>() >= LEAST;
    let runs = runs(quoted);
    let parts: Vec<String> = text.split(HOLE).map(str::trim).map(str::to_owned).collect();
    let parts: Vec<String> = parts.into_iter().filter(|part| part.len() > 2).collect();
    (long(&runs) && in_order(&runs, text)) || (long(&parts) && in_order(&parts, quoted))
}

fn in_order(parts: &[String], text: &str) -> bool {
    let mut rest = text;
    parts.iter().all(|part| match rest.split_once(part.as_str()) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// The words of a quotation that do not vary, in runs.
fn runs(quoted: &str) -> Vec<String> {
    let mut runs = vec![Vec::new()];
    for word in quoted.split(' ') {
        if varies(word) {
            runs.push(Vec::new());
        } else if let Some(run) = runs.last_mut() {
            run.push(word);
        }
    }
    let text =
        |run: Vec<&str>| run.join(" ").trim_matches([':', ';', ',', '.', '(', ')']).to_owned();
    runs.into_iter().map(text).filter(|run| !run.is_empty()).collect()
}

/// A node, a role, a resource, a number, or what is left out.
fn varies(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    let node = |name: &str| {
        bare.strip_prefix(name).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    word.contains('…')
        || ["n1", "n2", "n3"].into_iter().any(node)
        || ["replicator", "RSC"].contains(&bare)
        || bare.starts_with(|c: char| c.is_ascii_digit())
}

#[test]
fn what_is_quoted_is_about_what_is_said() {
    for (quoted, text, about) in [
        ("the slot … is lost", "the slot \0 on \0 is lost, and the WAL", true),
        ("the slot … is lost", "the slot \0 on \0 is in use", false),
        ("does not stream from n1: …", "does not stream from \0: \0", true),
        ("replay is paused: SELECT pg_wal_replay_resume()", "replay is paused", true),
        ("n1 is a standby", "\0 is a standby", true),
        ("…", "anything at all may be said", false),
        ("n1: …", "\0: \0", false),
    ] {
        assert_eq!(is_about(quoted, text), about, "{quoted}: {text}");
    }
    assert_eq!(quoted("a `b\n  c` d\n\n    `no`\n`e`"), ["b c", "e"]);
}
