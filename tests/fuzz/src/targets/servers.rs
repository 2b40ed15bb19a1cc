//! What PostgreSQL's programs and files say of an instance.

use pgtwin::postgres::control_data::ControlData;
use pgtwin::postgres::copy_tools::{self, Copied, WhyNot};
use pgtwin::postgres::history::{History, Relation};
use pgtwin::postgres::lsn::{Lsn, Timeline};
use pgtwin::postgres::postmaster_pid::PostmasterPid;
use pgtwin::postgres::refusal::Refusal;
use pgtwin::postgres::version::{Version, major_of_pg_version};
use pgtwin::postgres::waldump::{Geometry, Record};
use pgtwin::postgres::{identify, server_log};

use crate::{Target, halves, text};

pub const CONTROL_DATA: Target = Target {
    name: "control_data",
    run: control_data_has_sane_sizes,
    captured: &[
        "control-in-production.txt",
        "control-shut-down.txt",
        "control-crashed.txt",
        "control-in-archive-recovery.txt",
        "control-damaged.stdout.txt",
        "control-damaged.stderr.txt",
    ],
    seeds: &[],
};

fn control_data_has_sane_sizes(data: &[u8]) {
    let Ok(control) = ControlData::parse(&text(data)) else { return };
    assert!(control.system_id != 0 && control.timeline.0 != 0);
    assert!(control.wal_segment_size.is_power_of_two() && control.wal_block_size.is_power_of_two());
    let _ = control.state.to_string();
    let geometry = Geometry::of(&control).expect("sizes that were accepted make a geometry");
    for at in [control.checkpoint, control.redo, control.min_recovery_end, control.backup_start] {
        let end = geometry.end_of_record(at, 114);
        assert!(end >= at && geometry.canonical(end) <= end && geometry.same_end(end, end));
    }
}

pub const HISTORY: Target = Target {
    name: "history",
    run: histories_are_read_back_and_compare_both_ways,
    captured: &[".history"],
    seeds: &[
        "1\t0/3000148\tno recovery target specified\n2\t0/40000A0\tx\n",
        "1@0/3000148,2@0/40000A0,3\01@0/3000148,4",
        "7\07",
        "# c\n\n 1 0/1\n3\tFFFFFFFF/FFFFFFFE\t",
    ],
};

fn histories_are_read_back_and_compare_both_ways(data: &[u8]) {
    let (one, other) = halves(data);
    let of = |text: &str| {
        text.parse::<History>().or_else(|_| History::parse_file(Timeline(9), text)).ok()
    };
    let Some(one) = of(&one) else { return };
    assert!(one.to_string().parse::<History>().unwrap().same_line(&one));
    let other = of(&other).unwrap_or_else(History::of_first_line);
    let lsns = [one.begin(), other.begin(), Lsn::ZERO, Lsn(0x300_0000), Lsn::MAX];
    for (a, b) in lsns.iter().flat_map(|a| lsns.iter().map(move |b| (*a, *b))) {
        let there = History::compare((&one, a), (&other, b));
        let back = History::compare((&other, b), (&one, a));
        let expected = match there {
            Relation::AAhead => Relation::BAhead,
            Relation::BAhead => Relation::AAhead,
            same @ (Relation::Equal | Relation::Diverged { .. }) => same,
        };
        assert_eq!(back, expected, "{one} at {a}, {other} at {b}");
        assert_eq!(History::compare((&one, a), (&one, a)), Relation::Equal);
    }
    for switch in one.switches() {
        assert!(one.contains(switch.timeline, switch.at) && switch.timeline < one.timeline());
    }
}

pub const WALDUMP: Target = Target {
    name: "waldump",
    run: a_record_ends_behind_its_begin,
    captured: &["waldump.txt", "waldump-shutdown-checkpoint.txt"],
    seeds: &[
        "rmgr: XLOG        len (rec/tot):    114/   114, tx:          0, lsn: 0/02000028, prev 0/01FFFFD8, desc: \
         CHECKPOINT_SHUTDOWN redo 0/2000028; tli 1\n",
        "rmgr: XLOG len (rec/tot): 24/4294967295, tx: 0, lsn: FFFFFFFF/FFFFFFF8, prev 0/0, desc: SWITCH \n",
    ],
};

fn a_record_ends_behind_its_begin(data: &[u8]) {
    let given = text(data);
    for record in given.lines().filter_map(Record::of_line).take(50) {
        for (segment, block) in [(1 << 24, 8192), (1 << 20, 1024), (1 << 30, 65_536)] {
            let geometry = Geometry::new(segment, block).unwrap();
            let end = record.end(geometry);
            let whole = record.lsn.0.saturating_add(record.total_len.into());
            assert!(end.0 >= whole, "{record:?} ends at {end}");
            assert_eq!(geometry.canonical(geometry.canonical(end)), geometry.canonical(end));
        }
        let _ = record.is_shutdown_checkpoint();
    }
    if Record::parse(&given).is_ok() {
        assert!(given.lines().any(|line| Record::of_line(line).is_some()));
    }
}

pub const IDENTIFY: Target = Target {
    name: "identify",
    run: answers_of_the_replication_protocol,
    captured: &[
        "identify.txt",
        "identify-tab.txt",
        "identify-after-clean-stop.txt",
        "timeline-history.txt",
        "timeline-history-tab.txt",
        "replication-show.txt",
    ],
    seeds: &["7710224403141089813|2|0/3000060|\n"],
};

fn answers_of_the_replication_protocol(data: &[u8]) {
    let given = text(data);
    if let Ok(found) = identify::parse_identify(&given) {
        assert!(found.system_id != 0 && found.timeline.0 != 0);
        assert!(given.trim_end().lines().count() == 1);
    }
    if let Ok(history) = identify::parse_timeline_history(&given) {
        assert!(history.to_string().parse::<History>().unwrap().same_line(&history));
        assert!(given.starts_with(&history.timeline().history_file()));
    }
    if let Ok(line) = identify::parse_show(&given) {
        assert!(!line.contains('\n'));
    }
    if let Ok(lsn) = given.parse::<Lsn>() {
        assert_eq!(lsn.to_string().parse(), Ok(lsn));
    }
    if let Ok(timeline) = given.parse::<Timeline>() {
        assert_eq!(timeline.to_string().parse(), Ok(timeline));
        assert_eq!(Timeline::of_history_file(&timeline.history_file()), Some(timeline));
    }
}

pub const POSTMASTER_PID: Target = Target {
    name: "postmaster_pid",
    run: a_pid_file_names_a_process_that_can_be,
    captured: &["postmaster.pid", "postmaster-standby.pid"],
    seeds: &["-77\n/data\n1\n5432\n", "4194305\n/srv/pg data\n0\n0\n\n\n  1  2 \nready   \n"],
};

fn a_pid_file_names_a_process_that_can_be(data: &[u8]) {
    if let Ok(file) = PostmasterPid::parse(&text(data)) {
        assert!(i32::try_from(file.pid).is_ok_and(|pid| pid > 0));
        assert!(file.data_dir.starts_with('/') && !file.data_dir.contains('\n'));
    }
}

pub const VERSIONS: Target = Target {
    name: "versions",
    run: versions_are_those_that_stand_there,
    captured: &["postgres-version.txt", "PG_VERSION"],
    seeds: &[
        "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n",
        "postgres (PostgreSQL) 18beta2",
        "150013\n",
        "9.6\n",
        "17devel",
    ],
};

fn versions_are_those_that_stand_there(data: &[u8]) {
    let given = text(data);
    if let Ok(version) = Version::of_program(&given) {
        assert!(given.contains(&version.major.to_string().trim_start_matches('0').to_owned()));
        let _ = (version.is_supported(), version.has_sync_start_bug(), version.to_string());
    }
    if let Ok(version) = Version::of_number(&given) {
        assert!(version.major >= 10 && version.minor < 10_000);
    }
    if let Ok(major) = major_of_pg_version(&given) {
        assert_ne!(major, 0);
    }
}

pub const SERVER_LOG: Target = Target {
    name: "server_log",
    run: words_of_servers_and_tools,
    captured: &[
        "basebackup-done.txt",
        "basebackup-no-slot.txt",
        "rewind-done.txt",
        "rewind-no-grant.txt",
        "rewind-no-role.txt",
        "rewind-not-needed.txt",
        "rewind-unreachable.txt",
        "rewind-wal-removed.txt",
    ],
    seeds: &[
        "2026-01-01 00:00:00.000 UTC [7] FATAL:  could not connect to the primary server: connection to server at \
         \"10.0.0.1\", port 5432 failed: FATAL:  password authentication failed for user \"r\"\n",
        "x [7] FATAL:  could not receive data from WAL stream: ERROR:  requested WAL segment \
         000000010000000000000003 has already been removed\n",
        "FATAL:  no pg_hba.conf entry for replication connection from host \"fe80::1%eth0\", user \"r\", no encryption",
        "LOG:  started streaming WAL from primary at 0/3000000 on timeline 1\n\tx\n",
        "FATAL:  role \"a\" does not exist\nFATAL:  role \"x \"y\" is not permitted to log in",
        "permission denied for function pg_read_binary_file could not fetch remote file",
    ],
};

fn words_of_servers_and_tools(data: &[u8]) {
    let given = text(data);
    let _ = server_log::last_trouble(&given);
    let _ = Refusal::of(&given);
    let why = WhyNot::of_words(&given).to_string();
    assert!(!why.is_empty() && !why.contains('\n'), "{why:?}");
    for copied in given.lines().filter_map(Copied::of_line) {
        assert!(copied.percent() <= 100);
    }
    if let Some((timeline, _)) = copy_tools::fork_of(&given) {
        assert_ne!(timeline.0, 0);
    }
    let _ = (copy_tools::says_no_rewind(&given), copy_tools::has_begun_to_write(&given));
}
