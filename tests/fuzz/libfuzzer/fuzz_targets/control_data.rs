//! The target `control_data`, guided by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::run("control_data", data));
