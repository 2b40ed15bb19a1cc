//! The questions to a session in the database `postgres`, and its answers as facts. Floor 2.

use std::str::FromStr;

use crate::cluster::known::Known;
use crate::decide::source::{
    Answer, Databases, REWIND_FUNCTIONS, Session, SessionIdentity, Settings, Slot, Tablespace,
};
use crate::postgres::lsn::{Lsn, Timeline};
use crate::postgres::slot_name;
use crate::sys::exec::Output;

use super::super::answer;
use super::{Question, not_in};

/// The questions of the session, a tag in front of each row. Where a function needs a right, the
/// right is asked for first: psql's own condition keeps the server's log free of errors.
pub(super) fn script(question: &Question<'_>) -> String {
    let functions: Vec<String> =
        REWIND_FUNCTIONS.iter().map(|function| format!("'{function}'")).collect();
    let measures = "pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')";
    let mut script = format!(
        "\\pset fieldsep '|'\n\
         SELECT 'identity', system_identifier, pg_catalog.pg_is_in_recovery() \
          FROM pg_catalog.pg_control_system();\n\
         SELECT 'checkpoint', timeline_id FROM pg_catalog.pg_control_checkpoint();\n\
         SELECT 'settings', pg_catalog.current_setting('full_page_writes'), \
          pg_catalog.current_setting('max_replication_slots'), \
          pg_catalog.current_setting('max_wal_senders'), \
          pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_wal_size')) + \
          pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_keep_size'));\n\
         SELECT 'slots', pg_catalog.count(*) FROM pg_catalog.pg_get_replication_slots();\n\
         SELECT 'walsenders', pg_catalog.count(*) FROM pg_catalog.pg_stat_get_wal_senders();\n\
         SELECT 'functions', pg_catalog.count(*) FROM \
          (SELECT 1 FROM pg_catalog.unnest(ARRAY[{functions}]) f) all_of_them;\n\
         SELECT 'function', f, pg_catalog.has_function_privilege(f, 'EXECUTE') \
          FROM pg_catalog.unnest(ARRAY[{functions}]) f;\n\
         SELECT 'tablespaces', pg_catalog.count(*) FROM pg_catalog.pg_tablespace;\n\
         SELECT 'tablespace', oid, CASE WHEN {measures} \
          OR pg_catalog.has_tablespace_privilege(oid, 'CREATE') \
          OR oid = (SELECT dattablespace FROM pg_catalog.pg_database \
          WHERE datname = pg_catalog.current_database()) \
          THEN pg_catalog.pg_tablespace_size(oid) END, pg_catalog.pg_tablespace_location(oid) \
          FROM pg_catalog.pg_tablespace;\n\
         SELECT 'databases', COALESCE(pg_catalog.sum(CASE WHEN may THEN \
          pg_catalog.pg_database_size(oid) END), 0), pg_catalog.count(*) FILTER (WHERE NOT may) \
          FROM (SELECT oid, {measures} OR pg_catalog.has_database_privilege(oid, 'CONNECT') may \
          FROM pg_catalog.pg_database) d;\n\
         SELECT pg_catalog.has_function_privilege('pg_catalog.pg_ls_waldir()', 'EXECUTE') AS may \
          \\gset\n\
         \\if :may\n\
         SELECT 'wal', COALESCE(pg_catalog.sum(size), 0) FROM pg_catalog.pg_ls_waldir();\n\
         \\else\n\
         SELECT 'wal', NULL;\n\
         \\endif\n",
        functions = functions.join(", "),
    );
    if slot_name::is_valid(question.slot) {
        script.extend([format!(
            "SELECT 'slot', slot_type, active, COALESCE(wal_status, '') \
             FROM pg_catalog.pg_replication_slots WHERE slot_name = '{}';\n\
             SELECT 'slot-asked';\n",
            question.slot
        )]);
    }
    if let Some(lsn) = question.wal_from {
        // A segment is named for the timeline in which it was written, which is not asked about.
        // The byte that it needs next: the name of a border is that of the segment before it.
        let next = Lsn(lsn.0.saturating_add(1));
        script.extend([format!(
            "SELECT pg_catalog.has_function_privilege('{}', 'EXECUTE') \
             AND NOT pg_catalog.pg_is_in_recovery() AS may \\gset\n\
             \\if :may\n\
             SELECT 'segment', pg_catalog.pg_current_wal_lsn() <= '{lsn}'::pg_catalog.pg_lsn \
              OR EXISTS (SELECT FROM pg_catalog.pg_ls_dir('pg_wal', true, false) f \
              WHERE pg_catalog.length(f) = 24 AND pg_catalog.substr(f, 9) = pg_catalog.substr(\
              pg_catalog.pg_walfile_name('{next}'::pg_catalog.pg_lsn), 9));\n\
             \\endif\n",
            REWIND_FUNCTIONS[0]
        )]);
    }
    script
}

/// Reads the answers of the session. Without any it was not let in; what is missing of them is
/// unknown, with the server's words.
pub(super) fn read(output: &Output) -> Answer<Session> {
    let rows: Vec<Vec<&str>> =
        output.stdout.lines().map(|line| line.splitn(4, '|').collect()).collect();
    if rows.is_empty() {
        return not_in(&answer::failure(output));
    }
    let rows = Rows { rows, words: words(output) };
    let slot = match rows.one::<1>("slot-asked") {
        Known::Unknown(why) => Known::Unknown(why),
        Known::Known(_) => match rows.all("slot").next() {
            None => Known::Known(None),
            Some([_, kind, active @ ("t" | "f"), wal_status]) => Known::Known(Some(Slot {
                physical: *kind == "physical",
                active: *active == "t",
                wal_status: (*wal_status).to_owned(),
            })),
            Some(_) => odd("slot"),
        },
    };
    Answer::In(Session {
        identity: rows.one("identity").and_then(|[_, system_id, recovery]| {
            match (signed(system_id), flag(recovery)) {
                (Some(system_id), Some(in_recovery)) => {
                    Known::Known(SessionIdentity { system_id, in_recovery })
                }
                _ => odd("identity"),
            }
        }),
        checkpoint_timeline: rows.number::<u32>("checkpoint").map(Timeline),
        settings: rows.one("settings").and_then(|[_, full_page_writes, slots, rest]| {
            let (walsenders, kept) = rest.split_once('|').unwrap_or_default();
            match (flag(full_page_writes), slots.parse(), walsenders.parse(), kept.parse()) {
                (Some(full_page_writes), Ok(max_slots), Ok(max_walsenders), Ok(wal_kept)) => {
                    Known::Known(Settings { full_page_writes, max_slots, max_walsenders, wal_kept })
                }
                _ => odd("settings"),
            }
        }),
        slots_used: rows.number("slots"),
        slot,
        walsenders: rows.number("walsenders"),
        not_executable: rows.not_executable(),
        tablespaces: rows.tablespaces(),
        databases: rows.one("databases").and_then(|[_, bytes, unmeasured]| {
            match (bytes.parse(), unmeasured.parse()) {
                (Ok(bytes), Ok(unmeasured)) => Known::Known(Databases { bytes, unmeasured }),
                _ => odd("databases"),
            }
        }),
        wal_bytes: rows.one("wal").and_then(|[_, bytes]| match (bytes, bytes.parse()) {
            ("", _) => Known::Known(None),
            (_, Ok(bytes)) => Known::Known(Some(bytes)),
            (_, Err(_)) => odd("wal"),
        }),
        has_segment: rows
            .one("segment")
            .and_then(|[_, there]| flag(there).map_or_else(|| odd("segment"), Known::Known)),
    })
}

/// The errors of psql in one line, for what has no row.
fn words(output: &Output) -> String {
    let errors: Vec<&str> = output
        .stderr
        .lines()
        .filter_map(|line| line.split_once("ERROR:  ").map(|(_, words)| words))
        .take(3)
        .collect();
    if errors.is_empty() {
        "it was not answered".to_owned()
    } else {
        errors.join("; ").chars().take(300).collect()
    }
}

struct Rows<'a> {
    rows: Vec<Vec<&'a str>>,
    words: String,
}

impl<'a> Rows<'a> {
    fn all(&self, tag: &'static str) -> impl Iterator<Item = &[&'a str]> {
        let tagged = move |row: &&Vec<&'a str>| row.first() == Some(&tag);
        self.rows.iter().filter(tagged).map(Vec::as_slice)
    }

    /// The one row of this tag, with so many columns.
    fn one<const N: usize>(&self, tag: &'static str) -> Known<[&'a str; N]> {
        match self.all(tag).next() {
            None => Known::unknown(self.words.clone()),
            Some(row) => row.try_into().map_or_else(|_| odd(tag), Known::Known),
        }
    }

    fn number<T: FromStr>(&self, tag: &'static str) -> Known<T> {
        self.one(tag).and_then(|[_, number]| number.parse().map_or_else(|_| odd(tag), Known::Known))
    }

    /// All rows of a list, if there are as many as the server counted.
    fn list(&self, counted: &'static str, tag: &'static str) -> Known<Vec<&[&'a str]>> {
        let rows: Vec<&[&str]> = self.all(tag).collect();
        match self.number::<usize>(counted) {
            Known::Unknown(why) => Known::Unknown(why),
            Known::Known(count) if count == rows.len() => Known::Known(rows),
            Known::Known(_) => Known::unknown(self.words.clone()),
        }
    }

    fn not_executable(&self) -> Known<Vec<&'static str>> {
        self.list("functions", "function").and_then(|rows| {
            let mut missing = Vec::new();
            for function in REWIND_FUNCTIONS {
                let row = rows.iter().find(|row| row.get(1) == Some(&function));
                match row.and_then(|row| flag(row.get(2)?)) {
                    Some(true) => {}
                    Some(false) => missing.push(function),
                    None => return odd("functions"),
                }
            }
            Known::Known(missing)
        })
    }

    fn tablespaces(&self) -> Known<Vec<Tablespace>> {
        self.list("tablespaces", "tablespace").and_then(|rows| {
            let mut list = Vec::new();
            for row in rows {
                let [_, oid, bytes, location] = row else { return odd("tablespaces") };
                let size = if bytes.is_empty() { Ok(None) } else { bytes.parse().map(Some) };
                let (Ok(oid), Ok(bytes)) = (oid.parse(), size) else {
                    return odd("tablespaces");
                };
                list.push(Tablespace { oid, bytes, location: (*location).to_owned() });
            }
            Known::Known(list)
        })
    }
}

fn odd<T>(tag: &str) -> Known<T> {
    Known::unknown(format!("the answer to the question for {tag} was not understood"))
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "t" | "on" => Some(true),
        "f" | "off" => Some(false),
        _ => None,
    }
}

/// The identifier is unsigned, SQL shows it signed.
fn signed(text: &str) -> Option<u64> {
    text.parse::<i64>().ok().map(i64::cast_unsigned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::postgres::refusal::Refusal;
    use crate::sys::exec::Ended;

    fn printed(stdout: &str, stderr: &str) -> Output {
        Output { ended: Ended::Exited(0), stdout: stdout.into(), stderr: stderr.into() }
    }

    fn of(stdout: &str, stderr: &str) -> Session {
        match read(&printed(stdout, stderr)) {
            Answer::In(session) => session,
            other => panic!("{other:?}"),
        }
    }

    const WHOLE: &str = "identity|7710224403141089813|f\n\
        checkpoint|2\nsettings|on|10|8|2147483648\nslots|1\nwalsenders|2\nfunctions|4\n\
        function|pg_catalog.pg_ls_dir(text,boolean,boolean)|t\n\
        function|pg_catalog.pg_stat_file(text,boolean)|f\n\
        function|pg_catalog.pg_read_binary_file(text)|t\n\
        function|pg_catalog.pg_read_binary_file(text,bigint,bigint,boolean)|t\n\
        tablespaces|3\ntablespace|1663|1000|\ntablespace|1664||\ntablespace|16400||/srv/a|b\n\
        databases|2000|0\nwal|\nslot|physical|f|lost\nslot-asked\nsegment|f\n";

    #[test]
    fn every_question_has_its_answer() {
        let session = of(WHOLE, "");
        let identity = SessionIdentity { system_id: 7_710_224_403_141_089_813, in_recovery: false };
        assert_eq!(session.identity, Known::Known(identity));
        assert_eq!(session.checkpoint_timeline, Known::Known(Timeline(2)));
        let settings = Settings {
            full_page_writes: true,
            max_slots: 10,
            max_walsenders: 8,
            wal_kept: 2_147_483_648,
        };
        assert_eq!(session.settings, Known::Known(settings));
        assert_eq!(session.not_executable, Known::Known(vec![REWIND_FUNCTIONS[1]]));
        let tablespaces = session.tablespaces.known().unwrap();
        assert_eq!(tablespaces[2].location, "/srv/a|b");
        assert_eq!((tablespaces[0].bytes, tablespaces[1].bytes), (Some(1000), None));
        assert_eq!(session.databases.known().unwrap().bytes, 2000);
        assert_eq!(session.wal_bytes, Known::Known(None));
        assert_eq!(session.slot.known().unwrap().unwrap().wal_status, "lost");
        assert_eq!(session.has_segment, Known::Known(false));
    }

    #[test]
    fn what_has_no_row_is_unknown_with_the_servers_words() {
        let stderr = "psql:<stdin>:5: ERROR:  canceling statement due to statement timeout\n";
        for tag in ["identity", "tablespaces", "function|pg_catalog.pg_stat_file", "slot-asked"] {
            let less: Vec<&str> = WHOLE.lines().filter(|line| !line.starts_with(tag)).collect();
            let session = of(&less.join("\n"), stderr);
            let why = [
                session.identity.why_unknown().map(str::to_owned),
                session.tablespaces.why_unknown().map(str::to_owned),
                session.not_executable.why_unknown().map(str::to_owned),
                session.slot.why_unknown().map(str::to_owned),
            ];
            let why: Vec<String> = why.into_iter().flatten().collect();
            assert_eq!(why, ["canceling statement due to statement timeout"], "{tag}");
        }
        // No slot of that name is an answer.
        let none: Vec<&str> = WHOLE.lines().filter(|line| !line.starts_with("slot|")).collect();
        assert_eq!(of(&none.join("\n"), "").slot, Known::Known(None));
    }

    #[test]
    fn rubbish_is_no_answer() {
        for line in [
            "identity|x|f",
            "identity|7",
            "settings|on|10|8",
            "settings|on|10|x|8",
            "checkpoint|-1",
            "databases|1|x",
            "tablespaces|1\ntablespace|x|1|",
            "tablespaces|1\ntablespace|1663|-1|",
            "slot|physical|perhaps|\nslot-asked",
            "wal|much",
            "segment|perhaps",
        ] {
            let session = of(&format!("{line}\n"), "");
            assert!(!session.identity.is_known() && !session.settings.is_known(), "{line}");
            assert!(!session.checkpoint_timeline.is_known(), "{line}");
            assert!(!session.databases.is_known() && !session.tablespaces.is_known(), "{line}");
            assert!(!session.slot.is_known() && !session.wal_bytes.is_known(), "{line}");
            assert!(!session.has_segment.is_known(), "{line}");
        }
        let error = "psql: error: connection to server at \"127.0.0.1\", port 1 failed: FATAL:  \
            permission denied for database \"postgres\"\n";
        let answer = read(&printed("", error));
        assert_eq!(answer, Answer::NotLetIn(Refusal::NoConnect));
    }
}
