//! The password of the replication role, while a node's data is copied and follows: no process has
//! it in its arguments or its environment, and no file but the passfile holds it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use pgtwin::client::peer::PeerAnswer;
use pgtwin::runtime::swap::swap;

use crate::place::{free_port, on_every_version, soon, sql};
use crate::world::{copied, make_slot, primary, streams_from, survey};

/// The end of the password, which is written the same in a passfile, in SQL and in an argument.
const PART: &[u8] = b"\\ secret";

fn has_it(bytes: &[u8]) -> bool {
    bytes.windows(PART.len()).any(|part| part == PART)
}

/// Processes that show it now.
fn shown() -> BTreeSet<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let own = std::process::id().to_string();
    let mut found = BTreeSet::new();
    for process in processes.filter(|path| !path.ends_with(&own)) {
        for what in ["cmdline", "environ"] {
            let text = fs::read(process.join(what)).unwrap_or_default();
            if has_it(&text) {
                found.insert(format!("{what} of {}", String::from_utf8_lossy(&text)));
            }
        }
    }
    found
}

/// Files that hold it, without the tables: the server keeps a verifier there.
fn files_with_it(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            if !["base", "global", "pg_wal"].iter().any(|name| path.ends_with(name)) {
                files_with_it(&path, found);
            }
        } else if kind.is_file() && !path.ends_with("passfile") && has_it(&fs::read(&path).unwrap())
        {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn the_password_is_seen_in_no_process_and_no_file_but_the_passfile() {
    on_every_version(|place| {
        let (n1, _, source) = primary(place, "n1");
        sql(&n1, "ALTER SYSTEM SET log_statement = 'all'");
        sql(&n1, "ALTER SYSTEM SET log_replication_commands = on");
        sql(&n1, "ALTER SYSTEM SET log_connections = on");
        n1.reload().unwrap();
        make_slot(&n1);
        let over = AtomicBool::new(false);
        let looks = thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let (mut found, mut looks) = (BTreeSet::new(), 0);
                while !over.load(Ordering::SeqCst) {
                    found.extend(shown());
                    looks += 1;
                    thread::sleep(Duration::from_millis(1));
                }
                assert_eq!(found, BTreeSet::new());
                looks
            });
            let n2 = place.instance("n2", free_port());
            let layout = survey(place, &n2, &[], true, "20261126-120000").unwrap();
            copied(&n2, &source, &layout, None);
            assert!(swap(n2.runtime(), &layout, &mut |_| true).unwrap());
            streams_from(&n2, &source);
            for _ in 0..5 {
                let answer = n2.identify_peer(&source, Duration::from_secs(20));
                assert!(matches!(answer, PeerAnswer::Primary(_)), "{answer:?}");
            }
            n2.stop(&soon()).unwrap();
            over.store(true, Ordering::SeqCst);
            watcher.join().unwrap()
        });
        assert!(looks > 10, "{looks}");
        assert!(has_it(&fs::read(place.path("passfile")).unwrap()));
        let mut found = Vec::new();
        files_with_it(place.dir.path(), &mut found);
        assert_eq!(found, [""; 0]);
    });
}
