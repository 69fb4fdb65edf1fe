//! `tests::fuzz::graph_answer` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzz::graph_answer(bytes));
