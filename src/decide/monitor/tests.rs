//! What a monitor answers: every process, every answer over the socket, every expectation.

use super::{Expected, Verdict, judge};
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
