//! `tests::fuzz::recipients` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzz::recipients(bytes));
