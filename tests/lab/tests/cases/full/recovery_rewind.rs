//! What befalls a rewind in the midst of its writing: the data is a ruin from then on. It is never started,
//! the marker says why, and a full copy takes its place.

use lab::{Cluster, Options, Result};

use super::recovery::fill_ballast;
use super::recovery_faults::{assert_none_runs, says_in_status, small_disks};
use crate::guard;
use crate::load::Load;
use crate::look::wait_stopped;
use crate::recovery::{assert_recovered, part};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};

/// Stops pg_rewind when it has written 8 MB of some hundreds: what it looks at before the first write, and
/// what it says, is a few kB.
const HOLD: &str = r#"
use strict;
sub read_of { open my $in, '<', $_[0] or return ''; local $/; return <$in> // '' }
while (1) {
    for my $dir (glob '/proc/[0-9]*') {
        next if read_of("$dir/comm") ne "pg_rewind\n";
        my ($written) = read_of("$dir/io") =~ /^wchar: (\d+)$/m;
        next if ($written // 0) < 8 << 20;
        my ($pid) = $dir =~ /(\d+)$/;
        kill 'STOP', $pid or next;
        print "$written bytes were written\n";
        exit;
    }
    select undef, undef, undef, 0.01;
}
"#;

/// How long the longest way back takes here: two copies, and a pause between attempts.
const IN_THE_END: std::time::Duration = SOON.saturating_mul(2);

/// Somebody has promoted a stopped standby's data by hand. Its rewind is held in the midst; something befalls
/// it; and in the end it streams from a full copy, is an heir, and was never started half done.
fn while_rewound(befalls: impl Fn(&Cluster, &str, &str) -> Result<()>) {
    while_rewound_on(&Options::default(), befalls);
}

fn while_rewound_on(options: &Options, befalls: impl Fn(&Cluster, &str, &str) -> Result<()>) {
    case(options, |cluster| {
        let load = Load::start(cluster)?;
        let primary = cluster.primary()?;
        let node = cluster.others(&primary)[0].clone();
        cluster.standby(&node, true)?;
        wait_stopped(cluster, &node)?;
        part(cluster, &node, "of_the_old_data")?;
        // All of it has to be brought.
        fill_ballast(cluster, &primary, 400)?;
        guard::set(cluster, &node, None)?;
        cluster.standby(&node, false)?;
        let held = cluster.command(&node, &["perl", "-"]).stdin(HOLD).limit(SOON).check()?;
        eprintln!("{node}: {}", held.text());
        assert_is_a_ruin(cluster, &node)?;
        befalls(cluster, &node, &primary)?;
        let _ = cluster.exec(&node, &["pkill", "-CONT", "-x", "pg_rewind"])?;
        cluster.wait_healthy(IN_THE_END)?;
        has_all_heirs(cluster)?;
        guard::is_content(cluster, &node, true)?;
        assert_recovered(cluster, &node, "rebuild")?;
        assert_is_whole(cluster, &node)?;
        load.goes_on()?;
        load.end().map(drop)
    });
}

/// The data is written down as half done by a rewind, and no PostgreSQL runs on it.
fn assert_is_a_ruin(cluster: &Cluster, node: &str) -> Result<()> {
    let marker = cluster.read_file(node, "/var/lib/pgtwin/pgtwin/recovery")?;
    for line in ["method rewind", "half-done yes"] {
        assert!(marker.lines().any(|one| one == line), "{node}: no {line:?} in:\n{marker}");
    }
    assert_none_runs(cluster, node)
}

/// Nothing of the recovery is left, and the new data is the primary's.
fn assert_is_whole(cluster: &Cluster, node: &str) -> Result<()> {
    let old = format!("{}/of_the_old_data", cluster.options.pgdata());
    assert!(!cluster.exec(node, &["test", "-e", &old])?.ok(), "{node} streams from the old data");
    assert!(!cluster.exec(node, &["test", "-e", "/var/lib/pgtwin/pgtwin/recovery"])?.ok());
    assert_eq!(cluster.psql(node, "SELECT count(*) FROM ballast")?, "400000");
    Ok(())
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_pg_rewind_is_killed_in_the_midst_of_it() {
    while_rewound(|cluster, node, _| {
        cluster.check(node, &["pkill", "-KILL", "-x", "pg_rewind"]).map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_the_worker_is_killed_in_the_midst_of_a_rewind() {
    while_rewound(|cluster, node, _| {
        cluster.check(node, &["pkill", "-KILL", "-f", "pgtwin recover"]).map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_the_node_loses_its_power_in_the_midst_of_a_rewind() {
    while_rewound(|cluster, node, _| {
        cluster.power_cut(node)?;
        cluster.power_on(node)?;
        assert_is_a_ruin(cluster, node)?;
        guard::set(cluster, node, None)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_it_is_stopped_and_started_again_in_the_midst_of_a_rewind() {
    while_rewound(|cluster, node, _| {
        cluster.standby(node, true)?;
        wait_stopped(cluster, node)?;
        let left = ["sh", "-c", "pgrep -fa '[p]gtwin recover|[p]g_rewind' || true"];
        assert_eq!(cluster.check(node, &left)?.text(), "", "stop left something at work");
        assert_is_a_ruin(cluster, node)?;
        cluster.standby(node, false)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_the_primary_is_lost_in_the_midst_of_a_rewind() {
    while_rewound(|cluster, node, primary| {
        cluster.power_cut(primary)?;
        assert_ne!(cluster.wait_new_primary(primary, SOON)?, node, "a ruin is no heir");
        assert_is_a_ruin(cluster, node)?;
        cluster.power_on(primary)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_06_the_disk_fills_up_in_the_midst_of_a_rewind() {
    while_rewound_on(&small_disks(), |cluster, node, _| {
        cluster.fill_disk(node, true)?;
        cluster.check(node, &["pkill", "-CONT", "-x", "pg_rewind"])?;
        let none = ["sh", "-c", "pgrep -fa '[p]gtwin recover' || true"];
        cluster.wait_until("the attempt is over", SOON, || {
            cluster.check(node, &none).is_ok_and(|left| left.text().is_empty())
        })?;
        says_in_status(cluster, node, "No space left on device")?;
        // What is there now may be of another method, and is as little to be started.
        let marker = cluster.read_file(node, "/var/lib/pgtwin/pgtwin/recovery")?;
        assert!(marker.contains("\nhalf-done yes\n"), "{marker}");
        assert_none_runs(cluster, node)?;
        cluster.fill_disk(node, false)
    });
}
