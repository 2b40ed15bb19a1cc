//! The image that was chosen on this node for a version of PostgreSQL: what a start uses without asking a
//! registry. Kept in a file of root's. Floor 0.

use super::sealed::{seal, unseal};
use crate::postgres::image_name::{self, is_digest};
use crate::postgres::image_tag::Tag;

/// The first line of the file.
const HEAD: &str = "pgtwin image 1";

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Where it was looked for, the registry included.
    pub repository: String,
    /// The major version that was asked for.
    pub major: u32,
    /// The tag that was the newest.
    pub tag: String,
    /// The id of the image on this node.
    pub id: String,
    /// The digest by which the registry knows it.
    pub digest: Option<String>,
    /// When, in seconds of the epoch.
    pub at: i64,
}

/// What a node remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// This.
    Is(Choice),
    /// None was ever chosen.
    Nothing,
    /// It cannot be read.
    Unreadable(String),
}

impl Choice {
    /// By which name an engine finds exactly this image: that with the digest, where it has one.
    pub fn name(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.repository),
            None => format!("{}:{}", self.repository, self.tag),
        }
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        let digest = self.digest.as_ref().map_or_else(String::new, |it| format!("digest {it}\n"));
        seal(format!(
            "{HEAD}\nrepository {}\nmajor {}\ntag {}\nid {}\n{digest}at {}\n",
            self.repository, self.major, self.tag, self.id, self.at
        ))
    }

    /// Reads it back.
    pub fn parse(text: &str) -> Result<Self, String> {
        let body = unseal(text)?;
        let mut lines = body.lines();
        if lines.next() != Some(HEAD) {
            return Err("it is of another version, or another file".into());
        }
        let fields: std::collections::BTreeMap<&str, &str> =
            lines.filter_map(|line| line.split_once(' ')).collect();
        let field = |name: &str| {
            fields.get(name).copied().ok_or_else(|| format!("its line {name} is missing"))
        };
        let is = |fine: bool, name: &str| {
            if fine { Ok(()) } else { Err(format!("its line {name} is not understood")) }
        };
        let number = |name: &str| format!("its line {name} is not understood");
        let choice = Self {
            repository: field("repository")?.to_owned(),
            major: field("major")?.parse().map_err(|_| number("major"))?,
            tag: field("tag")?.to_owned(),
            id: field("id")?.to_owned(),
            digest: fields.get("digest").map(|digest| (*digest).to_owned()),
            at: field("at")?.parse().map_err(|_| number("at"))?,
        };
        is(image_name::is_repository(&choice.repository), "repository")?;
        is(Tag::parse(&choice.tag).is_some_and(|tag| tag.major == choice.major), "tag")?;
        is(is_digest(&choice.id), "id")?;
        is(choice.digest.as_deref().is_none_or(is_digest), "digest")?;
        Ok(choice)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn choice() -> Choice {
        Choice {
            repository: "r.example:5000/db/pg".into(),
            major: 17,
            tag: "17.10".into(),
            id: format!("sha256:{}", "0a".repeat(32)),
            digest: Some(format!("sha256:{}", "0b".repeat(32))),
            at: 1_764_138_600,
        }
    }

    #[test]
    fn a_choice_reads_back_and_a_damaged_one_is_none() {
        for choice in [choice(), Choice { digest: None, ..choice() }] {
            let text = choice.to_text();
            assert_eq!(Choice::parse(&text), Ok(choice));
            for cut in 0..text.len() - 1 {
                assert!(Choice::parse(&text[..cut]).is_err(), "{cut}");
            }
        }
        assert!(choice().name().starts_with("r.example:5000/db/pg@sha256:0b0b"));
        let by_tag = Choice { digest: None, ..choice() };
        assert_eq!(by_tag.name(), "r.example:5000/db/pg:17.10");
    }

    #[test]
    fn a_sealed_text_that_says_something_else_is_none_either() {
        for (choice, words) in [
            (Choice { repository: "-v/:/host".into(), ..choice() }, "repository"),
            (Choice { tag: "latest".into(), ..choice() }, "tag"),
            (Choice { tag: "16.1".into(), ..choice() }, "tag"),
            (Choice { id: "x".into(), ..choice() }, "id"),
            (Choice { digest: Some("md5:1".into()), ..choice() }, "digest"),
        ] {
            let error = Choice::parse(&choice.to_text()).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert!(Choice::parse(&seal("pgtwin image 2\n".into())).unwrap_err().contains("another"));
        assert!(Choice::parse(&seal(format!("{HEAD}\n"))).unwrap_err().contains("missing"));
    }
}
