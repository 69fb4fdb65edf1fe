//! A morning that needs nothing: recipients, content, configuration and Cloud API are made
//! up from the seed.

use anyhow::Result;
use desk::Answer;
use domain::{Clock, SystemClock};

use super::made_up::{Wanted, make};
use super::rehearse;
use crate::cli::DemoArgs;

pub async fn run(args: &DemoArgs) -> Result<Answer> {
    let (throughput, numbers) = numbers_for(args);
    let (people, seed) = (args.recipients, args.rehearsal.seed);
    let wanted = Wanted { people, seed, numbers, throughput, template: "daily_pack", campaign: "" };
    let (config, rehearsed) = make(&wanted)?;
    let date = rehearsed.0.daily.window.date_at(SystemClock.now());
    rehearse(config, vec![rehearsed], date, args.engine, &args.rehearsal).await
}

/// Four ordinary numbers while they have room, else as many fast ones as it takes.
fn numbers_for(args: &DemoArgs) -> (u32, u32) {
    let spread = args.rehearsal.window.as_secs_f64() * 240.0 / 330.0;
    let rate = f64::from(args.recipients) / spread;
    if rate <= 4.0 * 80.0 * 0.6 { (80, 4) } else { (1_000, ((rate / 750.0).ceil() as u32).max(4)) }
}
