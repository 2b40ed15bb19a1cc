//! The target `ledger_entries`, guided by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::run("ledger_entries", data));
