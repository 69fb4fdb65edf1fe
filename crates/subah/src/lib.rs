//! The daemon's configuration, for the binary beside and for tests that read it from outside.

pub mod config;
