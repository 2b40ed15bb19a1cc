//! A file system of its own on a loop device, the storage on it, and databases in it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pgtwin::cluster::storage::Storage;
use pgtwin::ocf::params::Params;
use pgtwin::runtime::Shutdown;
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::exec::System;
use serde_json::Value;

use crate::place::{Place, await_primary, free_port, soon};

/// Mounted below a directory of root's that everybody may go through.
pub struct Disk {
    pub home: tempfile::TempDir,
    pub kind: &'static str,
    used: std::cell::RefCell<Vec<Params>>,
}

impl Disk {
    pub fn new(kind: &'static str) -> Self {
        let home = tempfile::Builder::new().prefix("pgtwin-disk-").tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let image = home.path().join("image");
        fs::File::create(&image).unwrap().set_len(900 << 20).unwrap();
        let new = Self { home, kind, used: std::cell::RefCell::default() };
        fs::create_dir(new.at("m")).unwrap();
        succeeds(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image));
        succeeds(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(new.at("m")));
        new
    }

    /// A path beside the mount point, or on it (`m/…`).
    pub fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn root(&self) -> String {
        self.at("m/storage").display().to_string()
    }

    /// This machine's, as the command has it.
    pub fn storage(&self) -> Storage {
        let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
        Storage::of(&self.root(), &host.parse().unwrap()).unwrap()
    }

    pub fn data(&self) -> PathBuf {
        self.storage().data().into()
    }

    /// The command with these words behind, and the parameters of a database.
    pub fn pgtwin(&self, words: &[&str], params: &Params) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgtwin"));
        command.arg("storage").args(words);
        let mut set = |name: &str, value: &str| {
            command.arg("--param").arg(format!("{name}={value}"));
        };
        set("storage_root", &self.root());
        set("pguser", &params.pguser);
        set("pg_bindir", params.pg_bindir.as_deref().unwrap());
        if params.pgdata_given {
            set("pgdata", &params.pgdata);
        }
        if params.container_mode {
            for (name, value) in crate::engine::as_words(params) {
                set(name, &value);
            }
        }
        command
    }

    /// The same to its end, with its JSON.
    pub fn json(&self, words: &[&str], params: &Params) -> (Option<i32>, Value) {
        let out = self.pgtwin(words, params).arg("--json").output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        let value = serde_json::from_str(&text);
        (out.status.code(), value.unwrap_or_else(|e| panic!("{words:?}: {e}: {out:?}")))
    }

    pub fn prepared(&self, params: &Params) {
        let (code, told) = self.json(&["prepare"], params);
        assert_eq!((code, &told["outcome"]), (Some(0), &"done".into()), "{told}");
    }

    /// Parameters of the same database where the storage has it.
    pub fn moved(&self, params: &Params) -> Params {
        let pgdata = self.storage().data();
        let new = Params { pgdata, pgdata_given: false, ..params.clone() };
        self.used.borrow_mut().push(new.clone());
        new
    }

    /// A database that was run and stopped, at this path, with a table of `rows` rows.
    pub fn database(&self, place: &Place, at: &Path, rows: u32) -> Params {
        let text = at.display().to_string();
        place.run("initdb", &["-D", &text, "-N", "-k", "-A", "peer", "-E", "UTF8"]);
        let socket = place.dir.path().display();
        place.append(
            &at.join("postgresql.conf"),
            &format!(
                "unix_socket_directories = '{socket}'\nlisten_addresses = ''\nshared_buffers = 16MB\n\
                 restart_after_crash = off\nmax_wal_size = 64MB\nfsync = off\n"
            ),
        );
        let params = Params {
            pgdata: text,
            pgdata_given: true,
            pgport: free_port(),
            pguser: place.user.name.clone(),
            pg_bindir: Some(place.bindir.display().to_string()),
            ..Params::default()
        };
        self.used.borrow_mut().push(params.clone());
        run(place, &params, |pg| {
            let fill =
                format!("CREATE TABLE public.t AS SELECT g AS i FROM generate_series(1, {rows}) g");
            crate::place::sql(pg, &fill);
        });
        params
    }
}

/// Starts it, does something, and stops it.
pub fn run<T>(place: &Place, params: &Params, work: impl FnOnce(&Postgres<'_>) -> T) -> T {
    let pg = Postgres::new(&System, params, place.path("storage.log")).unwrap();
    pg.start(&soon()).unwrap();
    await_primary(&pg);
    let value = work(&pg);
    pg.stop(&soon()).unwrap();
    value
}

/// Rows in the table.
pub fn rows(place: &Place, params: &Params) -> String {
    run(place, params, |pg| crate::place::value(pg, "SELECT count(*)::text FROM public.t"))
}

pub fn succeeds(command: &mut Command) -> Output {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {out:?}");
    out
}

/// Makes a directory, or a subvolume, of the tests' user.
pub fn make(place: &Place, at: &Path, subvolume: bool) {
    if subvolume {
        succeeds(Command::new("btrfs").args(["subvolume", "create"]).arg(at));
    } else {
        fs::create_dir(at).unwrap();
    }
    fs::set_permissions(at, fs::Permissions::from_mode(0o700)).unwrap();
    chown(at, Some(place.user.uid), Some(place.user.gid)).unwrap();
}

pub fn is_subvolume(at: &Path) -> bool {
    fs::metadata(at).unwrap().ino() == 256
}

impl Drop for Disk {
    fn drop(&mut self) {
        for params in self.used.borrow().iter() {
            if let Ok(pg) = Postgres::new(&System, params, self.at("log")) {
                let _ = pg.runtime().signal(Shutdown::Kill);
            }
        }
        let _ = Command::new("umount").arg("--lazy").arg(self.at("m")).status();
    }
}
