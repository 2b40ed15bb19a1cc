//! Completions for bash, zsh and fish, and the shells themselves that complete by them.

use std::path::Path;
use std::process::Command as Program;

use clap::Command;
use clap_complete::Shell;

use crate::generated::repository;

/// Each shell, and the file that it looks for.
const SHELLS: [(Shell, &str); 3] =
    [(Shell::Bash, "pgtwin.bash"), (Shell::Zsh, "_pgtwin"), (Shell::Fish, "pgtwin.fish")];

/// The file of each shell, and its text.
pub fn scripts() -> Vec<(String, String)> {
    SHELLS.map(|(shell, file)| (file.to_owned(), script(shell))).to_vec()
}

fn script(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut shown(&pgtwin::cli::definition()), "pgtwin", &mut text);
    let text = String::from_utf8(text).unwrap();
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// The same command without what is hidden: the makers of completions know no such thing.
fn shown(command: &Command) -> Command {
    let name: &'static str = command.get_name().to_owned().leak();
    let mut copy = Command::new(name)
        .args(command.get_arguments().cloned())
        .groups(command.get_groups().cloned())
        .visible_aliases(aliases(command))
        .subcommands(command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(shown));
    if let Some(about) = command.get_about() {
        copy = copy.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        let version: &'static str = version.to_owned().leak();
        copy = copy.version(version);
    }
    copy
}

fn aliases(command: &Command) -> Vec<&'static str> {
    let aliases = command.get_visible_aliases().map(ToOwned::to_owned);
    aliases.map(|alias| -> &'static str { alias.leak() }).collect()
}

fn file(name: &str) -> String {
    repository("packaging/completions").join(name).to_str().unwrap().to_owned()
}

/// What a program of a shell prints.
fn says(shell: &str, arguments: &[&str]) -> String {
    let output = Program::new(shell)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("TERM", "dumb")
        .env("HOME", "/nonexistent")
        .output()
        .unwrap_or_else(|error| panic!("{shell} can't be run ({error}): install {shell}"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{shell}: {errors}");
    format!("{}{errors}", String::from_utf8_lossy(&output.stdout))
}

/// The words that bash offers after these.
fn bash(words: &[&str]) -> Vec<String> {
    let last = words.len() - 1;
    let script = format!(
        "source {}; COMP_WORDS=({}); COMP_CWORD={last}; \
         _pgtwin pgtwin '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        file("pgtwin.bash"),
        words.join(" "),
        words[last],
        words[last - 1],
    );
    says("bash", &["--norc", "-c", &script]).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    assert_eq!(bash(&["pgtwin", "force-p"]), ["force-promote"]);
    assert_eq!(bash(&["pgtwin", "forget", "--res"]), ["--resource"]);
    assert_eq!(bash(&["pgtwin", "doctor", "--shell", "p"]), ["pcs"]);
    assert_eq!(bash(&["pgtwin", "doctor", "--skip", "quorum"]), ["quorum-policy"]);
    assert_eq!(bash(&["pgtwin", "setup", "--only", "r"]), ["role"]);
    assert!(!bash(&["pgtwin", "rec"]).contains(&"recover".to_owned()), "a hidden command");
}

/// The words that fish offers to end this line.
fn fish(line: &str) -> Vec<String> {
    let script = format!("source {}; complete -C '{line}'", file("pgtwin.fish"));
    let said = says("fish", &["--no-config", "-c", &script]);
    said.lines().filter_map(|line| Some(line.split('\t').next()?.to_owned())).collect()
}

#[test]
fn fish_completes_commands_and_options() {
    assert_eq!(fish("pgtwin force-p"), ["force-promote"]);
    assert!(fish("pgtwin forget --res").contains(&"--resource".to_owned()));
    assert_eq!(fish("pgtwin doctor --shell p"), ["pcs"]);
    assert!(!fish("pgtwin rec").contains(&"recover".to_owned()), "a hidden command");
}

/// Types the beginning of a line and the tab key to zsh, on a terminal of its own, and waits until the
/// line reads so. (More keys at once would do: zsh gives a completion up for them.)
fn zsh_completes(line: &str, whole: &str) {
    let script = format!(
        r#"zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell 'PROMPT=; fpath=({dir} $fpath); autoload -Uz compinit; compinit -u -D; echo re''ady'
        zpty -r -m shell seen '*ready*'
        zpty -w -n shell $'{line}\t'
        zpty -r -m shell seen '*{whole}*'
        print -r -- "$seen"
        zpty -d shell"#,
        dir = Path::new(&file("_pgtwin")).parent().unwrap().display(),
    );
    let said = says("timeout", &["60", "zsh", "-f", "-c", &script]);
    assert!(said.contains(whole), "{said}");
}

#[test]
fn zsh_completes_commands_and_options() {
    zsh_completes("pgtwin force-p", "pgtwin force-promote");
    zsh_completes("pgtwin forget --res", "pgtwin forget --resource");
    zsh_completes("pgtwin doctor --skip quorum", "pgtwin doctor --skip quorum-policy");
    assert!(!scripts().iter().any(|(_, text)| text.contains("recover)")), "a hidden command");
}
