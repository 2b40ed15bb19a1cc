//! What a node says of the image that its PostgreSQL would run in, for whoever changes the runtime of the
//! cluster from another node: one line of printable ASCII in a private attribute. Floor 0.

use std::fmt;
use std::str::FromStr;

use crate::postgres::image_name::is_digest;

/// The longest line, in bytes.
const LONGEST: usize = 1400;
/// Between what speaks against it.
const BETWEEN: &str = " | ";

/// One side: the host, or the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// PostgreSQL's version, as in 17.6.
    pub version: String,
    /// The C library, which sorts texts, as in glibc 2.36; none: it is not known.
    pub libc: Option<String>,
    /// The major version of ICU, which sorts them for whoever wants it; none: it is not known, or not there.
    pub icu: Option<String>,
}

/// What was found on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// When, in seconds of the epoch.
    pub at: i64,
    /// The engine and its version, as in podman-4.3.1.
    pub engine: String,
    /// The image, by the name that a start would use.
    pub image: String,
    /// Its id.
    pub id: String,
    /// What is in it.
    pub inside: Side,
    /// PostgreSQL on the host; none: there is none of this version.
    pub host: Option<Side>,
    /// What keeps PostgreSQL of this node from running in it, one line each.
    pub against: Vec<String>,
}

/// A text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:.80?} does not say what a node has found of its image")]
pub struct NotReadiness(String);

fn plain(text: &str) -> String {
    let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.trim().chars().map(plain).collect()
}

fn word(text: &str) -> String {
    let text: String = plain(text).split_whitespace().collect::<Vec<_>>().join("-");
    if text.is_empty() { "-".to_owned() } else { text }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |text: Option<&String>| text.map_or_else(|| "-".to_owned(), |text| word(text));
        let libraries = |side: Option<&Side>| {
            let libc = said(side.and_then(|side| side.libc.as_ref()));
            format!("{libc},{}", said(side.and_then(|side| side.icu.as_ref())))
        };
        let host = said(self.host.as_ref().map(|side| &side.version));
        let against: Vec<String> =
            self.against.iter().map(|one| plain(&one.replace(BETWEEN, ", "))).collect();
        let mut line = format!(
            "at={} engine={} image={} id={} version={} libc={} host={host} host-libc={} against={}",
            self.at,
            word(&self.engine),
            word(&self.image),
            word(&self.id),
            word(&self.inside.version),
            libraries(Some(&self.inside)),
            libraries(self.host.as_ref()),
            against.join(BETWEEN)
        );
        line.truncate(LONGEST);
        f.write_str(line.trim_end())
    }
}

impl FromStr for Readiness {
    type Err = NotReadiness;

    fn from_str(text: &str) -> Result<Self, NotReadiness> {
        read(text).ok_or_else(|| NotReadiness(plain(text)))
    }
}

fn read(text: &str) -> Option<Readiness> {
    let (head, against) = text.split_once(" against=")?;
    let mut words = head.split(' ');
    let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
    let said = |text: &str| (text != "-").then(|| text.to_owned());
    let (at, engine, image, id) = (field("at")?, field("engine")?, field("image")?, field("id")?);
    let (version, libraries) = (field("version")?, field("libc")?);
    let (host, host_libraries) = (field("host")?, field("host-libc")?);
    let side = |version: &str, libraries: &str| {
        let (libc, icu) = libraries.split_once(',')?;
        // A blank is no part of a word: glibc 2.36 was sent as glibc-2.36.
        let libc = said(libc).map(|libc| libc.replacen('-', " ", 1));
        Some(Side { version: version.to_owned(), libc, icu: said(icu) })
    };
    if words.next().is_some() || !is_digest(id) {
        return None;
    }
    Some(Readiness {
        at: at.parse().ok()?,
        engine: engine.to_owned(),
        image: image.to_owned(),
        id: id.to_owned(),
        inside: side(version, libraries)?,
        host: if host == "-" { None } else { Some(side(host, host_libraries)?) },
        against: against
            .split(BETWEEN)
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn readiness() -> Readiness {
        Readiness {
            at: 1_764_138_600,
            engine: "podman-4.3.1".into(),
            image: "r.example/pg:17.6".into(),
            id: format!("sha256:{}", "0a".repeat(32)),
            inside: Side {
                version: "17.6".into(),
                libc: Some("glibc 2.36".into()),
                icu: Some("72".into()),
            },
            host: Some(Side { version: "17.5".into(), libc: None, icu: None }),
            against: vec!["no pgvector".into(), "uid 26 is not usable".into()],
        }
    }

    #[test]
    fn what_a_node_says_is_one_line_and_reads_back() {
        for one in [
            readiness(),
            Readiness { host: None, against: Vec::new(), ..readiness() },
            Readiness { against: vec!["one".into()], ..readiness() },
        ] {
            let text = one.to_string();
            assert!(text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{text}");
            assert_eq!(text.parse::<Readiness>().unwrap(), one);
        }
    }

    #[test]
    fn what_cannot_be_stored_is_shown_otherwise_and_a_long_line_is_cut() {
        let odd = Readiness {
            engine: "podman 4\n".into(),
            against: vec!["\u{e4} | b".into(), "x".repeat(3000)],
            ..readiness()
        };
        let text = odd.to_string();
        assert_eq!(text.len(), LONGEST);
        let back = text.parse::<Readiness>().unwrap();
        assert_eq!((back.engine.as_str(), back.against.len()), ("podman-4", 2));
        assert_eq!(back.against.first().unwrap(), "?, b");
    }

    #[test]
    fn another_text_is_none() {
        let text = readiness().to_string();
        for broken in [
            String::new(),
            text.replace("sha256:", "md5:"),
            text.replace(" libc=", " lib="),
            text.replace("at=1", "at=x"),
            text.replace(" against=", " "),
            text.replace(" host=", " more=1 host="),
        ] {
            assert!(broken.parse::<Readiness>().is_err(), "{broken}");
        }
    }
}
