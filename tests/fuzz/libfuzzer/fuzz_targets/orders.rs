//! The target `orders`, guided by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::run("orders", data));
