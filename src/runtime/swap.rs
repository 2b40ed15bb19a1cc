//! Old data out, new data in, by renames alone. Floor 2.
//!
//! The steps are values, each can be repeated, and after any of them, also by a power cut, PGDATA is
//! the whole old data, or no data at all (nothing there, or a mount without `PG_VERSION`, which no
//! PostgreSQL starts on), or the whole new data; and the old data and the new data are each whole at a
//! place that the layout names. The order:
//!
//! 1. the old data goes, then its WAL and tablespaces, and its links are set to where those are now;
//! 2. new tablespaces and WAL come, the links of the new data are set to them, and the new data comes
//!    last.
//!
//! Where a part is replaced by its content, `PG_VERSION` goes first and comes last.
//!
//! The old data is removed by [`finish`] alone, which the caller calls when the new one streams. A swap
//! that cannot be finished is taken back by [`put_back`].

mod finish;
mod hand;
mod names;
mod put_back;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::sys::files::{FileError, Seen, look, read_untrusted, sync_dir};

use super::layout::{COPY, Layout, Part, read_copy};
use super::own_files::io_error;
use super::subvolume::is_in_the_way;
use super::{Place, Runtime, RuntimeError, nothing_runs};

use hand::Hand;

pub use finish::finish;
pub(in crate::runtime) use finish::{remove_strays, remove_tree};
pub use hand::{Moment, Watch};
pub use put_back::{is_half_moved, put_back};

/// One step. It knows by what is there whether it was done before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Renames a part's directory. Done when `to` is there, or `new` is not any more.
    Aside {
        /// The part.
        from: PathBuf,
        /// Its old copy.
        to: PathBuf,
        /// Its replacement.
        new: PathBuf,
    },
    /// The same, by moving what is in it into a directory inside it.
    AsideInside {
        /// The part.
        from: PathBuf,
        /// Its old copy.
        to: PathBuf,
        /// Its replacement.
        new: PathBuf,
        /// The beginning of the names that count.
        only: String,
    },
    /// Sets a link. Done when the directory that it is in is not there any more, or the link itself has
    /// gone on.
    Link {
        /// The link.
        at: PathBuf,
        /// Its text.
        to: PathBuf,
        /// Where the link goes in the end, by itself.
        then: Option<PathBuf>,
    },
    /// Renames a replacement to its place. Done when it is not there any more.
    Into {
        /// The replacement.
        new: PathBuf,
        /// The part.
        at: PathBuf,
        /// The mode that the part had.
        mode: Option<u32>,
    },
    /// The same, by moving what is in it.
    IntoInside {
        /// The replacement.
        new: PathBuf,
        /// The part.
        at: PathBuf,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aside { from, to, .. } => {
                write!(f, "rename {} to {}", from.display(), to.display())
            }
            Self::AsideInside { from, to, .. } => {
                write!(f, "move what is in {} to {}", from.display(), to.display())
            }
            Self::Link { at, to, .. } => write!(f, "link {} to {}", at.display(), to.display()),
            Self::Into { new, at, .. } => write!(f, "rename {} to {}", new.display(), at.display()),
            Self::IntoInside { new, at } => {
                write!(f, "move what is in {} to {}", new.display(), at.display())
            }
        }
    }
}

/// The steps, in their order.
pub fn plan(layout: &Layout) -> Vec<Step> {
    let Some(data) = layout.data() else { return Vec::new() };
    let others = || layout.parts.iter().skip(1);
    let mut steps = Vec::new();
    let aside = |part: &Part| {
        let (from, to) = (part.at.clone(), layout.old_dir(part));
        // What has no replacement is moved as long as the data is not in its place.
        let new = if part.has_new() { part.new_dir() } else { data.new_dir() };
        if part.inside {
            Step::AsideInside { from, to, new, only: layout.only(part) }
        } else {
            Step::Aside { from, to, new }
        }
    };
    steps.extend(layout.parts.iter().filter(|part| part.has_old).map(aside));
    let link = |base: &Path, part: &Part, to: PathBuf, then: Option<&Path>| {
        let name = part.link_name()?;
        Some(Step::Link { at: base.join(&name), to, then: then.map(|dir| dir.join(&name)) })
    };
    if data.has_old {
        let base = layout.old_dir(data);
        let old = others().filter(|part| part.has_old);
        steps.extend(old.filter_map(|part| link(&base, part, layout.old_dir(part), None)));
    }
    let into = |part: &Part| {
        let (new, at) = (part.new_dir(), part.at.clone());
        if part.inside {
            Step::IntoInside { new, at }
        } else {
            Step::Into { new, at, mode: part.mode }
        }
    };
    steps.extend(others().filter(|part| part.has_new()).map(into));
    let base = data.new_dir();
    let new = others().filter(|part| part.has_new());
    // Where the content is moved, it may be on its way already.
    let then = data.inside.then_some(data.at.as_path());
    steps.extend(new.filter_map(|part| link(&base, part, part.link.clone(), then)));
    steps.push(into(data));
    steps
}

/// Replaces the data, as the PostgreSQL user: the steps of [`plan`], those that were done before
/// included. `watch` is asked before each change and after each step; where it says no, this ends.
/// Whether all are done.
pub fn swap<'a>(
    runtime: &dyn Runtime,
    layout: &Layout,
    watch: &'a mut Watch<'a>,
) -> Result<bool, RuntimeError> {
    nothing_runs(runtime, "replace the data")?;
    let place: &Place = runtime.place();
    match place.as_user(|| state(layout))? {
        State::Done => return Ok(true),
        State::Ready => {}
        State::NoCopy => {
            return Err(RuntimeError::Refused(format!(
                "cannot replace the data at {}: there is no whole copy of the primary's to replace it by",
                place.pgdata.display()
            )));
        }
    }
    let steps = plan(layout);
    let mut hand = Hand::new(watch);
    for (index, step) in steps.iter().enumerate() {
        let result = place.as_user(|| carry_out(step, &mut hand));
        if !hand.is_done(result)? {
            return Ok(false);
        }
        if !hand.goes_on_after(index + 1) {
            return Ok(index + 1 == steps.len());
        }
    }
    Ok(true)
}

/// Whether the new data of this layout is in its place.
pub fn is_done(place: &Place, layout: &Layout) -> Result<bool, RuntimeError> {
    place.as_user(|| Ok(matches!(state(layout)?, State::Done)))
}

enum State {
    /// A whole copy is there, or on its way to its place.
    Ready,
    /// The copy is in its place.
    Done,
    /// There is nothing to replace the data by.
    NoCopy,
}

fn state(layout: &Layout) -> Result<State, FileError> {
    let Some(data) = layout.data() else { return Ok(State::NoCopy) };
    let new = data.new_dir();
    let in_place = holds_copy(&data.at, layout)?;
    if exists(&new)? {
        let whole = holds_copy(&new, layout)? || data.inside && in_place;
        return Ok(if whole { State::Ready } else { State::NoCopy });
    }
    Ok(if in_place { State::Done } else { State::NoCopy })
}

/// Whether a directory holds the copy of this layout, made to its end.
fn holds_copy(dir: &Path, layout: &Layout) -> Result<bool, FileError> {
    match read_untrusted(&dir.join(COPY), 64) {
        Ok(text) => Ok(read_copy(&text).0 == layout.stamp),
        Err(FileError::Missing { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn carry_out(step: &Step, hand: &mut Hand<'_>) -> Result<(), FileError> {
    match step {
        Step::Aside { from, to, new } => {
            if exists(to)? || !exists(new)? || !exists(from)? {
                return sync_parent(from);
            }
            hand.rename(from, to)
        }
        Step::AsideInside { from, to, new, only } => {
            if exists(to)? || !exists(new)? {
                return sync_dir(from);
            }
            // Its own name says that it is not whole yet.
            let part = names::unfinished(to);
            if !exists(&part)? {
                hand.make_dir(&part, 0o700)?;
            }
            for name in names::of(from, only, names::First::Version)? {
                hand.rename_within(&from.join(&name), &part.join(&name))?;
            }
            sync_dir(from)?;
            sync_dir(&part)?;
            hand.rename(&part, to)
        }
        Step::Link { at, to, then } => {
            let dir = at.parent().unwrap_or(at);
            let gone_on = then.as_ref().is_some_and(|then| look(then) != Seen::Missing);
            if gone_on || !exists(dir)? {
                return Ok(());
            }
            hand.link(at, to)
        }
        Step::Into { new, at, mode } => {
            if !exists(new)? {
                return arrived(at);
            }
            if let Some(mode) = mode {
                hand.set_mode(new, *mode)?;
            }
            sync_dir(new)?;
            if is_in_the_way(at)? {
                // One that is not empty is not removed, and the rename is not tried.
                hand.remove_dir(at)?;
            }
            hand.rename(new, at)
        }
        Step::IntoInside { new, at } => {
            if !exists(new)? {
                return arrived(at);
            }
            put_back::fill(new, at, hand)
        }
    }
}

/// A replacement that is not there must have come to its place.
fn arrived(at: &Path) -> Result<(), FileError> {
    if exists(at)? { sync_parent(at) } else { Err(FileError::Missing { path: at.to_owned() }) }
}

fn exists(path: &Path) -> Result<bool, FileError> {
    match look(path) {
        Seen::Present(_) => Ok(true),
        Seen::Missing => Ok(false),
        Seen::Unknown(why) => Err(io_error("look at", path, std::io::Error::other(why))),
    }
}

fn sync_parent(path: &Path) -> Result<(), FileError> {
    sync_dir(path.parent().unwrap_or(path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::super::layout::tests::{layout, part};
    use super::super::layout::{Tablespace, What};
    use super::*;

    fn shown(steps: &[Step]) -> Vec<String> {
        steps.iter().map(Step::to_string).collect()
    }

    #[test]
    fn old_data_goes_first_and_new_data_comes_last() {
        let space = Tablespace { oid: 16384, location: "/there".into() };
        let parts = vec![
            part(What::Data, "/srv/pg", false),
            part(What::Wal, "/wal", true),
            part(What::Tablespace(space), "/ts", false),
            part(What::Dropped(16390), "/gone", false),
        ];
        let old = ".pgtwin-old.20261125-120000";
        assert_eq!(
            shown(&plan(&layout(true, parts))),
            [
                format!("rename /srv/pg to /srv/pg{old}"),
                format!("move what is in /wal to /wal/{old}"),
                format!("rename /ts to /ts{old}"),
                format!("rename /gone to /gone{old}"),
                format!("link /srv/pg{old}/pg_wal to /wal/{old}"),
                format!("link /srv/pg{old}/pg_tblspc/16384 to /ts{old}"),
                format!("link /srv/pg{old}/pg_tblspc/16390 to /gone{old}"),
                "move what is in /wal/.pgtwin-new to /wal".to_owned(),
                "rename /ts.pgtwin-new to /ts".to_owned(),
                "link /srv/pg.pgtwin-new/pg_wal to /wal".to_owned(),
                "link /srv/pg.pgtwin-new/pg_tblspc/16384 to /ts".to_owned(),
                "rename /srv/pg.pgtwin-new to /srv/pg".to_owned(),
            ]
        );
    }

    #[test]
    fn where_nothing_was_there_nothing_is_moved_aside() {
        let mut data = part(What::Data, "/srv/pg", false);
        data.has_old = false;
        assert_eq!(
            shown(&plan(&layout(true, vec![data]))),
            ["rename /srv/pg.pgtwin-new to /srv/pg"]
        );
        assert_eq!(plan(&layout(true, Vec::new())), []);
    }
}
