//! Gives random command lists to model, sqlite and Redis, and holds their answers against
//! one another.

use std::process::ExitCode;

use clap::Parser;
use tests::engines::Engines;

/// Checks that the three ledger engines are one.
#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 1)]
    first: u64,
    #[arg(long, default_value_t = 10_000)]
    lists: u64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    let engines = Engines::start().await;
    let (mut answers, mut parted) = (0, 0);
    for seed in args.first..args.first + args.lists {
        match engines.agree_on(seed).await {
            Ok(n) => answers += n,
            Err(difference) => {
                parted += 1;
                eprintln!("{difference}");
            }
        }
        if parted > 3 {
            break;
        }
    }
    println!("{{\"lists\":{},\"answers\":{answers},\"parted\":{parted}}}", args.lists);
    ExitCode::from(u8::from(parted > 0))
}
