//! The image of a node that has podman, and in it, for podman, an image of the same release's PostgreSQL.
//!
//! podman has an overlay of its own for each container, and an overlay takes no writes upon another, which a
//! node's file system is. So what podman writes is on a volume of the node's; the image of PostgreSQL is a store
//! in the image of the node, which podman only reads. No node has to load it.

use std::path::Path;
use std::time::Duration;

use super::{INSTALL, Owner, base, build, exists, in_work_dir, install, packages, tag_of};
use crate::docker::docker;
use crate::error::Result;
use crate::host;
use crate::options::Release;
use crate::progress::step;

/// podman, the init that it puts into containers, and what starts them: crun, podman's own choice, is not at
/// home with control groups of version 1.
const PACKAGES: &str = "podman catatonit runc";
/// What the image for podman has beside the bare release.
const OF_POSTGRES: &str = "postgresql";

/// What a node's container is given for podman: mounts, control groups of its own that it may write to, and a
/// file system that is no overlay.
pub const FOR_PODMAN: [&str; 10] = [
    "--cap-add",
    "SYS_ADMIN",
    "--security-opt",
    "seccomp=unconfined",
    "--security-opt",
    "apparmor=unconfined",
    "--cgroupns",
    "private",
    "--volume",
    "/var/lib/containers",
];

/// Runs where podman is installed; /work/postgres.tar is the root of the image for podman.
const STORE: &str = r#"mkdir -p /etc/containers/containers.conf.d /var/lib/lab-images
cat > /etc/containers/containers.conf.d/lab.conf <<'END'
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
END
podman import --quiet --change "ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/lib/postgresql/$MAJOR/bin" \
  /work/postgres.tar "$NAME"
cd /var/lib/containers/storage
cp -a overlay overlay-images overlay-layers /var/lib/lab-images
cat > /etc/containers/storage.conf <<'END'
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
[storage.options]
additionalimagestores = ["/var/lib/lab-images"]
END
"#;

/// The name of the image with PostgreSQL, in the nodes that have podman.
pub fn of_postgres(release: Release) -> String {
    format!("localhost/pgtwin-lab-postgres:{}", release.postgres())
}

/// The image of a release with podman.
pub fn ensure_podman(release: Release) -> Result<String> {
    let node = super::ensure(release)?;
    let name = of_postgres(release);
    let parts = [&node, PACKAGES, OF_POSTGRES, &name, INSTALL, STORE];
    let tag = tag_of(&format!("podman-{release}"), &parts.join("\n"));
    let _lock = host::lock(&format!("image-podman-{release}"))?;
    if exists(&tag)? {
        return Ok(tag);
    }
    host::prepare_build()?;
    let postgres = tag_of(&format!("postgres-{release}"), &[OF_POSTGRES, INSTALL].join("\n"));
    if !exists(&postgres)? {
        let base = base(release)?;
        step(&format!("making an image of PostgreSQL on {release}"), || {
            packages(&base, &postgres, OF_POSTGRES)
        })?;
    }
    step(&format!("installing podman on {release}"), || {
        in_work_dir(|work| {
            export(&postgres, &work.join("postgres.tar"))?;
            let names = format!("MAJOR={}\nNAME={name}\n", release.postgres());
            let mount = format!("{}:/work:ro", work.display());
            let args: Vec<&str> =
                FOR_PODMAN.into_iter().chain(["--volume", mount.as_str()]).collect();
            build(&node, &tag, &args, &format!("{}{names}{STORE}", install(PACKAGES)))
        })
    })?;
    Ok(tag)
}

/// The root of an image as one archive.
fn export(image: &str, file: &Path) -> Result<()> {
    let owner = Owner::of_a_build();
    docker(["create", "--name", &owner.name]).args(&owner.labels).args([image, "true"]).check()?;
    let exported = docker(["export", &owner.name, "--output"])
        .args([file.as_os_str()])
        .limit(Duration::from_mins(5))
        .check();
    let removed = docker(["rm", "--force", &owner.name]).check();
    exported.and(removed).map(drop)
}
