use super::*;

/// The help as it is printed on a terminal of 80 columns.
fn help_of(command: clap::Command) -> String {
    command.term_width(80).render_long_help().to_string()
}

#[test]
fn the_options_are_consistent() {
    Options::command().debug_assert();
}

#[test]
fn the_help_lists_what_operators_do_and_then_what_pacemaker_does() {
    let expected = "\
PostgreSQL high availability on Pacemaker

Usage: pgtwin <COMMAND>

Commands:
  status         Show the nodes, who may take over, and what needs attention
  doctor         Look for what would make for a bad night, and say what to type
  setup          Print a complete configuration: PostgreSQL's, pg_hba.conf, and
                 the cluster's
  forget         Stop counting on a node that is gone for good
  force-promote  Make a node the primary although commits may be lost
  help           Print this message or the help of the given subcommand(s)

Options:
  -h, --help
          Print help

  -V, --version
          Print version

Actions of the resource agent (Pacemaker calls them, with OCF_RESKEY_* set):
  start, stop, promote, demote, monitor, notify, reload-agent, validate-all,
  validate-pghba, meta-data, usage

Exit codes of the operator's commands:
  0  done, or all is well
  1  something needs attention, or it was not done; the reason is printed
  2  the command line is wrong
Actions exit with the codes of OCF resource agents (an unknown action: 3).
";
    let help = help_of(Options::command());
    assert!(help == expected, "{help}");
}

#[test]
fn every_help_names_the_actions_there_are_and_fits_a_terminal() {
    let help = help_of(Options::command());
    for action in crate::ocf::action::Action::ALL {
        assert!(help.contains(action.name()), "{} is missing", action.name());
    }
    let mut all = vec![help];
    for command in Options::command().get_subcommands() {
        all.push(help_of(command.clone()));
    }
    for text in all {
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn no_command_is_also_an_action() {
    for action in crate::ocf::action::Action::ALL {
        assert!(!is_command(action.name()), "{}", action.name());
    }
    assert!(is_command("force-promote") && is_command("help") && !is_command("frobnicate"));
}

#[test]
fn force_promote_needs_the_word_and_names_are_checked() {
    for (line, fits) in [
        ("pgtwin force-promote n1 --accept-data-loss", true),
        ("pgtwin force-promote n1", false),
        ("pgtwin force-promote --accept-data-loss", false),
        ("pgtwin forget n1 --yes --resource db", true),
        ("pgtwin forget n;1", false),
        ("pgtwin forget", false),
        ("pgtwin status --resource db", true),
        ("pgtwin status n1", false),
    ] {
        let parsed = Options::try_parse_from(line.split(' '));
        assert_eq!(parsed.is_ok(), fits, "{line}: {parsed:?}");
        if let Err(error) = parsed {
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
