//! Where PostgreSQL's programs are in an image, and of which version. Floor 2.
//!
//! No entry point of an image is run, so the programs are called by their paths. Those differ: the official
//! image and Debian have `/usr/lib/postgresql/17/bin`, openSUSE `/usr/lib/postgresql17/bin`, Alpine
//! `/usr/local/bin`. They are found once, by asking the program itself, and kept by the image's number.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::engine::{Engine, Image, QUESTION, Run};
use crate::cluster::known::Known;
use crate::postgres::version::{Version, major_of_pg_version};
use crate::sys::chain;
use crate::sys::exec::{Ended, Exec};
use crate::sys::files::{ensure_root_dir, read_root_owned, write_volatile};

use super::super::{BinariesError, Place, last_words};
use super::{LABEL, QUICK_REMOVAL, ROLE, Spec, key, permit};

/// What asking a program for its version may take: a container has to be made for it.
const ASKING: Duration = Duration::from_secs(10);
/// Directories that tell no version.
const PLAIN: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/usr/local/pgsql/bin"];

/// The programs of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Programs {
    /// The image, by the name that the parameter gives.
    pub image: String,
    /// Their directory inside.
    pub dir: String,
}

/// The programs for the data of this place.
pub(super) fn programs(
    engine: &Engine,
    exec: &dyn Exec,
    place: &Place,
    spec: &Spec,
) -> Result<Programs, BinariesError> {
    let Some(image) = &spec.image else { return Err(BinariesError::NoImageNamed) };
    let found = match engine.image(exec, image, QUESTION) {
        Known::Known(Some(found)) => found,
        Known::Known(None) => {
            return Err(BinariesError::NoImage {
                image: image.clone(),
                engine: engine.kind.to_string(),
            });
        }
        Known::Unknown(why) => return Err(BinariesError::EngineSilent(why)),
    };
    let data = place.read("PG_VERSION", 64).ok();
    let data = data.and_then(|text| major_of_pg_version(&text).ok());
    let given = place.bindir.as_ref().map(|dir| dir.display().to_string());
    let kept = kept(&found.id).filter(|(dir, _)| given.as_ref().is_none_or(|given| given == dir));
    let (dir, version) = if let Some(kept) = kept {
        kept
    } else {
        let major = data.or(spec.major).or(found.major());
        let asked = candidates(&found, given, major);
        let answer = ask(engine, exec, place, spec, &asked)?;
        keep(&found.id, &answer);
        answer
    };
    match data.or(spec.major) {
        Some(wanted) if wanted != version => {
            Err(BinariesError::ImageOfOtherMajor { image: image.clone(), found: version, wanted })
        }
        _ => Ok(Programs { image: image.clone(), dir }),
    }
}

/// Where the programs may be, the likeliest first.
fn candidates(image: &Image, given: Option<String>, major: Option<u32>) -> Vec<String> {
    if let Some(given) = given {
        return vec![given];
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
    // An image of another layout than its PATH says is rare: what it names, and what all have, comes first.
    let mut all = Vec::new();
    for dir in named.into_iter().chain(its_own).chain(others).chain(plain) {
        if !all.contains(&dir) {
            all.push(dir);
        }
    }
    all
}

fn ask(
    engine: &Engine,
    exec: &dyn Exec,
    place: &Place,
    spec: &Spec,
    candidates: &[String],
) -> Result<(String, u32), BinariesError> {
    let image = spec.image.clone().unwrap_or_default();
    for dir in candidates {
        let program = format!("{dir}/postgres");
        let failed = |why: String| BinariesError::NoVersion {
            program: format!("{program} in the image {image}"),
            why,
        };
        let name = format!("{}-{}-version", spec.name, std::process::id());
        let run = Run {
            name: name.clone(),
            image: image.clone(),
            program: program.clone(),
            workdir: "/".to_owned(),
            user: (place.user.uid, place.user.gid),
            groups: Vec::new(),
            network: "none".to_owned(),
            labels: vec![(LABEL.to_owned(), key(place)), (ROLE.to_owned(), "program".to_owned())],
            env: Vec::new(),
            env_passed: Vec::new(),
            binds: Vec::new(),
            remove: true,
            options: Vec::new(),
        };
        let cmd = engine.run(&run).arg("--version").limit(ASKING);
        let cmd = cmd.when_killed(engine.remove(&name).limit(QUICK_REMOVAL));
        let output = exec.run(&cmd).map_err(|error| failed(chain(&error)))?;
        match output.ended {
            Ended::Exited(0) => {
                let version =
                    Version::of_program(&output.stdout).map_err(|e| failed(e.to_string()))?;
                return Ok((dir.clone(), version.major));
            }
            // As a shell says it, and as both engines do: there is no such program, or it is none. With an
            // init in between it is that one which says it.
            Ended::Exited(126 | 127) => {}
            Ended::Exited(_) if is_missing(&output.stderr) => {}
            Ended::TimedOut => {
                return Err(BinariesError::EngineSilent(format!(
                    "{} did not run a container within {ASKING:?}",
                    engine.kind
                )));
            }
            Ended::Exited(_) | Ended::Signaled(_) => {
                return Err(failed(last_words(&output.stderr)));
            }
        }
    }
    Err(BinariesError::NotInImage { image, searched: candidates.join(", ") })
}

fn is_missing(words: &str) -> bool {
    ["no such file or directory", "executable file not found", "not found in $PATH"]
        .iter()
        .any(|text| words.to_ascii_lowercase().contains(&text.to_ascii_lowercase()))
}

fn dir_of_kept() -> PathBuf {
    permit::run_root().join("images")
}

/// What was found of this image before.
fn kept(id: &str) -> Option<(String, u32)> {
    let name = file_name(id)?;
    let text = read_root_owned(&dir_of_kept().join(name), 4096).ok()?;
    let (dir, major) = text.trim_end().split_once('\n')?;
    Path::new(dir).is_absolute().then_some(())?;
    Some((dir.to_owned(), major.parse().ok()?))
}

fn keep(id: &str, (dir, major): &(String, u32)) {
    let Some(name) = file_name(id) else { return };
    let place = dir_of_kept();
    // Without it, the next action asks again.
    if ensure_root_dir(&place, 0o755).is_ok() {
        let _ = write_volatile(&place, name, format!("{dir}\n{major}\n").as_bytes(), 0o600);
    }
}

fn file_name(id: &str) -> Option<&str> {
    let fine = (12..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    fine.then_some(id)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

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
        assert_eq!(candidates(&suse, Some("/opt/pg".into()), Some(16)), ["/opt/pg"]);
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
}
