//! `pgtwin storage`: where it begins, in a cluster or without one, and what it sees. Floor 3.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::operate::{NoSubject, Subject};
use super::pghba::{NoGround, Which, this_node};
use super::recover::now;
use super::run::{LOG_ROOT, RUN_ROOT};
use crate::cluster::known::Known;
use crate::cluster::migration::Record;
use crate::cluster::node::NodeName;
use crate::cluster::storage::Storage;
use crate::decide::facts::DataDir;
use crate::decide::storage::moving::{Facts, Plan, Ruling, judge, may_remove, may_start};
use crate::decide::storage::shown::Seen;
use crate::decide::storage::{Ground, Make, against, prepare};
use crate::ocf::params::Params;
use crate::runtime::storage::migrate::{Move, Outcome, Watch, record};
use crate::runtime::storage::{self, tree};
use crate::runtime::{Place, Spec, subvolume};
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::Exec;
use crate::sys::files::{Lock, ensure_root_dir, lock_file};
use crate::sys::mounts::Mounts;

/// How long looking at data may take.
const LOOK: Duration = Duration::from_secs(20);
/// How long counting may take.
const COUNT: Duration = Duration::from_secs(10);

/// This node's storage.
pub struct Node<'a> {
    /// This node.
    pub me: NodeName,
    /// The resource; none: no cluster was asked.
    pub resource: Option<String>,
    params: Params,
    storage: Storage,
    place: Place,
    spec: Option<Spec>,
    may_start: Option<String>,
    exec: &'a dyn Exec,
}

/// Data to be moved, and what was found out about it.
pub struct Moving<'a, 'n> {
    node: &'n Node<'a>,
    place: Place,
    record: Option<Record>,
    /// The answer.
    pub ruling: Ruling,
}

impl<'a> Node<'a> {
    /// Finds it: by the cluster's parameters, or, where no cluster can be asked, by those that are given.
    pub fn find(exec: &'a dyn Exec, which: &Which) -> Result<Self, NoGround> {
        let (me, resource, params, may_start) =
            match Subject::find_with(exec, which.resource.as_deref(), &which.params) {
                Ok(subject) => {
                    if let Some(problem) = subject.problems.first() {
                        return Err(NoGround::Other(format!(
                            "the parameters of {} are not sound: {problem}",
                            subject.resource()
                        )));
                    }
                    let may_start = may_start(&subject.view, &subject.me);
                    let resource = subject.resource().to_owned();
                    (subject.me, Some(resource), subject.params, may_start)
                }
                Err(NoSubject::Pacemaker(_) | NoSubject::NoResource)
                    if which.resource.is_none() && !which.params.is_empty() =>
                {
                    let (me, params) = alone(which).map_err(NoGround::Other)?;
                    (me, None, params, None)
                }
                Err(error) => return Err(error.into()),
            };
        let storage = match params.storage(&me) {
            Some(Ok(storage)) => storage,
            Some(Err(error)) => return Err(NoGround::Other(error.to_string())),
            None => {
                return Err(NoGround::Other(
                    "storage_root is not set: set the parameter, or give --param storage_root=DIR"
                        .to_owned(),
                ));
            }
        };
        // The image that was chosen for a resource is remembered by its name, which is the log's.
        let log = format!("{}.log", resource.as_deref().unwrap_or("storage"));
        let log = PathBuf::from(LOG_ROOT).join(log);
        let place = Place::of(&params, log).map_err(|error| NoGround::Other(chain(&error)))?;
        let spec = Spec::asked(&params);
        Ok(Self { me, resource, params, storage, place, spec, may_start, exec })
    }

    /// One command at a time.
    pub fn lock(&self) -> Result<Lock, String> {
        ensure_root_dir(Path::new(RUN_ROOT), 0o755).map_err(|error| chain(&error))?;
        let path = Path::new(RUN_ROOT).join("storage.lock");
        lock_file(&path, Duration::from_secs(1)).map_err(|error| chain(&error))
    }

    fn ground(&self) -> Ground {
        storage::look_at(&self.storage, &self.place.user)
    }

    /// What `prepare` would make.
    pub fn plan(&self) -> Result<Vec<Make>, Vec<String>> {
        prepare(&self.ground())
    }

    /// Makes it.
    pub fn make(&self, makes: &[Make], tell: &mut dyn FnMut(String)) -> Result<(), String> {
        let made = storage::make(&self.storage, &self.place.user, self.exec, makes, tell);
        made.map_err(|error| chain(&error))
    }

    /// What these are, in words.
    pub fn words(&self, makes: &[Make]) -> Vec<String> {
        let word = |make: &Make| match make {
            Make::Root => format!("{}, root's", self.storage.root()),
            Make::NodeDir => format!("{}, {}'s", self.storage.node_dir(), self.place.user.name),
            Make::Area(area, form) => format!("{}, a {}", self.storage.area(*area), form.name()),
        };
        makes.iter().map(word).collect()
    }

    /// What there is.
    pub fn status(&self) -> Seen {
        let ground = self.ground();
        let sizes = storage::sizes(&self.storage, &self.place.user, &Deadline::after(COUNT));
        Seen {
            node: self.me.to_string(),
            resource: self.resource.clone(),
            sizes,
            free: storage::free(&self.storage, &self.place.user),
            pgdata: self.params.pgdata.clone(),
            two_places: self.params.two_places(&self.me),
            record: record(&self.storage),
            ground,
        }
    }

    fn move_of<'s>(&'s self, place: &'s Place) -> Move<'s> {
        let (storage, spec) = (&self.storage, self.spec.as_ref());
        Move { storage, place, spec, exec: self.exec }
    }

    /// Where the data is that is to be moved: what was begun, what is named, else what pgdata says.
    fn from(&self, named: Option<&Path>, record: Option<&Record>) -> Result<PathBuf, String> {
        let from = match (named, record) {
            (Some(named), _) => named.to_owned(),
            (None, Some(record)) => PathBuf::from(&record.from),
            (None, None) if self.params.is_in_storage(&self.me) => {
                return Err(format!(
                    "pgdata={} is where the storage has it: name the directory of the data that is to be \
                     moved by --from",
                    self.params.pgdata
                ));
            }
            (None, None) => PathBuf::from(&self.params.pgdata),
        };
        if record.is_some_and(|record| Path::new(&record.from) == from) {
            // It may be gone.
            return Ok(from);
        }
        storage::real(&from, &self.place.user).map_err(|error| chain(&error))
    }

    /// Looks whether data may be moved here. `named`: where it is, if pgdata does not say it.
    pub fn moving(&self, named: Option<&Path>) -> Result<Moving<'a, '_>, String> {
        let found = record(&self.storage);
        let known = match &found {
            Known::Known(record) => record.clone(),
            Known::Unknown(why) => return Err(why.clone()),
        };
        let against = against(&self.ground());
        if let Some(first) = against.first() {
            return Err(first.clone());
        }
        if !prepare(&self.ground()).is_ok_and(|makes| makes.iter().all(is_area)) {
            return Err("the storage is not there yet: pgtwin storage prepare".to_owned());
        }
        let from = self.from(named, known.as_ref())?;
        let place = Place { pgdata: from, ..self.place.clone() };
        let facts = self.facts(&place, found);
        Ok(Moving { node: self, place, record: known, ruling: judge(&facts) })
    }

    fn facts(&self, place: &Place, record: Known<Option<Record>>) -> Facts {
        let target = PathBuf::from(self.storage.data());
        let there = Place { pgdata: target.clone(), ..place.clone() };
        let deadline = Deadline::after(LOOK);
        let at = |place| storage::instance(place, self.spec.as_ref(), self.exec, &deadline);
        let ((process, mut data), (process_there, data_there)) = (at(place), at(&there));
        let from = &place.pgdata;
        let looked = match &data {
            DataDir::Cluster(_) => Some(place.as_user(|| tree::of(from))),
            DataDir::Absent | DataDir::Empty | DataDir::Unusable(_) | DataDir::Unknown(_) => None,
        };
        let mounts = Mounts::read();
        let (mut not_kept, mut bytes) = (Vec::new(), None);
        match (looked, &mounts) {
            (Some(Ok(items)), Ok(mounts)) => {
                not_kept = tree::odd(&items, from, place.user.uid, mounts);
                bytes = Some(tree::bytes(&items));
            }
            (Some(Err(error)), _) => data = DataDir::Unknown(chain(&error)),
            // That is said of the file systems, too.
            (Some(Ok(_)), Err(error)) => data = DataDir::Unknown(chain(error)),
            (None, _) => {}
        }
        let node_dir = PathBuf::from(self.storage.node_dir());
        let of = |path: &Path| match &mounts {
            Ok(mounts) => Known::Known(mounts.holding(path).cloned()),
            Err(error) => Known::unknown(chain(error)),
        };
        let (one, other) = (of(from), of(&node_dir));
        let kind = match &other {
            Known::Known(Some(fs)) => fs.kind.clone(),
            Known::Known(None) | Known::Unknown(_) => String::new(),
        };
        let same = one.and_then(|one| {
            other.map(|other| one.is_some() && one.map(|fs| fs.device) == other.map(|fs| fs.device))
        });
        let form = match place.as_user(|| subvolume::form(from)) {
            Ok(form) => Known::Known(form),
            Err(error) => Known::unknown(chain(&error)),
        };
        let moving = self.move_of(place);
        let temporary = moving.temporary();
        let bytes_there =
            place.as_user(|| tree::of(&temporary)).map_or(0, |items| tree::bytes(&items));
        Facts {
            from: from.display().to_string(),
            to: self.storage.data(),
            record,
            process,
            process_there,
            data,
            data_there,
            not_kept,
            bytes,
            bytes_there,
            free: storage::free(&self.storage, &place.user),
            same_filesystem: same,
            kind,
            form,
            may_start: self.may_start.clone(),
        }
    }

    /// Removes the old data of a move, if `yes` says so of its path; in words, what was done.
    pub fn confirm(
        &self,
        yes: &mut dyn FnMut(&str) -> Result<(), String>,
    ) -> Result<String, String> {
        let found = record(&self.storage);
        let from = match &found {
            Known::Known(Some(record)) => PathBuf::from(&record.from),
            Known::Known(None) | Known::Unknown(_) => PathBuf::from(&self.params.pgdata),
        };
        let place = Place { pgdata: from, ..self.place.clone() };
        let there = Place { pgdata: PathBuf::from(self.storage.data()), ..self.place.clone() };
        let moving = self.move_of(&place);
        let look = || {
            let deadline = Deadline::after(LOOK);
            let (_, data) = storage::instance(&there, self.spec.as_ref(), self.exec, &deadline);
            let after = moving.after(record(&self.storage), &self.params.pgdata, data);
            may_remove(&after).map_err(|why| why.to_string())
        };
        let record = look()?;
        yes(&record.from)?;
        // The person may have thought for an hour.
        let record = look()?;
        let gone = moving.remove_old(&record).map_err(|error| chain(&error))?;
        Ok(if gone {
            format!("{} is removed", record.from)
        } else {
            format!("{} is empty; the directory itself stays", record.from)
        })
    }

    /// Takes a move back that was begun.
    pub fn undo(&self, yes: &mut dyn FnMut(&str) -> Result<(), String>) -> Result<String, String> {
        let record = match record(&self.storage) {
            Known::Known(Some(record)) => record,
            Known::Known(None) => {
                return Err("no data was moved here: nothing is to be undone".to_owned());
            }
            Known::Unknown(why) => return Err(why),
        };
        yes(&record.from)?;
        let place = Place { pgdata: PathBuf::from(&record.from), ..self.place.clone() };
        let moving = self.move_of(&place);
        moving.undo(&record).map_err(|error| chain(&error))?;
        Ok(format!("the data is in {} again, as it was", record.from))
    }

    /// What keeps the moved data from being used, and what follows.
    pub fn next(&self) -> String {
        match self.params.two_places(&self.me) {
            Some(_) => format!(
                "When all members have moved theirs, remove pgdata from the parameters; {} is used from then \
                 on.",
                self.storage.data()
            ),
            None => format!("{} is the data directory.", self.storage.data()),
        }
    }
}

impl Moving<'_, '_> {
    /// Moves it, or goes on; `watch` may end it.
    pub fn carry_out(self, plan: &Plan, watch: &mut Watch<'_>) -> Result<Outcome, String> {
        let node = self.node;
        let moving = node.move_of(&self.place);
        let begun = match self.record {
            Some(record) => Ok(record),
            None => moving.begin(plan.method, plan.system_id, now()),
        };
        let mut record = begun.map_err(|error| chain(&error))?;
        moving.carry_out(&mut record, watch).map_err(|error| chain(&error))
    }
}

/// The one that a move does without: its own makes it.
fn is_area(make: &Make) -> bool {
    matches!(make, Make::Area(crate::cluster::storage::Area::Data, _))
}

fn alone(which: &Which) -> Result<(NodeName, Params), String> {
    let resolved = Params::resolve_attributes(&which.params);
    if let Some(error) = resolved.errors.first() {
        return Err(error.to_string());
    }
    let mut params = resolved.params;
    let listed: BTreeSet<NodeName> = params.node_list.iter().flatten().cloned().collect();
    let me = this_node(&listed)?;
    params.settle(&me).map_err(|error| error.to_string())?;
    Ok((me, params))
}
