//! A registry of its own, Debian's docker-registry, with images of the PostgreSQL that is installed here: which
//! one is chosen, that it is downloaded, and that a start then asks nobody.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pgtwin::agent::container::{Ground, local, look, pull};
use pgtwin::client::engine::{Engine, QUESTION};
use pgtwin::client::image_file::ImageFile;
use pgtwin::client::registry::{tags, tags_by};
use pgtwin::cluster::image::Remembered;
use pgtwin::cluster::known::Known;
use pgtwin::decide::image::choose;
use pgtwin::ocf::params::{ContainerRuntime, Params};
use pgtwin::sys::deadline::poll_until;
use pgtwin::sys::exec::System;
use tempfile::TempDir;

use crate::box_of::{Box, await_answer, soon, with_each_engine};
use crate::engine;

/// Where the instances of these tests have what outlives a boot.
const STATE: &str = "/var/lib/pgtwin";
const RESOURCE: &str = "pgtwin-test-box";

/// It listens on this machine only, and is gone with the test.
struct Registry {
    port: u16,
    server: Child,
    insecure: PathBuf,
    _dir: TempDir,
}

impl Registry {
    /// None where the program is not installed.
    fn new() -> Option<Self> {
        let program = PathBuf::from("/usr/bin/docker-registry");
        if !program.exists() {
            eprintln!("not made: apt-get install docker-registry skopeo");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = dir.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
             http:\n  addr: 127.0.0.1:{port}\n",
            dir.path().join("data").display()
        );
        fs::write(&config, text).unwrap();
        let server = Command::new(program)
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // podman and skopeo want TLS unless they are told otherwise; docker does not on localhost.
        let insecure =
            PathBuf::from(format!("/etc/containers/registries.conf.d/pgtwin-test-{port}.conf"));
        fs::create_dir_all(insecure.parent().unwrap()).unwrap();
        let text = format!("[[registry]]\nlocation = \"localhost:{port}\"\ninsecure = true\n");
        fs::write(&insecure, text).unwrap();
        let new = Self { port, server, insecure, _dir: dir };
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(());
        poll_until(&soon(), Duration::from_millis(50), listens).expect("the registry listens");
        Some(new)
    }

    fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Puts the image of the PostgreSQL here into it, under these tags.
    fn fill(&self, on: &Box, repository: &str, tags: &[&str]) {
        let image = engine::image(on.runtime, &on.bindir);
        for tag in tags {
            let name = format!("{}/{repository}:{tag}", self.host());
            on.tell(&["tag", &image, &name]);
            on.tell(&["push", &name]);
            on.tell(&["rmi", &name]);
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_file(&self.insecure);
    }
}

fn major(on: &Box) -> u32 {
    let data = PathBuf::from(&on.params.pgdata).join("PG_VERSION");
    fs::read_to_string(data).unwrap().trim().parse().unwrap()
}

/// As the box has them, with a version in place of an image.
fn by_version(on: &Box, registry: &Registry) -> Params {
    Params {
        container_image: None,
        pg_major_version: Some(major(on)),
        container_registry: Some(registry.host()),
        container_repository: Some("db/pg".into()),
        ..on.params.clone()
    }
}

fn file() -> ImageFile {
    let _ = fs::remove_file(format!("{STATE}/{RESOURCE}/image"));
    ImageFile::new(STATE, RESOURCE)
}

#[test]
fn the_newest_image_is_found_downloaded_and_started_from_what_lies_here() {
    with_each_engine(|on| {
        let Some(registry) = Registry::new() else { return };
        let major = major(on);
        let of = |rest: &str| format!("{major}{rest}");
        let all = [of(""), of(".9"), of(".10"), of(".11-alpine"), of(".12rc1"), "latest".into()];
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        registry.fill(on, "db/pg", &all);
        let repository = format!("{}/db/pg", registry.host());
        let engine = Engine::find(on.runtime).unwrap();

        // By skopeo, and by podman.
        let limit = Duration::from_secs(30);
        let mut listed = vec![tags(&System, Some(&engine), &repository, limit).unwrap()];
        if on.runtime == ContainerRuntime::Podman {
            listed.push(tags_by(&System, None, Some(&engine), &repository, limit).unwrap());
        }
        for mut one in listed {
            let chosen = choose(&repository, major, &one).unwrap();
            assert_eq!(chosen.to_string(), format!("{repository}:{major}.10"));
            one.sort();
            let mut expected: Vec<String> = all.iter().map(|tag| (*tag).to_owned()).collect();
            expected.sort();
            assert_eq!(one, expected);
        }

        let params = by_version(on, &registry);
        let pg = on.with(&params);
        let ground = Ground { params: &params, file: file(), pg: &pg };
        // Nothing was chosen yet: a start says what is to be done, and asks nobody.
        let why = pg.check_programs().unwrap_err().to_string();
        assert!(why.contains("run pgtwin container pull on this node"), "{why}");
        let mut said = Vec::new();
        let planned = pull(&ground, true, false, &mut |words| said.push(words.to_owned())).unwrap();
        assert_eq!(planned.name, format!("{repository}:{major}.10"));
        assert!(planned.image.is_none() && ground.file.read() == Remembered::Nothing);
        let pulled = pull(&ground, false, false, &mut |words| said.push(words.to_owned())).unwrap();
        assert!(pulled.name.starts_with(&format!("{repository}@sha256:")), "{}", pulled.name);
        assert!(
            said.iter().any(|words| words.contains("the newest image of PostgreSQL")),
            "{said:?}"
        );
        let Remembered::Is(choice) = ground.file.read() else { panic!() };
        assert_eq!((choice.major, choice.tag), (major, of(".10")));

        // The registry is gone, and a start needs none.
        drop(registry);
        let pg = on.with(&params);
        pg.start(&soon()).unwrap();
        await_answer(&pg);
        let here = local(&ground).unwrap();
        assert_eq!(here.name.as_ref().unwrap(), &pulled.name);
        let Known::Known(Some(image)) = here.image else { panic!("{here:?}") };
        assert_eq!(
            on.tell(&["container", "inspect", "--format", "{{.Image}}", on.name()])
                .trim_start_matches("sha256:"),
            image.id
        );
        // What lies here is looked into without a registry; one that is asked says that it is not reached.
        assert_eq!(pull(&ground, false, true, &mut |_| {}).unwrap().name, pulled.name);
        let why = pull(&ground, false, false, &mut |_| {}).unwrap_err();
        assert!(why.contains("could not list the tags of"), "{why}");
        assert!(engine.image(&System, &pulled.name, QUESTION).is_known());
        drop(file());
        on.tell(&["rm", "--force", on.name()]);
        on.tell(&["rmi", "--force", &image.id]);
    });
}

#[test]
fn a_version_that_no_tag_has_and_data_of_another_one_are_refused_before_anything_is_downloaded() {
    with_each_engine(|on| {
        let Some(registry) = Registry::new() else { return };
        let major = major(on);
        registry.fill(on, "db/pg", &["12.1", "latest"]);
        let params = by_version(on, &registry);
        let pg = on.with(&params);
        let refused = |params: &Params| {
            let ground = Ground { params, file: file(), pg: &pg };
            pull(&ground, false, false, &mut |_| {}).unwrap_err()
        };
        let why = refused(&params);
        assert!(
            why.contains(&format!("no tag of PostgreSQL {major} is among its 2 tags")),
            "{why}"
        );
        let other = Params { pg_major_version: Some(major + 1), ..params.clone() };
        let why = refused(&other);
        assert!(
            why.contains(&format!("the data of this node is of {major} (PG_VERSION)")),
            "{why}"
        );
        let nowhere = Params { container_registry: None, ..params.clone() };
        assert!(refused(&nowhere).contains("container_registry is not given"));
        let missing = Params {
            container_image: Some(format!("{}/db/pg:{major}.99", registry.host())),
            ..params.clone()
        };
        assert!(refused(&missing).contains("has not downloaded"));
        drop(file());
    });
}

#[test]
fn an_image_is_looked_into_and_what_it_lacks_is_named() {
    with_each_engine(|on| {
        let pg = on.bare();
        pg.start(&soon()).unwrap();
        await_answer(&pg);
        let ground = Ground { params: &on.params, file: file(), pg: &pg };
        let fit = look(&ground).unwrap();
        let told = &fit.readiness;
        assert!(told.against.is_empty(), "{fit:?}");
        // The image is made of this host's own files.
        let host = told.host.as_ref().unwrap();
        assert_eq!(&told.inside, host);
        assert!(told.inside.libc.as_ref().unwrap().starts_with("glibc 2."), "{fit:?}");
        assert!(fit.remarks.is_empty(), "{fit:?}");
        assert_eq!(
            told.to_string().parse::<pgtwin::cluster::readiness::Readiness>().unwrap().id,
            told.id
        );

        // An archive that is not mounted, a program without a path, a library that nobody has.
        for (name, value) in [
            ("restore_command", "cp /srv/pgtwin-no-archive/%f %p"),
            ("archive_cleanup_command", "pgtwin-no-such-tool %r"),
            ("session_preload_libraries", "pgtwin_no_such_library"),
        ] {
            on.ask(&format!("ALTER SYSTEM SET {name} = '{value}'"));
        }
        on.ask("SELECT pg_reload_conf()");
        let unfit = poll_until(&soon(), Duration::from_millis(500), || {
            let fit = look(&ground).unwrap();
            (fit.readiness.against.len() > 1).then_some(fit)
        });
        let fit = unfit.expect("the settings are in force");
        let against = fit.readiness.against.join("\n");
        for words in
            ["restore_command=/srv/pgtwin-no-archive is seen neither", "pgtwin_no_such_library"]
        {
            assert!(against.contains(words), "{against}");
        }
        assert!(fit.remarks.iter().any(|one| one.contains("pgtwin-no-such-tool")), "{fit:?}");
    });
}
