//! One call of the agent: environment and parameters in, an outcome out. Floor 3.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{error, warn};

use super::Agent;
use super::outcome::Outcome;
use crate::client::ledger_file::Home;
use crate::client::pacemaker::{ENVIRONMENT, Pacemaker};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::answer::{Asked, Met};
use crate::decide::fit::not_a_full_node;
use crate::decide::monitor::Expected;
use crate::ocf::action::Action;
use crate::ocf::env::{Env, EnvError};
use crate::ocf::notify::{Listed, Notification};
use crate::ocf::params::Params;
use crate::runtime::instance::Postgres;
use crate::runtime::owner::{self, Owner};
use crate::runtime::passfile::Copies;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::Exec;
use crate::sys::files;
use crate::sys::log::fits_as_reason;
use crate::sys::privilege::PrivilegeError;
use crate::sys::process::working_in;

/// Where ledgers live.
pub const STATE_ROOT: &str = "/var/lib/pgtwin";
/// Where caches live.
pub const RUN_ROOT: &str = "/run/pgtwin";
/// Where PostgreSQL's standard error goes: all of its log, if it keeps none elsewhere. That is not a
/// thing for /run, which is memory.
pub const LOG_ROOT: &str = "/var/log/pgtwin";

/// The PostgreSQL user's copy of a passfile that libpq would pass over. It is gone at boot, and made anew
/// before PostgreSQL is started.
pub fn passfile_copy(resource: &str) -> PathBuf {
    Path::new(RUN_ROOT).join(format!("{resource}.passfile"))
}

/// Runs one action that works on the resource.
pub fn run(action: Action, vars: &BTreeMap<String, String>, exec: &dyn Exec) -> Outcome {
    let env = match read_env(action, vars) {
        Ok(env) => env,
        Err(outcome) => return outcome,
    };
    for problem in &env.problems {
        warn!("{problem}");
    }
    let asked = Asked { action, expected: Expected::of(&env) };
    let probe = asked.is_probe();
    let mut resolved = Params::resolve(vars);
    for problem in &resolved.errors {
        error!("{problem}");
    }
    // Where the storage has this node's data is known with the node: from Pacemaker at once, else below.
    let mut settled = Ok(());
    if let Some(node) = &env.on_node {
        settled = resolved.params.settle(node);
    }
    let malformed = (!resolved.errors.is_empty())
        .then(|| resolved.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    if let Some(words) = &malformed {
        let place = resolved.place_is_refused();
        if let Some(outcome) = Outcome::of(&Met::Malformed { place }, asked, words) {
            return outcome;
        }
        // Its data says whose it is.
        if resolved.refused("pguser") {
            let (met, why) = match owner::of(Path::new(&resolved.params.pgdata)) {
                Owner::Of(user) => {
                    resolved.params.pguser = user;
                    (Met::Nothing, String::new())
                }
                Owner::NothingRuns => (Met::NothingRuns, String::new()),
                Owner::Unknown(why) => (Met::NoOwner, format!("{why}; {words}")),
            };
            if let Some(outcome) = Outcome::of(&met, asked, &why) {
                return outcome;
            }
        }
    }
    let mut params = resolved.params;
    if env.outside_a_clone()
        && let Some(outcome) = Outcome::of(
            &Met::NoClone,
            asked,
            "this resource is not in a promotable clone: put it into one (crm: clone, pcs: resource \
             promotable)",
        )
    {
        return outcome;
    }
    let here = env.on_node.as_ref().map_or("this node", NodeName::as_str);
    if let Some(why) = not_a_full_node(here, env.physical_host.as_deref(), None)
        && let Some(outcome) = Outcome::of(&Met::NoFullNode, asked, &why)
    {
        return outcome;
    }
    let resource = env.resource.as_str().to_owned();
    let standalone = env.standalone();
    let timeout = env.timeout.map(|time| time.as_millis().to_string());
    let deadline = Deadline::of_action(timeout.as_deref(), Duration::from_mins(1));
    let passed_on = ENVIRONMENT
        .iter()
        .filter_map(|name| vars.get(*name).map(|value| ((*name).to_owned(), value.clone())));
    let mut pacemaker = Pacemaker::new(exec, &resource).with_env(passed_on);
    let me = match me(&env, standalone, &mut pacemaker) {
        Ok(me) => {
            settled = settled.and_then(|()| params.settle(&me));
            if let Err(error) = &settled
                && let Some(outcome) = Outcome::of(&Met::NoPlace, asked, error.to_string())
            {
                return outcome;
            }
            me
        }
        Err(why) => {
            if params.storage_root.is_some()
                && !params.pgdata_given
                && let Some(outcome) = Outcome::of(&Met::NoPlace, asked, &why)
            {
                return outcome;
            }
            if let Some(outcome) = Outcome::of(&Met::NoNodeName, asked, &why) {
                return outcome;
            }
            warn!("{why}");
            match "unknown-node".parse() {
                Ok(me) => me,
                Err(_) => return Outcome::error(why),
            }
        }
    };
    let start_log = PathBuf::from(LOG_ROOT).join(format!("{resource}.log"));
    if let Err(problem) = files::ensure_root_dir(&PathBuf::from(LOG_ROOT), 0o750) {
        warn!("{}", chain(&problem));
    }
    let pg = match Postgres::new(exec, &params, start_log) {
        Ok(pg) => pg.until(deadline).with_copies(Copies::Make(passfile_copy(&resource))),
        Err(problem) => {
            warn!("{}", chain(&problem));
            let running = working_in(Path::new(&params.pgdata), "postgres");
            let running = match running {
                Ok(pids) => Known::Known(!pids.is_empty()),
                Err(why) => Known::Unknown(why),
            };
            return without_user(asked, &problem, running);
        }
    };
    let mut home = Home::new(STATE_ROOT, RUN_ROOT, &resource, &me);
    // An operator's command may be at work on the ledger. Nothing is refused because of it, but what
    // has to write the ledger.
    if !standalone && !probe {
        let wait = match action {
            Action::Stop => Duration::from_secs(2),
            _ => deadline.left() / 2,
        };
        if let Err(problem) = home.take_turn(wait) {
            warn!("{}", chain(&problem));
        }
    }
    let cache = home.cache();
    // A monitor judges anew, and gives it all of its time.
    let pg = match action {
        Action::Monitor => pg,
        _ => pg.seen_to_hang(&cache.hung),
    };
    let mut agent = Agent {
        params,
        env,
        resource,
        me,
        standalone,
        deadline,
        exec,
        pg,
        pacemaker,
        home,
        cache: cache.clone(),
    };
    if !matches!(action, Action::Monitor | Action::Notify) {
        agent.cache.monitored = 0;
    }
    let outcome = match action {
        Action::Start => agent.start_and_sweep(),
        Action::Stop => agent.stop(),
        Action::Promote => agent.promote(),
        Action::Demote => agent.demote(&Listed::stops_with(vars)),
        // With defaults in place of what the owner meant, it only looks.
        Action::Monitor => agent.monitor(malformed),
        Action::Notify => match Notification::parse(vars) {
            Ok(notification) => agent.notify(&notification),
            // A notification cannot fail, says ocf-tester, and Pacemaker would not listen.
            Err(problem) => {
                warn!("{problem}");
                Outcome::ok()
            }
        },
        Action::ValidateAll => agent.validate_all(),
        Action::ReloadAgent => agent.reload_agent(),
        Action::ValidatePghba => agent.validate_pghba(),
        Action::MetaData | Action::Usage => Outcome::ok(),
    };
    if let Some(reason) = &outcome.reason
        && (action != Action::Monitor || agent.env.is_probe())
        && !fits_as_reason(reason)
    {
        // A monitor that recurs would say it again and again.
        error!("{action}: {reason}");
    }
    if agent.cache != cache && !agent.standalone {
        agent.home.keep(&agent.cache);
    }
    outcome
}

/// The environment. Where the resource has a name that cannot be one of a file, nothing but a stop or a probe
/// is done for it, by another name and without a cluster.
fn read_env(action: Action, vars: &BTreeMap<String, String>) -> Result<Env, Outcome> {
    let error = match Env::parse(vars) {
        Ok(env) => return Ok(env),
        Err(error) => error,
    };
    let met = match error {
        EnvError::NoResource => Met::NoResource,
        EnvError::BadResource(_) => Met::NamelessResource,
    };
    let mut vars = vars.clone();
    vars.insert("OCF_RESOURCE_INSTANCE".to_owned(), "unnamed".to_owned());
    vars.remove("OCF_RESKEY_CRM_meta_clone_max");
    let why = chain(&error);
    let env = Env::parse(&vars).map_err(|_| Outcome::error(&why))?;
    let asked = Asked { action, expected: Expected::of(&env) };
    if let Some(outcome) = Outcome::of(&met, asked, &why) {
        return Err(outcome);
    }
    warn!("{why}");
    Ok(env)
}

/// The end where PostgreSQL's user cannot be had.
fn without_user(asked: Asked, problem: &PrivilegeError, runs: Known<bool>) -> Outcome {
    let why = match &runs {
        Known::Known(false) => chain(problem),
        Known::Known(true) => format!("PostgreSQL runs, and {}", chain(problem)),
        Known::Unknown(unseen) => {
            format!("{}; whether PostgreSQL runs is not known: {unseen}", chain(problem))
        }
    };
    let gone = matches!(problem, PrivilegeError::NoUser { .. });
    Outcome::of(&Met::NoUser { gone, runs }, asked, &why).unwrap_or_else(|| Outcome::error(why))
}

fn me(env: &Env, standalone: bool, pacemaker: &mut Pacemaker<'_>) -> Result<NodeName, String> {
    if let Some(node) = &env.on_node {
        return Ok(node.clone());
    }
    if standalone {
        let host = nix::unistd::gethostname().map_err(|error| error.to_string())?;
        return host.to_string_lossy().parse().map_err(|error| format!("{error}"));
    }
    match pacemaker.local_node(None, Duration::from_secs(5)) {
        Known::Known(node) => Ok(node),
        Known::Unknown(why) => Err(format!("the name of this node is not known: {why}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_whose_name_cannot_be_used_is_stopped_and_probed_and_nothing_else() {
        let vars: BTreeMap<String, String> = [
            ("OCF_RESOURCE_INSTANCE", "../etc"),
            ("OCF_RESKEY_CRM_meta_clone_max", "2"),
            ("OCF_RESKEY_CRM_meta_interval", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        for (action, allowed) in [
            (Action::Stop, true),
            (Action::Monitor, true),
            (Action::Start, false),
            (Action::Promote, false),
            (Action::Notify, false),
        ] {
            match read_env(action, &vars) {
                Ok(env) => assert!(allowed && env.standalone(), "{action}"),
                Err(outcome) => assert!(!allowed && outcome.reason.is_some(), "{action}"),
            }
        }
        let nobody = read_env(Action::Stop, &BTreeMap::new()).unwrap_err();
        assert!(nobody.reason.unwrap().contains("OCF_RESOURCE_INSTANCE is not set"));
    }
}
