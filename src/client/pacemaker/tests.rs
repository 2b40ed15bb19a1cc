//! Every method against a scripted `Exec`, with what the real tools printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::cell::RefCell;

use super::*;

const LIMIT: Duration = Duration::from_secs(3);

enum Says {
    Out(i32, String, &'static str),
    Ends(Ended),
    Missing,
}

/// Gives the same answer to every command, and remembers them.
struct Script {
    says: Says,
    asked: RefCell<Vec<Cmd>>,
}

impl Script {
    fn new(says: Says) -> Self {
        Self { says, asked: RefCell::new(Vec::new()) }
    }

    fn out(code: i32, stdout: impl Into<String>, stderr: &'static str) -> Self {
        Self::new(Says::Out(code, stdout.into(), stderr))
    }
}

impl Exec for Script {
    fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
        self.asked.borrow_mut().push(cmd.clone());
        match &self.says {
            Says::Out(code, stdout, stderr) => Ok(Output {
                ended: Ended::Exited(*code),
                stdout: stdout.clone(),
                stderr: (*stderr).to_owned(),
            }),
            // Cut off in the middle of what would have been a whole answer.
            Says::Ends(ended) => {
                Ok(Output { ended: *ended, stdout: "<cib/>".into(), stderr: String::new() })
            }
            Says::Missing => Err(ExecError::NotFound {
                program: cmd.program.clone(),
                searched: "/usr/sbin".into(),
            }),
        }
    }
}

fn fixture(release: &str, file: &str) -> String {
    let path = format!("{}/tests/fixtures/pacemaker/{release}/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn n(name: &str) -> NodeName {
    name.parse().unwrap()
}

/// Every method that asks, reduced to why nothing is known.
fn why_unknown(exec: &dyn Exec) -> Vec<(&'static str, Option<String>)> {
    let pacemaker = Pacemaker::new(exec, "db");
    let why = |known: Known<()>| known.why_unknown().map(str::to_owned);
    let n2 = n("n2");
    vec![
        ("status", why(pacemaker.status(LIMIT).map(|_| ()))),
        ("cib", why(pacemaker.cib(LIMIT).map(|_| ()))),
        ("local_node", why(pacemaker.local_node(None, LIMIT).map(|_| ()))),
        ("scores", why(pacemaker.scores(LIMIT).map(|_| ()))),
        ("read_all", why(pacemaker.read_all(Attribute::Ack, LIMIT).map(|_| ()))),
        ("set_score", why(pacemaker.set_score(&n2, 1, LIMIT))),
        ("set_missing_score", why(pacemaker.set_missing_score(&n2, 1, LIMIT).map(|_| ()))),
        ("delete_score", why(pacemaker.delete_score(&n2, LIMIT))),
        ("publish", why(pacemaker.publish(Attribute::Ack, "x", LIMIT))),
        ("withdraw", why(pacemaker.withdraw(Attribute::Ack, &n2, LIMIT))),
        ("write_ledger", why(pacemaker.write_ledger(&n2, "x", LIMIT))),
        ("delete_ledger", why(pacemaker.delete_ledger(&n2, LIMIT))),
    ]
}

#[test]
fn a_tool_that_is_missing_hangs_dies_or_fails_leaves_the_fact_unknown() {
    let rows = [
        (Script::new(Says::Missing), "could not be run: "),
        (Script::new(Says::Ends(Ended::TimedOut)), "gave no answer within "),
        (Script::new(Says::Ends(Ended::Signaled(11))), "was killed by signal 11"),
        (
            Script::out(102, "", "Could not connect to the CIB: Transport endpoint\n"),
            "exit code 102: Could not connect to the CIB: Transport endpoint (is Pacemaker running",
        ),
        (Script::out(1, "", ""), "exit code 1: it said nothing"),
    ];
    for (script, expected) in rows {
        for (method, why) in why_unknown(&script) {
            let why = why.unwrap_or_else(|| panic!("{method} is known: {expected}"));
            assert!(why.contains(expected), "{method}: {why}");
            assert!(!why.contains('\n'), "{method}: {why}");
        }
    }
}

#[test]
fn rubbish_and_silence_are_no_answers() {
    let whole = fixture("trixie", "healthy.crm_mon.xml");
    let half = whole[..whole.len() / 2].to_owned();
    for output in ["", " \n", "Connection lost", "<cib>", "<pacemaker-result/>", &half] {
        let script = Script::out(0, output, "");
        for (method, why) in why_unknown(&script).into_iter().take(5) {
            // One word may well be the name of a node.
            let word = method == "local_node" && output.starts_with('<') && !output.contains(' ');
            assert!(why.is_some() || word, "{method} takes {output:.40?} for an answer");
        }
    }
}

#[test]
fn a_cluster_that_is_not_running_is_reported_as_that() {
    for release in ["bookworm", "trixie", "forky"] {
        let script = Script::out(102, fixture(release, "not-connected.crm_mon.xml"), "");
        let status = Pacemaker::new(&script, "db").status(LIMIT);
        let why = status.why_unknown().unwrap().to_owned();
        assert!(why.contains("error 102") && why.contains("is Pacemaker running"), "{why}");
        let script = Script::out(102, fixture(release, "not-connected.attributes.xml"), "");
        let read = Pacemaker::new(&script, "db").read_all(Attribute::Ack, LIMIT);
        let why = read.why_unknown().unwrap().to_owned();
        assert!(why.contains("error 102") && why.contains("is Pacemaker running"), "{why}");
    }
}

#[test]
fn the_status_and_the_cib_of_every_release_are_understood() {
    for release in ["bookworm", "trixie", "forky"] {
        let script = Script::out(0, fixture(release, "healthy.crm_mon.xml"), "");
        assert!(Pacemaker::new(&script, "db").status(LIMIT).is_known(), "{release}");
        let script = Script::out(0, fixture(release, "healthy.cib.xml"), "");
        assert!(Pacemaker::new(&script, "db").cib(LIMIT).is_known(), "{release}");
    }
}

#[test]
fn an_answer_with_a_failing_exit_code_is_none() {
    let script = Script::out(1, fixture("trixie", "healthy.crm_mon.xml"), "oops");
    assert!(!Pacemaker::new(&script, "db").status(LIMIT).is_known());
    let script = Script::out(1, fixture("trixie", "healthy.cib.xml"), "oops");
    assert!(!Pacemaker::new(&script, "db").cib(LIMIT).is_known());
}

#[test]
fn what_members_published_comes_back_as_it_was_and_what_was_withdrawn_does_not() {
    let said = |n: u8| {
        format!(
            "exact system=7412345678901234567 line=1@0/3000000,2 lsn=0/5A0B1C8 followed=00ff{n} \
             | done term=3 heirs=n2,n3 <&>"
        )
    };
    for release in ["bookworm", "trixie", "forky"] {
        let script = Script::out(0, fixture(release, "position.attributes.xml"), "");
        let read = Pacemaker::new(&script, "db").read_all(Attribute::Position, LIMIT);
        assert_eq!(
            read,
            Known::Known(BTreeMap::from([(n("n1"), said(1)), (n("n2"), said(2))])),
            "{release}"
        );
        // The same document is no answer to another question.
        let read = Pacemaker::new(&script, "db").read_all(Attribute::Ack, LIMIT);
        assert!(!read.is_known(), "{release}");
    }
}

#[test]
fn that_nobody_ever_published_is_known() {
    for release in ["bookworm", "trixie", "forky"] {
        let script = Script::out(78, fixture(release, "no-such.attributes.xml"), "");
        let read = Pacemaker::new(&script, "db").read_all(Attribute::Ack, LIMIT);
        assert_eq!(read, Known::Known(BTreeMap::new()), "{release}");
    }
}

#[test]
fn a_score_that_is_no_number_makes_the_scores_unknown() {
    let answer = |value: &str| {
        format!(
            "<pacemaker-result><attribute name=\"master-db\" value=\"{value}\" host=\"n1\"/>\
             <attribute name=\"master-db\" value=\"\" host=\"n2\"/><status code=\"0\"/>\
             </pacemaker-result>"
        )
    };
    let scores = |value: &str| {
        let script = Script::out(0, answer(value), "");
        Pacemaker::new(&script, "db").scores(LIMIT)
    };
    assert_eq!(scores("100"), Known::Known(BTreeMap::from([(n("n1"), 100)])));
    assert_eq!(scores("-INFINITY"), Known::Known(BTreeMap::from([(n("n1"), -1_000_000)])));
    assert!(!scores("a hundred").is_known());
}

/// Regression: a standby left for less than a second, its score stayed away from the CIB, and to set it again every
/// minute was of no use: the attribute manager had it.
#[test]
fn a_score_that_is_missing_although_the_attribute_manager_has_it_is_written_again() {
    let answer = "<pacemaker-result><attribute name=\"master-db\" value=\"10000\" host=\"n2\"/>\
                  <status code=\"0\"/></pacemaker-result>";
    for (node, score, again) in [("n2", 10_000, true), ("n2", 20_000, false), ("n1", 10_000, false)]
    {
        let script = Script::out(0, answer, "");
        let set = Pacemaker::new(&script, "db").set_missing_score(&n(node), score, LIMIT);
        assert_eq!(set, Known::Known(again), "{node} {score}");
        let asked = script.asked.borrow();
        assert!(asked.contains(&commands::set_score("db", &n(node), score, LIMIT)));
        assert_eq!(asked.last() == Some(&commands::write_again(LIMIT)), again, "{node} {score}");
    }
    // Whether it has it is not known: it is set, as ever.
    let script = Script::out(0, "rubbish", "");
    let set = Pacemaker::new(&script, "db").set_missing_score(&n("n2"), 10_000, LIMIT);
    assert_eq!(set, Known::Known(false));
}

#[test]
fn the_node_name_that_pacemaker_gave_is_taken_and_nothing_is_asked() {
    let script = Script::out(0, "n1\n", "");
    let pacemaker = Pacemaker::new(&script, "db");
    assert_eq!(pacemaker.local_node(Some("n7"), LIMIT), Known::Known(n("n7")));
    assert!(script.asked.borrow().is_empty());
    assert_eq!(pacemaker.local_node(None, LIMIT), Known::Known(n("n1")));
    assert_eq!(pacemaker.local_node(Some(""), LIMIT), Known::Known(n("n1")));
    assert_eq!(script.asked.borrow().len(), 2);
}

#[test]
fn the_instance_number_is_dropped_and_the_environment_passed_on() {
    let script = Script::out(0, "", "");
    let pacemaker = Pacemaker::new(&script, "db:1")
        .with_env([("PCMK_ipc_type".to_owned(), "socket".to_owned())]);
    assert_eq!(pacemaker.resource(), "db");
    assert_eq!(pacemaker.publish(Attribute::Ack, "a b", LIMIT), Known::Known(()));
    assert_eq!(pacemaker.write_ledger(&n("n2"), "term=1", LIMIT), Known::Known(()));
    let socket = |cmd: Cmd| cmd.env("PCMK_ipc_type", "socket");
    assert_eq!(
        *script.asked.borrow(),
        [
            socket(commands::publish("pgtwin-db-ack", "a b", true, LIMIT)),
            socket(commands::set_property("pgtwin-db", "pgtwin-db-ledger-n2", "term=1", LIMIT)),
        ]
    );
}

#[test]
fn a_value_that_some_version_would_change_is_never_sent() {
    let script = Script::out(0, "", "");
    let pacemaker = Pacemaker::new(&script, "db");
    let long = "x".repeat(33 * 1024);
    for value in ["", "a\nb", "a\tb", "\u{e9}", "value++", "value+=5", "term++ x", &long] {
        assert!(!pacemaker.publish(Attribute::Ack, value, LIMIT).is_known(), "{value:.20?}");
        assert!(!pacemaker.write_ledger(&n("n1"), value, LIMIT).is_known(), "{value:.20?}");
    }
    assert!(script.asked.borrow().is_empty());
}

#[test]
fn only_the_state_is_public() {
    let rows = [
        (Attribute::Position, "pgtwin-db-position", true),
        (Attribute::Ack, "pgtwin-db-ack", true),
        (Attribute::Shutdown, "pgtwin-db-shutdown", true),
        (Attribute::Progress, "pgtwin-db-progress", true),
        (Attribute::Image, "pgtwin-db-image", true),
        (Attribute::History, "pgtwin-db-history", true),
        (Attribute::Rebuild, "pgtwin-db-rebuild", true),
        (Attribute::State, "pgtwin-db-state", false),
    ];
    for (attribute, name, private) in rows {
        assert_eq!((attribute.name("db").as_str(), attribute.is_private()), (name, private));
    }
}

#[test]
fn an_answer_that_came_together_with_others_is_given_once_and_to_its_own_question() {
    let script = Script::out(0, fixture("trixie", "healthy.cib.xml"), "");
    let pacemaker = Pacemaker::new(&script, "db").with_env([("PCMK_x".into(), "1".into())]);
    pacemaker.ask_together(&[Question::Cib, Question::All(Attribute::Ack)], LIMIT);
    assert_eq!(script.asked.borrow().len(), 2);
    assert!(pacemaker.cib(Duration::from_secs(9)).is_known());
    assert_eq!(script.asked.borrow().len(), 2, "it was there");
    assert!(pacemaker.cib(LIMIT).is_known());
    assert_eq!(script.asked.borrow().len(), 3, "it was used up");
    let _ = pacemaker.read_all(Attribute::Position, LIMIT);
    assert_eq!(script.asked.borrow().len(), 4, "another question");
    // What nobody has asked for is not kept for later.
    pacemaker.ask_together(&[Question::Cib], LIMIT);
    let _ = pacemaker.read_all(Attribute::Ack, LIMIT);
    assert_eq!(script.asked.borrow().len(), 6);
    assert!(
        script.asked.borrow().iter().all(|cmd| cmd.env.iter().any(|(name, _)| name == "PCMK_x"))
    );
}

#[test]
fn a_question_that_failed_among_others_is_asked_again_and_stays_unknown() {
    let script = Script::new(Says::Missing);
    let pacemaker = Pacemaker::new(&script, "db");
    pacemaker.ask_together(&[Question::Status, Question::Cib], LIMIT);
    assert!(!pacemaker.cib(LIMIT).is_known());
    assert!(!pacemaker.status(LIMIT).is_known());
    assert_eq!(script.asked.borrow().len(), 4);
}

#[test]
fn news_told_together_are_the_commands_of_the_single_calls_each_with_its_answer() {
    let (n1, n2) = (n("n1"), n("n2"));
    let together = Script::out(0, "", "");
    let news = [
        News::Score(&n2, 7),
        News::NoScore(&n1),
        News::Publish(Attribute::Position, "x y"),
        News::Publish(Attribute::State, ""),
        News::Withdraw(Attribute::Shutdown, &n1),
        News::Ledger(&n1, "done"),
    ];
    let answers = Pacemaker::new(&together, "db").tell_all(&news, LIMIT);
    let known: Vec<bool> = answers.iter().map(Known::is_known).collect();
    assert_eq!(known, [true, true, true, false, true, true], "an empty value is refused");

    let single = Script::out(0, "", "");
    let pacemaker = Pacemaker::new(&single, "db");
    assert!(pacemaker.set_score(&n2, 7, LIMIT).is_known());
    assert!(pacemaker.delete_score(&n1, LIMIT).is_known());
    assert!(pacemaker.publish(Attribute::Position, "x y", LIMIT).is_known());
    assert!(pacemaker.withdraw(Attribute::Shutdown, &n1, LIMIT).is_known());
    assert!(pacemaker.write_ledger(&n1, "done", LIMIT).is_known());
    assert_eq!(*together.asked.borrow(), *single.asked.borrow());

    let refused = Script::out(1, "", "no");
    let answers = Pacemaker::new(&refused, "db").tell_all(&news[..2], LIMIT);
    assert!(answers.iter().all(|answer| !answer.is_known()), "{answers:?}");
}

#[test]
fn regression_what_a_tool_says_is_one_line_of_a_bounded_length() {
    let status = |words: &str| {
        format!("<pacemaker-result><status code=\"102\" message=\"{words}\"/></pacemaker-result>")
    };
    for words in ["Not\n\u{1b}[2Jconnected".to_owned(), "x".repeat(100_000)] {
        for (method, why) in why_unknown(&Script::out(102, status(&words), "")) {
            let why = why.unwrap_or_default();
            assert!(why.len() <= WHY && !why.contains(char::is_control), "{method}: {why}");
        }
    }
}

/// Regression: the attribute manager of a standby hung, its notification before a promotion asked it three times, and
/// the promotion came half a minute later.
#[test]
fn an_attribute_manager_that_has_been_silent_is_not_waited_for_as_long_again() {
    let script = Script::new(Says::Ends(Ended::TimedOut));
    let pacemaker = Pacemaker::new(&script, "db");
    let limits = || script.asked.borrow_mut().drain(..).map(|cmd| cmd.limit).collect::<Vec<_>>();
    drop(pacemaker.cib(LIMIT));
    drop(pacemaker.read_all(Attribute::Ack, LIMIT));
    assert_eq!(limits(), [LIMIT, LIMIT], "another program's silence says nothing");
    drop(pacemaker.publish(Attribute::Ack, "x", LIMIT));
    drop(pacemaker.tell_all(&[News::Publish(Attribute::Ack, "x")], LIMIT));
    drop(pacemaker.read_all(Attribute::Ack, Duration::from_millis(1)));
    assert_eq!(limits(), [ONCE_MUTE, ONCE_MUTE, Duration::from_millis(1)]);
    drop(pacemaker.cib(LIMIT));
    drop(pacemaker.status(LIMIT));
    assert_eq!(limits(), [LIMIT, LIMIT], "others are asked as before");
}
