//! Which image was chosen on this node: as a rule `/var/lib/pgtwin/RSC/image`. Floor 2.

use std::path::PathBuf;

use crate::cluster::image::{Choice, Remembered};
use crate::sys::chain;
use crate::sys::files::{self, FileError, Seen};

/// Where resources keep what outlives a boot.
pub const STATE_ROOT: &str = "/var/lib/pgtwin";
const FILE: &str = "image";
const MAX_BYTES: u64 = 16 * 1024;

/// Where a node remembers it.
#[derive(Clone, Debug)]
pub struct ImageFile {
    dir: PathBuf,
}

impl ImageFile {
    /// `root` is as a rule `/var/lib/pgtwin`.
    pub fn new(root: &str, resource: &str) -> Self {
        Self { dir: PathBuf::from(root).join(resource) }
    }

    /// What is remembered.
    pub fn read(&self) -> Remembered {
        let path = self.dir.join(FILE);
        match files::look(&path) {
            Seen::Missing => return Remembered::Nothing,
            Seen::Present(_) => {}
            Seen::Unknown(why) => return Remembered::Unreadable(why),
        }
        match files::read_root_owned(&path, MAX_BYTES) {
            Ok(text) => match Choice::parse(&text) {
                Ok(choice) => Remembered::Is(choice),
                Err(why) => Remembered::Unreadable(format!("{}: {why}", path.display())),
            },
            Err(error) => Remembered::Unreadable(chain(&error)),
        }
    }

    /// Remembers it, in place of what was.
    pub fn write(&self, choice: &Choice) -> Result<(), FileError> {
        if let Some(root) = self.dir.parent() {
            files::ensure_root_dir(root, 0o755)?;
        }
        files::ensure_root_dir(&self.dir, 0o750)?;
        files::write_durably(&self.dir, FILE, choice.to_text().as_bytes(), 0o640)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_remembered_and_what_is_damaged_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let file = ImageFile::new(&dir.path().display().to_string(), "db");
        assert_eq!(file.read(), Remembered::Nothing);
        let choice = Choice {
            repository: "r.example/pg".into(),
            major: 17,
            tag: "17.6".into(),
            id: format!("sha256:{}", "0a".repeat(32)),
            digest: None,
            at: 1,
        };
        file.write(&choice).unwrap();
        assert_eq!(file.read(), Remembered::Is(choice.clone()));
        let path = dir.path().join("db/image");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("17.6", "17.9")).unwrap();
        let Remembered::Unreadable(why) = file.read() else { panic!() };
        assert!(why.contains("checksum"), "{why}");
        file.write(&choice).unwrap();
        assert_eq!(file.read(), Remembered::Is(choice));
    }
}
