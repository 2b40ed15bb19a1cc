//! `pgtwin fix-pghba`: what it writes counts, and what goes wrong leaves the file as it was.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;

use nix::unistd::geteuid;
use pgtwin::cluster::known::Known;
use pgtwin::runtime::hba_file::HbaFile;

use crate::command::{Node, PEER};
use crate::place::{on_every_version, soon, sql};

const BEGIN: &str = "# BEGIN pgtwin";

/// Copies of the old file beside it.
pub fn backups(node: &Node<'_>) -> Vec<PathBuf> {
    let dir = fs::canonicalize(node.hba()).unwrap().parent().unwrap().to_owned();
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_string_lossy().contains(".pgtwin-")).collect()
}

/// What must not change: owner, group, mode.
fn rights(path: &std::path::Path) -> (u32, u32, u32) {
    let meta = fs::metadata(path).unwrap();
    (meta.uid(), meta.gid(), meta.mode() & 0o7777)
}

#[test]
fn the_block_counts_at_once_and_a_second_run_changes_nothing() {
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        // Of another group of the user's, and for it to read.
        let group = place.user.groups.iter().copied().find(|group| *group != place.user.gid);
        if geteuid().is_root() {
            chown(node.hba(), None, group).unwrap();
        }
        fs::set_permissions(node.hba(), fs::Permissions::from_mode(0o640)).unwrap();
        let before = rights(&node.hba());
        let said = node.run("fix-pghba", &["--dry-run"]).expect(
            1,
            &[
                "+# BEGIN pgtwin",
                "+host replication,postgres repl 127.0.0.2/32 scram-sha-256 # n2",
                "Nothing was changed.",
            ],
        );
        assert!(said.stdout.contains("@@ -1,2 +1,7 @@\n local all all peer\n"), "{said:?}");
        assert_eq!(node.read_hba(), PEER);
        assert_eq!(
            node.run("fix-pghba", &["--dry-run", "--json"]).expect(1, &[]).json()["result"],
            "planned"
        );
        assert_eq!((node.comes_in("127.0.0.2"), backups(&node)), ([false, false], vec![]));
        // Nobody is there to be asked.
        node.run("fix-pghba", &[]).expect(1, &["add --yes to go on without asking"]);
        assert_eq!(node.read_hba(), PEER);

        node.fix().expect(0, &["Written and loaded", "The old file is"]);
        assert!(node.read_hba().starts_with(PEER));
        assert_eq!(rights(&node.hba()), before);
        let [backup] = backups(&node).try_into().unwrap();
        assert_eq!(
            (fs::read_to_string(&backup).unwrap().as_str(), rights(&backup)),
            (PEER, before)
        );
        for from in ["127.0.0.2", "::1", "127.0.0.1"] {
            assert_eq!(node.comes_in(from), [true, true], "{from}");
        }
        assert_eq!(node.comes_in("127.0.0.3"), [false, false]);
        node.validate().expect(0, &[]);

        let inode = fs::metadata(node.hba()).unwrap().ino();
        let json = node.run("fix-pghba", &["--yes", "--json"]).expect(0, &[]).json();
        assert_eq!((&json["result"], &json["ok"]), (&"nothing".into(), &true.into()));
        node.fix().expect(0, &["has all lines that it needs"]);
        assert_eq!((fs::metadata(node.hba()).unwrap().ino(), backups(&node).len()), (inode, 1));
        // A new member, and one that has left.
        let me = crate::command::host_name();
        let more = vec![
            format!("node_list={me} n2 n4"),
            format!("node_addresses={me}=127.0.0.1 n2=127.0.0.2 n4=127.0.0.4"),
        ];
        let other = Node { more, ..node };
        other.fix().expect(
            0,
            &[
                "-host replication,postgres repl ::1/128",
                "+host replication,postgres repl 127.0.0.4/32",
            ],
        );
        assert_eq!([other.comes_in("127.0.0.4"), other.comes_in("::1")], [[true; 2], [false; 2]]);
    });
}

#[test]
fn the_block_stands_before_what_would_shadow_it() {
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        for (shadow, logins) in [
            ("host all,replication all 127.0.0.0/8 reject\n", [true, true]),
            ("host all all all ident\nhost replication all all reject\n", [true, true]),
            ("host all +repl samenet reject\nhost replication repl samenet md5\n", [true, true]),
        ] {
            node.write_hba(&format!("{PEER}{shadow}"));
            node.validate().expect(1, &["Add before line 3"]);
            node.fix().expect(0, &[]);
            let text = node.read_hba();
            assert!(text.starts_with(PEER) && text.ends_with(shadow), "{text}");
            assert_eq!(node.comes_in("127.0.0.2"), logins, "{shadow}");
        }
    });
}

#[test]
fn the_agents_own_line_for_its_position_is_missed_and_added() {
    on_every_version(|place| {
        let lets_in = "host replication,postgres repl all scram-sha-256\n";
        let local = "local all all peer\n";
        let node = Node::new(place, &format!("{local}{lets_in}"));
        let user = &place.user.name;
        let position = || node.pg.identify(&soon());
        assert!(!position().is_known());
        let missing = format!("the agent itself (local, {user}) for replication: no line");
        let line = format!("local replication {user} peer");
        node.validate().expect(1, &[&missing, &line]);
        node.fix().expect(0, &["Written and loaded", &format!("+{line} # the agent")]);
        assert!(position().is_known(), "{:?}", position());
        assert!(node.read_hba().starts_with(&format!("{local}{lets_in}{BEGIN}")));
        node.validate().expect(0, &[]);
        node.fix().expect(0, &["has all lines that it needs"]);
        node.write_hba(&format!("{local}local replication all reject\n{lets_in}"));
        assert!(!position().is_known());
        node.validate().expect(1, &["for replication: line 2 rejects it", "Add before line 2"]);
        node.fix().expect(0, &[]);
        assert!(position().is_known(), "{:?}", position());
        node.validate().expect(0, &[]);
    });
}

/// All that is there is as it was, but for backups that were made.
fn refuses(node: &Node<'_>, words: &[&str]) {
    let (text, meta) = (node.read_hba(), fs::metadata(node.hba()).unwrap());
    let copies = backups(node);
    node.fix().expect(1, words);
    let now = fs::metadata(node.hba()).unwrap();
    assert_eq!(
        (node.read_hba(), now.ino(), now.mtime_nsec()),
        (text, meta.ino(), meta.mtime_nsec())
    );
    assert_eq!(backups(node), copies);
}

#[test]
fn a_broken_file_is_left_alone() {
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        for (text, words) in [
            ("host all all 999.0.0.1/8 md5\n", "cannot read line 3"),
            ("nonsense\n", "cannot read line 3"),
            ("host all\n", "cannot read line 3"),
            (
                "# BEGIN pgtwin: x\nhost all all all md5\n",
                "line 3 begins a block of pgtwin's that does not end",
            ),
            ("# END pgtwin\n", "line 3 ends a block of pgtwin's that does not begin"),
        ] {
            place.write(&node.hba(), &format!("{PEER}{text}"), 0o600);
            refuses(&node, &[words]);
        }
    });
}

#[test]
fn what_postgresql_does_not_take_is_taken_back_before_it_is_loaded() {
    on_every_version(|place| {
        // A name that is an expression without an end since 16, and longer than any name can be before.
        let user = if place.major >= 16 { "/(".to_owned() } else { "x".repeat(20_000) };
        let node = Node::new(place, PEER);
        let passfile = place.path("passfile");
        place.write(&passfile, &format!("*:*:replication:{user}:right\n"), 0o600);
        let more = vec![format!("pgpassfile={}", passfile.display())];
        let node = Node { user: None, more, ..node };
        let loaded = sql(&node.pg, "SELECT pg_conf_load_time()::text");
        node.fix().expect(1, &["is as it was before, and nothing was loaded"]);
        assert_eq!((node.read_hba().as_str(), backups(&node).len()), (PEER, 1));
        assert_eq!(sql(&node.pg, "SELECT pg_conf_load_time()::text"), loaded);
        // It still can be loaded.
        node.pg.reload_and_see(&soon()).unwrap();
        assert_eq!(
            sql(&node.pg, "SELECT count(*)::text FROM pg_hba_file_rules WHERE error IS NOT NULL")
                [0][0]
                .as_deref(),
            Some("0")
        );
    });
}

#[test]
fn a_change_by_somebody_else_is_not_overwritten() {
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        let about = match node.pg.hba_facts("repl", &std::collections::BTreeSet::new(), &soon()) {
            Known::Known(facts) => facts.about,
            Known::Unknown(why) => panic!("{why}"),
        };
        let file: HbaFile = node.pg.hba_file(&about).unwrap();
        node.write_hba(&format!("# theirs\n{PEER}"));
        let why = file.replace(node.pg.place(), b"ours\n".to_vec()).unwrap_err().to_string();
        assert!(why.contains("was changed by somebody else meanwhile"), "{why}");
        assert_eq!(node.read_hba(), format!("# theirs\n{PEER}"));
    });
}
