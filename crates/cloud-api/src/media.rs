//! Uploads files once and remembers their ids.
//!
//! An id belongs to one number and lives 30 days; it is used for 29, so that none dies
//! between planning and sending. Source: Meta, "Media" (limits by kind, 30 days).

mod content;
mod link;

pub use link::check_link;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::hash::sha256_hex;
use domain::outbound::MediaKind;
use domain::{NumberId, Timestamp};
use provider::Uploaded;
use segment_log::{Sync, whole};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::client::{CallError, CloudApi};

/// 30 days less one of margin.
const ID_LIFE: Duration = Duration::from_secs(29 * 24 * 3_600);
/// An id that was made so shortly before is not asked about again: pictures that were uploaded the
/// evening before cost the plan of the morning no calls.
const ID_FRESH: Duration = Duration::from_secs(20 * 3_600);
const MIB: u64 = 1024 * 1024;

/// Type by file name, and the most bytes that Meta takes of the kind.
const TYPES: &[(MediaKind, &[&str], &str, u64)] = &[
    (MediaKind::Image, &["jpg", "jpeg"], "image/jpeg", 5 * MIB),
    (MediaKind::Image, &["png"], "image/png", 5 * MIB),
    (MediaKind::Video, &["mp4"], "video/mp4", 16 * MIB),
    (MediaKind::Video, &["3gp"], "video/3gpp", 16 * MIB),
    (MediaKind::Document, &["pdf"], "application/pdf", 100 * MIB),
    (MediaKind::Document, &["txt"], "text/plain", 100 * MIB),
    (
        MediaKind::Document,
        &["xlsx"],
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        100 * MIB,
    ),
    (
        MediaKind::Document,
        &["docx"],
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        100 * MIB,
    ),
];

/// Checks a local file against Meta's limits and returns its MIME type.
///
/// # Errors
/// When it is missing, of a type that the kind does not take, empty or too large.
pub fn check_file(kind: MediaKind, path: &Path) -> Result<&'static str, CallError> {
    let shown = path.display().to_string();
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    let known = |row: &&(MediaKind, &[&str], &'static str, u64)| {
        row.0 == kind && row.1.contains(&ending.as_str())
    };
    let Some((_, _, mime, bytes_max)) = TYPES.iter().find(known) else {
        let endings: Vec<&str> =
            TYPES.iter().filter(|row| row.0 == kind).flat_map(|row| row.1).copied().collect();
        let why =
            format!("not a {} that Meta takes: expected {}", kind.as_str(), endings.join(", "));
        return Err(CallError::Media { path: shown, why });
    };
    let size = std::fs::metadata(path)
        .map_err(|source| CallError::File { doing: "read media", path: shown.clone(), source })?
        .len();
    if size == 0 || size > *bytes_max {
        let why = format!("{size} bytes: expected 1 to {} MiB", bytes_max / MIB);
        return Err(CallError::Media { path: shown, why });
    }
    match content::judge(mime, path) {
        Ok(None) => Ok(mime),
        Ok(Some(why)) => Err(CallError::Media { path: shown, why }),
        Err(source) => Err(CallError::File { doing: "read media", path: shown, source }),
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    id: String,
    uploaded_at: Timestamp,
}

#[derive(Deserialize)]
struct UploadAnswer {
    id: String,
}

/// Ids by number and content, kept in a small JSON file.
#[derive(Debug)]
pub struct MediaCache {
    path: PathBuf,
    /// `<number>/<sha-256 of the file>` → id.
    ids: BTreeMap<String, Held>,
}

impl MediaCache {
    /// Reads the file; a missing or unreadable one is an empty cache, which only costs
    /// uploads.
    pub fn open(path: PathBuf) -> Self {
        let text = std::fs::read(&path).unwrap_or_default();
        MediaCache { path, ids: serde_json::from_slice(&text).unwrap_or_default() }
    }

    /// The id of a local file for one number; uploads it when none is young enough.
    ///
    /// # Errors
    /// When the file does not fit Meta's limits, or the upload or the cache file fails.
    pub async fn id(
        &mut self,
        api: &CloudApi,
        number: &NumberId,
        kind: MediaKind,
        file: &Path,
        now: Timestamp,
    ) -> Result<Uploaded, CallError> {
        let mime = check_file(kind, file)?;
        let shown = file.display().to_string();
        let bytes = tokio::fs::read(file).await.map_err(|source| CallError::File {
            doing: "read media",
            path: shown,
            source,
        })?;
        let sha256 = sha256_hex(&bytes);
        let key = format!("{number}/{sha256}");
        if let Some(held) = self.ids.get(&key).filter(|held| now < held.uploaded_at + ID_LIFE) {
            let fresh = now < held.uploaded_at + ID_FRESH;
            // Without an answer the id is as good as it was.
            if fresh || api.knows_media(number, &held.id).await.unwrap_or(true) {
                return Ok(Uploaded { id: held.id.clone(), sha256 });
            }
            self.ids.remove(&key); // refused: it is forgotten, and uploaded again
        }
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let id = api.upload(number, name, mime, bytes).await?;
        self.ids.retain(|_, held| now < held.uploaded_at + ID_LIFE);
        self.ids.insert(key, Held { id: id.clone(), uploaded_at: now });
        self.save()?;
        Ok(Uploaded { id, sha256 })
    }

    /// For which of these numbers a local file has an id that is young enough; nobody is asked.
    pub fn held_for<'a>(
        &self,
        file: &Path,
        numbers: &[&'a NumberId],
        now: Timestamp,
    ) -> Vec<&'a NumberId> {
        if self.ids.is_empty() {
            return Vec::new();
        }
        let Ok(bytes) = std::fs::read(file) else { return Vec::new() };
        let sha256 = sha256_hex(&bytes);
        let has = |number: &&&NumberId| {
            let held = self.ids.get(&format!("{number}/{sha256}"));
            held.is_some_and(|held| now < held.uploaded_at + ID_LIFE)
        };
        numbers.iter().filter(has).copied().collect()
    }

    fn save(&self) -> Result<(), CallError> {
        let text = serde_json::to_vec_pretty(&self.ids).expect("string keys");
        let failed = |source| CallError::File {
            doing: "write the media cache",
            path: self.path.display().to_string(),
            source,
        };
        whole::put_bytes(&self.path, Sync::No, &text).map_err(failed)
    }
}

#[derive(Deserialize)]
struct Known {
    #[serde(default)]
    id: String,
}

impl CloudApi {
    /// Whether Meta knows this id as one of this number.
    ///
    /// # Errors
    /// When Meta does not answer, or refuses more than this id.
    pub async fn knows_media(&self, number: &NumberId, id: &str) -> Result<bool, CallError> {
        let query = [("phone_number_id", number.as_str())];
        match self.get::<Known>(&[id], &query).await {
            Ok(known) => Ok(known.id == id),
            Err(error) if error.is_about_the_object() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What a link's host answers, as an HTTP status; asked without the token.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn link_status(&self, link: &Url) -> Result<u16, CallError> {
        let answered = self.head(link).await;
        let host = link.host_str().unwrap_or("a host");
        answered.map_err(|e| CallError::NoAnswer {
            doing: format!("HEAD of a link at {host}"),
            source: e.without_url(),
        })
    }

    async fn upload(
        &self,
        number: &NumberId,
        name: String,
        mime: &'static str,
        bytes: Vec<u8>,
    ) -> Result<String, CallError> {
        let file = reqwest::multipart::Part::bytes(bytes)
            .file_name(name)
            .mime_str(mime)
            .map_err(CallError::Client)?;
        let form = reqwest::multipart::Form::new()
            .text("messaging_product", "whatsapp")
            .text("type", mime)
            .part("file", file);
        let answer: UploadAnswer = self.post_form(&[number.as_str(), "media"], form).await?;
        Ok(answer.id)
    }
}
