use super::*;

#[test]
fn the_options_are_consistent() {
    Options::command().debug_assert();
}

#[test]
<<<<<<< ours
fn the_help_names_the_actions_there_are() {
    // The screens are in tests/fixtures/help.
    let help = Options::command().render_long_help().to_string();
=======
fn the_help_lists_what_operators_do_and_then_what_pacemaker_does() {
    let expected = "\
PostgreSQL high availability on Pacemaker

Usage: pgtwin <COMMAND>

Commands:
  status          Show the nodes, who may take over, and what needs attention
  explain         Say who would be promoted, why not the others, and what
                  becomes of writes
  switchover      Move the primary to another node
  rebuild         Replace a standby's data by a full copy of the primary's
  history         Tell what happened: promotions, recoveries, sync changes,
                  fencing
  pause           Have Pacemaker leave the database alone, with fencing armed
  resume          End a pause
  validate-pghba  Check that pg_hba.conf lets every member in
  fix-pghba       Add the lines to pg_hba.conf that members need
  doctor          Look for what would make for a bad night, and say what to type
  setup           Print a complete configuration: PostgreSQL's, pg_hba.conf, and
                  the cluster's
  bootstrap       Prepare a node from nothing: a new database, or a standby of
                  it
  storage         Keep this node's data below storage_root
  forget          Stop counting on a node that is gone for good
  force-promote   Make a node the primary although commits may be lost
  adopt           Declare this node's data the truth, and have all others built
                  anew from it
  help            Print this message or the help of the given subcommand(s)

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

/// The help of one command.
fn help_of_command(name: &str) -> String {
    let all = Options::command();
    help_of(all.find_subcommand(name).unwrap().clone())
}

#[test]
fn the_help_of_explain_says_what_the_answer_is_and_is_not() {
    let expected = "\
Say who would be promoted, why not the others, and what becomes of writes

Works on any node of the cluster and changes nothing. The answer is what the
agent itself would find, in its own words (docs/safety.md has each of them);
`this node` in them is the node of the line. Without --if: who would take over
if the primary were lost now, or, where there is none, who would be promoted as
things are.

Exits with 0 when there would be a primary that takes writes, with 1 otherwise.

Usage: explain [OPTIONS]

Options:
      --resource <RSC>
          The primitive, when several use pgtwin

      --param <NAME=VALUE>
          A parameter that the cluster's configuration has otherwise, or not;
          OCF_RESKEY_NAME in the environment does the same

      --if <NODE>
          Suppose that this node is lost, as in --if n2 or --if n2-dies; several
          (--if n2,n3, or the option twice): all at the same moment

      --json
          Print JSON; its shape is in docs/json.md

  -h, --help
          Print help (see a summary with '-h')
";
    let help = help_of_command("explain");
    assert!(help == expected, "said:\n{help}\nexpected:\n{expected}");
}

#[test]
fn the_help_of_switchover_says_what_happens_in_its_order_and_what_is_left_behind() {
    let expected = "\
Move the primary to another node

Works on any node of the cluster. First it checks what would keep the move from
coming to its end: the target has to stream, to be up to date and permitted to
take over, and nothing may be banned, failed, in maintenance or without quorum.
Then the primary writes a checkpoint, so that its shutdown is short, and
Pacemaker is told to move it (crm_resource --move). The constraint that this
needs is removed in any case: also after a failure, when the time is over, and
after Ctrl-C; should this node die meanwhile, it ends by itself. Writes stand
still for a second or two, as a rule.

Exits with 0 when the target is the primary and the old one streams from it,
with 1 otherwise. A move that does not come to its end is taken back: the
primary is then where Pacemaker's scores want it, which is told.

Usage: switchover [OPTIONS]

Options:
      --resource <RSC>
          The primitive, when several use pgtwin

      --param <NAME=VALUE>
          A parameter that the cluster's configuration has otherwise, or not;
          OCF_RESKEY_NAME in the environment does the same

      --to <NODE>
          The node; without it, the best that may take over

      --dry-run
          Check only, and say what would be done

      --timeout <SECONDS>
          How many seconds the checkpoint may take, and again the move; 60 where
          nothing is said

      --yes
          Do not ask

      --json
          Print JSON; its shape is in docs/json.md. Needs --yes or --dry-run

  -h, --help
          Print help (see a summary with '-h')
";
    let help = help_of_command("switchover");
    assert!(help == expected, "said:\n{help}\nexpected:\n{expected}");
}

#[test]
fn the_help_of_status_explains_its_columns() {
    let expected = "\
Show the nodes, who may take over, and what needs attention

Works on any node of the cluster and changes nothing. A `?` is what could not be
learned; a warning says why. `-` is what does not apply. LAG: bytes of the
primary's WAL that a standby lacks. DELAY: how long ago the primary wrote what
the standby has replayed last. SYNC: a commit waits for one of these. HEIR: the
node may replace the primary.

Exits with 0 when there is no warning, with 1 when there is one.

Usage: status [OPTIONS]

Options:
      --resource <RSC>
          The primitive, when several use pgtwin

      --param <NAME=VALUE>
          A parameter that the cluster's configuration has otherwise, or not;
          OCF_RESKEY_NAME in the environment does the same

      --watch[=<SECONDS>]
          Look again every so many seconds (2), until Ctrl-C

      --json
          Print JSON; its shape is in docs/json.md

  -h, --help
          Print help (see a summary with '-h')
";
    let help = help_of_command("status");
    assert!(help == expected, "said:\n{help}\nexpected:\n{expected}");
}

#[test]
fn every_help_names_the_actions_there_are_and_fits_a_terminal() {
    let help = help_of(Options::command());
>>>>>>> theirs
    for action in crate::ocf::action::Action::ALL {
        assert!(help.contains(action.name()), "{} is missing", action.name());
    }
}

#[test]
fn no_command_is_also_an_action_but_one() {
    for action in crate::ocf::action::Action::ALL {
        let both = action == crate::ocf::action::Action::ValidatePghba;
        assert_eq!(is_command(action.name()), both, "{}", action.name());
    }
    assert!(is_command("force-promote") && is_command("help") && !is_command("frobnicate"));
}

#[test]
fn force_promote_needs_the_word_and_names_are_checked() {
    for (line, fits) in [
        ("pgtwin force-promote n1 --accept-data-loss", true),
        ("pgtwin force-promote n1", false),
        ("pgtwin force-promote --accept-data-loss", false),
        ("pgtwin forget n1 --yes --json --resource db", true),
        ("pgtwin force-promote n1 --accept-data-loss --yes --json", true),
        ("pgtwin adopt n1 --accept-data-loss --yes --json", true),
        ("pgtwin adopt n1 --dry-run", true),
        ("pgtwin adopt n1", false),
        ("pgtwin adopt --accept-data-loss", false),
        ("pgtwin forget n;1", false),
        ("pgtwin forget", false),
        ("pgtwin status --resource db", true),
        ("pgtwin status n1", false),
        ("pgtwin status --watch --json", true),
        ("pgtwin status --watch=5", true),
        ("pgtwin status --watch=0", false),
        ("pgtwin status --watch 5", false),
        ("pgtwin status --param pgport=5433 --param vip=", true),
        ("pgtwin status --param pgprot=5433", false),
        ("pgtwin explain", true),
        ("pgtwin explain --if n1-dies --if n2-dies --json", true),
        ("pgtwin explain --if n1", true),
        ("pgtwin explain --if n1,n2-dies", true),
        ("pgtwin explain --if n;1", false),
        ("pgtwin explain --if", false),
        ("pgtwin explain n1", false),
        ("pgtwin switchover", true),
        ("pgtwin switchover --to n2 --timeout 30 --dry-run", true),
        ("pgtwin switchover --timeout 4", false),
        ("pgtwin switchover --to n;2", false),
        ("pgtwin switchover n2", false),
        ("pgtwin rebuild n2 --yes --json", true),
        ("pgtwin rebuild n2 --dry-run --resource db", true),
        ("pgtwin rebuild n2 --param pgport=5433", false),
        ("pgtwin rebuild", false),
        ("pgtwin rebuild n;2", false),
        ("pgtwin pause --yes --json --resource db", true),
        ("pgtwin resume", true),
        ("pgtwin resume n1", false),
    ] {
        let parsed = Options::try_parse_from(line.split(' '));
        assert_eq!(parsed.is_ok(), fits, "{line}: {parsed:?}");
        if let Err(error) = parsed {
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
