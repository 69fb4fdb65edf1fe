//! Goal: the shipped set-up works as root and as the daemon's user; anybody else is told
//! what to type, and looking makes nothing.
//! Method: the built binary under other user ids, which only root can give: without root
//! that is said, and only the last test runs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;
use tests::install::{CONTENT, recipients, write_credentials};
use tests::subah;

/// The daemon's user, and somebody else; neither need exist.
const DAEMON: u32 = 64_321;
const SOMEBODY: u32 = 65_534;

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn is_root() -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|seen| seen.uid() == 0);
    if !root {
        eprintln!("not checked: other users need root");
    }
    root
}

/// An installation as the README makes it, owned by `owner`.
struct Server {
    dir: TempDir,
    binary: PathBuf,
}

impl Server {
    fn new(owner: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(dir.path(), 0o755);
        let binary = dir.path().join("subah");
        // By another process: a child that a test beside this one forks would hold our open file,
        // and a file that is open for writing cannot be run.
        let copied =
            std::process::Command::new("cp").arg(tests::subah_path()).arg(&binary).status();
        assert!(copied.unwrap().success());
        mode(&binary, 0o755);
        let config = dir.path().join("subah.toml");
        let template = "\n[campaign.template]\nname = \"daily_pack\"\nbody_parameters = [\"first_name\", \"headline\"]\n";
        let text = format!(
            "state_dir = \"state\"\n[[numbers]]\nid = \"1001\"\n[credentials]\nmeta_token = \"credentials/token\"\napp_secret = \"credentials/app\"\nverify_token = \"credentials/verify\"\n{template}"
        );
        fs::write(&config, text).unwrap();
        chown(&config, Some(0), Some(owner)).unwrap();
        mode(&config, 0o640);
        for name in ["state", "credentials"] {
            let folder = dir.path().join(name);
            fs::create_dir(&folder).unwrap();
            mode(&folder, 0o700);
        }
        write_credentials(&dir.path().join("credentials"));
        for entry in fs::read_dir(dir.path().join("credentials")).unwrap() {
            chown(entry.unwrap().path(), Some(owner), Some(owner)).unwrap();
        }
        for name in ["state", "credentials"] {
            chown(dir.path().join(name), Some(owner), Some(owner)).unwrap();
        }
        Server { dir, binary }
    }

    fn run(&self, uid: u32, args: &[&str]) -> (i32, String) {
        let mut command = std::process::Command::new(&self.binary);
        command.env_remove("SUBAH_CONFIG").env_remove("CREDENTIALS_DIRECTORY");
        command.arg("--config").arg(self.dir.path().join("subah.toml")).args(args);
        command.current_dir(self.dir.path());
        if uid != 0 {
            command.uid(uid).gid(uid);
        }
        let output = command.output().unwrap();
        (output.status.code().unwrap(), text(&output))
    }

    /// Every file of the state folder with its owner and mode.
    fn made(&self) -> BTreeMap<PathBuf, (u32, u32)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.dir.path().join("state")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let (path, seen) = entry.map(|e| (e.path(), e.metadata().unwrap())).unwrap();
                if seen.is_dir() {
                    folders.push(path.clone());
                }
                found.insert(path, (seen.uid(), seen.permissions().mode() & 0o777));
            }
        }
        found
    }
}

const LOOKS: [&[&str]; 9] = [
    &["status"],
    &["report"],
    &["runs", "list"],
    &["deliveries", "list"],
    &["recipients", "list"],
    &["recipients", "show", "r00001"],
    &["content", "list"],
    &["plan"],
    &["check", "--offline"],
];

#[test]
fn as_root_everything_works_and_stays_the_daemons() {
    if !is_root() {
        return;
    }
    let server = Server::new(DAEMON);
    // Where only root can read.
    let private = tempfile::tempdir().unwrap();
    let (list, content) = (private.path().join("list.csv"), private.path().join("c.ndjson"));
    fs::write(&list, recipients(3)).unwrap();
    fs::write(&content, CONTENT).unwrap();
    let (code, said) = server.run(0, &["recipients", "import", list.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = server.run(0, &["content", "import", content.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    let made = server.made();
    assert!(made.len() >= 3, "{made:?}");
    for (path, (uid, mode)) in &made {
        let open = mode & 0o077;
        assert_eq!((*uid, open), (DAEMON, 0), "{} is {mode:o}", path.display());
    }
    for uid in [0, DAEMON] {
        for look in LOOKS {
            let (code, said) = server.run(uid, look);
            assert!(!said.contains("denied") && code <= 1, "{uid} {look:?}: {said}");
        }
        let (_, said) = server.run(uid, &["recipients", "list"]);
        assert!(said.contains("r00002"), "{said}");
    }
    assert_eq!(server.made(), made, "looking makes nothing");
}

/// A configuration names files to read and where to send them.
#[test]
fn root_follows_nobody_elses_configuration() {
    if !is_root() {
        return;
    }
    let server = Server::new(DAEMON);
    let config = server.dir.path().join("subah.toml");
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "ROOTSECRET").unwrap();
    let text = fs::read_to_string(&config).unwrap();
    let secret = secret.path().to_str().unwrap();
    fs::write(&config, text.replace("credentials/token", secret)).unwrap();
    for path in [&config, &server.dir.path().join("state")] {
        chown(path, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    }
    let (code, said) = server.run(0, &["check", "--offline"]);
    let refused = said.contains("PROBLEM credential") && !said.contains("credentials are there");
    assert!(code != 0 && refused, "as {SOMEBODY}: {said}");
    chown(&config, Some(0), Some(0)).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o666)).unwrap();
    let (code, said) = server.run(0, &["status"]);
    assert!(code == 2 && said.contains("can be changed by anybody"), "{said}");
}

#[test]
fn anybody_else_is_told_in_one_line_what_to_type() {
    if !is_root() {
        return;
    }
    let server = Server::new(DAEMON);
    for readable in [false, true] {
        let config = server.dir.path().join("subah.toml");
        let mode = if readable { 0o644 } else { 0o640 };
        fs::set_permissions(&config, fs::Permissions::from_mode(mode)).unwrap();
        for look in LOOKS {
            let (code, said) = server.run(SOMEBODY, look);
            assert_eq!((code, said.trim_end().lines().count()), (2, 1), "{look:?}: {said}");
            assert!(said.contains("is not yours: sudo"), "{said}");
            assert!(said.trim_end().ends_with(look.last().unwrap()), "{said}");
            let named = said.contains(&format!("-u '#{DAEMON}'"));
            assert_eq!(named, readable, "{said}");
        }
    }
    assert!(server.made().is_empty());
}

#[test]
fn an_empty_folder_stays_empty_when_it_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let made = subah().args(["init", dir.path().to_str().unwrap()]).output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
    for look in LOOKS {
        let output = subah().current_dir(dir.path()).args(look).output().unwrap();
        assert!(output.status.code().unwrap() <= 1, "{look:?}: {}", text(&output));
        assert!(!dir.path().join("state").exists(), "{look:?} made the state folder");
    }
}
