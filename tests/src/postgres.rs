//! A real PostgreSQL on a unix socket, killed when it goes out of scope.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use records::Place;
use tempfile::TempDir;

use crate::until;

pub struct Postgres {
    child: Child,
    dir: TempDir,
    /// User and group that the server runs as: it refuses root.
    as_user: Option<(u32, u32)>,
}

impl Postgres {
    /// A new, empty cluster, as durable as it comes.
    ///
    /// # Panics
    /// When PostgreSQL is not installed (`tests/install` installs it) or does not start.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let as_user = rustix::process::getuid().is_root().then(postgres_user);
        if let Some((user, group)) = as_user {
            chown(dir.path(), Some(user), Some(group)).expect("root may give its folder away");
        }
        let mut initdb = command("initdb", as_user);
        initdb.args(["--auth=trust", "--username=subah", "--no-sync", "--encoding=UTF8", "-D"]);
        let made = initdb.arg(dir.path().join("data")).output().expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let child = spawn(dir.path(), as_user);
        let server = Postgres { child, dir, as_user };
        server.wait();
        server
    }

    pub fn place(&self) -> Place {
        Place::Postgres(self.url().into())
    }

    pub fn url(&self) -> String {
        format!("postgres:///postgres?host={}&user=subah", self.dir.path().display())
    }

    /// Kills it with -9; what it had answered stays.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child can be waited for");
    }

    pub fn restart(&mut self) {
        self.child = spawn(self.dir.path(), self.as_user);
        self.wait();
    }

    fn wait(&self) {
        let ready = || {
            let mut asked = command("pg_isready", self.as_user);
            asked.args(["--username=subah", "--dbname=postgres", "-h"]).arg(self.dir.path());
            asked.stdout(Stdio::null()).status().expect("pg_isready runs").success().then_some(())
        };
        until("postgres answering", ready);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &Path, as_user: Option<(u32, u32)>) -> Child {
    let mut server = command("postgres", as_user);
    server.arg("-D").arg(dir.join("data")).arg("-k").arg(dir);
    server.args(["-c", "listen_addresses=", "-c", "max_connections=60"]);
    server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("postgres starts")
}

/// A program of PostgreSQL's, wherever the system's packages put it.
fn command(name: &str, as_user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(installed(name).unwrap_or_else(|| name.into()));
    command.current_dir("/"); // one that every user can be in
    if let Some((user, group)) = as_user {
        command.gid(group).uid(user);
    }
    command
}

fn installed(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let programs = versions.flatten().map(|version| version.path().join("bin").join(name));
    programs.filter(|program| program.exists()).max()
}

fn postgres_user() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").expect("a list of users");
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some("postgres");
        let (user, group) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        is_it.then_some((user, group))
    };
    users.lines().find_map(of_line).expect("the package made a user named postgres")
}
