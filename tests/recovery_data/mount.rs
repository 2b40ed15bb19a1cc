//! A file system of its own below a test's directory, which goes before that directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use pgtwin::ocf::params::Params;
use pgtwin::runtime::Shutdown;
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::exec::System;

use crate::place::Place;

/// A tmpfs, and the instances on it, which end before it goes.
pub struct Mount {
    at: PathBuf,
    params: Vec<Params>,
}

impl Mount {
    /// Mounted at a directory that is made, and given to the tests' user.
    pub fn new(place: &Place, at: &Path, megabytes: u32) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let size =
            format!("size={megabytes}m,mode=0700,uid={},gid={}", place.user.uid, place.user.gid);
        run("mount", &["-t", "tmpfs", "-o", &size, "pgtwin-test"], at);
        Self { at: at.to_owned(), params: Vec::new() }
    }

    /// Names an instance that uses it.
    pub fn holds(&mut self, params: Params) {
        self.params.push(params);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        for params in &self.params {
            if let Ok(pg) = Postgres::new(&System, params, self.at.with_extension("log")) {
                let _ = pg.runtime().signal(Shutdown::Kill);
            }
        }
        run("umount", &["--lazy"], &self.at);
    }
}

fn run(program: &str, args: &[&str], at: &Path) {
    let status = Command::new(program).args(args).arg(at).status();
    assert!(status.is_ok_and(|status| status.success()), "{program} {}", at.display());
}
