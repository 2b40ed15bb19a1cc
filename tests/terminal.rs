//! What a terminal gets, and what a pipe gets: colours are for people, and only where they want them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::pty::openpty;

const ESCAPE: char = '\x1b';

/// A configuration with something to complain of, so that there is something to paint.
fn configuration() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quick-start/crmsh.cib.xml")
}

fn pgtwin(args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgtwin"));
    command.args(args).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("TERM", "xterm").envs(env.iter().copied()).stdin(Stdio::null());
    command
}

/// What stands on a terminal after the command.
fn on_a_terminal(args: &[&str], env: &[(&str, &str)]) -> String {
    let pty = openpty(None, None).unwrap();
    let slave = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut child = pgtwin(args, env).stdout(slave()).stderr(slave()).spawn().unwrap();
    drop(pty.slave);
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    let mut master = File::from(pty.master);
    // The end is an error here: nobody holds the other side any more.
    while let Ok(length) = master.read(&mut part) {
        if length == 0 {
            break;
        }
        bytes.extend_from_slice(&part[..length]);
    }
    child.wait().unwrap();
    String::from_utf8(bytes).unwrap().replace('\r', "")
}

fn through_a_pipe(args: &[&str], env: &[(&str, &str)]) -> String {
    let output = pgtwin(args, env).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

/// Without the codes that choose colours.
fn bare(text: &str) -> String {
    let mut parts = text.split(ESCAPE);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').unwrap().1)
}

#[test]
fn colours_are_for_a_terminal_and_change_no_word() {
    let file = configuration();
    let doctor = ["doctor", "--all", "--cib", file.to_str().unwrap(), "--shell", "crmsh"];
    for args in [&doctor[..], &["doctor", "--help"], &["help"], &["status", "--nonsense"]] {
        let (shown, piped) = (on_a_terminal(args, &[]), through_a_pipe(args, &[]));
        assert!(shown.contains(ESCAPE), "{args:?}: {shown}");
        assert!(!piped.contains(ESCAPE) && !piped.is_empty(), "{args:?}: {piped}");
        assert_eq!(bare(&shown), piped, "{args:?}");
        for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let shown = on_a_terminal(args, &[(name, value)]);
            assert_eq!(shown, piped, "{args:?} with {name}={value}");
        }
    }
}

#[test]
fn json_has_no_colours_on_a_terminal_either() {
    let file = configuration();
    let args = ["doctor", "--cib", file.to_str().unwrap(), "--json"];
    let shown = on_a_terminal(&args, &[]);
    assert!(shown.starts_with('{') && !shown.contains(ESCAPE), "{shown}");
    assert_eq!(shown, through_a_pipe(&args, &[]));
}

/// Whole screens, as they were looked at: who changes a word sees what comes of it. `PGTWIN_REFRESH=1` writes
/// them anew.
#[test]
fn screens_are_as_they_were_looked_at() {
    let bad = tempfile::NamedTempFile::new().unwrap();
    let text = fs::read_to_string(configuration()).unwrap();
    let worse =
        text.replace("name=\"notify\" value=\"true\"", "name=\"notify\" value=\"false\"").replace(
            "name=\"stonith-enabled\" value=\"true\"",
            "name=\"stonith-enabled\" value=\"false\"",
        );
    assert_ne!(worse, text);
    fs::write(bad.path(), worse).unwrap();
    let bad = bad.path().to_str().unwrap();
    let doctor = ["doctor", "--why", "--shell", "crmsh", "--cib", bad];
    let setup = "setup --node n1=10.0.0.11 --node n2=10.0.0.12 --vip 10.0.0.100/24 --debian 17 --shell crmsh";
    let setup: Vec<&str> = setup.split(' ').collect();
    for (name, args) in [("doctor", &doctor[..]), ("setup", &setup), ("mistake", &["swtchover"])] {
        let shown = through_a_pipe(args, &[]);
        let path = format!("{}/tests/fixtures/screens/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("PGTWIN_REFRESH").is_some() {
            fs::write(&path, &shown).unwrap();
        }
        assert_eq!(shown, fs::read_to_string(&path).unwrap(), "{path}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }
}
