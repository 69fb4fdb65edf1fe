//! `tests::fuzz::webhook_body` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzz::webhook_body(bytes));
