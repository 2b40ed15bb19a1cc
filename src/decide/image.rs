//! Which image a container is made of: what the parameters ask for, which tag that is, and what a start
//! uses. Floor 1.
//!
//! A registry is asked by `pgtwin container pull` alone. What it found is remembered on the node, and a
//! start uses what is remembered and lies on this machine: so no start waits for a network, and none runs
//! another program than the last one did because somebody has pushed a tag.

use crate::cluster::image::Remembered;
use crate::ocf::params::Params;
use crate::postgres::image_name::ImageName;
use crate::postgres::image_tag::{self, NoTag};

/// What is to be done about an image that is not here.
pub const PULL: &str = "run pgtwin container pull on this node";

/// What the parameters ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This image.
    Named {
        /// As container_image has it.
        name: String,
        /// What is odd about it, one line each.
        warnings: Vec<String>,
    },
    /// The newest one of a major version.
    Newest {
        /// With its registry.
        repository: String,
        /// The version.
        major: u32,
    },
}

/// Why no image follows from the parameters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoImage {
    /// Neither an image nor a version is given.
    #[error(
        "neither container_image nor pg_major_version is given: set container_image to the image that is \
         to be run, with its tag or digest"
    )]
    Neither,
    /// A version is given, and not where to look.
    #[error(
        "{missing} is not given, so it is not known where an image of pg_major_version={major} is looked for: \
         set it, or set container_image"
    )]
    Nowhere {
        /// The parameter.
        missing: &'static str,
        /// The version.
        major: u32,
    },
    /// It was never looked for.
    #[error(
        "no image of {repository} for pg_major_version={major} was chosen on this node: {PULL}"
    )]
    NotChosen {
        /// With its registry.
        repository: String,
        /// The version.
        major: u32,
    },
    /// What is remembered cannot be read.
    #[error("which image was chosen on this node is not known ({0}): {PULL}")]
    Unreadable(String),
}

/// What they ask for. An image that is named wins.
pub fn wanted(params: &Params) -> Result<Wanted, NoImage> {
    if let Some(name) = &params.container_image {
        return Ok(Wanted::Named { name: name.clone(), warnings: warnings(name, params) });
    }
    let Some(major) = params.pg_major_version else { return Err(NoImage::Neither) };
    let nowhere = |missing| NoImage::Nowhere { missing, major };
    let registry =
        params.container_registry.as_ref().ok_or_else(|| nowhere("container_registry"))?;
    let repository =
        params.container_repository.as_ref().ok_or_else(|| nowhere("container_repository"))?;
    Ok(Wanted::Newest { repository: format!("{registry}/{repository}"), major })
}

fn warnings(name: &str, params: &Params) -> Vec<String> {
    let Ok(image) = name.parse::<ImageName>() else { return Vec::new() };
    let mut all = Vec::new();
    match (image.major(), params.pg_major_version) {
        (Some(has), Some(asked)) if has != asked => all.push(format!(
            "container_image={name} is of PostgreSQL {has}, and pg_major_version={asked}: container_image \
             counts; remove pg_major_version, or make them agree"
        )),
        _ => {}
    }
    if image.registry().is_none() {
        all.push(format!(
            "container_image={name} names no registry: each engine looks for it where its own settings \
             say; write the registry before it"
        ));
    }
    if image.tag.is_none() && image.digest.is_none() {
        all.push(format!(
            "container_image={name} has neither tag nor digest, which means latest: another major version \
             will be that one day; add a tag, or better a digest"
        ));
    }
    all
}

/// What a start uses: the name of an image that lies on this machine, or nothing.
pub fn to_start(params: &Params, remembered: &Remembered) -> Result<String, NoImage> {
    of_wanted(wanted(params)?, remembered)
}

/// The same of what the parameters were found to ask for.
pub fn of_wanted(wanted: Wanted, remembered: &Remembered) -> Result<String, NoImage> {
    match (wanted, remembered) {
        (Wanted::Named { name, .. }, _) => Ok(name),
        (Wanted::Newest { .. }, Remembered::Unreadable(why)) => {
            Err(NoImage::Unreadable(why.clone()))
        }
        (Wanted::Newest { repository, major }, Remembered::Is(choice))
            if choice.repository == repository && choice.major == major =>
        {
            Ok(choice.name())
        }
        (Wanted::Newest { repository, major }, Remembered::Is(_) | Remembered::Nothing) => {
            Err(NoImage::NotChosen { repository, major })
        }
    }
}

/// The newest image of a version, by the tags of its repository.
pub fn choose(repository: &str, major: u32, tags: &[String]) -> Result<ImageName, NotChosen> {
    let newest = image_tag::newest(tags.iter().map(String::as_str), major);
    let tag = newest.map_err(|source| NotChosen { repository: repository.to_owned(), source })?;
    Ok(ImageName { repository: repository.to_owned(), tag: Some(tag.text), digest: None })
}

/// No image of a repository is chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no image of {repository} is chosen")]
pub struct NotChosen {
    /// The repository.
    pub repository: String,
    /// Why.
    pub source: NoTag,
}

/// Whether an image can run this data. None: there is no data yet.
pub fn fits_data(image: &str, major: u32, data: Option<u32>) -> Result<(), String> {
    match data {
        Some(data) if data != major => Err(format!(
            "image {image} has PostgreSQL {major}, and the data of this node is of {data} (PG_VERSION): set \
             container_image to an image of PostgreSQL {data}"
        )),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::cluster::image::Choice;

    fn params(set: &[(&str, &str)]) -> Params {
        let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let resolved = Params::resolve_attributes(&set.collect());
        assert_eq!(resolved.errors, []);
        resolved.params
    }

    fn digest() -> String {
        format!("sha256:{}", "ab".repeat(32))
    }

    const IMAGE: (&str, &str) = ("container_image", "r.example/db/pg:17.6");
    const MAJOR: (&str, &str) = ("pg_major_version", "17");
    const REGISTRY: (&str, &str) = ("container_registry", "r.example");
    const REPOSITORY: (&str, &str) = ("container_repository", "db/pg");

    #[test]
    fn an_image_follows_from_the_parameters_or_it_is_said_which_is_missing() {
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Result<&'a str, &'a str>);
        let rows: &[Row<'_>] = &[
            ("nothing", &[], Err("neither container_image nor pg_major_version")),
            ("the image", &[IMAGE], Ok("r.example/db/pg:17.6")),
            ("the image wins", &[IMAGE, MAJOR, REGISTRY, REPOSITORY], Ok("r.example/db/pg:17.6")),
            ("a version", &[MAJOR, REGISTRY, REPOSITORY], Ok("newest 17 of r.example/db/pg")),
            ("no registry", &[MAJOR, REPOSITORY], Err("container_registry is not given")),
            ("no repository", &[MAJOR, REGISTRY], Err("container_repository is not given")),
            ("neither", &[MAJOR], Err("container_registry is not given")),
            ("no version", &[REGISTRY, REPOSITORY], Err("neither container_image nor")),
        ];
        for (name, set, expected) in rows {
            match (wanted(&params(set)), expected) {
                (Ok(Wanted::Named { name: image, .. }), Ok(text)) => {
                    assert_eq!(image, *text, "{name}");
                }
                (Ok(Wanted::Newest { repository, major }), Ok(text)) => {
                    assert_eq!(format!("newest {major} of {repository}"), *text, "{name}");
                }
                (Err(error), Err(words)) => {
                    assert!(error.to_string().contains(words), "{name}: {error}");
                }
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_is_odd_about_a_named_image_is_said() {
        let by_digest = format!("r.example/pg@{}", digest());
        let rows: &[(&str, Option<&str>, &[&str])] = &[
            ("r.example/pg:17.6", None, &[]),
            ("r.example/pg:17.6", Some("17"), &[]),
            ("r.example/pg:17.6", Some("16"), &["is of PostgreSQL 17, and pg_major_version=16"]),
            (&by_digest, Some("16"), &[]),
            ("pg:17", None, &["names no registry"]),
            ("r.example/pg", None, &["neither tag nor digest"]),
            ("r.example/pg:latest", Some("17"), &[]),
            ("pg:15-alpine", Some("17"), &["is of PostgreSQL 15", "names no registry"]),
        ];
        for (image, major, expected) in rows {
            let mut set = vec![("container_image", *image)];
            set.extend(major.map(|major| ("pg_major_version", major)));
            let Ok(Wanted::Named { warnings, .. }) = wanted(&params(&set)) else {
                panic!("{image}")
            };
            assert_eq!(warnings.len(), expected.len(), "{image}: {warnings:?}");
            for (warning, words) in warnings.iter().zip(*expected) {
                assert!(warning.contains(words), "{image}: {warning}");
            }
        }
    }

    #[test]
    fn a_start_uses_what_was_chosen_for_what_is_asked_for_now_and_asks_no_registry() {
        let choice = Choice {
            repository: "r.example/db/pg".into(),
            major: 17,
            tag: "17.6".into(),
            id: digest(),
            digest: None,
            at: 1_764_138_600,
        };
        let by_digest = Choice { digest: Some(digest()), ..choice.clone() };
        let asked = params(&[MAJOR, REGISTRY, REPOSITORY]);
        let rows: &[(&str, &Params, Remembered, Result<String, &str>)] = &[
            ("by tag", &asked, Remembered::Is(choice.clone()), Ok("r.example/db/pg:17.6".into())),
            (
                "by digest",
                &asked,
                Remembered::Is(by_digest),
                Ok(format!("r.example/db/pg@{}", digest())),
            ),
            ("nothing", &asked, Remembered::Nothing, Err("run pgtwin container pull")),
            (
                "unreadable",
                &asked,
                Remembered::Unreadable("no permission".into()),
                Err("is not known (no permission): run pgtwin container pull"),
            ),
            (
                "of another version",
                &asked,
                Remembered::Is(Choice { major: 16, ..choice.clone() }),
                Err("was chosen on this node: run pgtwin container pull"),
            ),
            (
                "of another repository",
                &asked,
                Remembered::Is(Choice { repository: "r.example/pg".into(), ..choice }),
                Err("was chosen on this node: run pgtwin container pull"),
            ),
            (
                "a named one",
                &params(&[IMAGE]),
                Remembered::Nothing,
                Ok("r.example/db/pg:17.6".into()),
            ),
            (
                "a named one needs no memory",
                &params(&[IMAGE, MAJOR]),
                Remembered::Unreadable("x".into()),
                Ok("r.example/db/pg:17.6".into()),
            ),
            ("neither", &params(&[]), Remembered::Nothing, Err("neither container_image")),
        ];
        for (name, params, remembered, expected) in rows {
            match (to_start(params, remembered), expected) {
                (Ok(found), Ok(text)) => assert_eq!(found, *text, "{name}"),
                (Err(error), Err(words)) => {
                    assert!(error.to_string().contains(words), "{name}: {error}");
                }
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_newest_tag_becomes_a_name_and_the_data_has_the_last_word() {
        let tags = ["17.9", "17.10", "16.1"].map(str::to_owned);
        let chosen = choose("r.example/pg", 17, &tags).unwrap();
        assert_eq!(chosen.to_string(), "r.example/pg:17.10");
        let error = choose("r.example/pg", 18, &tags).unwrap_err();
        assert_eq!(error.to_string(), "no image of r.example/pg is chosen");
        assert!(error.source.to_string().contains("no tag of PostgreSQL 18"), "{error:?}");
        assert_eq!(fits_data("pg:17", 17, Some(17)), Ok(()));
        assert_eq!(fits_data("pg:17", 17, None), Ok(()));
        let why = fits_data("pg:17", 17, Some(1)).unwrap_err();
        assert!(why.contains("has PostgreSQL 17, and the data of this node is of 1 "), "{why}");
    }
}
