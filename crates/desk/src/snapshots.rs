//! What runs are planned from, kept in the records beside the host that planned: any host can finish
//! a plan that another one began.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use domain::{TenantId, Timestamp};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use records::{Records, Tx, blobs};
use segment_log::{Sync, whole};

use crate::error::{DeskError, Result};

const KIND: &str = "snapshot";

/// Keeps a snapshot's file under its name. Reads and compresses: a thread of its own does that.
///
/// # Errors
/// When the file cannot be read, or the records do not answer.
pub async fn keep(records: &Records, tenant: &TenantId, file: &Path, now: Timestamp) -> Result<()> {
    let name = name_of(file);
    if blobs::has(records, tenant, KIND, &name).await? {
        return Ok(());
    }
    let path = file.to_owned();
    let compressed = tokio::task::spawn_blocking(move || compressed(&path)).await;
    let bytes = compressed.map_err(std::io::Error::other).and_then(|bytes| bytes);
    let bytes = bytes.map_err(|error| DeskError::file("read", file, error))?;
    blobs::put(records, tenant, KIND, &name, &bytes, now).await?;
    Ok(())
}

/// Gets a snapshot that this host does not have. Returns whether it was there; whoever reads the
/// file holds it against its name.
///
/// # Errors
/// When the records do not answer, or the disk fails.
pub async fn fetch(records: &Records, tenant: &TenantId, file: &Path) -> Result<bool> {
    let Some(bytes) = blobs::get(records, tenant, KIND, &name_of(file)).await? else {
        return Ok(false);
    };
    let path = file.to_owned();
    let put = tokio::task::spawn_blocking(move || {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        whole::put(&path, Sync::Yes, |out| {
            std::io::copy(&mut GzDecoder::new(bytes.as_slice()), out).map(drop)
        })
    });
    let put = put.await.map_err(std::io::Error::other).and_then(|put| put);
    put.map_err(|error| DeskError::file("write", file, error))?;
    Ok(true)
}

/// Lets go of those that were kept before an instant.
pub(crate) async fn let_go(
    tx: &mut Tx,
    tenant: &TenantId,
    before: Timestamp,
) -> records::Result<u64> {
    blobs::forget_before(tx, tenant, KIND, before).await
}

fn name_of(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn compressed(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut reader = BufReader::new(File::open(file)?);
    // Fast rather than small: a plan may be waiting to be finished.
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    let mut chunk = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut chunk)? {
            0 => return out.finish(),
            n => out.write_all(&chunk[..n])?,
        }
    }
}
