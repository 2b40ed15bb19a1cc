//! The comparison: pgtwin, PAF and Patroni, one after the other, on nodes of one image and with settings of
//! time that are the least each takes, suffer the same blows under the same load. It judges nobody: it
//! measures, and tells. docs/compare-measured.md says how, and what came of it.

pub mod blow;
pub mod cost;
pub mod record;
pub mod round;
pub mod table;

use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::binaries::{self, Program};
use crate::cluster::Cluster;
use crate::compare::blow::Blow;
use crate::compare::record::{Measured, Record};
use crate::error::{LabError, Result, chain};
use crate::options::{Agent, Options};
use crate::progress::say;

/// What is compared, in the order of the tables.
pub const PRODUCTS: [Agent; 3] = [Agent::Pgtwin, Agent::Paf, Agent::Patroni];

/// How it is called.
pub fn name(product: Agent) -> &'static str {
    match product {
        Agent::Pgtwin => "pgtwin",
        Agent::Pgsql => "heartbeat:pgsql",
        Agent::Stateful => "Stateful",
        Agent::Paf => "PAF",
        Agent::Patroni => "Patroni",
    }
}

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Wish {
    /// So many rounds of each blow, those on record included.
    pub rounds: u32,
    /// These products only; all where empty.
    pub only: Vec<Agent>,
    /// These blows only; all where empty.
    pub blows: Vec<Blow>,
    /// The pause before each round.
    pub rest: Duration,
    /// What each costs while nothing happens is measured, too.
    pub costs: bool,
    /// Where the record is.
    pub dir: PathBuf,
}

/// The directory of the record, where none is given.
pub fn default_dir() -> PathBuf {
    binaries::root().join("target/compare")
}

/// Refuses what cannot be compared.
pub fn check(wish: &Wish) -> Result<()> {
    match wish.only.iter().find(|product| !PRODUCTS.contains(product)) {
        Some(other) => {
            Err(LabError::plain(format!("--only {}: use pgtwin, paf, patroni", name(*other))))
        }
        None => Ok(()),
    }
}

/// Measures what is missing in the record. Each round is on record as soon as it is over, so that an
/// interrupted comparison goes on where it was.
pub fn compare(options: &Options, wish: &Wish) -> Result<Record> {
    check(wish)?;
    let mut record = Record::read(&wish.dir)?;
    for product in PRODUCTS {
        if wish.only.is_empty() || wish.only.contains(&product) {
            one(&of_product(options, product)?, wish, &mut record)?;
        }
    }
    Ok(record)
}

/// What all have in common, and what each has for itself.
fn of_product(options: &Options, product: Agent) -> Result<Options> {
    let mut options = Options { agent: product, rivals: true, ..options.clone() };
    // The nodes share the machine's processors, and see each other's load.
    options.properties.insert("load-threshold".to_owned(), "100000%".to_owned());
    for end in ["wal_sender_timeout", "wal_receiver_timeout"] {
        options.settings.insert(end.to_owned(), "10s".to_owned());
    }
    if product == Agent::Pgtwin && options.agent_binary.is_none() {
        options.agent_binary = Some(binaries::build(Program::Release)?);
    }
    Ok(options)
}

/// What is missing of one product.
fn one(options: &Options, wish: &Wish, record: &mut Record) -> Result<()> {
    let mut stage = Stage { options: options.clone(), cluster: None };
    let product = options.agent;
    if wish.costs && !record.has_cost(product) {
        let cluster = stage.cluster()?;
        thread::sleep(wish.rest);
        let costs = cost::measure(cluster)?;
        record.costs.extend(costs);
        keep(record, stage.cluster.as_ref(), &wish.dir)?;
    }
    for (blow, ..) in Blow::ALL {
        while (wish.blows.is_empty() || wish.blows.contains(&blow))
            && record.missing(product, blow, wish.rounds) > 0
        {
            let missing = record.missing(product, blow, wish.rounds);
            say(format!("{}: {blow}, {missing} to go", name(product)));
            let measured = match stage.play(blow, wish.rest) {
                Ok(measured) => measured,
                Err(error) => {
                    let why = chain(&error);
                    let why = why.lines().next().unwrap_or_default();
                    say(format!("once more, on another cluster: {why}"));
                    record.repeated.push(format!("{}, {blow}: {why}", name(product)));
                    stage.clear()?;
                    stage.play(blow, wish.rest)?
                }
            };
            let is_well = measured.back.is_some();
            record.measured.push(measured);
            keep(record, stage.cluster.as_ref(), &wish.dir)?;
            if !is_well {
                stage.clear()?;
            }
        }
    }
    stage.clear()
}

fn keep(record: &mut Record, cluster: Option<&Cluster>, dir: &Path) -> Result<()> {
    if let Some(cluster) = cluster
        && let Entry::Vacant(place) = record.versions.entry(name(cluster.options.agent).to_owned())
    {
        place.insert(versions(cluster)?);
    }
    record.write(dir)
}

/// The packages that make the product, on the first node.
fn versions(cluster: &Cluster) -> Result<String> {
    let postgres = format!("postgresql-{}", cluster.options.release.postgres());
    let own: &[&str] = match cluster.options.agent {
        Agent::Patroni => &["patroni", "etcd-server"],
        Agent::Paf => &["resource-agents-paf", "pacemaker", "corosync"],
        Agent::Pgtwin => &["pgtwin", "pacemaker", "corosync"],
        Agent::Pgsql | Agent::Stateful => &["resource-agents", "pacemaker", "corosync"],
    };
    let ask = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n", &postgres];
    let ask: Vec<&str> = ask.into_iter().chain(own.iter().copied()).collect();
    let nodes = cluster.nodes();
    let node = nodes.first().map_or("n1", String::as_str);
    Ok(cluster.check(node, &ask)?.text().lines().collect::<Vec<_>>().join(", "))
}

/// The cluster of a product: brought up when it is needed, and anew after a round that it did not get over.
struct Stage {
    options: Options,
    cluster: Option<Cluster>,
}

impl Stage {
    fn cluster(&mut self) -> Result<&Cluster> {
        if let Some(cluster) = self.cluster.take() {
            if cluster.wait_healthy(Duration::from_secs(30)).is_ok() {
                return Ok(self.cluster.insert(cluster));
            }
            say("it is not well any more: another one");
            cluster.down()?;
        }
        let cluster = match Cluster::up(self.options.clone()) {
            Ok(cluster) => cluster,
            Err(error) => {
                say(format!("once more: {}", chain(&error)));
                Cluster::up(self.options.clone())?
            }
        };
        Ok(self.cluster.insert(cluster))
    }

    /// One round, after a rest. What went wrong with the measuring is an error, and not what it measures.
    fn play(&mut self, blow: Blow, rest: Duration) -> Result<Measured> {
        let cluster = self.cluster()?;
        thread::sleep(rest);
        round::play(cluster, blow).inspect_err(|_| say(cluster.dump()))
    }

    fn clear(&mut self) -> Result<()> {
        self.cluster.take().map_or(Ok(()), Cluster::down)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn all_have_the_same_settings_but_for_what_they_run() {
        let binary = Some(PathBuf::from("/a/pgtwin"));
        let common = Options { agent_binary: binary, ..Options::default() };
        let shapes = PRODUCTS.map(|product| {
            let shape = of_product(&common, product).unwrap();
            assert_eq!(shape.agent, product);
            assert!(shape.rivals, "the same image");
            format!("{:?}", Options { agent: Agent::Pgtwin, ..shape })
        });
        let [first, others @ ..] = &shapes;
        assert!(others.iter().all(|other| other == first), "{shapes:?}");
    }

    #[test]
    fn only_what_is_compared_can_be_chosen() {
        let wish = |only| Wish {
            rounds: 1,
            only,
            blows: Vec::new(),
            rest: Duration::ZERO,
            costs: false,
            dir: PathBuf::new(),
        };
        assert!(check(&wish(PRODUCTS.to_vec())).is_ok());
        assert!(check(&wish(vec![Agent::Pgsql])).is_err());
    }
}
