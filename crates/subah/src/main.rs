//! Parse, run, exit. Everything else is in the rooms beside.

mod cli;
mod commands;
mod exit;
mod output;
mod owner;
mod private_redis;
mod rehearsal;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    exit::quietly_when_the_reader_is_gone();
    // Numbers, names and texts are in nearly everything that is written: 0600 and 0700.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    raise_descriptor_limit();
    let mut cli = cli::Cli::parse();
    if cli.quiet {
        output::be_quiet();
    }
    if let Err(error) = owner::become_owner(&mut cli) {
        return exit::report(&error);
    }
    let _flush = telemetry::log::start(cli.log_default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the system can start a runtime");
    let done = runtime.block_on(commands::run(cli));
    // Not waiting for blocked threads: everything that must be on the disk is.
    runtime.shutdown_background();
    match done {
        Ok(answer) => exit::of(answer),
        Err(error) => exit::report(&error),
    }
}

/// As many descriptors as the system allows us: idle connections of others must not take
/// those that we send with.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // What refuses leaves the limit as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
