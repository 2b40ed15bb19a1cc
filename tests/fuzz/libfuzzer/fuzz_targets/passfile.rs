//! The target `passfile`, guided by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::run("passfile", data));
