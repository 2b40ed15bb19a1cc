//! The directories are made, and nothing that is somebody else's is touched.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Command;

use pgtwin::cluster::storage::Area;
use pgtwin::ocf::params::Params;

use crate::disk::{Disk, is_subvolume, succeeds};
use crate::place::{Place, on_every_version};

fn params(place: &Place) -> Params {
    Params {
        pguser: place.user.name.clone(),
        pg_bindir: Some(place.bindir.display().to_string()),
        ..Params::default()
    }
}

#[test]
fn subvolumes_are_made_on_btrfs_and_directories_elsewhere_and_nothing_twice() {
    on_every_version(|place| {
        for kind in ["btrfs", "ext4"] {
            let disk = Disk::new(kind);
            let params = params(place);
            let (code, told) = disk.json(&["status"], &params);
            assert_eq!((code, &told["directories"][0]["what"]), (Some(1), &"missing".into()));
            let (code, told) = disk.json(&["prepare", "--dry-run"], &params);
            assert_eq!((code, &told["outcome"]), (Some(0), &"possible".into()), "{told}");
            assert!(!disk.at("m/storage").exists());
            disk.prepared(&params);
            let root = fs::metadata(disk.root()).unwrap();
            assert_eq!((root.uid(), root.mode() & 0o7777), (0, 0o755));
            for path in Area::ALL.map(|area| disk.storage().area(area)) {
                let meta = fs::metadata(&path).unwrap();
                assert_eq!((meta.uid(), meta.gid()), (place.user.uid, place.user.gid), "{path}");
                assert_eq!(meta.mode() & 0o7777, 0o700, "{path}");
                assert_eq!(is_subvolume(path.as_ref()), kind == "btrfs", "{path}");
            }
            fs::write(disk.data().join("mine"), "").unwrap();
            let (code, told) = disk.json(&["prepare"], &params);
            assert_eq!((code, &told["outcome"]), (Some(0), &"nothing".into()), "{told}");
            assert!(disk.data().join("mine").exists());
            let (code, told) = disk.json(&["status"], &params);
            assert_eq!((code, &told["filesystem"]), (Some(0), &kind.into()), "{told}");
            let what = if kind == "btrfs" { "subvolume" } else { "directory" };
            assert_eq!(told["directories"][0]["what"], what);
            assert_eq!((&told["in_use"], &told["migration"]), (&true.into(), &().into()));
        }
    });
}

#[test]
fn what_somebody_else_could_replace_is_refused_and_nothing_is_made() {
    on_every_version(|place| {
        let disk = Disk::new("ext4");
        let params = params(place);
        let refused = |words: &str| {
            let (code, told) = disk.json(&["prepare"], &params);
            assert_eq!((code, &told["outcome"]), (Some(1), &"refused".into()), "{told}");
            assert!(told["reasons"].to_string().contains(words), "{words}: {told}");
        };
        let (m, root) = (disk.at("m"), disk.at("m/storage"));
        let mode = |mode| fs::set_permissions(&m, fs::Permissions::from_mode(mode)).unwrap();
        chown(&m, Some(place.user.uid), None).unwrap();
        refused("who could replace what is in it");
        chown(&m, Some(0), None).unwrap();
        mode(0o777);
        refused("chmod go-w");
        mode(0o700);
        refused("chmod o+x");
        mode(0o755);
        symlink(place.dir.path(), &root).unwrap();
        refused("name the real path");
        fs::remove_file(&root).unwrap();
        fs::write(&root, "").unwrap();
        refused("not a directory");
        fs::remove_file(&root).unwrap();
        assert_eq!(fs::read_dir(&m).unwrap().count(), 1, "lost+found alone");
        // Where the node's directory is made already, its owner may put links in it.
        disk.prepared(&params);
        fs::remove_dir(disk.data()).unwrap();
        symlink("/etc", disk.data()).unwrap();
        refused("is a symbolic link");
        fs::remove_file(disk.data()).unwrap();
        fs::create_dir(disk.data()).unwrap();
        refused("belongs to uid 0");
        succeeds(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&m));
        refused("gone at boot");
        succeeds(Command::new("umount").arg(&m));
        let out = disk.pgtwin(&["prepare", "--param", "storage_root=/etc/pg"], &params).output();
        assert_eq!(out.unwrap().status.code(), Some(1));
    });
}
