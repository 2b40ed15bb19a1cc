use super::*;

#[test]
fn the_options_are_consistent() {
    Options::command().debug_assert();
}

#[test]
fn the_help_names_the_actions_there_are() {
    // The screens are in tests/fixtures/help.
    let help = Options::command().render_long_help().to_string();
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
