//! What the kernel and the distribution say in files, and the index of what is kept of an instance's own files.

use std::path::{Component, Path};

use pgtwin::runtime::{host, own_files, startup_process};
use pgtwin::sys::{mounts, process};

use crate::{Target, text};

pub const KERNEL: Target = Target {
    name: "kernel",
    run: files_of_the_kernel_are_read,
    captured: &[],
    seeds: &[
        "12 (a) R 1 (b) S 7 3 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9",
        "Name:\tpostgres\nUid:\t101\t101\t101\t101\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t1\n",
        "postgres: main: startup recovering 000000010000000000000003",
        "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue",
        "/dev/sda1 /srv/pg\\040data xfs defaults,noauto 0 2",
        "[Login]\n#RemoveIPC=yes\nRemoveIPC = no\n[Other]\nRemoveIPC=yes\n",
        "pgtwin own files 1\nfile\t600\t0\tpostgresql.conf\nlink\t/etc/x\tpg_hba.conf\ndir\tconf.d\n",
    ],
};

fn files_of_the_kernel_are_read(data: &[u8]) {
    let given = text(data);
    if let Some(stat) = process::parse_stat(&given) {
        // The name of a process is what its user likes.
        let tail = given.rsplit_once(')').unwrap().1;
        assert_eq!(process::parse_stat(&format!("1 (x) y)) {tail}")), Some(stat));
    }
    let _ = process::parse_uids(&given);
    let _ = (
        startup_process::is_startup(&given),
        startup_process::of_stat(&given),
        startup_process::of_status(&given),
    );
    for line in data.split(|byte| *byte == b'\n') {
        let _ = mounts::of_line(line);
        if let Some(line) = mounts::of_fstab(line) {
            assert!(line.point.is_absolute());
        }
    }
    let _ = host::remove_ipc(&given);
    for (path, own) in own_files::parse_index(&given).into_iter().flatten() {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        assert!(!path.is_empty() && Path::new(&path).components().all(plain), "{path:?}");
        assert!(!matches!(own, own_files::Own::File { mode, .. } if mode > 0o777));
    }
}
