//! Stock apalis-redis. Tasks stay locked while they are handled and results are persisted,
//! as by default; batches as large as the concurrency, and heartbeats that fit a morning.

use std::time::Duration;

use anyhow::Result;
use apalis::prelude::{BoxDynError, Data, TaskSink, WorkerBuilder, WorkerBuilderExt};
use apalis_core::task::builder::TaskBuilder;
use apalis_redis::{Config, RedisStorage};
use domain::{Clock, SystemClock};

use super::{Job, post};

const CHUNK: u32 = 500;
/// It looks for what is due when something is pushed and at each heartbeat: 30 s by default,
/// which no morning could be sent with.
const HEARTBEAT: Duration = Duration::from_millis(100);

async fn storage(port: u16, batch: usize) -> Result<RedisStorage<Job>> {
    let con = apalis_redis::connect(format!("redis://127.0.0.1:{port}")).await?;
    let config = Config::default().queue("morning").batch_size(batch).heartbeat_interval(HEARTBEAT);
    Ok(RedisStorage::new(con).with_config(config))
}

/// Adds `n` jobs; returns how many seconds that took.
///
/// # Errors
/// When Redis does not answer.
pub async fn enqueue(port: u16, n: u32, due_ms: i64, over_ms: u64) -> Result<f64> {
    let mut storage = storage(port, CHUNK as usize).await?;
    let begun = SystemClock.now();
    for from in (0..n).step_by(CHUNK as usize) {
        let task = |i: u32| {
            let due = due_ms + i64::try_from(u64::from(i) * over_ms / u64::from(n)).unwrap_or(0);
            let task = TaskBuilder::new(Job::new(i, due));
            if due <= begun.micros() / 1_000 {
                return task.build(); // more than 8,000 scheduled for one second cannot be fetched
            }
            // Whole seconds, and never before the instant.
            task.run_at_timestamp(u64::try_from(due).unwrap_or(0).div_ceil(1_000)).build()
        };
        let tasks: Vec<_> = (from..n.min(from + CHUNK)).map(task).collect();
        storage.push_all(futures::stream::iter(tasks)).await?;
    }
    Ok(SystemClock.now().since(begun).as_secs_f64())
}

#[derive(Clone)]
struct Far {
    http: reqwest::Client,
    url: String,
}

async fn handle(job: Job, far: Data<Far>) -> Result<(), BoxDynError> {
    post(&far.http, &far.url, job.body()).await.map_err(|e| e.to_string().into())
}

/// Works until killed.
///
/// # Errors
/// When Redis does not answer.
pub async fn work(port: u16, sink: &str, concurrency: usize) -> Result<()> {
    let storage = storage(port, concurrency).await?;
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    let far = Far { http, url: format!("{sink}/v23.0/1001/messages") };
    println!("ready");
    let worker = WorkerBuilder::new("morning")
        .backend(storage)
        .data(far)
        .concurrency(concurrency)
        .build(handle);
    worker.run().await?;
    Ok(())
}
