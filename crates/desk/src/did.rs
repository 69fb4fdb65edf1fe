//! What a person did or saw, noted on this host's disk before it is done: records that are away hold
//! up no act. [`crate::audit`] brings the notes into the records' chain.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use config::Config;
use domain::{Clock, SystemClock};
use serde_json::json;

use crate::error::{Doing, Result};

/// In the state folder.
pub(crate) const FILE: &str = "audit.ndjson";

/// Who is at the keyboard, as far as the system tells.
pub fn who() -> String {
    let name = |key| std::env::var(key).ok().filter(|name| !name.is_empty());
    let uid = || format!("uid {}", rustix::process::getuid().as_raw());
    name("SUDO_USER").or_else(|| name("USER")).unwrap_or_else(uid)
}

/// Notes an act of this process's user.
///
/// # Errors
/// When the note cannot be written: the act is not to be done then.
pub fn note(config: &Config, what: &str) -> Result<()> {
    note_of(config, &who(), "did", what)
}

/// Whoever looks at numbers in full is on record, in the file and in the log.
///
/// # Errors
/// When the note cannot be written: nothing is to be shown then.
pub fn reveal(config: &Config, what: &str) -> Result<()> {
    let user = who();
    note_of(config, &user, "revealed", what)?;
    tracing::error!(target: "audit", user, "personal data was revealed to {user}: {what}");
    Ok(())
}

fn ends_in_a_line(path: &Path) -> bool {
    let last = || {
        let mut file = File::open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        if length == 0 {
            return Ok(b'\n');
        }
        file.seek(SeekFrom::Start(length - 1))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        Ok::<u8, std::io::Error>(byte[0])
    };
    last().is_ok_and(|byte| byte == b'\n')
}

/// Notes what somebody else than this process's user does, such as a loop that decides.
///
/// # Errors
/// When the note cannot be written.
pub fn note_of(config: &Config, user: &str, kind: &str, what: &str) -> Result<()> {
    let at = SystemClock.now().rfc3339(config.zone());
    let line = json!({"at": at, "user": user, kind: what});
    let path = config.state_dir.join(FILE);
    let doing = || format!("note in {} what is done", path.display());
    std::fs::create_dir_all(&config.state_dir).doing(doing)?;
    let mut file = File::options().create(true).append(true).open(&path).doing(doing)?;
    // A power cut or an editor may have left a half line: it must not swallow this one.
    let begin = if ends_in_a_line(&path) { "" } else { "\n" };
    // In one write: two processes that note at once must not mix their lines.
    file.write_all(format!("{begin}{line}\n").as_bytes()).doing(doing)
}
