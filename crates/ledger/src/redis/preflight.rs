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

/// The oldest server that these scripts were run on.
const VERSION_MIN: (u32, u32) = (6, 2);

/// Reads the server's version, role and the settings above. With `replicas`, intents wait
/// for them, and the primary's own disk may lag a second behind.
pub async fn inspect(con: &mut ConnectionManager, replicas: u32) -> redis::RedisResult<Health> {
    let info: String = redis::cmd("INFO").query_async(con).await?;
    let field = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or("unknown").trim().to_owned()
    };
    let mut health = Health { engine: "redis", ..Health::default() };
    let version = field("redis_version");
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < VERSION_MIN {
        let (major, minor) = VERSION_MIN;
        health.problems.push(format!("redis is {version}, expected {major}.{minor} or later"));
    }
    if field("role") != "master" {
        health.problems.push(format!(
            "this server is a {}: name the primary, or Sentinel with redis+sentinel://",
            field("role")
        ));
    }
    let connected: u32 = field("connected_slaves").parse().unwrap_or(0);
    if connected < replicas {
        health.problems.push(format!(
            "{connected} replicas are connected, store.redis_replicas expects {replicas}"
        ));
    }
    for (setting, wanted, why) in WANTED {
        match setting_of(con, setting).await {
            Some(value) if value == *wanted => {}
            Some(value) if *setting == "appendfsync" && value == "everysec" && replicas > 0 => {}
            Some(value) => {
                health.problems.push(format!("{setting} is {value}, expected {wanted}: {why}"));
            }
            None => health.problems.push(unreadable(setting, wanted)),
        }
    }
    if replicas > 0 {
        let setting = "min-replicas-to-write";
        match setting_of(con, setting).await.and_then(|value| value.parse::<u32>().ok()) {
            Some(n) if n >= 1 => {}
            Some(n) => health.problems.push(format!(
                "{setting} is {n}, expected 1 or more: a primary that is cut off would go on answering"
            )),
            None => health.problems.push(unreadable(setting, "1 or more")),
        }
    }
    let durable = match (health.problems.is_empty(), replicas) {
        (false, _) => "weak".to_owned(),
        (true, 0) => "append-only, synced before each answer".to_owned(),
        (true, n) => format!("append-only, intents wait for {n} replicas"),
    };
    health.facts.push(("redis".to_owned(), version));
    health.facts.push(("durability".to_owned(), durable));
    Ok(health)
}

async fn setting_of(con: &mut ConnectionManager, setting: &str) -> Option<String> {
    let found: redis::RedisResult<HashMap<String, String>> =
        redis::cmd("CONFIG").arg("GET").arg(setting).query_async(con).await;
    found.ok()?.remove(setting)
}

fn unreadable(setting: &str, wanted: &str) -> String {
    format!("{setting} cannot be read: allow CONFIG GET to this user, expected {wanted}")
}
