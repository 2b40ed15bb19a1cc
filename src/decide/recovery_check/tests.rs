use super::room::{Part, Volume};
use super::*;
use crate::decide::source::{
    Databases, PG_DEFAULT, PG_GLOBAL, Passfile, REWIND_FUNCTIONS, SessionIdentity, Settings,
    Silence, Slot, Tablespace,
};
use crate::decide::support::{control, data, server, session, source};
use crate::postgres::control_data::ClusterState;
use crate::postgres::refusal::{Refusal, SeenAs};

const GB: u64 = 1 << 30;

fn volume(part: Part, device: u64, free: u64, holds: u64) -> Volume {
    Volume {
        part,
        path: format!("/{part:?}"),
        device,
        free,
        left_over: 0,
        holds: Known::Known(holds),
    }
}

/// Everything is well: 10 GB of data here and there, 20 GB free.
fn facts() -> Facts {
    Facts {
        server: server(),
        slot: "ha_slot_n2".into(),
        source: source(),
        data: data(ClusterState::ShutDown),
        data_major: Known::Known(17),
        programs: Known::Known(Version { major: 17, minor: 4 }),
        given_up: Vec::new(),
        room: Room {
            volumes: Known::Known(vec![
                volume(Part::Data, 1, 20 * GB, 10 * GB),
                volume(Part::Wal, 1, 20 * GB, GB),
            ]),
            old_stays: true,
        },
        places: Known::Known(None),
    }
}

fn asking(change: impl FnOnce(&mut Session)) -> Facts {
    let mut session = session();
    change(&mut session);
    let postgres = Answer::In(session);
    Facts { source: Source { postgres, ..source() }, ..facts() }
}

fn sending(change: impl FnOnce(&mut Sender)) -> Facts {
    let Answer::In(mut sender) = source().replication else { panic!() };
    change(&mut sender);
    Facts { source: Source { replication: Answer::In(sender), ..source() }, ..facts() }
}

/// The kinds that were found, whether a rewind and a rebuild are possible, and all remedies.
fn judged(facts: &Facts) -> (Vec<Kind>, bool, bool, String) {
    let check = check(facts);
    let words: Vec<String> = check.findings.iter().map(ToString::to_string).collect();
    (
        check.findings.iter().map(|found| found.kind).collect(),
        check.against_rewind().is_none(),
        check.against_rebuild().is_none(),
        words.join("\n"),
    )
}

fn expect(name: &str, facts: &Facts, kinds: &[Kind], ways: (bool, bool), words: &str) {
    let (found, rewind, rebuild, said) = judged(facts);
    assert_eq!(found, kinds, "{name}: {said}");
    assert_eq!((rewind, rebuild), ways, "{name}: {said}");
    assert!(said.contains(words), "{name}: {said}");
}

const NEITHER: (bool, bool) = (false, false);
const REBUILD: (bool, bool) = (false, true);
const REWIND: (bool, bool) = (true, false);

#[test]
fn nothing_is_found_where_all_is_well() {
    expect("well", &facts(), &[], (true, true), "");
    let none = asking(|s| s.slot = Known::Known(None));
    expect("a slot can be made", &none, &[], (true, true), "");
}

#[test]
fn a_login_that_fails_closes_both_ways_and_names_the_remedy() {
    let seen = Some(SeenAs::Address("192.0.2.2".parse().unwrap()));
    for (refusal, words) in [
        (Refusal::NoHbaLine(seen), "host  postgres  replicator  192.0.2.2/32  scram-sha-256"),
        (
            Refusal::NoHbaLine(Some(SeenAs::Address("fd00::2".parse().unwrap()))),
            "host  postgres  replicator  fd00::2/128  scram-sha-256",
        ),
        (Refusal::NoHbaLine(Some(SeenAs::Local)), "local  postgres  replicator  peer"),
        (Refusal::HbaRejects(seen), "reject"),
        (Refusal::WrongPassword, "correct line 2 of /pass"),
        (Refusal::NoRole, "CREATE ROLE replicator LOGIN REPLICATION"),
        (Refusal::NoLogin, "ALTER ROLE replicator LOGIN"),
        (Refusal::NoReplication, "ALTER ROLE replicator REPLICATION"),
        (Refusal::NoConnect, "GRANT CONNECT ON DATABASE postgres TO replicator"),
        (Refusal::NoDatabase, "CREATE DATABASE postgres"),
        (Refusal::Tls, "certificates"),
        (Refusal::Method, "host  postgres  replicator  samenet  scram-sha-256"),
        (Refusal::Other("kaputt".into()), "kaputt"),
    ] {
        let postgres = Answer::NotLetIn(refusal.clone());
        let facts = Facts { source: Source { postgres, ..source() }, ..facts() };
        let kind = Kind::NotLetIn(Login::Postgres);
        expect(&format!("{refusal:?}"), &facts, &[kind], NEITHER, words);
    }
    let replication = Answer::NotLetIn(Refusal::NoHbaLine(seen));
    let facts = Facts { source: Source { replication, ..source() }, ..facts() };
    let line = "host  replication  replicator  192.0.2.2/32  scram-sha-256";
    expect("replication", &facts, &[Kind::NotLetIn(Login::Replication)], NEITHER, line);
}

#[test]
fn silence_is_said_once_for_both_logins() {
    for (silence, words) in [
        (Silence::Refused, "listen_addresses"),
        (Silence::NoRoute("No route to host".into()), "firewall that drops: No route"),
        (Silence::NoAnswer, "hangs"),
        (Silence::Starting, "still starting"),
        (Silence::ShuttingDown, "shutting down"),
        (Silence::Busy("too many clients".into()), "max_wal_senders"),
    ] {
        let source = Source {
            replication: Answer::Silent(silence.clone()),
            postgres: Answer::Silent(silence),
        };
        expect(words, &Facts { source, ..facts() }, &[Kind::Silent], NEITHER, words);
    }
    let postgres = Answer::Unknown("hm".into());
    let facts = Facts { source: Source { postgres, ..source() }, ..facts() };
    expect("not understood", &facts, &[Kind::NotFoundOut], NEITHER, "hm");
}

#[test]
fn a_password_that_fails_is_explained_by_the_passfile() {
    let read = |mode, replication| Passfile::Read {
        path: "/pass".into(),
        mode,
        replication,
        postgres: None,
        bad: Vec::new(),
    };
    let path = || "/pass".to_owned();
    for (passfile, refusal, words) in [
        (Passfile::NotNamed, Refusal::NoPassword, "set pgpassfile"),
        (Passfile::NotNamed, Refusal::WrongPassword, "correct the default passfile"),
        (Passfile::Missing { path: path() }, Refusal::NoPassword, "/pass is missing"),
        (
            Passfile::Unreadable { path: path(), user: "postgres".into(), why: "no".into() },
            Refusal::NoPassword,
            "chown postgres /pass; chmod 0600 /pass",
        ),
        (
            read(0o640, Some(1)),
            Refusal::NoPassword,
            "mode 0640, so libpq passes over it: chmod 0600 /pass",
        ),
        (
            read(0o600, None),
            Refusal::NoPassword,
            "no line for replication on n1: add: 10.0.0.11:5432:replication:replicator:PASSWORD",
        ),
        (
            read(0o600, Some(3)),
            Refusal::WrongPassword,
            "correct line 3 of /pass, or on n1: \\password",
        ),
    ] {
        let replication = Answer::NotLetIn(refusal);
        let facts = Facts {
            server: Server { passfile, ..server() },
            source: Source { replication, ..source() },
            ..facts()
        };
        expect(words, &facts, &[Kind::NotLetIn(Login::Replication)], NEITHER, words);
    }
    // Where both logins are good, nobody asks for a passfile.
    let none = Server { passfile: Passfile::Missing { path: path() }, ..server() };
    expect("not needed", &Facts { server: none, ..facts() }, &[], (true, true), "");
    let v6 = Server { host: "fd00::1".into(), passfile: read(0o600, None), ..server() };
    let advice = v6.not_let_in(Login::Postgres, &Refusal::NoPassword);
    assert_eq!(advice.remedy, r"add: fd00\:\:1:5432:postgres:replicator:PASSWORD");
}

#[test]
fn nothing_is_recovered_from_what_is_not_the_primary_of_this_data() {
    let standby = sending(|s| s.primary = false);
    expect("a standby", &standby, &[Kind::InRecovery], NEITHER, "is a standby");
    let behind = asking(|s| {
        s.identity = Known::Known(SessionIdentity { system_id: 7, in_recovery: true });
    });
    expect("a standby by SQL", &behind, &[Kind::InRecovery], NEITHER, "as a standby");
    let two = asking(|s| {
        s.identity = Known::Known(SessionIdentity { system_id: 8, in_recovery: false });
    });
    expect("two servers", &two, &[Kind::TwoServers], NEITHER, "pooler");
    let nobody = asking(|s| s.identity = Known::unknown("timeout"));
    expect("nobody known", &nobody, &[Kind::NotFoundOut], NEITHER, "timeout");
    let other = ControlData { system_id: 9, ..control(ClusterState::ShutDown) };
    let other = Facts { data: DataDir::Cluster(Box::new(other)), ..facts() };
    expect("another database", &other, &[Kind::OtherSystem], NEITHER, "move it away");
    let given_up = Facts { given_up: vec![9], ..other };
    expect("given up", &given_up, &[Kind::OtherSystem], REBUILD, "pgtwin adopt");
}

#[test]
fn versions_have_to_fit() {
    let old = Facts { programs: Known::Known(Version { major: 16, minor: 9 }), ..facts() };
    expect("programs", &old, &[Kind::Programs], NEITHER, "PostgreSQL here is 16.9, on n1 17.5");
    let old = Facts { data_major: Known::Known(16), ..facts() };
    expect("data", &old, &[Kind::DataVersion], REBUILD, "rebuilt");
    let unknown = Facts { programs: Known::unknown("no pg_basebackup"), ..facts() };
    expect("programs unknown", &unknown, &[Kind::NotFoundOut], NEITHER, "no pg_basebackup");
    let unknown = Facts { data_major: Known::unknown("I/O error"), ..facts() };
    expect("data unknown", &unknown, &[Kind::NotFoundOut], REBUILD, "I/O error");
}

#[test]
fn what_a_rewind_alone_needs_leaves_a_rebuild_possible() {
    for (hints, checksums, possible) in
        [(true, false, true), (false, true, true), (false, false, false)]
    {
        let control =
            ControlData { wal_log_hints: hints, checksums, ..control(ClusterState::InProduction) };
        let facts = Facts { data: DataDir::Cluster(Box::new(control)), ..facts() };
        let kinds: &[Kind] = if possible { &[] } else { &[Kind::NoHints] };
        expect("hints", &facts, kinds, (possible, true), "");
    }
    let Known::Known(settings) = session().settings else { panic!() };
    let off = Settings { full_page_writes: false, ..settings };
    let off = asking(|s| s.settings = Known::Known(off));
    expect("full pages", &off, &[Kind::NoFullPages], REBUILD, "SET full_page_writes = on");
    let pending = asking(|s| s.checkpoint_timeline = Known::Known(Timeline(1)));
    expect("checkpoint", &pending, &[Kind::CheckpointPending], REBUILD, "CHECKPOINT");
    let unknown = asking(|s| s.checkpoint_timeline = Known::unknown("why"));
    expect("checkpoint unknown", &unknown, &[Kind::NotFoundOut], REBUILD, "why");
    let missing = asking(|s| s.not_executable = Known::Known(REWIND_FUNCTIONS[2..].to_vec()));
    let grant = "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text), \
         pg_catalog.pg_read_binary_file(text,bigint,bigint,boolean) TO replicator";
    expect("grants", &missing, &[Kind::NotExecutable], REBUILD, grant);
    let unknown = asking(|s| s.not_executable = Known::unknown("why"));
    expect("grants unknown", &unknown, &[Kind::NotFoundOut], REBUILD, "why");
    for data in [DataDir::Absent, DataDir::Empty] {
        expect("no data", &Facts { data, ..facts() }, &[Kind::NoData], REBUILD, "copied");
    }
}

#[test]
fn what_is_no_database_of_ours_is_not_touched() {
    let unusable = Facts { data: DataDir::Unusable("it holds photo.jpg".into()), ..facts() };
    expect("unusable", &unusable, &[Kind::Unusable], NEITHER, "photo.jpg");
    let unknown = Facts { data: DataDir::Unknown("I/O error".into()), ..facts() };
    expect("unknown", &unknown, &[Kind::NotFoundOut], NEITHER, "I/O error");
}

#[test]
fn the_slot_is_there_or_can_be_made_or_is_lost() {
    let slot = |physical, active, wal_status: &str| {
        asking(|s| {
            let slot = Slot { physical, active, wal_status: wal_status.into() };
            s.slot = Known::Known(Some(slot));
        })
    };
    expect("unused", &slot(true, false, ""), &[], (true, true), "");
    expect("extended", &slot(true, false, "extended"), &[], (true, true), "");
    expect("lost", &slot(true, false, "lost"), &[Kind::SlotLost], REBUILD, "rebuilt");
    expect("in use", &slot(true, true, "reserved"), &[Kind::SlotTaken], NEITHER, "active_pid");
    expect("logical", &slot(false, false, ""), &[Kind::SlotTaken], NEITHER, "slot_name");
    let full = asking(|s| (s.slot, s.slots_used) = (Known::Known(None), Known::Known(10)));
    expect("full", &full, &[Kind::NoSlotLeft], NEITHER, "max_replication_slots there (it is 10)");
    let there = asking(|s| s.slots_used = Known::Known(10));
    expect("full, but there", &there, &[], (true, true), "");
    for unknown in [
        asking(|s| s.slot = Known::unknown("why")),
        asking(|s| (s.slot, s.slots_used) = (Known::Known(None), Known::unknown("why"))),
    ] {
        expect("unknown", &unknown, &[Kind::NotFoundOut], NEITHER, "why");
    }
}

#[test]
fn walsenders_have_to_be_left() {
    for (used, kinds, ways) in [
        (8, &[][..], (true, true)),
        (9, &[Kind::NoWalsenderLeft], REWIND),
        (10, &[Kind::NoWalsenderLeft], NEITHER),
        (11, &[Kind::NoWalsenderLeft], NEITHER),
    ] {
        let facts = asking(|s| s.walsenders = Known::Known(used));
        expect(&used.to_string(), &facts, kinds, ways, "");
    }
    let unknown = asking(|s| s.walsenders = Known::unknown("why"));
    expect("unknown", &unknown, &[Kind::NotFoundOut], NEITHER, "why");
    let unknown = asking(|s| s.settings = Known::unknown("why"));
    expect("settings unknown", &unknown, &[Kind::NotFoundOut], NEITHER, "why");
}

fn with_room(volumes: Vec<Volume>, change: impl FnOnce(&mut Session)) -> Facts {
    let room = Room { volumes: Known::Known(volumes), old_stays: true };
    Facts { room, ..asking(change) }
}

#[test]
fn a_rebuild_needs_the_whole_size_and_a_rewind_what_is_new() {
    // 10 GB and a twentieth, and 1 GB of WAL.
    for (free, holds, kinds, ways) in [
        (12 * GB, 10 * GB, &[][..], (true, true)),
        (11 * GB, 10 * GB, &[Kind::TooFull], REWIND),
        (GB, 10 * GB, &[Kind::TooFull], REWIND),
        (GB, 9 * GB, &[Kind::TooFull, Kind::TooFull], NEITHER),
        (16 << 20, 11 * GB, &[Kind::TooFull, Kind::TooFull], NEITHER),
    ] {
        let volumes = vec![volume(Part::Data, 1, free, holds), volume(Part::Wal, 1, free, GB)];
        let facts = with_room(volumes, |_| {});
        expect(&format!("{free}, {holds}"), &facts, kinds, ways, "");
    }
    // The old data may go first.
    let volumes = vec![volume(Part::Data, 1, 2 * GB, 10 * GB), volume(Part::Wal, 1, 2 * GB, GB)];
    let mut facts = with_room(volumes, |_| {});
    expect(
        "stays",
        &facts,
        &[Kind::TooFull],
        REWIND,
        "2048 MB are free on the file system of /Data, /Wal",
    );
    facts.room.old_stays = false;
    expect("goes first", &facts, &[], (true, true), "");
}

#[test]
fn where_a_copy_would_go_is_looked_at_before_anything_is_begun() {
    let why =
        "tablespace 16384: /s holds another database's files here (PG_17_…): look whose they are";
    let places = Known::Known(Some(why.to_owned()));
    expect("somebody else's", &Facts { places, ..facts() }, &[Kind::Place], REWIND, why);
    let places = Known::unknown("/s: Input/output error");
    let facts = Facts { places, ..facts() };
    expect("not known", &facts, &[Kind::NotFoundOut], REWIND, "Input/output error");
}

#[test]
fn what_is_left_of_a_copy_is_room_for_the_next_and_for_no_rewind() {
    let wal = volume(Part::Wal, 1, GB, GB);
    for (left_over, kinds, ways) in [
        (0, &[Kind::TooFull, Kind::TooFull][..], NEITHER),
        (9 * GB, &[Kind::TooFull, Kind::TooFull], NEITHER),
        (11 * GB, &[Kind::TooFull], (false, true)),
    ] {
        let data = Volume { left_over, ..volume(Part::Data, 1, GB, 9 * GB) };
        let facts = with_room(vec![data, wal.clone()], |_| {});
        expect(&left_over.to_string(), &facts, kinds, ways, "");
    }
}

#[test]
fn each_file_system_is_counted_by_itself() {
    let apart = |data, wal, space| {
        vec![
            volume(Part::Data, 1, data, 0),
            volume(Part::Wal, 2, wal, 0),
            volume(Part::Tablespace(16400), 3, space, 0),
        ]
    };
    let elsewhere = |bytes| {
        move |s: &mut Session| {
            let list = s.tablespaces.clone().known().unwrap();
            let more = Tablespace { oid: 16400, bytes, location: "/srv/x".into() };
            s.tablespaces = Known::Known([list, vec![more]].concat());
            s.databases = Known::Known(Databases { bytes: 15 * GB, unmeasured: 0 });
        }
    };
    for (volumes, words) in [
        (apart(11 * GB, 2 * GB, 6 * GB), ""),
        (apart(9 * GB, 2 * GB, 6 * GB), "/Data"),
        (apart(11 * GB, GB / 2, 6 * GB), "/Wal"),
        (apart(11 * GB, 2 * GB, 5 * GB), "/Tablespace(16400)"),
    ] {
        let (.., said) = judged(&with_room(volumes, elsewhere(Some(5 * GB))));
        assert_eq!(said.is_empty(), words.is_empty(), "{said}");
        assert!(said.contains(words), "{said}");
    }
    // What the role may not measure holds at most what is left of all databases: 5 GB.
    let (.., rebuild, said) = judged(&with_room(apart(11 * GB, 2 * GB, 6 * GB), elsewhere(None)));
    assert!(rebuild, "{said}");
    let (.., rebuild, said) = judged(&with_room(apart(11 * GB, 2 * GB, 5 * GB), elsewhere(None)));
    assert!(!rebuild && said.contains("GRANT pg_read_all_stats TO replicator"), "{said}");
    // A part that nobody looked at.
    let some = vec![volume(Part::Data, 1, 20 * GB, 0), volume(Part::Wal, 2, 20 * GB, 0)];
    let facts = with_room(some, elsewhere(Some(1)));
    expect("not looked at", &facts, &[Kind::NotFoundOut], NEITHER, "Tablespace(16400)");
}

#[test]
fn the_size_is_measured_by_what_the_role_may_and_else_unknown() {
    let global_hidden = |s: &mut Session| {
        let list = s.tablespaces.clone().known().unwrap().into_iter();
        let hide = |one: Tablespace| match one.oid {
            PG_GLOBAL => Tablespace { bytes: None, ..one },
            _ => one,
        };
        s.tablespaces = Known::Known(list.map(hide).collect());
    };
    let (found, ..) = judged(&asking(global_hidden));
    assert_eq!(found, []);
    let little = vec![volume(Part::Data, 1, GB, 20 * GB), volume(Part::Wal, 1, GB, GB)];
    for (change, words) in [
        (Box::new(global_hidden) as Box<dyn FnOnce(&mut Session)>, "by databases"),
        (Box::new(|_: &mut Session| {}), "by tablespaces, WAL by pg_ls_waldir"),
        (
            Box::new(|s: &mut Session| s.wal_bytes = Known::Known(None)),
            "WAL by max_wal_size and wal_keep_size",
        ),
    ] {
        let facts = with_room(little.clone(), change);
        expect(words, &facts, &[Kind::TooFull], REWIND, words);
    }
    let hidden = asking(|s| {
        s.databases = Known::Known(Databases { bytes: GB, unmeasured: 2 });
        global_hidden(s);
    });
    let grant = "on n1: GRANT pg_read_all_stats TO replicator";
    expect("hidden", &hidden, &[Kind::NotFoundOut], NEITHER, grant);
    for unknown in [
        asking(|s| s.tablespaces = Known::unknown("why")),
        asking(|s| {
            s.databases = Known::unknown("why");
            global_hidden(s);
        }),
        Facts { room: Room { volumes: Known::unknown("why"), old_stays: true }, ..facts() },
    ] {
        expect("unknown", &unknown, &[Kind::NotFoundOut], NEITHER, "why");
    }
    let holds = Volume { holds: Known::unknown("why"), ..volume(Part::Data, 1, 20 * GB, 0) };
    let facts = with_room(vec![holds, volume(Part::Wal, 1, 20 * GB, 0)], |_| {});
    expect("holds unknown", &facts, &[Kind::NotFoundOut], REBUILD, "why");
}

#[test]
fn numbers_of_a_server_that_lies_do_not_overflow() {
    let huge = asking(|s| {
        let one = |oid| Tablespace { oid, bytes: Some(u64::MAX), location: String::new() };
        s.tablespaces = Known::Known(vec![one(PG_DEFAULT), one(PG_GLOBAL), one(5)]);
        s.wal_bytes = Known::Known(Some(u64::MAX));
    });
    let (found, rewind, rebuild, _) = judged(&huge);
    assert_eq!((rewind, rebuild), NEITHER, "{found:?}");
}
