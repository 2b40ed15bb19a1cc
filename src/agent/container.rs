//! `pgtwin container`: the image of this node, and what would come of running PostgreSQL in it. Floor 3.

mod change;
mod fit;
mod pull;

use std::time::Duration;

pub use change::{carry_out, facts};
pub use fit::{Fit, look};
pub use pull::{Pulled, pull};

use super::operate::Subject;
use crate::client::engine::{Engine, Image, QUESTION};
use crate::client::image_file::{ImageFile, STATE_ROOT};
use crate::client::pacemaker::Attribute;
use crate::cluster::image::{Choice, Remembered};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::readiness::Readiness;
use crate::decide::image::to_start;
use crate::decide::report::runtime::Seen;
use crate::ocf::params::Params;
use crate::runtime::instance::Postgres;
use crate::sys::chain;
use crate::sys::exec::System;

/// How long one of Pacemaker's tools may take.
const TOOL: Duration = Duration::from_secs(10);

/// The image of this node, without asking any registry.
#[derive(Clone, Debug)]
pub struct Local {
    /// The engine.
    pub engine: Engine,
    /// Its version, if it answers.
    pub version: Known<String>,
    /// The image that a start would use, or why none.
    pub name: Result<String, String>,
    /// What lies on this node by that name.
    pub image: Known<Option<Image>>,
    /// What was chosen before.
    pub remembered: Remembered,
}

impl Local {
    /// As in `podman 4.3.1`.
    pub fn engine_in_words(&self) -> String {
        match &self.version {
            Known::Known(version) => format!("{} {version}", self.engine.kind),
            Known::Unknown(_) => self.engine.kind.to_string(),
        }
    }
}

/// The instance whose image it is about.
pub struct Ground<'a> {
    /// The parameters.
    pub params: &'a Params,
    /// Where a choice is remembered.
    pub file: ImageFile,
    /// The instance of this node.
    pub pg: &'a Postgres<'a>,
}

impl<'a> Ground<'a> {
    /// The one of this node.
    pub fn of(subject: &'a Subject, pg: &'a Postgres<'a>) -> Self {
        let file = ImageFile::new(STATE_ROOT, subject.resource());
        Self { params: &subject.params, file, pg }
    }
}

/// Looks at it.
pub fn local(ground: &Ground<'_>) -> Result<Local, String> {
    let engine =
        Engine::find(ground.params.container_runtime).map_err(|error| error.to_string())?;
    let version = engine.version(&System, QUESTION);
    let remembered = ground.file.read();
    let name = to_start(ground.params, &remembered).map_err(|error| error.to_string());
    let image = match &name {
        Ok(name) => engine.image(&System, name, QUESTION),
        Err(why) => Known::unknown(why.clone()),
    };
    Ok(Local { engine, version, name, image, remembered })
}

/// By what PostgreSQL of this node is run, and would be. An engine that does not answer in time is asked
/// nothing more.
pub fn runs(ground: &Ground<'_>, limit: Duration) -> Seen {
    let params = ground.params;
    let mut here = Seen { contained: ground.pg.runs_contained(), ..Seen::default() };
    if here.contained == Some(false) && !params.container_mode {
        return here;
    }
    let Ok(engine) = Engine::find(params.container_runtime) else { return here };
    let Known::Known(version) = engine.version(&System, limit) else {
        here.engine = Some(engine.kind.to_string());
        return here;
    };
    here.engine = Some(format!("{} {version}", engine.kind));
    if here.contained == Some(true)
        && let Known::Known(Some(found)) = engine.container(&System, &params.container_name, limit)
    {
        here.image = Some((found.image, format!("sha256:{}", found.image_id)));
    }
    if params.container_mode
        && let Ok(name) = to_start(params, &ground.file.read())
        && let Known::Known(Some(image)) = engine.image(&System, &name, limit)
    {
        here.next = Some((name, id_of(&image)));
    }
    here
}

/// The image's number, as a digest is written.
pub fn id_of(image: &Image) -> String {
    format!("sha256:{}", image.id)
}

/// What each node has told of its image. Those that have told nothing are left out.
pub fn told(subject: &Subject) -> Known<Vec<(NodeName, Known<Readiness>)>> {
    let all = subject.pacemaker(&System).read_all(Attribute::Image, TOOL);
    all.map(|texts| {
        texts
            .into_iter()
            .map(|(node, text)| (node, Known::from(text.parse::<Readiness>())))
            .collect()
    })
}

/// Tells the other nodes what this one has found.
pub fn tell(subject: &Subject, readiness: &Readiness) -> Result<(), String> {
    let pacemaker = subject.pacemaker(&System);
    pacemaker.publish(Attribute::Image, &readiness.to_string(), TOOL).into_result()
}

/// Remembers what was chosen.
fn remember(ground: &Ground<'_>, choice: &Choice) -> Result<(), String> {
    ground
        .file
        .write(choice)
        .map_err(|error| format!("which image was chosen could not be written: {}", chain(&error)))
}
