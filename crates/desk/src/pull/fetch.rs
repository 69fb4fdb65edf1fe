//! Gets the bytes of a source: a file, or an HTTPS answer of a bounded size.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use config::pulls::{DATE, Pull, PullFrom};
use config::secrets::read_file;
use domain::Timestamp;
use reqwest::header::LAST_MODIFIED;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;

use crate::error::{DeskError, Doing, Result};

/// Larger than a million rows, and than any mistake should be.
const BYTES_MAX: usize = 512 * 1024 * 1024;
/// For the whole answer.
const WITHIN: Duration = Duration::from_secs(120);

/// What a source has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    pub bytes: Vec<u8>,
    /// What it is called in what is said of it.
    pub name: PathBuf,
    /// When it was written; `None`: nobody says.
    pub written_at: Option<Timestamp>,
}

pub async fn fetch(pull: &Pull, date: NaiveDate) -> Result<Fetched> {
    let dated = |text: &str| text.replace(DATE, &date.to_string());
    match &pull.from {
        PullFrom::File(path) => {
            let path = PathBuf::from(dated(&path.to_string_lossy()));
            // A folder of another host may hang.
            let read = tokio::task::spawn_blocking(move || read(&path));
            let read = tokio::time::timeout(WITHIN, read).await;
            let slow = |_| DeskError::Unavailable(format!("it is not read in {WITHIN:?}"));
            read.map_err(slow)?.doing(|| "read it")?
        }
        PullFrom::Url(url) => get(pull, &dated(url)).await,
    }
}

fn read(path: &Path) -> Result<Fetched> {
    let doing = || format!("read {}", path.display());
    let seen = std::fs::metadata(path).doing(doing)?;
    if !seen.is_file() {
        return Err(DeskError::Refused(format!("{} is no file", path.display())));
    }
    if seen.len() > BYTES_MAX as u64 {
        return Err(too_large());
    }
    let written = seen.modified().ok().map(|at| Timestamp::from(DateTime::<Utc>::from(at)));
    let bytes = std::fs::read(path).doing(doing)?;
    Ok(Fetched { bytes, name: path.to_owned(), written_at: written })
}

/// The URL is in no error: a signed one is a secret.
async fn get(pull: &Pull, url: &str) -> Result<Fetched> {
    let client = reqwest::Client::builder().timeout(WITHIN).redirect(Policy::none()).build();
    let mut request = client.doing(|| "set up a client")?.get(url);
    if let Some(file) = &pull.token_file {
        let token = read_file("token", file)?;
        request = request.bearer_auth(token.expose_secret());
    }
    let away = |error: reqwest::Error| {
        let error = error.without_url();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        let cause = cause.unwrap_or_default();
        DeskError::Unavailable(format!("its source does not answer: {error}{cause}"))
    };
    let mut answer = request.send().await.map_err(away)?;
    let status = answer.status();
    if status != reqwest::StatusCode::OK {
        return Err(DeskError::Unavailable(format!("its source answers {status}")));
    }
    let written_at = answer.headers().get(LAST_MODIFIED).and_then(|value| {
        let at = DateTime::parse_from_rfc2822(value.to_str().ok()?).ok()?;
        Some(Timestamp::from(at.with_timezone(&Utc)))
    });
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(away)? {
        if bytes.len() + part.len() > BYTES_MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&part);
    }
    Ok(Fetched { bytes, name: PathBuf::from(&pull.name), written_at })
}

fn too_large() -> DeskError {
    DeskError::Refused(format!("it is larger than {} MiB", BYTES_MAX / 1024 / 1024))
}
