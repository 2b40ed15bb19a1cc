//! The target `postmaster_pid`, guided by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::run("postmaster_pid", data));
