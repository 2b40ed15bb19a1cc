//! A ledger file that is not this member's, or none at all: what it says is unknown, it permits
//! nothing, and it is left as it is, for somebody to look at.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use pgtwin::cluster::ledger::Own;

use crate::account::test_user;
use crate::rig;
use crate::rig::call::{Call, Env, changed, value};
use crate::rig::without_root;

type Make<'a> = &'a dyn Fn(&Path);

#[test]
fn a_ledger_that_cannot_be_read_stays_as_it_is_and_permits_nothing() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-ledger");
    let dir = Path::new("/var/lib/pgtwin").join(on.resource);
    let file = dir.join("ledger");
    let secret = on.home.path().join("elsewhere");
    let text = |resource: &str, node: &str| Own::new(resource, &node.parse().unwrap()).to_text();
    let honest = text(on.resource, "n1");
    fs::write(&secret, &honest).unwrap();
    let rows: &[(&str, Make<'_>)] = &[
        ("none", &|_| ()),
        ("empty", &|file| fs::write(file, "").unwrap()),
        ("truncated", &|file| fs::write(file, &honest[..honest.len() / 2]).unwrap()),
        ("another node's", &|file| fs::write(file, text(on.resource, "n2")).unwrap()),
        ("another resource's", &|file| fs::write(file, text("db", "n1")).unwrap()),
        ("binary", &|file| fs::write(file, [0xff, 0, 1, 2, b'\n', 0x1b]).unwrap()),
        ("foreign", &|file| fs::write(file, "[global]\nworkgroup = X\n").unwrap()),
        ("a giant", &|file| fs::File::create(file).unwrap().set_len(1 << 34).unwrap()),
        ("a pipe", &|file| mkfifo(file, Mode::S_IRWXU).unwrap()),
        ("a link", &|file| symlink(&secret, file).unwrap()),
        ("a loop", &|file| symlink(file, file).unwrap()),
        ("a directory", &|file| fs::create_dir(file).unwrap()),
        ("another's", &|file| {
            fs::write(file, &honest).unwrap();
            chown(file, Some(test_user().uid), None).unwrap();
        }),
        ("writable for all", &|file| {
            fs::write(file, &honest).unwrap();
            fs::set_permissions(file, Permissions::from_mode(0o666)).unwrap();
        }),
    ];
    // A clone of a cluster that does not answer.
    let env: Env<'_> = &[
        ("OCF_RESKEY_CRM_meta_clone_max", value("2")),
        ("OCF_RESKEY_CRM_meta_on_node", value("n1")),
        ("OCF_RESKEY_node_list", value("n1 n2")),
    ];
    for (what, make) in rows {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        make(&file);
        let before = on.snapshot();
        for (call, code) in [
            (Call::Probe, 7),
            (Call::Promoted, 7),
            (Call::Demote, 0),
            (Call::Promote, 1),
            (Call::Notify, 0),
            (Call::Stop, 0),
        ] {
            let answer = on.call(call, env);
            assert_eq!(answer.code, code, "{what}, {call:?}: {}", answer.stderr);
        }
        assert_eq!(changed(&before, &on.snapshot()), [""; 0], "{what}");
    }
    // A running standby is not promoted either, and what runs goes on.
    let answer = on.call(Call::Start, env);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let answer = on.call(Call::Promote, env);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    assert!(!answer.reason().is_empty());
    assert_eq!(on.ask("SELECT pg_is_in_recovery()"), "t");
    assert_eq!(on.call(Call::Stop, env).code, 0);
    assert_eq!(on.processes(), [""; 0]);
    assert_eq!(fs::read_to_string(&file).unwrap(), honest);
}
