//! The release binary: one file that needs nothing beside it. Its size, its start and its memory
//! are printed as figures and never judged: they depend on the machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout)]

mod program;
mod release;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use program::place;
use release::release;

/// The libraries that every Debian has, since every program there needs them.
const SYSTEM: [&str; 4] = ["linux-vdso.so", "libc.so", "libm.so", "ld-linux"];

#[test]
fn it_needs_no_library_but_the_systems_own() {
    let output = Command::new("ldd").arg(release()).output().unwrap();
    assert!(output.status.success(), "ldd: {}", String::from_utf8_lossy(&output.stderr));
    let libraries = String::from_utf8(output.stdout).unwrap();
    assert!(libraries.contains("libc.so"), "{libraries}");
    for line in libraries.lines() {
        assert!(SYSTEM.iter().any(|name| line.contains(name)), "it needs {line}");
    }
}

#[test]
fn copied_alone_it_works_without_an_environment() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("pgtwin");
    place(release(), &copy);
    let output = Command::new(copy).arg("meta-data").env_clear().current_dir("/").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let wanted = Path::new(env!("CARGO_MANIFEST_DIR")).join("ocf-metadata/pgtwin.xml");
    assert!(output.stdout == fs::read(wanted).unwrap(), "meta-data differs from ocf-metadata");
}

#[test]
fn its_figures_are_printed() {
    const RUNS: usize = 51;
    let bytes = fs::metadata(release()).unwrap().len();
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let mut command = Command::new(release());
            let status = command.arg("meta-data").stdout(Stdio::null()).status().unwrap();
            assert!(status.success());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("\nfigure: release binary: {bytes} bytes ({} KiB)", bytes / 1024);
    println!("figure: start to end of meta-data: {:?} (median of {RUNS})", times[RUNS / 2]);
}

/// In a process of its own: the peak is that of the largest child so far.
#[test]
fn its_memory_is_printed() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_prints_the_memory_of_a_child", "--ignored", "--nocapture"])
        .env("PGTWIN_RELEASE", release())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let figure = said.lines().find(|line| line.starts_with("figure: "));
    println!("\n{}", figure.unwrap_or_else(|| panic!("{said}")));
}

#[test]
#[ignore = "a helper process of another test"]
fn helper_that_prints_the_memory_of_a_child() {
    let program = std::env::var_os("PGTWIN_RELEASE").unwrap();
    let status = Command::new(program).arg("meta-data").stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    println!("\nfigure: peak memory of meta-data: {peak} KiB");
}
