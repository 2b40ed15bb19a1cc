//! The image that an instance runs in, and where its programs are: they are looked for once
//! ([`crate::runtime::image`]), and what was found is kept by the image's number. Floor 2.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::engine::{Engine, QUESTION};
use crate::client::image_file::{ImageFile, STATE_ROOT};
use crate::cluster::image::Remembered;
use crate::cluster::known::Known;
use crate::decide::image::{Wanted, of_wanted};
use crate::postgres::version::major_of_pg_version;
use crate::sys::deadline::Deadline;
use crate::sys::exec::Exec;
use crate::sys::files::{ensure_root_dir, read_root_owned, write_volatile};

use super::super::image::Look;
use super::super::{BinariesError, Place};
use super::{LABEL, ROLE, Spec, key, permit};

/// What asking a program for its version may take: a container has to be made for it.
const ASKING: Duration = Duration::from_secs(10);
/// What asking in all places may take.
const LOOKING: Duration = Duration::from_mins(1);

/// The programs of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Programs {
    /// The image, by the name that the parameter gives.
    pub image: String,
    /// Their directory inside.
    pub dir: String,
}

/// The programs for the data of this place.
pub(super) fn programs(
    engine: &Engine,
    exec: &dyn Exec,
    place: &Place,
    spec: &Spec,
) -> Result<Programs, BinariesError> {
    let image = &named(place, spec)?;
    let found = match engine.image(exec, image, QUESTION) {
        Known::Known(Some(found)) => found,
        Known::Known(None) => {
            return Err(BinariesError::NoImage {
                image: image.clone(),
                engine: engine.kind.to_string(),
            });
        }
        Known::Unknown(why) => return Err(BinariesError::EngineSilent(why)),
    };
    let data = place.read("PG_VERSION", 64).ok();
    let data = data.and_then(|text| major_of_pg_version(&text).ok());
    let given = place.bindir.as_deref();
    let before =
        kept(&found.id).filter(|(dir, _)| given.is_none_or(|given| given == Path::new(dir)));
    let (dir, version) = if let Some(kept) = before {
        kept
    } else {
        let look = Look {
            prefix: format!("{}-{}-version", spec.name, std::process::id()),
            labels: vec![(LABEL.to_owned(), key(place)), (ROLE.to_owned(), "program".to_owned())],
            each: ASKING,
            ..Look::new(exec, engine, image, &place.user)
        };
        let deadline = Deadline::after(LOOKING);
        let (dir, version) = look.programs(&found, given, data.or(spec.major), &deadline)?;
        keep(&found.id, (&dir, version.major));
        (dir, version.major)
    };
    match data.or(spec.major) {
        Some(wanted) if wanted != version => {
            Err(BinariesError::ImageOfOtherMajor { image: image.clone(), found: version, wanted })
        }
        _ => Ok(Programs { image: image.clone(), dir }),
    }
}

/// The image: the one that is named, or else the one that was chosen on this node before.
fn named(place: &Place, spec: &Spec) -> Result<String, BinariesError> {
    let wanted = spec.wanted.clone();
    let remembered = match &wanted {
        Ok(Wanted::Newest { .. }) => ImageFile::new(STATE_ROOT, &key(place)).read(),
        Ok(Wanted::Named { .. }) | Err(_) => Remembered::Nothing,
    };
    let name = wanted.and_then(|wanted| of_wanted(wanted, &remembered));
    name.map_err(|error| BinariesError::NoImageNamed(error.to_string()))
}

fn dir_of_kept() -> PathBuf {
    permit::run_root().join("images")
}

/// What was found of this image before.
fn kept(id: &str) -> Option<(String, u32)> {
    let name = file_name(id)?;
    let text = read_root_owned(&dir_of_kept().join(name), 4096).ok()?;
    let (dir, major) = text.trim_end().split_once('\n')?;
    Path::new(dir).is_absolute().then_some(())?;
    Some((dir.to_owned(), major.parse().ok()?))
}

fn keep(id: &str, (dir, major): (&str, u32)) {
    let Some(name) = file_name(id) else { return };
    let place = dir_of_kept();
    // Without it, the next action asks again.
    if ensure_root_dir(&place, 0o755).is_ok() {
        let _ = write_volatile(&place, name, format!("{dir}\n{major}\n").as_bytes(), 0o600);
    }
}

fn file_name(id: &str) -> Option<&str> {
    let fine = (12..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    fine.then_some(id)
}
