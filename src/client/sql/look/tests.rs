//! Answers as the server gives them, whole and with holes.

use super::*;

fn row(columns: &[&str]) -> Row {
    columns.iter().map(|&text| (text != "NULL").then(|| text.to_owned())).collect()
}

fn primary(more: &[&[&str]], settings: &[&str]) -> Result<Sql, SqlError> {
    let mut primary =
        vec!["primary", "ANY 1 (n2)", "0/3000060", "0/2000028", "000000020000000000000003"];
    primary.extend(settings);
    let mut rows = vec![
        row(&["server", "150018", "f", "7710224403141089813", "1763640512.123456"]),
        row(&primary),
    ];
    rows.extend(more.iter().map(|columns| row(columns)));
    facts(&rows)
}

const SENDER: &str = "walsender";
const NOW: &str = "1763640515.5";

fn sender<'a>(columns: &[&'a str], process: &'a str) -> Vec<&'a str> {
    ["walsender"].iter().chain(columns).chain(&[process, NOW]).copied().collect()
}

/// The time of the last word is the standby's own: a clock that is ahead, or mad, does no harm.
#[test]
fn a_standbys_clock_is_not_believed() {
    for (reply, silent) in [
        ("1763640515.5", Some(0)),
        ("1763640500", Some(15)),
        ("1763640600", None),
        ("infinity", None),
        ("99999999999999999999", None),
    ] {
        let columns = ["4711", "n2", "streaming", "0/3000060", "0/3000000", "1", "quorum", reply];
        let answer = primary(&[&sender(&columns, SENDER)], &SOUND);
        let Ok(Sql::Primary(facts)) = answer else { panic!("{answer:?}") };
        assert_eq!(facts.walsenders[0].silent_for, silent, "{reply}");
    }
}

const SOUND: [&str; 7] = ["on", "on", "on", "off", "off", "on", "10GB"];

#[test]
fn a_primary_is_read_whole() {
    let answer = primary(
        &[
            &sender(
                &[
                    "4711",
                    "n2",
                    "streaming",
                    "0/3000060",
                    "0/3000000",
                    "1",
                    "quorum",
                    "1763640512.25",
                ],
                SENDER,
            ),
            &sender(&["4712", "pgtwin_x", "backup", "NULL", "NULL", "0", "async", "NULL"], SENDER),
            // Its number is another process's already.
            &sender(
                &["4714", "psql", "startup", "NULL", "NULL", "0", "async", "NULL"],
                "client backend",
            ),
            &["slot", "ha_slot_n2", "physical", "f"],
            &["slot", "a_backup", "physical", "t"],
            &["slot", "cdc", "logical", "f"],
        ],
        &SOUND,
    );
    let Ok(Sql::Primary(facts)) = answer else { panic!("{answer:?}") };
    assert_eq!(facts.names, "ANY 1 (n2)");
    assert_eq!(facts.timeline, Timeline(2));
    assert_eq!(facts.started, 1_763_640_512_123_456);
    assert_eq!(facts.walsenders.len(), 2);
    assert_eq!((facts.walsenders[0].pid, facts.walsenders[0].name.as_str()), (4711, "n2"));
    assert_eq!(facts.walsenders[0].flush, Some(Lsn(0x300_0060)));
    assert_eq!(facts.walsenders[1].flush, None);
    assert_eq!((facts.walsenders[0].silent_for, facts.walsenders[1].silent_for), (Some(3), None));
    assert_eq!(facts.slots, ["ha_slot_n2"]);
    assert_eq!(facts.weaknesses, Vec::<String>::new());
}

#[test]
fn a_standby_without_a_receiver_is_read_whole() {
    let standby = |delay, receive, receiver: &[&str]| {
        vec![
            row(&["server", "130021", "t", "-5", "1"]),
            row(&["standby", receive, "0/3000000", "host=n1", "s", "f", delay]),
            row(receiver),
        ]
    };
    let none = ["receiver", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL"];
    let deadline = Deadline::after(std::time::Duration::from_secs(1));
    let waits = vec![row(&["startup", "RecoveryRetrieveRetryInterval"])];
    let answers = vec![standby("30s", "NULL", &none), waits];
    let mut script = Script { answers, asked: Vec::new() };
    let Sql::Standby(facts) = look(&mut script, Hint::Standby, &deadline) else { panic!() };
    assert_eq!(facts.receive, None);
    assert_eq!(facts.receiver, None);
    assert_eq!(facts.apply_delay, 30_000);
    assert_eq!(facts.started, 1_000_000);
    assert_eq!(facts.system_id, u64::MAX - 4);
    assert!(facts.at_end_of_wal() && !facts.streams());
    for no in [vec![], vec![row(&["startup", "NULL"])], vec![row(&["startup", "WALRead"])]] {
        let answers = vec![standby("0", "NULL", &none), no];
        let mut script = Script { answers, asked: Vec::new() };
        let Sql::Standby(facts) = look(&mut script, Hint::Standby, &deadline) else { panic!() };
        assert!(!facts.at_end_of_wal());
    }
    // What has streamed is at the end of its WAL, whatever the startup process does: not asked.
    let streams = ["receiver", "streaming", "n1", "5432", "3", "0/3000060", "99"];
    let answers = vec![standby("0", "0/3000060", &streams)];
    let mut script = Script { answers, asked: Vec::new() };
    let Sql::Standby(facts) = look(&mut script, Hint::Standby, &deadline) else { panic!() };
    assert!(facts.at_end_of_wal() && facts.streams());
    assert_eq!(facts.receiver.unwrap().timeline, Timeline(3));
}

#[test]
fn a_moment_is_read_to_the_microsecond_or_not_at_all() {
    for (text, expected) in [
        ("1763640512", Some(1_763_640_512_000_000)),
        ("1763640512.5", Some(1_763_640_512_500_000)),
        ("1763640512.000001", Some(1_763_640_512_000_001)),
        ("1763640512.1234567", None),
        ("1.76364051e+09", None),
        ("1763640512.-5", None),
        ("", None),
        (".", None),
        ("99999999999999999999", None),
    ] {
        let row = row(&["server", text]);
        assert_eq!(Fields::of(&row).unwrap().microseconds(0).ok(), expected, "{text:?}");
    }
}

#[test]
fn each_weakness_is_named() {
    for (setting, value, expected) in [
        (0, "off", "fsync"),
        (1, "off", "full_page_writes"),
        (2, "remote_write", "synchronous_commit is remote_write"),
        (2, "local", "synchronous_commit is local"),
        (3, "on", "restart_after_crash"),
        (5, "off", "pg_rewind"),
        (6, "-1", "max_slot_wal_keep_size"),
    ] {
        let mut settings = SOUND;
        settings[setting] = value;
        let Ok(Sql::Primary(facts)) = primary(&[], &settings) else { panic!() };
        assert_eq!(facts.weaknesses.len(), 1, "{:?}", facts.weaknesses);
        assert!(facts.weaknesses[0].contains(expected), "{:?}", facts.weaknesses);
    }
}

#[test]
fn a_role_or_database_that_does_not_wait_is_named() {
    for (database, role, value, expected) in [
        ("database shop", "NULL", "off", Some("for database shop:")),
        ("NULL", "bulk", "local", Some("role bulk")),
        ("database shop", "bulk", "OFF", Some("role bulk in database shop")),
        ("NULL", "bulk", "remote_apply", None),
        ("NULL", "bulk", "True", None),
    ] {
        let item = format!("work_mem=4MB\nsynchronous_commit={value}\nenable_sort=off");
        let rows = [row(&["override", database, role, &item])];
        let answer = Answer { rows: rows.iter().filter_map(Fields::of).collect() };
        let words = overridden(&answer).unwrap();
        let words = words.first();
        match expected {
            Some(text) => assert!(words.unwrap().contains(text), "{words:?}"),
            None => assert_eq!(words, None),
        }
    }
}

#[test]
fn an_answer_with_a_hole_is_an_error_and_not_a_guess() {
    for rows in [
        vec![],
        vec![row(&["server", "150018", "f", "1", "1"])],
        vec![row(&["server", "150018", "t", "1", "1"])],
        vec![row(&["server", "150018", "perhaps", "1", "1"])],
        vec![row(&["server", "NULL", "t", "1", "1"])],
        vec![row(&["server", "120000", "t", "1", "1"])],
        vec![row(&["server"])],
        vec![row(&[])],
    ] {
        assert!(facts(&rows).is_err(), "{rows:?}");
    }
}

/// Answers each question with the next list of rows, and keeps the questions.
struct Script {
    answers: Vec<Vec<Row>>,
    asked: Vec<String>,
}

impl Wire for Script {
    fn ask(&mut self, sql: &str, _: &Deadline) -> Result<Vec<Row>, SqlError> {
        self.asked.push(sql.to_owned());
        Ok(self.answers.remove(0))
    }
}

#[test]
fn a_hint_that_is_out_of_date_costs_a_second_question_and_nothing_else() {
    let server = || row(&["server", "150018", "f", "7", "1"]);
    let whole = || {
        let mut primary = vec!["primary", "", "0/3000060", "0/2000028", "000000020000000000000003"];
        primary.extend(SOUND);
        vec![server(), row(&primary)]
    };
    let deadline = Deadline::after(std::time::Duration::from_secs(1));
    let mut right = Script { answers: vec![whole()], asked: Vec::new() };
    assert!(matches!(look(&mut right, Hint::Primary, &deadline), Sql::Primary(_)));
    assert!(!right.asked[0].contains("'standby'") && right.asked[0].contains("'walsender'"));
    // It was promoted since it wrote that it is a standby.
    let mut wrong = Script { answers: vec![vec![server()], whole()], asked: Vec::new() };
    assert!(matches!(look(&mut wrong, Hint::Standby, &deadline), Sql::Primary(_)));
    assert!(!wrong.asked[0].contains("'primary'") && wrong.asked[1].contains("'primary'"));
    // What is not understood without a hint stays so.
    let mut rubbish = Script { answers: vec![vec![server()]], asked: Vec::new() };
    assert!(matches!(look(&mut rubbish, Hint::None, &deadline), Sql::Alive(_)));
}
