//! The target `server_log`, guided by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::run("server_log", data));
