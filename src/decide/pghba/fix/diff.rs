//! What changed between two texts, as `diff -u` shows it. Floor 1.

use std::fmt::Write as _;

/// Lines around a change.
const CONTEXT: usize = 3;
/// Options of pg_hba.conf whose value is a secret.
const SECRETS: [&str; 2] = ["ldapbindpasswd=", "radiussecrets="];

/// The difference, for a change of one or two places.
pub(super) fn unified(name: &str, old: &[u8], new: &[u8]) -> String {
    let (old, new) = (lines(old), lines(new));
    let mut hunks = Vec::new();
    collect(&old, &new, (0, 0), &mut hunks);
    let mut text = format!("--- {name}\n+++ {name}\n");
    for hunk in joined(&hunks) {
        let (from, to) = (hunk.first(), hunk.last());
        let (Some(first), Some(last)) = (from, to) else { continue };
        let lead = first.old.min(first.new).min(CONTEXT);
        let tail = (old.len() - last.old_end()).min(CONTEXT);
        let (a, b) = (first.old - lead, last.old_end() + tail);
        let (c, d) = (first.new - lead, last.new_end() + tail);
        // An empty text has no first line.
        let at = |from: usize, to: usize| if to > from { from + 1 } else { from };
        let _ = writeln!(text, "@@ -{},{} +{},{} @@", at(a, b), b - a, at(c, d), d - c);
        let mut now = a;
        for change in hunk {
            put(&mut text, ' ', old.get(now..change.old));
            put(&mut text, '-', old.get(change.old..change.old_end()));
            put(&mut text, '+', new.get(change.new..change.new_end()));
            now = change.old_end();
        }
        put(&mut text, ' ', old.get(now..b));
    }
    text
}

fn put(text: &mut String, sign: char, lines: Option<&[String]>) {
    for line in lines.unwrap_or_default() {
        // Where a tab ends is a terminal's business, and printed it would be two other characters.
        let _ = writeln!(text, "{sign}{}", masked(line).replace('\t', "    "));
    }
}

fn lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    text.split_inclusive('\n').map(|line| line.trim_end_matches(['\n', '\r']).to_owned()).collect()
}

/// Lines that were and lines that are.
#[derive(Clone, Copy)]
struct Hunk {
    old: usize,
    gone: usize,
    new: usize,
    come: usize,
}

impl Hunk {
    fn old_end(&self) -> usize {
        self.old + self.gone
    }

    fn new_end(&self) -> usize {
        self.new + self.come
    }
}

/// Divides at the first and the last line that differ, and once more where one side is the longer by a
/// block that stands at one of its ends.
fn collect(old: &[String], new: &[String], at: (usize, usize), hunks: &mut Vec<Hunk>) {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (old.get(same..).unwrap_or_default(), new.get(same..).unwrap_or_default());
    let at = (at.0 + same, at.1 + same);
    let ends = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let old = old.get(..old.len() - ends).unwrap_or_default();
    let new = new.get(..new.len() - ends).unwrap_or_default();
    if old.is_empty() && new.is_empty() {
        return;
    }
    // A block that moved up: it comes first in the new text, and the old goes on where it ends.
    let moved = (1..new.len()).find(|from| {
        let rest = new.get(*from..).unwrap_or_default();
        rest.first() == old.first()
            && old.len() >= rest.len()
            && old.get(..rest.len()) == Some(rest)
    });
    match moved {
        Some(come) if !old.is_empty() => {
            hunks.push(Hunk { old: at.0, gone: 0, new: at.1, come });
            let kept = new.len() - come;
            let (old_at, gone) = (at.0 + kept, old.len() - kept);
            if gone > 0 {
                hunks.push(Hunk { old: old_at, gone, new: at.1 + new.len(), come: 0 });
            }
        }
        Some(_) | None => {
            hunks.push(Hunk { old: at.0, gone: old.len(), new: at.1, come: new.len() });
        }
    }
}

/// Changes that are close are shown together.
fn joined(hunks: &[Hunk]) -> Vec<Vec<Hunk>> {
    let mut groups: Vec<Vec<Hunk>> = Vec::new();
    for hunk in hunks {
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(|l| hunk.old - l.old_end() <= 2 * CONTEXT) => {
                group.push(*hunk);
            }
            Some(_) | None => groups.push(vec![*hunk]),
        }
    }
    groups
}

/// The line without its secrets.
pub fn masked(line: &str) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while let Some((at, option)) = SECRETS
        .iter()
        .filter_map(|option| Some((rest.find(option)?, *option)))
        .min_by_key(|(at, _)| *at)
    {
        let (before, secret) = rest.split_at(at + option.len());
        shown.push_str(before);
        shown.push_str("****");
        let quoted = before.matches('"').count() % 2 == 1 || secret.starts_with('"');
        let inner = secret.strip_prefix('"').unwrap_or(secret);
        let end = if quoted { inner.find('"') } else { inner.find([' ', '\t', ',']) };
        rest = end.and_then(|end| inner.get(end..)).unwrap_or("");
    }
    shown + rest
}
