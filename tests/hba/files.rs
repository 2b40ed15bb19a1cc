//! Files of every kind: how they are written, how large, where they lie and whose they are.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::unistd::geteuid;

use crate::command::{Node, PEER};
use crate::fix::backups;
use crate::place::{on_every_version, soon};

const BLOCK: &str = "# BEGIN pgtwin";

#[test]
fn other_bytes_stay_as_they_are() {
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        let reject: &[u8] = b"host all,replication all all reject";
        let files: [(&str, Vec<u8>, bool); 5] = [
            ("CRLF", [PEER.replace('\n', "\r\n").as_bytes(), reject, b"\r\n"].concat(), true),
            ("no end of line", [PEER.as_bytes(), reject].concat(), true),
            (
                "Latin-1 and tabs",
                [PEER.as_bytes(), b"# caf\xe9\t\xff\n\n", reject, b"\t# \xe9\n"].concat(),
                true,
            ),
            ("an open end", [PEER.as_bytes(), b"# x \\"].concat(), false),
            (
                "an open end of line",
                [PEER.as_bytes(), b"local all other peer \\\n"].concat(),
                false,
            ),
        ];
        for (what, bytes, shadowed) in files {
            // To 13 that backslash is a word of the line.
            if what == "an open end of line" && place.major < 14 {
                continue;
            }
            fs::write(node.hba(), &bytes).unwrap();
            node.pg.reload_and_see(&soon()).unwrap();
            node.fix().expect(0, &[]);
            assert_eq!(node.comes_in("127.0.0.2"), [true, true], "{what}");
            let now = fs::read(node.hba()).unwrap();
            let at = now.windows(BLOCK.len()).position(|part| part == BLOCK.as_bytes()).unwrap();
            let end = now.windows(12).rposition(|part| part == b"# END pgtwin").unwrap() + 12;
            let block = String::from_utf8(now[at..end].to_vec()).unwrap();
            assert_eq!(block.contains("\r\n"), what == "CRLF", "{what}");
            let rest = [&now[..at], now[end..].trim_ascii_start()].concat();
            if shadowed {
                assert_eq!(rest, bytes, "{what}");
            } else {
                // A line was ended before the block.
                assert_eq!(rest.trim_ascii_end(), bytes.trim_ascii_end(), "{what}");
            }
            node.fix().expect(0, &["has all lines that it needs"]);
        }
    });
}

#[test]
fn a_huge_file_is_read_and_a_monstrous_one_is_refused() {
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        let line = |number| format!("host db{number} u{number} 10.0.0.0/8 scram-sha-256  # one\n");
        let many: Vec<String> = (0..30_000).map(line).collect();
        let mut text = format!("{PEER}{}", many.concat());
        text += "host all,replication all all reject\n";
        node.write_hba(&text);
        let said = node.run("fix-pghba", &["--yes"]).expect(0, &["Written and loaded"]);
        assert!(said.stdout.lines().count() < 30, "{}", said.stdout.len());
        assert_eq!(node.read_hba().replace(&block_of(&node), ""), text);
        assert_eq!(node.comes_in("127.0.0.2"), [true, true]);
        let comment = format!("# {}\n", "x".repeat(1000));
        place.write(&node.hba(), &(PEER.to_owned() + &comment.repeat(17_000)), 0o600);
        node.fix().expect(1, &["is larger than 16777216 bytes"]);
    });
}

fn block_of(node: &Node<'_>) -> String {
    let text = node.read_hba();
    let (from, end) = (text.find(BLOCK).unwrap(), text.find("# END pgtwin\n").unwrap());
    text[from..end + "# END pgtwin\n".len()].to_owned()
}

#[test]
fn included_files_and_lists_are_understood() {
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        place.write(&place.path("n1/users"), "other\nrepl\n", 0o600);
        let listed = format!("{PEER}host all,replication @users all reject\n");
        node.write_hba(&listed);
        node.fix().expect(0, &[]);
        assert_eq!(node.comes_in("127.0.0.2"), [true, true]);
        assert!(
            node.read_hba().ends_with("# END pgtwin\nhost all,replication @users all reject\n")
        );
        if place.major < 16 {
            return;
        }
        place.write(&place.path("n1/a.hba"), "host app all all md5\n", 0o600);
        place.write(&place.path("n1/b.hba"), "host all,replication all all reject\n", 0o600);
        fs::create_dir(place.path("n1/hba.d")).unwrap();
        place.write(&place.path("n1/hba.d/1.conf"), "host app all all md5\n", 0o600);
        let text = format!(
            "{PEER}include a.hba\nhost app all all md5\ninclude_dir hba.d\ninclude \"b.hba\"\nhost app all all md5\n"
        );
        node.write_hba(&text);
        node.validate().expect(1, &["line 1 of", "b.hba rejects it", "Add before line 1 of"]);
        node.fix().expect(0, &[]);
        assert_eq!(node.comes_in("127.0.0.2"), [true, true]);
        let (head, _) = text.split_once("include_dir").unwrap();
        assert!(node.read_hba().starts_with(&format!("{head}{BLOCK}")), "{}", node.read_hba());
        assert_eq!(node.read_hba().replace(&block_of(&node), ""), text);
        // What is included is not written to.
        assert_eq!(fs::read_to_string(place.path("n1/b.hba")).unwrap().lines().count(), 1);
    });
}

#[test]
fn a_link_stays_a_link_and_what_it_leads_to_is_changed() {
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        let real = place.path("conf/real.conf");
        fs::create_dir(real.parent().unwrap()).unwrap();
        chown(real.parent().unwrap(), Some(place.user.uid), Some(place.user.gid)).unwrap();
        place.write(&real, PEER, 0o640);
        fs::remove_file(node.hba()).unwrap();
        symlink("../conf/real.conf", node.hba()).unwrap();
        node.fix().expect(0, &["conf/real.conf"]);
        assert_eq!(fs::read_link(node.hba()).unwrap(), Path::new("../conf/real.conf"));
        assert!(fs::read_to_string(&real).unwrap().contains(BLOCK));
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!((backups(&node).len(), node.comes_in("::1")), (1, [true, true]));
    });
}

#[test]
fn what_is_not_the_users_own_is_left_to_people() {
    if !geteuid().is_root() {
        return;
    }
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        // The user may replace the file of root's: its directory is the user's.
        let left = |words: &str| {
            let before = fs::read(node.hba()).unwrap();
            node.fix().expect(1, &[words]);
            assert_eq!(fs::read(node.hba()).unwrap(), before);
            assert_eq!(backups(&node), Vec::<std::path::PathBuf>::new());
        };
        chown(node.hba(), Some(0), Some(place.user.gid)).unwrap();
        fs::set_permissions(node.hba(), fs::Permissions::from_mode(0o640)).unwrap();
        left("put the lines in by hand");
        // It is the user's in a directory of root's.
        let dir = place.path("roots");
        fs::create_dir(&dir).unwrap();
        place.write(&dir.join("hba"), PEER, 0o600);
        fs::remove_file(node.hba()).unwrap();
        symlink(dir.join("hba"), node.hba()).unwrap();
        left("cannot create a file in");
        // Nobody but root reads it: so nothing of it is shown.
        let secret = dir.join("secret");
        fs::write(&secret, "mickey-mouse\n").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(node.hba()).unwrap();
        symlink(&secret, node.hba()).unwrap();
        for word in ["validate-pghba", "fix-pghba"] {
            let said = node.run(word, if word == "fix-pghba" { &["--yes"] } else { &[] });
            assert!(said.code == 1 && !format!("{said:?}").contains("mickey"), "{said:?}");
        }
        assert_eq!(fs::read_to_string(&secret).unwrap(), "mickey-mouse\n");
    });
}

#[test]
fn a_file_of_roots_in_directories_of_roots_is_replaced_by_root() {
    if !geteuid().is_root()
        || crate::engine::not_in_a_container(
            "a link out of the data directory leads nowhere inside",
        )
    {
        return;
    }
    on_every_version(|place| {
        let dir = tempfile::Builder::new().prefix("pgtwin-test-").tempdir_in("/etc").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let file = dir.path().join("pg_hba.conf");
        let node = Node::new(place, PEER);
        fs::write(&file, PEER).unwrap();
        chown(&file, Some(0), Some(place.user.gid)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        fs::remove_file(node.hba()).unwrap();
        symlink(&file, node.hba()).unwrap();
        node.fix().expect(0, &[]);
        let meta = fs::metadata(&file).unwrap();
        let owner = std::os::unix::fs::MetadataExt::uid(&meta);
        let group = std::os::unix::fs::MetadataExt::gid(&meta);
        assert_eq!((owner, group, meta.permissions().mode() & 0o777), (0, place.user.gid, 0o640));
        assert_eq!((node.comes_in("127.0.0.2"), backups(&node).len()), ([true, true], 1));
    });
}

#[test]
fn links_that_come_and_go_lead_root_nowhere() {
    if !geteuid().is_root() {
        return;
    }
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        let outside = tempfile::tempdir().unwrap();
        let secret = outside.path().join("pg_hba.conf");
        fs::write(&secret, "mickey-mouse\n").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let (hba, other) = (node.hba(), place.path("n1/other"));
        let (uid, gid) = (Some(place.user.uid), Some(place.user.gid));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let _ = fs::remove_file(&other);
                    symlink(&secret, &other).unwrap();
                    lchown(&other, uid, gid).unwrap();
                    fs::rename(&other, &hba).unwrap();
                    fs::write(&other, PEER).unwrap();
                    chown(&other, uid, gid).unwrap();
                    fs::rename(&other, &hba).unwrap();
                }
            });
            for _ in 0..15 {
                let said = node.fix();
                assert!(!format!("{said:?}").contains("mickey"), "{said:?}");
            }
            over.store(true, Ordering::SeqCst);
        });
        assert_eq!(fs::read_to_string(&secret).unwrap(), "mickey-mouse\n");
        // In a directory where everybody may write, not even a copy was put.
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    });
}
