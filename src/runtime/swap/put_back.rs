//! A swap that was cut off and cannot be finished is taken back: the old data is where it was before,
//! links included. Floor 2.
//!
//! Whoever looks for the parts of the data reads its links, so nothing is surveyed between old and new.
//! The order is that of the swap from its end, and what holds after every change of a swap holds here
//! as well: the data comes last, and `PG_VERSION` last of it.

use std::path::Path;

use crate::sys::files::{FileError, sync_dir};

use super::super::layout::{Layout, Part};
use super::super::{Place, Runtime, RuntimeError, nothing_runs};
use super::hand::{Hand, Watch};
use super::{exists, holds_copy, names};

/// Whether the data of this layout is neither in its place nor replaced.
pub fn is_half_moved(place: &Place, layout: &Layout) -> Result<bool, RuntimeError> {
    place.as_user(|| half_moved(layout))
}

/// Takes back what there is of a swap, as the PostgreSQL user; where there is nothing of it, and where
/// the new data is in its place already, nothing is done. What was new in its place is where it was made,
/// and of no use any more. Whether all is done: not, where `watch` has ended it. Can be repeated.
pub fn put_back<'a>(
    runtime: &dyn Runtime,
    layout: &Layout,
    watch: &'a mut Watch<'a>,
) -> Result<bool, RuntimeError> {
    nothing_runs(runtime, "put the old data back")?;
    let place = runtime.place();
    if !is_half_moved(place, layout)? {
        return Ok(true);
    }
    if let Some(part) = place.as_user(|| lost(layout))? {
        return Err(RuntimeError::Refused(format!(
            "the old data cannot be put back: what was in {} is neither there nor in {}: mount it",
            part.at.display(),
            layout.old_dir(part).display()
        )));
    }
    let mut hand = Hand::new(watch);
    let result = place.as_user(|| all(layout, &mut hand));
    hand.is_done(result)
}

fn half_moved(layout: &Layout) -> Result<bool, FileError> {
    let Some(data) = layout.data() else { return Ok(false) };
    if exists(&data.at.join("PG_VERSION"))? {
        // The old data, the new, or what a hand has put there; or the new where only the directory that
        // it came from is left to be removed.
        return Ok(data.inside && exists(&data.new_dir())? && holds_copy(&data.at, layout)?);
    }
    Ok(!data.has_old || moved(layout, data)?)
}

/// Whether some of the old content of a part is at its other place.
fn moved(layout: &Layout, part: &Part) -> Result<bool, FileError> {
    let old = layout.old_dir(part);
    Ok(exists(&old)? || part.inside && exists(&names::unfinished(&old))?)
}

/// A part whose old content is nowhere: what it lies on may not be mounted.
fn lost(layout: &Layout) -> Result<Option<&Part>, FileError> {
    for part in layout.parts.iter().filter(|part| part.has_old) {
        let there = exists(&part.at)?
            && (!part.inside
                || !names::of(&part.at, &layout.only(part), names::First::Version)?.is_empty());
        if !there && !moved(layout, part)? {
            return Ok(Some(part));
        }
    }
    Ok(None)
}

fn all(layout: &Layout, hand: &mut Hand<'_>) -> Result<(), FileError> {
    let Some((data, others)) = layout.parts.split_first() else { return Ok(()) };
    for part in layout.parts.iter().filter(|part| part.has_new()) {
        take_out(layout, part, hand)?;
    }
    let old = layout.old_dir(data);
    // As long as not all of it was aside, its links are what they were.
    if data.has_old && exists(&old)? {
        for part in others.iter().filter(|part| part.has_old) {
            if let Some(name) = part.link_name() {
                hand.link(&old.join(name), &part.link)?;
            }
        }
    }
    for part in others.iter().chain([data]) {
        bring_back(layout, part, hand)?;
    }
    Ok(())
}

/// What is new goes from a part's place to where it was made.
fn take_out(layout: &Layout, part: &Part, hand: &mut Hand<'_>) -> Result<(), FileError> {
    let (at, new) = (&part.at, part.new_dir());
    // What stands at its place is the old content, or what is left of it there.
    if part.has_old && !exists(&layout.old_dir(part))? {
        return Ok(());
    }
    if !exists(at)? {
        return match part.mode {
            // An empty one was there, was in the way, and a link may lead to it.
            Some(mode) if !part.has_old && part.link_name().is_some() => {
                hand.make_dir(at, mode & 0o777)
            }
            Some(_) | None => Ok(()),
        };
    }
    if part.inside {
        let names = names::of(at, &layout.only(part), names::First::Version)?;
        if names.is_empty() {
            return Ok(());
        }
        if !exists(&new)? {
            hand.make_dir(&new, 0o700)?;
        }
        for name in names {
            hand.rename_within(&at.join(&name), &new.join(&name))?;
        }
        sync_dir(at)?;
        return sync_dir(&new);
    }
    if part.link_name().is_none() {
        // The data itself came by one rename, with which the swap was done.
        return Ok(());
    }
    if exists(&new)? {
        if !part.has_old {
            return Ok(());
        }
        hand.remove_tree(&new)?;
    }
    hand.rename(at, &new)?;
    match part.mode {
        // An empty one was there, and a link may lead to it.
        Some(mode) if !part.has_old => hand.make_dir(at, mode & 0o777),
        Some(_) | None => Ok(()),
    }
}

/// The old content goes back.
fn bring_back(layout: &Layout, part: &Part, hand: &mut Hand<'_>) -> Result<(), FileError> {
    let (at, old) = (&part.at, layout.old_dir(part));
    if !part.has_old {
        return Ok(());
    }
    if !part.inside {
        return if exists(&old)? { hand.rename(&old, at) } else { super::sync_parent(at) };
    }
    let unfinished = names::unfinished(&old);
    if exists(&old)? {
        // From now on what stands at its place is old.
        hand.rename(&old, &unfinished)?;
    }
    if exists(&unfinished)? {
        fill(&unfinished, at, hand)?;
    }
    Ok(())
}

/// Moves all that is in a directory to another, and removes it.
pub(super) fn fill(from: &Path, to: &Path, hand: &mut Hand<'_>) -> Result<(), FileError> {
    for name in names::of(from, "", names::First::Others)? {
        let target = to.join(&name);
        if exists(&target)? {
            return Err(super::io_error(
                "put something in its place at",
                &target,
                std::io::ErrorKind::AlreadyExists.into(),
            ));
        }
        if name == "PG_VERSION" {
            sync_dir(to)?;
        }
        hand.rename_within(&from.join(&name), &target)?;
    }
    sync_dir(to)?;
    sync_dir(from)?;
    hand.remove_dir(from)?;
    sync_dir(to)
}
