//! Files on their way into a container, as one archive.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::docker::docker;
use crate::error::{LabError, Result};
use crate::run::Run;

/// Files on their way into a container. Directories are left out of the archive, so those of the
/// image keep their owners and modes.
pub(crate) struct Tree {
    root: tempfile::TempDir,
}

impl Tree {
    /// An empty tree.
    pub(crate) fn new() -> Result<Self> {
        let root = tempfile::tempdir().map_err(LabError::io("create a temporary directory"))?;
        Ok(Self { root })
    }

    fn place(&self, path: &str) -> Result<PathBuf> {
        let file = self.root.path().join(path.trim_start_matches('/'));
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(LabError::io(format!("stage {path}")))?;
        }
        Ok(file)
    }

    /// A file with a text.
    pub(crate) fn file(&self, path: &str, mode: u32, content: &str) -> Result<()> {
        let file = self.place(path)?;
        fs::write(&file, content).map_err(LabError::io(format!("stage {path}")))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))
            .map_err(LabError::io(format!("stage {path}")))
    }

    /// A symbolic link.
    pub(crate) fn link(&self, path: &str, target: &str) -> Result<()> {
        symlink(target, self.place(path)?).map_err(LabError::io(format!("stage {path}")))
    }

    /// All of it as a tar archive, owned by root.
    pub(crate) fn archive(&self) -> Result<Vec<u8>> {
        let list = Run::new("find").args([".", "!", "-type", "d"]).dir(self.root.path()).check()?;
        let tar = ["--owner=0", "--group=0", "--numeric-owner", "--create", "--files-from=-"];
        Ok(Run::new("tar").args(tar).dir(self.root.path()).stdin(list.stdout).check()?.stdout)
    }

    /// Puts it into a container, running or not.
    pub(crate) fn copy_to(&self, container: &str) -> Result<()> {
        let target = format!("{container}:/");
        docker(["cp", "-", &target]).stdin(self.archive()?).check().map(drop)
    }
}
