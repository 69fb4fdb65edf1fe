//! A real redis-server on a unix socket, killed when it goes out of scope.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{free_port, until};

pub struct RedisServer {
    child: Child,
    dir: TempDir,
    arguments: Vec<String>,
    port: u16,
    /// Set in the server's environment: a library that drops unsynced bytes, for example.
    preload: Option<String>,
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
        Self::launch(settings, 0, None)
    }

    /// Listens on a port of loopback too: for replicas, Sentinel and proxies.
    pub fn start_on_port(settings: &[&str]) -> Self {
        Self::launch(settings, free_port(), None)
    }

    /// Durable, on a port, with a library loaded before all others.
    pub fn start_preloaded(preload: &str) -> Self {
        let settings = ["--appendonly", "yes", "--appendfsync", "always"];
        Self::launch(&settings, free_port(), Some(preload.to_owned()))
    }

    /// A Sentinel that watches the primary on `port` as `morning`.
    pub fn sentinel(port: u16) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("sentinel.conf");
        let text = format!(
            "sentinel monitor morning 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds morning 500\n\
             sentinel failover-timeout morning 5000\n"
        );
        std::fs::write(&file, text).expect("a configuration");
        let arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
        Self::spawn(dir, arguments, free_port(), None)
    }

    fn launch(settings: &[&str], port: u16, preload: Option<String>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let fixed = ["--save", "", "--maxmemory-policy", "noeviction"];
        let arguments = fixed.iter().chain(settings).map(|word| (*word).to_owned()).collect();
        Self::spawn(dir, arguments, port, preload)
    }

    fn spawn(dir: TempDir, arguments: Vec<String>, port: u16, preload: Option<String>) -> Self {
        let child = start(&dir, &arguments, port, preload.as_deref());
        let server = RedisServer { child, dir, arguments, port, preload };
        server.wait();
        server
    }

    fn wait(&self) {
        // A server without a default user refuses, but it answers.
        let answers = |said: &str| said.contains("PONG") || said.contains("NOAUTH");
        until("redis-server answering", || answers(&self.command(&["PING"])).then_some(()));
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.dir.path().join("r.sock").display())
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its data.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// What redis-cli says to a command.
    pub fn command(&self, words: &[&str]) -> String {
        let socket = self.dir.path().join("r.sock");
        let cli = Command::new("redis-cli").arg("-s").arg(socket).args(words).output();
        String::from_utf8_lossy(&cli.expect("redis-cli is installed").stdout).into_owned()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(self.dir.path().join("r.sock"));
    }

    /// kill -9, and the same server on the same disk.
    pub fn restart(&mut self) {
        self.kill();
        self.come_back();
    }

    /// Starts again after [`RedisServer::kill`].
    pub fn come_back(&mut self) {
        self.child = start(&self.dir, &self.arguments, self.port, self.preload.as_deref());
        self.wait();
    }
}

fn start(dir: &TempDir, arguments: &[String], port: u16, preload: Option<&str>) -> Child {
    let mut command = Command::new("redis-server");
    command
        .args(arguments)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .arg("--unixsocket")
        .arg(dir.path().join("r.sock"))
        .arg("--dir")
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library);
    }
    command.spawn().expect("redis-server is installed")
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
