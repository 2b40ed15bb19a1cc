//! The tags of PostgreSQL's images, and which of them is the newest of a major version. Floor 0.
//!
//! A tag names a version and, behind it, how the image was built: a number of the build (`17.6-12.3`), a
//! date (`17.6-20260102`), or a flavour, the distribution or libc inside (`17.6-alpine`, `17.6-bookworm`).
//! A flavour has another libc than the next one, and with it other collations. So none is chosen by itself
//! where the tags leave a choice.

use std::cmp::Ordering;
use std::fmt;

/// The major versions that a tag can speak of: larger numbers are dates.
const MAJORS: std::ops::RangeInclusive<u32> = 10..=99;

/// Numbers that are a date, as in 20260102.
const DATES: u64 = 10_000_000;

/// A tag that names a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// As in `PG_VERSION`.
    pub major: u32,
    /// None: the tag follows the newest minor version there is.
    pub minor: Option<u32>,
    /// Numbers of the build, or a date; empty: the tag follows the newest build.
    pub build: Vec<u64>,
    /// The distribution or libc inside, as the tag has it; empty: not told.
    pub flavour: String,
    /// The tag.
    pub text: String,
}

impl Tag {
    /// Reads a tag; none: it names no version that is released.
    pub fn parse(text: &str) -> Option<Self> {
        let version = text.strip_prefix('v').unwrap_or(text);
        let (major, rest) = number(version)?;
        let major = u32::try_from(major).ok().filter(|major| MAJORS.contains(major))?;
        let (minor, rest) = match rest.strip_prefix('.') {
            None => (None, rest),
            Some(rest) => {
                let (minor, rest) = number(rest)?;
                // A date or a number of a build is no minor version.
                (Some(u32::try_from(minor).ok().filter(|minor| *minor < 1000)?), rest)
            }
        };
        // 18beta1, 18rc1, 19devel
        if !(rest.is_empty() || rest.starts_with(['-', '.', '_'])) {
            return None;
        }
        let mut build = Vec::new();
        let mut flavour = Vec::new();
        for part in rest.split(['-', '.', '_']).filter(|part| !part.is_empty()) {
            let word = part.trim_end_matches(|c: char| c.is_ascii_digit());
            // A signature or a list of contents of an image, which registries keep among its tags.
            if is_unreleased(word) || ["sig", "att", "sbom", "source"].contains(&part) {
                return None;
            }
            match number(part) {
                // A number behind a flavour is a version of that: debian-12. A date never is.
                Some((number, "")) if flavour.is_empty() || number >= DATES => build.push(number),
                // r12: the twelfth build.
                _ if word == "r" => build.extend(number(part.get(1..)?).map(|(number, _)| number)),
                _ => flavour.push(part),
            }
        }
        Some(Self { major, minor, build, flavour: flavour.join("-"), text: text.to_owned() })
    }

    /// The newer one is greater. A tag that follows the newest of something is as new as that.
    fn age(&self, other: &Self) -> Ordering {
        let minor = self.minor.cmp(&other.minor);
        let build = match (self.build.as_slice(), other.build.as_slice()) {
            ([], []) => Ordering::Equal,
            ([], _) => Ordering::Greater,
            (_, []) => Ordering::Less,
            (one, other) => one.cmp(other),
        };
        let shorter = || other.text.len().cmp(&self.text.len());
        minor.then(build).then_with(shorter).then_with(|| self.text.cmp(&other.text))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_unreleased(word: &str) -> bool {
    ["alpha", "beta", "rc", "devel", "dev", "snapshot", "nightly"].contains(&word)
}

/// The digits at the beginning, and what follows.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    if digits.len() > 15 {
        return None;
    }
    Some((digits.parse().ok()?, rest))
}

/// Why no tag is chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTag {
    /// There is none of this version.
    #[error("no tag of PostgreSQL {major} is among its {count} tags{}", others(.majors))]
    None {
        /// The version.
        major: u32,
        /// How many tags there are.
        count: usize,
        /// The versions there are.
        majors: Vec<u32>,
    },
    /// Each has a flavour, and they differ.
    #[error(
        "its tags of PostgreSQL {major} leave a choice ({}): set container_image to one of them, such as {newest}",
        .flavours.join(", ")
    )]
    Flavours {
        /// The version.
        major: u32,
        /// What there is to choose from.
        flavours: Vec<String>,
        /// The newest of the first.
        newest: String,
    },
}

fn others(majors: &[u32]) -> String {
    if majors.is_empty() {
        return String::new();
    }
    let list: Vec<String> = majors.iter().map(u32::to_string).collect();
    format!("; there is {}", list.join(", "))
}

/// The newest tag of a major version: of those without a flavour, else of the one flavour there is; one
/// that names its minor version rather than one that does not.
pub fn newest<'t>(tags: impl IntoIterator<Item = &'t str>, major: u32) -> Result<Tag, NoTag> {
    let mut count = 0;
    let mut majors = std::collections::BTreeSet::new();
    let mut ours: Vec<Tag> = Vec::new();
    for text in tags {
        count += 1;
        let Some(tag) = Tag::parse(text) else { continue };
        majors.insert(tag.major);
        if tag.major == major {
            ours.push(tag);
        }
    }
    let of = |flavour: &str| {
        ours.iter()
            .filter(|tag| tag.flavour == flavour)
            .max_by(|one, other| one.age(other))
            .cloned()
    };
    if let Some(tag) = of("") {
        return Ok(tag);
    }
    let flavours: std::collections::BTreeSet<&str> =
        ours.iter().map(|tag| tag.flavour.as_str()).collect();
    let first = flavours.first().and_then(|flavour| of(flavour));
    match (first, flavours.len()) {
        (Some(tag), 1) => Ok(tag),
        (Some(tag), _) => Err(NoTag::Flavours {
            major,
            flavours: flavours.into_iter().map(str::to_owned).collect(),
            newest: tag.text,
        }),
        (None, _) => Err(NoTag::None { major, count, majors: majors.into_iter().collect() }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_a_version_a_build_and_a_flavour() {
        type Row = (&'static str, u32, Option<u32>, &'static [u64], &'static str);
        let rows: &[Row] = &[
            ("17", 17, None, &[], ""),
            ("v17", 17, None, &[], ""),
            ("17.6", 17, Some(6), &[], ""),
            ("17.10", 17, Some(10), &[], ""),
            ("17-alpine", 17, None, &[], "alpine"),
            ("17.6-alpine3.22", 17, Some(6), &[], "alpine3-22"),
            ("17.6-bookworm", 17, Some(6), &[], "bookworm"),
            ("17.6-12.3", 17, Some(6), &[12, 3], ""),
            ("17-61.9", 17, None, &[61, 9], ""),
            ("17.6-20260102", 17, Some(6), &[20_260_102], ""),
            ("17.6.0-debian-12-r4", 17, Some(6), &[0, 4], "debian-12"),
            ("17.6-bookworm-20260102", 17, Some(6), &[20_260_102], "bookworm"),
        ];
        for (text, major, minor, build, flavour) in rows {
            let tag = Tag::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(
                (tag.major, tag.minor, tag.build.as_slice(), tag.flavour.as_str()),
                (*major, *minor, *build, *flavour),
                "{text}"
            );
            assert_eq!(tag.to_string(), *text);
        }
    }

    #[test]
    fn what_names_no_released_version_is_no_tag_of_one() {
        for text in [
            "",
            "latest",
            "alpine",
            "bookworm",
            "18beta1",
            "18rc1",
            "19devel",
            "18-beta1",
            "18.0-rc1",
            "18-rc.1",
            "9.6.24",
            "9",
            "20260102",
            "202601021200",
            "17x",
            "17.",
            "17.x",
            "17..6",
            "17.20260102",
            "sha256-0123.sig",
            "17.6.sig",
            "17.6-source",
            "99999999999999999999",
            "v",
            "-17",
            "17-snapshot",
        ] {
            assert_eq!(Tag::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_newest_tag_is_found_by_its_numbers() {
        type Row = (&'static str, &'static [&'static str], u32, Result<&'static str, &'static str>);
        let rows: &[Row] = &[
            ("numbers are no texts", &["17.9", "17.10", "17.1"], 17, Ok("17.10")),
            ("a minor before none", &["17", "17.9", "latest"], 17, Ok("17.9")),
            ("only the major", &["16", "17", "18"], 17, Ok("17")),
            ("others are passed over", &["17.9", "18.1", "16.12", "9.6"], 17, Ok("17.9")),
            ("no pre-release", &["18beta3", "18rc1", "18.0", "18.1-rc1"], 18, Ok("18.0")),
            (
                "no flavour where there is one without",
                &["17.9", "17.10-alpine", "17.10-bookworm"],
                17,
                Ok("17.9"),
            ),
            (
                "the one flavour there is",
                &["17.9-bookworm", "17.10-bookworm", "17-bookworm"],
                17,
                Ok("17.10-bookworm"),
            ),
            (
                "no choice among flavours",
                &["17.9-bookworm", "17.9-alpine"],
                17,
                Err("(alpine, bookworm): set container_image to one of them, such as 17.9-alpine"),
            ),
            ("a tag that follows its builds", &["17.6-12.3", "17.6", "17.6-12.10"], 17, Ok("17.6")),
            ("builds by number", &["17.6-12.3", "17.6-12.10"], 17, Ok("17.6-12.10")),
            ("dates", &["17.6-20260102", "17.6-20251231"], 17, Ok("17.6-20260102")),
            (
                "a newer distribution is another one",
                &["17.6-debian-12", "17.6-debian-13"],
                17,
                Err("(debian-12, debian-13)"),
            ),
            ("a newer minor before a newer build", &["17.6-99.9", "17.7-1.1"], 17, Ok("17.7-1.1")),
            ("a date is no version", &["20260102", "17"], 17, Ok("17")),
            (
                "none of it",
                &["15", "16.2", "latest"],
                17,
                Err("no tag of PostgreSQL 17 is among its 3 tags; there is 15, 16"),
            ),
            ("nothing", &[], 17, Err("among its 0 tags")),
            ("1 is not 17", &["17.1", "11.3"], 11, Ok("11.3")),
        ];
        for (name, tags, major, expected) in rows {
            match (newest(tags.iter().copied(), *major), expected) {
                (Ok(tag), Ok(text)) => assert_eq!(tag.text, *text, "{name}"),
                (Err(error), Err(words)) => {
                    let error = error.to_string();
                    assert!(error.contains(words), "{name}: {error}");
                }
                (found, _) => panic!("{name}: {found:?}"),
            }
            // The order in which a registry tells them does not matter.
            let reversed = newest(tags.iter().rev().copied(), *major);
            assert_eq!(reversed, newest(tags.iter().copied(), *major), "{name}");
        }
    }
}
