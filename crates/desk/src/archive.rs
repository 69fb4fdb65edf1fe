//! What is kept of a run that leaves the ledger: its facts as gzipped NDJSON, with a checksum.
//!
//! Invariants: texts, addresses and names are not in it, and message ids, which hold a number, as
//! hashes only; a file that is there is whole, and its checksum is beside it, on the disk, before
//! anything is purged.

use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use domain::hash::{HashWriter, sha256_hex};
use flate2::Compression;
use flate2::write::GzEncoder;
use ledger::api::for_each;
use ledger::{DeliveryView, Filter, Ledger, Run};
use serde_json::{Value, json};

use crate::error::{DeskError, Doing, Result};

/// An export that is on the disk.
pub struct Export {
    pub path: PathBuf,
    pub deliveries: u64,
    pub sha256: String,
}

/// Writes `<run>.ndjson.gz` and `<run>.ndjson.gz.sha256` (as `sha256sum -c` reads it) into `dir`:
/// the run's header on the first line, then a line for each delivery.
///
/// # Errors
/// When the ledger does not answer, the disk refuses, or deliveries are missing. Nothing is left
/// at the export's name then, unless there was one before.
pub async fn export(ledger: &dyn Ledger, run: &Run, dir: &Path) -> Result<Export> {
    let id = &run.header.id;
    let path = dir.join(format!("{id}.ndjson.gz"));
    let doing = || format!("export {id} to {}", path.display());
    std::fs::create_dir_all(dir).doing(doing)?;
    let file = tempfile::Builder::new().prefix(".export-").tempfile_in(dir).doing(doing)?;
    let mut out = GzEncoder::new(file, Compression::default());
    let counts = ledger.counts(id).await?;
    let head = json!({
        "run": *run.header, "phase": run.phase, "sealed_at": run.sealed_at,
        "started_at": run.started_at, "deliveries": counts.total(),
    });
    let mut written = writeln!(out, "{head}");
    let mut deliveries = 0u64;
    let mut each = |delivery: &DeliveryView| {
        deliveries += 1;
        if written.is_ok() {
            written = writeln!(out, "{}", line(delivery));
        }
    };
    for_each(ledger, id, &Filter::default(), &mut each).await?;
    written.doing(doing)?;
    let file = out.finish().doing(doing)?;
    file.as_file().sync_all().doing(doing)?;
    let total = counts.total();
    if deliveries != total {
        return Err(DeskError::Refused(format!(
            "export {id}: {deliveries} deliveries were read and {total} are counted; `subah ledger verify` says why"
        )));
    }
    let sha256 = sha256(file.path()).doing(doing)?;
    file.persist(&path).doing(doing)?;
    write_checksum(&path, &sha256).doing(doing)?;
    // The names are on the disk too.
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).doing(doing)?;
    Ok(Export { path, deliveries, sha256 })
}

fn line(delivery: &DeliveryView) -> Value {
    let mut facts = serde_json::to_value(&delivery.facts).expect("facts are plain data");
    hash_message_ids(&mut facts);
    let recipient = delivery.message.as_ref().map(|message| message.recipient.as_str());
    json!({
        "index": delivery.id.index, "recipient_id": recipient, "number": delivery.lane.as_str(),
        "state": delivery.state.as_str(), "due_at": delivery.due_at, "facts": facts,
        "damage": delivery.damage, "notes": delivery.notes,
    })
}

/// Meta's message ids hold the recipient's number, readable for everybody.
fn hash_message_ids(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(id) if name == "wamid" => *id = sha256_hex(id.as_bytes()),
                    other => hash_message_ids(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hash_message_ids),
        _ => {}
    }
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut hash = HashWriter::default();
    std::io::copy(&mut BufReader::new(std::fs::File::open(path)?), &mut hash)?;
    Ok(hash.hex())
}

fn write_checksum(path: &Path, sha256: &str) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".export-").tempfile_in(dir)?;
    writeln!(file, "{sha256}  {name}")?;
    file.as_file().sync_all()?;
    file.persist(format!("{}.sha256", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_kept_as_a_hash() {
        let mut facts = json!({"attempts": [{"http": {"accepted": {"wamid": "wamid.OTE5OA=="}}}]});
        hash_message_ids(&mut facts);
        let text = facts.to_string();
        assert!(
            !text.contains("OTE5OA") && text.contains(&sha256_hex(b"wamid.OTE5OA==")),
            "{text}"
        );
    }
}
