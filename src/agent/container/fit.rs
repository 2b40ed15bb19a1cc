//! Whether PostgreSQL of this node can run in its image: its version, what sorts texts, extensions, and what
//! the configuration names. Floor 3.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Ground, id_of, local};
use crate::agent::recover::now;
use crate::client::engine::{Engine, Kind, QUESTION};
use crate::client::registry::last_words;
use crate::cluster::known::Known;
use crate::cluster::readiness::{Readiness, Side};
use crate::decide::changeover::collations;
use crate::decide::image::{PULL, fits_data};
use crate::decide::inside;
use crate::runtime::image::{Inside, Look, extension_file, host_libraries, library_file};
use crate::runtime::instance::Postgres;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, Exec, System};

/// How long reading the configuration in a container may take.
const CONFIGURATION: Duration = Duration::from_secs(30);
/// How long all of it may take.
const LOOKING: Duration = Duration::from_mins(5);

/// What was found.
#[derive(Clone, Debug)]
pub struct Fit {
    /// As it is told to the other nodes.
    pub readiness: Readiness,
    /// What somebody should know, one line each.
    pub remarks: Vec<String>,
}

/// Looks at the image that a start on this node would use.
pub fn look(ground: &Ground<'_>) -> Result<Fit, String> {
    let deadline = Deadline::after(LOOKING);
    let local = local(ground)?;
    let name = local.name.clone()?;
    let image = match &local.image {
        Known::Known(Some(image)) => image,
        Known::Known(None) => return Err(format!("image {name} is not on this node: {PULL}")),
        Known::Unknown(why) => return Err(why.clone()),
    };
    let (system, pg) = (System, ground.pg);
    let data = pg.data_major();
    let place = pg.place();
    let look = Look::new(&system, &local.engine, &name, &place.user);
    let inside = look.inside(image, place.bindir.as_deref(), data.clone().known(), &deadline);
    let inside = inside.map_err(|error| error.to_string())?;
    let mut against = Vec::new();
    let mut remarks = Vec::new();
    match data {
        Known::Known(data) => {
            against.extend(fits_data(&name, inside.version.major, Some(data)).err());
        }
        Known::Unknown(why) => against.push(format!("the version of the data is not known: {why}")),
    }
    let host = host_side(pg, &deadline);
    let of_image = side(&inside);
    remarks.extend(collations(&of_image, host.as_ref()));
    about_server(ground, &look, &inside, &deadline, &mut against, &mut remarks);
    against.extend(against_engine(&local.engine));
    let readiness = Readiness {
        at: now(),
        engine: local.engine_in_words(),
        image: name,
        id: id_of(image),
        inside: of_image,
        host,
        against,
    };
    Ok(Fit { readiness, remarks })
}

fn side(inside: &Inside) -> Side {
    Side {
        version: format!("{}.{}", inside.version.major, inside.version.minor),
        libc: inside.libc.clone(),
        icu: inside.icu.clone(),
    }
}

/// PostgreSQL of the host, if there is one for this data.
fn host_side(pg: &Postgres<'_>, deadline: &Deadline) -> Option<Side> {
    let (program, version) = pg.host_programs()?;
    let postgres = Cmd::new(program).user(pg.place().user.name.clone());
    let (libc, icu) = host_libraries(&System, postgres, deadline);
    Some(Side { version: format!("{}.{}", version.major, version.minor), libc, icu })
}

/// What the server here says that it needs.
fn about_server(
    ground: &Ground<'_>,
    look: &Look<'_>,
    inside: &Inside,
    deadline: &Deadline,
    against: &mut Vec<String>,
    remarks: &mut Vec<String>,
) {
    let pg = ground.pg;
    let settings = match pg.settings() {
        Ok(settings) => settings,
        Err(why) => {
            against.push(format!(
                "what PostgreSQL of this node needs is not known, for it does not answer: {why}"
            ));
            return;
        }
    };
    let name = look.name;
    let major = inside.version.major;
    match pg.extensions(deadline) {
        Known::Known(extensions) => {
            let files = files(&extensions, |one| extension_file(&inside.bindir, major, one));
            lacking(
                look.missing(&files, deadline),
                &format!("image {name} lacks extension"),
                against,
            );
        }
        Known::Unknown(why) => against.push(why),
    }
    let libraries = inside::libraries(&settings);
    let files = files(&libraries, |one| library_file(&inside.bindir, major, one));
    let words = format!("image {name} lacks, of shared_preload_libraries and the like,");
    lacking(look.missing(&files, deadline), &words, against);
    let mounts = match pg.mounted(ground.params) {
        Ok(mounts) => mounts,
        Err(why) => {
            against.push(why);
            return;
        }
    };
    against.extend(pg.configuration_inside(ground.params, CONFIGURATION).err());
    let unmounted = inside::unmounted(&settings, &mounts);
    let files: Vec<(String, Vec<String>)> = unmounted
        .iter()
        .map(|one| (format!("{}={}", one.setting, one.path), vec![one.path.clone()]))
        .collect();
    match look.missing(&files, deadline) {
        Known::Known(lacking) => against.extend(lacking.iter().map(|one| {
            format!(
                "{one} is seen neither in the container nor in its image: move it below the data directory, \
                 or mount it with container_options (--volume=…)"
            )
        })),
        Known::Unknown(why) => against.push(why),
    }
    remarks.extend(inside::programs(&settings).iter().map(|one| {
        format!(
            "{} runs {}, which has to be in the image: it is looked for there, and not on the host",
            one.setting, one.path
        )
    }));
}

fn files(
    names: &BTreeSet<String>,
    paths: impl Fn(&str) -> Vec<String>,
) -> Vec<(String, Vec<String>)> {
    names.iter().map(|name| (name.clone(), paths(name))).collect()
}

fn lacking(found: Known<Vec<String>>, words: &str, against: &mut Vec<String>) {
    match found {
        Known::Known(names) => {
            against.extend(names.iter().map(|name| format!("{words} {name}")));
        }
        Known::Unknown(why) => against.push(why),
    }
}

/// What keeps the engine from running it as the owner of the data.
fn against_engine(engine: &Engine) -> Option<String> {
    // podman maps nobody unless it is told to, which container_options cannot.
    if engine.kind == Kind::Podman {
        return None;
    }
    let cmd = engine.command(["info", "--format", "{{json .SecurityOptions}}"]).limit(QUESTION);
    match System.run(&cmd) {
        Ok(output) if output.ok() => output.stdout.contains("name=userns").then(|| {
            "docker maps users (userns-remap): the owner of the data would be another one inside; switch that \
             off"
            .to_owned()
        }),
        Ok(output) => Some(format!("docker does not say whether it maps users: {}", last_words(&output))),
        Err(error) => Some(chain(&error)),
    }
}
