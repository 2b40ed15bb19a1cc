use super::*;
use crate::decide::facts::Sql;
use crate::decide::source::Silence;
use crate::decide::support::{control, in_recovery, server, session, source, streaming};
use crate::postgres::control_data::ClusterState;

/// The receiver is down and nothing is known to be wrong. It needs WAL from 0/5000100 on.
fn facts() -> Facts {
    let Sql::Standby(standby) = in_recovery() else { panic!() };
    Facts {
        server: server(),
        slot: "ha_slot_n2".into(),
        source: source(),
        wanted: Some(Lsn(0x500_0100)),
        standby: Some(StandbyFacts {
            receive: Some(Lsn(0x500_0100)),
            replay: Some(Lsn(0x500_0100)),
            ..*standby
        }),
        replayed_before: Some(Lsn(0x500_0100)),
        parted: Known::Known(None),
        lower: Known::Known(Vec::new()),
        log: Known::Known(None),
        segment_size: Known::Known(16 << 20),
        room: Known::Known(1 << 30),
    }
}

fn asking(change: impl FnOnce(&mut Session)) -> Facts {
    let mut session = session();
    change(&mut session);
    Facts { source: Source { postgres: Answer::In(session), ..source() }, ..facts() }
}

fn saying(trouble: Trouble) -> Facts {
    Facts { log: Known::Known(Some(trouble)), ..facts() }
}

fn removed(segment: &str) -> Trouble {
    Trouble::WalRemoved { segment: segment.into() }
}

fn unasked(facts: Facts) -> Facts {
    let postgres = Answer::NotLetIn(Refusal::NoConnect);
    Facts { source: Source { postgres, ..source() }, ..facts }
}

fn expect(name: &str, facts: &Facts, cause: Cause, words: &str) {
    let diagnosis = diagnose(facts);
    assert_eq!(diagnosis.cause, cause, "{name}: {diagnosis}");
    assert!(diagnosis.to_string().contains(words), "{name}: {diagnosis}");
    assert!(!diagnosis.to_string().contains('\n'), "{diagnosis}");
}

#[test]
fn a_recovery_helps_against_three_causes_only() {
    let helps: Vec<Cause> = Cause::ALL.into_iter().filter(|cause| cause.recovery_helps()).collect();
    assert_eq!(helps, [Cause::SlotLost, Cause::WalRemoved, Cause::Diverged]);
    let slots: Vec<(Cause, bool)> =
        Cause::ALL.into_iter().filter_map(|cause| Some((cause, cause.new_slot_helps()?))).collect();
    assert_eq!(slots, [(Cause::SlotMissing, false), (Cause::SlotSpent, true)]);
}

#[test]
fn nothing_known_is_not_a_cause() {
    expect("nothing", &facts(), Cause::NotKnown, "see PostgreSQL's log");
    let unknown = Facts {
        standby: None,
        replayed_before: None,
        parted: Known::unknown("x"),
        lower: Known::unknown("x"),
        log: Known::unknown("x"),
        segment_size: Known::unknown("x"),
        room: Known::unknown("x"),
        ..asking(|s| {
            s.slot = Known::unknown("x");
            s.has_segment = Known::unknown("x");
        })
    };
    expect("all unknown", &unknown, Cause::NotKnown, "");
}

#[test]
fn the_login_of_a_receiver_comes_first() {
    let replication = |answer| {
        let postgres = Answer::In(Session {
            slot: Known::Known(Some(Slot {
                physical: true,
                active: false,
                wal_status: "lost".into(),
            })),
            ..session()
        });
        Facts { source: Source { replication: answer, postgres }, ..facts() }
    };
    for (answer, cause, words) in [
        (Answer::Silent(Silence::Refused), Cause::NoPrimary, "nobody listens at 10.0.0.11"),
        (Answer::Silent(Silence::NoRoute("x".into())), Cause::NoPrimary, "is not reached"),
        (Answer::Silent(Silence::NoAnswer), Cause::NoPrimary, "gives no answer"),
        (Answer::NotLetIn(Refusal::WrongPassword), Cause::NotLetIn, "refuses the password"),
        (Answer::NotLetIn(Refusal::NoHbaLine(None)), Cause::NotLetIn, "host  replication"),
        (Answer::NotLetIn(Refusal::NoReplication), Cause::NotLetIn, "ALTER ROLE"),
        (Answer::Unknown("hm".into()), Cause::NotKnown, "hm"),
    ] {
        expect(words, &replication(answer), cause, words);
    }
    // A session in postgres is needed for a rewind, and not for streaming.
    expect("postgres", &unasked(facts()), Cause::NotKnown, "no cause was found, and the role");
    let no_line = Answer::NotLetIn(Refusal::NoHbaLine(None));
    let no_line = Facts { source: Source { postgres: no_line, ..source() }, ..facts() };
    expect("postgres", &no_line, Cause::NotKnown, "host  postgres");
}

#[test]
fn what_the_primary_says_of_the_slot_is_a_cause() {
    let slot = |physical, active, wal_status: &str| {
        let wal_status = wal_status.to_owned();
        asking(|s| {
            s.slot = Known::Known(Some(Slot { physical, active, wal_status }));
            s.has_segment = Known::unknown("not permitted");
        })
    };
    expect("lost", &slot(true, false, "lost"), Cause::SlotLost, "max_slot_wal_keep_size");
    let outside = Facts {
        log: Known::Known(Some(Trouble::NotConnected(Refusal::WrongPassword))),
        ..slot(true, false, "lost")
    };
    expect("lost, and not let in", &outside, Cause::ReceiverNotLetIn, "");
    expect("in use", &slot(true, true, "reserved"), Cause::SlotTaken, "in use");
    expect("logical", &slot(false, false, ""), Cause::SlotTaken, "logical");
    expect("well", &slot(true, false, "unreserved"), Cause::NotKnown, "");
    // It gets in, and is refused its WAL: for that moment the slot is its own.
    let gone = |wal_status: &str| {
        let wal_status = wal_status.to_owned();
        asking(|s| {
            s.slot = Known::Known(Some(Slot { physical: true, active: true, wal_status }));
            s.has_segment = Known::Known(false);
        })
    };
    expect("in use, WAL gone", &gone("reserved"), Cause::WalRemoved, "");
    expect("in use, lost", &gone("lost"), Cause::SlotLost, "");
    let own = Facts { standby: Some(streaming(1, 0x500_0100)), ..slot(true, true, "reserved") };
    expect("in use by its own receiver", &own, Cause::NotKnown, "");
    let there = asking(|s| {
        let wal_status = "lost".to_owned();
        s.slot = Known::Known(Some(Slot { physical: true, active: false, wal_status }));
    });
    expect("lost, and its WAL is there", &there, Cause::SlotSpent, "made anew");
    let useless = asking(|s| {
        s.slot = Known::Known(None);
        s.has_segment = Known::Known(false);
    });
    expect("missing, and its WAL is gone", &useless, Cause::WalRemoved, "gone on n1");
    let missing = asking(|s| s.slot = Known::Known(None));
    expect("missing", &missing, Cause::SlotMissing, "pg_create_physical_replication_slot");
    // The log says so where the primary could not be asked for it.
    let by_log = |trouble| unasked(saying(trouble));
    expect("log, missing", &by_log(Trouble::SlotMissing), Cause::SlotMissing, "missing");
    expect("log, in use", &by_log(Trouble::SlotInUse), Cause::SlotTaken, "in use");
    expect("log, lost", &by_log(Trouble::SlotLost), Cause::NotKnown, "");
    expect("an old line", &saying(Trouble::SlotMissing), Cause::NotKnown, "");
}

#[test]
fn wal_is_gone_if_the_primary_says_so_or_the_log_of_just_that_segment() {
    let gone = asking(|s| s.has_segment = Known::Known(false));
    expect("the primary says so", &gone, Cause::WalRemoved, "gone on n1");
    let unknown = |trouble| {
        let log = Known::Known(Some(trouble));
        Facts { log, ..asking(|s| s.has_segment = Known::unknown("not permitted")) }
    };
    let segment = "000000020000000000000005";
    expect("the log says so", &unknown(removed(segment)), Cause::WalRemoved, "gone");
    expect("unasked", &unasked(saying(removed(segment))), Cause::WalRemoved, "gone");
    let old = "000000020000000000000003";
    expect("an old line", &unknown(removed(old)), Cause::NotKnown, "");
    expect("contradicted", &saying(removed(segment)), Cause::NotKnown, "");
    let replaying = |facts: Facts| Facts { wanted: None, ..facts };
    expect("it replays", &replaying(unknown(removed(segment))), Cause::NotKnown, "");
    let border = |facts: Facts| Facts { wanted: Some(Lsn(0x600_0000)), ..facts };
    expect("the border", &border(unknown(removed(segment))), Cause::WalRemoved, "gone");
}

#[test]
fn an_archive_that_feeds_it_is_no_reason_to_recover() {
    let gone = asking(|s| s.has_segment = Known::Known(false));
    let fed = Facts { replayed_before: Some(Lsn(0x500_0000)), ..gone.clone() };
    expect("fed", &fed, Cause::CatchingUp, "restore_command");
    expect("not fed", &gone, Cause::WalRemoved, "");
    let first = Facts { replayed_before: None, ..gone };
    expect("a first look", &first, Cause::WalRemoved, "");
}

#[test]
fn timelines_count_when_they_were_compared() {
    let parted = |parted| Facts { parted, ..saying(Trouble::NotInHistory) };
    let why = "data diverged: timeline 1 at 0/5000100".to_owned();
    expect("diverged", &parted(Known::Known(Some(why))), Cause::Diverged, "data diverged");
    expect("it fits", &parted(Known::Known(None)), Cause::NotKnown, "");
    let unknown = parted(Known::unknown("no answer"));
    expect("not compared", &unknown, Cause::TimelineUnproven, "no answer");
    expect("an archive's", &saying(Trouble::NotAChild), Cause::ForeignHistory, "restore_command");
}

#[test]
fn a_paused_replay_is_told_from_one_that_settings_have_paused() {
    let paused = |facts: Facts| {
        let standby = facts.standby.map(|standby| StandbyFacts { paused: true, ..standby });
        Facts { standby, ..facts }
    };
    let one = Lower { name: "max_connections", here: 20, needed: 100 };
    let lower = |facts| Facts { lower: Known::Known(vec![one.clone()]), ..facts };
    let resume = "SELECT pg_wal_replay_resume()";
    expect("administrator", &paused(facts()), Cause::PausedByAdministrator, resume);
    let set = "max_connections is 20 here, the primary's is 100: set max_connections = 100";
    expect("settings", &paused(lower(facts())), Cause::LowerSettings, set);
    expect("not paused", &lower(facts()), Cause::NotKnown, "");
    let down = Facts { standby: None, ..lower(saying(Trouble::LowerSettings)) };
    expect("it ended", &down, Cause::LowerSettings, set);
    let unknown = Facts { lower: Known::unknown("x"), ..paused(facts()) };
    expect("unknown", &unknown, Cause::LowerSettings, "perhaps");
    let control = control(ClusterState::InArchiveRecovery);
    assert_eq!(needed(&control)[0], ("max_connections", 100));
}

#[test]
fn a_full_disk_and_a_failed_startup_are_named() {
    let full = Facts { room: Known::Known(1 << 20), ..facts() };
    expect("full", &full, Cause::DiskFull, "make room");
    expect("the log says full", &saying(Trouble::DiskFull), Cause::DiskFull, "make room");
    expect("startup", &saying(Trouble::StartupFailed), Cause::StartupFailed, "log");
    let refused = saying(Trouble::NotConnected(Refusal::WrongPassword));
    expect("the receiver", &refused, Cause::ReceiverNotLetIn, "compare primary_conninfo");
    let words = Refusal::Other("SELECT evil()".into());
    let said = diagnose(&saying(Trouble::NotConnected(words))).to_string();
    assert!(!said.contains("evil"), "{said}");
}

#[test]
fn wal_is_wanted_from_the_end_of_what_is_there() {
    let Sql::Standby(standby) = in_recovery() else { panic!() };
    let event = |event: &str| Some(event.to_owned());
    for (name, receive, waits_for, expected) in [
        ("it has received", Some(Lsn(0x400)), None, Some(Lsn(0x400))),
        ("it has replayed an archive's since", Some(Lsn(0x200)), None, Some(Lsn(0x300))),
        ("it waits for WAL", None, event("RecoveryWalStream"), Some(Lsn(0x300))),
        ("it replays", None, event("WALRead"), None),
        ("it replays", None, None, None),
    ] {
        let standby = StandbyFacts { receive, startup_waits_for: waits_for, ..(*standby).clone() };
        assert_eq!(wanted(&standby), expected, "{name}");
    }
}

#[test]
fn a_segments_name_is_its_number() {
    for (lsn, size, expected) in [
        ("0/5000100", 16 << 20, "0000000000000005"),
        ("3/FF000000", 16 << 20, "00000003000000FF"),
        ("0/300000", 1 << 20, "0000000000000003"),
        ("1/40000000", 1 << 30, "0000000100000001"),
    ] {
        assert_eq!(segment_suffix(lsn.parse().unwrap(), size).unwrap(), expected, "{lsn}");
    }
    assert_eq!(segment_suffix(Lsn(1), 0), None);
}

#[test]
fn why_a_server_ended_is_named_where_its_log_names_it() {
    for (log, words) in [
        (Known::Known(Some(Trouble::NotAChild)), "a history file of another line was found"),
        (Known::Known(Some(Trouble::DiskFull)), "the disk is full on this node"),
        (Known::Known(Some(Trouble::SlotMissing)), "see its log"),
        (Known::Known(None), "see its log"),
        (Known::unknown("no log"), "see its log"),
    ] {
        assert!(why_it_ended(&log).contains(words), "{log:?}");
    }
}
