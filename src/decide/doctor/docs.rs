//! `docs/doctor.md`, made from the table. Floor 1.

use std::fmt::Write as _;

use super::{Area, TABLE};

const HEAD: &str = include_str!("docs.md");

/// The text of `docs/doctor.md`.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for (title, words, area) in [
        (
            "The cluster",
            "The configuration and the state of the cluster: the same from every node. With `--cib` only \
             these are made.",
            Area::Cluster,
        ),
        (
            "PostgreSQL",
            "PostgreSQL on this node, and the others as this one reaches them.",
            Area::Server,
        ),
        ("The machine", "Files and services of this node.", Area::Node),
    ] {
        let _ = write!(text, "\n## {title}\n\n{words}\n");
        for check in TABLE.iter().filter(|check| check.area == area) {
            let _ = write!(text, "\n### {}\n\n{}. {}\n", check.id, check.title, check.why);
        }
    }
    text
}
