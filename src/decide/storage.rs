//! Storage: what directories are, what is made, and how data is moved there. Floor 1.

/// What a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A subvolume of Btrfs.
    Subvolume,
    /// Any other.
    Directory,
}

/// What the copy of a directory is to be: what the old one is. Where there is none, the storage's own is a
/// subvolume where that can be.
#[must_use]
pub fn form_of_copy(old: Option<Form>, on_btrfs: bool, is_storage: bool) -> Form {
    match (old, on_btrfs && is_storage) {
        (Some(old), _) => old,
        (None, true) => Form::Subvolume,
        (None, false) => Form::Directory,
    }
}
