use super::*;

/// What was captured of a version.
macro_rules! captured {
    ($version:literal, $($name:literal),*) => {
        [$(include_str!(concat!("../../../tests/fixtures/postgres/", $version, "/", $name, ".txt"))),*]
    };
}

#[test]
fn what_the_tools_of_each_version_print_is_read() {
    let copies = [
        captured!("15", "rewind-done", "rewind-not-needed", "basebackup-done"),
        captured!("18", "rewind-done", "rewind-not-needed", "basebackup-done"),
    ];
    for [done, not_needed, basebackup] in copies {
        assert!(has_begun_to_write(done) && !says_no_rewind(done));
        assert!(!has_begun_to_write(not_needed) && says_no_rewind(not_needed));
        assert_eq!(fork_of(done), fork_of(not_needed), "both part where n2 was promoted");
        assert!(fork_of(done).is_some_and(|(timeline, at)| timeline.0 == 1 && at.is_valid()));
        for text in [done, basebackup] {
            let copied: Vec<Copied> = text.lines().filter_map(Copied::of_line).collect();
            let last = copied.last().unwrap();
            assert!(copied.len() == 2 && last.percent() == 100 && last.done > 6 << 20);
        }
    }
    let failures = [
        captured!(
            "15",
            "rewind-unreachable",
            "rewind-no-role",
            "rewind-no-grant",
            "rewind-wal-removed",
            "basebackup-no-slot"
        ),
        captured!(
            "18",
            "rewind-unreachable",
            "rewind-no-role",
            "rewind-no-grant",
            "rewind-wal-removed",
            "basebackup-no-slot"
        ),
    ];
    let whole = REWIND_GRANTS[2].to_owned();
    let expected = [
        WhyNot::Unreachable,
        WhyNot::Login,
        WhyNot::Grant(whole),
        WhyNot::WalRemoved,
        WhyNot::Slot,
    ];
    for texts in failures {
        assert_eq!(texts.map(WhyNot::of_words), expected);
        assert!(texts.iter().all(|text| !has_begun_to_write(text)));
    }
}

#[test]
fn progress_of_both_tools_is_read() {
    for (line, expected) in [
        ("  23456/123456 kB (19%), 0/1 tablespace", Some((23456, 123_456, 18))),
        ("123456/123456 kB (100%), 2/2 tablespaces", Some((123_456, 123_456, 100))),
        ("0/30 kB (0%), 0/1 tablespace (/srv/x.new/base/1/1255 )", Some((0, 30, 0))),
        ("  512/1024 kB (50%) copied", Some((512, 1024, 50))),
        ("0/0 kB (0%) copied", Some((0, 0, 0))),
        ("pg_basebackup: initiating base backup, waiting for checkpoint to complete", None),
        ("pg_rewind: need to copy 52 MB (total source directory size is 71 MB)", None),
        ("-1/1024 kB (50%) copied", None),
        ("1/x kB (50%) copied", None),
        ("99999999999999999999/1 kB (1%)", None),
        ("18446744073709551615/18446744073709551615 kB (1%)", None),
        ("", None),
    ] {
        let read = Copied::of_line(line);
        let shown = read.map(|copied| (copied.done / 1024, copied.total / 1024, copied.percent()));
        assert_eq!(shown, expected, "{line}");
    }
}

#[test]
fn the_fork_is_read() {
    let said = "pg_rewind: connected to server\n\
                pg_rewind: servers diverged at WAL location 0/3000148 on timeline 12\n\
                pg_rewind: no rewind required\n";
    assert_eq!(fork_of(said), Some((Timeline(12), Lsn(0x300_0148))));
    assert!(says_no_rewind(said) && !has_begun_to_write(said));
    for text in [
        "",
        "servers diverged at WAL location x on timeline 1",
        "servers diverged at WAL location 0/1",
    ] {
        assert_eq!(fork_of(text), None, "{text}");
    }
}

#[test]
fn the_words_of_a_failure_tell_its_class() {
    let grant = |at: usize| WhyNot::Grant(REWIND_GRANTS[at].to_owned());
    for (text, expected) in [
        (
            "pg_rewind: error: connection to server at \"127.0.0.1\", port 1 failed: Connection refused\n\tIs the server running",
            WhyNot::Unreachable,
        ),
        (
            "pg_basebackup: error: connection to server on socket \"/x/.s.PGSQL.1\" failed: No such file or directory\n\tIs the server running locally",
            WhyNot::Unreachable,
        ),
        (
            "pg_rewind: error: connection to server at \"n2\" (10.0.0.2), port 5432 failed: FATAL:  password authentication failed for user \"r\"",
            WhyNot::Login,
        ),
        (
            "failed: FATAL:  no pg_hba.conf entry for host \"10.0.0.1\", user \"r\", database \"postgres\", no encryption",
            WhyNot::Login,
        ),
        ("failed: FATAL:  role \"r\" does not exist", WhyNot::Login),
        ("failed: fe_sendauth: no password supplied", WhyNot::Login),
        ("FATAL:  must be superuser or replication role to start walsender", WhyNot::Login),
        ("FATAL:  the database system is shutting down", WhyNot::Unreachable),
        (
            "pg_rewind: error: could not fetch file list: ERROR:  permission denied for function pg_ls_dir",
            grant(0),
        ),
        (
            "could not fetch file list: ERROR:  permission denied for function pg_stat_file",
            grant(1),
        ),
        (
            "could not fetch remote file \"global/pg_control\": ERROR:  permission denied for function pg_read_binary_file",
            grant(2),
        ),
        (
            "unexpected result while fetching remote files: ERROR:  permission denied for function pg_read_binary_file",
            grant(3),
        ),
        (
            "ERROR:  permission denied for function other",
            WhyNot::Grant("EXECUTE ON FUNCTION pg_catalog.other".into()),
        ),
        (
            "could not create temporary table: ERROR:  permission denied to create temporary tables in database \"postgres\"",
            WhyNot::Grant("TEMPORARY ON DATABASE postgres".into()),
        ),
        (
            "pg_rewind: fatal: could not open file \"/x/pg_wal/000000010000000000000002\": No such file or directory",
            WhyNot::WalRemoved,
        ),
        ("pg_rewind: error: could not find previous WAL record at 0/2000028", WhyNot::WalRemoved),
        (
            "ERROR:  requested WAL segment 000000010000000000000003 has already been removed",
            WhyNot::WalRemoved,
        ),
        (
            "target server needs to use either data checksums or \"wal_log_hints = on\"",
            WhyNot::NoHints,
        ),
        ("pg_rewind: error: target server must be shut down cleanly", WhyNot::NotClean),
        (
            "pg_rewind: error: full_page_writes must be enabled in the source server",
            WhyNot::NoFullPageWrites,
        ),
        (
            "pg_rewind: error: \"full_page_writes\" must be enabled in the source server",
            WhyNot::NoFullPageWrites,
        ),
        ("source and target clusters are from different systems", WhyNot::Foreign),
        (
            "could not send replication command \"START_REPLICATION\": ERROR:  replication slot \"s\" does not exist",
            WhyNot::Slot,
        ),
        ("could not write to file \"x\": No space left on device", WhyNot::DiskFull),
        (
            "could not fetch file list: ERROR:  could not write to file \"base/pgsql_tmp/x\": No space left on device",
            WhyNot::Other,
        ),
        ("pg_rewind: fatal: could not connect to server: x", WhyNot::Unreachable),
        ("FATAL:  sorry, too many clients already", WhyNot::Busy),
        ("something else", WhyNot::Other),
        ("", WhyNot::Other),
    ] {
        assert_eq!(WhyNot::of_words(text), expected, "{text}");
    }
}
