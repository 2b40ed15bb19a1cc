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
use crate::decide::fit::not_a_full_node;
use crate::ocf::action::Action;
use crate::ocf::env::{Env, EnvError};
use crate::ocf::exit_code::ExitCode;
use crate::ocf::notify::Notification;
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
    let env = match Env::parse(vars) {
        Ok(env) => env,
        Err(error) => match nameless(action, vars, &error) {
            Some(env) => env,
            None => return Outcome::because(ExitCode::Args, chain(&error)),
        },
    };
    for problem in &env.problems {
        warn!("{problem}");
    }
    let mut resolved = Params::resolve(vars);
    for problem in &resolved.errors {
        error!("{problem}");
    }
    let probe = action == Action::Monitor && env.is_probe();
    let malformed = (!resolved.errors.is_empty())
        .then(|| resolved.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    if let Some(words) = &malformed {
        let names_nothing = resolved.refused("pgdata");
        match action {
            // Neither is ever made to fail by configuration. Where nobody knows where to look, nothing of
            // ours can be there.
            Action::Stop if names_nothing => return Outcome::ok(),
            Action::Monitor if probe && names_nothing => {
                return Outcome::is(ExitCode::NotRunning);
            }
            Action::Monitor if names_nothing => return Outcome::error(words.clone()),
            // Its data says whose it is.
            Action::Stop | Action::Monitor if resolved.refused("pguser") => {
                match owner::of(Path::new(&resolved.params.pgdata)) {
                    Owner::Of(user) => resolved.params.pguser = user,
                    Owner::NothingRuns if action == Action::Stop => return Outcome::ok(),
                    Owner::NothingRuns => return Outcome::is(ExitCode::NotRunning),
                    Owner::Unknown(why) => return Outcome::error(format!("{why}; {words}")),
                }
            }
            Action::Stop | Action::Monitor => {}
            // Nobody listens to a notification. A change that cannot be taken over leaves what
            // runs as it is, and the monitor says so: an error here would stop all of it.
            Action::Notify | Action::ReloadAgent => return Outcome::ok(),
            Action::Demote => return Outcome::error(words.clone()),
            Action::Start
            | Action::Promote
            | Action::ValidateAll
            | Action::ValidatePghba
            | Action::MetaData
            | Action::Usage => return Outcome::because(ExitCode::Configured, words.clone()),
        }
    }
    let params = resolved.params;
    if params.container_mode && !probe && action != Action::Stop {
        return Outcome::because(
            ExitCode::Unimplemented,
            "container_mode=true is not built yet: unset it to run PostgreSQL on the host",
        );
    }
    if matches!(action, Action::Start | Action::Promote)
        && let Some(refused) = misplaced(&env)
    {
        return refused;
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
        Ok(me) => me,
        Err(why) if action == Action::Stop || probe => {
            warn!("{why}");
            match "unknown-node".parse() {
                Ok(me) => me,
                Err(_) => return Outcome::error(why),
            }
        }
        Err(why) => return Outcome::error(why),
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
            return without_user(action, &env, &problem, &running);
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
        Action::Start => agent.start(),
        Action::Stop => agent.stop(),
        Action::Promote => agent.promote(),
        Action::Demote => agent.demote(),
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
        && action != Action::Monitor
        && !fits_as_reason(reason)
    {
        // A monitor would say it again and again.
        error!("{action}: {reason}");
    }
    if agent.cache != cache && !agent.standalone {
        agent.home.keep(&agent.cache);
    }
    outcome
}

/// The environment of a call whose resource has a name that cannot be one of a file: it has no
/// ledger and no scores, and nothing but a stop or a probe is done for it.
fn nameless(action: Action, vars: &BTreeMap<String, String>, error: &EnvError) -> Option<Env> {
    match error {
        EnvError::NoResource => return None,
        EnvError::BadResource(_) => {}
    }
    let mut vars = vars.clone();
    vars.insert("OCF_RESOURCE_INSTANCE".to_owned(), "unnamed".to_owned());
    vars.remove("OCF_RESKEY_CRM_meta_clone_max");
    let env = Env::parse(&vars).ok()?;
    let allowed = action == Action::Stop || (action == Action::Monitor && env.is_probe());
    if allowed {
        warn!("{}", chain(error));
    }
    allowed.then_some(env)
}

/// Why nothing can be started where this call was made, as far as its environment tells.
fn misplaced(env: &Env) -> Option<Outcome> {
    if env.outside_a_clone() {
        return Some(Outcome::because(
            ExitCode::Configured,
            "this resource is not in a promotable clone: put it into one (crm: clone, pcs: resource \
             promotable)",
        ));
    }
    let here = env.on_node.as_ref().map_or("this node", NodeName::as_str);
    let why = not_a_full_node(here, env.physical_host.as_deref(), None)?;
    Some(Outcome::because(ExitCode::Args, why))
}

/// The answer where PostgreSQL's user cannot be had, so that nothing can be done. A user database that
/// does not answer (LDAP, sssd) ends no PostgreSQL, and may say that there is no such user: what runs
/// in PGDATA is seen without it.
fn without_user(
    action: Action,
    env: &Env,
    problem: &PrivilegeError,
    running: &Known<bool>,
) -> Outcome {
    let gone_for_good = matches!(problem, PrivilegeError::NoUser { .. });
    let why = match running {
        Known::Known(false) => chain(problem),
        Known::Known(true) => format!("PostgreSQL runs, and {}", chain(problem)),
        Known::Unknown(unseen) => {
            format!("{}; whether PostgreSQL runs is not known: {unseen}", chain(problem))
        }
    };
    match (action, running) {
        (Action::Notify, _) | (Action::Stop, Known::Known(false)) => Outcome::ok(),
        (Action::Monitor, Known::Known(false)) if env.is_probe() || !gone_for_good => {
            Outcome::is(ExitCode::NotRunning)
        }
        // It is not bounced for that, and a stop would end in fencing.
        (Action::Monitor, Known::Known(true)) if !env.is_probe() => Outcome::because(
            if env.expects_promoted() { ExitCode::DegradedPromoted } else { ExitCode::Degraded },
            why,
        ),
        (Action::Stop, _) | (Action::Monitor, Known::Known(true) | Known::Unknown(_)) => {
            Outcome::error(why)
        }
        _ if gone_for_good => Outcome::because(ExitCode::Installed, why),
        _ => Outcome::error(why),
    }
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
    fn a_user_database_that_does_not_answer_ends_no_postgresql() {
        use ExitCode::{Degraded, DegradedPromoted, Error, Installed, NotRunning, Ok};

        let gone = PrivilegeError::NoUser { user: "postgres".into() };
        let silent =
            PrivilegeError::Lookup { user: "postgres".into(), source: std::io::Error::other("x") };
        let env = |interval: &str, role: &str| {
            let vars = [
                ("OCF_RESOURCE_INSTANCE", "db"),
                ("OCF_RESKEY_CRM_meta_interval", interval),
                ("OCF_RESKEY_CRM_meta_role", role),
            ];
            let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Env::parse(&vars.into()).unwrap()
        };
        let (probe, promoted, unpromoted) =
            (env("0", "Stopped"), env("3000", "Promoted"), env("8000", "Unpromoted"));
        let no = Known::Known(false);
        let yes = Known::Known(true);
        let unknown = Known::unknown("/proc is not there");
        for (action, env, running, without, unanswered) in [
            (Action::Stop, &probe, &no, Ok, Ok),
            (Action::Stop, &probe, &yes, Error, Error),
            (Action::Stop, &probe, &unknown, Error, Error),
            (Action::Monitor, &probe, &no, NotRunning, NotRunning),
            (Action::Monitor, &probe, &yes, Error, Error),
            (Action::Monitor, &probe, &unknown, Error, Error),
            (Action::Monitor, &promoted, &no, Installed, NotRunning),
            (Action::Monitor, &promoted, &yes, DegradedPromoted, DegradedPromoted),
            (Action::Monitor, &unpromoted, &yes, Degraded, Degraded),
            (Action::Monitor, &promoted, &unknown, Error, Error),
            (Action::Start, &probe, &no, Installed, Error),
            (Action::Promote, &probe, &yes, Installed, Error),
            (Action::Notify, &probe, &yes, Ok, Ok),
        ] {
            let code = |problem| without_user(action, env, problem, running).code;
            assert_eq!(code(&gone), without, "{action} {running:?}");
            assert_eq!(code(&silent), unanswered, "{action} {running:?}");
        }
    }

    #[test]
    fn a_resource_whose_name_cannot_be_used_is_stopped_and_probed_and_nothing_else() {
        let vars: BTreeMap<String, String> = [
            ("OCF_RESOURCE_INSTANCE", "../etc"),
            ("OCF_RESKEY_CRM_meta_clone_max", "2"),
            ("OCF_RESKEY_CRM_meta_interval", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let error = Env::parse(&vars).unwrap_err();
        for (action, allowed) in [
            (Action::Stop, true),
            (Action::Monitor, true),
            (Action::Start, false),
            (Action::Promote, false),
            (Action::Notify, false),
        ] {
            let env = nameless(action, &vars, &error);
            assert_eq!(env.is_some(), allowed, "{action}");
            assert!(env.is_none_or(|env| env.standalone()), "{action}");
        }
        assert_eq!(nameless(Action::Stop, &vars, &EnvError::NoResource), None);
    }
}
