//! The limit of any queue in Redis: claim 500 and acknowledge 500 in one script each, and
//! nothing else.

use anyhow::Result;
use domain::{Clock, SystemClock};
use redis::{AsyncCommands, Script, ScriptInvocation};

use super::Job;

const PUSH: &str = "for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i+1]) redis.call('ZADD', KEYS[2], 0, ARGV[i]) end";
const CLAIM: &str = "local ids = redis.call('ZRANGE', KEYS[2], 0, ARGV[1] - 1) if #ids == 0 then return {} end redis.call('ZREM', KEYS[2], unpack(ids)) local jobs = redis.call('HMGET', KEYS[1], unpack(ids)) for i, id in ipairs(ids) do redis.call('ZADD', KEYS[3], 0, id) end return {ids, jobs}";
const ACK: &str =
    "redis.call('ZREM', KEYS[3], unpack(ARGV)) redis.call('HDEL', KEYS[1], unpack(ARGV))";
const CHUNK: u32 = 500;

/// Jobs a second: pushed, and claimed and acknowledged.
///
/// # Errors
/// When Redis does not answer.
pub async fn run(port: u16, n: u32) -> Result<(f64, f64)> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut con = client.get_multiplexed_async_connection().await?;
    let (push, claim, ack) = (Script::new(PUSH), Script::new(CLAIM), Script::new(ACK));
    let begun = SystemClock.now();
    for from in (0..n).step_by(CHUNK as usize) {
        let job = |i: u32| [i.to_string(), serde_json::to_string(&Job::new(i, 0)).expect("JSON")];
        let args: Vec<String> = (from..n.min(from + CHUNK)).flat_map(job).collect();
        with(&push, args).invoke_async::<()>(&mut con).await?;
    }
    let pushed = SystemClock.now();
    let mut done = 0;
    while done < n {
        let (ids, jobs): (Vec<String>, Vec<String>) =
            with(&claim, vec![CHUNK.to_string()]).invoke_async(&mut con).await?;
        done += u32::try_from(jobs.len())?;
        with(&ack, ids).invoke_async::<()>(&mut con).await?;
    }
    let acked = SystemClock.now();
    let left: u32 = con.hlen("jobs").await?;
    anyhow::ensure!(left == 0, "{left} jobs are left");
    let rate = |from: domain::Timestamp, to: domain::Timestamp| {
        f64::from(n) / to.since(from).as_secs_f64()
    };
    Ok((rate(begun, pushed), rate(pushed, acked)))
}

fn with(script: &Script, args: Vec<String>) -> ScriptInvocation<'_> {
    let mut call = script.prepare_invoke();
    call.key("jobs").key("ready").key("taken");
    for arg in args {
        call.arg(arg);
    }
    call
}
