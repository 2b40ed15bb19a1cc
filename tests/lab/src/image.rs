//! The image of a node: a Debian release with PostgreSQL, Corosync, Pacemaker and the tools of an
//! administrator, made by debootstrap because no registry is needed for that. Its tag is a hash
//! of everything that goes in, so a second build finds the first.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::docker::docker;
use crate::error::{LabError, Result};
use crate::host;
use crate::options::{Options, Release};
use crate::progress::{say, step};
use crate::run::Run;

mod podman;

pub use podman::{FOR_PODMAN, of_postgres};

/// A directory in /var/tmp is in use.
static BUILDING: AtomicBool = AtomicBool::new(false);

/// True while a build has a directory of its own, which it removes when it ends, well or not.
pub fn is_building() -> bool {
    BUILDING.load(Ordering::Relaxed)
}

/// Name of the images; the tag is the release and a hash.
const REPOSITORY: &str = "pgtwin-lab";

/// What a node needs, and what tests ask of it: crmsh and pcs must accept the agent's meta-data,
/// xmllint validates it, ocf-tester comes with resource-agents.
const PACKAGES: [&str; 13] = [
    "postgresql",
    "pacemaker",
    "pacemaker-cli-utils",
    "corosync",
    "resource-agents",
    "crmsh",
    "pcs",
    "iproute2",
    "iptables",
    "iputils-ping",
    "procps",
    "psmisc",
    "libxml2-utils",
];

/// What pgtwin is compared with, on top of that, and the module by which Patroni speaks to etcd.
const RIVALS: [&str; 5] =
    ["resource-agents-paf", "patroni", "etcd-server", "etcd-client", "python3-etcd"];

/// Runs in a container of the bare release. No service is started, no PostgreSQL cluster of the
/// distribution's own is created: the lab makes its own, and Pacemaker alone starts it.
const INSTALL: &str = r"set -e
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
printf 'path-exclude=/usr/share/%s/*\n' doc man locale > /etc/dpkg/dpkg.cfg.d/lab
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get update -q
apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-confold $PACKAGES
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
rm -rf /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log /var/log/bootstrap.log
rm -f /etc/apt/apt.conf.d/99lab /etc/corosync/corosync.conf
";

/// The image that the nodes of such a cluster need, built when it is not there yet. Gives its full name.
pub fn ensure_for(options: &Options) -> Result<String> {
    if options.runtime.has_podman() {
        podman::ensure_podman(options.release)
    } else if options.rivals || options.agent.is_rival() {
        ensure_rivals(options.release)
    } else {
        ensure(options.release)
    }
}

/// The image of a release, built when it is not there yet. Gives its full name.
pub fn ensure(release: Release) -> Result<String> {
    let tag = tag_of(&release.to_string(), &content(release));
    if exists(&tag)? {
        return Ok(tag);
    }
    let _lock = host::lock(&format!("image-{release}"))?;
    if exists(&tag)? {
        return Ok(tag);
    }
    host::prepare_build()?;
    say(format!("no image of {release} yet: building it, once (about a minute)"));
    let base = base(release)?;
    let wanted = PACKAGES.join(" ");
    step(&format!("installing PostgreSQL and Pacemaker on {release}"), || {
        packages(&base, &tag, &wanted)
    })?;
    // For people: the newest image of a release by a name that can be typed.
    docker(["tag", &tag, &format!("{REPOSITORY}:{release}")]).check()?;
    Ok(tag)
}

/// The image of a release with the programs that pgtwin is compared with.
fn ensure_rivals(release: Release) -> Result<String> {
    let base = ensure(release)?;
    let wanted = RIVALS.join(" ");
    let tag = tag_of(&format!("compare-{release}"), &format!("{base}\n{wanted}\n{INSTALL}"));
    let _lock = host::lock(&format!("image-compare-{release}"))?;
    if !exists(&tag)? {
        step(&format!("installing PAF, Patroni and etcd on {release}"), || {
            packages(&base, &tag, &wanted)
        })?;
    }
    Ok(tag)
}

fn tag_of(name: &str, content: &str) -> String {
    format!("{REPOSITORY}:{name}-{:012x}", hash(content) & 0xffff_ffff_ffff)
}

fn exists(tag: &str) -> Result<bool> {
    Ok(!docker(["images", "--quiet", tag]).check()?.text().is_empty())
}

/// All that goes into the image of a release.
fn content(release: Release) -> String {
    format!("{release}\n{}\n{INSTALL}", PACKAGES.join(" "))
}

/// FNV-1a.
fn hash(content: &str) -> u64 {
    content.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The bare release, by debootstrap.
fn base(release: Release) -> Result<String> {
    let tag = format!("{REPOSITORY}-base:{release}");
    if exists(&tag)? {
        return Ok(tag);
    }
    in_work_dir(|work| import(release, work, &tag))?;
    Ok(tag)
}

/// Does something with a directory of its own, which is removed in any case.
fn in_work_dir(build: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let work = tempfile::Builder::new()
        .prefix("pgtwin-lab-")
        .tempdir_in("/var/tmp")
        .map_err(LabError::io("create a directory in /var/tmp"))?;
    BUILDING.store(true, Ordering::Relaxed);
    let built = build(work.path());
    let removed = work.close().map_err(LabError::io("remove the directory of the build"));
    BUILDING.store(false, Ordering::Relaxed);
    built.and(removed)
}

fn import(release: Release, work: &Path, tag: &str) -> Result<()> {
    let root = work.join("root");
    let archive = work.join("root.tar");
    step(&format!("debootstrap of {release}"), || debootstrap(release, &root))?;
    Run::new("tar")
        .args(["--numeric-owner", "-c", "."])
        .dir(&root)
        .args([std::ffi::OsStr::new("-f"), archive.as_os_str()])
        .limit(Duration::from_mins(5))
        .check()?;
    docker(["import"]).args([archive.as_os_str()]).args([tag]).check().map(drop)
}

fn debootstrap(release: Release, root: &Path) -> Result<()> {
    let mut command = Run::new("debootstrap")
        .args(["--variant=minbase", release.name()])
        .args([root])
        .args([mirror()])
        .limit(Duration::from_mins(15));
    // A debootstrap older than the release has no script of its name; all are the same script.
    if !Path::new("/usr/share/debootstrap/scripts").join(release.name()).exists() {
        command = command.args(["/usr/share/debootstrap/scripts/sid"]);
    }
    command.check().map(drop)
}

/// The mirror that the host's own apt uses for Debian; empty for debootstrap's default.
fn mirror() -> String {
    let format = "$(REPO_URI) $(ORIGIN) $(LABEL)";
    let list = Run::new("apt-get")
        .args(["indextargets", "--format", format, "Created-By: Packages"])
        .output()
        .map(|output| output.text())
        .unwrap_or_default();
    pick_mirror(&list)
}

fn pick_mirror(list: &str) -> String {
    list.lines()
        .filter_map(|line| line.strip_suffix(" Debian Debian"))
        .map(str::to_owned)
        .next()
        .unwrap_or_default()
}

/// What the host's apt is told about proxies and clocks holds in the container too.
fn apt_settings() -> String {
    let dump = Run::new("apt-config").args(["dump"]).output().map(|o| o.text()).unwrap_or_default();
    let wanted = ["Acquire::Check-", "Acquire::http::Proxy", "Acquire::https::Proxy"];
    dump.lines().filter(|line| wanted.iter().any(|start| line.starts_with(start))).fold(
        String::new(),
        |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        },
    )
}

/// Adds packages to an image.
fn packages(base: &str, tag: &str, wanted: &str) -> Result<()> {
    build(base, tag, &[], &install(wanted))
}

/// The script that installs packages, as the host's apt does it.
fn install(wanted: &str) -> String {
    let settings = apt_settings();
    format!(
        "cat > /etc/apt/apt.conf.d/99lab <<'END'\n{settings}END\nPACKAGES='{wanted}'\n{INSTALL}"
    )
}

/// How many builds this process has begun: images of two releases are built at the same time.
static BUILDS: AtomicU32 = AtomicU32::new(0);

/// By what a container of a build is known, and removed when its process has ended.
struct Owner {
    name: String,
    labels: [String; 4],
}

impl Owner {
    fn of_a_build() -> Self {
        let owner = format!("{}={}", crate::docker::OWNER, crate::docker::this_process());
        let label = format!("{}=build", crate::docker::LABEL);
        let option = || "--label".to_owned();
        let number = BUILDS.fetch_add(1, Ordering::Relaxed) + 1;
        Self {
            name: format!("{REPOSITORY}-build-{}-{number}", std::process::id()),
            labels: [option(), label, option(), owner],
        }
    }
}

/// Makes an image of another one by a script. `args`: what the container that it runs in is given.
fn build(base: &str, tag: &str, args: &[&str], script: &str) -> Result<()> {
    let Owner { name, labels } = Owner::of_a_build();
    let mut run = docker(["run", "--interactive", "--name", &name, "--network", "host"])
        .args(labels)
        .args(args);
    for variable in ["http_proxy", "https_proxy", "no_proxy"] {
        if let Ok(value) = std::env::var(variable) {
            run = run.args(["--env", &format!("{variable}={value}")]);
        }
    }
    let built = run
        .args([base, "sh", "-s"])
        .stdin(script)
        .limit(Duration::from_mins(20))
        .check()
        .and_then(|_| docker(["commit", &name, tag]).limit(Duration::from_mins(5)).check());
    let removed = docker(["rm", "--force", "--volumes", &name]).check();
    built.and(removed).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_hosts_and_not_that_of_security_updates() {
        let list = "http://sec/ Debian Debian-Security\nhttp://m/debian/ Debian Debian\n";
        assert_eq!(pick_mirror(list), "http://m/debian/");
        assert_eq!(pick_mirror("http://u/ Ubuntu Ubuntu"), "");
    }

    #[test]
    fn builds_at_the_same_time_do_not_meet_in_one_container() {
        assert_ne!(Owner::of_a_build().name, Owner::of_a_build().name);
    }

    #[test]
    fn releases_have_different_contents() {
        let [one, other] = [Release::Trixie, Release::Forky].map(|one| hash(&content(one)));
        assert_ne!(one, other);
    }
}
