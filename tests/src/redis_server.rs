//! A real redis-server on a unix socket, killed when it goes out of scope.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::until;

pub struct RedisServer {
    child: Child,
    dir: TempDir,
}

impl RedisServer {
    /// With the durability that production needs.
    ///
    /// # Panics
    /// When redis-server is not installed (`tests/run` installs it) or does not start.
    pub fn start() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    pub fn start_with(settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--maxmemory-policy", "noeviction"])
            .args(settings)
            .arg("--unixsocket")
            .arg(dir.path().join("r.sock"))
            .arg("--dir")
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let server = RedisServer { child, dir };
        let socket = server.dir.path().join("r.sock");
        until("redis-server listening", || socket.exists().then_some(()));
        server
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.dir.path().join("r.sock").display())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
