//! Numbers of processes, in files and in answers: none is signalled because of them.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::account::{NAME, test_user};
use crate::fake::{Fake, claim};
use crate::program;
use crate::rig;
use crate::rig::call::Call;
use crate::rig::{Rig, without_root};

/// Processes that are nobody's instance: root's, root's in PGDATA, and the postgres user's in PGDATA
/// under another name.
struct Bystanders(Vec<Child>);

impl Bystanders {
    fn of(on: &Rig) -> Self {
        let sleep = |dir: &Path, words: &[&str]| {
            let words = [words, &["/bin/sleep", "600"]].concat();
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).current_dir(dir).stdin(Stdio::null());
            command.spawn().unwrap()
        };
        let named = on.home.path().join("postgres");
        program::place("/bin/sleep", &named);
        let named = named.to_str().unwrap();
        let as_user = ["setpriv", "--reuid", NAME, "--regid", NAME, "--init-groups", "--"];
        let data = on.pgdata();
        let mut children =
            vec![sleep(Path::new("/"), &[]), sleep(&data, &[]), sleep(&data, &as_user)];
        // Root's own, of the right name in the right place.
        children.push(
            Command::new(named).arg("600").current_dir(&data).stdin(Stdio::null()).spawn().unwrap(),
        );
        // The postgres user's, of the right name, elsewhere: another instance.
        children.push(
            Command::new(as_user[0])
                .args(&as_user[1..])
                .args([named, "600"])
                .current_dir(on.home.path())
                .stdin(Stdio::null())
                .spawn()
                .unwrap(),
        );
        Self(children)
    }

    fn pids(&self) -> Vec<u32> {
        self.0.iter().map(Child::id).collect()
    }

    fn assert_untouched(&mut self, what: &str) {
        for child in &mut self.0 {
            assert_eq!(child.try_wait().unwrap(), None, "{what}: it was ended");
            let status = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            assert!(status.contains(") S "), "{what}: {status}");
        }
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_number_in_postmaster_pid_is_no_process_of_ours() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-pids");
    let mut bystanders = Bystanders::of(&on);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let own = std::process::id();
    let mut numbers: Vec<String> = bystanders.pids().iter().map(ToString::to_string).collect();
    numbers.extend(numbers.clone().iter().map(|pid| format!("-{pid}")));
    numbers.extend(["1", "0", "-1", "2147483647", "4294967295", "x", ""].map(str::to_owned));
    numbers.push(own.to_string());
    for number in &numbers {
        claim(&on, number, now);
        for (call, code) in [
            (Call::Probe, 7),
            (Call::Promoted, 7),
            (Call::Unpromoted, 7),
            (Call::Demote, 0),
            (Call::ReloadAgent, 0),
            (Call::Stop, 0),
        ] {
            let answer = on.call(call, &[]);
            assert_eq!(answer.code, code, "{number}, {call:?}: {}", answer.stderr);
        }
        bystanders.assert_untouched(number);
    }
    let data = on.pgdata();
    for (what, bytes) in [("binary", vec![0xff, 0, 10, 27]), ("giant", vec![b'7'; 1 << 20])] {
        fs::write(data.join("postmaster.pid"), bytes).unwrap();
        assert_eq!(on.call(Call::Probe, &[]).code, 7, "{what}");
        assert_eq!(on.call(Call::Stop, &[]).code, 0, "{what}");
        bystanders.assert_untouched(what);
    }
    // Where PGDATA leads nowhere, another instance of the same user is not taken for ours, nor is it
    // left open whether it is.
    fs::rename(&data, on.home.path().join("away")).unwrap();
    let ways: [(&str, &dyn Fn()); 3] = [
        ("nothing", &|| ()),
        ("a circle", &|| symlink(&data, &data).unwrap()),
        ("a file", &|| symlink(on.program.join("data"), &data).unwrap()),
    ];
    for (what, make) in ways {
        make();
        assert_eq!(on.call(Call::Probe, &[]).code, 7, "{what}");
        assert_eq!(on.call(Call::Stop, &[]).code, 0, "{what}");
        bystanders.assert_untouched(what);
        let _ = fs::remove_file(&data);
    }
}

#[test]
fn a_number_in_a_servers_answer_is_no_walsender_of_ours() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-walsenders");
    let mut bystanders = Bystanders::of(&on);
    for call in [Call::Demote, Call::Stop] {
        let mut fake = Fake::start(&on, "a primary", &bystanders.pids());
        let answer = on.call(Call::Probe, &[]);
        assert_eq!(answer.code, 8, "it is believed to be a primary: {}", answer.stderr);
        let answer =
            on.call(call, &[("OCF_RESKEY_CRM_meta_timeout", crate::rig::call::value("60000"))]);
        assert!(fake.has_ended(), "{call:?}: {}", answer.stderr);
        bystanders.assert_untouched(call.action());
        assert_eq!(on.call(Call::Stop, &[]).code, 0);
    }
    bystanders.assert_untouched("in the end");
}

#[test]
fn a_lock_file_of_a_stranger_does_not_lead_to_another_instance() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-stranger");
    let mut bystanders = Bystanders::of(&on);
    let other = bystanders.pids()[4];
    let stat = fs::read_to_string(format!("/proc/{other}/stat")).unwrap();
    let ticks: u64 =
        stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();
    let boot = fs::read_to_string("/proc/stat").unwrap();
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime ")).unwrap();
    let started = boot.parse::<u64>().unwrap() + ticks / 100;
    claim(&on, &other.to_string(), started);
    let lock = on.home.path().join(format!(".s.PGSQL.{}.lock", on.port));
    fs::rename(on.pgdata().join("postmaster.pid"), &lock).unwrap();
    // PGDATA is not mounted.
    fs::rename(on.pgdata(), on.home.path().join("away")).unwrap();

    chown(&lock, Some(0), None).unwrap();
    assert_eq!(on.call(Call::Probe, &[]).code, 7);
    assert_eq!(on.call(Call::Stop, &[]).code, 0);
    bystanders.assert_untouched("a stranger's lock file");
    // The same in the postgres user's own name is what a renamed PGDATA leaves behind.
    chown(&lock, Some(test_user().uid), None).unwrap();
    assert_eq!(on.call(Call::Probe, &[]).code, 1);
}
