//! What a monitor answers: every process, every answer over the socket, every expectation.

use super::{
    Bars, Expected, LastAsked, Tends, Verdict, Writes, bars, found, judge, kept_out, malformed,
    opens, pacemaker_is_due, tends, unheard, writes,
};
use crate::decide::facts::{DataDir, Instance, Process, Sql};
use crate::decide::support::{at_rest, data, in_recovery, running, writable};
use crate::ocf::exit_code::ExitCode;
use crate::postgres::control_data::ClusterState;

const ALL: [Expected; 3] = [Expected::Anything, Expected::Unpromoted, Expected::Promoted];

fn why() -> String {
    "why".into()
}

fn states() -> [ClusterState; 8] {
    [
        ClusterState::StartingUp,
        ClusterState::ShutDown,
        ClusterState::ShutDownInRecovery,
        ClusterState::ShuttingDown,
        ClusterState::InCrashRecovery,
        ClusterState::InArchiveRecovery,
        ClusterState::InProduction,
        ClusterState::Other("new words".into()),
    ]
}

/// The codes for a probe, a standby's monitor and a primary's.
type Codes = [ExitCode; 3];

fn codes(instance: &Instance) -> Codes {
    ALL.map(|expected| judge(expected, instance).code)
}

#[test]
fn an_instance_that_does_not_run_is_7_unless_a_primary_crashed() {
    use ExitCode::{FailedPromoted, NotRunning};
    for state in states() {
        let crashed = matches!(
            state,
            ClusterState::ShuttingDown | ClusterState::InCrashRecovery | ClusterState::InProduction
        );
        let promoted = if crashed { FailedPromoted } else { NotRunning };
        let expected = [NotRunning, NotRunning, promoted];
        assert_eq!(codes(&at_rest(data(state.clone()))), expected, "{state:?}");
    }
    for data in [DataDir::Absent, DataDir::Empty, DataDir::Unusable(why()), DataDir::Unknown(why())]
    {
        // Pacemaker called it promoted: a data directory that vanished is not for it to fail over.
        assert_eq!(codes(&at_rest(data.clone())), [NotRunning; 3], "{data:?}");
    }
}

#[test]
fn an_instance_that_answers_is_what_it_says() {
    use ExitCode::{Ok, RunningPromoted};
    for state in states() {
        assert_eq!(codes(&running(state.clone(), writable())), [RunningPromoted; 3], "{state:?}");
        assert_eq!(codes(&running(state.clone(), in_recovery())), [Ok; 3], "{state:?}");
    }
}

/// 53300, 57P03, a statement timeout and a refused login mean alive: no healthy primary is bounced
/// for them.
#[test]
fn an_instance_that_is_busy_or_starts_or_refuses_the_agent_is_alive() {
    use ExitCode::{Degraded, DegradedPromoted, Error, Ok, RunningPromoted};
    for (state, probe) in [
        (ClusterState::InProduction, RunningPromoted),
        (ClusterState::ShuttingDown, RunningPromoted),
        (ClusterState::ShutDown, RunningPromoted),
        (ClusterState::InCrashRecovery, RunningPromoted),
        (ClusterState::InArchiveRecovery, Ok),
        (ClusterState::ShutDownInRecovery, Ok),
        (ClusterState::StartingUp, Error),
        (ClusterState::Other("new words".into()), Error),
    ] {
        for sql in [Sql::Busy(why()), Sql::Alive(why()), Sql::Starting(why())] {
            let expected = [probe, Degraded, DegradedPromoted];
            assert_eq!(codes(&running(state.clone(), sql.clone())), expected, "{state:?} {sql:?}");
        }
    }
    for data in [DataDir::Absent, DataDir::Empty, DataDir::Unusable(why()), DataDir::Unknown(why())]
    {
        let process = Process::Running { pid: 42, stopped: false };
        let instance = Instance { data, process, sql: Sql::Busy(why()) };
        assert_eq!(codes(&instance), [Error, Degraded, DegradedPromoted], "{instance:?}");
    }
}

#[test]
fn why_a_live_server_cannot_be_asked_stands_in_the_reason() {
    let refused = Sql::Alive("28000: no pg_hba.conf entry".into());
    let verdict = judge(Expected::Promoted, &running(ClusterState::InProduction, refused));
    assert!(verdict.reason.unwrap().contains("28000: no pg_hba.conf entry"));
}

#[test]
fn an_instance_that_fails_is_9_for_a_primary_and_1_for_others() {
    use ExitCode::{Error, FailedPromoted};
    let failed = [Error, Error, FailedPromoted];
    for stopped in [false, true] {
        for sql in [Sql::ShuttingDown, Sql::Hung, Sql::Refused(why()), Sql::Unknown(why())] {
            let process = Process::Running { pid: 42, stopped };
            let data = data(ClusterState::InProduction);
            let instance = Instance { data, process, sql };
            assert_eq!(codes(&instance), failed, "{instance:?}");
        }
    }
    let process = Process::Orphans(vec![43, 44]);
    let instance = Instance { data: data(ClusterState::InProduction), process, sql: Sql::NotAsked };
    assert_eq!(codes(&instance), failed);
}

#[test]
fn what_could_not_be_looked_at_is_an_error_and_never_a_role() {
    let unknown = Instance {
        data: data(ClusterState::InProduction),
        process: Process::Unknown(why()),
        sql: Sql::NotAsked,
    };
    assert_eq!(codes(&unknown), [ExitCode::Error; 3]);
    let unasked = running(ClusterState::InProduction, Sql::NotAsked);
    assert_eq!(codes(&unasked), [ExitCode::Error; 3]);
}

#[test]
fn a_postmaster_stopped_by_a_signal_is_told_from_one_that_hangs() {
    let reason = |stopped| {
        let process = Process::Running { pid: 42, stopped };
        let data = data(ClusterState::InProduction);
        judge(Expected::Promoted, &Instance { data, process, sql: Sql::Hung }).reason.unwrap()
    };
    assert!(reason(true).contains("SIGSTOP"), "{}", reason(true));
    assert!(!reason(false).contains("SIGSTOP"), "{}", reason(false));
}

/// Every combination: a reason whenever something is wrong, none when all is well, one line, and the
/// degraded ones say the same for as long as the cause lasts, whatever its details.
#[test]
fn reasons_are_one_line_and_constant_where_pacemaker_needs_them_so() {
    use ExitCode::{
        Degraded, DegradedPromoted, Error, FailedPromoted, NotRunning, Ok, RunningPromoted,
    };
    let sqls = |why: &str| {
        vec![
            Sql::NotAsked,
            writable(),
            in_recovery(),
            Sql::Starting(why.into()),
            Sql::ShuttingDown,
            Sql::Busy(why.into()),
            // Its words are constant by themselves.
            Sql::Alive("28000: no pg_hba.conf entry".into()),
            Sql::Hung,
            Sql::Refused(why.into()),
            Sql::Unknown(why.into()),
        ]
    };
    let processes = [
        Process::None,
        Process::Running { pid: 42, stopped: false },
        Process::Running { pid: 42, stopped: true },
        Process::Orphans(vec![43]),
        Process::Unknown(why()),
    ];
    let mut codes = std::collections::BTreeSet::new();
    for state in states() {
        for process in &processes {
            for (one, other) in sqls("this").into_iter().zip(sqls("that")) {
                for expected in ALL {
                    let verdict = |sql| {
                        let (data, process) = (data(state.clone()), process.clone());
                        judge(expected, &Instance { data, process, sql })
                    };
                    let Verdict { code, reason } = verdict(one.clone());
                    codes.insert(code);
                    let well = [ExitCode::Ok, ExitCode::RunningPromoted, ExitCode::NotRunning];
                    if !well.contains(&code) {
                        let reason = reason.clone().expect("a reason");
                        assert!(!reason.is_empty() && !reason.contains('\n'), "{reason:?}");
                    }
                    if matches!(code, ExitCode::Degraded | ExitCode::DegradedPromoted) {
                        assert_eq!(reason, verdict(other.clone()).reason, "{one:?}");
                    }
                }
            }
        }
    }
    let all = [Ok, Error, NotRunning, RunningPromoted, FailedPromoted, Degraded, DegradedPromoted];
    assert_eq!(codes, all.into());
}

#[test]
fn what_a_call_expects_is_read_from_its_environment() {
    use crate::ocf::env::Env;
    for (interval, role, target, expected) in [
        ("0", "Stopped", "7", Expected::Anything),
        ("0", "Promoted", "8", Expected::Anything),
        ("3000", "Promoted", "8", Expected::Promoted),
        ("3000", "Promoted", "", Expected::Promoted),
        ("8000", "Unpromoted", "0", Expected::Unpromoted),
        ("8000", "Unpromoted", "", Expected::Unpromoted),
    ] {
        let vars = [
            ("OCF_RESOURCE_INSTANCE", "db"),
            ("OCF_RESKEY_CRM_meta_interval", interval),
            ("OCF_RESKEY_CRM_meta_role", role),
            ("OCF_RESKEY_CRM_meta_op_target_rc", target),
        ];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(Expected::of(&Env::parse(&vars.into()).unwrap()), expected, "{interval} {role}");
    }
}

#[test]
fn a_malformed_parameter_is_said_of_what_runs_and_a_failure_stays_one() {
    for code in ExitCode::ALL {
        let verdict = Verdict { code, reason: Some(why()) };
        let expected = match code {
            ExitCode::Ok => Verdict::because(ExitCode::Degraded, "pgport"),
            ExitCode::RunningPromoted => Verdict::because(ExitCode::DegradedPromoted, "pgport"),
            _ => verdict.clone(),
        };
        assert_eq!(malformed(verdict, "pgport".into()), expected, "{code:?}");
    }
}

#[test]
fn a_standby_that_will_never_open_fails() {
    let waits = Verdict::because(ExitCode::Degraded, "replays WAL");
    assert_eq!(opens(waits.clone(), None), waits);
    let parted = Verdict::because(ExitCode::Error, "data diverged");
    assert_eq!(opens(waits, Some("data diverged".into())), parted);
}

#[test]
fn a_standby_that_is_well_says_that_it_is_kept_out() {
    let (well, worse) = (Verdict::is(ExitCode::Ok), Verdict::because(ExitCode::Degraded, why()));
    assert_eq!(kept_out(well.clone(), ""), well);
    assert_eq!(kept_out(well, "pg_rewind"), Verdict::because(ExitCode::Degraded, "pg_rewind"));
    assert_eq!(kept_out(worse.clone(), "pg_rewind"), worse, "it has something worse to say");
}

#[test]
fn who_is_well_says_that_its_words_do_not_get_through() {
    for code in ExitCode::ALL {
        let verdict = Verdict::is(code);
        assert_eq!(unheard(verdict.clone(), ""), verdict, "{code:?}");
        let said = unheard(verdict.clone(), "attrd_updater: no answer");
        let expected = match code {
            ExitCode::Ok => ExitCode::Degraded,
            ExitCode::RunningPromoted => ExitCode::DegradedPromoted,
            _ => code,
        };
        assert_eq!(said.code, expected, "{code:?}");
        let names_it =
            said.reason.is_some_and(|reason| reason.contains("(attrd_updater: no answer)"));
        assert_eq!(names_it, expected != code, "{code:?}");
    }
}

#[test]
fn only_a_failed_primary_bars_itself_and_not_beside_the_controller() {
    for code in ExitCode::ALL {
        let (verdict, failed) = (Verdict::is(code), code == ExitCode::FailedPromoted);
        let expected = if failed { Bars::Now } else { Bars::No };
        assert_eq!(bars(&verdict, false), expected, "{code:?}");
        let expected = if failed { Bars::BeforeItsDemotion } else { Bars::No };
        assert_eq!(bars(&verdict, true), expected, "{code:?}");
    }
}

#[test]
fn a_monitor_takes_care_of_what_runs_as_it_is_expected() {
    use Tends::{ItsScore, ItsStandbys, ItsUpstream, Nothing, WhetherItOpens};
    let starting = || Sql::Starting(why());
    // A probe, a standby's monitor, a primary's.
    for (sql, code, expected) in [
        (writable(), ExitCode::RunningPromoted, [ItsScore, ItsScore, ItsStandbys]),
        (writable(), ExitCode::FailedPromoted, [Nothing; 3]),
        (in_recovery(), ExitCode::Ok, [Nothing, ItsUpstream, ItsUpstream]),
        (in_recovery(), ExitCode::Error, [Nothing; 3]),
        (starting(), ExitCode::Degraded, [Nothing, WhetherItOpens, Nothing]),
        (starting(), ExitCode::Ok, [Nothing, WhetherItOpens, Nothing]),
        (Sql::NotAsked, ExitCode::NotRunning, [Nothing; 3]),
        (Sql::ShuttingDown, ExitCode::Error, [Nothing; 3]),
        (Sql::Busy(why()), ExitCode::Degraded, [Nothing; 3]),
        (Sql::Alive(why()), ExitCode::Ok, [Nothing; 3]),
        (Sql::Hung, ExitCode::Error, [Nothing; 3]),
        (Sql::Refused(why()), ExitCode::Error, [Nothing; 3]),
        (Sql::Unknown(why()), ExitCode::Error, [Nothing; 3]),
    ] {
        let found = ALL.map(|expected| tends(expected, &Verdict::is(code), &sql));
        assert_eq!(found, expected, "{sql} {code:?}");
    }
}

#[test]
fn pacemaker_is_asked_once_a_minute_and_when_its_configuration_was_written() {
    let last = |at, changed_since| LastAsked { at, changed_since };
    for (name, level, last, due) in [
        ("just now", 0, last(990, false), false),
        ("59 s ago", 0, last(941, false), false),
        ("a minute ago", 0, last(940, false), true),
        ("never", 0, last(0, false), true),
        ("it was written since", 0, last(990, true), true),
        ("a thorough monitor", 10, last(990, false), true),
    ] {
        assert_eq!(pacemaker_is_due(level, last, 1_000), due, "{name}");
    }
}

#[test]
fn to_be_found_running_makes_nobody_the_primary() {
    let well = Verdict::is(ExitCode::RunningPromoted);
    let starting = Verdict::because(ExitCode::RunningPromoted, "starts up");
    for verdict in [&well, &starting] {
        let of = ALL.map(|expected| writes(expected, verdict));
        assert_eq!(of, [Writes::Unasked, Writes::Unasked, Writes::AsPrimary], "{verdict:?}");
    }
    for code in [ExitCode::Ok, ExitCode::NotRunning, ExitCode::Error, ExitCode::DegradedPromoted] {
        let of = ALL.map(|expected| writes(expected, &Verdict::is(code)));
        assert_eq!(of, [Writes::No; 3], "{code:?}");
    }
    assert_eq!(found(well.clone(), None), well, "nobody else can be the primary");
    let fails = found(starting, Some("n2 may have taken over (term 3)"));
    assert_eq!(fails.code, ExitCode::Error);
    assert_eq!(
        fails.reason.as_deref(),
        Some(
            "accepts writes, and was started by hand or at boot, not by the cluster; n2 may have taken over \
             (term 3): it is stopped, and an election decides"
        )
    );
}
