//! A guard in a node: while recoveries go on, and are cut off, it looks again and again whether one of the
//! two rules of every recovery is broken.

use lab::{Cluster, Result};

use crate::stage::SOON;

/// What it has to say.
const SAID: &str = "/root/guard.said";
/// How it says that the old data is gone, and that this was in order.
const WENT: &str = "the old data went when the new streamed";

/// Looks until SIGTERM. `$ARGV[0]` is the name of a file that lies in the old data only, or nothing where
/// the old data is not watched.
const GUARD: &str = r#"
use strict;
my ($old, $said) = @ARGV;
my ($looks, $half, $gone) = (0, 0, $old eq '');
sub note { open my $out, '>>', $said or die; print $out @_, "\n"; close $out }
$SIG{TERM} = sub { note "$looks looks, half done at $half"; exit };
sub read_of { open my $in, '<', $_[0] or return ''; local $/; return <$in> // '' }
sub is_half_done { return read_of('/var/lib/pgtwin/pgtwin/recovery') =~ /^half-done yes$/m }
sub servers { return grep { read_of("$_/comm") eq "postgres\n" } glob '/proc/[0-9]*' }
sub is_there { return `find /var/lib/postgresql -maxdepth 4 -name $old` ne '' }
sub streams {
    return `su postgres -c 'psql -XAtc "SELECT status FROM pg_stat_wal_receiver" postgres'` =~ /streaming/;
}
while (1) {
    # Half done before and after: no server was started or ended in between.
    my $before = is_half_done();
    my @servers = servers();
    my $after = is_half_done();
    $looks++;
    if ($before && $after) {
        $half++;
        my $line = read_of(($servers[0] // '') . '/cmdline') =~ tr/\0/ /r;
        note "BROKEN: @servers on data that is half done: $line" if @servers;
    }
    # A look can miss what is renamed meanwhile.
    if (!$gone && !is_there() && !is_there() && !is_there()) {
        $gone = 1;
        note streams() ? 'WENT' : 'BROKEN: the old data is gone, and the new does not stream';
    }
    select undef, undef, undef, 0.05;
}
"#;

/// Sets a guard; `old`: a file that lies in the old data only, where that must stay until the new streams. It
/// does not outlive a power cut: then another one is set.
pub fn set(cluster: &Cluster, node: &str, old: Option<&str>) -> Result<()> {
    let guard = GUARD.replace("WENT", WENT);
    let script = format!(
        "cat > /root/guard.pl; rm -f {SAID}; \
         setsid perl /root/guard.pl '{}' {SAID} > /root/guard.out 2>&1 < /dev/null &",
        old.unwrap_or_default()
    );
    cluster.command(node, &["sh", "-ec", &script]).stdin(guard).check().map(drop)
}

/// Waits until the guard has seen the old data go, while the new streamed.
pub fn saw_the_old_data_go(cluster: &Cluster, node: &str) -> Result<()> {
    cluster.wait_until("the old data is gone", SOON, || {
        cluster.read_file(node, SAID).is_ok_and(|said| said.contains("old data"))
    })?;
    let said = cluster.read_file(node, SAID)?;
    assert!(said.contains(WENT), "{node}: {said}");
    Ok(())
}

/// Ends the guard: it has seen neither rule broken. `half_done`: it must have looked at data that was half
/// done.
pub fn is_content(cluster: &Cluster, node: &str, half_done: bool) -> Result<()> {
    cluster.check(node, &["pkill", "-TERM", "-f", "^perl /root/guard.pl"])?;
    cluster.wait_until("the guard has reported", SOON, || {
        cluster.read_file(node, SAID).is_ok_and(|said| said.contains(" looks, "))
    })?;
    let said = cluster.read_file(node, SAID)?;
    eprintln!("{node}: the guard: {}", said.trim_end().replace('\n', "; "));
    assert!(!said.contains("BROKEN"), "{node}: {said}");
    assert!(!half_done || !said.contains("half done at 0\n"), "{node}: never half done: {said}");
    Ok(())
}
