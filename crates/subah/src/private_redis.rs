//! A redis-server of our own for rehearsals: on a unix socket, durable as in production,
//! gone with the rehearsal.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use desk::DeskError;

/// How long a fresh server may take to listen.
const START: Duration = Duration::from_secs(10);

pub struct PrivateRedis {
    child: Child,
    pub url: String,
}

impl PrivateRedis {
    /// Starts `redis-server` from PATH with its data in `dir`.
    pub async fn start(dir: &Path) -> Result<Self, DeskError> {
        let socket = dir.join("redis.sock");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--appendonly", "yes", "--appendfsync", "always", "--save", ""])
            .args(["--no-appendfsync-on-rewrite", "no", "--maxmemory-policy", "noeviction"])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                DeskError::Unavailable(format!("start redis-server: {error}; install it (apt install redis-server) or name a running one with --redis-url"))
            })?;
        let mut redis = PrivateRedis { child, url: format!("redis+unix://{}", socket.display()) };
        let begun = Instant::now();
        while !socket.exists() {
            if let Ok(Some(status)) = redis.child.try_wait() {
                return Err(DeskError::Unavailable(format!(
                    "redis-server ended at once: {status}"
                )));
            }
            if begun.elapsed() > START {
                return Err(DeskError::Unavailable("redis-server does not listen".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(redis)
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
