//! Which of the installed PostgreSQL programs belong to a data directory. Floor 2.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::postgres::version::Version;
use crate::sys::exec::{Cmd, Exec};

/// Why PostgreSQL's programs cannot be used; with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BinariesError {
    /// They are not where the parameter says.
    #[error(
        "there is no program postgres in {dir}: correct pg_bindir, or install PostgreSQL there"
    )]
    NotInBindir {
        /// The parameter.
        dir: String,
    },
    /// They are nowhere.
    #[error("PostgreSQL{} is not installed (looked in {searched}): install it, or set pg_bindir", major.map(|m| format!(" {m}")).unwrap_or_default())]
    NotFound {
        /// What is needed, if that is known.
        major: Option<u32>,
        /// Where it was looked for.
        searched: String,
    },
    /// They are of another major version than the data.
    #[error(
        "{dir} holds PostgreSQL {found}, the data directory is of {wanted}: install PostgreSQL {wanted}, or correct pg_bindir"
    )]
    OtherMajor {
        /// Where they are.
        dir: String,
        /// Their version.
        found: u32,
        /// The data's version.
        wanted: u32,
    },
    /// No container engine is installed.
    #[error("{0}")]
    NoEngine(String),
    /// The engine gave no answer.
    #[error("whether the container's image is on this node is not known: {0}")]
    EngineSilent(String),
    /// No image is named.
    #[error("no image for the container: {0}")]
    NoImageNamed(String),
    /// The image is not on this node.
    #[error(
        "the image {image} is not on this node, and a start downloads none: run {engine} pull {image}"
    )]
    NoImage {
        /// The image.
        image: String,
        /// The engine's program.
        engine: String,
    },
    /// The image holds no PostgreSQL where one could be.
    #[error(
        "the image {image} holds no PostgreSQL (looked in {searched}): correct container_image, or set pg_bindir"
    )]
    NotInImage {
        /// The image.
        image: String,
        /// Where it was looked for.
        searched: String,
    },
    /// The image is of another major version than the data.
    #[error(
        "the image {image} holds PostgreSQL {found}, and {wanted} is needed: correct container_image"
    )]
    ImageOfOtherMajor {
        /// The image.
        image: String,
        /// Its version.
        found: u32,
        /// The data's version, or that of pg_major_version.
        wanted: u32,
    },
    /// Their version cannot be found out.
    #[error("the version of {program} cannot be found out: {why}")]
    NoVersion {
        /// Which program.
        program: String,
        /// In words.
        why: String,
    },
}

/// Directories whose name tells the major version: Debian's, PGDG's RPMs', SUSE's.
const VERSIONED: [(&str, &str); 3] =
    [("/usr/lib/postgresql/", "/bin"), ("/usr/pgsql-", "/bin"), ("/usr/lib/postgresql", "/bin")];
/// Directories that hold whatever version the distribution has.
const PLAIN: [&str; 2] = ["/usr/bin", "/usr/local/pgsql/bin"];

/// The directory of the programs for data of this major version; of the newest one when there is
/// no data yet. `given` is the parameter. Nothing is executed where a path tells the version, and
/// what is executed runs as `user`: a directory of programs may be one that it can write to.
pub fn find(
    exec: &dyn Exec,
    user: &str,
    given: Option<&Path>,
    major: Option<u32>,
) -> Result<PathBuf, BinariesError> {
    find_below(exec, user, Path::new("/"), given, major)
}

fn find_below(
    exec: &dyn Exec,
    user: &str,
    root: &Path,
    given: Option<&Path>,
    major: Option<u32>,
) -> Result<PathBuf, BinariesError> {
    if let Some(dir) = given {
        if !has_postgres(dir) {
            return Err(BinariesError::NotInBindir { dir: dir.display().to_string() });
        }
        return fits(exec, user, dir, major).map(|()| dir.to_owned());
    }
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    let majors: Vec<u32> = match major {
        Some(major) => vec![major],
        None => crate::postgres::version::SUPPORTED.rev().collect(),
    };
    for major in majors {
        for (before, after) in VERSIONED {
            let dir = below(&format!("{before}{major}{after}"));
            if has_postgres(&dir) {
                return Ok(dir);
            }
        }
    }
    let mut other = None;
    for dir in PLAIN.map(below).into_iter().filter(|dir| has_postgres(dir)) {
        match fits(exec, user, &dir, major) {
            Ok(()) => return Ok(dir),
            Err(error) => other = Some(error),
        }
    }
    Err(other.unwrap_or_else(|| BinariesError::NotFound {
        major,
        searched: "/usr/lib/postgresql/N/bin, /usr/pgsql-N/bin, /usr/lib/postgresqlN/bin, /usr/bin, /usr/local/pgsql/bin".to_owned(),
    }))
}

fn has_postgres(dir: &Path) -> bool {
    fs::metadata(dir.join("postgres")).is_ok_and(|meta| meta.is_file())
}

fn fits(exec: &dyn Exec, user: &str, dir: &Path, major: Option<u32>) -> Result<(), BinariesError> {
    let Some(wanted) = major else { return Ok(()) };
    let named = dir.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    if named == Some(wanted.to_string().as_str()) {
        return Ok(());
    }
    let program = dir.join("postgres").display().to_string();
    let no_version = |why: String| BinariesError::NoVersion { program: program.clone(), why };
    let cmd = Cmd::new(&program).arg("--version").user(user).limit(Duration::from_secs(5));
    let output = exec.run(&cmd).map_err(|error| no_version(crate::sys::chain(&error)))?;
    let found = Version::of_program(&output.stdout).map_err(|e| no_version(e.to_string()))?;
    if found.major == wanted {
        return Ok(());
    }
    Err(BinariesError::OtherMajor { dir: dir.display().to_string(), found: found.major, wanted })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::sys::exec::{Ended, ExecError, Output, RunAs};

    struct Says(&'static str);

    impl Exec for Says {
        fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
            assert_eq!(cmd.run_as, RunAs::User("postgres".into()));
            Ok(Output { ended: Ended::Exited(0), stdout: self.0.into(), stderr: String::new() })
        }
    }

    fn installed(dirs: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for dir in dirs {
            fs::create_dir_all(root.path().join(dir)).unwrap();
            fs::write(root.path().join(dir).join("postgres"), "").unwrap();
        }
        root
    }

    #[test]
    fn the_programs_of_the_datas_major_version_are_found_wherever_a_distribution_puts_them() {
        let exec = Says("postgres (PostgreSQL) 16.4");
        for (dirs, major, expected) in [
            (
                &["usr/lib/postgresql/15/bin", "usr/lib/postgresql/17/bin"][..],
                Some(15),
                Some("usr/lib/postgresql/15/bin"),
            ),
            (
                &["usr/lib/postgresql/15/bin", "usr/lib/postgresql/17/bin"],
                None,
                Some("usr/lib/postgresql/17/bin"),
            ),
            (&["usr/lib/postgresql/15/bin"], Some(14), None),
            (&["usr/pgsql-16/bin"], Some(16), Some("usr/pgsql-16/bin")),
            (&["usr/lib/postgresql17/bin"], Some(17), Some("usr/lib/postgresql17/bin")),
            (&["usr/bin"], Some(16), Some("usr/bin")),
            (&["usr/bin"], Some(17), None),
            (&[], None, None),
        ] {
            let root = installed(dirs);
            let found = find_below(&exec, "postgres", root.path(), None, major);
            let expected = expected.map(|dir| root.path().join(dir));
            assert_eq!(found.clone().ok(), expected, "{dirs:?} {major:?} {found:?}");
        }
    }

    #[test]
    fn a_given_directory_is_used_or_refused_and_never_replaced_by_another() {
        let root = installed(&["usr/lib/postgresql/17/bin", "opt/pg"]);
        let exec = Says("postgres (PostgreSQL) 16.4 (own build)");
        let given = root.path().join("opt/pg");
        assert_eq!(
            find_below(&exec, "postgres", root.path(), Some(&given), Some(16)),
            Ok(given.clone())
        );
        assert!(matches!(
            find_below(&exec, "postgres", root.path(), Some(&given), Some(17)),
            Err(BinariesError::OtherMajor { found: 16, wanted: 17, .. })
        ));
        assert!(matches!(
            find_below(
                &exec,
                "postgres",
                root.path(),
                Some(&root.path().join("nowhere")),
                Some(17)
            ),
            Err(BinariesError::NotInBindir { .. })
        ));
        assert!(matches!(
            find_below(&Says("rubbish"), "postgres", root.path(), Some(&given), Some(17)),
            Err(BinariesError::NoVersion { .. })
        ));
    }
}
