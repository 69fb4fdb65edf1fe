//! Simulates mornings, one a seed, and says what became of them.
//!
//! A seed that fails is printed and can be run alone: equal seeds take equal courses.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::{Parser, ValueEnum};
use domain::OnAmbiguous;
use tests::world::{Chaos, Setup, Verdict, run};

#[derive(Clone, Copy, ValueEnum)]
enum Policy {
    Hold,
    Evidence,
}

#[derive(Clone, Copy, ValueEnum)]
enum Day {
    None,
    Realistic,
    Absurd,
    Forgetful,
}

/// Simulates mornings on a virtual clock and holds the ledger against the far side.
#[derive(Parser)]
struct Args {
    #[arg(long, value_enum, default_value = "hold")]
    policy: Policy,
    #[arg(long, value_enum, default_value = "absurd")]
    chaos: Day,
    #[arg(long, default_value_t = 1)]
    first: u64,
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// Deliveries in each morning
    #[arg(long, default_value_t = 12)]
    deliveries: u32,
    /// Hosts that send
    #[arg(long, default_value_t = 3)]
    senders: usize,
    /// People who say STOP in each morning
    #[arg(long, default_value_t = 0)]
    stops: u32,
    /// Stop at the first seed that fails
    #[arg(long)]
    fail_fast: bool,
    /// Log what happens, in virtual time: for one seed
    #[arg(long)]
    tell: bool,
    /// Mornings simulated at once
    #[arg(long, default_value_t = 2)]
    at_once: u32,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let _flush = args.tell.then(|| telemetry::log::start("debug"));
    let policy = match args.policy {
        Policy::Hold => OnAmbiguous::Hold,
        Policy::Evidence => OnAmbiguous::Evidence,
    };
    let chaos = match args.chaos {
        Day::None => Chaos::None,
        Day::Realistic => Chaos::Realistic,
        Day::Absurd => Chaos::Absurd,
        Day::Forgetful => Chaos::Forgetful,
    };
    let begun = Instant::now();
    let next = AtomicU64::new(args.first);
    let (sum, failed) = (Mutex::new(Verdict::default()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..args.at_once {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let enough = args.fail_fast && !failed.lock().expect("no panic").is_empty();
                    if seed >= args.first + args.seeds || enough {
                        return;
                    }
                    let Args { deliveries, senders, stops, .. } = args;
                    let setup =
                        Setup { deliveries, senders, stops, ..Setup::of(seed, policy, chaos) };
                    let verdict = run(setup);
                    if !verdict.is_good(policy == OnAmbiguous::Hold) {
                        failed.lock().expect("no panic").push((seed, verdict.clone()));
                    }
                    sum.lock().expect("no panic").add(&Verdict { trace: 0, ..verdict });
                }
            });
        }
    });
    let (sum, mut failed) = (sum.into_inner().expect("over"), failed.into_inner().expect("over"));
    failed.sort_by_key(|(seed, _)| *seed);
    for (seed, verdict) in failed.iter().take(10) {
        eprintln!("seed {seed} failed: {}", serde_json::to_string(verdict).expect("plain data"));
    }
    let took = begun.elapsed().as_secs_f64();
    eprintln!(
        "{} mornings of {} deliveries under {}, {} faults, in {took:.0} s ({:.0} a second): {} failed",
        sum.seeds,
        args.deliveries,
        policy.as_str(),
        chaos.as_str(),
        sum.seeds as f64 / took,
        failed.len()
    );
    println!("{}", serde_json::to_string(&sum).expect("plain data"));
    ExitCode::from(u8::from(!failed.is_empty()))
}
