# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_pgtwin_global_optspecs
    string join \n h/help V/version
end

function __fish_pgtwin_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_pgtwin_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_pgtwin_using_subcommand
    set -l cmd (__fish_pgtwin_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c pgtwin -n "__fish_pgtwin_needs_command" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -s V -l version -d 'Print version'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "status" -d 'Show the nodes, who may take over, and what needs attention'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "forget" -d 'Stop counting on a node that is gone for good'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "force-promote" -d 'Make a node the primary although commits may be lost'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand status" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand status" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand forget" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand forget" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand forget" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand force-promote" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand force-promote" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand force-promote" -l accept-data-loss -d 'Commits that clients were told to be safe may be lost'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand force-promote" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status forget force-promote help" -f -a "status" -d 'Show the nodes, who may take over, and what needs attention'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status forget force-promote help" -f -a "forget" -d 'Stop counting on a node that is gone for good'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status forget force-promote help" -f -a "force-promote" -d 'Make a node the primary although commits may be lost'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status forget force-promote help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
