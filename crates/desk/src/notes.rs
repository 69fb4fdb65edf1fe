//! Brings what [`crate::did`] notes on this host's disk into the records' chain of acts.
//!
//! Invariant: each note becomes one entry, also when the process dies in between: how far the notes are
//! taken up is kept in the transaction of the entries. No phone number goes with them, whoever wrote one
//! into a reason.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;

use config::Config;
use domain::{Clock, TenantId};
use records::{Records, Result, Tries, Tx, Value, audit, tenants};
use serde::Deserialize;
use serde_json::json;

use crate::did::FILE;

/// Bytes that are read at once; a note is shorter.
const CHUNK: u64 = 256 * 1024;
/// Digits that may be a phone number: what WhatsApp takes has ten to thirteen, ids of numbers have more.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 10..=13;

/// The notes of one host.
#[derive(Clone, Debug)]
pub struct Notes {
    file: PathBuf,
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
        Notes { file: config.state_dir.join(FILE), host: config.host.clone() }
    }

    /// Takes up what is new; returns how many entries that made. A file that became shorter is another
    /// one, and is taken up from its beginning.
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
                Ok(0) => return Ok(taken),
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
        let seen = upto(records, tenant, &self.host).await?;
        if self.read(seen).is_none() {
            return Ok(0);
        }
        let mut tx = records.begin(doing).await?;
        let from = upto_in(&mut tx, tenant, &self.host).await?;
        let Some((lines, upto)) = self.read(from) else { return Ok(0) };
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
        let row = [key(), vec![upto.into()]].concat();
        tx.insert_new(doing, "noted_acts (tenant, source, upto)", 3, row).await?;
        tx.commit(doing).await?;
        Ok(lines.len())
    }

    /// Whole lines from a place on, and the place behind them; `None`: there are none.
    fn read(&self, from: i64) -> Option<(Vec<String>, i64)> {
        let mut file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    tracing::warn!(error = %error, "read {}: {error}", self.file.display());
                }
                return None;
            }
        };
        let length = i64::try_from(file.metadata().ok()?.len()).ok()?;
        let from = if from > length { 0 } else { from };
        file.seek(SeekFrom::Start(u64::try_from(from).ok()?)).ok()?;
        let mut bytes = Vec::new();
        file.take(CHUNK).read_to_end(&mut bytes).ok()?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n')? + 1;
        let text = String::from_utf8_lossy(&bytes[..end]);
        let lines = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned);
        Some((lines.collect(), from + i64::try_from(end).ok()?))
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

async fn upto(records: &Records, tenant: &TenantId, host: &str) -> Result<i64> {
    let values: Vec<Value> = vec![tenant.as_str().into(), host.into()];
    let rows = records.fetch("look how far notes are taken up", UPTO, values).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

async fn upto_in(tx: &mut Tx, tenant: &TenantId, host: &str) -> Result<i64> {
    let values: Vec<Value> = vec![tenant.as_str().into(), host.into()];
    let rows = tx.fetch("look how far notes are taken up", UPTO, values).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

const UPTO: &str = "SELECT upto FROM noted_acts WHERE tenant = $1 AND source = $2";

/// The words with what may be a phone number taken out.
fn without_phones(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits =
            rest[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - start);
        out.push_str(&rest[..start]);
        let found = &rest[start..start + digits];
        out.push_str(if PHONE_DIGITS.contains(&digits) { "…" } else { found });
        rest = &rest[start + digits..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_number_in_a_reason_does_not_reach_the_chain() {
        let kept = [
            "run daily-pack@2026-11-21 becomes paused: asked by the desk",
            "numbers pause 106540352242922: banned",
            "templates submit daily_pack_v2 (hi)",
        ];
        for text in kept {
            assert_eq!(without_phones(text), text);
        }
        assert_eq!(without_phones("called by 919876543210, twice"), "called by …, twice");
        assert_eq!(without_phones("+91 9876543210"), "+91 …");
        assert_eq!(without_phones("१२ 9876543210"), "१२ …");
    }

    #[test]
    fn a_line_that_nobody_can_read_is_an_entry_all_the_same() {
        assert_eq!(read_note("{not json").user, "nobody knows");
        let note = read_note(r#"{"at":"2026-11-21T06:00:00+05:30","user":"asha","did":"x"}"#);
        assert_eq!((note.user.as_str(), note.did.as_deref()), ("asha", Some("x")));
    }
}
