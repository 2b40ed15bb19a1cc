//! Copies that break off in the midst of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use pgtwin::cluster::recovery::{self, Method, Phase};
use pgtwin::decide::recovery::work;
use pgtwin::postgres::control_data::ClusterState;
use pgtwin::postgres::copy_tools::WhyNot;
use pgtwin::runtime::own_files;
use pgtwin::runtime::rebuild::{Copy, Rebuild, rebuild};
use pgtwin::runtime::rewind::{Rewind, rewind};
use pgtwin::runtime::swap::{finish, swap};
use pgtwin::sys::deadline::Deadline;
use pgtwin::sys::exec::System;

use crate::place::{LONG, Place, control, on_every_version, soon, sql};
use crate::rewind::{Fork, Own, fork, grant_all, still_whole};
use crate::wire::{Then, Wire, kill_children};
use crate::world::{
    SLOT, copied, make_dir, make_link, make_slot, names, primary, source, state, streams_from,
    survey,
};

/// How a copy is broken off.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Cut,
    Silence,
    Killed,
}

const ALL: [How; 3] = [How::Cut, How::Silence, How::Killed];

impl How {
    fn wire(self, to: u16, bytes: u64) -> Wire {
        Wire::new(to, bytes, if self == Self::Cut { Then::Cut } else { Then::Silence })
    }

    /// A silent source is given up at the deadline.
    fn deadline(self) -> Deadline {
        if self == Self::Silence { Deadline::after(Duration::from_secs(15)) } else { soon() }
    }

    fn expected(self) -> WhyNot {
        match self {
            Self::Cut => WhyNot::Unreachable,
            Self::Silence => WhyNot::TooLate,
            Self::Killed => WhyNot::Other,
        }
    }

    /// Runs `work`, and kills `program` meanwhile when the wire has gone silent.
    fn around<T>(self, wire: &Wire, program: &str, work: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            if self == Self::Killed {
                scope.spawn(|| {
                    let end = Deadline::after(LONG);
                    while !(end.expired() || wire.is_used_up() && kill_children(program) > 0) {
                        end.sleep(Duration::from_millis(20));
                    }
                });
            }
            work()
        })
    }
}

#[test]
fn a_rewind_that_is_broken_off_in_the_midst_of_it_says_that_the_data_is_a_ruin() {
    if crate::engine::not_in_a_container("what is killed here is a child of this process") {
        return;
    }
    // Not by silence: how far it comes until the deadline, the machine decides.
    for how in [How::Cut, How::Killed] {
        on_every_version(|place| {
            let fork = fork(place, Own::Writes);
            grant_all(&fork.n2);
            // Much more than the wire lets through, and nothing that is read before the first write.
            sql(
                &fork.n2,
                "CREATE TABLE public.much AS SELECT repeat('x', 500) AS w FROM generate_series(1, 60000)",
            );
            let wire = how.wire(fork.source.port, 8 << 20);
            let through = source(place, wire.port);
            let state = state();
            let kept = state.path().join("own");
            let outcome = how.around(&wire, "pg_rewind", || {
                rewind(fork.n1.runtime(), &System, &through, &kept, &how.deadline(), &mut |_| {})
            });
            let Ok(Rewind::Failed { why, touched: true, words }) = outcome else {
                panic!("{how:?}: {outcome:?}")
            };
            assert_eq!(why, how.expected(), "{how:?}: {words}");
            assert!(own_files::are_kept(&kept), "for the rebuild that has to come");
        });
    }
}

#[test]
fn a_rewind_that_is_broken_off_before_its_first_write_leaves_the_data_whole() {
    if crate::engine::not_in_a_container("what is killed here is a child of this process") {
        return;
    }
    on_every_version(|place| {
        let fork = fork(place, Own::Writes);
        grant_all(&fork.n2);
        for how in ALL {
            // Enough for the first question, on a connection of its own, and little more.
            let wire = how.wire(fork.source.port, 3000);
            let through = source(place, wire.port);
            let state = state();
            let kept = state.path().join("own");
            let outcome = how.around(&wire, "pg_rewind", || {
                rewind(fork.n1.runtime(), &System, &through, &kept, &how.deadline(), &mut |_| {})
            });
            let Ok(Rewind::Failed { why, touched: false, words }) = outcome else {
                panic!("{how:?}: {outcome:?}")
            };
            assert_eq!(why, how.expected(), "{how:?}: {words}");
            assert!(!own_files::are_kept(&kept));
            still_whole(&fork.n1);
        }
    });
}

#[test]
fn a_copy_that_is_broken_off_leaves_nothing_behind_and_the_old_data_as_it_was() {
    if crate::engine::not_in_a_container("what is killed here is a child of this process") {
        return;
    }
    on_every_version(|place| {
        let (n1, port, _) = primary(place, "n1");
        make_slot(&n1);
        let (n2, _) = place.basebackup(port, "n2");
        place.write(&place.path("n2/which"), "old", 0o600);
        let before = names(&place.path("n2"));
        let layout = survey(place, &n2, &[], true, "20261125-120000").unwrap();
        for how in ALL {
            let wire = how.wire(port, 5 << 20);
            let through = source(place, wire.port);
            let copy = Copy { source: &through, slot: SLOT, layout: &layout, kept: None };
            let outcome = how.around(&wire, "pg_basebackup", || {
                rebuild(n2.runtime(), &System, copy, &how.deadline(), &mut |_| {})
            });
            let Ok(Rebuild::Failed { why, words }) = outcome else {
                panic!("{how:?}: {outcome:?}")
            };
            assert_eq!(why, how.expected(), "{how:?}: {words}");
            assert!(!layout.data().unwrap().new_dir().exists(), "{how:?}");
            assert_eq!(names(&place.path("n2")), before);
        }
        // Whatever stands where the copy is made is removed, and nothing that it leads to.
        let precious = make_dir(place, &place.path("precious"));
        place.write(&precious.join("file"), "x", 0o600);
        make_link(place, &place.path("n2.pgtwin-new"), &precious);
        // A walsender of a copy that was killed may hold the slot for a moment.
        let free = "SELECT active FROM pg_replication_slots";
        let released =
            pgtwin::sys::deadline::poll_until(&soon(), Duration::from_millis(50), || {
                (crate::place::value(&n1, free) == "f").then_some(())
            });
        assert!(released.is_some());
        copied(&n2, &source(place, port), &layout, None);
        assert!(precious.join("file").exists());
    });
}

/// A rewind of n1 that fails after its first write: a file cannot be removed that only this node has.
fn ruin(place: &Place, fork: &Fork, kept: &Path) {
    grant_all(&fork.n2);
    let data = place.path("n1");
    let base = fs::read_dir(data.join("base")).unwrap().map(|entry| entry.unwrap().path());
    // One for temporary files is removed.
    let bases: Vec<_> = base.filter(|base| !base.ends_with("pgsql_tmp")).collect();
    let chmod = |mode| {
        for base in &bases {
            fs::set_permissions(base, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    chmod(0o500);
    let outcome =
        rewind(fork.n1.runtime(), &System, &fork.source, kept, &soon(), &mut |_| {}).unwrap();
    assert!(matches!(outcome, Rewind::Failed { touched: true, .. }), "{outcome:?}");
    chmod(0o700);
}

#[test]
fn what_a_broken_rewind_has_left_is_no_backup_and_does_not_drive_out_one() {
    on_every_version(|place| {
        let fork = fork(place, Own::Writes);
        make_slot(&fork.n2);
        let state = state();
        let kept = state.path().join("own");
        let whole = make_dir(place, &place.path("n1.backup.20251120-120000"));
        place.write(&whole.join("which"), "whole", 0o600);
        ruin(place, &fork, &kept);
        // Nothing that it says of itself tells it from data that is worth a backup.
        assert_eq!(control(&fork.n1).state, ClusterState::ShutDown);
        let facts = work::Facts {
            method: Method::Rebuild,
            half_done: true,
            ruin: recovery::ruin(false, true, Phase::Rewinding),
            swapping: false,
            data: work::Data::Clean,
            keep_old: true,
        };
        let layout = survey(place, &fork.n1, &[], facts.keeps(), "20251125-120000").unwrap();
        copied(&fork.n1, &fork.source, &layout, Some(&kept));
        assert!(swap(fork.n1.runtime(), &layout, &mut |_| true).unwrap());
        streams_from(&fork.n1, &fork.source);
        assert!(finish(fork.n1.place(), &layout, &mut |_| true).unwrap());
        let left = names(place.dir.path());
        let left: Vec<&String> = left.iter().filter(|name| name.starts_with("n1.")).collect();
        assert_eq!(left, ["n1.backup.20251120-120000", "n1.start.log"]);
        assert_eq!(fs::read_to_string(whole.join("which")).unwrap(), "whole");
    });
}

#[test]
fn what_is_kept_of_a_broken_rewind_can_be_put_into_a_copy() {
    on_every_version(|place| {
        let fork = fork(place, Own::Writes);
        let state = state();
        let kept = state.path().join("own");
        let own = fs::read_to_string(place.path("n1").join("pg_hba.conf")).unwrap();
        ruin(place, &fork, &kept);
        let into = state.path().join("into");
        make_dir(place, &into);
        assert!(own_files::are_kept(&kept));
        // Otherwise the user could not come there.
        fs::set_permissions(state.path(), fs::Permissions::from_mode(0o755)).unwrap();
        own_files::put_back(fork.n1.place(), &kept, &into).unwrap();
        assert_eq!(fs::read_to_string(into.join("pg_hba.conf")).unwrap(), own);
        own_files::discard(&kept).unwrap();
        assert!(!kept.exists());
    });
}
