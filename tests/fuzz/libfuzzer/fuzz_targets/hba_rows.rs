//! The target `hba_rows`, guided by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::run("hba_rows", data));
