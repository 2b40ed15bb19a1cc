//! A worker that is killed at each step of its plan, one step after the other, until the plan is over: the
//! old data is there until the new streams, nothing half done is started, and the node comes back. A trap
//! kills, and sees that very moment; a guard sees all that follows.

use lab::{Cluster, Options, Result};

use super::recovery::{start_without_checksums, without_hints};
use crate::guard;
use crate::look::wait_stopped;
use crate::recovery::{assert_recovered, part};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case, fresh};
use crate::takeover::Primary;

/// Where the trap writes what it saw right after the kill.
const SEEN: &str = "/root/seen";
/// So often the trap may be late at one step.
const OFTEN: u32 = 10;

/// Waits for the next worker, kills it when its log says that step `$ARGV[0]` begins, and writes down what
/// is there at that moment, or that it was late. Where the log comes to a result first, it writes that.
const TRAP: &str = r#"
use strict;
my ($number, $old, $seen) = @ARGV;
sub note { open my $out, '>', "$seen.new" or die; print $out @_; close $out; rename "$seen.new", $seen or die }
my %before = map { $_ => 1 } glob '/var/log/pgtwin/pgtwin/recovery-*.log';
my ($log, $pid);
until ($log) {
    ($log) = grep { !$before{$_} } glob '/var/log/pgtwin/pgtwin/recovery-*.log';
    select undef, undef, undef, 0.001;
}
for my $dir (glob '/proc/[0-9]*') {
    open my $in, '<', "$dir/cmdline" or next;
    my $line = <$in> // '';
    ($pid) = $dir =~ /(\d+)$/ if $line =~ /pgtwin\0recover\0/;
}
open my $in, '<', $log or die;
my $text = '';
while (1) {
    # Without a pause: some steps are over in less than a millisecond.
    seek $in, 0, 1;
    $text .= join '', <$in>;
    if ($text =~ / step $number: (.*)\n/) {
        my $step = $1;
        my $killed = kill 'KILL', $pid;
        my $kept = `find /var/lib/postgresql -name $old`;
        my $servers = `pgrep -u postgres -x postgres`;
        note $killed ? 'killed' : 'late', "\n$step\n", $kept ? 'kept' : 'gone', "\n", $servers ? 'runs' : 'stopped', "\n";
        exit;
    }
    if ($text =~ / result: /) { note "over\n"; exit }
}
"#;

/// What the trap saw.
enum Seen {
    Killed {
        step: String,
        kept: bool,
        runs: bool,
    },
    /// The worker had ended before it was hit.
    Late,
    /// The plan has no such step.
    Over,
}

/// Parts the node's data, sets the trap for step `number` and the guard, and starts the node.
fn cut_at(cluster: &Cluster, node: &str, number: u32, old_data: bool) -> Result<Seen> {
    cluster.standby(node, true)?;
    wait_stopped(cluster, node)?;
    let old = format!("old_data_{number}");
    part(cluster, node, &old)?;
    let script = format!(
        "rm -f {SEEN}; cat > /root/trap.pl; \
         setsid perl /root/trap.pl {number} {old} {SEEN} > /root/trap.out 2>&1 < /dev/null &"
    );
    cluster.command(node, &["sh", "-ec", &script]).stdin(TRAP).check()?;
    guard::set(cluster, node, old_data.then_some(old.as_str()))?;
    cluster.standby(node, false)?;
    let mut seen = String::new();
    cluster.wait_until(&format!("step {number} is cut off, or over"), SOON, || {
        seen = cluster.read_file(node, SEEN).unwrap_or_default();
        !seen.is_empty()
    })?;
    let lines: Vec<&str> = seen.lines().collect();
    match lines.as_slice() {
        ["over"] => Ok(Seen::Over),
        ["late", ..] => Ok(Seen::Late),
        ["killed", step, kept, server] => {
            eprintln!("{node}: step {number}: {step}; old data {kept}, server {server}");
            Ok(Seen::Killed {
                step: (*step).to_owned(),
                kept: *kept == "kept",
                runs: *server == "runs",
            })
        }
        _ => panic!("{seen}"),
    }
}

/// Kills the worker at one step after the other; each time the node comes back by itself, by this method.
/// `old_data`: a full copy leaves the old data alone until the new streams.
fn at_every_step(cluster: &Cluster, method: &str, old_data: bool) -> Result<()> {
    let primary = Primary::under_load(cluster)?;
    let node = cluster.others(&primary.old)[0].clone();
    let (mut number, mut late) = (1, 0);
    loop {
        let seen = cut_at(cluster, &node, number, old_data)?;
        cluster.wait_healthy(2 * SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary.old);
        if old_data {
            guard::saw_the_old_data_go(cluster, &node)?;
        }
        guard::is_content(cluster, &node, false)?;
        primary.load.goes_on()?;
        match seen {
            Seen::Killed { step, kept, runs } => {
                let is_one_of = |steps: &[&str]| steps.iter().any(|name| step.starts_with(name));
                let streams =
                    is_one_of(&["DiscardConfiguration", "DropStaging", "DropOld", "Unmark"]);
                assert!(!old_data || streams || kept, "the old data is gone at {step}");
                let may_run = streams || is_one_of(&["Start", "AwaitStreaming"]);
                assert!(may_run || !runs, "a server runs at {step}");
                (number, late) = (number + 1, 0);
            }
            Seen::Late => {
                late += 1;
                assert!(late < OFTEN, "step {number} is over too soon to be cut off");
            }
            Seen::Over => {
                assert!(number > 5, "the plan has {} steps", number - 1);
                assert_recovered(cluster, &node, method)?;
                return primary.load.end().map(drop);
            }
        }
    }
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_10_a_rewind_is_cut_off_at_every_step() {
    case(&Options::default(), |cluster| at_every_step(cluster, "rewind", false));
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_10_a_full_copy_is_cut_off_at_every_step_and_the_old_data_stays_until_the_new_streams() {
    let mut options = without_hints();
    options.params.insert("backup_before_basebackup".into(), "false".into());
    fresh(&options, |cluster| {
        start_without_checksums(cluster)?;
        at_every_step(cluster, "rebuild", true)
    });
}
