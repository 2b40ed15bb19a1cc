//! A root of its own, in which packages are installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{repository, succeeds};

/// A root with an empty database of packages.
pub struct Root(TempDir);

impl Root {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/rpm"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        fs::write(root.path().join("var/lib/dpkg/status"), "").unwrap();
        fs::write(root.path().join("var/lib/dpkg/available"), "").unwrap();
        Self(root)
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    /// dpkg, which runs the scripts of the package outside of this root and tells them of it.
    pub fn dpkg(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("dpkg");
        command.arg(format!("--root={}", self.0.path().display()));
        command.args(["--force-depends,script-chrootless", "--log=/dev/null"]);
        succeeds(command.args(arguments))
    }

    pub fn rpm(&self, arguments: &[&str]) -> String {
        succeeds(&mut self.rpm_command(arguments))
    }

    /// The same, whatever comes of it.
    pub fn try_rpm(&self, arguments: &[&str]) -> Output {
        self.rpm_command(arguments).output().unwrap()
    }

    /// rpm, which runs the scripts of the package in this root; the CIB there is a file.
    fn rpm_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("rpm");
        command.arg("--root").arg(self.0.path()).env("CIB_file", "/tmp/cib.xml");
        command.args(["--dbpath", "/var/lib/rpm"]).args(arguments);
        command
    }

    /// What rpm finds to be otherwise than the package has it, a line each.
    pub fn verified(&self) -> String {
        let output = self.try_rpm(&["--verify", "--nodeps", "pgtwin"]);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Puts a program of this machine there, with the libraries that it loads.
    pub fn bring(&self, program: &str) {
        let libraries = succeeds(Command::new("ldd").arg(program));
        let words = libraries.split_whitespace().filter(|word| word.starts_with('/'));
        for file in words.chain([program]) {
            let copy = self.path(file);
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(file, copy).unwrap();
        }
    }

    /// Puts the files of a directory there.
    pub fn bring_dir(&self, dir: &str) {
        fs::create_dir_all(self.path(dir)).unwrap();
        for entry in fs::read_dir(dir).unwrap() {
            let file = entry.unwrap().path();
            if file.is_file() {
                fs::copy(&file, self.path(file.to_str().unwrap())).unwrap();
            }
        }
    }

    /// What a member has that worked here.
    pub fn work(&self) {
        for (file, text) in
            [("var/lib/pgtwin/db/ledger", "worth it"), ("var/log/pgtwin/db.log", "")]
        {
            let file = self.path(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
    }

    pub fn ledger(&self) -> String {
        fs::read_to_string(self.path("var/lib/pgtwin/db/ledger")).unwrap()
    }

    /// The files that are left, those of the databases of packages aside.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut todo = vec![self.0.path().to_owned()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                let path = entry.path();
                let name = path.strip_prefix(self.0.path()).unwrap().to_str().unwrap().to_owned();
                if entry.file_type().unwrap().is_dir() {
                    todo.push(path);
                } else if !name.starts_with("var/lib/dpkg/") && !name.starts_with("var/lib/rpm/") {
                    files.push(name);
                }
            }
        }
        files.sort();
        files
    }

    /// The agent answers through the link by which Pacemaker finds it.
    pub fn agent_answers(&self) {
        let agent = self.path("usr/lib/ocf/resource.d/heartbeat/pgtwin");
        assert!(fs::symlink_metadata(&agent).unwrap().is_symlink());
        let meta_data = succeeds(Command::new(agent).arg("meta-data").env_clear());
        assert_eq!(meta_data, fs::read_to_string(repository("ocf-metadata/pgtwin.xml")).unwrap());
        let file = fs::read_to_string(self.path("usr/share/pgtwin/ocf-metadata.xml")).unwrap();
        assert_eq!(meta_data, file);
        for (dir, mode) in [("var/lib/pgtwin", 0o755), ("var/log/pgtwin", 0o750)] {
            let found = fs::metadata(self.path(dir)).unwrap().permissions().mode() & 0o7777;
            assert_eq!(found, mode, "{dir}");
        }
    }
}
