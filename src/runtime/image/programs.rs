//! Where PostgreSQL's programs are in an image, and of which version. Floor 2.
//!
//! No entry point of an image is run, so the programs are called by their paths. Those differ: the official
//! image and Debian have `/usr/lib/postgresql/17/bin`, openSUSE `/usr/lib/postgresql17/bin`, Alpine
//! `/usr/local/bin`. They are found by asking the program itself, in one place after the other.

use std::path::Path;

use crate::client::engine::Image;
use crate::postgres::version::Version;
use crate::sys::deadline::Deadline;
use crate::sys::exec::Ended;

use super::super::{BinariesError, last_words};
use super::Look;

/// Directories that tell no version.
const PLAIN: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/usr/local/pgsql/bin"];

impl Look<'_> {
    /// Their directory and their version. `given` is the parameter: they are nowhere else then. `major`: the
    /// version that is hoped for, by which it is known where to look first.
    pub fn programs(
        &self,
        image: &Image,
        given: Option<&Path>,
        major: Option<u32>,
        deadline: &Deadline,
    ) -> Result<(String, Version), BinariesError> {
        let candidates = candidates(image, given, major.or_else(|| image.major()));
        for dir in &candidates {
            let program = format!("{dir}/postgres");
            let failed = |why: String| BinariesError::NoVersion {
                program: format!("{program} in the image {}", self.name),
                why,
            };
            let output = self.run(&program, &["--version"], &[], deadline).map_err(failed)?;
            match output.ended {
                Ended::Exited(0) => {
                    let version = Version::of_program(&output.stdout);
                    return Ok((dir.clone(), version.map_err(|error| failed(error.to_string()))?));
                }
                // As a shell says it, and as both engines do: there is no such program, or it is none. With an
                // init in between it is that one which says it.
                Ended::Exited(126 | 127) => {}
                Ended::Exited(_) if is_missing(&output.stderr) => {}
                Ended::TimedOut => {
                    return Err(BinariesError::EngineSilent(format!(
                        "{} did not run a container within {:?}",
                        self.engine.kind, self.each
                    )));
                }
                Ended::Exited(_) | Ended::Signaled(_) => {
                    return Err(failed(last_words(&output.stderr)));
                }
            }
        }
        Err(BinariesError::NotInImage {
            image: self.name.to_owned(),
            searched: candidates.join(", "),
        })
    }
}

/// Where they may be, the likeliest first: a directory of the hoped-for version that the image's PATH names,
/// one that PATH names and that sounds like PostgreSQL, where distributions have them, and what all have.
fn candidates(image: &Image, given: Option<&Path>, major: Option<u32>) -> Vec<String> {
    if let Some(given) = given {
        return vec![given.display().to_string()];
    }
    let path: Vec<&str> = image.path().collect();
    let versioned = major.into_iter().flat_map(|major| {
        [
            format!("/usr/lib/postgresql/{major}/bin"),
            format!("/usr/lib/postgresql{major}/bin"),
            format!("/usr/pgsql-{major}/bin"),
        ]
    });
    let (named, others): (Vec<String>, Vec<String>) =
        versioned.partition(|dir| path.contains(&dir.as_str()));
    let its_own = path.iter().filter(|dir| dir.contains("postgres") || dir.contains("pgsql"));
    let its_own = its_own.map(|dir| (*dir).to_owned());
    let plain = PLAIN.iter().map(|dir| (*dir).to_owned());
    let mut all = Vec::new();
    for dir in named.into_iter().chain(its_own).chain(others).chain(plain) {
        if !all.contains(&dir) {
            all.push(dir);
        }
    }
    all
}

fn is_missing(words: &str) -> bool {
    ["no such file or directory", "executable file not found", "not found in $path"]
        .iter()
        .any(|text| words.to_ascii_lowercase().contains(text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::client::engine::{Engine, Kind};
    use crate::sys::exec::{Cmd, Exec, ExecError, Output};
    use crate::sys::privilege::User;

    fn image(path: &str) -> Image {
        let text = format!("[{{\"Id\":\"a\",\"Config\":{{\"Env\":[\"PATH={path}\"]}}}}]");
        Image::parse(&text).unwrap()
    }

    #[test]
    fn the_programs_are_looked_for_where_the_image_says_and_then_where_others_have_them() {
        let official =
            image("/usr/local/sbin:/usr/local/bin:/usr/bin:/bin:/usr/lib/postgresql/17/bin");
        assert_eq!(candidates(&official, None, Some(17))[0], "/usr/lib/postgresql/17/bin");
        let suse = image("/usr/local/sbin:/usr/bin:/bin");
        assert_eq!(
            candidates(&suse, None, Some(16)),
            [
                "/usr/lib/postgresql/16/bin",
                "/usr/lib/postgresql16/bin",
                "/usr/pgsql-16/bin",
                "/usr/local/bin",
                "/usr/bin",
                "/usr/local/pgsql/bin",
            ]
        );
        assert_eq!(candidates(&official, None, None)[0], "/usr/lib/postgresql/17/bin");
        assert_eq!(candidates(&suse, Some(Path::new("/opt/pg")), Some(16)), ["/opt/pg"]);
    }

    #[test]
    fn a_missing_program_is_told_from_a_failure_of_the_engine() {
        for (words, missing) in [
            ("exec: \"/x/postgres\": stat /x/postgres: no such file or directory: unknown.", true),
            ("Error: runc: exec failed: executable file not found in $PATH", true),
            ("Error: cannot set ulimits: permission denied", false),
            ("", false),
        ] {
            assert_eq!(is_missing(words), missing, "{words}");
        }
    }

    /// An image that has its programs in one directory, asked by an engine that may fail.
    struct Has(&'static str, Ended, &'static str);

    impl Exec for Has {
        fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
            let here = cmd.args.contains(&format!("--entrypoint={}/postgres", self.0));
            let (ended, stdout, stderr) = if here {
                (Ended::Exited(0), "postgres (PostgreSQL) 17.6", "")
            } else {
                (self.1, "", self.2)
            };
            Ok(Output { ended, stdout: stdout.into(), stderr: stderr.into() })
        }
    }

    #[test]
    fn the_next_place_is_tried_where_one_lacks_them_and_not_where_the_engine_fails() {
        let engine = Engine { kind: Kind::Podman, program: "/usr/bin/podman".into() };
        let user = User { name: "pg".into(), uid: 26, gid: 26, groups: vec![26] };
        let ask = |exec: &dyn Exec, given: Option<&Path>| {
            let look = Look::new(exec, &engine, "r.example/pg:17", &user);
            let deadline = Deadline::after(std::time::Duration::from_mins(1));
            look.programs(&image("/usr/bin"), given, Some(17), &deadline)
        };
        let none = Ended::Exited(127);
        let (dir, version) = ask(&Has("/usr/lib/postgresql17/bin", none, ""), None).unwrap();
        assert_eq!((dir.as_str(), version.major), ("/usr/lib/postgresql17/bin", 17));
        let why = ask(&Has("/opt/pg", none, ""), None).unwrap_err().to_string();
        assert!(why.contains("holds no PostgreSQL (looked in /usr/lib"), "{why}");
        let (dir, _) = ask(&Has("/opt/pg", none, ""), Some(Path::new("/opt/pg"))).unwrap();
        assert_eq!(dir, "/opt/pg");
        let why = ask(&Has("/usr/bin", Ended::TimedOut, ""), None).unwrap_err();
        assert!(matches!(why, BinariesError::EngineSilent(_)), "{why}");
        let broken = Has("/usr/bin", Ended::Exited(125), "Error: cannot set ulimits");
        let why = ask(&broken, None).unwrap_err();
        assert!(matches!(why, BinariesError::NoVersion { .. }), "{why}");
    }
}
