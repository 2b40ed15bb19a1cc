//! Each reason that an action can give is explained in the pages for it, in its own words. The sources are read
//! as text, so that a new reason without an entry is found: whatever a file says that words reasons is one,
//! unless the list below says what else it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod pages;
mod source;

use std::fs;
use std::path::Path;

use pages::{LEAST, is_about, quoted};
use source::{Text, texts};

/// The pages that explain reasons.
const PAGES: [&str; 4] = ["troubleshooting.md", "safety.md", "recovery.md", "recovery-check.md"];

/// The files that word reasons.
const FILES: &[&str] = &[
    "ocf/env.rs",
    "decide/answer.rs",
    "decide/broken_replication.rs",
    "decide/container.rs",
    "decide/demote.rs",
    "decide/election.rs",
    "decide/fit.rs",
    "decide/ledger.rs",
    "decide/monitor.rs",
    "decide/monitor/primary.rs",
    "decide/promote.rs",
    "decide/publication.rs",
    "decide/reach.rs",
    "decide/recovery.rs",
    "decide/recovery_check.rs",
    "decide/recovery_check/room.rs",
    "decide/recovery_check/settings.rs",
    "decide/source/words.rs",
    "decide/standby.rs",
    "decide/start.rs",
    "decide/start/primary.rs",
    "decide/sync.rs",
    "decide/upstream.rs",
    "decide/view.rs",
    "client/ledger_file.rs",
    "client/pacemaker.rs",
    "client/recovery_file.rs",
    "runtime/bare.rs",
    "runtime/binaries.rs",
    "runtime/container.rs",
    "runtime/container/image.rs",
    "runtime/container/mounts.rs",
    "runtime/container/permit.rs",
    "runtime/data_dir.rs",
    "runtime/image/programs.rs",
    "runtime/instance.rs",
    "runtime/instance/ending.rs",
    "runtime/mod.rs",
    "runtime/one_server.rs",
    "runtime/owner.rs",
    "runtime/processes.rs",
    "runtime/recover.rs",
    "runtime/start.rs",
    "runtime/startup_process.rs",
    "runtime/stop.rs",
    "sys/detach.rs",
    "sys/files.rs",
    "sys/privilege.rs",
    "agent/broken.rs",
    "agent/care.rs",
    "agent/demote.rs",
    "agent/ledger.rs",
    "agent/mod.rs",
    "agent/monitor.rs",
    "agent/promote.rs",
    "agent/publish.rs",
    "agent/reach.rs",
    "agent/recover.rs",
    "agent/recover/launch.rs",
    "agent/recover/parts.rs",
    "agent/recover/watch.rs",
    "agent/run.rs",
    "agent/start.rs",
    "agent/stop.rs",
    "agent/upstream.rs",
    "agent/validate.rs",
    "agent/worker.rs",
];

/// What goes to the log, and the second half of an advice: what to do, which explains itself.
const OTHER_CALLS: [(&str, Option<usize>); 8] = [
    ("error!", None),
    ("tracing::error!", None),
    ("warn!", None),
    ("info!", None),
    ("debug!", None),
    ("Advice::new", Some(1)),
    ("found", Some(2)),
    // A variable of the environment that is passed over is told in the log.
    ("meta", None),
];

/// Texts that are no reason: the file, how each begins, and what it is.
const NO_REASONS: &[(&str, &str, &str)] = &[
    ("ocf/env.rs", "{}={} is not {}; it is disregarded", "a line of the log"),
    (
        "decide/publication.rs",
        "it is missing",
        "what the ledger file is, in a reason that the pages have",
    ),
    ("decide/election.rs", "{} is about database system {}", "of the same"),
    ("decide/reach.rs", "usual causes", "the end of a warning"),
    ("decide/ledger.rs", "no promotion was pending", "a line of the log"),
    ("decide/ledger.rs", "an earlier promotion of this node", "a line of the log"),
    ("decide/ledger.rs", ": nobody has written to timeline", "the end of that line"),
    (
        "decide/recovery.rs",
        "a recovery ended half way",
        "a cause, which stands at the end of a reason",
    ),
    ("decide/recovery_check.rs", "it is another database: move it away", "a remedy"),
    ("decide/recovery_check.rs", "GRANT EXECUTE", "a remedy"),
    ("decide/recovery_check/room.rs", "WAL by", "how it was measured"),
    ("decide/recovery_check/room.rs", "by tablespaces", "how it was measured"),
    ("decide/recovery_check/room.rs", "by databases", "how it was measured"),
    ("decide/source/words.rs", "the default passfile", "a part of a remedy"),
    ("decide/start.rs", "two promotions on one", "the end of a reason"),
    ("decide/start.rs", "a recovery of its data ended", "a line of the log: it is stopped again"),
    ("decide/start.rs", "PostgreSQL runs already", "a line of the log: start is done"),
    ("decide/start.rs", "still replaying", "a line of the log: start is done"),
    ("decide/start.rs", "it runs, and", "a line of the log: start is done"),
    ("decide/start.rs", "PostgreSQL replays WAL and", "a line of the log: start is done"),
    ("decide/start/primary.rs", "the ledger does not say", "the end of a reason"),
    ("decide/view.rs", "the entry of {} in the CIB", "the end of a reason"),
    ("client/pacemaker.rs", "an empty value is", "a mistake that is not possible"),
    ("client/pacemaker.rs", "only printable ASCII", "a mistake that is not possible"),
    ("client/pacemaker.rs", "Pacemaker would take it", "a mistake that is not possible"),
    ("client/pacemaker.rs", "it is longer than", "a mistake that is not possible"),
    ("client/pacemaker.rs", "{} cannot be stored", "a mistake that is not possible"),
    ("client/pacemaker.rs", "it was not run", "the end of a reason"),
    ("client/recovery_file.rs", "a recovery cannot say by whom", "a line of the log of the worker"),
    ("client/recovery_file.rs", "it was last", "a line of status"),
    ("client/recovery_file.rs", "it has not said so", "a line of status"),
    ("runtime/binaries.rs", "/usr/lib/postgresql/N", "where it was looked, at the end of a reason"),
    ("decide/container.rs", "was made and not started", "a part of a line of the log"),
    ("decide/container.rs", "was out of memory", "a part of a line of the log"),
    ("decide/container.rs", "ended with code", "a part of a line of the log"),
    ("decide/container.rs", "the container {} had met its limit", "a line of the log"),
    ("decide/container.rs", "the container {} {} although", "a line of the log"),
    ("runtime/container.rs", "remove the container of before", "what is tried"),
    ("runtime/container/mounts.rs", "it is a directory", "the end of a reason"),
    ("runtime/image/programs.rs", "{} in the image", "a program's name, in a reason"),
    ("runtime/image/programs.rs", "no such file", "what an engine says"),
    ("runtime/image/programs.rs", "executable file not found", "what an engine says"),
    ("runtime/image/programs.rs", "not found in $path", "what an engine says"),
    ("runtime/container/mounts.rs", "config_file lies in", "the end of a reason"),
    ("runtime/container/mounts.rs", "container_options has", "the end of a reason"),
    ("runtime/container/mounts.rs", "it cannot be made", "the end of a reason"),
    ("runtime/container/mounts.rs", "it is no directory", "the end of a reason"),
    ("runtime/container/mounts.rs", "it cannot be given", "the end of a reason"),
    ("runtime/container/permit.rs", "/proc does not know", "the end of a reason"),
    ("runtime/processes.rs", "PostgreSQL does not run", "said of a signal that nobody gets"),
    ("runtime/processes.rs", "thaw the container", "what is tried"),
    ("runtime/data_dir.rs", "read the control file", "what is tried"),
    ("runtime/data_dir.rs", "No such file", "what another program says"),
    ("runtime/instance.rs", "not looked at, for", "data that a server answers for"),
    ("runtime/instance.rs", "{} is missing in pg_wal", "the end of a reason"),
    ("runtime/instance.rs", "{} did not give the history", "the end of a reason"),
    ("runtime/mod.rs", "LOG: ", "what PostgreSQL says"),
    ("runtime/start.rs", "its log cannot be read", "the end of a reason"),
    ("sys/detach.rs", "Before=", "an option of systemd-run"),
    ("sys/detach.rs", "--description=", "an option of systemd-run"),
    ("sys/detach.rs", "there is no way", "the end of a reason"),
    ("sys/detach.rs", "this process has", "the end of a reason"),
    ("sys/detach.rs", "/proc does not know", "the end of a reason"),
    ("sys/detach.rs", "{} is no number of", "the end of a reason"),
    ("sys/detach.rs", "{} has ended, see", "the end of a reason"),
    ("sys/detach.rs", "{} did not come to it", "the end of a reason"),
    ("sys/detach.rs", "a recovery cannot end itself", "a mistake that is not possible"),
    ("sys/files.rs", "special file", "what a file is"),
    ("sys/files.rs", ", check the owner", "the end of a reason: what to do"),
    ("sys/files.rs", ", make room", "the end of a reason: what to do"),
    ("sys/files.rs", ", its file system is", "the end of a reason: what to do"),
    ("agent/mod.rs", "there is no cluster here", "an operator who calls the agent by hand knows"),
    ("agent/monitor.rs", "it was not compared", "a fact that is not known; it is looked for"),
    ("agent/promote.rs", "nothing was told", "the end of a line of the log"),
    (
        "agent/promote.rs",
        "the own position is not known",
        "a fact; the refusal has words of its own",
    ),
    (
        "agent/promote.rs",
        "it has published no shutdown",
        "a fact; the refusal has words of its own",
    ),
    ("agent/publish.rs", "PostgreSQL does not answer yet", "the end of a reason"),
    ("agent/publish.rs", "it accepts writes", "the end of a reason"),
    ("agent/reach.rs", "(it still streams)", "a part of a warning"),
    ("agent/recover.rs", "nobody has asked", "a fact that is not known; it is looked for"),
    (
        "agent/recover/launch.rs",
        "a recovery ended half way",
        "a cause, which stands at the end of a reason",
    ),
    ("agent/validate.rs", "{} lets {} in from every member", "all is well"),
    ("agent/validate.rs", "pg_hba.conf lacks", "what validate-pghba says: tests/hba holds it"),
    ("agent/start.rs", "{}: stop it first", "a reason that the pages have, with its remedy"),
    ("agent/worker.rs", "it was started for", "a line of the log of the worker"),
    ("agent/worker.rs", "what an earlier attempt", "what a recovery has done"),
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All texts that people may meet, with their files.
fn said() -> Vec<(&'static str, Text)> {
    let of = |file: &&'static str| {
        let file = *file;
        texts(&read(&format!("src/{file}"))).into_iter().map(move |text| (file, text))
    };
    let is_prose = |text: &Text| text.constant().len() >= LEAST && text.constant().contains(' ');
    let is_reason =
        |text: &Text| !OTHER_CALLS.iter().any(|(name, argument)| text.is_in(name, *argument));
    FILES.iter().flat_map(of).filter(|(_, text)| is_prose(text) && is_reason(text)).collect()
}

fn is_listed(file: &str, text: &Text) -> bool {
    NO_REASONS.iter().any(|(of, begin, _)| *of == file && shown(text).starts_with(begin))
}

/// As it stands in the source, more or less.
fn shown(text: &Text) -> String {
    text.text.replace(source::HOLE, "{}")
}

#[test]
fn every_reason_of_an_action_has_its_entry() {
    let said = said();
    assert!(said.len() > 250, "only {} texts were found", said.len());
    let quotations: Vec<String> =
        PAGES.iter().flat_map(|page| quoted(&read(&format!("docs/{page}")))).collect();
    let is_explained = |text: &Text| quotations.iter().any(|one| is_about(one, &text.text));
    let missing: Vec<String> = said
        .iter()
        .filter(|(file, text)| !is_listed(file, text) && !is_explained(text))
        .map(|(file, text)| format!("src/{file}: {}", shown(text)))
        .collect();
    assert!(
        missing.is_empty(),
        "no entry in docs/{}, and not in the list of what is no reason:\n{}",
        PAGES.join(", docs/"),
        missing.join("\n")
    );
}

#[test]
fn the_list_of_what_is_no_reason_names_what_there_is() {
    let said = said();
    for (file, begin, _) in NO_REASONS {
        let there = said.iter().any(|(of, text)| of == file && shown(text).starts_with(begin));
        assert!(there, "src/{file} has no text that begins with {begin:?}");
    }
}

#[test]
fn a_reason_without_an_entry_would_be_found() {
    let invented = texts("fn f() { Outcome::error(format!(\"{node} has no business here\")) }");
    let quotations: Vec<String> =
        PAGES.iter().flat_map(|page| quoted(&read(&format!("docs/{page}")))).collect();
    assert!(!quotations.iter().any(|one| is_about(one, &invented[0].text)));
}
