//! Functions, operators and views of other people's in the schema public, and a search_path that prefers them:
//! nothing that the agent asks runs any of them.

use std::fmt::Write as _;

use crate::rig;
use crate::rig::call::{Call, value};
use crate::rig::without_root;

/// Functions that the agent's questions name, with other people's arguments where they have none.
const FUNCTIONS: [&str; 24] = [
    "current_setting(text)",
    "current_setting(name)",
    "pg_is_in_recovery()",
    "pg_reload_conf()",
    "pg_current_wal_insert_lsn()",
    "pg_current_wal_lsn()",
    "pg_last_wal_replay_lsn()",
    "pg_last_wal_receive_lsn()",
    "pg_postmaster_start_time()",
    "pg_conf_load_time()",
    "pg_control_system()",
    "pg_control_checkpoint()",
    "pg_walfile_name(pg_lsn)",
    "pg_logical_emit_message(boolean, text, text)",
    "pg_create_physical_replication_slot(name)",
    "pg_create_physical_replication_slot(name, boolean)",
    "pg_drop_replication_slot(name)",
    "pg_replication_slot_advance(name, pg_lsn)",
    "pg_describe_object(oid, oid, integer)",
    "array_to_string(text[], text)",
    "date_part(text, timestamptz)",
    "coalesce_of_mine(text)",
    "lower(text)",
    "pg_wal_lsn_diff(pg_lsn, pg_lsn)",
];

/// Operators and casts by which rows are compared.
const OPERATORS: [(&str, &str); 8] = [
    ("=", "text"),
    ("=", "name"),
    ("<>", "oid"),
    ("~~", "text"),
    ("=", "boolean"),
    ("<=", "pg_lsn"),
    (">", "timestamptz"),
    ("=", "integer"),
];

const VIEWS: [&str; 7] = [
    "pg_stat_replication",
    "pg_stat_wal_receiver",
    "pg_replication_slots",
    "pg_settings",
    "pg_hba_file_rules",
    "pg_database",
    "pg_authid",
];

/// All of it, each of which leaves a trace that no rollback takes back.
fn plant() -> String {
    let mut sql = String::from(
        "CREATE SEQUENCE public.ran;
         CREATE FUNCTION public.runs() RETURNS bigint LANGUAGE sql AS $$ SELECT pg_catalog.nextval('public.ran') $$;\n",
    );
    for function in FUNCTIONS {
        let _ = writeln!(
            sql,
            "CREATE FUNCTION public.{function} RETURNS text LANGUAGE sql AS \
             $$ SELECT pg_catalog.nextval('public.ran')::pg_catalog.text $$;"
        );
    }
    for (index, (operator, kind)) in OPERATORS.iter().enumerate() {
        let _ = writeln!(
            sql,
            "CREATE FUNCTION public.compares_{index}({kind}, {kind}) RETURNS boolean LANGUAGE sql AS \
             $$ SELECT pg_catalog.nextval('public.ran') OPERATOR(pg_catalog.>) 0 $$;
             CREATE OPERATOR public.{operator} (LEFTARG = {kind}, RIGHTARG = {kind}, \
             FUNCTION = public.compares_{index});"
        );
    }
    for view in VIEWS {
        let _ = writeln!(sql, "CREATE VIEW public.{view} AS SELECT public.runs() AS pid;");
    }
    sql + "ALTER ROLE ALL SET search_path = public, pg_catalog;
           ALTER DATABASE postgres SET search_path = public, pg_catalog;\n"
}

#[test]
fn functions_operators_and_views_that_others_have_planted_are_never_run() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-planted");
    on.expect("start", 0);
    on.expect("promote", 0);
    on.ask(&plant());
    on.ask("ALTER SYSTEM SET search_path = 'public, pg_catalog'");
    on.ask("SELECT pg_catalog.pg_reload_conf()");
    let ran = "SELECT is_called FROM public.ran";
    // The trap works: who does not say where a function is runs it.
    on.ask("SELECT pg_is_in_recovery()");
    assert_eq!(on.ask(ran), "t");
    on.ask("ALTER SEQUENCE public.ran RESTART");
    assert_eq!(on.ask(ran), "f");

    for call in [
        Call::Promoted,
        Call::Unpromoted,
        Call::Probe,
        Call::ValidateAll,
        Call::ReloadAgent,
        Call::ValidatePghba,
        Call::Promote,
        Call::Promoted,
    ] {
        let answer = on.call(call, &[("HA_debug", value("1"))]);
        assert!(
            ![1, 9].contains(&answer.code) || call == Call::ValidatePghba,
            "{call:?}: {}",
            answer.stderr
        );
        assert_eq!(on.ask(ran), "f", "{call:?}: {}", answer.stderr);
    }
    // Also what is done while it starts, and on its way down.
    on.expect("demote", 0);
    on.expect("promote", 0);
    on.expect("monitor", 8);
    assert_eq!(on.ask(ran), "f");
    on.expect("stop", 0);
    on.expect("start", 0);
    on.expect("promote", 0);
    assert_eq!(on.ask(ran), "f");
    on.expect("stop", 0);
}
