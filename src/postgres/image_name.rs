//! The name of an image, as podman and docker take it: `registry/repository:tag@digest`. Floor 0.
//!
//! Source: the grammar of references of the OCI distribution specification and of docker's
//! `distribution/reference`.

use std::fmt;
use std::str::FromStr;

use super::image_tag::Tag;

/// The longest tag, and the longest name before it, in bytes.
const TAG: usize = 128;
const NAME: usize = 255;

/// A name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// With the registry, if one is named: `registry.example/db/postgres`.
    pub repository: String,
    /// `17.6`; none: a digest stands alone, or nothing, which engines take for `latest`.
    pub tag: Option<String>,
    /// `sha256:…`: exactly this image, for ever.
    pub digest: Option<String>,
}

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name of an image: {why}")]
pub struct NotAnImageName {
    /// The text, or its beginning.
    text: String,
    /// What is wrong with it.
    why: &'static str,
}

impl ImageName {
    /// The registry, if one is named: the part before the first slash, if it can be a host.
    pub fn registry(&self) -> Option<&str> {
        let (first, _) = self.repository.split_once('/')?;
        let is_host = first == "localhost" || first.contains(['.', ':']);
        is_host.then_some(first)
    }

    /// The major version of PostgreSQL that the tag speaks of.
    pub fn major(&self) -> Option<u32> {
        self.tag.as_deref().and_then(Tag::parse).map(|tag| tag.major)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageName {
    type Err = NotAnImageName;

    fn from_str(text: &str) -> Result<Self, NotAnImageName> {
        let no = |why| NotAnImageName { text: text.chars().take(120).collect(), why };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if is_digest(digest) => (rest, Some(digest.to_owned())),
            Some(_) => return Err(no("a digest is sha256: and 64 hexadecimal digits")),
            None => (text, None),
        };
        // A colon before the last slash is that of a registry's port.
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(no("a tag has letters, digits and _ . -, at most 128 of them"));
        }
        repository_of(repository).map_err(no)?;
        Ok(Self { repository: repository.to_owned(), tag: tag.map(str::to_owned), digest })
    }
}

/// Whether this can be the name of a repository, with or without a registry before it.
pub fn is_repository(text: &str) -> bool {
    repository_of(text).is_ok()
}

/// Whether this can be a registry: a host, and maybe a port.
pub fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "443"));
    let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let ends = |part: &str| part.starts_with(['-', '.']) || part.ends_with(['-', '.']);
    let number = port.len() <= 5 && port.parse::<u16>().is_ok_and(|port| port > 0);
    !host.is_empty() && host.len() <= 253 && host.bytes().all(fine) && !ends(host) && number
}

fn repository_of(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > NAME {
        return Err("a repository has 1 to 255 characters");
    }
    let path = match text.split_once('/') {
        Some((first, path)) if first == "localhost" || first.contains(['.', ':']) => {
            if !is_registry(first) {
                return Err("what is before the first slash is no host with a port");
            }
            path
        }
        _ => text,
    };
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let part = |part: &str| {
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        edge(part.bytes().next()) && edge(part.bytes().last()) && part.bytes().all(fine)
    };
    if path.split('/').all(part) {
        Ok(())
    } else {
        Err("a repository has small letters, digits and . _ - between its slashes")
    }
}

fn is_tag(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    first && text.len() <= TAG && text.bytes().all(fine)
}

/// Whether this is a digest, which is also what an image's id looks like.
pub fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:");
    let fine = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(fine))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn digest() -> String {
        format!("sha256:{}", "0123456789abcdef".repeat(4))
    }

    type Row =
        (String, &'static str, Option<&'static str>, bool, Option<&'static str>, Option<u32>);

    #[test]
    fn a_name_falls_into_its_parts_and_back() {
        let digest = digest();
        let rows: &[Row] = &[
            ("postgres".into(), "postgres", None, false, None, None),
            ("postgres:17".into(), "postgres", Some("17"), false, None, Some(17)),
            (
                "db/postgres:17.6-bookworm".into(),
                "db/postgres",
                Some("17.6-bookworm"),
                false,
                None,
                Some(17),
            ),
            (
                "localhost/pg:15".into(),
                "localhost/pg",
                Some("15"),
                false,
                Some("localhost"),
                Some(15),
            ),
            (
                "r.example:5000/pg".into(),
                "r.example:5000/pg",
                None,
                false,
                Some("r.example:5000"),
                None,
            ),
            (
                "r.example/a/b:latest".into(),
                "r.example/a/b",
                Some("latest"),
                false,
                Some("r.example"),
                None,
            ),
            (format!("r.example/a@{digest}"), "r.example/a", None, true, Some("r.example"), None),
            (
                format!("r.example/a:17@{digest}"),
                "r.example/a",
                Some("17"),
                true,
                Some("r.example"),
                Some(17),
            ),
        ];
        for (text, repository, tag, has_digest, registry, major) in rows {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(
                (name.repository.as_str(), name.tag.as_deref(), name.digest.is_some()),
                (*repository, *tag, *has_digest),
                "{text}"
            );
            assert_eq!((name.registry(), name.major()), (*registry, *major), "{text}");
            assert_eq!(name.to_string(), *text);
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "1 to 255"),
            ("Postgres:17", "small letters"),
            ("r.example//pg", "small letters"),
            ("/pg", "small letters"),
            ("pg/", "small letters"),
            ("pg:", "a tag has"),
            ("pg:-x", "a tag has"),
            ("pg@sha256:12", "a digest is"),
            ("pg@md5:12", "a digest is"),
            ("r.example:0/pg", "no host"),
            ("r.example:99999/pg", "no host"),
            ("-v/:/host", "small letters"),
            ("$(x)", "small letters"),
        ] {
            let error = text.parse::<ImageName>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        let long = format!("pg:{}", "1".repeat(129));
        assert!(long.parse::<ImageName>().is_err());
    }

    #[test]
    fn registries_are_hosts_with_or_without_a_port() {
        for (text, expected) in [
            ("localhost:5000", true),
            ("r.example", true),
            ("10.0.0.1:5000", true),
            ("", false),
            ("https://r.example", false),
            ("r.example/", false),
            ("-r.example", false),
            ("r.example:", false),
            ("r.example:x", false),
            ("a b", false),
        ] {
            assert_eq!(is_registry(text), expected, "{text}");
        }
    }
}
