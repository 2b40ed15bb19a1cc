//! The man pages of the commands: what `--help` says, and where more is.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use pgtwin::agent::run::{LOG_ROOT, STATE_ROOT};

use crate::SOURCE;

/// Where the program leaves something.
fn files() -> [(String, &'static str); 5] {
    [
        (
            format!("{STATE_ROOT}/RSC/"),
            "The ledger of the resource RSC, and a recovery that has not ended.",
        ),
        (format!("{LOG_ROOT}/RSC/"), "What recoveries did."),
        (format!("{LOG_ROOT}/RSC.log"), "What PostgreSQL prints, unless it logs elsewhere."),
        (
            "/usr/lib/ocf/resource.d/heartbeat/pgtwin".into(),
            "The resource agent: a link to the program.",
        ),
        ("/usr/share/doc/pgtwin/".into(), "The documents."),
    ]
}

/// The pages of the program and of each command that is for people, and of their commands.
pub fn pages() -> Vec<(String, String)> {
    let mut root = pgtwin::cli::definition().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    add(&root, None, &mut pages);
    pages
}

fn add(command: &Command, parent: Option<&str>, pages: &mut Vec<(String, String)>) {
    pages.push((format!("{}.8", page_name(command)), page(command, parent)));
    for sub in shown(command) {
        add(sub, Some(page_name(command)), pages);
    }
}

/// The commands of a command that are for people.
pub fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn page_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// How it is called, as its help says.
pub fn usage(command: &Command) -> Vec<String> {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage:").unwrap_or(&usage);
    usage.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn page(command: &Command, parent: Option<&str>) -> String {
    let man = Man::new(command.clone()).section("8");
    let mut text = String::new();
    let mut add = |part: &dyn Fn(&mut Vec<u8>) -> std::io::Result<()>| {
        let mut bytes = Vec::new();
        part(&mut bytes).unwrap();
        text.push_str(&body(std::str::from_utf8(&bytes).unwrap()));
    };
    add(&|out| man.render_name_section(out));
    add(&|out| synopsis(command).to_writer(out));
    add(&|out| man.render_description_section(out));
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        add(&|out| man.render_options_section(out));
    }
    if shown(command).next().is_some() {
        add(&|out| commands(command).to_writer(out));
    }
    add(&|out| rest(command, parent).to_writer(out));
    title(page_name(command), "8") + &text
}

/// The first lines of a page: the apostrophe is one, in groff and elsewhere; there is no date, which
/// the makers of pages would leave out altogether, so that the program would stand in its place.
pub fn title(name: &str, section: &str) -> String {
    let name = name.replace('-', "\\-");
    format!(
        ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n\
         .TH \"{name}\" \"{section}\" \"\" \"{SOURCE}\" \"PostgreSQL on Pacemaker\"\n"
    )
}

/// A part of a page without what each part brings along of its own.
pub fn body(text: &str) -> String {
    let own = |line: &&str| !line.starts_with(".ie ") && !line.starts_with(".el ");
    text.lines().filter(own).flat_map(|line| [line.trim_end(), "\n"]).collect()
}

fn synopsis(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    for (number, form) in usage(command).iter().enumerate() {
        if number > 0 {
            roff.control("br", []);
        }
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        match form.strip_prefix(name) {
            Some(rest) => roff.text([bold(name), roman(rest)]),
            None => roff.text([roman(form)]),
        };
    }
    roff
}

fn commands(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for sub in shown(command) {
        roff.control("TP", []);
        roff.text([bold(page_name(sub)), roman("(8)")]);
        roff.text([roman(sub.get_about().map(ToString::to_string).unwrap_or_default())]);
    }
    roff
}

/// What stands below the help, files, and other pages.
fn rest(command: &Command, parent: Option<&str>) -> Roff {
    let mut roff = Roff::new();
    if let Some(after) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        roff.control("SH", ["NOTES"]);
        for (number, paragraph) in after.to_string().split("\n\n").enumerate() {
            if number > 0 {
                roff.control("PP", []);
            }
            roff.control("nf", []);
            for line in paragraph.lines() {
                roff.text([roman(line)]);
            }
            roff.control("fi", []);
        }
    }
    if parent.is_none() {
        roff.control("SH", ["FILES"]);
        for (path, what) in files() {
            roff.control("TP", []);
            roff.text([bold(path)]);
            roff.text([roman(what)]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    let mut others = Vec::new();
    if let Some(parent) = parent {
        others.extend([bold(parent), roman("(8), ")]);
    }
    others.extend([bold("ocf_heartbeat_pgtwin"), roman("(7), "), bold("crm_mon"), roman("(8)")]);
    roff.text(others);
    roff
}
