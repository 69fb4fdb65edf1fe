//! The three engines side by side on one clock.

use std::sync::Arc;

use domain::clock::ManualClock;
use ledger::redis::Options;
use ledger::{Model, Redis, Sqlite};
use tempfile::TempDir;

use crate::commands::{BEGIN, list, play};
use crate::redis_server::RedisServer;

pub struct Engines {
    clock: Arc<ManualClock>,
    model: Model,
    sqlite: Sqlite,
    redis: Redis,
    _dir: TempDir,
    _server: RedisServer,
}

impl Engines {
    /// # Panics
    /// When one of them cannot be started.
    pub async fn start() -> Self {
        let clock = Arc::new(ManualClock::at(BEGIN));
        let dir = tempfile::tempdir().expect("a temporary folder");
        // Nothing is cut off here: the server need not sync.
        let server = RedisServer::start_with(&["--appendonly", "no"]);
        let mut options = Options::new(&server.url(), "lists", true);
        options.clock = Some(Arc::clone(&clock) as _);
        Engines {
            model: Model::new(Arc::clone(&clock) as _),
            sqlite: Sqlite::open(&dir.path().join("ledger.db"), Arc::clone(&clock) as _)
                .expect("sqlite opens"),
            redis: Redis::connect(&options).await.expect("redis answers"),
            clock,
            _dir: dir,
            _server: server,
        }
    }

    /// Plays one list on all of them; says where they part, if they do.
    ///
    /// # Errors
    /// The first answer that differs, with the list.
    pub async fn agree_on(&self, seed: u64) -> Result<usize, String> {
        let model = play(&self.model, &self.clock, seed).await;
        let sqlite = play(&self.sqlite, &self.clock, seed).await;
        let redis = play(&self.redis, &self.clock, seed).await;
        for (engine, answers) in [("sqlite", sqlite), ("redis", redis)] {
            if let Some(at) = (0..model.len()).find(|at| model.get(*at) != answers.get(*at)) {
                return Err(format!(
                    "list {seed}, step {at}:\nmodel:  {}\n{engine}: {}\nafter {:?}",
                    model[at],
                    answers.get(at).map_or("nothing", String::as_str),
                    list(seed).iter().take(at).collect::<Vec<_>>()
                ));
            }
        }
        Ok(model.len())
    }
}
