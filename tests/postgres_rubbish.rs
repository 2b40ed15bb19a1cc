//! No text, however damaged, makes a parser of `pgtwin::postgres` panic or hang.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use pgtwin::postgres::{
    conf, conninfo, control_data, hba, history, identify, lsn, pgpass, postmaster_pid, slot_name,
    sync_names, units, version, waldump,
};

/// Gives a text to every parser; the number of those that made something of it.
fn parse(text: &str) -> usize {
    let geometry = waldump::Geometry::new(1 << 24, 8192).unwrap();
    let record = waldump::Record::parse(text).inspect(|record| {
        let end = record.end(geometry);
        assert!(end >= record.lsn && geometry.canonical(end) <= end);
    });
    let mut end = 0;
    for line in hba::file::lines(text.as_bytes(), 18) {
        // Each byte is of one line.
        assert_eq!(line.start, end);
        end = line.end;
    }
    assert_eq!(end, text.len());
    let rules = hba::parse_rows(text).inspect(|rules| {
        let origin = hba::Origin::Tcp([10, 0, 0, 2].into(), hba::Channel::Tls);
        let attempt = hba::Attempt { target: hba::Target::Replication, user: "replicator", origin };
        let admission = hba::admits(rules, &attempt, &hba::Surroundings::unknown("not asked"));
        let may =
            hba::first_that_may_fit(rules, &attempt, &hba::Surroundings::unknown("not asked"));
        assert!(may.is_some() || admission == hba::Admission::NoLine);
    });
    let line = text.parse::<history::History>().inspect(|line| {
        assert!(line.to_string().parse::<history::History>().unwrap().same_line(line));
    });
    let info = conninfo::Conninfo::parse(text).inspect(|info| {
        assert_eq!(&conninfo::Conninfo::parse(&info.to_text()).unwrap(), info);
    });
    let set = conf::set(text, "work_mem", "1MB").unwrap();
    assert_eq!(conf::get(&set, "work_mem").as_deref(), Some("1MB"));
    assert_eq!(conf::get(&conf::remove(text, "work_mem"), "work_mem"), None);
    assert!(slot_name::is_valid(&slot_name::slot_name("ha_slot", text)));
    let names = match sync_names::parse(text) {
        sync_names::SyncNames::Ours(names) => {
            let written = sync_names::write(&names);
            assert_eq!(sync_names::parse(&written), sync_names::SyncNames::Ours(names));
            true
        }
        sync_names::SyncNames::Empty => true,
        sync_names::SyncNames::Foreign(_) => false,
    };
    let file = pgpass::Passfile::parse(text);
    [
        names,
        file.lookup("h", 5432, "replication", "u").is_some() || file.replication_user().is_some(),
        record.is_ok(),
        rules.is_ok(),
        line.is_ok(),
        info.is_ok(),
        control_data::ControlData::parse(text).is_ok(),
        history::History::parse_file(lsn::Timeline(9), text).is_ok(),
        identify::parse_identify(text).is_ok(),
        identify::parse_timeline_history(text).is_ok(),
        identify::parse_show(text).is_ok(),
        text.parse::<lsn::Lsn>().is_ok(),
        text.parse::<lsn::Timeline>().is_ok(),
        postmaster_pid::PostmasterPid::parse(text).is_ok(),
        units::milliseconds(text).is_ok(),
        units::bytes(text).is_ok(),
        version::Version::of_program(text).is_ok(),
        version::Version::of_number(text).is_ok(),
        version::major_of_pg_version(text).is_ok(),
    ]
    .into_iter()
    .filter(|parsed| *parsed)
    .count()
}

/// Short texts of every kind, and the captured files, cut to what is quick to damage everywhere.
fn seeds() -> Vec<String> {
    let mut seeds: Vec<String> = [
        "ANY 1 (\"n\"\"2\", n3)",
        "h:5432:replication:u:p\\:w\n*:*:*:*:x",
        "a = 'it''s \\101' # c\nwork_mem 4MB\nwork_mem = '8MB'",
        "host=n1 user='it\\'s' password=x\\ y",
        "1@0/3000148,2@0/5000000,3",
        "FFFFFFFF/FFFFFFFF",
        "rmgr: XLOG len (rec/tot): 1/4294967295, tx: 0, lsn: FFFFFFFF/FFFFFFF0, prev 0/1, desc: SWITCH",
        "9223372036854775807d",
        "150013",
        "postgres (PostgreSQL) 18beta1",
        "1\thost\t{a,\"b\\\"c\"}\t{all}\t0.0.0.0\t0.0.0.0\tmd5\t",
    ]
    .map(str::to_owned)
    .into();
    let captured = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/postgres/18");
    for entry in std::fs::read_dir(captured).unwrap() {
        let entry = entry.unwrap();
        // One control file stands for all; of the longest files the beginning is enough.
        let name = entry.file_name().into_string().unwrap();
        if !name.starts_with("control-") || name == "control-shut-down.txt" {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let cut = if name.starts_with("control-") { text.len() } else { 800.min(text.len()) };
            seeds.push(text[..cut].to_owned());
        }
    }
    seeds
}

#[test]
fn a_text_that_was_cut_anywhere_is_read_or_refused() {
    let mut parsed = 0;
    for seed in seeds() {
        for (end, _) in seed.char_indices() {
            parsed += parse(&seed[..end]);
        }
    }
    assert!(parsed > 1000, "{parsed}");
}

#[test]
fn a_text_with_any_character_changed_is_read_or_refused() {
    let odd =
        ['\0', '\'', '"', '\\', '\n', '\t', ':', '@', ',', '/', '-', '9', '}', 'é', '\u{10FFFF}'];
    let mut parsed = 0;
    for seed in seeds() {
        for (index, (at, old)) in seed.char_indices().enumerate() {
            // Every place gets one of them, the short texts all.
            for (turn, new) in odd.iter().enumerate() {
                if seed.len() < 100 || turn == index % odd.len() {
                    let mut text = seed.clone();
                    text.replace_range(at..at + old.len_utf8(), new.encode_utf8(&mut [0; 4]));
                    parsed += parse(&text);
                }
            }
        }
    }
    assert!(parsed > 1000, "{parsed}");
}
