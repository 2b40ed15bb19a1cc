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
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "explain" -d 'Say who would be promoted, why not the others, and what becomes of writes'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "switchover" -d 'Move the primary to another node'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "rebuild" -d 'Replace a standby\'s data by a full copy of the primary\'s'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "history" -d 'Tell what happened: promotions, recoveries, sync changes, fencing'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "pause" -d 'Have Pacemaker leave the database alone, with fencing armed'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "resume" -d 'End a pause'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "validate-pghba" -d 'Check that pg_hba.conf lets every member in'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "fix-pghba" -d 'Add the lines to pg_hba.conf that members need'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "doctor" -d 'Look for what would make for a bad night, and say what to type'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "setup" -d 'Print a complete configuration: PostgreSQL\'s, pg_hba.conf, and the cluster\'s'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "bootstrap" -d 'Prepare a node from nothing: a new database, or a standby of it'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "storage" -d 'Keep this node\'s data below storage_root'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "forget" -d 'Stop counting on a node that is gone for good'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "force-promote" -d 'Make a node the primary although commits may be lost'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "adopt" -d 'Declare this node\'s data the truth, and have all others built anew from it'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "container" -d 'Get the image for PostgreSQL, and move the cluster into containers or back'
complete -c pgtwin -n "__fish_pgtwin_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand status" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand status" -l param -d 'A parameter that the cluster\'s configuration has otherwise, or not; OCF_RESKEY_NAME in the environment does the same' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand status" -l watch -d 'Look again every so many seconds (2), until Ctrl-C' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand status" -l json -d 'Print JSON; its shape is in docs/json.md'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand status" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand explain" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand explain" -l param -d 'A parameter that the cluster\'s configuration has otherwise, or not; OCF_RESKEY_NAME in the environment does the same' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand explain" -l if -d 'Suppose that this node is lost, as in --if n2 or --if n2-dies; several (--if n2,n3, or the option twice): all at the same moment' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand explain" -l json -d 'Print JSON; its shape is in docs/json.md'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand explain" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand switchover" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand switchover" -l param -d 'A parameter that the cluster\'s configuration has otherwise, or not; OCF_RESKEY_NAME in the environment does the same' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand switchover" -l to -d 'The node; without it, the best that may take over' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand switchover" -l timeout -d 'How many seconds the checkpoint may take, and again the move; 60 where nothing is said' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand switchover" -l dry-run -d 'Check only, and say what would be done'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand switchover" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand switchover" -l json -d 'Print JSON; its shape is in docs/json.md. Needs --yes or --dry-run'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand switchover" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand rebuild" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand rebuild" -l dry-run -d 'Check only, and say what would be done'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand rebuild" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand rebuild" -l json -d 'Print JSON; its shape is in docs/json.md. Needs --yes or --dry-run'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand rebuild" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand history" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand history" -l param -d 'A parameter that the cluster\'s configuration has otherwise, or not; OCF_RESKEY_NAME in the environment does the same' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand history" -l json -d 'Print JSON; its shape is in docs/json.md'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand history" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand pause" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand pause" -l param -d 'A parameter that the cluster\'s configuration has otherwise, or not; OCF_RESKEY_NAME in the environment does the same' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand pause" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand pause" -l json -d 'Print JSON; its shape is in docs/json.md. Where somebody would be asked, it needs --yes'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand pause" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand resume" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand resume" -l param -d 'A parameter that the cluster\'s configuration has otherwise, or not; OCF_RESKEY_NAME in the environment does the same' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand resume" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand resume" -l json -d 'Print JSON; its shape is in docs/json.md. Where somebody would be asked, it needs --yes'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand resume" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand validate-pghba" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand validate-pghba" -l param -d 'A parameter that the cluster\'s configuration has otherwise, or not; OCF_RESKEY_NAME in the environment does the same' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand validate-pghba" -l json -d 'Print JSON, of the shape in docs/pghba.md'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand validate-pghba" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand fix-pghba" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand fix-pghba" -l param -d 'A parameter that the cluster\'s configuration has otherwise, or not; OCF_RESKEY_NAME in the environment does the same' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand fix-pghba" -l dry-run -d 'Show what would change, and change nothing'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand fix-pghba" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand fix-pghba" -l json -d 'Print JSON, of the shape in docs/pghba.md; needs --yes or --dry-run'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand fix-pghba" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand doctor" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand doctor" -l param -d 'A parameter that the cluster\'s configuration has otherwise, or not; OCF_RESKEY_NAME in the environment does the same' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand doctor" -l skip -d 'Leave this check out; may be given several times' -r -f -a "fencing-enabled\t''
fencing-devices\t''
fencing-tested\t''
fencing-startup\t''
fencing-delay\t''
quorum-policy\t''
corosync\t''
maintenance\t''
clone\t''
clone-notify\t''
clone-options\t''
monitors\t''
watched\t''
timeouts\t''
timeouts-size\t''
failures\t''
moves\t''
locations\t''
preferences\t''
stickiness\t''
address\t''
address-place\t''
address-order\t''
parameters\t''
members\t''
pacemaker\t''
defects\t''
versions\t''
wal-level\t''
hot-standby\t''
rewind\t''
durability\t''
synchronous-commit\t''
restart-after-crash\t''
wal-senders\t''
sender-timeout\t''
listen-addresses\t''
archiving\t''
history-files\t''
own-settings\t''
recovery-target\t''
configuration-files\t''
wraparound\t''
settings-size\t''
settings-equal\t''
delays\t''
slots\t''
slots-wal\t''
logical-slots\t''
hba\t''
logins\t''
role\t''
passfile\t''
addresses\t''
hostname\t''
disk\t''
disk-copy\t''
old-copies\t''
clock\t''
service-at-boot\t''
remove-ipc\t''
programs\t''
container-image\t''
container-local\t''
container-same\t''
permissions\t''"
complete -c pgtwin -n "__fish_pgtwin_using_subcommand doctor" -l cib -d 'Judge the configuration in a file, before it is in force; - is standard input' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand doctor" -l shell -d 'Write remedies for this shell: crmsh or pcs, whichever is installed' -r -f -a "crmsh\t''
pcs\t''"
complete -c pgtwin -n "__fish_pgtwin_using_subcommand doctor" -l all -d 'Print what is well, too'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand doctor" -l why -d 'Say of each finding why it matters'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand doctor" -l json -d 'Print JSON for programs; docs/doctor.md has its shape'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -l node -d 'A member, and the address by which the others reach it; two to five' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -l debian -d 'PostgreSQL as Debian and Ubuntu have it: 17, or 17/main' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -l param -d 'A parameter of the resource; docs/parameters.md lists them' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -l vip -d 'The address that moves with the primary, and its network\'s length' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -l standby-vip -d 'An address for readers, on a standby that streams' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -l resource -d 'What the resource is to be called' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -l fence -d 'The agent of the fence devices; stonith_admin --list-installed shows all' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -l fence-param -d 'A parameter of the fence devices; %n in it stands for the node' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -l shell -d 'For crmsh or pcs, whichever is installed; or xml, to be judged' -r -f -a "crmsh\t''
pcs\t''
xml\t''"
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -l only -d 'One part: conf, hba, passfile, role, service or cluster' -r -f -a "conf\t''
hba\t''
passfile\t''
role\t''
service\t''
cluster\t''"
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -l apply -d 'Write the cluster\'s part into the cluster that this node is in'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -l json -d 'Print JSON for programs; docs/setup.md has its shape'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand setup" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and not __fish_seen_subcommand_from primary standby help" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and not __fish_seen_subcommand_from primary standby help" -f -a "primary" -d 'Make a new database, with all that standbys need'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and not __fish_seen_subcommand_from primary standby help" -f -a "standby" -d 'Prepare a node that has no data yet for being copied to'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and not __fish_seen_subcommand_from primary standby help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from primary" -l node -d 'A member, and the address by which the others reach it; two to five' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from primary" -l debian -d 'PostgreSQL as Debian and Ubuntu have it: 17, or 17/main' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from primary" -l param -d 'A parameter of the resource; docs/parameters.md lists them' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from primary" -l password-file -d 'A file with the password of the standbys\' role: root\'s, and writable by nobody else; without it, it is asked for' -r -F
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from primary" -l locale -d 'The locale of the databases' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from primary" -l dry-run -d 'Check only, and say what would be done'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from primary" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from primary" -l json -d 'Print JSON; its shape is in docs/json.md. Needs --yes or --dry-run'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from primary" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from standby" -l node -d 'A member, and the address by which the others reach it; two to five' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from standby" -l debian -d 'PostgreSQL as Debian and Ubuntu have it: 17, or 17/main' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from standby" -l param -d 'A parameter of the resource; docs/parameters.md lists them' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from standby" -l password-file -d 'A file with the password of the standbys\' role: root\'s, and writable by nobody else; without it, it is asked for' -r -F
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from standby" -l locale -d 'The locale of the databases' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from standby" -l dry-run -d 'Check only, and say what would be done'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from standby" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from standby" -l json -d 'Print JSON; its shape is in docs/json.md. Needs --yes or --dry-run'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from standby" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from help" -f -a "primary" -d 'Make a new database, with all that standbys need'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from help" -f -a "standby" -d 'Prepare a node that has no data yet for being copied to'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand bootstrap; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and not __fish_seen_subcommand_from prepare status migrate help" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and not __fish_seen_subcommand_from prepare status migrate help" -f -a "prepare" -d 'Make the directories of this node'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and not __fish_seen_subcommand_from prepare status migrate help" -f -a "status" -d 'Show what is there on this node'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and not __fish_seen_subcommand_from prepare status migrate help" -f -a "migrate" -d 'Move a data directory of this node there'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and not __fish_seen_subcommand_from prepare status migrate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from prepare" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from prepare" -l param -d 'A parameter that the cluster\'s configuration has otherwise, or not; OCF_RESKEY_NAME in the environment does the same' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from prepare" -l dry-run -d 'Check only, and say what would be made'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from prepare" -l json -d 'Print JSON; its shape is in docs/json.md'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from prepare" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from status" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from status" -l param -d 'A parameter that the cluster\'s configuration has otherwise, or not; OCF_RESKEY_NAME in the environment does the same' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from status" -l json -d 'Print JSON; its shape is in docs/json.md'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from migrate" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from migrate" -l param -d 'A parameter that the cluster\'s configuration has otherwise, or not; OCF_RESKEY_NAME in the environment does the same' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from migrate" -l from -d 'The data directory that is moved; without it, the one that pgdata names' -r -F
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from migrate" -l dry-run -d 'Check only, and say what would be done'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from migrate" -l confirm -d 'Remove the old data of a move that is done'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from migrate" -l undo -d 'Take a move back'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from migrate" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from migrate" -l json -d 'Print JSON; its shape is in docs/json.md. Needs --yes or --dry-run'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from migrate" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from help" -f -a "prepare" -d 'Make the directories of this node'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show what is there on this node'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from help" -f -a "migrate" -d 'Move a data directory of this node there'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand storage; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand forget" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand forget" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand forget" -l json -d 'Print JSON; its shape is in docs/json.md. Where somebody would be asked, it needs --yes'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand forget" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand force-promote" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand force-promote" -l accept-data-loss -d 'Commits that clients were told to be safe may be lost'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand force-promote" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand force-promote" -l json -d 'Print JSON; its shape is in docs/json.md. Where somebody would be asked, it needs --yes'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand force-promote" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand adopt" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand adopt" -l accept-data-loss -d 'All that is not in this node\'s data is given up, acknowledged commits included'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand adopt" -l keep-restore-command -d 'Also where a restore_command is set: its archive has nothing of this data\'s timeline beyond this data, and no newer timeline'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand adopt" -l dry-run -d 'Check only, and say what would be done'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand adopt" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand adopt" -l json -d 'Print JSON; its shape is in docs/json.md. Where somebody would be asked, it needs --yes'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand adopt" -s h -l help -d 'Print help'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand container" -l resource -d 'The primitive, when several use pgtwin' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand container" -l param -d 'A parameter that the cluster\'s configuration has otherwise, or not; OCF_RESKEY_NAME in the environment does the same' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand container" -l timeout -d 'How many seconds a node may take to stream again; 300 where nothing is said' -r
complete -c pgtwin -n "__fish_pgtwin_using_subcommand container" -l dry-run -d 'Check only, and say what would be done'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand container" -l local -d 'pull: ask no registry; look into the image that lies on this node'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand container" -l apply -d 'adopt, leave: do it'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand container" -l yes -d 'Do not ask'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand container" -l json -d 'Print JSON; its shape is in docs/json.md. With --apply it needs --yes'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand container" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "status" -d 'Show the nodes, who may take over, and what needs attention'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "explain" -d 'Say who would be promoted, why not the others, and what becomes of writes'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "switchover" -d 'Move the primary to another node'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "rebuild" -d 'Replace a standby\'s data by a full copy of the primary\'s'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "history" -d 'Tell what happened: promotions, recoveries, sync changes, fencing'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "pause" -d 'Have Pacemaker leave the database alone, with fencing armed'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "resume" -d 'End a pause'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "validate-pghba" -d 'Check that pg_hba.conf lets every member in'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "fix-pghba" -d 'Add the lines to pg_hba.conf that members need'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "doctor" -d 'Look for what would make for a bad night, and say what to type'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "setup" -d 'Print a complete configuration: PostgreSQL\'s, pg_hba.conf, and the cluster\'s'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "bootstrap" -d 'Prepare a node from nothing: a new database, or a standby of it'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "storage" -d 'Keep this node\'s data below storage_root'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "forget" -d 'Stop counting on a node that is gone for good'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "force-promote" -d 'Make a node the primary although commits may be lost'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "adopt" -d 'Declare this node\'s data the truth, and have all others built anew from it'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "container" -d 'Get the image for PostgreSQL, and move the cluster into containers or back'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and not __fish_seen_subcommand_from status explain switchover rebuild history pause resume validate-pghba fix-pghba doctor setup bootstrap storage forget force-promote adopt container help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and __fish_seen_subcommand_from bootstrap" -f -a "primary" -d 'Make a new database, with all that standbys need'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and __fish_seen_subcommand_from bootstrap" -f -a "standby" -d 'Prepare a node that has no data yet for being copied to'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and __fish_seen_subcommand_from storage" -f -a "prepare" -d 'Make the directories of this node'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and __fish_seen_subcommand_from storage" -f -a "status" -d 'Show what is there on this node'
complete -c pgtwin -n "__fish_pgtwin_using_subcommand help; and __fish_seen_subcommand_from storage" -f -a "migrate" -d 'Move a data directory of this node there'
