//! Whose files an installation's are. As root a command becomes the daemon's user, so that
//! whatever it makes stays the daemon's; anybody else is told what to type.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use config::Config;
use desk::DeskError;
use rustix::process::geteuid;
use rustix::thread::{Gid, Uid, set_thread_gid, set_thread_groups, set_thread_uid};

use crate::cli::Cli;

/// A file of the command line, opened before the daemon's user might not be able to.
static INPUT: OnceLock<(PathBuf, File)> = OnceLock::new();

/// Becomes who the installation belongs to; must run while the process has one thread.
///
/// # Errors
/// [`DeskError::WrongUse`] when the files are another user's, with the command to type.
pub fn become_owner(cli: &mut Cli) -> Result<()> {
    if !cli.needs_installation() {
        return Ok(());
    }
    // Looked for once: another user might find another one.
    let file = Config::find(cli.config.as_deref());
    cli.config = Some(file.clone());
    if geteuid().is_root() {
        return leave_root(cli, &file);
    }
    match fs::read(&file) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let owner = fs::metadata(&file).ok().and_then(|seen| user_of_group(seen.gid()));
            return Err(somebody_elses(&file, owner.map(|owner| owner.name)));
        }
        _ => {}
    }
    let Ok(config) = Config::load(&file) else { return Ok(()) }; // the command says why
    match fs::metadata(&config.state_dir) {
        // Who may not look into it can do nothing with it.
        Ok(seen) if seen.uid() != geteuid().as_raw() && !may_enter(&config.state_dir) => {
            Err(somebody_elses(&config.state_dir, Some(name_of(seen.uid()))))
        }
        _ => Ok(()),
    }
}

/// The input that was named on the command line, if it had to be opened early.
pub fn opened(path: &Path) -> Option<&'static File> {
    INPUT.get().filter(|(named, _)| named == path).map(|(_, file)| file)
}

fn may_enter(dir: &Path) -> bool {
    !matches!(fs::read_dir(dir), Err(error) if error.kind() == ErrorKind::PermissionDenied)
}

fn somebody_elses(path: &Path, owner: Option<String>) -> anyhow::Error {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    let quoted = |arg: String| match arg.is_empty() || !arg.chars().all(plain) {
        true => format!("'{}'", arg.replace('\'', r"'\''")),
        false => arg,
    };
    let command: Vec<String> = std::env::args().map(quoted).collect();
    let user = owner.map(|owner| format!(" -u {}", quoted(owner))).unwrap_or_default();
    let (path, command) = (path.display(), command.join(" "));
    DeskError::WrongUse(format!("{path} is not yours: sudo{user} {command}")).into()
}

/// An installation whose state folder is another user's is that user's; one that has none
/// yet is that of the user whose group may read the configuration.
///
/// A configuration names files to read and addresses to send them to, so root does not follow
/// one that others may write, and follows that of another user only as that user.
fn leave_root(cli: &Cli, file: &Path) -> Result<()> {
    let Ok(seen) = fs::metadata(file) else { return Ok(()) }; // the command says why
    if seen.permissions().mode() & 0o002 != 0 {
        let file = file.display();
        return Err(DeskError::WrongUse(format!(
            "{file} can be changed by anybody: chmod o-w {file}"
        ))
        .into());
    }
    let theirs = (seen.uid() != 0).then(|| (seen.uid(), seen.gid()));
    let Ok(config) = Config::load(file) else { return Ok(()) };
    let dir = &config.state_dir;
    let (uid, gid) = match fs::metadata(dir) {
        _ if theirs.is_some() => theirs.unwrap_or_default(),
        Ok(seen) => (seen.uid(), seen.gid()),
        Err(_) => {
            let group = fs::metadata(file).map(|seen| seen.gid()).unwrap_or(0);
            let Some(owner) = user_of_group(group) else { return Ok(()) };
            let doing = || format!("make {} for {}", dir.display(), owner.name);
            fs::create_dir_all(dir).with_context(doing)?;
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).with_context(doing)?;
            chown(dir, Some(owner.uid), Some(group)).with_context(doing)?;
            (owner.uid, group)
        }
    };
    if uid == 0 {
        return Ok(());
    }
    if let Some(path) = cli.input()
        && let Ok(opened) = File::open(path)
    {
        let _ = INPUT.set((path.to_owned(), opened)); // once: there is one input
    }
    let gid = Gid::from_raw(gid);
    let left = set_thread_groups(&[gid])
        .and_then(|()| set_thread_gid(gid))
        .and_then(|()| set_thread_uid(Uid::from_raw(uid)));
    left.with_context(|| format!("go on as {}, to whom {} belongs", name_of(uid), dir.display()))
}

struct User {
    name: String,
    uid: u32,
}

/// The user whose own group it is; root's is nobody's.
fn user_of_group(gid: u32) -> Option<User> {
    let found = passwd().into_iter().find(|(_, _, group)| *group == gid && gid != 0);
    found.map(|(name, uid, _)| User { name, uid })
}

/// A name that `sudo -u` takes.
fn name_of(uid: u32) -> String {
    let found = passwd().into_iter().find(|(_, of, _)| *of == uid);
    found.map_or_else(|| format!("#{uid}"), |(name, _, _)| name)
}

/// Names, user and group ids of this machine's own users.
fn passwd() -> Vec<(String, u32, u32)> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((name, fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    text.lines().filter_map(user).collect()
}
