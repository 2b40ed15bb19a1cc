//! The same where PostgreSQL runs in containers: the data is read by the programs of the image.

use pgtwin::ocf::params::Params;

use crate::disk::{Disk, rows};
use crate::engine;
use crate::place::on_every_version;

#[test]
fn data_is_moved_by_the_programs_of_the_image_and_not_without_it() {
    on_every_version(|place| {
        for runtime in engine::that_answer() {
            let disk = Disk::new("ext4");
            let at = place.path(&format!("old-{runtime:?}"));
            let params = disk.database(place, &at, 1000);
            disk.prepared(&params);
            let mut contained = params.clone();
            engine::contain_by(runtime, &mut contained, "storage", place.dir.path(), &place.bindir);
            let image = Some("localhost/pgtwin-test-no-such:1".to_owned());
            let without = Params { container_image: image, ..contained.clone() };
            for words in [["migrate", "--dry-run"], ["migrate", "--yes"]] {
                let (code, told) = disk.json(&words, &without);
                assert_eq!((code, &told["outcome"]), (Some(1), &"refused".into()), "{told}");
                let reasons = told["reasons"].to_string();
                assert!(reasons.contains("is not on this node"), "{told}");
            }
            let (code, told) = disk.json(&["migrate", "--yes"], &contained);
            assert_eq!((code, &told["outcome"]), (Some(0), &"done".into()), "{told}");
            let moved = disk.moved(&params);
            assert_eq!(rows(place, &moved), "1000");
            let there = Params { pgdata_given: false, ..contained };
            let (code, told) = disk.json(&["migrate", "--confirm", "--yes"], &there);
            assert_eq!((code, &told["outcome"]), (Some(0), &"done".into()), "{told}");
            assert!(!at.join("base").exists());
        }
    });
}
