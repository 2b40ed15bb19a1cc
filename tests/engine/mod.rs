//! Real container engines for tests, and an image of the PostgreSQL that is installed here, made of its own
//! files: nothing is downloaded. `PGTWIN_TEST_ENGINE=podman|docker` has other tests start their PostgreSQL in
//! containers.
#![allow(dead_code)] // each test program uses another part

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pgtwin::client::engine::Engine;
use pgtwin::ocf::params::{ContainerRuntime, Params};
use pgtwin::sys::exec::System;

static ONE_BUILDS: Mutex<()> = Mutex::new(());

/// What the image has besides PostgreSQL: an archive_command needs a shell.
const PROGRAMS: [&str; 12] =
    ["cat", "cp", "dash", "env", "false", "gzip", "ls", "mv", "sh", "sleep", "test", "true"];

/// The engine that the environment asks for, if it does.
pub fn asked_for() -> Option<ContainerRuntime> {
    match std::env::var("PGTWIN_TEST_ENGINE").as_deref() {
        Err(_) | Ok("") => None,
        Ok("podman") => Some(ContainerRuntime::Podman),
        Ok("docker") => Some(ContainerRuntime::Docker),
        Ok(other) => panic!("PGTWIN_TEST_ENGINE={other}: podman or docker"),
    }
}

/// Says so where a test is about what a container does not have.
pub fn not_in_a_container(why: &str) -> bool {
    if asked_for().is_some() {
        eprintln!("not made in a container: {why}");
    }
    asked_for().is_some()
}

/// The engines that answer here.
pub fn that_answer() -> Vec<ContainerRuntime> {
    let answers = |wanted: &ContainerRuntime| {
        Engine::find(*wanted)
            .is_ok_and(|engine| engine.version(&System, Duration::from_secs(10)).is_known())
    };
    let all = [ContainerRuntime::Podman, ContainerRuntime::Docker];
    all.into_iter().filter(answers).collect()
}

/// Puts PostgreSQL into a container, if the environment asks for it: `dir` has all that the test makes.
pub fn contain(params: &mut Params, name: &str, dir: &Path, bindir: &Path) {
    if let Some(runtime) = asked_for() {
        contain_by(runtime, params, name, dir, bindir);
    }
}

/// The same, by this engine.
pub fn contain_by(
    runtime: ContainerRuntime,
    params: &mut Params,
    name: &str,
    dir: &Path,
    bindir: &Path,
) {
    params.container_mode = true;
    params.container_runtime = runtime;
    params.container_name = container_name(dir, name);
    params.container_image = Some(image(runtime, bindir));
    params.container_shm_size = "64m".into();
    params.container_options = vec![format!("--volume={0}:{0}", dir.display())];
    params.socket_dir.get_or_insert(dir.display().to_string());
}

/// The same parameters, as `OCF_RESKEY_*` has them.
pub fn as_words(params: &Params) -> Vec<(&'static str, String)> {
    vec![
        ("container_mode", "true".into()),
        (
            "container_runtime",
            match params.container_runtime {
                ContainerRuntime::Auto => "auto",
                ContainerRuntime::Podman => "podman",
                ContainerRuntime::Docker => "docker",
            }
            .into(),
        ),
        ("container_name", params.container_name.clone()),
        ("container_image", params.container_image.clone().unwrap()),
        ("container_shm_size", params.container_shm_size.clone()),
        ("container_options", params.container_options.join(" ")),
    ]
}

pub fn container_name(dir: &Path, name: &str) -> String {
    let dir = dir.file_name().unwrap().to_string_lossy();
    format!("pgtwin-test-{}-{name}", dir.trim_start_matches('.'))
}

/// One command of the engine, which has to succeed.
pub fn tell(runtime: ContainerRuntime, args: &[&str]) -> String {
    let output = try_tell(runtime, args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn try_tell(runtime: ContainerRuntime, args: &[&str]) -> std::process::Output {
    let engine = Engine::find(runtime).unwrap();
    Command::new(&engine.program).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Removes a container of a test's, if there is one.
pub fn remove(runtime: ContainerRuntime, name: &str) {
    let _ = try_tell(runtime, &["rm", "--force", "--volumes", name]);
}

/// An image with the PostgreSQL of this directory, made when it is missing.
pub fn image(runtime: ContainerRuntime, bindir: &Path) -> String {
    let _one = ONE_BUILDS.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(bindir.join("postgres")).arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let version = said.split_whitespace().nth(2).unwrap().to_owned();
    let name = format!("localhost/pgtwin-test-postgres:{version}");
    if try_tell(runtime, &["image", "inspect", &name]).status.success() {
        return name;
    }
    let work = tempfile::tempdir().unwrap();
    let tar = work.path().join("image.tar");
    pack(&work.path().join("root"), &tar, bindir);
    let path = format!("ENV PATH=/usr/local/bin:/usr/bin:/bin:{}", bindir.display());
    tell(runtime, &["import", "--change", &path, tar.to_str().unwrap(), &name]);
    name
}

/// A root file system with PostgreSQL, what it is linked to, and a few programs, as tar.
fn pack(root: &Path, tar: &Path, bindir: &Path) {
    for dir in ["usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "tmp", "run", "etc", "var/lib"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), Permissions::from_mode(0o1777)).unwrap();
    for dir in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{dir}"), root.join(dir)).unwrap();
    }
    let own = bindir.parent().unwrap();
    let major = own.file_name().unwrap();
    let mut paths: BTreeSet<PathBuf> = [
        own.to_owned(),
        Path::new("/usr/share/postgresql").join(major),
        "/usr/share/zoneinfo".into(),
        "/usr/lib/locale".into(),
        "/etc/nsswitch.conf".into(),
    ]
    .into();
    paths.extend(PROGRAMS.iter().map(|name| Path::new("/usr/bin").join(name)));
    let mut linked = Command::new("sh");
    linked
        .arg("-c")
        .arg("find \"$0\" -type f | xargs ldd /usr/bin/cp /usr/bin/sh 2>/dev/null | grep -o '/[^ ]*\\.so[^ ]*'; ls /lib/*/libnss_*.so*")
        .arg(own);
    let libraries = String::from_utf8(linked.output().unwrap().stdout).unwrap();
    paths.extend(libraries.lines().map(|line| PathBuf::from(line.trim_end_matches(':'))));
    paths.retain(|path| path.exists());
    // Links are followed: what they lead to need not be in the image.
    let mut collect = Command::new("sh");
    collect
        .arg("-c")
        .arg("root=$0; tar -chf - \"$@\" 2>/dev/null | tar -xf - -C \"$root\"")
        .arg(root)
        .args(&paths);
    assert!(collect.status().unwrap().success());
    assert!(root.join(bindir.strip_prefix("/").unwrap()).join("postgres").exists());
    let mut pack = Command::new("tar");
    pack.arg("-C").arg(root).arg("-cf").arg(tar).arg(".");
    assert!(pack.status().unwrap().success());
}
