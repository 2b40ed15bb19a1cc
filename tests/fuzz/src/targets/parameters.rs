//! What Pacemaker, an administrator or an attacker puts into the environment.

use std::collections::BTreeMap;

use pgtwin::ocf::action::Action;
use pgtwin::ocf::env::Env;
use pgtwin::ocf::notify::Notification;
use pgtwin::ocf::params::{ENV_PREFIX, Params, TABLE};
use pgtwin::sys::log::{exit_reason_line, fits_as_reason, one_line};

use crate::{Target, text};

/// `name=value`, each up to a zero byte, as /proc/PID/environ has them.
fn variables(data: &[u8]) -> BTreeMap<String, String> {
    let all = text(data);
    let pairs = all.split('\0').filter_map(|variable| variable.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

pub const PARAMETERS: Target = Target {
    name: "parameters",
    run: parameters_are_good_or_refused_by_name,
    captured: &[],
    seeds: &[
        "pgdata=/var/lib/postgresql/15/main\0pgport=5432\0rep_mode=sync\0node_list=n1 n2\0pghost=0.0.0.0",
        "pgpassfile=/var/lib/postgresql/.pgpass\0vip=10.0.0.100/24\0start_opts=-c work_mem=5MB -c 'a b'='c'\0repuser=r",
        "application_name=n1\0slot_name=ha_slot\0max_slot_wal_keep_size=1024\0node_addresses=n1=10.0.0.1 n2=fd00::2",
        "pgdata=../x\0pguser=-root\0socket_dir=/tmp\0config_file=/etc/x\0pgdata_mount=/\0fencing=advised",
        "start_opts=-c 'x=\"y\\' -p 1 --data=/x -c primary_conninfo=host=evil",
        "container_mode=true\0container_name=x\0container_image=a/b:c\0pg_major_version=17",
    ],
};

fn parameters_are_good_or_refused_by_name(data: &[u8]) {
    let given = variables(data);
    let resolved = Params::resolve_attributes(&given);
    let params = &resolved.params;
    for error in &resolved.errors {
        let line = error.to_string();
        assert!(
            line.contains(error.name()) && !line.contains(['\n', '\r', '\0', '\u{1b}']),
            "{line:?}"
        );
        assert!(line.len() < 2_000, "{} bytes", line.len());
    }
    for (name, value) in &given {
        let known = TABLE.iter().find(|spec| spec.name == name);
        if known.is_some() && value.len() > 4096 {
            assert!(resolved.refused(name), "{name} of {} bytes", value.len());
        }
    }
    let paths = [
        &params.pgdata_mount,
        &params.pgpassfile,
        &params.pg_bindir,
        &params.socket_dir,
        &params.config_file,
    ];
    for path in paths.into_iter().flatten().chain(std::iter::once(&params.pgdata)) {
        assert!(path.starts_with('/') && !path.split('/').any(|part| part == ".."), "{path:?}");
        assert!(!path.chars().any(char::is_control), "{path:?}");
    }
    assert_ne!(params.pgport, 0);
    assert!(
        !params.pguser.starts_with('-') && !params.pguser.contains([' ', '/', ':', '\'']),
        "{}",
        params.pguser
    );
    // From the environment it is the same.
    let environment =
        given.iter().map(|(name, value)| (format!("{ENV_PREFIX}{name}"), value.clone()));
    assert_eq!(Params::resolve(&environment.collect()), resolved);
    for node in params.node_list.iter().flatten() {
        let _ = params.application_name_for(node, 2);
    }
    let _ = params.one_name_for_many(3);
}

pub const ENVIRONMENT: Target = Target {
    name: "environment",
    run: what_pacemaker_says_of_an_action,
    captured: &[],
    seeds: &[
        "OCF_RESOURCE_INSTANCE=postgres-db:1\0OCF_RESKEY_CRM_meta_timeout=60000\0OCF_RESKEY_CRM_meta_interval=3000\0\
         OCF_RESKEY_CRM_meta_role=Promoted\0OCF_RESKEY_CRM_meta_on_node=n1\0OCF_RESKEY_CRM_meta_clone_max=2",
        "OCF_RESKEY_CRM_meta_notify_type=pre\0OCF_RESKEY_CRM_meta_notify_operation=promote\0\
         OCF_RESKEY_CRM_meta_notify_promote_uname=n2\0OCF_RESKEY_CRM_meta_notify_demote_uname= \0\
         OCF_RESKEY_CRM_meta_notify_master_uname=n1",
        "OCF_RESOURCE_INSTANCE=../x\0OCF_CHECK_LEVEL=99999999999\0OCF_RESKEY_CRM_meta_op_target_rc=-8",
        "monitor",
    ],
};

fn what_pacemaker_says_of_an_action(data: &[u8]) {
    let given = variables(data);
    if let Ok(env) = Env::parse(&given) {
        let name = env.resource.as_str();
        assert!(
            !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0', ' ', '\n']),
            "{name:?}"
        );
        assert!(env.problems.iter().all(|problem| !problem.to_string().contains('\n')));
        let _ = (env.standalone(), env.outside_a_clone(), env.is_probe(), env.expects_promoted());
    }
    match Notification::parse(&given) {
        Ok(notification) => assert!(notification.subject().known().is_some()),
        Err(why) => assert!(!why.to_string().contains('\n'), "{why}"),
    }
    if let Ok(action) = text(data).parse::<Action>() {
        assert!(action.to_string().parse::<Action>().is_ok_and(|again| again == action));
    }
}

pub const LINES: Target = Target {
    name: "log_lines",
    run: a_line_of_a_log_is_one_line,
    captured: &["control-damaged.stderr.txt"],
    seeds: &[
        "a\nb\r\tc",
        "ocf-exit-reason:x\u{1b}[2J\u{202e}",
        "ocf-exit-reason:ocf-exit-reason:",
        "é…\u{2028}",
    ],
};

fn a_line_of_a_log_is_one_line(data: &[u8]) {
    let given = text(data);
    for max in [0, 1, 3, 4, 80, 128, usize::MAX] {
        let line = one_line(&given, max);
        assert!(line.len() <= max && !line.chars().any(char::is_control), "{line:?}");
        assert!(!line.contains(['\u{2028}', '\u{2029}', '\u{202e}']));
    }
    let reason = exit_reason_line(&given);
    assert_eq!(reason.matches('\n').count(), 1);
    assert_eq!(reason.matches("ocf-exit-reason:").count(), 1, "{reason:?}");
    let _ = fits_as_reason(&given);
}
