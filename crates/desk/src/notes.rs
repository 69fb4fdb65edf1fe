//! Brings what [`crate::did`] notes on this host's disk into the records' chain of acts.
//!
//! Invariant: each note becomes one entry, also when the process dies in between: how far the notes are
//! taken up is kept in the transaction of the entries. No phone number goes with them, whoever wrote one
//! into a reason.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;

use config::Config;
use domain::hash::sha256_hex;
use domain::{Clock, TenantId};
use records::{Records, Result, Row, Tries, Value, audit, tenants};
use serde::Deserialize;
use serde_json::json;

use crate::did::FILE;
use crate::phones::without_phones;
use crate::witness::Head;

/// Bytes that are read at once; a note is shorter.
const CHUNK: u64 = 256 * 1024;
/// Bytes before a place that tell whether the file is still the same one.
const KNOWN_BY: u64 = 4 * 1024;

/// Where this host notes how far the audit was.
pub(crate) fn head_file(config: &Config) -> PathBuf {
    config.state_dir.join("audit-head.json")
}

/// The notes of one host.
#[derive(Clone, Debug)]
pub struct Notes {
    file: PathBuf,
    /// Where the latest entry is noted that this host has seen.
    head: PathBuf,
    host: String,
}

#[derive(Deserialize)]
struct Note {
    at: String,
    user: String,
    did: Option<String>,
    revealed: Option<String>,
    decided: Option<String>,
}

impl Notes {
    pub fn of(config: &Config) -> Self {
        Notes {
            file: config.state_dir.join(FILE),
            head: head_file(config),
            host: config.host.clone(),
        }
    }

    /// Takes up what is new; returns how many entries that made.
    ///
    /// # Errors
    /// When the records do not answer: the notes wait.
    pub async fn take_up(
        &self,
        records: &Records,
        tenant: &TenantId,
        clock: &dyn Clock,
    ) -> Result<usize> {
        let (mut taken, mut tries) = (0, Tries::default());
        loop {
            match self.take_some(records, tenant, clock).await {
                Ok(0) => {
                    Head::advance(&self.head, records, tenant).await?;
                    return Ok(taken);
                }
                Ok(n) => taken += n,
                Err(error) if tries.again(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn take_some(
        &self,
        records: &Records,
        tenant: &TenantId,
        clock: &dyn Clock,
    ) -> Result<usize> {
        let doing = "take up notes of acts";
        // A look first: most of the time there is nothing new, and nobody is to be locked out for it.
        let values = vec![tenant.as_str().into(), self.host.as_str().into()];
        let seen = Place::read(records.fetch(doing, PLACE, values).await?.first())?;
        if self.read(&seen).is_none() {
            return Ok(0);
        }
        let mut tx = records.begin(doing).await?;
        let values = vec![tenant.as_str().into(), self.host.as_str().into()];
        let from = Place::read(tx.fetch(doing, PLACE, values).await?.first())?;
        let Some((lines, upto)) = self.read(&from) else { return Ok(0) };
        let now = clock.now();
        tenants::ensure(&mut tx, tenant, now).await?;
        for line in &lines {
            let Note { at, user, did, revealed, decided } = read_note(line);
            let (act, what) = match (did, revealed, decided) {
                (_, Some(what), _) => ("revealed", what),
                (_, _, Some(what)) => ("decided", what),
                (what, ..) => {
                    ("did", what.unwrap_or_else(|| "a note that cannot be read".to_owned()))
                }
            };
            let detail = json!({"at": at, "host": self.host});
            let (actor, object) = (user.as_str(), &without_phones(&what));
            audit::add(&mut tx, tenant, &audit::Done { actor, act, object, detail }, now).await?;
        }
        let sql = "DELETE FROM noted_acts WHERE tenant = $1 AND source = $2";
        let key = || -> Vec<Value> { vec![tenant.as_str().into(), self.host.as_str().into()] };
        tx.execute(doing, sql, key()).await?;
        let row = [key(), vec![upto.at.into(), upto.known_by.into()]].concat();
        tx.insert_new(doing, "noted_acts (tenant, source, upto, known_by)", 4, row).await?;
        tx.commit(doing).await?;
        Ok(lines.len())
    }

    /// Whole lines from a place on, and the place behind them; `None`: there are none. A file that is not
    /// the same before the place was rotated or replaced, and is read from its beginning. A line that is
    /// longer than any note is passed over, and counts as one that cannot be read.
    fn read(&self, from: &Place) -> Option<(Vec<String>, Place)> {
        let mut file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    tracing::warn!(error = %error, "read {}: {error}", self.file.display());
                }
                return None;
            }
        };
        if !file.metadata().ok()?.is_file() {
            tracing::warn!(
                "{} is no file: acts are not brought into the audit",
                self.file.display()
            );
            return None;
        }
        let is_same = known_by(&mut file, from.at).as_deref() == Some(from.known_by.as_str());
        let at = if is_same { from.at } else { 0 };
        file.seek(SeekFrom::Start(u64::try_from(at).ok()?)).ok()?;
        let mut bytes = Vec::new();
        (&mut file).take(CHUNK).read_to_end(&mut bytes).ok()?;
        let (lines, read) = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => {
                let text = String::from_utf8_lossy(&bytes[..=last]);
                let lines = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned);
                (lines.collect(), last + 1)
            }
            None if bytes.len() as u64 == CHUNK => {
                (vec![String::new()], bytes.len() + rest_of_line(&mut file)?)
            }
            None => return None, // a line that is still being written
        };
        let at = at + i64::try_from(read).ok()?;
        Some((lines, Place { at, known_by: known_by(&mut file, at)? }))
    }
}

/// How far the notes of a host are taken up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    /// Bytes from the beginning.
    at: i64,
    /// Hash of what lies before that.
    known_by: String,
}

const PLACE: &str = "SELECT upto, known_by FROM noted_acts WHERE tenant = $1 AND source = $2";

impl Place {
    fn read(row: Option<&Row>) -> Result<Place> {
        match row {
            Some(row) => Ok(Place { at: row.int(0)?, known_by: row.text(1)? }),
            None => Ok(Place::default()),
        }
    }
}

/// Hash of the bytes before a place; `None`: the file is shorter.
fn known_by(file: &mut File, at: i64) -> Option<String> {
    let at = u64::try_from(at).ok()?;
    if file.metadata().ok()?.len() < at {
        return None;
    }
    let begin = at.saturating_sub(KNOWN_BY);
    file.seek(SeekFrom::Start(begin)).ok()?;
    let mut bytes = Vec::new();
    file.take(at - begin).read_to_end(&mut bytes).ok()?;
    Some(sha256_hex(&bytes))
}

/// Bytes to the end of a line that is too long, from where the file stands; `None`: it has no end yet.
fn rest_of_line(file: &mut File) -> Option<usize> {
    let mut rest = 0;
    let mut buffer = vec![0; CHUNK as usize];
    loop {
        let n = file.read(&mut buffer).ok().filter(|n| *n > 0)?;
        match buffer[..n].iter().position(|byte| *byte == b'\n') {
            Some(end) => return Some(rest + end + 1),
            None => rest += n,
        }
    }
}

/// A line that somebody has spoiled is an entry all the same.
fn read_note(line: &str) -> Note {
    serde_json::from_str(line).unwrap_or(Note {
        at: String::new(),
        user: "nobody knows".to_owned(),
        did: None,
        revealed: None,
        decided: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_nobody_can_read_is_an_entry_all_the_same() {
        assert_eq!(read_note("{not json").user, "nobody knows");
        let note = read_note(r#"{"at":"2026-11-21T06:00:00+05:30","user":"asha","did":"x"}"#);
        assert_eq!((note.user.as_str(), note.did.as_deref()), ("asha", Some("x")));
    }
}
