//! The word that somebody may have meant. Floor 4.

/// So many letters may be wrong, missing, or in each other's place.
const MOST: usize = 2;

/// The one name that the word is the beginning of, or else that is nearest to it.
pub(super) fn nearest<'n>(word: &str, names: &'n [String]) -> Option<&'n str> {
    // A slip of that size would make anything of a word that is no longer.
    if word.chars().count() <= MOST || word.len() > 40 {
        return None;
    }
    let one = |mut found: Vec<&'n str>| found.pop().filter(|_| found.is_empty());
    let begun = names.iter().map(String::as_str).filter(|name| name.starts_with(word));
    one(begun.collect()).or_else(|| {
        let far = names.iter().map(|name| (distance(word, name), name.as_str()));
        let near: Vec<(usize, &str)> = far.filter(|(far, _)| *far <= MOST).collect();
        let least = near.iter().map(|(far, _)| *far).min()?;
        one(near.into_iter().filter(|(far, _)| *far == least).map(|(_, name)| name).collect())
    })
}

/// How many letters have to be put in, left out, replaced, or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, x) in a.iter().enumerate() {
        let mut now = vec![row + 1];
        for (column, y) in b.iter().enumerate() {
            let at =
                |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut least = (at(&last, column) + usize::from(x != y))
                .min(at(&last, column + 1) + 1)
                .min(at(&now, column) + 1);
            let swapped =
                row > 0 && column > 0 && a.get(row - 1) == Some(y) && b.get(column - 1) == Some(x);
            if swapped {
                least = least.min(at(&before, column - 1) + 1);
            }
            now.push(least);
        }
        before = std::mem::replace(&mut last, now);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_a_guess_is_not_made() {
        let names: Vec<String> =
            ["status", "switchover", "setup", "resume", "rebuild", "forget", "force-promote"]
                .map(str::to_owned)
                .into();
        for (word, meant) in [
            ("stat", Some("status")),
            ("swtchover", Some("switchover")),
            ("switchvoer", Some("switchover")),
            ("satus", Some("status")),
            ("setpu", Some("setup")),
            ("rebiuld", Some("rebuild")),
            ("resum", Some("resume")),
            // Two begin so, and neither is near.
            ("for", None),
            ("re", None),
            ("", None),
            ("frobnicate", None),
            ("migrate_to", None),
        ] {
            assert_eq!(nearest(word, &names), meant, "{word}");
        }
        assert_eq!(nearest(&"s".repeat(1 << 20), &names), None);
        for (a, b, far) in [("", "", 0), ("ab", "ba", 1), ("abc", "", 3), ("ab", "xb", 1)] {
            assert_eq!((distance(a, b), distance(b, a)), (far, far), "{a} {b}");
        }
    }
}
