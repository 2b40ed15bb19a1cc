//! An archive that all nodes share, and in it the history of a line that is not the cluster's.

use std::thread;
use std::time::Duration;

use lab::{Cluster, LabError, Options, Result};

use crate::load::Load;
use crate::look::{wait_reason, wait_stopped};
use crate::recovery::written_by_hand;
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case, fresh};
use crate::takeover::Primary;

/// The logs of a node's recoveries.
fn attempts(cluster: &Cluster, node: &str) -> Result<String> {
    let list = "ls /var/log/pgtwin/pgtwin/recovery-*.log 2>/dev/null || true";
    cluster.check(node, &["sh", "-c", list]).map(|output| output.text())
}

/// The timeline that a primary writes.
fn timeline(cluster: &Cluster, primary: &str) -> Result<u32> {
    let name = cluster.psql(primary, "SELECT pg_walfile_name(pg_current_wal_lsn())")?;
    let line = name.get(..8).and_then(|line| u32::from_str_radix(line, 16).ok());
    line.ok_or_else(|| LabError::plain(format!("no timeline in {name:?}")))
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_07_an_archive_holds_the_history_of_another_branch() {
    case(&Options::default(), |cluster| {
        let load = Load::start(cluster)?;
        let primary = cluster.primary()?;
        let node = cluster.others(&primary)[0].clone();
        let data = cluster.options.pgdata();
        let before = attempts(cluster, &node)?;
        cluster.standby(&node, true)?;
        wait_stopped(cluster, &node)?;
        // A promotion that this cluster has not seen left the line long ago.
        let line = timeline(cluster, &primary)?;
        let script = format!(
            "mkdir -p /archive; printf '{line}\\t0/1000000\\tno recovery target specified\\n' \
             > /archive/{:08X}.history; chmod -R a+rX /archive; \
             echo \"restore_command = 'cp /archive/%f %p'\" >> {data}/postgresql.conf",
            line + 1
        );
        cluster.check(&node, &["sh", "-c", &script])?;
        cluster.standby(&node, false)?;
        wait_reason(cluster, &node, &["another line"])?;
        thread::sleep(Duration::from_secs(20));
        // It is no matter for a copy: the next start would find the same file.
        assert_eq!(attempts(cluster, &node)?, before);
        // PostgreSQL has kept what it has restored.
        let restored = format!("{data}/pg_wal/{:08X}.history", line + 1);
        cluster.check(&node, &["rm", "-r", "/archive", &restored])?;
        cluster.cleanup()?;
        cluster.wait_healthy(SOON * 2)?;
        assert_eq!(has_all_heirs(cluster)?, primary);
        load.end().map(drop)
    });
}

/// Three nodes that archive to one place, and restore from it.
fn archiving() -> Options {
    let mut options = Options { archive: true, ..Options::default() };
    for (name, value) in [
        ("archive_mode", "on"),
        (
            "archive_command",
            "test ! -f /archive/%f && cp %p /archive/%f.new && mv /archive/%f.new /archive/%f",
        ),
        ("restore_command", "cp /archive/%f %p"),
    ] {
        options.settings.insert(name.into(), value.into());
    }
    options
}

/// A takeover goes into the archive, and then somebody promotes a stopped standby's data by hand, whose branch
/// goes there, too. Its rewind finds that branch's history as the newest line.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_07_a_node_is_rewound_while_the_archive_holds_its_own_branch() {
    fresh(&archiving(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        let first = primary.old.clone();
        cluster.power_cut(&first)?;
        let new = primary.is_taken_over()?;
        cluster.power_on(&first)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, new);
        let line = timeline(cluster, &new)?;
        let history = |line: u32| format!("/archive/{line:08X}.history");
        cluster.wait_until("the takeover is in the archive", SOON, || {
            cluster.exec(&new, &["test", "-e", &history(line)]).is_ok_and(|there| there.ok())
        })?;

        cluster.standby(&first, true)?;
        wait_stopped(cluster, &first)?;
        let before = attempts(cluster, &first)?;
        let data = cluster.options.pgdata();
        let promote = format!(
            "{}/pg_ctl -D {data} -w -s promote; until test -e {}; do sleep 0.1; done",
            cluster.options.pg_bindir(),
            history(line + 1)
        );
        written_by_hand(cluster, &first, "true", &promote, "immediate")?;
        cluster.standby(&first, false)?;
        wait_reason(cluster, &first, &["another line"])?;
        // Whatever is copied, the next start finds the same file: that is not tried again and again.
        thread::sleep(Duration::from_mins(1));
        let during = attempts(cluster, &first)?;
        let made = during.lines().filter(|log| !before.contains(*log)).count();
        assert!(made <= 2, "{made} attempts:\n{during}");
        primary.load.goes_on()?;

        // As the guide to troubleshooting says.
        let script =
            format!("rm /archive/{:08X}*; rm -f {data}/pg_wal/{:08X}.history", line + 1, line + 1);
        cluster.check(&first, &["sh", "-c", &script])?;
        cluster.cleanup()?;
        cluster.wait_healthy(SOON * 2)?;
        assert_eq!(has_all_heirs(cluster)?, new);
        assert_eq!(timeline(cluster, &new)?, line, "nobody else was promoted");
        primary.load.end().map(drop)
    });
}
