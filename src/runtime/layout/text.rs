//! A layout as a text, for a file of ours: a swap that was interrupted goes on with the very one that
//! it began with. Floor 2.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::str::Lines;

use super::{Layout, Part, Tablespace, What, is_stamp};

const HEAD: &str = "pgtwin layout 1";

/// A text is not a layout that this version has written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the layout of the data is not understood")]
pub struct LayoutError {
    /// Counted from 1.
    pub line: usize,
}

impl Layout {
    /// The text; none when a path is no text, or holds a line break.
    pub fn to_text(&self) -> Option<String> {
        let mut out = format!("{HEAD}\n{} {} {}\n", self.stamp, u8::from(self.keep), self.major);
        for part in &self.parts {
            let (kind, oid, from) = match &part.what {
                What::Data => ("data", 0, Path::new("")),
                What::Wal => ("wal", 0, Path::new("")),
                What::Tablespace(space) => ("tablespace", space.oid, space.location.as_path()),
                What::Dropped(oid) => ("dropped", *oid, Path::new("")),
            };
            let mode = part.mode.map_or_else(|| "-".to_owned(), |mode| format!("{mode:o}"));
            let flags = (u8::from(part.inside), u8::from(part.has_old));
            writeln!(out, "{kind} {oid} {} {} {mode}", flags.0, flags.1).ok()?;
            for path in [&part.at, &part.link, from] {
                let path = path.to_str().filter(|path| !path.contains(['\n', '\r']))?;
                writeln!(out, "{path}").ok()?;
            }
        }
        out.push_str("end\n");
        Some(out)
    }

    /// Reads such a text.
    pub fn parse(text: &str) -> Result<Self, LayoutError> {
        let mut lines = text.lines();
        let total = lines.clone().count();
        let parsed = Self::read(&mut lines);
        match parsed {
            Some(layout) if lines.next().is_none() && text.ends_with("end\n") => Ok(layout),
            Some(_) | None => Err(LayoutError { line: total.saturating_sub(lines.count()).max(1) }),
        }
    }

    fn read(lines: &mut Lines<'_>) -> Option<Self> {
        if lines.next()? != HEAD {
            return None;
        }
        let head: Vec<&str> = lines.next()?.split(' ').collect();
        let [stamp, keep, major] = head.as_slice() else { return None };
        let mut parts = Vec::new();
        loop {
            let line = lines.next()?;
            if line == "end" {
                break;
            }
            parts.push(part(line, lines)?);
        }
        let layout = Self {
            stamp: Some((*stamp).to_owned()).filter(|stamp| is_stamp(stamp))?,
            keep: flag(keep)?,
            major: major.parse().ok()?,
            parts,
        };
        let one = layout.parts.iter().filter(|part| part.what == What::Data).count() == 1;
        (one && layout.data().is_some()).then_some(layout)
    }
}

fn part(line: &str, lines: &mut Lines<'_>) -> Option<Part> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [kind, oid, inside, has_old, mode] = fields.as_slice() else { return None };
    let at = Some(PathBuf::from(lines.next()?)).filter(|path| path.is_absolute())?;
    let link = PathBuf::from(lines.next()?);
    let location = PathBuf::from(lines.next()?);
    let oid = oid.parse().ok()?;
    let what = match *kind {
        "data" => What::Data,
        "wal" => What::Wal,
        "tablespace" => What::Tablespace(Tablespace { oid, location }),
        "dropped" => What::Dropped(oid),
        _ => return None,
    };
    let mode = match *mode {
        "-" => None,
        mode => Some(u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777)?),
    };
    Some(Part { what, at, inside: flag(inside)?, has_old: flag(has_old)?, mode, link })
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::super::tests::{layout, part};
    use super::*;

    #[test]
    fn a_layout_that_was_written_is_read_back_and_nothing_less_than_all_of_it() {
        let space = Tablespace { oid: 16384, location: "/ts 1".into() };
        let mut parts = vec![
            part(What::Data, "/srv/my data", false),
            part(What::Wal, "/wal", true),
            part(What::Tablespace(space), "/ts", false),
            part(What::Dropped(16390), "/old", false),
        ];
        parts[2].mode = None;
        parts[2].has_old = false;
        let layout = layout(true, parts);
        let text = layout.to_text().unwrap();
        assert_eq!(Layout::parse(&text), Ok(layout));
        for end in 0..text.len() {
            assert!(Layout::parse(&text[..end]).is_err(), "{end}");
        }
        assert!(Layout::parse(&format!("{text}x\n")).is_err());
        for (from, to) in [
            ("layout 1", "layout 2"),
            ("20261125-120000", "20261125"),
            ("data 0 0 1 700", "wal 0 0 1 700"),
            ("data 0 0 1 700", "data 0 2 1 700"),
            ("/srv/my data\n", "srv\n"),
            ("wal 0 1 1 700", "data 0 1 1 700"),
        ] {
            assert!(Layout::parse(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
    }

    #[test]
    fn a_path_with_a_line_break_is_not_written() {
        // A carriage return at the end would be taken for a part of the end of the line.
        for path in ["/a\nb", "/a\r"] {
            assert_eq!(layout(false, vec![part(What::Data, path, false)]).to_text(), None);
        }
    }
}
