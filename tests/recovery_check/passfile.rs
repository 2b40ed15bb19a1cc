//! The passfile wherever it lies: a standby logs in with it, or it is said why not, and nobody is shown a
//! file that is not his.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use pgtwin::client::peer::Peer;
use pgtwin::decide::recovery_check;
use pgtwin::ocf::params::Params;
use pgtwin::runtime::instance::Postgres;
use pgtwin::runtime::instance::recovery_facts::Provider;
use pgtwin::runtime::passfile::{Copies, Fitness};
use pgtwin::sys::exec::System;

use crate::pair::{Pair, SLOT};
use crate::place::{Place, free_port, on_every_version, soon};

/// A standby whose owner has named this passfile, and the copy that it may get.
struct Owner<'a> {
    pair: &'a Pair<'a>,
    copy: PathBuf,
}

impl Owner<'_> {
    fn instance(&self, named: &Path) -> Postgres<'static> {
        let place = self.pair.place;
        let params = Params {
            pgpassfile: Some(named.display().to_string()),
            ..place.params("n2", free_port())
        };
        let log = place.path("n2.start.log");
        Postgres::new(&System, &params, log).unwrap().with_copies(Copies::Make(self.copy.clone()))
    }

    /// Which file logins name; and both of them are good, by the check that really makes them.
    fn logs_in(&self, named: &Path) -> PathBuf {
        let n2 = self.instance(named);
        let passfile = n2.passfile().unwrap();
        let peer = Peer { passfile: Some(passfile.clone()), ..self.pair.peer.clone() };
        let provider = Provider { node: "n1", peer: &peer, slot: SLOT };
        let check = recovery_check::check(&n2.recovery_facts(&provider, None, false, &soon()));
        assert_eq!(check.findings, [], "{}", named.display());
        assert_eq!(n2.replication_user(), "replicator");
        PathBuf::from(passfile)
    }

    /// It is not used, nothing of it is copied, and it is said what to do.
    fn is_refused(&self, named: &Path, words: &str) {
        let n2 = self.instance(named);
        assert_eq!(n2.passfile().as_deref(), named.to_str());
        assert!(!self.copy.exists(), "{}", named.display());
        match n2.passfile_fitness() {
            Some(Fitness::Unusable(why)) => assert!(why.contains(words), "{words}: {why}"),
            other => panic!("{}: {other:?}", named.display()),
        }
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn is_private(copy: &Path, place: &Place) -> String {
    let meta = fs::metadata(copy).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o600, place.user.uid));
    fs::read_to_string(copy).unwrap()
}

#[test]
fn a_passfile_is_used_where_it_lies_or_by_a_private_copy_or_refused_with_the_remedy() {
    if !geteuid().is_root() {
        eprintln!("not made: this test needs root");
        return;
    }
    on_every_version(|place| {
        let pair = Pair::new(place);
        let run = tempfile::tempdir().unwrap();
        // Where the container of this instance has its copy from.
        let copy = match crate::engine::asked_for() {
            None => run.path().join("db.passfile"),
            Some(_) => PathBuf::from("/run/pgtwin/n2.start.passfile"),
        };
        let owner = Owner { pair: &pair, copy };
        let file = pair.passfile();
        let lines = fs::read_to_string(&file).unwrap();

        assert_eq!(owner.logs_in(&file), file);
        assert!(!owner.copy.exists());

        // libpq passes over one that others may use.
        mode(&file, 0o640);
        assert_eq!(owner.logs_in(&file), owner.copy);
        assert_eq!(is_private(&owner.copy, place), lines);
        let made = fs::metadata(&owner.copy).unwrap().ino();
        assert_eq!(owner.logs_in(&file), owner.copy);
        assert_eq!(fs::metadata(&owner.copy).unwrap().ino(), made, "it is copied once");
        mode(&file, 0o600);
        assert_eq!(owner.logs_in(&file), file);
        assert!(!owner.copy.exists(), "a copy that is not used any more goes");

        // Root's own, where only root could have put it.
        let dir = tempfile::tempdir_in("/root").unwrap();
        let of_root = dir.path().join("pass");
        fs::write(&of_root, format!("# ours\n{lines}nonsense\n")).unwrap();
        mode(&of_root, 0o600);
        assert_eq!(owner.logs_in(&of_root), owner.copy);
        assert_eq!(is_private(&owner.copy, place), lines);
        // The user may spoil its copy; the next login has a good one.
        fs::write(&owner.copy, "*:*:*:*:wrong\n").unwrap();
        assert_eq!(owner.logs_in(&of_root), owner.copy);
        assert_eq!(is_private(&owner.copy, place), lines);
        fs::remove_file(&owner.copy).unwrap();

        // What the user could have put there is not read by root: a link, a file in its directory.
        let link = place.path("link");
        symlink(&of_root, &link).unwrap();
        owner.is_refused(&link, "root does not copy it either");
        let way = place.path("way");
        symlink(dir.path(), &way).unwrap();
        owner.is_refused(&way.join("pass"), &format!("chown {}", place.user.name));
        let beside = place.path("beside");
        fs::write(&beside, &lines).unwrap();
        mode(&beside, 0o600);
        owner.is_refused(&beside, "chmod 0600");
        // Nor one of root's that somebody else may write.
        mode(&of_root, 0o620);
        owner.is_refused(&of_root, "others may write");
        // A file that is no passfile gives nothing away.
        owner.is_refused(Path::new("/etc/shadow"), "has no line host:port");
        chown(&beside, Some(place.user.uid), Some(place.user.gid)).unwrap();
        assert_eq!(owner.logs_in(&beside), beside);
    });
}
