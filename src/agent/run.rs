//! One call of the agent: environment and parameters in, an outcome out. Floor 3.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{debug, error, warn};

use super::Agent;
use super::outcome::Outcome;
use crate::client::ledger_file::Home;
use crate::client::pacemaker::{ENVIRONMENT, Pacemaker};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::ocf::action::Action;
use crate::ocf::env::Env;
use crate::ocf::exit_code::ExitCode;
use crate::ocf::notify::Notification;
use crate::ocf::params::Params;
use crate::runtime::instance::Postgres;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::Exec;
use crate::sys::files;
use crate::sys::privilege::PrivilegeError;
use crate::sys::process::working_in;

/// Where ledgers live.
pub const STATE_ROOT: &str = "/var/lib/pgtwin";
/// Where caches live.
pub const RUN_ROOT: &str = "/run/pgtwin";

/// Runs one action that works on the resource.
pub fn run(action: Action, vars: &BTreeMap<String, String>, exec: &dyn Exec) -> Outcome {
    let env = match Env::parse(vars) {
        Ok(env) => env,
        Err(error) => return Outcome::because(ExitCode::Args, error.to_string()),
    };
    for problem in &env.problems {
        warn!("{problem}");
    }
    let resolved = Params::resolve(vars);
    for problem in &resolved.errors {
        error!("{problem}");
    }
    let probe = action == Action::Monitor && env.is_probe();
    if !resolved.errors.is_empty() {
        let words = resolved.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        match action {
            // Neither is ever made to fail by configuration.
            Action::Stop => {
                if resolved.refused("pgdata") || resolved.refused("pguser") {
                    return Outcome::ok();
                }
            }
            Action::Monitor if probe => {
                if resolved.refused("pgdata") || resolved.refused("pguser") {
                    return Outcome::is(ExitCode::NotRunning);
                }
            }
            Action::Monitor | Action::Notify | Action::Demote => return Outcome::error(words),
            _ => return Outcome::because(ExitCode::Configured, words),
        }
    }
    let params = resolved.params;
    if params.container_mode && !probe && action != Action::Stop {
        return Outcome::because(
            ExitCode::Unimplemented,
            "container_mode=true is not built yet: unset it to run PostgreSQL on the host",
        );
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
    let start_log = PathBuf::from(RUN_ROOT).join(format!("{resource}.start.log"));
    if let Err(problem) = files::ensure_root_dir(&PathBuf::from(RUN_ROOT), 0o755) {
        warn!("{}", chain(&problem));
    }
    let pg = match Postgres::new(exec, &params, start_log) {
        Ok(pg) => pg.until(deadline),
        Err(problem) => return without_user(action, &env, &params, &problem),
    };
    let home = Home::new(STATE_ROOT, RUN_ROOT, &resource, &me);
    // An operator's command may be at work on the ledger. Nothing is refused because of it.
    let _turn = (!standalone && !probe).then(|| {
        let wait = match action {
            Action::Stop => Duration::from_secs(2),
            _ => deadline.left() / 2,
        };
        home.lock(wait).inspect_err(|problem| debug!("{}", chain(problem)))
    });
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
    let outcome = match action {
        Action::Start => agent.start(),
        Action::Stop => agent.stop(),
        Action::Promote => agent.promote(),
        Action::Demote => agent.demote(),
        Action::Monitor => agent.monitor(),
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
    if agent.cache != cache && !agent.standalone {
        agent.home.keep(&agent.cache);
    }
    outcome
}

/// The PostgreSQL user could not be looked up, so that nothing can be done. A user database that does
/// not answer (LDAP, sssd) does not end PostgreSQL: what runs in PGDATA is seen without it.
fn without_user(action: Action, env: &Env, params: &Params, problem: &PrivilegeError) -> Outcome {
    let why = chain(problem);
    let gone_for_good = matches!(problem, PrivilegeError::NoUser { .. });
    let running = working_in(Path::new(&params.pgdata), "postgres");
    let none = matches!(&running, Ok(pids) if pids.is_empty());
    let some = running.is_ok() && !none;
    let why = match running {
        Ok(pids) if pids.is_empty() => why,
        Ok(_) => format!("{why}; PostgreSQL runs in {}", params.pgdata),
        Err(unseen) => format!("{why}; whether PostgreSQL runs is not known: {unseen}"),
    };
    match action {
        Action::Stop if none => {
            warn!("{why}");
            Outcome::ok()
        }
        Action::Monitor if none && (env.is_probe() || !gone_for_good) => {
            warn!("{why}");
            Outcome::is(ExitCode::NotRunning)
        }
        // It is not bounced for that, and a stop would end in fencing. "There is no such user" is what a
        // user database also says while it is away.
        Action::Monitor if some && !env.is_probe() => Outcome::because(
            if env.expects_promoted() { ExitCode::DegradedPromoted } else { ExitCode::Degraded },
            why,
        ),
        Action::Stop | Action::Monitor => Outcome::error(why),
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
