//! Where a node has its data, configuration and archive below a storage root. Floor 0.

use crate::cluster::node::NodeName;

/// What stands before the node's name.
const PREFIX: &str = "@postgres-";
/// The longest name of a directory.
const LONGEST: usize = 255;

/// One of the directories that a node has in the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// PGDATA.
    Data,
    /// Configuration that lies outside of PGDATA.
    Config,
    /// WAL that is archived.
    Archive,
}

impl Area {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Data, Self::Config, Self::Archive];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Config => "config",
            Self::Archive => "archive",
        }
    }
}

/// A node's storage: paths, whether there is anything or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    root: String,
    name: String,
}

impl Storage {
    /// That of this node below a root; none where the node's name cannot be one of a directory.
    pub fn of(root: &str, node: &NodeName) -> Option<Self> {
        let name = format!("{PREFIX}{node}");
        // The name of a migration's record is the longest that is derived of it.
        let fits = !name.contains('/') && name.len() + ".migration".len() <= LONGEST;
        fits.then(|| Self { root: root.to_owned(), name })
    }

    /// The root, which is root's.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The name of the node's directory below the root.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node's directory, which is the PostgreSQL user's.
    pub fn node_dir(&self) -> String {
        format!("{}/{}", self.root, self.name)
    }

    /// One of the directories in it.
    pub fn area(&self, area: Area) -> String {
        format!("{}/{}", self.node_dir(), area.name())
    }

    /// The data directory.
    pub fn data(&self) -> String {
        self.area(Area::Data)
    }
}

/// Whether this is the path of a data directory of some node's storage, whatever the root.
pub fn is_data_of_storage(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    parts.next() == Some(Area::Data.name())
        && parts.next().is_some_and(|dir| dir.starts_with(PREFIX) && dir.len() > PREFIX.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_a_directory_of_its_own_and_a_name_that_is_none_is_refused() {
        let of = |node: &str| Storage::of("/srv/pg", &node.parse().unwrap());
        let storage = of("n1.example.org").unwrap();
        assert_eq!(storage.node_dir(), "/srv/pg/@postgres-n1.example.org");
        assert_eq!(storage.data(), "/srv/pg/@postgres-n1.example.org/data");
        assert_eq!(storage.area(Area::Archive), "/srv/pg/@postgres-n1.example.org/archive");
        assert_eq!(of("..").unwrap().data(), "/srv/pg/@postgres-../data");
        assert!(is_data_of_storage(&storage.data()));
        for other in
            ["/srv/pg/data", "/srv/@postgres-/data", "/srv/@postgres-n1/config", "data", ""]
        {
            assert!(!is_data_of_storage(other), "{other}");
        }
        assert_eq!(of("a/../../b"), None);
        assert_eq!(of(&"n".repeat(240)), None);
    }
}
