//! `pgtwin container pull`: which image is wanted, and getting it onto this node. Floor 3.

use std::time::Duration;

use super::{Ground, id_of, local, remember};
use crate::agent::recover::now;
use crate::client::engine::{Engine, Image, QUESTION};
use crate::client::registry::{self, last_words};
use crate::cluster::image::Choice;
use crate::cluster::known::Known;
use crate::decide::image::{Wanted, choose, fits_data, wanted};
use crate::postgres::image_name::{ImageName, is_digest};
use crate::sys::chain;
use crate::sys::exec::{Ended, Exec, System};

/// How long a registry may take to list its tags.
const LISTING: Duration = Duration::from_mins(2);
/// How long a download may take.
const DOWNLOAD: Duration = Duration::from_hours(2);

/// An image that is on this node, or would be.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// By this name.
    pub name: String,
    /// The tag that was chosen, where one was.
    pub chosen: Option<(ImageName, u32)>,
    /// What lies here by that name now.
    pub image: Option<Image>,
    /// What somebody should know.
    pub warnings: Vec<String>,
}

/// Finds out which image is wanted, and downloads it unless `only_looks`. `tell` gets the progress. With
/// `here` nothing is downloaded, and no registry is asked: what lies on this node counts.
pub fn pull(
    ground: &Ground<'_>,
    only_looks: bool,
    here: bool,
    tell: &mut dyn FnMut(&str),
) -> Result<Pulled, String> {
    let local = local(ground)?;
    let engine = &local.engine;
    if let Known::Unknown(why) = &local.version {
        return Err(format!("{} is of no use: {why}", engine.kind));
    }
    let wanted = wanted(ground.params).map_err(|error| error.to_string())?;
    let data = data_major(ground)?;
    let (name, chosen, warnings) = match wanted {
        Wanted::Named { name, warnings } => {
            if let Some(major) = name.parse::<ImageName>().ok().and_then(|name| name.major()) {
                fits_data(&name, major, data)?;
            }
            (name, None, warnings)
        }
        Wanted::Newest { .. } if here => (local.name.clone()?, None, Vec::new()),
        Wanted::Newest { repository, major } => {
            fits_data(&format!("{repository}:{major}"), major, data)?;
            tell(&format!("{repository} is asked for its tags ..."));
            let tags = registry::tags(&System, Some(engine), &repository, LISTING)
                .map_err(|error| chain(&error))?;
            let chosen = choose(&repository, major, &tags).map_err(|error| chain(&error))?;
            tell(&format!(
                "the newest image of PostgreSQL {major} is {chosen} ({} tags)",
                tags.len()
            ));
            (chosen.to_string(), Some((chosen, major)), Vec::new())
        }
    };
    let before = engine.image(&System, &name, QUESTION).into_result()?;
    let stays = is_only_here(&name) || has_its_digest(&name, before.as_ref());
    let mut pulled = Pulled { name: name.clone(), chosen, image: before, warnings };
    if only_looks {
        return Ok(pulled);
    }
    if here || (stays && pulled.image.is_some()) {
        if pulled.image.is_none() {
            return Err(format!("image {name} is not on this node: run pgtwin container pull"));
        }
    } else {
        download(engine, &name, tell)?;
        pulled.image = engine.image(&System, &name, QUESTION).into_result()?;
    }
    let Some(image) = &pulled.image else {
        return Err(format!("{} has downloaded {name}, and does not know it", engine.kind));
    };
    if let Some((chosen, major)) = &pulled.chosen {
        let choice = choice(chosen, *major, image);
        pulled.name = choice.name();
        remember(ground, &choice)?;
    }
    Ok(pulled)
}

/// The major version of the data; none: there is no data yet.
fn data_major(ground: &Ground<'_>) -> Result<Option<u32>, String> {
    if !ground.pg.place().pgdata.join("PG_VERSION").exists() {
        return Ok(None);
    }
    ground.pg.data_major().into_result().map(Some)
}

/// An image that was made on this node: no registry has it.
fn is_only_here(name: &str) -> bool {
    name.parse::<ImageName>().is_ok_and(|name| name.registry() == Some("localhost"))
}

/// What is named by its digest and lies here is what it was.
fn has_its_digest(name: &str, image: Option<&Image>) -> bool {
    image.is_some() && name.parse::<ImageName>().is_ok_and(|name| name.digest.is_some())
}

fn download(engine: &Engine, name: &str, tell: &mut dyn FnMut(&str)) -> Result<(), String> {
    tell(&format!("{} downloads {name} ...", engine.kind));
    let cmd = engine.pull(name).limit(DOWNLOAD);
    let output = System.run_watched(&cmd, tell).map_err(|error| chain(&error))?;
    match output.ended {
        Ended::Exited(0) => Ok(()),
        Ended::TimedOut => Err(format!(
            "{} has not downloaded {name} within {} h",
            engine.kind,
            DOWNLOAD.as_secs() / 3600
        )),
        Ended::Exited(_) | Ended::Signaled(_) => {
            Err(format!("{} has not downloaded {name}: {}", engine.kind, last_words(&output)))
        }
    }
}

fn choice(chosen: &ImageName, major: u32, image: &Image) -> Choice {
    let of_repository = |name: &String| {
        let (repository, digest) = name.split_once('@')?;
        (repository == chosen.repository && is_digest(digest)).then(|| digest.to_owned())
    };
    Choice {
        repository: chosen.repository.clone(),
        major,
        tag: chosen.tag.clone().unwrap_or_default(),
        id: id_of(image),
        digest: image.digests.iter().find_map(of_repository),
        at: now(),
    }
}
