//! The packages, as packaging/build makes them of the release binary: what is in them, what lintian
//! and rpmlint say, and that installing, updating and removing leaves what it should. Each is
//! installed below a root of its own, never on this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../release/mod.rs"]
mod release;
mod root;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use release::release;
use root::Root;

struct Packages {
    dir: PathBuf,
    deb: PathBuf,
    rpm: PathBuf,
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn run(command: &mut Command) -> Output {
    command
        .env_remove("CIB_file")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?} can't be run: {error}"))
}

/// What a program that must succeed prints.
fn succeeds(command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}{errors}", output.status);
    said
}

/// Both packages, built once, in a directory that cargo has for tests.
fn packages() -> &'static Packages {
    static BUILT: OnceLock<Packages> = OnceLock::new();
    BUILT.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let mut build = Command::new(repository("packaging/build"));
        build.arg("--binary").arg(release()).arg("--out").arg(&dir);
        let made = succeeds(&mut build);
        let named =
            |end: &str| PathBuf::from(made.lines().find(|line| line.ends_with(end)).unwrap());
        Packages { deb: named(".deb"), rpm: named(".rpm"), dir }
    })
}

/// What the tree of both packages has, with its mode and, for a link, where it leads. Man pages and
/// documents are looked at by themselves.
const CONTENTS: [(&str, &str); 8] = [
    ("/etc/logrotate.d/pgtwin", "-rw-r--r--"),
    ("/usr/lib/ocf/resource.d/heartbeat/pgtwin", "lrwxrwxrwx ../../../../sbin/pgtwin"),
    ("/usr/sbin/pgtwin", "-rwxr-xr-x"),
    ("/usr/share/bash-completion/completions/pgtwin", "-rw-r--r--"),
    ("/usr/share/fish/vendor_completions.d/pgtwin.fish", "-rw-r--r--"),
    ("/usr/share/pgtwin/ocf-metadata.xml", "-rw-r--r--"),
    ("/var/lib/pgtwin", "drwxr-xr-x"),
    ("/var/log/pgtwin", "drwxr-x---"),
];

/// Path, and mode with the target of a link, of lines as `ls -l` and `tar -tv` have them.
fn listed(lines: &str, owner: fn(&[&str]) -> String, path: usize) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in lines.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(owner(&words), "root/root", "{line}");
        let name = format!("/{}", words[path].trim_start_matches(['.', '/']).trim_end_matches('/'));
        let target = words.get(path + 2).map(|target| format!(" {target}")).unwrap_or_default();
        found.insert(name, format!("{}{target}", words[0]));
    }
    found
}

fn in_the_deb() -> BTreeMap<String, String> {
    let list = succeeds(Command::new("dpkg").arg("--contents").arg(&packages().deb));
    listed(&list, |words| words[1].to_owned(), 5)
}

fn in_the_rpm() -> BTreeMap<String, String> {
    let list = succeeds(Command::new("rpm").args(["-qlvp"]).arg(&packages().rpm));
    listed(&list, |words| format!("{}/{}", words[2], words[3]), 8)
}

#[test]
fn what_cannot_be_packed_is_said() {
    let build = |arguments: &[&str]| {
        let output = run(Command::new(repository("packaging/build")).args(arguments));
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = build(&["--binary", "/nowhere/pgtwin"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("/nowhere/pgtwin is not there"), "{said}");
    let (code, said) = build(&["--binary", "/etc/passwd"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("/etc/passwd is no program"), "{said}");
    let (code, said) = build(&["--quick"]);
    assert_eq!(code, Some(2));
    assert!(said.starts_with("Usage: packaging/build"), "{said}");
}

#[test]
fn both_packages_hold_what_they_should_with_the_right_modes_as_root() {
    for (found, zsh) in [(in_the_deb(), "vendor-completions"), (in_the_rpm(), "site-functions")] {
        for (path, mode) in CONTENTS {
            assert_eq!(found.get(path).map(String::as_str), Some(mode), "{path}");
        }
        let zsh = format!("/usr/share/zsh/{zsh}/_pgtwin");
        assert_eq!(found.get(&zsh).map(String::as_str), Some("-rw-r--r--"));
        for (dir, below, end) in
            [("packaging/man", "/usr/share/man/man8", ".gz"), ("docs", "/usr/share/doc/pgtwin", "")]
        {
            for entry in fs::read_dir(repository(dir)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let below = if name.ends_with(".7") { "/usr/share/man/man7" } else { below };
                let path = format!("{below}/{name}{end}");
                let wanted = dir == "packaging/man"
                    || (name != "SUMMARY.md"
                        && Path::new(&name).extension().is_some_and(|ending| ending == "md"));
                assert_eq!(
                    found.get(&path).map(String::as_str),
                    wanted.then_some("-rw-r--r--"),
                    "{path}"
                );
            }
        }
        assert!(found.contains_key("/usr/share/doc/pgtwin/crates.gz"));
        let strange = found.keys().find(|path| {
            !["/etc", "/usr", "/var", "/"].iter().any(|top| path.starts_with(top))
                || path.contains("/home/")
                || path.contains("/tmp")
        });
        assert_eq!(strange, None);
    }
}

#[test]
fn the_packages_ask_for_the_c_library_and_the_pacemaker_that_they_need() {
    let deb = succeeds(
        Command::new("dpkg-deb").arg("--field").args([&packages().deb, Path::new("Depends")]),
    );
    let rpm = succeeds(Command::new("rpm").args(["-qp", "--requires"]).arg(&packages().rpm));
    let (_, glibc) = deb.split_once("libc6 (>= ").unwrap();
    let glibc = glibc.split(')').next().unwrap();
    assert!(rpm.contains(&format!("libc.so.6(GLIBC_{glibc})")), "{deb}\n{rpm}");
    assert!(deb.contains("pacemaker (>= 2.1.5)") && rpm.contains("pacemaker >= 2.1.5"));
}

#[test]
fn every_crate_of_the_program_is_named_with_its_licence() {
    let text = succeeds(
        Command::new("sh")
            .args([
                "-c",
                "dpkg --fsys-tarfile \"$1\" | tar -xO ./usr/share/doc/pgtwin/crates.gz | zcat",
            ])
            .arg("sh")
            .arg(&packages().deb),
    );
    for name in ["clap", "quick-xml", "tokio-postgres", "unicode-ident"] {
        assert!(
            text.lines().any(|line| line.starts_with(&format!("{name} ")) && line.contains(": "))
        );
    }
    assert!(!text.contains("clap_mangen"), "a crate of the tests");
    let headings = text.matches("====\n").count();
    let granted = text.matches("Permission is hereby granted").count();
    assert!(headings > 50 && granted * 10 > headings * 9, "{granted} of {headings}");
}

#[test]
fn lintian_has_nothing_to_say() {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning"]);
    let said = succeeds(lintian.arg(&packages().deb));
    assert_eq!(said, "");
}

#[test]
fn rpmlint_has_nothing_to_say() {
    let config = repository("packaging/rpm/rpmlint.toml");
    let said = succeeds(Command::new("rpmlint").arg("-c").arg(config).arg(&packages().rpm));
    assert!(said.contains("0 errors, 0 warnings"), "{said}");
}

/// The same package with a higher version.
fn newer_deb() -> PathBuf {
    let (tree, file) = (packages().dir.join("newer"), packages().dir.join("newer.deb"));
    succeeds(Command::new("dpkg-deb").arg("--raw-extract").args([&packages().deb, &tree]));
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    let (before, after) = text.split_once("\nVersion: ").unwrap();
    let (_, rest) = after.split_once('\n').unwrap();
    fs::write(&control, format!("{before}\nVersion: 99.0-1\n{rest}")).unwrap();
    succeeds(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).args([&tree, &file]));
    file
}

#[test]
fn the_deb_is_installed_updated_and_removed_and_the_ledger_stays() {
    let root = Root::new();
    // A shell agent that was there before gives way.
    let agent = root.path("usr/lib/ocf/resource.d/heartbeat/pgtwin");
    fs::create_dir_all(agent.parent().unwrap()).unwrap();
    fs::write(&agent, "#!/bin/bash\n").unwrap();
    root.dpkg(&["--install", packages().deb.to_str().unwrap()]);
    root.agent_answers();

    root.work();
    let rotation = root.path("etc/logrotate.d/pgtwin");
    fs::write(&rotation, "# ours\n").unwrap();
    root.dpkg(&["--install", newer_deb().to_str().unwrap()]);
    root.agent_answers();
    assert_eq!(root.ledger(), "worth it");
    assert_eq!(fs::read_to_string(rotation).unwrap(), "# ours\n", "an administrator's change");

    root.dpkg(&["--remove", "pgtwin"]);
    let kept = ["etc/logrotate.d/pgtwin", "var/lib/pgtwin/db/ledger", "var/log/pgtwin/db.log"];
    assert_eq!(root.files(), kept);
    let said = root.dpkg(&["--purge", "pgtwin"]);
    assert!(said.contains("/var/lib/pgtwin stays"), "{said}");
    assert_eq!(root.files(), ["var/lib/pgtwin/db/ledger"]);
    assert_eq!(root.ledger(), "worth it");
}

#[test]
fn a_deb_that_never_worked_leaves_nothing() {
    let root = Root::new();
    root.dpkg(&["--install", packages().deb.to_str().unwrap()]);
    root.dpkg(&["--purge", "pgtwin"]);
    assert_eq!(root.files(), [""; 0]);
    assert!(!root.path("var/lib/pgtwin").exists() && !root.path("var/log/pgtwin").exists());
}

#[test]
fn the_rpm_is_installed_updated_and_removed_and_the_ledger_stays() {
    let root = Root::new();
    let package = packages().rpm.to_str().unwrap();
    root.rpm(&["--initdb"]);
    // Its script needs a shell in the root; it is tried by itself.
    root.rpm(&["--install", "--nodeps", "--noscripts", package]);
    root.agent_answers();
    // Owner, mode, link, size and digest of each file are what the package says.
    assert_eq!(root.verified(), "");
    root.work();
    let rotation = root.path("etc/logrotate.d/pgtwin");
    fs::write(&rotation, "# ours\n").unwrap();
    fs::set_permissions(root.path("var/log/pgtwin"), fs::Permissions::from_mode(0o777)).unwrap();
    let said = root.verified();
    let wrong: Vec<&str> = said.lines().filter_map(|line| line.split(' ').next_back()).collect();
    assert_eq!(wrong, ["/etc/logrotate.d/pgtwin", "/var/log/pgtwin"], "{said}");
    root.rpm(&["--upgrade", "--force", "--nodeps", "--noscripts", package]);
    root.agent_answers();
    assert_eq!(root.ledger(), "worth it");
    assert_eq!(fs::read_to_string(rotation).unwrap(), "# ours\n", "an administrator's change");
    root.rpm(&["--erase", "--nodeps", "--noscripts", "pgtwin"]);
    let kept =
        ["etc/logrotate.d/pgtwin.rpmsave", "var/lib/pgtwin/db/ledger", "var/log/pgtwin/db.log"];
    assert_eq!(root.files(), kept);
    assert_eq!(root.ledger(), "worth it");
}

/// The script of the package, run by rpm itself in the root, with the tools of Pacemaker there.
#[test]
fn rpm_does_not_remove_the_agent_of_a_cluster_that_has_the_resource() {
    let root = Root::new();
    let package = packages().rpm.to_str().unwrap();
    for program in ["/bin/sh", "/usr/bin/timeout", "/usr/sbin/cibadmin"] {
        root.bring(program);
    }
    root.bring_dir("/usr/share/pacemaker");
    let text = fs::read_to_string(repository("tests/fixtures/quick-start/crmsh.cib.xml")).unwrap();
    for dir in ["tmp", "dev"] {
        fs::create_dir(root.path(dir)).unwrap();
    }
    fs::write(root.path("dev/null"), "").unwrap();
    let cib = |text: &str| fs::write(root.path("tmp/cib.xml"), text).unwrap();
    cib(&text);
    root.rpm(&["--initdb"]);
    root.rpm(&["--install", "--nodeps", package]);
    root.rpm(&["--upgrade", "--force", "--nodeps", package]);
    let output = root.try_rpm(&["--erase", "--nodeps", "pgtwin"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("would miss its agent"), "{said}");
    root.agent_answers();
    cib(&text.replace("type=\"pgtwin\"", "type=\"Dummy\""));
    root.rpm(&["--erase", "--nodeps", "pgtwin"]);
    assert!(!root.path("usr/sbin/pgtwin").exists());
}

/// The script that runs before a removal, of each package, with the argument that means one.
fn before_removal() -> [(String, &'static str, &'static str); 2] {
    let deb = packages().dir.join("control");
    succeeds(Command::new("dpkg-deb").arg("--control").args([&packages().deb, &deb]));
    let rpm = succeeds(
        Command::new("rpm").args(["-qp", "--queryformat", "%{PREUN}"]).arg(&packages().rpm),
    );
    [(fs::read_to_string(deb.join("prerm")).unwrap(), "remove", "upgrade"), (rpm, "0", "1")]
}

fn removal(script: &str, argument: &str, cib: &Path) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "script", argument]).env_clear();
    shell.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("CIB_file", cib);
    shell.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_node_whose_cluster_has_the_resource_keeps_its_agent() {
    let with = repository("tests/fixtures/quick-start/crmsh.cib.xml");
    let without = packages().dir.join("without.cib.xml");
    let text = fs::read_to_string(&with).unwrap();
    fs::write(&without, text.replace("type=\"pgtwin\"", "type=\"Dummy\"")).unwrap();
    assert!(text.contains("type=\"pgtwin\""));
    // cibadmin may write beside what it reads.
    let copy = packages().dir.join("with.cib.xml");
    fs::copy(&with, &copy).unwrap();
    for (script, removed, updated) in before_removal() {
        let output = removal(&script, removed, &copy);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("stop Pacemaker on this node first"), "{said}");
        assert!(removal(&script, updated, &copy).status.success(), "an update goes on");
        assert!(removal(&script, removed, &without).status.success(), "nobody needs it");
    }
}

#[test]
fn a_checkout_installs_and_uninstalls_the_same_files() {
    let root = Root::new();
    let install = |arguments: &[&str]| {
        let mut command = Command::new(repository("packaging/install"));
        succeeds(command.args(arguments).env("DESTDIR", root.path("")))
    };
    install(&[release().to_str().unwrap()]);
    root.agent_answers();
    let mut files = root.files();
    files.retain(|file| !file.contains("/man/"));
    let mut packed: Vec<String> = in_the_deb()
        .into_iter()
        .filter(|(path, mode)| {
            let only_there = ["/man/", "/lintian/", "copyright", "crates.gz", "changelog."];
            !mode.starts_with('d') && !only_there.iter().any(|word| path.contains(word))
        })
        .map(|(path, _)| path[1..].to_owned())
        .collect();
    packed.push("usr/share/doc/pgtwin/LICENSE".to_owned());
    packed.sort();
    assert_eq!(files, packed);
    root.work();
    install(&["--uninstall"]);
    assert_eq!(root.files(), ["var/lib/pgtwin/db/ledger", "var/log/pgtwin/db.log"]);
}
