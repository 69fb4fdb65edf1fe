//! Settings that could lose acknowledged writes, each named with what it should be.
//!
//! A write that Redis forgets may become a second message, so these are refused unless the
//! operator accepts the risk. Source: Redis, "Persistence"; power cuts at `everysec` lost
//! acknowledged writes every time we tried.

use std::collections::HashMap;

use redis::aio::ConnectionManager;

use crate::api::Health;

const WANTED: &[(&str, &str, &str)] = &[
    ("appendonly", "yes", "without it a restart forgets everything since the last snapshot"),
    ("appendfsync", "always", "everysec loses up to two seconds in a power cut"),
    ("no-appendfsync-on-rewrite", "no", "yes stops syncing while the file is rewritten"),
    ("maxmemory-policy", "noeviction", "any other policy may evict deliveries"),
];

/// Reads the server's version and the settings above.
pub async fn inspect(con: &mut ConnectionManager) -> redis::RedisResult<Health> {
    let info: String = redis::cmd("INFO").arg("server").query_async(con).await?;
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
    let version = version.unwrap_or("unknown").trim().to_owned();
    let mut health = Health { engine: "redis", ..Health::default() };
    health.facts.push(("redis".to_owned(), version));
    for (setting, wanted, why) in WANTED {
        let found: redis::RedisResult<HashMap<String, String>> =
            redis::cmd("CONFIG").arg("GET").arg(setting).query_async(con).await;
        match found.ok().and_then(|mut found| found.remove(*setting)) {
            Some(value) if value == *wanted => {}
            Some(value) => {
                health.problems.push(format!("{setting} is {value}, expected {wanted}: {why}"));
            }
            None => health.problems.push(format!(
                "{setting} cannot be read: allow CONFIG GET to this user, expected {wanted}"
            )),
        }
    }
    let durable =
        if health.problems.is_empty() { "append-only, synced before each answer" } else { "weak" };
    health.facts.push(("durability".to_owned(), durable.to_owned()));
    Ok(health)
}
