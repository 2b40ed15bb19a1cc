//! Build script: the unwinder of the C compiler is linked into the binary.
//!
//! std asks for libgcc_s.so for backtraces. Loading it and its look at the processor cost each start of
//! the agent a quarter of a millisecond, and a monitor starts every few seconds. The compiler has the same code
//! as an archive: where it is there, the name `gcc_s` leads the linker to it.

#![allow(clippy::print_stdout)]

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Read by the linker instead of the library, in the format of GNU ld and lld.
const SCRIPT: &str = "GROUP ( -lgcc_eh -lgcc )\n";

fn main() {
    println!("cargo::rerun-if-changed=packaging/link.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let Some(out) = env::var_os("OUT_DIR") else { return };
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let builds_for_itself = env::var("HOST").ok() == env::var("TARGET").ok();
    if is("CARGO_CFG_TARGET_ENV", "gnu")
        && builds_for_itself
        && has_archive("libgcc_eh.a")
        && fs::write(Path::new(&out).join("libgcc_s.so"), SCRIPT).is_ok()
    {
        println!("cargo::rustc-link-search=native={}", Path::new(&out).display());
    }
}

/// The compiler prints the path of what it has, and the bare name of what it has not.
fn has_archive(name: &str) -> bool {
    let compiler = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let asked = Command::new(compiler).arg(format!("-print-file-name={name}")).output();
    asked
        .is_ok_and(|answer| Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_absolute())
}
