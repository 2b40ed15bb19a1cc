#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

const PG: u32 = 999;

fn dir(uid: u32, mode: u32) -> Found {
    Found::Directory { uid, mode }
}

/// All of it is there, on this file system.
fn ground(kind: &str) -> Ground {
    let form = if kind == "btrfs" { Form::Subvolume } else { Form::Directory };
    let area = |area| AreaFound { area, found: dir(PG, 0o700), form: Some(Known::Known(form)) };
    Ground {
        storage: Storage::of("/srv/pg", &"n1".parse().unwrap()).unwrap(),
        user: ("postgres".into(), PG),
        way: ["/", "/srv", "/srv/pg"].map(|path| (path.to_owned(), dir(0, 0o755))).to_vec(),
        kind: Known::Known(kind.into()),
        barred: Known::Known(None),
        node_dir: dir(PG, 0o700),
        areas: Area::ALL.map(area).to_vec(),
        can_make_subvolumes: true,
    }
}

fn bare(kind: &str) -> Ground {
    let mut ground = ground(kind);
    ground.way[2].1 = Found::Missing;
    ground.node_dir = Found::Missing;
    for area in &mut ground.areas {
        (area.found, area.form) = (Found::Missing, None);
    }
    ground
}

#[test]
fn what_is_missing_is_made_in_order_and_what_is_there_stays() {
    let all = |form| {
        let mut all = vec![Make::Root, Make::NodeDir];
        all.extend(Area::ALL.map(|area| Make::Area(area, form)));
        all
    };
    assert_eq!(prepare(&bare("btrfs")), Ok(all(Form::Subvolume)));
    assert_eq!(prepare(&bare("ext4")), Ok(all(Form::Directory)));
    for kind in ["btrfs", "ext4", "xfs"] {
        assert_eq!(prepare(&ground(kind)), Ok(vec![]));
        assert_eq!(remarks(&ground(kind)), Vec::<String>::new());
    }
    let mut one = ground("btrfs");
    (one.areas[2].found, one.areas[2].form) = (Found::Missing, None);
    assert_eq!(prepare(&one), Ok(vec![Make::Area(Area::Archive, Form::Subvolume)]));
    // A directory where a subvolume could be is no reason to touch it.
    let mut plain = ground("btrfs");
    plain.areas[0].form = Some(Known::Known(Form::Directory));
    assert_eq!(prepare(&plain), Ok(vec![]));
    assert!(remarks(&plain)[0].contains("no subvolume"), "{:?}", remarks(&plain));
}

#[test]
fn what_is_somebody_elses_or_could_become_so_is_refused_with_a_remedy() {
    type Row = (&'static str, fn(&mut Ground), &'static str);
    let rows: &[Row] = &[
        ("nobody's directory above", |g| g.way[1].1 = Found::Missing, "mkdir -p /srv"),
        ("a link above", |g| g.way[1].1 = Found::Other("symbolic link"), "name the real path"),
        ("a link at the root", |g| g.way[2].1 = Found::Other("symbolic link"), "real path"),
        ("a file above", |g| g.way[1].1 = Found::Other("regular file"), "not a directory"),
        ("unseen", |g| g.way[1].1 = Found::Unknown("EIO".into()), "EIO"),
        ("the user's directory above", |g| g.way[1].1 = dir(PG, 0o755), "belongs to uid 999"),
        ("the user's root", |g| g.way[2].1 = dir(PG, 0o700), "belongs to uid 999"),
        ("others may write above", |g| g.way[1].1 = dir(0, 0o775), "chmod go-w /srv"),
        ("others may write to the root", |g| g.way[2].1 = dir(0, 0o1777), "chmod go-w /srv/pg"),
        ("in memory", |g| g.kind = Known::Known("tmpfs".into()), "gone at boot"),
        ("an unknown file system", |g| g.kind = Known::unknown("EIO"), "is not known: EIO"),
        ("no program", |g| g.can_make_subvolumes = false, "install btrfs-progs"),
        ("barred", |g| g.barred = Known::Known(Some("/srv".into())), "chmod o+x /srv"),
        ("perhaps barred", |g| g.barred = Known::unknown("no setuid"), "no setuid"),
        ("root's own directory", |g| g.node_dir = dir(0, 0o700), "chown postgres"),
        ("others may write", |g| g.node_dir = dir(PG, 0o770), "chmod 0700 /srv/pg/@postgres-n1"),
        ("another's data", |g| g.areas[0].found = dir(1000, 0o700), "belongs to uid 1000"),
        (
            "open data",
            |g| g.areas[0].found = dir(PG, 0o755),
            "chmod 0700 /srv/pg/@postgres-n1/data",
        ),
        ("a link for data", |g| g.areas[0].found = Found::Other("symbolic link"), "remove it"),
        ("unseen data", |g| g.areas[0].found = Found::Unknown("EIO".into()), "EIO"),
    ];
    for (name, change, words) in rows {
        let mut seen = ground("btrfs");
        change(&mut seen);
        let reasons = prepare(&seen).expect_err(name);
        assert!(reasons.len() == 1 && reasons[0].contains(words), "{name}: {reasons:?}");
    }
    // What a group may read is its owner's business, but for the data; a sticky directory is nobody's.
    let mut fine = ground("ext4");
    fine.way[1].1 = dir(0, 0o1777);
    fine.areas[0].found = dir(PG, 0o750);
    fine.areas[1].found = dir(PG, 0o755);
    fine.can_make_subvolumes = false;
    assert_eq!(prepare(&fine), Ok(vec![]));
}

#[test]
fn a_copy_is_what_the_old_directory_was() {
    use Form::{Directory, Subvolume};
    for (old, on_btrfs, is_storage, expected) in [
        (Some(Subvolume), true, true, Subvolume),
        (Some(Subvolume), true, false, Subvolume),
        (Some(Directory), true, true, Directory),
        (None, true, true, Subvolume),
        (None, true, false, Directory),
        (None, false, true, Directory),
    ] {
        assert_eq!(form_of_copy(old, on_btrfs, is_storage), expected, "{old:?}");
    }
}

#[test]
fn status_shows_what_there_is_and_warns_of_what_is_not() {
    use crate::cluster::migration::{Method, Record, Stage};
    let seen = |ground: Ground, record| shown::Seen {
        node: "n1".into(),
        resource: Some("db".into()),
        sizes: Area::ALL.map(|area| (area, Known::Known(5 << 20))).to_vec(),
        free: Known::Known(3 << 30),
        pgdata: ground.storage.data(),
        two_places: None,
        record,
        ground,
    };
    let fine = seen(ground("btrfs"), Known::Known(None));
    assert_eq!(fine.warnings(), Vec::<String>::new());
    let text = fine.to_string();
    assert!(text.contains("below /srv/pg (btrfs, 3072 MB free)"), "{text}");
    assert!(text.contains("subvolume  0700    5120 kB  /srv/pg/@postgres-n1/data"), "{text}");
    assert!(text.ends_with("data directory is here.\n"), "{text}");
    let told = serde_json::to_value(fine.told()).unwrap();
    assert_eq!(told["directories"][0]["what"], "subvolume");
    assert_eq!(
        (told["in_use"].as_bool(), told["free_bytes"].as_u64()),
        (Some(true), Some(3 << 30))
    );
    let none = seen(bare("ext4"), Known::Known(None));
    assert!(none.warnings()[0].contains("storage prepare"), "{:?}", none.warnings());
    assert!(none.to_string().contains("missing    -"), "{none}");
    for (stage, words) in [
        (Stage::Making, "goes on with it"),
        (Stage::Switching, "goes on with it"),
        (Stage::Moved, "--confirm removes it"),
        (Stage::Removing, "half removed"),
    ] {
        let from = "/old".to_owned();
        let record = Record { stage, method: Method::Copy, system_id: 1, begun: 2, inode: 3, from };
        let warned = seen(ground("ext4"), Known::Known(Some(record))).warnings();
        assert!(warned.len() == 1 && warned[0].contains(words), "{warned:?}");
    }
    let unknown = seen(ground("ext4"), Known::unknown("it is no record")).warnings();
    assert_eq!(unknown, ["it is no record"]);
}
